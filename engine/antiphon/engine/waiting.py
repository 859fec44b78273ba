"""Everybody who waits for the budget, and how all of them get an answer."""

from collections.abc import Callable

import anyio

from antiphon.engine.account import Account
from antiphon.engine.amount import add_to
from antiphon.engine.carve import Carve
from antiphon.engine.line import Answer, Line, Verdict, Waiter


class Waiting:
    """The two lines of waiters, and what keeps them from waiting for each other.

    After every change to the accounts somebody calls `changed`, and then everybody who can be answered is. Whoever
    remains waits for something that moves: an attempt in flight, a subagent that works, or a waiter that waits for one.
    """

    def __init__(self, consider: Callable[[Waiter, bool], Verdict]) -> None:
        """Start with nobody.

        Args:
            consider: Grants, refuses, or says where a request stands still; the second argument is whether others
                come first.
        """
        self._consider = consider
        self._holds = Line()
        self._admissions = Line()
        self._arrivals = 0
        self._idle: dict[Carve, None] = {}
        self.count = 0

    def barred(self, account: Account, *, admission: bool) -> bool:
        """Whether older requests of its line, or any of the line before it, stand still where a new one would go."""
        if not self.count:
            return False
        return self._holds.barrier(account) is not None or (admission and self._admissions.barrier(account) is not None)

    def enter(self, waiter: Waiter) -> Answer | Waiter:
        """Answer a new request, or let it stand in its line."""
        verdict = self._consider(waiter, self.barred(waiter.account, admission=waiter.carve is None))
        if not isinstance(verdict, list):
            waiter.pending = False
            return verdict
        waiter.number = self._arrivals = self._arrivals + 1
        self.count += 1
        if waiter.carve is None:
            self._admissions.join(waiter)
        else:
            self._holds.join(waiter)
            waiter.carve.waiters.append(waiter)
            self.stir(waiter.carve)
        self.changed()
        return waiter if waiter.answer is None else waiter.answer

    def leave(self, waiter: Waiter) -> None:
        """Take a request out of its line."""
        waiter.pending = False
        self.count -= 1
        if waiter.carve is not None:
            waiter.carve.waiters.remove(waiter)
            self.stir(waiter.carve)

    def changed(self) -> None:
        """Answer everybody who can be answered now."""
        while self.count:
            if self._serve():
                continue
            carve = self._to_wind_down()
            if carve is None:
                return
            carve.winding_down = True
            self.answer_own(carve)

    def answer_own(self, carve: Carve) -> None:
        """Answer those of a carve's requests that need nobody else: its floor covers them, or it is winding down."""
        for waiter in list(carve.waiters):
            verdict = self._consider(waiter, True)
            if not isinstance(verdict, list):
                self._answer(waiter, verdict)

    def stir(self, carve: Carve) -> None:
        """Note what a carve keeps others from, now that it began or ceased to wait, or that its holds changed."""
        _mark(carve, -1)
        self._idle.pop(carve, None)
        carve.stake = ()
        if carve.idle:
            carve.stake = (carve.remaining + carve.beside).pairs
            self._idle[carve] = None
            _mark(carve, 1)

    async def answered(self, waiter: Waiter, withdraw: Callable[[Waiter], None]) -> Answer:
        """Wait for the answer; a cancelled wait takes the request back, and what was granted meanwhile."""
        event = anyio.Event()
        waiter.wake = event.set
        taken = False
        try:
            await event.wait()
            taken = True
        finally:
            if not taken:
                withdraw(waiter)
        assert waiter.answer is not None
        return waiter.answer

    def _serve(self) -> bool:
        """Go once through both lines; whether anybody was answered."""
        before = self.count
        for waiter, answer in self._holds.serve(self._ask):
            self._answer(waiter, answer)
        for waiter, answer in self._admissions.serve(self._ask, self._holds):
            self._answer(waiter, answer)
        return self.count < before

    def _to_wind_down(self) -> Carve | None:
        return self._holds.stuck(self._idle)

    def _ask(self, waiter: Waiter) -> Verdict:
        return self._consider(waiter, False)

    def _answer(self, waiter: Waiter, answer: Answer) -> None:
        waiter.answer = answer
        self.leave(waiter)
        if waiter.wake is not None:
            waiter.wake()


def _mark(carve: Carve, sign: int) -> None:
    for gate in carve.account.gates if carve.stake else ():
        add_to(gate.idle, carve.stake, sign)
