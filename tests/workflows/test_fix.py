"""A fix, from the report to the patch: real tools in real workspaces and a real sandbox; only the model is a double."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.corpus.box import (
    CASE,
    CODE,
    PROJECT,
    REPORT,
    TESTED,
    USUAL,
    WRONG,
    agrees,
    changed,
    objects,
    plan,
    project,
    shown,
    write,
)
from tests.corpus.driving import Team
from tests.corpus.fixing import fixing

from antiphon.tracing import verify_log
from antiphon.workflows.fix.words import (
    CODE_MARK,
    CRITICISE_MARK,
    DIAGNOSE_MARK,
    REFINE_MARK,
    REPRODUCE_MARK,
)

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]


@pytest.fixture(autouse=True)
def state_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


async def test_a_bug_becomes_a_test_and_a_patch_and_the_project_stays_as_it_is(tmp_path: Path) -> None:
    root = project(tmp_path)
    done = await fixing(root, REPORT, client=Team(USUAL), run=tmp_path / "run", quality="tests")
    assert (done.result.status, done.exit_code, done.result.reason) == ("fixed", 0, ""), done.ended.result
    assert done.result.reproduction.cases == (CASE,)
    assert done.result.wrong == "The index is one too many."
    assert "+    return items[len(items) - 1]" in done.patch()
    assert "+class Last(" in done.patch()
    assert "items" not in done.patch("reproduction")
    assert {name: (root / name).read_text() for name in PROJECT} == PROJECT
    assert {str(file.relative_to(root)) for file in root.rglob("*") if file.is_file()} == set(PROJECT)
    found = json.loads((done.directory / "report.json").read_text())
    assert found["result"]["tries"][0]["patches"]
    assert len(found["synthesis"]["claims"]) == len(found["result"]["tries"][0]["patches"])
    assert {one["method"] for one in found["synthesis"]["verdicts"].values()} == {"tests and checks", "critic"}
    assert "failed before" in (done.directory / "report.md").read_text()
    assert verify_log(done.directory, done.ended.head).ok


async def test_a_wrong_patch_is_refined_and_what_was_tried_is_told(tmp_path: Path) -> None:
    right = write("box.py", CODE.replace("items[len(items)]", "items[-1]"))
    team = Team({**USUAL, CODE_MARK: (WRONG, changed()), REFINE_MARK: (right, changed(cause="It counted from 1."))})
    done = await fixing(project(tmp_path), REPORT, client=team, run=tmp_path / "run", quality="tests")
    assert (done.result.status, done.exit_code) == ("fixed", 0)
    (tried,) = done.result.tries
    assert [one.act for one in tried.rounds] == ["code", "check", "criticise", "refine", "check", "criticise"]
    assert tried.rounds[1].said == f"should pass now and fails: {CASE}"
    assert done.result.wrong == "It counted from 1."
    (asked, *_) = team.asked(REFINE_MARK)
    prompt = "\n".join(message.text for message in asked.messages)
    assert "items[len(items) - 2]" in prompt, "the refiner sees the change"
    assert "one less" not in prompt, "and nothing of the conversation that it came from"


@pytest.mark.long
async def test_a_critic_that_objects_to_the_end_leaves_the_fix_degraded(tmp_path: Path) -> None:
    again = write("box.py", CODE.replace("items[len(items)]", "items[-1]"))
    team = Team({**USUAL, CRITICISE_MARK: (objects("the empty list"),), REFINE_MARK: (again, changed())})
    done = await fixing(project(tmp_path), REPORT, client=team, run=tmp_path / "run", quality="tests", rounds=2)
    assert (done.result.status, done.exit_code) == ("degraded", 3)
    assert done.result.reason == "the critic objects: the empty list"
    assert done.patch()


@pytest.mark.long
async def test_what_cannot_be_shown_is_mended_and_said_to_be_unshown(tmp_path: Path) -> None:
    team = Team({**USUAL, REPRODUCE_MARK: (TESTED[0], shown(impossible="It is a race."))})
    done = await fixing(project(tmp_path), REPORT, client=team, run=tmp_path / "run", quality="tests")
    assert (done.result.status, done.exit_code) == ("degraded", 3)
    assert done.result.reason == "no test shows the bug (It is a race.)"
    assert "+class Last(" not in done.patch(), "what the tester left is not in the patch"
    assert "+    return items[len(items) - 1]" in done.patch()


async def test_an_infeasible_bug_is_reported_with_the_evidence(tmp_path: Path) -> None:
    team = Team({**USUAL, DIAGNOSE_MARK: (plan(infeasible="It is in the kernel."),)})
    done = await fixing(project(tmp_path), REPORT, client=team, run=tmp_path / "run", quality="tests")
    assert (done.result.status, done.exit_code) == ("failed", 1)
    assert "It is in the kernel." in done.result.reason
    assert not done.patch()
    assert "It is in the kernel." in (done.directory / "report.md").read_text()


@pytest.mark.long
async def test_tests_that_are_touched_to_pass_are_no_fix(tmp_path: Path) -> None:
    cheat = write("tests/test_last.py", "import unittest\n")
    team = Team({**USUAL, CODE_MARK: (cheat, changed()), CRITICISE_MARK: (agrees(),)})
    done = await fixing(project(tmp_path), REPORT, client=team, run=tmp_path / "run", quality="tests", rounds=1)
    assert (done.result.status, done.exit_code) == ("failed", 1)
    assert "the test file tests/test_last.py was changed" in done.result.tries[0].reasons
    assert not done.patch()


def test_the_roles_are_told_apart_by_the_first_words_of_their_tasks() -> None:
    from antiphon.workflows.fix import words

    tasks = [words.diagnose(), words.replan(), words.command(), words.reproduce(), words.reproduce_again()]
    tasks += [words.code(reproduced=True), words.code(reproduced=False), words.criticise(), words.refine()]
    marks = [getattr(words, name) for name in dir(words) if name.endswith("_MARK")]
    assert all(sum(mark in task for mark in marks) == 1 for task in tasks)
