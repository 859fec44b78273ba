"""Tools that others require: told from the log, on the files as they are now, and the same after a stop."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from antiphon.engine import CallContext
from antiphon.engine.script.api import agent
from antiphon.engine.testing import MemoryRun, memory_run
from antiphon.subagents.function import function_agent
from antiphon.subagents.loop.calling import call_tools, current_tools, perform_tool
from antiphon.subagents.loop.toolbox import Toolbox
from antiphon.subagents.loop.turns import ToolsTurn, UnreadableTurn, turn_of
from antiphon.subagents.model.contract import ToolCall
from antiphon.subagents.testing import performers_of
from antiphon.subagents.testing.workspaces import temporary_workspace
from antiphon.subagents.tools import FunctionTool, ToolResult, function_tool
from antiphon.subagents.tools.contract import Traits
from antiphon.subagents.tools.policy import Policy
from antiphon.subagents.tools.requiring import Check, required_tools, unmet
from antiphon.subagents.workspace.contract import workspace_of

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

GOOD = "def f(): return 1\n"


@function_tool(name="edit", traits=Traits(cost="write", paths=("path",), works=True))
def edit(path: str, content: str, ctx: CallContext) -> str:
    """Writes a file."""
    (workspace_of(ctx).root / path).write_text(content)
    return "edited"


@function_tool(name="tests", traits=Traits(cost="process", works=True))
def check_all(ctx: CallContext, only: str = "", offset: int = 0, paths: tuple[str, ...] = ()) -> ToolResult:
    """Passes where the file is good."""
    passed = (workspace_of(ctx).root / "a.py").read_text() == GOOD
    return ToolResult("passed" if passed else "failed", failed=not passed and not offset)


@function_tool(name="commit", traits=Traits(cost="write", works=True, after=("tests",)))
def commit() -> str:
    """Commits."""
    return "committed"


@function_tool(name="both", traits=Traits(cost="process", works=True))
async def both(ctx: CallContext) -> ToolResult:
    """Tests, then commits, as a snippet may."""
    await perform_tool(current_tools()["tests"], "tests", {}, ctx)
    return await perform_tool(current_tools()["commit"], "commit", {}, ctx)


TOOLS: dict[str, FunctionTool] = {tool.spec.name: tool for tool in (edit, check_all, commit, both)}
BREAK = ("edit", {"path": "a.py", "content": "broken\n"})
MEND = ("edit", {"path": "a.py", "content": GOOD})
Answer = list[tuple[str, dict[str, Any]]]


async def told(*answers: Answer, after: Mapping[str, tuple[str, ...]] | None = None) -> list[list[str]]:
    """What tools say to each of some answers of one conversation, whose state is read back from its turns each time."""
    said: list[list[str]] = []

    @function_agent("coder")
    async def coder(task: str, ctx: CallContext) -> int:
        """Calls tools."""
        checks: tuple[Check, ...] = ()
        async with temporary_workspace({"a.py": GOOD}) as workspace:
            ctx.workspace = workspace
            for answer in answers:
                calls = [ToolCall(str(place), name, json.dumps(given)) for place, (name, given) in enumerate(answer)]
                box = Toolbox(ctx, TOOLS, policy=Policy(after=after or {}), checks=checks)
                turn = await call_tools(calls, 50, box)
                read = turn_of(json.loads(json.dumps(await ctx.turn(turn.to_json()))))
                assert read == turn
                assert isinstance(read, ToolsTurn)
                checks += read.checks
                said.append([one.text for one in turn.results])
        return 0

    async def main() -> Any:
        return await agent("work", role="coder")

    ran: MemoryRun = await memory_run(main, performers=performers_of(coder))
    assert ran.result.kind == "completed", ran.result.reason
    return said


FIRST = "not called: call tests first: nothing of that kind succeeded on the files as they are now"


async def test_what_is_required_must_have_succeeded_before() -> None:
    said = await told([("commit", {})], [("tests", {})], [("commit", {})])
    assert said == [[FIRST], ["passed"], ["committed"]]


async def test_it_must_have_succeeded_on_the_files_as_they_are_now() -> None:
    said = await told([("tests", {})], [BREAK], [("commit", {})], [("tests", {})], [("commit", {})])
    assert said[2] == [FIRST]
    assert said[4] == [
        "not called: tests failed on the files as they are now; put that right and call tests again first"
    ]


async def test_files_that_are_again_as_they_were_need_no_second_check() -> None:
    said = await told([("tests", {}), BREAK], [("commit", {})], [MEND], [("commit", {})])
    assert [answer[-1] for answer in said] == ["edited", FIRST, "edited", "committed"]


async def test_within_one_answer_and_within_one_tool_it_counts_as_well() -> None:
    said = await told([("tests", {}), ("commit", {}), BREAK, ("commit", {})], [MEND], [("both", {})], [("commit", {})])
    assert said[0] == ["passed", "committed", "edited", FIRST]
    assert said[2:] == [["committed"], ["committed"]]


@pytest.mark.parametrize("narrow", [{"only": "one"}, {"offset": 5}, {"paths": ["a.py"]}])
async def test_a_look_at_a_part_or_at_what_was_said_before_is_no_success(narrow: dict[str, Any]) -> None:
    said = await told([("tests", narrow)], [("commit", {})])
    assert said[1] == [FIRST]


async def test_a_person_may_require_more_than_the_tool_does() -> None:
    after = {"edit": ("tests",), "commit": ("edit",)}
    said = await told([MEND], [("tests", {}), MEND, ("commit", {})], after=after)
    assert said == [[FIRST], ["passed", "edited", "committed"]]
    said = await told([("tests", {}), ("commit", {})], after=after)
    assert said[0][1].startswith("not called: call edit first")


def test_the_last_word_on_a_state_counts() -> None:
    checks = [Check("t", "1"), Check("t", "2", failed=True), Check("t", "1", failed=True), Check("u", "1")]
    assert unmet(("u",), checks, "1") == ""
    assert "t failed" in unmet(("t", "u"), checks, "1")
    assert unmet(("t",), [*checks, Check("t", "1")], "1") == ""
    assert unmet(("t", "u"), checks, "3").startswith("call t, u first")
    assert required_tools(TOOLS.values(), {"edit": ("x",)}) == {"tests", "x"}


@pytest.mark.parametrize("checks", [[{}], ["x"], 3, [{"tool": "t", "tree": "1"}]])
def test_a_turn_with_checks_that_are_none_is_unreadable(checks: Any) -> None:
    with pytest.raises(UnreadableTurn):
        turn_of({"turn": "tools", "results": [], "checks": checks})


def test_a_turn_of_an_older_run_reads_as_it_did() -> None:
    turn = turn_of({"turn": "tools", "results": []})
    assert isinstance(turn, ToolsTurn)
    assert turn == ToolsTurn(())
    assert turn.to_json() == {"turn": "tools", "results": []}
