"""Looks after a command from outside while it runs: how many processes it is, what they hold, what it left on disk.

The kernel has no limit for the sum of a command's processes that an ordinary user can set: RLIMIT_NPROC counts all of
the user's tasks and does nothing for uid 0, and cgroups are seldom delegated. So this counts, ten times a second. What
it counts is ended at once, whole; between two looks a command can go over, as far as its leash lets it (`leash.py`).
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final, Literal

from antiphon.subagents.sandbox.confinement import ProcessLimits

Excess = Literal["processes", "memory", "scratch"]

_LOOK_EVERY_SECONDS: Final = 0.1
_SCAN_EVERY_LOOKS: Final = 5
_ENTRIES_AT_MOST: Final = 10_000
_OPEN_AT_MOST: Final = 100_000
_HIDDEN: Final = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG)  # what is in such a folder cannot be counted


class Watch:
    """One command under way.

    Attributes:
        excess: the limit it went over; None if none.
    """

    def __init__(self, pid: int, limits: ProcessLimits, folder: str) -> None:
        self._pid, self._limits, self._folder = pid, limits, folder
        self._next = time.monotonic() + _LOOK_EVERY_SECONDS
        self._looks = 0
        self.excess: Excess | None = None

    def look(self) -> Excess | None:
        """Look if it is time to: the limit that the command is over."""
        if self.excess is None and time.monotonic() >= self._next:
            self.excess = self._over()
            self._looks += 1
            self._next = time.monotonic() + _LOOK_EVERY_SECONDS
        return self.excess

    def _over(self) -> Excess | None:
        most = self._limits.processes
        below = descendants(self._pid)  # a sandbox's own one or two are among them
        processes = [self._pid, *(below if most is None else islice(below, most))]
        if most is not None and len(processes) > most:
            return "processes"  # not counted to the end: those who multiply would never let this end
        memory = self._limits.memory_bytes
        if memory is not None and sum(map(_resident, processes)) > memory and sum(map(_share, processes)) > memory:
            return "memory"
        if self._looks % _SCAN_EVERY_LOOKS == 0 and self._limits.scratch_bytes is not None:
            limit = self._limits.scratch_bytes - _unlinked(processes)
            return "scratch" if limit < 0 or _holds_more(self._folder, limit) else None
        return None


def descendants(pid: int) -> Iterator[int]:
    """All processes below one, which is not among them; none where the system does not tell (it is no Linux)."""
    waiting = deque([pid])
    while waiting:
        for child in _children(waiting.popleft()):
            waiting.append(child)
            yield child


def _children(pid: int) -> Iterator[int]:
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return
    for thread in threads:
        try:
            yield from map(int, Path(f"/proc/{pid}/task/{thread}/children").read_bytes().split())
        except OSError:
            continue  # that thread has ended


def _resident(pid: int) -> int:
    """What a process holds in memory, shared pages counted whole, in bytes."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def _share(pid: int) -> int:
    """The same with each shared page divided by those who share it. The kernel walks all pages for this."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines()
    except OSError:
        return _resident(pid)
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(b"Pss:"))


def _holds_more(folder: str, limit: float) -> bool:
    """Whether a folder holds more than so many bytes, more entries than anybody needs, or what cannot be counted."""
    total = entries = 0
    waiting = [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as listing:
                for entry in listing:
                    entries += 1
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += _allocated(entry)
                    if total > limit or entries > _ENTRIES_AT_MOST:
                        return True
        except OSError as error:
            if error.errno in _HIDDEN:
                return True
    return False


def _allocated(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_blocks * 512
    except FileNotFoundError:
        return 0  # it went away


def _unlinked(processes: Iterable[int]) -> float:
    """Bytes in files that these processes hold open and that no folder names any more; no end of them if too many."""
    found: dict[tuple[int, int], int] = {}
    for count, seen in enumerate(_open_files(processes)):
        if count >= _OPEN_AT_MOST:
            return float("inf")
        if stat.S_ISREG(seen.st_mode) and seen.st_nlink == 0:
            found[seen.st_dev, seen.st_ino] = seen.st_blocks * 512
    return sum(found.values())


def _open_files(processes: Iterable[int]) -> Iterator[os.stat_result]:
    for pid in processes:
        with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as listing:  # it may have ended
            for entry in listing:
                with suppress(OSError):
                    yield entry.stat()
