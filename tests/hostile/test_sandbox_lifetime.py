"""Nothing of a command outlives its call, whatever it does to. Without a sandbox the same daemon is still there."""

import os
import select
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from antiphon.subagents.process import Completed, run_command
from antiphon.subagents.sandbox import BACKENDS, Confinement, Landlock, Sandbox, Unconfined, probe

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.real_time,
    pytest.mark.skipif(sys.platform != "linux", reason="there are sandboxes on Linux only"),
]
PYTHON = (sys.executable, "-I", "-S", "-c")
# Forks twice into a session of its own, keeps nothing open, ignores what asks it to end, and stays.
DAEMON = """
import os, signal, sys, time
def daemon():
    if os.fork(): os.wait(); return
    os.setsid()
    if os.fork(): os._exit(0)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT): signal.signal(number, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2): os.dup2(null, descriptor)
    os.closerange(3, 64)
    time.sleep(600)
    os._exit(0)
def ready(path):
    with open(path, "w") as fifo: fifo.write("ready")
"""


def sandbox_of(name: str) -> Sandbox:
    if name == "none":
        return Unconfined(consented=True)
    tried = probe(name.partition(" ")[0])
    if tried.sandbox is None:
        pytest.skip(f"{name}: {tried.reason}")
    return Landlock(5) if name == "landlock of Linux 6.10" else tried.sandbox


CONFINING = [*BACKENDS, "landlock of Linux 6.10"]


@pytest.fixture(params=["none", *CONFINING])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """Each sandbox that works here, none, and Landlock without the means to end everything at one instant."""
    return sandbox_of(request.param)


@pytest.fixture
def mark() -> Iterator[str]:
    """A word by which the host finds a process again. What is left of them is ended."""
    word = f"antiphon-test-{uuid.uuid4().hex}"
    yield word
    for pid in marked(word):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """In a folder that the command may write to."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def marked(mark: str) -> list[int]:
    """The processes of the whole machine that have a word among their arguments, and are alive."""
    found: list[int] = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            with suppress(OSError):
                if mark.encode() in Path(f"/proc/{name}/cmdline").read_bytes():
                    found.append(int(name))
    return found


def all_die(pids: list[int], seconds: float = 10.0) -> bool:
    """Whether these processes end within some seconds; they are waited for, not polled."""
    end = time.monotonic() + seconds
    for pid in pids:
        with suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                if not select.select([descriptor], [], [], max(end - time.monotonic(), 0))[0]:
                    return False
            finally:
                os.close(descriptor)
    return True


async def python(sandbox: Sandbox, code: str, *arguments: object, **options: float | int) -> Completed:
    folders = [str(Path(str(argument)).parent) for argument in arguments if str(argument).startswith("/")]
    ended = await run_command(
        [*PYTHON, DAEMON + code, *map(str, arguments)],
        sandbox=sandbox,
        confinement=Confinement(write=tuple(folders)),
        timeout_seconds=options.get("timeout_seconds", 60),
        output_limit=int(options.get("output_limit", 1 << 20)),
    )
    assert isinstance(ended, Completed), ended
    return ended


async def test_a_daemon_ends_with_the_call_that_ends_well(sandbox: Sandbox, mark: str) -> None:
    ended = await python(sandbox, "daemon(); print('done')", mark)
    assert (ended.exit, ended.stdout) == (0, b"done\n")
    assert bool(marked(mark)) is not sandbox.confines


async def test_a_daemon_ends_with_the_call_that_takes_too_long(sandbox: Sandbox, mark: str) -> None:
    code = "daemon(); print('hung', flush=True); signal.signal(15, signal.SIG_IGN); time.sleep(600)"
    ended = await python(sandbox, code, mark, timeout_seconds=1.5)
    assert (ended.timed_out, ended.exit, ended.stdout) == (True, -signal.SIGKILL, b"hung\n")
    assert len(marked(mark)) == (0 if sandbox.confines else 1)


async def test_a_daemon_ends_with_the_call_that_says_too_much(sandbox: Sandbox, mark: str) -> None:
    ended = await python(sandbox, "daemon()\nwhile True: print('x' * 4096)", mark, output_limit=100_000)
    assert (ended.truncated, len(ended.stdout)) == (True, 100_000)
    assert bool(marked(mark)) is not sandbox.confines


async def test_a_daemon_ends_with_the_call_that_is_cancelled(sandbox: Sandbox, mark: str, fifo: Path) -> None:
    finished: list[Completed] = []

    async def run() -> None:
        code = "daemon(); ready(sys.argv[2]); time.sleep(600)"
        finished.append(await python(sandbox, code, mark, fifo))

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        assert await anyio.to_thread.run_sync(fifo.read_text) == "ready"
        assert len(marked(mark)) >= 2
        group.cancel_scope.cancel()
    assert not finished, "cancellation was swallowed"
    assert bool(marked(mark)) is not sandbox.confines


async def test_one_that_closes_its_output_and_goes_on_is_ended(sandbox: Sandbox, mark: str) -> None:
    ended = await python(sandbox, "os.close(1); os.close(2); time.sleep(600)", mark, timeout_seconds=1.0)
    assert ended.timed_out
    assert not marked(mark)


async def test_orphans_and_zombies_are_reaped(sandbox: Sandbox, mark: str) -> None:
    code = """
for _ in range(100):
    if os.fork() == 0:
        if os.fork() == 0: os._exit(0)
        os._exit(0)
print('done')
"""
    ended = await python(sandbox, code, mark)
    assert (ended.exit, ended.stdout) == (0, b"done\n")
    assert not marked(mark)


@pytest.mark.parametrize(
    ("end", "status"), [("sys.exit(7)", 7), ("os.kill(os.getpid(), 11)", -11), ("sys.exit(127)", 127)]
)
async def test_how_it_ended_is_told(sandbox: Sandbox, mark: str, end: str, status: int) -> None:
    if end.startswith("os.kill") and isinstance(sandbox, Landlock) and sandbox.abi < 6:
        pytest.skip("this Landlock lets nothing signal, not even itself")
    assert (await python(sandbox, end, mark)).exit == status


@pytest.mark.long
async def test_a_command_of_fifteen_seconds_lives(mark: str, fifo: Path) -> None:
    """A thread of trio's expires after ten seconds without work; a child that dies with its thread would die then."""
    ended: dict[str, Completed] = {}

    async def sleep_in(name: str) -> None:
        ended[name] = await python(sandbox_of(name), "time.sleep(15); print('whole')", mark)

    names = [name for name in CONFINING if probe(name.partition(" ")[0]).usable]
    if not names:
        pytest.skip("nothing confines here")
    async with anyio.create_task_group() as group:
        for name in names:
            group.start_soon(sleep_in, name)
    assert {name: (one.exit, one.stdout) for name, one in ended.items()} == dict.fromkeys(names, (0, b"whole\n"))


PARENT = """
import os, sys, anyio
from antiphon.subagents.process import run_command
from antiphon.subagents.sandbox import Confinement, Landlock, choose
backend, name, folder, *argv = sys.argv[1:]
sandbox = Landlock(5) if " " in name else choose(name)
async def main(): await run_command(argv, sandbox=sandbox, confinement=Confinement(write=(folder,)))
anyio.run(main, backend=backend)
"""


@pytest.mark.parametrize("name", ["none", *CONFINING])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_everything_dies_when_antiphon_is_killed(backend: str, name: str, mark: str, fifo: Path) -> None:
    confines = sandbox_of(name).confines
    code = DAEMON + "daemon(); ready(sys.argv[2]); time.sleep(600)"
    command = [sys.executable, "-c", PARENT, backend, name, str(fifo.parent), *PYTHON, code, mark, str(fifo)]
    with subprocess.Popen(command) as parent:
        assert fifo.read_text() == "ready"
        inside = [pid for pid in marked(mark) if pid != parent.pid]
        assert len(inside) >= 2
        parent.kill()
        assert all_die(inside, 10 if confines else 1) is confines
