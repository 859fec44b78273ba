"""`run`, `run_tests`, `run_checks`: what a model gets to read, and what a command can and cannot do."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from antiphon.engine import Amount, CallContext, Limits, UsageError
from antiphon.subagents.checks import CheckRun, NotChecked, Problem, TestRun, run_tests
from antiphon.subagents.process import Completed, Unavailable
from antiphon.subagents.sandbox import Sandbox, Unconfined, choose, probe
from antiphon.subagents.testing.calls import call_tool, inside_a_call
from antiphon.subagents.testing.workspaces import temporary_workspace
from antiphon.subagents.tools import Misfit
from antiphon.subagents.tools.commands import command_tools
from antiphon.subagents.tools.contract import Tool, changes
from antiphon.subagents.workspace.commands import command
from antiphon.subagents.workspace.contract import Workspace
from antiphon.subagents.workspace.environment import Environment, environment_of

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

SANDBOXED = partial(choose, None)


class Words:
    """A checker that complains of every line that holds a word; counts how often it was asked."""

    def __init__(self, word: str) -> None:
        self.word, self.asked = word, 0

    async def __call__(
        self, root: Path, units: Sequence[str] | None, *, sandbox: Sandbox, ctx: CallContext
    ) -> CheckRun:
        self.asked += 1
        found = [
            Problem("words", "bad-word", unit, number, f"it says {self.word}", "medium")
            for unit in units or ()
            if (root / unit).is_file()
            for number, line in enumerate((root / unit).read_text().splitlines(), 1)
            if self.word in line
        ]
        return CheckRun(tuple(found), ("words",), (NotChecked("other", "it is not installed"),))


def tools_of(environment: Environment, checker: Words | None = None) -> dict[str, Tool]:
    return {tool.spec.name: tool for tool in command_tools(environment, checker or Words("bad"))}


def plain(workspace: Workspace) -> Environment:
    return environment_of(workspace.base.root)


def test_the_tools_say_what_they_take() -> None:
    tools = tools_of(Environment(project=Path("/p")))
    assert sorted(tools) == ["run", "run_checks", "run_code", "run_tests"]
    assert {tool.traits.cost for tool in tools.values()} == {"process"}
    assert all(changes(tool) for tool in tools.values())
    reaching = command_tools(Environment(project=Path("/p")), Words("bad"), network=True)[0]
    assert (reaching.spec.name, reaching.traits.cost) == ("run", "network")
    assert reaching.version != tools["run"].version


# --- run ------------------------------------------------------------------------------------------------------------


async def test_run_gives_the_status_and_both_outputs_and_works_in_the_folder() -> None:
    async with temporary_workspace({"a.txt": "hello\n"}, sandbox=SANDBOXED) as space:
        run = tools_of(plain(space))["run"]
        told = await call_tool(run, space, command="cat a.txt; echo two >&2; echo new > b.txt; pwd")
        assert told.text.splitlines() == ["exit 0", "--- stdout", "hello", str(space.root), "--- stderr", "two"]
        assert not told.failed
        assert (space.root / "b.txt").read_text() == "new\n"
        failed = await call_tool(run, space, command="exit 3")
        assert (failed.text, failed.failed) == ("exit 3\n(it printed nothing)", True)
        killed = await call_tool(run, space, command="kill -9 $$")
        assert killed.text.startswith("ended by signal 9")
        absent = await call_tool(run, space, command="no-such-program")
        assert absent.text.startswith("exit 127")


async def test_what_is_left_out_of_a_long_output_can_be_read_on_without_running_it_again() -> None:
    async with temporary_workspace({}, sandbox=SANDBOXED) as space:
        run = tools_of(plain(space))["run"]
        line = "echo again >> ran.txt; seq 1 5000; printf '\\033[31mred\\033[0m\\n'"

        async def work(ctx: CallContext) -> list[str]:
            first = await run({"command": line}, ctx)
            second = await run({"command": line, "offset": 120}, ctx)
            other = await run({"command": "true", "offset": 5}, ctx)
            assert other.failed
            return [first.text, second.text, other.text]

        first, second, other = await inside_a_call(work, space)
        assert "\n1\n2\n" in first
        assert "more lines before the last ones; call again with offset=120" in first
        assert first.endswith("5000\n\\x1b[31mred\\x1b[0m")
        assert "\n2500\n" not in first
        assert second.startswith("120\n121\n")  # the first line is the name of the output
        assert "call again with offset=520" in second
        assert "call it without offset" in other
        assert (space.root / "ran.txt").read_text() == "again\n"


async def test_a_workspace_that_nobody_may_change_is_not_changed() -> None:
    async with temporary_workspace({"a.txt": "hello\n"}, sandbox=SANDBOXED, writable=False) as space:
        run = tools_of(plain(space))["run"]
        told = await call_tool(
            run, space, command="cat a.txt; echo x > a.txt; echo x > b.txt; echo y > $TMPDIR/c && echo ok"
        )
        assert "hello" in told.text
        assert told.text.count("Read-only file system") == 2
        assert "\nok" in told.text
        assert sorted(os.listdir(space.root)) == [".git", "a.txt"]
        assert (space.root / "a.txt").read_text() == "hello\n"


async def test_without_a_sandbox_nothing_runs_unless_it_was_asked_for_in_so_many_words() -> None:
    async with temporary_workspace({}, sandbox=Unconfined) as space:
        told = await call_tool(tools_of(plain(space))["run"], space, command="touch here")
        assert told.failed
        assert "--sandbox none" in told.text
        assert "here" not in os.listdir(space.root)
    async with temporary_workspace({}, sandbox=partial(choose, "none")) as space:
        told = await call_tool(tools_of(plain(space))["run"], space, command="touch here")
        assert not told.failed
        assert "here" in os.listdir(space.root)


@pytest.mark.skipif(not probe("landlock").usable, reason="Landlock does not work here")
async def test_under_landlock_a_worktree_is_without_its_repository_while_a_command_runs() -> None:
    """Its rules cannot keep one path in a folder from change, and whoever changes `.git` gives the host commands."""
    async with temporary_workspace({"a.txt": "a\n"}, sandbox=partial(choose, "landlock")) as space:
        run, pointer = tools_of(plain(space))["run"], (space.root / ".git").read_text()
        told = await call_tool(run, space, command="ls -A; mkdir .git; echo evil > .git/config; echo b > b.txt")
        assert told.text.splitlines() == ["exit 0", "--- stdout", "a.txt"]
        assert (space.root / ".git").read_text() == pointer
        assert [change.path for change in await space.changed()] == ["b.txt"]
        hung = await call_tool(run, space, command="chmod 0 .; sleep 60", seconds=1)
        assert hung.failed
        assert (space.root / ".git").read_text() == pointer


async def test_a_tool_that_works_in_a_workspace_needs_one() -> None:
    for name, arguments in (("run", {"command": "true"}), ("run_tests", {}), ("run_code", {"code": "1"})):
        with pytest.raises(Misfit, match="no workspace"):
            await call_tool(tools_of(Environment(project=Path("/p")))[name], None, **arguments)


@pytest.mark.parametrize("arguments", [{}, {"command": ""}, {"command": "a\0b"}, {"command": "a", "seconds": 0}])
async def test_arguments_that_do_not_fit_are_told_and_nothing_runs(arguments: Mapping[str, Any]) -> None:
    async with temporary_workspace({}, sandbox=SANDBOXED) as space:
        with pytest.raises(Misfit):
            await call_tool(tools_of(plain(space))["run"], space, **arguments)


async def test_a_command_is_a_process_attempt_and_costs_no_tool_call_of_its_own() -> None:
    async with temporary_workspace({}, sandbox=SANDBOXED) as space:

        async def work(ctx: CallContext) -> tuple[Completed | Unavailable, Amount]:
            ended = await command(space, plain(space), ["true"], ctx=ctx, seconds=60, name="true")
            return ended, ctx.spent

        ended, spent = await inside_a_call(work, space, limits=Limits(tool_calls=1))
    assert isinstance(ended, Completed)
    assert ended.exit == 0
    assert spent.count("tool_calls") == 0


# --- run_tests ------------------------------------------------------------------------------------------------------


async def test_what_tests_write_is_no_change_of_whoever_runs_them() -> None:
    writing = (
        "import unittest\n\n\nclass T(unittest.TestCase):\n    def test(self):\n        open('out.txt', 'w').close()\n"
    )
    async with temporary_workspace({"test_a.py": writing, "kept.txt": "a\n"}, sandbox=SANDBOXED) as space:
        (space.root / "mine.txt").write_text("mine\n")
        tool = tools_of(replace(plain(space), tests="python3 -m unittest -v"))["run_tests"]
        assert not (await call_tool(tool, space)).failed
        assert [change.path for change in await space.changed()] == ["mine.txt"]


SUITE = {
    "pytest.ini": "[pytest]\naddopts = --strict-config --failed-first\n",
    "pack.py": "def f(x):\n    return x + 1\n",
    "tests/test_pack.py": "from pack import f\n\n\ndef test_good():\n    assert f(1) == 2\n\n\n"
    "def test_bad():\n    print('heard')\n    assert f(1) == 3\n",
}
QUICK = "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 python -m pytest -q"


async def outcome_of(workspace: Workspace, **more: Any) -> TestRun:
    environment = plain(workspace)

    async def work(ctx: CallContext) -> TestRun:
        return await run_tests(workspace, environment, ctx, **more)

    return await inside_a_call(work, workspace)


@pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)
async def test_tests_are_told_one_by_one_those_that_failed_first_and_leave_nothing_behind() -> None:
    async with temporary_workspace(SUITE, sandbox=SANDBOXED) as space:
        before = await space.tree()
        tool = tools_of(replace(plain(space), tests=QUICK))["run_tests"]
        assert QUICK in tool.spec.description
        told = await call_tool(tool, space)
        assert told.failed
        summary, first, *rest = told.text.splitlines()
        assert summary.startswith("not passed: 1 passed, 1 failed; exit 1;")
        assert first == "--- failed: tests/test_pack.py::test_bad"
        assert any("assert 2 == 3" in line for line in rest)
        one = await call_tool(tool, space, only=["tests/test_pack.py::test_good"])
        assert one.text.startswith("passed: 1 passed; exit 0;")
        assert "junit.xml" not in one.text
        assert not one.failed
        assert await space.tree() == before
        assert sorted(os.listdir(space.root)) == [".git", "pack.py", "pytest.ini", "tests"]


async def test_the_way_that_was_found_is_taken_and_a_workspace_may_have_the_first_tests() -> None:
    plain_test = "import unittest\n\n\nclass A(unittest.TestCase):\n    def test_a(self):\n        pass\n"
    async with temporary_workspace({"a.py": ""}, sandbox=SANDBOXED) as space:
        with pytest.raises(UsageError, match="no way to run tests"):
            await outcome_of(space)
        with pytest.raises(Misfit, match="no way to run tests"):
            await call_tool(tools_of(plain(space))["run_tests"], space)
        (space.root / "test_a.py").write_text(plain_test)
        run = await outcome_of(space)
        assert (run.framework, run.cases, run.passed) == ("unittest", {"test_a.A.test_a": "passed"}, True), run.output
        again = await outcome_of(space, only=["test_a.A.test_a"])
        assert again.passed, again.output


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_tests_of_other_languages_are_run_and_read() -> None:
    files = {
        "package.json": '{"scripts": {"test": "node --test"}}',
        "a.test.js": "const test = require('node:test');\ntest('one', () => {});\n"
        "test('two', () => { throw new Error('no') });\n",
        "Makefile": "test:\n\t@echo made; exit 2\n",
    }
    async with temporary_workspace(files, sandbox=SANDBOXED) as space:
        run = await outcome_of(space)
        if run.exit != 127:  # node is installed
            assert run.cases is not None
            assert run.cases["two"] == "failed", run.output
            assert run.cases["one"] == "passed"
            assert run.failing == ("two",)
        made = await outcome_of(space, command="make test")
        assert (made.exit, made.cases, made.passed) == (2, None, False)
        assert "made" in made.output
        with pytest.raises(UsageError, match="cannot be told which"):
            await outcome_of(space, command="make test", only=["one"])


@pytest.mark.parametrize("only", [["--rootdir=/"], [""], ["a\0b"], ["-p", "evil"]])
async def test_what_is_no_name_of_a_test_never_becomes_an_option(only: list[str]) -> None:
    async with temporary_workspace(SUITE, sandbox=SANDBOXED) as space:
        with pytest.raises(Misfit, match="no name of a test"):
            await call_tool(tools_of(plain(space))["run_tests"], space, only=only)


async def test_a_command_that_is_not_there_is_told_as_that() -> None:
    async with temporary_workspace(SUITE, sandbox=SANDBOXED) as space:
        run = await outcome_of(space, command="no-such-runner --all")
    assert (run.exit, run.passed) == (127, False)
    assert "not found" in run.trouble


# --- run_checks -----------------------------------------------------------------------------------------------------


async def test_only_problems_that_are_new_are_listed_and_count() -> None:
    files = {"a.py": "x = 'bad'\n", "b.py": "y = 'bad'\n", "c.py": "z = 1\n"}
    async with temporary_workspace(files, sandbox=SANDBOXED) as space:
        checker = Words("bad")
        tool = tools_of(plain(space), checker)["run_checks"]
        nothing = await call_tool(tool, space)
        assert (nothing.text, nothing.failed, checker.asked) == (
            "nothing was changed, so nothing was checked",
            False,
            0,
        )
        (space.root / "a.py").write_text("# moved\n\nx = 'bad'\n")
        moved = await call_tool(tool, space)
        assert moved.text.startswith("0 new problems in 1 changed file; 1 others were there before")
        assert not moved.failed
        assert "did not look: other (it is not installed)" in moved.text
        (space.root / "c.py").write_text("z = 'bad'\nz = 'bad'\n")
        (space.root / "d.py").write_text("fine\n")
        found = await call_tool(tool, space)
        assert found.failed
        assert found.text.splitlines()[0] == "2 new problems in 3 changed files; 1 others were there before"
        assert "c.py:1: medium words bad-word: it says bad" in found.text
        asked = checker.asked
        assert await call_tool(tool, space) == found
        assert checker.asked == asked + 1, "what was before is known"
        narrowed = await call_tool(tool, space, paths=["a.py"])
        assert not narrowed.failed
        assert await space.content("c.py", space.base.tree) == b"z = 1\n"
