"""Who waits for the budget, who comes first, and who is in whose way.

Two lines: requests of subagents that are already admitted come before admissions, and each line is first in,
first out *at the account where it stands still*. A request that does not fit bars every account that cannot
give it its share; later requests of the line pass it only where they share none of these. That is enough for
big requests not to starve, and holds nobody back who does not compete.

All requests that share their nearest limited account share everything above it too, so only the first of them
needs looking at; and once somebody stands still at the root, nobody further back.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from typing import final

from antiphon.engine.account import Account, Gate, Refusal
from antiphon.engine.amount import Amount
from antiphon.engine.carve import Carve, Hold, Keep
from antiphon.engine.terms import Point

Answer = Hold | Carve | Refusal
Verdict = Answer | list[Point]
"""An answer, or the points at which there is none yet."""


@final
class Waiter:
    """A request that waits.

    Attributes:
        account: Where it reserves.
        wanted: An attempt's worst case, or a floor.
        carve: Whose attempt it is; `None` for an admission.
        fallback: What an admission may be paid from when it does not fit otherwise.
        aside: Whether it waits beside its owner's own work; see `Carve.reserve`.
        number: The place in the order of arrival.
        answer: What came out; `None` while it waits, and for ever if it was withdrawn.
        wake: Called once when the answer is there.
    """

    __slots__ = (
        "account",
        "answer",
        "aside",
        "aside",
        "carve",
        "fallback",
        "number",
        "pending",
        "points",
        "wake",
        "wanted",
    )

    def __init__(
        self,
        account: Account,
        wanted: Amount,
        *,
        carve: Carve | None = None,
        fallback: Keep | None = None,
        aside: bool = False,
    ) -> None:
        self.account = account
        self.wanted = wanted
        self.carve = carve
        self.fallback = fallback
        self.aside = aside
        self.number = 0
        self.pending = True
        self.answer: Answer | None = None
        self.points: list[Point] = []
        self.wake: Callable[[], None] | None = None


@final
class Line:
    """One line of waiters: first in, first out at the accounts where it stands still."""

    def __init__(self) -> None:
        self._queues: dict[Gate, deque[Waiter]] = {}
        self._barred: dict[Gate, Waiter] = {}
        self._root_barred = False
        # One entry for each queue: the number of its first waiter, or of one that was first before.
        self._order: list[tuple[int, Gate]] = []

    def join(self, waiter: Waiter) -> None:
        """Stand at the end."""
        gate = waiter.account.gates[0]
        queue = self._queues.get(gate)
        if queue is None:
            queue = self._queues[gate] = deque()
            heappush(self._order, (waiter.number, gate))
        queue.append(waiter)

    def barrier(self, account: Account) -> Waiter | None:
        """The waiter that a newcomer at this account would have to stand behind, if there is one."""
        barred = self._barred
        return next((barred[gate] for gate in account.gates if gate in barred), None) if barred else None

    def serve(
        self, consider: Callable[[Waiter], Verdict], ahead: "Line | None" = None
    ) -> Iterator[tuple[Waiter, Answer]]:
        """Ask about every waiter that nobody bars, in order, and take those out that get an answer.

        Args:
            consider: Says what becomes of a waiter.
            ahead: The line that goes before this one.
        """
        self._barred, self._root_barred = {}, False
        passed: list[tuple[int, Gate]] = []
        while self._order and not self._is_shut(ahead):
            number, gate = heappop(self._order)
            waiter = self._head(gate)
            if waiter is None:
                continue
            if waiter.number != number:
                heappush(self._order, (waiter.number, gate))
                continue
            verdict = [] if self._is_behind(waiter, ahead) else consider(waiter)
            if isinstance(verdict, list):
                self._stand_still(waiter, verdict)
                passed.append((number, gate))
                continue
            self._queues[gate].popleft()
            heappush(self._order, (number, gate))
            yield waiter, verdict
        for entry in passed:
            heappush(self._order, entry)

    def _is_behind(self, waiter: Waiter, ahead: "Line | None") -> bool:
        return self.barrier(waiter.account) is not None or (
            ahead is not None and ahead.barrier(waiter.account) is not None
        )

    def _is_shut(self, ahead: "Line | None") -> bool:
        """Whether somebody stands still at the root, so that nobody further back need be looked at."""
        return self._root_barred or (ahead is not None and ahead._root_barred)

    def waiting(self) -> list[Waiter]:
        """Everybody in this line, in order of arrival."""
        everybody = (waiter for queue in self._queues.values() for waiter in queue if waiter.pending)
        return sorted(everybody, key=lambda waiter: waiter.number)

    def standing(self) -> list[Waiter]:
        """Those that bar others: looked at, and without an answer."""
        return list({waiter.number: waiter for waiter in self._barred.values()}.values())

    def _head(self, gate: Gate) -> Waiter | None:
        """The first in a queue that still waits; those that were answered elsewhere drop out here."""
        queue = self._queues[gate]
        while queue and not queue[0].pending:
            queue.popleft()
        if queue:
            return queue[0]
        del self._queues[gate]
        return None

    def stuck(self, idle: Iterable[Carve]) -> Carve | None:
        """The youngest carve that has to wind down, because nobody but waiters could ever move this line.

        A point moves when something reserved there belongs to an attempt in flight or to a carve that does not
        wait, or to a carve that waits for what itself moves. A carve is named only if it stands in the way of
        another request at a point that does not move.

        Args:
            idle: The carves that wait and have no attempt in flight.
        """
        standing = self.standing()
        if all(gate.stirring(index) for waiter in standing for gate, index in waiter.points):
            return None
        moving = self._moving({waiter.number for waiter in standing})
        fixed = [
            (waiter.carve, gate, index)
            for waiter in standing
            for gate, index in waiter.points
            if not _moves(gate, index, moving)
        ]
        in_the_way = [
            carve
            for carve in idle
            if carve not in moving and any(c is not carve and _in_the_way(carve, gate, i) for c, gate, i in fixed)
        ]
        return max(in_the_way, key=lambda carve: carve.number, default=None)

    def _moving(self, standing: set[int]) -> set[Carve]:
        """The waiting carves that will be answered without anybody winding down: the least fixed point."""
        moving: set[Carve] = set()
        sure: set[int] = set()
        unsure = self.waiting()
        while True:
            found = [w for w in unsure if self._will_move(w, w.number in standing, moving, sure)]
            if not found:
                return moving
            sure.update(waiter.number for waiter in found)
            moving.update(waiter.carve for waiter in found if waiter.carve is not None)
            unsure = [waiter for waiter in unsure if waiter.number not in sure]

    def _will_move(self, waiter: Waiter, stands: bool, moving: set[Carve], sure: set[int]) -> bool:
        if stands:
            return all(_moves(gate, index, moving) for gate, index in waiter.points)
        barrier = self.barrier(waiter.account)
        return barrier is None or barrier.number in sure

    def _stand_still(self, waiter: Waiter, points: list[Point]) -> None:
        waiter.points = points
        for gate, _ in points:
            self._barred[gate] = waiter
            self._root_barred |= gate.is_root


def _moves(gate: Gate, index: int, moving: set[Carve]) -> bool:
    return gate.stirring(index) or any(_in_the_way(carve, gate, index) for carve in moving)


def _in_the_way(carve: Carve, gate: Gate, index: int) -> bool:
    return gate in carve.account.gates and any(i == index for i, _ in carve.stake)
