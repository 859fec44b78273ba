"""Running a command: bounded, cancelled at once, with no secrets, and dead when antiphon is."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TypedDict, Unpack

import anyio
import pytest

from antiphon.subagents.process import Completed, Confinement, ProcessLimits, Unavailable, run_command

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal and rlimits are set on Linux only")
PYTHON = (sys.executable, "-I", "-S")
# Says its process id into a FIFO, then stays.
SLEEPER = "import os,sys,time; open(sys.argv[1],'w').write(str(os.getpid())); time.sleep(600)"
# Starts a process that stays and holds its output, and says that one's id.
GRANDCHILD = (
    "import subprocess,sys,time; "
    "print(subprocess.Popen([sys.executable, '-I', '-S', '-c', 'import time; time.sleep(600)']).pid, flush=True)"
)


class Options(TypedDict, total=False):
    """What `run_command` may be given."""

    env: dict[str, str]
    timeout_seconds: float | None
    output_limit: int
    confinement: Confinement


async def python(code: str, *arguments: str, **options: Unpack[Options]) -> Completed:
    ended = await run_command([*PYTHON, "-c", code, *arguments], **options)
    assert isinstance(ended, Completed)
    return ended


def pid_from(fifo: Path) -> int:
    """Wait until a process has written its id into the FIFO."""
    return int(fifo.read_text())


def has_died(pid: int, seconds: float = 10.0) -> bool:
    """Whether a process ends within some seconds. It is waited for, not polled, so this is prompt when it does."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "pid"
    os.mkfifo(path)
    return path


async def test_what_it_says_comes_back() -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); print(repr(sys.stdin.read())); sys.exit(3)"
    ended = await python(code)
    assert (ended.exit, ended.stdout, ended.stderr) == (3, b"out\n''\n", b"err\n")
    assert not ended.timed_out
    assert not ended.truncated


async def test_the_environment_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    code = (
        "import os; print(sorted(os.environ)); print(os.listdir(os.environ['HOME']), os.getcwd()==os.environ['HOME'])"
    )
    ended = await python(code, env={"TRACEPARENT": "00-1-2-01"})
    names, home = ended.stdout.decode().splitlines()
    assert names == "['HOME', 'LANG', 'PATH', 'TMPDIR', 'TRACEPARENT']"
    assert home == "[] True"


async def test_its_home_is_removed() -> None:
    ended = await python("import os; open('left','w'); print(os.getcwd())")
    home = ended.stdout.decode().strip()
    with pytest.raises(FileNotFoundError):
        os.stat(home)


async def test_arguments_arrive_byte_for_byte() -> None:
    awkward = ["-x", "@y", "a b\nc", "\udcff", "", "--"]
    ended = await python("import sys; print(ascii(sys.argv[1:]))", *awkward)
    assert ended.stdout.decode().strip() == ascii(awkward)


async def test_a_program_that_is_not_there_is_a_value() -> None:
    ended = await run_command(["antiphon-has-no-such-program"], advice="pip install it")
    assert ended == Unavailable(
        "antiphon-has-no-such-program", "it was not found, or is not executable", "pip install it"
    )


async def test_a_program_that_cannot_be_executed_is_a_value(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x00\x01 no program")
    broken.chmod(0o755)
    ended = await run_command([str(broken)])
    assert isinstance(ended, Unavailable)
    assert "xec format error" in ended.reason
    assert ended.advice == "install broken, or put it on PATH"


async def test_a_folder_that_is_not_there_is_a_value(tmp_path: Path) -> None:
    ended = await run_command([*PYTHON, "-c", ""], cwd=tmp_path / "missing")
    assert isinstance(ended, Unavailable)
    assert "No such file" in ended.reason


async def test_status_127_of_the_program_itself_is_its_status() -> None:
    assert (await python("import sys; sys.exit(127)")).exit == 127


async def test_too_long_is_ended_with_all_its_group() -> None:
    ended = await python(f"{GRANDCHILD}; time.sleep(600)", timeout_seconds=1.5)
    assert ended.timed_out
    assert ended.exit == -signal.SIGKILL
    assert has_died(int(ended.stdout))


async def test_a_grandchild_that_holds_the_pipe_does_not_hold_the_call() -> None:
    ended = await python(GRANDCHILD, timeout_seconds=60)
    assert (ended.exit, ended.timed_out) == (0, False)
    assert has_died(int(ended.stdout))


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_too_much_output_is_cut_and_ended(stream: str) -> None:
    code = f"import sys\nwhile True: sys.{stream}.write('x' * 65536)"
    ended = await python(code, output_limit=100_000)
    assert ended.truncated
    assert len(getattr(ended, stream)) == 100_000
    assert ended.exit == -signal.SIGKILL


async def test_output_at_the_limit_is_not_cut() -> None:
    ended = await python("print('x' * 99, end='')", output_limit=99)
    assert (ended.truncated, len(ended.stdout), ended.exit) == (False, 99, 0)


async def test_a_child_that_closes_its_output_is_still_waited_for() -> None:
    ended = await python("import os; os.close(1); os.close(2); os._exit(7)")
    assert ended.exit == 7


async def test_cancellation_kills_and_passes_on(fifo: Path) -> None:
    finished: list[Completed] = []
    pids: list[int] = []

    async def run() -> None:
        finished.append(await python(SLEEPER, str(fifo), timeout_seconds=None))

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        pids.append(await anyio.to_thread.run_sync(pid_from, fifo))
        group.cancel_scope.cancel()
    assert not finished, "cancellation was swallowed"
    assert has_died(pids[0])


async def test_a_call_in_a_cancelled_scope_starts_nothing_that_stays(tmp_path: Path) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await python("import time; time.sleep(600)")
        pytest.fail("cancellation was swallowed")
    assert scope.cancelled_caught


async def test_many_at_once_wait_for_no_thread() -> None:
    """More than a default limiter has tokens, all under way at the same time."""
    total = 50
    ended: list[Completed] = []

    async def one() -> None:
        ended.append(await python("print('x')"))

    async with anyio.create_task_group() as group:
        for _ in range(total):
            group.start_soon(one)
    assert [item.stdout for item in ended] == [b"x\n"] * total


@LINUX
async def test_limits_are_set_and_no_core_is_dumped() -> None:
    code = "import resource as r; print([r.getrlimit(x)[0] for x in (r.RLIMIT_CORE, r.RLIMIT_CPU, r.RLIMIT_FSIZE)])"
    ended = await python(code, confinement=Confinement(limits=ProcessLimits(cpu_seconds=9, file_bytes=4096)))
    assert ended.stdout == b"[0, 9, 4096]\n"


@LINUX
async def test_it_gets_no_descriptor_but_its_own() -> None:
    ended = await python("import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:4])")
    assert ended.stdout == b"[0, 1, 2, 3]\n", "3 is the listing itself"


PARENT = """
import sys, anyio
from antiphon.subagents.process import run_command
anyio.run(run_command, sys.argv[2:], backend=sys.argv[1])
"""


@LINUX
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_child_dies_when_antiphon_is_killed(backend: str, fifo: Path) -> None:
    command = [sys.executable, "-c", PARENT, backend, *PYTHON, "-c", SLEEPER, str(fifo)]
    with subprocess.Popen(command) as parent:
        pid = pid_from(fifo)
        parent.kill()
        assert has_died(pid)


@LINUX
@pytest.mark.long
def test_a_child_outlives_the_idle_time_of_threads() -> None:
    """Trio's threads expire after 10 s without work; a parent-death signal tied to one would kill the child then."""

    async def run() -> Completed:
        return await python("import time; time.sleep(11); print('whole')")

    assert anyio.run(run, backend="trio").stdout == b"whole\n"
