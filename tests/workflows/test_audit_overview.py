"""What the terminal says beside the number of findings: what is in the report and not counted, and who says so."""

import pytest

from antiphon.subagents.records import Actor, Finding, FindingKey, Verdict, author_verdict
from antiphon.workflows.audit.sarif_import import REVIEWER
from antiphon.workflows.cli.audit_output import beside
from antiphon.workflows.synthesis import synthesize

SECOND = Actor(tool="second", lineage="second")


def finding(line: int) -> Finding:
    """Two of them are of one cluster."""
    return Finding(
        record="claim",
        sort="finding",
        key=FindingKey(path="a.py", rule="t:R", symbol="main"),
        rule="R",
        title="R",
        text="R is bad",
        severity="high",
        severity_by="t",
        actor=Actor(tool="t", lineage="t"),
        line=line,
    )


ONE, TWO = finding(1), finding(9)


def refuting(claim: Finding, actor: Actor) -> Verdict:
    return Verdict(record="verdict", of=claim.id, stance="refute", actor=actor, method="look", reason="it is not so")


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ([], ""),
        ([refuting(ONE, REVIEWER)], ""),
        ([refuting(ONE, REVIEWER), refuting(TWO, REVIEWER)], "; 1 set aside by a reviewer"),
        ([refuting(ONE, REVIEWER), author_verdict(TWO, "noqa")], "; 1 set aside by a reviewer"),
        ([author_verdict(ONE, "noqa"), author_verdict(TWO, "noqa")], "; 1 set aside by the code's authors"),
        ([refuting(ONE, SECOND), refuting(TWO, SECOND)], "; 1 refuted by a second look"),
        ([refuting(ONE, REVIEWER), refuting(TWO, SECOND)], "; 1 refuted by a second look"),
    ],
    ids=["nobody", "half", "reviewer", "reviewer and author", "author", "second look", "reviewer and second look"],
)
def test_who_says_of_a_finding_that_it_does_not_stand(verdicts: list[Verdict], said: str) -> None:
    assert beside(synthesize([ONE, TWO, *verdicts], {})) == said


def test_each_sort_is_counted_apart() -> None:
    other = ONE.model_copy(update={"key": FindingKey(path="b.py", rule="t:R", symbol="main")})
    found = synthesize([ONE, refuting(ONE, REVIEWER), other, refuting(other, SECOND)], {})
    assert beside(found) == "; 1 refuted by a second look and 1 set aside by a reviewer"
