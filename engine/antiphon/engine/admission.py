"""Admission: permits for what is really busy, provider attempts and child processes, and for nothing that waits.

A branch, a nested workflow or an approval never holds a permit, and neither does a subagent while it waits for the
budget; so whoever holds one ends without needing another, at a concurrency of 1 too. Think of the tills of a shop:
people who are nearly done go first, and nobody keeps a till while they look for their purse.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from types import TracebackType
from typing import final

import anyio


@final
class Admission:
    """A number of permits; deeper branches go first, then first in, first out.

    Attributes:
        permits: How many may be held at once.
        in_use: How many are held.
    """

    __slots__ = ("_arrivals", "_reason", "_waiting", "in_use", "permits")

    def __init__(self, permits: int) -> None:
        """Start with all permits free.

        Raises:
            ValueError: Not even one permit.
        """
        if permits < 1:
            raise ValueError(f"an admission needs at least 1 permit, not {permits}")
        self.permits = permits
        self.in_use = 0
        self._arrivals = 0
        self._waiting: list[tuple[int, int, Permit]] = []
        self._reason: Callable[[], BaseException] | None = None

    @property
    def waiting(self) -> int:
        """How many wait for a permit."""
        return sum(permit.waits for _, _, permit in self._waiting)

    @property
    def closed(self) -> bool:
        """Whether it was stopped."""
        return self._reason is not None

    def permit(self, depth: int = 0) -> "Permit":
        """A permit, to be held with `async with`; entering takes no checkpoint when one is free.

        Args:
            depth: How deep the branch is that asks; deeper ones go first, so that started work ends before new begins.
        """
        return Permit(self, depth)

    def stop(self, reason: Callable[[], BaseException]) -> None:
        """Let nobody in any more; who holds a permit goes on.

        Args:
            reason: Makes what is raised where somebody waits or asks for a permit, a new one each time.
        """
        self._reason = reason
        waiting, self._waiting = self._waiting, []
        for _, _, permit in waiting:
            permit.wake()

    def check(self) -> None:
        """Raise the reason, if it was stopped."""
        if self._reason is not None:
            raise self._reason()

    def stand(self, permit: "Permit") -> None:
        """Wait behind the deeper and the earlier."""
        self._arrivals += 1
        heappush(self._waiting, (-permit.depth, self._arrivals, permit))

    def hand_on(self) -> None:
        """Give a permit that was held to the next who waits, or take it back."""
        while self._waiting:
            _, _, permit = heappop(self._waiting)
            if permit.waits:
                permit.granted = True
                permit.wake()
                return
        self.in_use -= 1


@final
class Permit:
    """One permit, free to be entered once."""

    __slots__ = ("_admission", "_event", "depth", "granted", "waits")

    def __init__(self, admission: Admission, depth: int) -> None:
        self._admission = admission
        self._event: anyio.Event | None = None
        self.depth = depth
        self.granted = False
        self.waits = False

    def wake(self) -> None:
        """Let the waiter look at what became of it."""
        if self._event is not None:
            self._event.set()

    async def __aenter__(self) -> None:
        admission = self._admission
        admission.check()
        if admission.in_use < admission.permits:
            admission.in_use += 1
            return
        await self._wait()

    async def _wait(self) -> None:
        self._event = anyio.Event()
        self._admission.stand(self)
        self.waits, entered = True, False
        try:
            await self._event.wait()
            if not self.granted:
                self._admission.check()
            entered = True
        finally:
            self.waits = False
            if self.granted and not entered:
                self._admission.hand_on()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._admission.hand_on()
