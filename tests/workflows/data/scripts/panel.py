"""A judge panel over drafts: every judge scores every draft, the median decides, ties go to the first."""

import statistics

from antiphon.workflows.script import agent, parallel, phase

manifest = {"name": "panel", "phases": ["draft", "judge", "polish"], "roles": ["worker", "scorer"]}

ANGLES = ("risk first", "user first", "smallest change")
JUDGES = ["as an operator", "as a newcomer", "as an auditor"]


async def scores(draft):
    given = await parallel([agent(f"Score {judge}: {draft}", role="scorer", output=int) for judge in JUDGES])
    return statistics.median(given.succeeded())


async def main(task: str = "move the queue"):
    phase("draft")
    drafts = (await parallel([agent(f"{task}, {angle}", role="worker") for angle in ANGLES])).succeeded()
    phase("judge")
    marks = (await parallel([scores(draft) for draft in drafts])).succeeded()
    best = max(range(len(drafts)), key=lambda index: marks[index])
    phase("polish")
    others = [draft for index, draft in enumerate(drafts) if index != best]
    text = await agent(f"Polish: {drafts[best]}", role="worker", context=[{"others": others}])
    return {"marks": marks, "best": best, "text": text}
