"""Finds texts that resemble each other: a complete join by exact Jaccard similarity of their words.

Whether two texts resemble is a function of these two alone. The index only leaves out pairs that cannot: of two sets
with enough words in common, one is not much smaller than the other, and their rarest words cannot all differ.
(C. Xiao and others: Efficient similarity joins for near duplicate detection, WWW 2008, without its positions.)
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from antiphon.workflows.synthesis.sets import DisjointSets

PERCENT = 80
"""How much of all of their words two texts have in common at least, to resemble each other."""
WORDS = 3
"""Texts of fewer different words are too short to resemble anything."""

Words = frozenset[str]
_WORD = re.compile(r"\w+")


def words_of(*texts: str) -> Words:
    """The different words of some texts, in lower case."""
    return frozenset(word for text in texts for word in _WORD.findall(text.lower()))


def resemblance(a: Words, b: Words) -> float:
    """How many of all words both have, from 0 to 1."""
    common = len(a & b)
    return common / (len(a) + len(b) - common) if common else 0.0


def resemble(a: Words, b: Words, percent: int = PERCENT) -> bool:
    """Whether two texts resemble each other; in whole numbers, so that no rounding decides."""
    common = len(a & b)
    return len(a) >= WORDS and len(b) >= WORDS and 100 * common >= percent * (len(a) + len(b) - common)


def pairs(
    sets: Sequence[Words], joined: DisjointSets[int] | None = None, percent: int = PERCENT
) -> Iterator[tuple[int, int]]:
    """All pairs of these sets that resemble each other, as pairs of indices.

    Args:
        sets: of words.
        joined: which of them need not be compared any more; whoever takes the pairs may join more of them on the way.
        percent: from 1 to 100.
    """
    done = DisjointSets[int]() if joined is None else joined
    order = sorted((i for i, words in enumerate(sets) if len(words) >= WORDS), key=lambda i: (len(sets[i]), i))
    frequency = Counter(word for i in order for word in sets[i])
    index: defaultdict[str, dict[int, list[int]]] = defaultdict(dict)
    for i in order:
        size = len(sets[i])
        # Rounded up: with fewer words in common they cannot resemble each other, the second where `i` is the smaller.
        least, least_with_larger = -(-size * percent // 100), -(-2 * size * percent // (100 + percent))
        rarest = sorted(sets[i], key=lambda word: (frequency[word], word))[: size - least + 1]
        yield from ((j, i) for j in _found(i, sets, [index[word] for word in rarest], done, percent))
        for word in rarest[: size - least_with_larger + 1]:
            index[word].setdefault(done.find(i), []).append(i)


def _found(
    i: int, sets: Sequence[Words], postings: Iterable[dict[int, list[int]]], done: DisjointSets[int], percent: int
) -> Iterator[int]:
    """What resembles `i` and has a rare word in common with it; what is joined with it on the way is passed over."""
    least = -(-len(sets[i]) * percent // 100)
    tried: set[int] = set()
    mine = done.find(i)
    for by_set in postings:
        _merge(by_set, done)
        for root, members in by_set.items():
            for j in members:
                if root == mine:
                    break
                if j not in tried:
                    tried.add(j)
                    if len(sets[j]) >= least and resemble(sets[i], sets[j], percent):
                        yield j
                        mine = done.find(i)


def _merge(by_set: dict[int, list[int]], done: DisjointSets[int]) -> None:
    """Put what was joined meanwhile into one list."""
    for old in [old for old in by_set if not done.is_root(old)]:
        by_set.setdefault(done.find(old), []).extend(by_set.pop(old))
