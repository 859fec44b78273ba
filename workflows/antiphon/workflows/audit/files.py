"""Reading files of a tree that may be hostile, and may change under our hands."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Iterable
from pathlib import Path


class NotRegular(OSError):
    """What is there is no regular file: a link, a pipe, a device."""

    def __init__(self, path: Path) -> None:
        super().__init__(None, "it is no regular file", str(path))


def open_regular(path: Path) -> io.BufferedReader:
    """Open a regular file to read. Follows no link at its end and waits for no pipe.

    Raises:
        NotRegular: it is something else.
        OSError: it cannot be opened.
    """
    # Not blocking: opening a pipe would otherwise wait for a writer who never comes.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    stream = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        stream.close()
        raise NotRegular(path)
    return stream


def read_regular(path: Path, limit: int) -> bytes | None:
    """The content of a regular file of at most `limit` bytes; None if there is no such file."""
    try:
        with open_regular(path) as stream:
            data = stream.read(limit + 1)
    except OSError:
        return None
    return data if len(data) <= limit else None


def own_files(folder: Path) -> list[Path]:
    """Every regular file of a folder of ours, in order of names, but what Python compiled there."""
    return sorted(file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts)


def digest_of(folders: Iterable[Path]) -> str:
    """The sha256, in hex, of the names and contents of all files of some folders of ours."""
    digest = hashlib.sha256()
    for folder in folders:
        for file in own_files(folder):
            digest.update(f"{folder.name}/{file.relative_to(folder)}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
