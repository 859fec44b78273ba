"""Who waits, who comes first, who winds down; and the async layer on top."""

from decimal import Decimal

import anyio
import pytest
from anyio.lowlevel import checkpoint

from antiphon.engine.account import Account
from antiphon.engine.amount import NOTHING, Amount
from antiphon.engine.budget import Budget, BudgetMisuse, BudgetRefused, Carve, Hold, Refusal, Waiter, WindDown
from antiphon.engine.limits import Limits

ONE = Amount(model_calls=1)


def calls(count: int) -> Amount:
    return Amount(model_calls=count)


def limited(count: int) -> Limits:
    return Limits(model_calls=count)


def admitted(budget: Budget, floor: int = 0, account: Account | None = None) -> Carve:
    carve = budget.request(account or budget.root, calls(floor))
    assert isinstance(carve, Carve)
    return carve


def held(budget: Budget, carve: Carve, count: int) -> Hold:
    hold = budget.ask(carve, calls(count))
    assert isinstance(hold, Hold)
    return hold


def waiting(answer: object) -> Waiter:
    assert isinstance(answer, Waiter)
    assert answer.pending
    return answer


def told_to_wind_down(waiter: Waiter) -> bool:
    return isinstance(waiter.answer, Refusal) and waiter.answer.wind_down


# --- order


def test_big_requests_do_not_starve() -> None:
    budget = Budget(limited(10))
    agents = [admitted(budget) for _ in range(12)]
    small = [held(budget, agent, 1) for agent in agents[:10]]
    big = waiting(budget.ask(agents[10], calls(8)))
    later = [waiting(budget.ask(agents[11], ONE)) for _ in range(3)]
    for hold in small[:7]:
        budget.release(hold)
        assert big.pending
        assert all(waiter.pending for waiter in later)
    budget.release(small[7])
    assert isinstance(big.answer, Hold)
    assert all(waiter.pending for waiter in later)
    budget.release(small[8])
    assert [isinstance(waiter.answer, Hold) for waiter in later] == [True, False, False]


def test_who_does_not_compete_is_not_held_back() -> None:
    budget = Budget(limited(100))
    here = budget.open(budget.root, "/here", limited(5))
    there = budget.open(budget.root, "/there", limited(5))
    busy = admitted(budget, account=here)
    held(budget, busy, 5)
    waiting(budget.request(here, calls(3)))
    waiting(budget.request(here, ONE))
    assert isinstance(budget.request(there, calls(3)), Carve)


def test_whoever_shares_the_account_that_is_short_waits_behind() -> None:
    budget = Budget(limited(10))
    fan = budget.open(budget.root, "/fan", limited(100))
    busy = held(budget, admitted(budget), 8)
    big = waiting(budget.request(fan, calls(5)))
    small = waiting(budget.request(budget.root, ONE))
    budget.release(busy)
    assert isinstance(big.answer, Carve)
    assert isinstance(small.answer, Carve)


def test_admitted_subagents_come_before_new_ones() -> None:
    budget = Budget(limited(10))
    first, second = admitted(budget), admitted(budget)
    busy = held(budget, first, 10)
    new = waiting(budget.request(budget.root, calls(6)))
    hold = waiting(budget.ask(second, calls(6)))
    budget.release(busy)
    assert isinstance(hold.answer, Hold)
    assert new.pending
    # An attempt that fits passes a subagent that waits to be admitted; a new subagent does not.
    assert isinstance(budget.ask(first, ONE), Hold)
    waiting(budget.request(budget.root, ONE))


def test_the_floor_pays_where_others_come_first() -> None:
    budget = Budget(limited(10))
    first, second, third = admitted(budget), admitted(budget), admitted(budget, 2)
    held(budget, first, 7)
    waiting(budget.ask(second, calls(5)))
    hold = held(budget, third, 1)
    assert Amount.of(hold.given) == ONE
    waiting(budget.ask(third, calls(3)))


def test_a_request_that_its_own_floor_comes_to_cover_is_granted() -> None:
    budget = Budget(limited(10))
    other = admitted(budget)
    held(budget, other, 6)
    agent = admitted(budget, 4)
    hold = held(budget, agent, 4)
    waiting(budget.ask(admitted(budget), calls(9)))
    own = waiting(budget.ask(agent, calls(3)))
    budget.release(hold)
    assert isinstance(own.answer, Hold)
    assert budget.waiting == 1


def test_a_withdrawn_request_holds_nobody_back() -> None:
    budget = Budget(limited(10))
    held(budget, admitted(budget), 8)
    big = waiting(budget.request(budget.root, calls(5)))
    small = waiting(budget.request(budget.root, ONE))
    budget.withdraw(big)
    assert big.answer is None
    assert isinstance(small.answer, Carve)


def test_what_nobody_took_goes_back() -> None:
    budget = Budget(Limits(model_calls=10, agent_calls=10))
    agent = admitted(budget)
    busy = held(budget, agent, 10)
    hold = waiting(budget.ask(agent, calls(4)))
    new = waiting(budget.request(budget.root, Amount(model_calls=4, agent_calls=1)))
    budget.release(busy)
    assert isinstance(hold.answer, Hold)
    assert isinstance(new.answer, Carve)
    budget.withdraw(hold)
    budget.withdraw(new)
    assert (budget.root.reserved, budget.root.spent) == (NOTHING, NOTHING)


# --- winding down


def test_waiters_that_block_each_other_wind_down_youngest_first_and_one_at_a_time() -> None:
    budget = Budget(limited(9))
    agents = [admitted(budget, 3) for _ in range(3)]
    first = waiting(budget.ask(agents[0], calls(4)))
    second = waiting(budget.ask(agents[1], calls(4)))
    third = budget.ask(agents[2], calls(4))
    assert isinstance(third, Refusal)
    assert third.wind_down
    assert str(third) == "the run was asked for 4 model_calls, which only other waiting subagents could free"
    assert agents[2].winding_down
    assert first.pending
    assert second.pending
    # It goes on within its floor; whatever is beyond is answered at once.
    budget.settle(held(budget, agents[2], 2), calls(2))
    again = budget.ask(agents[2], calls(2))
    assert isinstance(again, Refusal)
    assert again.wind_down
    assert second.pending
    budget.settle(held(budget, agents[2], 1), ONE)  # now nothing is left that it could still free
    assert told_to_wind_down(second)
    assert first.pending
    budget.close(agents[1])
    assert isinstance(first.answer, Hold)
    assert not agents[0].winding_down


def test_nobody_winds_down_while_an_attempt_is_in_flight() -> None:
    budget = Budget(limited(6))
    one, other = admitted(budget, 2), admitted(budget, 2)
    flying = held(budget, one, 2)
    here, there = waiting(budget.ask(one, calls(3))), waiting(budget.ask(other, calls(4)))
    budget.settle(flying, NOTHING)
    assert isinstance(here.answer, Hold)
    assert there.pending
    assert not one.winding_down
    assert not other.winding_down


def test_nobody_winds_down_while_a_subagent_works() -> None:
    budget = Budget(limited(6))
    busy, agent = admitted(budget, 3), admitted(budget, 3)
    waiter = waiting(budget.ask(agent, calls(4)))
    budget.close(busy)
    assert isinstance(waiter.answer, Hold)


def test_only_who_stands_in_the_way_winds_down() -> None:
    """The youngest waits at the root for two who block each other below; the younger of these two is enough."""
    budget = Budget(limited(10))
    fan = budget.open(budget.root, "/fan", limited(6))
    one, other = admitted(budget, 3, fan), admitted(budget, 3, fan)
    youngest = admitted(budget, 4)
    outside = waiting(budget.ask(youngest, calls(5)))
    inside = waiting(budget.ask(one, calls(4)))
    answer = budget.ask(other, calls(4))
    assert isinstance(answer, Refusal)
    assert answer.wind_down
    assert answer.path == "/fan"
    assert inside.pending
    assert outside.pending
    assert not youngest.winding_down


def test_a_wait_for_someone_who_waits_for_what_moves_goes_on() -> None:
    """One waits for calls that another has in its floor, who waits for money, which an attempt in flight frees."""
    budget = Budget(limited(4))
    fan = budget.open(budget.root, "/fan", Limits(usd=Decimal(1)))
    flying = budget.ask(admitted(budget, account=fan), Amount(usd=1))
    assert isinstance(flying, Hold)
    inside, outside = admitted(budget, 2, fan), admitted(budget, 2)
    there = waiting(budget.ask(inside, Amount(usd=1)))
    here = waiting(budget.ask(outside, calls(3)))
    budget.release(flying)
    assert isinstance(there.answer, Hold)
    budget.release(there.answer)
    budget.close(inside)
    assert isinstance(here.answer, Hold)


def test_what_a_phase_keeps_does_not_move() -> None:
    budget = Budget(limited(8))
    budget.keep(budget.root, calls(2))
    one, other = admitted(budget, 3), admitted(budget, 3)
    first = waiting(budget.ask(one, calls(4)))
    second = budget.ask(other, calls(4))
    assert isinstance(second, Refusal)
    assert second.wind_down
    assert first.pending


def test_nobody_waits_for_what_it_holds_aside_itself() -> None:
    budget = Budget(limited(4))
    agent = admitted(budget)
    assert isinstance(budget.ask(agent, calls(3), aside=True), Hold)
    answer = budget.ask(agent, calls(2))
    assert isinstance(answer, Refusal)
    assert (answer.wanted, answer.free) == (2, 1)


def test_admissions_behind_blocked_subagents_are_answered_too() -> None:
    budget = Budget(limited(6))
    one, other = admitted(budget, 3), admitted(budget, 3)
    new = waiting(budget.request(budget.root, calls(3)))
    old = waiting(budget.ask(one, calls(4)))
    assert isinstance(budget.ask(other, calls(4)), Refusal)
    budget.close(other)
    assert isinstance(old.answer, Hold)
    assert new.pending
    budget.release(old.answer)
    assert isinstance(new.answer, Carve)


def test_a_slice_held_aside_does_not_count_as_in_flight() -> None:
    """Two subagents hold a slice of time each and wait for calls: nothing moves until one of them winds down."""
    budget = Budget(Limits(model_calls=4, agent_seconds=100))
    one, other = admitted(budget, 2), admitted(budget, 2)
    for agent in (one, other):
        assert isinstance(budget.ask(agent, Amount(agent_seconds=5), aside=True), Hold)
    first = waiting(budget.ask(one, calls(3)))
    assert isinstance(budget.ask(other, calls(3)), Refusal)
    assert other.winding_down
    assert first.pending


def test_waiting_for_a_slice_beside_its_work_does_not_make_a_subagent_wait() -> None:
    budget = Budget(Limits(agent_seconds=20))
    agents = [admitted(budget), admitted(budget)]
    running = [budget.ask(agent, Amount(agent_seconds=8), aside=True) for agent in agents]
    ahead = [waiting(budget.ask(agent, Amount(agent_seconds=5), aside=True)) for agent in agents]
    for hold in running:
        assert isinstance(hold, Hold)
        budget.settle(hold, Amount(agent_seconds=1))
    assert all(isinstance(waiter.answer, Hold) for waiter in ahead)
    assert not any(agent.winding_down for agent in agents)


# --- the async layer


@pytest.mark.anyio
async def test_what_fits_is_granted_without_a_checkpoint() -> None:
    budget = Budget(limited(5))
    granted: list[object] = []
    with anyio.CancelScope() as scope:
        scope.cancel()
        carve = await budget.admit(budget.root, ONE)
        granted += [carve, await carve.reserve(ONE)]
        await checkpoint()
        granted.append("went on")
    assert len(granted) == 2


@pytest.mark.anyio
async def test_a_wait_ends_with_the_grant() -> None:
    budget = Budget(limited(5))
    first = await budget.admit(budget.root, calls(5))
    order: list[str] = []

    async def second() -> None:
        carve = await budget.admit(budget.root, calls(2))
        order.append("admitted")
        await carve.reserve(calls(5))
        order.append("reserved")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(second)
        await anyio.wait_all_tasks_blocked()
        assert order == []
        budget.close(first)
        third = await budget.admit(budget.root, ONE)
        await anyio.wait_all_tasks_blocked()
        assert order == ["admitted"]
        budget.close(third)
    assert order == ["admitted", "reserved"]


@pytest.mark.anyio
async def test_refusals_are_errors_that_name_the_account_and_the_next_command() -> None:
    budget = Budget(limited(5))
    fan = budget.open(budget.root, "/fan", limited(1))
    with pytest.raises(BudgetRefused) as caught:
        await budget.admit(budget.root, calls(6))
    assert caught.value.refusal.is_root
    assert caught.value.message == (
        "The budget does not allow it: the run was asked for 6 model_calls and could give 5 model_calls."
    )
    assert caught.value.advice == "antiphon resume RUN --budget +1model_calls"
    carve = await budget.admit(fan, NOTHING)
    with pytest.raises(BudgetRefused) as caught:
        await carve.reserve(calls(2))
    assert caught.value.advice == "raise the limit model_calls of /fan by at least 1"


@pytest.mark.anyio
async def test_the_youngest_of_blocked_subagents_is_told_to_wind_down() -> None:
    budget = Budget(limited(6))
    ended: list[str] = []

    async def work(name: str) -> None:
        carve = await budget.admit(budget.root, calls(3))
        await anyio.wait_all_tasks_blocked()
        try:
            budget.settle(await carve.reserve(calls(4)), calls(4))
            ended.append(f"{name} finished")
        except WindDown:
            budget.settle(await carve.reserve(ONE), ONE)
            ended.append(f"{name} wound down")
        finally:
            budget.close(carve)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work, "a")
        tasks.start_soon(work, "b")
    assert sorted(end.split(" ", 1)[1] for end in ended) == ["finished", "wound down"]
    assert budget.root.spent == calls(5)


@pytest.mark.anyio
async def test_a_cancelled_wait_is_withdrawn() -> None:
    budget = Budget(limited(5))
    first = await budget.admit(budget.root, NOTHING)
    hold = await first.reserve(calls(4))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(budget.admit, budget.root, calls(3))
        tasks.start_soon(first.reserve, calls(3))
        await anyio.wait_all_tasks_blocked()
        assert budget.waiting == 2
        tasks.cancel_scope.cancel()
    assert budget.waiting == 0
    budget.release(hold)
    budget.close(first)
    assert budget.root.reserved == NOTHING


@pytest.mark.anyio
async def test_a_grant_that_came_together_with_cancellation_is_not_lost() -> None:
    budget = Budget(Limits(model_calls=5, agent_calls=9))
    first = await budget.admit(budget.root, calls(5))
    taken: list[Carve] = []

    async def second() -> None:
        taken.append(await budget.admit(budget.root, Amount(model_calls=3, agent_calls=1)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(second)
        await anyio.wait_all_tasks_blocked()
        budget.close(first)
        tasks.cancel_scope.cancel()
    for carve in taken:
        budget.close(carve)
    assert budget.root.reserved == NOTHING
    assert budget.root.spent == Amount(agent_calls=len(taken))


@pytest.mark.anyio
async def test_a_closed_carve_reserves_nothing() -> None:
    budget = Budget()
    carve = await budget.admit(budget.root, NOTHING)
    budget.close(carve)
    with pytest.raises(BudgetMisuse):
        await carve.reserve(ONE)


@pytest.mark.anyio
async def test_told_to_wind_down_only_what_somebody_limits_has_to_be_in_the_floor() -> None:
    budget = Budget(Limits.parse({"usd": "1"}))
    agent = await budget.admit(budget.root, Amount(usd="0.4", model_calls=1, output_tokens=100))
    agent.winding_down = True
    for _ in range(2):
        hold = await agent.reserve(Amount(usd="0.2", model_calls=1, output_tokens=5_000))
        budget.settle(hold, hold.worst)
    with pytest.raises(WindDown) as told:
        await agent.reserve(Amount(usd="0.2", model_calls=1))
    assert told.value.refusal.dimension == "usd"
    budget.close(agent)
    assert budget.root.reserved == Amount()
