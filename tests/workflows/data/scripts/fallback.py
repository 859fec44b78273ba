"""What fails is caught, told apart, tried in another way, and in the end counted."""

from antiphon.workflows.script import CallFailed, agent, branch, log, parallel

manifest = {"name": "fallback", "roles": ["worker", "broken", "away"]}


TASKS = ["x", "y"]


async def stubborn(task):
    for role in ("broken", "away", "worker"):
        try:
            return {"role": role, "answer": await agent(task, role=role)}
        except CallFailed as error:
            log(f"{role}: {error}")
    return None


async def main(tasks: list[str] = TASKS):
    answers = await parallel([stubborn(task) for task in tasks])
    lost = await branch("lost", agent("nobody can do this", role="broken"))
    gone = await parallel([agent("a", role="away"), agent("b", role="worker"), agent("c", role="broken")])
    kinds = [outcome.kind for outcome in gone]
    try:
        await agent("for nobody", role="broken")
        end = "?"
    except Exception as error:
        end = str(error)
    finally:
        log("at the end")
    return {
        "answers": answers.succeeded(),
        "lost": [lost.kind, lost.ok, lost.reason],
        "kinds": kinds,
        "census": gone.census.to_json(),
        "end": end,
    }
