"""What a subagent lends while it waits for one that it asked itself: kept for that one, and back again afterwards."""

import anyio
import pytest

from antiphon.engine import Amount, Budget, BudgetRefused, Limits
from antiphon.engine.budget import BudgetMisuse
from antiphon.engine.carve import Carve, Hold

pytestmark = pytest.mark.anyio


def admitted(budget: Budget, floor: int) -> Carve:
    carve = budget.request(budget.root, Amount(model_calls=floor))
    assert isinstance(carve, Carve)
    return carve


async def test_what_is_lent_pays_an_admission_when_nothing_else_is_free_and_comes_back() -> None:
    budget = Budget(Limits(model_calls=4))
    owner, other = admitted(budget, 3), admitted(budget, 1)
    with budget.lending(owner) as keep:
        assert owner.remaining == Amount()
        asked = await budget.admit(budget.root, Amount(model_calls=2), keep)
        hold = await asked.reserve(Amount(model_calls=1))
        budget.settle(hold, Amount(model_calls=1))
        budget.close(asked)
    assert owner.remaining == Amount(model_calls=2), "one was spent of three"
    budget.close(owner)
    budget.close(other)
    assert (budget.root.reserved, budget.root.spent) == (Amount(), Amount(model_calls=1))


async def test_what_is_free_is_spent_before_what_is_lent() -> None:
    budget = Budget(Limits(model_calls=10))
    owner = admitted(budget, 3)
    with budget.lending(owner) as keep:
        asked = await budget.admit(budget.root, Amount(model_calls=2), keep)
        assert keep.remaining == Amount(model_calls=3)
        budget.close(asked)
    assert owner.remaining == Amount(model_calls=3)


async def test_one_asked_cannot_wait_for_the_floor_of_who_waits_for_it() -> None:
    """It would wait for ever: refused at once, and nothing is lost."""
    budget = Budget(Limits(model_calls=5))
    owner = admitted(budget, 3)
    with budget.lending(owner) as keep:
        asked = await budget.admit(budget.root, Amount(model_calls=1), keep)
        with pytest.raises(BudgetRefused):
            await asked.reserve(Amount(model_calls=4))
        budget.close(asked)
    assert owner.remaining == Amount(model_calls=3)


async def test_a_failure_inside_gives_it_back_too_and_a_closed_one_cannot_lend() -> None:
    budget = Budget(Limits(model_calls=5))
    owner = admitted(budget, 3)
    with pytest.raises(ValueError, match="inside"), budget.lending(owner):
        raise ValueError("inside")
    assert owner.remaining == Amount(model_calls=3)
    budget.close(owner)
    with pytest.raises(BudgetMisuse), budget.lending(owner):
        pass
    assert budget.root.reserved == Amount()


async def test_nobody_waits_for_what_the_one_who_asks_holds_aside() -> None:
    """The next slice of its time comes back only when it goes on, and it goes on only when the other one is done."""
    budget = Budget(Limits.parse({"agent_seconds": 10}))
    owner = await budget.admit(budget.root, Amount(agent_calls=1))
    slices = [await owner.reserve(Amount(agent_seconds=5), aside=True)]
    with budget.lending(owner) as keep:
        slices.append(await owner.reserve(Amount(agent_seconds=5), aside=True))
        asked = await budget.admit(budget.root, Amount(agent_calls=1), keep)
        with pytest.raises(BudgetRefused), anyio.fail_after(1):
            await asked.reserve(Amount(agent_seconds=5), aside=True)
        budget.close(asked)
        budget.release(slices.pop())
    hold = budget.ask(owner, Amount(agent_seconds=5))
    assert isinstance(hold, Hold)
    for one in (hold, *slices):
        budget.release(one)
    budget.close(owner)
    assert budget.root.gate is not None
    assert not any(budget.root.gate.kept)
    assert budget.root.reserved == Amount()
