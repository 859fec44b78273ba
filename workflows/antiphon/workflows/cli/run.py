"""`antiphon run`: perform a workflow file for the first time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import click

from antiphon.workflows.cli.approval_options import Typed, approval_options
from antiphon.workflows.cli.mcp_options import mcp_option
from antiphon.workflows.cli.model_options import model_options
from antiphon.workflows.cli.options import (
    json_option,
    performing_options,
    runs_dir_option,
    runtime_option,
    sandbox_option,
)
from antiphon.workflows.cli.policy_options import policy_options

if TYPE_CHECKING:
    from antiphon.tracing import Json
    from antiphon.workflows.cli.configuration import Configuration
    from antiphon.workflows.loading import Loaded
    from antiphon.workflows.model_roles import ModelsAsked
    from antiphon.workflows.running import Options
    from antiphon.workflows.runtimes import RuntimeAsked


class Given(TypedDict):
    """What the command line says, besides the file and its arguments."""

    models: tuple[str, ...]
    prices: tuple[str, ...]
    rates: tuple[str, ...]
    allow: tuple[str, ...]
    ask: tuple[str, ...]
    deny: tuple[str, ...]
    mcp: tuple[str, ...]
    sandbox: str | None
    runtime: str | None
    trust: bool
    approve: str | None
    pilot: int | None
    gate: str | None
    runs_dir: Path | None
    backend: str | None
    concurrency: int | None
    processes: int | None
    plain: bool
    yes: bool
    json: bool


@click.command(name="run", cls=Typed, short_help="Run a workflow file.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--arg",
    "pairs",
    multiple=True,
    metavar="NAME=VALUE",
    help="An argument for main: text, or JSON where its type asks for it; =@FILE reads a file. Can be repeated.",
)
@model_options
@policy_options
@mcp_option
@sandbox_option
@runtime_option
@click.option("--trust", is_flag=True, help="With --runtime trusted: run in this process even what a model wrote.")
@approval_options
@runs_dir_option
@performing_options
@click.option("--yes", is_flag=True, help="Answer yes to whatever the run asks.")
@json_option
def command(file: Path, pairs: tuple[str, ...], **given: Unpack[Given]) -> int:
    """Run the workflow in FILE.

    The final value goes to stdout, everything else to stderr. Ctrl-C once pauses the run, twice stops it; both can be
    resumed.
    """
    from antiphon.engine import UsageError
    from antiphon.workflows.cli.configuration import configuration
    from antiphon.workflows.cli.model_options import asked, tell_boxes
    from antiphon.workflows.cli.performing import Presentation, perform_and_report
    from antiphon.workflows.loading import read_text
    from antiphon.workflows.places import new_run, runs_home
    from antiphon.workflows.running import start

    held = configuration().with_options(
        runs_dir=given["runs_dir"],
        concurrency=given["concurrency"],
        processes=given["processes"],
        backend=given["backend"],
    )
    answering = asked(held, given["models"], given["prices"], given["rates"])
    source, given_besides = read_text(file), _besides(held, given)
    approval = _approval(source, file, pairs, given, given_besides, answering)
    loaded = _loaded(file, given, answering)
    arguments = loaded.parameters.validate(loaded.parameters.from_text(pairs))
    if loaded.source != source or not _is_agreed(approval, loaded, arguments, given_besides):
        raise UsageError(f"{file} or an argument was changed while it was being read", advice="run it again")
    place = new_run(runs_home(held.runs_dir))
    tell_boxes(answering.specs)
    options = _options(given, held, answering, approval)
    presentation = Presentation(backend=held.backend, json=given["json"], plain=given["plain"])
    return perform_and_report(partial(start, place, loaded, arguments), options, presentation)


def _besides(held: Configuration, given: Given) -> dict[str, Json]:
    """What the person gives the script besides; of an MCP server all that a file says of it, as that may change."""
    from antiphon.workflows.cli.approving import besides
    from antiphon.workflows.cli.mcp_options import mcp_asked, said

    servers = mcp_asked(held, given["mcp"]).servers() if given["mcp"] else ()
    started = [f"{server.name}: {said(server)}" for server in servers]
    return besides(allow=given["allow"], sandbox=given["sandbox"], mcp=started)


def _approval(
    source: str, file: Path, pairs: tuple[str, ...], given: Given, besides: Mapping[str, Json], models: ModelsAsked
) -> dict[str, Json]:
    """Who agreed to the script, if somebody has to; before anything of it is executed."""
    from antiphon.workflows.approval import planned_of, subject_of_text
    from antiphon.workflows.cli.approving import agreed

    approve = given["approve"] or ""
    if planned_of(source) is None and not approve:
        return {}
    confined = _where(given).runtime_of(source, str(file)) is not None
    return agreed(subject_of_text(source, file, pairs, besides, confined=confined), approve, models=models)


def _is_agreed(
    approval: Mapping[str, Json], loaded: Loaded, arguments: Mapping[str, Any], besides: Mapping[str, Json]
) -> bool:
    """Whether what was read for the run is what was agreed to: an argument may be in a file (``=@FILE``)."""
    from antiphon.workflows.approval import planned_of, subject_of

    if planned_of(loaded.source) is None:  # a person's own, whose main reads its arguments into its own types
        return True
    return approval.get("hash") == subject_of(loaded, arguments, besides).digest


def _where(given: Given) -> RuntimeAsked:
    from antiphon.workflows.runtimes import RuntimeAsked

    return RuntimeAsked(name=given["runtime"] or "", trust=given["trust"])


def _loaded(file: Path, given: Given, models: ModelsAsked) -> Loaded:
    """The workflow, all of whose roles something answers."""
    from antiphon.workflows.cli.model_options import check_roles
    from antiphon.workflows.cli.performing import scripts_talk
    from antiphon.workflows.loading import load
    from antiphon.workflows.model_roles import ModelRoles, check_answered

    roles = ModelRoles(models, servers=given["mcp"])
    with scripts_talk():
        loaded = load(file, library=roles.library, runtime=_where(given))
    check_roles(given["models"], (*loaded.manifest.roles, *loaded.roles), roles.library)
    check_answered(loaded.manifest, loaded.source, loaded.roles, roles, str(file))
    return loaded


def _options(given: Given, held: Configuration, models: ModelsAsked, approval: dict[str, Json]) -> Options:
    from antiphon.workflows.cli.mcp_options import folder_of, mcp_asked, tell_servers
    from antiphon.workflows.cli.performing import settings_of
    from antiphon.workflows.cli.policy_options import tools_asked
    from antiphon.workflows.running import Options

    servers = mcp_asked(held, given["mcp"])
    tell_servers(servers.servers())
    answers = {"*": True} if given["yes"] else {}
    return Options(
        settings=settings_of(held, answers=answers, pilot=given["pilot"], gate_phases=given["gate"] is not None),
        models=models,
        tools=tools_asked(held, given["allow"], given["ask"], given["deny"]),
        mcp=servers,
        mcp_folder=folder_of(held),
        sandbox=given["sandbox"],
        runtime=_where(given),
        approval=approval,
    )
