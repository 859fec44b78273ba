"""Reads a child's output in the thread that owns it, until the child ends or there is a reason to end it."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from contextlib import suppress
from itertools import islice
from typing import Literal

from antiphon.subagents.sandbox.watch import Excess, Watch, descendants

Ending = Literal["exit", "timeout", "limit", "excess", "stop"]
STARTED = b"."
"""What the launcher says just before it becomes the program."""

_CHUNK_BYTES = 1 << 16
# How often to look whether a child has ended although its pipes are open (a grandchild may hold them), or the other
# way round. Normally its end closes the pipes, which wakes the selector at once.
_LONGEST_PAUSE_SECONDS = 0.05
_SHORTEST_PAUSE_SECONDS = 0.001
_DRAIN_SECONDS = 0.5


class Pipes:
    """What a child writes, kept up to a limit.

    Attributes:
        report: what the launcher said: `STARTED`, then why the program did not start if it did not.
        truncated: stdout or stderr went over the limit.
        namespaced: the child's first child is the first process of a namespace.
        first: a descriptor of that one, once the launcher has spoken; whoever takes it closes it.
    """

    def __init__(
        self,
        child: subprocess.Popen[bytes],
        report: int,
        stop: int,
        watch: Watch,
        *,
        output_limit: int,
        deadline: float | None,
    ) -> None:
        assert child.stdout is not None
        assert child.stderr is not None
        self._child, self._stop, self._watch = child, stop, watch
        self._limit, self._deadline = output_limit, deadline
        self._stdout, self._stderr, self._report = child.stdout.fileno(), child.stderr.fileno(), report
        self._read = {descriptor: bytearray() for descriptor in (self._stdout, self._stderr, report)}
        self._selector = selectors.DefaultSelector()
        self.truncated = False
        self.namespaced = False
        self.first: int | None = None
        for descriptor in self._read:
            os.set_blocking(descriptor, False)
            self._selector.register(descriptor, selectors.EVENT_READ)

    @property
    def stdout(self) -> bytes:
        """At most the limit of what went to standard output."""
        return bytes(self._read[self._stdout])

    @property
    def stderr(self) -> bytes:
        """At most the limit of what went to standard error."""
        return bytes(self._read[self._stderr])

    @property
    def report(self) -> bytes:
        """Why the program did not start, in the launcher's words."""
        return bytes(self._read[self._report])

    @property
    def excess(self) -> Excess | None:
        """The limit that all its processes together went over."""
        return self._watch.excess

    def read(self) -> Ending:
        """Read until the child has ended, ran out of time or room, or is to be stopped. Says which."""
        self._selector.register(self._stop, selectors.EVENT_READ)
        pause = _SHORTEST_PAUSE_SECONDS
        while not _has_ended(self._child):
            left = None if self._deadline is None else self._deadline - time.monotonic()
            if left is not None and left <= 0:
                return "timeout"
            silent = self._open == 0
            if self._take(min(left or pause, pause if silent else _LONGEST_PAUSE_SECONDS)):
                return "stop"
            if self.truncated:
                return "limit"
            if self._watch.look() is not None:
                return "excess"
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS) if silent else _SHORTEST_PAUSE_SECONDS
        return "exit"

    def drain(self) -> None:
        """Read what a dead child left in its pipes, then close them. Bounded, as a stranger may still hold them."""
        self.namespaced = False  # nobody is there any more
        if self._stop in self._selector.get_map():
            self._selector.unregister(self._stop)
        end = time.monotonic() + _DRAIN_SECONDS
        while self._open and (left := end - time.monotonic()) > 0:
            self._take(left)
        self._selector.close()
        for stream in (self._child.stdout, self._child.stderr):
            assert stream is not None
            stream.close()
        os.close(self._report)

    @property
    def _open(self) -> int:
        return len(self._selector.get_map().keys() - {self._stop})

    def _take(self, timeout_seconds: float) -> bool:
        """Read what is there. True if the child is to be stopped."""
        for key, _ in self._selector.select(timeout_seconds):
            if key.fd == self._stop:
                return True
            self._take_from(key.fd)
        return False

    def _take_from(self, descriptor: int) -> None:
        try:
            chunk = os.read(descriptor, _CHUNK_BYTES)
        except BlockingIOError:
            return
        if not chunk:
            self._selector.unregister(descriptor)
            return
        if descriptor == self._report and self.namespaced and self.first is None:
            self.first = _first_child(self._child.pid)
        kept = self._read[descriptor]
        room = self._limit - len(kept)
        self.truncated |= len(chunk) > room
        kept += chunk[: max(room, 0)]


def _has_ended(child: subprocess.Popen[bytes]) -> bool:
    """Whether the child has ended, without reaping it where the system allows that: its id then stays its own."""
    if hasattr(os, "waitid"):
        return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return child.poll() is not None


def _first_child(pid: int) -> int | None:
    """A descriptor that becomes readable when the first child of a process has ended; None if there is none any more.

    Asked while the launcher speaks, so that child is there: of bwrap it is the first process of the new namespace.
    """
    for child in islice(descendants(pid), 1):
        with suppress(OSError):
            return os.pidfd_open(child)
    return None
