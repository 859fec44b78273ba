"""Runs a piece of work inside a call of a run in memory: for those who test tools, which need a call's context."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from antiphon.engine import Call, CallContext, Limits
from antiphon.engine.script.api import agent
from antiphon.engine.testing import AnsweringCalls, memory_run
from antiphon.subagents.tools.contract import Tool, ToolResult
from antiphon.subagents.workspace.contract import Workspace
from antiphon.tracing import Json

T = TypeVar("T")
CallTool = Callable[[str, Mapping[str, Json]], Awaitable[ToolResult]]


async def inside_a_call(
    work: Callable[[CallContext], Awaitable[T]], workspace: Workspace | None = None, *, limits: Limits | None = None
) -> T:
    """What some work gives that needs the context of a call; what it raises is raised.

    Args:
        work: gets the context.
        workspace: where the call works.
        limits: of the run.
    """
    given: list[T] = []
    raised: list[Exception] = []

    async def answer(_: Call, ctx: CallContext) -> None:
        ctx.workspace = workspace
        try:
            given.append(await work(ctx))
        except Exception as error:
            raised.append(error)

    async def main() -> None:
        await agent("a call")

    ran = await memory_run(main, performers={"agent": AnsweringCalls(answer)}, limits=limits)
    if raised:
        raise raised[0]
    assert given, f"{ran.result.kind}: {ran.result.reason}"
    return given[0]


async def call_tool(tool: Tool, workspace: Workspace | None = None, /, **arguments: Any) -> ToolResult:
    """What a tool answers to arguments, called by itself inside a call that works in a workspace."""

    async def work(ctx: CallContext) -> ToolResult:
        return await tool(arguments, ctx)

    return await inside_a_call(work, workspace)
