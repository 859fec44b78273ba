"""Synthesis: two readers judge the same place differently. Both stay in the result, and the conflict is named.

antiphon run examples/synthesis.py
"""

from typing import Any

from antiphon.subagents.records import Actor, Finding, FindingKey
from antiphon.workflows.script import CallContext, agent, claims, function_agent, log, parallel, phase, synthesize

manifest = {"name": "synthesis", "phases": ["read", "merge"], "roles": ["calm", "strict"]}


def found(reader: str, severity: Any) -> Finding:
    """A claim about one place; equal keys are about the same thing."""
    return Finding(
        record="claim",
        sort="finding",
        key=FindingKey(path="app.py", rule="no-auth", symbol="delete_user"),
        rule="no-auth",
        title="no login check",
        text=f"{reader}: delete_user does not check who asks",
        severity=severity,
        severity_by=reader,
        actor=Actor(tool=reader),
        line=12,
    )


@function_agent("calm")
async def calm(task: str, ctx: CallContext) -> None:
    """Finds it harmless."""
    ctx.records.add(found("calm", "low"))


@function_agent("strict")
async def strict(task: str, ctx: CallContext) -> None:
    """Finds it serious."""
    ctx.records.add(found("strict", "high"))


async def main() -> dict[str, object]:
    """Nothing is voted away."""
    phase("read")
    await parallel(agent("Read app.py", role=role, covers=["app.py"]) for role in ("calm", "strict"))
    phase("merge")
    merged = synthesize(planned=["app.py"])
    for conflict in merged.conflicts:
        sides = (f"{side.says}, says {' and '.join(side.groups)}" for side in conflict.positions)
        log(f"{conflict.reason}: {'; '.join(sides)}")
    return {"claims": len(claims()), "groups": len(merged.clusters), "conflicts": len(merged.conflicts)}
