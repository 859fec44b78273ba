"""`run_code`: a Python snippet that calls the other tools, so that many calls cost one turn."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, cast

from pydantic import Field

from antiphon.engine import CallContext
from antiphon.subagents.runtimes import RuntimeUnusable, choose_runtime
from antiphon.subagents.tools.choosing import CALL_TOOL
from antiphon.subagents.tools.commands.kept import both_ends
from antiphon.subagents.tools.commands.snippets import MOST_CALLS, Called, Ran, run_snippet
from antiphon.subagents.tools.contract import Tool, ToolResult, Traits
from antiphon.subagents.tools.function import function_tool
from antiphon.subagents.tools.paging import one_line
from antiphon.subagents.workspace.contract import workspace_of
from antiphon.tracing import Json

_NAME: Final = "run_code"
_LISTED: Final = 40
_ARGUMENTS: Final = 120
_DESCRIPTION: Final = (
    "Run a Python snippet that calls your other tools: `text = tools.read(path='a.py')`. Every tool that you may call"
    " is a function of `tools` that takes its arguments by name and returns its answer as text; where it fails it"
    " raises ToolFailed with that text. You get what the snippet prints and the value of its last expression. Use it to"
    f" do many calls at once, or to filter what they say. At most {MOST_CALLS} calls. The snippet itself has what"
    " only computes of the standard library (json, re, math, collections, …) and nothing else: no files, no network, no"
    " other packages; tools.run runs programs."
)


@function_tool(name=_NAME, description=_DESCRIPTION, version="2", traits=Traits(cost="process", works=True))
async def run_code(
    code: Annotated[str, Field(description="Python source", min_length=1, max_length=200_000)],
    seconds: Annotated[int, Field(description="wall time, that of the tools included", ge=1, le=1_800)] = 300,
    *,
    ctx: CallContext,
) -> ToolResult:
    """Run a snippet for the agent that the call is of."""
    from antiphon.subagents.loop.calling import current_tools, perform_tool  # that imports tools

    tools = {name: tool for name, tool in current_tools().items() if name != _NAME}

    async def perform(name: str, arguments: Mapping[str, Json]) -> ToolResult:
        tool = tools.get(name)
        if tool is None:
            return ToolResult(f"there is no tool {name[:64]!r}; there are: {', '.join(sorted(tools))}", failed=True)
        if name == CALL_TOOL and arguments.get("name") == _NAME:
            return ToolResult(f"a snippet does not call {_NAME}", failed=True)
        return await perform_tool(tool, name, arguments, ctx)

    workspace_of(ctx)  # where its tools work
    try:
        runtime = choose_runtime()
    except RuntimeUnusable as error:
        return ToolResult(f"it could not be started: {error.message}; {error.advice}", failed=True)
    ran = await run_snippet(
        code,
        runtime=runtime,
        tools={name: _parameters(tool) for name, tool in tools.items()},
        perform=perform,
        seconds=seconds,
    )
    return told_of(ran)


def _parameters(tool: Tool) -> Sequence[str]:
    properties: Any = tool.spec.parameters.get("properties", {})
    return list(cast("dict[str, Any]", properties)) if isinstance(properties, dict) else []


def told_of(ran: Ran) -> ToolResult:
    """A snippet that was run, as a model reads it."""
    parts = [ran.problem] if ran.problem else []
    said = [text.strip("\n") for text in (ran.output, ran.value or "", ran.detail)]
    parts += [both_ends(text.split("\n")) for text in said if text]
    parts += ["(it printed nothing, and its last line is no expression with a value)"] if not parts else []
    return ToolResult("\n".join([*parts, *_listed(ran.calls)]), failed=bool(ran.problem))


def _listed(calls: Sequence[Called]) -> list[str]:
    """The tools that it called: whoever reads the answer sees what was done for it."""
    if not calls:
        return []
    lines = [f"{_call(one)} {'failed' if one.failed else 'ok'}" for one in calls[:_LISTED]]
    more = [f"… and {len(calls) - _LISTED} more"] if len(calls) > _LISTED else []
    return [f"--- tools called: {len(calls)}", *lines, *more]


def _call(called: Called) -> str:
    said = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in called.arguments.items())
    return one_line(f"{called.name}({said})", _ARGUMENTS)
