"""Reads files of an audited tree again, which may have changed since, and may be anybody's: no link is followed."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from antiphon.subagents.records import FileSpan, ResolutionState

LARGEST_BYTES: Final = 20_000_000
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Tree:
    """The files below a folder, as they are now. Each is read once; what cannot be read has no lines.

    Args:
        root: the folder, or a single file that was audited alone.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen: tuple[str, list[bytes] | None] = ("", None)

    def lines(self, unit: str) -> list[bytes] | None:
        """The lines of a file, ends included, or None if it is not a plain file of a bearable size inside the tree."""
        if self._seen[0] != unit:  # callers ask file by file, so the last one is enough to keep
            data = self._read(unit)
            self._seen = (unit, None if data is None else data.splitlines(keepends=True))
        return self._seen[1]

    def look_up(self, span: FileSpan) -> tuple[ResolutionState, str]:
        """Whether lines are what they were, and if not, why."""
        lines = self.lines(span.path)
        if lines is None:
            return "unchecked", "the file cannot be read where it was"
        found = lines[span.start_line - 1 : span.end_line]
        if len(found) < span.end_line - span.start_line + 1:
            return "false", f"the file ends at line {len(lines)} now"
        same = hashlib.sha256(b"".join(found)).hexdigest() == span.sha256
        return ("true", "") if same else ("false", "these lines are different now")

    def _read(self, unit: str) -> bytes | None:
        parts = unit.split("/")
        if not unit or "\0" in unit or any(part in ("", ".", "..") for part in parts):
            return None
        with suppress(OSError, ValueError, UnicodeError):
            folder = os.open(self._root if self._root.is_dir() else self._root.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                for part in parts[:-1]:
                    inside = os.open(part, _FOLDER, dir_fd=folder)
                    os.close(folder)
                    folder = inside
                return _plain(os.open(parts[-1], _FILE, dir_fd=folder))
            finally:
                os.close(folder)
        return None


def _plain(handle: int) -> bytes | None:
    with os.fdopen(handle, "rb") as file:
        told = os.fstat(handle)
        if not stat.S_ISREG(told.st_mode) or told.st_size > LARGEST_BYTES:
            return None
        data = file.read(LARGEST_BYTES + 1)
    return data if len(data) <= LARGEST_BYTES else None


def code_of(line: bytes) -> str:
    """A line of code as text, without its indentation and end."""
    return line.decode("utf-8", "backslashreplace").strip()
