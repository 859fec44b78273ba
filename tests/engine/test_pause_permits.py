"""A pause does not wait for calls that stand in line for a permit and have sent nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
import pytest

from antiphon.engine import Amount, CallContext, Limits, Run, RunResult, Settings
from antiphon.engine.script.api import agent, parallel, race
from antiphon.subagents.agents import Agents
from antiphon.subagents.function import function_agent
from antiphon.tracing import MemoryLog

pytestmark = pytest.mark.anyio


async def beside(other: Callable[[], Coroutine[Any, Any, None]], attempt: Awaitable[RunResult]) -> RunResult:
    """The attempt's result, with `other` done meanwhile."""
    results: list[RunResult] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        results.append(await attempt)
    return results[0]


async def test_who_waits_for_a_permit_does_not_begin_and_who_began_finishes() -> None:
    begun: list[str] = []
    finished: list[str] = []
    both, go = anyio.Event(), anyio.Event()

    @function_agent("worker", version="1")
    async def worker(task: str, ctx: CallContext) -> str:
        async with ctx.attempt(sort="process", name="first") as attempt:
            begun.append(task)
            if len(begun) == 2:
                both.set()
            await go.wait()
            attempt.settle()
        async with ctx.attempt(sort="process", name="second") as attempt:
            attempt.settle()
        finished.append(task)
        return task

    log = MemoryLog()
    run = Run(log, run_id="pause", performers={"agent": Agents({"worker": worker})}, settings=Settings(processes=2))

    async def main() -> None:
        await parallel(agent(str(n), role="worker") for n in range(300))

    async def pause_when_two_work() -> None:
        await both.wait()
        run.pause("asked", "enough")
        go.set()

    result = await beside(pause_when_two_work, run.execute(main))
    assert result.kind == "paused"
    assert sorted(begun) == sorted(finished)
    assert len(begun) == 2
    assert sum(event.kind == "attempt.started" for event in log.events()) == 4
    assert not run.budget.root.reserved


async def test_who_stood_back_is_not_charged_and_a_resume_has_all_its_agent_calls() -> None:
    both, go = anyio.Event(), anyio.Event()
    begun: list[str] = []

    @function_agent("worker", version="1")
    async def worker(task: str, ctx: CallContext) -> str:
        async with ctx.attempt(sort="process", name="p") as attempt:
            begun.append(task)
            if len(begun) == 2:
                both.set()
            await go.wait()
            attempt.settle()
        return task

    async def main() -> int:
        return len((await parallel(agent(str(n), role="worker") for n in range(10))).succeeded())

    def run_on(log: MemoryLog) -> Run:
        performers = {"agent": Agents({"worker": worker})}
        limits = Limits(agent_calls=10)
        return Run(log, run_id="pause", limits=limits, performers=performers, settings=Settings(processes=2))

    log = MemoryLog()
    run = run_on(log)

    async def pause_when_two_work() -> None:
        await both.wait()
        run.pause("asked", "enough")
        go.set()

    paused = await beside(pause_when_two_work, run.execute(main))
    assert paused.spent.count("agent_calls") == 2
    resumed = await run_on(MemoryLog(history=log.events())).execute(main)
    assert resumed.kind == "completed"
    assert resumed.spent.count("agent_calls") == 10
    assert sorted(begun) == sorted(str(n) for n in range(10))


async def test_a_call_that_never_ends_does_not_keep_a_pause_from_ending() -> None:
    @function_agent("endless", version="1")
    async def endless(task: str, ctx: CallContext) -> None:
        await anyio.sleep_forever()

    @function_agent("costly", floor=Amount(model_calls=1), version="1")
    async def costly(task: str, ctx: CallContext) -> str:
        return task

    async def main() -> str:
        return await race([agent("loser", role="endless"), agent("refused", role="costly", output=str)])

    run = Run(
        MemoryLog(),
        run_id="pause",
        limits=Limits(model_calls=0),
        performers={"agent": Agents({"endless": endless, "costly": costly})},
        settings=Settings(settle_seconds=0.1),
    )
    result = await run.execute(main)
    assert (result.kind, result.pause) == ("paused", "budget")
