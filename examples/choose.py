"""Choose: a subagent picks one of bounded options; anything else is sent back. Here a function is the judge.

antiphon run examples/choose.py

Leave out the function, and a model judges: antiphon run examples/choose.py --model file:box
"""

from antiphon.workflows.script import CallContext, agent, choose, function_agent

manifest = {"name": "choose", "roles": ["judge", "mender"]}

WAYS = [
    {"way": "patch", "risk": 1, "days": 2},
    {"way": "rewrite", "risk": 5, "days": 20},
    {"way": "leave it", "risk": 3, "days": 0},
]


@function_agent("judge")
async def judge(task: str, ctx: CallContext) -> object:
    """Sees the question with the options, and the frames; gives back one of the options."""
    allowed = ctx.frames[-1]
    assert isinstance(allowed, dict)
    within = [way for way in WAYS if int(str(way["days"])) <= int(str(allowed["days"]))]
    return min(within, key=lambda way: int(str(way["risk"])))


@function_agent("mender")
async def mender(task: str, ctx: CallContext) -> str:
    """Does what was chosen."""
    return f"done: {task}"


async def main(days: int = 5) -> dict[str, object]:
    """What was chosen is recorded: a resumed run chooses the same, and asks nobody."""
    chosen = await choose("Which way has the least risk in the time we have?", WAYS, context=[{"days": days}])
    return {"chosen": chosen["way"], "result": await agent(str(chosen["way"]), role="mender")}
