# antiphon: planned claim 4913c944
from antiphon.workflows.script import agent, claims, parallel, phase, step, synthesize

manifest = {
    "name": "claim-check",
    "description": "Passages for and against a claim in local documents, each checked by a third reader.",
    "phases": ["read", "check"],
    "limits": {"usd": "2", "agent_calls": 60, "wall_seconds": 7200},
    "scope": {"read": ["docs/**"], "write": [], "tools": ["read", "grep"], "network": []},
    "steps": ["files"],
    "roles": ["researcher", "verifier"],
    "verify": ["every passage, by a reader who did not pick it"],
}

AIMS = {
    "for": "that show the claim to be true",
    "against": "that limit the claim, name an exception to it, or show it to be false",
}
BATCH = 3


def read(claim, situations, batch, aim):
    listing = "\n".join(batch)
    return agent(
        f"The claim: {claim}\nFind passages in these documents {AIMS[aim]}. Each is one fact: subject 'the claim', "
        f"attribute the situation it speaks of (one of: {'; '.join(situations)}), value 'holds' or 'does not hold', "
        "source the document, quote the passage word for word. Read the section around a passage before you take it. "
        f"A document that says nothing of it gives no fact.\n{listing}",
        role="researcher",
        output="facts",
        covers=batch,
        workspace="read",
    )


async def main(claim: str, situations: list[str], documents: list[str]) -> dict:
    phase("read")
    every = await step("files", {"workspace": "read", "match": ["docs/*.md"]})
    paths = [path for path in every if path in documents]
    batches = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
    found = await parallel(read(claim, situations, batch, aim) for batch in batches for aim in AIMS)
    phase("check")
    facts = claims(of=found)
    checked = await parallel(
        agent(
            "Try to refute the fact you are shown: does the passage stand there word for word, and does it say that "
            "once the section around it is read?",
            role="verifier",
            about=fact,
            output="verdict",
            workspace="read",
        )
        for fact in facts
    )
    return {
        "result": synthesize(planned=paths),
        "documents_left_out": [path for path in every if path not in documents],
        "not_read": [outcome.reason for outcome in found.failed()],
        "not_checked": [outcome.reason for outcome in checked.failed()],
    }
