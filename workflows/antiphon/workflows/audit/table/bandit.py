"""bandit: security checks on Python's syntax tree."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, Field

from antiphon.subagents.process import Completed
from antiphon.subagents.program import UnreadableOutput
from antiphon.subagents.records import Confidence, Place, Severity, Text
from antiphon.workflows.audit.hits import Hit, Job, Reading, Remark
from antiphon.workflows.audit.table.entry import Asks, Entry, Honouring, file_languages, first_problem

_Level = Literal["LOW", "MEDIUM", "HIGH", "UNDEFINED"]
_SEVERITIES: dict[_Level, Severity] = {"LOW": "low", "MEDIUM": "medium", "HIGH": "high", "UNDEFINED": "info"}
_CONFIDENCES: dict[_Level, Confidence] = {"LOW": "low", "MEDIUM": "medium", "HIGH": "high"}
_QUOTES_SECRETS = frozenset({"B105", "B106", "B107"})


class _Weakness(BaseModel, frozen=True):
    id: Place | None = None


class _Issue(BaseModel):
    """What is read of one of bandit's results."""

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
    def text(self) -> str:
        """What it says; without the password that it quotes, which must not get into reports."""
        return self.issue_text.partition(":")[0] if self.test_id in _QUOTES_SECRETS else self.issue_text

    @property
    def hit(self) -> Hit:
        """The result as we read it. Its own line may lie inside the range it gives: at the call, or the argument."""
        line = max(self.line_number, 1)
        end_line = max(line, *self.line_range, 1)
        return Hit(
            path=self.filename,
            rule=self.test_id,
            text=self.text,
            title=self.title,
            line=line,
            end_line=end_line,
            column=self.col_offset if self.col_offset >= 0 else None,
            # The offset counts on the last line, which bandit does not name; only within one line is it known.
            end_column=self.end_col_offset if line == end_line and self.end_col_offset >= 0 else None,
            columns="utf8",
            severity=_SEVERITIES[self.issue_severity],
            confidence=_CONFIDENCES.get(self.issue_confidence),
            cwe=self.issue_cwe.id if self.issue_cwe else None,
            url=self.more_info,
        )


class _Error(BaseModel):
    filename: Text
    reason: Text


class _Report(BaseModel):
    results: list[_Issue]
    errors: list[_Error]
    metrics: dict[Text, Any] = Field(description="by file that was opened")


def read(output: Completed, job: Job) -> Reading:
    """Read bandit's JSON. Raises `UnreadableOutput`."""
    try:
        report = _Report.model_validate(json.loads(output.stdout))
    except (ValueError, RecursionError) as error:  # what pydantic raises is a ValueError
        raise UnreadableOutput(f"it is not bandit's JSON: {first_problem(error)}", output.stdout) from None
    remarks = tuple(Remark(error.filename, error.reason) for error in report.errors)
    return Reading(tuple(issue.hit for issue in report.results), remarks, frozenset(report.metrics))


ENTRY = Entry(
    tool="bandit",
    home="https://bandit.readthedocs.io/",
    licence="Apache-2.0",
    lineage="bandit",
    asks=Asks(module="bandit", distribution="bandit", oldest=(1, 8)),
    advice="pip install bandit",
    bundled=True,
    languages=file_languages("python"),
    lenses={"security": ()},
    # What it excludes by default matches anywhere in a path, so a project below ~/.tox/ would be left out in
    # silence; "//" is in none of ours, and an empty list would mean the default.
    options=("--quiet", "--format", "json", "--exclude", "//"),
    honouring=Honouring(words=(b"nosec",), method="nosec", ignoring=("--ignore-nosec",)),
    read=read,
    exits=frozenset({0, 1}),
    isolation="given files and no folder it looks for no .bandit file, and without -c it reads no other configuration",
)
