"""Fan-out: one subagent per file, results in the order of the files, failures counted and never dropped.

antiphon run examples/fan_out.py --arg 'files=["a.py","b.py","broken.py"]'
"""

from antiphon.workflows.script import AgentFailure, CallContext, agent, function_agent, parallel, phase

manifest = {"name": "fan-out", "phases": ["read"], "roles": ["reader"]}


@function_agent("reader", output=int)
async def reader(task: str, ctx: CallContext) -> int:
    """Any async function can be a subagent; a model or a program would have the same contract."""
    if "broken" in task:
        raise AgentFailure(f"{ctx.covers[0]} cannot be read")
    return len(task)


async def main(files: tuple[str, ...] = ("a.py", "b.py", "broken.py")) -> dict[str, object]:
    """The run ends degraded: two succeeded, one failed, and the census says so."""
    phase("read")
    found = await parallel(agent(f"Read {file}", role="reader", covers=[file]) for file in files)
    return {"lengths": found.succeeded(), "census": found.census.to_json()}
