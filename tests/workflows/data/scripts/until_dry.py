"""Sweeps until nothing new turns up, or the money for another one is gone."""

from antiphon.workflows.script import agent, budget, get, log, parallel, phase, put

manifest = {
    "name": "until-dry",
    "phases": ["sweep"],
    "roles": ["finder", "paid"],
    "limits": {"usd": "1", "agent_calls": 60},
}

LENSES = ["security", "speed"]
TEXTS = {"type": "array", "items": {"type": "string"}, "maxItems": 20}


async def main(lenses: list[str] = LENSES, most: int = 4):
    phase("sweep")
    put("known", [])
    for sweep in range(most):
        if budget.remaining("agent_calls") < len(lenses):
            log("no money for another sweep")
            break
        answers = await parallel(
            agent(f"Look for {lens} in sweep {min(sweep, 1)}", role="finder", output=TEXTS) for lens in lenses
        )
        known = get("known")
        new = [one for answer in answers.succeeded() for one in answer if one not in known]
        if not new:
            break
        put("known", known + new)
    await agent("One that costs", role="paid")
    return {
        "known": get("known"),
        "calls": budget.used("agent_calls"),
        "usd": str(budget.used("usd")),
        "none": get("x", 3),
    }
