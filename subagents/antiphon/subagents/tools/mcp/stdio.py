"""Our transport for the SDK's client: messages as lines through the pipes of a confined program."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from antiphon.subagents.tools.mcp.child import Child, Order, started
from antiphon.subagents.tools.mcp.trouble import Lost

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams
    from mcp.shared.message import SessionMessage

LINE_BYTES: Final = 8 * 1024 * 1024
"""The longest message that is taken."""
STRAY_LINES: Final = 100
"""Lines that are no messages, such as a stray print, before a server is given up."""

_CHUNK_BYTES: Final = 1 << 16


@asynccontextmanager
async def stdio_transport(order: Order, ended: Callable[[Child], None]) -> AsyncGenerator[TransportStreams]:
    """Streams of messages to and from a program, which is gone when the context ends.

    Args:
        order: what to start.
        ended: is given the child when it is gone.
    """
    incoming, received = anyio.create_memory_object_stream["SessionMessage | Exception"](0)
    sending, outgoing = anyio.create_memory_object_stream["SessionMessage"](0)
    child: Child | None = None
    try:
        with incoming, received, sending, outgoing:
            async with started(order) as child, anyio.create_task_group() as group:
                group.start_soon(_read, child, incoming)
                group.start_soon(_write, child, outgoing)
                try:
                    yield received, sending
                finally:
                    group.cancel_scope.cancel()
    finally:
        if child is not None:
            ended(child)


async def _read(child: Child, incoming: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
    """Hand on its messages; the stream's end is the end of the connection.

    Raises:
        Lost: what it writes is not the protocol.
    """
    stray = 0
    async with incoming, aclosing(_lines(child.output)) as lines:
        async for line in lines:
            message = _message(line)
            if message is not None:
                try:
                    await incoming.send(message)
                except anyio.BrokenResourceError:
                    return  # nobody listens any more
            elif line.strip():
                stray += 1
            if stray > STRAY_LINES:
                raise Lost("it writes other things than messages to its standard output")
        child.finished = True


async def _lines(descriptor: int) -> AsyncGenerator[bytes]:
    kept = bytearray()
    while True:
        await anyio.wait_readable(descriptor)
        try:
            chunk = os.read(descriptor, _CHUNK_BYTES)
        except BlockingIOError:
            continue
        if not chunk:
            return
        *whole, rest = chunk.split(b"\n")
        for part in whole:
            yield bytes(kept) + part
            kept.clear()
        kept += rest
        if len(kept) > LINE_BYTES:
            raise Lost(f"it sent a message of more than {LINE_BYTES:,} bytes")


def _message(line: bytes) -> SessionMessage | None:
    """The message of a line; None for a line that does not even begin like one.

    Raises:
        Lost: it begins like one and is none: an answer that somebody waits for may be lost in it.
    """
    from mcp.shared.message import SessionMessage
    from mcp.types import jsonrpc_message_adapter

    if not line.lstrip().startswith((b"{", b"[")):
        return None
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError:
        raise Lost("it sent a message that is none (broken JSON, or not JSON-RPC)") from None


async def _write(child: Child, outgoing: MemoryObjectReceiveStream[SessionMessage]) -> None:
    async with outgoing:
        async for message in outgoing:
            text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            try:
                await _written(child.input, text.encode("utf-8", "replace") + b"\n")
            except BrokenPipeError:
                return  # it is gone, or will be: its output ends, which ends the connection


async def _written(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        await anyio.wait_writable(descriptor)
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            continue
