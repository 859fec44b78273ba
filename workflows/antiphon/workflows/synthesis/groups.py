"""Independence groups: who would be wrong together. Support counts groups, and never branches or claims.

Voices on one matter are of one group when they share a model, a framing, a source (a page, a command) or a lineage of
rules, directly or by way of others on that matter. Lines of the file that is looked at are no source: everybody looks
at the same file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from antiphon.subagents.records import Actor, CommandRun, Coverage, Evidence, Malformed, Record, Resolution, UrlQuote
from antiphon.workflows.synthesis.cluster_model import Position
from antiphon.workflows.synthesis.sets import DisjointSets

Root = tuple[str, str]
Roots = tuple[Root, ...]
_NAMED = 3


def lineage_of(actor: Actor) -> str:
    """Where an actor's opinions come from: its lineage; where it states none, its model; without a model, the tool."""
    return actor.lineage or actor.model or actor.tool


def judge_or_judged(record: Record) -> str:
    """The lineage of whoever made a record; "" where nobody in particular did."""
    return "" if isinstance(record, Coverage) else lineage_of(record.actor)


class Voices:
    """What stands behind each record, by id."""

    def __init__(self, records: Mapping[str, Record]) -> None:
        self._records = records
        self._known: dict[str, Roots] = {}

    def roots(self, id: str) -> Roots:
        """What the record with this id has in common with others that may be wrong with it."""
        found = self._known.get(id)
        if found is None:
            found = self._known[id] = roots_of(self._records[id])
        return found

    def groups(self, ids: Collection[str]) -> tuple[str, ...]:
        """The names of the groups behind these records."""
        return tuple(sorted(set(named({id: self.roots(id) for id in ids}).values())))


def roots_of(record: Record) -> Roots:
    """What a record shares with whatever would be wrong with it; the lineage comes first, and is always there."""
    if isinstance(record, Coverage):
        return (("lineage", ""),)
    actor = record.actor
    roots = [("lineage", lineage_of(actor))]
    roots += [("model", actor.model)] if actor.model else []
    roots += [("framing", actor.framing)] if actor.framing else []
    if not isinstance(record, Malformed | Resolution):
        roots += [root for piece in record.evidence for root in _source(piece)]
    return tuple(roots)


def _source(piece: Evidence) -> Iterable[Root]:
    if isinstance(piece, UrlQuote):
        yield "url", _page(piece.url)
    elif isinstance(piece, CommandRun):
        yield "command", "\0".join(piece.argv)


@lru_cache(maxsize=4_096)
def _page(url: str) -> str:
    """Host and path: what a page is, whatever was asked of it and whichever part of it was quoted."""
    try:
        parts = urlsplit(url)
    except ValueError:  # a hostile or damaged address is a page of its own
        return url
    return parts.netloc.rpartition("@")[2].lower() + parts.path.rstrip("/")


def named(voices: Mapping[str, Roots]) -> dict[str, str]:
    """The group of each voice on one matter, named by the lineages in it."""
    if all(len(roots) == 1 for roots in voices.values()):
        return {id: _escaped(roots[0][1]) for id, roots in voices.items()}
    together: DisjointSets[Root] = DisjointSets()
    for roots in voices.values():
        for root in roots:
            together.join(roots[0], root)
    lineages: defaultdict[Root, list[str]] = defaultdict(list)
    for first in sorted({roots[0] for roots in voices.values()}):
        lineages[together.find(first)].append(_escaped(first[1]))
    names = {root: _name(found) for root, found in lineages.items()}
    return {id: names[together.find(roots[0])] for id, roots in voices.items()}


def _escaped(lineage: str) -> str:
    return lineage.replace("\\", "\\\\").replace("+", "\\+")


def _name(lineages: list[str]) -> str:
    """No two groups of one matter have a lineage in common, so the first alone tells them apart; "+" is escaped."""
    more = len(lineages) - _NAMED
    return "+".join(lineages[:_NAMED]) + (f"+{more} more" if more > 0 else "")


def positions(sides: Mapping[str, Collection[str]], roots: Mapping[str, Roots]) -> tuple[Position, ...]:
    """The sides of one matter, in order of what they say, and which of them fewer groups hold than another.

    Args:
        sides: by what is said: the ids of the records that say it. A record may be on several sides.
        roots: of each of these records.
    """
    names = named(roots)
    behind = {says: tuple(sorted({names[id] for id in ids})) for says, ids in sides.items()}
    most = max(map(len, behind.values()), default=0)
    return tuple(
        Position(says, tuple(sorted(sides[says])), behind[says], minority=len(behind[says]) < most)
        for says in sorted(sides)
    )
