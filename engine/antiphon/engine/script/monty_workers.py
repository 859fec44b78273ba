"""The worker processes that monty's interpreter runs in: one pool for one process of antiphon.

monty starts its workers with an empty environment. What it leaves open, a launcher closes: a worker dies with the host
also when the host is killed while the worker computes; it can write no file and gets no new rights; and what it says on
its standard error is dropped, for it may quote a script and would reach the terminal as it is.
"""

from __future__ import annotations

import atexit
import os
import shlex
import shutil
import signal
import stat
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from antiphon.engine.errors import UsageError
from antiphon.engine.script.runtime import GuestDied, GuestLimits, Program

if TYPE_CHECKING:
    from pydantic_monty import Monty, MontySession, OSPolicy, ResourceLimits

_MOST_WORKERS: Final = 1024
# From when the interpreter should have ended a turn by itself to when its process is killed.
_GRACE_SECONDS: Final = 0.25
# How long a script waits for a worker when there are as many as there may be.
_SESSION_SECONDS: Final = 60.0
# A worker that served a script to its end serves others, but not for ever.
_SCRIPTS_PER_WORKER: Final = 20
_LATEST: Final = 253_370_764_800.0  # the year 9999

# Dies with the host, gets no new rights, writes no file and opens few, and is silent.
_LAUNCH: Final = """\
import os, resource, sys
if sys.platform == "linux":
    import ctypes
    libc = ctypes.CDLL(None)
    libc.prctl(1, 9, 0, 0, 0)
    libc.prctl(38, 1, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
for limit, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_NOFILE, 64)):
    resource.setrlimit(limit, (most, most))
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
os.chdir("/")
os.execv(sys.argv[2], sys.argv[2:])
"""


class MontyUnusable(UsageError):
    """monty cannot be used here: it is not installed, or its program is missing."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the monty runtime cannot be used: {reason}", advice="pip install 'antiphon[monty]'")


def monty_problem() -> str | None:
    """Why monty cannot be used here, or None when it can. Starts nothing."""
    try:
        _binary()
    except MontyUnusable as error:
        return error.reason
    return None


def monty_version() -> str | None:
    """The version of pydantic-monty that is installed, or None."""
    try:
        from pydantic_monty import __version__
    except ImportError:
        return None
    return __version__


def _binary() -> str:
    try:
        from pydantic_monty._binary import find_monty_binary
    except ImportError as error:
        raise MontyUnusable("pydantic-monty is not installed") from error
    try:
        return os.path.abspath(find_monty_binary())
    except OSError as error:
        raise MontyUnusable("the program `monty`, which belongs to pydantic-monty, is not there") from error


# --- one worker -------------------------------------------------------------------------------------------------------


class Worker:
    """One session in one worker process. All methods but `kill` block, and belong in a thread."""

    def __init__(self, session: MontySession) -> None:
        self.session = session
        self._lock = threading.Lock()
        self._closed = False
        self._pid = session.worker_pid
        self._pidfd = _pidfd(self._pid)

    def turn(self, work: Callable[[], None]) -> None:
        """Do `work` with the session, which nobody closes meanwhile."""
        with self._lock:
            if not self._closed:
                work()

    def kill(self) -> None:
        """End the process at once, whatever it does. What waits for it gets an error."""
        with suppress(OSError):  # it is dead already
            if sys.platform == "linux" and self._pidfd is not None:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            elif self._pid is not None and not self._closed:
                os.kill(self._pid, signal.SIGKILL)

    def close(self, *, reuse: bool) -> None:
        """Give the worker back, or end it; waits until a turn that goes on has ended."""
        if not reuse:
            self.kill()
        with self._lock:
            if self._closed:
                return
            self._closed = True
            _ignoring_monty(lambda: self.session.__exit__(None, None, None))
            if self._pidfd is not None:
                os.close(self._pidfd)
                self._pidfd = None


def _pidfd(pid: int | None) -> int | None:
    """A handle that means this process and never another one with its number."""
    if pid is None or sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _ignoring_monty(action: Callable[[], None]) -> None:
    from pydantic_monty import MontyError

    with suppress(MontyError, OSError, RuntimeError):  # its worker is gone already, which is what is wanted
        action()


# --- the pool ---------------------------------------------------------------------------------------------------------


class _Workers:
    """The pool. A worker dies with the thread that started it, so one thread, which stays, starts them all."""

    def __init__(self) -> None:
        from pydantic_monty import Monty

        self.pid = os.getpid()
        self._launcher = _Launcher(_binary())
        self._pool: Monty = Monty(
            binary_path=self._launcher.path,
            min_processes=0,
            max_processes=_MOST_WORKERS,
            max_checkouts_per_worker=_SCRIPTS_PER_WORKER,
            checkout_timeout=_SESSION_SECONDS,
            feed_duration_limit_grace=_GRACE_SECONDS,
            turn_duration_limit_grace=_GRACE_SECONDS,
        )
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="antiphon-monty")
        self._thread.submit(self._pool.__enter__).result()

    def open(self, program: Program, limits: GuestLimits) -> Worker:
        return self._thread.submit(self._open, program, limits).result()

    def _open(self, program: Program, limits: GuestLimits) -> Worker:
        session = self._pool.checkout(
            script_name="script.py", limits=_limits(limits), os_policy=_policy(program), print_flush_interval=None
        )
        return Worker(session.__enter__())

    def close(self) -> None:
        if self.pid == os.getpid():
            _ignoring_monty(lambda: self._pool.__exit__(None, None, None))
            self._thread.shutdown(wait=False)
        self._launcher.close()


_lock: Final = threading.Lock()
_pools: Final[dict[str, _Workers]] = {}


def open_worker(program: Program, limits: GuestLimits) -> Worker:
    """A worker with an empty session for `program`. Blocks; the first one starts the pool.

    Raises:
        MontyUnusable: monty is not installed.
        GuestDied: the worker could not be started.
    """
    from pydantic_monty import MontyError

    try:
        return _workers().open(program, limits)
    except (MontyError, OSError, RuntimeError) as error:
        raise GuestDied("crashed", f"no worker of monty could be started: {str(error)[:200]}") from error


def _workers() -> _Workers:
    with _lock:
        found = _pools.get("monty")
        if found is None or found.pid != os.getpid():
            found = _pools["monty"] = _Workers()
            atexit.register(found.close)
        return found


def _limits(limits: GuestLimits) -> ResourceLimits:
    return {
        "max_memory": limits.memory_bytes,
        "max_turn_duration_secs": limits.turn_seconds,
        "max_feed_duration_secs": limits.cpu_seconds,
        # Ours are counted by the guest's reader, with a better message; this is the wall behind it.
        "max_suspensions": 3 * limits.frames + 100_000,
    }


def _policy(program: Program) -> OSPolicy:
    return {
        "datetime": datetime.fromtimestamp(min(max(program.now, 0.0), _LATEST), UTC),
        "timezone": "utc",
        "sleep": "call_host",
        "process_time": "zero",
        "random_start": {"seed": program.seed},
    }


# --- the launcher -----------------------------------------------------------------------------------------------------


class _Launcher:
    """A program that monty starts instead of its own, and that becomes it. None is left when antiphon is killed."""

    def __init__(self, binary: str) -> None:
        self.path, self._file, self._folder = binary, -1, ""
        if os.name != "posix" or not sys.executable:
            return
        words = [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), binary]
        text = f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n'.encode()
        self.path = self._in_memory(text) or self._on_disk(text)

    def _in_memory(self, text: bytes) -> str | None:
        if sys.platform != "linux" or not hasattr(os, "memfd_create"):
            return None
        try:
            made = os.memfd_create("antiphon-monty", os.MFD_CLOEXEC)
        except OSError:
            return None
        try:
            os.write(made, text)
            # A file that is open for writing cannot be executed everywhere.
            self._file = os.open(f"/proc/self/fd/{made}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        finally:
            os.close(made)
        path = f"/proc/{os.getpid()}/fd/{self._file}"
        return path if os.access(path, os.X_OK) else None

    def _on_disk(self, text: bytes) -> str:
        self._folder = tempfile.mkdtemp(prefix="antiphon-monty-")
        path = os.path.join(self._folder, "worker")
        with open(path, "xb") as file:
            file.write(text)
        os.chmod(path, stat.S_IRWXU)
        return path

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
