"""The filter of system calls, run by an interpreter of its own for both machines: what it answers, call by call."""

import errno
import struct
from dataclasses import replace
from typing import Final

import pytest

from antiphon.subagents.sandbox import syscalls
from antiphon.subagents.sandbox.seccomp import Computing, Filter
from antiphon.subagents.sandbox.syscalls import MACHINES, NUMBERS, Machine, number

ARCHITECTURES: Final[dict[Machine, int]] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
I386: Final = 0x40000003
ALLOW, KILL = "allow", "kill"
PLAIN = Filter()


def answer(program: bytes, arch: int, call: int, *arguments: int) -> str | int:
    """What the kernel would do: run the program on the description of a call, as `man 2 seccomp` says."""
    described = struct.pack("=iIQ6Q", call, arch, 0, *(arguments + (0,) * 6)[:6])
    code = list(struct.iter_unpack("=HBBI", program))
    assert len(code) < 4096, "the kernel's limit"
    at, held = 0, 0
    while True:
        operation, if_true, if_false, constant = code[at]
        at += 1
        match operation:
            case 0x20:
                held = struct.unpack_from("=I", described, constant)[0]
            case 0x54:
                held &= constant
            case 0x15 | 0x35 | 0x45:
                held_true = {0x15: held == constant, 0x35: held >= constant, 0x45: bool(held & constant)}[operation]
                at += if_true if held_true else if_false
            case 0x06:
                return _meaning(constant)
            case _:
                pytest.fail(f"an instruction that the kernel refuses: {operation:#x}")


def _meaning(returned: int) -> str | int:
    if returned & 0xFFFF0000 == 0x00050000:
        return returned & 0xFFFF
    return {0x7FFF0000: ALLOW, 0x80000000: KILL}[returned]


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> Machine:
    value: Machine = request.param
    return value


def asked(filtered: Filter, machine: Machine, name: str, *arguments: int) -> str | int:
    """What is answered to a call; what the machine does not have is allowed, as nobody can call it."""
    which = number(name, machine)
    return ALLOW if which is None else answer(filtered.assemble(machine), ARCHITECTURES[machine], which, *arguments)


@pytest.mark.parametrize(
    ("calls", "code"),
    [
        (syscalls.MEMORY_OF_OTHERS, errno.EPERM),
        (syscalls.KERNEL, errno.EPERM),
        (syscalls.MOUNTS, errno.EPERM),
        (syscalls.NAMESPACES, errno.EPERM),
        (syscalls.SURFACE, errno.EPERM),
        (syscalls.QUEUES, errno.EPERM),
        (syscalls.ABSENT, errno.ENOSYS),
        (syscalls.SOCKETS, errno.EACCES),
        (syscalls.METADATA, errno.EPERM),
    ],
)
def test_what_is_denied(machine: Machine, calls: tuple[str, ...], code: int) -> None:
    answers = {name: asked(PLAIN, machine, name) for name in calls if number(name, machine) is not None}
    assert answers == dict.fromkeys(answers, code)
    assert answers


def test_what_is_not_named_is_allowed(machine: Machine) -> None:
    program = PLAIN.assemble(machine)
    named = {number(name, machine) for name in NUMBERS}
    others = [call for call in range(600) if call not in named]
    assert {answer(program, ARCHITECTURES[machine], call) for call in others} == {ALLOW}
    assert len(others) > 400


def test_other_architectures_are_refused(machine: Machine) -> None:
    program = PLAIN.assemble(machine)
    foreign = [arch for arch in (*ARCHITECTURES.values(), I386) if arch != ARCHITECTURES[machine]]
    assert {answer(program, arch, 0) for arch in foreign} == {KILL}


def test_the_other_numbers_of_x86_are_refused() -> None:
    program = PLAIN.assemble("x86_64")
    assert answer(program, ARCHITECTURES["x86_64"], 0x40000000 | 41) == errno.ENOSYS
    assert answer(program, ARCHITECTURES["x86_64"], 0x40000000) == errno.ENOSYS


@pytest.mark.parametrize("flag", [1 << bit for bit in (17, 25, 26, 27, 28, 29, 30)])
def test_a_process_is_allowed_and_a_namespace_is_not(machine: Machine, flag: int) -> None:
    assert asked(PLAIN, machine, "clone", 0x01200011) == ALLOW, "what fork asks for"
    assert asked(PLAIN, machine, "clone", 0x003D0F00) == ALLOW, "what a thread asks for"
    assert asked(PLAIN, machine, "clone", flag | 17) == errno.EPERM


@pytest.mark.parametrize("high", [0, 1 << 32, 0xFFFFFFFF << 32])
def test_a_request_is_compared_as_the_kernel_does(machine: Machine, high: int) -> None:
    """Its upper half is ignored by the kernel; comparing all of it once let TIOCSTI through in other tools."""
    assert asked(PLAIN, machine, "ioctl", 0, high | 0x5412) == errno.EPERM
    assert asked(PLAIN, machine, "ioctl", 0, high | 0x541C) == errno.EPERM
    assert asked(PLAIN, machine, "ioctl", 0, high | 0x5413) == ALLOW


@pytest.mark.parametrize("high", [0, 1 << 32, 0xFFFFFFFF << 32])
def test_limits_are_its_own(machine: Machine, high: int) -> None:
    assert asked(PLAIN, machine, "prlimit64", high, 7) == ALLOW
    assert {asked(PLAIN, machine, "prlimit64", high | pid, 7) for pid in (1, 4711, 0xFFFFFFFF)} == {errno.EPERM}


def test_pairs_speak_to_themselves_only(machine: Machine) -> None:
    kinds = {kind: asked(PLAIN, machine, "socketpair", 1, kind | 0o2000000) for kind in (1, 2, 3, 5)}
    assert kinds == {1: ALLOW, 2: errno.EACCES, 3: errno.EACCES, 5: ALLOW}
    assert asked(PLAIN, machine, "socketpair", 2, 1) == errno.EACCES


def test_a_network_is_of_the_internet(machine: Machine) -> None:
    families = {family: asked(replace(PLAIN, network=True), machine, "socket", family) for family in range(50)}
    assert {family for family, said in families.items() if said == ALLOW} == {2, 10, 16}
    assert asked(replace(PLAIN, network=True), machine, "connect") == ALLOW
    assert asked(PLAIN, machine, "connect") == errno.EACCES


def test_signals_where_nothing_else_scopes_them(machine: Machine) -> None:
    silent = replace(PLAIN, signals=False)
    assert [asked(PLAIN, machine, "kill", 1, 9), asked(PLAIN, machine, "tgkill", 1, 1, 9)] == [ALLOW, ALLOW]
    assert [asked(silent, machine, "kill", 1, signal) for signal in (0, 9)] == [ALLOW, errno.EPERM]
    assert [asked(silent, machine, "tgkill", 1, 1, signal) for signal in (23, 9)] == [ALLOW, errno.EPERM]
    assert asked(silent, machine, "pidfd_send_signal") == errno.EPERM


def test_cutting_where_nothing_else_keeps_files(machine: Machine) -> None:
    older = replace(PLAIN, truncation=False)
    read, write, truncate = 0, 1, 0o1000
    assert asked(older, machine, "openat", 0, 0, read) == ALLOW
    assert asked(older, machine, "openat", 0, 0, write | truncate) == ALLOW, "Landlock asks for the right to write"
    assert asked(older, machine, "openat", 0, 0, read | truncate) == errno.EACCES
    assert asked(older, machine, "truncate") == errno.EACCES
    assert asked(older, machine, "openat2") == errno.ENOSYS
    assert asked(PLAIN, machine, "openat", 0, 0, read | truncate) == ALLOW


def test_metadata_where_mounts_keep_it(machine: Machine) -> None:
    assert {asked(replace(PLAIN, metadata=True), machine, name) for name in syscalls.METADATA} == {ALLOW}


# --- what only computes -----------------------------------------------------------------------------------------------


def computing(machine: Machine, name: str, *arguments: int) -> str | int:
    """What is answered to a process that only computes."""
    which = number(name, machine)
    assert which is not None, name
    return answer(Computing().assemble(machine), ARCHITECTURES[machine], which, *arguments)


def test_of_computing_only_that_is_allowed(machine: Machine) -> None:
    program = Computing().assemble(machine)
    allowed = {call for call in range(1000) if answer(program, ARCHITECTURES[machine], call, 0, 0, 0) == ALLOW}
    named = {number(name, machine) for name in (*syscalls.COMPUTING, "mmap", "mprotect", "futex")}
    assert allowed == named - {None}
    assert len(allowed) == {"x86_64": 22, "aarch64": 20}[machine]
    others = {answer(program, ARCHITECTURES[machine], call) for call in range(1000) if call not in allowed}
    assert others == {errno.EPERM}


@pytest.mark.parametrize("call", ["mmap", "mprotect"])
def test_memory_never_becomes_executable(machine: Machine, call: str) -> None:
    answers = {protection: computing(machine, call, 0, 4096, protection) for protection in range(8)}
    assert answers == {protection: errno.EPERM if protection & 4 else ALLOW for protection in range(8)}
    assert computing(machine, call, 0, 4096, 1 << 32 | 4) == errno.EPERM


def test_waiting_in_memory_is_all_that_a_futex_does(machine: Machine) -> None:
    answers = {command: computing(machine, "futex", 0, command | 128) for command in range(14)}
    assert {command for command, said in answers.items() if said == ALLOW} == {0, 1, 9, 10}


def test_computing_refuses_other_architectures(machine: Machine) -> None:
    program = Computing().assemble(machine)
    foreign = [arch for arch in (*ARCHITECTURES.values(), I386) if arch != ARCHITECTURES[machine]]
    assert {answer(program, arch, 0) for arch in foreign} == {KILL}
    if machine == "x86_64":
        assert answer(program, ARCHITECTURES[machine], 0x40000000) == errno.ENOSYS
