"""Budget: money for ten calls, agents that need three each. Three finish, the others are refused before they spend.

antiphon run examples/budget.py
"""

from antiphon.workflows.script import Amount, CallContext, agent, budget, function_agent, parallel

manifest = {"name": "budget", "roles": ["thinker"]}

CALL = Amount(usd="0.01")


@function_agent("thinker", floor=Amount(usd="0.03", model_calls=3))
async def thinker(task: str, ctx: CallContext) -> str:
    """Three turns; each reserves its worst case before it is sent, and settles with what it cost."""
    for _turn in range(3):
        async with ctx.attempt(CALL, name="pretend-model") as attempt:
            attempt.settle(CALL)
    return f"thought about {task}"


async def main(agents: int = 100, usd: str = "0.10") -> dict[str, object]:
    """A limit on the fan-out: what does not fit ends over_budget, and cost nothing."""
    found = await parallel((agent(f"topic {n}", role="thinker") for n in range(agents)), limits={"usd": usd})
    return {"census": found.census.to_json(), "spent_usd": str(budget.used("usd"))}
