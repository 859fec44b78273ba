"""`antiphon plan`, with the real preflight and the real runtime: what is kept, what is sent back, and when it ends."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.corpus.planning import (
    GOOD,
    TESTS,
    Author,
    gone_on,
    inputs,
    planning,
    wanted,
    written,
)

from antiphon.engine import UsageError
from antiphon.subagents.roles import BUILT_IN
from antiphon.tracing import Json
from antiphon.workflows.approval.planned import planned_of
from antiphon.workflows.author.cases import ran
from antiphon.workflows.author.launch import begin, prepare
from antiphon.workflows.author.plans import headed, is_intact, plans_home, quoted
from antiphon.workflows.author.shapes import Case
from antiphon.workflows.author.words import ASSESS, MEND, OUTLINE, SHAPE, WRITE, guide, prompts
from antiphon.workflows.loading import load_source
from antiphon.workflows.preflight import preflight
from antiphon.workflows.runtimes import RUNTIMES, RuntimeAsked
from antiphon.workflows.script_text import GIVEN
from antiphon.workflows.working import STEPS

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]
on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
"""What other tests here hold trio to as well: each of these makes a whole plan."""


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    inputs(tmp_path)
    monkeypatch.chdir(tmp_path)


async def test_a_script_that_is_good_at_first_is_kept(tmp_path: Path) -> None:
    author = Author({WRITE: [written(arguments={"match": ["*.txt"]}, risks="a word may be wrong")]})
    made = await planning(wanted(tmp_path), author, tmp_path / "runs" / "r")
    plan = made.plan
    assert (made.ended.result.exit_code, plan.state, len(author.requests)) == (0, "planned", 4)
    source = plan.script.read_text("utf-8")
    assert source.partition("\n")[2] == GOOD
    assert is_intact(source)
    assert planned_of(source) == ("words", source.partition("\n")[0].rpartition(" ")[2])
    assert made.attempt(1)["tests"] == [
        {"name": "a word for each of two files", "passed": True, "problem": ""},
        {"name": "nothing to do", "passed": True, "problem": ""},
    ]
    assert plan.about["arguments"] == {"match": ["*.txt"]}


@on_asyncio
async def test_the_snapshot_says_what_a_plan_was_made_from(tmp_path: Path) -> None:
    made = await planning(wanted(tmp_path, seed=7), Author({WRITE: [written()]}), tmp_path / "runs" / "r")
    task: dict[str, Any] = json.loads((made.plan.folder / "task.json").read_text("utf-8"))
    assert (task["task"], task["seed"], task["models"], task["run"]) == (
        "One word about each file", 7, ["openai/gpt-4o-mini"], "r",
    )  # fmt: skip
    assert task["prompts"] == prompts()
    assert set(task["roles"]) == {"author", "assessor"}
    assert set(task["versions"]) == {"antiphon", "python"}
    assert task["survey"]["listing"] == ["README.md", "a.txt"]
    assert "Two files." in task["survey"]["readme"]
    report = (tmp_path / "runs" / "r" / "report.md").read_text("utf-8")
    assert "Each file alone." in report
    assert "one call" in report


async def test_what_is_wrong_goes_back_with_its_reason_and_its_line(tmp_path: Path) -> None:
    broken = GOOD.replace('        role="worker",', '        role="critic",')
    author = Author({WRITE: [written(broken)], MEND: [written()]})
    made = await planning(wanted(tmp_path), author, tmp_path / "runs" / "r")
    assert (made.plan.state, made.plan.about["attempts"]) == ("planned", 2)
    line = next(
        n for n, text in enumerate(made.plan.script.read_text("utf-8").splitlines(), 1) if "return agent(" in text
    )
    [sent] = author.asked(MEND)
    assert "critic" in sent.partition('"reasons"')[2]
    assert f"line {line}: " in sent
    assert not made.attempt(1)["passed"]
    assert (made.plan.folder / "attempts" / "001" / "script.py.txt").read_text("utf-8").endswith(quoted(broken))


@on_asyncio
async def test_a_test_that_fails_goes_back(tmp_path: Path) -> None:
    wrong = GOOD.replace("if outcome.ok]", "if not outcome.ok]")
    author = Author({WRITE: [written(wrong)], MEND: [written()]})
    made = await planning(wanted(tmp_path), author, tmp_path / "runs" / "r")
    [sent] = author.asked(MEND)
    assert "a word for each of two files" in sent
    assert made.plan.state == "planned"
    assert made.attempt(1)["problems"][0]["rule"] == "test-failed"


@on_asyncio
async def test_the_same_refused_script_twice_ends_it(tmp_path: Path) -> None:
    broken = written("import os\n" + GOOD)
    author = Author({WRITE: [broken], MEND: [broken]})
    made = await planning(wanted(tmp_path), author, tmp_path / "runs" / "r")
    assert (made.ended.result.exit_code, made.plan.state) == (1, "failed")
    assert "came twice" in made.plan.about["reason"]
    assert len(author.asked(MEND)) == 1
    assert not list(made.plan.folder.rglob("*.py")), "nothing that failed can be run"


@on_asyncio
async def test_repairs_are_bounded(tmp_path: Path) -> None:
    broken = [written(f"import os{'  ' * n}# {n}\n{GOOD}") for n in range(9)]
    author = Author({WRITE: broken[:1], MEND: list(broken[1:])})
    made = await planning(wanted(tmp_path, rounds=2), author, tmp_path / "runs" / "r")
    assert (made.plan.state, len(author.asked(MEND)), made.plan.about["attempts"]) == ("failed", 2, 3)
    assert "(2 repairs)" in made.plan.about["reason"]


@on_asyncio
async def test_a_script_without_tests_goes_back(tmp_path: Path) -> None:
    author = Author({WRITE: [written(tests=[])], MEND: [written()]})
    made = await planning(wanted(tmp_path), author, tmp_path / "runs" / "r")
    assert [one["rule"] for one in made.attempt(1)["problems"] if one["severity"] == "error"] == ["no-tests"]
    assert made.plan.state == "planned"


SAYS_NOTHING: dict[str, Json] = {"name": "nothing", "answers": [{"name": "files", "value": []}]}


@on_asyncio
@pytest.mark.parametrize("more", [{}, {"contains": [" "]}, {"calls": {"nobody": 0}}], ids=["bare", "blank", "nobody"])
async def test_a_script_whose_tests_cannot_fail_goes_back(tmp_path: Path, more: Any) -> None:
    author = Author({WRITE: [written(tests=[{**SAYS_NOTHING, **more}])], MEND: [written()]})
    made = await planning(wanted(tmp_path), author, tmp_path / "runs" / "r")
    assert [(one["rule"], one["severity"]) for one in made.attempt(1)["problems"]] == [("empty-test", "error")]
    assert made.plan.state == "planned"


@on_asyncio
async def test_one_test_that_cannot_fail_among_others_is_a_warning(tmp_path: Path) -> None:
    author = Author({WRITE: [written(tests=[*TESTS, SAYS_NOTHING])], MEND: [written()]})
    made = await planning(wanted(tmp_path), author, tmp_path / "runs" / "r")
    assert [(one["rule"], one["severity"]) for one in made.attempt(1)["problems"]] == [("empty-test", "warning")]
    assert made.plan.about["findings"] == []


@on_asyncio
async def test_arguments_that_main_does_not_take_go_back(tmp_path: Path) -> None:
    author = Author({WRITE: [written(arguments={"path": 3})], MEND: [written()]})
    made = await planning(wanted(tmp_path), author, tmp_path / "runs" / "r")
    assert "'path'" in author.asked(MEND)[0].partition("reasons")[2] or "path" in author.asked(MEND)[0]
    assert not made.attempt(1)["passed"]
    assert made.plan.state == "planned"


NEEDS: dict[str, Any] = {
    "needs": [{"kind": "dimension", "text": "in which tongue a file is written", "terms": ["language", "tongue"]}]
}


@on_asyncio
async def test_a_dimension_that_the_blind_review_names_and_nothing_covers_goes_back(tmp_path: Path) -> None:
    covered = GOOD.replace("what it is for.", "what it is for, in the language of the file.")
    author = Author({ASSESS: [NEEDS], WRITE: [written()], MEND: [written(covered)]})
    made = await planning(wanted(tmp_path), author, tmp_path / "runs" / "r")
    [sent] = author.asked(MEND)
    assert "in which tongue a file is written" in sent
    assert made.plan.state == "planned"
    assert made.plan.about["findings"] == []
    assert "in the language of the file" in made.plan.script.read_text("utf-8")


@on_asyncio
async def test_the_reviewer_sees_task_and_survey_and_nothing_of_the_script(tmp_path: Path) -> None:
    author = Author({ASSESS: [NEEDS], WRITE: [written()], MEND: [written()]})
    await planning(wanted(tmp_path), author, tmp_path / "runs" / "r")
    [seen] = author.asked(ASSESS)
    assert "One word about each file" in seen
    assert "README.md" in seen
    assert "Each file alone." not in seen, "not the outline"
    assert "How to write an antiphon workflow" not in seen, "not the guide"


@on_asyncio
@pytest.mark.parametrize(("needs", "said"), [({"needs": []}, True), (NEEDS, False)], ids=["nothing", "something"])
async def test_a_review_that_names_nothing_is_told_of(tmp_path: Path, needs: dict[str, Any], said: bool) -> None:
    author = Author({ASSESS: [needs], WRITE: [written()], MEND: [written()]})
    made = await planning(wanted(tmp_path, rounds=0), author, tmp_path / "runs" / "r")
    assert any("the blind review names nothing" in note for note in made.plan.about["notes"]) is said


@on_asyncio
async def test_a_warning_that_its_author_lets_stand_does_not_refuse_a_script(tmp_path: Path) -> None:
    author = Author({ASSESS: [NEEDS], WRITE: [written()], MEND: [written(answered="there is one language here")]})
    made = await planning(wanted(tmp_path), author, tmp_path / "runs" / "r")
    assert (made.plan.state, len(author.asked(MEND))) == ("planned", 1)
    assert [one["severity"] for one in made.plan.about["findings"]] == ["warning"]


@on_asyncio
async def test_what_only_the_jail_runs_goes_back_and_may_stand(tmp_path: Path) -> None:
    jailed = GOOD.replace("MOST = 20\n", "MOST = 20\n\n\ndef numbers():\n    yield from range(MOST)\n")
    jailed = jailed.replace("every[:MOST]\n", "[every[place] for place in numbers() if place < len(every)]\n")
    author = Author({WRITE: [written(jailed)], MEND: [written(jailed)]})
    made = await planning(wanted(tmp_path), author, tmp_path / "runs" / "r")
    [sent] = author.asked(MEND)
    assert "yield from" in sent.partition('"reasons"')[2]
    assert (made.plan.state, made.plan.about["portable"]) == ("planned", False)


@on_asyncio
async def test_one_agent_is_written_here_and_asked_of_nobody(tmp_path: Path) -> None:
    task = 'What does "a.txt" say?\nQuote it.'
    shape: dict[str, Any] = {"shape": "agent", "reason": "small", "role": "researcher", "task": task}
    author = Author({SHAPE: [shape]})
    made = await planning(wanted(tmp_path), author, tmp_path / "runs" / "r")
    assert (made.plan.state, len(author.requests)) == ("planned", 1)
    assert 'What does "a.txt" say? Quote it.' in made.plan.script.read_text("utf-8")
    assert all(test["passed"] for test in made.attempt(1)["tests"])


@on_asyncio
async def test_a_workflow_that_there_is_needs_no_script(tmp_path: Path) -> None:
    author = Author({SHAPE: [{"shape": "workflow", "workflow": "audit", "reason": "that is what it is for"}]})
    made = await planning(wanted(tmp_path), author, tmp_path / "runs" / "r")
    assert (made.plan.state, made.plan.about["workflow"], made.plan.script.exists()) == ("planned", "audit", False)
    assert "antiphon audit" in author.asked(SHAPE)[0]


@on_asyncio
async def test_earlier_plans_are_material_with_how_they_went(tmp_path: Path) -> None:
    await planning(wanted(tmp_path), Author({WRITE: [written()]}), tmp_path / "runs" / "r")
    author = Author({WRITE: [written()]})
    await planning(wanted(tmp_path, "A word about every file", name="more"), author, tmp_path / "runs" / "s")
    assert '"verdict": "planned"' in author.asked(SHAPE)[0]


@on_asyncio
async def test_a_workflow_that_nobody_has_is_sent_back_once(tmp_path: Path) -> None:
    author = Author({SHAPE: [{"shape": "workflow", "workflow": "../../evil", "reason": "x"}], WRITE: [written()]})
    made = await planning(wanted(tmp_path), author, tmp_path / "runs" / "r")
    assert len(author.asked(SHAPE)) == 2
    assert made.plan.about["shape"] == "script"


@on_asyncio
async def test_another_seed_is_another_variation(tmp_path: Path) -> None:
    author = Author({WRITE: [written()]})
    await planning(wanted(tmp_path, seed=3), author, tmp_path / "runs" / "r")
    assert "This is variation 3:" in author.asked(OUTLINE)[0]


async def test_what_is_done_is_not_asked_again(tmp_path: Path) -> None:
    first = Author({WRITE: [written("import os\n" + GOOD)]})  # and has no answer when it is to be mended
    await planning(wanted(tmp_path, max_agents=4), first, tmp_path / "runs" / "r")
    assert len(first.requests) == 4
    again = Author({MEND: [written()]})
    made = await gone_on(tmp_path / "runs" / "r", again, budget="+4agent_calls")
    assert [len(again.asked(mark)) for mark in (SHAPE, OUTLINE, ASSESS, WRITE, MEND)] == [0, 0, 0, 0, 1]
    assert made.plan.state == "planned"


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    begin(wanted(tmp_path))
    with pytest.raises(UsageError, match="already"):
        begin(wanted(tmp_path))


@pytest.mark.parametrize("name", ["../up", "a/b", "", "UPPER", ".hidden", "a" * 61])
def test_a_name_cannot_lead_anywhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a plan's name"):
        prepare(wanted(tmp_path, name=name))
    assert not plans_home(tmp_path).exists()


def test_the_example_of_the_guide_is_what_it_teaches() -> None:
    looked = preflight(example(), "script.py")
    assert (looked.findings, looked.portability.needs_jail) == ((), ())
    assert looked.cost.calls.worst == 220


QUOTES = """manifest = {"name": "says", "limits": {"usd": "1", "agent_calls": 1}}


async def main(what: str = "b") -> dict:
    return {"text": f'a "{what}"\\nc'}
"""


@on_asyncio
@pytest.mark.parametrize(("part", "there"), [('a "b"\nc', True), ('"text": "a', True), ('a "x"\nc', False)])
async def test_a_text_of_the_result_is_found_with_its_quotes_and_lines(part: str, there: bool) -> None:
    loaded = load_source(headed("says", QUOTES), Path("/nowhere/says.py"))
    case = Case.model_validate({"name": "it says so", "contains": [part]})
    assert ((await ran(loaded, case)).problem == "") is there


ENOUGH = GOOD.replace('limits={"agent_calls": 30})', "until=enough, concurrency=1)").replace(
    "async def main(", "def enough(done):\n    return len([one for one in done if one.ok]) >= 1\n\n\nasync def main(", 1
)


@on_asyncio
async def test_what_the_guide_says_of_enough_and_of_degraded_holds() -> None:
    answers = TESTS[0]["answers"] if isinstance(TESTS[0], dict) else None
    one = Case.model_validate({"name": "one is enough", "answers": answers, "calls": {"worker": 1}})
    fails = [{"name": "files", "value": ["a.txt"]}, {"name": "worker", "fails": "no"}]
    less = Case.model_validate({"name": "one fails", "answers": fails, "outcome": "degraded", "contains": ["no"]})
    loaded = load_source(headed("words", ENOUGH), Path("/nowhere/words.py"))
    assert [(await ran(loaded, case)).problem for case in (one, less)] == ["", ""]


def test_the_guide_names_every_role_and_what_a_script_may_use() -> None:
    text = guide()
    assert {name for name in BUILT_IN if f"`{name}`" not in text} <= {"author"}
    assert {name for name in GIVEN if name not in text} <= {"CallFailed"}


@pytest.mark.checkout
def test_the_guide_names_no_tool_or_step_that_there_is_not() -> None:
    tools, steps = (re.findall(r"`([a-z_]+)`", guide().partition(said)[2].partition(".")[0]) for said in TOOLS_NAMED)
    shown = (Path(__file__).parents[2] / "docs" / "tools.md").read_text("utf-8")
    assert len(tools) > 10
    assert [name for name in tools if f"\n| `{name}` " not in shown] == []
    assert set(STEPS) - set(steps) == {"files"}
    assert set(steps) <= set(STEPS)


TOOLS_NAMED = ("Tools that exist: ", "gives a sorted list of paths.\n")


@pytest.mark.parametrize("name", RUNTIMES)
async def test_the_example_of_the_guide_runs_and_claims_are_attacked(name: str) -> None:
    found = {"file": "b.py", "line": 3, "quote": "except OSError: pass", "rule": "swallowed", "severity": "high",
             "message": "a full disk is not noticed", "why": "nothing is raised"}  # fmt: skip
    case = Case.model_validate(
        {
            "name": "two files, one finding",
            "answers": [
                {"name": "files", "contains": "**/*.py", "value": ["a.py", "b.py"]},
                {"name": "auditor", "contains": "a.py\nb.py", "value": {"findings": [found]}},
                {"name": "verifier", "value": {"position": "refute", "reason": "it is handled above"}},
            ],
            "calls": {"files": 1, "auditor": 1, "verifier": 3},
            "contains": ["swallowed", '"not_read": []', '"not_judged": []'],
        }
    )
    loaded = load_source(example(), Path("/nowhere/example.py"), runtime=RuntimeAsked(name=name))
    assert (await ran(loaded, case)).problem == ""


def example() -> str:
    """The script in the guide."""
    lines = guide().partition("## An example")[2].splitlines()
    return headed("example", "\n".join(line[4:] for line in lines if line.startswith("    ") or not line.strip()))
