"""Resume by content: what an edit performs again, what a decision keeps, what a person asks to be tried again."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from antiphon.engine import (
    AgentFailure,
    Amount,
    Call,
    CallContext,
    Limits,
    Outcome,
    Settings,
    current_branch,
    read_journal,
)
from antiphon.engine.script.api import agent, branch, get, parallel, pipeline, put, quorum, race
from antiphon.engine.testing import AnsweringCalls, MemoryRun, Turnstile, memory_run
from antiphon.tracing import Event

pytestmark = pytest.mark.anyio
virtual_time = pytest.mark.parametrize("anyio_backend", ["virtual"], indirect=True)


class Calls(AnsweringCalls):
    """Answers with the task; `broken` ones fail, those beginning with ``sleep N`` take N seconds."""

    def __init__(self, *broken: str, floor: Amount | None = None) -> None:
        self.broken = set(broken)

        async def answer(call: Call, context: CallContext) -> object:
            task = str(call.task)
            if task in self.broken:
                raise AgentFailure(f"{task} is broken")
            if task.startswith("sleep "):
                await anyio.sleep(float(task.split()[1]))
            async with context.attempt() as attempt:
                attempt.settle()
            return task

        super().__init__(answer, floor=floor)

    def taken(self) -> list[str]:
        """What was performed since the last time, sorted."""
        tasks = sorted(map(str, self.performed))
        self.performed.clear()
        return tasks


async def run(main: Callable[[], Awaitable[Any]], calls: Calls, history: Sequence[Event] = ()) -> MemoryRun:
    """One attempt."""
    return await memory_run(main, performers={"agent": calls}, history=history)


def fan_of(*names: str) -> Callable[[], Awaitable[list[str]]]:
    """A script that audits these."""

    async def main() -> list[str]:
        return (await parallel(agent(name) for name in names)).succeeded()

    return main


# --- edits ------------------------------------------------------------------------------------------------------------


async def test_an_item_inserted_in_the_middle_runs_alone_and_the_rebinding_is_recorded() -> None:
    calls = Calls()
    first = await run(fan_of("a", "b", "c"), calls)
    assert calls.taken() == ["a", "b", "c"]
    again = await run(fan_of("a", "new", "b", "c"), calls, first.log.events())
    assert again.value == ["a", "new", "b", "c"]
    assert calls.taken() == ["new"]
    assert (again.result.reuse.reused, again.result.reuse.rebound, again.result.reuse.performed) == (3, 2, 1)
    moved = {event.path: event.data["source"] for event in again.events("call.reused")}
    assert moved == {"main/0/0/0": "main/0/0/0", "main/0/2/0": "main/0/1/0", "main/0/3/0": "main/0/2/0"}
    assert again.result.reuse.saved.count("model_calls") == 3


async def test_a_rebinding_holds_on_the_next_resume_and_the_next() -> None:
    calls = Calls()
    ran = await run(fan_of("a", "b", "c"), calls)
    for names in (("b", "c", "a"), ("b", "c", "a"), ("new", "c", "b", "a"), ("new", "c", "b", "a"), ("a", "b", "c")):
        ran = await run(fan_of(*names), calls, ran.log.events())
        assert ran.value == list(names)
    assert calls.taken() == ["a", "b", "c", "new"]
    assert read_journal(ran.log.events()).spent == ran.result.spent


async def test_one_changed_branch_runs_again_alone() -> None:
    calls = Calls()
    first = await run(fan_of("a", "b", "c"), calls)
    again = await run(fan_of("a", "b, better", "c"), calls, first.log.events())
    assert again.value == ["a", "b, better", "c"]
    assert calls.taken() == ["a", "b", "b, better", "c"]


async def test_a_finished_branch_is_found_wherever_it_moves() -> None:
    async def flat() -> list[str]:
        return [await agent("a"), await agent("b")]

    async def nested() -> list[str]:
        outcome: Outcome[Any] = await branch("deep", fan_of("b", "a")())
        return list(outcome.value)

    calls = Calls()
    first = await run(flat, calls)
    again = await run(nested, calls, first.log.events())
    assert again.value == ["b", "a"]
    assert calls.taken() == ["a", "b"]


async def test_twins_are_one_outcome_each() -> None:
    calls = Calls()
    first = await run(fan_of("same", "same"), calls)
    assert len(calls.taken()) == 2
    again = await run(fan_of("same", "same", "same"), calls, first.log.events())
    assert again.value == ["same"] * 3
    assert len(calls.taken()) == 1
    third = await run(fan_of("same", "same", "same"), calls, again.log.events())
    assert third.value == ["same"] * 3
    assert calls.taken() == []


async def test_twins_of_which_one_was_in_flight_are_completed_by_one_more_for_ever() -> None:
    calls = Calls()
    first = await run(fan_of("same", "same", "same"), calls)
    history = [e for e in first.log.events() if not (e.path == "main/0/0/0" and e.kind.endswith(".ended"))]
    calls.taken()
    again = await run(fan_of("same", "same", "same"), calls, history)
    assert len(calls.taken()) == 1
    third = await run(fan_of("same", "same", "same"), calls, again.log.events())
    assert (third.value, calls.taken()) == (["same"] * 3, [])


async def test_twins_keep_their_own_answers_through_every_resume() -> None:
    numbers = iter(range(100))

    async def answer(call: Call, context: CallContext) -> object:
        return next(numbers)

    calls = AnsweringCalls(answer)
    ran = await memory_run(fan_of("x", "same", "same", "same"), performers={"agent": calls})
    ran = await memory_run(fan_of("same", "same", "same"), performers={"agent": calls}, history=ran.log.events())
    once = ran.value
    for _ in range(3):
        ran = await memory_run(fan_of("same", "same", "same"), performers={"agent": calls}, history=ran.log.events())
        assert ran.value == once
    assert len(calls.performed) == 4


async def test_what_a_subagent_sees_decides_and_limits_do_not() -> None:
    def main(context: list[Any], **options: Any) -> Callable[[], Awaitable[Any]]:
        async def script() -> str:
            return str(await agent("a", context=context, **options))

        return script

    calls = Calls()
    first = await run(main(["frame"]), calls)
    calls.taken()
    for same in (main(["frame"], limits={"model_calls": 5}), main(["frame"], label="other")):
        await run(same, calls, first.log.events())
        assert calls.taken() == []
    for other in (main(["another"]), main(["frame"], model="m"), main(["frame"], covers=["a.py"])):
        await run(other, calls, first.log.events())
        assert calls.taken() == ["a"]


async def test_an_earlier_stage_changed_runs_again_and_a_later_one_that_sees_the_same_does_not() -> None:
    def main(first_stage: str) -> Callable[[], Awaitable[Any]]:
        async def script() -> list[str]:
            async def first(name: str) -> str:
                await agent(f"{first_stage} {name}")
                return name

            return (await pipeline(["x", "y"], first, lambda name: agent(f"then {name}"))).succeeded()

        return script

    calls = Calls()
    ran = await run(main("look at"), calls)
    calls.taken()
    await run(main("stare at"), calls, ran.log.events())
    assert calls.taken() == ["stare at x", "stare at y"]


# --- outcomes of every kind -------------------------------------------------------------------------------------------


async def kinds() -> list[str]:
    """One outcome of several kinds."""
    found = await parallel(
        [
            agent("good"),
            agent("bad"),
            agent("sleep 100", limits={"wall_seconds": 5}),
            agent("dear", limits={"model_calls": 0}),
        ]
    )
    return [outcome.kind for outcome in found]


@virtual_time
async def test_every_durable_outcome_replays_whatever_its_kind() -> None:
    calls = Calls("bad", floor=Amount(model_calls=1))
    first = await run(kinds, calls)
    assert first.value == ["succeeded", "failed", "timed_out", "over_budget"]
    assert calls.taken() == ["bad", "good", "sleep 100"]
    again = await run(kinds, calls, first.log.events())
    assert again.value == first.value
    assert calls.taken() == []
    assert [(m.path, m.kind, m.reason) for m in again.result.missing] == [
        (m.path, m.kind, m.reason) for m in first.result.missing
    ]


@virtual_time
@pytest.mark.parametrize(
    ("kind", "performed"),
    [
        ("failed", ["bad"]),
        ("task", ["bad"]),
        ("timed_out", ["sleep 100"]),
        ("*", ["bad", "sleep 100"]),
        ("schema", []),
    ],
)
async def test_retry_failed_performs_those_kinds_again(kind: str, performed: list[str]) -> None:
    calls = Calls("bad", floor=Amount(model_calls=1))
    first = await run(kinds, calls)
    calls.taken()
    calls.broken.clear()
    settings = Settings(retry_failed=frozenset({kind}))
    again = await memory_run(kinds, performers={"agent": calls}, history=first.log.events(), settings=settings)
    assert calls.taken() == performed
    assert again.value[1] == ("succeeded" if "bad" in performed else "failed")
    third = await run(kinds, calls, again.log.events())
    assert (third.value, calls.taken()) == (again.value, []), "the newer outcome is the one that holds"


async def test_raising_a_limit_performs_what_it_had_refused() -> None:
    def main(limit: int) -> Callable[[], Awaitable[Any]]:
        async def script() -> list[str]:
            found = await parallel([agent(n) for n in "abc"], concurrency=1, limits={"model_calls": limit})
            return [outcome.kind for outcome in found]

        return script

    calls = Calls(floor=Amount(model_calls=1))
    first = await run(main(1), calls)
    assert (first.value, calls.taken()) == (["succeeded", "over_budget", "over_budget"], ["a"])
    same = await run(main(1), calls, first.log.events())
    assert (same.value, calls.taken()) == (first.value, [])
    raised = await run(main(2), calls, first.log.events())
    assert (raised.value, calls.taken()) == (["succeeded", "succeeded", "over_budget"], ["b"])
    none = await run(main(100), calls, raised.log.events())
    assert (none.value, calls.taken()) == (["succeeded"] * 3, ["c"])


async def test_a_limit_of_the_call_itself_is_raised_too() -> None:
    def main(limit: int) -> Callable[[], Awaitable[Any]]:
        async def script() -> str:
            return (await branch("b", agent("a", limits={"model_calls": limit}))).kind

        return script

    calls = Calls(floor=Amount(model_calls=2))
    first = await run(main(1), calls)
    assert (first.value, calls.taken()) == ("over_budget", [])
    assert (await run(main(1), calls, first.log.events())).value == "over_budget"
    assert (await run(main(2), calls, first.log.events())).value == "succeeded"


@virtual_time
async def test_a_deadline_of_the_call_itself_is_raised_too() -> None:
    def main(seconds: float | None) -> Callable[[], Awaitable[Any]]:
        async def script() -> str:
            limits = None if seconds is None else {"wall_seconds": seconds}
            return (await branch("b", agent("sleep 100", limits=limits))).kind

        return script

    calls = Calls()
    first = await run(main(5), calls)
    assert (first.value, calls.taken()) == ("timed_out", ["sleep 100"])
    assert ((await run(main(5), calls, first.log.events())).value, calls.taken()) == ("timed_out", [])
    assert ((await run(main(2), calls, first.log.events())).value, calls.taken()) == ("timed_out", [])
    assert ((await run(main(200), calls, first.log.events())).value, calls.taken()) == ("succeeded", ["sleep 100"])
    assert ((await run(main(None), calls, first.log.events())).value, calls.taken()) == ("succeeded", ["sleep 100"])


async def test_what_was_open_at_a_kill_is_named_and_charged_as_estimated() -> None:
    turnstile = Turnstile()

    async def answer(call: Call, context: CallContext) -> object:
        async with context.attempt(Amount(usd="0.5")) as attempt:
            await turnstile.go_through("it")
            attempt.settle(Amount(usd="0.1"))
        return call.task

    async def main() -> str:
        return str(await agent("a"))

    turnstile.open()
    calls = AnsweringCalls(answer)
    whole = await memory_run(main, performers={"agent": calls})
    started = next(i for i, event in enumerate(whole.log.events()) if event.kind == "attempt.started")
    killed = whole.log.events()[: started + 1]
    again = await memory_run(main, performers={"agent": calls}, history=killed)
    [resumed] = again.events("run.resumed")
    assert resumed.data["in_flight"] == [{"path": "main/0", "name": "worker", "call": "agent"}]
    assert again.result.spent.usd == Amount(usd="0.6").usd
    assert again.result.spent.count("agent_calls") == 2

    twice = [*killed, *again.log.events()[len(killed) : len(killed) + 4]]
    assert twice[-1].kind == "attempt.started"
    third = await memory_run(main, performers={"agent": calls}, history=twice)
    assert third.result.spent.usd == Amount(usd="1.1").usd, "each of the two that were cut off stays charged"
    assert read_journal(third.log.events()).spent == third.result.spent


async def test_what_was_charged_at_a_nested_limit_is_charged_there_on_resume() -> None:
    async def main() -> list[str]:
        found = await parallel([agent(n) for n in "abcd"], concurrency=1, limits={"model_calls": 3})
        return [outcome.kind for outcome in found]

    calls = Calls(floor=Amount(model_calls=1))
    whole = await run(main, calls)
    ends = [i for i, event in enumerate(whole.log.events()) if event.kind == "call.ended"]
    for cut in (*ends, *(end + 1 for end in ends)):
        again = await run(main, calls, whole.log.events()[:cut])
        kinds_ = again.value
        assert kinds_.count("succeeded") <= 3
        assert kinds_ in (whole.value, ["succeeded", "succeeded", "over_budget", "over_budget"])


# --- decisions --------------------------------------------------------------------------------------------------------


async def raced() -> str:
    """A race that the second wins."""
    return str(await race([agent("sleep 50"), agent("sleep 1")]))


@virtual_time
async def test_a_race_is_won_by_the_same_on_replay_though_both_answer_at_once() -> None:
    calls = Calls()
    first = await run(raced, calls)
    assert first.value == "sleep 1"
    assert calls.taken() == ["sleep 1", "sleep 50"]
    again = await run(raced, calls, first.log.events())
    third = await run(raced, calls, again.log.events())
    assert (again.value, third.value, calls.taken()) == ("sleep 1", "sleep 1", [])
    assert again.result.calls == first.result.calls


@virtual_time
async def test_a_race_edited_is_run_again_where_it_changed() -> None:
    calls = Calls()
    first = await run(raced, calls)
    calls.taken()

    async def edited() -> str:
        return str(await race([agent("sleep 2"), agent("sleep 1"), agent("sleep 60")]))

    again = await run(edited, calls, first.log.events())
    assert again.value == "sleep 1"
    assert set(calls.taken()) <= {"sleep 2", "sleep 60"}

    async def reordered() -> str:
        return str(await race([agent("sleep 1"), agent("sleep 50")]))

    third = await run(reordered, calls, first.log.events())
    assert third.value == "sleep 1"
    assert set(calls.taken()) <= {"sleep 50"}


@virtual_time
async def test_a_winner_that_was_edited_away_has_to_win_again() -> None:
    calls = Calls()
    first = await run(raced, calls)
    calls.taken()

    async def edited() -> str:
        return str(await race([agent("sleep 50"), agent("sleep 70")]))

    again = await run(edited, calls, first.log.events())
    assert (again.value, calls.taken()) == ("sleep 50", ["sleep 50", "sleep 70"])


@virtual_time
async def test_a_winner_whose_role_was_edited_and_that_fails_now_loses() -> None:
    calls = Calls()
    first = await run(raced, calls)
    broken = Calls("sleep 1")
    broken.version = "2"
    again = await run(raced, broken, first.log.events())
    assert again.value == "sleep 50"
    assert broken.taken() == ["sleep 1", "sleep 50"]


@virtual_time
async def test_until_replays_as_it_was_met_and_not_as_it_would_be_now() -> None:
    async def main() -> list[str]:
        found = await parallel(
            [agent("sleep 3"), agent("sleep 2"), agent("sleep 1")],
            until=lambda ended: len(ended) == 2,
        )
        return [outcome.kind for outcome in found]

    calls = Calls()
    first = await run(main, calls)
    again = await run(main, calls, first.log.events())
    assert first.value == again.value == ["cancelled", "succeeded", "succeeded"]
    assert len(calls.taken()) == 3


@virtual_time
async def test_an_until_that_depends_on_the_order_sees_the_order_of_the_first_time() -> None:
    async def main() -> list[str]:
        found = await parallel(
            [agent("sleep 3"), agent("sleep 2"), agent("sleep 1")],
            until=lambda ended: ended[0].value == "sleep 3",
        )
        return [outcome.kind for outcome in found]

    calls = Calls()
    first = await run(main, calls)
    again = await run(main, calls, first.log.events())
    assert first.value == again.value == ["succeeded"] * 3


@virtual_time
async def test_an_until_sees_that_order_though_on_replay_others_would_end_first() -> None:
    async def long() -> str:
        for _ in range(5):
            await agent("quick")
        return "long"

    async def short() -> str:
        return str(await agent("sleep 9"))

    async def main() -> list[str]:
        items: list[Any] = [short(), long(), agent("sleep 99")]
        found = await parallel(items, until=lambda ended: [o.value for o in ended] == ["long", "sleep 9"])
        return [outcome.kind for outcome in found]

    calls = Calls()
    first = await run(main, calls)
    assert first.value == ["succeeded", "succeeded", "cancelled"]
    calls.taken()
    again = await run(main, calls, first.log.events())
    assert (again.value, calls.taken()) == (first.value, [])


@virtual_time
async def test_what_one_resume_took_as_it_was_the_next_takes_too() -> None:
    """A decision inside another one: made by one attempt, kept by the next, and then below a decision of that one."""

    async def inner() -> str:
        await agent("first")
        return (await branch("inner", agent("sleep 500"), limits={"wall_seconds": 10})).kind

    async def main() -> str:
        async def outer() -> str:
            return f"{await inner()}, {await agent('sleep 600')}"

        return (await branch("outer", outer(), limits={"wall_seconds": 100})).kind

    calls = Calls()
    whole = await run(main, calls)
    events = whole.log.events()
    inner_decided = next(i for i, event in enumerate(events) if event.kind == "decision")
    again = await run(main, calls, events[: inner_decided + 1])
    third = await run(main, calls, again.log.events())
    for attempt in (again, third):
        assert attempt.value == "timed_out"
        assert (attempt.result.census, attempt.result.calls) == (whole.result.census, whole.result.calls)


@virtual_time
async def test_an_until_taken_away_lets_the_rest_run() -> None:
    def main(until: Any) -> Callable[[], Awaitable[Any]]:
        async def script() -> list[str]:
            found = await parallel([agent("sleep 1"), agent("sleep 9")], until=until)
            return [outcome.kind for outcome in found]

        return script

    calls = Calls()
    first = await run(main(bool), calls)
    assert first.value == ["succeeded", "cancelled"]
    calls.taken()
    again = await run(main(None), calls, first.log.events())
    assert (again.value, calls.taken()) == (["succeeded", "succeeded"], ["sleep 9"])


def timed(seconds: float, *tasks: str) -> Callable[[], Awaitable[Any]]:
    """A branch and a fan-out with that deadline."""

    async def main() -> list[str]:
        named = await branch("b", fan_of(*tasks)(), limits={"wall_seconds": seconds})
        found = await parallel([agent(f"{task} more") for task in tasks], limits={"wall_seconds": seconds})
        return [named.kind, *(outcome.kind for outcome in found)]

    return main


@virtual_time
async def test_a_deadline_that_fired_fires_on_replay_without_waiting() -> None:
    calls = Calls()
    first = await run(timed(10, "sleep 1", "sleep 50"), calls)
    assert first.value == ["timed_out", "succeeded", "timed_out"]
    calls.taken()
    before = anyio.current_time()
    again = await run(timed(10, "sleep 1", "sleep 50"), calls, first.log.events())
    assert (again.value, calls.taken()) == (first.value, [])
    assert anyio.current_time() - before < 1
    assert again.result.calls == first.result.calls
    assert again.result.census == first.result.census


@virtual_time
async def test_a_longer_deadline_an_edit_or_a_retry_performs_what_the_old_one_cut() -> None:
    calls = Calls()
    first = await run(timed(10, "sleep 1", "sleep 50"), calls)
    calls.taken()
    longer = await run(timed(100, "sleep 1", "sleep 50"), calls, first.log.events())
    assert (longer.value, calls.taken()) == (["succeeded"] * 3, ["sleep 50", "sleep 50 more"])
    edited = await run(timed(10, "sleep 1", "sleep 5"), calls, first.log.events())
    assert (edited.value, calls.taken()) == (["succeeded"] * 3, ["sleep 5", "sleep 5 more"])
    settings = Settings(retry_failed=frozenset({"timed_out"}))
    main = timed(10, "sleep 1", "sleep 50")
    again = await memory_run(main, performers={"agent": calls}, history=first.log.events(), settings=settings)
    assert (again.value, calls.taken()) == (first.value, ["sleep 50", "sleep 50 more"])


@virtual_time
async def test_a_decision_over_an_async_source_replays_too() -> None:
    async def source() -> AsyncIterator[Any]:
        for seconds in (1, 50, 70):
            yield agent(f"sleep {seconds}")
        await anyio.sleep(1_000)
        yield agent("never")

    async def main() -> list[Any]:
        found = await parallel(source(), until=lambda ended: True)
        return [found.complete, *(outcome.kind for outcome in found)]

    calls = Calls()
    first = await run(main, calls)
    assert first.value == [False, "succeeded", "cancelled", "cancelled"]
    calls.taken()
    again = await run(main, calls, first.log.events())
    assert (again.value, calls.taken()) == (first.value, [])


@dataclass
class Fact:
    """A record."""

    text: str

    def to_json(self) -> dict[str, Any]:
        """Its content."""
        return {"text": self.text}


async def recorded(call: Call, context: CallContext) -> object:
    """Leave a record, and then perhaps never answer."""
    context.records.add(Fact(str(call.task)))
    if call.task == "hang":
        await anyio.sleep_forever()
    return call.task


def losing_with(first: str) -> Callable[[], Awaitable[Any]]:
    """A race whose loser leaves a record before it hangs."""

    async def losing() -> str:
        await agent(first)
        return str(await agent("hang"))

    async def winning() -> str:
        for n in range(9):
            await agent(f"win {n}")
        return "won"

    async def script() -> str:
        return str(await race([losing(), winning()]))

    return script


def texts_of(ran: MemoryRun) -> set[str]:
    """What the records say, winners' aside."""
    return {text for record in ran.run.records if not (text := str(record.record["text"])).startswith("win")}


async def test_what_an_edit_removed_below_a_decision_leaves_no_records() -> None:
    """Records of a loser that the edited script no longer has would be evidence that nobody asked for."""
    calls = AnsweringCalls(recorded)
    first = await memory_run(losing_with("old"), performers={"agent": calls})
    same = await memory_run(losing_with("old"), performers={"agent": calls}, history=first.log.events())
    assert texts_of(first) == texts_of(same) == {"old"}
    edited = await memory_run(losing_with("new"), performers={"agent": calls}, history=same.log.events())
    again = await memory_run(losing_with("new"), performers={"agent": calls}, history=edited.log.events())
    assert texts_of(edited) == texts_of(again) <= {"new"}


async def test_state_put_in_a_branch_that_was_cut_is_there_on_replay() -> None:
    async def losing() -> None:
        put("lost", current_branch().path)
        await agent("first")
        await anyio.sleep_forever()

    async def winning() -> str:
        for n in range(5):
            await agent(f"win {n}")
        return "won"

    async def main() -> list[Any]:
        won = await race([losing(), winning()])
        return [won, get("lost")]

    calls = Calls()
    first = await run(main, calls)
    again = await run(main, calls, first.log.events())
    assert first.value == again.value == ["won", "main/0/0"]


async def test_a_quorum_replays_with_all_its_votes() -> None:
    async def main() -> list[Any]:
        tally = await quorum([agent("yes"), agent("bad"), agent("yes")], 2, vote=lambda value: value == "yes")
        return [tally.decided, list(tally.votes)]

    calls = Calls("bad")
    first = await run(main, calls)
    again = await run(main, calls, first.log.events())
    assert first.value == again.value == ["yes", [True, None, True]]
    assert len(calls.taken()) == 3


# --- what cannot change -----------------------------------------------------------------------------------------------


async def test_a_run_paused_twice_and_resumed_twice_is_one_run() -> None:
    calls = Calls(floor=Amount(model_calls=1))
    ran = await memory_run(fan_of(*"abcde"), performers={"agent": calls}, limits=Limits(model_calls=2))
    for extra in (1, 2):
        assert ran.result.kind == "paused"
        ran = await memory_run(
            fan_of(*"abcde"),
            performers={"agent": calls},
            limits=Limits(model_calls=2),
            history=ran.log.events(),
            top_up=Amount(model_calls=extra),
        )
    assert ran.value == list("abcde")
    assert calls.taken() == list("abcde")
    assert [event.data["epoch"] for event in ran.events("run.started")] == [1, 2, 3]
    assert len(ran.events("run.opened")) == 1
