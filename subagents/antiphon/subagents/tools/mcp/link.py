"""One live connection to a server: opened, its tools listed, calls answered; closed with the context it lives in."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from antiphon.subagents.tools.contract import ToolResult
from antiphon.subagents.tools.mcp.results import told
from antiphon.subagents.tools.mcp.sieve import sieved
from antiphon.subagents.tools.mcp.trouble import Lost
from antiphon.tracing import Json
from antiphon.tracing.errors import AntiphonError

if TYPE_CHECKING:
    from mcp.client import ClientSession
    from mcp.client._transport import TransportStreams
    from mcp.types import Tool as Offered
    from pydantic import TypeAdapter

PAGES: Final = 100
TOOLS: Final = 1_000
LISTINGS: Final = 3
"""How often a list that changes while it is read is read again."""
_SAID: Final = 2_000
CLOSED: Final = "Connection closed"
"""What the SDK says when a connection is over, which says nothing of why."""
_SESSION_OVER: Final = "Session terminated"


class Link:
    """An open connection.

    Attributes:
        offered: the tools that the server has, as it describes them.
        version: the protocol's that was agreed on.
    """

    def __init__(self, session: ClientSession, offered: Sequence[Offered]) -> None:
        self._session, self.offered = session, offered
        self.version = session.protocol_version or ""

    async def call(self, tool: str, arguments: Mapping[str, Json]) -> ToolResult:
        """What the server answers; its refusal is a failed result.

        Cancelling it tells the server so, and leaves other calls alone.

        Raises:
            Lost: the connection is over.
        """
        from mcp.shared.exceptions import MCPError
        from mcp.types import CallToolRequest, CallToolRequestParams, CallToolResult
        from pydantic import ValidationError

        request = CallToolRequest(params=CallToolRequestParams(name=tool, arguments=dict(arguments)))
        try:
            # Not `call_tool`: that checks the answer against the server's own schema, which may take any time.
            result = await self._session.send_request(request, _answers())
        except MCPError as error:
            return _refused(error.code, error.message)
        except ValidationError:
            return ToolResult("the server's answer is none that the protocol knows", failed=True)
        if isinstance(result, CallToolResult):
            return told(result)
        return ToolResult("the server asks back for input, which nobody gives it here", failed=True)


@asynccontextmanager
async def linked(
    transport: AbstractAsyncContextManager[TransportStreams],
    *,
    mode: str,
    changed: Callable[[], None],
    ended: Callable[[], None],
) -> AsyncGenerator[Link]:
    """A connection over a transport: the protocol's version agreed on, the tools listed.

    The server is first asked what it can do, as the protocol of 2026 begins, and in the way of those before if it does
    not know that; with the mode "legacy" only in that way. It is told that nothing can be asked back (sampling,
    elicitation, roots), and is refused if it does.

    Raises:
        Lost: the server cannot be used.
        Exception: whatever else comes of its transport.
    """
    from mcp.client import Client
    from mcp.shared.exceptions import MCPError
    from mcp.types import Implementation

    _be_silent()
    ours = Implementation(name="antiphon", version=metadata.version("antiphon"))
    listing = _Listing(changed)
    through = sieved(transport, changed=listing.has_changed, ended=ended)
    try:
        async with Client(through, mode=mode, client_info=ours, cache=None) as client:
            yield Link(client.session, await listing.listed(client.session))
    except MCPError as error:
        raise Lost(f"it refuses to begin: {error.message[:_SAID]}") from None


class _Listing:
    """The tools, once they hold still: servers add some when they are told that the connection is made."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._tell, self._changed, self._done = changed, False, False

    def has_changed(self) -> None:
        """The server says that they have changed."""
        self._changed = True
        if self._done:
            self._tell()

    async def listed(self, session: ClientSession) -> list[Offered]:
        """What the server offers. Asked again if it changes meanwhile, a bounded number of times."""
        offered = await _listed(session)
        for _ in range(LISTINGS):
            if not self._changed:
                break
            self._changed = False
            offered = await _listed(session)
        self._done = True
        return offered


async def _listed(session: ClientSession) -> list[Offered]:
    from mcp.types import PaginatedRequestParams

    offered: list[Offered] = []
    cursor: str | None = None
    for _ in range(PAGES):
        page = await session.list_tools(params=PaginatedRequestParams(cursor=cursor) if cursor else None)
        offered += page.tools
        cursor = page.next_cursor
        if len(offered) > TOOLS:
            break
        if not cursor:
            return offered
    raise Lost(f"it has more than {TOOLS:,} tools, or more than {PAGES} pages of them")


def _refused(code: int, message: str) -> ToolResult:
    from mcp.types import CONNECTION_CLOSED

    if code == CONNECTION_CLOSED or message == _SESSION_OVER:
        raise Lost(message[:_SAID])
    return ToolResult(f"the server refused the call ({code}): {message[:_SAID]}", failed=True)


@cache
def _answers() -> TypeAdapter[Any]:
    from mcp.types import CallToolResult, InputRequiredResult
    from pydantic import TypeAdapter

    return TypeAdapter(CallToolResult | InputRequiredResult)


@cache
def _be_silent() -> None:
    """The SDK logs what servers say and do; that belongs on no terminal of ours."""
    import logging

    for name in ("mcp", "client"):
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False


def reason_of(error: Exception) -> str:
    """Why a connection could not be opened, or ended, in one sentence."""
    if isinstance(error, AntiphonError):
        return str(error)
    said = " ".join(str(error).split())[:_SAID]
    return f"{type(error).__name__}: {said}" if said and said != CLOSED else said or type(error).__name__
