"""Looks evidence up again, in the tree as it is now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from antiphon.subagents.records import CommandRun, Evidence, FileSpan, Resolution, ResolutionState, TestRun, UrlQuote
from antiphon.tracing.log import Json
from antiphon.workflows.report.document import Line, Said
from antiphon.workflows.report.tree import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedUp:
    """A piece of evidence, and what looking it up again came to.

    Attributes:
        evidence: the piece. state, reason: now. then: what the run itself found when it looked again, or None.
    """

    evidence: Evidence
    state: ResolutionState
    reason: str
    then: Resolution | None = None

    def to_json(self) -> dict[str, Json]:
        """All of it."""
        recorded: Json = None if self.then is None else {"state": self.then.state, "reason": self.then.reason}
        content = self.evidence.model_dump(mode="json")
        return {**content, "state": self.state, "reason": self.reason, "recorded": recorded}

    @property
    def words(self) -> Line:
        """For a person."""
        now = {"true": "as it was", "false": "not as it was", "unchecked": "not checked"}[self.state]
        why: Line = (": ", Said(self.reason)) if self.reason else ()
        then: Line = (f"; the run looked again: {self.then.state}",) if self.then else ()
        return (*_what(self.evidence), " ", now, *why, *then)


def look_up(evidence: Evidence, tree: Tree | None, then: Resolution | None) -> LookedUp:
    """Look a piece of evidence up again. Nothing is fetched and nothing is run: only files are read.

    Args:
        evidence: the piece.
        tree: where the files are now, or None if nobody knows.
        then: what the run recorded on it.
    """
    state: ResolutionState = "unchecked"
    match evidence:
        case FileSpan():
            state, reason = tree.look_up(evidence) if tree else (state, "no tree to look at; give it with --tree DIR")
        case UrlQuote():
            reason = "pages are not fetched here"
        case CommandRun():
            reason = "commands are not run here"
        case TestRun():
            reason = "tests are not run here"
        case _:
            assert_never(evidence)
    return LookedUp(evidence=evidence, state=state, reason=reason, then=then)


def _what(evidence: Evidence) -> Line:
    match evidence:
        case FileSpan():
            last = f"-{evidence.end_line}" if evidence.end_line > evidence.start_line else ""
            return (Said(f"{evidence.path}:{evidence.start_line}{last}"),)
        case UrlQuote():
            return (Said(evidence.url), " says ", Said(evidence.quote))
        case CommandRun():
            return ("command ", Said(" ".join(evidence.argv)), f" ended with {evidence.exit}")
        case TestRun():
            return ("test ", Said(evidence.name), " passed" if evidence.passed else " failed")
        case _:
            assert_never(evidence)
