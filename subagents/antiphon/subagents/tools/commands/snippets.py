"""Runs a snippet that a model wrote in a sandbox of its own, and performs the calls of tools that it asks for.

The snippet's process reaches nothing: no file of the tree, no network. It asks through one FIFO and is answered through
another. All that comes from it is hostile input: one frame is one line of JSON, of bounded size and number, and may ask
for nothing but a tool by its name; whether that is called is for the policy of the agent to say.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import anyio

from antiphon.engine.errors import leading
from antiphon.subagents.process import Completed, Unavailable, run_command
from antiphon.subagents.sandbox import Confinement, ProcessLimits, Sandbox
from antiphon.subagents.sandbox.confinement import MIB
from antiphon.subagents.sandbox.scratch import private_folder
from antiphon.subagents.tools.contract import ToolResult
from antiphon.tracing import Json

MOST_CALLS: Final = 100
"""Of tools, by one snippet."""
MOST_FRAME_BYTES: Final = 1 * MIB
"""Of one thing that it asks for."""
MOST_OUTPUT_BYTES: Final = 1 * MIB
_MOST_FRAMES: Final = 3 * MOST_CALLS
_ANSWER_CHARACTERS: Final = 200_000
_GUEST: Final = Path(__file__).with_name("guest.py")
_PIECE: Final = 1 << 16
_LIMITS: Final = ProcessLimits(
    cpu_seconds=120, file_bytes=16 * MIB, processes=16, memory_bytes=512 * MIB, scratch_bytes=16 * MIB
)
_SEARCH: Final = "/usr/local/bin:/usr/bin:/bin"

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
        ended: how its process ended. calls: the tools that were called for it, in order.
        broken: why it was ended for what it sent; "" if it was not.
    """

    ended: Completed | Unavailable | None
    calls: tuple[Called, ...] = ()
    broken: str = ""


class _Broken(Exception):
    """What came from the guest is nothing to go on with."""


@dataclass(slots=True)
class _Exchange:
    """The host's side of one snippet."""

    ask: int
    answer: int
    perform: Perform
    calls: list[Called] = field(default_factory=list[Called])
    _frames: int = 0
    _over: bool = False
    _waiting: anyio.CancelScope | None = None

    def stop(self) -> None:
        """Nobody is there any more. A tool that is under way comes to its end."""
        self._over = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def serve(self) -> None:
        """Perform what is asked for, until `stop`. Raises `_Broken`."""
        buffer = bytearray()
        while await self._ready(anyio.wait_readable, self.ask):
            try:
                piece = os.read(self.ask, _PIECE)
            except BlockingIOError:
                continue
            start = len(buffer)
            buffer += piece
            while (end := buffer.find(b"\n", start)) >= 0:
                line, start = bytes(buffer[:end]), 0
                del buffer[: end + 1]
                if not await self._send(await self._answered(line)):
                    return
            if len(buffer) > MOST_FRAME_BYTES:
                raise _Broken(f"what it asked for is larger than {MOST_FRAME_BYTES:,} bytes")

    async def _ready(self, wait: Callable[[int], Awaitable[None]], descriptor: int) -> bool:
        if self._over:
            return False
        with anyio.CancelScope() as self._waiting:
            await wait(descriptor)
        self._waiting = None
        return not self._over

    async def _answered(self, line: bytes) -> ToolResult:
        self._frames += 1
        if self._frames > _MOST_FRAMES:
            raise _Broken(f"it asked more than {_MOST_FRAMES} times")
        if len(self.calls) >= MOST_CALLS:
            return ToolResult(f"a snippet may call tools {MOST_CALLS} times, and did", failed=True)
        asked = _read(line)
        if asked is None:
            return ToolResult("this is no call of a tool", failed=True)
        name, arguments = asked
        result = await self.perform(name, arguments)
        self.calls.append(Called(name, arguments, result.failed))
        return result

    async def _send(self, result: ToolResult) -> bool:
        """Answer the guest; False once it is not there any more."""
        text = result.text[:_ANSWER_CHARACTERS]
        frame = json.dumps({"ok": not result.failed, "text": text}).encode() + b"\n"
        while frame:
            if not await self._ready(anyio.wait_writable, self.answer):
                return False
            try:
                frame = frame[os.write(self.answer, frame) :]
            except BlockingIOError:
                continue
        return True


def _read(line: bytes) -> tuple[str, Mapping[str, Json]] | None:
    """The tool and the arguments that a frame asks for; None where it asks for none."""
    if len(line) > MOST_FRAME_BYTES:
        return None
    try:
        frame: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(frame, dict):
        return None
    asked = cast("dict[str, Any]", frame)
    name, arguments = asked.get("tool"), asked.get("arguments")
    if not isinstance(name, str) or not isinstance(arguments, dict):
        return None
    return name, cast("dict[str, Json]", arguments)


async def run_snippet(
    code: str, *, sandbox: Sandbox, tools: Mapping[str, Sequence[str]], perform: Perform, seconds: float
) -> Ran:
    """Run a snippet to its end.

    Args:
        code: Python. `tools.NAME(…)` in it calls a tool, and raises `ToolFailed` where that failed.
        sandbox: what confines it.
        tools: names of tools with those of their parameters, in order, for calls by position.
        perform: performs one. What it raises ends the snippet, and passes.
        seconds: wall time after which it is ended, that of its tools included.

    Raises:
        InfrastructureError: from `perform`.
    """
    with private_folder() as folder:
        given, ask, answer = (os.path.join(folder, name) for name in ("given", "ask", "answer"))
        os.mkfifo(ask, 0o600)
        os.mkfifo(answer, 0o600)
        content = json.dumps({"code": code, "tools": {name: list(names) for name, names in tools.items()}})
        await anyio.Path(given).write_text(content, encoding="utf-8")
        # Both ends of both, so that neither opening waits for the guest nor its end is read as an end of file.
        opened = [os.open(place, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC) for place in (ask, answer)]
        try:
            exchange = _Exchange(opened[0], opened[1], perform)
            return await _run(exchange, _command(given, ask, answer), sandbox, seconds)
        finally:
            for descriptor in opened:
                os.close(descriptor)


@dataclass(frozen=True, slots=True)
class _Command:
    argv: tuple[str, ...]
    confinement: Confinement


def _command(given: str, ask: str, answer: str) -> _Command:
    return _Command(
        argv=(sys.executable, "-I", "-S", "-X", "utf8", str(_GUEST), given, ask, answer),
        confinement=Confinement(read=(given, answer), write=(ask,), executes=True, limits=_LIMITS),
    )


async def _run(exchange: _Exchange, command: _Command, sandbox: Sandbox, seconds: float) -> Ran:
    ended: Completed | Unavailable | None = None
    broken = ""

    async def serve(scope: anyio.CancelScope) -> None:
        nonlocal broken
        try:
            await exchange.serve()
        except _Broken as error:
            broken = str(error)
            scope.cancel()

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(serve, group.cancel_scope)
            ended = await run_command(
                command.argv,
                env={"PATH": _SEARCH, "PYTHONDONTWRITEBYTECODE": "1"},
                timeout_seconds=seconds,
                output_limit=MOST_OUTPUT_BYTES,
                sandbox=sandbox,
                confinement=command.confinement,
            )
            exchange.stop()
    except ExceptionGroup as errors:
        raise leading(errors) from errors
    return Ran(ended, tuple(exchange.calls), broken)
