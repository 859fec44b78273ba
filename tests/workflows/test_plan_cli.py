"""`antiphon plan` and `antiphon replan` as they are typed, with a model behind a server on loopback."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.corpus.planning import MARKS, Author, inputs, said_in, written
from tests.workflows.test_replan import FIRST, SECOND, SECOND_TESTS

from antiphon.subagents.model.contract import Completion, Request
from antiphon.subagents.testing import Answer, LoopbackServer
from antiphon.workflows.author.words import MEND, OUTLINE, SHAPE, WRITE
from antiphon.workflows.cli import main


class Everybody:
    """Author, assessor and worker behind one address."""

    def __init__(self, author: Author) -> None:
        self.author = author
        self.worked: list[str] = []

    def __call__(self, request: Request) -> Completion | Answer:
        said = said_in(request)
        if any(f"{mark}\n" in said for mark in MARKS):
            return self.author.answer(request)
        task = next(line for line in said.splitlines() if "give one word" in line or "Which language" in line)
        self.worked.append(task)
        return Answer({"word": "alien" if "file b.txt" in task else "alpha"})


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("STATE", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    project = inputs(tmp_path)
    (project / "b.txt").write_text("xyzzy", "utf-8")
    (project / ".git").mkdir()
    monkeypatch.chdir(project)
    return project


@pytest.fixture
def everybody() -> Everybody:
    return Everybody(Author({WRITE: [written(FIRST)], MEND: [written(FIRST)]}))


@pytest.fixture
def model(everybody: Everybody) -> Iterator[list[str]]:
    with LoopbackServer(lambda asked: everybody(asked.request)) as server:
        yield ["--model", f"compatible/scripted@{server.url}#tools,schema", "--price", "compatible/scripted=0/0"]


def commands(told: str) -> list[list[str]]:
    """The commands that a person is told to type next, as words after `antiphon`."""
    lines = [line.partition("next")[2].strip() for line in told.splitlines() if line.strip().startswith("next ")]
    return [shlex.split(line)[1:] for line in lines if line.startswith("antiphon ")]


@pytest.mark.long
def test_a_plan_is_run_planned_again_and_goes_on_by_the_commands_that_are_told(
    here: Path, everybody: Everybody, model: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "One word about each file", "--name", "words", "--plain", *model]) == 0
    told = capsys.readouterr()
    assert "Every file is a unit." in told.out
    assert ".antiphon/plans/words/script.py" in told.out
    check, run = commands(told.err)
    assert main([*check, "--json"]) == 0
    capsys.readouterr()
    assert run[-2] == "--approve"
    assert main([*run, "--plain", *model]) == 4
    told = capsys.readouterr()
    assert len(everybody.worked) == 2
    [again] = [words for words in commands(told.err) if words[0] == "replan"]
    everybody.author.moves[WRITE] = [written(SECOND, SECOND_TESTS)]
    assert main([*again, "--plain", *model]) == 0
    told = capsys.readouterr()
    [_, resume] = commands(told.err)
    assert resume[0] == "resume"
    assert resume[2].startswith("--approve=")
    assert main([*resume[:2], "--plain", *model]) == 2, "the new version needs its own approval"
    assert "approve" in capsys.readouterr().err
    assert main([*resume, "--json", *model]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["value"]["language"] == "alpha"
    assert main(["show", resume[1]]) == 0
    assert f"a fork of {again[1]}, with the script of the plan words-v2" in capsys.readouterr().out
    assert (len(everybody.worked), found["reuse"]["performed"]) == (3, 1)


def test_a_script_that_fails_is_not_told_to_be_run(
    here: Path, everybody: Everybody, model: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    broken = written("import os\n" + FIRST)
    everybody.author.moves |= {WRITE: [broken], MEND: [broken]}
    assert main(["plan", "One word about each file", "--plain", "--json", *model]) == 1
    told = capsys.readouterr()
    value = json.loads(told.out)["value"]
    assert (value["state"], value["name"]) == ("failed", "one-word-about-each-file")
    assert "came twice" in value["reason"]
    assert not any(words[0] == "run" for words in commands(told.err))
    assert not list((here / ".antiphon" / "plans").rglob("*.py"))


def test_what_a_model_says_reaches_a_terminal_as_text(
    here: Path, everybody: Everybody, model: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\u202e reason"
    everybody.author.moves |= {
        SHAPE: [{"shape": "script", "reason": evil, "rejected": [{"way": evil, "why": evil}]}],
        OUTLINE: [{"rationale": evil, "units": evil, "done": evil, "stages": [{"phase": evil, "does": evil}]}],
        WRITE: [written(FIRST, risks=evil, arguments={"match": ["\x1b[31m$(touch owned)"]})],
    }
    assert main(["plan", "One word about each file", "--name", "words", "--plain", *model]) == 0
    told = capsys.readouterr()
    assert "\x1b" not in told.out + told.err
    assert "\u202e" not in told.out + told.err
    report = next((here / ".antiphon" / "runs").glob("*/report.md")).read_text("utf-8")
    assert "\x1b" not in report


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["plan", " ", "--model", "file:box"], "the task is empty"),
        (["plan", "a task", "--model", "file:box", "--path", "nowhere"], "does not exist"),
        (["plan", "a task", "--model", "file:box", "--name", "../up"], "cannot be a plan's name"),
        (["plan", "a task"], "no model answers the role 'author'"),
        (["plan", "a task", "--model", "openai/gpt-4o-mini"], "--budget 2usd holds it"),
        (["plan", "a task", "--model", "file:box", "--rounds", "99"], "--rounds"),
        (["replan", "nothing", "--model", "file:box"], "there is no run"),
    ],
)
def test_what_cannot_be_planned_is_refused_before_anything_begins(
    typed: list[str], said: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(typed) == 2
    assert said in capsys.readouterr().err
    assert not (here / ".antiphon").exists()
