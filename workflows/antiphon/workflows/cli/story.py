"""A recorded run, read for a person: its tree of branches and calls, and what it cost. Nothing in it is trusted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from antiphon.engine.amount import Amount
from antiphon.engine.journal import Journal
from antiphon.workflows.cli.glance import Glance
from antiphon.workflows.cli.untrusted import mapping

ROOT: Final = "main"
FLYING: Final = "in flight"
CUT_OFF: Final = "cut off"


@dataclass(slots=True)
class Entry:
    """A place in the call tree that the log tells of.

    Attributes:
        path: its place.
        sort: ``parallel``, ``branch``, ``workflow``, ... or for a call ``agent``, ``step``, ``approval``; empty for a
            place that only its children tell of.
        kind: how it ended; `FLYING` or `CUT_OFF` while it has not.
        epoch: the attempt of the run that spoke of it last.
        reused: whether its outcome was replayed in that attempt.
        attempts: provider attempts, over all attempts of the run.
        own: what it cost itself; `spent` with all below it.
        tally: calls at and below it, by kind.
    """

    path: str
    sort: str = ""
    is_call: bool = False
    name: str = ""
    label: str = ""
    phase: str = ""
    kind: str = ""
    reason: str = ""
    category: str = ""
    started: float | None = None
    ended: float | None = None
    items: int | None = None
    epoch: int = 0
    reused: bool = False
    estimated: bool = False
    attempts: int = 0
    own: Amount = field(default_factory=Amount)
    spent: Amount = field(default_factory=Amount)
    tally: Counter[str] = field(default_factory=Counter[str])
    phases: dict[str, None] = field(default_factory=dict[str, None])
    children: dict[str, Entry] = field(default_factory=dict[str, "Entry"])

    @property
    def seconds(self) -> float | None:
        """How long it took, or None while that is not known."""
        return None if self.started is None or self.ended is None else max(0.0, self.ended - self.started)


@dataclass(frozen=True, slots=True)
class Decision:
    """A recorded choice."""

    path: str
    decision: str
    value: Any


@dataclass(slots=True)
class Story:
    """A run as its log tells it.

    Attributes:
        glance: how it stands.
        root: the tree.
        ending: data of the last ``run.ended`` of the current attempt; empty while there is none.
        journal: its accounts, or None where the log is too strange to have any.
        damage: why the log could not be read to its end, or empty.
        too_deep: how many events were at places deeper than any honest run's.
    """

    glance: Glance
    root: Entry = field(default_factory=lambda: Entry(ROOT))
    opened: dict[str, Any] = field(default_factory=dict[str, Any])
    ending: dict[str, Any] = field(default_factory=dict[str, Any])
    tombstone: dict[str, Any] = field(default_factory=dict[str, Any])
    journal: Journal | None = None
    events: int = 0
    head: str = ""
    epoch: int = 0
    reused: int = 0
    rebound: int = 0
    performed: int = 0
    damage: str = ""
    too_deep: int = 0
    decisions: list[Decision] = field(default_factory=list[Decision])
    notes: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    reports: dict[str, str] = field(default_factory=dict[str, str])
    controls: list[str] = field(default_factory=list[str])

    @property
    def limits(self) -> dict[str, Any]:
        """The run's own limits, as its manifest says."""
        return mapping(mapping(self.opened.get("manifest")).get("limits"))

    @property
    def in_flight(self) -> list[Entry]:
        """Calls that began and did not end."""
        return [entry for entry in walk(self.root) if entry.is_call and entry.kind in (FLYING, CUT_OFF)]


def walk(entry: Entry) -> Iterator[Entry]:
    """The entry and all below it, in path order."""
    waiting = [entry]
    while waiting:
        here = waiting.pop()
        yield here
        waiting += reversed(in_order(here))


def in_order(entry: Entry) -> list[Entry]:
    """Its children: by ordinal, names after numbers."""
    return [child for _, child in sorted(entry.children.items(), key=lambda pair: _rank(pair[0]))]


def _rank(segment: str) -> tuple[int, int, str]:
    digits = segment.isdecimal() and segment.isascii() and len(segment) < 20
    return (0, int(segment), "") if digits else (1, 0, segment)
