"""A log that can take no more ends the run, from whatever depth, as itself; and nothing swallows it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from antiphon.engine import Call, CallContext, CallFailed, Limits, Run
from antiphon.engine.script.api import agent, branch, parallel, phase, race
from antiphon.engine.testing import AnsweringCalls
from antiphon.tracing import Event, Json, LogFailed, MemoryLog
from antiphon.tracing.log import Stamp, Watcher

pytestmark = pytest.mark.anyio


class FullLog:
    """A log in memory that fails from its nth event of one kind on, as a full disk does."""

    def __init__(self, kind: str, number: int) -> None:
        self._inner, self._kind, self._left = MemoryLog(), kind, number

    @property
    def head(self) -> str:
        """See `Log.head`."""
        return self._inner.head

    @property
    def epoch(self) -> int:
        """See `Log.epoch`."""
        return self._inner.epoch

    def enqueue(self, kind: str, path: str, data: Mapping[str, Json]) -> Stamp:
        """See `Log.enqueue`."""
        self._left -= kind == self._kind
        if self._left <= 0:
            raise LogFailed(Path("r"), "no space left")
        return self._inner.enqueue(kind, path, data)

    async def append(self, kind: str, path: str, data: Mapping[str, Json]) -> Stamp:
        """See `Log.append`."""
        stamp = self.enqueue(kind, path, data)
        await self._inner.flush()
        return stamp

    async def flush(self) -> None:
        """See `Log.flush`."""

    def redact(self, text: str) -> str:
        """See `Log.redact`."""
        return text

    def events(self) -> Sequence[Event]:
        """See `Log.events`."""
        return ()

    def watch(self, watcher: Watcher) -> None:
        """See `Log.watch`."""


async def paying(call: Call, context: CallContext) -> object:
    """One attempt."""
    async with context.attempt() as attempt:
        attempt.settle()
    return call.task


async def flat() -> Any:
    """Calls one after the other, each failure handled."""
    for n in range(9):
        try:
            await agent(str(n))
        except CallFailed:
            continue


async def fanned() -> Any:
    """A fan-out inside a branch inside a race."""
    phase("find")

    async def inner() -> Any:
        return (await parallel([agent(str(n)) for n in range(5)])).succeeded()

    return await race([branch("a", inner()), branch("b", inner())])


@pytest.mark.parametrize("limits", [Limits(), Limits(agent_seconds=1000, wall_seconds=1000)], ids=["free", "limited"])
@pytest.mark.parametrize("main", [flat, fanned])
@pytest.mark.parametrize("number", [1, 2, 4])
@pytest.mark.parametrize("kind", ["call.started", "call.ended", "attempt.started", "attempt.ended"])
async def test_a_failing_log_ends_the_run_as_itself(
    kind: str, number: int, main: Callable[[], Awaitable[Any]], limits: Limits
) -> None:
    calls = AnsweringCalls(paying)
    run = Run(FullLog(kind, number), run_id="r", performers={"agent": calls}, limits=limits)
    with pytest.raises(LogFailed, match="no space left"):
        await run.execute(main)
    assert run.admission.in_use == 0


async def test_a_script_that_swallows_everything_cannot_hide_it() -> None:
    async def main() -> str:
        for n in range(3):
            try:
                await agent(str(n))
            except Exception:
                continue
        return "all fine"

    run = Run(FullLog("call.ended", 1), run_id="r", performers={"agent": AnsweringCalls(paying)})
    with pytest.raises(LogFailed):
        await run.close(await run.execute(main))
