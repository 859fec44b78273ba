"""Performing the tools that a model wants called: each an attempt of its own, results in the calls' order.

Calls that only look run together; one that may change the workspace runs alone, in its place among the others. A tool
that fails is a result, and so is a call that cannot be performed. What is not the tool's own fault (the infrastructure,
the log) ends the call, and cancellation passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

import anyio

from antiphon.engine import Amount, BudgetRefused, CallContext, InfrastructureError, WindDown
from antiphon.engine.errors import leading
from antiphon.subagents.loop.anomaly import NOT_CALLED
from antiphon.subagents.loop.conversation import capped_text
from antiphon.subagents.loop.toolbox import Toolbox
from antiphon.subagents.loop.turns import Result, ToolsTurn
from antiphon.subagents.model.answering.reading import Unreadable, arguments_of
from antiphon.subagents.model.contract import ToolCall
from antiphon.subagents.prompt.delimiting import legible
from antiphon.subagents.tools.choosing import unwrapped
from antiphon.subagents.tools.contract import Misfit, Tool, ToolResult
from antiphon.subagents.workspace.files.viewing import viewing
from antiphon.tracing import Json, LogClosed, LogFailed

MOST_CHARACTERS: Final = 32_000
"""Of one result; what is over is left out in the middle, and said so."""
MOST_AT_ONCE: Final = 16
"""Tools of one answer that run at the same time."""
_CURRENT: Final[ContextVar[Toolbox | None]] = ContextVar("toolbox", default=None)
_LIMIT: Final = "the limit on tool calls is reached"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One call that can be performed."""

    call: ToolCall
    tool: Tool
    arguments: Mapping[str, Json]


async def call_tools(calls: Sequence[ToolCall], most: int, box: Toolbox) -> ToolsTurn:
    """Perform the calls of one answer.

    Args:
        calls: as the model wrote them.
        most: how many of them may still be performed.
        box: the tools, and what holds for them.

    Raises:
        InfrastructureError: a tool could not work for a reason outside of its task.
    """
    wanted = [
        _wanted(call, box.tools) if place < most else _not_called(call, _LIMIT) for place, call in enumerate(calls)
    ]
    results = [one if isinstance(one, Result) else None for one in wanted]
    try:
        for group in _groups(wanted, box):
            await _together(group, results, box)
    except ExceptionGroup as errors:
        raise leading(errors) from errors
    done = tuple(result for result in results if result is not None)
    assert len(done) == len(calls)
    return ToolsTurn(done, await box.left(), tuple(box.checks))


async def perform_tool(
    tool: Tool, name: str, arguments: Mapping[str, Json], ctx: CallContext, box: Toolbox | None = None
) -> ToolResult:
    """Perform one call of a tool under the policy: how every call of a tool is performed, also by another tool.

    Args:
        tool: which.
        name: what it is called by.
        arguments: an object.
        ctx: of the call that it is performed for.
        box: what holds for it; by default that of the tool that calls it, else the default policy.

    Raises:
        InfrastructureError: it could not work for a reason outside of its task.
    """
    box = box or _CURRENT.get() or Toolbox(ctx, {name: tool})
    try:
        inner = unwrapped(name, arguments, box.tools)
    except Misfit as error:
        return ToolResult(f"{NOT_CALLED}{error}", failed=True)
    tool, arguments = inner or (tool, arguments)
    async with box.alone(tool):
        return await box.refused(tool, arguments) or await _performed(tool, arguments, box)


def current_tools() -> Mapping[str, Tool]:
    """What the agent may call for which a tool is being performed: for tools that call others."""
    box = _CURRENT.get()
    return {} if box is None else box.tools


async def _together(group: Sequence[tuple[int, _Wanted]], results: list[Result | None], box: Toolbox) -> None:
    """Perform calls at the same time, after all that has to be asked about them was asked, one question at a time."""
    slots = anyio.Semaphore(MOST_AT_ONCE)

    async def one(place: int, wanted: _Wanted) -> None:
        async with slots:
            results[place] = _result(wanted.call, await _performed(wanted.tool, wanted.arguments, box))

    cleared: list[tuple[int, _Wanted]] = []
    for place, wanted in group:
        refused = await box.refused(wanted.tool, wanted.arguments)
        if refused is None:
            cleared.append((place, wanted))
        else:
            results[place] = _result(wanted.call, refused)
    if len(cleared) == 1:
        return await one(*cleared[0])
    async with anyio.create_task_group() as tasks:
        for place, wanted in cleared:
            tasks.start_soon(one, place, wanted)


def _groups(wanted: Sequence[_Wanted | Result], box: Toolbox) -> Iterator[list[tuple[int, _Wanted]]]:
    """Calls in a row that only look, together; each that may change the workspace by itself."""
    looking: list[tuple[int, _Wanted]] = []
    for place, one in enumerate(wanted):
        if isinstance(one, Result):
            continue
        if not box.may_change(one.tool):
            looking.append((place, one))
            continue
        if looking:
            yield looking
        yield [(place, one)]
        looking = []
    if looking:
        yield looking


def _wanted(call: ToolCall, tools: Mapping[str, Tool]) -> _Wanted | Result:
    tool = tools.get(call.name)
    if tool is None:
        known = ", ".join(sorted(tools)) or "none"
        return _not_called(call, f"there is no tool {legible(call.name)[:64]!r}; there are: {known}")
    try:
        arguments = arguments_of(call)
    except Unreadable as error:
        return _not_called(call, f"the arguments cannot be read: {error}")
    try:
        inner = unwrapped(call.name, arguments, tools)
    except Misfit as error:
        return _not_called(call, str(error))
    return _Wanted(call, *(inner or (tool, arguments)))


async def _performed(tool: Tool, arguments: Mapping[str, Json], box: Toolbox) -> ToolResult:
    """The answer of a tool that may be called, and that what it did was allowed."""
    token = _CURRENT.set(box)
    try:
        with box.acting(tool, arguments), viewing(box.policy.view(tool)):
            async with box.watched(tool) as before:
                answer = await _answer(tool, arguments, box.ctx)
            return await box.held(tool, arguments, before, answer)
    finally:
        _CURRENT.reset(token)


async def _answer(tool: Tool, arguments: Mapping[str, Json], ctx: CallContext) -> ToolResult:
    try:
        async with ctx.attempt(Amount(), sort="tool", name=tool.spec.name) as attempt:
            try:
                return await tool(arguments, ctx)
            finally:
                attempt.settle()
    except (Misfit, BudgetRefused, WindDown) as error:
        return ToolResult(f"{NOT_CALLED}{error}", failed=True)
    except (InfrastructureError, LogFailed, LogClosed):
        raise
    except Exception as error:
        return _failed(leading(error))


def _failed(error: Exception) -> ToolResult:
    if isinstance(error, InfrastructureError | LogFailed | LogClosed):
        raise error
    return ToolResult(f"{type(error).__name__}: {error}", failed=True)


def _result(call: ToolCall, answer: ToolResult) -> Result:
    text = legible(capped_text(answer.text, MOST_CHARACTERS))
    return Result(id=call.id, name=call.name, text=text, failed=answer.failed)


def _not_called(call: ToolCall, why: str) -> Result:
    return Result(id=call.id, name=legible(call.name)[:64], text=f"{NOT_CALLED}{why}", failed=True)
