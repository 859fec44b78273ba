"""The run that the kill suite kills: every construct, calls that fail, time out, cost, and a limit that needs top-ups.

Each execution of a subagent or step appends a line to the file named by EXECUTIONS, outside the run's directory.
"""

import os

import anyio

from antiphon.workflows.script import (
    AgentFailure,
    Amount,
    CallContext,
    InfrastructureError,
    agent,
    branch,
    function_agent,
    parallel,
    phase,
    pipeline,
    quorum,
    race,
    step,
    step_function,
    workflow,
)

manifest = {
    "name": "killed",
    "phases": ["spread", "decide", "end"],
    "limits": {"model_calls": 12, "depth": 1},
    "roles": ["worker", "failing", "slow", "voter"],
    "steps": ["tally"],
}


def executed(what: str) -> None:
    """Leave a mark that survives the process."""
    handle = os.open(os.environ["EXECUTIONS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(handle, f"{what}\n".encode())
    finally:
        os.close(handle)


@function_agent("worker", floor=Amount(model_calls=1), version="1")
async def worker(task: str, ctx: CallContext) -> str:
    """Costs one model call and takes a moment."""
    async with ctx.attempt(name="fake") as attempt:
        executed(ctx.path)
        await anyio.sleep(0.002)
        attempt.settle()
    return task.upper()


@function_agent("failing", version="1")
async def failing(task: str, ctx: CallContext) -> str:
    """Fails, for good."""
    executed(ctx.path)
    raise AgentFailure(f"cannot do {task}")


@function_agent("slow", version="1")
async def slow(task: str, ctx: CallContext) -> str:
    """Never ends by itself."""
    executed(ctx.path)
    await anyio.sleep_forever()
    return task


@function_agent("voter", version="1")
async def voter(task: str, ctx: CallContext) -> bool:
    """Votes; one abstains."""
    executed(ctx.path)
    if task == "absent":
        raise InfrastructureError("network", "gone")
    return task == "yes"


@step_function("tally", version="1")
def tally(words: list[str]) -> int:
    """A step."""
    executed(f"step tally {len(words)}")
    return len(words)


async def main() -> dict[str, object]:
    """The same value however often it is interrupted."""
    phase("spread")
    spread = await parallel(agent(f"w{n}", role="worker") for n in range(12))
    staged = await pipeline(
        ["a", "b", "c"], lambda item: agent(item, role="worker"), lambda word: agent(word * 2, role="worker")
    )
    phase("decide")
    won = await race([agent("never", role="slow"), agent("no", role="failing"), agent("race", role="worker")])
    votes = await quorum([agent(say, role="voter") for say in ("yes", "absent", "no", "yes")], 2, vote=bool)
    late = await branch("late", agent("late", role="slow", limits={"wall_seconds": 0.01}))
    cut = await branch(
        "cut", parallel([agent("x", role="worker"), agent("y", role="slow")]), limits={"wall_seconds": 0.05}
    )
    bad = await branch("bad", agent("bad", role="failing"))
    nested = await branch("nested", workflow("./nested.py", {"words": ["p", "q"]}))
    phase("end")
    return {
        "spread": spread.succeeded(),
        "staged": staged.succeeded(),
        "race": won,
        "votes": [votes.decided, list(votes.votes)],
        "late": late.kind,
        "cut": cut.kind,
        "bad": bad.reason,
        "nested": nested.value,
        "count": await step("tally", {"words": spread.succeeded()}),
    }
