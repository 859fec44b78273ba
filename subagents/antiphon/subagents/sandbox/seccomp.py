"""Filters of system calls: classic BPF programs, assembled here, that the kernel runs at every call.

`Filter` is for commands. Allowed is what is not named: analysers are too different for a list of what they may do, and
what they can reach is already decided by mounts or by Landlock. Denied is what gets around those, what speaks to other
processes or to the network, and what only widens the surface of the kernel. `Computing` is the other way round: a short
list of what is allowed, for a process that only computes. See `seccomp(2)` and the kernel's `seccomp_filter.rst`.
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from antiphon.subagents.sandbox import syscalls
from antiphon.subagents.sandbox.syscalls import MACHINES, Machine, number

# linux/audit.h: the machine in little-endian 64-bit form, which seccomp gives with every call.
_AUDIT_ARCH: Final[dict[Machine, int]] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT: Final = 0x40000000
_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_SET, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16  # struct seccomp_data
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
_NEW_NAMESPACES: Final = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_SOCK_STREAM, _SOCK_SEQPACKET, _SOCK_TYPE_MASK = 1, 5, 0xF
_O_ACCMODE, _O_TRUNC = 0o3, 0o1000
_SIGURG: Final = 23  # ignored unless asked for; Go's scheduler sends it to its own threads

_PROT_EXEC: Final = 4
_FUTEX_COMMAND: Final = 0x7F  # without the flags of whose it is and which clock
_FUTEX_WAITS_AND_WAKES: Final = (0, 1, 9, 10)  # WAIT, WAKE, and both with a mask

_INSTRUCTION: Final = struct.Struct("=HBBI")  # struct sock_filter


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What the filter is to let through.

    Attributes:
        network: sockets of the internet families, and connections.
        metadata: changes of mode, owner, times and attributes; only where something else keeps files from change.
        signals: signals to any process; only where something else keeps other processes out of reach.
        truncation: cutting a file that is not open for writing; only where something else keeps files from change.
    """

    network: bool = False
    metadata: bool = False
    signals: bool = True
    truncation: bool = True

    def assemble(self, machine: Machine) -> bytes:
        """The program, as `struct sock_filter[]`."""
        return b"".join(_INSTRUCTION.pack(*one) for one in (*_prologue(machine), *self._body(machine), _answer(None)))

    def _body(self, machine: Machine) -> Iterator[_Code]:
        for calls, code in self._denied():
            for name in calls:
                yield from _when(name, machine, [_answer(code)])
        for name, examined in self._examined():
            yield from _when(name, machine, examined)

    def _denied(self) -> Iterator[tuple[Sequence[str], int]]:
        for calls in (syscalls.MEMORY_OF_OTHERS, syscalls.KERNEL, syscalls.MOUNTS, syscalls.NAMESPACES):
            yield calls, errno.EPERM
        yield syscalls.SURFACE, errno.EPERM
        yield syscalls.QUEUES, errno.EPERM
        yield syscalls.ABSENT, errno.ENOSYS
        if not self.network:
            yield syscalls.SOCKETS, errno.EACCES
        if not self.metadata:
            yield syscalls.METADATA, errno.EPERM
        if not self.truncation:
            yield ("truncate",), errno.EACCES
            yield ("openat2",), errno.ENOSYS  # its flags are in memory, which a filter cannot read

    def _examined(self) -> Iterator[tuple[str, list[_Code]]]:
        yield "clone", [_argument(0), (_JUMP_SET, 0, 1, _NEW_NAMESPACES), _answer(errno.EPERM), _answer(None)]
        yield "ioctl", [_argument(1), *_unless(errno.EPERM, _TIOCSTI, _TIOCLINUX)]
        yield "socketpair", _PAIRS
        yield "prlimit64", [_argument(0), *_only(errno.EPERM, 0)]  # its own limits, not those of another process
        if self.network:
            families = (_AF_INET, _AF_INET6, _AF_NETLINK)  # no AF_UNIX: it reaches services of this machine
            yield "socket", [_argument(0), *_only(errno.EAFNOSUPPORT, *families)]
        if not self.truncation:
            yield "open", [_argument(1), (_AND, 0, 0, _O_ACCMODE | _O_TRUNC), *_unless(errno.EACCES, _O_TRUNC)]
            yield "openat", [_argument(2), (_AND, 0, 0, _O_ACCMODE | _O_TRUNC), *_unless(errno.EACCES, _O_TRUNC)]
        if not self.signals:
            yield "kill", [_argument(1), *_only(errno.EPERM, 0)]
            yield "tgkill", [_argument(2), *_only(errno.EPERM, 0, _SIGURG)]
            for name in ("tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"):
                yield name, [_answer(errno.EPERM)]


@dataclass(frozen=True, slots=True)
class Computing:
    """Lets a process compute, and read and write what it has open; all else is refused with EPERM.

    No file or socket can be opened, no process or thread made, signalled or looked at, no memory made executable.
    """

    def assemble(self, machine: Machine) -> bytes:
        """The program, as `struct sock_filter[]`."""
        body = (*_prologue(machine), *self._body(machine), _answer(errno.EPERM))
        return b"".join(_INSTRUCTION.pack(*one) for one in body)

    def _body(self, machine: Machine) -> Iterator[_Code]:
        for name in syscalls.COMPUTING:
            yield from _when(name, machine, [_answer(None)])
        for name in ("mmap", "mprotect"):
            executable = [_argument(2), (_JUMP_SET, 0, 1, _PROT_EXEC), _answer(errno.EPERM), _answer(None)]
            yield from _when(name, machine, executable)
        command: _Code = (_AND, 0, 0, _FUTEX_COMMAND)
        yield from _when("futex", machine, [_argument(1), command, *_only(errno.EPERM, *_FUTEX_WAITS_AND_WAKES)])


_Code = tuple[int, int, int, int]  # operation, jump if true, jump if false, constant


def this_machine() -> Machine | None:
    """The machine this process runs on; None if the filter has no numbers for it."""
    name = platform.machine()
    return next((machine for machine in MACHINES if machine == name), None)


def _answer(code: int | None) -> _Code:
    return (_RETURN, 0, 0, _ALLOW if code is None else _ERRNO | code)


def _argument(index: int) -> _Code:
    """Load the low half of an argument. The kernel ignores the high half of those looked at here, so we must too."""
    return (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * index)


def _when(name: str, machine: Machine, body: list[_Code]) -> list[_Code]:
    """Do `body`, which ends in an answer, if this is the call."""
    which = number(name, machine)
    return [] if which is None else [(_JUMP_EQUAL, 0, len(body), which), *body]


def _unless(code: int, *values: int) -> list[_Code]:
    """Deny these values of what is loaded; allow all others."""
    return [*(step for value in values for step in ((_JUMP_EQUAL, 0, 1, value), _answer(code))), _answer(None)]


def _only(code: int, *values: int) -> list[_Code]:
    """Allow these values of what is loaded; deny all others."""
    return [*(step for value in values for step in ((_JUMP_EQUAL, 0, 1, value), _answer(None))), _answer(code)]


# Connected pairs speak to nobody else, but one of datagrams can be sent to any address.
_PAIRS: Final[list[_Code]] = [
    _argument(0),
    (_JUMP_EQUAL, 1, 0, _AF_UNIX),
    _answer(errno.EACCES),
    _argument(1),
    (_AND, 0, 0, _SOCK_TYPE_MASK),
    *_only(errno.EACCES, _SOCK_STREAM, _SOCK_SEQPACKET),
]


def _prologue(machine: Machine) -> list[_Code]:
    """Refuse other architectures, whose numbers mean other calls, and x32, which has numbers of its own."""
    wrong = [(_LOAD, 0, 0, _ARCH_AT), (_JUMP_EQUAL, 1, 0, _AUDIT_ARCH[machine]), (_RETURN, 0, 0, _KILL_PROCESS)]
    load = (_LOAD, 0, 0, _NUMBER_AT)
    if machine != "x86_64":
        return [*wrong, load]
    return [*wrong, load, (_JUMP_GREATER_EQUAL, 0, 1, _X32_BIT), _answer(errno.ENOSYS)]
