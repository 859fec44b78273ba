"""`antiphon check`: what there is to say of a script before it runs. Nothing of it is executed."""

from __future__ import annotations

import json as json_module
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from antiphon.workflows.cli.model_options import model_options
from antiphon.workflows.cli.options import json_option

if TYPE_CHECKING:
    from antiphon.subagents.tools.policy import Scope
    from antiphon.tracing import Json
    from antiphon.workflows.cli.terminal import Paper
    from antiphon.workflows.preflight import Preflight

_WORST: Final = {"error": ("error",), "warning": ("error", "warning"), "note": ("error", "warning", "note")}


@click.command(name="check", short_help="Look at a script before it runs.")
@click.argument("script", type=click.Path(path_type=Path))
@click.option(
    "--arg",
    "pairs",
    multiple=True,
    metavar="NAME=VALUE",
    help="An argument for main, as `run` takes it: bounds use it.",
)
@click.option("--read", multiple=True, metavar="PATTERN", help="Files it may read at most; the manifest is held to it.")
@click.option("--write", multiple=True, metavar="PATTERN", help="Files it may change at most.")
@click.option("--tool", "tools", multiple=True, metavar="TOOL", help="Tools it may use at most.")
@click.option("--host", "hosts", multiple=True, metavar="HOST", help="Hosts it may reach at most.")
@model_options
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "note", "never"]),
    default="error",
    help="Exit with 1 for these.",
)
@click.option("--mermaid", is_flag=True, help="Print the outline as a mermaid flowchart instead.")
@click.option("--svg", type=click.Path(path_type=Path, dir_okay=False), help="Write a picture of the outline.")
@json_option
def command(
    script: Path,
    pairs: tuple[str, ...],
    read: tuple[str, ...],
    write: tuple[str, ...],
    tools: tuple[str, ...],
    hosts: tuple[str, ...],
    models: tuple[str, ...],
    prices: tuple[str, ...],
    rates: tuple[str, ...],
    fail_on: str,
    mermaid: bool,
    svg: Path | None,
    json: bool,
) -> int:
    """Say what SCRIPT does, how often, at what cost, what it may touch, where it runs, and what is wrong with it."""
    from antiphon.workflows.cli.configuration import configuration
    from antiphon.workflows.cli.model_options import asked
    from antiphon.workflows.cli.terminal import data
    from antiphon.workflows.loading import read_text
    from antiphon.workflows.preflight import preflight

    answering = asked(configuration(), models, prices, rates)
    source = read_text(script)
    arguments = _arguments(source, script, pairs)
    granted = _granted(read=read, write=write, tools=tools, network=hosts)
    found = preflight(source, script.name, granted=granted, arguments=arguments, models=answering)
    if svg is not None:
        _write_picture(svg, found)
    approval = _approval(found, source, script, arguments)
    if json:
        data().raw(json_module.dumps(_facts(found, approval)) + "\n")
    elif mermaid:
        from antiphon.workflows.preflight.mermaid import mermaid as drawn

        data().raw(drawn(found.outline))
    else:
        _print(found, source, approval, data(), script)
    return _code(found, fail_on)


def _arguments(source: str, script: Path, pairs: tuple[str, ...]) -> dict[str, Json]:
    """What was typed for main, as far as it was: bounds can be told without the rest.

    Raises:
        UsageError: one of them does not fit; or something was typed, and main cannot be read.
    """
    from antiphon.engine import UsageError
    from antiphon.workflows.approval.subject import given_of
    from antiphon.workflows.confined import read_confined
    from antiphon.workflows.manifest import read_manifest
    from antiphon.workflows.parameters import Parameters

    try:
        read_manifest(source, str(script))
        parameters = read_confined(source, str(script)).parameters
    except UsageError:
        if pairs:
            raise
        return {}  # what is wrong is a finding
    typed = {pair.partition("=")[0] for pair in pairs}
    known = tuple(one for one in parameters.each if one.name in typed)
    whole = typed - {one.name for one in known}  # a name that nobody knows is told with all of them
    reading = parameters if whole else Parameters(parameters.workflow, known)
    return given_of(parameters, reading.from_text(pairs))


def _granted(**patterns: tuple[str, ...]) -> Scope | None:
    """What was typed of what the script may touch; None where nothing was."""
    from antiphon.subagents.tools.policy import Scope

    said = {name: given for name, given in patterns.items() if given}
    return Scope(**said) if said else None


def _write_picture(place: Path, found: Preflight) -> None:
    from antiphon.engine import UsageError
    from antiphon.workflows.disk import write_whole
    from antiphon.workflows.preflight.svg import svg

    title = found.manifest.name if found.manifest else found.file
    try:
        write_whole(place, svg(found.outline, title=title).encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise UsageError(f"cannot write {place}: {error.strerror or error}") from None


def _facts(found: Preflight, approval: Mapping[str, Json]) -> dict[str, Json]:
    """Preflight's own JSON; of the scope also which parts the manifest is silent about (null), and the approval."""
    from antiphon.workflows.approval.subject import declared_of

    said: dict[str, Json] = {} if found.manifest is None else declared_of(found.manifest)["scope"]
    scope: dict[str, Json] = {name: said.get(name) for name in ("read", "write", "tools", "network")}
    return {**found.to_json(), "scope": scope, "approval": dict(approval) or None}


def _approval(found: Preflight, source: str, script: Path, arguments: Mapping[str, Json]) -> dict[str, Json]:
    """Whether this version was approved, of a script that needs it; empty for one that does not."""
    from antiphon.workflows.approval import Kept, Subject, planned_of
    from antiphon.workflows.approval.subject import declared_of, granted_of

    planned = planned_of(source)
    if planned is None or found.manifest is None:
        return {}
    subject = Subject(
        file=os.path.abspath(script),
        source=source,
        manifest=declared_of(found.manifest),
        granted=granted_of(None, confined=True),
        arguments=arguments,
    )
    approved = Kept().find(subject)
    said: dict[str, Json] = {"plan": planned.name, "hash": subject.hash, "approved": approved is not None}
    return said if approved is None else {**said, "at": approved.at, "who": approved.who}


def _print(found: Preflight, source: str, approval: Mapping[str, Any], paper: Paper, script: Path) -> None:
    from antiphon.workflows.cli.terminal import Piece
    from antiphon.workflows.cli.words import moment
    from antiphon.workflows.preflight.text import report

    paper.columns = None  # reasons and remedies are to be read whole
    for row in report(found, source=source):
        paper.line(*(Piece(*piece) for piece in row))
    if not approval:
        return
    if approval["approved"]:
        paper.line(Piece("approved   ", "dim"), f"on {moment(approval['at'])} by {approval['who']}, {approval['hash']}")
    else:
        command = shlex.join(["antiphon", "run", str(script), "...", "--approve", approval["hash"]])
        paper.line(Piece("approval   ", "warn"), "nobody approved this version; once you have read it: ", command)


def _code(found: Preflight, fail_on: str) -> int:
    return int(any(finding.severity in _WORST.get(fail_on, ()) for finding in found.findings))
