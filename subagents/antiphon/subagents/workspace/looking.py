"""Reads small files of a tree that may be hostile: plain files only, no link followed, never more than a cap."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from antiphon.subagents.sandbox.confinement import MIB

_CAP: Final = 1 * MIB
_ENTRIES: Final = 20_000
_PASSED_OVER: Final = frozenset(
    {".git", ".venv", "venv", "node_modules", "__pycache__", "target", "vendor", "build", "dist", ".tox", "env"}
)


def read_bytes(path: Path, cap: int = _CAP) -> bytes | None:
    """What a plain file holds, at most `cap` bytes of it; None where there is none, or a link."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return file.read(cap)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def read_text(path: Path, cap: int = _CAP) -> str:
    """The same as text, "" where there is none."""
    return (read_bytes(path, cap) or b"").decode("utf-8", "replace")


def files_below(root: Path, most: int = _ENTRIES) -> Iterator[Path]:
    """Plain files of a tree, breadth first, without what holds no source of its own; at most so many entries."""
    waiting, seen = [root], 0
    for folder in waiting:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            seen += 1
            if seen > most:
                return
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _PASSED_OVER:
                    waiting.append(Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                yield Path(entry.path)
