"""`antiphon clean`: what is bulky goes, a tombstone stays that carries on the chain, and nothing else is touched."""

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from antiphon.tracing import BlobStore, Json, read_log
from antiphon.tracing.database import Database
from antiphon.tracing.log import Row, encode
from antiphon.tracing.ownership import Ownership
from antiphon.workflows.cli import main
from antiphon.workflows.places import list_runs

Antiphon = Callable[..., tuple[int, str, str]]
NAMES = ("20260101-000000-aaaa", "20260102-000000-bbbb", "20260103-000000-cccc")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where runs live."""
    return tmp_path / ".antiphon" / "runs"


@pytest.fixture
def antiphon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Antiphon:
    """The command line in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def typed(*words: str) -> tuple[int, str, str]:
        code = main(words)
        said = capfd.readouterr()
        return code, said.out, said.err

    return typed


def make_run(home: Path, name: str = NAMES[0], kind: str = "completed", at: float = 1.7e9) -> str:
    """A run with a blob, a patch and a report; its head."""
    directory = home / name
    directory.mkdir(parents=True)
    (directory / "control").mkdir()
    (directory / "patches").mkdir()
    (directory / "patches" / "one.patch").write_text("x" * 5000)
    (directory / "report.md").write_text("# a report\n")
    blob = BlobStore(directory).put(b"large" * 10_000)
    facts: list[tuple[str, str, dict[str, Json]]] = [
        ("run.epoch", "", {"epoch": 1}),
        ("run.opened", "", {"workflow": "demo"}),
        ("run.started", "", {"epoch": 1}),
        ("call.started", "main/0", {"call": "agent", "name": "worker", "hash": "h"}),
        ("call.ended", "main/0", {"call": "agent", "name": "worker", "hash": "h", "kind": "succeeded", "blob": blob}),
        ("report", "", {"name": "report.md", "sha256": sha256(b"# a report\n").hexdigest()}),
    ]
    if kind:
        calls: Json = {"": {"planned": 1, "succeeded": 1}}
        facts.append(("run.ended", "", {"kind": kind, "reason": "", "spent": {"usd": 5}, "calls": calls, "value": 42}))
    database = Database(directory, full_fsync=False)
    head = database.commit([Row(n, at + n, k, p, encode(k, p, d)) for n, (k, p, d) in enumerate(facts, start=1)])
    database.close()
    return head


def files_in(directory: Path) -> set[str]:
    """The names in a run."""
    return {entry.name for entry in directory.iterdir()}


def test_a_cleaned_run_still_verifies_with_the_head_of_old(antiphon: Antiphon, home: Path) -> None:
    head = make_run(home)
    code, out, err = antiphon("clean", "--yes")
    assert (code, out) == (0, "")
    assert "cleaned 1 run, " in err
    assert files_in(home / NAMES[0]) == {"control", "lock", "report.md", "run.db"}
    assert [event.kind for event in read_log(home / NAMES[0])] == ["run.cleaned", "report"]
    code, out, _ = antiphon("verify", "last", "--head", head)
    assert code == 0
    assert f"of 7 events the last 2 are kept, and should end in the head {head}" in out
    assert antiphon("verify", "last")[0] == 0
    assert antiphon("verify", "last", "--head", "0" * 64)[0] == 1


def test_a_cleaned_run_is_still_shown_and_listed(antiphon: Antiphon, home: Path) -> None:
    make_run(home)
    antiphon("clean", "--yes")
    code, out, _ = antiphon("show", "last")
    assert code == 0
    assert "demo  completed" in out
    assert "removed: 5 events, 1 blob (50.0 KB), 1 patch (5.0 KB)" in out
    assert "1 succeeded" in out
    assert json.loads(antiphon("show", "last", "--json")[1])["value"] == 42
    assert antiphon("runs")[1].endswith("demo  1 succeeded  0.000000005 usd  cleaned\n")
    code, _, err = antiphon("resume", "last")
    assert code == 2
    assert "was cleaned on" in err


@pytest.mark.parametrize("change", ["replace(body, '42', '43')", 'replace(body, \'completed\', \'failed"""""\')'])
def test_an_edited_tombstone_is_found_out(antiphon: Antiphon, home: Path, change: str) -> None:
    head = make_run(home)
    antiphon("clean", "--yes")
    with closing(sqlite3.connect(home / NAMES[0] / "run.db", isolation_level=None)) as connection:
        connection.execute(f"UPDATE events SET body = {change} WHERE seq = 1")
    code, out, _ = antiphon("verify", "last", "--head", head)
    assert code == 1
    assert "problem" in out


def test_a_forged_tombstone_is_found_out_by_the_head(antiphon: Antiphon, home: Path) -> None:
    """Whoever rewrites the tombstone with a whole new chain cannot make its kept words end in the old head."""
    head = make_run(home)
    antiphon("clean", "--yes")
    directory = home / NAMES[0]
    told = next(event for event in read_log(directory) if event.kind == "run.cleaned").data
    forged = json.loads(json.dumps(told).replace("42", "43"))
    for name in ("run.db", "run.db-wal", "run.db-shm"):
        (directory / name).unlink(missing_ok=True)
    database = Database(directory, full_fsync=False)
    database.commit([Row(1, 1.0, "run.cleaned", "", encode("run.cleaned", "", forged))])
    database.close()
    code, out, _ = antiphon("verify", "last", "--head", head)
    assert code == 1
    assert "the kept event 7 does not fit what it says" in out


def test_a_changed_report_is_found_after_cleaning(antiphon: Antiphon, home: Path) -> None:
    make_run(home)
    antiphon("clean", "--yes")
    (home / NAMES[0] / "report.md").write_text("# another report\n")
    code, out, _ = antiphon("verify", "last")
    assert code == 1
    assert "'report.md' was changed" in out


def test_what_stays(antiphon: Antiphon, home: Path) -> None:
    """Saved runs, live runs, runs that can be resumed, and the newest; only a name cleans what can be resumed."""
    for name, kind in zip(NAMES, ("completed", "paused", ""), strict=True):
        make_run(home, name, kind)
    (home / NAMES[0] / "saved").touch()
    assert antiphon("clean", "--yes")[2] == "nothing to clean\n"
    assert antiphon("clean", "--yes", NAMES[0])[0] == 2
    owner = Ownership(home / NAMES[1])
    code, _, err = antiphon("clean", "--yes", NAMES[1])
    owner.release()
    assert code == 2
    assert "is in use by process" in err
    assert [len(list(read_log(place.directory))) for place in list_runs(home)] == [7, 7, 6]
    code, _, err = antiphon("clean", "--yes", NAMES[1])
    assert code == 0
    assert "paused  demo  it can no longer be resumed then" in err


def test_keep_and_older_than(antiphon: Antiphon, home: Path) -> None:
    for day, name in enumerate(NAMES):
        make_run(home, name, at=1.7e9 + day * 86_400)
    chosen = json.loads(antiphon("clean", "--keep", "1", "--dry-run", "--json")[1])["cleaned"]
    assert [run["run"] for run in chosen] == list(NAMES[:2])
    assert json.loads(antiphon("clean", "--older-than", "100000", "--dry-run", "--json")[1])["cleaned"] == []
    assert all((place.directory / "blobs").exists() for place in list_runs(home))


def test_nobody_to_ask(antiphon: Antiphon, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(home)
    with open("/dev/null") as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        code, _, err = antiphon("clean")
    assert code == 2
    assert "next: antiphon clean --yes" in err
    assert (home / NAMES[0] / "blobs").exists()


def test_a_damaged_run_is_kept_as_it_is(antiphon: Antiphon, home: Path) -> None:
    make_run(home)
    with closing(sqlite3.connect(home / NAMES[0] / "run.db", isolation_level=None)) as connection:
        connection.execute("UPDATE events SET path = 'main/1' WHERE seq = 4")
    before = (home / NAMES[0] / "run.db").read_bytes()
    code, _, err = antiphon("clean", "--yes")
    assert code == 74
    assert "is damaged at event 4" in err
    assert (home / NAMES[0] / "run.db").read_bytes() == before
    assert (home / NAMES[0] / "blobs").exists()


def test_leaked_temporary_files_go(antiphon: Antiphon, home: Path) -> None:
    make_run(home, kind="paused")
    run = home / NAMES[0]
    leaked = [run / "run.db.new", run / "blobs" / ".new-1-x", run / "control" / ".half", home / "never-began"]
    (leaked[-1] / "control").mkdir(parents=True)
    for file in leaked[:-1]:
        file.touch()
    for place in leaked:
        os.utime(place, (1.0, 1.0))
    (run / "control" / "0.json").write_text("{}")
    told = json.loads(antiphon("clean", "--yes", "--json")[1])
    assert sorted(told["left_over"]) == sorted(map(str, leaked))
    assert not any(place.exists() for place in leaked)
    assert (run / "control" / "0.json").exists()
    assert (run / "blobs").exists()


def test_links_in_a_foreign_run_are_never_followed(antiphon: Antiphon, home: Path, tmp_path: Path) -> None:
    make_run(home)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    patches = home / NAMES[0] / "patches"
    (patches / "one.patch").unlink()
    (patches / "inside").symlink_to(precious)
    (home / NAMES[1]).symlink_to(precious)
    (home / NAMES[0] / "blobs").rename(tmp_path / "blobs")
    (home / NAMES[0] / "blobs").symlink_to(precious)
    antiphon("clean", "--yes")
    assert (precious / "file").exists()
    assert not patches.exists()
    assert not (home / NAMES[0] / "blobs").is_symlink()


def test_cleaning_twice_changes_nothing(antiphon: Antiphon, home: Path) -> None:
    head = make_run(home)
    antiphon("clean", "--yes")
    first = list(read_log(home / NAMES[0]))
    assert antiphon("clean", "--yes", NAMES[0])[0] == 0
    assert list(read_log(home / NAMES[0])) == first
    assert antiphon("verify", "last", "--head", head)[0] == 0
