"""Minds a program that stays: in the thread that owns it, until it ends or is to be ended, and then to its very end."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from antiphon.subagents.pipes import STARTED
from antiphon.subagents.sandbox.contract import Launch
from antiphon.subagents.sandbox.ending import end
from antiphon.subagents.sandbox.watch import Watch, descendants

SAID_BYTES: Final = 4096
"""Of its standard error; what comes last is kept."""

_CHUNK_BYTES: Final = 1 << 16
_PAUSE_SECONDS: Final = 0.05
_DRAIN_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How it ended.

    Attributes:
        exit: its exit status, the negative signal number, or None if it is not known.
        said: the end of what it wrote to standard error.
        trouble: why it did not start, or what ended it; "" if it ended by itself. advice: what to do about that.
    """

    exit: int | None = None
    said: bytes = b""
    trouble: str = ""
    advice: str = ""


class Minder:
    """Whoever owns a child, in its thread.

    Args:
        child: the process that was started. launch: how. watch: looks after its limits.
        descriptors: where the launcher reports; what keeps the child alive; what says that it is to be ended.
    """

    def __init__(
        self, child: subprocess.Popen[bytes], launch: Launch, watch: Watch, descriptors: tuple[int, int, int]
    ) -> None:
        assert child.stderr is not None
        self._child, self._launch, self._watch = child, launch, watch
        self._report, self._keeper, self._stop = descriptors
        self._stderr = child.stderr.fileno()
        self._read = {self._stderr: bytearray(), self._report: bytearray()}
        self._first: int | None = None
        self._selector = selectors.DefaultSelector()
        for descriptor in (*self._read, self._stop):
            os.set_blocking(descriptor, False)
            self._selector.register(descriptor, selectors.EVENT_READ)

    def minded(self) -> Ending:
        """Stay until it ends or is to be ended, then leave nothing of it."""
        try:
            excess = self._until_over()
        finally:
            end(self._child, self._launch, self._keeper, self._first)
            self._drain()
        return self._ending(excess)

    def _until_over(self) -> str:
        while not _has_ended(self._child):
            for key, _ in self._selector.select(_PAUSE_SECONDS):
                if key.fd == self._stop:
                    return ""
                self._take(key.fd)
            if (excess := self._watch.look()) is not None:
                return f"it went over its limit on {excess}, and was ended"
        return ""

    def _take(self, descriptor: int) -> None:
        try:
            chunk = os.read(descriptor, _CHUNK_BYTES)
        except BlockingIOError:
            return
        if not chunk:
            self._selector.unregister(descriptor)
            return
        if descriptor == self._report and self._launch.namespaced and self._first is None:
            self._first = _first_child(self._child.pid)
        kept = self._read[descriptor]
        kept += chunk
        del kept[:-SAID_BYTES]

    def _drain(self) -> None:
        """Take what a dead child left. Bounded, as a stranger may still hold the pipes."""
        self._selector.unregister(self._stop)
        deadline = time.monotonic() + _DRAIN_SECONDS
        while len(self._selector.get_map()) and (left := deadline - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                self._take(key.fd)
        self._selector.close()
        assert self._child.stderr is not None
        self._child.stderr.close()
        os.close(self._report)

    def _ending(self, excess: str) -> Ending:
        said, status = bytes(self._read[self._stderr]), self._child.returncode
        report = bytes(self._read[self._report])
        refused = status is not None and self._launch.refused(status, said)
        if excess or ((report == STARTED or not self._launch.reports) and not refused):
            return Ending(exit=_exit(status, self._launch), said=said, trouble=excess)
        reason = report.removeprefix(STARTED).decode("utf-8", "replace")
        return Ending(exit=status, said=said, trouble=reason or "its sandbox did not start")


def _has_ended(child: subprocess.Popen[bytes]) -> bool:
    """Whether it has ended, without reaping it where the system allows that: its id then stays its own."""
    if hasattr(os, "waitid"):
        return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return child.poll() is not None


def _first_child(pid: int) -> int | None:
    with suppress(OSError, StopIteration):
        return os.pidfd_open(next(descendants(pid)))
    return None


def _exit(status: int | None, launch: Launch) -> int | None:
    return 128 - status if launch.shell_status and status is not None and 128 < status <= 192 else status
