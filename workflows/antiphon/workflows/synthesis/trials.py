"""What tests say of patches together. Only a test can show that patches which fit as text are wrong together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from antiphon.subagents.records import Coverage, Link, Malformed, Record, Resolution, TestRun
from antiphon.workflows.synthesis.cluster_model import PatchCluster
from antiphon.workflows.synthesis.conflict_model import Conflict
from antiphon.workflows.synthesis.groups import Voices
from antiphon.workflows.synthesis.keys import subject_id
from antiphon.workflows.synthesis.patches import Version, all_clash, sided, versions
from antiphon.workflows.synthesis.sets import DisjointSets

Together = frozenset[int]
"""Numbers of versions that were, or are to be, applied together."""


class Known(NamedTuple):
    """One version of a patch. words: what it does. ids: of the claims that say it. cluster: the id of its cluster."""

    version: Version
    words: str
    ids: tuple[str, ...]
    cluster: str


def semantic_conflicts(
    clusters: Iterable[PatchCluster], records: Mapping[str, Record], links: Iterable[Link], voices: Voices
) -> Iterator[Conflict]:
    """Patches that a test shows to be wrong together, and patches that belong together and no test has tried so.

    Args:
        clusters: the patches.
        records: all records, of which some hold test runs as evidence.
        links: what somebody says of records; patches that one links, or that touch one file, belong together.
        voices: of the patches.
    """
    known = [
        Known(version, words, ids, cluster.id) for cluster in clusters for version, words, ids in versions(cluster)
    ]
    if not known:
        return
    number = {id: index for index, item in enumerate(known) for id in item.ids}
    passed, failed = _runs(records.values(), number)
    shown = {(name, together) for name, together in failed if _each_passes(name, together, passed)}
    for name, together in sorted(shown, key=lambda item: (item[0], sorted(item[1]))):
        reason = f"{name} passes with each of these patches alone, and fails with all of them"
        yield _conflict([known[index] for index in sorted(together)], name, reason, voices, tested=True)
    tried = [together for _, together in (*passed, *shown)]
    for group in _together(known, number, links):
        members = [known[index] for index in group]
        if not all_clash([item.version for item in members]) and not any(done.issuperset(group) for done in tried):
            yield _conflict(members, "", "no test is known to have run with all of these patches", voices, tested=False)


def _each_passes(name: str, together: Together, passed: set[tuple[str, Together]]) -> bool:
    return len(together) > 1 and all((name, frozenset({one})) in passed for one in together)


def _conflict(members: Sequence[Known], name: str, reason: str, voices: Voices, *, tested: bool) -> Conflict:
    times = Counter(item.words for item in members)
    # The same words of two bases, or of paths made to look so, must not hide one behind the other.
    sides = {item.words if times[item.words] == 1 else f"{item.words} ({item.cluster})": item.ids for item in members}
    id = subject_id("patch_semantic", name, *(_text(item) for item in members))
    return Conflict(id, "patch_semantic", members[0].cluster, sided(sides, voices), reason, tested)


def _text(item: Known) -> str:
    return f"{item.cluster} {item.version[1]}"


def _runs(
    records: Iterable[Record], number: Mapping[str, int]
) -> tuple[set[tuple[str, Together]], set[tuple[str, Together]]]:
    """What passed, and what failed: names of tests with the versions that they tried. Unknown patches prove nothing."""
    passed: set[tuple[str, Together]] = set()
    failed: set[tuple[str, Together]] = set()
    for record in records:
        for run in test_runs(record):
            if all(id in number for id in run.patches):
                (passed if run.passed else failed).add((run.name, frozenset(number[id] for id in run.patches)))
    return passed, failed


def test_runs(record: Record) -> Iterator[TestRun]:
    """The test runs that a record rests on."""
    if not isinstance(record, Coverage | Malformed | Resolution):
        yield from (piece for piece in record.evidence if isinstance(piece, TestRun))


def _together(known: Sequence[Known], number: Mapping[str, int], links: Iterable[Link]) -> Iterator[list[int]]:
    """Versions that touch one file, or that links connect: by their numbers, two and more."""
    joined: DisjointSets[int] = DisjointSets()
    files: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for index, item in enumerate(known):
        files[item.version[0].base, item.version[0].path].append(index)
    for first, *others in files.values():
        for other in others:
            joined.join(first, other)
    for link in links:
        if link.a in number and link.b in number:
            joined.join(number[link.a], number[link.b])
    return (group for group in joined.sets() if len(group) > 1)
