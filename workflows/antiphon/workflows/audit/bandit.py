"""bandit as a program agent."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, Field

from antiphon.engine.amount import Amount
from antiphon.subagents.process import Completed
from antiphon.subagents.program import Invocation, UnreadableOutput
from antiphon.subagents.records import (
    Actor,
    Claim,
    Confidence,
    Coverage,
    CoverageState,
    Key,
    Place,
    Record,
    Severity,
    Text,
    capped,
    numbered,
)
from antiphon.workflows.audit.ruff import first_problem
from antiphon.workflows.audit.sources import Source, Sources

ADVICE = "pip install bandit"
_Level = Literal["LOW", "MEDIUM", "HIGH", "UNDEFINED"]
_SEVERITIES: dict[_Level, Severity] = {"LOW": "low", "MEDIUM": "medium", "HIGH": "high", "UNDEFINED": "info"}
_CONFIDENCES: dict[_Level, Confidence] = {"LOW": "low", "MEDIUM": "medium", "HIGH": "high"}
_SILENCER = b"nosec"
_UNSEEN = "bandit did not look at it, and did not say why"
# Isolated from the environment and the working folder: with plain -m, a yaml.py lying there would be imported.
COMMAND = (sys.executable, "-I", "-m", "bandit")


class _Weakness(BaseModel, frozen=True):
    id: Place | None = None


class _Issue(BaseModel, frozen=True):
    """What is read of one of bandit's results. Frozen, so that equal ones of two reports can be matched."""

    filename: Text
    test_id: Text
    test_name: Text
    issue_text: Text
    issue_severity: _Level
    issue_confidence: _Level
    line_number: int
    line_range: tuple[int, ...]
    col_offset: int = -1
    end_col_offset: int = -1
    more_info: Text | None = None
    issue_cwe: _Weakness | None = None

    @property
    def title(self) -> str:
        """The check's name. All that look for names on a list are called "blacklist"; the page's address says which."""
        _, _, anchor = (self.more_info or "").partition(f"#{self.test_id.lower()}-")
        return anchor if anchor and self.test_name == "blacklist" else self.test_name

    @property
    def lines(self) -> tuple[int, int]:
        """First and last line. Its own line may lie inside the range it gives: at the call, or at the argument."""
        line = max(self.line_number, 1)
        return line, max(line, *self.line_range, 1)


class _Error(BaseModel):
    filename: Text
    reason: Text


class _Report(BaseModel):
    results: list[_Issue]
    errors: list[_Error]
    metrics: dict[Text, Any] = Field(description="by file that was opened")


@dataclass(frozen=True, slots=True)
class Bandit:
    """bandit over the files of a survey.

    Attributes:
        sources: the audited files. version: as bandit says it.
    """

    sources: Sources
    version: str

    @property
    def actor(self) -> Actor:
        """Who its claims come from."""
        return Actor(tool="bandit", version=self.version, lens="security", lineage="bandit")

    @property
    def check(self) -> str:
        """The name of the check in coverage."""
        return "bandit/security"

    @property
    def advice(self) -> str:
        """What to install where it is missing."""
        return ADVICE

    @property
    def floor(self) -> Amount:
        """Two commands: everything, and again with the author's suppressions honoured where there may be any."""
        return Amount(tool_calls=2)

    def invocations(self, units: Sequence[str]) -> Sequence[Invocation]:
        """All findings of these files; and, of files that mention nosec, which are left when bandit honours it."""
        everything = self._invocation("bandit", ("--ignore-nosec",), units)
        silencing = [unit for unit, source in self.sources.now(units).items() if _may_silence(source)]
        if not silencing:
            return [everything]
        return [everything, self._invocation("bandit, suppressions honoured", (), silencing)]

    def _invocation(self, name: str, options: tuple[str, ...], units: Iterable[str]) -> Invocation:
        # Given files and no folder, bandit looks for no .bandit file, and without -c it reads no other configuration.
        # What it excludes by default matches anywhere in a path, so a project below ~/.tox/ would be left out in
        # silence; "//" is in none of ours, and an empty list would mean the default.
        fixed = ("--quiet", "--format", "json", "--exclude", "//")
        paths = [self.sources.path(unit) for unit in units]
        return Invocation(name=name, argv=(*COMMAND, *fixed, *options, "--", *paths), exits=frozenset({0, 1}))

    def read(self, units: Sequence[str], outputs: Sequence[Completed]) -> Sequence[Record]:
        """Claims, and coverage of every unit."""
        report, *honouring = [_report(output) for output in outputs]
        kept = {item for other in honouring for item in other.results}
        sources = self.sources.now(units)
        silencing = {unit for unit, source in sources.items() if _may_silence(source)}
        claims: list[Claim] = []
        for item in report.results:
            unit = self.sources.unit(item.filename)
            if unit is None or unit not in sources:
                raise UnreadableOutput(f"it names a file it was not given: {item.filename!r}", outputs[0].stdout)
            silenced = unit in silencing and item not in kept
            claims.append(self._claim(unit, item, sources[unit], silenced=silenced))
        return [*numbered(claims), *self._coverage(report, sources)]

    def _coverage(self, report: _Report, sources: Mapping[str, Source | None]) -> Iterable[Coverage]:
        problems = {self.sources.unit(error.filename): error.reason for error in report.errors}
        looked_at = {self.sources.unit(name) for name in report.metrics}
        for unit, source in sources.items():
            problem = problems.get(unit) or (None if unit in looked_at else _UNSEEN)
            state: CoverageState = "failed" if problem else "done"
            if problem is None and (problem := self.sources.problem(unit, source)):
                state = "partial"
            yield Coverage(record="coverage", unit=unit, check=self.check, state=state, reason=problem or "")

    def _claim(self, unit: str, item: _Issue, source: Source | None, *, silenced: bool) -> Claim:
        line, end_line = item.lines
        evidence = source.evidence(line, end_line) if source else None
        return Claim(
            record="claim",
            sort="finding",
            key=Key(path=unit, rule=f"bandit:{item.test_id}", symbol=source.symbol(line) if source else ""),
            rule=item.test_id,
            title=item.title,
            text=capped(item.issue_text),
            severity=_SEVERITIES[item.issue_severity],
            severity_by="bandit",
            actor=self.actor,
            confidence=_CONFIDENCES.get(item.issue_confidence),
            evidence=(evidence,) if evidence else (),
            line=line,
            column=_column(source, line, item.col_offset),
            end_line=end_line,
            # The offset counts on the last line, which bandit does not name; only within one line is it known.
            end_column=_column(source, line, item.end_col_offset) if line == end_line else None,
            suppressed="nosec" if silenced else None,
            cwe=item.issue_cwe.id if item.issue_cwe else None,
            url=item.more_info,
        )


def _column(source: Source | None, line: int, offset: int) -> int | None:
    return source.column(line, offset) if source and offset >= 0 else None


def _may_silence(source: Source | None) -> bool:
    return source is not None and source.mentions(_SILENCER)


def _report(output: Completed) -> _Report:
    try:
        return _Report.model_validate(json.loads(output.stdout))
    except (ValueError, RecursionError) as error:  # what pydantic raises is a ValueError
        raise UnreadableOutput(f"it is not bandit's JSON: {first_problem(error)}", output.stdout) from None
