"""`--mcp`: the MCP servers of a run. A configuration file describes servers; only the command line has them started."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from antiphon.subagents.tools.mcp import McpAsked, McpServer
    from antiphon.workflows.cli.configuration import Configuration
    from antiphon.workflows.cli.examination import Item

mcp_option = click.option(
    "--mcp",
    "mcp",
    multiple=True,
    metavar="NAME",
    help="Start this MCP server of the configuration, and let roles use its tools. Can be repeated.",
)


def mcp_asked(held: Configuration, names: Sequence[str]) -> McpAsked:
    """What was asked for; it is said when a run begins or goes on."""
    from antiphon.subagents.tools.mcp import McpAsked

    return McpAsked(configured=held.mcp, names=tuple(names))


def folder_of(held: Configuration) -> Path:
    """The folder that the paths of a configuration's servers are relative to."""
    return held.file.parent if held.file is not None else Path.cwd()


def tell_servers(servers: Sequence[McpServer]) -> None:
    """Say what is started and what it is given, as all of it is what a file said that may have come with the tree."""
    from antiphon.workflows.cli.terminal import talk

    paper = talk()
    for server in servers:
        paper.line(f"mcp {server.name}: {said(server)}")


def said(server: McpServer) -> str:
    """What is started, and all that it is given, on one line."""
    given = {
        "reads": server.read,
        "writes": server.write,
        "network": server.network,
        "is given": tuple(f"${name}" for name in server.references()),
    }
    what = server.url or shlex.join(server.command)
    return "; ".join([what, *(f"{verb} {', '.join(values)}" for verb, values in given.items() if values)])


def tried(held: Configuration, names: Sequence[str], sandbox: str | None) -> tuple[Item, ...]:
    """Each of these servers, really started and asked for its tools.

    Raises:
        UsageError: the configuration does not describe one of them.
    """
    return tuple(_tried(server, folder_of(held), sandbox) for server in mcp_asked(held, names).servers())


def _tried(server: McpServer, project: Path, sandbox: str | None) -> Item:
    import anyio

    from antiphon.subagents.sandbox import choose
    from antiphon.subagents.tools.mcp import McpUnavailable, mcp_tools
    from antiphon.workflows.cli.examination import Item

    notes: list[str] = []

    async def asked() -> list[str]:
        async with mcp_tools([server], sandbox=partial(choose, sandbox), project=project, note=notes.append) as tools:
            return list(tools)

    try:
        names = anyio.run(asked)
    except McpUnavailable as error:
        return Item(server.name, "no", f"{error.reason} ({said(server)})")
    told = "; ".join([said(server), f"{len(names)} tools: {', '.join(names) or 'none'}", *notes])
    return Item(server.name, "weaker" if notes else "yes", told)
