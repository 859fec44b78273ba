"""Disjoint sets: what belongs together because something joins it, directly or by way of others."""

from __future__ import annotations

from collections import defaultdict
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT", str, int, tuple[str, str])


class DisjointSets(Generic[ItemT]):
    """Sets that only ever grow together. Each goes by its smallest item, so the order of joining does not matter."""

    def __init__(self) -> None:
        self._above: dict[ItemT, ItemT] = {}

    def find(self, item: ItemT) -> ItemT:
        """The smallest item of the set that this one is in; alone in its set if nothing was joined to it."""
        above = self._above
        if above.setdefault(item, item) == item:
            return item
        root = item
        while (next_up := above.setdefault(root, root)) != root:
            root = next_up
        while item != root:  # what was passed on the way points at the root from now on
            above[item], item = root, above[item]
        return root

    def is_root(self, item: ItemT) -> bool:
        """Whether its set goes by this item."""
        return self._above.get(item, item) == item

    def join(self, a: ItemT, b: ItemT) -> bool:
        """Make one set of two; whether they were two."""
        first, second = self.find(a), self.find(b)
        if first == second:
            return False
        self._above[max(first, second)] = min(first, second)
        return True

    def sets(self) -> list[list[ItemT]]:
        """All of them, each sorted, in the order of their smallest items."""
        found: defaultdict[ItemT, list[ItemT]] = defaultdict(list)
        for item in sorted(self._above):
            found[self.find(item)].append(item)
        return list(found.values())
