"""`antiphon run`: perform a workflow file for the first time."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from antiphon.workflows.cli.mcp_options import mcp_option
from antiphon.workflows.cli.model_options import model_options
from antiphon.workflows.cli.options import json_option, performing_options, runs_dir_option, sandbox_option
from antiphon.workflows.cli.policy_options import policy_options


@click.command(name="run", short_help="Run a workflow file.")
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
@runs_dir_option
@performing_options
@click.option("--yes", is_flag=True, help="Answer yes to whatever the run asks.")
@json_option
def command(
    file: Path,
    pairs: tuple[str, ...],
    models: tuple[str, ...],
    prices: tuple[str, ...],
    rates: tuple[str, ...],
    allow: tuple[str, ...],
    ask: tuple[str, ...],
    deny: tuple[str, ...],
    mcp: tuple[str, ...],
    sandbox: str | None,
    runs_dir: Path | None,
    backend: str | None,
    concurrency: int | None,
    processes: int | None,
    plain: bool,
    yes: bool,
    json: bool,
) -> int:
    """Run the workflow in FILE.

    The final value goes to stdout, everything else to stderr. Ctrl-C once pauses the run, twice stops it; both can be
    resumed.
    """
    from antiphon.workflows.cli.configuration import configuration
    from antiphon.workflows.cli.mcp_options import folder_of, mcp_asked, tell_servers
    from antiphon.workflows.cli.model_options import asked, check_roles, tell_boxes
    from antiphon.workflows.cli.performing import Presentation, perform_and_report, scripts_talk, settings_of
    from antiphon.workflows.cli.policy_options import tools_asked
    from antiphon.workflows.loading import load
    from antiphon.workflows.model_roles import ModelRoles, check_answered
    from antiphon.workflows.places import new_run, runs_home
    from antiphon.workflows.running import Options, start

    held = configuration().with_options(
        runs_dir=runs_dir, concurrency=concurrency, processes=processes, backend=backend
    )
    answering = asked(held, models, prices, rates)
    roles = ModelRoles(answering, servers=mcp)
    with scripts_talk():
        loaded = load(file, library=roles.library)
    check_roles(models, (*loaded.manifest.roles, *loaded.roles), roles.library)
    check_answered(loaded.manifest, loaded.source, loaded.roles, roles, str(file))
    arguments = loaded.parameters.validate(loaded.parameters.from_text(pairs))
    place = new_run(runs_home(held.runs_dir))
    tell_boxes(answering.specs)
    servers = mcp_asked(held, mcp)
    tell_servers(servers.servers())
    options = Options(
        settings=settings_of(held, answers={"*": True} if yes else {}),
        models=answering,
        tools=tools_asked(held, allow, ask, deny),
        mcp=servers,
        mcp_folder=folder_of(held),
        sandbox=sandbox,
    )
    presentation = Presentation(backend=held.backend, json=json, plain=plain)
    return perform_and_report(partial(start, place, loaded, arguments), options, presentation)
