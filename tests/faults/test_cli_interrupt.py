"""Real signals to a real child: Ctrl-C once pauses, twice stops, and a script that never yields is ended."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from antiphon.tracing import read_log
from antiphon.workflows.cli import main

SCRIPT = '''
import os
import sys
import threading

import anyio
from antiphon.workflows.script import agent, function_agent, parallel

manifest = {"name": "waits", "roles": ["worker"]}


@function_agent("worker")
async def worker(task, ctx):
    """Tells that it began, and ends once its file is there."""
    print("began", task, flush=True)
    while not os.path.exists(task):
        await anyio.sleep(0.01)
    return task


class Deaf:
    def __enter__(self):
        return self

    def __exit__(self, *caught):
        return True


async def main(how: str = "wait", names: list[str] = ["one", "two"]):
    if how == "wait":
        found = await parallel(agent(name) for name in names)
        last = await agent("three")
        return [*found.succeeded(), last]
    print("began", how, flush=True)
    while how == "block":
        threading.Event().wait(600)
    while how == "spin":
        pass
    while True:
        with Deaf():
            await anyio.sleep_forever()
        print("deaf", flush=True)
        threading.Event().wait(0.01)
'''


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    """The event loop."""
    return str(request.param)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the workflow, to be in."""
    (tmp_path / "waits.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


Child = subprocess.Popen[str]


@contextmanager
def child(*typed: str) -> Generator[Child]:
    """`antiphon` in a process of its own; gone at the end whatever happens."""
    command = [sys.executable, "-m", "antiphon", *typed]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    patience = threading.Timer(60, process.kill)
    patience.start()
    try:
        yield process
    finally:
        patience.cancel()
        process.kill()
        process.communicate()


def wait_for(process: Child, text: str) -> None:
    """Read its stderr until a line holds the text."""
    assert process.stderr is not None
    seen: list[str] = []
    for line in process.stderr:
        seen.append(line)
        if text in line:
            return
    pytest.fail(f"it never said {text!r}, but: {''.join(seen)}")


def run_id() -> str:
    """The one run here."""
    return sorted(path.name for path in Path(".antiphon/runs").iterdir())[-1]


def endings() -> list[str]:
    """How the attempts at the one run ended."""
    log = read_log(Path(".antiphon/runs") / run_id())
    return [str(event.data["kind"]) for event in log if event.kind == "run.ended"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_once_pauses_and_lets_what_is_in_flight_finish(
    folder: Path, backend: str, number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    with child("run", "waits.py", "--backend", backend) as process:
        wait_for(process, "began")
        wait_for(process, "began")
        process.send_signal(number)
        wait_for(process, "pausing: 2 calls in flight; Ctrl-C again stops at once")
        (folder / "one").touch()
        (folder / "two").touch()
        wait_for(process, f"next      antiphon resume {run_id()}")
        assert process.wait(20) == 4
    assert endings() == ["paused"]
    (folder / "three").touch()
    assert main(["resume", "last", "--json", "--backend", backend]) == 0
    facts = json.loads(capfd.readouterr().out)
    assert (facts["value"], facts["reuse"]["reused"], facts["reuse"]["performed"]) == (["one", "two", "three"], 2, 1)


@pytest.mark.parametrize("numbers", [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT)])
def test_twice_stops_at_once_and_can_be_resumed(
    folder: Path, backend: str, numbers: tuple[signal.Signals, signal.Signals]
) -> None:
    with child("run", "waits.py", "--backend", backend) as process:
        wait_for(process, "began")
        process.send_signal(numbers[0])
        wait_for(process, "pausing:")
        process.send_signal(numbers[1])
        wait_for(process, "stopping at once")
        wait_for(process, "stopped  waits")
        assert process.wait(20) == 130
    assert endings() == ["stopped"]
    for name in ("one", "two", "three"):
        (folder / name).touch()
    assert main(["resume", "last", "--backend", backend]) == 0


@pytest.mark.parametrize("how", ["block", "spin"])
def test_a_script_that_never_yields_is_ended(folder: Path, backend: str, how: str) -> None:
    with child("run", "waits.py", "--arg", f"how={how}", "--backend", backend) as process:
        wait_for(process, "began")
        process.send_signal(signal.SIGINT)
        wait_for(process, "the script does not yield; Ctrl-C again ends it")
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)  # the third need not wait for the grace
        wait_for(process, f"next: antiphon resume {run_id()}")
        assert process.wait(20) == 130
    assert main(["runs"]) == 0
    assert main(["verify", "last"]) == 0


def test_a_script_that_swallows_its_cancellation_is_ended_after_the_grace(folder: Path, backend: str) -> None:
    with child("run", "waits.py", "--arg", "how=deaf", "--backend", backend) as process:
        wait_for(process, "began")
        process.send_signal(signal.SIGINT)
        wait_for(process, "pausing: 0 calls in flight")
        wait_for(process, "deaf")
        process.send_signal(signal.SIGINT)
        wait_for(process, "stopping at once")
        process.send_signal(signal.SIGINT)
        wait_for(process, "the run does not end")
        assert process.wait(20) == 130


def test_the_signals_are_given_back(folder: Path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    for name in ("one", "two", "three"):
        (folder / name).touch()
    assert main(["run", "waits.py"]) == 0
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_no_pipe_is_left_open(folder: Path) -> None:
    for name in ("one", "two", "three"):
        (folder / name).touch()
    main(["run", "waits.py"])
    before = len(os.listdir("/dev/fd"))
    main(["run", "waits.py"])
    assert len(os.listdir("/dev/fd")) == before
