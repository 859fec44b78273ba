"""Large values in files of their own, each named by the hash of what it holds."""

import os
import re
import stat
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final, final

from antiphon.tracing.database import sync_directory
from antiphon.tracing.errors import BlobDamaged

BLOBS_NAME: Final = "blobs"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PIECE = 2**20


@final
class BlobStore:
    """The blobs of a run. Its methods block; call them from a worker thread.

    Args:
        directory: The run's directory; blobs live in `blobs/` below it.
    """

    def __init__(self, directory: Path) -> None:
        self._blobs = directory / BLOBS_NAME

    def put(self, content: bytes) -> str:
        """Keep a value; it is on the disk when this returns. Keeping it twice keeps it once.

        Returns:
            Its name: its sha256 in hex.

        Raises:
            OSError: Disk full or I/O.
        """
        digest = sha256(content).hexdigest()
        place = self._blobs / digest
        if digest_of(place) == digest:
            return digest
        self._blobs.mkdir(exist_ok=True)
        fresh = self._blobs / f".new-{os.getpid()}-{digest}"
        fresh.unlink(missing_ok=True)
        try:
            with fresh.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(place)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
        sync_directory(self._blobs)
        sync_directory(self._blobs.parent)
        return digest

    def get(self, digest: str) -> bytes:
        """The value that was kept under this name.

        Raises:
            BlobDamaged: It is missing, or is not what its name says.
        """
        if not is_digest(digest):
            raise BlobDamaged(digest, "that is not the name of a blob")
        try:
            with open_plain(self._blobs / digest) as file:
                content = file.read()
        except OSError as error:
            raise BlobDamaged(digest, error.strerror or str(error)) from error
        if sha256(content).hexdigest() != digest:
            raise BlobDamaged(digest, "its content was changed")
        return content


def is_digest(name: object) -> bool:
    """Whether a value is a sha256 in hex."""
    return isinstance(name, str) and _DIGEST.fullmatch(name) is not None


def digest_of(path: Path, *, most: int | None = None) -> str | None:
    """The sha256 of a plain file, in hex, read a piece at a time.

    Returns:
        `None` if it is no plain file, cannot be read, or is larger than `most` bytes.
    """
    hashed = sha256()
    try:
        with open_plain(path) as file:
            if most is not None and os.fstat(file.fileno()).st_size > most:
                return None
            while piece := file.read(_PIECE):
                hashed.update(piece)
    except (OSError, ValueError):
        return None
    return hashed.hexdigest()


def open_plain(path: Path) -> BinaryIO:
    """Open a plain file for reading; a link at its place is not followed and a pipe does not block.

    Raises:
        OSError: It is something else, or cannot be opened.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(0, "it is not a plain file")
    return os.fdopen(handle, "rb")
