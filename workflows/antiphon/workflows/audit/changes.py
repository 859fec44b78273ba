"""`--since REF`: the audit of an earlier revision, to compare this one with; and what could not be compared.

The files of the revision are written into a private folder and audited there as a run of its own, with the same
lenses and patterns. Calls of this audit that see the same files take their results from it, so what did not change is
looked at once. Its SARIF log is the baseline, and is kept with this run.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from antiphon.tracing import Json
from antiphon.workflows.audit.models.dividing import AUDITOR
from antiphon.workflows.audit.revision import Revision, RevisionError, read_revision, repository_of, write_revision
from antiphon.workflows.audit.sarif_import import ROLE
from antiphon.workflows.audit.survey import Survey
from antiphon.workflows.baseline import Looked, SarifLog, Sighting, read_sarif
from antiphon.workflows.report import About
from antiphon.workflows.running import Ended
from antiphon.workflows.synthesis import Synthesis

_EMPTY = '{"version": "2.1.0", "runs": []}'
_SKIPPED_TOLD = 3


class Interrupted(RevisionError):
    """Somebody stopped the audit of the revision. Nothing of this audit has begun, so there is nothing to resume."""

    exit_code = 130

    def __init__(self, revision: str, reason: str) -> None:
        super().__init__(revision, f"the audit of that revision was stopped: {reason}", "type the same command again")


@dataclass(frozen=True, slots=True)
class Before:
    """An earlier audit to compare with.

    Attributes:
        log: its SARIF log. text: the same as it is kept with this run, or "" where it is somebody's file already.
        facts: where it comes from, kept beside it. notes: what the report must say of it.
        commit: the full name of the git revision, "" where it is none.
    """

    log: SarifLog
    text: str = ""
    facts: Mapping[str, Json] | None = None
    notes: tuple[str, ...] = ()
    commit: str = ""

    def files(self) -> dict[str, str]:
        """What is kept of it beside the report, by name."""
        if not self.text:
            return {}
        return {"before.sarif": self.text, "before.json": json.dumps(self.facts, indent=1) + "\n"}


AuditTree = Callable[[Path, Path], Awaitable[Ended]]
"""Audits what is at the first path as a run in a new directory, the second."""


async def before_of(target: Path, said: str, audit_tree: AuditTree, *, commit: str = "") -> Before:
    """Audit the files of a git revision. Nothing is left behind, and nothing of the user's repository is touched.

    Args:
        target: the folder or file that is audited.
        said: the revision, as it was typed.
        audit_tree: audits what is at a path.
        commit: what the revision was when the run began, if it is resumed: a branch may have moved since.

    Raises:
        RevisionError: there is no such revision, its files cannot be had, or its audit did not get to its end.
    """
    root, folder = await anyio.to_thread.run_sync(_folder_of, target)
    repository = await anyio.to_thread.run_sync(repository_of, folder, said)
    revision = await anyio.to_thread.run_sync(read_revision, repository, commit or said, folder)
    private = Path(await anyio.to_thread.run_sync(tempfile.mkdtemp, None, "antiphon-since-"))
    try:
        tree = private / "tree"
        tree.mkdir()
        unwritten = await anyio.to_thread.run_sync(write_revision, repository, revision, tree)
        there = tree if root == folder else tree / root.name
        ended = await audit_tree(there, private / "run") if there.exists() else None
        text = await anyio.to_thread.run_sync(_report, ended, said)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(shutil.rmtree, private, True)
    source = f"{said} ({revision.commit[:12]})"
    log = read_sarif(text, source)
    skipped = (*revision.skipped, *unwritten)
    facts: dict[str, Json] = {
        "since": said,
        "commit": revision.commit,
        "files": len(revision.blobs),
        "skipped": [[omission.unit, omission.reason] for omission in skipped],
        "audit": _facts(ended),
    }
    return Before(log, text, facts, tuple(_notes(said, revision, len(skipped), ended)), revision.commit)


def _folder_of(target: Path) -> tuple[Path, Path]:
    """The audited path, and the folder that its files are named relative to."""
    root = target.resolve()
    return root, root if root.is_dir() else root.parent


def _report(ended: Ended | None, said: str) -> str:
    if ended is None:
        return _EMPTY
    reason = ended.result.reason or ended.result.kind
    if ended.result.kind in ("paused", "stopped"):
        raise Interrupted(said, reason)
    if ended.result.kind not in ("completed", "degraded"):
        raise RevisionError(said, f"the audit of that revision did not get to its end: {reason}", "try --baseline RUN")
    return (ended.place.directory / "report.sarif").read_text("utf-8")


def _facts(ended: Ended | None) -> Json:
    if ended is None:
        return None
    return {
        "kind": ended.result.kind,
        "head": ended.head,
        "spent": dict(ended.result.spent.to_json()),
        "calls": {title: dict(census.to_json()) for title, census in ended.result.calls.items()},
    }


def _notes(said: str, revision: Revision, skipped: int, ended: Ended | None) -> list[str]:
    notes: list[str] = []
    if ended is None:
        notes.append(f"What is audited is not in {said}, so everything is new.")
    elif ended.result.kind == "degraded":
        notes.append(
            f"The audit of {said} was degraded, so some of what is called new may be old: {ended.result.reason}"
        )
    if skipped:
        first = ", ".join(f"{one.unit} ({one.reason})" for one in revision.skipped[:_SKIPPED_TOLD])
        more = f", and {skipped - _SKIPPED_TOLD} more" if skipped > _SKIPPED_TOLD else ""
        notes.append(f"Not compared, as {said} has no plain file there: {first}{more}; what is found in them is new.")
    return notes


def looked_for(survey: Survey, found: Synthesis, lenses: tuple[str, ...], about: About) -> Looked:
    """Says of a result of the earlier log why this audit could not have found it again, or None if it could.

    Args:
        survey: what there was to look at.
        found: what the audit says, with its gaps.
        lenses: the views that were asked for; none for all.
        about: which tools took part, by themselves or in a SARIF file that was given.
    """
    own, given = ({tool.lower() for tool in tools} for tools in (about.tools, about.imported))
    omitted = {omission.unit: omission.reason for omission in (*survey.left_out, *survey.gaps)}
    failed = {(gap.unit, gap.check.partition("/")[0]): gap for gap in found.coverage.gaps if gap.check}

    def looked(sighting: Sighting) -> str | None:
        if sighting.lens == ROLE:  # what was asked of our analysers, and what they passed over, is nothing to it
            return None if sighting.tool in given else f"no readable log of {sighting.tool} was given this time"
        if lenses and sighting.lens not in lenses:
            return f"the lens {sighting.lens} was not asked for" if sighting.lens else "only some lenses were asked for"
        if sighting.lens and sighting.tool not in own:  # a log of that tool says nothing of what ours would find
            return f"{sighting.tool} did not take part"
        if sighting.tool == AUDITOR:
            return "models were asked anew, and what they are silent about is not known to be gone"
        if reason := _omitted(sighting.uri, omitted):
            return reason
        gap = failed.get((sighting.uri, sighting.tool))
        return f"{gap.check} did not get through {gap.unit}: {gap.reason}" if gap else None

    return looked


def _omitted(unit: str, omitted: Mapping[str, str]) -> str | None:
    """Why a file is not looked at: it, or a folder around it, is left out or cannot be read."""
    if unit in omitted:
        return f"not looked at: {omitted[unit]}"
    parts = unit.split("/")
    folders = ("/".join(parts[:count]) + "/" for count in range(1, len(parts)))
    return next((f"not looked at: {omitted[folder]}" for folder in folders if folder in omitted), None)
