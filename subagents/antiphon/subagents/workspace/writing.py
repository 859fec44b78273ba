"""Writes into the user's own tree: all of some files, or none. No link is followed on the way to any of them."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from antiphon.subagents.workspace.listing import STAGE
from antiphon.subagents.workspace.user_tree import FOLDER, LINK, Barred, File, Tree
from antiphon.subagents.workspace.worktree import clear

_STAGE: Final = STAGE.decode()


@dataclass(frozen=True, slots=True)
class Write:
    """What is to become of a file: as it is now, and as it is to be; None where it is not there."""

    path: bytes
    now: File | None
    then: File | None


def write_all(root: Path, writes: Sequence[Write]) -> None:
    """Make some files what they are to be: all of them, or none. Blocks.

    Every new content is on the disk before the first file is replaced, and every file is replaced at once; what fails
    in between, Ctrl-C too, is taken back.

    Raises:
        Barred: a file is no longer what it was when this was worked out; nothing was written.
        OSError: something could not be written; all was taken back.
    """
    with Tree(root) as tree, _stage(root) as stage:
        _Writing(tree, stage).write(writes)


class _Writing:
    """Files on their way. `_undo` says what was done so far."""

    def __init__(self, tree: Tree, stage: int) -> None:
        self._tree, self._stage = tree, stage
        self._undo: list[tuple[Write, str]] = []
        self._made: list[bytes] = []

    def write(self, writes: Sequence[Write]) -> None:
        gone = {write.path for write in writes if write.then is None}
        ordered = sorted(writes, key=lambda write: (write.then is not None, write.path))
        for number, write in enumerate(ordered):
            self._stage_one(f"new-{number}", f"old-{number}", write)
        whole = False
        try:
            for number, write in enumerate(ordered):
                if self._tree.look(write.path, gone) != write.now:
                    raise Barred(f"{os.fsdecode(write.path)} was changed just now")
                self._undo.append((write, f"old-{number}"))
                self._one(f"new-{number}", write)
            whole = True
        finally:
            if not whole:
                self._take_back()

    def _one(self, new: str, write: Write) -> None:
        if write.then is None:
            self._tree.delete(write.path)
        else:
            self._tree.put(self._stage, new, write.path, self._made)

    def _take_back(self) -> None:
        for write, old in reversed(self._undo):
            with suppress(OSError, Barred):  # somebody else is at it, too: the others are taken back all the same
                if write.now is not None:
                    self._tree.put(self._stage, old, write.path, [])
                elif self._tree.look(write.path) == write.then:
                    self._tree.delete(write.path)
        for folder in reversed(self._made):
            self._tree.remove_folder(folder)

    def _stage_one(self, new: str, old: str, write: Write) -> None:
        if write.now is not None:
            self._keep(old, write.path, write.now)
        if write.then is not None:
            self._write(new, write.then, self._tree.permissions(write.path) if write.now is not None else None)

    def _keep(self, old: str, path: bytes, now: File) -> None:
        try:
            self._tree.keep(self._stage, old, path)
        except OSError:  # a file system without hard links
            self._write(old, now, self._tree.permissions(path))

    def _write(self, name: str, file: File, like: os.stat_result | None) -> None:
        if file.mode == LINK:
            os.symlink(file.content, name, dir_fd=self._stage)
            return
        runs = file.mode == "100755"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(name, flags, 0o777 if runs else 0o666, dir_fd=self._stage), "wb") as out:
            out.write(file.content)
            out.flush()
            if like is not None and stat.S_ISREG(like.st_mode):
                _dress(out.fileno(), like, runs=runs)
            os.fsync(out.fileno())


def _dress(file: int, like: os.stat_result, *, runs: bool) -> None:
    """Give a new content the owner and the permissions of the old one."""
    mode = stat.S_IMODE(like.st_mode) & 0o777
    mode = mode | ((mode & 0o444) >> 2) if runs else mode & ~0o111
    with suppress(PermissionError):
        os.fchown(file, like.st_uid, like.st_gid)
    os.fchmod(file, mode)


@contextmanager
def _stage(root: Path) -> Generator[int]:
    """A folder beside the files, for what is on its way; what a killed process left of its own is removed."""
    for name in os.listdir(root):
        if name.startswith(_STAGE) and not (root / name).is_symlink():
            _remove_left(root / name)
    place = root / f"{_STAGE}{secrets.token_hex(6)}"
    place.mkdir(mode=0o700)
    folder = os.open(place, FOLDER)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield folder
    finally:
        clear(place)
        os.close(folder)


def _remove_left(place: Path) -> None:
    try:
        folder = os.open(place, FOLDER)
    except OSError:
        return
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        clear(place)
    except BlockingIOError:
        pass
    finally:
        os.close(folder)
