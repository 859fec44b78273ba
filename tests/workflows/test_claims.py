"""`claims()`: what the run's records say so far, and what the verdicts on them come to."""

import pytest

from antiphon.engine import CallContext
from antiphon.engine.testing import MemoryRun, memory_run
from antiphon.subagents.agents import Agents
from antiphon.subagents.function import function_agent
from antiphon.subagents.records import Actor, Passage, Stance, Verdict
from antiphon.workflows.hosting import host_functions
from antiphon.workflows.script import agent, claims, parallel, phase

pytestmark = pytest.mark.anyio

STANCES: dict[str, Stance] = {"the sky is blue": "confirm", "the moon is cheese": "refute", "fish swim": "cannot_tell"}


@function_agent("finder")
async def finder(task: str, ctx: CallContext) -> None:
    ctx.records.add(Passage(record="claim", sort="text", text=task, actor=Actor(tool="finder", lineage="finder")))


@function_agent("judge")
async def judge(task: str, ctx: CallContext) -> None:
    actor = Actor(tool="judge", lineage="judge")
    (given,) = ctx.frames
    ctx.records.add(Verdict(record="verdict", of=str(given), stance=STANCES[task], actor=actor, method="by looking"))


async def look_and_judge() -> dict[str, list[str]]:
    phase("find")
    await parallel(agent(text, role="finder") for text in [*STANCES, "nobody judged this"])
    phase("judge")
    judged = [claim for claim in claims() if claim.text in STANCES]
    await parallel(agent(claim.text, role="judge", context=[claim.id]) for claim in judged)
    wanted = ("confirmed", "refuted", "disputed", "unverified")
    return {status: [claim.text for claim in claims(phase="find", status=status)] for status in wanted}


async def ran() -> MemoryRun:
    performers = {"agent": Agents({"finder": finder, "judge": judge})}
    return await memory_run(look_and_judge, performers=performers, host=host_functions())


async def test_claims_of_a_status() -> None:
    found = (await ran()).value
    assert found["confirmed"] == ["the sky is blue"]
    assert found["refuted"] == ["the moon is cheese"]
    assert found["disputed"] == []
    assert sorted(found["unverified"]) == ["fish swim", "nobody judged this"]


async def test_a_status_that_does_not_exist_is_said() -> None:
    async def main() -> int:
        return len(claims(status="true"))

    run = await memory_run(main, host=host_functions())
    assert run.result.kind == "failed"
    assert "there is no status 'true'" in run.result.reason
