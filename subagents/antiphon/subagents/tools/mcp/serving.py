"""The servers of a run: started, their tools given out, and gone when the attempt at the run is."""

from __future__ import annotations

import importlib
import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from antiphon.subagents.prompt.delimiting import legible
from antiphon.subagents.sandbox import Confinement, Container, ProcessLimits, Sandbox
from antiphon.subagents.sandbox.exposure import is_below
from antiphon.subagents.tools.contract import Tool, ToolResult
from antiphon.subagents.tools.mcp.child import Child, Order
from antiphon.subagents.tools.mcp.configuration import McpServer, ServerUnsuitable, check_headers, resolved
from antiphon.subagents.tools.mcp.connection import Connection
from antiphon.subagents.tools.mcp.declaring import Declared, tools_of
from antiphon.subagents.tools.mcp.http import http_transport
from antiphon.subagents.tools.mcp.link import Link, linked
from antiphon.subagents.tools.mcp.minding import Ending
from antiphon.subagents.tools.mcp.results import without
from antiphon.subagents.tools.mcp.stdio import stdio_transport
from antiphon.subagents.tools.mcp.trouble import McpUnavailable
from antiphon.tracing import Json

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams

LIMITS: Final = ProcessLimits(cpu_seconds=3600)
"""Of a server's processes: as of any command, but it lives as long as the run."""
_MACHINE: Final = ("/etc/ssl/openssl.cnf",)  # node does not start where it may see that this is there, and not read it
_OLDER: Final = "legacy"
_SAID: Final = 600
_SHORTEST_SECRET: Final = 6


@asynccontextmanager
async def mcp_tools(
    servers: Sequence[McpServer],
    *,
    sandbox: Callable[[], Sandbox],
    project: Path,
    note: Callable[[str], None] | None = None,
) -> AsyncGenerator[Mapping[str, Tool]]:
    """The tools of MCP servers, by the names that models see: ``SERVER__tool``.

    The servers are started together when the context is entered and are gone when it is left, also if this process is
    killed. One that breaks meanwhile is started again once, when its next call comes; a call never fails the caller,
    it has a failed result.

    Args:
        servers: which.
        sandbox: what programs are confined by. Called in a worker thread, as it may have to try sandboxes out.
        project: the folder that their paths are relative to.
        note: is told, in a sentence each, what is left out and what happens to them.

    Raises:
        McpUnavailable: one of them does not start, has not the tools that are named, or clashes with another.
    """
    if len({server.name for server in servers}) < len(servers):
        raise ValueError("two servers of one name")
    if servers:
        await anyio.to_thread.run_sync(_imported)
    confining = await anyio.to_thread.run_sync(sandbox) if any(one.command for one in servers) else None
    serving = [_Serving(server, project, confining, note or _nobody) for server in servers]
    raised: Exception | None = None
    async with anyio.create_task_group() as group:
        try:
            await _all_started(group, serving)
            yield _tools(serving)
        except Exception as error:  # kept out of the group, which would wrap it
            raised = error
        finally:
            for one in serving:
                one.connection.close()
    if raised is not None:
        raise raised


def _imported() -> None:
    """The SDK takes a second to import: not on the event loop."""
    importlib.import_module("mcp.client")


async def _all_started(group: anyio.abc.TaskGroup, serving: Sequence[_Serving]) -> None:
    async with anyio.create_task_group() as starting:
        for one in serving:
            starting.start_soon(group.start, one.connection.run)


def _tools(serving: Sequence[_Serving]) -> dict[str, Tool]:
    tools: dict[str, Tool] = {}
    for one in serving:
        if one.connection.refused is not None:
            raise one.refusal(one.connection.refused)
        for name, tool in tools_of(one.server, one.connection.tools, one.call).items():
            if name in tools:
                raise McpUnavailable(one.server.name, f"its tool {name!r} is called like one of another server")
            tools[name] = tool
    return tools


class _Serving:
    """A server of a run: how it is started, and how its answers are cleaned."""

    def __init__(self, server: McpServer, project: Path, sandbox: Sandbox | None, note: Callable[[str], None]) -> None:
        self.server, self._project, self._sandbox = server, project, sandbox
        try:
            self._env, self._headers = resolved(server.env), resolved(server.headers)
            check_headers(self._headers)
            self._secrets = secrets_of(server)
        except ServerUnsuitable as error:
            raise McpUnavailable(server.name, str(error), f"set it, or change mcp.{server.name}") from None
        self._child: Child | None = None
        self._mode, self._left = "auto", False
        self.connection = Connection(server, self, lambda text: note(self._clean(text)))

    async def call(self, tool: Declared, arguments: Mapping[str, Json]) -> ToolResult:
        """What the server answers, without what it was trusted with."""
        result = await self.connection.call(tool, arguments)
        return ToolResult(self._clean(result.text), failed=result.failed)

    def refusal(self, error: McpUnavailable) -> McpUnavailable:
        """Why it cannot be used, which is partly its own words, without what it was trusted with."""
        return McpUnavailable(error.server, self._clean(error.reason), error.advice or "")

    def _clean(self, text: str) -> str:
        return legible(without(text, self._secrets))

    def opened(self, *, changed: Callable[[], None], ended: Callable[[], None]) -> AbstractAsyncContextManager[Link]:
        """See `Opening`."""
        return linked(self._transport(), mode=self._mode, changed=changed, ended=ended)

    def ending(self) -> str:
        """See `Opening`."""
        child, self._child = self._child, None
        self._left = child is not None and child.finished
        return "" if child is None else self._clean(ending_said(child))

    def older(self) -> bool:
        """Whether its program left instead of answering what the protocol of 2026 begins with: some do that."""
        worth = self._left and self._mode != _OLDER
        self._mode = _OLDER if worth else self._mode
        return worth

    def _transport(self) -> AbstractAsyncContextManager[TransportStreams]:
        if self.server.url:
            return http_transport(self.server.url, self._headers, self.server.seconds)
        return stdio_transport(self._order(), self._keep)

    def _keep(self, child: Child) -> None:
        self._child = child

    def _order(self) -> Order:
        assert self._sandbox is not None
        if isinstance(self._sandbox, Container):
            raise McpUnavailable(
                self.server.name,
                "a container has no input for a server to read from",
                "choose another sandbox for the run, such as --sandbox bubblewrap",
            )
        return order_of(self.server, self._project, self._sandbox, self._env)


def order_of(server: McpServer, project: Path, sandbox: Sandbox, env: Mapping[str, str]) -> Order:
    """How a server's program is started: in the project's folder if anything there is granted, else in an empty one.

    Raises:
        McpUnavailable: what it is to be granted is not there, or is another place than it says.
    """
    folder = os.path.realpath(project)
    read = tuple(_granted(server.name, "read", folder, path) for path in server.read)
    write = tuple(_granted(server.name, "write", folder, path) for path in server.write)
    there = any(is_below(path, folder) or is_below(folder, path) for path in (*read, *write))
    read += _MACHINE
    program, *arguments = server.command
    return Order(
        argv=(_place(folder, program) if os.sep in program else program, *arguments),
        cwd=folder if there else None,
        env=env,
        sandbox=sandbox,
        confinement=Confinement(read=read, write=write, network=bool(server.network), executes=True, limits=LIMITS),
        search=os.environ.get("PATH", os.defpath),
    )


def _granted(server: str, setting: str, folder: str, path: str) -> str:
    """The real path of what is granted. In a tree that may be a stranger's, a link may lead anywhere."""
    place = _place(folder, path)
    real = os.path.realpath(place)
    if real != place and is_below(place, folder):
        raise McpUnavailable(server, f"{setting}: {path!r} is a link to {real}", f"name that, or change mcp.{server}")
    if not os.path.exists(real):
        raise McpUnavailable(server, f"{setting}: there is no {real}", f"make it, or change mcp.{server}")
    return real


def _place(folder: str, path: str) -> str:
    return os.path.normpath(os.path.join(folder, os.path.expanduser(path)))


def secrets_of(server: McpServer) -> dict[str, str]:
    """What it is given of the user's environment, by the variables' names; too short to be a secret left out."""
    known = {name: os.environ.get(name, "") for name in server.references()}
    return {name: value for name, value in known.items() if len(value) >= _SHORTEST_SECRET}


def ending_said(child: Child) -> str:
    """How a program ended, unless that was our doing, with the last of what it complained about."""
    ending = child.ending
    said = " ".join(ending.said.decode("utf-8", "replace").split())[-_SAID:]
    parts = [_how(ending, child.finished), f"it wrote: {said}" if said else ""]
    return "; ".join(part for part in parts if part)


def _how(ending: Ending, by_itself: bool) -> str:
    if ending.trouble:
        return f"{ending.trouble} ({ending.advice})" if ending.advice else ending.trouble
    if not by_itself or ending.exit is None:
        return ""
    return f"its program ended {f'by signal {-ending.exit}' if ending.exit < 0 else f'with exit {ending.exit}'}"


def _nobody(text: str) -> None:
    """Where nobody wants notes."""
