"""The quality bar: which new problems keep work from being accepted."""

from __future__ import annotations

from typing import Final, Literal, get_args

from antiphon.subagents.records import RANK, Severity

Quality = Literal["clean", "tests", "strict"]
"""``clean``: no new problem of severity medium or above; ``strict``: no new problem at all; ``tests``: tests alone."""

QUALITIES: Final[tuple[Quality, ...]] = get_args(Quality)
_LEAST: Final[dict[Quality, Severity | None]] = {"clean": "medium", "strict": "info", "tests": None}


def objects(severity: Severity, quality: Quality) -> bool:
    """Whether a new problem of this severity keeps work below the bar."""
    least = _LEAST[quality]
    return least is not None and RANK[severity] >= RANK[least]
