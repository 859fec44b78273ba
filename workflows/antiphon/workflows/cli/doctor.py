"""`antiphon doctor`: what this machine has of what antiphon uses, found out by using it, and how to get the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from antiphon.workflows.cli.options import json_option, runs_dir_option

if TYPE_CHECKING:
    from antiphon.workflows.cli.examination import Examination, Item
    from antiphon.workflows.cli.terminal import Paper

_SERVERS = "mcp servers"
_STYLES = {"yes": "good", "weaker": "warn", "no": "bad", "absent": "dim"}


@click.command(name="doctor", short_help="Show what works on this machine, and what to type for the rest.")
@click.option("--sandbox", metavar="NAME", help="Try this one too, such as podman:IMAGE, and say if it can be used.")
@click.option("--mcp", "mcp", multiple=True, metavar="NAME", help="Start this MCP server, and list its tools.")
@runs_dir_option
@json_option
def command(sandbox: str | None, mcp: tuple[str, ...], runs_dir: Path | None, json: bool) -> int:
    """Show which sandbox confines commands here and why, which runtimes confine scripts, and what is missing.

    Exits with 0 if a sandbox works (with --sandbox: that one), runs can be written, and the MCP servers that are named
    can be used; with 1 if not.
    """
    from antiphon.workflows.cli.examination import examine
    from antiphon.workflows.cli.terminal import data

    seen = examine(sandbox, runs_dir)
    if mcp:
        seen = _with_servers(seen, mcp, sandbox)
    usable = all(item.state != "no" for item in seen.sections.get(_SERVERS, ()))
    paper = data()
    if json:
        import json as encoder

        paper.raw(encoder.dumps(seen.to_json()) + "\n")
    else:
        _print(paper, seen)
    return 0 if seen.healthy and usable else 1


def _with_servers(seen: Examination, names: tuple[str, ...], sandbox: str | None) -> Examination:
    from antiphon.workflows.cli.configuration import configuration
    from antiphon.workflows.cli.mcp_options import tried

    return replace(seen, sections={**seen.sections, _SERVERS: tried(configuration(), names, sandbox)})


def _print(paper: Paper, seen: Examination) -> None:
    from antiphon.workflows.cli.terminal import Piece

    paper.columns = None  # a command to type that is cut cannot be typed
    for title, items in seen.sections.items():
        paper.line(Piece(title, "bold"))
        for item in items:
            _print_item(paper, item)
    paper.line(Piece("verdict", "bold"))
    paper.line("  ", Piece(seen.verdict, "good" if seen.healthy else "bad"))


def _print_item(paper: Paper, item: Item) -> None:
    from antiphon.workflows.cli.terminal import Piece

    paper.line(
        "  ", Piece(f"{item.state:<7}", _STYLES[item.state]), f" {item.name}", f": {item.told}" if item.told else ""
    )
    if item.advice:
        paper.line("          type: ", item.advice)
