"""What a run meets on disk and from other processes: full and read-only disks, two owners, damage, kills, requests."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import pytest

from antiphon.engine import Amount, Run, Settings, UsageError
from antiphon.tracing import Event, Json, LogBusy, LogDamaged, LogFailed, LogTooNew, LogUnusable, read_log, verify_log
from antiphon.workflows.audit.launch import Asked, prepare
from antiphon.workflows.controls import Request, leave
from antiphon.workflows.loading import load
from antiphon.workflows.places import RunPlace, make_run, new_run
from antiphon.workflows.running import Ended, Options, resume, start

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

Write = Callable[[str], Path]
HEAD = "import os\nfrom pathlib import Path\nfrom antiphon.workflows.script import *\n"
WORK = """
manifest = {"name": "work", "roles": ["work"]}

@function_agent("work", version="1")
async def work(task: str, ctx: CallContext) -> str:
    with open(os.environ["EXECUTIONS"], "a") as file:
        file.write(ctx.path + "\\n")
    return task * SIZE

async def main(count: int = 40):
    found = await parallel((agent(f"{n:03}", role="work") for n in range(count)), concurrency=4)
    return len(found.succeeded())
"""


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("EXECUTIONS", str(tmp_path / "executions"))


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the workflow file, with the script API imported."""

    def to(text: str) -> Path:
        file = tmp_path / "project" / "workflow.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(HEAD + textwrap.dedent(text))
        return file

    return to


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 600 kB, where the system lets us mount one."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(place)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system takes root")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


async def remount(disk: Path, how: str) -> None:
    await anyio.run_process(["mount", "-o", f"remount,{how}", str(disk)])


async def begin(place: RunPlace, file: Path, **options: Any) -> Ended:
    with anyio.fail_after(60):  # a guard: nothing here waits for time
        loaded = load(file)
        return await start(place, loaded, loaded.parameters.validate({}), Options(**options))


def events(place: RunPlace, *kinds: str) -> list[Event]:
    return [event for event in read_log(place.directory) if event.kind in kinds]


def executions() -> list[str]:
    return Path(os.environ["EXECUTIONS"]).read_text().split()


# --- disks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [20_000, 70_000], ids=["in the log", "in a blob"])
async def test_a_full_disk_ends_the_run_which_goes_on_after_room_is_made(
    size: int, small_disk: Path, write: Write
) -> None:
    place = make_run(small_disk / "run")
    file = write(WORK.replace("SIZE", str(size // 3)))
    with pytest.raises(LogFailed) as caught:
        await begin(place, file)
    assert caught.value.exit_code == 74
    assert "resume run" in str(caught.value.advice)
    assert verify_log(place.directory).ok
    done = {event.path for event in events(place, "call.ended") if event.data["kind"] == "succeeded"}
    assert 0 < len(done) < 40
    await remount(small_disk, "size=16m")
    ended = await resume(place, Options())
    assert (ended.result.kind, ended.value) == ("completed", 40)
    assert ended.result.reuse.reused == len(done)
    assert all(executions().count(path) == 1 for path in done)
    assert verify_log(place.directory, ended.head).ok


async def test_a_disk_that_is_full_before_the_run_begins(small_disk: Path, write: Write) -> None:
    place = make_run(small_disk / "run")
    (small_disk / "ballast").write_bytes(b"x" * 550_000)
    file = write(WORK.replace("SIZE", "1") + "\n# " + "long " * 20_000)
    with pytest.raises((LogFailed, LogUnusable)) as caught:
        await begin(place, file)
    assert caught.value.exit_code == 74


async def test_a_full_disk_while_reports_are_written(small_disk: Path, write: Write) -> None:
    place = make_run(small_disk / "run")

    def conclude(place: RunPlace, *_: object) -> dict[str, str]:
        (place.directory / "report.md").write_bytes(b"x" * 700_000)
        return {}

    file = write(WORK.replace("SIZE", "1"))
    with pytest.raises(LogFailed):
        await begin(place, file, conclude=conclude)
    assert not events(place, "run.ended")
    (place.directory / "report.md").unlink()
    ended = await resume(place, Options())
    assert (ended.value, ended.result.reuse.performed) == (40, 0)


async def test_a_read_only_folder_is_refused_before_anything_is_done(small_disk: Path, write: Write) -> None:
    file = write(WORK.replace("SIZE", "1"))
    there = make_run(small_disk / "runs" / "there")
    ended = await begin(there, file)
    await remount(small_disk, "ro")
    with pytest.raises(UsageError, match=r"cannot write runs to .*Read-only") as refused:
        new_run(small_disk / "runs")
    assert "--runs-dir" in str(refused.value.advice)
    assert verify_log(there.directory, ended.head).ok
    before = executions()
    with pytest.raises(LogUnusable):
        await resume(there, Options())
    assert executions() == before


async def test_a_read_only_tree_can_be_audited(small_disk: Path, tmp_path: Path) -> None:
    (small_disk / "a.py").write_text("import os\neval(input())\n")
    await remount(small_disk, "ro")
    audit = await prepare(Asked(path=str(small_disk)))
    place = make_run(tmp_path / "run")
    ended = await start(place, audit.loaded, {"path": str(small_disk)}, Options(conclude=audit.conclude))
    assert ended.result.kind == "completed"
    assert "S307" in (place.directory / "report.md").read_text()


# --- owners ---------------------------------------------------------------------------------------------------------


class Held(ModuleType):
    """What the role "held" of a workflow below waits for; `begun` is set once it waits."""

    def __init__(self) -> None:
        super().__init__("held_by_test")
        self.begun, self.free = anyio.Event(), anyio.Event()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    module = Held()
    monkeypatch.setitem(sys.modules, "held_by_test", module)
    return module


HELD = """
import held_by_test

@function_agent("held", version="1")
async def held(task: str, ctx: CallContext) -> str:
    held_by_test.begun.set()
    await held_by_test.free.wait()
    return task
"""
HOLD = """
manifest = {"name": "hold", "roles": ["held"]}

async def main():
    return await agent("held", role="held")
"""


async def test_a_second_owner_is_refused_and_the_first_unharmed(tmp_path: Path, write: Write, held: Held) -> None:
    place, file = make_run(tmp_path / "run"), write(HELD + HOLD)
    ended: list[Ended] = []

    async def first() -> None:
        ended.append(await begin(place, file))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        await held.begun.wait()
        with pytest.raises(LogBusy) as busy:
            await resume(place, Options())
        assert (busy.value.pid, busy.value.exit_code) == (os.getpid(), 2)
        held.free.set()
    assert ended[0].value == "held"
    assert verify_log(place.directory, ended[0].head).ok
    assert len(events(place, "run.epoch")) == 1


# --- damage ---------------------------------------------------------------------------------------------------------


def break_page(database: Path) -> None:
    content = bytearray(database.read_bytes())
    content[4096:8192] = b"\x5a" * 4096
    database.write_bytes(content)


def truncate(database: Path) -> None:
    os.truncate(database, database.stat().st_size // 2)


def empty(database: Path) -> None:
    os.truncate(database, 0)


def edit_body(database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE events SET body = replace(body, '002', '999') WHERE kind = 'call.ended'")
    connection.close()


def newer(database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


@pytest.mark.parametrize(
    ("harm", "error", "code"),
    [
        (break_page, LogDamaged, 74),
        (truncate, LogDamaged, 74),
        (empty, LogDamaged, 74),
        (edit_body, LogDamaged, 74),
        (newer, LogTooNew, 2),
    ],
)
async def test_a_damaged_log_is_not_gone_on_with(
    harm: Callable[[Path], None], error: type[LogDamaged | LogTooNew], code: int, tmp_path: Path, write: Write
) -> None:
    place = make_run(tmp_path / "run")
    await begin(place, write(WORK.replace("SIZE", "100")))
    database = place.directory / "run.db"
    harm(database)
    broken, before = database.read_bytes(), executions()
    with pytest.raises(error) as caught:
        await resume(place, Options())
    assert caught.value.exit_code == code
    assert caught.value.advice
    assert database.read_bytes() == broken, "the evidence is left as it is"
    assert executions() == before
    assert not verify_log(place.directory).ok


# --- from elsewhere -------------------------------------------------------------------------------------------------


async def test_a_run_from_elsewhere_is_read_and_verified_and_executed_only_with_trust(
    tmp_path: Path, write: Write
) -> None:
    file = write(
        WORK.replace("SIZE", "1")
        + '\nwith open(os.environ["EXECUTIONS"], "a") as file:\n    file.write("imported\\n")\n'
    )
    first = await begin(make_run(tmp_path / "run"), file)
    there = RunPlace(tmp_path / "came" / "back" / "run")
    shutil.copytree(first.place.directory, there.directory)
    before = executions()
    assert verify_log(there.directory, first.head).ok
    assert len(events(there, "call.ended")) == 40
    with pytest.raises(UsageError, match="was not made here") as refused:
        await resume(there, Options())
    assert "--trust" in str(refused.value.advice)
    assert executions() == before
    ended = await resume(there, Options(), trust=True)
    assert (ended.value, ended.result.reuse.performed) == (40, 0)
    assert executions() == [*before, "imported"]


# --- kills ----------------------------------------------------------------------------------------------------------

ONCE = """
import anyio

manifest = {"name": "once", "steps": ["charge", "list"]}

@step_function("list")
def listing() -> list[str]:
    return ["card"]

@step_function("charge", idempotent=False)
async def charge(card: str) -> str:
    with open(os.environ["EXECUTIONS"], "a") as file:
        file.write("charge\\n")
    if os.environ.get("HANG"):
        print("charging", flush=True)
        await anyio.sleep_forever()
    return f"charged {card}"

async def main():
    cards = await step("list")
    charged = await branch("charge", step("charge", {"card": cards[0]}))
    return [charged.kind, charged.value if charged.ok else charged.reason]
"""
CHILD = """
import sys, anyio
from pathlib import Path
from antiphon.workflows.loading import load
from antiphon.workflows.places import make_run
from antiphon.workflows.running import Options, start

backend, file, directory = sys.argv[1:]
anyio.run(start, make_run(Path(directory)), load(Path(file)), {}, Options(), backend=backend)
"""


async def killed_while_charging(file: Path, directory: Path, backend: str) -> RunPlace:
    """A real process that is killed while a step which is not idempotent is in flight."""
    command = [sys.executable, "-c", CHILD, backend, str(file), str(directory)]
    async with await anyio.open_process(command, env={**os.environ, "HANG": "1"}, stderr=None) as child:
        assert child.stdout is not None
        assert b"charging" in await child.stdout.receive()
        child.send_signal(signal.SIGKILL)
        assert await child.wait() == -signal.SIGKILL
    return RunPlace(directory)


@pytest.mark.parametrize(
    ("answer", "value", "ending"),
    [
        (True, ["succeeded", "charged card"], "completed"),
        (False, ["denied", "not approved to be repeated"], "degraded"),
    ],
)
async def test_a_step_that_is_not_idempotent_asks_before_it_is_repeated(
    answer: bool, value: Json, ending: str, tmp_path: Path, write: Write, anyio_backend_name: str
) -> None:
    place = await killed_while_charging(write(ONCE), tmp_path / "run", anyio_backend_name)
    asking = await resume(place, Options())
    assert (asking.result.kind, asking.result.pause) == ("paused", "approval")
    assert "not idempotent" in dict(asking.result.pending)["main/charge/0"]
    assert executions() == ["charge"]
    (resumed,) = events(place, "run.resumed")
    assert resumed.data["in_flight"] == [{"path": "main/charge/0", "name": "charge", "call": "step"}]
    ended = await resume(place, Options(settings=Settings(answers={"main/charge/0": answer})))
    assert (ended.result.kind, ended.value) == (ending, value)
    assert executions() == ["charge"] * (1 + answer)
    again = await resume(place, Options())
    assert (again.value, again.result.reuse.performed) == (value, 0)
    assert verify_log(place.directory, again.head).ok


# --- requests from other processes ----------------------------------------------------------------------------------

METERED = """
manifest = {"name": "metered", "roles": ["held", "metered"], "limits": {"model_calls": 2}}

@function_agent("metered", floor=Amount(model_calls=1), version="1")
async def metered(task: str, ctx: CallContext) -> str:
    async with ctx.attempt(name="fake") as attempt:
        attempt.settle()
    return task

async def main():
    await agent("wait", role="held")
    return [await agent(str(n), role="metered") for n in range(4)]
"""


Watching = Callable[[Run], Awaitable[None]]


def asking(place: RunPlace, request: Request, kind: str, count: int, held: Held) -> Watching:
    """Leaves a request once the held call waits, and lets it go at the run's `count`-th event of a kind."""

    async def watching(run: Run) -> None:
        follow_until(run, kind, count, held.free)
        await held.begun.wait()
        leave(place.control, request)

    return watching


def follow_until(run: Run, kind: str, count: int, event: anyio.Event) -> None:
    seen: list[str] = []

    def follow(of: str, path: str, at: float, data: Mapping[str, Json]) -> None:
        seen.append(of)
        if seen.count(kind) == count:
            event.set()

    run.log.watch(follow)


MORE = Request(ask="top_up", budget="+2model_calls")


async def test_a_live_top_up(tmp_path: Path, write: Write, held: Held) -> None:
    place = make_run(tmp_path / "run")
    ended = await begin(place, write(HELD + METERED), watching=(asking(place, MORE, "budget", 1, held),))
    assert (ended.result.kind, ended.value) == ("completed", ["0", "1", "2", "3"])
    (asked,) = events(place, "control")
    assert asked.data == {"ask": "top_up", "budget": "+2model_calls", "path": "*", "yes": False}
    assert not list(place.control.iterdir())


async def test_without_it_the_run_pauses_and_a_later_top_up_goes_on(tmp_path: Path, write: Write, held: Held) -> None:
    place = make_run(tmp_path / "run")
    held.free.set()
    paused = await begin(place, write(HELD + METERED))
    assert (paused.result.kind, paused.result.pause, paused.result.exit_code) == ("paused", "budget", 4)
    ended = await resume(place, Options(top_up=Amount(model_calls=2)))
    assert (ended.value, ended.result.reuse.reused) == (["0", "1", "2", "3"], 3)


async def test_a_pause_that_another_process_asks_for(tmp_path: Path, write: Write, held: Held) -> None:
    place, pause = make_run(tmp_path / "run"), Request(ask="pause")
    paused = await begin(place, write(HELD + METERED), watching=(asking(place, pause, "control", 2, held),))
    assert (paused.result.kind, paused.result.pause) == ("paused", "asked")
    assert [event.path for event in events(place, "call.ended")] == ["main/0"], "what was in flight has settled"


async def test_a_stop_that_another_process_asks_for(tmp_path: Path, write: Write, held: Held) -> None:
    place = make_run(tmp_path / "run")
    leave(place.control, Request(ask="stop"))
    stopped = await begin(place, write(HELD + METERED))
    assert (stopped.result.kind, stopped.result.exit_code) == ("stopped", 130)


async def test_an_answer_from_another_process(tmp_path: Path, write: Write) -> None:
    asks = 'manifest = {"name": "asks"}\n\nasync def main():\n    return await approve("Go on?")\n'
    place = make_run(tmp_path / "run")
    leave(place.control, Request(ask="answer", path="main/0", yes=True))
    ended = await begin(place, write(asks))
    assert ended.value is True


def bad_requests(control: Path, outside: Path) -> int:
    """Everything that is no request; how many of them are read."""
    texts = {
        "no json": b"{",
        "no object": b"[1]",
        "empty": b"",
        "binary": b"\xff\xfe\x00",
        "unknown": b'{"ask": "obey"}',
        "too much": b'{"ask": "pause", "and": 1}',
        "deep": b"[" * 9_000,
        "surrogate": b'{"ask": "top_up", "budget": "\\ud800"}',
        "escapes": b'{"ask": "top_up", "budget": "\\u001b[31m+1usd"}',
        "no amount": b'{"ask": "top_up", "budget": "+2wishes"}',
        "digits": json.dumps({"ask": "top_up", "budget": f"+{'9' * 6000}model_calls"}).encode(),
        "huge": b" " * 20_000 + b'{"ask": "stop"}',
    }
    for name, content in texts.items():
        (control / f"{name}.json").write_bytes(content)
    (control / "link.json").symlink_to(outside)
    (control / "dangling.json").symlink_to("nowhere")
    os.mkfifo(control / "pipe.json")
    (control / "folder.json").mkdir()
    return len(texts) + 3


async def test_what_is_no_request_is_ignored_and_said_so(tmp_path: Path, write: Write, held: Held) -> None:
    place = make_run(tmp_path / "run")
    outside = tmp_path / "outside.json"
    outside.write_text('{"ask": "stop"}')
    counts: list[int] = []

    async def watching(run: Run) -> None:
        noted, raised = anyio.Event(), anyio.Event()
        count = bad_requests(place.control, outside)
        counts.append(count)
        follow_until(run, "note", count, noted)
        follow_until(run, "budget", 1, raised)
        leave(place.control, MORE)
        await noted.wait()
        await raised.wait()
        held.free.set()

    ended = await begin(place, write(HELD + METERED), watching=(watching,))
    assert (ended.result.kind, ended.value) == ("completed", ["0", "1", "2", "3"])
    assert outside.read_text() == '{"ask": "stop"}'
    assert [entry.name for entry in place.control.iterdir()] == ["folder.json"]
    notes = [str(event.data["text"]) for event in events(place, "note")]
    assert [len(notes)] == counts
    assert all("is ignored" in note and len(note) < 600 for note in notes)
    assert verify_log(place.directory, ended.head).ok


# --- export ---------------------------------------------------------------------------------------------------------


async def test_a_collector_that_is_not_there_costs_only_spans(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    ended = await begin(make_run(tmp_path / "run"), write(WORK.replace("SIZE", "1")))
    assert (ended.result.kind, ended.value) == ("completed", 40)
    assert ended.exported == 0
    assert ended.dropped > 40
    assert verify_log(ended.place.directory, ended.head).ok
