"""Ctrl-C: once pauses, twice stops at once, and a process that then does not end is ended.

A watchdog thread hears of every signal by itself, so a script that never yields to its event loop (`while True`, a
blocking read) cannot keep it from acting. Two ways lead to it. Python's own receiver runs in the main thread only, and
a main thread that sleeps in a system call may never run it: the kernel is free to give a signal to another thread,
and then nothing wakes the sleeper. So, while the event loop runs, the interpreter also writes each signal's number to
our pipe from whatever thread it hit (`set_wakeup_fd`); what trio or asyncio had there before gets it passed on.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final, Protocol, final

import anyio

from antiphon.engine import Run
from antiphon.tracing import Json
from antiphon.workflows.cli.words import plural

STOPPED: Final = 130
YIELD_SECONDS: Final = 1.0
"""How long the event loop may take to notice the first Ctrl-C before somebody says so."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
# What goes through the watchdog's pipe besides the numbers of signals, which are below 65 everywhere.
_POKE, _STOP, _END = b"p", b"s", b"e"


class Voice(Protocol):
    """What can say a line beside the view; from any thread."""

    def say(self, text: str, *, now: bool = False) -> None:
        """Say one line; `now` past everything that is drawn or waiting, because the event loop may hang."""
        ...


@final
class Interrupts:
    """Listens for SIGINT and SIGTERM while a run goes on.

    Args:
        voice: says what was understood.
        grace_seconds: how long a stopped run may take to end before the process is ended.
        end: ends the process at once, with an exit code.
    """

    def __init__(self, voice: Voice, *, grace_seconds: float, end: Callable[[int], object] = os._exit) -> None:
        self._voice, self._grace_seconds, self._end = voice, grace_seconds, end
        self._run_id = "RUN"
        self._noticed = False
        self._received = 0  # by Python's receiver, in the main thread
        self._heard = 0  # by the watchdog, from the interpreter
        self._stops = 0  # asked for by another process
        self._onward: int | None = None
        self._passing_on = threading.Lock()
        self._task_end, self._task_pipe = os.pipe()
        self._dog_end, self._dog_pipe = os.pipe()
        for pipe in (self._task_end, self._task_pipe, self._dog_pipe):
            os.set_blocking(pipe, False)

    @property
    def count(self) -> int:
        """How many signals there were. Both ways count all of them, one or the other may be late or miss some."""
        return max(self._received, self._heard)

    @contextmanager
    def received(self) -> Generator[None]:
        """Receive signals, with the watchdog awake, while the block runs; what received them before does so again."""
        before = _receive(self._receive)
        watchdog = threading.Thread(target=self._guard, name="antiphon-watchdog", daemon=True)
        watchdog.start()
        try:
            yield
        finally:
            self._poke(_END)
            watchdog.join()
            _restore(before)
            for end in (self._task_end, self._task_pipe, self._dog_end, self._dog_pipe):
                os.close(end)

    async def watch(self, run: Run) -> None:
        """Pause the run at the first signal and stop it at the second, until cancelled."""
        run.log.watch(self._follow)
        self._run_id = run.run_id
        done = 0
        with self._woken():
            while True:
                while done < self.count:
                    done += 1
                    self._noticed = True
                    self._act(run, done)
                await anyio.wait_readable(self._task_end)
                os.read(self._task_end, 64)

    def _act(self, run: Run, count: int) -> None:
        if count > 1:
            self._voice.say("stopping at once")
            run.stop("Ctrl-C, twice")
        elif run.mode == "pausing":
            self._voice.say("already pausing; Ctrl-C again stops at once")
        else:
            in_flight = plural(run.in_flight, "call")
            self._voice.say(f"pausing: {in_flight} in flight; Ctrl-C again stops at once")
            run.pause("asked", "interrupted by Ctrl-C")

    def _follow(self, kind: str, _path: str, _at: float, data: Mapping[str, Json]) -> None:
        """Another process may ask for a stop too; the watchdog then has the same duty."""
        if kind == "control" and data.get("ask") == "stop":
            self._poke(_STOP)

    # --- ways to the watchdog -------------------------------------------------------------------------------------

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        """Runs between two instructions of the main thread, whatever it was doing: it must not lock or print."""
        self._received += 1
        self._poke(_POKE)

    def _poke(self, what: bytes) -> None:
        with suppress(BlockingIOError):  # a full pipe has been written to often enough
            os.write(self._dog_pipe, what)

    @contextmanager
    def _woken(self) -> Generator[None]:
        """Let the interpreter write the numbers of signals to the watchdog's pipe while the block runs."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._heard = self._received
        before = signal.set_wakeup_fd(self._dog_pipe, warn_on_full_buffer=False)
        self._onward = before if before != -1 else None
        try:
            yield
        finally:
            with self._passing_on:
                self._onward = None
                signal.set_wakeup_fd(before, warn_on_full_buffer=False)

    # --- the watchdog's thread ------------------------------------------------------------------------------------

    def _guard(self) -> None:
        while True:
            heard = self._listen()
            if _END in heard:
                return
            if self.count + self._stops > 1:
                self._await_end()
                return
            if self.count and not self._ends_within(YIELD_SECONDS):
                self._voice.say("the script does not yield; Ctrl-C again ends it", now=True)

    def _listen(self) -> bytes:
        """Wait until something is heard, count it, and pass it on."""
        heard = os.read(self._dog_end, 64)
        self._heard += sum(heard.count(number) for number in _SIGNALS)
        self._stops += 2 * heard.count(_STOP)
        with suppress(BlockingIOError):
            os.write(self._task_pipe, b"w")
        numbers = heard.translate(None, _POKE + _STOP + _END)
        with self._passing_on:
            if numbers and self._onward is not None:
                with suppress(OSError):
                    os.write(self._onward, numbers)
        return heard

    def _ends_within(self, seconds: float) -> bool:
        """Whether the event loop noticed, or something more was heard, in time."""
        return self._noticed or bool(select.select([self._dog_end], [], [], seconds)[0]) or self._noticed

    def _await_end(self) -> None:
        """Give the run its grace, and end the process when it is over or at one more Ctrl-C."""
        before, deadline = self.count, time.monotonic() + self._grace_seconds
        while before < 3 and select.select([self._dog_end], [], [], max(0.0, deadline - time.monotonic()))[0]:
            if _END in self._listen():
                return
            if self.count > before:
                break
        self._voice.say("the run does not end, so the process is ended now", now=True)
        self._voice.say(f"next: antiphon resume {self._run_id}", now=True)
        self._end(STOPPED)


_Before = dict[signal.Signals, "Callable[[int, FrameType | None], object] | int | None"]


def _receive(receiver: Callable[[int, FrameType | None], None]) -> _Before:
    if threading.current_thread() is not threading.main_thread():
        return {}  # signals belong to the main thread; somebody who runs us elsewhere has them in hand
    return {number: signal.signal(number, receiver) for number in _SIGNALS}


def _restore(before: _Before) -> None:
    for number, receiver in before.items():
        signal.signal(number, signal.SIG_DFL if receiver is None else receiver)
