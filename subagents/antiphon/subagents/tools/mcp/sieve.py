"""What of a server's messages reaches the SDK: answers, and little else, since each message costs a task there."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, cast

import anyio

from antiphon.subagents.tools.mcp.trouble import Lost

if TYPE_CHECKING:
    from mcp.client._transport import ReadStream, TransportStreams
    from mcp.shared.message import SessionMessage

WINDOW_SECONDS: Final = 10.0
MESSAGES: Final = 3_000
"""In one window, of any kind; a server that sends more is given up."""
REQUESTS: Final = 100
"""In one window, from the server; more are not answered."""
_CHANGED: Final = "notifications/tools/list_changed"
_CANCELLED: Final = "notifications/cancelled"


class Sieve:
    """A stream of messages from a server, without what nobody here wants.

    Args:
        inner: all of them.
        changed: called when the server says that its tools have changed.
        ended: called when there are no more.
    """

    def __init__(
        self,
        inner: ReadStream[SessionMessage | Exception],
        *,
        changed: Callable[[], None],
        ended: Callable[[], None],
    ) -> None:
        self._inner, self._changed, self._ended = inner, changed, ended
        self._since, self._messages, self._requests = anyio.current_time(), 0, 0

    @property
    def last_context(self) -> object:
        """What the SDK takes handlers' context variables from, where its transport has that."""
        return getattr(self._inner, "last_context", None)

    async def receive(self) -> SessionMessage | Exception:
        """The next message.

        Raises:
            Lost: there are too many.
        """
        while True:
            try:
                message = await self._inner.receive()
            except (anyio.EndOfStream, anyio.ClosedResourceError):
                self._ended()
                raise
            if self._passes(message):
                return message

    async def aclose(self) -> None:
        """Close it."""
        await self._inner.aclose()

    def __aiter__(self) -> ReadStream[SessionMessage | Exception]:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        await self.aclose()

    def _passes(self, message: SessionMessage | Exception) -> bool:
        self._count()
        if isinstance(message, Exception):
            return False
        method = cast("object", getattr(message.message, "method", None))
        if not isinstance(method, str):
            return True  # an answer
        if getattr(message.message, "id", None) is not None:
            self._requests += 1
            return self._requests <= REQUESTS
        if method == _CHANGED:
            self._changed()
        return method == _CANCELLED

    def _count(self) -> None:
        now = anyio.current_time()
        if now - self._since > WINDOW_SECONDS:
            self._since, self._messages, self._requests = now, 0, 0
        self._messages += 1
        if self._messages > MESSAGES:
            raise Lost(f"it sent more than {MESSAGES:,} messages within {WINDOW_SECONDS:g} s")


@asynccontextmanager
async def sieved(
    transport: AbstractAsyncContextManager[TransportStreams], *, changed: Callable[[], None], ended: Callable[[], None]
) -> AsyncGenerator[TransportStreams]:
    """A transport whose messages go through a sieve."""
    async with transport as (received, sending):
        yield Sieve(received, changed=changed, ended=ended), sending
