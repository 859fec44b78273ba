"""The budget's core, one promise a test: accounts, floors, refusals, overdraft, keeps."""

import pytest

from antiphon.engine.amount import NOTHING, Amount
from antiphon.engine.budget import (
    Account,
    Budget,
    BudgetMisuse,
    BudgetRefused,
    Carve,
    Hold,
    Overdraft,
    Refusal,
    Waiter,
)
from antiphon.engine.limits import Limits

ONE = Amount(model_calls=1)


def calls(count: int) -> Amount:
    return Amount(model_calls=count)


def limited(count: int) -> Limits:
    return Limits(model_calls=count)


def admitted(budget: Budget, floor: int = 0, account: Account | None = None) -> Carve:
    carve = budget.request(account or budget.root, calls(floor) + Amount(agent_calls=1))
    assert isinstance(carve, Carve)
    return carve


def held(budget: Budget, carve: Carve, count: int) -> Hold:
    hold = budget.ask(carve, calls(count))
    assert isinstance(hold, Hold)
    return hold


def refused(answer: object) -> Refusal:
    assert isinstance(answer, Refusal)
    return answer


# --- accounts


def test_every_account_of_the_chain_meters_what_is_reserved_and_spent() -> None:
    budget = Budget()
    fan = budget.open(budget.root, "/fan")
    item = budget.open(fan, "/fan/0")
    other = budget.open(fan, "/fan/1")
    carve = admitted(budget, account=item)
    hold = budget.ask(carve, Amount(usd="0.10", model_calls=1))
    assert isinstance(hold, Hold)
    for account in (item, fan, budget.root):
        assert account.reserved == Amount(usd="0.10", model_calls=1)
    assert not budget.settle(hold, Amount(usd="0.04", model_calls=1, output_tokens=7))
    for account in (item, fan, budget.root):
        assert account.reserved == NOTHING
        assert account.spent == Amount(usd="0.04", model_calls=1, output_tokens=7, agent_calls=1)
    assert other.spent == NOTHING
    assert carve.spent == item.spent


def test_the_agent_call_of_a_floor_is_spent_at_admission() -> None:
    budget = Budget(Limits(agent_calls=1))
    carve = admitted(budget, 2)
    assert carve.spent == budget.root.spent == Amount(agent_calls=1)
    assert carve.remaining == budget.root.reserved == calls(2)
    assert refused(budget.request(budget.root, Amount(agent_calls=1))).dimension == "agent_calls"


def test_a_step_without_an_agent_call_spends_none() -> None:
    budget = Budget(Limits(agent_calls=0))
    step = budget.request(budget.root, NOTHING)
    assert isinstance(step, Carve)
    assert step.spent == NOTHING


def test_a_nested_limit_only_narrows() -> None:
    budget = Budget(limited(3))
    wide = budget.open(budget.root, "/wide", limited(100))
    narrow = budget.open(wide, "/narrow", limited(2))
    assert (wide.remaining("model_calls"), narrow.remaining("model_calls")) == (3, 2)
    assert narrow.remaining("usd") is None
    assert narrow.limits_dimension("model_calls")
    assert not narrow.limits_dimension("usd")
    assert (narrow.limit_of("model_calls"), narrow.limit_of("usd")) == (2, None)
    no = refused(budget.ask(admitted(budget, account=narrow), calls(3)))
    assert no == Refusal("/narrow", "model_calls", wanted=3, limit=2, free=2, is_root=False)
    no = refused(budget.ask(admitted(budget, account=wide), calls(4)))
    assert (no.path, no.is_root) == ("", True)
    assert str(no) == "the run was asked for 4 model_calls and could give 3 model_calls"


def test_closing_an_account_keeps_its_spending_above() -> None:
    budget = Budget()
    fan = budget.open(budget.root, "/fan")
    item = budget.open(fan, "/fan/0")
    carve = admitted(budget, 1, item)
    with pytest.raises(BudgetMisuse, match="'/fan' is closed while something below it is open"):
        budget.close(fan)
    with pytest.raises(BudgetMisuse):
        budget.close(item)
    budget.close(carve)
    budget.close(item)
    budget.close(item)
    budget.close(fan)
    assert budget.root.spent == Amount(agent_calls=1)
    with pytest.raises(BudgetMisuse, match="'/fan' is closed"):
        budget.open(fan, "/fan/1")
    with pytest.raises(BudgetMisuse, match="'/fan' is closed"):
        budget.request(fan, ONE)


# --- attempts


def test_a_hold_ends_exactly_once() -> None:
    budget = Budget()
    carve = admitted(budget)
    hold = held(budget, carve, 1)
    budget.release(hold)
    for again in (budget.release, budget.estimate):
        with pytest.raises(BudgetMisuse, match="twice"):
            again(hold)
    with pytest.raises(BudgetMisuse, match="twice"):
        budget.settle(hold, ONE)
    assert budget.root.spent == Amount(agent_calls=1)


def test_what_is_unknown_is_charged_whole_and_marked() -> None:
    budget = Budget()
    carve = admitted(budget)
    budget.estimate(held(budget, carve, 3))
    assert carve.spent == calls(3) + Amount(agent_calls=1)
    assert carve.estimated


def test_a_carve_is_not_closed_under_an_open_attempt() -> None:
    budget = Budget()
    carve = admitted(budget)
    hold = held(budget, carve, 1)
    with pytest.raises(BudgetMisuse, match="an attempt of it is open"):
        budget.close(carve)
    budget.release(hold)
    budget.close(carve)
    budget.close(carve)
    with pytest.raises(BudgetMisuse, match="closed carve"):
        budget.ask(carve, ONE)


# --- floors


def test_the_floor_is_the_last_money() -> None:
    """Ten subagents whose floor is 3 calls share 40: all work on, and all can still hand back at the end."""
    budget = Budget(limited(40))
    agents = [admitted(budget, 3) for _ in range(10)]
    for agent in agents:
        budget.settle(held(budget, agent, 1), ONE)
        assert not agent.on_floor
    assert budget.root.remaining("model_calls") == 0
    for _ in range(3):
        for agent in agents:
            budget.settle(held(budget, agent, 1), ONE)
            assert agent.on_floor
    for agent in agents:
        assert agent.spent == calls(4) + Amount(agent_calls=1)
        assert refused(budget.ask(agent, ONE)).free == 0


def test_a_floor_pays_for_what_is_missing_and_gets_back_what_was_not_spent() -> None:
    budget = Budget(limited(6))
    agent = admitted(budget, 4)
    hold = held(budget, agent, 5)  # 2 are free; where that is not enough, the floor gives first
    assert Amount.of(hold.given) == calls(4)
    assert agent.remaining == NOTHING
    assert budget.root.reserved == calls(5)
    budget.settle(hold, calls(2))  # the new one is spent first, so only one of the floor's is
    assert agent.remaining == calls(3)
    assert budget.root.reserved == calls(3)


def test_the_floor_pays_only_in_the_dimension_that_is_short() -> None:
    budget = Budget(Limits(model_calls=3, output_tokens=1000))
    agent = budget.request(budget.root, Amount(model_calls=3, output_tokens=100))
    assert isinstance(agent, Carve)
    hold = budget.ask(agent, Amount(model_calls=1, output_tokens=50))
    assert isinstance(hold, Hold)
    assert Amount.of(hold.given) == ONE


def test_closing_frees_the_rest_of_the_floor() -> None:
    budget = Budget(limited(3))
    first = admitted(budget, 3)
    second = budget.request(budget.root, calls(2))
    assert isinstance(second, Waiter)
    budget.settle(held(budget, first, 1), ONE)
    assert second.pending
    budget.close(first)
    assert isinstance(second.answer, Carve)


# --- what can never fit


def test_what_can_never_fit_is_refused_at_once_and_costs_nothing() -> None:
    budget = Budget(limited(10))
    busy = admitted(budget, 8)
    no = refused(budget.request(budget.root, calls(11) + Amount(agent_calls=1)))
    assert (no.wanted, no.free, no.is_root) == (11, 10, True)
    assert budget.root.spent == busy.spent
    assert budget.waiting == 0


def test_who_waits_is_refused_when_what_was_outstanding_is_spent() -> None:
    budget = Budget(limited(10))
    agent = admitted(budget, 8)
    waiter = budget.request(budget.root, calls(3))
    assert isinstance(waiter, Waiter)
    budget.settle(held(budget, agent, 8), calls(7))
    assert waiter.pending
    budget.settle(held(budget, agent, 1), ONE)
    assert refused(waiter.answer).free == 2


# --- overdraft


def test_a_bill_above_the_worst_case_is_recorded_where_it_hurts() -> None:
    budget = Budget(limited(10))
    fan = budget.open(budget.root, "/fan", limited(4))
    agent = admitted(budget, account=fan)
    found = budget.settle(held(budget, agent, 4), calls(6))
    assert found == (Overdraft("/fan", "model_calls", 2, is_root=False),)
    assert fan.overdraft == calls(2)
    assert fan.overdrawn
    assert not budget.root.overdrawn


def test_an_overdrawn_account_grants_nothing_new_but_honours_its_floors() -> None:
    budget = Budget(limited(10))
    agent, waiting = admitted(budget, 2), admitted(budget)
    hold = held(budget, agent, 8)
    wish = budget.ask(waiting, ONE)
    assert isinstance(wish, Waiter)
    budget.settle(hold, calls(9))
    assert refused(wish.answer).overdrawn
    assert str(wish.answer) == "the run was asked for 1 model_calls, but is overdrawn"
    assert refused(budget.request(budget.root, ONE)).overdrawn
    held(budget, agent, 2)


def test_a_top_up_closes_the_overdraft_and_lets_work_go_on() -> None:
    budget = Budget(limited(4))
    agent = admitted(budget)
    budget.settle(held(budget, agent, 4), calls(6))
    assert budget.top_up(calls(1)) == calls(1)
    assert budget.root.overdraft == calls(1)
    assert budget.top_up(calls(2) + Amount(usd=1)) == calls(2)
    assert not budget.root.overdrawn
    assert budget.root.limit_of("model_calls") == 7
    held(budget, agent, 1)


def test_a_top_up_answers_who_waits() -> None:
    budget = Budget(limited(4))
    admitted(budget, 4)
    waiter = budget.request(budget.root, ONE)
    assert isinstance(waiter, Waiter)
    budget.top_up(ONE)
    assert isinstance(waiter.answer, Carve)


def test_a_top_up_without_limits_raises_nothing() -> None:
    assert Budget().top_up(ONE) == NOTHING


# --- resume


def test_history_is_restored_at_the_root_and_claimed_below() -> None:
    budget = Budget(limited(10))
    assert not budget.restore(calls(6))
    fan = budget.open(budget.root, "/fan", limited(3))
    assert not fan.claim(calls(2))
    assert fan.claim(calls(2)) == (Overdraft("/fan", "model_calls", 1, is_root=False),)
    assert (fan.spent, budget.root.spent) == (calls(4), calls(6))
    with pytest.raises(BudgetMisuse, match="restore comes before"):
        budget.restore(calls(6))


def test_restored_history_may_be_more_than_the_limit() -> None:
    budget = Budget(limited(4))
    assert budget.restore(calls(6)) == (Overdraft("", "model_calls", 2, is_root=True),)
    assert refused(budget.request(budget.root, ONE)).overdrawn
    budget.top_up(calls(3))
    admitted(budget, 1)


def test_a_charge_is_unconditional() -> None:
    budget = Budget(limited(4))
    fan = budget.open(budget.root, "/fan")
    assert not budget.charge(fan, calls(4))
    assert budget.charge(fan, ONE) == (Overdraft("", "model_calls", 1, is_root=True),)
    assert fan.spent == budget.root.spent == calls(5)


# --- what phases keep


def test_what_a_phase_keeps_is_there_for_its_synthesis() -> None:
    budget = Budget(limited(10))
    keep = budget.keep(budget.root, calls(3))
    worker = admitted(budget, 7)
    assert isinstance(budget.request(budget.root, ONE), Waiter)
    budget.settle(held(budget, worker, 7), calls(7))
    assert refused(budget.request(budget.root, ONE)).free == 0
    synthesis = budget.request(budget.root, calls(2), keep)
    assert isinstance(synthesis, Carve)
    assert keep.remaining == ONE
    budget.settle(held(budget, synthesis, 1), ONE)
    budget.close(synthesis)
    assert keep.remaining == calls(2)
    budget.close(keep)
    budget.close(keep)
    assert budget.root.remaining("model_calls") == 2


def test_nobody_waits_for_what_is_kept() -> None:
    budget = Budget(limited(10))
    budget.keep(budget.root, calls(3))
    assert refused(budget.request(budget.root, calls(8))).free == 7


def test_a_keep_pays_only_what_does_not_fit_otherwise_and_may_pay_a_part() -> None:
    budget = Budget(limited(10))
    keep = budget.keep(budget.root, calls(3))
    easy = budget.request(budget.root, calls(4), keep)
    assert isinstance(easy, Carve)
    assert keep.remaining == calls(3)
    hard = budget.request(budget.root, calls(5), keep)
    assert isinstance(hard, Carve)
    assert keep.remaining == NOTHING
    assert budget.root.reserved == calls(9)
    budget.close(hard)
    assert keep.remaining == calls(3)
    assert budget.root.reserved == calls(7)


def test_a_nested_limit_holds_also_for_what_is_kept_above_it() -> None:
    budget = Budget(limited(10))
    keep = budget.keep(budget.root, calls(5))
    admitted(budget, 5)
    branch = budget.open(budget.root, "/branch", limited(2))
    assert refused(budget.request(branch, calls(3), keep)).path == "/branch"
    synthesis = budget.request(branch, calls(2), keep)
    assert isinstance(synthesis, Carve)
    assert branch.reserved == calls(2)
    assert budget.root.reserved == calls(10)
    budget.close(synthesis)
    assert (branch.reserved, budget.root.reserved) == (NOTHING, calls(10))


def test_a_keep_is_refused_when_it_does_not_fit_now() -> None:
    budget = Budget(limited(4))
    admitted(budget, 3)
    with pytest.raises(BudgetRefused, match="could give 1 model_calls"):
        budget.keep(budget.root, calls(2))


def test_a_keep_pays_only_below_where_it_is_kept() -> None:
    budget = Budget(limited(4))
    one, other = budget.open(budget.root, "/one"), budget.open(budget.root, "/other")
    with pytest.raises(BudgetMisuse, match="'/other' cannot be paid from what '/one' keeps"):
        budget.request(other, ONE, budget.keep(one, ONE))


def test_a_carve_outlives_the_keep_that_paid_it() -> None:
    budget = Budget(limited(3))
    keep = budget.keep(budget.root, calls(3))
    synthesis = budget.request(budget.root, calls(3), keep)
    assert isinstance(synthesis, Carve)
    budget.close(keep)
    assert budget.root.reserved == calls(3)
    budget.close(synthesis)
    assert budget.root.reserved == NOTHING


# --- time


def test_active_time_is_reserved_in_slices() -> None:
    budget = Budget(Limits(agent_seconds=12))
    agent = admitted(budget)
    slices, used = 0, Amount(agent_seconds=5)
    while isinstance(hold := budget.ask(agent, used, aside=True), Hold):
        budget.settle(hold, used)
        slices += 1
    assert slices == 2
    assert refused(hold).free == 2 * 10**9
    assert budget.root.spent.agent_seconds == 10
