"""What fix does at its heart: tries in workspaces of their own, the best put into a last one, and what it changed."""

from antiphon.workflows.script import agent, parallel, phase, step

manifest = {
    "name": "tries",
    "phases": ["try", "judge"],
    "scope": {"read": ["**"], "write": ["**"]},
    "roles": ["writer", "scorer"],
    "steps": ["tree", "restore", "diff", "files"],
}

WAYS = ["rewrite it", "patch it", "leave it"]


async def attempt(number, way):
    name = f"try-{number}"
    await agent(f"a.txt={way}", role="writer", workspace=name)
    score = await agent(f"Score {way}", role="scorer", output=int)
    return {"name": name, "score": score, "tree": await step("tree", {"workspace": name})}


async def main(ways: list[str] = WAYS):
    phase("try")
    tried = await parallel([attempt(number, way) for number, way in enumerate(ways)])
    phase("judge")
    best = max(tried.succeeded(), key=lambda one: one["score"])
    await step("restore", {"workspace": "final", "tree": best["tree"]})
    files = await step("files", {"workspace": "final", "match": ["*.txt"]})
    return {"best": best, "diff": await step("diff", {"workspace": "final"}), "files": files}
