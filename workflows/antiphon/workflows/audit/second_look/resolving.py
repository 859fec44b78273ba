"""Looks up again what findings rest on. That it is still there confirms nothing; that it is not is worth saying."""

from __future__ import annotations

from collections.abc import Iterator

from antiphon.subagents.records import Evidence, FileSpan, Finding, Resolution, ResolutionState
from antiphon.workflows.audit.second_look.actors import PRECONDITION, second_look
from antiphon.workflows.audit.sources import Source


def resolutions(finding: Finding, source: Source | None) -> Iterator[Resolution]:
    """One record for each piece of a finding's evidence.

    Args:
        finding: whose evidence.
        source: the file that the finding is in, as it is now; None if it cannot be read.
    """
    actor = second_look(PRECONDITION)
    for index, evidence in enumerate(finding.evidence):
        state, reason = _state(evidence, finding, source)
        yield Resolution(record="resolution", of=finding.id, index=index, state=state, reason=reason, actor=actor)


def holds(finding: Finding, source: Source) -> bool:
    """Whether the file is still as the finding says: none of its evidence there has changed."""
    return all(_state(evidence, finding, source)[0] != "false" for evidence in finding.evidence)


def _state(evidence: Evidence, finding: Finding, source: Source | None) -> tuple[ResolutionState, str]:
    if not isinstance(evidence, FileSpan):
        return "unchecked", "only lines of files are looked up here"
    if evidence.path != finding.key.path:
        return "unchecked", "it is in another file than the finding"
    if source is None:
        return "unchecked", "the file could not be read again"
    now = source.evidence(evidence.start_line, evidence.end_line)
    if now is None or now.end_line != evidence.end_line:
        return "false", "the file has no such lines any more"
    return ("true", "") if now.sha256 == evidence.sha256 else ("false", "the lines are not as they were")
