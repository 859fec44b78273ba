"""Ends what is left of a command, in the order that lets nothing get away."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from contextlib import suppress
from typing import Final

from antiphon.subagents.sandbox.contract import Launch

REAP_SECONDS: Final = 5.0


def end(child: subprocess.Popen[bytes], launch: Launch, keeper: int, first: int | None) -> None:
    """End a command and all it started, as far as its sandbox can, then reap the child.

    Args:
        child: the process that was started; its id is its own until it is reaped, so that comes last.
        launch: how it was started.
        keeper: the other end of `Job.alive`. It is closed before anything is killed: what is only now being set up,
            where no signal finds it, looks there.
        first: a descriptor of the first process of the command's namespace, if it has one; closed.
    """
    os.close(keeper)
    if not launch.supervised:
        _kill_group(child)
    elif child.returncode is None and not _reaped(child):
        _kill_group(child)  # the supervisor itself is stuck
    _reaped(child)
    if first is not None:
        _wait_for_end(first)


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    if child.returncode is None:
        with suppress(ProcessLookupError, PermissionError):  # it has all ended (macOS says EPERM of a zombie)
            os.killpg(child.pid, signal.SIGKILL)


def _reaped(child: subprocess.Popen[bytes]) -> bool:
    with suppress(subprocess.TimeoutExpired):  # stuck in the kernel; its status stays None and says so
        child.wait(REAP_SECONDS)
    return child.returncode is not None


def _wait_for_end(first: int) -> None:
    """Until the first process of a namespace is gone, and with it the kernel's work of ending all others."""
    try:
        select.select([first], [], [], REAP_SECONDS)
    finally:
        os.close(first)
