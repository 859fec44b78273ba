"""One owner of a log at a time, by a lock that the system drops when the owner dies."""

import fcntl
import json
import os
import socket
import stat
from pathlib import Path
from typing import Any, cast, final

from antiphon.tracing.errors import LogBusy, LogUnusable

LOCK_NAME = "lock"
_LONGEST = 4096


@final
class Ownership:
    """Holds the lock of a run's directory until released.

    Args:
        directory: The run's directory.

    Raises:
        LogBusy: Somebody else holds it.
        LogUnusable: The lock file cannot be opened.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._file = _open(directory)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._sign()
        except BlockingIOError as error:
            owner = owner_of(directory)
            self.release()
            raise LogBusy(directory, *owner) from error
        except OSError as error:
            self.release()
            raise LogUnusable(directory, f"its lock cannot be taken ({error.strerror})") from error

    def release(self) -> None:
        """Let the next owner in."""
        os.close(self._file)

    def _sign(self) -> None:
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode(), 0)


def owner_of(directory: Path) -> tuple[int | None, str | None]:
    """The process id and host that signed the lock last, whether or not it still runs; `None` for what is not told."""
    try:
        with (directory / LOCK_NAME).open("rb") as file:
            said: Any = json.loads(file.read(_LONGEST))
    except (OSError, ValueError, RecursionError):
        return None, None
    if not isinstance(said, dict):
        return None, None
    signed = cast("dict[str, object]", said)
    pid, host = signed.get("pid"), signed.get("host")
    return pid if isinstance(pid, int) else None, host if isinstance(host, str) else None


def _open(directory: Path) -> int:
    try:
        # A run may come from elsewhere: its lock is not followed out of the directory, and a pipe does not block.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        file = os.open(directory / LOCK_NAME, flags, 0o644)
    except OSError as error:
        raise LogUnusable(directory, f"its lock cannot be opened ({error.strerror})") from error
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise LogUnusable(directory, "its lock is not a plain file")
    return file
