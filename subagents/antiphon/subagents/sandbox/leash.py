"""The most tasks that a command may be at a time, held by the kernel: what stops a fork bomb while nobody looks.

`Watch` counts processes and ends what is over its limit, but it has to get a turn for that, and on a busy machine a
bomb grows faster than it looks. So there is a second bound, above the first: for uid 0 a cgroup of the `pids`
controller, where one can be made below our own; for everybody else RLIMIT_NPROC, which counts what the user runs
besides. Both count threads. As uid 0 without such a cgroup (most containers) there is only the watch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import cache
from itertools import count
from pathlib import Path
from typing import Final

from antiphon.subagents.sandbox.confinement import ProcessLimits

TASKS_PER_PROCESS: Final = 8
"""Threads of one process, on average, before the kernel refuses another."""

_PREFIX: Final = "antiphon-"
_REMOVE_SECONDS: Final = 1.0
_NUMBERS = count()


@contextmanager
def leash(limits: ProcessLimits) -> Generator[int | None]:
    """A descriptor through which a process joins a cgroup of so many tasks; None where there is none.

    Writing `0` to it takes the writer in. The cgroup is removed when the context ends; the command is gone by then.
    """
    parent = _parent() if limits.processes is not None and os.geteuid() == 0 else None
    group = _made(parent, limits) if parent else None
    if group is None:
        yield None
        return
    try:
        descriptor = os.open(group / "cgroup.procs", os.O_WRONLY)
        try:
            yield descriptor
        finally:
            os.close(descriptor)
    finally:
        _remove(group)


def task_limit(limits: ProcessLimits) -> dict[str, int]:
    """The same bound as a limit of the process, for whom that counts: by RLIMIT name."""
    if limits.processes is None or os.geteuid() == 0:
        return {}
    return {"NPROC": _tasks_of(os.getuid()) + limits.processes * TASKS_PER_PROCESS}


def _tasks_of(uid: int) -> int:
    """How many tasks a user has. A folder of tasks has a link for each of them, and two of its own."""
    found = 0
    for name in os.listdir("/proc"):
        with suppress(OSError):  # it has just ended
            seen = os.stat(f"/proc/{name}/task") if name.isdigit() else None
            found += seen.st_nlink - 2 if seen and seen.st_uid == uid else 0
    return found


@cache
def _parent() -> Path | None:
    """The folder in which cgroups that bound tasks can be made, cleared of those whose antiphon is no more."""
    for folder in _own_groups():
        if os.access(folder, os.W_OK) and _bounds_tasks(folder):
            for left in folder.glob(f"{_PREFIX}*"):
                if not os.path.exists(f"/proc/{left.name.split('-')[1]}"):
                    with suppress(OSError):
                        left.rmdir()
            return folder
    return None


def _own_groups() -> Generator[Path]:
    """Where our own cgroup is, in the hierarchy that has the controller: version 1's own, or version 2's only one."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "pids":
                yield Path("/sys/fs/cgroup/pids" + path)
            elif not controllers:
                yield Path("/sys/fs/cgroup" + path)


def _bounds_tasks(folder: Path) -> bool:
    try:
        return "pids" in (folder / "cgroup.subtree_control").read_text().split()
    except FileNotFoundError:
        return (folder / "cgroup.procs").exists() and folder.is_relative_to("/sys/fs/cgroup/pids")
    except OSError:
        return False


def _made(parent: Path, limits: ProcessLimits) -> Path | None:
    assert limits.processes is not None
    group = parent / f"{_PREFIX}{os.getpid()}-{next(_NUMBERS)}"
    try:
        group.mkdir()
        (group / "pids.max").write_text(str(limits.processes * TASKS_PER_PROCESS))
    except OSError:
        return None  # read-only, or no room for one more: the watch is what is left
    return group


def _remove(group: Path) -> None:
    """It can be removed once the kernel is done with the last task in it, which is a moment after that has ended."""
    end = time.monotonic() + _REMOVE_SECONDS
    while True:
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > end:
                return  # somebody got away; the next antiphon tries again
            time.sleep(0.001)
        else:
            return
