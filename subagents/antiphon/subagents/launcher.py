"""Turns into another program, after tying its life to the parent's and limiting it. Run as a script, never imported.

``python -I -S launcher.py PARENT_PID REPORT_FD LIMITS PROGRAM ARGUMENT...``

This is a program of its own because ``preexec_fn`` may deadlock in a process that has threads: between fork and exec
only code that allocates nothing is safe, and Python is not. It uses the standard library alone and no more of it than
it must, since its start is paid for by every command (about 10 ms).

If the program cannot be started, the reason goes to REPORT_FD, which the program itself never sees: end of file there
means that it runs.
"""

import os
import resource
import sys

_PR_SET_PDEATHSIG = 1
_SIGKILL = 9


def _die_with(parent: int) -> None:
    import ctypes

    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    # The parent may have died before the signal was asked for; then nobody would ever send it.
    if os.getppid() != parent:
        os._exit(128 + _SIGKILL)


def _limit(limits: str) -> None:
    """Set soft and hard limits from text such as ``CORE=0,CPU=60``; never above what is allowed already."""
    for name, _, value in (item.partition("=") for item in limits.split(",") if item):
        which = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(which)[1]
        wanted = int(value) if hard == resource.RLIM_INFINITY else min(int(value), hard)
        resource.setrlimit(which, (wanted, wanted))


def main(argv: list[str]) -> None:
    """Set up and become the program. Returns never."""
    parent, report, limits, program = int(argv[1]), int(argv[2]), argv[3], argv[4:]
    try:
        os.set_inheritable(report, False)
        _die_with(parent)
        _limit(limits)
        os.execv(program[0], program)
    except (OSError, ValueError) as error:
        os.write(report, str(getattr(error, "strerror", None) or error).encode("utf-8", "replace")[:500])
    os._exit(127)


if __name__ == "__main__":
    main(sys.argv)
