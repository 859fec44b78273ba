"""The parts of a build alone: what a plan is told, what a module offers, what is taken back, what is recorded."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from antiphon.engine import CallContext
from antiphon.engine.script.api import agent, step
from antiphon.engine.testing import memory_run
from antiphon.subagents.agents import Agents
from antiphon.subagents.function import function_agent
from antiphon.subagents.sandbox import Unconfined
from antiphon.subagents.testing.workspaces import write_files
from antiphon.subagents.workspace import RunWorkspaces, workspace_of
from antiphon.workflows.build.dividing import Division
from antiphon.workflows.build.interfaces import interface_of
from antiphon.workflows.build.planning import Unit, is_slug, problems_of
from antiphon.workflows.build.recording import hunks
from antiphon.workflows.build.result import Told
from antiphon.workflows.build.shapes import Criterion, Plan, Subtask
from antiphon.workflows.build.steps import STEPS as OWN
from antiphon.workflows.build.verifying import besides, suspects
from antiphon.workflows.crafting.results import WHOLE, Tests, regressions
from antiphon.workflows.steps import Steps
from antiphon.workflows.working import STEPS


def subtask(id: str = "one", **more: Any) -> Subtask:
    usual: dict[str, Any] = {
        "goal": "Do what is to be done.", "owns": [f"{id}.py"], "criterion": {"command": "true"},
    }  # fmt: skip
    return Subtask.model_validate({"id": id, **usual, **more})


def unit(id: str, *owns: str) -> Unit:
    return Unit(id=id, goal="", owns=owns, needs=(), offers="", criterion=Criterion(command="true"))


# --- plans ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subtasks", "said"),
    [
        ([], "there is no subtask"),
        ([subtask(f"s{n}") for n in range(25)], "at most 24 are allowed"),
        ([subtask(), subtask()], "the id 'one' is used 2 times"),
        ([subtask("Not a slug")], "its id must be"),
        ([subtask(goal="do it")], "its goal says too little"),
        ([subtask(owns=[])], "it owns no files"),
        ([subtask(owns=["/etc/passwd"])], "must be a plain path inside the project"),
        ([subtask(owns=["a/../../b"])], "must be a plain path inside the project"),
        ([subtask(owns=["a/.GIT/config"])], "must not be in .git"),
        ([subtask(owns=["src/*.py"])], "no other patterns"),
        ([subtask(owns=["a\nb"])], "no other patterns"),
        ([subtask(needs=["two"])], "needs 'two', and there is no such subtask"),
        ([subtask(needs=["one"])], "in a circle: one -> one"),
        ([subtask(criterion={})], "it has no criterion"),
        ([subtask(criterion={"promise": "it adds"})], "name the test files that the promise is written into"),
        ([subtask(criterion={"tests": ["other.py"]})], "which it does not own"),
        ([subtask(criterion={"command": "true\nfalse"})], "must be one line"),
        ([subtask(criterion={"tests": ["one.py"], "promise": "it adds"})], "owns nothing but its tests"),
        ([subtask(), subtask("two", owns=["ONE.py"])], "both own one.py and ONE.py"),
        ([subtask(), subtask("two", owns=["one.py/x"])], "both own"),
        ([subtask(owns=["src/**"]), subtask("two", owns=["src/a/b.py"])], "give it to one of them"),
    ],
)
def test_a_plan_is_told_exactly_what_is_wrong_with_it(subtasks: list[Subtask], said: str) -> None:
    assert any(said in problem for problem in problems_of(Plan(subtasks=tuple(subtasks))))


def test_one_file_may_be_changed_by_one_after_another() -> None:
    plan = Plan(subtasks=(subtask(), subtask("two", owns=["two.py"], needs=["one"]),
                          subtask("three", owns=["one.py"], needs=["two"])))  # fmt: skip
    assert problems_of(plan) == ()
    assert "outside of what the task owns: src/**" in problems_of(plan, inside=["src/**"])[0]
    assert "at most 60" in problems_of(plan, taken=58)[0]


def test_names_of_workspaces_can_be_had_for_every_subtask() -> None:
    assert unit("a.lock").workspace == "build-a--lock"
    long = ".".join(["a" * 40] * 4)
    assert len(unit(long).workspace) == 64
    assert unit(long).workspace != unit(long + "b").workspace
    assert not is_slug("a--b")
    assert not is_slug("a.b")


# --- interfaces -------------------------------------------------------------------------------------------------------


def test_a_module_offers_its_public_names_signatures_and_docstrings() -> None:
    source = '''
        """What it is for."""
        import os
        __all__ = ["Thing", "make", "LIMIT", "_odd"]
        LIMIT: int = 3
        hidden = 4
        def make(name: str, *, size: int = LIMIT) -> "Thing":
            """Make one.

            Raises: nothing.
            """
            return Thing(name)
        async def other(): ...
        def _odd(x): return x
        class Thing(Base, metaclass=Meta):
            size: int
            def __init__(self, name): self.name = name
            def _private(self): ...
            @property
            def name(self) -> str:
                """Its name."""
                return ""
    '''
    said = interface_of("thing.py", dedent(source).encode())
    assert said == dedent(
        '''\
        """What it is for."""
        LIMIT: int = 3
        def make(name: str, *, size: int=LIMIT) -> 'Thing':
            """Make one.

            Raises: nothing."""
        def _odd(x): ...
        class Thing(Base, Meta):
            size: int
            def __init__(self, name): ...
            @property
            def name(self) -> str:
                """Its name."""'''
    )


def test_what_is_no_python_or_too_much_of_it_is_said() -> None:
    assert interface_of("data.bin", b"\0" * 2_000) == "(2,000 bytes)"
    assert interface_of("bad.py", b"def (") == "(not readable as Python: SyntaxError)"
    assert interface_of("deep.py", b"x = " + b"(" * 5_000 + b")" * 5_000).startswith("(n")
    assert interface_of("empty.py", b"_x = 1") == "(nothing public)"
    assert interface_of("long.py", b"def f(): ...\n" * 5_000).endswith("… (cut)")


# --- results ----------------------------------------------------------------------------------------------------------


def ran(exit: int = 0, cases: dict[str, Any] | None = None, **more: Any) -> Tests:
    return Tests.model_validate({"command": "pytest", "exit": exit, "cases": cases, **more})


@pytest.mark.parametrize(
    ("before", "after", "worse"),
    [
        (ran(0, {"a": "passed"}), ran(0, {"a": "passed", "b": "passed"}), ()),
        (ran(1, {"a": "failed"}), ran(1, {"a": "failed"}), ()),
        (ran(0, {"a": "passed"}), ran(1, {"a": "failed"}), ("a",)),
        (ran(1, {"a": "failed"}), ran(1, {"a": "failed", "b": "error"}), ("b",)),
        (ran(0, {"a": "passed", "b": "passed"}), ran(0, {"a": "passed"}), ("b (no longer there)",)),
        (ran(0, {"a": "passed"}), ran(0, {"a": "skipped", "b": "passed"}), ("a (skipped now)",)),
        (ran(0, {"a": "passed"}), ran(0, None), (f"{WHOLE} no longer says which cases passed",)),
        (ran(5, {}), ran(2, None), (WHOLE,)),
        (ran(0, {}), ran(1, None), (WHOLE,)),
        (ran(0, None), ran(1, None), (WHOLE,)),
        (ran(1, None), ran(1, None), ()),
        (ran(0, {"a": "passed"}), ran(-9, None, timed_out=True), (f"{WHOLE} ran into its time limit",)),
        (ran(0, {"a": "passed"}), Tests(trouble="gone"), (f"{WHOLE} could not be run",)),
        (Tests(trouble="none"), Tests(trouble="none"), ()),
    ],
)
def test_only_what_is_worse_than_before_counts(before: Tests, after: Tests, worse: tuple[str, ...]) -> None:
    assert regressions(before, after) == worse


def test_a_run_passes_only_if_something_did() -> None:
    assert ran(0, {"a": "passed", "b": "skipped"}).passed
    assert ran(0, None).passed
    assert not ran(0, {"a": "skipped"}).passed
    assert not ran(0, {}).passed
    assert not ran(5, {}).passed
    assert not Tests().passed


def test_failures_are_laid_at_the_door_of_those_whose_files_they_name() -> None:
    units = [unit("a", "a.py", "tests/test_a.py"), unit("b", "lib/**"), unit("c", "c.py")]
    assert suspects(["tests/test_a.py::test_x"], "", units) == ("a",)
    assert suspects(["t"], 'File "lib/deep/x.py", line 3\nc.pyx', units) == ("b",)
    assert suspects(["t"], "", units) == ()


def test_tests_that_the_suite_has_shown_are_not_run_again() -> None:
    criterion = Criterion(command="true", tests=("tests/test_a.py", "tests/test_b.py"))
    suite = ran(0, {"tests/test_a.py::test_x": "passed"})
    assert besides(criterion, suite).tests == ("tests/test_b.py",)
    assert besides(criterion, ran(0, {"test_a.A.test_x": "passed", "tests.test_b.B.t": "passed"})).tests == ()
    assert besides(criterion, ran(1, {"tests/test_a.py::test_x": "failed"})) == criterion
    skipped = ran(0, {"tests/test_a.py::test_x": "skipped", "tests/test_b.py::test_y": "passed"})
    assert besides(criterion, skipped).tests == ("tests/test_a.py",)


def test_what_any_planner_left_out_is_a_gap() -> None:
    whole = Plan(subtasks=(subtask("one"), subtask("two")), left_out=("the manual",))
    part = Plan(subtasks=(subtask("a"),), left_out=("its errors",), assumptions=("ASCII",))
    told = Told.of(Division(plan=whole, parts={"one": part}), None, (), cost={})
    assert told.left_out == ("the manual", "one: its errors")
    assert told.gaps == ("the planner left out: the manual", "the planner left out: one: its errors")
    assert told.assumptions == ("one: ASCII",)


# --- patches ----------------------------------------------------------------------------------------------------------


def test_a_patch_is_read_as_runs_of_lines_whatever_they_look_like() -> None:
    patch = dedent(
        """\
        diff --git a/old.py b/old.py
        --- a/old.py
        +++ b/old.py
        @@ -2,3 +2,3 @@ def f():
         stays
        --- a/x
        +++ b/y
         stays too
        diff --git a/new.py b/new.py
        new file mode 100644
        --- /dev/null
        +++ b/new.py
        @@ -0,0 +1,2 @@
        +one\x0cstill one
        +two
        \\ No newline at end of file
        diff --git a/gone.py b/gone.py
        --- a/gone.py
        +++ /dev/null
        @@ -1 +0,0 @@
        -gone
        diff --git "a/\\303\\244" "b/\\303\\244"
        --- "a/\\303\\244"
        +++ "b/\\303\\244"
        @@ -1 +1 @@
        -a
        +b
        """
    )
    assert list(hunks(patch)) == [
        ("old.py", 2, 4, "stays\n++ b/y\nstays too\n"),
        ("new.py", 1, 0, "one\x0cstill one\ntwo"),
        ("gone.py", 1, 1, ""),
    ]


# --- what is taken back -----------------------------------------------------------------------------------------------


@function_agent("stray", version="1")
async def stray(task: str, ctx: CallContext) -> None:
    """Does in its workspace what it must not."""
    root = workspace_of(ctx).root
    write_files(root, {"mine/ok.py": "ok\n", "mine/held.py": "weaker\n", "new.py": "new\n", "b.txt": "changed\n"})
    write_files(root, {"mine/__pycache__/x.pyc": b"\0", ".coverage": "", "mine/ÄÖ 'x'.py": "odd\n"})
    (root / "a.txt").unlink()
    os.chmod(root / "mine/ok.py", 0o755)
    if "link" in task:
        (root / "mine/link").symlink_to("/etc/passwd")
    if "mode" in task:
        os.chmod(root / "c.sh", 0o755)


async def confined(tmp_path: Path, task: str, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], list[str]]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    project, place = tmp_path / "project", tmp_path / "run"
    place.mkdir()
    write_files(project, {"a.txt": "a\n", "b.txt": "b\n", "c.sh": "true\n", "mine/held.py": "held\n"})
    workspaces = RunWorkspaces(place, "a-test", project, sandbox=Unconfined)
    found: list[str] = []

    async def main() -> Any:
        base = await step("tree", {"workspace": "w"})
        await agent(task, role="stray", workspace="w")
        args = {"workspace": "w", "since": base, "owned": ["mine/**", "later.py"], "held": ["mine/held.py"]}
        kept = await step("confine", args)
        found.extend((await step("diff", {"workspace": "w"})).splitlines())
        return kept

    async with workspaces:
        performers: dict[str, Any] = {
            "agent": Agents({"stray": stray}, workspaces=workspaces),
            "step": Steps({**STEPS, **OWN}, workspaces),
        }
        ended = await memory_run(main, performers=performers, host={"left": workspaces.replayed})
    assert ended.result.kind == "completed", ended.result
    assert ended.result.outcome is not None
    return ended.result.outcome.value, found


Confining = Callable[[str], Awaitable[tuple[dict[str, Any], list[str]]]]


@pytest.mark.anyio
@pytest.mark.real_time
@pytest.mark.parametrize("task", ["plain", "link", "mode", "link mode"])
async def test_only_plain_files_of_ones_own_are_left(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, diff = await confined(tmp_path, task, monkeypatch)
    more = [*(["c.sh"] if "mode" in task else []), *(["mine/link"] if "link" in task else [])]
    assert kept["outside"] == sorted(["a.txt", "b.txt", "mine/held.py", "new.py", *more])
    written = [line for line in diff if line.startswith("+") and not line.startswith("+++")]
    assert written == ["+ok", "+odd"]
    assert len(kept["files"]) == len(written)
    assert "new file mode 100755" in diff
    assert not [line for line in diff if "deleted" in line or "mode 120000" in line or "old mode" in line]
