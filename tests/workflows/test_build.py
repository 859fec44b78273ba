"""The build, through the real loop with real tools in real workspaces: scripted models write the code that is run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from antiphon.subagents.model.contract import Completion, ToolCall
from antiphon.subagents.testing import Answer, FunctionModel, ScriptedModel
from antiphon.subagents.testing.workspaces import everything_in, git_repository, write_files
from antiphon.tracing import Json, read_log, verify_log
from antiphon.workflows.build.launch import Asked, prepare
from antiphon.workflows.places import RunPlace, make_run
from antiphon.workflows.running import Ended, Options, start

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

TASK = "Build a calculator for the command line."
MODEL = "openai/gpt-4o-mini"  # a name that is known to call tools; the client asks nobody
UNITTEST = "python -m unittest -v"
ACCEPT: dict[str, Json] = {"blocks": [], "consider": []}


@pytest.fixture(autouse=True)
def state_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATE", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    (tmp_path / "here").mkdir()
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "here")


# --- what models say --------------------------------------------------------------------------------------------------


def subtask(id: str, owns: Iterable[str], *, needs: Iterable[str] = (), **criterion: Json) -> dict[str, Json]:
    held = criterion or {"command": f"python -c 'import {id}'"}
    goal = f"Write the module {id}, as its tests say."
    return {"id": id, "goal": goal, "owns": list(owns), "needs": list(needs), "criterion": dict(held)}


def plan(*subtasks: dict[str, Json], **more: Json) -> Answer:
    return Answer({"subtasks": list(subtasks), **more})


def writes(files: Mapping[str, str], **said: Json) -> list[Completion | Answer]:
    """An agent that writes some files, and says that it is done."""
    calls = [
        ToolCall(str(number), "write", json.dumps({"path": path, "content": content}))
        for number, (path, content) in enumerate(files.items())
    ]
    return [Completion(calls=tuple(calls)), Answer({"summary": "written", **said})]


def module(name: str, body: str, test: str) -> dict[str, str]:
    """A module and its tests, in the form of unittest."""
    lines = f"import unittest\n\nimport {name}\n\n\nclass Test{name.title()}(unittest.TestCase):\n    {test}\n"
    return {f"{name}.py": body, f"test_{name}.py": lines}


ADD = module("adding", '"""Adds."""\n\n\ndef add(a: int, b: int) -> int:\n    """The sum."""\n    return a + b\n',
             "def test_add(self):\n        self.assertEqual(adding.add(1, 2), 3)")  # fmt: skip
TWICE = module("twice", "import adding\n\n\ndef twice(a: int) -> int:\n    return adding.add(a, a)\n",
               "def test_twice(self):\n        self.assertEqual(twice.twice(2), 4)")  # fmt: skip
ADDING = subtask("adding", ADD, tests=["test_adding.py"])
DOUBLING = subtask("twice", TWICE, needs=["adding"], tests=["test_twice.py"])


def marked(**answers: Iterable[Any]) -> ScriptedModel:
    """Answers by what is asked: ``code_adding`` stands for the coder of that subtask, ``plan`` for the planner."""
    begins = {
        "plan": "Plan the build of the task.",
        "critic": "Criticise the whole build.",
        "finish": "Mend the whole build.",
        "join": "Mend the integration of level",
        "code": "Build the subtask {!r}.",
        "test": "Write the tests of the subtask {!r}.",
        "mend": "Mend the subtask {!r}.",
        "review": "Review the change of the subtask {!r}.",
        "cut": "Cut up the subtask {!r}.",
    }
    said = {"critic": [Answer(ACCEPT)]} | dict(answers)
    script: dict[str, list[Any]] = {}
    for name, given in said.items():
        what, _, whom = name.partition("_")
        script[begins[what].format(whom.replace("__", ".").replace("_", "-"))] = list(given)
    return ScriptedModel(script)


# --- running one ------------------------------------------------------------------------------------------------------


def asked(project: Path, **more: Any) -> Asked:
    usual: dict[str, Any] = {"quality": "tests", "test": UNITTEST, "models": (MODEL,), "sandbox": "none"}
    return Asked(task=TASK, path=str(project), **(usual | more))


async def built(wanted: Asked, directory: Path, client: FunctionModel) -> Ended:
    bound = prepare(wanted)
    options = Options(
        models=wanted.models_asked({MODEL: client}),
        sandbox=wanted.sandbox,
        project=bound.project,
        conclude=bound.conclude,
        closing=bound.close,
    )
    return await start(make_run(directory), bound.loaded, bound.asked.arguments(), options)


def report(place: RunPlace) -> Any:
    return json.loads((place.directory / "report.json").read_text())


def by_id(place: RunPlace) -> dict[str, Any]:
    return {one["id"]: one for one in report(place)["subtasks"]}


def statuses(place: RunPlace) -> dict[str, str]:
    return {id: one["status"] for id, one in by_id(place).items()}


def patch(place: RunPlace, name: str = "integration") -> str:
    return (place.directory / "patches" / f"{name}.patch").read_text()


def prompts(client: FunctionModel, marker: str) -> list[str]:
    """What was said to whoever was asked this, each conversation once for each of its requests."""
    texts = ["\n".join(one.text for one in request.messages if one.role == "user") for request in client.requests]
    return [text for text in texts if marker in text]


# --- what comes of it -------------------------------------------------------------------------------------------------


async def test_two_levels_are_built_reviewed_and_put_together(tmp_path: Path) -> None:
    client = marked(
        plan=[plan(DOUBLING, ADDING)],
        code_adding=writes(ADD),
        code_twice=writes(TWICE),
        review_adding=[Answer(ACCEPT)],
        review_twice=[Answer(ACCEPT)],
    )
    ended = await built(asked(tmp_path / "project"), tmp_path / "run", client)
    assert (ended.result.kind, ended.result.exit_code) == ("completed", 0), ended.result
    assert not client.left
    assert statuses(ended.place) == {"adding": "integrated", "twice": "integrated"}
    change = patch(ended.place)
    assert all(f"+++ b/{path}" in change for path in (*ADD, *TWICE))
    assert list((tmp_path / "project").iterdir()) == [], "nothing is written to the project"
    (prompt, *_) = prompts(client, "Build the subtask 'twice'.")
    assert "def add(a: int, b: int) -> int:" in prompt, "the interface is read from the file"
    assert "return a + b" not in prompt
    found = report(ended.place)
    assert found["gaps"] == []
    assert found["suite"]["counts"] == {"passed": 2}
    assert len(found["checkpoints"]) == 3
    assert by_id(ended.place)["adding"]["cost"]["agent_calls"] == 2
    assert verify_log(ended.place.directory, ended.head).ok
    ended_calls = [event.data for event in read_log(ended.place.directory) if event.kind == "call.ended"]
    records: list[Any] = [record for data in ended_calls for record in cast("list[Any]", data.get("records") or [])]
    units = {one["unit"]: one["state"] for one in records if one["record"] == "coverage"}
    assert units == {"adding": "done", "twice": "done"}
    assert {one["key"]["path"] for one in records if one["record"] == "claim"} == {*ADD, *TWICE}


async def test_what_is_written_outside_of_ones_files_is_undone_told_and_never_taken(tmp_path: Path) -> None:
    stray = {**ADD, "setup.py": "raise SystemExit\n", "twice.py": "taken = True\n"}
    client = marked(
        plan=[plan(ADDING)],
        code_adding=writes(stray),
        mend_adding=[Answer({"summary": "nothing more is needed"})],
        review_adding=[Answer(ACCEPT)],
    )
    ended = await built(asked(tmp_path / "project"), tmp_path / "run", client)
    assert ended.result.exit_code == 0, ended.result
    assert "setup.py" not in patch(ended.place)
    assert "taken" not in patch(ended.place) + patch(ended.place, "build-adding")
    (prompt,) = prompts(client, "Mend the subtask 'adding'.")
    assert "setup.py, twice.py" in prompt
    assert by_id(ended.place)["adding"]["rounds"] == 2


async def test_one_subtask_that_never_passes_is_a_gap_with_all_that_need_it(tmp_path: Path) -> None:
    wrong = ADD | {"adding.py": "def add(a, b):\n    return a - b\n"}
    other = module(
        "other", "def one():\n    return 1\n", "def test_one(self):\n        self.assertEqual(other.one(), 1)"
    )
    client = marked(
        plan=[plan(ADDING, DOUBLING, subtask("other", other, tests=["test_other.py"]))],
        code_adding=writes(wrong),
        mend_adding=[*writes({"adding.py": "def add(a, b):\n    return a * b\n"}), *writes({"adding.py": "add = 1\n"})],
        code_other=writes(other),
        review_other=[Answer(ACCEPT)],
    )
    ended = await built(asked(tmp_path / "project"), tmp_path / "run", client)
    assert (ended.result.kind, ended.result.exit_code) == ("degraded", 3), ended.result
    assert statuses(ended.place) == {"adding": "failed", "twice": "skipped", "other": "integrated"}
    assert "adding" not in patch(ended.place)
    gaps = report(ended.place)["gaps"]
    assert any(gap.startswith("twice (skipped): it needs adding") for gap in gaps)
    assert any("its criterion is not met" in gap for gap in gaps)
    assert len(by_id(ended.place)["adding"]["tried"]) == 3
    assert (ended.place.directory / "patches" / "build-adding.patch").exists(), "what was tried is kept"


async def test_nothing_usable_is_a_failure_and_says_so(tmp_path: Path) -> None:
    stuck = Answer({"summary": "", "stuck": "there is no such thing"})
    client = marked(plan=[plan(ADDING)], code_adding=[stuck], mend_adding=[stuck])
    ended = await built(asked(tmp_path / "project"), tmp_path / "run", client)
    assert ended.result.exit_code == 1
    assert "the same state again" in by_id(ended.place)["adding"]["reason"]
    assert "there is no such thing" in (ended.place.directory / "report.md").read_text()


@pytest.mark.long
async def test_a_plan_that_cannot_be_built_is_sent_back_with_the_reason(tmp_path: Path) -> None:
    circular = plan(subtask("adding", ADD, needs=["twice"], tests=["test_adding.py"]), DOUBLING)
    client = marked(plan=[circular, plan(ADDING)], code_adding=writes(ADD), review_adding=[Answer(ACCEPT)])
    ended = await built(asked(tmp_path / "project"), tmp_path / "run", client)
    assert ended.result.exit_code == 0, ended.result
    assert "adding -> twice -> adding" in prompts(client, "Plan the build")[1]
    assert any("sent back" in note for note in report(ended.place)["notes"])


async def test_plans_that_are_never_right_end_it(tmp_path: Path) -> None:
    outside = plan(subtask("adding", ["../adding.py"]))
    client = marked(plan=[outside, outside, outside], critic=[])
    ended = await built(asked(tmp_path / "project"), tmp_path / "run", client)
    assert ended.result.exit_code == 1
    assert not client.left
    assert "no plan that can be built" in ended.result.reason


@pytest.mark.long
async def test_two_that_are_fine_alone_and_fail_together_are_mended_where_they_meet(tmp_path: Path) -> None:
    # Each module takes the other for absent; together they disagree on the unit.
    left = {"left.py": "unit = 1\n", "test_left.py": _meeting("left", "right")}
    right = {"right.py": "unit = 2\n", "test_right.py": _meeting("right", "left")}
    client = marked(
        plan=[plan(subtask("left", left, tests=["test_left.py"]), subtask("right", right, tests=["test_right.py"]))],
        code_left=writes(left),
        code_right=writes(right),
        review_left=[Answer(ACCEPT)],
        review_right=[Answer(ACCEPT)],
        join=writes({"right.py": "unit = 1\n"}),
    )
    ended = await built(asked(tmp_path / "project"), tmp_path / "run", client)
    assert ended.result.exit_code == 0, ended.result
    assert "+unit = 1" in patch(ended.place)
    assert "+unit = 2" not in patch(ended.place)
    (prompt, *_) = prompts(client, "Mend the integration of level 1.")
    assert "test_left" in prompt


@pytest.mark.long
async def test_two_that_never_go_together_leave_one_of_them_out(tmp_path: Path) -> None:
    left = {"left.py": "unit = 1\n", "test_left.py": _meeting("left", "right")}
    right = {"right.py": "unit = 2\n", "test_right.py": _meeting("right", "left")}
    useless = writes({"left.py": "unit = 3\n"}) + writes({"left.py": "unit = 4\n"})
    client = marked(
        plan=[plan(subtask("left", left, tests=["test_left.py"]), subtask("right", right, tests=["test_right.py"]))],
        code_left=writes(left),
        code_right=writes(right),
        review_left=[Answer(ACCEPT)],
        review_right=[Answer(ACCEPT)],
        join=useless,
    )
    ended = await built(asked(tmp_path / "project"), tmp_path / "run", client)
    assert ended.result.exit_code == 3, ended.result
    assert sorted(statuses(ended.place).values()) == ["failed", "integrated"]
    (kept,) = [id for id, status in statuses(ended.place).items() if status == "integrated"]
    (lost,) = {"left", "right"} - {kept}
    assert f"b/{lost}.py" not in patch(ended.place)
    assert f"b/{kept}.py" in patch(ended.place)
    assert "could not be integrated" in by_id(ended.place)[lost]["reason"]


def _meeting(mine: str, theirs: str) -> str:
    """A test that holds one module to another as soon as that is there."""
    return (
        f"import importlib.util\nimport unittest\n\nimport {mine}\n\n\nclass Test(unittest.TestCase):\n"
        f"    def test_unit_{mine}(self):\n"
        f"        if importlib.util.find_spec({theirs!r}) is not None:\n"
        f"            self.assertEqual({mine}.unit, importlib.import_module({theirs!r}).unit)\n"
    )


@pytest.mark.long
async def test_a_subtask_that_is_too_large_is_cut_up_again_inside_its_files(tmp_path: Path) -> None:
    large = {**subtask("lib", ["lib/**"], command="python -c 'import lib.one, lib.two'"), "large": True}
    wide = plan(subtask("one", ["elsewhere.py"], command="true"))
    parts = plan(
        subtask("one", ["lib/one.py"], command="python -c 'import lib.one'"),
        subtask("two", ["lib/two.py"], needs=["one"], command="python -c 'import lib.two'"),
    )
    client = marked(
        plan=[plan(large, subtask("app", ["app.py"], needs=["lib"], command="python app.py"))],
        cut_lib=[wide, parts],
        code_lib__one=writes({"lib/one.py": "def one() -> int:\n    return 1\n"}),
        code_lib__two=writes({"lib/two.py": "from lib.one import one\n\ntwo = one() + 1\n"}),
        code_app=writes({"app.py": "from lib.two import two\n\nassert two == 2\n"}),
        review_lib__one=[Answer(ACCEPT)],
        review_lib__two=[Answer(ACCEPT)],
        review_app=[Answer(ACCEPT)],
    )
    ended = await built(asked(tmp_path / "project", test=""), tmp_path / "run", client)
    assert ended.result.exit_code == 0, ended.result
    assert not client.left
    assert statuses(ended.place) == dict.fromkeys(("lib.one", "lib.two", "app"), "integrated")
    assert "outside of what the task owns: lib/**" in prompts(client, "Cut up the subtask 'lib'.")[1]
    (prompt, *_) = prompts(client, "Build the subtask 'app'.")
    assert "lib/one.py" in prompt
    assert "lib/two.py" in prompt


@pytest.mark.long
async def test_a_tester_writes_what_was_promised_first_and_a_coder_cannot_change_it(tmp_path: Path) -> None:
    held = subtask("adding", ADD, tests=["test_adding.py"], promise="add(1, 2) is 3")
    weaker = ADD["test_adding.py"].replace("3)", "adding.add(1, 2))")
    client = marked(
        plan=[plan(held)],
        test_adding=writes({"test_adding.py": ADD["test_adding.py"], "adding.py": "add = None\n"}),
        code_adding=writes({"adding.py": "def add(a, b):\n    return 4\n", "test_adding.py": weaker}),
        mend_adding=writes({"adding.py": ADD["adding.py"]}),
        review_adding=[Answer(ACCEPT)],
    )
    ended = await built(asked(tmp_path / "project"), tmp_path / "run", client)
    assert ended.result.exit_code == 0, ended.result
    assert "self.assertEqual(adding.add(1, 2), 3)" in patch(ended.place)
    assert "test_adding.py" in by_id(ended.place)["adding"]["tried"][0]


@pytest.mark.long
async def test_a_reviewer_and_a_critic_are_taken_seriously(tmp_path: Path) -> None:
    block: dict[str, Json] = {"file": "adding.py", "line": 1, "what": "it does not subtract", "change": "add sub()"}
    better = {"adding.py": ADD["adding.py"] + "\n\ndef sub(a, b):\n    return a - b\n"}
    best = {"adding.py": better["adding.py"] + "\n\ndef mul(a, b):\n    return a * b\n"}
    client = marked(
        plan=[plan(ADDING)],
        code_adding=writes(ADD),
        review_adding=[Answer({"blocks": [block]}), Answer(ACCEPT)],
        mend_adding=writes(better),
        critic=[Answer({"blocks": [{"what": "it does not multiply"}]}), Answer(ACCEPT)],
        finish=writes(best),
    )
    ended = await built(asked(tmp_path / "project"), tmp_path / "run", client)
    assert ended.result.exit_code == 0, ended.result
    assert "adding.py:1: it does not subtract add sub()" in prompts(client, "Mend the subtask 'adding'.")[0]
    assert "it does not multiply" in prompts(client, "Mend the whole build.")[0]
    assert "+def mul(a, b):" in patch(ended.place)


@pytest.mark.long
async def test_what_a_critic_objects_to_and_nobody_can_mend_is_a_gap(tmp_path: Path) -> None:
    client = marked(
        plan=[plan(ADDING)],
        code_adding=writes(ADD),
        review_adding=[Answer(ACCEPT)],
        critic=[Answer({"blocks": [{"what": "it does not multiply"}]})],
        finish=writes({"adding.py": "add = None\n"}),
    )
    ended = await built(asked(tmp_path / "project"), tmp_path / "run", client)
    assert ended.result.exit_code == 3, ended.result
    assert any("it does not multiply" in gap for gap in report(ended.place)["gaps"])
    assert "+add = None" not in patch(ended.place), "what broke the tests was taken back"


@pytest.mark.long
async def test_a_suite_that_cannot_be_run_in_part_is_run_whole(tmp_path: Path) -> None:
    wrong = ADD | {"adding.py": "add = None\n"}
    client = marked(
        plan=[plan(ADDING)],
        code_adding=writes(wrong),
        mend_adding=writes({"adding.py": ADD["adding.py"]}),
        review_adding=[Answer(ACCEPT)],
    )
    write_files(tmp_path / "project", {"run.sh": "exec python -m unittest -v\n"})
    wanted = asked(tmp_path / "project", test="sh run.sh")
    ended = await built(wanted, tmp_path / "run", client)
    assert ended.result.exit_code == 0, ended.result
    (problem,) = by_id(ended.place)["adding"]["tried"]
    assert problem.startswith("its criterion is not met: `sh run.sh` ended with exit 1")


# --- where there is something already ---------------------------------------------------------------------------------

OLD = {
    "shop.py": "def price(cents):\n    return eval(str(cents)) / 100\n",
    "test_shop.py": "import unittest\n\nimport shop\n\n\nclass Shop(unittest.TestCase):\n    def test_price(self):\n"
    "        self.assertEqual(shop.price(150), 1.5)\n\n    def test_old_bug(self):\n"
    "        self.assertEqual(shop.price(-100), 'no')\n",
}
DISCOUNT = "\n\ndef half(cents):\n    return price(cents) / 2\n"
TESTED = "import unittest\n\nimport shop\n\n\nclass Half(unittest.TestCase):\n    def test_half(self):\n" \
    "        self.assertEqual(shop.half(150), 0.75)\n"  # fmt: skip


@pytest.mark.long
async def test_in_a_repository_only_what_is_worse_than_before_counts(tmp_path: Path) -> None:
    project = git_repository(tmp_path / "project", OLD)
    write_files(project, {"notes.txt": "not committed\n"})
    before = everything_in(project)
    worse = OLD["shop.py"] + "\n\ndef half(cents):\n    return eval(repr(price(cents) / 2))\n"
    client = marked(
        plan=[plan(subtask("half", ["shop.py", "test_half.py"], tests=["test_half.py"]))],
        code_half=writes({"shop.py": worse, "test_half.py": TESTED}),
        mend_half=writes({"shop.py": OLD["shop.py"] + DISCOUNT}),
        review_half=[Answer(ACCEPT)],
    )
    ended = await built(asked(project, quality="clean"), tmp_path / "run", client)
    # The old failure is nobody's fault here, and is said.
    assert ended.result.exit_code == 3, ended.result
    assert report(ended.place)["gaps"] == ["the suite does not pass, as before: test_shop.Shop.test_old_bug"]
    (half,) = by_id(ended.place).values()
    assert half["status"] == "integrated"
    (problem,) = half["tried"]
    assert "quality bar" in problem
    assert problem.count("eval") >= 1
    assert "shop.py:2:" not in problem, "what was there before is not new"
    assert "+def half(cents):" in patch(ended.place)
    assert "notes.txt" not in patch(ended.place)
    assert everything_in(project) == before, "neither files nor index nor refs were touched"


@pytest.mark.long
async def test_a_subtask_that_breaks_what_was_there_is_left_out(tmp_path: Path) -> None:
    write_files(
        tmp_path / "project",
        {
            "shop.py": "def price(cents):\n    return cents / 100\n",
            "test_shop.py": OLD["test_shop.py"].split("\n\n    def test_old")[0] + "\n",
        },
    )
    broken = "def price(cents):\n    return 0\n\n\ndef half(cents):\n    return cents / 200\n"
    nothing = [Answer({"summary": "", "stuck": "two goals contradict each other"})]
    client = marked(
        plan=[plan(subtask("half", ["shop.py", "test_half.py"], tests=["test_half.py"]))],
        code_half=writes({"shop.py": broken, "test_half.py": TESTED}),
        review_half=[Answer(ACCEPT)],
        join=[*nothing, *nothing],
    )
    ended = await built(asked(tmp_path / "project"), tmp_path / "run", client)
    assert ended.result.exit_code == 1, ended.result
    (half,) = by_id(ended.place).values()
    assert "test_price" in half["reason"]
    assert not (ended.place.directory / "patches" / "integration.patch").exists(), "it is back at the base"
