"""Pairs up results that look alike, when there may be several on either side: one to one, nearest first."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

from antiphon.workflows.baseline.sightings import Sighting

Pair = tuple[Sighting, Sighting]
"""A result of the earlier log, and the result of the later one that it has become."""


def pairs(before: Iterable[Sighting], after: Iterable[Sighting]) -> list[Pair]:
    """Pair as many as there are on the smaller side, in the order of lines.

    Where one side has more, those stay alone that are farthest from any of the other side. Exchanging the sides gives
    the same pairs. Time grows with n log n.
    """
    left, right = sorted(before, key=_order), sorted(after, key=_order)
    if len(left) != len(right):
        left, right = _nearest(left, right)
    return list(zip(left, right, strict=True))


def _order(sighting: Sighting) -> tuple[object, ...]:
    return sighting.order


def _nearest(left: list[Sighting], right: list[Sighting]) -> tuple[list[Sighting], list[Sighting]]:
    """Of both sides those to keep: again and again the two that are nearest to each other, with none between them."""
    sides = [(item, 0) for item in left] + [(item, 1) for item in right]
    # The side is no part of the order, or exchanging the sides would change the outcome; only equals depend on it.
    line = sorted(sides, key=lambda entry: entry[0].order)
    before: list[int] = [index - 1 for index in range(len(line))]
    after: list[int] = [index + 1 for index in range(len(line))]
    gone = [False] * len(line)
    heap = [_gap(line, index, index + 1) for index in range(len(line) - 1) if line[index][1] != line[index + 1][1]]
    heapq.heapify(heap)
    kept: tuple[list[Sighting], list[Sighting]] = ([], [])
    while heap:
        _, _, first, second = heapq.heappop(heap)
        if gone[first] or gone[second]:
            continue
        gone[first] = gone[second] = True
        for item, side in (line[first], line[second]):
            kept[side].append(item)
        outer, inner = before[first], after[second]
        if outer >= 0:
            after[outer] = inner
        if inner < len(line):
            before[inner] = outer
        if outer >= 0 and inner < len(line) and line[outer][1] != line[inner][1]:
            heapq.heappush(heap, _gap(line, outer, inner))
    return sorted(kept[0], key=_order), sorted(kept[1], key=_order)


def _gap(line: Sequence[tuple[Sighting, int]], first: int, second: int) -> tuple[int, bool, int, int]:
    """How far apart two are. Equals go first of all that are as near: then only one side is left of any equals."""
    one, other = line[first][0], line[second][0]
    return abs(one.region.start_line - other.region.start_line), one.order != other.order, first, second
