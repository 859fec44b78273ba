"""Finding what was changed afterwards, whoever did it and however clever."""

import contextlib
import json
import os
import random
import sqlite3
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antiphon.tracing import BlobDamaged, BlobStore, LogDamaged, Verification, open_log, read_log, verify_log
from antiphon.tracing.log import GENESIS, Row, chain

EVENTS = 12
Tamper = Callable[[sqlite3.Connection], object]


def record(directory: Path, extra: tuple[tuple[str, dict[str, str]], ...] = ()) -> str:
    async def run() -> str:
        async with open_log(directory, clock=lambda: 1000.25) as log:
            for number in range(EVENTS - 1):
                log.enqueue("note", f"root/{number}", {"text": f"number {number}"})
            for kind, data in extra:
                log.enqueue(kind, "", dict(data))
        return log.head

    return anyio.run(run)


def change(directory: Path, tamper: Tamper) -> None:
    with contextlib.closing(sqlite3.connect(directory / "run.db")) as database, database:
        tamper(database)


def rewritten(database: sqlite3.Connection) -> bool:
    """Forge every hash so that the chain holds again."""
    head = GENESIS
    for row in database.execute("SELECT seq, at, kind, path, body FROM events ORDER BY seq").fetchall():
        head = chain(head, Row(*row))
        database.execute("UPDATE events SET hash = ? WHERE seq = ?", (head, row[0]))
    return True


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, str]:
    directory = tmp_path_factory.mktemp("recorded")
    head = record(directory)
    return (directory / "run.db").read_bytes(), head


def test_an_untouched_run(tmp_path: Path) -> None:
    head = record(tmp_path)
    assert verify_log(tmp_path, head) == Verification(True, EVENTS, head, ())
    assert verify_log(tmp_path, f" {head.upper()}\n").ok


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seq=st.integers(1, EVENTS),
    column=st.sampled_from(["at", "kind", "path", "body", "hash", "seq"]),
    seed=st.integers(0, 2**32),
)
def test_any_single_edit_is_found(
    tmp_path: Path, recorded: tuple[bytes, str], seq: int, column: str, seed: int
) -> None:
    (tmp_path / "run.db").write_bytes(recorded[0])
    before = list(read_log(tmp_path))
    values: dict[str, object] = {
        "at": 1000.25 + 2.0 ** random.Random(seed).randint(-20, 20),
        "kind": "notE",
        "path": "elsewhere",
        "body": json.dumps({"text": seed}),
        "hash": random.Random(seed).randbytes(32),
        "seq": seq + EVENTS + seed % 1000,
    }
    change(
        tmp_path,
        lambda database: database.execute(f"UPDATE events SET {column} = ? WHERE seq = ?", (values[column], seq)),
    )
    found = verify_log(tmp_path)
    last_moved = column == "seq" and seq == EVENTS
    assert not found.ok
    assert found.problems[0][0] in {seq, seq + 1, values["seq"]}
    assert len(found.problems) <= 4, "one edit is named once, not everything after it"
    assert len(before) == EVENTS or last_moved


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.integers(1, EVENTS), last=st.integers(1, EVENTS))
def test_any_removal_inside_is_found_and_at_the_end_with_the_head(
    tmp_path: Path, recorded: tuple[bytes, str], first: int, last: int
) -> None:
    first, last = min(first, last), max(first, last)
    (tmp_path / "run.db").write_bytes(recorded[0])
    change(tmp_path, lambda database: database.execute("DELETE FROM events WHERE seq BETWEEN ? AND ?", (first, last)))
    assert verify_log(tmp_path).ok == (last == EVENTS), "without the head a cut end cannot be told"
    assert not verify_log(tmp_path, recorded[1]).ok


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pair=st.lists(st.integers(1, EVENTS), min_size=2, max_size=2, unique=True), whole=st.booleans())
def test_any_swap_is_found(tmp_path: Path, recorded: tuple[bytes, str], pair: list[int], whole: bool) -> None:
    (tmp_path / "run.db").write_bytes(recorded[0])
    one, two = pair

    def swap(database: sqlite3.Connection) -> None:
        columns = "at, kind, path, body" + (", hash" if whole else "")
        rows = {seq: database.execute(f"SELECT {columns} FROM events WHERE seq = ?", (seq,)).fetchone() for seq in pair}
        marks = ", ".join(f"{name} = ?" for name in columns.split(", "))
        database.execute(f"UPDATE events SET {marks} WHERE seq = ?", (*rows[one], two))
        database.execute(f"UPDATE events SET {marks} WHERE seq = ?", (*rows[two], one))

    change(tmp_path, swap)
    assert not verify_log(tmp_path).ok


def test_a_whole_new_chain_is_found_with_the_head_only(tmp_path: Path) -> None:
    head = record(tmp_path)

    def forge(database: sqlite3.Connection) -> None:
        database.execute("UPDATE events SET body = ? WHERE seq = 5", ('{"text": "never happened"}',))
        rewritten(database)

    change(tmp_path, forge)
    assert verify_log(tmp_path).ok
    found = verify_log(tmp_path, head)
    assert not found.ok
    assert "head" in found.problems[-1][1]


def test_an_insertion_is_found(tmp_path: Path) -> None:
    record(tmp_path)
    change(
        tmp_path,
        lambda database: database.execute(
            "INSERT INTO events SELECT 99, at, kind, path, body, hash FROM events WHERE seq = 3"
        ),
    )
    assert not verify_log(tmp_path).ok


def vouch(directory: Path, content: bytes = b"large value") -> str:
    digest = BlobStore(directory).put(content)
    (directory / "report.md").write_bytes(b"# Report")
    report = {"name": "report.md", "sha256": sha256(b"# Report").hexdigest()}
    record(directory, (("call.ended", {"blob": digest}), ("report", report)))
    return digest


def test_blobs_and_reports_are_covered(tmp_path: Path) -> None:
    digest = vouch(tmp_path)
    assert verify_log(tmp_path).ok
    (tmp_path / "report.md").write_bytes(b"# report")
    (tmp_path / "blobs" / digest).write_bytes(b"other value")
    assert [what for _, what in verify_log(tmp_path).problems] == [
        f"'blobs/{digest}' was changed",
        "'report.md' was changed",
    ]
    (tmp_path / "report.md").unlink()
    (tmp_path / "blobs" / digest).unlink()
    assert [seq for seq, _ in verify_log(tmp_path).problems] == [EVENTS + 1, EVENTS + 2]


def test_a_report_that_was_written_again_is_checked_as_it_was_last(tmp_path: Path) -> None:
    (tmp_path / "report.md").write_bytes(b"second")
    versions = [{"name": "report.md", "sha256": sha256(text).hexdigest()} for text in (b"first", b"second")]
    record(tmp_path, tuple(("report", version) for version in versions))
    assert verify_log(tmp_path).ok


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("report", {"name": "../secret", "sha256": "a" * 64}),
        ("report", {"name": "/etc/passwd", "sha256": "a" * 64}),
        ("report", {"name": "a\0b", "sha256": "a" * 64}),
        ("report", {"name": "", "sha256": "a" * 64}),
        ("report", {"name": "link", "sha256": sha256(b"secret").hexdigest()}),
        ("report", {"name": "linked/secret", "sha256": sha256(b"secret").hexdigest()}),
        ("report", {"name": "pipe", "sha256": "a" * 64}),
        ("report", {"name": "blobs", "sha256": "a" * 64}),
        ("report", {"name": "report.md", "sha256": "../" + "a" * 61}),
        ("report", {"name": "x" * 5000, "sha256": "a" * 64}),
        ("report", {"name": ["x"], "sha256": {}}),
        ("report", {}),
        ("call.ended", {"blob": "../../secret"}),
        ("call.ended", {"blob": 7}),
        ("call.ended", {"blob": None}),
        ("call.ended", {"blob": {"a": 1}}),
        ("call.ended", {"blob": "b" * 64}),
    ],
)
def test_files_out_of_reach_are_problems_and_are_not_followed(tmp_path: Path, kind: str, data: dict[str, str]) -> None:
    outside, run = tmp_path / "outside", tmp_path / "run"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (run / "blobs").mkdir(parents=True)
    (run / "link").symlink_to(outside / "secret")
    (run / "linked").symlink_to(outside)
    os.mkfifo(run / "pipe")
    record(run, ((kind, data),))
    found = verify_log(run)
    assert [seq for seq, _ in found.problems] == [EVENTS + 1]


def test_a_huge_sparse_blob_is_not_read(tmp_path: Path) -> None:
    digest = "c" * 64
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / digest).touch()
    os.truncate(tmp_path / "blobs" / digest, 2**40)
    record(tmp_path, (("call.ended", {"blob": digest}),))
    assert "cannot" not in verify_log(tmp_path).problems[0][1][:5]
    assert "4 GiB" in verify_log(tmp_path).problems[0][1]


HOSTILE: dict[str, Tamper] = {
    "blob for text": lambda d: d.execute("UPDATE events SET body = x'ff00' WHERE seq = 3"),
    "text that is no text": lambda d: d.execute("UPDATE events SET body = CAST(x'ff00' AS TEXT) WHERE seq = 3"),
    "text for time": lambda d: d.execute("UPDATE events SET at = 'noon' WHERE seq = 3"),
    "infinite time": lambda d: d.execute("UPDATE events SET at = 9e999 WHERE seq = 3"),
    "short hash": lambda d: d.execute("UPDATE events SET hash = x'00' WHERE seq = 3"),
    "number for hash": lambda d: d.execute("UPDATE events SET hash = 5 WHERE seq = 3"),
    "data is a list": lambda d: (d.execute("UPDATE events SET body = '[]' WHERE seq = 3"), rewritten(d)),
    "data is no JSON": lambda d: (d.execute("UPDATE events SET body = '{' WHERE seq = 3"), rewritten(d)),
    "data nests deeply": lambda d: (
        d.execute("UPDATE events SET body = ? WHERE seq = 3", ("[" * 200_000,)),
        rewritten(d),
    ),
    "a long number": lambda d: (d.execute("UPDATE events SET body = ? WHERE seq = 3", ("9" * 9000,)), rewritten(d)),
    "first number": lambda d: d.execute("INSERT INTO events VALUES (-9223372036854775808, 1.0, '', '', '', x'00')"),
    "last number": lambda d: d.execute("INSERT INTO events VALUES (9223372036854775807, 1.0, '', '', '', x'00')"),
    "larger than an event": lambda d: d.execute("UPDATE events SET body = hex(zeroblob(9000000)) WHERE seq = 3"),
    "a view": lambda d: (d.execute("DROP TABLE events"), d.execute("CREATE VIEW events AS SELECT 1")),
    "another table": lambda d: (d.execute("DROP TABLE events"), d.execute("CREATE TABLE events (seq, at)")),
    "no table": lambda d: d.execute("DROP TABLE events"),
    "version zero": lambda d: (d.execute("PRAGMA user_version = 0"), d.execute("DROP TABLE events")),
    "negative version": lambda d: (d.execute("PRAGMA user_version = -5"), d.execute("DELETE FROM events WHERE seq=2")),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_databases_are_problems_not_errors(tmp_path: Path, name: str) -> None:
    record(tmp_path)
    change(tmp_path, HOSTILE[name])
    assert not verify_log(tmp_path).ok

    async def own() -> None:
        async with open_log(tmp_path) as log:
            list(log.events())

    with pytest.raises(LogDamaged):
        anyio.run(own)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_broken_bytes_never_raise(tmp_path: Path, recorded: tuple[bytes, str], data: st.DataObject) -> None:
    content = bytearray(recorded[0])
    for _ in range(data.draw(st.integers(1, 20))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    (tmp_path / "run.db").write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    found = verify_log(tmp_path, recorded[1])
    events = found.ok and tuple(read_log(tmp_path))
    assert not events or events[-1].hash == recorded[1], "what passes with the head is the whole run"


@pytest.mark.parametrize("content", [b"", b"garbage", b"SQLite format 3\0" + b"\xff" * 5000, os.urandom(9000)])
def test_garbage(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.db").write_bytes(content)
    assert not verify_log(tmp_path).ok


def test_nothing_there(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "nowhere", Path("/dev/null"), tmp_path / ("x" * 300)):
        found = verify_log(directory)
        assert (found.ok, found.events) == (False, 0)


@pytest.mark.parametrize("name", ["run.db", "run.db-wal"])
def test_a_database_that_is_a_pipe_does_not_block(tmp_path: Path, name: str) -> None:
    if name != "run.db":
        record(tmp_path)
    os.mkfifo(tmp_path / name)
    assert "plain file" in verify_log(tmp_path).problems[0][1]


def test_many_problems_are_capped(tmp_path: Path) -> None:
    record(tmp_path, tuple(("report", {"name": f"missing{number}", "sha256": "a" * 64}) for number in range(1500)))
    assert len(verify_log(tmp_path).problems) == 1000


def test_blobs(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    digest = store.put(b"value")
    assert digest == store.put(b"value") == sha256(b"value").hexdigest()
    assert store.get(digest) == b"value"
    assert os.listdir(tmp_path / "blobs") == [digest]
    (tmp_path / "blobs" / digest).write_bytes(b"eulav")
    with pytest.raises(BlobDamaged, match="changed"):
        store.get(digest)
    assert store.put(b"value") == digest, "a damaged blob is replaced"
    assert store.get(digest) == b"value"
    for wrong in ("d" * 64, "../run.db", "", "D" * 64):
        with pytest.raises(BlobDamaged):
            store.get(wrong)
