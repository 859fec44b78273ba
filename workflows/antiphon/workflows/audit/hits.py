"""What a reader makes of a tool's output: hits, and which files the tool had trouble with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from antiphon.subagents.records import Confidence, Severity
from antiphon.workflows.audit.sources import Source

Columns = Literal["characters", "utf8", "utf16"]
"""How a tool counts columns: characters from 1, bytes of the UTF-8 line from 0, or UTF-16 units from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One thing that a tool reports. Frozen, so that equal ones of two outputs can be matched.

    Attributes:
        path: the file as the tool names it. rule: the rule as the tool calls it.
        text: what the tool says here. title: the rule in words.
        line, end_line, column, end_column: where, as the tool counts (`columns`); None where it does not say.
        severity, confidence, cwe: the tool's own, or None where it states none.
        url: the rule's page. fingerprint: the tool's own name for this finding.
        silenced: the sort of comment that sets it aside, where the tool itself says so.
    """

    path: str
    rule: str
    text: str
    title: str = ""
    line: int | None = None
    end_line: int | None = None
    column: int | None = None
    end_column: int | None = None
    columns: Columns = "characters"
    severity: Severity | None = None
    confidence: Confidence | None = None
    cwe: int | None = None
    url: str | None = None
    fingerprint: str = ""
    silenced: str | None = None


def column_of(source: Source | None, hit: Hit, line: int | None, column: int | None) -> int | None:
    """A column of a hit, from 1 in characters; None where its line would have to be read and cannot be."""
    if hit.columns == "characters" or column is None:
        return column
    return source.column(line, column, hit.columns) if source and line else None


@dataclass(frozen=True, slots=True)
class Remark:
    """What a tool says of a file that it could not look at, or not wholly."""

    path: str
    reason: str
    state: Literal["failed", "partial"] = "failed"


@dataclass(frozen=True, slots=True)
class Reading:
    """One output, read.

    Attributes:
        hits: what it reports. remarks: which files it had trouble with.
        looked_at: the files it says it opened, or None for a tool that does not say.
        failure: why it looked at none of them, and would not if it were asked for fewer; "" if it did.
    """

    hits: tuple[Hit, ...] = ()
    remarks: tuple[Remark, ...] = ()
    looked_at: frozenset[str] | None = None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """What a reader knows of the call whose output it reads.

    Attributes:
        lens: the view that was asked for. root: the audited folder, absolute.
    """

    lens: str
    root: str
