"""Writing into a run's directory: whole or not at all, never through a link, and a full disk is the run's own error."""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from antiphon.engine import UsageError
from antiphon.tracing import BlobStore, LogFailed

_FOLDERS = ("control", "blobs", "workflows", "patches")


def write_whole(file: Path, content: bytes) -> None:
    """Write a file, durable on return; what is in its place, a link too, is replaced and not written through.

    Raises:
        OSError: disk full or I/O. What was in its place stays.
    """
    fresh = file.with_name(f".new-{secrets.token_hex(8)}")
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        os.replace(fresh, file)
    except OSError:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise


@contextmanager
def recording(directory: Path) -> Generator[None]:
    """What cannot be written beside the log ends the run as if it were the log: `LogFailed`, to be resumed."""
    try:
        yield
    except OSError as error:
        raise LogFailed(directory, f"{error.strerror or error}") from error


@dataclass(frozen=True, slots=True)
class RunBlobs:
    """The large values of a run; a full disk ends the run as a full log does."""

    directory: Path

    def put(self, content: bytes) -> str:
        """See `BlobStore.put`. Raises `LogFailed`."""
        with recording(self.directory):
            return BlobStore(self.directory).put(content)

    def get(self, digest: str) -> bytes:
        """See `BlobStore.get`."""
        return BlobStore(self.directory).get(digest)


def check_plain(directory: Path) -> None:
    """Refuse to go on with a run whose directory leads out of itself; it may have been prepared by somebody else.

    Raises:
        UsageError: an entry is a link, a pipe or a device, or a file where a folder belongs.
    """
    with os.scandir(directory) as entries:
        for entry in entries:
            folder = entry.is_dir(follow_symlinks=False)
            if not folder and (entry.name in _FOLDERS or not entry.is_file(follow_symlinks=False)):
                raise UsageError(
                    f"{entry.name!r} in {directory} is no plain {'folder' if entry.name in _FOLDERS else 'file'}, "
                    "and a run that goes on writes there",
                    advice=f"look where it leads; antiphon show {directory.name} reads the run without following it",
                )
