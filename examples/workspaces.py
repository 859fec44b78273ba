"""Two agents work on the same project at once, each in a tree of its own; what both did comes out as one patch.

antiphon run examples/workspaces.py
"""

from antiphon.workflows.script import CallContext, agent, function_agent, parallel, step, workspace_of

manifest = {
    "name": "workspaces",
    "roles": ["writer"],
    "steps": ["diff", "merge"],
}


@function_agent("writer")
async def writer(task: str, ctx: CallContext) -> None:
    (workspace_of(ctx).root / f"{task}.txt").write_text(f"{task}\n")


async def main(topics: list[str] | None = None) -> dict[str, object]:
    chosen = topics or ["tides", "moss"]
    await parallel(agent(topic, role="writer", workspace=f"about-{topic}") for topic in chosen)
    merged = await step("merge", {"workspace": "both", "sources": [f"about-{topic}" for topic in chosen]})
    patch: str = await step("diff", {"workspace": "both"})
    # Nothing of the project itself was changed: `antiphon apply last both` does that, and asks.
    return {"conflicts": merged["conflicts"], "files": patch.count("diff --git")}
