"""The text files below a folder, as a prompt may be given them: nothing outside, nothing ignored, nothing too large."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from antiphon.subagents.ignore_patterns import Patterns, lines_of

IGNORE_FILES: Final = (".gitignore", ".antiphonignore")
NEVER: Final = frozenset({
    ".git", ".hg", ".svn", ".bzr", ".antiphon", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache",
    ".hypothesis", ".import_linter_cache", ".tox", ".nox", ".venv", ".eggs", "node_modules",
})  # fmt: skip
"""Folders that hold nothing a person wrote for readers."""
_IGNORE_BYTES: Final = 1 << 18
_IGNORE_LINES: Final = 1_000


@dataclass(frozen=True, slots=True)
class Caps:
    """How much is read at most; what is beyond is counted, never silently missing.

    Attributes:
        files: how many. file_bytes: of one. bytes: of all together. depth: folders inside folders.
        listed: how many names are looked at.
    """

    files: int = 5_000
    file_bytes: int = 256 * 1024
    bytes: int = 16 * 1024 * 1024
    depth: int = 40
    listed: int = 200_000


class TextFile(NamedTuple):
    """A file: its path below the root, with `/`, and what is in it."""

    path: str
    content: bytes


class _Layer(NamedTuple):
    """The patterns of one ignore file, and the folder they are relative to, with `/` at its end or empty."""

    base: str
    patterns: Patterns


@dataclass(slots=True)
class Folder:
    """A folder to read text from.

    Attributes:
        root: where; no link below it is followed.
        patterns: what may be read, each list as in an ignore file; a file has to be in all of them.
        caps: how much at most.
        left_out: how many files were left out, by reason; filled while files are read.
    """

    root: Path
    patterns: Sequence[Sequence[str]]
    caps: Caps
    left_out: Counter[str]

    def read(self) -> Iterator[TextFile]:
        """The files in order of their paths, by folder; the same on every file system.

        Raises:
            OSError: the root itself cannot be read.
        """
        wanted = [Patterns.of(lines) for lines in self.patterns]
        files = size = 0
        for path, descriptor in self._listed():
            if not all(one.means(path) for one in wanted):
                continue
            content = self._content(path, descriptor)
            if content is None:
                continue
            if files == self.caps.files or size + len(content) > self.caps.bytes:
                self.left_out["beyond the cap on all files together"] += 1
                continue
            files, size = files + 1, size + len(content)
            yield TextFile(path, content)

    def _listed(self) -> Iterator[tuple[str, int]]:
        """Every file that no rule leaves out: its path, and the open folder that it is in."""
        layers: dict[str, tuple[_Layer, ...]] = {}
        top, listed = str(self.root), 0
        for here, folders, names, descriptor in os.fwalk(top, onerror=self._unreadable, follow_symlinks=False):
            inside = here[len(top) :].strip("/")
            base = f"{inside}/" if inside else ""
            above = layers.pop(inside, ())
            ignoring = (*above, *self._ignore_files(base, names, descriptor))
            folders[:] = self._entered(base, folders, ignoring)
            layers |= {f"{base}{name}": ignoring for name in folders}
            listed += len(names) + len(folders)
            if listed > self.caps.listed:
                self.left_out["folders beyond the cap on names"] += 1
                folders[:] = []
                continue
            for name in sorted(names):
                if not _ignored(f"{base}{name}", ignoring, folder=False):
                    yield f"{base}{name}", descriptor

    def _entered(self, base: str, folders: Iterable[str], ignoring: Sequence[_Layer]) -> list[str]:
        own = sorted(set(folders) - NEVER)
        kept = [name for name in own if not _ignored(f"{base}{name}", ignoring, folder=True)]
        if base.count("/") < self.caps.depth:
            return kept
        self.left_out["folders too deep"] += len(kept)
        return []

    def _ignore_files(self, base: str, names: Sequence[str], folder: int) -> Iterator[_Layer]:
        for name in IGNORE_FILES:
            if name not in names:
                continue
            try:
                content = read_beside(name, folder, _IGNORE_BYTES) or b""
            except OSError:
                continue
            lines = lines_of(content)
            if len(lines) > _IGNORE_LINES:
                self.left_out["lines of ignore files beyond the cap"] += len(lines) - _IGNORE_LINES
            yield _Layer(base, Patterns.of(lines[:_IGNORE_LINES]))

    def _unreadable(self, _error: OSError) -> None:
        self.left_out["folders not readable"] += 1

    def _content(self, path: str, folder: int) -> bytes | None:
        try:
            content = read_beside(path.rpartition("/")[2], folder, self.caps.file_bytes + 1)
        except OSError:
            self.left_out["not readable"] += 1
            return None
        if content is None:
            self.left_out["links and special files"] += 1
        elif len(content) > self.caps.file_bytes:
            self.left_out["too large"] += 1
        elif b"\0" in content[:8192]:
            self.left_out["not text"] += 1
        else:
            return content
        return None


def read_beside(name: str, folder: int, most: int) -> bytes | None:
    """The first bytes of a regular file in an open folder; None if it is a link, a pipe or a device.

    Raises:
        OSError: it cannot be read.
    """
    if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        return None
    return read_regular(name, folder, most)


def read_regular(name: str, folder: int, most: int) -> bytes | None:
    """The same for what was a regular file when it was looked at, and may have become something else since.

    Raises:
        OSError: it cannot be read, or is a link by now.
    """
    # Not blocking: a pipe may have come, whose writer never does.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, dir_fd=folder), "rb") as stream:
        return stream.read(most) if stat.S_ISREG(os.fstat(stream.fileno()).st_mode) else None


def _ignored(path: str, layers: Sequence[_Layer], *, folder: bool) -> bool:
    """Whether the innermost ignore file that has an opinion leaves this out."""
    for base, patterns in reversed(layers):
        said = patterns.decides(path[len(base) :], folder=folder)
        if said is not None:
            return said
    return False
