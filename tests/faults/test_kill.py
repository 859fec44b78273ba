"""Promise 3, for real: SIGKILL at random instants, also during resume; nothing finished is ever performed again."""

from __future__ import annotations

import json
import math
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.engine.journal import read_journal
from antiphon.tracing import Event, read_log, verify_log

HERE = Path(__file__).parent / "killed"
KILLS = 100
KILLS_A_RUN = 6
LIMIT = 12
TOP_UP = 4


class Zygote:
    """The process that forks the children which are killed."""

    def __init__(self) -> None:
        command = [sys.executable, str(HERE / "zygote.py")]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    def run(self, backend: str, what: str, directory: Path, *, kill_after: float = math.inf) -> int:
        """One child: its exit code, -9 when it was killed before it ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        executions = directory.parent / "executions"
        self._process.stdin.write(f"{backend} {what} {directory} {executions} {kill_after}\n".encode())
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    started = Zygote()
    yield started
    started.close()


def to_the_end(zygote: Zygote, backend: str, directory: Path, code: int) -> None:
    """Resume until it is done, with a top-up whenever the budget paused it."""
    for _ in range(20):
        if code in (0, 3):
            return
        assert code in (4, -signal.SIGKILL), f"a child ended with {code}"
        code = zygote.run(backend, "top_up" if code == 4 else "resume", directory)
    raise AssertionError("twenty resumes did not finish the run")


def uninterrupted(zygote: Zygote, backend: str, folder: Path) -> str:
    """The value of a run that nobody kills."""
    directory = folder / "whole"
    directory.mkdir(parents=True)
    to_the_end(zygote, backend, directory / "run", zygote.run(backend, "start", directory / "run"))
    return (directory / "value.json").read_text()


@pytest.mark.long
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_killed_at_any_instant_nothing_finished_is_performed_again(
    zygote: Zygote, backend: str, tmp_path: Path
) -> None:
    """Half of the hundred kills on each backend; a run is killed until it ends by itself."""
    rng = random.Random(f"kill {backend}")
    value = uninterrupted(zygote, backend, tmp_path)
    kills = number = 0
    while kills < KILLS // 2:
        number += 1
        folder = tmp_path / str(number)
        folder.mkdir()
        directory = folder / "run"
        code = zygote.run(backend, "start", directory, kill_after=rng.uniform(0.0, 0.25))
        mine = 0
        while code in (4, -signal.SIGKILL):
            mine += code == -signal.SIGKILL
            kills += code == -signal.SIGKILL
            check_ledger(directory)
            what = "top_up" if code == 4 else "resume" if began(directory) else "start"
            if what == "start":
                clear(directory)
            spared = mine >= KILLS_A_RUN  # on a busy machine no attempt might ever get to its end
            code = zygote.run(backend, what, directory, kill_after=math.inf if spared else rng.uniform(0.0, 0.4))
        assert code in (0, 3)
        assert (folder / "value.json").read_text() == value
        check_ledger(directory)


def began(directory: Path) -> bool:
    """Whether the run got as far as having something to resume."""
    if not (directory / "run.db").exists():
        return False
    return any(event.kind == "run.opened" for event in read_log(directory))


def clear(directory: Path) -> None:
    """What a person does with a run that was killed before it began: start another."""
    import shutil

    shutil.rmtree(directory, ignore_errors=True)


def check_ledger(directory: Path) -> None:
    """The log against the file of executions that lies outside of it."""
    if not began(directory):
        return
    events = list(read_log(directory))
    assert verify_log(directory).ok
    check_executions(directory, events)
    check_open_calls_are_named(events)
    check_budget(events)


def check_executions(directory: Path, events: list[Event]) -> None:
    """Never executed without a start in the log, and never after a durable outcome."""
    executions = directory.parent / "executions"
    lines = Counter(executions.read_text().splitlines() if executions.exists() else [])
    starts = Counter(event.path for event in events if event.kind == "call.started")
    for path, count in lines.items():
        if not path.startswith("step "):
            assert count <= starts[path], f"{path} was executed {count} times, started {starts[path]} times"
    finished: dict[str, int] = {}
    for event in events:
        if event.kind == "call.ended" and event.data["kind"] not in ("cancelled", "skipped"):
            finished[event.path] = event.seq
        if event.kind == "call.started":
            assert event.path not in finished, f"{event.path} finished at {finished.get(event.path)} and began again"


def check_open_calls_are_named(events: list[Event]) -> None:
    """Each resume names exactly the calls that had begun and not ended."""
    open_calls: set[str] = set()
    for event in events:
        if event.kind == "call.started":
            open_calls.add(event.path)
        elif event.kind == "call.ended":
            open_calls.discard(event.path)
        elif event.kind == "run.resumed":
            named = event.data["in_flight"]
            assert isinstance(named, list)
            assert {str(entry["path"]) for entry in named if isinstance(entry, dict)} == open_calls


def check_budget(events: list[Event]) -> None:
    """What was spent, lost attempts at their worst case, never exceeds the limit and its top-ups."""
    allowed = LIMIT + TOP_UP * sum("top_up" in event.data for event in events if event.kind == "budget")
    assert read_journal(events).spent.count("model_calls") <= allowed


def test_the_run_that_is_killed_contains_what_it_should(zygote: Zygote, tmp_path: Path) -> None:
    """A kill suite over a run that does nothing would prove nothing."""
    value = json.loads(uninterrupted(zygote, "asyncio", tmp_path))
    assert value["race"] == "RACE"
    assert value["votes"] == ["yes", [True, None, False, True]]
    assert (value["late"], value["cut"]) == ("timed_out", "timed_out")
    assert value["bad"] == "cannot do bad"
    assert value["nested"] == ["p", "q"]
    events = list(read_log(tmp_path / "whole" / "run"))
    assert sum(event.kind == "run.resumed" for event in events) >= 2
    assert {"cut short", "deadline"} <= {str(event.data["decision"]) for event in events if event.kind == "decision"}
