"""What a person sees while a run goes on: the counting, the plain lines, and the picture for a terminal."""

import io
import re
import threading
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import anyio
import pytest

from antiphon.engine import Amount, Limits, Run
from antiphon.tracing import Json, MemoryLog
from antiphon.workflows.cli.lines import Lines
from antiphon.workflows.cli.live import LiveTree, picture
from antiphon.workflows.cli.meters import meters, waits
from antiphon.workflows.cli.progress import KEPT_FAILURES, FlyingCall, Progress
from antiphon.workflows.cli.signals import Interrupts
from antiphon.workflows.cli.terminal import Paper, width_of


class Seen(io.StringIO):
    """A stream that says it is a terminal, and sets its event once a text was written to it."""

    def __init__(self, wanted: str) -> None:
        super().__init__()
        self.event = anyio.Event()
        self._wanted = wanted

    def write(self, text: str) -> int:
        """Write, and look."""
        written = super().write(text)
        if self._wanted in self.getvalue():
            self.event.set()
        return written

    def isatty(self) -> bool:
        """It is one."""
        return True


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def tell(progress: Progress, kind: str, path: str = "", /, **data: Json) -> None:
    """One event."""
    progress.follow(kind, path, 0.0, data)


def begin(progress: Progress, path: str, name: str = "worker", sort: str = "agent") -> None:
    """A call in the phase `find` that begins."""
    tell(progress, "call.started", path, call=sort, name=name, phase="find")


def end(progress: Progress, path: str, kind: str = "succeeded", **more: Json) -> None:
    """It ends."""
    tell(progress, "call.ended", path, name="worker", phase="find", kind=kind, **more)


def test_calls_are_counted_by_phase_and_outcome() -> None:
    progress = Progress(Clock())
    tell(progress, "phase.started", "main", title="find")
    for item in range(3):
        begin(progress, f"main/0/{item}/0")
    end(progress, "main/0/0/0")
    end(progress, "main/0/1/0", "failed", reason="no", category="infrastructure", infrastructure="rate")
    tell(progress, "call.reused", "main/1", name="worker", phase="find", kind="timed_out")
    phase = progress.phases["find"]
    assert (dict(phase.calls), phase.in_flight, phase.reused) == ({"succeeded": 1, "failed": 1, "timed_out": 1}, 1, 1)
    assert progress.failures == {"rate": 1, "timed out (replayed)": 1}
    assert list(progress.flying) == ["main/0/2/0"]
    assert progress.take_news() == ["phase find", "main/0/1/0 worker failed: no"]


def test_items_are_done_when_their_call_or_their_branch_ends() -> None:
    progress = Progress(Clock())
    tell(progress, "branch.started", "main/0", construct="parallel", items=3)
    end(progress, "main/0/0/0")
    tell(progress, "branch.started", "main/0/1", construct="item")
    tell(progress, "branch.started", "main/0/1/0", construct="quorum", items=2)
    end(progress, "main/0/1/0/0/0")
    end(progress, "main/0/1/0/1/0")
    tell(progress, "branch.ended", "main/0/1/0", kind="succeeded")
    assert progress.items() == (1, 3)
    tell(progress, "branch.ended", "main/0/1", kind="succeeded")
    assert progress.items() == (2, 3)
    tell(progress, "branch.ended", "main/0", kind="cancelled")
    assert progress.items() == (3, 3)


def test_the_rest_is_estimated_from_the_rate() -> None:
    clock = Clock()
    progress = Progress(clock)
    tell(progress, "branch.started", "main/0", construct="parallel", items=100)
    progress.sample()
    assert progress.eta_seconds() is None
    for item in range(20):
        end(progress, f"main/0/{item}/0")
    clock.now += 10
    progress.sample()
    assert progress.eta_seconds() == pytest.approx(40.0)


def test_only_so_many_failures_are_listed() -> None:
    progress = Progress(Clock())
    for item in range(KEPT_FAILURES + 5):
        end(progress, f"main/0/{item}/0", "failed", reason="no", category="task")
    news = progress.take_news()
    assert len(news) == KEPT_FAILURES + 1
    assert news[-1] == "further failures are counted and not listed; antiphon show lists them"
    assert progress.failures["task"] == KEPT_FAILURES + 5


@pytest.mark.anyio
async def test_plain_lines_and_progress_now_and_then() -> None:
    out, clock = Seen("free"), Clock()
    progress = Progress(clock)
    lines = Lines(Paper(out), progress, every_seconds=5.0)
    run = Run(MemoryLog(), run_id="r", limits=Limits(agent_calls=10))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lines.watch, run)
        await anyio.wait_all_tasks_blocked()
        run.log.enqueue("phase.started", "main", {"title": "find"})
        run.log.enqueue("branch.started", "main/0", {"construct": "parallel", "items": 4})
        run.log.enqueue("call.started", "main/0/0/0", {"name": "worker", "call": "agent", "phase": "find"})
        clock.now += 6
        await out.event.wait()
        tasks.cancel_scope.cancel()
    first, second = out.getvalue().splitlines()
    assert first == "[  6.0 s] phase find"
    assert second == "[  6.0 s] 0 of 4 items; 1 in flight; agent calls: 0 spent, 0 reserved, 10 free"


def rows(run: Run, progress: Progress, columns: int = 100) -> list[str]:
    """The picture as text."""
    return [
        "".join(part if isinstance(part, str) else part.text for part in row) for row in picture(run, progress, columns)
    ]


@pytest.mark.anyio
async def test_the_picture_tells_phases_calls_money_and_waits() -> None:
    clock = Clock()
    progress = Progress(clock)
    run = Run(MemoryLog(), run_id="r1", limits=Limits(usd=Decimal(2)))
    carve = await run.budget.admit(run.budget.root, Amount(usd="0.5"))
    run.pending["main/1"], run.waits["main/1"] = "Delete it?", "an answer"
    tell(progress, "run.started", workflow="demo")
    tell(progress, "phase.started", "main", title="find")
    begin(progress, "main/0", "slow one")
    tell(progress, "attempt.started", "main/0", sort="model", name="gpt")
    begin(progress, "main/1", "approve", "approval")
    clock.now += 65
    shown = rows(run, progress)
    assert shown[0] == "demo  1m 05s  r1"
    assert shown[1] == "  ▸ find  1m 05s  2 in flight"
    assert shown[2] == "    ·  1m 05s  slow one  model gpt  main/0"
    assert shown[3] == "    ·  1m 05s  approve  waits for an answer  main/1"
    assert shown[4] == "  usd           ▒▒▒▒░░░░░░░░░░░░ 0 spent, 0.5 reserved, 1.5 free of 2"
    assert shown[5] == "  waiting: 1 for an answer"
    assert shown[6] == "  asks: Delete it?  (main/1)"
    assert shown[7] == "  last: approve began, 1m 05s ago"
    run.budget.close(carve)


@pytest.mark.anyio
async def test_many_phases_and_calls_stay_a_small_picture() -> None:
    progress = Progress(Clock())
    run = Run(MemoryLog(), run_id="r1")
    for number in range(40):
        tell(progress, "phase.started", "main", title=f"phase {number}")
    for number in range(500):
        begin(progress, f"main/{number}")
    shown = rows(run, progress)
    assert len(shown) < 30
    assert "      and 492 calls more in flight" in shown


@pytest.mark.anyio
async def test_narrow_terminals_get_cut_lines_and_nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("LINES", "10")
    monkeypatch.setenv("TERM", "xterm")
    out = Seen("a long name")
    progress = Progress(Clock())
    live = LiveTree(Paper(out, columns=40), progress)
    run = Run(MemoryLog(), run_id="r1", limits=Limits(agent_calls=3))
    for number in range(30):
        begin(progress, f"main/{number}", f"a long name {number} 漢字漢字漢字漢字漢字漢字漢字漢字漢字")
    with live.shown():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(live.watch, run)
            await out.event.wait()
            live.say("said beside the picture \x1b[2J")
            tasks.cancel_scope.cancel()
    drawn = out.getvalue()
    assert r"said beside the picture \x1b[2J" in drawn.replace("\n", "")
    assert all(width_of(line) <= 40 for line in plain(drawn))
    assert drawn.count("\x1b[?25l") == drawn.count("\x1b[?25h")


def plain(drawn: str) -> list[str]:
    """Lines without escapes."""
    return re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn))


@pytest.mark.anyio
async def test_meters_and_waits_read_the_run() -> None:
    run = Run(MemoryLog(), run_id="r", limits=Limits(agent_calls=2, agent_seconds=60))
    assert [(meter.dimension, meter.limit, meter.free) for meter in meters(run)] == [
        ("agent_calls", 2, 2),
        ("agent_seconds", 60_000_000_000, 60_000_000_000),
    ]
    assert list(waits(run)) == []
    assert replace(FlyingCall("p", "n", "agent", "", 0.0), doing="x").doing == "x"


class Heard:
    """Remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str, *, now: bool = False) -> None:
        """Remember it."""
        self.said.append(text)


@pytest.mark.anyio
@pytest.mark.real_time
async def test_a_stop_asked_by_another_process_wakes_the_watchdog_too() -> None:
    ended = threading.Event()
    codes: list[int] = []

    def end_process(code: int) -> None:
        codes.append(code)
        ended.set()

    heard = Heard()
    interrupts = Interrupts(heard, grace_seconds=0.05, end=end_process)
    run = Run(MemoryLog(), run_id="r7")
    with interrupts.received():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(interrupts.watch, run)
            await anyio.wait_all_tasks_blocked()
            run.log.enqueue("control", "", {"ask": "stop"})
            assert await anyio.to_thread.run_sync(ended.wait, 20)
            tasks.cancel_scope.cancel()
    assert codes == [130]
    assert heard.said == ["the run does not end, so the process is ended now", "next: antiphon resume r7"]


def test_nothing_in_an_event_can_upset_the_counting() -> None:
    progress = Progress(Clock())
    strange: Mapping[str, Json] = {"kind": [], "phase": {}, "items": "x", "name": None, "reason": 3, "title": []}
    for kind in ("run.started", "phase.started", "phase.ended", "branch.started", "branch.ended", "call.ended", "note"):
        progress.follow(kind, "main/0", 0.0, strange)
