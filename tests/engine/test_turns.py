"""A call that records its turns goes on from the last of them when a stop cut it off."""

import pytest

from antiphon.engine import CallContext, InfrastructureError, Limits, Settings
from antiphon.engine.call import Call
from antiphon.engine.script.api import agent, parallel
from antiphon.engine.testing import AnsweringCalls, memory_run
from antiphon.tracing import Json, Redactor
from antiphon.tracing.log import MemoryLog

pytestmark = pytest.mark.anyio


class Steps:
    """Takes `of` turns, one attempt each; `seen` says which began with how many."""

    def __init__(self, of: int = 3, error: Exception | None = None) -> None:
        self.seen: list[tuple[Json, int]] = []
        self.sent = 0
        self._of, self._error = of, error

    async def __call__(self, call: Call, context: CallContext) -> object:
        self.seen.append((call.task, len(context.turns)))
        for number in range(len(context.turns), self._of):
            async with context.attempt() as attempt:
                self.sent += 1
                attempt.settle()
            await context.turn({"number": number})
        if self._error is not None:
            raise self._error
        return [*context.turns]


async def test_a_killed_call_goes_on_from_its_last_turn_at_every_instant() -> None:
    async def main() -> object:
        return await agent("work")

    whole = await memory_run(main, performers={"agent": AnsweringCalls(Steps())})
    events = whole.events()
    for cut in range(1, len(events)):
        turns = sum(event.kind == "turn" for event in events[:cut])
        finished = any(event.kind == "call.ended" for event in events[:cut])
        steps = Steps()
        again = await memory_run(main, performers={"agent": AnsweringCalls(steps)}, history=events[:cut])
        assert again.result.kind == "completed"
        assert steps.sent == (0 if finished else 3 - turns), cut
        assert sum(event.kind == "turn" for event in again.events()) == 3


async def test_turns_follow_a_call_that_an_edit_moved_and_also_over_a_second_stop() -> None:
    async def first() -> object:
        return await agent("work")

    async def moved() -> object:
        await parallel([agent("other")])
        return await agent("work")

    whole = await memory_run(first, performers={"agent": AnsweringCalls(Steps())})
    cut = next(n for n, event in enumerate(whole.events()) if event.kind == "turn") + 1
    steps = Steps()
    second = await memory_run(moved, performers={"agent": AnsweringCalls(steps)}, history=whole.events()[:cut])
    assert ("work", 1) in steps.seen
    events = second.events()
    third_cut = max(n for n, event in enumerate(events) if event.kind == "turn" and event.path == "main/1") + 1
    steps = Steps()
    await memory_run(moved, performers={"agent": AnsweringCalls(steps)}, history=events[:third_cut])
    assert steps.seen == [("work", 3)]


@pytest.mark.parametrize(
    ("error", "kept"), [(InfrastructureError("network", "gone"), 3), (ValueError("wrong"), 0)], ids=["network", "task"]
)
async def test_what_failed_for_the_task_begins_anew_and_what_failed_for_the_network_goes_on(
    error: Exception, kept: int
) -> None:
    async def main() -> object:
        return (await parallel([agent("work")])).census

    failed = await memory_run(main, performers={"agent": AnsweringCalls(Steps(error=error))})
    steps = Steps()
    settings = Settings(retry_failed=frozenset({"*"}))
    await memory_run(main, performers={"agent": AnsweringCalls(steps)}, history=failed.events(), settings=settings)
    assert steps.seen == [("work", kept)]


async def test_a_call_limit_holds_over_all_its_attempts() -> None:
    """Two of three model calls were spent before the stop: one is left, and not three."""

    async def main() -> object:
        return await agent("work", limits={"model_calls": 3})

    whole = await memory_run(main, performers={"agent": AnsweringCalls(Steps(of=3))})
    turns = [n for n, event in enumerate(whole.events()) if event.kind == "turn"]
    steps, history = Steps(of=4), whole.events()[: turns[1] + 1]
    again = await memory_run(main, performers={"agent": AnsweringCalls(steps)}, history=history)
    assert again.result.outcome is not None
    assert again.result.outcome.kind == "over_budget"
    assert steps.sent == 1


async def test_a_turn_is_given_back_as_the_log_holds_it() -> None:
    given: list[Json] = []

    async def answer(call: Call, context: CallContext) -> object:
        given.append(await context.turn({"said": "the key is s3cr3t-value-0123456789"}))
        given.append(context.remaining("model_calls"))
        given.append([await context.keep("alike"), await context.keep("alike")])
        return None

    async def main() -> object:
        return await agent("work")

    log = MemoryLog(redactor=Redactor({"KEY": "s3cr3t-value-0123456789"}))
    ran = await memory_run(main, performers={"agent": AnsweringCalls(answer)}, log=log, limits=Limits(model_calls=7))
    assert "s3cr3t" not in str(given[0])
    [turn] = ran.events("turn")
    assert turn.data["value"] == given[0]
    assert given[1] == 7
    assert len(ran.events("frame")) == 1
