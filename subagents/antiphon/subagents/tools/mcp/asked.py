"""Which servers a person asked for: none is started that was not named, and a resumed run gets those it had."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from antiphon.engine import UsageError
from antiphon.subagents.tools.mcp.configuration import McpServer
from antiphon.subagents.tools.mcp.naming import is_mcp_name, server_of
from antiphon.tracing import Json

ALL: Final = "__*"


@dataclass(frozen=True, slots=True, kw_only=True)
class McpAsked:
    """What was asked for.

    Attributes:
        configured: the servers that the configuration describes, by name.
        names: those that were named, and so may be started.
    """

    configured: Mapping[str, McpServer] = field(default_factory=dict[str, McpServer])
    names: tuple[str, ...] = ()

    def servers(self) -> tuple[McpServer, ...]:
        """Those that were named, each once.

        Raises:
            UsageError: the configuration does not describe one of them.
        """
        return tuple(self._server(name) for name in dict.fromkeys(self.names))

    def again(self, facts: Json) -> tuple[McpServer, ...]:
        """Those that a run began with, and those that are named now.

        Args:
            facts: what `facts_of` gave when it began; whatever else is read as none.

        Raises:
            UsageError: one is not described any more, or otherwise, and is not named now.
        """
        before = cast("dict[str, object]", facts) if isinstance(facts, dict) else {}
        for name, fingerprint in before.items():
            if name in self.names:
                continue
            if name not in self.configured:
                raise UsageError(
                    f"the run uses the MCP server {name[:60]!r}, which no configuration here describes any more",
                    advice="resume it in the folder where it began",
                )
            if self.configured[name].fingerprint() != fingerprint:
                raise UsageError(
                    f"the MCP server {name!r} is configured otherwise than when the run began",
                    advice=f"look at it, then add --mcp {name} to take it as it is now",
                )
        return tuple(self._server(name) for name in dict.fromkeys((*before, *self.names)))

    def _server(self, name: str) -> McpServer:
        if name in self.configured:
            return self.configured[name]
        close = difflib.get_close_matches(name, self.configured, n=1)
        meant = f" (did you mean {close[0]!r}?)" if close else ""
        known = ", ".join(sorted(self.configured)) or "none"
        raise UsageError(
            f"there is no MCP server {name[:60]!r}{meant}; the configuration describes: {known}",
            advice=f'describe it as [tool.antiphon.mcp.{name[:60]}] with command = ["…"] or url = "…"',
        )


def facts_of(servers: Iterable[McpServer]) -> dict[str, Json]:
    """What a run keeps of its servers: their names, and hashes of their configuration; no secrets."""
    return {server.name: server.fingerprint() for server in servers}


def check_named(tools: Iterable[str], names: Collection[str], wanting: str) -> None:
    """Refuse tools of servers that nobody named: a file that comes with a project cannot start programs.

    Args:
        tools: names and patterns of tools, such as a manifest's ``scope.tools`` or a role's ``tools``.
        names: the servers that were named.
        wanting: who wants them, for the message.

    Raises:
        UsageError: one is of a server that was not named.
    """
    for tool in tools:
        if is_mcp_name(tool) and server_of(tool) not in names:
            server = server_of(tool)[:60]
            raise UsageError(
                f"{wanting} uses {tool[:100]!r} of the MCP server {server!r}, which no file can start by itself",
                advice=f"add --mcp {server} to have it started",
            )


def expanded(tools: Iterable[str], known: Collection[str]) -> tuple[str, ...]:
    """Names of tools with each ``SERVER__*`` replaced by the tools that server has, in their order, each once."""
    names: list[str] = []
    for tool in tools:
        server = tool.removesuffix("*")
        names += [name for name in known if name.startswith(server)] if tool.endswith(ALL) else [tool]
    return tuple(dict.fromkeys(names))
