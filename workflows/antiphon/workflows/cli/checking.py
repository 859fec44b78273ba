"""Verifying a run, cleaned or not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from antiphon.tracing import LogDamaged, verify_log
from antiphon.tracing.query import events_of
from antiphon.workflows.cli.tombstone import CLEANED, standing


@dataclass(frozen=True, slots=True)
class Checked:
    """What verifying found.

    Attributes:
        problems: what is wrong, and at which event (None: the log as a whole).
        events, head: of the log as it is now.
        cleaned_at: when it was cleaned, or None; what follows is of the log before that.
    """

    problems: tuple[tuple[int | None, str], ...]
    events: int
    head: str
    cleaned_at: float | None = None
    events_before: int = 0
    kept: int = 0
    head_before: str = ""

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.problems


def check(directory: Path, head: str | None) -> Checked:
    """Verify the run in a directory.

    For a cleaned run `head` may be the one from before the cleaning: the kept events must lead to it.

    Raises:
        LogMissing, LogTooNew, LogUnusable: there is nothing that can be checked; that is not tampering.
    """
    try:
        tombstones = events_of(directory, (CLEANED,))
    except LogDamaged:
        tombstones = []
    if len(tombstones) != 1 or tombstones[0].seq != 1:
        found = verify_log(directory, head)
        return Checked(found.problems, found.events, found.head)
    tombstone = tombstones[0]
    stands = standing(tombstone.data)
    before = head is not None and head.strip().lower() == stands.head
    found = verify_log(directory, None if before else head)
    return Checked(
        (*found.problems, *((1, problem) for problem in stands.problems)),
        found.events,
        found.head,
        tombstone.at,
        stands.events,
        stands.kept,
        stands.head,
    )
