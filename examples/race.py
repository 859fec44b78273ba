"""Race: the first success wins, the others are cancelled; on resume the same one wins.

antiphon run examples/race.py
"""

import anyio

from antiphon.workflows.script import AgentFailure, CallContext, agent, function_agent, race

manifest = {"name": "race", "roles": ["searcher"]}


@function_agent("searcher", output=str)
async def searcher(task: str, ctx: CallContext) -> str:
    """One way gives up, one is quick, one would take an hour."""
    if task == "by guess":
        raise AgentFailure("no idea")
    if task == "by hand":
        await anyio.sleep(3600)
    return f"found {task}"


async def main() -> str:
    """A failure does not win, and does not hurt: the race absorbs it."""
    return await race([agent(way, role="searcher", output=str) for way in ("by guess", "by hand", "by index")])
