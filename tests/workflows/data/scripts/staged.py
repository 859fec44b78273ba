"""A pipeline without barriers: draft, check, mend; a stage that needs no subagent is an ordinary function."""

from antiphon.workflows.script import agent, pipeline

manifest = {"name": "staged", "roles": ["worker", "scorer"], "limits": {"agent_calls": 100}}

TITLES = ["rain", "snow", "wind", "fog"]


async def draft(title):
    return title, await agent(f"Write about {title}", role="worker")


async def scored(given):
    title, text = given
    return title, text, await agent(f"Score: {text}", role="scorer", output=int)


def passed(given):
    title, text, score = given
    return {"title": title, "text": text, "mend": score < 5}


async def mended(given):
    if given["mend"]:
        given["text"] = await agent(f"Mend: {given['text']}", role="worker")
    return given


async def main(titles: list[str] = TITLES):
    done = await pipeline(titles, draft, scored, passed, mended, concurrency=2)
    return {"texts": [one["text"] for one in done.succeeded()], "items": [outcome.item for outcome in done]}
