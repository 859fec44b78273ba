"""A server for as long as the attempt at a run lives: one task owns its connection, and opens it again when it breaks.

Scopes must be left in the task that entered them, so the connection is opened, held and closed in `Connection.run`,
which lives in a task of its own. Calls come from any branch: each asks for the open connection and speaks through it in
its own task, so that cancelling one cancels that one at the server, and no other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Final, Protocol

import anyio
import anyio.abc

from antiphon.engine.errors import leading
from antiphon.subagents.tools.contract import ToolResult
from antiphon.subagents.tools.mcp.configuration import McpServer
from antiphon.subagents.tools.mcp.declaring import Declared, declared
from antiphon.subagents.tools.mcp.link import CLOSED, Link, reason_of
from antiphon.subagents.tools.mcp.trouble import Gone, Lost, McpUnavailable
from antiphon.tracing import Json

RESTARTS: Final = 1
"""How often a program that ended is started again in one attempt at a run."""
RECONNECTS: Final = 3
"""The same for a URL, which may just have been restarted itself."""
BACKOFF_SECONDS: Final = 0.5
CLOSE_SECONDS: Final = 3.0
HANGS: Final = 2
"""Calls in a row without an answer, after which a server counts as hung."""


class Opening(Protocol):
    """Opens connections to one server."""

    def opened(self, *, changed: Callable[[], None], ended: Callable[[], None]) -> AbstractAsyncContextManager[Link]:
        """A connection that is open inside the context. `ended` is called when it breaks."""
        ...

    def ending(self) -> str:
        """How the program of the last connection ended; "" if that says nothing."""
        ...

    def older(self) -> bool:
        """Whether it is worth another try, in an older way; from then on that is the way."""
        ...


@dataclass(slots=True, eq=False)
class _Open:
    """One open connection.

    Attributes:
        link: what calls go through.
        over: set when it is to be closed. closed: set when it is. why: why, as far as that is known.
    """

    link: Link
    over: anyio.Event = field(default_factory=anyio.Event)
    closed: anyio.Event = field(default_factory=anyio.Event)
    why: str = ""


class Connection:
    """A server, and whatever connection to it there is at the moment.

    Args:
        server: how it is configured. opening: opens a connection to it.
        note: is told what a person may want to know.

    Attributes:
        tools: what the server offered when the run began, as far as it still does.
        refused: why the server cannot be used in this run; None if it can.
    """

    def __init__(self, server: McpServer, opening: Opening, note: Callable[[str], None]) -> None:
        self.server, self._opening, self._note = server, opening, note
        self.tools: Mapping[str, Declared] = {}
        self.refused: McpUnavailable | None = None
        self._open: _Open | None = None
        self._gone = ""
        self._hangs = 0
        self._closing = self._changed = False
        self._known = False  # which tools it has
        self._wanted = anyio.Event()
        self._turned = anyio.Event()  # set, and replaced, when a connection was opened or none will be any more

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Own the connection until `close`. Says that it has started when it is open, or could not be opened."""
        most = RECONNECTS if self.server.url else RESTARTS
        why = await self._once(task_status)
        if not self._known and self._opening.older():
            why = await self._once(task_status)
        if not self._known:
            self.refused = self.refused or McpUnavailable(self.server.name, why)
            task_status.started()
            return
        for number in range(most):
            if self.refused is not None:
                break
            await self._wanted.wait()
            if self._closing:
                break
            await anyio.sleep(BACKOFF_SECONDS * 2**number)
            why = await self._once(None)
            if self._open is None:
                self._turn()  # who waits is to want it again
        self._gone = why or "it ended"
        self._turn()

    def close(self) -> None:
        """Close the connection, and open none again."""
        self._closing = True
        self._wanted.set()
        if self._open is not None:
            self._open.over.set()

    async def call(self, tool: Declared, arguments: Mapping[str, Json]) -> ToolResult:
        """What the server answers. What befalls it meanwhile is a failed result, which a model can act on."""
        name = self.server.name
        try:
            return await self._answered(await self._opened(), tool, arguments)
        except Gone as error:
            return _failed(f"the MCP server {name!r} is gone: {error}. None of its tools can be used any more")
        except Lost as error:
            return _failed(
                f"the MCP server {name!r} was lost during this call: {error}. Whether it did what it was asked is not"
                " known: look before you call it again"
            )

    async def _answered(self, now: _Open, tool: Declared, arguments: Mapping[str, Json]) -> ToolResult:
        if not _same(self.tools.get(tool.name), tool):
            return _failed("since the server was started again, it has this tool no more as it was; use another")
        with anyio.move_on_after(self.server.seconds):
            try:
                result = await now.link.call(tool.name, arguments)
            except Lost as error:
                raise Lost(await self._lost(now, str(error))) from None
            self._hangs = 0
            return result
        self._hangs += 1
        if self._hangs >= HANGS:
            await self._lost(now, f"it did not answer {HANGS} calls in a row")
        return _failed(
            f"no answer within {self.server.seconds:g} s. The server was told to stop; whether it did what it was asked"
            " is not known"
        )

    async def _opened(self) -> _Open:
        """The open connection; where there is none, waits until it is opened again: that has a deadline of its own.

        Raises:
            Gone: it will not be.
        """
        while self._open is None:
            if self._gone or self._closing:
                raise Gone(self._gone or "the run is over")
            self._wanted.set()
            await self._turned.wait()
        return self._open

    async def _lost(self, now: _Open, reason: str) -> str:
        """End a connection that is of no use any more. Why it ended, which a program's own end may say better."""
        self._drop(now, reason)
        with anyio.move_on_after(CLOSE_SECONDS):
            await now.closed.wait()
        return now.why or reason

    def _drop(self, now: _Open, reason: str = "") -> None:
        """Give it to nobody any more, and have it closed."""
        if self._open is now:
            self._open = None
        if reason and not now.over.is_set():
            now.why = reason
        now.over.set()

    async def _once(self, status: anyio.abc.TaskStatus[None] | None) -> str:
        """One connection, from its opening to its end. Why it ended.

        Args:
            status: of the first: is told when it is open.
        """
        self._hangs = 0
        now: _Open | None = None
        why = ""
        with anyio.CancelScope(deadline=anyio.current_time() + self.server.start_seconds) as scope:
            try:
                async with self._opening.opened(changed=self._has_changed, ended=self._has_ended) as link:
                    now = self._begun(link)
                    scope.deadline = math.inf
                    if status is not None:
                        status.started()
                    await now.over.wait()
                    scope.deadline = anyio.current_time() + CLOSE_SECONDS
            except McpUnavailable as error:
                self.refused, why = error, error.reason
            except Exception as error:
                why = reason_of(leading(error))
        if now is None:
            if scope.cancelled_caught:
                why = f"it did not answer within its start_seconds ({self.server.start_seconds:g} s)"
            return _joined(why, self._opening.ending())
        return self._ended(now, why)

    def _begun(self, link: Link) -> _Open:
        tools = declared(self.server, link.offered, self._note)
        kept = {name: one for name, one in tools.items() if _same(self.tools.get(name), one)}
        self.tools, self._known = kept if self._known else tools, True
        self._open = _Open(link)
        if self._closing:
            self._open.over.set()
        self._turn()
        return self._open

    def _ended(self, now: _Open, why: str) -> str:
        self._drop(now)
        now.why = _joined(why or now.why, self._opening.ending()) or "the connection ended"
        now.closed.set()
        if not self._closing:
            self._note(f"mcp {self.server.name}: {now.why}")
        return now.why

    def _has_ended(self) -> None:
        """Its messages have ended: of the present connection, as there is never more than one."""
        if self._open is not None:
            self._drop(self._open)

    def _has_changed(self) -> None:
        if not self._changed:
            self._changed = True
            self._note(
                f"mcp {self.server.name}: it says that its tools have changed; the run keeps those it began with"
            )

    def _turn(self) -> None:
        """Wake those who wait for a connection: there is one, or they have to ask again."""
        self._turned.set()
        self._turned = anyio.Event()
        if not self._closing:
            self._wanted = anyio.Event()


def _same(one: Declared | None, other: Declared) -> bool:
    return one is not None and one.version == other.version


def _joined(why: str, ending: str) -> str:
    """Both, where the connection's end says more than that it ended."""
    return "; ".join(part for part in ("" if why == CLOSED else why, ending) if part) or why


def _failed(text: str) -> ToolResult:
    return ToolResult(text, failed=True)
