"""The way to a path, folder by folder: each is opened by the descriptor of the one before, no link unseen.

A name is looked at, then opened so that a link in its place fails. Whoever exchanges a folder for a link in between
gets a refusal; whoever does so later finds that the descriptor still is the folder.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple

from antiphon.subagents.workspace.files.names import PathRefused, check_name, check_new_name

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LINKS_AT_MOST: Final = 40
_DEEPEST: Final = 200


class Place(NamedTuple):
    """Where a path ends.

    Attributes:
        folder: the open descriptor of the folder around it. name: its own in there; "." for the root.
        status: of what is there; None for nothing. above: the names of the folders around it, from the root on.
    """

    folder: int
    name: str
    status: os.stat_result | None
    above: tuple[str, ...]

    @property
    def path(self) -> str:
        """Below the root, with `/`."""
        return "/".join((*self.above, *(() if self.name == "." else (self.name,))))


@contextmanager
def way_to(root: str, parts: Sequence[str], *, follow: bool, make: bool = False) -> Generator[Place]:
    """Go to a path below a root, and keep its folder open meanwhile.

    Args:
        root: absolute, real.
        parts: as `parts_of` gives them.
        follow: pass links that stay inside; without it there may be none anywhere on the way.
        make: make the folders that are not there.

    Raises:
        PathRefused: it leads out, through a link where none is passed, or through what is no folder.
        FileNotFoundError: a folder on the way is not there.
    """
    walker = _Walker(root, "/".join(parts), follow=follow, make=make)
    try:
        yield walker.go(parts)
    finally:
        walker.close()


class _Walker:
    def __init__(self, root: str, path: str, *, follow: bool, make: bool) -> None:
        self._path, self._follow, self._make = path, follow, make
        self._root = root
        self._here = os.open(root, _FOLDER)
        self._names: list[str] = []
        self._links = 0

    def close(self) -> None:
        os.close(self._here)

    def go(self, parts: Sequence[str]) -> Place:
        waiting = list(reversed(parts))
        while waiting:
            name = waiting.pop()
            if name in ("", "."):
                continue
            if name == "..":  # of a link's target: back on our own way, and never above its beginning
                self._back()
                continue
            check_name(name, self._path)
            status = self._look(name)
            if status is not None and stat.S_ISLNK(status.st_mode):
                waiting += self._target(name)
            elif not waiting:
                return Place(self._here, name, status, tuple(self._names))
            else:
                self._enter(name, status)
        return Place(self._here, ".", os.fstat(self._here), tuple(self._names))

    def _look(self, name: str) -> os.stat_result | None:
        try:
            return os.stat(name, dir_fd=self._here, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def _target(self, name: str) -> list[str]:
        if not self._follow:
            raise PathRefused(self._path, f"{self._said(name)} is a symbolic link, and nothing is changed through one")
        self._links += 1
        target = os.readlink(name, dir_fd=self._here)
        if target.startswith("/"):
            raise PathRefused(self._path, f"{self._said(name)} is a link out of the workspace")
        if self._links > _LINKS_AT_MOST:
            raise PathRefused(self._path, "its links lead to no end")
        return list(reversed(target.split("/")))

    def _back(self) -> None:
        if not self._names:
            raise PathRefused(self._path, "a link in it leads out of the workspace")
        self._go_to(os.open(self._root, _FOLDER))
        names, self._names = self._names[:-1], []
        for name in names:  # down again: only one folder is kept open, however deep it goes
            self._enter(name, self._look(name))

    def _enter(self, name: str, status: os.stat_result | None) -> None:
        if status is None and self._make:
            check_new_name(name, self._path)
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=self._here)
        elif status is None:
            raise FileNotFoundError(2, "there is no such folder", self._said(name))
        elif not stat.S_ISDIR(status.st_mode):
            raise PathRefused(self._path, f"{self._said(name)} is no folder")
        if len(self._names) >= _DEEPEST:
            raise PathRefused(self._path, f"it is more than {_DEEPEST} folders deep")
        try:
            self._go_to(os.open(name, _FOLDER, dir_fd=self._here))
        except NotADirectoryError:
            raise PathRefused(self._path, f"{self._said(name)} became something else meanwhile") from None
        except OSError as error:
            raise PathRefused(self._path, f"{self._said(name)} cannot be opened: {error.strerror}") from None
        self._names.append(name)

    def _go_to(self, descriptor: int) -> None:
        os.close(self._here)
        self._here = descriptor

    def _said(self, name: str) -> str:
        return "/".join((*self._names, name))
