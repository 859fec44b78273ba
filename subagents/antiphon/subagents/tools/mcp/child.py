"""A program that stays: started in a sandbox, its pipes in our hands, gone when nobody wants it any more.

One worker thread starts it, watches its limits and reaps it, and lives as long as it does, since Linux ties the
parent-death signal to the thread that forked (see `antiphon.subagents.process`, which does the same for commands). What
goes through its input and output is read and written by the event loop.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncGenerator, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

import anyio
import anyio.to_thread

from antiphon.subagents.sandbox.confinement import Confinement
from antiphon.subagents.sandbox.contract import Job, Launch, Refused, Sandbox
from antiphon.subagents.sandbox.leash import leash
from antiphon.subagents.sandbox.scratch import private_folder
from antiphon.subagents.sandbox.watch import Watch
from antiphon.subagents.tools.mcp.minding import Ending, Minder

GRACE_SECONDS: Final = 1.0
"""How long it may take to end by itself once its input is closed."""

_CHUNK_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A program to start.

    Attributes:
        argv: the program (a path, or a name looked up in `search`) and its arguments.
        cwd: where it runs; None for its private, empty HOME.
        env: what it is given besides PATH, LANG, HOME and TMPDIR.
        sandbox: what confines it. confinement: what it may reach, and its limits.
        search: the value of PATH.
    """

    argv: tuple[str, ...]
    cwd: str | None
    env: Mapping[str, str]
    sandbox: Sandbox
    confinement: Confinement
    search: str


class Child:
    """A program under way.

    Attributes:
        input, output: descriptors: what is written to the first it reads; what it writes is read from the second.
        ended: set when it is gone. ending: how, from then on.
        finished: it closed its output before anybody told it to end.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._theirs_in, self.input = os.pipe()
        self.output, self._theirs_out = os.pipe()
        self._stop, self._stopper = os.pipe()
        for descriptor in (self.input, self.output):
            os.set_blocking(descriptor, False)
        self.ended = anyio.Event()
        self.ending = Ending()
        self.finished = False

    async def live(self) -> None:
        """Start it, and stay until it is gone: by itself, by a limit, or by `stop`."""
        try:
            with anyio.CancelScope(shield=True):
                # A limiter of its own: waiting for a shared one could not be cancelled in here.
                self.ending = await anyio.to_thread.run_sync(self._own, limiter=anyio.CapacityLimiter(1))
        finally:
            self.ended.set()

    def close_input(self) -> None:
        """Tell it that nothing more comes: it is to end. A second time does nothing."""
        self.input = _closed(self.input)

    def stop(self) -> None:
        """Have it ended at once, with all that it started. A second time does nothing."""
        self._stopper = _closed(self._stopper)

    def close(self) -> None:
        """Let go of all descriptors, once it is gone."""
        self.close_input()
        self.stop()
        self.output = _closed(self.output)

    def _own(self) -> Ending:
        try:
            with private_folder() as private:
                return self._in(private)
        except Refused as refused:
            return Ending(trouble=refused.reason, advice=refused.advice)
        except OSError as error:
            return Ending(trouble=error.strerror or str(error))
        finally:
            self._release()
            os.close(self._stop)

    def _in(self, private: str) -> Ending:
        order = self._order
        program = order.sandbox.find(order.argv[0], order.search)
        if program is None:
            return Ending(trouble=f"{order.argv[0]} was not found, or is not executable")
        with leash(order.confinement.limits) as leashed, ExitStack() as ours:
            report, reporter = _pipe(ours)
            alive, keeper = _pipe(ours)
            job = Job(
                program=os.path.abspath(program) if os.sep in program else program,
                arguments=order.argv[1:],
                cwd=order.cwd or private,
                env={"PATH": order.search, "LANG": "C.UTF-8", "HOME": private, "TMPDIR": private, **order.env},
                private=private,
                confinement=order.confinement,
                report=reporter,
                alive=alive,
                leash=leashed,
            )
            with order.sandbox.prepare(job) as launch:
                child = self._spawned(launch)
            os.close(reporter)
            os.close(alive)
            ours.pop_all()
            watch = Watch(child.pid, order.confinement.limits, private)
            return Minder(child, launch, watch, (report, keeper, self._stop)).minded()

    def _spawned(self, launch: Launch) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            launch.argv,
            cwd=launch.cwd,
            env=launch.env,
            stdin=self._theirs_in,
            stdout=self._theirs_out,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=launch.inherit,
        )
        self._release()  # so that its end is the end of the file
        return child

    def _release(self) -> None:
        self._theirs_in, self._theirs_out = _closed(self._theirs_in), _closed(self._theirs_out)


@asynccontextmanager
async def started(order: Order) -> AsyncGenerator[Child]:
    """A program that runs inside the context. Afterwards it is gone, whatever it would have liked."""
    child = Child(order)
    async with anyio.create_task_group() as group:
        group.start_soon(child.live)
        try:
            yield child
        finally:
            with anyio.CancelScope(shield=True):
                child.close_input()
                with anyio.move_on_after(GRACE_SECONDS):
                    await _drained(child)
                child.stop()
                await child.ended.wait()  # bounded: `end` gives up on what does not die
            child.close()


async def _drained(child: Child) -> None:
    """Until it is gone, with nobody holding its output up: what is stuck writing does not see its input end."""
    async with anyio.create_task_group() as group:
        group.start_soon(_thrown_away, child.output)
        await child.ended.wait()
        group.cancel_scope.cancel()


async def _thrown_away(descriptor: int) -> None:
    while True:
        await anyio.wait_readable(descriptor)
        with suppress(BlockingIOError):
            if not os.read(descriptor, _CHUNK_BYTES):
                return


def _pipe(closing: ExitStack) -> tuple[int, int]:
    both = os.pipe()
    for one in both:
        closing.callback(partial(os.close, one))
    return both


def _closed(descriptor: int) -> int:
    """Close it if it is open. What stands for a closed one."""
    if descriptor >= 0:
        os.close(descriptor)
    return -1
