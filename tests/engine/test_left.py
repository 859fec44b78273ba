"""What a call leaves behind is recorded with its outcome, and the host is told it, performed and replayed alike."""

from collections.abc import Awaitable, Callable

import anyio
import pytest

from antiphon.engine import AgentFailure, CallContext
from antiphon.engine.call import Call
from antiphon.engine.script.api import agent, branch, parallel, race
from antiphon.engine.testing import AnsweringCalls, MemoryRun, memory_run
from antiphon.tracing import Json
from antiphon.tracing.log import Event

pytestmark = pytest.mark.anyio


async def _work(call: Call, context: CallContext) -> object:
    context.left = {"state": call.task}
    if "fail" in str(call.task):
        raise AgentFailure("it could not")
    return "done"


async def _run(
    main: Callable[[], Awaitable[object]], history: list[Event] | None = None
) -> tuple[MemoryRun, list[Json]]:
    told: list[Json] = []
    ran = await memory_run(
        main,
        performers={"agent": AnsweringCalls(_work)},
        host={"left": told.append},
        history=history or [],
    )
    return ran, told


async def test_what_calls_left_is_told_in_their_order_whether_they_replay_or_not() -> None:
    async def main() -> object:
        await agent("one")
        await branch("b", agent("fail"))
        return await agent("two")

    whole, told = await _run(main)
    lefts = [event.data.get("left") for event in whole.events("call.ended")]
    assert told == lefts == [{"state": "one"}, {"state": "fail"}, {"state": "two"}]
    for cut in range(len(whole.events())):
        again, told = await _run(main, whole.events()[:cut])
        assert told == lefts
        assert again.result.kind == whole.result.kind


async def test_what_a_race_took_as_it_was_left_is_told_too() -> None:
    async def main() -> object:
        return await race([agent("one"), agent("two")])

    whole, _ = await _run(main)
    _, told = await _run(main, whole.events())
    ended = [event for event in whole.events("call.ended") if event.data["kind"] == "succeeded"]
    assert sorted(map(str, told)) == sorted(str(event.data["left"]) for event in ended)


async def test_a_deadline_tells_what_was_left_and_a_cancellation_does_not() -> None:
    async def late(call: Call, context: CallContext) -> object:
        context.left = {"state": call.task}
        await anyio.sleep_forever()
        return "never"

    async def main() -> object:
        await branch("b", agent("timed out", limits={"wall_seconds": 0.01}))
        return await race([_soon(), agent("cancelled")])

    async def _soon() -> str:
        return "won"

    told: list[Json] = []
    ran = await memory_run(main, performers={"agent": AnsweringCalls(late)}, host={"left": told.append})
    assert ran.value == "won"
    assert told == [{"state": "timed out"}]


async def test_what_an_edit_replaced_is_not_told() -> None:
    async def first() -> object:
        return await parallel([agent("one"), agent("two")])

    async def edited() -> object:
        return await parallel([agent("one"), agent("three")])

    whole, _ = await _run(first)
    _, told = await _run(edited, whole.events())
    assert told == [{"state": "one"}, {"state": "three"}]
