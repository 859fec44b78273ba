"""Whether a run goes on right now, and where. Nothing is changed, and no lock is kept."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from antiphon.tracing.blobs import open_plain
from antiphon.tracing.ownership import LOCK_NAME
from antiphon.workflows.cli.untrusted import mapping

_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Owner:
    """Who owns a run that goes on; None for what could not be told."""

    pid: int | None
    host: str | None

    def __str__(self) -> str:
        who = f"process {self.pid}" if self.pid is not None else "another process"
        return f"{who} on {self.host}" if self.host else who


def live_owner(directory: Path) -> Owner | None:
    """The process that owns the run, or None when nobody does."""
    owner = Owner(None, None)
    try:
        with open_plain(directory / LOCK_NAME) as lock:
            owner = _signed(lock.read(_LONGEST))
            if _is_gone(owner):
                return None  # without touching the lock, which a new owner may be about to take
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return owner
    except (OSError, ValueError):
        return None
    return None


def _signed(text: bytes) -> Owner:
    try:
        signed = mapping(json.loads(text))
    except (ValueError, RecursionError):
        signed = {}
    pid, host = signed.get("pid"), signed.get("host")
    return Owner(pid if isinstance(pid, int) else None, host if isinstance(host, str) else None)


def _is_gone(owner: Owner) -> bool:
    """Whether the owner was a process of this machine that no longer exists."""
    if owner.pid is None or owner.pid <= 0 or owner.host != socket.gethostname():
        return False
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
