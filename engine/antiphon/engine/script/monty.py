"""The monty runtime: scripts in an interpreter of their own, which knows no files, no sockets and no C.

monty suspends whenever a script calls a name that it does not know; those of the prelude become frames. What is done in
a thread goes from one wait for the host to the next, so a guest that waits holds none.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from antiphon.engine.script.monty_turns import Turns
from antiphon.engine.script.monty_workers import MontyUnusable, Worker, monty_problem, monty_version, open_worker
from antiphon.engine.script.runtime import Guest, GuestDied, GuestLimits, Program

if TYPE_CHECKING:
    from pydantic_monty import SyncSnapshot

__all__ = ["MontyRuntime", "MontyUnusable", "monty_problem", "monty_version"]

# From when a worker should have ended its turn by itself to when it is killed.
_SLACK_SECONDS: Final = 5.0
# Characters of replies that wait for the guest to take them: from here on, those who bring more wait too.
_MANY_UNTAKEN: Final = 32 << 20


class MontyRuntime:
    """Runs scripts in monty.

    Raises:
        MontyUnusable: pydantic-monty is not installed here.
    """

    name = "monty"

    def __init__(self) -> None:
        problem = monty_problem()
        if problem is not None:
            raise MontyUnusable(problem)

    def guest(self, program: Program, limits: GuestLimits) -> AbstractAsyncContextManager[Guest]:
        """Start a script; leaving the context leaves nothing of it behind.

        Raises:
            GuestDied: no worker could be started.
        """
        return _guest(program, limits)


@asynccontextmanager
async def _guest(program: Program, limits: GuestLimits) -> AsyncGenerator[Guest]:
    guest = _MontyGuest(await _opened(program, limits), program, limits)
    try:
        yield guest
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(guest.close)


async def _opened(program: Program, limits: GuestLimits) -> Worker:
    with anyio.CancelScope(shield=True):
        return await anyio.to_thread.run_sync(open_worker, program, limits)
    raise AssertionError("unreachable")


class _MontyGuest:
    """A script in a worker. `receive` moves it on, from one wait for the host to the next."""

    def __init__(self, worker: Worker, program: Program, limits: GuestLimits) -> None:
        self._worker, self._limits = worker, limits
        self._turns = Turns(worker, program, limits)
        self._limiter = anyio.CapacityLimiter(1)
        # Set, and made anew, whenever something happens: a reply came, a turn is over, the guest was killed.
        self._news = anyio.Event()
        self._killed: str | None = None
        self._busy = False

    async def receive(self) -> str | None:
        """The next frame, or None when the script is over. Cancelled while the script computes, it ends the guest.

        Raises:
            GuestDied: it ended otherwise.
        """
        while True:
            if self._killed is not None:
                raise GuestDied("killed", self._killed)
            if self._turns.frames:
                return self._turns.frames.popleft()
            if self._turns.death is not None:
                raise GuestDied(*self._turns.death[:2], advice=self._turns.death[2])
            if self._turns.is_over:
                return None
            news = self._news
            if not await self._move():
                await news.wait()

    async def _move(self) -> bool:
        """Let the guest go on to its next wait; False when it cannot, or does already."""
        move = None if self._busy else self._turns.next_move()
        if move is None:
            return False
        self._busy, is_left = True, True
        try:
            await self._turn(move)
            is_left = False
        finally:
            self._busy = False
            if is_left:
                self._end("it was left while it computed")
        self._happened()
        return True

    async def _turn(self, move: Callable[[], SyncSnapshot]) -> None:
        with anyio.move_on_after(self._limits.turn_seconds + _SLACK_SECONDS) as scope:
            work = partial(self._worker.turn, partial(self._turns.go_on, move))
            await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._limiter)
        if scope.cancelled_caught:
            self._worker.kill()
            self._turns.death = ("turn", "it computed for too long without waiting for anything", None)

    @property
    def waiting(self) -> bool:
        """Whether the guest has taken all that it was sent, and waits for more."""
        return not self._busy and not self._turns.frames and self._turns.is_blocked and not self._turns.untaken

    async def send(self, reply: str) -> None:
        """Answer a frame; goes on only when the guest took most of what it was sent.

        Raises:
            GuestDied: the guest never sent a frame of that number, or takes no replies.
        """
        if not self._is_alive():
            return
        self._turns.answer(reply)
        self._happened()
        while self._is_alive() and self._turns.untaken > _MANY_UNTAKEN and not self._turns.is_blocked:
            news = self._news
            if self._busy or not await self._move():
                await news.wait()

    def _is_alive(self) -> bool:
        return self._killed is None and self._turns.death is None

    def _happened(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def kill(self, reason: str) -> None:
        """End it at once. `receive` raises from then on."""
        self._end(reason)

    def _end(self, reason: str) -> None:
        if self._killed is None:
            self._killed = reason
            self._turns.frames.clear()
            self._worker.kill()
            self._happened()

    def close(self) -> None:
        """Give the worker back when its script came to its end, and end it otherwise. Blocks."""
        self._worker.close(reuse=self._turns.is_over and not self._busy and self._killed is None)
