"""Classes, an enumeration and dataclasses: a board of reviewers, and a decision with its reasons."""

from dataclasses import dataclass, field
from enum import Enum

from antiphon.workflows.script import agent, branch, parallel, phase

manifest = {"name": "review-board", "phases": ["review", "decide"], "roles": ["scorer", "worker"]}

PAPERS = ["one", "two"]


class Verdict(Enum):
    ACCEPT = "accept"
    REVISE = "revise"
    REJECT = "reject"


@dataclass
class Review:
    reviewer: str
    score: int
    notes: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        if self.score > 6:
            return Verdict.ACCEPT
        return Verdict.REVISE if self.score > 2 else Verdict.REJECT


class Reviewer:
    def __init__(self, name: str):
        self.name = name

    def task(self, paper: str) -> str:
        return f"As {self.name}, score {paper}"

    async def review(self, paper: str) -> Review:
        return Review(self.name, await agent(self.task(paper), role="scorer", output=int))


class Strict(Reviewer):
    def task(self, paper: str) -> str:
        return super().task(paper) + ", strictly"

    async def review(self, paper: str) -> Review:
        review = await super().review(paper)
        review.notes.append(await agent(f"Why {review.score} for {paper}?", role="worker"))
        return review


async def main(papers: list[str] = PAPERS):
    board = [Reviewer("ada"), Strict("bo"), Reviewer("cy")]
    decided = {}
    for paper in papers:
        phase("review")
        reviews = await parallel([reviewer.review(paper) for reviewer in board])
        phase("decide")
        kept = reviews.succeeded()
        counts = {verdict.value: sum(one.verdict is verdict for one in kept) for verdict in Verdict}
        last = await branch(f"last-{paper}", agent(f"Sum up {paper}: {counts}", role="worker"))
        decided[paper] = {"counts": counts, "notes": [note for one in kept for note in one.notes], "last": last.value}
    return decided
