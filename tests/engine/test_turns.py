"""A call that records its turns goes on from the last of them when a stop cut it off."""

from collections.abc import Awaitable, Callable

import pytest

from antiphon.engine import CallContext, InfrastructureError, Limits, Settings
from antiphon.engine.call import Call
from antiphon.engine.journal import read_journal
from antiphon.engine.perform import settle_below
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


@pytest.mark.parametrize("where", ["call", "branch"])
@pytest.mark.parametrize("error", [None, InfrastructureError("network", "gone")], ids=["over budget", "network"])
async def test_what_is_performed_again_counts_what_it_spent_before_under_every_limit(
    where: str, error: Exception | None
) -> None:
    """Three calls were spent on an outcome that is performed again under a limit of four: one is left."""

    def script(most: int) -> Callable[[], Awaitable[object]]:
        async def main() -> object:
            limits = {"model_calls": most}
            if where == "call":
                return (await parallel([agent("work", limits=limits)])).census
            return (await parallel([agent("work")], limits=limits)).census

        return main

    first = await memory_run(
        script(3 if error is None else 4), performers={"agent": AnsweringCalls(Steps(9 if error is None else 3, error))}
    )
    steps, settings = Steps(of=9), Settings(retry_failed=frozenset({"failed"}))
    again = await memory_run(
        script(4), performers={"agent": AnsweringCalls(steps)}, history=first.events(), settings=settings
    )
    assert steps.seen == [("work", 3)]
    assert (steps.sent, again.result.spent.count("model_calls")) == (1, 4)
    assert read_journal(again.events()).spent == again.run.budget.root.spent


async def test_what_begins_anew_after_a_failure_counts_for_the_limits_around_it_alone() -> None:
    async def main() -> object:
        return (await parallel([agent("work", limits={"model_calls": 3})], limits={"model_calls": 5})).census

    first = await memory_run(main, performers={"agent": AnsweringCalls(Steps(of=3, error=ValueError("wrong")))})
    steps, settings = Steps(of=9), Settings(retry_failed=frozenset({"*"}))
    again = await memory_run(
        main, performers={"agent": AnsweringCalls(steps)}, history=first.events(), settings=settings
    )
    assert (steps.sent, again.result.spent.count("model_calls")) == (2, 5)


async def test_what_was_spent_moves_with_the_turns_and_is_counted_once_over_two_stops() -> None:
    async def first() -> object:
        return await agent("work", limits={"model_calls": 4})

    async def moved() -> object:
        await parallel([agent("other", limits={"model_calls": 9})])
        return await first()

    whole = await memory_run(first, performers={"agent": AnsweringCalls(Steps(of=9))})
    turns = [n for n, event in enumerate(whole.events()) if event.kind == "turn"]
    cut = whole.events()[: turns[1] + 1]
    for _ in range(2):
        steps = Steps(of=9)
        again = await memory_run(moved, performers={"agent": AnsweringCalls(steps)}, history=cut)
        spent = read_journal(again.events()).cost("main/0") + read_journal(again.events()).cost("main/1")
        assert spent.count("model_calls") == 4
        cut = again.events()[: max(n for n, event in enumerate(again.events()) if event.kind == "turn") + 1]


class Noted:
    """A record."""

    def __init__(self, text: str) -> None:
        self._text = text

    def to_json(self) -> dict[str, Json]:
        """See `Record`."""
        return {"kind": "note", "text": self._text}


class Judged:
    """Asks a critic after each of two turns; the critics leave records, and cost."""

    def __init__(self) -> None:
        self.performed: list[Json] = []

    async def __call__(self, call: Call, context: CallContext) -> object:
        self.performed.append(call.task)
        async with context.attempt() as attempt:
            attempt.settle()
        if call.task != "work":
            context.records.add(Noted(str(call.task)))
            return "fine"
        for number in range(len(context.turns), 2):
            await settle_below(context, Call(sort="agent", name="critic", task=f"judge {number}"), number)
            await context.turn({"number": number})
        return "done"


async def test_what_a_call_asked_for_itself_is_there_with_its_records_after_a_resume_at_every_instant() -> None:
    async def main() -> object:
        return (await parallel([agent("work")], limits={"model_calls": 9})).census

    whole = await memory_run(main, performers={"agent": AnsweringCalls(Judged())})
    events = whole.events()
    for cut in range(1, len(events) + 1):
        judged = Judged()
        again = await memory_run(main, performers={"agent": AnsweringCalls(judged)}, history=events[:cut])
        durable = {event.path for event in events[:cut] if event.kind == "call.ended"}
        for number in (0, 1):
            assert (f"judge {number}" in judged.performed) is (f"main/0/0/0/{number}" not in durable), cut
        for ran in (
            again,
            await memory_run(main, performers={"agent": AnsweringCalls(judged)}, history=again.events()),
        ):
            assert sorted(str(one.record) for one in ran.run.records) == sorted(
                str(one.record) for one in whole.run.records
            ), cut
            assert ran.result.calls == whole.result.calls, cut
            assert read_journal(ran.events()).spent == ran.run.budget.root.spent, cut


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
