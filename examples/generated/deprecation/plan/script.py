# antiphon: planned deprecation 9a87dcb5
from antiphon.workflows.script import agent, claims, parallel, phase, step, synthesize

manifest = {
    "name": "migration-plan",
    "description": "Each edit that takes a code base off deprecated calls, checked by another agent; nothing is changed.",
    "phases": ["list", "propose", "attack"],
    "limits": {"usd": "2", "agent_calls": 40, "wall_seconds": 7200},
    "scope": {"read": ["**/*.py", "README.md"], "write": [], "tools": ["read", "grep"], "network": []},
    "steps": ["files"],
    "roles": ["researcher", "verifier"],
    "verify": ["every edit, against the other files of the shop"],
}

MOST_EDITS = 20


def propose(path, deprecated):
    return agent(
        f"Which edits does {path} need so that it no longer uses any of: {', '.join(deprecated)}? What works today must "
        "work after it: times with and without tzinfo must not be compared, formats that are stored or shown must stay, "
        "and a loop must be had where one is needed: say whether a loop runs at that place and in which thread. A thing of "
        "the same name that is not deprecated needs no edit. Read who uses the file. Each edit is one fact: subject the file and "
        "line, attribute 'edit', value the new code of that line, statement why, with the line as it is now as quote. "
        "If no edit is needed, hand back no facts.",
        role="researcher",
        output="facts",
        covers=[path],
        workspace="read",
    )


async def main(deprecated: list[str], match: list[str] = ["**/*.py"]) -> dict:
    phase("list")
    paths = await step("files", {"workspace": "read", "match": match})
    phase("propose")
    plans = await parallel(propose(path, deprecated) for path in paths)
    phase("attack")
    edits = claims(of=plans)
    verdicts = await parallel(
        agent(
            "Try to refute that the edit you are shown keeps everything working. Look at the line, at every other file "
            "that uses it, at what is stored or shown, and at whether a loop runs there.",
            role="verifier",
            about=edit,
            output="verdict",
            workspace="read",
        )
        for edit in edits[:MOST_EDITS]
    )
    return {
        "edits": synthesize(planned=paths),
        "files_failed": [outcome.reason for outcome in plans.failed()],
        "checks_failed": [outcome.reason for outcome in verdicts.failed()],
        "not_checked": [edit.text for edit in edits[MOST_EDITS:]],
    }
