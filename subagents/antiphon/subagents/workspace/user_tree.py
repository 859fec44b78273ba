"""The user's own tree, looked at and written through descriptors: no link is followed on the way to any file."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from antiphon.subagents.workspace.snapshot import LARGEST_BYTES

LINK: Final = "120000"
FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PLAIN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Barred(Exception):
    """A file that cannot be looked at or written: `why`."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class File:
    """A plain file or a link: its mode as git writes it, and its content, of a link where it leads."""

    mode: str
    content: bytes


class Tree:
    """The user's tree, by a descriptor of its folder; a context.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.folder = -1

    def __enter__(self) -> Tree:
        self.folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        os.close(self.folder)

    def look(self, path: bytes, gone: Collection[bytes] = ()) -> File | None:
        """A file as it is; None where there is none.

        Args:
            path: which one.
            gone: files that will be deleted: what is in the place of their folders does not matter.

        Raises:
            Barred: it is reached through a link, or is no plain file.
        """
        try:
            with self._above(path, gone) as (folder, name):
                return None if folder is None else self._file(folder, name, path, gone)
        except FileNotFoundError:
            return None

    def _file(self, folder: int, name: bytes, path: bytes, gone: Collection[bytes]) -> File | None:
        about = os.lstat(name, dir_fd=folder)
        if stat.S_ISLNK(about.st_mode):
            return File(LINK, os.readlink(name, dir_fd=folder))
        if stat.S_ISDIR(about.st_mode):
            if self._empties(folder, name, path, gone):
                return None
            raise Barred("there is a folder")
        if not stat.S_ISREG(about.st_mode):
            raise Barred("there is a pipe, a socket or a device")
        if about.st_size > LARGEST_BYTES:
            raise Barred("it is too large")
        with open(os.open(name, _PLAIN, dir_fd=folder), "rb") as file:
            return File("100755" if about.st_mode & stat.S_IXUSR else "100644", file.read())

    def _empties(self, folder: int, name: bytes, path: bytes, gone: Collection[bytes]) -> bool:
        """Whether all that is in a folder will be deleted."""
        inner = os.open(name, FOLDER, dir_fd=folder)
        try:
            for entry in os.listdir(inner):
                below = path + b"/" + os.fsencode(entry)
                about = os.lstat(entry, dir_fd=inner)
                folder_too = stat.S_ISDIR(about.st_mode)
                if not (self._empties(inner, os.fsencode(entry), below, gone) if folder_too else below in gone):
                    return False
            return True
        finally:
            os.close(inner)

    @contextmanager
    def _above(
        self, path: bytes, gone: Collection[bytes] = (), made: list[bytes] | None = None
    ) -> Generator[tuple[int | None, bytes]]:
        """The folder that a file is in, and its name there; None for a folder that is not there.

        With `made`, folders that are not there are made, and named in it.
        """
        *folders, name = path.split(b"/")
        with ExitStack() as closing:
            folder: int | None = self.folder
            for count, part in enumerate(folders, start=1):
                assert folder is not None
                here = b"/".join(folders[:count])
                try:
                    folder = self._enter(folder, part, here, made)
                except NotADirectoryError:
                    if here not in gone:
                        raise Barred(f"{os.fsdecode(here)} is a link or a file, and no folder") from None
                    folder = None
                except FileNotFoundError:
                    folder = None
                if folder is None:
                    break
                closing.callback(os.close, folder)
            yield folder, name

    def _enter(self, folder: int, part: bytes, here: bytes, made: list[bytes] | None) -> int:
        try:
            return os.open(part, FOLDER, dir_fd=folder)
        except FileNotFoundError:
            if made is None:
                raise
            os.mkdir(part, dir_fd=folder)
            made.append(here)
            return os.open(part, FOLDER, dir_fd=folder)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None

    def put(self, stage: int, file: str, path: bytes, made: list[bytes]) -> None:
        """Move a staged file to its place, over what is there."""
        with self._above(path, made=made) as (folder, name):
            assert folder is not None
            with suppress(FileNotFoundError):
                if stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
                    os.rmdir(name, dir_fd=folder)
            os.replace(file, name, src_dir_fd=stage, dst_dir_fd=folder)

    def delete(self, path: bytes) -> None:
        """Delete a file, and the folders that are empty without it."""
        with self._above(path) as (folder, name):
            assert folder is not None
            os.unlink(name, dir_fd=folder)
        parts = path.split(b"/")[:-1]
        for count in range(len(parts), 0, -1):
            if not self.remove_folder(b"/".join(parts[:count])):
                return

    def remove_folder(self, path: bytes) -> bool:
        """Remove a folder if it is empty; whether it was."""
        try:
            with self._above(path) as (folder, name):
                if folder is not None:
                    os.rmdir(name, dir_fd=folder)
                return folder is not None
        except OSError:
            return False

    def keep(self, stage: int, file: str, path: bytes) -> None:
        """Keep a file under a staged name, too: its old content stays there when it is replaced."""
        with self._above(path) as (folder, name):
            assert folder is not None
            os.link(name, file, src_dir_fd=folder, dst_dir_fd=stage, follow_symlinks=False)

    def permissions(self, path: bytes) -> os.stat_result | None:
        """What is said of a file that is there."""
        try:
            with self._above(path) as (folder, name):
                return None if folder is None else os.lstat(name, dir_fd=folder)
        except (FileNotFoundError, NotADirectoryError, Barred):
            return None
