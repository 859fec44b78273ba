"""The budget: a tree of accounts that never overshoots, wastes little and never deadlocks.

The core is synchronous and pure: `request` and `ask` answer at once with what was granted, with a refusal, or with
a waiter that is answered later, when something else is settled or closed. `admit` and `Carve.reserve` put the waiting
on top. Everything is reserved before it is spent, so that any fan-out keeps, at every account,

    spent + reserved <= limit + recorded overdraft

What does not fit now waits as long as outstanding reservations could still make room for it; what can never fit
is refused before it costs anything. A subagent that waits only for others that wait too is told to wind down: it
goes on within its floor, hands back, and what it frees lets the next one go on.
"""

from collections.abc import Generator
from contextlib import contextmanager

from antiphon.engine.account import Account, Overdraft, Refusal
from antiphon.engine.amount import DIMENSIONS, NOTHING, ONE_AGENT, Amount, Pairs, add_to
from antiphon.engine.carve import BudgetMisuse, BudgetRefused, Carve, Hold, Keep, WindDown
from antiphon.engine.limits import Limits
from antiphon.engine.line import Answer, Verdict, Waiter
from antiphon.engine.terms import Terms, for_floor, for_hold, points_of, refusal
from antiphon.engine.waiting import Waiting

__all__ = [
    "Account",
    "Budget",
    "BudgetMisuse",
    "BudgetRefused",
    "Carve",
    "Hold",
    "Keep",
    "Overdraft",
    "Refusal",
    "Waiter",
    "WindDown",
]


class Budget:
    """The meter of a run.

    Attributes:
        root: The run's own account.
    """

    def __init__(self, limits: Limits | None = None, *, path: str = "") -> None:
        """Open the run's own account.

        Args:
            limits: The run's limits; without any it only counts.
            path: The root's path.
        """
        self.root = Account(path, None, limits)
        self._waiting = Waiting(self._consider)
        self._admitted = 0

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return self._waiting.count

    # --- accounts ---------------------------------------------------------------------------------------------------

    def open(self, parent: Account, path: str, limits: Limits | None = None) -> Account:
        """Open an account below another; its limits can only narrow, because those above hold as well.

        Args:
            parent: The account above.
            path: The branch it meters.
            limits: Its own limits; without any it only counts.

        Raises:
            BudgetMisuse: The parent is closed.
        """
        _check_open(parent)
        parent.open_below += 1
        return Account(path, parent, limits)

    def close(self, what: Account | Carve | Keep) -> None:
        """Close an account (what it spent stays in those above), a carve or a keep (what is left becomes free).

        A second close does nothing.

        Raises:
            BudgetMisuse: Something below the account is reserved or open; an attempt of the carve is open or waits.
        """
        if what.closed:
            return
        match what:
            case Account():
                self._close_account(what)
            case Carve():
                self._close_carve(what)
            case Keep():
                self._close_keep(what)

    def restore(self, spent: Amount) -> tuple[Overdraft, ...]:
        """Set what the whole run spent before it was resumed; what replays is then only claimed on its account.

        Raises:
            BudgetMisuse: Something was spent or reserved before.
        """
        if any(self.root.spent_counts) or any(self.root.reserved_counts):
            raise BudgetMisuse("restore comes before anything is spent or reserved")
        return self.root.settle((), spent.pairs)

    def charge(self, account: Account, amount: Amount) -> tuple[Overdraft, ...]:
        """Charge an account and all above it unconditionally, whether or not it fits."""
        overdrafts = account.settle((), amount.pairs)
        self._waiting.changed()
        return overdrafts

    def top_up(self, amount: Amount) -> Amount:
        """Raise the run's own limit, close the overdraft this pays for, and answer who can go on.

        Returns:
            What took effect: a dimension that is not limited has nothing to raise.
        """
        gate = self.root.gate
        taken = Amount.of(gate.raise_ceiling(amount.pairs)) if gate is not None else NOTHING
        self._waiting.changed()
        return taken

    # --- admissions -------------------------------------------------------------------------------------------------

    def keep(self, account: Account, amount: Amount) -> Keep:
        """Set aside what a phase needs for its synthesis; only admissions that name it are paid from it.

        Args:
            account: Where to reserve it.
            amount: What to keep: as much in every dimension as the floors that it is for.

        Raises:
            BudgetRefused: It does not fit now; a keep never waits.
            BudgetMisuse: The account is closed.
        """
        _check_open(account)
        points = points_of(account.gates, amount.pairs)
        if points:
            gate, index = points[0]
            raise BudgetRefused(refusal(points[0], amount, gate.room(index)))
        account.reserve(amount.pairs)
        keep = Keep(account)
        keep.give(amount.pairs)
        return keep

    def request(self, account: Account, floor: Amount, fallback: Keep | None = None) -> Carve | Refusal | Waiter:
        """Ask for the admission of a subagent.

        Args:
            account: Where it is to run.
            floor: What it needs to finish and hand back; of its `agent_calls`, one is spent at once.
            fallback: What to pay from when it does not fit otherwise; closed or not, but kept on the account's chain.

        Returns:
            The carve, a refusal, or a waiter that gets one of them.

        Raises:
            BudgetMisuse: The account is closed, or the fallback is kept elsewhere.
        """
        _check_open(account)
        if fallback is not None and fallback.account not in account.chain:
            raise BudgetMisuse(f"{account.path!r} cannot be paid from what {fallback.account.path!r} keeps")
        answer = self._waiting.enter(Waiter(account, floor, fallback=fallback))
        assert not isinstance(answer, Hold)
        return answer

    async def admit(self, account: Account, floor: Amount, fallback: Keep | None = None) -> Carve:
        """Admit a subagent, waiting if outstanding reservations could still make room; see `request`.

        Raises:
            BudgetRefused: Its floor can never fit.
            BudgetMisuse: The account is closed, or the fallback is kept elsewhere.
        """
        answer: Answer | Waiter = self.request(account, floor, fallback)
        if isinstance(answer, Waiter):
            answer = await self._waiting.answered(answer, self.withdraw)
        if isinstance(answer, Refusal):
            raise BudgetRefused(answer)
        assert isinstance(answer, Carve)
        return answer

    @contextmanager
    def lending(self, carve: Carve) -> Generator[Keep]:
        """While a subagent waits for one that it asked itself, its floor is kept for that one and for its own return.

        Nobody can wait for it to come back meanwhile, nor for what it holds aside, so that the two never wait for each
        other.

        Raises:
            BudgetMisuse: The carve is closed.
        """
        if carve.closed:
            raise BudgetMisuse("a closed carve was asked to lend")
        keep, pairs = Keep(carve.account), carve.remaining.pairs
        add_to(carve.guarantee, pairs, -1)
        keep.give(pairs)
        carve.lend()
        self._waiting.changed()
        try:
            yield keep
        finally:
            carve.lend(-1)
            left = keep.remaining.pairs
            keep.closed = True
            keep.give(left, -1)
            add_to(carve.guarantee, left)
            self._waiting.changed()

    # --- attempts ---------------------------------------------------------------------------------------------------

    def ask(self, carve: Carve, amount: Amount, *, aside: bool = False) -> Hold | Refusal | Waiter:
        """Ask for an attempt's worst case; see `Carve.reserve`.

        Returns:
            The hold, a refusal, or a waiter that gets one of them.

        Raises:
            BudgetMisuse: The carve is closed.
        """
        if carve.closed:
            raise BudgetMisuse("a closed carve was asked for a hold")
        if not self._waiting.count and not carve.winding_down and carve.account.fits(amount.pairs):
            return self._hold(carve, amount, amount.pairs, (), aside)
        answer = self._waiting.enter(Waiter(carve.account, amount, carve=carve, aside=aside))
        assert not isinstance(answer, Carve)
        return answer

    async def held(self, answer: Refusal | Waiter) -> Hold:
        """Wait for the hold that `ask` did not give at once.

        Raises:
            BudgetRefused: It can never fit.
            WindDown: Only other waiters stand in its way, or its carve was told before.
        """
        final = await self._waiting.answered(answer, self.withdraw) if isinstance(answer, Waiter) else answer
        if isinstance(final, Refusal):
            raise WindDown(final) if final.wind_down else BudgetRefused(final)
        assert isinstance(final, Hold)
        return final

    def settle(self, hold: Hold, actual: Amount) -> tuple[Overdraft, ...]:
        """End a hold with what it really cost, even if that is more than was reserved.

        Returns:
            What went beyond the limit of an account, to be recorded; nearly always nothing.

        Raises:
            BudgetMisuse: The hold was ended before.
        """
        return self._finish(hold, actual.pairs)

    def release(self, hold: Hold) -> None:
        """End a hold that is known not to be billed.

        Raises:
            BudgetMisuse: The hold was ended before.
        """
        self._finish(hold, ())

    def estimate(self, hold: Hold) -> tuple[Overdraft, ...]:
        """End a hold and charge it whole, because what it cost is unknown: a timeout, a cut connection, a cancellation.

        Raises:
            BudgetMisuse: The hold was ended before.
        """
        overdrafts = self._finish(hold, hold.worst.pairs)
        hold.carve.estimated = True
        return overdrafts

    def withdraw(self, waiter: Waiter) -> None:
        """Take a request back, and what it was granted if nobody took that yet."""
        answer = waiter.answer
        if waiter.pending:
            self._waiting.leave(waiter)
            self._waiting.changed()
        elif isinstance(answer, Hold):
            self.release(answer)
        elif isinstance(answer, Carve):
            answer.never_began(answer.floor.common(ONE_AGENT).pairs)
            self.close(answer)

    # --- granting ---------------------------------------------------------------------------------------------------

    def _consider(self, waiter: Waiter, barred: bool) -> Verdict:
        """Grant, refuse, or say where a request stands still; whoever is barred can only have what is its own."""
        carve = waiter.carve
        if carve is not None:
            terms = for_hold(carve, waiter.wanted, barred=barred)
            if isinstance(terms, Terms):
                return self._hold(carve, waiter.wanted, terms.fresh, terms.given, waiter.aside)
            return terms
        terms = for_floor(waiter.account, waiter.wanted, waiter.fallback, barred=barred)
        return self._carve(waiter, terms) if isinstance(terms, Terms) else terms

    def _hold(self, carve: Carve, worst: Amount, fresh: Pairs, given: Pairs, aside: bool) -> Hold:
        carve.account.reserve(fresh)
        if given:
            add_to(carve.guarantee, given, -1)
        carve.on_floor = bool(given)
        hold = Hold(carve, worst, given, aside)
        if aside:
            carve.set_aside(hold)
        else:
            carve.in_flight += 1
        if carve.waiters:
            self._waiting.stir(carve)
        return hold

    def _finish(self, hold: Hold, paid: Pairs) -> tuple[Overdraft, ...]:
        if not hold.open:
            raise BudgetMisuse("a hold was settled, released or estimated twice")
        hold.open = False
        carve = hold.carve
        freed = self._hand_back(hold, paid) if hold.given else hold.worst.pairs
        overdrafts = carve.account.settle(freed, paid)
        add_to(carve.spent_counts, paid)
        if hold.aside:
            carve.set_aside(hold, -1)
        else:
            carve.in_flight -= 1
        if self._waiting.count:
            self._waiting.stir(carve)
            self._waiting.answer_own(carve)
            self._waiting.changed()
        return overdrafts

    def _hand_back(self, hold: Hold, paid: Pairs) -> Pairs:
        """Return to the floor what it gave and was not spent; what was new is spent before it.

        Returns:
            What is no longer reserved.
        """
        given, spent = dict(hold.given), dict(paid)
        guarantee = hold.carve.guarantee
        freed: list[tuple[int, int]] = []
        for index, count in hold.worst.pairs:
            back = min(given.get(index, 0), max(0, count - spent.get(index, 0)))
            guarantee[index] += back
            freed.append((index, count - back))
        return tuple(freed)

    def _carve(self, waiter: Waiter, terms: Terms) -> Carve:
        """Reserve a floor, take from a keep what it lends, and spend the agent call."""
        account, floor = waiter.account, waiter.wanted
        carve = Carve(self, account, floor, self._admitted)
        self._admitted += 1
        keep = waiter.fallback if terms.lent else None
        account.reserve(floor.pairs, below=keep.account if keep is not None else None)
        if keep is not None:
            keep.account.reserve(terms.fresh)
            keep.give(terms.lent.pairs, -1)
            carve.lender, carve.lent = keep, terms.lent
        carve.begin(floor.common(ONE_AGENT).pairs)
        return carve

    # --- closing ----------------------------------------------------------------------------------------------------

    def _close_account(self, account: Account) -> None:
        if account.open_below or any(account.reserved_counts):
            raise BudgetMisuse(f"the account {account.path!r} is closed while something below it is open")
        account.closed = True
        if account.parent is not None:
            account.parent.open_below -= 1

    def _close_carve(self, carve: Carve) -> None:
        """Free what is left of a floor; what a keep lent and was not spent goes back to it."""
        if carve.in_flight or carve.aside or carve.waiters:
            raise BudgetMisuse("a carve is closed while an attempt of it is open or waits")
        carve.closed = True
        left = carve.remaining
        keep = carve.lender if carve.lender is not None and not carve.lender.closed else None
        back = left.common(carve.lent) if keep is not None else NOTHING
        carve.account.free(left.pairs, below=keep.account if keep is not None else None)
        if keep is not None:
            keep.account.free(left.beyond(back).pairs)
            keep.give(back.pairs)
        carve.guarantee = [0] * len(DIMENSIONS)
        self._waiting.changed()

    def _close_keep(self, keep: Keep) -> None:
        keep.closed = True
        left = keep.remaining.pairs
        keep.account.free(left)
        keep.give(left, -1)
        self._waiting.changed()


def _check_open(account: Account) -> None:
    if account.closed:
        raise BudgetMisuse(f"the account {account.path!r} is closed")
