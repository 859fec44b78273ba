"""What an answer is decides what is done next: structural matching on what came back."""

from antiphon.workflows.script import agent, choose, log, parallel

manifest = {"name": "routed", "roles": ["planner", "worker", "judge", "scorer"]}

GOALS = ["write", "score", "pick", "rest"]


async def follow(plan):
    match plan:
        case {"do": "write", "what": str(what)}:
            return await agent(f"Write {what}", role="worker")
        case {"do": "score", "each": [first, *rest]}:
            scores = await parallel(agent(f"Score {one}", role="scorer", output=int) for one in [first, *rest])
            return sum(scores.succeeded())
        case {"do": "pick", "from": list() as options} if options:
            return await choose("Which one?", options)
        case other:
            log(f"nothing to do for {other!r}")
            return None


async def main(goals: list[str] = GOALS):
    plans = await parallel(agent(f"Plan: {goal}", role="planner", output={"type": "object"}) for goal in goals)
    done = [await follow(plan) for plan in plans.succeeded()]
    return dict(zip(goals, done, strict=True))
