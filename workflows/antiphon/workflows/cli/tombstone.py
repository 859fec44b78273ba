"""The tombstone that cleaning leaves: a new, short log that carries on the chain of the one it stands for.

Removed are the events before the run's last words. Kept, byte for byte and with their hashes, are the last reports
and the ending, and the hash of what came before them. So the head that was printed when the run ended still proves
what it ended as, and which reports it wrote: `verify` walks from the kept hash to the head.

A tombstone is the event `run.cleaned` in a log of its own::

    {run, workflow, started, epochs, events, head, before, kept: [[seq, at, kind, path, body, hash], ...],
     removed: {events, blobs, patches, bytes}}

and after it the `report` events again, so that the reports' files are checked as ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from antiphon.tracing import Event
from antiphon.tracing.log import Row, chain, decode
from antiphon.workflows.cli.untrusted import mapping, sequence

CLEANED: Final = "run.cleaned"
LAST_WORDS: Final = frozenset({"report", "run.ended"})
"""The kinds of events that are kept where they end a log."""
MOST_KEPT: Final = 1000


@dataclass(frozen=True, slots=True)
class Standing:
    """What a tombstone says of the log it stands for.

    Attributes:
        head: the head of that log.
        events: how many events it had.
        kept: how many of them are still there.
        problems: where the kept ones do not fit each other or the head.
    """

    head: str
    events: int
    kept: int
    problems: tuple[str, ...]


def standing(tombstone: Mapping[str, Any]) -> Standing:
    """Check what a tombstone kept against the head it names."""
    problems: list[str] = []
    digest = _bytes(tombstone.get("before"))
    rows = list(_kept(tombstone))
    for row, stored in rows:
        digest = chain(digest, row)
        if digest != stored:
            problems.append(f"the kept event {row.seq} does not fit what it says and the event before it")
            digest = stored
    head = str(tombstone.get("head", ""))
    if digest.hex() != head:
        problems.append("the kept events do not end in the head that the tombstone names")
    events = tombstone.get("events")
    count = events if isinstance(events, int) else 0
    if rows and rows[-1][0].seq != count:
        problems.append(f"the kept events end at {rows[-1][0].seq}, and the log is said to have had {count}")
    return Standing(head, count, len(rows), tuple(problems))


def kept_events(tombstone: Mapping[str, Any]) -> Iterator[Event]:
    """The events that a tombstone kept, those that can be read."""
    for row, stored in _kept(tombstone):
        try:
            event = decode(row, stored)
        except (ValueError, RecursionError):
            continue
        if mapping(event.data):
            yield event


def tombstone_of(events: Sequence[Event]) -> Event | None:
    """The tombstone that a log is, or None for one that was never cleaned."""
    return next((event for event in events[:1] if event.kind == CLEANED), None)


def _kept(tombstone: Mapping[str, Any]) -> Iterator[tuple[Row, bytes]]:
    for entry in sequence(tombstone.get("kept"))[:MOST_KEPT]:
        match entry:
            case [int(seq), int() | float() as at, str(kind), str(path), str(body), str(digest)]:
                yield Row(seq, float(at), kind, path, body), _bytes(digest)
            case _:
                continue


def _bytes(digest: object) -> bytes:
    try:
        return bytes.fromhex(digest) if isinstance(digest, str) else b""
    except ValueError:
        return b""
