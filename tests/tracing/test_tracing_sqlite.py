"""The log in a directory: order, durability, sharing, reading, ending."""

import os
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from antiphon.tracing import (
    LogBusy,
    LogClosed,
    LogMissing,
    NetworkFilesystem,
    Redactor,
    SqliteLog,
    open_log,
    read_log,
    verify_log,
)
from antiphon.tracing.database import Database

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]


def kinds(directory: Path) -> list[str]:
    return [event.kind for event in read_log(directory)]


async def test_a_log_begins_with_its_epoch(tmp_path: Path) -> None:
    async with open_log(tmp_path / "run", clock=lambda: 5.0) as log:
        stamp = await log.append("run.opened", "", {"run": "r1"})
        assert (stamp.seq, stamp.at, log.epoch) == (2, 5.0, 1)
    epoch, opened = read_log(tmp_path / "run")
    assert epoch.kind == "run.epoch"
    assert (epoch.data["epoch"], epoch.data["pid"], epoch.data["version"]) == (1, os.getpid(), "0.1.0")
    assert opened.data == {"run": "r1"}
    assert opened.hash == log.head


async def test_a_closed_log_is_one_file_and_reading_leaves_nothing_behind(tmp_path: Path) -> None:
    async with open_log(tmp_path) as log:
        await log.append("note", "", {"text": "x"})
        assert (tmp_path / "run.db-wal").exists()
    names = {"run.db", "lock"}
    assert set(os.listdir(tmp_path)) == names
    assert kinds(tmp_path) == ["run.epoch", "note"]
    assert verify_log(tmp_path, log.head).ok
    assert set(os.listdir(tmp_path)) == names


async def test_reopening_gives_the_history_and_goes_on(tmp_path: Path) -> None:
    async with open_log(tmp_path) as log:
        await log.append("note", "root/a", {"n": 1})
        assert len(log.events()) == 0
    before = tuple(read_log(tmp_path))
    async with open_log(tmp_path) as again:
        await again.append("note", "root/b", {"n": 2})
        assert tuple(again.events()) == before
        assert again.events()[1:] == before[1:]
        assert again.events()[-1] == before[-1]
        assert again.epoch == 2
    assert [event.seq for event in read_log(tmp_path)] == [1, 2, 3, 4]
    assert verify_log(tmp_path, again.head).ok


async def test_an_append_that_returned_can_be_read_by_others(tmp_path: Path) -> None:
    async with open_log(tmp_path) as log:
        for number in range(3):
            stamp = await log.append("note", "", {"n": number})
            last = list(read_log(tmp_path))[-1]
            assert (last.seq, last.data, last.hash) == (stamp.seq, {"n": number}, log.head)


async def test_what_was_enqueued_is_durable_before_what_comes_later(tmp_path: Path) -> None:
    async with open_log(tmp_path) as log:
        for number in range(200):
            log.enqueue("state", "", {"n": number})
        await log.append("note", "", {})
        assert [event.data["n"] for event in read_log(tmp_path) if event.kind == "state"] == list(range(200))
        log.enqueue("state", "", {"n": 200})
        await log.flush()
        assert kinds(tmp_path)[-1] == "state"
        await log.flush()
        log.enqueue("state", "", {"n": 201})
    assert kinds(tmp_path)[-1] == "state"
    assert len(kinds(tmp_path)) == 204


async def test_many_writers_share_commits(tmp_path: Path) -> None:
    async with open_log(tmp_path) as log, anyio.create_task_group() as tasks:

        async def write(writer: int) -> None:
            for number in range(20):
                await log.append("note", f"root/{writer}", {"n": number})

        for writer in range(100):
            tasks.start_soon(write, writer)
    events = list(read_log(tmp_path))
    assert len(events) == 2001
    for writer in range(100):
        mine = [event.data["n"] for event in events if event.path == f"root/{writer}"]
        assert mine == list(range(20))
    assert verify_log(tmp_path, log.head) == verify_log(tmp_path)


async def test_a_cancelled_append_still_ends_durable(tmp_path: Path) -> None:
    async with open_log(tmp_path) as log:
        with anyio.CancelScope() as scope:
            scope.cancel()
            stamp = await log.append("note", "", {"text": "kept"})
            assert list(read_log(tmp_path))[-1].seq == stamp.seq
            await checkpoint()
            pytest.fail("the cancellation was swallowed")
        assert scope.cancelled_caught


async def test_cancelling_the_whole_run_keeps_what_was_enqueued(tmp_path: Path) -> None:
    with anyio.CancelScope() as scope:
        async with open_log(tmp_path) as log:
            for number in range(50):
                log.enqueue("note", "", {"n": number})
            scope.cancel()
            await checkpoint()
    assert scope.cancelled_caught
    assert len(kinds(tmp_path)) == 51
    assert set(os.listdir(tmp_path)) == {"run.db", "lock"}


async def test_an_error_of_the_block_comes_out_as_it_is(tmp_path: Path) -> None:
    async def fail(error: Exception) -> None:
        async with open_log(tmp_path) as log:
            log.enqueue("note", "", {})
            raise error

    with pytest.raises(ZeroDivisionError):
        await fail(ZeroDivisionError())
    with pytest.raises(ExceptionGroup) as caught:
        await fail(ExceptionGroup("mine", [ValueError("a"), ValueError("b")]))
    assert caught.value.message == "mine"
    assert kinds(tmp_path) == ["run.epoch", "note", "run.epoch", "note"]


async def test_nothing_is_taken_after_the_end(tmp_path: Path) -> None:
    async with open_log(tmp_path) as log:
        pass
    with pytest.raises(LogClosed):
        log.enqueue("note", "", {})


async def test_a_second_owner_is_refused_also_in_the_same_process(tmp_path: Path) -> None:
    async with open_log(tmp_path):
        with pytest.raises(LogBusy, match=f"process {os.getpid()}") as caught:
            async with open_log(tmp_path):
                pytest.fail("two owners")
    assert (caught.value.pid, caught.value.exit_code) == (os.getpid(), 2)
    async with open_log(tmp_path) as log:
        assert log.epoch == 2


async def test_network_file_systems_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(NetworkFilesystem, match="nfs4"):
        async with open_log(tmp_path / "run", filesystem_probe=lambda path: "nfs4"):
            pytest.fail("opened")
    assert not (tmp_path / "run").exists()


async def test_secrets_never_reach_the_file(tmp_path: Path) -> None:
    secret = 'pa"ss\\wo\nrd'
    async with open_log(tmp_path, redactor=Redactor({"DB_PASSWORD": secret})) as log:
        await log.append("note", f"root/{secret}", {"text": f"<{secret}>", "url": "https://me:hunter2@host/x"})
        content = b"".join((tmp_path / name).read_bytes() for name in os.listdir(tmp_path))
    content += (tmp_path / "run.db").read_bytes()
    for trace in (b"wo\nrd", b"wo\\nrd", b"hunter2"):
        assert trace not in content
    note = list(read_log(tmp_path))[-1]
    assert (note.path, note.data["text"]) == ("root/[secret:DB_PASSWORD]", "<[secret:DB_PASSWORD]>")


@pytest.mark.parametrize(("full", "expected"), [(False, 0), (True, 1)])
def test_the_settings_that_durability_rests_on(tmp_path: Path, full: bool, expected: int) -> None:
    database = Database(tmp_path, full_fsync=full)
    assert database.settings == {
        "journal_mode": "wal",
        "synchronous": 2,
        "fullfsync": expected,
        "checkpoint_fullfsync": expected,
        "user_version": 1,
    }
    database.close()


async def test_reading_a_directory_without_a_log(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(LogMissing, match=r"run\.db"):
            list(read_log(directory))


async def test_a_long_log_is_read_while_it_grows(tmp_path: Path) -> None:
    async with open_log(tmp_path) as log:
        for number in range(2500):
            log.enqueue("note", "", {"n": number})
        await log.flush()
        reader = read_log(tmp_path)
        first = [next(reader) for _ in range(10)]
        await log.append("note", "", {"n": 2500})
        assert len(first) + len(list(reader)) == 2502


async def test_a_reader_goes_on_when_the_owner_comes_back(tmp_path: Path) -> None:
    async with open_log(tmp_path) as log:
        for number in range(1500):
            log.enqueue("note", "", {"n": number})
    reader = read_log(tmp_path)
    next(reader)
    async with open_log(tmp_path) as again:
        await again.append("note", "", {"n": 1500})
        assert len(list(reader)) == 1502


async def test_watchers_hear_what_is_written(tmp_path: Path) -> None:
    heard: list[str] = []
    async with open_log(tmp_path) as log:
        assert isinstance(log, SqliteLog)
        log.watch(lambda kind, path, at, data: heard.append(kind))
        await log.append("note", "", {})
    assert heard == ["note"]


async def test_strange_directory_names(tmp_path: Path) -> None:
    directory = tmp_path / "a b?c#d%20é'\udcff"
    async with open_log(directory) as log:
        await log.append("note", "", {})
    assert kinds(directory) == ["run.epoch", "note"]
