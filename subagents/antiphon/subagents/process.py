"""Runs one command and brings back what it said. Nothing of it outlives the call.

The child is started, read and reaped by one worker thread that lives as long as the child does. That matters: Linux
ties the parent-death signal to the *thread* that forked, and trio's and anyio's threads expire when they are idle, so
a child started from one of them and awaited elsewhere would be killed after a few seconds for no visible reason.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread

from antiphon.subagents.pipes import STARTED, Ending, Pipes
from antiphon.subagents.sandbox.bare import Unconfined
from antiphon.subagents.sandbox.confinement import Confinement, ProcessLimits
from antiphon.subagents.sandbox.contract import Job, Launch, Refused, Sandbox
from antiphon.subagents.sandbox.ending import end
from antiphon.subagents.sandbox.leash import leash
from antiphon.subagents.sandbox.scratch import private_folder
from antiphon.subagents.sandbox.watch import Excess, Watch

__all__ = ["OUTPUT_LIMIT_BYTES", "Completed", "Confinement", "ProcessLimits", "Unavailable", "run_command", "run_here"]

OUTPUT_LIMIT_BYTES = 32 * 1024 * 1024
_LAST_SIGNAL = 64
_SAID_BYTES = 500


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that ran, however it ended.

    Attributes:
        exit: its exit status; the negative signal number if one ended it; None if it could not be reaped.
        stdout, stderr: what it wrote, each at most the output limit.
        truncated: it wrote more than that, and was ended for it.
        timed_out: it took longer than it was given, and was ended for it.
        seconds: wall time, start-up included.
        excess: the limit on all its processes together that it went over, and was ended for; None if none.
    """

    exit: int | None
    stdout: bytes
    stderr: bytes
    truncated: bool = False
    timed_out: bool = False
    seconds: float = 0.0
    excess: Excess | None = None


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A command that could not be started.

    Attributes:
        program: what was asked for. reason: why it did not start. advice: what to install or change.
    """

    program: str
    reason: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Command:
    argv: tuple[str, ...]
    cwd: Path | None
    env: Mapping[str, str]
    timeout_seconds: float | None
    output_limit: int
    advice: str
    sandbox: Sandbox
    confinement: Confinement
    search: str = field(default_factory=lambda: os.environ.get("PATH", os.defpath))


async def run_command(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout_seconds: float | None = 120.0,
    output_limit: int = OUTPUT_LIMIT_BYTES,
    advice: str | None = None,
    sandbox: Sandbox | None = None,
    confinement: Confinement | None = None,
) -> Completed | Unavailable:
    """Run a command to its end, and all that it started with it.

    Its input is empty. Its environment is PATH, LANG=C.UTF-8, an empty HOME that is removed afterwards, and `env`:
    nothing else of the user's, so no secrets. On Linux it dies with this process, even if that is killed.
    Cancellation kills it at once and passes on; it is never swallowed.

    Args:
        argv: the program (a path, or a name looked up in PATH) and its arguments.
        cwd: where it runs; by default the empty HOME, so that it finds no configuration beside it. In a sandbox it must
            be granted.
        env: more variables, such as TRACEPARENT.
        timeout_seconds: wall time after which it is killed; None for no limit.
        output_limit: bytes kept of each of stdout and stderr; at more than that it is killed.
        advice: what to say to somebody who does not have the program.
        sandbox: what confines it (see `antiphon.subagents.sandbox.choose`); by default nothing does, and a process of
            it that leaves its group may outlive the call.
        confinement: what it may reach, and its limits; by default no file of the user's.
    """
    command = _Command(
        argv=tuple(argv),
        cwd=cwd,
        env=dict(env or {}),
        timeout_seconds=timeout_seconds,
        output_limit=output_limit,
        advice=advice or f"install {Path(argv[0]).name}, or put it on PATH",
        sandbox=sandbox or Unconfined(),
        confinement=confinement or Confinement(),
    )
    result: Completed | Unavailable | None = None
    stop, stopper = os.pipe()
    async with anyio.create_task_group() as group:
        group.start_soon(_close_when_cancelled, stopper)
        with anyio.CancelScope(shield=True):
            # A limiter of its own: waiting for a shared one in here could not be cancelled. Who may run at all is
            # the engine's to say, by its permits.
            result = await anyio.to_thread.run_sync(_run, command, stop, limiter=anyio.CapacityLimiter(1))
        group.cancel_scope.cancel()
    await anyio.lowlevel.checkpoint_if_cancelled()  # a result that cancellation cut short is no result
    assert result is not None
    return result


def run_here(
    argv: Sequence[str], *, sandbox: Sandbox, confinement: Confinement, timeout_seconds: float
) -> Completed | Unavailable:
    """Run a short command in this thread, which waits for it: for probing a sandbox before anything asynchronous runs.

    Args:
        argv: the program and its arguments.
        sandbox: what confines it.
        confinement: what it may reach, and its limits.
        timeout_seconds: wall time after which it is killed.
    """
    command = _Command(
        argv=tuple(argv),
        cwd=None,
        env={},
        timeout_seconds=timeout_seconds,
        output_limit=1 << 20,
        advice=f"install {Path(argv[0]).name}, or put it on PATH",
        sandbox=sandbox,
        confinement=confinement,
    )
    stop, stopper = os.pipe()
    try:
        return _run(command, stop)
    finally:
        os.close(stopper)


async def _close_when_cancelled(descriptor: int) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        os.close(descriptor)  # the worker thread sees end of file on its side, and kills the child


def _run(command: _Command, stop: int) -> Completed | Unavailable:
    started = time.monotonic()
    try:
        with private_folder() as private:
            return _run_in(command, private, stop, started)
    except Refused as refused:
        return Unavailable(program=command.argv[0], reason=refused.reason, advice=refused.advice)
    except OSError as error:
        return _unavailable(command, error.strerror or str(error))
    finally:
        os.close(stop)


def _run_in(command: _Command, private: str, stop: int, started: float) -> Completed | Unavailable:
    program = command.sandbox.find(command.argv[0], command.search)
    if program is None:
        return _unavailable(command, "it was not found, or is not executable")
    with leash(command.confinement.limits) as leashed:
        return _run_leashed(command, program, private, leashed, stop, started)


def _run_leashed(
    command: _Command, program: str, private: str, leashed: int | None, stop: int, started: float
) -> Completed | Unavailable:
    with ExitStack() as ours:
        report, reporter = _pipe(ours)
        alive, keeper = _pipe(ours)
        job = _job(command, program, private, reporter, alive, leashed)
        with command.sandbox.prepare(job) as launch:
            child = _spawn(launch)
        os.close(reporter)
        os.close(alive)
        ours.pop_all()
    deadline = None if command.timeout_seconds is None else started + command.timeout_seconds
    watch = Watch(child.pid, command.confinement.limits, private)
    pipes = Pipes(child, report, stop, watch, output_limit=command.output_limit, deadline=deadline)
    pipes.namespaced = launch.namespaced
    try:
        ending = pipes.read()
    finally:
        end(child, launch, keeper, pipes.first)
        pipes.drain()
    trouble = _trouble(child, launch, pipes, ending)
    if trouble is not None:
        return _unavailable(command, trouble)
    return _completed(child, launch, pipes, ending, started)


def _pipe(closing: ExitStack) -> tuple[int, int]:
    both = os.pipe()
    for one in both:
        closing.callback(os.close, one)
    return both


def _job(command: _Command, program: str, private: str, report: int, alive: int, leashed: int | None) -> Job:
    return Job(
        program=os.path.abspath(program) if os.sep in program else program,
        arguments=command.argv[1:],
        cwd=str(command.cwd or private),
        env={"PATH": command.search, "LANG": "C.UTF-8", "HOME": private, "TMPDIR": private, **command.env},
        private=private,
        confinement=command.confinement,
        report=report,
        alive=alive,
        leash=leashed,
    )


def _spawn(launch: Launch) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        launch.argv,
        cwd=launch.cwd,
        env=launch.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        pass_fds=launch.inherit,
    )


def _trouble(child: subprocess.Popen[bytes], launch: Launch, pipes: Pipes, ending: Ending) -> str | None:
    """Why the program did not start; None if it did, or was ended before it could."""
    started = pipes.report == STARTED or not launch.reports
    refused = child.returncode is not None and launch.refused(child.returncode, pipes.stderr)
    if (started and not refused) or (not pipes.report and ending != "exit"):
        return None
    if reason := pipes.report.removeprefix(STARTED):
        return reason.decode("utf-8", "replace")
    said = " ".join(pipes.stderr[-_SAID_BYTES:].decode("utf-8", "replace").split())
    return f"its sandbox did not start: {said or 'it does not say why'}"


def _completed(
    child: subprocess.Popen[bytes], launch: Launch, pipes: Pipes, ending: Ending, started: float
) -> Completed:
    return Completed(
        exit=_exit(child.returncode, launch),
        stdout=pipes.stdout,
        stderr=pipes.stderr,
        truncated=pipes.truncated,
        timed_out=ending == "timeout",
        seconds=time.monotonic() - started,
        excess=pipes.excess,
    )


def _exit(status: int | None, launch: Launch) -> int | None:
    if launch.shell_status and status is not None and 128 < status <= 128 + _LAST_SIGNAL:
        return 128 - status
    return status


def _unavailable(command: _Command, reason: str) -> Unavailable:
    return Unavailable(program=command.argv[0], reason=reason, advice=command.advice)
