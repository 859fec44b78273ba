"""Recognises results of an earlier log in a later one (SARIF 2.1.0, appendix B, and what its tools do in practice).

The ways are tried one after another, the surest first; each takes what the ways before it left over, sorts it into
buckets of equal keys, and pairs up each bucket. So the time grows with n log n, every result is in at most one pair,
and neither the order of the results nor which log is called the earlier one decides anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from antiphon.workflows.baseline.pairing import Pair, pairs
from antiphon.workflows.baseline.sightings import Named, Sighting

OURS = "antiphon/"
MOST_NAMES = 32
"""Of so many names of fingerprints each is a way of its own; a log that has more is not served better by more."""


@dataclass(frozen=True, slots=True)
class Match:
    """A result of the earlier log and what has become of it in the later one.

    Attributes:
        before, after: the two. way: how they were recognised.
    """

    before: Sighting
    after: Sighting
    way: str


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to recognise a result.

    Attributes:
        name: for the report. key: what must be equal besides tool and rule; None for a result it says nothing about.
        sure: an identity given by the tool, so that fingerprints that differ are no objection.
        alone: only where one result on either side has this key.
        agreeing: only pairs of whose fingerprints at least half agree.
    """

    name: str
    key: Callable[[Sighting], Hashable | None]
    sure: bool = False
    alone: bool = False
    agreeing: bool = False


def match(before: Iterable[Sighting], after: Iterable[Sighting]) -> tuple[Match, ...]:
    """Pair up two sets of results, one to one; what is in no pair is gone, or new."""
    left, right = list(before), list(after)
    useless = _useless(left) | _useless(right)
    found: list[Match] = []
    for way in _ways(left, right, useless):
        if not (left and right):
            break
        taken = [Match(*pair, way.name) for pair in _by(way, left, right, useless)]
        found += taken
        left = _without(left, {id(match.before) for match in taken})
        right = _without(right, {id(match.after) for match in taken})
    return tuple(sorted(found, key=lambda match: match.after.order))


def _without(sightings: list[Sighting], taken: set[int]) -> list[Sighting]:
    return [sighting for sighting in sightings if id(sighting) not in taken]


def _by(way: _Way, left: Sequence[Sighting], right: Sequence[Sighting], useless: set[_Name]) -> Iterator[Pair]:
    ours, theirs = _buckets(way, left), _buckets(way, right)
    for key, before in ours.items():
        after = theirs.get(key)
        if after is None or (way.alone and not len(before) == len(after) == 1):
            continue
        for one, other in _chosen(way, before, after, useless):
            if not way.agreeing or _agree(one, other, useless):
                yield one, other


def _buckets(way: _Way, sightings: Iterable[Sighting]) -> dict[Hashable, list[Sighting]]:
    buckets: defaultdict[Hashable, list[Sighting]] = defaultdict(list)
    for sighting in sightings:
        key = way.key(sighting)
        if key is not None:
            buckets[sighting.tool, sighting.rule, key].append(sighting)
    return buckets


def _chosen(
    way: _Way, before: list[Sighting], after: list[Sighting], useless: set[_Name]
) -> Iterator[tuple[Sighting, Sighting]]:
    """Pairs of a bucket. Where both have fingerprints, and these differ, they are not the same however alike."""
    if way.sure or way.agreeing:
        yield from pairs(before, after)
        return
    bare, named = _split(before, useless)
    bare_after, named_after = _split(after, useless)
    first = pairs(bare, bare_after)
    yield from first
    yield from pairs(_left(bare, first, 0), named_after)
    yield from pairs(named, _left(bare_after, first, 1))


def _left(sightings: list[Sighting], taken: list[Pair], side: int) -> list[Sighting]:
    return _without(sightings, {id(pair[side]) for pair in taken})


def _split(sightings: list[Sighting], useless: set[_Name]) -> tuple[list[Sighting], list[Sighting]]:
    """Those without fingerprints that could contradict, and those with some."""
    bare: list[Sighting] = []
    named: list[Sighting] = []
    for sighting in sightings:
        (named if _objections(sighting, useless) else bare).append(sighting)
    return bare, named


def _objections(sighting: Sighting, useless: set[_Name]) -> dict[str, str]:
    """The fingerprints that speak against another result if theirs differ.

    Ours hold the code that was found, which may be edited while the finding stays; so they only ever speak for.
    """
    partials = {name: value for name, value in _telling(useless)(sighting) if not name.startswith(OURS)}
    return partials | dict(sighting.fingerprints)


def _agree(one: Sighting, other: Sighting, useless: set[_Name]) -> bool:
    """Whether at least half of the fingerprints that both have agree."""
    mine, theirs = _objections(one, useless), _objections(other, useless)
    both = mine.keys() & theirs.keys()
    return 2 * sum(mine[name] == theirs[name] for name in both) >= len(both)


_Name = tuple[str, str]
"""A tool, and a name that it gives to fingerprints."""


def _useless(sightings: Iterable[Sighting]) -> set[_Name]:
    """Partial fingerprints that are the same for all results of a tool: they recognise nothing."""
    values: defaultdict[_Name, list[str]] = defaultdict(list)
    for sighting in sightings:
        for name, value in sighting.partials:
            values[sighting.tool, name].append(value)
    return {name for name, seen in values.items() if len(seen) > 1 and len(set(seen)) == 1}


def _ways(left: Iterable[Sighting], right: Iterable[Sighting], useless: set[_Name]) -> Iterator[_Way]:
    """All ways, the surest first."""
    everything = [*left, *right]
    yield _Way("identical", lambda s: (s.uri, s.region, s.message, s.snippet, s.fingerprints, s.partials), sure=True)
    for name in _names(sighting.guids for sighting in everything):
        yield _Way("guid", _named(name, lambda s: s.guids), sure=True)
    for name in _names(sighting.fingerprints for sighting in everything):
        yield _Way("fingerprint", _named(name, lambda s: s.fingerprints, uri=True), sure=True)
        yield _Way("fingerprint", _named(name, lambda s: s.fingerprints), sure=True)
    telling = _telling(useless)
    partials = _names(telling(sighting) for sighting in everything)
    yield _Way("partial fingerprints", lambda s: (s.uri, telling(s)) if telling(s) else None, sure=True)
    for name in partials:
        yield _Way("partial fingerprint", _named(name, telling, uri=True), agreeing=True)
    yield _Way("same place", lambda s: (s.uri, s.region, s.message), sure=True)
    yield _Way("same place", lambda s: (s.uri, s.region) if s.region.start_line else None, sure=True)
    yield _Way("moved lines", lambda s: (s.uri, s.symbol, s.text, s.snippet))
    yield _Way("moved lines", lambda s: (s.uri, s.text, s.snippet))
    yield _Way("same symbol", lambda s: (s.uri, s.symbol) if s.symbol else None)
    for name in partials:
        yield _Way("other file", _named(name, telling), alone=True, agreeing=True)
    yield _Way("other file", lambda s: (s.symbol, s.text, s.snippet) if s.symbol or s.snippet else None, alone=True)


def _names(given: Iterable[Named]) -> list[str]:
    names = {name for each in given for name, _ in each}
    return list(islice(sorted(names, key=lambda name: (not name.startswith(OURS), name)), MOST_NAMES))


def _telling(useless: set[_Name]) -> Callable[[Sighting], Named]:
    """The partial fingerprints of a result that recognise something."""
    return lambda s: tuple((name, value) for name, value in s.partials if (s.tool, name) not in useless)


def _named(name: str, of: Callable[[Sighting], Named], *, uri: bool = False) -> Callable[[Sighting], Hashable | None]:
    """The key that is the value of one name, in the same file or anywhere."""

    def key(sighting: Sighting) -> Hashable | None:
        value = next((value for own, value in of(sighting) if own == name), None)
        return None if value is None else (value, sighting.uri if uri else "")

    return key
