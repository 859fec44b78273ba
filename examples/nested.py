"""Nested workflow: another file, in a branch of its own, with limits that can only narrow.

antiphon run examples/nested.py
"""

from antiphon.workflows.script import branch, phase, workflow

manifest = {"name": "nested", "phases": ["count", "too many"], "limits": {"agent_calls": 50, "depth": 1}}


async def main() -> dict[str, object]:
    """Awaiting gives its value; as a branch it gives an outcome, whatever it is."""
    phase("count")
    lengths = await workflow("./typed_output.py", {"words": ["one", "three"]})
    phase("too many")
    words = [str(number) for number in range(10)]
    cut = await branch("cut", workflow("./typed_output.py", {"words": words}, limits={"agent_calls": 4}))
    return {"longest": lengths["longest"], "cut": cut.kind, "not measured": len(cut.value["failed"])}
