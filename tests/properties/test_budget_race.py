"""The race of promise 2, in any order of steps; and subagents on a real backend, down to a concurrency of 1."""

from collections import Counter
from dataclasses import dataclass, field
from random import Random

import anyio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antiphon.engine.account import Account, Refusal
from antiphon.engine.admission import Admission
from antiphon.engine.amount import Amount
from antiphon.engine.budget import Budget, BudgetRefused, WindDown
from antiphon.engine.carve import Carve, Hold
from antiphon.engine.limits import Limits
from antiphon.engine.line import Waiter

FLOOR = Amount(agent_calls=1, model_calls=3)
CALL = Amount(model_calls=1)


@dataclass
class Agent:
    """Asks to be admitted, makes three calls, hands back."""

    budget: Budget
    answer: Carve | Refusal | Waiter | None = None
    hold: Hold | None = None
    calls: int = 0
    ended: str = ""

    def step(self) -> None:
        """Do the next thing, if it can."""
        if self.answer is None:
            self.answer = self.budget.request(self.budget.root, FLOOR)
        elif isinstance(self.answer, Waiter):
            assert not isinstance(self.answer.answer, Hold)
            self.answer = self.answer.answer or self.answer
        elif isinstance(self.answer, Refusal):
            self.ended = "refused"
        elif self.hold is not None:
            self.budget.settle(self.hold, CALL)
            self.hold = None
        elif self.calls == 3:
            self.budget.close(self.answer)
            self.ended = "finished"
        else:
            hold = self.budget.ask(self.answer, CALL)
            assert isinstance(hold, Hold), "the floor of an admitted subagent is its own"
            self.hold = hold
            self.calls += 1


@given(st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_money_for_ten_calls_lets_three_of_a_hundred_agents_finish(order: Random) -> None:
    budget = Budget(Limits(model_calls=10))
    agents = [Agent(budget) for _ in range(100)]
    running = list(agents)
    while running:
        agent = order.choice(running)
        agent.step()
        assert budget.root.spent.count("model_calls") + budget.root.reserved.count("model_calls") <= 10
        if agent.ended:
            running.remove(agent)

    assert Counter(agent.ended for agent in agents) == {"finished": 3, "refused": 97}
    assert budget.root.spent == Amount(model_calls=9, agent_calls=3)
    assert not budget.root.reserved
    assert not budget.root.overdraft
    assert all(agent.calls == 0 for agent in agents if agent.ended == "refused")


@dataclass
class Crowd:
    """Subagents that reserve, take a permit, work and settle, each as long as its plan says."""

    budget: Budget
    admission: Admission
    ended: list[str] = field(default_factory=list[str])

    async def agent(self, account: Account, floor: int, attempts: list[tuple[int, int]], together: int) -> None:
        """Run one: `together` tasks share its carve, each making all the attempts (worst case, actual)."""
        try:
            carve = await self.budget.admit(account, Amount(agent_calls=1, model_calls=floor))
        except BudgetRefused:
            self.ended.append("refused")
            return
        async with anyio.create_task_group() as tasks:
            for _ in range(together):
                tasks.start_soon(self.work, carve, attempts)
        self.budget.close(carve)
        self.ended.append("wound down" if carve.winding_down else "finished")

    async def work(self, carve: Carve, attempts: list[tuple[int, int]]) -> None:
        """Make the attempts one after the other, until told to stop."""
        for worst, actual in attempts:
            try:
                hold = await carve.reserve(Amount(model_calls=worst))
            except (BudgetRefused, WindDown):
                return
            async with self.admission.permit():
                await anyio.sleep(actual)
                self.budget.settle(hold, Amount(model_calls=min(worst, actual)))


ATTEMPTS = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 5)), max_size=4)
AGENTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4), ATTEMPTS, st.integers(1, 3)), min_size=1, max_size=8)


@given(
    permits=st.sampled_from([1, 1, 2, 5]),
    limit=st.integers(0, 20),
    nested=st.lists(st.tuples(st.integers(0, 5), st.none() | st.integers(0, 12)), max_size=4),
    agents=AGENTS,
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_subagent_ends_at_any_concurrency(
    permits: int,
    limit: int,
    nested: list[tuple[int, int | None]],
    agents: list[tuple[int, int, list[tuple[int, int]], int]],
) -> None:
    budget = Budget(Limits(model_calls=limit))
    crowd = Crowd(budget, Admission(permits))

    async def everybody() -> None:
        accounts = [budget.root]
        for parent, calls in nested:
            accounts.append(budget.open(accounts[parent % len(accounts)], "/nested", Limits(model_calls=calls)))
        # On the virtual clock a deadlock is idleness, and idleness jumps to this deadline at once.
        with anyio.fail_after(100_000):
            async with anyio.create_task_group() as tasks:
                for where, floor, attempts, together in agents:
                    tasks.start_soon(crowd.agent, accounts[where % len(accounts)], floor, attempts, together)

    clock = trio.testing.MockClock(autojump_threshold=0)
    anyio.run(everybody, backend="trio", backend_options={"clock": clock})
    assert len(crowd.ended) == len(agents)
    assert not budget.root.reserved
    assert budget.root.spent.count("model_calls") <= limit
    assert crowd.admission.in_use == 0
