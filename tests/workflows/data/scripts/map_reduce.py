"""Findings of each file, in parallel; the worst first, and the merged answer last."""

import json

from antiphon.workflows.script import agent, parallel, phase, step

manifest = {"name": "map-reduce", "phases": ["map", "reduce"], "roles": ["finder", "worker"], "steps": ["list_files"]}

TEXTS = {"type": "array", "items": {"type": "string"}, "maxItems": 20}


def weight(found: str) -> int:
    return sum(ord(letter) for letter in found) % 7


async def main(repo: str = "src", most: int = 5):
    phase("map")
    files = await step("list_files", {"path": repo})
    answers = await parallel(agent(f"Read {file}", role="finder", output=TEXTS, covers=[file]) for file in files)
    found = sorted({one for answer in answers.succeeded() for one in answer})
    worst = sorted(found, key=weight, reverse=True)[:most]
    phase("reduce")
    answer = await agent("Merge what was found", role="worker", context=[{"found": worst}])
    return {"worst": worst, "answer": answer, "failed": len(answers.failed()), "text": json.dumps(worst)}
