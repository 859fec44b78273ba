"""The second look at one file: a pure function of its findings, its content and what the tree mentions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from antiphon.subagents.records import Finding, Resolution, Verdict
from antiphon.workflows.audit.second_look.actors import PRECONDITION, second_look
from antiphon.workflows.audit.second_look.agreement import agreements
from antiphon.workflows.audit.second_look.cases import Answer, Case, unsure
from antiphon.workflows.audit.second_look.code import Code
from antiphon.workflows.audit.second_look.origins import Tracer
from antiphon.workflows.audit.second_look.resolving import holds, resolutions
from antiphon.workflows.audit.second_look.table import CHECKS
from antiphon.workflows.audit.second_look.words import Words
from antiphon.workflows.audit.sources import Source

METHOD = "precondition"
MOST_CHECKED = 2_000
"""Findings of one file whose preconditions are looked at; what is beyond is said of each."""


def look(
    findings: Iterable[Finding], source: Source | None, words: Words | None = None, *, code: Code | None = None
) -> list[Verdict | Resolution]:
    """Everything the second look says of one file without running anything, in an order of its own.

    Args:
        findings: of this file, of any tools.
        source: the file as it is now; None if it cannot be read.
        words: what the whole tree mentions; None where nobody counted, and then less can be told.
        code: of this source, if it was read already.
    """
    ordered = sorted({finding.id: finding for finding in findings}.values(), key=lambda finding: finding.id)
    said: list[Verdict | Resolution] = [record for finding in ordered for record in resolutions(finding, source)]
    said += agreements(ordered)
    if source is not None:
        said += _preconditions([finding for finding in ordered if holds(finding, source)], source, words, code)
    return said


def _preconditions(
    findings: Sequence[Finding], source: Source, words: Words | None, code: Code | None
) -> Iterable[Verdict]:
    checked = [finding for finding in findings if finding.key.rule in CHECKS]
    code = code or (Code.of(source) if checked else None)
    if code is None:
        return
    tracer = Tracer(code)
    for count, finding in enumerate(checked):
        answer = unsure(f"this file has more than {MOST_CHECKED:,} findings, and this is beyond them")
        if count < MOST_CHECKED:
            answer = _answer(Case(finding, code, tracer, words))
        yield verdict(finding, answer, code)


def _answer(case: Case) -> Answer:
    try:
        return CHECKS[case.finding.key.rule](case)
    except RecursionError:
        return unsure("the code here is nested too deep to be looked at")


def verdict(finding: Finding, answer: Answer, code: Code) -> Verdict:
    """An answer as a record."""
    evidence = code.evidence(answer.at) if answer.at is not None else None
    return Verdict(
        record="verdict",
        of=finding.id,
        stance=answer.stance,
        actor=second_look(PRECONDITION),
        method=METHOD,
        reason=answer.reason,
        evidence=(evidence,) if evidence else finding.evidence,
    )
