"""`show`, `runs` and `verify` on runs of every kind: whole, live, killed, damaged, newer, foreign."""

import json
import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from antiphon.engine import read_journal
from antiphon.tracing import Json, read_log
from antiphon.tracing.database import Database
from antiphon.tracing.log import Row, encode
from antiphon.tracing.ownership import Ownership
from antiphon.workflows.cli import main
from antiphon.workflows.cli.telling import read_story

Antiphon = Callable[..., tuple[int, str, str]]
Told = tuple[str, str, Mapping[str, Json]]

BEGIN: list[Told] = [
    ("run.epoch", "", {"epoch": 1}),
    ("run.opened", "", {"workflow": "demo", "manifest": {"limits": {"usd": "2", "agent_calls": None}}}),
    ("run.started", "", {"epoch": 1, "workflow": "demo"}),
]


def call(path: str, *, name: str = "worker", phase: str = "", sort: str = "agent") -> Told:
    """A call that began."""
    return "call.started", path, {"call": sort, "name": name, "hash": f"h{path}", "phase": phase}


def ended(path: str, kind: str = "succeeded", reason: str = "", **more: Json) -> Told:
    """A call that ended."""
    facts: dict[str, Json] = {"call": "agent", "name": "worker", "hash": f"h{path}", "kind": kind, "reason": reason}
    return "call.ended", path, {**facts, **more}


def write_run(home: Path, told: list[Told], name: str = "20260101-000000-aaaa") -> Path:
    """A run whose log tells this, one event a second."""
    directory = home / name
    directory.mkdir(parents=True)
    database = Database(directory, full_fsync=False)
    rows = [
        Row(seq, 1_700_000_000.0 + seq, kind, path, encode(kind, path, data))
        for seq, (kind, path, data) in enumerate(told, start=1)
    ]
    database.commit(rows)
    database.close()
    return directory


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where runs live."""
    return tmp_path / ".antiphon" / "runs"


@pytest.fixture
def antiphon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Antiphon:
    """The command line in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def typed(*words: str) -> tuple[int, str, str]:
        code = main(words)
        said = capfd.readouterr()
        return code, said.out, said.err

    return typed


def fan_out(count: int, failing: int) -> list[Told]:
    """A fan-out in a phase, of whose calls some fail."""
    told: list[Told] = [
        ("phase.started", "main", {"title": "find"}),
        ("branch.started", "main/0", {"construct": "parallel", "items": count, "phase": "find"}),
    ]
    for item in range(count):
        path = f"main/0/{item}/0"
        told.append(call(path, phase="find"))
        told.append(ended(path, "failed", f"broke {item}", category="task") if item < failing else ended(path))
    return [*told, ("branch.ended", "main/0", {"kind": "succeeded"}), ("phase.ended", "main", {"title": "find"})]


def finished(kind: str = "degraded", **more: Json) -> Told:
    """The ending."""
    return "run.ended", "", {"kind": kind, "reason": "it was so", "spent": {"usd": 0}, **more}


def test_a_large_fan_out_is_folded_failures_first(antiphon: Antiphon, home: Path) -> None:
    write_run(home, [*BEGIN, *fan_out(100, 11), finished()])
    code, out, _ = antiphon("show", "last")
    lines = out.splitlines()
    assert code == 0
    assert "├─" not in lines[0]
    tree = lines[lines.index(next(line for line in lines if line.startswith("◌ main"))) :]
    assert tree[1] == "└─ phase find  89 succeeded, 11 failed"
    assert tree[2].startswith("   └─ ◌ 0 parallel of 100  89 succeeded, 11 failed")
    assert tree[3].startswith("      ├─ ✗ 0 worker  failed (task)  1.0 s  broke 0")
    assert len(tree) == 12
    assert tree[-1] == "      └─ … 92 more: 89 succeeded, 3 failed"


def test_one_branch_is_shown_whole(antiphon: Antiphon, home: Path) -> None:
    write_run(home, [*BEGIN, *fan_out(30, 1), finished()])
    _, out, _ = antiphon("show", "last", "--branch", "main/0")
    assert len(out.splitlines()) == 31
    code, _, err = antiphon("show", "last", "--branch", "main/7")
    assert code == 2
    assert "there is no main/7; below main there is 0" in err


def test_critics_are_drawn_below_what_they_judged(antiphon: Antiphon, home: Path) -> None:
    told: list[Told] = [
        ("branch.started", "main/0", {"construct": "parallel", "items": 2}),
        *(call(f"main/0/{item}/0", name="coder") for item in (0, 1)),
        *(call(f"main/0/0/0/{number}", name="critic") for number in (0, 1)),
        *(ended(f"main/0/0/0/{number}", name="critic") for number in (0, 1)),
        ended("main/0/0/0", name="coder"),
        ended("main/0/1/0", name="coder"),
        ("branch.ended", "main/0", {"kind": "succeeded"}),
    ]
    write_run(home, [*BEGIN, *told, finished()])
    lines = antiphon("show", "last")[1].splitlines()
    drawn = [(line.index(name), name) for line in lines for name in ("coder", "critic") if f" {name} " in f"{line} "]
    assert [name for _, name in drawn] == ["coder", "critic", "critic", "coder"]
    assert drawn[0][0] < drawn[1][0] == drawn[2][0] > drawn[3][0]
    assert "critic" not in antiphon("show", "last", "--depth", "2")[1]


def test_what_a_replayed_call_made_itself_is_not_called_lost(antiphon: Antiphon, home: Path) -> None:
    told: list[Told] = [
        *(call("main/0"), call("main/0/0", name="critic"), ended("main/0/0", name="critic"), ended("main/0")),
        ("run.epoch", "", {"epoch": 2}),
        ("run.started", "", {"epoch": 2, "workflow": "demo"}),
        ("call.reused", "main/0", {"call": "agent", "name": "worker", "kind": "succeeded", "source": "main/0"}),
    ]
    write_run(home, [*BEGIN, *told, finished()])
    out = antiphon("show", "last")[1]
    assert "reused" in out
    assert "critic" in out
    assert "not reached again" not in out


def test_the_depth_can_be_limited(antiphon: Antiphon, home: Path) -> None:
    write_run(home, [*BEGIN, *fan_out(3, 0), finished()])
    tree = [line for line in antiphon("show", "last", "--depth", "0")[1].splitlines() if "main" in line]
    assert len(tree) == 1


def test_json_has_everything(antiphon: Antiphon, home: Path) -> None:
    told: list[Told] = [
        *fan_out(3, 1),
        ("decision", "main/0", {"decision": "cut short", "ordinal": 0, "value": {"why": "until"}}),
        ("budget", "", {"top_up": {"usd": 1_000_000_000}}),
        ("note", "main", {"text": "hello"}),
    ]
    directory = write_run(home, [*BEGIN, *told, finished(census={"find": {"planned": 3}}, value=[1])])
    facts: dict[str, Any] = json.loads(antiphon("show", "last", "--json")[1])
    assert facts["state"] == "degraded"
    assert facts["calls"] == {"failed": 1, "succeeded": 2}
    assert facts["decisions"] == [{"path": "main/0", "decision": "cut short", "value": {"why": "until"}}]
    assert facts["limits"] == {"usd": {"spent": 0, "limit": 3_000_000_000}}
    assert facts["notes"] == [{"path": "main", "text": "hello"}]
    assert facts["census"] == {"find": {"planned": 3}}
    assert facts["value"] == [1]
    assert facts["head"] == list(read_log(directory))[-1].hash
    fan = facts["tree"]["children"][0]
    assert (fan["path"], fan["sort"], fan["items"], len(fan["children"])) == ("main/0", "parallel", 3, 3)


def test_what_was_in_flight_at_a_kill(antiphon: Antiphon, home: Path) -> None:
    told: list[Told] = [
        call("main/0"),
        ("attempt.started", "main/0", {"attempt": 1, "sort": "model", "name": "m", "reserved": {"usd": 500_000_000}}),
        call("main/1", name="deploy", sort="step"),
    ]
    write_run(home, [*BEGIN, *told])
    _, out, _ = antiphon("show", "last")
    assert "demo  interrupted" in out
    assert "cut off   main/0 agent worker" in out
    assert "cut off   main/1 step deploy" in out
    assert "estimated 0.5 usd" in out
    assert "2 cut off" in out
    assert "limit     0.5 of 2 usd" in out


def test_a_resumed_run_says_what_it_reused(antiphon: Antiphon, home: Path) -> None:
    again: list[Told] = [
        ("run.epoch", "", {"epoch": 2}),
        ("run.started", "", {"epoch": 2, "workflow": "demo"}),
        (
            "call.reused",
            "main/0",
            {"call": "agent", "name": "worker", "hash": "hmain/0", "kind": "succeeded", "source": "main/0"},
        ),
        (
            "call.reused",
            "main/5",
            {"call": "agent", "name": "worker", "hash": "hmain/1", "kind": "failed", "source": "main/1"},
        ),
        call("main/3"),
        ended("main/3"),
    ]
    first = [call("main/0"), ended("main/0"), call("main/1"), ended("main/1", "failed", "no", category="schema")]
    write_run(home, [*BEGIN, *first, *again, finished("completed", saved={"usd": 7})])
    _, out, _ = antiphon("show", "last")
    assert "2 attempts" in out
    assert "reused    2 calls replayed; 1 performed; 1 found at another place; saved 0.000000007 usd" in out
    assert "✗ 5 worker  failed (schema)  1.0 s  reused  no" in out
    assert "not reached again since attempt 1" in out


def test_a_live_run_is_read_while_it_is_written(antiphon: Antiphon, home: Path) -> None:
    directory = write_run(home, [*BEGIN, call("main/0")])
    owner = Ownership(directory)
    try:
        database = Database(directory, full_fsync=False)
        database.commit([Row(5, 1.0, "note", "main", encode("note", "main", {"text": "in the wal"}))])
        _, out, _ = antiphon("show", "last")
        assert "demo  running in process" in out
        assert "in flight main/0 agent worker" in out
        assert "in the wal" in out
        assert json.loads(antiphon("runs", "--json")[1])[0]["state"] == "running"
        assert antiphon("verify", "last")[0] == 0
        database.close()
    finally:
        owner.release()


def corrupt(directory: Path, statement: str) -> None:
    """Change a log behind its back."""
    with closing(sqlite3.connect(directory / "run.db", isolation_level=None)) as connection:
        connection.execute(statement)


def test_an_edited_log_is_shown_and_found_out(antiphon: Antiphon, home: Path) -> None:
    directory = write_run(home, [*BEGIN, *fan_out(3, 0), finished()])
    corrupt(directory, "UPDATE events SET body = replace(body, 'it was so', 'it was not') WHERE kind = 'run.ended'")
    assert antiphon("show", "last")[0] == 0
    code, out, _ = antiphon("verify", "last")
    assert code == 1
    assert out.startswith("changed  20260101-000000-aaaa: 1 problem in 14 events\n  event 14: its hash does not fit")
    facts = json.loads(antiphon("verify", "last", "--json")[1])
    assert (facts["ok"], facts["problems"][0]["event"]) == (False, 14)


def test_a_log_cut_short_is_found_out_with_the_head(antiphon: Antiphon, home: Path) -> None:
    directory = write_run(home, [*BEGIN, *fan_out(3, 0), finished()])
    head = list(read_log(directory))[-1].hash
    assert antiphon("verify", "last", "--head", head.upper())[0] == 0
    corrupt(directory, "DELETE FROM events WHERE seq > 12")
    assert antiphon("verify", "last")[0] == 0
    code, out, _ = antiphon("verify", "last", "--head", head)
    assert code == 1
    assert "the head is not the one given" in out


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE events SET body = '{' WHERE seq = 6",
        "UPDATE events SET body = '[]' WHERE seq = 6",
        "UPDATE events SET body = x'00ff' WHERE seq = 6",
        "UPDATE events SET hash = 'text' WHERE seq = 6",
        "UPDATE events SET at = 1e999 WHERE seq = 6",
        "UPDATE events SET kind = 'call.ended', body = '{}' WHERE seq = 6",
        'UPDATE events SET kind = \'run.ended\', body = \'{"kind": [], "calls": 3, "spent": "x", "pending": []}\'',
        "UPDATE events SET path = replace(hex(zeroblob(5000)), '00', 'main/')",
        "DELETE FROM events",
        "DROP TABLE events",
        "PRAGMA writable_schema = ON",
    ],
)
def test_damage_never_makes_a_traceback(antiphon: Antiphon, home: Path, damage: str) -> None:
    directory = write_run(home, [*BEGIN, *fan_out(3, 1), finished()])
    corrupt(directory, damage)
    for typed in (["show", "last"], ["show", "last", "--json"], ["runs"], ["runs", "--json"], ["verify", "last"]):
        code, _, err = antiphon(*typed)
        assert code in (0, 1, 2, 74), typed
        assert "bug in antiphon" not in err, (typed, err)


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_log(antiphon: Antiphon, home: Path, content: bytes) -> None:
    directory = home / "20260101-000000-bbbb"
    directory.mkdir(parents=True)
    (directory / "run.db").write_bytes(content)
    assert antiphon("runs")[0] == 0
    code, out, err = antiphon("show", "last")
    assert code in (0, 74)
    assert "damaged" in out + err
    assert antiphon("verify", "last")[0] == 1


def test_a_truncated_file(antiphon: Antiphon, home: Path) -> None:
    directory = write_run(home, [*BEGIN, *fan_out(300, 0), finished()])
    whole = (directory / "run.db").read_bytes()
    (directory / "run.db").write_bytes(whole[: len(whole) // 2])
    code, out, _ = antiphon("show", "last")
    assert code == 0
    assert "damaged" in out
    assert antiphon("verify", "last")[0] == 1


def test_a_newer_log_is_not_called_changed(antiphon: Antiphon, home: Path) -> None:
    corrupt(write_run(home, BEGIN), "PRAGMA user_version = 99")
    for command in ("show", "verify"):
        code, _, err = antiphon(command, "last")
        assert code == 2
        assert "schema version 99" in err
        assert "next: pip install --upgrade antiphon" in err
    assert "newer" in antiphon("runs")[1]


def test_a_directory_from_elsewhere_by_its_path(antiphon: Antiphon, tmp_path: Path) -> None:
    directory = write_run(tmp_path / "mail", [*BEGIN, *fan_out(2, 0), finished()])
    (directory / "script.py").write_text("raise SystemExit('executed')")
    assert antiphon("show", str(directory))[0] == 0
    assert antiphon("verify", str(directory))[0] == 0
    assert antiphon("resume", str(directory))[0] == 2


def test_links_and_pipes_in_a_foreign_run_are_not_followed(antiphon: Antiphon, home: Path, tmp_path: Path) -> None:
    directory = write_run(home, [*BEGIN, finished()])
    os.mkfifo(directory / "lock")
    assert antiphon("show", "last")[0] == 0
    (directory / "run.db").rename(tmp_path / "elsewhere.db")
    (directory / "run.db").symlink_to(tmp_path / "elsewhere.db")
    assert antiphon("verify", "last")[0] == 1
    assert antiphon("runs")[0] == 0


def test_the_tree_adds_up_to_what_the_journal_says(home: Path) -> None:
    told: list[Told] = []
    for item in range(4):
        path = f"main/0/{item}/0"
        spent: dict[str, Json] = {"usd": 10 + item, "model_calls": 1}
        started: Told = ("attempt.started", path, {"attempt": 1, "reserved": {"usd": 50}})
        done: Told = ("attempt.ended", path, {"attempt": 1, "spent": spent, "estimated": False})
        told += [
            call(path),
            started,
            done,
            ended(path, own={"agent_seconds": 5}),
        ]
    directory = write_run(home, [*BEGIN, *told, finished()])
    assert read_story(directory).root.spent == read_journal(read_log(directory)).spent


def test_no_runs_yet(antiphon: Antiphon) -> None:
    code, out, err = antiphon("runs")
    assert (code, out) == (0, "")
    assert "no runs in" in err
    assert antiphon("runs", "--json")[1] == "[]\n"


def test_runs_lists_each_in_a_line(antiphon: Antiphon, home: Path) -> None:
    write_run(home, [*BEGIN, finished("completed", calls={"": {"planned": 2, "succeeded": 2}})], "20260101-000000-aaaa")
    (write_run(home, BEGIN, "20260102-000000-bbbb") / "saved").touch()
    first, second = antiphon("runs")[1].splitlines()
    assert first.startswith("20260101-000000-aaaa  completed    2023-11-1")
    assert first.endswith("2.0 s  demo  2 succeeded")
    assert "interrupted" in second
    assert second.endswith("saved")
