"""The budget under every interleaving hypothesis can think of, against an oracle that only adds and compares.

The machine plays all subagents at once: it opens nested limits, asks for admissions and for holds (several for one
carve, too), lets attempts end in every way, withdraws, closes, keeps, charges and tops up. After each step the oracle
recomputes every account from the facts. In the end everything that runs finishes, nobody who waits is helped, and
everybody who waits must have been answered. The last tests seed bugs and demand that all this catches them.
"""

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from antiphon.engine.account import Account, Overdraft, Refusal
from antiphon.engine.amount import DIMENSIONS, NOTHING, Amount, Dimension, Pairs
from antiphon.engine.budget import Budget, BudgetMisuse, BudgetRefused
from antiphon.engine.carve import Carve, Hold, Keep
from antiphon.engine.limits import Limits
from antiphon.engine.line import Verdict, Waiter
from antiphon.engine.waiting import Waiting

USED: tuple[Dimension, ...] = ("usd", "model_calls", "agent_calls")


def spend(usd: int, calls: int, agents: int = 0) -> Amount:
    """So many nano-usd and calls."""
    return Amount(usd=Decimal(usd).scaleb(-9), model_calls=calls, agent_calls=agents)


def at_most(usd: int | None, calls: int | None, agents: int | None) -> Limits:
    """Limits of so many nano-usd and calls."""
    return Limits(usd=None if usd is None else Decimal(usd).scaleb(-9), model_calls=calls, agent_calls=agents)


def small(most: int) -> st.SearchStrategy[Amount]:
    """Amounts of at most `most` units in each of the dimensions that the machine uses."""
    return st.builds(spend, st.integers(0, most), st.integers(0, most))


def limits(most: int) -> st.SearchStrategy[Limits]:
    """Limits on some of the dimensions that the machine uses."""
    units = st.none() | st.integers(0, most)
    return st.builds(at_most, units, units, units)


PICK = st.integers(0, 1_000)
Made = Callable[[Limits], Budget]


class BudgetMachine(RuleBasedStateMachine):
    """Everything that subagents do to a budget, in any order."""

    make: Made = staticmethod(Budget)

    def __init__(self) -> None:
        super().__init__()
        self.waiters: list[Waiter] = []
        self.carves: list[Carve] = []
        self.holds: list[Hold] = []
        self.keeps: list[Keep] = []
        self.paid: list[tuple[Account, Amount]] = []
        self.overbilled = False

    @initialize(
        root=limits(12), nested=st.lists(st.tuples(PICK, st.none() | limits(8)), max_size=4), crowd=st.integers(0, 4)
    )
    def begin(self, root: Limits, nested: list[tuple[int, Limits | None]], crowd: int) -> None:
        self.budget = self.make(root)
        self.accounts = [self.budget.root]
        for number, (parent, narrower) in enumerate(nested):
            account = self.budget.open(self.accounts[parent % len(self.accounts)], f"/{number}", narrower)
            self.accounts.append(account)
        for number in range(crowd):
            self.request(number, Amount(model_calls=1, agent_calls=1), False, 0)

    # --- what subagents do

    @rule(where=PICK, floor=small(4), named=st.booleans(), which=PICK)
    def admit(self, where: int, floor: Amount, named: bool, which: int) -> None:
        self.request(where, floor + Amount(agent_calls=1), named, which)

    def request(self, where: int, floor: Amount, named: bool, which: int) -> None:
        account = self.accounts[where % len(self.accounts)]
        kept = [keep for keep in self.keeps if keep.account in account.chain]
        fallback = kept[which % len(kept)] if named and kept else None
        answer = self.budget.request(account, floor, fallback)
        self.took(answer)
        if isinstance(answer, Waiter) and fallback is None:
            self.could_have(account, floor)

    @precondition(lambda self: self.carves)
    @rule(which=PICK, worst=small(5), aside=st.booleans())
    def ask_one(self, which: int, worst: Amount, aside: bool) -> None:
        self.ask(self.carves[which % len(self.carves)], worst, aside)

    @precondition(lambda self: self.carves)
    @rule(usd=st.integers(0, 3), calls=st.integers(1, 6))
    def ask_all(self, usd: int, calls: int) -> None:
        """Everybody has the same next step, as subagents of one fan-out do."""
        for carve in list(self.carves):
            self.ask(carve, spend(usd, calls), False)
            self.hear_answers()

    def ask(self, carve: Carve, worst: Amount, aside: bool) -> None:
        told = carve.winding_down
        answer = self.budget.ask(carve, worst, aside=aside)
        self.took(answer)
        if isinstance(answer, Waiter):
            assert not told
            self.could_have(carve.account, worst, beyond=carve.remaining)

    @precondition(lambda self: self.holds)
    @rule(which=PICK, actual=small(5), honest=st.booleans())
    def settle(self, which: int, actual: Amount, honest: bool) -> None:
        hold = self.holds.pop(which % len(self.holds))
        if honest:
            actual = actual.common(hold.worst)
        self.overbilled |= not actual <= hold.worst
        self.pay(hold.carve.account, actual)
        self.heed(self.budget.settle(hold, actual))

    @precondition(lambda self: self.holds)
    @rule(which=PICK)
    def release(self, which: int) -> None:
        self.budget.release(self.holds.pop(which % len(self.holds)))

    @precondition(lambda self: self.holds)
    @rule(which=PICK)
    def estimate(self, which: int) -> None:
        hold = self.holds.pop(which % len(self.holds))
        self.pay(hold.carve.account, hold.worst)
        self.heed(self.budget.estimate(hold))
        with pytest.raises(BudgetMisuse):
            self.budget.release(hold)

    @precondition(lambda self: self.waiters)
    @rule(which=PICK)
    def withdraw(self, which: int) -> None:
        self.budget.withdraw(self.waiters.pop(which % len(self.waiters)))

    @precondition(lambda self: self.finished())
    @rule(which=PICK)
    def close(self, which: int) -> None:
        finished = self.finished()
        carve = finished[which % len(finished)]
        self.carves.remove(carve)
        self.budget.close(carve)

    @rule(where=PICK, amount=small(4), agents=st.integers(0, 2))
    def keep(self, where: int, amount: Amount, agents: int) -> None:
        try:
            kept = self.budget.keep(self.accounts[where % len(self.accounts)], amount + Amount(agent_calls=agents))
        except BudgetRefused:
            return
        self.keeps.append(kept)

    @precondition(lambda self: self.keeps)
    @rule(which=PICK)
    def close_keep(self, which: int) -> None:
        self.budget.close(self.keeps.pop(which % len(self.keeps)))

    @rule(where=PICK, amount=small(2))
    def charge(self, where: int, amount: Amount) -> None:
        account = self.accounts[where % len(self.accounts)]
        self.overbilled |= bool(amount)
        self.pay(account, amount)
        self.heed(self.budget.charge(account, amount))

    @rule(amount=small(4))
    def top_up(self, amount: Amount) -> None:
        self.budget.top_up(amount)

    # --- what the oracle knows

    def took(self, answer: Carve | Hold | Refusal | Waiter | None) -> None:
        match answer:
            case Carve():
                assert answer.remaining + answer.spent == answer.floor
                self.pay(answer.account, answer.spent)
                self.carves.append(answer)
            case Hold():
                self.holds.append(answer)
            case Refusal():
                assert answer.wind_down or answer.overdrawn or answer.free < answer.wanted
            case Waiter():
                self.waiters.append(answer)
            case None:
                raise AssertionError("answered with nothing")

    def pay(self, account: Account, amount: Amount) -> None:
        self.paid.append((account, amount))

    def heed(self, overdrafts: tuple[Overdraft, ...]) -> None:
        assert self.overbilled or not overdrafts

    def finished(self) -> list[Carve]:
        return [carve for carve in self.carves if not carve.waiters and not any(h.carve is carve for h in self.holds)]

    def could_have(self, account: Account, wanted: Amount, beyond: Amount = NOTHING) -> None:
        """Whoever was left waiting could still be granted when everything outstanding comes back."""
        for above in account.chain:
            for dimension in USED:
                limit, count = above.limit_of(dimension), wanted.count(dimension)
                if limit is not None and count > beyond.count(dimension):
                    kept = sum(keep.remaining.count(dimension) for keep in self.keeps if above in keep.account.chain)
                    assert above.spent.count(dimension) + kept + count <= limit

    @invariant()
    def hear_answers(self) -> None:
        for waiter in [waiter for waiter in self.waiters if not waiter.pending]:
            self.waiters.remove(waiter)
            self.took(waiter.answer)
            if isinstance(waiter.answer, Refusal) and waiter.answer.wind_down:
                assert waiter.carve is not None
                assert waiter.carve.winding_down
        assert self.budget.waiting == len(self.waiters)

    @invariant()
    def accounts_hold(self) -> None:
        self.hear_answers()
        for account in self.accounts:
            spent = Amount.total(amount for where, amount in self.paid if account in where.chain)
            reserved = Amount.total(
                [
                    *(carve.remaining for carve in self.carves if account in carve.account.chain),
                    *(hold.worst for hold in self.holds if account in hold.carve.account.chain),
                    *(keep.remaining for keep in self.keeps if account in keep.account.chain),
                ]
            )
            assert account.spent == spent
            assert account.reserved == reserved
            self.within_limits(account, spent, reserved)

    def within_limits(self, account: Account, spent: Amount, reserved: Amount) -> None:
        for dimension in DIMENSIONS:
            limit, over = account.limit_of(dimension), account.overdraft.count(dimension)
            assert self.overbilled or not over
            if limit is not None:
                assert spent.count(dimension) + reserved.count(dimension) <= limit + over

    @invariant()
    def floors_hold(self) -> None:
        """What a subagent did not spend of its floor is still its own: left, or in its attempts."""
        for carve in self.carves:
            given = (Amount.of(hold.given) for hold in self.holds if hold.carve is carve)
            assert carve.floor <= Amount.total([carve.remaining, carve.spent, *given])
            assert carve.remaining <= carve.floor

    # --- the end: what runs finishes, one after the other, and nobody helps those who wait

    def teardown(self) -> None:
        while self.step_on():
            self.accounts_hold()
            self.floors_hold()
        self.hear_answers()
        assert not self.waiters, "somebody was never answered"
        for keep in self.keeps:
            self.budget.close(keep)
        assert all(not account.reserved for account in self.accounts)

    def step_on(self) -> bool:
        self.hear_answers()
        working = [carve for carve in self.carves if not any(not waiter.aside for waiter in carve.waiters)]
        ending = [hold for hold in self.holds if not hold.aside or hold.carve in working]
        beside = [waiter for waiter in self.waiters if waiter.aside and waiter.carve in working]
        if ending:
            self.end(ending[0])
        elif beside:
            self.waiters.remove(beside[0])
            self.budget.withdraw(beside[0])
        elif self.finished():
            carve = self.finished()[0]
            self.carves.remove(carve)
            self.budget.close(carve)
        else:
            return False
        return True

    def end(self, hold: Hold) -> None:
        """Every second one is charged whole: what waits must be answered whether or not money comes back."""
        self.holds.remove(hold)
        if len(self.paid) % 2:
            self.budget.release(hold)
            self.pay(hold.carve.account, NOTHING)
        else:
            self.pay(hold.carve.account, hold.worst)
            self.heed(self.budget.estimate(hold))


TestBudgetMachine = BudgetMachine.TestCase
TestBudgetMachine.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


# --- the machine can fail: seeded bugs, each of which it must catch


class ChecksThenCounts(Budget):
    """Looks whether it fits, and counts only when the bill comes: what every counter without reservations does."""

    def _hold(self, carve: Carve, worst: Amount, fresh: Pairs, given: Pairs, aside: bool) -> Hold:
        hold = super()._hold(carve, worst, fresh, given, aside)
        carve.account.free(fresh)
        return hold

    def _finish(self, hold: Hold, paid: Pairs) -> tuple[Overdraft, ...]:
        hold.carve.account.reserve(hold.worst.beyond(Amount.of(hold.given)).pairs)
        return super()._finish(hold, paid)


class SeesNoAncestors(Budget):
    """Asks the nearest limit only."""

    def open(self, parent: Account, path: str, limits: Limits | None = None) -> Account:
        account = super().open(parent, path, limits)
        account.gates = account.gates[:1]
        return account


class ForgetsTheFloor(Budget):
    """Gives back to everybody what belongs to the carve."""

    def _hand_back(self, hold: Hold, paid: Pairs) -> Pairs:
        return hold.worst.pairs


class EstimatesNothing(Budget):
    """Takes what is unknown for free."""

    def estimate(self, hold: Hold) -> tuple[Overdraft, ...]:
        self.release(hold)
        return ()


class HopesForever(Budget):
    """Lets new subagents wait for what can never come."""

    def _consider(self, waiter: Waiter, barred: bool) -> Verdict:
        verdict = super()._consider(waiter, barred)
        hopeless = isinstance(verdict, Refusal) and waiter.carve is None
        return [(waiter.account.gates[-1], 0)] if hopeless else verdict


class NeverWindsDown(Budget):
    """Lets waiters wait for each other."""

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__(limits)
        self._waiting = _Patient(self._consider)


class _Patient(Waiting):
    def _to_wind_down(self) -> Carve | None:
        return None


class WakesNobody(Budget):
    """Forgets to look at the waiters when a carve is closed."""

    def _close_carve(self, carve: Carve) -> None:
        waiting, self._waiting = self._waiting, Waiting(self._consider)
        super()._close_carve(carve)
        self._waiting = waiting


class Overdraws(Budget):
    """Grants an attempt whose worst case does not fit, when it is small."""

    def _consider(self, waiter: Waiter, barred: bool) -> Verdict:
        verdict = super()._consider(waiter, barred)
        if isinstance(verdict, list) and waiter.carve is not None:
            return self._hold(waiter.carve, waiter.wanted, waiter.wanted.pairs, (), waiter.aside)
        return verdict


OVERSHOOT = {"accounts_hold", "within_limits", "heed", "could_have"}
FLOOR = {"floors_hold"}
SILENCE = {"teardown"}

BUGS: list[tuple[Made, set[str]]] = [
    (ChecksThenCounts, OVERSHOOT),
    (SeesNoAncestors, OVERSHOOT | SILENCE),
    (ForgetsTheFloor, FLOOR),
    (EstimatesNothing, OVERSHOOT),
    (HopesForever, SILENCE),
    (NeverWindsDown, SILENCE),
    (WakesNobody, SILENCE),
    (Overdraws, OVERSHOOT),
]


@pytest.mark.parametrize(("bug", "checks"), BUGS)
def test_the_machine_catches_seeded_bugs(bug: Made, checks: set[str]) -> None:
    class Seeded(BudgetMachine):
        make = staticmethod(bug)

    hunt = settings(
        max_examples=1_000,
        stateful_step_count=40,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
        report_multiple_bugs=False,
    )
    with pytest.raises(AssertionError) as caught:
        run_state_machine_as_test(Seeded, settings=hunt)
    assert caught.traceback[-1].name in checks
