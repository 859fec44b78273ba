"""``pilot`` and ``gate_phases``: a person is asked before the rest of a large fan-out, and before another phase."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import anyio
import pytest

from antiphon.engine import Amount, Approvals, Call, CallContext, Limits, Performer, Run, Settings
from antiphon.engine.script.api import agent, approve, branch, log, parallel, phase, pipeline, quorum, race
from antiphon.engine.testing import AnsweringCalls, MemoryRun, memory_run
from antiphon.tracing.log import Event, Json

# A run that pauses waits a moment to see that nothing else goes on: trio's clock is the virtual one alone.
pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio", "virtual"], indirect=True)]

Script = Callable[[], Awaitable[Any]]
YES: Mapping[str, bool] = {"*": True}
NO: Mapping[str, bool] = {"*": False}


class Counting:
    """Agents and approvals, and what the agents were asked."""

    def __init__(self) -> None:
        self.agents = AnsweringCalls(self._answer)

    async def _answer(self, call: Call, context: CallContext) -> object:
        async with context.attempt(Amount(usd="0.25")) as sent:
            sent.settle(Amount(usd="0.10"))
        if str(call.task).startswith("bad"):
            raise RuntimeError("this one is bad")
        return call.task

    @property
    def performers(self) -> dict[str, Performer]:
        """For a run."""
        return {"agent": self.agents, "approval": Approvals()}

    @property
    def asked(self) -> list[Json]:
        """The tasks of the agents."""
        return self.agents.performed


async def attempt(
    main: Script,
    counting: Counting,
    answers: Mapping[str, bool] | None = None,
    *,
    pilot: int | None = 2,
    gates: bool = False,
    history: list[Event] | None = None,
    limits: Limits | None = None,
) -> MemoryRun:
    """One attempt at a run that is asked to pilot."""
    settings = Settings(pilot=pilot, gate_phases=gates, answers=answers or {})
    return await memory_run(
        main, performers=counting.performers, settings=settings, history=history or (), limits=limits
    )


async def five() -> list[str]:
    """A fan-out of five calls."""
    found = await parallel(agent(f"item {n}") for n in range(5))
    return [f"{outcome.kind}: {outcome.reason}" for outcome in found]


async def test_the_rest_of_a_large_fan_out_waits_for_a_person() -> None:
    counting = Counting()
    ran = await attempt(five, counting)
    assert (ran.result.kind, ran.result.pause) == ("paused", "approval")
    assert sorted(map(str, counting.asked)) == ["item 0", "item 1"]
    [(place, question)] = ran.result.pending.items()
    assert place == "main/0/pilot/0"
    assert question.splitlines() == [
        "Go on with the other 3 of 5 items of parallel main/0?",
        "the first 2: 2 succeeded",
        "they cost: 0.2 usd, 2 model_calls, 2 agent_calls",
        "at that rate the other 3 cost: 0.3 usd, 3 model_calls, 3 agent_calls",
    ]


async def test_a_yes_lets_the_rest_run_and_replays() -> None:
    counting = Counting()
    paused = await attempt(five, counting)
    ran = await attempt(five, counting, {"main/0/pilot/0": True}, history=paused.events())
    assert ran.value == ["succeeded: "] * 5
    assert sorted(map(str, counting.asked)) == [f"item {n}" for n in range(5)]
    again = await attempt(five, counting, history=ran.events())
    assert (again.result.kind, again.value) == ("completed", ran.value)
    assert len(counting.asked) == 5
    assert again.result.calls == ran.result.calls


async def test_a_no_leaves_the_rest_out_and_says_so() -> None:
    counting = Counting()
    ran = await attempt(five, counting, NO)
    assert ran.result.kind == "degraded"
    assert ran.value[:2] == ["succeeded: "] * 2
    assert ran.value[2:] == ["skipped: a person said no to the rest before this began"] * 3
    assert ran.result.census[""].to_json() == {"planned": 5, "started": 2, "skipped": 3, "succeeded": 2}
    again = await attempt(five, counting, history=ran.events())
    assert (again.result.kind, again.value, len(counting.asked)) == ("degraded", ran.value, 2)


@pytest.mark.parametrize("items", [0, 1, 2])
async def test_a_fan_out_that_is_no_larger_is_not_asked_about(items: int) -> None:
    async def main() -> int:
        return len((await parallel(agent(f"item {n}") for n in range(items))).succeeded())

    ran = await attempt(main, Counting())
    assert (ran.result.kind, ran.value) == ("completed", items)


async def test_what_went_wrong_is_shown_to_whoever_is_asked() -> None:
    async def main() -> None:
        await parallel(agent(task) for task in ("bad 1", "good", "bad 2", "bad 3", "bad 4", "bad 5"))

    ran = await attempt(main, Counting(), pilot=5)
    [question] = ran.result.pending.values()
    lines = question.splitlines()
    assert lines[1] == "the first 5: 4 failed, 1 succeeded"
    assert lines[2].startswith("  main/0/0 failed: RuntimeError: this one is bad")
    assert lines[5] == "  and 1 more that did not succeed"


async def test_every_construct_has_its_pilot() -> None:
    async def main() -> list[Any]:
        async def stage(item: str) -> str:
            value: str = await agent(item)
            return value

        lines = await pipeline([f"p{n}" for n in range(3)], stage)
        tally = await quorum([agent(f"q{n}") for n in range(3)], 3, vote=lambda value: True)
        first = await race([agent("bad 1"), agent("bad 2"), agent("r3")])
        return [lines.succeeded(), tally.decided, first]

    ran = await attempt(main, Counting(), YES)
    assert ran.value == [["p0", "p1", "p2"], "yes", "r3"]
    asked = [event.path for event in ran.events("call.ended") if event.data["call"] == "approval"]
    assert asked == ["main/0/pilot/0", "main/1/pilot/0", "main/2/pilot/0"]


async def test_a_race_that_the_pilot_wins_asks_nothing() -> None:
    async def main() -> Any:
        return await race([agent("first"), agent("second"), agent("third")])

    counting = Counting()
    ran = await attempt(main, counting)
    assert ran.value in ("first", "second")
    assert "third" not in counting.asked
    assert (await attempt(main, counting, history=ran.events())).value == ran.value


async def test_a_source_that_is_pulled_is_piloted_too() -> None:
    pulled: list[int] = []

    async def source() -> AsyncIterator[Any]:
        for n in range(6):
            pulled.append(n)
            yield agent(f"item {n}")

    async def main() -> dict[str, Any]:
        return (await parallel(source())).census.to_json()

    paused = await attempt(main, Counting())
    assert "the other at least 1 of at least 3 items" in next(iter(paused.result.pending.values()))
    assert pulled == [0, 1, 2]
    ran = await attempt(main, Counting(), YES)
    assert ran.value == {"planned": 6, "started": 6, "succeeded": 6}


async def test_inside_of_an_item_of_the_rest_nobody_is_asked_again() -> None:
    async def item(n: int) -> int:
        return len((await parallel(agent(f"{n}.{m}") for m in range(3))).succeeded())

    async def main() -> list[int]:
        return (await parallel(item(n) for n in range(4))).succeeded()

    ran = await attempt(main, Counting(), YES)
    assert ran.value == [3, 3, 3, 3]
    asked = sorted(event.path for event in ran.events("call.ended") if event.data["call"] == "approval")
    assert asked == ["main/0/0/0/pilot/0", "main/0/1/0/pilot/0", "main/0/pilot/0"]
    again = await attempt(main, Counting(), history=ran.events())
    assert (again.value, again.result.reuse.performed) == (ran.value, 0)


async def test_a_large_fan_out_far_down_in_the_script_is_asked_about() -> None:
    """Its ordinal is larger than the pilot, and it is no item of anything."""

    async def main() -> list[int]:
        for n in range(3):
            await agent(f"before {n}")
        inner = branch("inner", many())
        return [(await inner).value]

    async def many() -> int:
        return len((await parallel(agent(f"item {n}") for n in range(3))).succeeded())

    assert (await attempt(main, Counting())).result.pause == "approval"


async def test_a_person_who_thinks_is_no_slow_item() -> None:
    async def main() -> Any:
        return (await parallel([agent(f"i{n}") for n in range(4)], limits={"wall_seconds": 5})).census.to_json()

    counting = Counting()
    paused = await attempt(main, counting)
    assert paused.result.pause == "approval"
    ran = await attempt(main, counting, YES, history=paused.events())
    assert ran.value["succeeded"] == 4


async def test_an_until_is_decided_among_what_the_pilot_let_run() -> None:
    async def main() -> list[str]:
        calls = [agent(f"i{n}") for n in range(6)]
        found = await parallel(calls, until=lambda ended: len(ended) == 4, concurrency=1)
        return [outcome.kind for outcome in found]

    counting = Counting()
    ran = await attempt(main, counting, YES)
    assert ran.value == ["succeeded"] * 4 + ["skipped"] * 2
    again = await attempt(main, counting, history=ran.events())
    assert (again.value, again.result.calls) == (ran.value, ran.result.calls)
    assert len(counting.asked) == 4


@pytest.mark.parametrize("kept", range(0, 40, 4))
async def test_killed_anywhere_nothing_finished_is_performed_or_asked_again(kept: int) -> None:
    async def main() -> Any:
        phase("one")
        found = (await parallel(agent(f"item {n}") for n in range(5))).succeeded()
        phase("two")
        return [found, await agent("last")]

    whole = await attempt(main, Counting(), YES, gates=True, limits=Limits.parse({"usd": "2"}))
    history = whole.events()[:kept]
    done = {event.path for event in history if event.kind == "call.ended"}
    counting = Counting()
    again = await attempt(main, counting, YES, gates=True, history=history, limits=Limits.parse({"usd": "2"}))
    assert again.value == whole.value == [[f"item {n}" for n in range(5)], "last"]
    performed = {event.path for event in again.events()[kept:] if event.kind == "call.started"}
    ended = [event.path for event in again.events("call.ended")]
    assert len(ended) == len(set(ended)) == 8
    assert performed.isdisjoint(done)
    assert again.result.calls == whole.result.calls
    begun = {event.path for event in history if event.kind == "attempt.started"} - done
    assert again.result.spent.usd <= whole.result.spent.usd + len(begun) * Amount(usd="0.25").usd


# --- phases -------------------------------------------------------------------------------------------------------


async def phases() -> list[str]:
    """Three phases, the second of which is let through or not."""
    phase("find")
    kinds: list[str] = [(await branch("a", agent("find"))).kind]
    phase("refute")
    refuted = await branch("b", agent("refute"))
    kinds.append(f"{refuted.kind}: {refuted.reason}")
    phase("find")
    kinds.append((await branch("c", agent("find more"))).kind)
    return kinds


async def test_a_person_is_asked_between_phases_and_not_before_the_first() -> None:
    counting = Counting()
    paused = await attempt(phases, counting, gates=True)
    assert counting.asked == ["find"]
    [(place, question)] = paused.result.pending.items()
    assert place.startswith("main/gate:refute-")
    lines = ["Begin the phase 'refute'?", "done so far: 1 succeeded", "spent: 0.1 usd, 1 model_calls, 1 agent_calls"]
    assert question.splitlines() == lines
    ran = await attempt(phases, counting, {place: True}, gates=True, history=paused.events())
    assert ran.value == ["succeeded", "succeeded: ", "succeeded"]
    again = await attempt(phases, counting, gates=True, history=ran.events())
    assert (again.value, len(counting.asked)) == (ran.value, 3)


async def test_a_phase_that_is_not_approved_is_denied() -> None:
    ran = await attempt(phases, Counting(), NO, gates=True)
    assert ran.value == ["succeeded", "denied: the phase 'refute' was not approved", "succeeded"]


async def test_branches_that_begin_a_phase_at_the_same_time_ask_once() -> None:
    async def item(n: int) -> Any:
        phase("second")
        return await agent(f"item {n}")

    async def main() -> list[Any]:
        phase("first")
        await agent("one")
        return (await parallel(item(n) for n in range(3))).succeeded()

    ran = await attempt(main, Counting(), YES, pilot=None, gates=True)
    assert ran.value == [f"item {n}" for n in range(3)]
    assert len([event for event in ran.events("call.started") if event.data["call"] == "approval"]) == 1


async def test_what_only_takes_notes_is_not_held_up() -> None:
    async def main() -> str:
        phase("first")
        await agent("one")
        phase("second")
        log("a note")
        return "done"

    assert (await attempt(main, Counting(), gates=True)).value == "done"


async def test_an_answer_while_the_run_goes_on_is_taken() -> None:
    async def person(run: Run) -> None:
        run.is_attended = True
        for _ in range(1_000):
            run.give_answer("*", True)
            await anyio.sleep(0.01)

    settings = Settings(pilot=2)
    ran = await memory_run(five, performers=Counting().performers, settings=settings, beside=person)
    assert ran.value == ["succeeded: "] * 5


async def test_an_approval_of_the_script_itself_is_asked_as_before() -> None:
    async def main() -> bool:
        return await approve("Really?", {"why": "because"})

    ran = await attempt(main, Counting())
    assert dict(ran.result.pending) == {"main/0": "Really?"}
