"""Active agent-seconds: metered always, and kept to a limit slice by slice. All in virtual time."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from antiphon.engine import (
    Amount,
    Approvals,
    Call,
    CallContext,
    InfrastructureError,
    Limits,
    Outcome,
    OverBudget,
    Performer,
    Run,
    Settings,
    read_journal,
)
from antiphon.engine.script.api import agent, approve, branch, parallel, step
from antiphon.engine.slices import SLICE_SECONDS
from antiphon.engine.testing import AnsweringCalls, MemoryRun, memory_run

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["virtual"], indirect=True)]


async def working(call: Call, context: CallContext) -> object:
    """Work as many seconds as the task says."""
    await anyio.sleep(float(str(call.task)))
    return call.task


async def run(main: Callable[[], Awaitable[Any]], limit: float | None = None, **options: Any) -> MemoryRun:
    """One attempt under a limit on agent_seconds."""
    limits = Limits(agent_seconds=limit) if limit is not None else None
    calls = AnsweringCalls(options.pop("answer", working), floor=options.pop("floor", None))
    ran = await memory_run(main, performers={"agent": calls, "step": calls}, limits=limits, **options)
    assert read_journal(ran.log.events()).spent == ran.result.spent
    assert ran.run.budget.root.reserved == Amount()
    return ran


def alone(seconds: float, limit: float) -> Callable[[], Awaitable[Outcome[Any]]]:
    """One agent in a branch with a limit of its own."""

    async def main() -> Outcome[Any]:
        return await branch("b", agent(f"{seconds}"), limits={"agent_seconds": limit})

    return main


def near(ran: MemoryRun) -> float:
    """The agent-seconds of a run."""
    return float(ran.result.spent.agent_seconds)


async def test_without_a_limit_seconds_are_only_metered() -> None:
    async def main() -> object:
        return (await parallel([agent("3"), agent("4")])).succeeded()

    ran = await run(main)
    assert near(ran) == pytest.approx(7)


@pytest.mark.parametrize("seconds", [0, 0.5, SLICE_SECONDS - 0.1, SLICE_SECONDS, SLICE_SECONDS + 0.1, 23])
async def test_under_a_limit_an_agent_pays_for_what_it_used_and_not_for_slices(seconds: float) -> None:
    ran = await run(alone(seconds, 100))
    assert ran.value.kind == "succeeded"
    assert near(ran) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize("limit", [1, 3, 5, 7, 12])
async def test_a_limit_is_used_to_its_end_and_not_beyond(limit: float) -> None:
    assert (await run(alone(limit - 0.5, limit))).value.kind == "succeeded"
    before = anyio.current_time()
    ran = await run(alone(100, limit))
    outcome = ran.value
    assert isinstance(outcome, OverBudget)
    assert (outcome.scope, outcome.dimension) == ("main/b", "agent_seconds")
    assert anyio.current_time() - before == pytest.approx(limit, abs=0.01)
    assert near(ran) == pytest.approx(limit, abs=0.01)


async def test_the_runs_own_limit_pauses_and_a_top_up_goes_on() -> None:
    async def main() -> object:
        return [await agent("4"), await agent("4")]

    first = await run(main, 6)
    assert (first.result.kind, first.result.pause) == ("paused", "budget")
    again = await run(main, 6, history=first.log.events(), top_up=Amount(agent_seconds=10))
    assert again.value == ["4", "4"]
    assert near(again) == pytest.approx(4 + 2 + 4, abs=0.01)


async def test_many_share_a_limit_and_never_exceed_it() -> None:
    async def main() -> list[str]:
        found = await parallel([agent("9") for _ in range(10)], limits={"agent_seconds": 40})
        return sorted(outcome.kind for outcome in found)

    ran = await run(main)
    assert near(ran) <= 40 + 0.01
    assert set(ran.value) <= {"succeeded", "over_budget"}


async def test_a_floor_in_seconds_is_what_an_agent_is_sure_of() -> None:
    async def main() -> list[str]:
        found = await parallel([agent("9") for _ in range(10)], limits={"agent_seconds": 40})
        return sorted(outcome.kind for outcome in found)

    ran = await run(main, floor=Amount(agent_seconds=10))
    assert ran.value == ["over_budget"] * 6 + ["succeeded"] * 4
    assert near(ran) == pytest.approx(36, abs=0.1)


async def test_waiting_for_a_permit_or_a_person_is_not_active() -> None:
    async def answer(call: Call, context: CallContext) -> object:
        async with context.attempt() as attempt:
            await anyio.sleep(10)
            attempt.settle()
        return await context.ask("go on?") if call.task == "ask" else None

    async def main() -> object:
        return (await parallel([agent("a"), agent("b"), agent("ask")])).census.to_json()

    async def beside(ran: Run) -> None:
        await anyio.sleep(1_000)
        ran.give_answer("*", True)

    async def working_long() -> None:
        await step("work")

    async def both() -> object:
        return (await parallel([main(), working_long()])).succeeded()

    async def either(call: Call, context: CallContext) -> object:
        if call.sort == "agent":
            return await answer(call, context)
        await anyio.sleep(980)
        return None

    ran = await run(both, answer=either, settings=Settings(attempts=1), beside=beside)
    assert ran.result.kind in ("completed", "paused")
    assert near(ran) == pytest.approx(30, abs=0.1), "three times ten seconds, one after the other"


async def test_steps_and_approvals_are_no_agents() -> None:
    async def main() -> object:
        return [await step("work"), await approve("go on?")]

    async def answer(call: Call, context: CallContext) -> object:
        await anyio.sleep(5)
        return "done"

    settings = Settings(answers={"*": True})
    performers: dict[str, Performer] = {"step": AnsweringCalls(answer), "approval": Approvals()}
    ran = await memory_run(main, performers=performers, limits=Limits(agent_seconds=1), settings=settings)
    assert ran.value == ["done", True]
    assert ran.result.spent == Amount()


async def test_a_failure_under_a_limit_is_itself_and_not_a_group() -> None:
    async def answer(call: Call, context: CallContext) -> object:
        await anyio.sleep(1)
        raise InfrastructureError("network", "no route")

    ran = await run(alone(1, 100), answer=answer)
    assert (ran.value.kind, ran.value.infrastructure) == ("failed", "network")
    assert near(ran) == pytest.approx(1, abs=0.01)


async def test_an_agent_cut_by_a_deadline_pays_for_what_it_used() -> None:
    async def main() -> str:
        return (await branch("b", agent("100"), limits={"agent_seconds": 50, "wall_seconds": 12})).kind

    ran = await run(main)
    assert ran.value == "timed_out"
    assert near(ran) == pytest.approx(12, abs=0.01)


async def test_an_agent_whose_next_slice_others_hold_ends_with_its_last() -> None:
    """It cannot be made to wait in the middle of its work, so it ends there; what it did not have is not spent."""

    async def main() -> list[str]:
        found = await parallel([agent("30"), agent("4")], limits={"agent_seconds": 14})
        return [outcome.kind for outcome in found]

    ran = await run(main)
    assert ran.value == ["over_budget", "succeeded"]
    assert near(ran) <= 14.01
