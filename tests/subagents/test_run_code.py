"""`run_code`: a snippet composes the agent's tools, under their policy, and reaches nothing by itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial

import pytest

from antiphon.engine import CallContext, InfrastructureError
from antiphon.subagents import runtimes
from antiphon.subagents.loop.calling import perform_tool
from antiphon.subagents.loop.toolbox import Toolbox
from antiphon.subagents.runtimes import RUNTIMES, choose_runtime
from antiphon.subagents.sandbox import choose
from antiphon.subagents.testing.calls import inside_a_call
from antiphon.subagents.testing.workspaces import temporary_workspace
from antiphon.subagents.tools import Tool, ToolResult, function_tool
from antiphon.subagents.tools.choosing import REACHING
from antiphon.subagents.tools.commands import run_code
from antiphon.subagents.tools.commands.snippets import MOST_CALLS, run_snippet
from antiphon.subagents.tools.contract import Traits
from antiphon.subagents.tools.policy import Policy, read_rule
from antiphon.tracing import Json

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

SANDBOXED = partial(choose, None)


@function_tool
async def look(path: str, upper: bool = False) -> ToolResult:
    """Looks at something."""
    text = f"seen {path}"
    return ToolResult("there is none", failed=True) if path == "absent" else ToolResult(text.upper() if upper else text)


@function_tool(traits=Traits(cost="write", works=True, paths=("path",)))
async def change(path: str, ctx: CallContext) -> str:
    """Changes something."""
    return f"changed {path} for {ctx.path}"


async def told_each(*codes: str, policy: Policy | None = None) -> list[ToolResult]:
    """What a model that has `look`, `change` and `run_code` gets for some snippets."""
    async with temporary_workspace({"a.txt": "secret of the tree\n"}, sandbox=SANDBOXED) as space:
        tools: dict[str, Tool] = {"look": look, "change": change, "run_code": run_code}

        async def work(ctx: CallContext) -> list[ToolResult]:
            box = Toolbox(ctx, tools, policy=policy)
            return [await perform_tool(run_code, "run_code", {"code": code}, ctx, box) for code in codes]

        return await inside_a_call(work, space)


async def told(code: str, *, policy: Policy | None = None) -> ToolResult:
    """The same for one."""
    [result] = await told_each(code, policy=policy)
    return result


async def test_a_snippet_calls_tools_and_gives_what_it_prints_and_its_last_value() -> None:
    code = """
texts = [tools.look(path=f"{n}'s \\"file\\"") for n in range(3)]
print(len(texts))
try:
    tools.look("absent")
except ToolFailed as error:
    print("failed:", error)
{"last": tools.look("x", upper=True), "texts": texts[:1], "changed": tools.change(path="y")}
"""
    result = await told(code)
    assert not result.failed
    output, _, calls = result.text.partition("--- tools called: 6\n")
    assert output.splitlines()[:2] == ["3", "failed: there is none"]
    assert '"last": "SEEN X"' in output
    assert '"changed": "changed y for main/0"' in output
    assert calls.splitlines() == [
        *(f'look(path="{n}\'s \\"file\\"") ok' for n in range(3)),
        'look(path="absent") failed',
        'look(path="x", upper=true) ok',
        'change(path="y") ok',
    ]


TOLD: tuple[tuple[str, bool, str], ...] = (
    ("def f(:", True, 'it does not parse, and was not run:\n  File "<snippet>", line 1'),
    ("x = 1\n\n1 / 0", True, "line 3, in <module>: 1 / 0"),
    ("1 / 0", True, "ZeroDivisionError: division by zero"),
    ("tools.nope(a=1)", True, "ToolFailed: there is no tool 'nope'; there are: change, look"),
    ("tools.run_code(code='1')", True, "there is no tool 'run_code'"),
    ("tools.look(3)", True, "not called: the arguments do not fit: path: Input should be a valid string"),
    ("tools.look(patch='x')", True, "path: Field required"),
    ("tools.look('a', True, 3)", True, "tools.look takes at most 2 arguments: path, upper"),
    ("tools.look(path={1, 2})", True, "JSON cannot hold set"),
    ("raise SystemExit(4)", True, "it raised:\nSystemExit: 4"),
    ("import sys", True, "cannot import 'sys'"),
    ("from __future__ import annotations\n(\n1 +\n1)", False, "2"),
    ("tools.look('absent')", True, "ToolFailed: there is none\n  line 1, in <module>: tools.look('absent')"),
    ("x = 3", False, "it printed nothing"),
    ("{1, 2}", False, "{1, 2}"),
    ("'text'", False, "text"),
    ("None", False, "it printed nothing"),
    ("import json; json.dumps({'a': [1]})", False, '{"a": [1]}'),
    ("print('\\x1b[31mred')", False, "\\x1b[31mred"),
)


@pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)
async def test_what_goes_wrong_in_a_snippet_is_told_as_text() -> None:
    results = await told_each(*(code for code, _, _ in TOLD))
    for (code, failed, expected), result in zip(TOLD, results, strict=True):
        assert expected in result.text, code
        assert result.failed is failed, code
        assert "guest.py" not in result.text


async def test_each_call_goes_through_the_policy_of_the_agent() -> None:
    code = """
for name in ("a.py", "secret/b.py"):
    try:
        print(tools.change(name))
    except ToolFailed as error:
        print(error)
"""
    result = await told(code, policy=Policy(rules=(read_rule("deny", "change:secret/**"),)))
    assert "changed a.py" in result.text
    assert "--deny change:secret/**" in result.text
    assert "changed secret" not in result.text


async def test_a_snippet_starts_no_other_one_by_another_name() -> None:
    async with temporary_workspace({}, sandbox=SANDBOXED) as space:

        async def work(ctx: CallContext) -> ToolResult:
            box = Toolbox(ctx, {"run_code": run_code, **REACHING})
            code = "tools.call_tool(name='run_code', arguments={'code': 'print(7 * 6)'})"
            return await perform_tool(run_code, "run_code", {"code": code}, ctx, box)

        result = await inside_a_call(work, space)
    assert "ToolFailed: a snippet does not call run_code" in result.text
    assert "42" not in result.text


async def test_a_snippet_may_not_call_without_end() -> None:
    code = f"""
done = 0
for n in range({MOST_CALLS} + 5):
    try:
        tools.look(str(n)); done += 1
    except ToolFailed as error:
        print(error)
done
"""
    result = await told(code)
    assert f"\n{MOST_CALLS}\n--- tools called: {MOST_CALLS}" in result.text
    assert result.text.count(f"a snippet may call tools {MOST_CALLS} times, and did") == 5


async def test_a_tool_that_breaks_down_for_want_of_infrastructure_ends_the_snippet_and_passes() -> None:
    @function_tool
    async def breaks(path: str) -> str:
        """Breaks."""
        raise InfrastructureError("environment", f"no disk for {path}")

    async with temporary_workspace({}, sandbox=SANDBOXED) as space:

        async def work(ctx: CallContext) -> ToolResult:
            box = Toolbox(ctx, {"breaks": breaks, "run_code": run_code})
            code = "try:\n    tools.breaks('a')\nexcept BaseException:\n    print('caught')\nwhile True: pass"
            return await perform_tool(run_code, "run_code", {"code": code}, ctx, box)

        with pytest.raises(InfrastructureError, match="no disk for a"):
            await inside_a_call(work, space)


async def test_where_nothing_can_confine_it_no_snippet_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "RUNTIMES", ())
    result = await told("1")
    assert result.failed
    assert result.text.startswith("it could not be started: no runtime here can confine the script")


async def perform_nothing(name: str, arguments: Mapping[str, Json]) -> ToolResult:
    return ToolResult(f"{name} {dict(arguments)}", failed="absent" in arguments.values())


EVERYWHERE = """
seen = []
for path in ["a", "absent"]:
    try:
        seen.append(tools.look(path, upper=True))
    except ToolFailed as error:
        seen.append(str(error))
print(len(seen))
seen
"""


@pytest.mark.parametrize("name", RUNTIMES)
async def test_a_snippet_runs_in_each_runtime(name: str) -> None:
    tools = {"look": ["path", "upper"]}
    run = partial(run_snippet, runtime=choose_runtime(name), tools=tools, perform=perform_nothing, seconds=60)
    ran = await run(EVERYWHERE)
    assert (ran.problem, ran.output) == ("", "2\n")
    assert json.loads(ran.value or "") == [f"look {{'path': '{path}', 'upper': True}}" for path in ("a", "absent")]
    assert [(one.name, one.failed) for one in ran.calls] == [("look", False), ("look", True)]
    assert "line 2" in (await run("x = 1\nx.nothing")).detail
    assert (await run("")).value is None


ENDED = (
    ("while True: pass", "it was ended after 0.5 s"),
    ("print('x' * 2_000_000)", "it printed more than 1,048,576 bytes"),
    ("for n in range(40): print('x' * 100_000)", "it printed more than 1,048,576 bytes"),
    ("'x' * 2_000_000", "its last value is larger than 1,048,576 bytes"),
    ("tools.look('x' * 2_000_000)", "what it asked for is larger than 1,048,576 bytes"),
)


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
@pytest.mark.parametrize("name", RUNTIMES)
async def test_a_snippet_that_goes_too_far_is_ended(name: str) -> None:
    for code, expected in ENDED:
        ran = await run_snippet(
            code, runtime=choose_runtime(name), tools={"look": ["path"]}, perform=perform_nothing, seconds=0.5
        )
        assert expected in ran.problem, code
