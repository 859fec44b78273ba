"""What a synthesis says of what was looked at, and what was not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

GapState = Literal["unreadable", "failed", "partial", "missing", "unread"]


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that was not looked at, or not wholly.

    Attributes:
        unit: what. check: by whom, "" where it is nobody in particular.
        state: unreadable (the survey could not read it), failed or partial (the check says so), missing (planned, and
            nothing came back), unread (no check reads such files).
    """

    unit: str
    check: str
    state: GapState
    reason: str


@dataclass(frozen=True, slots=True)
class CheckCoverage:
    """How far one check got: numbers of units."""

    check: str
    planned: int
    done: int
    partial: int
    failed: int
    missing: int


@dataclass(frozen=True, slots=True)
class CoverageView:
    """What was looked at.

    Attributes:
        units: everything that was planned, and what the survey could not read.
        whole: units that every planned check finished. partly: some did. not_at_all: none did.
        unread: units that no check reads, such as documents.
        checks: by check. gaps: everything that is missing, by unit.
    """

    units: int
    whole: int
    partly: int
    not_at_all: int
    unread: int
    checks: tuple[CheckCoverage, ...]
    gaps: tuple[Gap, ...]
