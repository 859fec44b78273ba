"""The checker made of the audit's analysers: given files, one answer, and only what is new counts."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from antiphon.engine import CallContext, Limits
from antiphon.subagents.checks import CheckRun, Compared, at_least, compare
from antiphon.subagents.sandbox import choose
from antiphon.subagents.testing.calls import call_tool, inside_a_call
from antiphon.subagents.testing.workspaces import temporary_workspace
from antiphon.subagents.tools.commands import command_tools
from antiphon.subagents.workspace.environment import environment_of
from antiphon.subagents.workspace.live import LiveWorkspace
from antiphon.workflows.checking import AnalyserChecker

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

SANDBOXED = partial(choose, None)
ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
TRIO = pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)
QUICK = AnalyserChecker(lenses=("security", "dead-code"), exclude=("vulture",))
FILES = {
    "pack/__init__.py": "",
    "pack/a.py": "import os\n\n\ndef run(text: str) -> object:\n    return eval(text)\n",
    "pack/b.py": "from pack.c import f\n\nf(1)\n",
    "pack/c.py": "def f(x: int) -> int:\n    return x\n",
    "notes.txt": "text\n",
}


async def checked(workspace: LiveWorkspace, units: list[str] | None, checker: AnalyserChecker = QUICK) -> CheckRun:
    async def work(ctx: CallContext) -> CheckRun:
        return await checker(workspace.root, units, sandbox=workspace.sandbox, ctx=ctx)

    return await inside_a_call(work, workspace)


async def compared(workspace: LiveWorkspace, checker: AnalyserChecker = QUICK) -> Compared:
    async def work(ctx: CallContext) -> Compared:
        return await compare(workspace, checker, ctx)

    return await inside_a_call(work, workspace)


@TRIO
async def test_given_files_are_checked_and_no_others() -> None:
    async with temporary_workspace(FILES, sandbox=SANDBOXED) as space:
        run = await checked(space, ["pack/a.py", "gone.py"])
        assert {problem.path for problem in run.problems} == {"pack/a.py"}
        assert {("bandit", "B307", 5), ("ruff", "F401", 1)} <= {(one.tool, one.rule, one.line) for one in run.problems}
        assert [one.tool for one in at_least(run.problems, "medium")] == ["bandit", "ruff"]
        assert run.ran == ("bandit", "ruff")
        assert ("vulture", "it was excluded") in {(one.tool, one.reason) for one in run.absent}
        everything = await checked(space, None)
        assert everything.problems == run.problems
        for name in ("pack/plain.py", "pack/test_it.py", "tests/deep/it.py"):
            (space.root / name).parent.mkdir(parents=True, exist_ok=True)
            (space.root / name).write_text("assert 1\n")
        asserting = await checked(space, ["pack/plain.py", "pack/test_it.py", "tests/deep/it.py"])
        assert {(one.path, one.rule) for one in asserting.problems} == {
            ("pack/plain.py", "B101"),
            ("pack/plain.py", "S101"),
        }
        nothing = await checked(space, ["notes.txt", "pack/c.py"])
        assert nothing.problems == ()
        assert await checked(space, []) == CheckRun()
        assert CheckRun.from_json(run.to_json()) == run


@ASYNCIO
async def test_a_change_that_breaks_the_types_of_another_file_is_found_there() -> None:
    types = AnalyserChecker(lenses=("types",))
    async with temporary_workspace({**FILES, "pack/old.py": "x: int = 'a'\n"}, sandbox=SANDBOXED) as space:
        (space.root / "pack" / "c.py").write_text("def f(x: str) -> str:\n    return x\n")
        (space.root / "pack" / "new.py").write_text("y: int = 1\n")
        found = await compared(space, types)
        assert found.files == ("pack/c.py", "pack/new.py")
        [new] = found.new
        assert (new.tool, new.path, new.line) == ("mypy", "pack/b.py", 3)
        assert "pack/old.py" in {problem.path for problem in found.before.problems}


@TRIO
async def test_only_what_is_new_counts_and_a_silenced_problem_is_no_clean_one() -> None:
    async with temporary_workspace(FILES, sandbox=SANDBOXED) as space:
        old = (space.root / "pack" / "a.py").read_text()
        (space.root / "pack" / "a.py").write_text(f"# moved\n\n{old}")
        assert (await compared(space)).new == ()
        (space.root / "pack" / "c.py").write_text("exec('1')  # noqa: S102\n")
        found = await compared(space)
        assert found.old >= 3
        silenced = [problem for problem in found.new if problem.rule == "S102"]
        assert [(one.path, one.severity) for one in silenced] == [("pack/c.py", "info")]
        assert "silenced by a comment" in silenced[0].text
        assert [one.rule for one in at_least(found.new, "medium")] == ["B102"]


@ASYNCIO
async def test_a_file_that_does_not_parse_is_one_problem() -> None:
    async with temporary_workspace(FILES, sandbox=SANDBOXED) as space:
        (space.root / "pack" / "a.py").write_text("def f(:\n")
        found = await compared(space)
        [problem] = [one for one in found.new if one.rule == "syntax"]
        assert (problem.path, problem.severity) == ("pack/a.py", "high")
        assert "does not parse" in problem.text
        assert str(space.root) not in str(found.new)


@TRIO
@pytest.mark.parametrize(
    ("file", "configuration"),
    [("pyproject.toml", "[tool.ruff]\nlint.select = ['D1']\n"), ("ruff.toml", "lint.select = ['D1']\n")],
)
async def test_the_formatter_and_the_rules_of_the_project_are_taken_where_it_configures_them(
    file: str, configuration: str
) -> None:
    async with temporary_workspace(FILES, sandbox=SANDBOXED) as space:
        assert "ruff format" not in (await checked(space, None)).ran
        (space.root / file).write_text(configuration)
        (space.root / "pack" / "c.py").write_text("def f( x ):\n    return x\n")
        run = await checked(space, ["pack/c.py"])
        own = [
            (one.tool, one.rule, one.path, one.severity)
            for one in run.problems
            if "ruff " in one.tool or "," in one.tool
        ]
        assert ("ruff format", "format", "pack/c.py", "low") in own
        assert ("ruff, as configured", "D103", "pack/c.py", "low") in own
        (space.root / file).write_text("[tool.ruff]\nno-such-setting = 1\n")
        broken = await checked(space, ["pack/c.py"])
        assert {"ruff format", "ruff, as configured"} <= {one.tool for one in broken.failed}


@ASYNCIO
async def test_the_tools_of_a_checker_cost_no_tool_calls_and_reach_a_model_as_text() -> None:
    async with temporary_workspace(FILES, sandbox=SANDBOXED) as space:
        (space.root / "pack" / "c.py").write_text("exec('1')\n")
        tool = command_tools(environment_of(space.base.root), QUICK)[2]
        told = await call_tool(tool, space)
        assert told.failed
        assert "pack/c.py:1: medium bandit B102:" in told.text

        async def work(ctx: CallContext) -> int:
            await compare(space, QUICK, ctx)
            return ctx.spent.count("tool_calls")

        assert await inside_a_call(work, space, limits=Limits(tool_calls=8)) == 0


@TRIO
async def test_a_tree_of_hostile_names_and_links_is_checked_as_far_as_it_can_be(tmp_path: Path) -> None:
    secret = tmp_path / "secret.py"
    secret.write_text("password = 'hunter2hunter2'\nexec('1')\n")
    names = ("-rf.py", "a\nb.py", "@args.py", "--config=x.py", "ü .py")
    async with temporary_workspace(dict.fromkeys(names, "x = 1\n"), sandbox=SANDBOXED) as space:
        for name in names:
            (space.root / name).write_text("exec('1')\n")
        (space.root / "link.py").symlink_to(secret)
        found = await compared(space)
        assert {one.path for one in found.new if one.rule == "B102"} >= {"-rf.py", "@args.py", "--config=x.py", "ü .py"}
        assert "hunter2" not in str(found.after)
