"""Checks a workspace against what it began as: only what is new counts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import anyio.to_thread

from antiphon.engine import CallContext
from antiphon.subagents.checks.problems import Checker, CheckRun, Problem, new_problems
from antiphon.subagents.sandbox.confinement import MIB
from antiphon.subagents.sandbox.scratch import private_folder
from antiphon.subagents.workspace.contract import Change, Workspace
from antiphon.subagents.workspace.looking import files_below

_COPIED_FILES: Final = 5_000
_COPIED_BYTES: Final = 100 * MIB
_KEPT_AT_MOST: Final = 64


@dataclass(frozen=True, slots=True)
class Compared:
    """Problems of the files that a workspace changed, before and after.

    Attributes:
        files: those files. before: as the workspace began. after: as it is.
    """

    files: tuple[str, ...]
    before: CheckRun
    after: CheckRun

    @property
    def new(self) -> tuple[Problem, ...]:
        """What was not there before."""
        return tuple(new_problems(self.before.problems, self.after.problems))

    @property
    def old(self) -> int:
        """How many problems of these files were there before, and are still."""
        return len(self.after.problems) - len(self.new)


Kept = dict[tuple[str, tuple[str, ...]], CheckRun]
"""What files were as work began, by that state and their names: it is asked for again and again, and stays the same."""


async def compare(
    workspace: Workspace,
    checker: Checker,
    ctx: CallContext,
    *,
    paths: Sequence[str] | None = None,
    kept: Kept | None = None,
) -> Compared:
    """Check what a workspace changed, and the same files as they were.

    Args:
        workspace: whose.
        checker: what looks.
        ctx: of the call that this is done for.
        paths: only these of the changed files; None for all of them.
        kept: where the checks of what was before are kept, by whoever compares again with the same checker.
    """
    changes = [change for change in await workspace.changed() if paths is None or change.path in paths]
    files = tuple(change.path for change in changes)
    if not files:
        return Compared((), CheckRun(), CheckRun())
    after = await checker(workspace.root, files, sandbox=workspace.sandbox, ctx=ctx)
    if not after.problems:
        return Compared(files, CheckRun(ran=after.ran), after)
    key, kept = (workspace.base.tree, files), {} if kept is None else kept
    if key not in kept:
        if len(kept) >= _KEPT_AT_MOST:
            kept.pop(next(iter(kept)))
        kept[key] = await _before(workspace, checker, ctx, changes)
    return Compared(files, kept[key], after)


async def _before(workspace: Workspace, checker: Checker, ctx: CallContext, changes: Sequence[Change]) -> CheckRun:
    """The same files as they were, among all the others, which say what they mean."""
    then = {change.path: await workspace.content(change.path, workspace.base.tree) for change in changes}
    with private_folder() as folder:
        root = Path(folder)
        await anyio.to_thread.run_sync(partial(_rebuild, workspace.root, root, then))
        return await checker(root, tuple(then), sandbox=workspace.sandbox, ctx=ctx)


def _rebuild(root: Path, copy: Path, then: dict[str, bytes | None]) -> None:
    room, count = _COPIED_BYTES, 0
    for path in files_below(root):
        unit = path.relative_to(root).as_posix()
        size = _size(path)
        if unit in then or size > room or count >= _COPIED_FILES:
            continue
        count, room = count + 1, room - size
        _place(copy / unit, path)
    for unit, content in then.items():
        if content is not None and ".." not in Path(unit).parts:
            target = copy / unit
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def _place(target: Path, source: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(source, target, follow_symlinks=False)
    except OSError:
        return  # it is gone, or cannot be read: then no checker could read it either


def _size(path: Path) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0
