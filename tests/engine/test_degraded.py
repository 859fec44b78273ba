"""Promise 6: nothing disappears. What degrades a run, what is absorbed and counted, and that all is in the census."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import pytest

from antiphon.engine import Branch, Call, CallContext, CallFailed, InfrastructureError, Limits, Outcome, current_branch
from antiphon.engine.script.api import agent, branch, fail, parallel, pipeline, quorum, race, step, workflow
from antiphon.engine.testing import AnsweringCalls, MemoryRun, memory_run

pytestmark = pytest.mark.anyio


async def as_told(call: Call, context: CallContext) -> object:
    """Fail, be unreachable, hang, or answer with the task."""
    match str(call.task).split()[0]:
        case "fail":
            raise ValueError("no")
        case "unreachable":
            raise InfrastructureError("network", "no route")
        case "hang":
            await anyio.sleep_forever()
        case _:
            pass
    return call.task


def nested(inner: Callable[[], Awaitable[Any]]) -> Callable[..., Any]:
    """The host function behind `workflow`, which always runs this one."""

    def body(inside: Branch) -> Awaitable[Any]:
        return inner()

    def workflow_of(
        around: Branch, name: str, args: dict[str, Any]
    ) -> tuple[Callable[[Branch], Awaitable[Any]], Limits]:
        return body, Limits()

    return workflow_of


async def run(main: Callable[[], Awaitable[Any]], inner: Callable[[], Awaitable[Any]] | None = None) -> MemoryRun:
    """One attempt; everything planned must be in the census."""
    calls = AnsweringCalls(as_told)
    host = {"workflow": nested(inner)} if inner is not None else {}
    ran = await memory_run(main, performers={"agent": calls, "step": calls}, host=host)
    for census in ran.result.census.values():
        assert sum(census.ended.values()) == census.planned
    return ran


# --- what degrades ----------------------------------------------------------------------------------------------------


async def failed_item() -> Any:
    """A fan-out with a failure that nobody looks at."""
    await parallel([agent("fine"), agent("fail")])


async def failed_branch() -> Any:
    """A branch whose outcome is looked at."""
    return (await branch("b", agent("fail"))).kind


async def failed_stage() -> Any:
    """A pipeline with a failing item."""
    return (await pipeline(["fine", "fail"], agent)).succeeded()


async def failed_deep() -> Any:
    """A failure three levels down."""

    async def level(depth: int) -> Any:
        return await parallel([level(depth - 1) if depth else agent("fail")])

    await level(3)


async def undecided() -> Any:
    """A quorum that an abstention leaves undecided."""
    return (await quorum([agent("yes"), agent("unreachable")], 2, vote=bool)).decided


async def failing_voter() -> Any:
    """A voter that fails at its task, in a quorum that is decided without it."""
    return (await quorum([agent("yes"), agent("yes"), agent("fail")], 2, vote=bool)).decided


async def partial() -> Any:
    """A branch that hands back what it has."""

    async def half() -> Any:
        fail("only half", partial=1)

    return (await parallel([half()])).degraded()[0].value


async def unread() -> Any:
    """A source that was left unread because time was up."""

    async def source() -> AsyncIterator[Any]:
        yield agent("fine")
        await anyio.sleep(3600)
        yield agent("never")

    await parallel(source(), limits={"wall_seconds": 0.01})


async def uncovered() -> Any:
    """A unit that nothing covered, as the synthesis will say."""
    current_branch().lack("uncovered", "no call covered b.py")


async def degraded_workflow() -> Any:
    """A nested workflow that is degraded."""
    return await workflow("./inner.py")


async def over_budget() -> Any:
    """A call refused by a nested limit."""
    await parallel([agent("fine", limits={"agent_calls": 0})])


async def timed_out() -> Any:
    """A call cut by a deadline."""
    await parallel([agent("hang", limits={"wall_seconds": 0.01})])


DEGRADING = [
    failed_item,
    failed_branch,
    failed_stage,
    failed_deep,
    undecided,
    failing_voter,
    partial,
    unread,
    uncovered,
    degraded_workflow,
    over_budget,
    timed_out,
]


@pytest.mark.parametrize("main", DEGRADING, ids=lambda main: main.__name__)
async def test_it_degrades_the_run(main: Callable[[], Awaitable[Any]]) -> None:
    ran = await run(main, failed_item)
    assert (ran.result.kind, ran.result.exit_code) == ("degraded", 3)
    assert ran.result.missing
    assert ran.result.reason
    assert ran.result.outcome is not None
    assert not ran.result.outcome.ok


@pytest.mark.parametrize("main", DEGRADING, ids=lambda main: main.__name__)
async def test_it_degrades_the_branch_around_and_is_named_at_the_root(main: Callable[[], Awaitable[Any]]) -> None:
    async def around() -> Any:
        return await main()

    async def outer() -> str:
        outcome: Outcome[Any] = await branch("around", around())
        return outcome.kind

    ran = await run(outer, failed_item)
    assert ran.value == "degraded"
    assert ran.result.kind == "degraded"
    assert all(missing.path.startswith("main/around") for missing in ran.result.missing)


# --- what is absorbed -------------------------------------------------------------------------------------------------


async def race_losers() -> Any:
    """A race with a failure, an unreachable host and one that hangs."""
    return await race([agent("fail"), agent("unreachable"), agent("hang"), agent("fine")])


async def abstention() -> Any:
    """An abstention in a decided quorum."""
    return (await quorum([agent("unreachable"), agent("yes")], 1, vote=bool)).decided


async def fallback() -> Any:
    """A fallback that worked."""
    try:
        return await agent("fail")
    except CallFailed:
        return await step("fine")


async def enough() -> Any:
    """An `until` that had enough."""
    return (await parallel([agent("fine"), agent("hang")], until=lambda ended: True)).succeeded()


@pytest.mark.parametrize(
    ("main", "counted"),
    [
        (race_losers, {"failed", "cancelled", "succeeded"}),
        (abstention, {"failed", "succeeded"}),
        (fallback, {"failed", "succeeded"}),
        (enough, {"cancelled", "succeeded"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_what_a_construct_absorbs_is_counted_and_degrades_nothing(
    main: Callable[[], Awaitable[Any]], counted: set[str]
) -> None:
    ran = await run(main)
    assert (ran.result.kind, ran.result.exit_code) == ("completed", 0)
    seen = {
        kind for table in (ran.result.census, ran.result.calls) for census in table.values() for kind in census.ended
    }
    assert seen - {"skipped"} <= counted | {"cancelled"}
    assert "succeeded" in seen


# --- what fails -------------------------------------------------------------------------------------------------------


async def test_a_failure_that_the_script_lets_through_fails_the_run_with_its_reason() -> None:
    async def main() -> Any:
        return await agent("unreachable")

    ran = await run(main)
    assert (ran.result.kind, ran.result.exit_code) == ("failed", 1)
    assert ran.result.reason == "network: no route"


async def test_a_script_that_raises_fails_the_run_and_says_where() -> None:
    async def main() -> Any:
        raise KeyError("missing")

    ran = await run(main)
    assert ran.result.kind == "failed"
    assert "KeyError: 'missing' (test_degraded.py:" in ran.result.reason


async def test_a_degraded_workflow_gives_its_value_and_a_failed_one_raises() -> None:
    async def inner_failing() -> Any:
        await agent("fail")

    async def inner_partial() -> Any:
        await failed_item()
        return "value"

    async def main() -> Any:
        return await workflow("./inner.py")

    degraded = await run(main, inner_partial)
    assert (degraded.value, degraded.result.kind) == ("value", "degraded")
    failed = await run(main, inner_failing)
    assert failed.result.kind == "failed"


async def test_every_missing_branch_is_listed_with_its_own_reason() -> None:
    async def main() -> Any:
        await parallel(agent("fail" if n % 2 else "unreachable") for n in range(6))

    ran = await run(main)
    told = {(missing.path, missing.kind) for missing in ran.result.missing}
    assert told == {(f"main/0/{n}", "failed") for n in range(6)}
    assert "and 5 more" in ran.result.reason


async def test_no_silent_cap_on_what_is_missing() -> None:
    async def main() -> Any:
        await parallel(agent("fail") for _ in range(1_200))

    ran = await run(main)
    assert len(ran.result.missing) == 1_000
    assert "and 1199 more" in ran.result.reason
    assert ran.result.census[""].ended["failed"] == 1_200
