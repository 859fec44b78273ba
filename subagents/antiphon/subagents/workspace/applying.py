"""What a patch of a run would do to the user's own files, worked out whole before the first of them is touched.

A file that is as it was when the run began becomes what the patch says. One that the user changed meanwhile gets the
patch's edits beside their own, where no line is touched by both. Anything else refuses the whole patch.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from antiphon.engine import UsageError
from antiphon.subagents.workspace.contract import Base
from antiphon.subagents.workspace.git import GitFailed
from antiphon.subagents.workspace.listing import is_forbidden
from antiphon.subagents.workspace.merging import edits, is_binary, united
from antiphon.subagents.workspace.patch import Side, sides_between
from antiphon.subagents.workspace.repository import find_repository
from antiphon.subagents.workspace.store import STORE, Store, open_store
from antiphon.subagents.workspace.user_tree import LINK, Barred, File, Tree
from antiphon.subagents.workspace.worktree import clear
from antiphon.subagents.workspace.writing import Write

_OURS: Final = b".antiphon"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file that keeps a patch from being applied, and why."""

    path: str
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What applying a patch would do.

    Attributes:
        writes: what becomes of files. merged: those of them in which the user's own changes stay beside the patch's.
        done: files that are already as the patch wants them.
        refused: what keeps it from being applied; then nothing is written.
    """

    writes: tuple[Write, ...]
    merged: tuple[str, ...]
    done: tuple[str, ...]
    refused: tuple[Refusal, ...]


def plan_patch(diff: bytes, base: Base, place: Path) -> Plan:
    """Work out what a patch would do to the files of a project. Nothing is written, there or in the run. Blocks.

    Args:
        diff: the patch, in git's form.
        base: what it begins at: the state, and the project's folder.
        place: the run's directory, which has the files of that state.

    Raises:
        UsageError: it is no patch of that state, or leads out of the project.
        OSError: a file cannot be read.
    """
    with _scratch(base, place) as store:
        sides = _read(store, diff, base.tree)
        _check_paths(sides)
        contents = store.contents(side.name for both in sides.values() for side in both if side is not None)
        with Tree(base.root) as tree:
            return _Planning(store, tree, contents).plan(sides)


@contextmanager
def _scratch(base: Base, place: Path) -> Generator[Store]:
    """A repository for this one time: the run may come from elsewhere, and its own is only read."""
    folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="antiphon-apply-")))
    objects = place.resolve() / STORE / "objects"
    try:
        yield open_store(folder, base.root, find_repository(base.root), base.tree, also=[objects])
    finally:
        clear(folder)


def _read(store: Store, diff: bytes, base: str) -> dict[bytes, tuple[Side | None, Side | None]]:
    """What a patch makes of a state, as git reads it."""
    file, index = store.temporary("patch"), store.temporary("index")
    git = store.git.at(None, index)
    file.write_bytes(diff)
    try:
        git("read-tree", store.check_tree(base))
        if diff:
            git("apply", "--cached", "--whitespace=nowarn", str(file))
        return sides_between(store, base, store.index_tree(index))
    except GitFailed as error:
        raise UsageError(
            f"this is no patch of what the run began with: {error.said}", advice="antiphon verify RUN"
        ) from None


def _check_paths(sides: Iterable[bytes]) -> None:
    for path in sides:
        if is_forbidden(path) or path.startswith(b"/") or _OURS in path.split(b"/"):
            raise UsageError(
                f"the patch writes to {os.fsdecode(path)!r}, which no patch may", advice="read it; it is not applied"
            )


class _Planning:
    """One patch on its way to a plan."""

    def __init__(self, store: Store, tree: Tree, contents: Mapping[str, bytes]) -> None:
        self._store, self._tree, self._contents = store, tree, contents
        self._writes: list[Write] = []
        self._merged: list[str] = []
        self._done: list[str] = []
        self._refused: list[Refusal] = []

    def plan(self, sides: Mapping[bytes, tuple[Side | None, Side | None]]) -> Plan:
        """Decide about each file, in order of path."""
        gone = {path for path, (_, after) in sides.items() if after is None}
        for path, (before, after) in sorted(sides.items()):
            try:
                now = self._tree.look(path, gone)
                self._decide(path, now, self._file(before), self._file(after))
            except Barred as barred:
                self._refuse(path, barred.why)
        return Plan(tuple(self._writes), tuple(self._merged), tuple(self._done), tuple(self._refused))

    def _file(self, side: Side | None) -> File | None:
        return File(side.mode, self._contents[side.name]) if side is not None else None

    def _refuse(self, path: bytes, why: str) -> None:
        self._refused.append(Refusal(os.fsdecode(path), why))

    def _decide(self, path: bytes, now: File | None, before: File | None, after: File | None) -> None:
        if now == after:
            self._done.append(os.fsdecode(path))
        elif after is not None and after.mode == LINK and _leads_out(path, after.content):
            self._refuse(path, "it would become a link that leads out of the project")
        elif now == before:
            self._writes.append(Write(path, now, after))
        elif now is None:
            self._refuse(path, "you deleted it, and the patch changes it")
        elif before is None:
            self._refuse(path, "you added it too, with another content")
        elif after is None:
            self._refuse(path, "you changed it, and the patch deletes it")
        else:
            self._merge(path, now, before, after)

    def _merge(self, path: bytes, now: File, before: File, after: File) -> None:
        union = self._union(now, before, after)
        if union is None:
            self._refuse(path, "you changed it, in lines that the patch changes too")
            return
        mode = after.mode if after.mode != before.mode else now.mode
        self._writes.append(Write(path, now, File(mode, union)))
        self._merged.append(os.fsdecode(path))

    def _union(self, now: File, before: File, after: File) -> bytes | None:
        if LINK in (now.mode, before.mode, after.mode) or is_binary(now.content, before.content, after.content):
            return None
        base = self._store.write_blob(before.content)
        each = [edits(self._store, base, self._store.write_blob(one.content), one.content) for one in (now, after)]
        return united(before.content, each)


def _leads_out(path: bytes, target: bytes) -> bool:
    """Whether a link leads to anything that is not in the project.

    What goes up after it went down could go through another link, and then it is not known where that leads.
    """
    if target.startswith(b"/"):
        return True
    parts = [part for part in target.split(b"/") if part not in (b"", b".")]
    up = next((count for count, part in enumerate(parts) if part != b".."), len(parts))
    return up > path.count(b"/") or b".." in parts[up:]


def refusal(refused: Sequence[Refusal]) -> str:
    """Why a patch is not applied, as one sentence."""
    first = "; ".join(f"{one.path}: {one.why}" for one in refused[:5])
    more = f"; and {len(refused) - 5} more" if len(refused) > 5 else ""
    return f"the patch does not fit what is there now, and nothing was written ({first}{more})"
