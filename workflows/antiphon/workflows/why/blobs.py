"""The blobs of a run that may come from anybody: read only, and only what fits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from antiphon.tracing.blobs import BLOBS_NAME, BlobStore, is_digest
from antiphon.tracing.errors import BlobDamaged

LARGEST_BYTES: Final = 32_000_000


class KeptBlobs:
    """Reads the blobs of a run.

    Args:
        directory: the run's.
    """

    def __init__(self, directory: Path) -> None:
        self._blobs, self._store = directory / BLOBS_NAME, BlobStore(directory)

    def get(self, digest: str) -> bytes:
        """The value of this name.

        Raises:
            BlobDamaged: it is missing, too large to be read here, or not what its name says.
        """
        if not is_digest(digest):
            raise BlobDamaged(digest, "that is not the name of a blob")
        try:
            size = os.lstat(self._blobs / digest).st_size
        except OSError as error:
            raise BlobDamaged(digest, error.strerror or str(error)) from error
        if size > LARGEST_BYTES:
            raise BlobDamaged(digest, "it is too large to be read here")
        return self._store.get(digest)

    def put(self, content: bytes) -> str:
        """Nothing is written here.

        Raises:
            BlobDamaged: always.
        """
        raise BlobDamaged("", f"{len(content)} bytes were to be written to a run that is only read")
