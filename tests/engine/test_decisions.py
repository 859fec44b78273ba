"""Whatever depended on timing or the outside is recorded once, and replays: time, chance, state, the budget."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import anyio
import pytest

from antiphon.engine import Amount, Call, CallContext, Limits, UsageError
from antiphon.engine.script.api import agent, branch, budget, get, log, now, parallel, put, random
from antiphon.engine.testing import AnsweringCalls, MemoryRun, memory_run
from antiphon.tracing import MemoryLog

pytestmark = pytest.mark.anyio


async def one_call(call: Call, context: CallContext) -> object:
    """Spend one model call and a third of a cent."""
    async with context.attempt(Amount(usd="0.01")) as attempt:
        await anyio.lowlevel.checkpoint()
        attempt.settle(Amount(usd="0.003"))
    return call.task


async def twice(main: Callable[[], Awaitable[Any]], **options: Any) -> tuple[MemoryRun, MemoryRun]:
    """A run, and its replay at another time; both give the same."""
    clock = iter(range(0, 100_000, 7))
    calls = AnsweringCalls(one_call)
    first = await memory_run(
        main, performers={"agent": calls}, log=MemoryLog(clock=lambda: float(next(clock))), **options
    )
    again_log = MemoryLog(clock=lambda: float(next(clock)) + 1e6, history=first.log.events())
    again = await memory_run(main, performers={"agent": calls}, log=again_log, **options)
    assert again.value == first.value
    assert again.result.reuse.performed == 0
    return first, again


async def test_now_is_the_time_of_the_branchs_last_event() -> None:
    async def main() -> Any:
        told = [now().timestamp()]
        await agent("a")
        told.append(now().timestamp())
        await parallel([agent("b"), agent("c")])
        told.append(now().timestamp())
        return told

    first, _ = await twice(main)
    ends = {event.path: event.at for event in first.events("call.ended")}
    opened = first.events("run.opened")[0].at
    assert first.value == [opened, ends["main/0"], max(ends.values())]


async def test_now_is_aware_of_its_zone() -> None:
    async def main() -> str:
        assert now().tzinfo is UTC
        return now().isoformat()

    first, _ = await twice(main)
    assert datetime.fromisoformat(first.value).utcoffset() is not None


async def test_now_in_branches_and_after_a_cut_replays() -> None:
    async def timed(name: str) -> Any:
        await agent(name)
        before = now().timestamp()
        await agent(f"{name} again")
        return [before, now().timestamp()]

    async def main() -> Any:
        found = await parallel([timed("a"), timed("b"), timed("c")], until=lambda ended: len(ended) == 1)
        outcome = await branch("late", anyio.sleep_forever(), limits={"wall_seconds": 0.01})
        return [found.succeeded(), outcome.kind, now().timestamp()]

    await twice(main)


async def test_random_is_fixed_by_run_branch_and_how_many_were_drawn() -> None:
    async def drawn() -> list[float]:
        return [random(), random()]

    async def main() -> Any:
        return [random(), *(await parallel([drawn(), drawn()])).succeeded(), random()]

    first, _ = await twice(main)
    one, left, right, two = first.value
    numbers = [one, *left, *right, two]
    assert len(set(numbers)) == 6
    assert all(0 <= number < 1 for number in numbers)


async def test_state_read_in_concurrent_branches_is_a_decision() -> None:
    async def reading(name: str) -> Any:
        await agent(name)
        seen = get("n", 0)
        put("n", seen + 1)
        return seen

    async def main() -> Any:
        found = await parallel([reading(name) for name in "abc"])
        return [found.succeeded(), get("n")]

    first, _ = await twice(main)
    assert first.value[1] >= 1


async def test_what_concurrent_branches_left_in_the_state_is_a_decision_afterwards() -> None:
    async def last(name: str) -> None:
        await agent(name)
        put("last", name)

    async def main() -> Any:
        await parallel([last(name) for name in "abcdef"])
        return get("last")

    first, _ = await twice(main)
    assert any(event.data["decision"] == "get last" for event in first.events("decision"))


async def test_state_of_a_lone_branch_needs_no_decision() -> None:
    async def main() -> Any:
        put("a", {"b": 1})
        return get("a")

    first, _ = await twice(main)
    assert first.events("decision") == []


async def test_readings_of_the_budget_replay() -> None:
    async def main() -> Any:
        before = [str(budget.used()), str(budget.remaining()), budget.remaining("tool_calls")]
        await agent("a")
        return [*before, str(budget.used()), str(budget.remaining()), budget.used("model_calls")]

    first, _ = await twice(main, limits=Limits(usd=Decimal("0.5")))
    assert first.value == ["0", "0.5", None, "0.003", "0.497", 1]


async def test_readings_are_of_the_branch_and_its_nearest_limits() -> None:
    async def inside() -> Any:
        await agent("a")
        return [budget.used("model_calls"), budget.remaining("model_calls")]

    async def main() -> Any:
        outcome = await branch("b", inside(), limits={"model_calls": 3})
        return [outcome.value, budget.used("model_calls"), budget.remaining("model_calls")]

    first, _ = await twice(main)
    assert first.value == [[1, 2], 1, None]


async def test_an_unknown_dimension_is_named() -> None:
    async def main() -> Any:
        with pytest.raises(UsageError, match="no budget dimension 'dollars'"):
            budget.used("dollars")
        return True

    await twice(main)


async def test_readings_are_numbered_by_name_so_that_one_more_shifts_no_other() -> None:
    def main(extra: bool) -> Callable[[], Awaitable[Any]]:
        async def script() -> Any:
            if extra:
                budget.used("tool_calls")
            return [budget.used("model_calls"), await agent("a"), budget.used("model_calls")]

        return script

    calls = AnsweringCalls(one_call)
    first = await memory_run(main(False), performers={"agent": calls})
    again = await memory_run(main(True), performers={"agent": calls}, history=first.log.events())
    assert first.value == again.value == [0, "a", 1]


async def test_a_note_is_recorded_at_its_branch() -> None:
    async def main() -> None:
        log("hello")

    first, _ = await twice(main)
    assert [(event.path, event.data["text"]) for event in first.events("note")] == [("main", "hello")]
