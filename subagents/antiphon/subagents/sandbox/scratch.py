"""The private folder of a command: its HOME and TMPDIR, empty at the start, gone afterwards whatever is in it then."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Final

_REMOVE_SECONDS: Final = 60.0


@contextmanager
def private_folder() -> Generator[str]:
    """A new folder that only this user can enter; its real path. What cannot be removed afterwards is left."""
    folder = os.path.realpath(tempfile.mkdtemp(prefix="antiphon-"))
    try:
        yield folder
    finally:
        _remove(folder)


def _remove(folder: str) -> None:
    with suppress(OSError):
        os.rmdir(folder)  # nearly always: it is empty
        return
    with suppress(RecursionError):  # a stranger filled it: it may be nested deeper than Python recurses
        shutil.rmtree(folder, ignore_errors=True)
    remover = shutil.which("rm") if os.path.lexists(folder) else None
    if remover is not None:
        with suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(
                [remover, "-rf", "--", folder],
                check=False,
                env={},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_REMOVE_SECONDS,
            )
