"""Suggests that claims with different keys say the same, because their words do. It merges nothing and counts nothing.

What is compared: findings in the same function of the same file, patches of the same file, facts with facts, passages
with passages; always of different branches, as one branch that says two things means two things. One sentence about
many files ("unused import") is about many things, and is never linked.

A suggestion is made only where none connects the two clusters yet: a thousand claims with the same words get a thousand
links and not half a million. So there are fewer links than pairs that resemble each other, but any such pair is
connected by links.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from antiphon.subagents.records import Actor, Claim, Finding, Link, Patch
from antiphon.workflows.synthesis.resemblance import WORDS, Words, pairs, resemblance, words_of
from antiphon.workflows.synthesis.sets import DisjointSets

SUGGESTION = Actor(tool="antiphon", lens="suggestion", lineage="antiphon/jaccard")
"""Who makes these links: nobody who has understood anything."""


class Member(NamedTuple):
    """A claim, by id, its branch, and the cluster that it is in."""

    id: str
    branch: str
    cluster: str


class Same(NamedTuple):
    """Claims with the same words.

    Attributes:
        members: the first claim of each branch in each cluster, of clusters that nobody calls different from another.
        disputed: the same of clusters that somebody does.
        first, other: one of the members, and one of another branch, where there are such.
    """

    words: Words
    members: tuple[Member, ...]
    disputed: tuple[Member, ...]
    first: Member | None
    other: Member | None

    @property
    def whole(self) -> bool:
        """Whether its clusters are connected once its own links are made."""
        return not self.disputed and (self.other is not None or len({m.cluster for m in self.members}) == 1)

    def may_meet(self, other: Same) -> bool:
        """Whether some claim of one is of another branch than some claim of the other."""
        return len({m.branch for group in (self, other) for m in (group.first, group.other) if m}) > 1

    def partner(self, branch: str) -> Member | None:
        """One of the members that is not of this branch."""
        return self.first if self.first and self.first.branch != branch else self.other


def comparable(claim: Claim) -> tuple[str, ...]:
    """What two claims must have in common to be compared at all."""
    match claim:
        case Finding():
            return claim.sort, claim.key.path, claim.key.symbol
        case Patch():
            return claim.sort, claim.key.base, claim.key.path
        case _:
            return (claim.sort,)


def claim_words(claim: Claim) -> Words:
    """The words of a claim: of its text, and of its title where it has one."""
    return words_of(claim.title, claim.text) if isinstance(claim, Finding) else words_of(claim.text)


def suggested_links(
    claims: Mapping[str, Claim], cluster_of: Mapping[str, str], different: Collection[tuple[str, str]] = ()
) -> Iterator[Link]:
    """Links that connect what resembles each other.

    Args:
        claims: by id, in the order of their ids.
        cluster_of: by id of a claim, the id of its cluster.
        different: pairs of clusters, the smaller id first, that somebody calls different: none of these is linked.
    """
    blocks: defaultdict[tuple[str, ...], list[Member]] = defaultdict(list)
    for id, claim in claims.items():
        blocks[comparable(claim)].append(Member(id, claim.branch, cluster_of[id]))
    for block in blocks.values():
        if len({m.cluster for m in block}) > 1 and len({m.branch for m in block}) > 1:
            yield from _Block(block, claims, different).links()


class _Block:
    """Claims that are compared with each other."""

    def __init__(
        self, members: Iterable[Member], claims: Mapping[str, Claim], different: Collection[tuple[str, str]]
    ) -> None:
        by_words: defaultdict[Words, dict[tuple[str, str], Member]] = defaultdict(dict)
        for member in members:
            words = claim_words(claims[member.id])
            if len(words) >= WORDS:
                by_words[words].setdefault((member.branch, member.cluster), member)
        self._different = different
        disputed = {cluster for pair in different for cluster in pair}
        self._groups = [_same(words, list(found.values()), disputed) for words, found in by_words.items()]
        self._joined: DisjointSets[str] = DisjointSets()

    def links(self) -> Iterator[Link]:
        groups, connected = self._groups, DisjointSets[int]()
        for group in groups:
            yield from self._connect(group, group)
        for a, b in pairs([group.words for group in groups], connected):
            yield from self._connect(groups[a], groups[b])
            yield from self._connect(groups[b], groups[a])
            if groups[a].whole and groups[b].whole and groups[a].may_meet(groups[b]):
                connected.join(a, b)

    def _connect(self, group: Same, others: Same) -> Iterator[Link]:
        """Link the claims of one group with the others, as far as they are not connected yet.

        One of another branch is enough: all that are not of its own branch are connected by way of it. Only a claim
        that somebody calls different from another is compared with all.
        """
        for member in group.members:
            partner = others.partner(member.branch)
            yield from self._join(group, others, member, partner) if partner else ()
        for member in group.disputed:
            for partner in (*others.members, *others.disputed):
                yield from self._join(group, others, member, partner)

    def _join(self, group: Same, others: Same, member: Member, partner: Member) -> Iterator[Link]:
        if self._may_join(partner, member) and self._joined.join(partner.cluster, member.cluster):
            yield _link(partner, member, resemblance(group.words, others.words))

    def _may_join(self, a: Member, b: Member) -> bool:
        pair = min(a.cluster, b.cluster), max(a.cluster, b.cluster)
        return a.branch != b.branch and a.cluster != b.cluster and pair not in self._different


def _same(words: Words, found: list[Member], disputed: Collection[str]) -> Same:
    members = tuple(member for member in found if member.cluster not in disputed)
    first = members[0] if members else None
    other = next((m for m in members if first and m.branch != first.branch), None)
    return Same(words, members, tuple(m for m in found if m.cluster in disputed), first, other)


def _link(a: Member, b: Member, how_much: float) -> Link:
    # Cut and not rounded, so that what is below the threshold never reads as if it were at it.
    reason = f"resemblance {int(how_much * 100) / 100:.2f}"
    return Link(record="link", a=a.id, b=b.id, relation="same_as", actor=SUGGESTION, reason=reason)
