# antiphon: planned api-usage 348cc510
from antiphon.workflows.script import agent, claims, parallel, phase, step, synthesize

manifest = {
    "name": "lost-failures",
    "description": "Places where a failure of subprocess, files or json is lost, each attacked by two verifiers.",
    "phases": ["list", "locate", "find", "refute"],
    "limits": {"usd": "2", "agent_calls": 40, "wall_seconds": 7200},
    "scope": {"read": ["**/*.py"], "write": [], "tools": ["read", "grep"], "network": []},
    "steps": ["files"],
    "roles": ["worker", "auditor", "verifier"],
    "verify": ["every finding, by two verifiers with different stances"],
}

USES = {
    "type": "object",
    "properties": {
        "uses": {
            "type": "array",
            "maxItems": 100,
            "items": {
                "type": "object",
                "properties": {"file": {"type": "string"}, "lines": {"type": "array", "items": {"type": "integer"}}},
                "required": ["file", "lines"],
            },
        }
    },
    "required": ["uses"],
}

STANCES = {
    "handled": "Assume that the failure is told to the caller in another way: find where.",
    "intended": "Assume that the docstring or a comment promises exactly this: find the words.",
}
BATCH = 3
MOST = 12


async def main(match: list[str] = ["**/*.py"]) -> dict:
    phase("list")
    every = await step("files", {"workspace": "read", "match": match})
    phase("locate")
    located = await agent(
        "Use grep to find which of the files you cover use subprocess, open or os calls on files, or json of the "
        "standard library, and on which lines. Name each file as it is listed.",
        role="worker",
        output=USES,
        covers=every,
        workspace="read",
    )
    paths = sorted({use["file"] for use in located["uses"]})
    phase("find")
    groups = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
    found = await parallel(look(group) for group in groups)
    phase("refute")
    every_claim = claims(of=found)
    judged = await parallel(attack(claim) for claim in every_claim[:MOST])
    return {
        "result": synthesize(planned=every),
        "batches_failed": [outcome.reason for outcome in found.failed()],
        "voices_failed": [outcome.reason for outcome in judged.failed()]
        + [reason for outcome in judged if outcome.kind in ("succeeded", "degraded") for reason in outcome.value],
        "not_attacked": [claim.text for claim in every_claim[MOST:]],
    }


def look(group):
    listing = "\n".join(group)
    return agent(
        "Find each place in these files where a failure of subprocess, of open or an os call on a file, or of json is "
        "lost: caught, ignored (also a return value that tells it), or turned into an answer that the caller cannot "
        f"tell from another. Read each file whole; quote the exact line.\n{listing}",
        role="auditor",
        output="findings",
        covers=group,
        workspace="read",
    )


async def attack(claim):
    voices = await parallel(
        agent(
            f"Try to refute the finding you are shown. {stance} Look at the code yourself.",
            role="verifier",
            about=claim,
            output="verdict",
            workspace="read",
        )
        for stance in STANCES.values()
    )
    return [outcome.reason for outcome in voices.failed()]
