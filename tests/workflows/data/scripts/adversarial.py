"""Every finding meets three verifiers of different stances; two of them decide."""

from antiphon.workflows.script import agent, claims, parallel, phase, quorum, synthesize

manifest = {"name": "adversarial", "phases": ["find", "refute"], "roles": ["auditor", "verifier"]}

FILES = ["a.py", "b.py", "c.py"]
STANCES = [
    "Assume the check exists elsewhere: find it.",
    "Assume the path is unreachable: show it.",
    "Assume the framework does it: prove it.",
]


def refuted(answer):
    return {"refute": True, "confirm": False}.get(answer["position"])


async def main(files: list[str] = FILES):
    phase("find")
    found = await parallel(agent(f"Audit {file}", role="auditor", covers=[file]) for file in files)
    phase("refute")
    known = claims(of=found)
    tallies = await parallel(
        quorum(
            [agent(f"Try to refute: {one.title}", role="verifier", context=[stance], about=one) for stance in STANCES],
            need=2,
            vote=refuted,
        )
        for one in known
    )
    said = {}
    for one, outcome in zip(known, tallies, strict=True):
        said[one.title] = [outcome.value.decided, list(outcome.value.votes)]
    merged = synthesize(planned=files)
    return {"said": said, "clusters": len(merged.clusters), "conflicts": len(merged.conflicts)}
