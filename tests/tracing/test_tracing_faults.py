"""Disks that fill up, files that break, owners that die or come twice."""

import contextlib
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import anyio
import pytest

from antiphon.tracing import (
    AntiphonError,
    LogBusy,
    LogDamaged,
    LogFailed,
    LogTooNew,
    LogUnusable,
    open_log,
    read_log,
    verify_log,
)

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

WRITER = """
import sys, anyio, pathlib
from antiphon.tracing import open_log

async def main(directory, writers):
    async with open_log(directory) as log, anyio.create_task_group() as tasks:
        async def write(writer):
            while True:
                stamp = await log.append("note", f"root/{writer}", {"text": "x" * 300})
                print(stamp.seq, flush=True)
        for writer in range(writers):
            tasks.start_soon(write, writer)

anyio.run(main, pathlib.Path(sys.argv[1]), int(sys.argv[2]))
"""

OWNER = """
import sys, anyio, pathlib
from antiphon.tracing import open_log

async def main(directory):
    async with open_log(directory) as log:
        await log.append("note", "", {"text": "mine"})
        print("open", flush=True)
        sys.stdin.read()

anyio.run(main, pathlib.Path(sys.argv[1]))
"""


@contextlib.contextmanager
def child(program: str, *arguments: object) -> Generator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 400 kB, where the system lets us mount one."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system takes root")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@contextlib.contextmanager
def largest_file(size: int) -> Generator[None]:
    """Let the system refuse to write beyond `size` bytes of a file, which SQLite sees as an I/O error."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def fill(directory: Path, acknowledged: list[int], errors: list[AntiphonError]) -> None:
    """Write from ten tasks until the log fails; every task notes its error and ends."""
    async with open_log(directory) as log, anyio.create_task_group() as tasks:

        async def write() -> None:
            with anyio.CancelScope(shield=True):
                try:
                    while True:
                        acknowledged.append((await log.append("note", "", {"text": "x" * 2000})).seq)
                except LogFailed as error:
                    errors.append(error)
            with pytest.raises(LogFailed):
                log.enqueue("note", "", {})
            with pytest.raises(LogFailed), anyio.CancelScope(shield=True):
                await log.flush()

        for _ in range(10):
            tasks.start_soon(write)


async def test_a_full_disk_ends_the_run_and_keeps_what_was_acknowledged(small_disk: Path) -> None:
    acknowledged, errors = list[int](), list[AntiphonError]()
    with pytest.raises(LogFailed, match="full") as caught:
        await fill(small_disk / "run", acknowledged, errors)
    assert caught.value.exit_code == 74
    assert caught.value.advice is not None
    assert len(errors) == 10
    assert len({id(error) for error in errors}) == 10
    found = [event.seq for event in read_log(small_disk / "run")]
    assert found == list(range(1, len(found) + 1))
    assert set(acknowledged) <= set(found)
    assert verify_log(small_disk / "run").ok


async def test_an_input_output_error_ends_the_run(tmp_path: Path) -> None:
    acknowledged, errors = list[int](), list[AntiphonError]()
    with largest_file(200_000), pytest.raises(LogFailed):
        await fill(tmp_path, acknowledged, errors)
    assert len(acknowledged) > 10
    assert len(errors) == 10
    # Nothing was written again on the way out: the write-ahead log is where the failure left it.
    assert (tmp_path / "run.db-wal").stat().st_size > 0
    assert set(acknowledged) <= {event.seq for event in read_log(tmp_path)}
    async with open_log(tmp_path) as log:
        assert log.epoch == 2
    assert verify_log(tmp_path, log.head).ok


async def test_a_failure_cancels_the_block_that_only_waits(tmp_path: Path) -> None:
    async def wait() -> None:
        async with open_log(tmp_path) as log:
            for _ in range(100):
                log.enqueue("note", "", {"text": "x" * 2000})
            await anyio.sleep_forever()

    with largest_file(60_000), pytest.raises(LogFailed):
        await wait()


async def test_no_room_to_begin(tmp_path: Path) -> None:
    with largest_file(1000), pytest.raises(LogUnusable):
        async with open_log(tmp_path):
            pytest.fail("opened")
    async with open_log(tmp_path) as log:  # what the first try left does not stand in the way
        assert log.epoch == 1


@pytest.mark.parametrize("lines", [1, 40, 150, 400])
async def test_a_killed_writer_keeps_all_it_acknowledged(tmp_path: Path, lines: int) -> None:
    with child(WRITER, tmp_path, 1 + lines % 7) as process:
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    assert verify_log(tmp_path).ok
    async with open_log(tmp_path) as log:
        assert set(acknowledged) <= {event.seq for event in log.events()}
        assert log.epoch == 2
    assert verify_log(tmp_path, log.head).ok


async def test_two_processes_cannot_own_one_log(tmp_path: Path) -> None:
    with child(OWNER, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        with pytest.raises(LogBusy, match=f"process {process.pid}"):
            async with open_log(tmp_path):
                pytest.fail("two owners")
        assert [event.kind for event in read_log(tmp_path)] == ["run.epoch", "note"]
        assert verify_log(tmp_path).ok
    async with open_log(tmp_path) as log:  # a killed owner holds nothing
        assert log.epoch == 2


async def make(directory: Path, events: int = 300) -> str:
    async with open_log(directory) as log:
        for number in range(events):
            log.enqueue("note", "root", {"text": "y" * 200, "n": number})
    return log.head


async def refused(directory: Path) -> LogDamaged:
    before = (directory / "run.db").read_bytes()
    with pytest.raises(LogDamaged) as caught:
        async with open_log(directory):
            pytest.fail("opened")
    assert caught.value.exit_code == 74
    assert (directory / "run.db").read_bytes() == before
    assert not verify_log(directory).ok
    return caught.value


@pytest.mark.parametrize("place", [0.0, 0.2, 0.4, 0.6, 0.8, 0.97])
async def test_a_corrupted_page(tmp_path: Path, place: float) -> None:
    await make(tmp_path)
    data = bytearray((tmp_path / "run.db").read_bytes())
    page = int(len(data) // 4096 * place) * 4096
    data[page : page + 4096] = bytes(byte ^ 0xA5 for byte in data[page : page + 4096])
    (tmp_path / "run.db").write_bytes(data)
    await refused(tmp_path)


@pytest.mark.parametrize("left", [0, 1, 100, 4096, 8192, 40_000])
async def test_a_truncated_file(tmp_path: Path, left: int) -> None:
    await make(tmp_path)
    os.truncate(tmp_path / "run.db", left)
    await refused(tmp_path)


async def test_a_missing_database_beside_its_write_ahead_log(tmp_path: Path) -> None:
    (tmp_path / "run.db-wal").write_bytes(b"x" * 100)
    with pytest.raises(LogDamaged, match="-wal"):
        async with open_log(tmp_path):
            pytest.fail("opened")


async def test_a_changed_event_is_named(tmp_path: Path) -> None:
    await make(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "run.db")) as database, database:
        database.execute("UPDATE events SET body = ? WHERE seq = 7", (json.dumps({"text": "other"}),))
    assert (await refused(tmp_path)).seq == 7


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    await make(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "run.db")) as database:
        database.execute("PRAGMA user_version = 9")
    for attempt in (lambda: list(read_log(tmp_path)), lambda: anyio.run(make, tmp_path)):
        with pytest.raises(LogTooNew, match="version 9") as caught:
            await anyio.to_thread.run_sync(attempt)
        assert (caught.value.found, caught.value.supported, caught.value.exit_code) == (9, 1, 2)
    assert not verify_log(tmp_path).ok


@pytest.mark.parametrize(
    "extra", ["CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM events; END", "CREATE VIEW v AS SELECT 1"]
)
async def test_a_schema_with_more_in_it_is_refused(tmp_path: Path, extra: str) -> None:
    await make(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "run.db")) as database:
        database.execute(extra)
    assert "laid out" in (await refused(tmp_path)).reason


async def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(LogUnusable) as caught:
        async with open_log(Path("/proc/antiphon")):
            pytest.fail("opened")
    assert caught.value.exit_code == 74
    (tmp_path / "file").write_text("")
    with pytest.raises(LogUnusable):
        async with open_log(tmp_path / "file"):
            pytest.fail("opened")


async def test_read_only_media_can_be_read_and_verified(small_disk: Path) -> None:
    head = await make(small_disk, 50)
    await anyio.run_process(["mount", "-o", "remount,ro", str(small_disk)])
    assert len(list(read_log(small_disk))) == 51
    assert verify_log(small_disk, head).ok
    with pytest.raises(LogUnusable, match="Read-only"):
        async with open_log(small_disk):
            pytest.fail("opened")


@pytest.mark.parametrize("name", ["run.db", "run.db-wal", "run.db.new"])
async def test_database_files_that_are_links_are_not_followed(tmp_path: Path, name: str) -> None:
    outside, run = tmp_path / "outside", tmp_path / "run"
    run.mkdir()
    outside.write_bytes(b"precious")
    (run / name).symlink_to(outside)
    with pytest.raises(LogDamaged, match="plain file"):
        async with open_log(run):
            pytest.fail("opened")
    assert outside.read_bytes() == b"precious"


@pytest.mark.parametrize("kind", ["link", "pipe"])
async def test_a_lock_that_is_no_plain_file(tmp_path: Path, kind: str) -> None:
    outside, run = tmp_path / "outside", tmp_path / "run"
    run.mkdir()
    outside.write_bytes(b"precious")
    (run / "lock").symlink_to(outside) if kind == "link" else os.mkfifo(run / "lock")
    with pytest.raises(LogUnusable, match="lock"):
        async with open_log(run):
            pytest.fail("opened")
    assert outside.read_bytes() == b"precious"
