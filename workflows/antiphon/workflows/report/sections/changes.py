"""What has changed since an earlier audit."""

from __future__ import annotations

from collections.abc import Iterator

from antiphon.workflows.baseline.comparison import Change, Comparison
from antiphon.workflows.report.document import (
    Block,
    Item,
    Line,
    Said,
    Section,
    first_of,
    listed,
    many,
    name_of,
    section,
)
from antiphon.workflows.report.material import Material
from antiphon.workflows.report.secrets import shown_text

_SHOWN = {"new": 20, "updated": 10, "absent": 10}
_TITLES = {"new": "new", "updated": "updated: still there, and different", "absent": "absent: not found any more"}


def changes(material: Material) -> Section:
    """What is new, updated or absent, if there is something to compare with."""
    comparison = material.comparison
    return section("changes", "What has changed", _changes(comparison, material) if comparison else ())


def _changes(comparison: Comparison, material: Material) -> Iterator[Block]:
    counts = comparison.counts
    numbers = ", ".join(f"{number} {state}" for state, number in counts.items())
    yield Item(("compared with ", Said(comparison.source), f": {numbers} (results, one for each tool that says it)"))
    for state in ("new", "updated", "absent"):
        entries = [_entry(change, material) for change in comparison.of(state)]
        if entries:
            yield Item((f"{_TITLES[state]} ({len(entries)}):",), tuple(first_of(entries, _SHOWN[state], "result")))
    for unseen in comparison.unseen:
        yield Item((f"{many(len(unseen.sightings), 'earlier result')} nobody looked for again: ", Said(unseen.reason)))
    if comparison.unknown_tools:
        told = listed(map(name_of, comparison.unknown_tools))
        yield Item(("the earlier log knows nothing of ", *told, ", so all of what they say is new"))
    if comparison.unreadable:
        yield Item((f"{many(comparison.unreadable, 'entry', 'entries')} of the earlier log could not be read",))


def _entry(change: Change, material: Material) -> Item:
    seen = change.sighting
    claim = material.synthesis.claims.get(seen.claim)
    message = shown_text(claim) if claim else seen.message
    line = seen.region.start_line
    where = Said(f"{seen.uri}:{line}" if line else seen.uri)
    what: Line = (" (", *listed(Said(part, 120) for part in change.what), ")") if change.what else ()
    return Item((where, " ", name_of(seen.severity), " ", Said(seen.rule, 80), ": ", Said(message, 200), *what))
