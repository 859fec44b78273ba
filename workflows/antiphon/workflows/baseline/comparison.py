"""What has changed since an earlier audit: findings that are new, updated, unchanged, absent, or not looked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from antiphon.tracing.log import Json
from antiphon.workflows.baseline.matching import Match, match
from antiphon.workflows.baseline.reading import SarifLog
from antiphon.workflows.baseline.sightings import STATES, Sighting, State

_IDENTIFYING = frozenset({"identical", "guid", "fingerprint", "partial fingerprints", "partial fingerprint"})
_IMPORTED = "sarif"
"""The lens, in a log of ours, of what a SARIF file of another tool says."""


@dataclass(frozen=True, slots=True)
class Change:
    """One result, as it was, as it is, or both.

    Attributes:
        state: SARIF's baselineState. before: as it was, None if it is new. after: as it is, None if it is absent.
        way: how it was recognised, "" if it is new or absent. what: what is different about it, in words.
    """

    state: State
    before: Sighting | None
    after: Sighting | None
    way: str = ""
    what: tuple[str, ...] = ()

    @property
    def sighting(self) -> Sighting:
        """As it is, or as it was."""
        found = self.after or self.before
        assert found is not None
        return found


@dataclass(frozen=True, slots=True)
class Unseen:
    """Results of the earlier log that nobody looked for again, so that nothing can be said of them.

    Attributes:
        reason: why not. sightings: the results.
    """

    reason: str
    sightings: tuple[Sighting, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """An audit beside an earlier one.

    Attributes:
        source: what it is compared with, as the person named it.
        changes: every result of this audit, and those of the earlier one that are absent now, by place.
        unseen: results of the earlier log that this audit did not look for.
        unknown_tools: tools of this audit that the earlier log knows nothing of: all they say is new.
        unreadable: entries of the earlier log that could not be read.
    """

    source: str
    changes: tuple[Change, ...]
    unseen: tuple[Unseen, ...] = ()
    unknown_tools: tuple[str, ...] = ()
    unreadable: int = 0
    _by_claim: Mapping[str, State] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Remember the state of every claim."""
        states = {change.after.claim: change.state for change in self.changes if change.after and change.after.claim}
        object.__setattr__(self, "_by_claim", states)

    @property
    def counts(self) -> Mapping[State, int]:
        """How many results are in each state."""
        found = Counter(change.state for change in self.changes)
        return {state: found[state] for state in STATES}

    def of(self, state: State) -> tuple[Change, ...]:
        """All results in one state."""
        return tuple(change for change in self.changes if change.state == state)

    def state(self, claims: Iterable[str]) -> State | None:
        """The state of a group of claims, by their ids: new only if all are; None if none of them is known."""
        states: set[State] = {self._by_claim[claim] for claim in claims if claim in self._by_claim}
        return "updated" if len(states) > 1 else next(iter(states), None)

    def to_json(self) -> dict[str, Json]:
        """All of it but what is unchanged, of which the number is enough: the findings are in the report anyway."""
        return {
            "compared_with": self.source,
            "counts": {str(state): number for state, number in self.counts.items()},
            "changes": [_change_json(change) for change in self.changes if change.state != "unchanged"],
            "not_looked_at_again": [
                {"reason": unseen.reason, "results": [_sighting_json(s) for s in unseen.sightings]}
                for unseen in self.unseen
            ],
            "unknown_tools": list(self.unknown_tools),
            "unreadable": self.unreadable,
        }


Looked = Callable[[Sighting], str | None]
"""Why a result of the earlier log could not have been found again, or None if it could."""


def compare(before: SarifLog, after: SarifLog, *, looked: Looked | None = None) -> Comparison:
    """Compare two logs.

    Args:
        before: the earlier one.
        after: this audit's.
        looked: says of a result that is gone why nobody looked for it, such as a file that is left out now. A tool
            that has no run in `after` did not look for anything.
    """
    here = [sighting for sighting in before.sightings if sighting.tool in after.tools]
    matches = _matches(here, after.sightings)
    known_before, known_after = {id(m.before) for m in matches}, {id(m.after) for m in matches}
    changes = [_matched(found) for found in matches]
    changes += [Change("new", None, sighting) for sighting in after.sightings if id(sighting) not in known_after]
    gone: list[Sighting] = []
    unseen: dict[str, list[Sighting]] = {}
    for sighting in before.sightings:
        if id(sighting) in known_before:
            continue
        reason = _unlooked(sighting, after, looked)
        (unseen.setdefault(reason, []) if reason else gone).append(sighting)
    changes += [Change("absent", sighting, None) for sighting in gone]
    return Comparison(
        source=before.source,
        changes=tuple(sorted(changes, key=lambda change: (change.sighting.order, change.state))),
        unseen=tuple(Unseen(reason, tuple(unseen[reason])) for reason in sorted(unseen)),
        unknown_tools=tuple(sorted(after.tools - before.tools)),
        unreadable=before.unreadable,
    )


def _matches(before: Sequence[Sighting], after: Sequence[Sighting]) -> list[Match]:
    """Pairs. A tool and an imported log of that tool may say the same, and only one of them be gone: so those first."""
    if all(sighting.lens != _IMPORTED for sighting in (*before, *after)):
        return [*match(before, after)]
    found: list[Match] = []
    for imported in (False, True):
        both = ([one for one in side if (one.lens == _IMPORTED) is imported] for side in (before, after))
        found += match(*both)
    taken = {id(one) for pair in found for one in (pair.before, pair.after)}
    rest = ([one for one in side if id(one) not in taken] for side in (before, after))
    return [*found, *match(*rest)]


def _unlooked(sighting: Sighting, after: SarifLog, looked: Looked | None) -> str | None:
    if sighting.tool not in after.tools:
        return f"{sighting.tool or 'a tool without a name'} did not take part"
    return looked(sighting) if looked else None


def _matched(found: Match) -> Change:
    what = tuple(_differences(found))
    return Change("updated" if what else "unchanged", found.before, found.after, found.way, what)


def _differences(found: Match) -> Iterable[str]:
    """What is different. Lines that moved are, unless a fingerprint says that the code is the same."""
    before, after = found.before, found.after
    if before.uri != after.uri:
        yield f"it was in {before.uri}"
    elif before.region != after.region and found.way not in _IDENTIFYING:
        yield f"it was at {before.region}" if before.region.start_line else "it had no place"
    if before.text != after.text:
        yield f"it said: {before.message}"
    if before.severity != after.severity or before.level != after.level:
        yield f"its severity was {before.severity}"
    if before.suppressed != after.suppressed:
        yield "it was set aside" if before.suppressed else "it was not set aside"


def _change_json(change: Change) -> dict[str, Json]:
    found: dict[str, Json] = {"state": change.state, **_sighting_json(change.sighting)}
    if change.what:
        found |= {"recognised_by": change.way, "what": list(change.what)}
    return found


def _sighting_json(sighting: Sighting) -> dict[str, Json]:
    return {
        "tool": sighting.tool,
        "rule": sighting.rule,
        "path": sighting.uri,
        "line": sighting.region.start_line,
        "severity": sighting.severity,
        "message": sighting.message,
        "claim": sighting.claim,
    }
