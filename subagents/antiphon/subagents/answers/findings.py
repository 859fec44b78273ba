"""Findings that a model reported, as records. None is dropped: what cannot be placed is kept as malformed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from antiphon.subagents.answers.quotes import Content, Located, Lookup, Pages
from antiphon.subagents.answers.shapes import Findings, Reported
from antiphon.subagents.answers.speaking import Answering
from antiphon.subagents.records import (
    Actor,
    Coverage,
    CoverageState,
    Evidence,
    Finding,
    FindingKey,
    Malformed,
    Resolution,
    ResolutionState,
    canonical,
    capped,
    malformed,
    numbered,
)

_LONGEST_RULE: Final = 80
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")


def findings_records(
    value: Findings, ctx: Answering, actor: Actor, look_up: Lookup | None
) -> Iterator[Finding | Resolution | Malformed | Coverage]:
    """The records of one answer: its findings in order, what became of their quotes, and what was looked at.

    Args:
        value: the answer.
        ctx: the call. What it covers is what it was given to look at; one that covers nothing may speak of any file.
        actor: who says so.
        look_up: the files as they are now; None where nobody can look.
    """
    units = frozenset(ctx.covers)
    given = [one for one in value.findings if not units or one.file in units]
    pages = Pages(look_up)
    located = [pages.locate(one.file, one.line, one.quote) for one in given]
    claims = [_finding(one, where, pages.content(one.file), actor) for one, where in zip(given, located, strict=True)]
    for claim, where in zip(numbered(claims), located, strict=True):
        yield claim
        yield from resolution(claim.id, 0, where, actor)
    for one in value.findings:
        if units and one.file not in units:
            yield _elsewhere(one, ctx, actor)
    unjudged = {one.file: " ".join(one.reason.split()) for one in value.not_judged}
    for unit in ctx.covers:
        yield _coverage(unit, actor, unjudged.get(unit), seen=look_up is None or pages.content(unit) is not None)


def _coverage(unit: str, actor: Actor, unjudged: str | None, *, seen: bool) -> Coverage:
    check = f"{actor.tool}/{actor.lens}" if actor.lens else actor.tool
    state: CoverageState = "done" if unjudged is None else "partial"
    reason = "" if unjudged is None else f"it could not judge all of it: {capped(unjudged)}"
    if not seen:
        state, reason = "failed", "it could not be read again, or changed while it was looked at"
    return Coverage(record="coverage", unit=unit, check=check, state=state, reason=reason)


def resolution(of: str, index: int, where: Located, actor: Actor) -> Iterator[Resolution]:
    """That a piece of evidence is not what the file says, or could not be looked up; nothing where it is."""
    if where.problem:
        state: ResolutionState = "unchecked" if where.unchecked else "false"
        yield Resolution(
            record="resolution", of=of, index=index, state=state, reason=where.problem, actor=_looked_up(actor)
        )


def _looked_up(actor: Actor) -> Actor:
    """We look quotes up, and no model does."""
    return Actor(tool="antiphon", lens=actor.lens, lineage="antiphon/quotes")


def _finding(one: Reported, where: Located, content: Content | None, actor: Actor) -> Finding:
    rule = _NOT_IN_A_NAME.sub("-", one.rule.lower()).strip("-")[:_LONGEST_RULE] or "unnamed"
    line, end = _lines(one, where, content)
    symbol = content.symbol(line) if content is not None and line is not None else ""
    evidence: tuple[Evidence, ...] = (where.evidence,)
    return Finding(
        record="claim",
        sort="finding",
        key=FindingKey(path=one.file, rule=f"CWE-{one.cwe}" if one.cwe else f"model:{rule}", symbol=symbol),
        rule=rule,
        title=rule.replace("-", " "),
        text=capped(" ".join(f"{one.message} {one.why}".split())) or rule,
        severity=one.severity,
        severity_by=actor.tool,
        line=line,
        end_line=end,
        cwe=one.cwe,
        actor=actor,
        confidence=one.confidence,
        evidence=evidence,
    )


def _lines(one: Reported, where: Located, content: Content | None) -> tuple[int | None, int | None]:
    """The lines that it is about: where its words were found, else where it says, if the file has that line."""
    if not where.problem:
        return where.evidence.start_line, where.evidence.end_line
    if content is None or one.line > len(content.lines):
        return None, None
    return one.line, min(max(one.end_line or one.line, one.line), len(content.lines))


def _elsewhere(one: Reported, ctx: Answering, actor: Actor) -> Malformed:
    raw = canonical(one.model_dump(mode="json")).encode()
    return malformed(actor, raw, "it is about a file that this call was not given", ctx.covers)
