"""`antiphon why`: who says it, who disputes it, on what evidence, in which context; from the log alone."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from antiphon.subagents.records import (
    Actor,
    Fact,
    FactKey,
    Finding,
    FindingKey,
    Link,
    Record,
    Resolution,
    Verdict,
    author_verdict,
    file_span,
)
from antiphon.tracing import Json
from antiphon.tracing.database import Database
from antiphon.tracing.log import Row, encode
from antiphon.workflows.cli import main
from antiphon.workflows.report import About, json_report
from antiphon.workflows.report.tree import Tree
from antiphon.workflows.synthesis import synthesize
from antiphon.workflows.why import NotFound, account_of, find, read_run

Antiphon = Callable[..., tuple[int, str, str]]
Told = tuple[str, str, Mapping[str, Json]]

RUFF = Actor(tool="ruff", version="0.12.1", lens="security", lineage="bandit")
VULTURE = Actor(tool="vulture", version="2.14", lens="dead-code", lineage="vulture")
LOOK = Actor(tool="antiphon", lens="second-look", lineage="antiphon/precondition")
OTHER = Actor(tool="other", lineage="other")
CODE = b"import os\n\nrun(x, shell=True)\n"


def finding(actor: Actor = RUFF, path: str = "a.py", **changes: object) -> Finding:
    content: dict[str, object] = {
        "record": "claim",
        "sort": "finding",
        "key": FindingKey(path=path, rule="bandit:B602", symbol="f"),
        "rule": "S602",
        "title": "shell",
        "text": "`shell=True` identified",
        "severity": "high",
        "severity_by": "antiphon",
        "actor": actor,
        "evidence": (file_span("a.py", [b"run(x, shell=True)\n"], 3),),
        "line": 3,
        "end_line": 3,
    }
    return Finding.model_validate(content | changes)


FOUND = finding()
REFUTES = Verdict(record="verdict", of=FOUND.id, stance="refute", actor=LOOK, method="precondition", reason="constant")
AGAINST = Verdict(record="verdict", of=REFUTES.id, stance="refute", actor=OTHER, method="trace", reason="it is not")


def call(path: str, records: list[Any], *, name: str = "ruff-security", **more: Json) -> list[Told]:
    """A call from its beginning to its end."""
    label: dict[str, Json] = {"call": "agent", "name": name, "hash": f"h{path}", "phase": "analyse", "covers": ["a.py"]}
    given: dict[str, Json] = {"task": "Look for security", "frames": ["f1"]}
    written: list[Json] = [record if isinstance(record, dict) else record.to_json() for record in records]
    spent: dict[str, Json] = {"tool_calls": 1, "agent_calls": 1}
    return [
        ("call.started", path, {**label, **given, **more}),
        ("call.ended", path, {**label, "kind": "succeeded", "value": None, "spent": spent, "records": written}),
    ]


def begin(target: str = "tree") -> list[Told]:
    return [
        ("run.epoch", "", {"epoch": 1}),
        ("run.opened", "", {"workflow": "audit", "manifest": {}, "arguments": {"path": target}}),
        ("run.started", "", {"epoch": 1, "workflow": "audit"}),
        ("frame", "", {"frame": "f1", "value": {"note": "a frame"}}),
        ("branch.started", "main/1", {"construct": "parallel", "items": 2, "phase": "analyse"}),
    ]


END: list[Told] = [("run.ended", "", {"kind": "completed", "reason": "", "spent": {}})]
USUAL = [
    *begin(),
    *call("main/1/0/0", [FOUND, REFUTES, AGAINST]),
    *call("main/1/1/0", [finding(VULTURE)], name="vulture"),
    *END,
]


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


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The audited tree."""
    root = tmp_path / "tree"
    root.mkdir()
    (root / "a.py").write_bytes(CODE)
    return root


def test_a_place_tells_who_says_it_who_disputes_it_and_in_which_context(
    home: Path, antiphon: Antiphon, tree: Path
) -> None:
    write_run(home, USUAL)
    code, out, err = antiphon("why", "last", "a.py:3", "--tree", str(tree))
    assert (code, err) == (0, "")
    for words in [
        "high bandit:B602 shell at a.py in f: ",
        "said by ruff and vulture (2 independent groups)",
        "ruff security, 0.12.1, lineage bandit at line 3: `shell=True` identified; high by antiphon",
        "evidence a.py:3 as it was",
        "antiphon second-look refutes (precondition): constant (refuted); verdict ",
        "other refutes (trace): it is not; verdict ",
        "from call main/1/0/0 agent ruff-security: succeeded in 1.0 s, cost 1 agent call, 1 tool call",
        "inside workflow audit, phase analyse, main/1 parallel, main/1/0, answering for 1 unit",
        "task Look for security",
        '{"note": "a frame"}',
        "disagreements",
    ]:
        assert words in out, words


def test_without_a_claim_what_matters_is_listed_with_ids_that_can_be_asked_for(home: Path, antiphon: Antiphon) -> None:
    low = finding(path="b.py", severity="low")
    write_run(home, [*begin(), *call("main/1/0/0", [low, FOUND]), *END])
    code, out, _ = antiphon("why", "last")
    lines = out.splitlines()
    assert code == 0
    assert [line.split()[1:4] for line in lines] == [["high", "unverified", "a.py:3"], ["low", "unverified", "b.py:3"]]
    code, out, _ = antiphon("why", "last", lines[0].split()[0])
    assert code == 0
    assert out.startswith("high bandit:B602 shell at a.py")


def test_nothing_recorded_is_said(home: Path, antiphon: Antiphon) -> None:
    write_run(home, [*begin(), *END])
    assert antiphon("why", "last") == (0, "the run recorded no claims that are not set aside\n", "")


def test_ids_of_every_sort_are_found_by_their_beginning(home: Path) -> None:
    link = Link(record="link", a=FOUND.id, b=REFUTES.id, relation="different", actor=OTHER)
    key = FactKey(subject="s", attribute="a")
    fact = Fact(record="claim", sort="fact", key=key, value=1, text="", actor=RUFF)
    again = Resolution(record="resolution", of=FOUND.id, index=0, state="false", actor=LOOK, reason="gone")
    run = read_run(write_run(home, [*begin(), *call("main/1/0/0", [FOUND, REFUTES, fact, link, again]), *END]))
    sorts: set[str] = set()
    for id in [*run.records, *(c.id for c in run.synthesis.conflicts), *(c.id for c in run.synthesis.facts)]:
        (found,) = [one for one in _found(run, id[:20]) if one.id == id]
        sorts.add(found.sort)
        content = account_of(run, found).to_json()
        assert content["id"] == id
        assert json.dumps(content)
    assert sorts == {"claim", "verdict", "link", "resolution", "conflict", "cluster"}


def _found(run: Any, wanted: str) -> list[Any]:
    found = find(run, wanted)
    assert not isinstance(found, NotFound)
    return found


def test_a_verdict_is_told_with_what_it_is_about_and_what_is_said_of_it(home: Path, antiphon: Antiphon) -> None:
    run = read_run(write_run(home, USUAL))
    (id,) = [id for id, record in run.records.items() if isinstance(record, Verdict) and record.reason == "constant"]
    code, out, _ = antiphon("why", "last", id)
    assert code == 0
    assert "antiphon second-look refutes (precondition): constant (refuted)" in out
    assert "other refutes (trace): it is not" in out
    about = out.partition("it is about\n")[2]
    assert "ruff security" in about.splitlines()[0]


def test_one_claim_is_told_with_the_others_of_its_cluster(home: Path, antiphon: Antiphon) -> None:
    run = read_run(write_run(home, USUAL))
    (id,) = [id for id, record in run.records.items() if record.branch == "main/1/1/0"]
    code, out, _ = antiphon("why", "last", id[:8])
    assert code == 0
    assert out.index("vulture dead-code, 2.14") < out.index("others say the same") < out.index("ruff security, 0.12.1")


def test_what_the_author_says_is_a_verdict_of_the_author(home: Path, antiphon: Antiphon) -> None:
    write_run(home, [*begin(), *call("main/1/0/0", [FOUND, author_verdict(FOUND, "nosec")]), *END])
    _, out, _ = antiphon("why", "last", "a.py:3")
    assert "refuted, 1 of 1 set aside by the code's author" in out
    assert "the code's author refutes (nosec): a nosec comment in the source sets it aside" in out


def test_json_is_one_object_that_holds_it_all(home: Path, antiphon: Antiphon, tree: Path) -> None:
    write_run(home, USUAL)
    code, out, _ = antiphon("why", "last", "a.py:3", "--json", "--tree", str(tree))
    content = json.loads(out)
    assert code == 0
    assert (content["sort"], content["workflow"]) == ("cluster", "audit")
    assert len(content["records"]) == 2
    first = content["records"][0]
    assert first["evidence"][0]["state"] == "true"
    assert first["call"]["task"] == "Look for security"
    assert first["call"]["frames"] == [{"note": "a frame"}]
    assert [around["path"] for around in content["branches"]["main/1/0/0"]] == ["main", "main/1", "main/1/0"]
    code, out, _ = antiphon("why", "last", "--json")
    assert json.loads(out)["found"] == [{"sort": "cluster", "id": content["id"]}]


def test_evidence_is_read_again(home: Path, tree: Path) -> None:
    run = read_run(write_run(home, USUAL))
    (found,) = _found(run, "a.py:3")

    def state(root: Path | None) -> tuple[str, str]:
        piece = account_of(run, found, Tree(root) if root else None).records[0].evidence[0]
        return piece.state, piece.reason

    assert state(tree) == ("true", "")
    assert state(None) == ("unchecked", "no tree to look at; give it with --tree DIR")
    (tree / "a.py").write_bytes(CODE.replace(b"x,", b"y,"))
    assert state(tree) == ("false", "these lines are different now")
    (tree / "a.py").write_bytes(b"x\n")
    assert state(tree) == ("false", "the file ends at line 1 now")
    (tree / "a.py").unlink()
    assert state(tree) == ("unchecked", "the file cannot be read where it was")


def test_a_run_from_elsewhere_reads_no_file_that_it_names(home: Path, antiphon: Antiphon, tree: Path) -> None:
    """Its log says where the tree is, and anybody may have written that."""
    write_run(home, [*begin(str(tree)), *call("main/1/0/0", [FOUND]), *END])
    _, out, _ = antiphon("why", "last", "a.py:3")
    assert "evidence a.py:3 not checked: no tree to look at" in out


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("zzz", "holds nothing called 'zzz'"),
        ("ffffffffffff", "holds nothing called"),
        ("a.py:9", "did you mean a.py:3?"),
        ("b.py", "did you mean a.py?"),
        ("", "holds nothing called"),
        ("x" * 5000, "holds nothing called"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is_near(home: Path, antiphon: Antiphon, typed: str, said: str) -> None:
    write_run(home, USUAL)
    code, out, err = antiphon("why", "last", typed)
    assert (code, out) == (2, "")
    assert said in err
    assert "antiphon why last lists what matters with ids" in err


def test_a_beginning_that_fits_several_ids_is_answered_with_them(home: Path, antiphon: Antiphon) -> None:
    many = [finding(path=f"{n}.py") for n in range(600)]
    run = read_run(write_run(home, [*begin(), *call("main/1/0/0", many), *END]))
    starts = [id[:4] for id in [*run.records, *(cluster.id for cluster in run.synthesis.clusters)]]
    shared = next((start for start in starts if starts.count(start) > 1), None)
    assert shared is not None, "1,200 ids share four characters somewhere, and these are always the same"
    code, out, err = antiphon("why", "last", shared)
    assert (code, out) == (2, "")
    assert f"'{shared}' fits 2 ids: " in err


def test_records_of_an_older_version_are_read(home: Path, antiphon: Antiphon) -> None:
    """Before verdicts there was a field on the finding, and no version knows how it was given."""
    old = {**FOUND.to_json(), "suppressed": "noqa"}
    label: dict[str, Json] = {"call": "agent", "name": "ruff", "hash": "h"}
    told: list[Told] = [
        *begin(),
        ("call.started", "main/1/0/0", label),
        ("call.ended", "main/1/0/0", {**label, "kind": "succeeded", "records": [old], "spent": {}}),
        *END,
    ]
    write_run(home, told)
    _, out, _ = antiphon("why", "last", "a.py:3")
    assert "the code's author refutes (noqa)" in out
    assert "the log does not hold what it was given; all of that has the hash h" in out


def test_what_a_resume_took_over_is_told_at_its_new_place_and_once(home: Path, antiphon: Antiphon) -> None:
    told = [*begin(), *call("main/1/0/0", [FOUND])]
    seq = len(told)
    label: dict[str, Json] = {"call": "agent", "name": "ruff-security", "hash": "hmain/1/0/0"}
    told += [
        ("run.epoch", "", {"epoch": 2}),
        ("run.started", "", {"epoch": 2, "workflow": "audit"}),
        ("call.reused", "main/2/0/0", {**label, "source": "main/1/0/0", "seq": seq, "kind": "succeeded"}),
        *END,
    ]
    run = read_run(write_run(home, told))
    assert [record.branch for record in run.records.values()] == ["main/2/0/0"]
    _, out, _ = antiphon("why", "last", "a.py:3")
    assert "taken by a resume from main/1/0/0" in out
    assert "task Look for security" in out


def test_what_an_attempt_left_and_the_last_one_did_not_use_is_not_told(home: Path) -> None:
    told = [*begin(), *call("main/1/0/0", [FOUND]), ("run.epoch", "", {"epoch": 2})]
    told += [("run.started", "", {"epoch": 2, "workflow": "audit"}), *call("main/3/0", [finding(path="b.py")])]
    paused: Told = ("run.ended", "", {"kind": "paused", "reason": "", "spent": {}})
    assert {r.branch for r in read_run(write_run(home, [*told, *END], "whole")).records.values()} == {"main/3/0"}
    assert len(read_run(write_run(home, [*told, paused], "paused")).records) == 2


def test_a_cleaned_run_is_told_from_its_report(home: Path, antiphon: Antiphon) -> None:
    first, second = FOUND.recorded_by("main/1/0/0"), finding(VULTURE).recorded_by("main/1/1/0")
    again: list[Record] = [first, second, REFUTES.model_copy(update={"of": first.id})]
    directory = write_run(home, [("run.cleaned", "", {"workflow": "audit", "kept": []})])
    report = json_report(synthesize(again, {}), About(target="tree"))
    (directory / "report.json").write_text(report)
    run = read_run(directory)
    assert run.records == {record.id: record for record in again}
    code, out, _ = antiphon("why", "last", "a.py:3")
    assert code == 0
    assert out.startswith("this run was cleaned: what follows is what its report.json holds, and the calls are gone\n")
    assert "antiphon second-look refutes (precondition): constant" in out
    (directory / "report.json").write_text("[" * 100_000)
    assert antiphon("why", "last", "a.py:3")[0] == 2


def test_a_real_run_is_explained(tmp_path: Path, antiphon: Antiphon) -> None:
    workflow = tmp_path / "flow.py"
    workflow.write_text(
        """
from antiphon.subagents.records import Actor, Finding, FindingKey
from antiphon.workflows.script import agent, function_agent, parallel, synthesize

manifest = {"name": "two", "roles": ["calm", "strict"]}


def found(reader, severity):
    key = FindingKey(path="app.py", rule="no-auth", symbol="delete")
    return Finding(record="claim", sort="finding", key=key, rule="no-auth", title="no check", text=reader,
                   severity=severity, severity_by=reader, actor=Actor(tool=reader), line=12)


@function_agent("calm")
async def calm(task, ctx):
    ctx.records.add(found("calm", "low"))


@function_agent("strict")
async def strict(task, ctx):
    ctx.records.add(found("strict", "high"))


async def main():
    await parallel([agent("Read", role="calm", context=["be calm"]), agent("Read", role="strict")])
    return len(synthesize().clusters)
"""
    )
    assert antiphon("run", str(workflow))[0] == 0
    code, out, _ = antiphon("why", "last", "app.py:12")
    assert code == 0
    assert "said by calm and strict (2 independent groups)" in out
    assert '"be calm"' in out
    assert "no frames: it saw only its task" in out
    assert "severity: " in out
