"""Fan-out: order, windows, sources that are read or pulled, limits and deadlines that nest, and nothing left behind."""

import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest

from antiphon.engine import Amount, Call, CallContext, InfrastructureError, Limits, Outcome, OverBudget, TimedOut
from antiphon.engine.script.api import agent, branch, parallel, pipeline, put
from antiphon.engine.testing import AnsweringCalls, Turnstile, memory_run

pytestmark = pytest.mark.anyio
virtual_time = pytest.mark.parametrize("anyio_backend", ["virtual"], indirect=True)


class Gated(AnsweringCalls):
    """Calls that stand at a turnstile, under the name of their task, before they answer with it."""

    def __init__(self, turnstile: Turnstile, floor: Amount | None = None) -> None:
        async def answer(call: Call, context: CallContext) -> object:
            await turnstile.go_through(str(call.task))
            return call.task

        super().__init__(answer, floor=floor)


async def sleepy(call: Call, context: CallContext) -> object:
    """Work as many seconds as the task says."""
    await anyio.sleep(float(str(call.task)))
    return call.task


async def test_results_come_in_the_order_of_the_items() -> None:
    turnstile = Turnstile()

    async def beside(run: object) -> None:
        await turnstile.wait_for(3)
        for number, name in enumerate(("c", "a", "b"), start=1):
            turnstile.let(name)
            while len(turnstile.passed) < number:
                await anyio.lowlevel.checkpoint()

    async def main() -> list[str]:
        return (await parallel(agent(name) for name in "abc")).succeeded()

    ran = await memory_run(main, performers={"agent": Gated(turnstile)}, beside=beside)
    assert ran.value == ["a", "b", "c"]
    assert turnstile.passed == ["c", "a", "b"]


@pytest.mark.parametrize("window", [1, 2, 5])
async def test_a_window_bounds_how_many_run_at_once(window: int) -> None:
    turnstile = Turnstile()

    async def beside(run: object) -> None:
        for number in range(5):
            await turnstile.wait_for(min(window + number, 5))
            turnstile.let(turnstile.arrived[number])

    async def main() -> list[str]:
        return (await parallel([agent(name) for name in "abcde"], concurrency=window)).succeeded()

    ran = await memory_run(main, performers={"agent": Gated(turnstile)}, beside=beside)
    assert ran.value == list("abcde")
    assert turnstile.most_inside == window
    assert sorted(turnstile.arrived) == list("abcde")


async def test_an_empty_fan_out_is_no_outcomes() -> None:
    async def main() -> dict[str, Any]:
        return (await parallel([])).census.to_json()

    assert (await memory_run(main)).value == {"planned": 0, "started": 0}


# --- sources ----------------------------------------------------------------------------------------------------------


async def test_a_plain_iterable_is_read_to_its_end_before_the_first_call_starts() -> None:
    calls = AnsweringCalls()
    seen: list[int] = []

    def source() -> Iterator[Any]:
        for name in "abc":
            seen.append(len(calls.performed))
            yield agent(name)

    async def main() -> list[str]:
        return (await parallel(source(), concurrency=1)).succeeded()

    assert (await memory_run(main, performers={"agent": calls})).value == ["a", "b", "c"]
    assert seen == [0, 0, 0]


async def test_an_async_iterable_is_pulled_as_the_window_moves() -> None:
    calls = AnsweringCalls()
    done: list[int] = []

    async def source() -> AsyncIterator[Any]:
        for name in "abcde":
            done.append(len(calls.performed))
            yield agent(name)

    async def main() -> list[str]:
        return (await parallel(source(), concurrency=2)).succeeded()

    ran = await memory_run(main, performers={"agent": calls})
    assert ran.value == list("abcde")
    assert all(pulled - performed <= 2 for pulled, performed in enumerate(done))
    assert done[-1] >= 3


async def test_calls_inside_an_async_source_are_recorded_and_replay() -> None:
    calls = AnsweringCalls()

    async def source() -> AsyncIterator[Any]:
        for page in ("1", "2"):
            listed = await agent(f"page {page}")
            yield agent(f"{listed}, item")

    async def main() -> list[str]:
        return (await parallel(source())).succeeded()

    first = await memory_run(main, performers={"agent": calls})
    assert first.value == ["page 1, item", "page 2, item"]
    again = await memory_run(main, performers={"agent": calls}, history=first.log.events())
    assert (again.value, len(calls.performed)) == (first.value, 4)


@virtual_time
async def test_a_source_not_read_to_its_end_is_said_so() -> None:
    async def source() -> AsyncIterator[Any]:
        yield agent("1")
        await anyio.sleep(1_000)
        yield agent("1")

    async def main() -> bool:
        return (await parallel(source(), limits={"wall_seconds": 10})).complete

    ran = await memory_run(main, performers={"agent": AnsweringCalls(sleepy)})
    assert ran.result.kind == "degraded"
    assert ran.value is False
    assert "not read to its end" in ran.result.reason
    assert ran.events("branch.ended")[-1].data["complete"] is False
    assert anyio.current_time() == pytest.approx(10, abs=1)


async def test_a_source_that_an_until_leaves_unread_degrades_nothing() -> None:
    closed: list[str] = []

    async def source() -> AsyncIterator[Any]:
        try:
            while True:
                yield agent("next")
        finally:
            closed.append("source")

    async def main() -> list[Any]:
        found = await parallel(source(), concurrency=1, until=lambda ended: len(ended) == 3)
        return [found.complete, found.census.ended["succeeded"]]

    ran = await memory_run(main, performers={"agent": AnsweringCalls()})
    assert (ran.result.kind, ran.value) == ("completed", [False, 3])
    assert closed == ["source"]


async def test_a_generator_that_raises_ends_the_fan_out_before_it_begins() -> None:
    calls = AnsweringCalls()
    closed: list[str] = []

    async def never(name: str) -> None:
        closed.append(name)  # pragma: no cover

    def source() -> Iterator[Any]:
        yield never("a")
        yield agent("b")
        raise ValueError("the list is broken")

    async def main() -> object:
        return await parallel(source())

    ran = await memory_run(main, performers={"agent": calls})
    gc.collect()
    assert ran.result.kind == "failed"
    assert "ValueError: the list is broken" in ran.result.reason
    assert calls.performed == []
    assert ran.run.unawaited == []


async def test_an_async_source_that_raises_ends_the_fan_out_loudly_and_all_pulled_are_in_the_census() -> None:
    turnstile = Turnstile()

    async def source() -> AsyncIterator[Any]:
        yield agent("a")
        yield agent("b")
        await turnstile.wait_for(2)
        raise ValueError("the list is broken")

    async def main() -> object:
        return await parallel(source())

    ran = await memory_run(main, performers={"agent": Gated(turnstile)})
    assert ran.result.kind == "failed"
    assert "ValueError: the list is broken" in ran.result.reason
    assert ran.result.census[""].to_json() == {"planned": 2, "started": 2, "cancelled": 2}
    assert ran.events("branch.ended")[-1].data["kind"] == "failed"


async def test_a_wrong_item_is_named_and_the_others_are_closed() -> None:
    async def never() -> None: ...

    async def main() -> object:
        items: list[Any] = [never(), 5, never(), agent("a")]
        return await parallel(items)

    ran = await memory_run(main, performers={"agent": AnsweringCalls()})
    gc.collect()
    assert "parallel() was given int, which is no call" in ran.result.reason
    assert ran.run.unawaited == []


# --- nesting ----------------------------------------------------------------------------------------------------------


async def test_fan_outs_nest_and_paths_are_ordinals() -> None:
    async def inside(name: str) -> list[str]:
        return (await parallel(agent(f"{name}{i}") for i in range(2))).succeeded()

    async def main() -> list[list[str]]:
        return (await parallel(inside(name) for name in "ab")).succeeded()

    ran = await memory_run(main, performers={"agent": AnsweringCalls()})
    assert ran.value == [["a0", "a1"], ["b0", "b1"]]
    assert {str(event.path) for event in ran.events("call.ended")} == {
        f"main/0/{outer}/0/{inner}/0" for outer in (0, 1) for inner in (0, 1)
    }


async def test_nesting_holds_no_permit_and_ends_at_a_concurrency_of_one() -> None:
    async def paid(call: Call, context: CallContext) -> object:
        async with context.attempt() as attempt:
            attempt.settle()
        return call.task

    async def inside(name: str) -> list[str]:
        return (await parallel([agent(f"{name}{i}") for i in range(3)], concurrency=1)).succeeded()

    async def main() -> list[list[str]]:
        return (await parallel([inside(name) for name in "ab"], concurrency=1)).succeeded()

    from antiphon.engine import Settings

    ran = await memory_run(main, performers={"agent": AnsweringCalls(paid)}, settings=Settings(attempts=1, window=1))
    assert ran.value == [["a0", "a1", "a2"], ["b0", "b1", "b2"]]


async def test_a_branch_inside_that_fails_degrades_the_ones_around() -> None:
    async def answer(call: Call, context: CallContext) -> object:
        if call.task == "bad":
            raise InfrastructureError("network", "no route")
        return call.task

    async def inside() -> list[str]:
        return (await parallel([agent("good"), agent("bad")])).succeeded()

    async def main() -> list[str]:
        found = await parallel([inside(), inside()])
        return [outcome.kind for outcome in found]

    ran = await memory_run(main, performers={"agent": AnsweringCalls(answer)})
    assert ran.value == ["degraded", "degraded"]
    assert ran.result.kind == "degraded"
    assert [missing.path for missing in ran.result.missing] == ["main/0/0/0/1", "main/0/1/0/1"]


# --- limits and deadlines ---------------------------------------------------------------------------------------------


async def paid(call: Call, context: CallContext) -> object:
    """One model call."""
    async with context.attempt() as attempt:
        attempt.settle()
    return call.task


async def test_a_child_can_only_narrow_a_limit() -> None:
    async def inside() -> list[str]:
        found = await parallel([agent(str(i)) for i in range(4)], limits={"model_calls": 100})
        return [outcome.kind for outcome in found]

    async def main() -> object:
        return await branch("narrow", inside(), limits={"model_calls": 3})

    calls = AnsweringCalls(paid, floor=Amount(model_calls=1))
    outcome: Outcome[list[str]] = (await memory_run(main, performers={"agent": calls})).value
    assert sorted(outcome.value) == ["over_budget", "succeeded", "succeeded", "succeeded"]


async def test_over_budget_names_the_scope_whose_limit_said_no() -> None:
    async def main() -> object:
        found = await parallel([agent("a"), agent("b")], concurrency=1, limits={"model_calls": 1})
        return list(found)

    calls = AnsweringCalls(paid, floor=Amount(model_calls=1))
    ended: list[Outcome[str]] = (await memory_run(main, performers={"agent": calls})).value
    refused = ended[1]
    assert isinstance(refused, OverBudget)
    assert (refused.scope, refused.dimension, refused.limit) == ("main/0", "model_calls", 1)
    assert calls.performed == ["a"]


@virtual_time
async def test_a_deadline_cuts_what_runs_and_says_whose_it_was() -> None:
    async def main() -> list[Any]:
        found = await parallel([agent("1"), agent("100"), agent("1")], concurrency=2, limits={"wall_seconds": 10})
        return list(found)

    ran = await memory_run(main, performers={"agent": AnsweringCalls(sleepy)})
    first, cut, last = ran.value
    assert (first.kind, last.kind) == ("succeeded", "succeeded")
    assert isinstance(cut, TimedOut)
    assert (cut.scope, cut.path) == ("main/0", "main/0/1")
    assert ran.result.kind == "degraded"
    assert anyio.current_time() == pytest.approx(10, abs=1)


@virtual_time
async def test_what_a_deadline_never_let_begin_is_skipped_and_closed() -> None:
    async def work(seconds: str) -> str:
        return str(await agent(seconds))

    async def main() -> list[str]:
        found = await parallel([work("100"), work("1")], concurrency=1, limits={"wall_seconds": 10})
        return [outcome.kind for outcome in found]

    ran = await memory_run(main, performers={"agent": AnsweringCalls(sleepy)})
    gc.collect()
    assert ran.value == ["timed_out", "skipped"]


@virtual_time
async def test_the_inner_of_two_deadlines_ends_the_inner_branch_and_the_outer_the_rest() -> None:
    async def inside() -> list[str]:
        found = await parallel([agent("100")], limits={"wall_seconds": 5})
        await agent("100")
        return [outcome.kind for outcome in found]

    async def main() -> object:
        return await branch("outer", inside(), limits={"wall_seconds": 20})

    ran = await memory_run(main, performers={"agent": AnsweringCalls(sleepy)})
    outcome = ran.value
    assert isinstance(outcome, TimedOut)
    assert outcome.scope == "main/outer"
    ends = {event.path: event.data["kind"] for event in ran.events("branch.ended")}
    assert ends["main/outer/0/0"] == "timed_out"
    assert anyio.current_time() == pytest.approx(20, abs=1)


@virtual_time
async def test_a_child_cannot_outlive_the_deadline_above() -> None:
    async def main() -> object:
        calls = parallel([agent("100")], limits={"wall_seconds": 50})
        return await branch("outer", calls, limits={"wall_seconds": 5})

    ran = await memory_run(main, performers={"agent": AnsweringCalls(sleepy)})
    assert ran.value.scope == "main/outer"
    assert anyio.current_time() == pytest.approx(5, abs=1)


@virtual_time
async def test_a_call_of_its_own_limit_times_out_and_its_scope_is_itself() -> None:
    async def main() -> object:
        return await branch("one", agent("100", limits={"wall_seconds": 5}))

    outcome = (await memory_run(main, performers={"agent": AnsweringCalls(sleepy)})).value
    assert isinstance(outcome, TimedOut)
    assert outcome.scope == "main/one/0"
    assert "5 s" in outcome.reason


# --- until ------------------------------------------------------------------------------------------------------------


async def test_until_stops_the_rest_and_degrades_nothing() -> None:
    calls = AnsweringCalls()

    async def main() -> list[str]:
        found = await parallel([agent(n) for n in "abc"], concurrency=1, until=lambda ended: ended[-1].value == "b")
        return [outcome.kind for outcome in found]

    ran = await memory_run(main, performers={"agent": calls})
    assert ran.value == ["succeeded", "succeeded", "skipped"]
    assert calls.performed == ["a", "b"]
    assert ran.result.kind == "completed"


async def test_until_sees_outcomes_in_the_order_they_ended() -> None:
    turnstile = Turnstile()
    seen: list[list[Any]] = []

    def until(ended: list[Outcome[Any]]) -> bool:
        seen.append([outcome.value for outcome in ended])
        return len(ended) == 2

    async def beside(run: object) -> None:
        await turnstile.wait_for(3)
        turnstile.let("c")
        while not seen:
            await anyio.lowlevel.checkpoint()
        turnstile.let("a")

    async def main() -> list[str]:
        return [outcome.kind for outcome in await parallel([agent(n) for n in "abc"], until=until)]

    ran = await memory_run(main, performers={"agent": Gated(turnstile)}, beside=beside)
    assert seen == [["c"], ["c", "a"]]
    assert ran.value == ["succeeded", "cancelled", "succeeded"]


async def test_what_was_not_begun_when_an_until_is_met_does_not_begin_any_more() -> None:
    begun: list[str] = []

    async def work(name: str) -> str:
        begun.append(name)
        return str(await agent(name))

    async def at_once() -> str:
        begun.append("enough")
        return "enough"

    async def main() -> list[str]:
        items = [*(work(str(n)) for n in range(20)), at_once(), *(work(str(n)) for n in range(20, 40))]
        found = await parallel(items, until=lambda ended: True)
        return [outcome.kind for outcome in found]

    calls = AnsweringCalls()
    ran = await memory_run(main, performers={"agent": calls})
    assert begun[-1] == "enough"
    assert ran.value.count("skipped") == 41 - len(begun)
    assert len(calls.performed) < len(begun)


async def test_an_until_that_raises_fails_loudly() -> None:
    def until(ended: list[Outcome[Any]]) -> bool:
        raise LookupError("no such thing")

    async def main() -> object:
        return await parallel([agent("a"), agent("b")], concurrency=1, until=until)

    ran = await memory_run(main, performers={"agent": AnsweringCalls()})
    assert ran.result.kind == "failed"
    assert "LookupError: no such thing" in ran.result.reason
    assert ran.result.census[""].to_json() == {"planned": 2, "started": 1, "skipped": 1, "succeeded": 1}


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_nothing_outlives_a_fan_out_that_is_cut() -> None:
    turnstile = Turnstile()
    left: list[str] = []

    async def answer(call: Call, context: CallContext) -> object:
        if call.task == "winner":
            await turnstile.wait_for(2)
            return "won"
        try:
            await turnstile.go_through(str(call.task))
        finally:
            left.append(str(call.task))
        return None

    async def main() -> list[str]:
        found = await parallel(
            [agent("x"), agent("y"), agent("winner")],
            until=lambda ended: any(outcome.ok for outcome in ended),
        )
        put("left", sorted(left))
        return [outcome.kind for outcome in found]

    ran = await memory_run(main, performers={"agent": AnsweringCalls(answer)})
    assert ran.value == ["cancelled", "cancelled", "succeeded"]
    assert ran.run.state["left"] == ["x", "y"]


async def test_a_pipeline_goes_on_without_a_barrier() -> None:
    turnstile = Turnstile()

    async def first(item: str) -> str:
        return str(await agent(f"first {item}"))

    async def second(value: str) -> str:
        return str(await agent(f"second after {value}"))

    async def beside(run: object) -> None:
        await turnstile.wait_for(2)
        turnstile.let("first b")
        await turnstile.wait_for(3)  # b is in its second stage while a still is in its first
        turnstile.open()

    async def main() -> list[str]:
        return (await pipeline(["a", "b"], first, second)).succeeded()

    ran = await memory_run(main, performers={"agent": Gated(turnstile)}, beside=beside)
    assert ran.value == ["second after first a", "second after first b"]
    assert turnstile.arrived[2] == "second after first b"


async def test_limits_of_the_run_and_window_settings_hold_for_every_fan_out() -> None:
    async def main() -> object:
        return (await parallel(agent(str(i)) for i in range(3))).census.to_json()

    calls = AnsweringCalls(paid, floor=Amount(model_calls=1))
    ran = await memory_run(main, performers={"agent": calls}, limits=Limits(model_calls=2))
    assert (ran.result.kind, ran.result.pause) == ("paused", "budget")
    assert len(calls.performed) == 2
