"""Patches against one common base: which clash, which were never tried together, and what they come to together.

Each pair is compared on the base, never one patch on the result of another: a fold depends on the order. And patches
that do not clash pair by pair can still be wrong together, so the union is built from the base, and checked as a whole.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from antiphon.subagents.records import Patch, PatchKey
from antiphon.workflows.synthesis.cluster_model import PatchCluster, Position
from antiphon.workflows.synthesis.conflict_model import Conflict
from antiphon.workflows.synthesis.groups import Voices, positions
from antiphon.workflows.synthesis.keys import subject_id

Version = tuple[PatchKey, str]
"""What a patch does: the lines that it replaces, and what they become."""


def clash(first: Version, second: Version) -> bool:
    """Whether two patches of one base cannot both be applied, or not in one way.

    They clash when the lines that they replace overlap, when one inserts inside of what the other replaces, or when
    both insert at the same place. The same patch twice is one patch.
    """
    (a, _), (b, _) = first, second
    return first != second and (a.base, a.path) == (b.base, b.path) and _overlap(_bounds(a), _bounds(b))


def all_clash(found: Sequence[Version]) -> bool:
    """Whether each two of these versions, all different, clash; intervals that all meet in pairs meet in one place."""
    if len({(key.base, key.path) for key, _ in found}) > 1:
        return False
    bounds = {_bounds(key) for key, _ in found}
    points = {start for start, end in bounds if start == end}
    runs = [(start, end) for start, end in bounds if start < end]
    start, end = max((run[0] for run in runs), default=-1), min((run[1] for run in runs), default=sys.maxsize)
    return len(points) < 2 and start < end and all(start < point < end for point in points)


def _bounds(key: PatchKey) -> tuple[int, int]:
    """From the boundary before the first replaced line to the one after the last; an insertion is between two lines."""
    return key.start_line - 1, key.end_line


def _overlap(a: tuple[int, int], b: tuple[int, int]) -> bool:
    if a[0] == a[1] and b[0] == b[1]:
        return a == b
    return max(a[0], b[0]) < min(a[1], b[1]) if a[0] < a[1] and b[0] < b[1] else _inside(a, b)


def _inside(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Whether the insertion (one of the two) is strictly inside of the other."""
    point, (start, end) = (a[0], b) if a[0] == a[1] else (b[0], a)
    return start < point < end


def textual_conflicts(clusters: Iterable[PatchCluster], voices: Voices) -> Iterator[Conflict]:
    """Runs of lines that patches contest: each is one conflict, and each version in it clashes with another in it.

    Two versions in one conflict clash exactly if `clash` says so; to write down every pair would take a square of room.
    """
    for region in _regions(clusters):
        first = region[0].key
        start, end = first.start_line, max(cluster.key.end_line for cluster in region)
        sides = {says: ids for cluster in region for _, says, ids in versions(cluster)}
        id = subject_id("patch_textual", first.base, first.path, start, end)
        reason = f"{first.path} at {first.base}: patches of lines {start} to {max(start, end)} overlap"
        yield Conflict(id, "patch_textual", region[0].id, sided(sides, voices), reason)


def versions(cluster: PatchCluster) -> Iterator[tuple[Version, str, tuple[str, ...]]]:
    """Each version of a patch: what it does, the same in words, and the ids of those who say it."""
    key = cluster.key
    start, end = key.start_line, key.end_line
    lines = f"before line {start}" if end < start else f"line {start}" if start == end else f"lines {start} to {end}"
    for version in cluster.versions:
        yield (key, version.says), f"{key.path}, {lines}: {version.says}", version.records


def sided(sides: Mapping[str, Sequence[str]], voices: Voices) -> tuple[Position, ...]:
    """The versions as the sides of a conflict."""
    return positions(sides, {id: voices.roots(id) for ids in sides.values() for id in ids})


def _regions(clusters: Iterable[PatchCluster]) -> list[list[PatchCluster]]:
    """What overlaps, directly or by way of others, where there is more than one version of it."""
    by_file: defaultdict[tuple[str, str], list[PatchCluster]] = defaultdict(list)
    for cluster in clusters:
        by_file[cluster.key.base, cluster.key.path].append(cluster)
    regions = [region for file in by_file.values() for region in _connected(file)]
    return [region for region in regions if len(region) > 1 or len(region[0].versions) > 1]


def _connected(file: list[PatchCluster]) -> list[list[PatchCluster]]:
    """Sweep a file from top to bottom; insertions first, as they touch nothing that begins where they are."""
    regions: list[list[PatchCluster]] = []
    reached = -1
    for cluster in sorted(file, key=lambda cluster: _bounds(cluster.key)):
        start, end = _bounds(cluster.key)
        if start >= reached:
            regions.append([])
        regions[-1].append(cluster)
        reached = max(reached, end)
    return regions


@dataclass(frozen=True, slots=True)
class PatchUnion:
    """All patches of one file, applied to the base at once.

    Attributes:
        text: the file with all of them applied, or None where they clash or do not fit the base.
        clashes: pairs of ids that clash, in order; of more than `CLASHES` only the first ones.
        problem: why there is no text, or what is wrong with the whole; "" if nothing is.
    """

    text: str | None
    clashes: tuple[tuple[str, str], ...] = ()
    problem: str = ""

    @property
    def clean(self) -> bool:
        """Whether they fit together, as far as was checked."""
        return self.text is not None and not self.problem


CLASHES = 100
Check = Callable[[str], str]
"""Looks at a whole file and says what is wrong with it; "" if nothing is."""


def union_of(patches: Mapping[str, Patch], base_text: str, *, check: Check | None = None) -> PatchUnion:
    """Apply patches (by id) of one file to its base, all at once, and check the whole.

    The order of the patches does not matter. Lines are as `str.splitlines` has them for line feeds only.

    Args:
        patches: all of one base and one path.
        base_text: the file that they were made for.
        check: what the whole must pass, such as a parser or the tests. That each pair passes would say nothing of it.

    Raises:
        ValueError: they are patches of different files.
    """
    chosen = {(patch.key, patch.replacement): id for id, patch in sorted(patches.items(), reverse=True)}
    if len({(key.base, key.path) for key, _ in chosen}) > 1:
        raise ValueError("these patches are of different bases or files: build the union of each file by itself")
    ordered = sorted(chosen, key=lambda version: (_bounds(version[0]), version[1]))
    if clashes := _clashes(ordered, chosen):
        more = "at least " if len(clashes) == CLASHES else ""
        return PatchUnion(None, clashes, f"pairs of patches that clash: {more}{len(clashes)}")
    lines = _lines(base_text)
    beyond = [key for key, _ in ordered if key.end_line > len(lines) or key.start_line > len(lines) + 1]
    if beyond:
        return PatchUnion(None, (), f"line {beyond[0].end_line} is beyond the {len(lines)} lines of the base")
    text = _applied(ordered, lines)
    return PatchUnion(text, (), check(text) if check else "")


def _lines(text: str) -> list[str]:
    """Lines with their ends; only a line feed ends one, as in the tools that number them."""
    lines = [line + "\n" for line in text.split("\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def _clashes(ordered: Sequence[Version], ids: Mapping[Version, str]) -> tuple[tuple[str, str], ...]:
    """Pairs that clash, from top to bottom; whoever begins after a patch ends cannot clash with it."""
    found: list[tuple[str, str]] = []
    for index, version in enumerate(ordered):
        end = _bounds(version[0])[1]
        for other in ordered[index + 1 :]:
            if _bounds(other[0])[0] > end or len(found) == CLASHES:
                break
            if clash(version, other):
                found.append((ids[version], ids[other]))
    return tuple(found)


def _applied(ordered: Sequence[Version], lines: Sequence[str]) -> str:
    parts: list[str] = []
    reached = 0
    for key, replacement in ordered:
        start, end = _bounds(key)
        parts += lines[reached:start]
        if start == len(lines) and parts and not parts[-1].endswith("\n"):
            parts.append("\n")  # what is added after a last line that lacks its end is a line of its own
        parts.append(replacement)
        reached = end
    return "".join([*parts, *lines[reached:]])
