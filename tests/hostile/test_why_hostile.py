"""A run from anywhere is explained without executing, following or believing anything in it."""

import json
import os
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from antiphon.subagents.records import Actor, Finding, FindingKey, Verdict, file_span
from antiphon.tracing import Json
from antiphon.tracing.database import Database
from antiphon.tracing.log import Row, encode
from antiphon.workflows.cli import main
from antiphon.workflows.why import read_run

Antiphon = Callable[..., tuple[int, str, str]]
Told = tuple[str, str, Mapping[str, Json]]
EVIL = "\x1b[31m\x1b]0;owned\x07\u202e\n# x\u2028"
RUFF = Actor(tool=EVIL, version=EVIL, lens=EVIL, lineage=EVIL)


def finding(path: str = "a.py", **changes: object) -> Finding:
    content: dict[str, object] = {
        "record": "claim",
        "sort": "finding",
        "key": FindingKey(path=path, rule=EVIL, symbol=EVIL),
        "rule": EVIL,
        "title": EVIL,
        "text": EVIL,
        "severity": "high",
        "severity_by": EVIL,
        "actor": RUFF,
        "evidence": (file_span("../../etc/passwd", [b"x\n"], 3), file_span("/etc/passwd", [b"x\n"], 3)),
        "line": 3,
    }
    return Finding.model_validate(content | changes)


def write_run(home: Path, told: list[Told]) -> Path:
    directory = home / "20260101-000000-aaaa"
    directory.mkdir(parents=True)
    database = Database(directory, full_fsync=False)
    rows = [
        Row(seq, 1_700_000_000.0 + seq, kind, path, encode(kind, path, data))
        for seq, (kind, path, data) in enumerate(told, start=1)
    ]
    database.commit(rows)
    database.close()
    return directory


def ended(records: Json, path: str = "main/0", **more: Json) -> Told:
    return "call.ended", path, {"call": EVIL, "name": EVIL, "hash": EVIL, "kind": EVIL, "records": records, **more}


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


def test_nothing_that_a_run_says_acts_on_a_terminal(home: Path, antiphon: Antiphon, tmp_path: Path) -> None:
    found = finding()
    judged = Verdict(record="verdict", of=found.id, stance="refute", actor=RUFF, method=EVIL, reason=EVIL)
    started: Told = (
        "call.started",
        "main/0",
        {"call": EVIL, "name": EVIL, "hash": EVIL, "task": EVIL, "frames": [EVIL]},
    )
    branch: Told = ("branch.started", "main", {"construct": EVIL, "name": EVIL, "phase": EVIL})
    frame: Told = ("frame", "", {"frame": EVIL, "value": EVIL})
    told: list[Told] = [("run.opened", "", {"workflow": EVIL}), frame, branch, started]
    write_run(home, [*told, ended([found.to_json(), judged.to_json()], spent={EVIL: EVIL}, label=EVIL, phase=EVIL)])
    for words in (["last"], ["last", "a.py:3"], ["last", "a.py:3", "--tree", str(tmp_path)], ["last", EVIL]):
        _, out, err = antiphon("why", *words)
        bad = {c for c in out + err if c != "\n" and unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}
        assert not bad, bad


def test_evidence_outside_of_the_tree_is_never_read(home: Path, antiphon: Antiphon, tmp_path: Path) -> None:
    write_run(home, [ended([finding().to_json()])])
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_bytes(b"x\nx\nx\n")
    _, out, _ = antiphon("why", "last", "a.py:3", "--tree", str(inside))
    assert out.count("not checked: the file cannot be read where it was") == 2


BROKEN: list[Json] = [
    None,
    "records",
    {},
    [None, 1, "x", [], {}],
    [{"record": "claim"}, {"record": "claim", "suppressed": 5}, {"record": EVIL}],
    [{"record": "verdict", "of": "x"}],
    [{"record": "link", "a": None, "b": 3}],
]


@pytest.mark.parametrize("records", BROKEN, ids=str)
def test_records_that_are_none_are_counted_and_hide_no_others(home: Path, antiphon: Antiphon, records: Json) -> None:
    good = finding().to_json()
    mixed: list[Json] = [*records, good] if isinstance(records, list) else [good]
    run = read_run(write_run(home, [ended(records, "main/0"), ended(mixed, "main/1")]))
    assert [record.branch for record in run.records.values()] == ["main/1"]
    assert antiphon("why", "last", "a.py:3")[0] == 0


STRANGE: list[Told] = [
    ("call.started", "main/0", {}),
    ("call.reused", "main/0", {"seq": "x"}),
    ("call.reused", "main/0", {"seq": 10**30}),
    ("attempt.started", "main/0", {}),
    ("decision", "main/0", {"ordinal": []}),
    ("branch.started", "main/" * 3000, {"construct": 5}),
    ("branch.ended", "", {"kind": None}),
    ("run.opened", "", {"workflow": {"a": 1}, "arguments": [1]}),
    ("frame", "", {"frame": None, "blob": "../../etc/passwd"}),
    ("run.ended", "", {"kind": {"x": []}}),
    ("adopted", "main", {"children": 3}),
]


@pytest.mark.parametrize("event", STRANGE, ids=lambda event: str(event)[:40])
def test_events_that_no_antiphon_writes_hide_nothing(home: Path, antiphon: Antiphon, event: Told) -> None:
    write_run(home, [event, ended([finding().to_json()], "main/1")])
    code, out, _ = antiphon("why", "last", "a.py:3", "--json")
    assert code == 0
    assert json.loads(out)["sort"] == "cluster"


def test_verdicts_that_name_each_other_or_nobody_end(home: Path, antiphon: Antiphon) -> None:
    found = finding()
    judged: list[Any] = [Verdict(record="verdict", of=found.id, stance="refute", actor=RUFF, method="m")]
    for number in range(200):
        actor = Actor(tool=f"t{number}", lineage=f"t{number}")
        judged.append(Verdict(record="verdict", of=judged[-1].id, stance="refute", actor=actor, method="m"))
    judged.append(Verdict(record="verdict", of="0" * 64, stance="confirm", actor=RUFF, method="m"))
    write_run(home, [ended([found.to_json(), *(verdict.to_json() for verdict in judged)])])
    code, out, _ = antiphon("why", "last", "a.py:3")
    assert code == 0
    assert len(out) < 20_000


def test_blobs_are_not_followed_out_of_the_run_or_into_memory(home: Path, antiphon: Antiphon, tmp_path: Path) -> None:
    large, linked = "a" * 64, "b" * 64
    started: dict[str, Json] = {"call": "agent", "name": "x", "hash": "h", "task_blob": linked, "frames": ["f"]}
    told: list[Told] = [("frame", "", {"frame": "f", "blob": large}), ("call.started", "main/0", started)]
    directory = write_run(home, [*told, ended([finding().to_json()])])
    blobs = directory / "blobs"
    blobs.mkdir()
    secret = tmp_path / "secret"
    secret.write_text('"hunter2"')
    (blobs / linked).symlink_to(secret)
    with (blobs / large).open("wb") as file:
        os.truncate(file.fileno(), 2**33)
    code, out, _ = antiphon("why", "last", "a.py:3")
    assert code == 0
    assert "hunter2" not in out
    assert "task null" in out


def test_a_log_that_is_cut_is_told_as_far_as_it_goes(home: Path, antiphon: Antiphon) -> None:
    directory = write_run(home, [ended([finding().to_json()], "main/1"), ended([], "main/2")])
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(directory / "run.db")) as connection:
        connection.execute("UPDATE events SET body = 'x' WHERE seq = 2")
        connection.commit()
    code, out, _ = antiphon("why", "last", "a.py:3")
    assert code == 0
    assert out.startswith("damaged: ")
