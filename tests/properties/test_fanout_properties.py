"""Fan-out under every order of completion: conservation, order of results, and logs that differ in nothing but time."""

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, TypeVar

import anyio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.engine import Amount, Call, CallContext, InfrastructureError, Outcome, Run
from antiphon.engine.script.api import agent, parallel
from antiphon.engine.testing import AnsweringCalls, MemoryRun, Turnstile, memory_run

T = TypeVar("T")
BEHAVIOURS = ("fine", "fail", "unreachable", "dear", "late", "spend")
items = st.lists(st.tuples(st.sampled_from(BEHAVIOURS), st.integers(0, 20)), max_size=12)
QUICKLY = settings(deadline=None, max_examples=80)


def in_virtual_time(go: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Hours in milliseconds, with trio's own shuffling of what happens at the same time."""
    clock = trio.testing.MockClock(autojump_threshold=0)
    return anyio.run(go, backend="trio", backend_options={"clock": clock})


async def as_told(call: Call, context: CallContext) -> object:
    """Take the seconds that the task says, and end as it says."""
    what, _, seconds = str(call.task).partition(" ")
    await anyio.sleep(float(seconds))
    match what:
        case "fail":
            raise ValueError("no")
        case "unreachable":
            raise InfrastructureError("network", "no route")
        case "late":
            await anyio.sleep(1_000)
        case "spend":
            async with context.attempt() as attempt:
                attempt.settle()
        case _:
            pass
    return call.task


def calls_for(asked: Sequence[tuple[str, int]]) -> list[Any]:
    """Un-awaited calls; the dear ones can never fit, the late ones have a deadline."""
    limits: dict[str, dict[str, object]] = {"dear": {"agent_calls": 0}, "late": {"wall_seconds": 100}}
    return [agent(f"{what} {seconds}", limits=limits.get(what)) for what, seconds in asked]


EXPECTED = {"fine": "succeeded", "spend": "succeeded", "dear": "over_budget", "late": "timed_out"}


def run_of(
    asked: Sequence[tuple[str, int]], window: int | None, *, pulled: bool = False, until: int | None = None
) -> MemoryRun:
    """A run of one fan-out; its value is the kind and value of each outcome, and whether all was read."""

    async def source() -> AsyncIterator[Any]:
        for call in calls_for(asked):
            yield call

    def enough(ended: list[Outcome[Any]]) -> bool:
        return until is not None and len(ended) >= until

    async def main() -> list[Any]:
        given = source() if pulled else calls_for(asked)
        found = await parallel(given, concurrency=window, until=None if until is None else enough)
        ended = [[o.kind, o.value if o.ok else None] for o in found]
        return [ended, found.census.to_json(), found.complete]

    async def go() -> MemoryRun:
        return await memory_run(main, performers={"agent": AnsweringCalls(as_told)})

    return in_virtual_time(go)


def assert_conserved(ran: MemoryRun, planned: int) -> None:
    """Planned is the sum of the outcomes: in the census of the fan-out, of the run, and in the log."""
    _, census, _ = ran.value
    ended = {what: count for what, count in census.items() if what not in ("planned", "started")}
    assert sum(ended.values()) == census["planned"] == planned
    assert census["started"] == planned - ended.get("skipped", 0)
    if planned:
        assert ran.result.census[""].to_json() == census
    [closing] = [event.data["census"] for event in ran.events("branch.ended") if event.path == "main/0"]
    assert closing == census


@given(items, st.none() | st.integers(1, 12), st.booleans())
@QUICKLY
def test_every_item_has_its_outcome_in_its_place(
    asked: list[tuple[str, int]], window: int | None, pulled: bool
) -> None:
    ran = run_of(asked, window, pulled=pulled)
    ended, _, complete = ran.value
    assert [kind for kind, _ in ended] == [EXPECTED.get(what, "failed") for what, _ in asked]
    values = [f"{what} {seconds}" if EXPECTED.get(what) == "succeeded" else None for what, seconds in asked]
    assert [value for _, value in ended] == values
    assert complete
    assert_conserved(ran, len(asked))


@given(items, st.integers(1, 12), st.integers(1, 12), st.booleans())
@QUICKLY
def test_nothing_is_lost_when_an_until_cuts_a_fan_out_short(
    asked: list[tuple[str, int]], window: int, enough: int, pulled: bool
) -> None:
    ran = run_of(asked, window, pulled=pulled, until=enough)
    ended, census, complete = ran.value
    assert_conserved(ran, len(ended))
    if not pulled:
        assert len(ended) == len(asked)
    done = sum(kind not in ("cancelled", "skipped") for kind, _ in ended)
    assert done >= min(enough, len(asked))
    assert complete or census["planned"] < len(asked) or done >= enough


@given(items, st.integers(1, 12), st.integers(1, 12))
@QUICKLY
def test_the_window_changes_no_result(asked: list[tuple[str, int]], one: int, other: int) -> None:
    assert run_of(asked, one).value == run_of(asked, other).value


# --- logs -------------------------------------------------------------------------------------------------------------


def log_of(order: Sequence[str], window: int) -> list[tuple[str, str, str]]:
    """What a fan-out logs when its calls end in this order, without times; on asyncio, whose tasks start in order."""
    turnstile = Turnstile()

    async def answer(call: Call, context: CallContext) -> object:
        await turnstile.go_through(str(call.task))
        async with context.attempt(Amount(usd="0.01")) as attempt:
            attempt.settle(Amount(usd="0.001"))
        return call.task

    async def beside(run: Run) -> None:
        left = list(order)
        while left:
            await turnstile.wait_for(min(len(order), len(order) - len(left) + window))
            name = next(name for name in left if name in turnstile.arrived)
            left.remove(name)
            turnstile.let(name)
            while len([event for event in run.log.events() if event.kind == "call.ended"]) < len(order) - len(left):
                await anyio.lowlevel.checkpoint()

    async def main() -> object:
        return (await parallel([agent(name) for name in sorted(order)], concurrency=window)).succeeded()

    async def go() -> MemoryRun:
        return await memory_run(main, performers={"agent": AnsweringCalls(answer)}, beside=beside)

    ran = anyio.run(go, backend="asyncio")
    assert ran.value == sorted(order)
    return [(event.kind, event.path, timeless(event.data)) for event in ran.log.events()]


def timeless(data: dict[str, Any]) -> str:
    """An event's data without what the clock put there."""
    spent = {name: count for name, count in data.get("spent", {}).items() if name != "agent_seconds"}
    kept = {**data, **({"spent": spent} if "spent" in data else {})}
    kept.pop("own", None)
    return str(sorted(kept.items(), key=str))


@given(st.permutations(list("abcdef")), st.integers(1, 6))
@settings(deadline=None, max_examples=25)
def test_the_same_order_of_completion_gives_the_same_log_but_for_time(order: list[str], window: int) -> None:
    assert log_of(order, window) == log_of(order, window)
