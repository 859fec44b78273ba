"""An attempt stands last at a gate: after budget and permit, before its start is recorded, and it always leaves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import anyio
import pytest
from anyio.lowlevel import checkpoint

from antiphon.engine import Amount, CallContext, InfrastructureError, Limits, Run, Settings
from antiphon.engine.call import Call
from antiphon.engine.journal import read_journal
from antiphon.engine.script.api import agent, parallel
from antiphon.engine.testing import AnsweringCalls, MemoryRun, memory_run
from antiphon.tracing import Json

pytestmark = pytest.mark.anyio


class Door:
    """A gate that does what it is told while somebody enters."""

    name = "the door"

    def __init__(self, entering: Callable[[], Awaitable[None]] = checkpoint) -> None:
        self.entered = self.left = 0
        self._entering = entering

    async def enter(self) -> None:
        """See `Gate`."""
        self.entered += 1
        await self._entering()

    def leave(self) -> None:
        """See `Gate`."""
        self.left += 1


async def through(door: Door, *, fails: Exception | None = None) -> MemoryRun:
    """A run of one call that makes one attempt."""

    async def ask(_call: Call, ctx: CallContext) -> object:
        async with ctx.attempt(Amount(usd="0.01"), gate=door) as attempt:
            if fails is not None:
                raise fails
            attempt.settle(Amount(usd="0.004"))
        return str(attempt.spent.usd)

    async def main() -> object:
        return await agent("ask")

    return await memory_run(main, performers={"agent": AnsweringCalls(ask)}, limits=Limits.parse({"usd": "1"}))


async def test_it_enters_before_its_start_is_recorded_and_leaves_when_it_is_over() -> None:
    door = Door()
    ran = await through(door)
    assert (ran.value, door.entered) == ("0.004", 1)
    assert door.left >= 1


async def test_it_leaves_also_when_it_fails() -> None:
    door = Door()
    ran = await through(door, fails=InfrastructureError("network", "cut"))
    assert ran.result.kind == "failed"
    assert door.left >= 1


async def test_nothing_is_recorded_or_kept_of_one_that_could_not_enter() -> None:
    async def refuses() -> None:
        raise ValueError("closed")

    door = Door(refuses)
    ran = await through(door)
    assert ran.result.kind == "failed"
    assert door.left >= 1
    assert not ran.events("attempt.started")
    assert not ran.run.budget.root.reserved
    assert ran.run.admission.in_use == 0


async def test_who_stands_at_a_gate_when_a_breaker_trips_stands_back_even_in_the_middle_of_its_work() -> None:
    standing, broken = anyio.Event(), anyio.Event()
    sent: list[str] = []
    told: list[str] = []

    async def waits() -> None:
        standing.set()
        await broken.wait()

    async def ask(call: Call, ctx: CallContext) -> object:
        if call.task == "breaks":
            await standing.wait()
            ctx.run.on_pause(lambda: told.append(ctx.run.mode))
            assert ctx.run.broken(InfrastructureError("network", "gone", breaks=True))
            assert not ctx.run.broken(InfrastructureError("network", "an ordinary one"))
            broken.set()
            return "broke"
        for gate in (Door(), Door(waits)):
            async with ctx.attempt(Amount(usd="0.01"), gate=gate) as attempt:
                sent.append(str(call.task))
                attempt.settle(Amount(usd="0.01"))
        return "went on"

    async def main() -> object:
        return (await parallel([agent("asks"), agent("breaks")])).census

    calls = {"agent": AnsweringCalls(ask)}
    ran = await memory_run(main, performers=calls, limits=Limits.parse({"usd": "1"}))
    assert (ran.result.kind, ran.result.pause, ran.result.reason) == ("paused", "network", "network: gone")
    assert sent == ["asks"]
    assert told == ["pausing", "pausing"]
    assert str(ran.result.spent.usd) == "0.01"
    assert len(ran.events("attempt.started")) == 1
    assert ran.run.is_broken


async def test_a_pause_that_comes_while_the_start_is_recorded_takes_it_back_uncharged() -> None:
    """The log's commit is the last moment at which a pause may come between."""

    async def ask(_call: Call, ctx: CallContext) -> object:
        async with ctx.attempt(Amount(usd="0.01")):
            raise AssertionError("sent")

    watching = anyio.Event()

    async def beside(run: Run) -> None:
        def breaks(kind: str, _path: str, _at: float, _data: Mapping[str, Json]) -> None:
            if kind == "attempt.started":
                run.broken(InfrastructureError("quota", "used up"))

        run.log.watch(breaks)
        watching.set()

    async def main() -> object:
        await watching.wait()
        return await agent("ask")

    calls = {"agent": AnsweringCalls(ask)}
    ran = await memory_run(main, performers=calls, limits=Limits.parse({"usd": "1"}), beside=beside)
    assert ran.result.pause == "quota"
    assert [ran.result.spent.count(what) for what in ("usd", "model_calls", "agent_calls")] == [0, 0, 0]
    [ended] = ran.events("attempt.ended")
    assert (ended.data["spent"], ended.data["estimated"]) == ({}, False)
    assert not ran.run.budget.root.reserved


async def test_an_attempt_cancelled_while_its_start_is_recorded_was_not_sent_and_costs_nothing_on_resume() -> None:
    """The start may be durable all the same; a resume would take it for one in flight, and charge it whole."""
    deadline = anyio.CancelScope()

    async def ask(_call: Call, ctx: CallContext) -> object:
        with deadline:
            async with ctx.attempt(Amount(usd="0.01")):
                raise AssertionError("sent")
        return "cut off"

    async def beside(run: Run) -> None:
        def cuts(kind: str, _path: str, _at: float, _data: Mapping[str, Json]) -> None:
            if kind == "attempt.started":
                deadline.cancel()

        run.log.watch(cuts)

    async def main() -> object:
        await checkpoint()
        return await agent("ask")

    calls, limits = {"agent": AnsweringCalls(ask)}, Limits.parse({"usd": "1"})
    ran = await memory_run(main, performers=calls, limits=limits, beside=beside)
    assert ran.value == "cut off"
    assert len(ran.events("attempt.started")) == 1
    assert read_journal(ran.events()).spent == ran.run.budget.root.spent
    assert not ran.result.spent.count("usd")


async def test_a_tool_may_ask_a_model_itself_also_with_one_permit() -> None:
    async def uses(_call: Call, ctx: CallContext) -> object:
        async with ctx.attempt(sort="tool") as tool:
            async with ctx.attempt(Amount(usd="0.1")) as asked:
                asked.settle()
            tool.settle()
        return "done"

    async def main() -> list[str]:
        return (await parallel([agent("a"), agent("b")])).succeeded()

    ran = await memory_run(main, performers={"agent": AnsweringCalls(uses)}, settings=Settings(attempts=1))
    assert ran.value == ["done", "done"]
    assert (ran.result.spent.count("tool_calls"), ran.result.spent.count("model_calls")) == (2, 2)
