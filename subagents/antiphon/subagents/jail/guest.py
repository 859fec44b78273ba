"""One script in the jail, as the host sees it. All that comes from it is hostile, and capped before it is kept."""

from __future__ import annotations

import json
import math
import socket
from typing import Final

import anyio
import anyio.lowlevel

from antiphon.engine.script.runtime import Death, GuestDied, GuestLimits, Program
from antiphon.subagents.jail.fate import Fate, death_of
from antiphon.subagents.jail.keeping import START_SECONDS, NoZygote, Zygote
from antiphon.tracing import Json

_FRAME, _WAITS, _LAST = b"FWL"  # see `inside/channel.py`
_HEAD_BYTES: Final = 9
_PIECE_BYTES: Final = 1 << 18
_MOST_LAST_BYTES: Final = 4_000
_QUOTED: Final = 300
_END_SECONDS: Final = 5.0
_BUSY_SECONDS: Final = 0.002
_IDLE_SHARE: Final = 0.05
# A machine that is busy gives a guest little time, and a host that is busy is late to look. So whoever is over the time
# of a turn has to have computed for some of it; if not, it has so many turns' time.
_BUSY_SHARE: Final = 0.25
_MOST_TURNS: Final = 4


class JailGuest:
    """See `Guest`."""

    def __init__(self, limits: GuestLimits) -> None:
        self._limits = limits
        self._channel, self._theirs = socket.socketpair()
        fate, self._their_fate = _pair_or_close(self._channel, self._theirs)
        for one in (self._channel, self._theirs):
            one.setblocking(False)
        self._fate = Fate(fate)
        self._in, self._out = bytearray(), bytearray()
        self._sending = anyio.Lock()
        self._died: GuestDied | None = None
        self._over, self._words = False, ""
        self._frames = self._sent = self._taken = 0
        self._waits = False
        self._computed_seconds = self._cpu_seconds = 0.0

    @property
    def waiting(self) -> bool:
        """It says that it has taken all that it was sent, and wants more before it goes on."""
        return self._waits

    # --- its life ---------------------------------------------------------------------------------------------------

    async def begin(self, zygote: Zygote, program: Program) -> None:
        """Have it forked, wait until it is confined, and only then tell it what to run.

        Raises:
            GuestDied: it could not be started.
            NoZygote: the zygote is no more; another may do.
        """
        request: dict[str, Json] = {
            "memory_bytes": self._limits.memory_bytes,
            "cpu_seconds": None if self._limits.cpu_seconds is None else math.ceil(self._limits.cpu_seconds),
        }
        with anyio.move_on_after(START_SECONDS) as patience:
            await self._ask(zygote, request)
            try:
                await self._fate.begun()
            except ConnectionError as error:
                raise NoZygote(str(error)) from None
        if patience.cancelled_caught:
            raise GuestDied("crashed", f"it did not start within {START_SECONDS:g} s")
        await self.send(json.dumps(_told(program, self._limits)))

    async def _ask(self, zygote: Zygote, request: dict[str, Json]) -> None:
        theirs = (self._theirs.fileno(), self._their_fate.fileno())
        while True:
            try:
                zygote.ask(request, theirs)
            except BlockingIOError:
                await anyio.sleep(_BUSY_SECONDS)
            else:
                self._theirs.close()
                self._their_fate.close()
                return

    async def end(self) -> None:
        """End it, and wait until there is nothing of it."""
        self._fate.kill()
        try:
            with anyio.move_on_after(_END_SECONDS, shield=True):
                if self._their_fate.fileno() < 0:  # somebody was asked for it
                    await self._fate.gone()
        finally:
            for one in (self._channel, self._theirs, self._their_fate, self._fate):
                one.close()

    async def kill(self, reason: str) -> None:
        """See `Guest`."""
        self._die("killed", reason)
        await anyio.lowlevel.checkpoint()

    def _die(self, category: Death, reason: str) -> None:
        if self._died is None and not self._over:
            self._died = GuestDied(category, reason)
            self._fate.kill()

    # --- what it says -----------------------------------------------------------------------------------------------

    async def receive(self) -> str | None:
        """See `Guest`."""
        while True:
            if self._died is not None:
                raise self._died
            frame = self._next()
            if frame is not None:
                return frame
            if self._over:
                return None
            if self._died is None:
                await self._hear()

    def _next(self) -> str | None:
        """The next frame that is here whole. What is no frame is noted."""
        while self._died is None and len(self._in) >= _HEAD_BYTES:
            kind, taken = self._in[0], int.from_bytes(self._in[1:5], "big")
            length = int.from_bytes(self._in[5:_HEAD_BYTES], "big")
            if not self._may(kind, taken, length) or len(self._in) < _HEAD_BYTES + length:
                return None
            content = bytes(self._in[_HEAD_BYTES : _HEAD_BYTES + length])
            del self._in[: _HEAD_BYTES + length]
            if kind == _FRAME:
                return self._text(content)
            if kind == _LAST:
                self._words = content.decode("utf-8", "replace")[:_QUOTED]
        return None

    def _may(self, kind: int, taken: int, length: int) -> bool:
        """Whether a guest may say this. Called again for what has not come whole, so it changes nothing twice."""
        if kind == _FRAME and length > self._limits.frame_bytes:
            self._die("frames", f"it sent a frame of {length:,} bytes; {self._limits.frame_bytes:,} are allowed")
        elif kind == _WAITS and not self._begin_wait(taken, length):
            self._die("protocol", "it says that it waits for what it was not sent")
        elif kind == _LAST and length > _MOST_LAST_BYTES:
            self._die("protocol", "its last words do not end")
        elif kind not in (_FRAME, _WAITS, _LAST):
            self._die("protocol", "it sent what is no frame")
        return self._died is None

    def _begin_wait(self, taken: int, length: int) -> bool:
        """Note that it had taken so many messages and found no more. Each such note tells of more messages."""
        if length or not self._taken < taken <= self._sent:
            return False
        self._taken, self._waits = taken, taken == self._sent
        self._begin_turn()
        return True

    def _text(self, content: bytes) -> str | None:
        self._frames += 1
        if self._frames > self._limits.frames:
            self._die("frames", f"it sent more than {self._limits.frames:,} frames")
            return None
        try:
            return content.decode()
        except UnicodeDecodeError:
            self._die("protocol", "it sent what is no text")
            return None

    async def _hear(self) -> None:
        """Wait for more, but not longer than it may compute."""
        if await self._take():
            await anyio.lowlevel.checkpoint()  # one that never stops talking must not keep the others from theirs
            return
        turn = self._limits.turn_seconds
        left = turn if self._waits else max(turn - self._computed_seconds, turn * _BUSY_SHARE)
        began = anyio.current_time()
        with anyio.move_on_after(left) as patience:
            await anyio.wait_readable(self._channel)
        if not self._waits:
            self._computed_seconds += anyio.current_time() - began
        if not await self._take() and patience.cancelled_caught:
            self._look_at_clock(turn)

    async def _take(self) -> bool:
        """Take what has come; False if nothing has."""
        try:
            piece = self._channel.recv(_PIECE_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            piece = b""
        self._in += piece
        if not piece:
            await self._close()
        return True

    def _look_at_clock(self, turn: float) -> None:
        """It said nothing for a whole turn: that is too long, unless it waits, and then it computes nothing."""
        computed = self._fate.cpu_seconds() - self._cpu_seconds
        if self._waits:
            is_over = computed > turn * _IDLE_SHARE
        else:
            is_over = computed > turn * _BUSY_SHARE or self._computed_seconds > turn * _MOST_TURNS
        if is_over:
            self._die("turn", f"it computed for more than {turn:g} s without waiting for an answer")

    def _begin_turn(self) -> None:
        self._computed_seconds, self._cpu_seconds = 0.0, self._fate.cpu_seconds()

    async def _close(self) -> None:
        """Its end of the channel is closed: find out how it ended. One that only closed it is ended now."""
        self._fate.kill()
        ended = await self._fate.end()
        if self._died is None:
            if ended.code == 0 and not self._in:
                self._over = True
            else:
                self._died = death_of(ended, self._words, self._limits)

    # --- what it is told --------------------------------------------------------------------------------------------

    async def send(self, reply: str) -> None:
        """See `Guest`."""
        if self._died is not None or self._over:
            return
        content = reply.encode("utf-8", "backslashreplace")
        self._out += len(content).to_bytes(4, "big") + content  # whoever is cancelled leaves the rest to the next
        self._sent += 1
        if self._waits:
            self._waits = False
            self._begin_turn()
        if self._sending.locked() or self._write():
            async with self._sending:
                await self._write_all()

    async def _write_all(self) -> None:
        while self._write():
            with anyio.move_on_after(self._limits.turn_seconds) as patience:
                await anyio.wait_writable(self._channel)
            if patience.cancelled_caught:
                self._die("turn", "it does not take what it is answered")

    def _write(self) -> bool:
        """Write what can be written; whether there is more. Nothing is kept for one that does not read any more."""
        try:
            while self._out and self._died is None:
                del self._out[: self._channel.send(self._out)]
        except BlockingIOError:
            return True
        except OSError:
            pass  # it has ended; `receive` says how
        self._out.clear()
        return False


def _pair_or_close(*opened: socket.socket) -> tuple[socket.socket, socket.socket]:
    try:
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    except OSError:
        for one in opened:
            one.close()
        raise


def _told(program: Program, limits: GuestLimits) -> dict[str, Json]:
    return {
        "source": program.source,
        "file": program.file,
        "token": program.token,
        "arguments": dict(program.arguments),
        "seed": program.seed,
        "now": program.now,
        "output_bytes": limits.output_bytes,
    }
