"""The audit, as an ordinary workflow: survey the tree, let every check look at every shard, merge and hide nothing."""

from antiphon.workflows.audit.surveyor import Cut
from antiphon.workflows.script import agent, parallel, phase, synthesize
from antiphon.workflows.synthesis import Synthesis

manifest = {
    "name": "audit",
    "description": "Analysers over shards of a source tree, in parallel, merged without hiding a disagreement.",
    "phases": ["survey", "analyse", "synthesis"],
    "limits": {"agent_calls": 20_000, "tool_calls": 50_000},
    "scope": {"read": ["**"], "tools": ["ruff", "bandit"]},
    "roles": [
        "surveyor",
        "ruff-security",
        "ruff-correctness",
        "ruff-async",
        "ruff-performance",
        "ruff-complexity",
        "bandit-security",
    ],
}


async def main(path: str) -> Synthesis:
    """Audit the tree at `path`."""
    phase("survey")
    cut = await agent(f"Survey {path} and cut it into shards", role="surveyor", output=Cut)
    phase("analyse")
    await parallel(
        agent(
            f"Look for {shard.check} in {len(shard.units)} files",
            role=shard.role,
            covers=shard.units,
            label=shard.check,
        )
        for shard in cut.shards
    )
    phase("synthesis")
    merged: Synthesis = synthesize(planned=cut.planned)
    return merged
