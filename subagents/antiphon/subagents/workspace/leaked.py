"""Where the folders of workspaces are, whose they are, and what becomes of those that a killed process left.

They lie in the user's cache and in no project, so no other tool takes them for source. Whoever works in the folder of a
run holds a lock beside it, which the system drops when that process dies.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from typing import Final

from antiphon.engine import UsageError
from antiphon.subagents.workspace.worktree import clear

_LOCK: Final = ".lock"


class Folder:
    """The folder of a run's workspaces, held until it is let go. Its methods block.

    Args:
        path: where it is.

    Raises:
        UsageError: another process works in it, or it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            make_private(path.parent)
            held = _hold(path.with_name(path.name + _LOCK))
        except OSError as error:
            raise _cannot_be(path.parent, error) from None
        if held is None:
            raise UsageError(f"another process works in {path}: this run goes on elsewhere", advice="antiphon runs")
        self._held = held
        clear(path)
        path.mkdir(mode=0o700)

    def let_go(self) -> None:
        """Remove it, and let the next one have it.

        Raises:
            OSError: it cannot be removed; the next start of any run tries again.
        """
        try:
            clear(self.path)
            self.path.with_name(self.path.name + _LOCK).unlink(missing_ok=True)
        finally:
            os.close(self._held)


def workspaces_home() -> Path:
    """Where the folders of all runs of this user are.

    Raises:
        UsageError: this user has no place for caches.
    """
    named = os.environ.get("XDG_CACHE_HOME", "")
    home = named if os.path.isabs(named) else os.path.expanduser("~/.cache")
    if not os.path.isabs(home):
        raise UsageError("there is no folder for caches", advice="set XDG_CACHE_HOME to an absolute path")
    return Path(os.path.realpath(home)) / "antiphon" / "workspaces"


def make_private(home: Path) -> None:
    """Make a folder that is this user's alone.

    Raises:
        UsageError: it is there, and somebody else's.
        OSError: it cannot be made.
    """
    home.mkdir(parents=True, exist_ok=True)
    about, above = home.lstat(), home.parent.stat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid() or above.st_uid not in (0, os.geteuid()):
        raise UsageError(f"{home} is not a folder of yours", advice="set XDG_CACHE_HOME to a folder of your own")
    home.chmod(0o700)


def clean_leaked(home: Path) -> list[Path]:
    """Remove the folders in which no process works any more: those removed. Blocks.

    Only what this user owns is touched, no link is followed, and what cannot be removed stays for the next time.
    """
    removed: list[Path] = []
    for name in _names(home):
        folder = home / name
        try:
            if folder.lstat().st_uid != os.geteuid() or not stat.S_ISDIR(folder.lstat().st_mode):
                continue
            held = _hold(home / (name + _LOCK))
        except OSError:
            continue
        if held is None:
            continue
        try:
            clear(folder)
            (home / (name + _LOCK)).unlink(missing_ok=True)
            removed.append(folder)
        except OSError:
            pass
        finally:
            os.close(held)
    return removed


def _names(home: Path) -> list[str]:
    try:
        if home.is_symlink() or home.stat().st_uid != os.geteuid():
            return []
        return sorted(name for name in os.listdir(home) if not name.endswith(_LOCK))
    except OSError:
        return []


def _hold(lock: Path) -> int | None:
    """The lock, held; None where somebody else holds it."""
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        except OSError:
            os.close(handle)
            raise
        if _is_at(handle, lock):
            return handle
        os.close(handle)  # whoever held it removed it between our two steps


def _is_at(handle: int, lock: Path) -> bool:
    try:
        there = lock.lstat()
    except FileNotFoundError:
        return False
    about = os.fstat(handle)
    return (about.st_dev, about.st_ino) == (there.st_dev, there.st_ino)


def _cannot_be(home: Path, error: OSError) -> UsageError:
    return UsageError(
        f"workspaces cannot be made in {home}: {error.strerror or error}",
        advice="set XDG_CACHE_HOME to a folder that you can write",
    )
