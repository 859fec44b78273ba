"""Between a session and its guest: frames in, replies out, both bounded; and the end of a guest that does not move."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from antiphon.engine.script.confined.frames import AnyFrame, EndFrame, PrintFrame, PulledFrame, frame_of, reply_of
from antiphon.engine.script.runtime import Guest, GuestDied, GuestLimits
from antiphon.tracing.log import Json

_MOST_UNSENT: Final = 64 * 2**20  # characters of replies that wait to be taken


class Serving(Protocol):
    """Who takes the frames: a session."""

    def takes(self, frame: AnyFrame) -> None:
        """Take a frame. Raises `GuestDied` for what no guest sends."""
        ...

    def died(self) -> None:
        """The guest is no more: nobody need wait for a word of it."""
        ...

    @property
    def works(self) -> bool:
        """Whether the host itself has something to do for the guest: then that may wait as long as it likes."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether the script said what it came to, and nothing else of it is under way."""
        ...

    @property
    def is_cancelled(self) -> bool:
        """Whether the script was cancelled from outside: then it is no matter how it ends."""
        ...


class Wire:
    """One guest's frames and replies.

    Args:
        guest: the running script.
        limits: what it may use.
        serving: who takes its frames.

    Attributes:
        is_dead: it was ended, or ended by itself before its script did.
    """

    def __init__(self, guest: Guest, limits: GuestLimits, serving: Serving) -> None:
        self._guest, self._limits, self._serving = guest, limits, serving
        self.is_dead = False
        self._death: GuestDied | None = None
        self._last = self._received = self._moves = self._unsent = 0
        self._unanswered: set[int] = set()
        self._sent = anyio.Event()
        self._outgoing: MemoryObjectSendStream[str]
        self._replies: MemoryObjectReceiveStream[str]
        self._outgoing, self._replies = anyio.create_memory_object_stream[str](float("inf"))  # `_caught_up` bounds it
        # Shielded, as a branch that is cancelled is left by frames that go on to cross.
        self._reading, self._writing, self._watching = (anyio.CancelScope(shield=True) for _ in range(3))

    def start(self, tasks: TaskGroup) -> None:
        """Let frames and replies cross."""
        for pumping in (self._read, self._write, self._watch):
            tasks.start_soon(pumping)

    def stop(self) -> None:
        """Let nothing cross any more."""
        for pumping in (self._reading, self._writing, self._watching):
            pumping.cancel()

    def close(self) -> None:
        """Let go of what is held; once nothing crosses."""
        self._outgoing.close()
        self._replies.close()

    @property
    def is_waiting(self) -> bool:
        """Whether the guest has taken all that it was sent, and computes nothing."""
        return self._guest.waiting

    def post(self, id: int, reply: Mapping[str, Json]) -> None:
        """Put the reply to a frame on its way."""
        self._moves += 1
        self._unanswered.discard(id)
        if not self.is_dead:
            text = reply_of(id, reply)
            self._unsent += len(text)
            self._outgoing.send_nowait(text)

    async def end(self, death: GuestDied) -> GuestDied:
        """End the guest; how it died first, to be raised where that is wanted."""
        self._death = self._death or death
        if not self.is_dead:
            self.is_dead = True
            self._serving.died()
        with anyio.CancelScope(shield=True), anyio.move_on_after(self._limits.grace_seconds):
            await self._guest.kill(self._death.reason)
        return self._death

    async def _read(self) -> None:
        with self._reading:
            try:
                while (text := await self._guest.receive()) is not None:
                    self._serving.takes(self._frame(text))
                    await self._caught_up()
                if not self._serving.is_over:
                    raise GuestDied("crashed", "it ended before it had said what its script came to")
            except GuestDied as error:
                death = await self.end(error)
                if not self._serving.is_cancelled:
                    raise death from None

    async def _caught_up(self) -> None:
        """Take nothing more from a guest that does not take its replies."""
        while self._unsent > _MOST_UNSENT:
            await self._sent.wait()

    def _frame(self, text: str) -> AnyFrame:
        self._received += len(text)
        if self._received > self._limits.sent_bytes:
            raise GuestDied("frames", f"it sent more than {self._limits.sent_bytes:,} bytes in all")
        frame = frame_of(text)
        if frame.id <= self._last:
            raise GuestDied("protocol", "it used the number of a frame twice")
        self._last = frame.id
        self._moves += 1
        if not isinstance(frame, EndFrame | PrintFrame | PulledFrame):
            self._unanswered.add(frame.id)
        return frame

    async def _write(self) -> None:
        with self._writing:
            async for reply in self._replies:
                await self._guest.send(reply)
                self._unsent -= len(reply)
                self._sent.set()
                self._sent = anyio.Event()

    async def _watch(self) -> None:
        """End a guest that does not move for longer than a turn, while the host has nothing to do for it."""
        with self._watching:
            while True:
                before = self._moves
                await anyio.sleep(self._limits.turn_seconds + self._limits.grace_seconds)
                if self._moves == before and not self.is_dead and self._is_stuck():
                    await self.end(GuestDied("turn", "it waits for what nobody will answer"))

    def _is_stuck(self) -> bool:
        return self.is_waiting and not (self._serving.works and self._unanswered)


class Counted:
    """How many pieces of work the host does for a guest."""

    def __init__(self) -> None:
        self._count = 0

    def __bool__(self) -> bool:
        return self._count > 0

    def __enter__(self) -> None:
        self._count += 1

    def __exit__(self, *_error: object) -> None:
        self._count -= 1
