"""What a script in the jail cannot reach when it has got at the interpreter's innermost. Outside, all of it works."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from antiphon.engine.script.runtime import GuestLimits, Program
from antiphon.subagents.jail import JailRuntime, probe_jail
from antiphon.subagents.sandbox import BACKENDS
from antiphon.subagents.sandbox.seccomp import this_machine
from antiphon.subagents.sandbox.syscalls import NUMBERS, Machine, number

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.real_time,
    pytest.mark.skipif(sys.platform != "linux" or this_machine() is None, reason="there is no jail on this machine"),
]
MACHINE: Machine = this_machine() or "x86_64"
CALLS = {name: number(name, MACHINE) for name in NUMBERS} | {"prctl": {"x86_64": 157, "aarch64": 167}[MACHINE]}
# What the filter refuses is EPERM; whatever else comes of a try shows that the kernel looked at it.
ATTEMPTS = """
def attempts(os, ctypes, calls):
    libc = ctypes.CDLL(None, use_errno=True)
    def call(name, *arguments):
        answer = libc.syscall(ctypes.c_long(calls[name]), *[ctypes.c_long(one) for one in arguments])
        if answer < 0: raise OSError(ctypes.get_errno(), name)
        return answer
    here = ctypes.create_string_buffer(b"/etc/passwd")
    page = 1 << 12
    def memory(prot): return call("mmap", 0, page, prot, 0x22, -1, 0)
    def child(made):
        if made == 0: os._exit(0)
        os.waitpid(made, 0)
    tries = {
        "open": lambda: os.open("/etc/passwd", os.O_RDONLY),
        "openat": lambda: call("openat", -100, ctypes.addressof(here), 0),
        "openat2": lambda: call("openat2", -100, ctypes.addressof(here), ctypes.addressof(here), 0),
        "write": lambda: os.open("/tmp/antiphon-jail-smoke", os.O_WRONLY | os.O_CREAT),
        "unlink": lambda: os.unlink("/tmp/antiphon-jail-smoke"),
        "list": lambda: os.listdir("/"),
        "stat": lambda: os.stat("/etc/passwd"),
        "cwd": lambda: os.getcwd(),
        "readlink": lambda: os.readlink("/proc/self/exe"),
        "pipe": lambda: os.pipe(),
        "memfd": lambda: os.memfd_create("x"),
        "dup": lambda: os.dup(0),
        "socket": lambda: call("socket", 2, 1, 0),
        "socket of this machine": lambda: call("socket", 1, 1, 0),
        "socketpair": lambda: call("socketpair", 1, 1, 0, ctypes.addressof(here)),
        "fork": lambda: child(os.fork()),
        "clone": lambda: child(call("clone", 17, 0, 0, 0, 0)),
        "exec": lambda: os.execv("/antiphon-has-no-such-program", ["x"]),
        "kill": lambda: os.kill(os.getppid(), 0),
        "tgkill": lambda: call("tgkill", os.getpid(), os.getpid(), 0),
        "ptrace": lambda: call("ptrace", 0, 0, 0, 0),
        "read of others": lambda: call("process_vm_readv", os.getpid(), 0, 0, 0, 0, 0),
        "pidfd": lambda: os.pidfd_open(os.getpid()),
        "prctl": lambda: call("prctl", 38, 1, 0, 0, 0),
        "prlimit": lambda: call("prlimit64", 0, 7, 0, ctypes.addressof(here)),
        "executable memory": lambda: memory(7),
        "memory made executable": lambda: call("mprotect", memory(3), page, 5),
        "ioctl": lambda: call("ioctl", 0, 0x541B, ctypes.addressof(here)),
        "nice": lambda: os.nice(0),
        "uname": lambda: os.uname(),
        "pid": lambda: call("getpid"),
    }
    refused = []
    for name, attempt in tries.items():
        try:
            attempt()
        except OSError as error:
            if error.errno == 1:
                refused.append(name)
    return [sorted(refused), sorted(tries)]
"""
INSIDE = (
    ATTEMPTS
    + """
async def main(calls):
    found = print.__func__.__globals__
    return attempts(found["os"], found["ctypes"], calls)
"""
)
OUTSIDE = ATTEMPTS + "\nimport ctypes, json, os, sys\nprint(json.dumps(attempts(os, ctypes, json.loads(sys.argv[1]))))"
CALLS["getpid"] = {"x86_64": 39, "aarch64": 172}[MACHINE]


@pytest.fixture(params=BACKENDS)
def runtime(request: pytest.FixtureRequest) -> JailRuntime:
    """The jail in each sandbox that works here."""
    tried = probe_jail(request.param)
    if tried.runtime is None:
        pytest.skip(f"{request.param}: {tried.reason}")
    return tried.runtime


async def returned(runtime: JailRuntime, source: str, **arguments: Any) -> Any:
    program = Program(source=source, file="script.py", token="root", arguments=json.loads(json.dumps(arguments)))
    async with runtime.guest(program, GuestLimits()) as guest:
        frame = json.loads(await guest.receive() or "")
        assert await guest.receive() is None
    assert "value" in frame, frame
    return frame["value"]


async def test_the_kernel_refuses_all_but_computing(runtime: JailRuntime) -> None:
    refused, tried = await returned(runtime, INSIDE, calls=CALLS)
    assert refused == tried


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may do all of it outside")
def test_outside_it_is_not_refused() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", OUTSIDE, json.dumps(CALLS)],
        capture_output=True,
        text=True,
        check=True,
        stdin=subprocess.PIPE,
    )
    refused, tried = json.loads(ended.stdout)
    assert len(tried) > 25
    assert set(refused) <= {"ptrace"}, "all but what whoever watches this test may have taken"


LOOKING = """
async def main():
    os = print.__func__.__globals__["os"]
    found = {"environment": sorted(os.environ), "descriptors": [], "arguments": []}
    for descriptor in range(64):
        try:
            os.read(descriptor, 0)
            found["descriptors"].append(descriptor)
        except OSError as error:
            if error.errno != 9:
                found["descriptors"].append(descriptor)
    found["texts"] = [name for name in SECRETS if any(name in str(one) for one in os.environ.values())]
    return found
"""


async def test_it_holds_no_secret_and_nothing_open(runtime: JailRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_TEST_SECRET", "hunter2")
    found = await returned(runtime, "SECRETS = ['hunter2']\n" + LOOKING)
    assert found == {
        "environment": found["environment"],
        "descriptors": [0],
        "arguments": [],
        "texts": [],
    }
    assert set(found["environment"]) <= {"TZ"}


def seen(pid: int) -> tuple[dict[str, str], dict[str, str]]:
    """What the kernel says of a process, and what limits it."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return status, {line[:26].strip(): line[26:46].strip() for line in lines}


async def test_the_kernel_itself_says_so(runtime: JailRuntime) -> None:
    """As seen from outside: filtered, without privileges or a way to gain them, in each of the two sandboxes."""
    from antiphon.subagents.jail.keeping import zygote_of
    from antiphon.subagents.sandbox.watch import descendants

    program = Program(source="print('here')\nwhile True: pass", file="script.py", token="root")
    await runtime.warm()
    before = set(descendants(zygote_of(runtime.sandbox).pid))
    async with runtime.guest(program, GuestLimits()):
        (pid,) = set(descendants(zygote_of(runtime.sandbox).pid)) - before
        status, limits = seen(pid)
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert int(status["Seccomp_filters"]) >= 2
    held = ("Inh", "Prm", "Eff", "Amb", *(("Bnd",) if os.geteuid() == 0 else ()))  # only root can empty the last
    assert {status[f"Cap{name}"] for name in held} == {"0" * 16}
    assert limits["Max file size"] == limits["Max core file size"] == limits["Max processes"] == "0"
    assert limits["Max open files"] == "2"
