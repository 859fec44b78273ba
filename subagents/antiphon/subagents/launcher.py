"""Turns into another program, after limiting it and itself. Run as a script, never imported.

``python -I -S launcher.py ORDERS_FD PROGRAM ARGUMENT...``

This is a program of its own because ``preexec_fn`` may deadlock in a process that has threads: between fork and exec
only code that allocates nothing is safe, and Python is not. It uses the standard library alone and no more of it than
it must, since its start is paid for by every command (about 15 ms); so system calls are made by number.

What to do is in ORDERS_FD (see ``sandbox/orders.py``). On the report descriptor it writes ``.`` before it becomes the
program, and the reason if that fails; the program itself never sees that descriptor.
"""

from __future__ import annotations

import ctypes
import marshal
import os
import resource
import select
import sys

TYPE_CHECKING = False  # importing `typing` for it would take as long as all the rest
if TYPE_CHECKING:
    from typing import Any

_SIGKILL, _SIGPIPE, _SIGXFSZ = 9, 13, 25
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 1, 22, 24
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 36, 38
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3 = 0x20080522
_HIGHEST_CAPABILITY = 63
# The same on every machine that the filter is built for.
_OPENAT2, _LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 437, 444, 445, 446
_LANDLOCK_RULE_PATH_BENEATH = 1
_LANDLOCK_SCOPE_SIGNAL = 2
_ABI_WITH_NETWORK, _ABI_WITH_SCOPES = 4, 6
_ON_FILES = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15  # execute, write, read, truncate, ioctl on devices
_FILE_TYPE, _FOLDER = 0o170000, 0o040000
_RESOLVE_NO_SYMLINKS = 4
_OUT_OF_MEMORY_SCORE = "500"
_NICENESS = 5  # whoever counts a fork bomb's processes has to get a turn among them
_REAP_EVERY_MILLISECONDS = 200
_LOOK_AGAIN_MILLISECONDS = 2

LIBC = ctypes.CDLL(None, use_errno=True)


def _failed(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")


def prctl(option: int, first: int, second: int = 0) -> None:
    zero = ctypes.c_ulong(0)
    if LIBC.prctl(option, ctypes.c_ulong(first), ctypes.c_ulong(second), zero, zero) != 0:
        raise _failed(f"prctl({option})")


def _system(number: int, *arguments: int | bytes | None) -> int:
    """A system call. Integers are passed whole: a C int would cut an address or a mask."""
    converted = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    answer: int = LIBC.syscall(ctypes.c_long(number), *converted)
    if answer < 0:
        raise _failed(f"system call {number}")
    return answer


def _word(value: int, size: int = 8) -> bytes:
    return value.to_bytes(size, sys.byteorder)


def die_with(parent: int) -> None:
    prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    # The parent may have died before the signal was asked for; then nobody would ever send it.
    if parent and os.getppid() != parent:
        os._exit(128 + _SIGKILL)


def _leave_if_unwanted(alive: int) -> None:
    if select.select([alive], [], [], 0)[0]:
        os._exit(128 + _SIGKILL)


def limit(limits: dict[str, int]) -> None:
    """Set soft and hard limits, never above what is allowed already."""
    for name, value in limits.items():
        which = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(which)[1]
        wanted = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (wanted, wanted))


def _drop_privileges() -> None:
    """No capability now, and none after any exec: the bounding set is emptied where we may, and nothing gains more."""
    for capability in range(_HIGHEST_CAPABILITY + 1):
        if LIBC.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0) != 0:
            break  # the kernel knows no more of them, or we may not; then there are none to lose
    header, nothing = _word(_CAPABILITY_VERSION_3, 4) + _word(0, 4), bytes(24)
    if LIBC.capset(header, nothing) != 0:
        raise _failed("capset")


def restrict(ruleset: Any) -> None:
    """Enforce a Landlock ruleset on this process and all it starts."""
    attributes = _word(ruleset["filesystem"])
    if ruleset["abi"] >= _ABI_WITH_NETWORK:
        attributes += _word(ruleset["network"])
    if ruleset["abi"] >= _ABI_WITH_SCOPES:
        attributes += _word(ruleset["scoped"])
    descriptor = _system(_LANDLOCK_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path, access, follow in ruleset["rules"]:
            _grant(descriptor, path, access, follow)
        _system(_LANDLOCK_RESTRICT_SELF, descriptor, 0)
    finally:
        os.close(descriptor)


def _grant(ruleset: int, path: str, access: int, follow: bool) -> None:
    try:
        place = _open(path, follow)
    except OSError:
        return  # what is not there, or leads through a link that it must not, is not granted
    try:
        allowed = access if os.fstat(place).st_mode & _FILE_TYPE == _FOLDER else access & _ON_FILES
        rule = _word(allowed) + _word(place, 4)
        _system(_LANDLOCK_ADD_RULE, ruleset, _LANDLOCK_RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(place)


def _open(path: str, follow: bool) -> int:
    flags = os.O_PATH | os.O_CLOEXEC
    if follow:
        return os.open(path, flags)
    how = _word(flags) + _word(0) + _word(_RESOLVE_NO_SYMLINKS)
    return _system(_OPENAT2, -100, os.fsencode(path) + b"\0", how, len(how))


def install_filter(program: bytes) -> None:
    held = ctypes.create_string_buffer(program, len(program))
    described = ctypes.create_string_buffer(_word(len(program) // 8) + _word(ctypes.addressof(held)), 16)
    prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(described))


def _go_first_when_memory_is_short() -> None:
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(_OUT_OF_MEMORY_SCORE)
    except OSError:
        return  # the kernel then chooses by size alone


def _join(leash: int | None) -> None:
    """Count with the command from here on, and all that comes of it."""
    if leash is not None:
        os.write(leash, b"0")
        os.close(leash)


def _confine(orders: Any) -> None:
    _join(orders.get("leash"))
    os.nice(_NICENESS)
    _go_first_when_memory_is_short()
    limit(orders["limits"])
    if not orders.get("privileges"):
        prctl(_PR_SET_NO_NEW_PRIVS, 1)
        _drop_privileges()
    if orders.get("landlock"):
        restrict(orders["landlock"])
    if orders.get("seccomp"):
        install_filter(orders["seccomp"])


def _become(report: int, program: list[str]) -> None:
    for ignored in (_SIGPIPE, _SIGXFSZ):  # by this Python, and exec would hand that on
        LIBC.signal(ignored, None)
    os.write(report, b".")
    os.execv(program[0], program)


# --- staying as the parent --------------------------------------------------------------------------------------------


def _supervise(orders: Any, program: list[str]) -> None:
    """Start the program, wait until it has ended or nobody wants it, and end all that is left of it."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)  # a descendant whose parent ends becomes ours: none gets away
    whole = _fence(orders.get("landlock"))
    here = os.getpid()
    child = os.fork()
    if child == 0:
        os.setsid()  # its signals to its own group do not reach us
        die_with(here)
        _confine(orders)
        _become(orders["report"], program)
    os.close(orders["report"])
    for descriptor in (1, 2):
        os.close(descriptor)  # who reads them waits for the program, not for us
    status = _wait(child, orders["alive"])
    cut = status is None or os.WIFSIGNALED(status)
    status = _end_all(child, whole, status)
    if cut and orders.get("finally_run"):
        _run(orders["finally_run"])
    _end_like(status or 0)


def _fence(ruleset: Any) -> bool:
    """Scope our own signals to ourselves and our descendants. Then one call ends all of them at the same instant.

    Only if it certainly holds: two processes that are no descendants of ours must be out of reach.
    """
    if not ruleset or ruleset["abi"] < _ABI_WITH_SCOPES:
        return False
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    restrict({"abi": ruleset["abi"], "filesystem": 0, "network": 0, "scoped": _LANDLOCK_SCOPE_SIGNAL, "rules": []})
    return not (_in_reach(1) or _in_reach(os.getppid()))


def _in_reach(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return False
    except ProcessLookupError:
        return True  # it tells nothing, so nothing is certain
    return True


def _wait(child: int, alive: int) -> int | None:
    """The child's status; None if it is to be ended. Orphans that end meanwhile are reaped."""
    poll = select.poll()
    poll.register(alive, select.POLLIN)
    poll.register(os.pidfd_open(child), select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in poll.poll(_REAP_EVERY_MILLISECONDS)}
        if alive in ready:
            return None
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            status = os.waitpid(ended.si_pid, 0)[1]
            if ended.si_pid == child:
                return status


def _end_all(child: int, whole: bool, status: int | None) -> int | None:
    """Kill until there is nobody left to wait for. The child's status."""
    while True:
        _kill_all(whole)
        try:
            pid, ended = os.waitpid(-1, 0 if whole else os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == child:
            status = ended
        elif pid == 0:
            select.select([], [], [], _LOOK_AGAIN_MILLISECONDS / 1000)


def _kill_all(whole: bool) -> None:
    targets = [-1] if whole else _descendants(os.getpid())
    for pid in targets:
        try:
            os.kill(pid, _SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue  # it has just ended


def _descendants(root: int) -> list[int]:
    found = [root]
    for pid in found:
        found += _children(pid)
    return found[1:]


def _children(pid: int) -> list[int]:
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    children: list[int] = []
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                children += map(int, file.read().split())
        except OSError:
            continue  # that thread has ended
    return children


def _run(command: list[str]) -> None:
    pid = os.fork()
    if pid == 0:
        os.open(os.devnull, os.O_RDWR)  # the lowest free one: standard output, which we closed
        os.dup2(1, 2)
        os.execv(command[0], command)
    os.waitpid(pid, 0)


def _end_like(status: int) -> None:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        LIBC.signal(number, None)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def main(argv: list[str]) -> None:
    """Set up and become the program. Returns never."""
    with open(int(argv[1]), "rb") as file:
        orders: dict[str, Any] = marshal.load(file)
    report, program = orders["report"], argv[2:]
    try:
        for descriptor in (report, orders["alive"], orders.get("leash")):
            if descriptor is not None:
                os.set_inheritable(descriptor, False)
        _leave_if_unwanted(orders["alive"])
        if orders.get("supervise"):
            _supervise(orders, program)
        die_with(orders["parent"])
        _confine(orders)
        _become(report, program)
    except (OSError, ValueError) as error:
        os.write(report, str(getattr(error, "strerror", None) or error).encode("utf-8", "replace")[:500])
    os._exit(127)


if __name__ == "__main__":
    main(sys.argv)
