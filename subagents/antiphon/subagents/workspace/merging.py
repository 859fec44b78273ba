"""Brings several states that began as one together, whatever order they are given in.

Each file is compared with the common base alone: every state's edits are intervals of the base's lines, edits that
touch each other without being the same are a conflict, and the union of all others is applied at once. There is no
fold of one merge into the next: what comes out of that depends on who comes first.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from antiphon.subagents.workspace.live import RunWorkspaces
from antiphon.subagents.workspace.patch import Side, sides_between
from antiphon.subagents.workspace.snapshot import Entry, index_lines
from antiphon.subagents.workspace.store import Store

_HUNK = re.compile(rb"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", re.MULTILINE)
_PLAIN: Final = frozenset({"100644", "100755"})
_LOOK_BYTES: Final = 8000


@dataclass(frozen=True, slots=True)
class Conflict:
    """A file that several states changed in ways that do not go together.

    Attributes:
        path: the file. reason: how they differ. trees: the states that changed it, in order of their ids.
    """

    path: str
    reason: str
    trees: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Merged:
    """What several states came to together.

    Attributes:
        tree: the state that has the changes of all of them. A file in conflict is in it as in the base.
        conflicts: those files, in order of path.
    """

    tree: str
    conflicts: tuple[Conflict, ...]


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Lines of the base, from `begin` up to before `end`, and what stands in their place."""

    begin: int
    end: int
    lines: tuple[bytes, ...]

    def touches(self, other: Edit) -> bool:
        """Whether it cannot stand beside another one: no line of the base is left between them."""
        return self != other and self.begin <= other.end and other.begin <= self.end


async def merged(workspaces: RunWorkspaces, base_tree: str, trees: Sequence[str]) -> Merged:
    """The union of what several states changed in their common base; the same for every order of them.

    Args:
        workspaces: of the run that they are states of.
        base_tree: what all of them began as.
        trees: the states.

    Raises:
        UsageError: one of them is no state of this run.
    """
    await workspaces.open_base()
    return await workspaces.blocking(lambda: merge_states(workspaces.store, base_tree, trees))


def merge_states(store: Store, base: str, trees: Sequence[str]) -> Merged:
    """See `merged`. Blocks."""
    changed: dict[bytes, dict[str, tuple[Side | None, Side | None]]] = {}
    for tree in sorted(set(trees)):
        store.check_tree(tree)
        for path, both in sides_between(store, store.check_tree(base), tree).items():
            changed.setdefault(path, {})[tree] = both
    result: dict[bytes, Side | None] = {}
    wrong: dict[bytes, str] = {}
    for path, versions in changed.items():
        before = next(iter(versions.values()))[0]
        after = sorted({after for _, after in versions.values()}, key=_order)
        union = _union(store, before, after)
        if isinstance(union, str):
            wrong[path] = union
        else:
            result[path] = union
    wrong |= _in_the_way(store, base, result, wrong)
    kept = {path: side for path, side in result.items() if path not in wrong}
    conflicts = (Conflict(os.fsdecode(path), why, tuple(changed.get(path, ()))) for path, why in sorted(wrong.items()))
    return Merged(_applied(store, base, kept), tuple(conflicts))


def _order(side: Side | None) -> tuple[str, str]:
    return (side.mode, side.name) if side is not None else ("", "")


def _union(store: Store, before: Side | None, after: Sequence[Side | None]) -> Side | str | None:
    """What some different versions of a file come to; a text that says why they do not."""
    if len(after) == 1:
        return after[0]
    sides = [side for side in (before, *after) if side is not None]
    if before is None:
        return "it was added in different ways"
    if None in after:
        return "it was deleted and changed"
    if any(side.mode not in _PLAIN for side in sides):
        return "it was changed in different ways, and is no plain file everywhere"
    modes = {side.mode for side in sides[1:]} - {before.mode}
    contents = {side.name for side in sides[1:]} - {before.name}
    name = _union_of_contents(store, before.name, sorted(contents))
    if name is None:
        return "the same lines were changed in different ways"
    return Side(modes.pop() if modes else before.mode, name)


def _union_of_contents(store: Store, base: str, names: Sequence[str]) -> str | None:
    if len(names) < 2:
        return names[0] if names else base
    before = store.git("cat-file", "blob", base)
    versions = [store.git("cat-file", "blob", name) for name in names]
    union = united(before, [edits(store, base, name, after) for name, after in zip(names, versions, strict=True)])
    return None if union is None or is_binary(before, *versions) else store.write_blob(union)


def edits(store: Store, base: str, name: str, after: bytes) -> frozenset[Edit]:
    """What turns one content into another, as git finds it. Blocks.

    Args:
        store: where both are.
        base: the id of the one.
        name: the id of the other.
        after: what the other holds.
    """
    said = store.git("diff", "--no-ext-diff", "--no-textconv", "--no-color", "--text", "-U0", base, name)
    lines = _lines(after)
    found: set[Edit] = set()
    for hunk in _HUNK.finditer(said):
        at, count, to, new = (int(one) if one is not None else 1 for one in hunk.groups())
        begin = at - 1 if count else at
        found.add(Edit(begin, begin + count, tuple(lines[to - 1 : to - 1 + new]) if new else ()))
    return frozenset(found)


def united(before: bytes, each: Iterable[frozenset[Edit]]) -> bytes | None:
    """A content with all of some edits applied; None where two of them touch."""
    all_of_them = sorted(frozenset[Edit]().union(*each))
    if any(one.touches(other) for one, other in pairwise(all_of_them)):
        return None
    lines, at = _lines(before), 0
    whole: list[bytes] = []
    for edit in all_of_them:
        whole += [*lines[at : edit.begin], *edit.lines]
        at = edit.end
    return b"".join([*whole, *lines[at:]])


def _lines(content: bytes) -> list[bytes]:
    """Lines as git counts them: only a line feed ends one."""
    parts = content.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def is_binary(*contents: bytes) -> bool:
    """Whether git takes one of them for no text."""
    return any(b"\0" in content[:_LOOK_BYTES] for content in contents)


def _in_the_way(
    store: Store, base: str, result: Mapping[bytes, Side | None], wrong: Mapping[bytes, str]
) -> dict[bytes, str]:
    """Files that would be where a folder is, and those in that folder: they stay as they were."""
    there = {line for line in store.git("ls-tree", "-r", "-z", "--name-only", "--full-tree", base).split(b"\0") if line}
    found: dict[bytes, str] = {}
    while True:
        present = set(there)
        for path, side in result.items():
            if path not in wrong and path not in found:
                (present.discard if side is None else present.add)(path)
        clash = {path for path in present if any(above in present for above in _above(path))}
        clash |= {above for path in clash for above in _above(path) if above in present}
        new = {path for path in clash | _below(clash, result) if path in result} - wrong.keys() - found.keys()
        if not new:
            return found
        found |= dict.fromkeys(new, "one has a file where another has a folder")


def _above(path: bytes) -> list[bytes]:
    parts = path.split(b"/")
    return [b"/".join(parts[:count]) for count in range(1, len(parts))]


def _below(places: Iterable[bytes], result: Mapping[bytes, Side | None]) -> set[bytes]:
    wanted = set(places)
    return {path for path in result if any(above in wanted for above in _above(path))}


def _applied(store: Store, base: str, changes: Mapping[bytes, Side | None]) -> str:
    if not changes:
        return base
    index = store.temporary("merged-index")
    git = store.git.at(None, index)
    try:
        git("read-tree", base)
        there = [Entry(path, side.mode, side.name) for path, side in changes.items() if side is not None]
        gone = [path for path, side in changes.items() if side is None]
        git("update-index", "-z", "--index-info", given=index_lines(there, gone, store))
        return store.index_tree(index)
    finally:
        index.unlink(missing_ok=True)
