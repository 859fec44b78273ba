"""What a call is about, as its model is shown it: what is claimed and where, not by whom nor how sure they were."""

from __future__ import annotations

from typing import Final
from weakref import WeakKeyDictionary

from pydantic import ValidationError

from antiphon.engine import CallContext, Run
from antiphon.subagents.records import Claim, Fact, FileSpan, Finding, Passage, Patch, UrlQuote, from_json
from antiphon.tracing import Json

SHOWN: Final = "claim"
"""A script that shows the record itself does so under this name of a frame; then it is not shown twice."""


class _Known:
    """The claims of one run that were read so far, by id."""

    def __init__(self) -> None:
        self.read = 0
        self.claims: dict[str, Claim] = {}

    def up_to_now(self, run: Run) -> dict[str, Claim]:
        for recorded in run.records[self.read :]:
            self.read += 1
            if recorded.record.get("record") != "claim":
                continue
            try:
                claim = from_json(recorded.record, branch=recorded.path)
            except ValidationError:  # of a log from elsewhere: whoever needs it says so
                continue
            if isinstance(claim, Finding | Fact | Passage | Patch):
                self.claims[claim.id] = claim
        return self.claims


_KNOWN: Final[WeakKeyDictionary[Run, _Known]] = WeakKeyDictionary()


def judged(ctx: CallContext) -> Json:
    """The claim that a call is about; its id where the run has no such claim, or a frame shows it already."""
    if ctx.about is None or any(isinstance(frame, dict) and SHOWN in frame for frame in ctx.frames):
        return ctx.about
    known = _KNOWN.setdefault(ctx.run, _Known())
    claim = known.up_to_now(ctx.run).get(ctx.about)
    return ctx.about if claim is None else {"id": ctx.about, **_said(claim), "rests_on": _rests_on(claim)}


def _said(claim: Claim) -> dict[str, Json]:
    match claim:
        case Finding(key=key):
            where: dict[str, Json] = {"file": key.path, "line": claim.line, "end_line": claim.end_line}
            return {**where, "symbol": key.symbol, "rule": key.rule, "severity": claim.severity, "says": claim.text}
        case Fact(key=key):
            of: dict[str, Json] = {"subject": key.subject, "attribute": key.attribute}
            return {**of, "qualifiers": dict(key.qualifiers), "value": claim.value, "says": claim.text}
        case Patch(key=key):
            lines: dict[str, Json] = {"file": key.path, "lines": [key.start_line, key.end_line]}
            return {**lines, "replacement": claim.replacement, "says": claim.text}
        case Passage():
            return {"says": claim.text}


def _rests_on(claim: Claim) -> list[Json]:
    """The places that it names, so that whoever judges it can look there."""
    named: list[Json] = []
    for piece in claim.evidence:
        if isinstance(piece, FileSpan):
            named.append({"file": piece.path, "lines": [piece.start_line, piece.end_line]})
        elif isinstance(piece, UrlQuote):
            named.append({"url": piece.url, "quote": piece.quote})
    return named
