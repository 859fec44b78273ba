"""`Files`: reading, listing and changing what is below one folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from antiphon.subagents.workspace.files.changing import Change, Put, Remove, change_all
from antiphon.subagents.workspace.files.content import Content, Entry, kind_of
from antiphon.subagents.workspace.files.names import PathRefused, parts_of
from antiphon.subagents.workspace.files.viewing import View
from antiphon.subagents.workspace.files.way import Place, way_to

MOST_BYTES: Final = 16 * 1024 * 1024
"""Of one file that is read whole or written."""
MOST_ENTRIES: Final = 50_000
"""Names of one folder that are listed."""


class Files:
    """The files below a folder, by paths that may come from anybody. Every method blocks.

    Paths are relative to the folder, with `/`; absolute ones are refused. A link is passed for
    reading where it stays inside; nothing is changed through one. A file that has other names (hard links) is replaced
    and not written into, so that those keep what they had. Pipes, sockets and devices are never opened, and `.git` in
    any spelling is not either.

    Args:
        root: the folder.
        view: what of it is shown to whoever looks into folders; by default everything. Paths that are named are for
            whoever rules on the call.
    """

    def __init__(self, root: Path, view: View | None = None) -> None:
        self.root, self.view = Path(os.path.realpath(root)), view

    def named(self, path: str) -> str:
        """The path in normal form, below the root; "" for the root itself. Looks at no file.

        Raises:
            PathRefused: it leads out, or is never opened.
        """
        return "/".join(parts_of(path, str(self.root)))

    def where(self, path: str) -> str:
        """Where a path really is, below the root, with all links on the way passed; "" for the root itself.

        Raises:
            PathRefused: it is not there, or leads out.
        """
        with self._found(path) as place:
            return place.path

    def look(self, path: str) -> Entry | None:
        """What is at a path; None for nothing. A link inside is followed, so the entry is what it leads to.

        Raises:
            PathRefused: it leads out, or is never opened.
        """
        try:
            with self._way(path) as place:
                if place.status is None:
                    return None
                status = place.status
                return Entry(place.name, kind_of(status.st_mode), status.st_size, stat.S_IMODE(status.st_mode))
        except FileNotFoundError:
            return None

    def read(self, path: str, most: int = MOST_BYTES) -> Content:
        """A file's first bytes.

        Args:
            path: of a regular file.
            most: how many bytes at most.

        Raises:
            PathRefused: it is not there, no regular file, or leads out.
        """
        with self._found(path) as place:
            return _content(place, path, most)

    def list(self, path: str = "") -> list[Entry]:
        """What is in a folder, in order of names; links are told as links, with what they say.

        Raises:
            PathRefused: it is not there, is no folder, leads out, or holds more names than anybody could read.
        """
        with self._found(path) as place:
            return sorted(_entries(place, path), key=lambda entry: entry.name)

    def shown(self, path: str, entry: Entry) -> Entry | None:
        """A name of a folder as the view shows it, None where it does not.

        A link is shown where its end is as well, and says that and not the way to it.
        """
        view = self.view
        if view is None:
            return entry
        if entry.kind == "folder":
            return entry if view.folder(path) else None
        if not view.file(path):
            return None
        if entry.kind != "link":
            return entry
        end = os.path.realpath(self.root / path)
        real = os.path.relpath(end, self.root)
        inside = real != ".." and not real.startswith("../")
        top = "" if real == "." else real
        shown = inside and (view.folder(top) if os.path.isdir(end) else view.file(top))
        return replace(entry, target=real) if shown else None

    def change(self, changes: Sequence[Change]) -> None:
        """Make some changes, all or none: everything is checked before the first, and taken back when one fails.

        Raises:
            PathRefused: one cannot be made, for what is there or for its path.
            OSError: the disk is full, or fails; what had been changed is as before, unless it says otherwise.
        """
        change_all(str(self.root), changes, MOST_BYTES)

    def write(self, path: str, content: bytes) -> None:
        """Make a file hold this, whatever was there; folders are made as needed. Errors as in `change`."""
        self.change([Put(path, content)])

    def delete(self, path: str) -> None:
        """Remove a file, and the folders that it leaves empty. Errors as in `change`."""
        self.change([Remove(path)])

    @contextmanager
    def _way(self, path: str) -> Generator[Place]:
        with way_to(str(self.root), parts_of(path, str(self.root)), follow=True) as place:
            yield place

    @contextmanager
    def _found(self, path: str) -> Generator[Place]:
        try:
            with self._way(path) as place:
                if place.status is None:
                    raise PathRefused(path, "there is no such file or folder")
                yield place
        except FileNotFoundError:
            raise PathRefused(path, "there is no such file or folder") from None


def _content(place: Place, path: str, most: int) -> Content:
    status = place.status
    if status is None or not stat.S_ISREG(status.st_mode):
        raise PathRefused(path, f"it is {_what(status)}, not a file")
    # Not blocking: a pipe may have come in its place, whose writer never does.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(place.name, flags, dir_fd=place.folder)
    except OSError as error:
        raise PathRefused(path, f"it cannot be read: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as stream:
        now = os.fstat(descriptor)
        if not stat.S_ISREG(now.st_mode):
            raise PathRefused(path, "it became something else meanwhile")
        data = stream.read(most)
    return Content(place.path, data, max(now.st_size, len(data)), stat.S_IMODE(now.st_mode))


def _what(status: os.stat_result | None) -> str:
    kind = "nothing" if status is None else kind_of(status.st_mode)
    return {"folder": "a folder", "link": "a symbolic link", "special": "a pipe, a socket or a device"}.get(kind, kind)


def _entries(place: Place, path: str) -> Iterator[Entry]:
    status = place.status
    if status is None or not stat.S_ISDIR(status.st_mode):
        raise PathRefused(path, "it is no folder")
    try:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(place.name, flags, dir_fd=place.folder)
    except OSError as error:
        raise PathRefused(path, f"it cannot be listed: {error.strerror}") from None
    try:
        with os.scandir(descriptor) as names:
            for count, one in enumerate(names):
                if count >= MOST_ENTRIES:
                    raise PathRefused(path, f"it holds more than {MOST_ENTRIES:,} names; glob or run can narrow it")
                if (entry := _entry(one.name, descriptor)) is not None:
                    yield entry
    finally:
        os.close(descriptor)


def _entry(name: str, folder: int) -> Entry | None:
    """None for what went away meanwhile."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        target = os.readlink(name, dir_fd=folder) if stat.S_ISLNK(status.st_mode) else ""
    except OSError:
        return None
    return Entry(name, kind_of(status.st_mode), status.st_size, stat.S_IMODE(status.st_mode), target)
