"""What a fix does when something goes wrong: another plan, back to a good state, another way to run the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.corpus.box import (
    CASE,
    CODE,
    HEAD,
    NEW,
    PROJECT,
    REPORT,
    RIGHT,
    TESTED,
    USUAL,
    WRONG,
    agrees,
    call,
    changed,
    objects,
    plan,
    project,
    shown,
    write,
)
from tests.corpus.driving import Team
from tests.corpus.fixing import Fixing, fixing

from antiphon.subagents.model.contract import Request
from antiphon.subagents.testing import Answer
from antiphon.workflows.fix.results import TryResult
from antiphon.workflows.fix.words import (
    AGAIN_MARK,
    CODE_MARK,
    COMMAND_MARK,
    CRITICISE_MARK,
    DIAGNOSE_MARK,
    REFINE_MARK,
    REPLAN_MARK,
    REPRODUCE_MARK,
)

pytestmark = [pytest.mark.anyio, pytest.mark.real_time, pytest.mark.long]


@pytest.fixture(autouse=True)
def state_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


async def fixed(tmp_path: Path, team: Team, **more: Any) -> Fixing:
    root = project(tmp_path, more.pop("files", PROJECT))
    usual: dict[str, Any] = {"quality": "tests", "run": tmp_path / "run"}
    return await fixing(root, REPORT, client=team, **{**usual, **more})


def prompt(request: Request) -> str:
    return "\n".join(message.text for message in request.messages if message.role == "user")


def acts(one: TryResult) -> list[str]:
    return [each.act for each in one.rounds]


# --- the test that shows it -------------------------------------------------------------------------------------------


async def test_a_test_that_passes_or_breaks_others_is_sent_back_with_the_reason(tmp_path: Path) -> None:
    weak = HEAD + "class Last(unittest.TestCase):\n    def test_last(self):\n        self.assertTrue(box.last)\n"
    team = Team({**USUAL, REPRODUCE_MARK: (write("tests/test_last.py", weak), shown()), AGAIN_MARK: TESTED})
    done = await fixed(tmp_path, team)
    assert done.result.status == "fixed"
    (attempt,) = done.result.reproduction.attempts
    assert "no new case fails" in attempt
    assert "no new case fails" in prompt(team.asked(AGAIN_MARK)[0])


async def test_a_tester_that_mends_the_bug_or_edits_other_tests_is_told_so(tmp_path: Path) -> None:
    stray = write("box.py", CODE.replace("len(items)]", "len(items) - 1]"))
    other = write("tests/test_box.py", PROJECT["tests/test_box.py"].replace("[1, 2]), 1", "[3, 2]), 3"))
    back = (write("box.py", CODE), write("tests/test_box.py", PROJECT["tests/test_box.py"]), *TESTED)
    team = Team({**USUAL, REPRODUCE_MARK: (stray, other, *TESTED), AGAIN_MARK: back})
    done = await fixed(tmp_path, team)
    assert done.result.status == "fixed"
    (attempt,) = done.result.reproduction.attempts
    assert "you changed box.py, which is no test file" in attempt
    assert "you changed or took out lines of tests/test_box.py" in attempt


async def test_a_project_without_tests_gets_its_first(tmp_path: Path) -> None:
    first = (write("tests/__init__.py", ""), *TESTED)
    done = await fixed(tmp_path, Team({**USUAL, REPRODUCE_MARK: first}), files={"box.py": CODE})
    assert (done.result.status, done.result.base.command) == ("fixed", "")
    assert done.result.reproduction.cases == (CASE,)


async def test_without_any_way_to_run_tests_it_ends_before_a_try_and_says_so(tmp_path: Path) -> None:
    team = Team({**USUAL, REPRODUCE_MARK: (shown(impossible="I cannot."),)})
    done = await fixed(tmp_path, team, files={"box.py": CODE})
    assert (done.result.status, done.exit_code) == ("failed", 1)
    assert "nothing could be verified: no way to run tests was found" in done.result.reason
    assert team.asked(CODE_MARK) == []


# --- the environment --------------------------------------------------------------------------------------------------


async def test_a_test_command_that_is_not_there_is_replaced_by_one_that_was_found(tmp_path: Path) -> None:
    def chosen(request: Request) -> Answer:
        line = next(line for line in prompt(request).splitlines() if line.startswith("- ") and "unittest" in line)
        return Answer({"command": line.removeprefix("- "), "missing": ["nosuch"], "reason": "It is there."})

    done = await fixed(tmp_path, Team({**USUAL, COMMAND_MARK: (chosen,)}), test="nosuch --all")
    assert done.result.status == "fixed"
    note = done.result.notes[0]
    assert note.startswith("`nosuch --all` could not be run (status 127)")
    assert "is used instead" in note


async def test_where_no_other_command_is_chosen_it_says_what_is_missing(tmp_path: Path) -> None:
    none = Answer({"command": "", "missing": ["nosuch"], "reason": "None would do."})
    done = await fixed(tmp_path, Team({**USUAL, COMMAND_MARK: (none,)}), test="nosuch --all")
    assert (done.result.status, done.exit_code) == ("failed", 1)
    assert "`nosuch --all` could not be run" in done.result.reason
    assert any("missing: nosuch" in note for note in done.result.notes)


async def test_a_coder_without_what_it_needs_goes_on_with_another_way_to_run_the_tests(tmp_path: Path) -> None:
    def coder(request: Request) -> Any:
        if "what was tried and failed:" not in prompt(request):
            return changed(blocked="environment", evidence="there is no runner")
        return RIGHT if request.messages[-1].role == "user" else changed()

    make = Answer({"command": "make test", "reason": "It is there."})
    files = {**PROJECT, "Makefile": "test:\n\tpython3 -m unittest discover -v -s tests -t .\n"}
    done = await fixed(tmp_path, Team({**USUAL, CODE_MARK: (coder,), COMMAND_MARK: (make,)}), files=files)
    (tried,) = done.result.tries
    assert acts(tried) == ["code", "environment", "check", "backtrack", "code", "check", "criticise"]
    assert (done.result.status, tried.tests.command) == ("fixed", "make test"), done.result.reason
    assert not done.patch("try-1-held")


async def test_another_way_to_run_the_tests_that_leaves_out_the_one_that_shows_it_is_not_taken(tmp_path: Path) -> None:
    def coder(request: Request) -> Any:
        if "what was tried and failed:" not in prompt(request):
            return changed(blocked="environment", evidence="there is no runner")
        return WRONG if request.messages[-1].role == "user" else changed()

    make = Answer({"command": "make test", "reason": "It is there."})
    files = {**PROJECT, "Makefile": "test:\n\tpython3 -m unittest -v tests.test_box\n"}
    done = await fixed(tmp_path, Team({**USUAL, CODE_MARK: (coder,), COMMAND_MARK: (make,)}), files=files)
    assert (done.result.status, done.exit_code) == ("failed", 1)
    assert "with make test, nothing shows the bug" in done.result.reason


# --- wrong reasoning, bad plans ---------------------------------------------------------------------------------------


async def test_who_changes_nothing_is_asked_otherwise(tmp_path: Path) -> None:
    def coder(request: Request) -> Any:
        begun = "what was tried and failed:" in prompt(request)
        answered = sum(message.role == "assistant" for message in request.messages)
        return RIGHT if begun and not answered else changed()

    team = Team({**USUAL, CODE_MARK: (coder,)})
    done = await fixed(tmp_path, team)
    assert done.result.status == "fixed"
    assert acts(done.result.tries[0]) == ["code", "check", "backtrack", "code", "check", "criticise"]
    assert "nothing was changed" in prompt(team.asked(CODE_MARK)[-1])


async def test_a_coder_that_refutes_the_hypothesis_gets_another_plan(tmp_path: Path) -> None:
    def coder(request: Request) -> Any:
        if "Approach: the other" not in prompt(request):
            return changed(blocked="bad_plan", evidence="box.py:2 says otherwise")
        return RIGHT if request.messages[-1].role == "user" else changed()

    team = Team({**USUAL, CODE_MARK: (coder,), REPLAN_MARK: (plan("the other"),)})
    done = await fixed(tmp_path, team)
    assert done.result.status == "fixed"
    (tried,) = done.result.tries
    assert acts(tried) == ["code", "replan", "code", "check", "criticise"]
    assert tried.approach == "the other"
    assert "box.py:2 says otherwise" in prompt(team.asked(REPLAN_MARK)[0])


async def test_a_critic_with_another_approach_sends_the_coder_back_to_the_start(tmp_path: Path) -> None:
    def coder(request: Request) -> Any:
        if "Approach: count from the end" in prompt(request):
            return RIGHT if request.messages[-1].role == "user" else changed()
        return WRONG if request.messages[-1].role == "user" else changed()

    def critic(request: Request) -> Answer:
        wrong = "items[len(items) - 2]" in prompt(request)
        return objects("it is off", approach="count from the end") if wrong else agrees()

    done = await fixed(tmp_path, Team({**USUAL, CODE_MARK: (coder,), CRITICISE_MARK: (critic,)}))
    assert done.result.status == "fixed"
    assert acts(done.result.tries[0])[:4] == ["code", "check", "criticise", "backtrack"]
    assert "len(items) - 2" not in done.patch()


async def test_a_try_that_never_comes_further_ends_and_says_why(tmp_path: Path) -> None:
    team = Team({**USUAL, CODE_MARK: (WRONG, changed()), REFINE_MARK: (changed(),), REPLAN_MARK: (plan("again"),)})
    done = await fixed(tmp_path, team, rounds=9)
    assert (done.result.status, done.exit_code) == ("failed", 1)
    (tried,) = done.result.tries
    assert acts(tried).count("replan") <= 1
    assert acts(tried).count("backtrack") <= 2
    assert tried.reasons == (f"should pass now and fails: {CASE}",)
    assert "len(items) - 2" in done.patch("try-1"), "what was tried is kept"


@pytest.mark.parametrize("framework", ["unittest", "pytest"])
async def test_code_that_lies_to_the_tests_is_found_out(tmp_path: Path, framework: str) -> None:
    lie = 'import sys\n\ncase = sys.modules.get("unit" + "test").TestCase\ncase.assertEqual = lambda *_: None\n\n\n'
    team = Team({**USUAL, CODE_MARK: (write("box.py", lie + CODE), changed())})
    test = "python3 -m unittest discover -v -s tests -t ." if framework == "unittest" else "python -m pytest"
    done = await fixed(tmp_path, team, test=test, rounds=1)
    assert (done.result.status, done.exit_code) == ("failed", 1)
    assert "the code makes tests pass that do not" in done.result.reason
    assert not done.patch()


async def test_code_that_lies_is_found_out_by_a_test_that_was_there_already(tmp_path: Path) -> None:
    lie = 'import sys\n\ncase = sys.modules.get("unit" + "test").TestCase\ncase.assertEqual = lambda *_: None\n\n\n'
    moves = {
        **USUAL,
        REPRODUCE_MARK: (shown(files=[], existing=[CASE]),),
        CODE_MARK: (write("box.py", lie + CODE), changed()),
    }
    done = await fixed(tmp_path, Team(moves), files={**PROJECT, "tests/test_last.py": NEW}, rounds=1)
    assert done.result.reproduction.files == ()
    assert (done.result.status, done.exit_code) == ("failed", 1)
    assert "the code makes tests pass that do not" in done.result.reason


async def test_a_file_beside_the_new_test_that_is_no_test_is_no_reason_against_a_fix(tmp_path: Path) -> None:
    more = (
        write("tests/sub/__init__.py", ""),
        write("tests/sub/data.py", "N = 2\n"),
        write("tests/sub/test_last.py", NEW),
    )
    team = Team({**USUAL, REPRODUCE_MARK: (*more, shown())})
    done = await fixed(tmp_path, team, test="python -m pytest")
    assert (done.result.status, done.exit_code) == ("fixed", 0), done.result.reason
    assert "canary" not in done.patch()


# --- several approaches -----------------------------------------------------------------------------------------------


async def test_of_several_tries_the_one_that_passes_is_taken_and_all_are_kept(tmp_path: Path) -> None:
    def coder(request: Request) -> Any:
        good = "Approach: right" in prompt(request)
        return (RIGHT if good else WRONG) if request.messages[-1].role == "user" else changed()

    moves = {**USUAL, DIAGNOSE_MARK: (plan("wrong", "right"),), CODE_MARK: (coder,), REFINE_MARK: (changed(),)}
    done = await fixed(tmp_path, Team({**moves, REPLAN_MARK: (plan("wrong"),)}), tries=2, rounds=1)
    assert (done.result.status, done.result.winner, done.exit_code) == ("fixed", "try-2", 0)
    assert [one.name for one in done.result.tries] == ["try-2", "try-1"]
    assert "len(items) - 2" in done.patch("try-1")
    assert done.patch("try-2") == done.patch()
    text = (done.directory / "report.json").read_text()
    assert "patch_textual" in text, "that they do not agree is said"


async def test_tries_that_share_a_hypothesis_are_told_to_differ(tmp_path: Path) -> None:
    team = Team(USUAL)
    done = await fixed(tmp_path, team, tries=2)
    assert (done.result.status, done.result.winner) == ("fixed", "try-1"), "of equals the first"
    told = {prompt(request).count("others at the same time:") for request in team.asked(CODE_MARK)}
    assert told == {0, 1}
    assert done.patch("try-1") == done.patch("try-2")


# --- projects ---------------------------------------------------------------------------------------------------------


async def test_what_is_not_committed_is_part_of_the_project_and_git_is_left_alone(tmp_path: Path) -> None:
    root = project(tmp_path, {**PROJECT, "box.py": CODE.replace("items[0]", "items[1]")})
    clean = {"HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
    clean["PATH"] = "/usr/bin:/bin"
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    for words in (("init", "-q"), ("add", "."), (*who, "commit", "-q", "-m", "one")):
        await anyio.run_process(["git", *words], cwd=root, env=clean)
    (root / "box.py").write_text(CODE)
    before = {path: path.read_bytes() for path in sorted((root / ".git").rglob("*")) if path.is_file()}
    done = await fixing(root, REPORT, client=Team(USUAL), run=tmp_path / "run", quality="tests")
    assert done.result.status == "fixed"
    assert any("with what is not committed (it is at commit" in note for note in done.result.notes)
    assert "items[1]" not in done.patch()
    assert {path: path.read_bytes() for path in sorted((root / ".git").rglob("*")) if path.is_file()} == before


async def test_a_test_framework_whose_cases_are_not_known_counts_by_its_status(tmp_path: Path) -> None:
    script = "import sys\nsys.path.insert(0, '.')\nimport box\nassert box.first([1]) == 1\n"
    more = "import sys\nsys.path.insert(0, '.')\nimport box\ntry:\n    found = box.last([1, 2])\nexcept IndexError:\n"
    more += "    found = None\nassert found == 2, found\n"
    files = {"box.py": CODE, "tests/one.py": script}
    team = Team({**USUAL, REPRODUCE_MARK: (write("tests/two.py", more), shown())})
    command = 'for one in tests/*.py; do python3 "$one" || exit 1; done'
    done = await fixed(tmp_path, team, files=files, test=command)
    assert done.result.status == "fixed", done.result.reason
    assert done.result.reproduction.cases == ("the test command",)


async def test_a_loop_of_the_same_call_is_ended_and_diagnosed(tmp_path: Path) -> None:
    team = Team({**USUAL, CODE_MARK: (call("read", path="box.py"),), REPLAN_MARK: (plan(),)})
    done = await fixed(tmp_path, team)
    assert (done.result.status, done.exit_code) == ("failed", 1)
    assert "the same tool was called" in done.result.tries[0].rounds[0].said
