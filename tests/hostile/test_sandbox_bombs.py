"""Commands that use up the machine: each is bounded, told apart from a failure, and leaves nothing."""

import os
import signal
import sys

import pytest

from antiphon.subagents.process import Completed, run_command
from antiphon.subagents.sandbox import BACKENDS, Confinement, ProcessLimits, Sandbox, Unconfined, probe
from antiphon.subagents.sandbox.leash import TASKS_PER_PROCESS, leash
from antiphon.subagents.sandbox.watch import Excess

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.real_time,
    pytest.mark.skipif(sys.platform != "linux", reason="there are sandboxes on Linux only"),
]
PYTHON = (sys.executable, "-I", "-S", "-c")
MIB = 1024 * 1024


@pytest.fixture(params=["none", *BACKENDS])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """Each sandbox that works here, and none, which has the same limits."""
    if request.param == "none":
        return Unconfined(consented=True)
    tried = probe(request.param)
    if tried.sandbox is None:
        pytest.skip(f"{request.param}: {tried.reason}")
    return tried.sandbox


async def run(sandbox: Sandbox, code: str, limits: ProcessLimits) -> Completed:
    ended = await run_command(
        [*PYTHON, code], sandbox=sandbox, confinement=Confinement(limits=limits), timeout_seconds=60
    )
    assert isinstance(ended, Completed), ended
    return ended


def exists(path: str) -> bool:
    return os.path.lexists(path)


MEMORY = """
import time
held = [bytearray(b"x") * (20 * 1024 * 1024) for _ in range(15)]
end = time.monotonic() + {stay}
while time.monotonic() < end: time.sleep(0.01)
print(len(held))
"""
PROCESSES = """
import os, time
for _ in range(60):
    if os.fork() == 0:
        time.sleep({stay})
        os._exit(0)
for _ in range(60): os.wait()
print("all")
"""


@pytest.mark.parametrize(
    ("code", "small", "large", "excess"),
    [
        (MEMORY, ProcessLimits(memory_bytes=100 * MIB), ProcessLimits(memory_bytes=1000 * MIB), "memory"),
        (PROCESSES, ProcessLimits(processes=40), ProcessLimits(processes=100), "processes"),
    ],
    ids=["memory", "processes"],
)
async def test_what_all_its_processes_use_together_is_bounded(
    sandbox: Sandbox, code: str, small: ProcessLimits, large: ProcessLimits, excess: Excess
) -> None:
    over = await run(sandbox, code.format(stay=600), small)
    assert (over.excess, over.exit, over.stdout, over.timed_out) == (excess, -signal.SIGKILL, b"", False)
    within = await run(sandbox, code.format(stay=0.5), large)
    assert (within.excess, within.exit) == (None, 0)


@pytest.mark.parametrize("name", BACKENDS)
async def test_a_fork_bomb_goes_off_and_is_over(name: str) -> None:
    """As uid 0 too, for whom RLIMIT_NPROC is nothing: the processes are counted, and all end at one instant."""
    tried = probe(name)
    if tried.sandbox is None:
        pytest.skip(tried.reason)
    if name == "landlock" and tried.reason:
        pytest.skip(f"all at one instant needs signal scopes: {tried.reason}")
    bomb = """
import os
while True:
    try: os.fork()
    except OSError: pass  # at the kernel's bound; until somebody looks
"""
    ended = await run(tried.sandbox, bomb, ProcessLimits(processes=60))
    assert (ended.excess, ended.exit) == ("processes", -signal.SIGKILL)


async def test_the_kernel_bounds_threads_and_processes_where_nobody_counts(sandbox: Sandbox) -> None:
    """A bomb on a busy machine grows faster than the watch gets its turns. Threads it does not count at all."""
    with leash(ProcessLimits()) as leashed:
        if leashed is None and os.geteuid() == 0:
            pytest.skip("uid 0 has no cgroup here that could bound tasks")
    code = """
import threading
let = threading.Event()
threads = [threading.Thread(target=let.wait) for _ in range(200)]
started = 0
try:
    for thread in threads:
        thread.start()
        started += 1
except RuntimeError: pass
let.set()
print(started)
"""
    held = await run(sandbox, code, ProcessLimits(processes=12))
    assert 12 < int(held.stdout) < 12 * TASKS_PER_PROCESS
    assert (await run(sandbox, code, ProcessLimits(processes=60))).stdout == b"200\n"


async def test_it_goes_first_when_the_machine_runs_out_of_memory(sandbox: Sandbox) -> None:
    ended = await run(sandbox, "print(open('/proc/self/oom_score_adj').read())", ProcessLimits())
    assert int(ended.stdout) >= 500


async def test_one_address_space_and_processor_time_are_bounded(sandbox: Sandbox) -> None:
    limited = ProcessLimits(address_space_bytes=300 * MIB, cpu_seconds=1)
    large = await run(sandbox, "bytearray(400 * 1024 * 1024)", limited)
    assert large.exit == 1
    assert b"MemoryError" in large.stderr
    busy = await run(sandbox, "while True: pass", limited)
    assert (busy.exit, busy.timed_out) in [(-signal.SIGXCPU, False), (-signal.SIGKILL, False)]


async def test_a_file_is_bounded(sandbox: Sandbox) -> None:
    command = ["sh", "-c", "exec head -c 5000000 /dev/zero > $HOME/big"]  # Python ignores the signal
    for limit, status in ((5_000_000, 0), (1_000_000, -signal.SIGXFSZ)):
        confinement = Confinement(limits=ProcessLimits(file_bytes=limit))
        ended = await run_command(command, sandbox=sandbox, confinement=confinement)
        assert isinstance(ended, Completed)
        assert ended.exit == status


FILES = """
import os, time
for n in range(40):
    with open(f"{os.environ['HOME']}/{n}", "wb") as file: file.write(b"x" * 1_000_000)
end = time.monotonic() + STAY
while time.monotonic() < end: time.sleep(0.01)
print("all")
"""


async def test_all_its_files_together_are_bounded(sandbox: Sandbox) -> None:
    ended = await run(sandbox, FILES.replace("STAY", "600"), ProcessLimits(scratch_bytes=10 * MIB))
    if sandbox.name == "bubblewrap":  # a file system of its own, which is full
        assert ended.exit == 1
        assert b"No space left" in ended.stderr
    else:
        assert (ended.excess, ended.exit) == ("scratch", -signal.SIGKILL)
    within = await run(sandbox, FILES.replace("STAY", "0"), ProcessLimits(scratch_bytes=100 * MIB))
    assert within.stdout == b"all\n"


UNLINKED = """
import os, time
for n in range(6):
    path = f"{os.environ['HOME']}/{n}"
    file = os.open(path, os.O_CREAT | os.O_WRONLY)
    os.unlink(path)
    for _ in range(10): os.write(file, b"x" * (1024 * 1024)) == 1024 * 1024 or exit(3)
end = time.monotonic() + STAY
while time.monotonic() < end: time.sleep(0.01)
print("all")
"""


async def test_files_that_no_folder_names_any_more_count_too(sandbox: Sandbox) -> None:
    ended = await run(sandbox, UNLINKED.replace("STAY", "30"), ProcessLimits(scratch_bytes=16 * MIB))
    if sandbox.name == "bubblewrap":
        assert ended.stdout == b""
        assert ended.exit in (1, 3)  # full, or nearly: then less is written than was asked for
    else:
        assert (ended.excess, ended.exit) == ("scratch", -signal.SIGKILL)
    within = await run(sandbox, UNLINKED.replace("STAY", "1.2"), ProcessLimits(scratch_bytes=100 * MIB))
    assert (within.excess, within.stdout) == (None, b"all\n")


async def test_a_folder_that_cannot_be_listed_is_too_much(sandbox: Sandbox) -> None:
    if sandbox.name == "bubblewrap":
        pytest.skip("its files are bounded by a file system of its own")
    code = """
import os, time
os.chdir(os.environ["HOME"])
for _ in range(30):
    os.mkdir("d" * 200); os.chdir("d" * 200)
time.sleep(30)
"""
    assert (await run(sandbox, code, ProcessLimits())).excess == "scratch"


@pytest.mark.long
async def test_very_many_files_are_too_many(sandbox: Sandbox) -> None:
    if sandbox.name == "bubblewrap":
        pytest.skip("they are in memory of its own, and vanish with it at once")
    code = """
import os, time
os.chdir(os.environ["HOME"])
for n in range(10_500): os.mkdir(str(n))
time.sleep(600)
"""
    assert (await run(sandbox, code, ProcessLimits())).excess == "scratch"


async def test_a_folder_nested_deeper_than_python_recurses_is_removed(sandbox: Sandbox) -> None:
    code = """
import os
os.chdir(os.environ["HOME"])
print(os.getcwd())
for _ in range(3000):
    os.mkdir("d"); os.chdir("d")
"""
    ended = await run(sandbox, code, ProcessLimits(scratch_bytes=None))
    assert ended.exit == 0
    assert not exists(ended.stdout.decode().strip())


async def test_processes_that_threads_start_are_counted(sandbox: Sandbox) -> None:
    """The kernel lists the children of each thread apart."""
    code = """
import subprocess, threading, time
def start(): children.append(subprocess.Popen(["sleep", "600"]))
children = []
threads = [threading.Thread(target=start) for _ in range(30)]
for thread in threads: thread.start()
for thread in threads: thread.join()
time.sleep(600)
"""
    assert (await run(sandbox, code, ProcessLimits(processes=20))).excess == "processes"
