"""Quorum: three verifiers, two votes decide. One cannot reach its provider: it abstains, and is not counted as a no.

antiphon run examples/quorum.py
"""

from typing import Literal

from antiphon.workflows.script import CallContext, InfrastructureError, agent, function_agent, quorum

manifest = {"name": "quorum", "roles": ["verifier"]}

Position = Literal["refute", "confirm", "cannot_tell"]
STANCES = [
    "Assume the check exists elsewhere: find it.",
    "Assume the path is unreachable: show it.",
    "Assume the framework does it: prove it.",
]


@function_agent("verifier", output=Position)
async def verifier(task: str, ctx: CallContext) -> Position:
    """Each verifier sees the finding and its own stance, and nothing of the others."""
    (stance,) = ctx.frames
    if "unreachable" in str(stance):
        raise InfrastructureError("network", "no route to the provider")
    return "refute"


def refuted(position: str) -> bool | None:
    """A vote: True, False, or None for an abstention."""
    return {"refute": True, "confirm": False}.get(position)


async def main(finding: str = "admin page has no login check") -> dict[str, object]:
    """Every vote is kept, also the one that was not cast."""
    tally = await quorum(
        [agent(f"Try to refute: {finding}", role="verifier", context=[stance]) for stance in STANCES],
        need=2,
        vote=refuted,
    )
    return {"refuted": tally.decided, "votes": list(tally.votes)}
