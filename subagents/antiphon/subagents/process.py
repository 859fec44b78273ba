"""Runs one command and brings back what it said. Nothing of it outlives the call.

The child is started, read and reaped by one worker thread that lives as long as the child does. That matters: Linux
ties the parent-death signal to the *thread* that forked, and trio's and anyio's threads expire when they are idle, so
a child started from one of them and awaited elsewhere would be killed after a few seconds for no visible reason.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread

from antiphon.subagents.pipes import Ending, Pipes

REAP_SECONDS = 5.0
OUTPUT_LIMIT_BYTES = 32 * 1024 * 1024
_LAUNCHER = str(Path(__file__).with_name("launcher.py"))


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that ran, however it ended.

    Attributes:
        exit: its exit status; the negative signal number if one ended it; None if it could not be reaped.
        stdout, stderr: what it wrote, each at most the output limit.
        truncated: it wrote more than that, and was ended for it.
        timed_out: it took longer than it was given, and was ended for it.
        seconds: wall time, start-up included.
    """

    exit: int | None
    stdout: bytes
    stderr: bytes
    truncated: bool = False
    timed_out: bool = False
    seconds: float = 0.0


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
class ProcessLimits:
    """Limits the operating system enforces on the program itself (Linux; elsewhere they are not set).

    Attributes:
        cpu_seconds: of processor time, None for no limit.
        address_space_bytes: of virtual memory, None for no limit.
        file_bytes: largest file it may write, None for no limit.
    """

    cpu_seconds: int | None = 600
    address_space_bytes: int | None = None
    file_bytes: int | None = 64 * 1024 * 1024

    def render(self) -> str:
        """The limits as the launcher reads them. Core dumps are always off: they would hold the audited code."""
        named = {"CPU": self.cpu_seconds, "AS": self.address_space_bytes, "FSIZE": self.file_bytes}
        return ",".join(["CORE=0", *(f"{name}={value}" for name, value in named.items() if value is not None)])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Command:
    argv: tuple[str, ...]
    cwd: Path | None
    env: Mapping[str, str]
    timeout_seconds: float | None
    output_limit: int
    limits: ProcessLimits
    advice: str
    search: str = field(default_factory=lambda: os.environ.get("PATH", os.defpath))


async def run_command(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout_seconds: float | None = 120.0,
    output_limit: int = OUTPUT_LIMIT_BYTES,
    limits: ProcessLimits | None = None,
    advice: str | None = None,
) -> Completed | Unavailable:
    """Run a command to its end, and every process of its group with it.

    Its input is empty. Its environment is PATH, LANG=C.UTF-8, an empty HOME that is removed afterwards, and `env`:
    nothing else of the user's, so no secrets. On Linux it dies with this process, even if that is killed.
    Cancellation kills it at once and passes on; it is never swallowed.

    Args:
        argv: the program (a path, or a name looked up in PATH) and its arguments.
        cwd: where it runs; by default the empty HOME, so that it finds no configuration beside it.
        env: more variables, such as TRACEPARENT.
        timeout_seconds: wall time after which its group is killed; None for no limit.
        output_limit: bytes kept of each of stdout and stderr; at more than that its group is killed.
        limits: limits set on the program by the operating system.
        advice: what to say to somebody who does not have the program.
    """
    command = _Command(
        argv=tuple(argv),
        cwd=cwd,
        env=dict(env or {}),
        timeout_seconds=timeout_seconds,
        output_limit=output_limit,
        limits=limits or ProcessLimits(),
        advice=advice or f"install {Path(argv[0]).name}, or put it on PATH",
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


async def _close_when_cancelled(descriptor: int) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        os.close(descriptor)  # the worker thread sees end of file on its side, and kills the child


def _run(command: _Command, stop: int) -> Completed | Unavailable:
    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="antiphon-", ignore_cleanup_errors=True) as private:
            return _run_in(command, private, stop, started)
    except OSError as error:
        return _unavailable(command, error.strerror or str(error))
    finally:
        os.close(stop)


def _run_in(command: _Command, private: str, stop: int, started: float) -> Completed | Unavailable:
    program = shutil.which(command.argv[0], path=command.search)
    if program is None:
        return _unavailable(command, "it was not found, or is not executable")
    report, reporter = os.pipe()
    try:
        child = _spawn(command, os.path.abspath(program), private, reporter)
    except OSError:
        os.close(report)
        raise
    finally:
        os.close(reporter)
    deadline = None if command.timeout_seconds is None else started + command.timeout_seconds
    pipes = Pipes(child, report, stop, output_limit=command.output_limit, deadline=deadline)
    try:
        ending = pipes.read()
    finally:
        _end(child)
        pipes.drain()
    if pipes.report:
        return _unavailable(command, pipes.report.decode("utf-8", "replace"))
    return _completed(child, pipes, ending, started)


def _completed(child: subprocess.Popen[bytes], pipes: Pipes, ending: Ending, started: float) -> Completed:
    return Completed(
        exit=child.returncode,
        stdout=pipes.stdout,
        stderr=pipes.stderr,
        truncated=pipes.truncated,
        timed_out=ending == "timeout",
        seconds=time.monotonic() - started,
    )


def _spawn(command: _Command, program: str, private: str, reporter: int) -> subprocess.Popen[bytes]:
    argv = [program, *command.argv[1:]]
    inherited: tuple[int, ...] = ()
    if sys.platform == "linux" and sys.executable:
        settings = [str(os.getpid()), str(reporter), command.limits.render()]
        argv, inherited = [sys.executable, "-I", "-S", _LAUNCHER, *settings, *argv], (reporter,)
    return subprocess.Popen(
        argv,
        cwd=command.cwd or private,
        env={"PATH": command.search, "LANG": "C.UTF-8", "HOME": private, "TMPDIR": private, **command.env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        pass_fds=inherited,
    )


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the child's group, then reap the child. In that order: the id is its own until then."""
    if child.returncode is None:
        with suppress(ProcessLookupError, PermissionError):  # it has all ended (macOS says EPERM of a zombie)
            os.killpg(child.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):  # stuck in the kernel; `exit` stays None and says so
        child.wait(REAP_SECONDS)


def _unavailable(command: _Command, reason: str) -> Unavailable:
    return Unavailable(program=command.argv[0], reason=reason, advice=command.advice)
