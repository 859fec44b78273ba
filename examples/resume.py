"""Resume: the run stops to ask; what was done before is never done again.

antiphon run examples/resume.py        # exits 4: a question is open
antiphon resume last --approve         # goes on; the three agents are not asked again
"""

from antiphon.workflows.script import CallContext, agent, approve, function_agent, parallel, phase, step, step_function

manifest = {"name": "resume", "phases": ["propose", "apply"], "roles": ["proposer"], "steps": ["apply"]}


@function_agent("proposer", output=str)
async def proposer(task: str, ctx: CallContext) -> str:
    """Stands for something slow or expensive."""
    ctx.note(f"working on {task}")
    return task.upper()


@step_function("apply", idempotent=False)
def apply(changes: list[str]) -> int:
    """A step with an effect: after a kill in the middle of it, resuming asks before doing it again."""
    return len(changes)


async def main() -> str:
    """Propose, ask, apply."""
    phase("propose")
    proposed = await parallel(agent(f"change {n}", role="proposer") for n in range(3))
    phase("apply")
    if not await approve(f"Apply {len(proposed.succeeded())} changes?"):
        return "nothing was applied"
    return f"{await step('apply', {'changes': proposed.succeeded()})} changes applied"
