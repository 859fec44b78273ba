"""Performing the tools that a model wants called: together, each an attempt of its own, results in the calls' order.

A tool that fails is a result, and so is a call that cannot be performed. What is not the tool's own fault (the
infrastructure, the log) ends the call, and cancellation passes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import anyio

from antiphon.engine import Amount, BudgetRefused, CallContext, InfrastructureError, WindDown
from antiphon.engine.errors import leading
from antiphon.subagents.loop.anomaly import NOT_CALLED
from antiphon.subagents.loop.conversation import capped_text
from antiphon.subagents.loop.turns import Result, ToolsTurn
from antiphon.subagents.model.answering.reading import Unreadable, arguments_of
from antiphon.subagents.model.contract import ToolCall
from antiphon.subagents.prompt.delimiting import legible
from antiphon.subagents.tools.contract import Misfit, Tool, ToolResult
from antiphon.tracing import Json, LogClosed, LogFailed

MOST_CHARACTERS: Final = 32_000
"""Of one result; what is over is left out in the middle, and said so."""
MOST_AT_ONCE: Final = 16
"""Tools of one answer that run at the same time."""


async def call_tools(calls: Sequence[ToolCall], most: int, tools: Mapping[str, Tool], ctx: CallContext) -> ToolsTurn:
    """Perform the calls of one answer.

    Args:
        calls: as the model wrote them.
        most: how many of them may still be performed.
        tools: by name.
        ctx: of the call that they are performed for.

    Raises:
        InfrastructureError: a tool could not work for a reason outside of its task.
    """
    results: list[Result | None] = [None] * len(calls)
    slots = anyio.Semaphore(MOST_AT_ONCE)

    async def one(number: int, call: ToolCall) -> None:
        async with slots:
            results[number] = await _result(call, tools, ctx)

    try:
        async with anyio.create_task_group() as group:
            for number, call in enumerate(calls[:most]):
                group.start_soon(one, number, call)
    except ExceptionGroup as errors:
        raise leading(errors) from errors
    return ToolsTurn(
        tuple(
            result or _not_called(call, "the limit on tool calls is reached")
            for call, result in zip(calls, results, strict=True)
        )
    )


async def _result(call: ToolCall, tools: Mapping[str, Tool], ctx: CallContext) -> Result:
    tool = tools.get(call.name)
    if tool is None:
        known = ", ".join(sorted(tools)) or "none"
        return _not_called(call, f"there is no tool {legible(call.name)[:64]!r}; there are: {known}")
    try:
        arguments = arguments_of(call)
    except Unreadable as error:
        return _not_called(call, f"the arguments cannot be read: {error}")
    answer = await _performed(tool, call.name, arguments, ctx)
    return Result(
        id=call.id, name=call.name, text=legible(capped_text(answer.text, MOST_CHARACTERS)), failed=answer.failed
    )


async def _performed(tool: Tool, name: str, arguments: Mapping[str, Json], ctx: CallContext) -> ToolResult:
    try:
        async with ctx.attempt(Amount(), sort="tool", name=name) as attempt:
            try:
                return await tool(arguments, ctx)
            finally:
                attempt.settle()
    except Misfit as error:
        return ToolResult(f"{NOT_CALLED}{error}", failed=True)
    except (BudgetRefused, WindDown) as error:
        return ToolResult(f"{NOT_CALLED}{error}", failed=True)
    except (InfrastructureError, LogFailed, LogClosed):
        raise
    except Exception as error:
        return _failed(leading(error))


def _failed(error: Exception) -> ToolResult:
    if isinstance(error, InfrastructureError | LogFailed | LogClosed):
        raise error
    return ToolResult(f"{type(error).__name__}: {error}", failed=True)


def _not_called(call: ToolCall, why: str) -> Result:
    return Result(id=call.id, name=legible(call.name)[:64], text=f"{NOT_CALLED}{why}", failed=True)
