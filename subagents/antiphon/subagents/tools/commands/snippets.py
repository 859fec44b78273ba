"""Runs a snippet that a model wrote in a guest of its own, and performs the calls of tools that it asks for.

The guest reaches nothing: no file of the tree, no network. What it asks for comes as frames, and all of them are
hostile input; one may ask for nothing but a tool by its name, and whether that is called is for the policy of the agent
to say.
"""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import anyio

from antiphon.engine.errors import leading
from antiphon.engine.script.confined.frames import EndFrame, NowFrame, PrintFrame, frame_of
from antiphon.engine.script.runtime import Guest, GuestDied, GuestLimits, Program, Runtime
from antiphon.subagents.runtimes import MONTY
from antiphon.subagents.tools.commands.guest import ASKED, FILE, snippet
from antiphon.subagents.tools.contract import ToolResult
from antiphon.tracing import Json

_MIB: Final = 1 << 20
MOST_CALLS: Final = 100
"""Of tools, by one snippet."""
MOST_FRAME_BYTES: Final = 1 * _MIB
"""Of one thing that it asks for."""
MOST_OUTPUT_BYTES: Final = 1 * _MIB
_MOST_ASKED: Final = 3 * MOST_CALLS
_ANSWER_CHARACTERS: Final = 200_000
_COMPUTING_SECONDS: Final = 120.0
_SLACK_SECONDS: Final = 5.0  # our clock is the first to end it, and says so in our words
_PLACE: Final = re.compile(rf" \({FILE}:(\d+) in ([^()]*)\)$")

Perform = Callable[[str, Mapping[str, Json]], Awaitable[ToolResult]]
"""Performs one tool by its name, as if the model had called it."""


@dataclass(frozen=True, slots=True)
class Called:
    """One call of a tool that a snippet made."""

    name: str
    arguments: Mapping[str, Json]
    failed: bool


@dataclass(frozen=True, slots=True)
class Ran:
    """A snippet that was run.

    Attributes:
        output: what it printed. value: of its last expression, as text; None where there is none.
        problem: what went wrong, in words; "" if nothing did. detail: the snippet's own error.
        calls: the tools that were called for it, in order.
    """

    output: str = ""
    value: str | None = None
    problem: str = ""
    detail: str = ""
    calls: tuple[Called, ...] = ()


class _Broken(Exception):
    """What came from the guest is nothing to go on with."""


@dataclass(slots=True)
class _Exchange:
    """The host's side of one snippet."""

    guest: Guest
    perform: Perform
    calls: list[Called] = field(default_factory=list[Called])
    printed: list[str] = field(default_factory=list[str])
    _bytes: int = 0
    _asked: int = 0

    async def serve(self) -> EndFrame:
        """Perform what is asked for until the snippet is over; how it ended. Raises `_Broken` and `GuestDied`."""
        while True:
            text = await self.guest.receive()
            if text is None:
                raise _Broken("it ended without an end")
            match frame_of(text):
                case EndFrame() as end:
                    return end
                case PrintFrame() as shown:
                    self._print(shown.text)
                case NowFrame() as asked:
                    result = await self._answered(asked, len(text))
                    said = {"ok": not result.failed, "text": result.text[:_ANSWER_CHARACTERS]}
                    await self.guest.send(json.dumps({"id": asked.id, "value": said}))
                case other:
                    await self.guest.send(json.dumps({"id": other.id, "error": "a snippet has tools, and no calls"}))

    def _print(self, text: str) -> None:
        self._bytes += len(text.encode("utf-8", "surrogatepass"))
        if self._bytes > MOST_OUTPUT_BYTES:
            raise _Broken(f"it printed more than {MOST_OUTPUT_BYTES:,} bytes")
        self.printed.append(text)

    async def _answered(self, frame: NowFrame, size: int) -> ToolResult:
        self._asked += 1
        if self._asked > _MOST_ASKED:
            raise _Broken(f"it asked more than {_MOST_ASKED} times")
        if size > MOST_FRAME_BYTES:
            raise _Broken(f"what it asked for is larger than {MOST_FRAME_BYTES:,} bytes")
        if len(self.calls) >= MOST_CALLS:
            return ToolResult(f"a snippet may call tools {MOST_CALLS} times, and did", failed=True)
        asked = _call_of(frame)
        if asked is None:
            return ToolResult("this is no call of a tool", failed=True)
        name, arguments = asked
        result = await self.perform(name, arguments)
        self.calls.append(Called(name, arguments, result.failed))
        return result


def _call_of(frame: NowFrame) -> tuple[str, Mapping[str, Json]] | None:
    """The tool and the arguments that a frame asks for; None where it asks for none."""
    default: object = frame.default
    if frame.do != "get" or frame.key != ASKED or not isinstance(default, dict):
        return None
    asked = cast("dict[str, Any]", default)
    name, arguments = asked.get("name"), asked.get("arguments")
    if not isinstance(name, str) or not isinstance(arguments, dict):
        return None
    return name, cast("dict[str, Json]", arguments)


async def run_snippet(
    code: str, *, runtime: Runtime, tools: Mapping[str, Sequence[str]], perform: Perform, seconds: float
) -> Ran:
    """Run a snippet to its end.

    Args:
        code: Python. `tools.NAME(…)` in it calls a tool, and raises `ToolFailed` where that failed.
        runtime: what confines it.
        tools: names of tools with those of their parameters, in order, for calls by position.
        perform: performs one. What it raises ends the snippet, and passes.
        seconds: wall time after which it is ended, that of its tools included; a tool under way comes to its end.

    Raises:
        InfrastructureError: from `perform`.
    """
    try:
        whole = snippet(code, tools, full=runtime.name != MONTY)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        detail = "".join(traceback.format_exception_only(type(error), error)).rstrip()
        return Ran(problem="it does not parse, and was not run:", detail=detail)
    program = Program(source=whole.text, file=FILE, token=FILE)
    try:
        async with runtime.guest(program, _limits(seconds)) as guest:
            ran = await _run(_Exchange(guest, perform), seconds)
    except GuestDied as error:
        return Ran(problem=f"it was ended: {error.reason}")
    return _placed(ran, whole.before, code)


def _limits(seconds: float) -> GuestLimits:
    computing = min(seconds, _COMPUTING_SECONDS)
    return GuestLimits(
        turn_seconds=computing + _SLACK_SECONDS,
        cpu_seconds=_COMPUTING_SECONDS,
        frame_bytes=4 * MOST_OUTPUT_BYTES,
        output_bytes=4 * MOST_OUTPUT_BYTES,
    )


async def _run(exchange: _Exchange, seconds: float) -> Ran:
    end: EndFrame | None = None
    problem = ""

    async def end_late() -> None:
        nonlocal problem
        await anyio.sleep(seconds)
        problem = f"it was ended after {seconds:g} s"
        await exchange.guest.kill(problem)

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(end_late)
            try:
                end = await exchange.serve()
            except (_Broken, GuestDied) as error:
                problem = problem or f"it was ended: {error.reason if isinstance(error, GuestDied) else error}"
            group.cancel_scope.cancel()
    except ExceptionGroup as errors:
        raise leading(errors) from errors
    return _told(end, problem, exchange)


def _told(end: EndFrame | None, problem: str, exchange: _Exchange) -> Ran:
    value, detail = None, ""
    if end is not None and end.error is not None:
        problem, detail = "it raised:", (end.described or end.error)[:2_000]
    elif end is not None and end.cancelled:
        problem = "it ended by itself, by an exception that is none to raise"
    elif end is not None and isinstance(end.value, str):
        value = end.value
        if len(value.encode("utf-8", "surrogatepass")) > MOST_OUTPUT_BYTES:
            value, problem = None, f"it was ended: its last value is larger than {MOST_OUTPUT_BYTES:,} bytes"
    return Ran("".join(exchange.printed), value, problem, detail, tuple(exchange.calls))


def _placed(ran: Ran, before: int, code: str) -> Ran:
    """The same with the line that an error is on as one of the snippet's own, and that line."""
    found = _PLACE.search(ran.detail)
    if found is None:
        return ran
    line, where = int(found[1]) - before, found[2]
    lines = code.splitlines()
    said = ran.detail[: found.start()]
    if 0 < line <= len(lines):
        said += f"\n  line {line}, in {where}: {lines[line - 1].strip()[:200]}"
    return Ran(ran.output, ran.value, ran.problem, said, ran.calls)
