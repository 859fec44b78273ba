"""A guest's only way out: frames to the host, and replies from it, over one descriptor.

What goes out is a kind, how many messages were taken so far, a length, and text; what comes in is a length and text.
Frames are kept until the guest waits, so that a fan-out leaves in few writes; and what waits says so, because the host
allows a guest only so long between two waits. While it cannot write it reads: else two who write to each other would
wait for each other.
"""

from __future__ import annotations

import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

FRAME, WAITS, LAST = b"F", b"W", b"L"
_KEEP_BYTES = 32 * 1024
_PIECE_BYTES = 1 << 18
_LENGTH_BYTES = 4
_LAST_CHARACTERS = 1000


class Channel:
    """The guest's end: a descriptor that does not block."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._read, self._write, self._exit = os.read, os.write, os._exit  # whatever a script does to `os`
        self._poll, self._wake = select.poll(), select.POLLIN
        self._poll.register(descriptor, self._wake)
        self._in, self._at = bytearray(), 0
        self._out = bytearray()
        self._taken = 0
        self._told = 0

    def send(self, text: str) -> None:
        """Send one frame, at the latest when the guest waits."""
        self._put(FRAME, text.encode("utf-8", "backslashreplace"))
        if len(self._out) >= _KEEP_BYTES:
            self.flush()

    def receive(self) -> str:
        """Wait for the next message."""
        message = self._message()
        while message is None:
            if self._told < self._taken:
                self._told = self._taken
                self._put(WAITS, b"")
            self.flush()
            if not self._take():
                self._sleep(select.POLLIN)
            message = self._message()
        self._taken += 1
        return message.decode("utf-8", "replace")

    def flush(self) -> None:
        """Write what was sent."""
        rest = memoryview(bytes(self._out))
        self._out.clear()
        while rest:
            try:
                rest = rest[self._write(self._descriptor, rest) :]
            except BlockingIOError:
                self._sleep(select.POLLIN | select.POLLOUT)
                self._take()

    def end(self, status: int, why: str = "") -> NoReturn:
        """Say why, and exit."""
        if why:
            self._put(LAST, why[:_LAST_CHARACTERS].encode("utf-8", "backslashreplace"))
        self.flush()
        self._exit(status)

    def _take(self) -> bool:
        """Read what there is; False if there is nothing."""
        try:
            piece = self._read(self._descriptor, _PIECE_BYTES)
        except BlockingIOError:
            return False
        if not piece:
            self._exit(0)  # nobody is there any more
        self._in += piece
        return True

    def _sleep(self, until: int) -> None:
        if until != self._wake:
            self._wake = until
            self._poll.modify(self._descriptor, until)
        self._poll.poll()

    def _put(self, kind: bytes, content: bytes) -> None:
        self._out += kind + self._taken.to_bytes(4, "big") + len(content).to_bytes(4, "big") + content

    def _message(self) -> bytes | None:
        start = self._at + _LENGTH_BYTES
        end = start + int.from_bytes(self._in[self._at : start], "big")
        if len(self._in) < start or len(self._in) < end:
            if self._at:
                del self._in[: self._at]
                self._at = 0
            return None
        self._at = end
        return bytes(self._in[start:end])
