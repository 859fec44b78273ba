"""How a guest ended, from what its zygote says of it: the categories of `GuestDied`."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import clock_gettime
from typing import Any, Final

import anyio

from antiphon.engine.script.runtime import GuestDied, GuestLimits

# What `inside/zygote.py` exits with.
_MEMORY, _SYNTAX, _CRASHED = 71, 72, 73
_PACKET_BYTES: Final = 4096
_NEARLY: Final = 0.5
_CLOCK_OF_A_PROCESS: Final = 2  # CPUCLOCK_SCHED, in the kernel's coding of a process's clock
_LOST: Final = "the process that runs scripts was ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What is left of a guest.

    Attributes:
        code: its exit status, or a negative signal; None where nobody could tell.
        cpu_seconds: what it computed. most_bytes: the most that it had in memory.
    """

    code: int | None
    cpu_seconds: float = 0.0
    most_bytes: int = 0


class Fate:
    """What the zygote says of one guest, and the means to end it. `close` ends it too."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._reading = anyio.Lock()
        self._process: int | None = None
        self._clock = 0
        self._confined = self._unwanted = False
        self._refused = ""
        self.ended: Ended | None = None

    async def begun(self) -> None:
        """Wait until it is confined, and can be killed.

        Raises:
            GuestDied: it cannot be confined.
            ConnectionError: the zygote has ended.
        """
        while not (self._confined and self._process is not None):
            if self._refused:
                raise GuestDied("crashed", f"it could not be confined: {self._refused}", advice="antiphon doctor")
            if self.ended is not None:
                raise ConnectionError(_LOST)
            await self._hear()

    async def end(self) -> Ended:
        """Wait until it has ended."""
        while self.ended is None:
            await self._hear()
        return self.ended

    def kill(self) -> None:
        """End it at once; where it is only being started, as soon as it is there."""
        self._unwanted = True
        if self._process is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process, signal.SIGKILL)

    async def gone(self) -> None:
        """Wait until there is no such process, also where its zygote does not tell any more."""
        if self._process is not None and not select.select([self._process], [], [], 0)[0]:
            await anyio.wait_readable(self._process)
        await self.end()

    def close(self) -> None:
        """Forget it. The zygote ends what is still there."""
        self._connection.close()
        if self._process is not None:
            os.close(self._process)
            self._process = None

    def cpu_seconds(self) -> float:
        """What it has computed so far; 0 where that cannot be told."""
        with suppress(OSError):
            return clock_gettime(self._clock) if self._clock else 0.0
        return 0.0

    async def _hear(self) -> None:
        async with self._reading:
            await anyio.wait_readable(self._connection)
            try:
                text, descriptors, _, _ = socket.recv_fds(self._connection, _PACKET_BYTES, 1)
            except BlockingIOError:
                return
            except OSError:
                text, descriptors = b"", []
            if descriptors:
                self._process, self._clock = descriptors[0], _clock_of(descriptors[0])
                if self._unwanted:
                    self.kill()
            self._note(json.loads(text) if text else {"ended": None})

    def _note(self, said: dict[str, Any]) -> None:
        if "started" in said and self._process is None:
            self._refused = "no descriptor is left for it; raise `ulimit -n`"
        elif "confined" in said:
            self._confined = True
        elif "refused" in said:
            self._refused = said["refused"]
        elif "ended" in said and self.ended is None:
            used = {name: said[name] for name in ("cpu_seconds", "most_bytes") if name in said}
            self.ended = Ended(code=said["ended"], **used)


def _clock_of(process: int) -> int:
    """The clock of a process's own time, by a descriptor of it; 0 where there is none."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path(f"/proc/self/fdinfo/{process}").read_text().splitlines()
        pid = int(next(line.split()[1] for line in lines if line.startswith("Pid:")))
        return (~pid << 3) | _CLOCK_OF_A_PROCESS if pid > 0 else 0
    return 0


def death_of(ended: Ended, words: str, limits: GuestLimits) -> GuestDied:
    """Why a guest that nobody killed has ended.

    Args:
        ended: what is left of it.
        words: what it said last; "" for nothing. They are its own, so they are quoted.
        limits: what it was allowed.
    """
    if ended.code is None:
        return GuestDied("crashed", _LOST)
    if ended.code == _MEMORY or (ended.code < 0 and ended.most_bytes > limits.memory_bytes * _NEARLY):
        return GuestDied("memory", f"it needed more than {limits.memory_bytes // 2**20:,} MiB")
    if ended.code == _SYNTAX:
        return GuestDied("syntax", words or "it is no Python")
    if ended.code == -signal.SIGXCPU and limits.cpu_seconds is not None:
        return GuestDied("cpu", f"it computed for more than {limits.cpu_seconds:g} s in all")
    if ended.code == _CRASHED:
        return GuestDied("crashed", f"it ended with {words}" if words else "it went wrong without a word")
    if ended.code < 0:
        return GuestDied("crashed", f"signal {-ended.code} ended it")
    return GuestDied("crashed", f"it ended by itself, with status {ended.code}, before its script was over")
