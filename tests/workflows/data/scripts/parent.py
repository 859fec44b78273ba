"""A workflow that runs another one for each item."""

from antiphon.workflows.script import agent, parallel, workflow

manifest = {"name": "parent", "roles": ["worker"], "limits": {"depth": 1}}

ITEMS = ["x", "y"]


async def main(items: list[str] = ITEMS):
    first = await workflow("./tournament.py", {"entries": items})
    both = await parallel(workflow("./fallback.py", {"tasks": [item]}) for item in items)
    return {"first": first, "kinds": [outcome.kind for outcome in both], "last": await agent("end", role="worker")}
