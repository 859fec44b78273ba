"""Race, quorum, pipeline, branch, phase, fail: what each gives, what it absorbs, and what it lets through."""

import gc
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from antiphon.engine import (
    Amount,
    Call,
    CallContext,
    CallFailed,
    Degraded,
    Failed,
    InfrastructureError,
    Limits,
    Outcome,
    OverBudget,
    Tally,
    TimedOut,
)
from antiphon.engine.script.api import agent, branch, fail, parallel, phase, pipeline, quorum, race
from antiphon.engine.testing import AnsweringCalls, MemoryRun, Turnstile, memory_run

pytestmark = pytest.mark.anyio
virtual_time = pytest.mark.parametrize("anyio_backend", ["virtual"], indirect=True)


async def as_told(call: Call, context: CallContext) -> object:
    """Do what the task says: fail, be unreachable, take seconds, spend calls, or answer with the task itself."""
    word, _, rest = str(call.task).partition(" ")
    match word:
        case "fail":
            raise ValueError(rest)
        case "unreachable":
            raise InfrastructureError("network", rest)
        case "sleep":
            await anyio.sleep(float(rest))
        case "spend":
            for _ in range(int(rest)):
                async with context.attempt() as attempt:
                    attempt.settle()
        case _:
            return call.task
    return rest


async def run(
    main: Callable[[], Awaitable[Any]], calls: AnsweringCalls | None = None, limits: Limits | None = None
) -> MemoryRun:
    """The script, with calls that do as they are told."""
    return await memory_run(main, performers={"agent": calls or AnsweringCalls(as_told)}, limits=limits)


# --- race -------------------------------------------------------------------------------------------------------------


async def test_a_race_gives_the_first_success_and_cancels_the_losers() -> None:
    turnstile = Turnstile()

    async def answer(call: Call, context: CallContext) -> object:
        if call.task == "quick":
            await turnstile.wait_for(2)
            return "won"
        await turnstile.go_through(str(call.task))
        return "lost"

    async def main() -> str:
        return await race([agent("a"), agent("quick"), agent("b")])

    ran = await run(main, AnsweringCalls(answer))
    assert (ran.value, ran.result.kind) == ("won", "completed")
    assert ran.result.census[""].to_json() == {"planned": 3, "started": 3, "cancelled": 2, "succeeded": 1}


async def test_a_failure_in_a_race_is_absorbed_while_another_succeeds() -> None:
    async def main() -> str:
        return await race([agent("fail early"), agent("unreachable host"), agent("fine")])

    ran = await run(main)
    assert (ran.value, ran.result.kind) == ("fine", "completed")


async def test_a_race_that_all_lose_fails_and_says_how_each_did() -> None:
    async def main() -> object:
        return await race([agent("fail one"), agent("unreachable two")])

    ran = await run(main)
    assert ran.result.kind == "failed"
    assert "no branch of the race succeeded" in ran.result.reason
    assert "one" in ran.result.reason
    assert "two" in ran.result.reason


async def test_a_race_of_nobody_fails() -> None:
    async def main() -> object:
        return await race([])

    assert (await run(main)).result.kind == "failed"


async def test_a_degraded_branch_wins_a_race_only_when_nobody_succeeds() -> None:
    async def partly() -> str:
        fail("half of it", partial="half")

    async def main() -> list[str]:
        alone = await race([agent("fail x"), partly()])
        others: list[Any] = [partly(), agent("whole")]
        beaten = await race(others)
        return [alone, beaten]

    ran = await run(main)
    assert ran.value == ["half", "whole"]
    assert ran.result.kind == "degraded"
    assert len(ran.result.missing) == 1


@virtual_time
async def test_a_race_over_at_its_own_deadline_has_timed_out_in_that_scope() -> None:
    async def main() -> object:
        return await branch("b", race([agent("sleep 100"), agent("fail x")], limits={"wall_seconds": 10}))

    outcome: Outcome[object] = (await run(main)).value
    assert isinstance(outcome, TimedOut)
    assert outcome.scope == "main/b/0"
    assert anyio.current_time() == pytest.approx(10, abs=1)


# --- quorum -----------------------------------------------------------------------------------------------------------


def refuted(value: Any) -> bool | None:
    """Yes, no, or whatever else abstains."""
    return {"yes": True, "no": False}.get(value)


async def tally_of(tasks: list[str], need: int) -> tuple[Tally, MemoryRun]:
    """A quorum of agents that answer with their task."""

    async def main() -> Tally:
        return await quorum([agent(task) for task in tasks], need, vote=refuted)

    ran = await run(main)
    return ran.value, ran


@pytest.mark.parametrize(
    ("votes", "need", "decided"),
    [
        (["yes", "no", "yes"], 2, "yes"),
        (["no", "yes", "no"], 2, "no"),
        (["yes", "no"], 2, "undecided"),
        (["yes", "no", "no", "yes"], 2, "no"),
        (["no", "yes"], 1, "no"),
        (["maybe", "maybe", "yes"], 1, "yes"),
        ([], 1, "undecided"),
    ],
)
async def test_the_side_that_reaches_need_first_in_input_order_decides(
    votes: list[str], need: int, decided: str
) -> None:
    tally, ran = await tally_of(votes, need)
    assert tally.decided == decided
    assert tally.votes == tuple(refuted(vote) for vote in votes)
    assert ran.result.kind == "completed"


async def test_votes_count_in_input_order_whoever_answers_first() -> None:
    turnstile = Turnstile()

    async def answer(call: Call, context: CallContext) -> object:
        await turnstile.go_through(str(context.path))
        return call.task

    async def beside(run: object) -> None:
        await turnstile.wait_for(2)
        turnstile.let("main/0/1/0")
        while not turnstile.passed:
            await anyio.lowlevel.checkpoint()
        turnstile.open()

    async def main() -> Tally:
        return await quorum([agent("yes"), agent("no")], 1, vote=refuted)

    ran = await memory_run(main, performers={"agent": AnsweringCalls(answer)}, beside=beside)
    assert ran.value.decided == "yes"
    assert turnstile.passed[0] == "main/0/1/0"


async def test_a_failure_of_the_infrastructure_abstains_and_a_decided_quorum_absorbs_it() -> None:
    tally, ran = await tally_of(["unreachable x", "yes", "yes"], 2)
    assert (tally.decided, tally.votes) == ("yes", (None, True, True))
    assert ran.result.kind == "completed"
    assert ran.result.census[""].ended["failed"] == 1


async def test_an_undecided_quorum_is_degraded_by_its_abstentions() -> None:
    tally, ran = await tally_of(["unreachable x", "yes"], 2)
    assert tally.decided == "undecided"
    assert ran.result.kind == "degraded"


async def test_a_failed_task_is_no_vote_and_degrades() -> None:
    tally, ran = await tally_of(["fail x", "yes", "yes"], 2)
    assert (tally.decided, tally.votes[0]) == ("yes", None)
    assert ran.result.kind == "degraded"


async def test_a_vote_that_raises_fails_loudly() -> None:
    def vote(value: Any) -> bool:
        raise LookupError("no verdict")

    async def main() -> object:
        return await quorum([agent("x")], 1, vote=vote)

    ran = await run(main)
    assert ran.result.kind == "failed"
    assert "LookupError: no verdict" in ran.result.reason


async def test_a_vote_that_is_no_vote_fails_loudly() -> None:
    async def main() -> object:
        return await quorum([agent("x")], 1, vote=lambda value: value)

    ran = await run(main)
    assert "it must return True, False or None" in ran.result.reason


async def test_a_quorum_needs_at_least_one_vote() -> None:
    async def main() -> object:
        return await quorum([agent("x")], 0, vote=refuted)

    assert "at least one vote" in (await run(main)).result.reason


# --- pipeline ---------------------------------------------------------------------------------------------------------


async def test_a_pipeline_hands_each_value_on_and_a_stage_need_not_be_async() -> None:
    async def looked_up(name: str) -> str:
        return str(await agent(name))

    async def main() -> list[int]:
        return (await pipeline(["a", "bb"], looked_up, len, lambda size: size + 1)).succeeded()

    assert (await run(main)).value == [2, 3]


async def test_a_stage_may_give_a_call() -> None:
    async def main() -> list[str]:
        return (await pipeline(["a", "b"], lambda name: agent(f"look at {name}"))).succeeded()

    assert (await run(main)).value == ["look at a", "look at b"]


async def test_a_stage_that_raises_fails_its_item_alone_and_keeps_it() -> None:
    async def main() -> list[Any]:
        found = await pipeline([1, 0], lambda n: 1 // n)
        return [(outcome.kind, outcome.item) for outcome in found]

    ran = await run(main)
    assert ran.value == [("succeeded", 1), ("failed", 0)]
    assert ran.result.kind == "degraded"
    assert "ZeroDivisionError" in ran.result.reason


# --- branch and fail --------------------------------------------------------------------------------------------------


async def test_a_branch_gives_an_outcome_whatever_it_is() -> None:
    async def main() -> list[Any]:
        fine = await branch("fine", agent("x"))
        broken = await branch("broken", agent("fail it"))
        return [fine.kind, broken.kind, broken.path]

    ran = await run(main)
    assert ran.value == ["succeeded", "failed", "main/broken"]
    assert ran.result.kind == "degraded"
    assert [missing.path for missing in ran.result.missing] == ["main/broken"]


async def test_awaiting_a_failed_call_raises_kind_and_reason() -> None:
    async def main() -> str:
        try:
            await agent("unreachable the host")
        except CallFailed as error:
            return str(error)
        return "nothing"

    ran = await run(main)
    assert ran.value == "failed: network: the host"
    assert ran.result.kind == "completed", "a fallback that worked degrades nothing"


async def test_a_name_is_used_once_in_a_branch_and_again_in_another() -> None:
    async def inside() -> str:
        outcome = await branch("same", agent("x"))
        return outcome.path

    async def main() -> list[Any]:
        paths = (await parallel([inside(), inside()])).succeeded()
        await branch("same", agent("x"))
        try:
            await branch("same", agent("x"))
        except Exception as error:
            paths.append(str(error))
        return paths

    paths = (await run(main)).value
    assert paths[:2] == ["main/0/0/same", "main/0/1/same"]
    assert "'same' is used twice in main" in paths[2]


@pytest.mark.parametrize("name", ["", "a/b", "17", "x" * 101])
async def test_what_cannot_be_a_name_is_refused(name: str) -> None:
    async def main() -> object:
        return await branch(name, agent("x"))

    assert "branch name" in (await run(main)).result.reason


async def test_fail_ends_the_branch_and_partial_keeps_what_there_is() -> None:
    async def nothing() -> str:
        fail("nothing found")

    async def half() -> str:
        fail("only half", partial={"found": 1})

    async def main() -> list[Outcome[str]]:
        return list(await parallel([nothing(), half()]))

    ended: list[Outcome[str]] = (await run(main)).value
    failed, degraded = ended
    assert isinstance(failed, Failed)
    assert (failed.category, failed.reason) == ("task", "nothing found")
    assert isinstance(degraded, Degraded)
    assert degraded.value == {"found": 1}
    assert degraded.missing[0].reason == "only half"


async def test_fail_with_a_partial_at_the_root_is_a_degraded_run_with_a_value() -> None:
    async def main() -> None:
        fail("only half", partial=[1])

    ran = await run(main)
    assert (ran.result.kind, ran.result.exit_code, ran.value) == ("degraded", 3, [1])


async def test_a_value_that_is_not_there_fails_the_script_and_not_the_run_around() -> None:
    async def main() -> object:
        found = await parallel([agent("a"), agent("b")], concurrency=1, until=lambda ended: True)
        return found[1].value

    ran = await run(main)
    assert (ran.result.kind, ran.result.exit_code) == ("failed", 1)


# --- coroutines -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nested", [False, True])
async def test_coroutines_that_never_begin_are_closed(nested: bool) -> None:
    async def work() -> str:
        return "never"  # pragma: no cover

    async def main() -> list[str]:
        second: Any = parallel([branch("deep", work()), race([work()])]) if nested else work()
        found = await parallel([agent("a"), second], concurrency=1, until=lambda ended: True)
        return [outcome.kind for outcome in found]

    ran = await run(main)
    gc.collect()
    assert ran.value == ["succeeded", "skipped"]
    assert ran.run.unawaited == []


# --- phases -----------------------------------------------------------------------------------------------------------


async def test_branches_and_calls_are_counted_in_their_phase() -> None:
    async def judged(name: str) -> str:
        phase("judge")
        return str(await agent(name))

    async def main() -> None:
        await agent("before")
        phase("find")
        await parallel([agent("a"), agent("b")])
        await parallel([judged("c")])
        await branch("d", judged("d"))
        phase("end")
        await agent("last")

    result = (await run(main)).result
    calls = {title: census.ended for title, census in result.calls.items()}
    assert calls == {
        "": {"succeeded": 1},
        "find": {"succeeded": 2},
        "judge": {"succeeded": 2},
        "end": {"succeeded": 1},
    }
    assert {title: census.to_json() for title, census in result.census.items()} == {
        "find": {"planned": 4, "started": 4, "succeeded": 4}
    }


async def test_a_phase_ends_with_the_next_or_with_its_branch() -> None:
    async def inside() -> None:
        phase("inner")

    async def main() -> None:
        phase("one")
        await parallel([inside()])
        phase("two")

    ran = await run(main)
    told = [(event.kind, event.path, event.data["title"]) for event in ran.events() if event.kind.startswith("phase.")]
    assert told == [
        ("phase.started", "main", "one"),
        ("phase.started", "main/0/0", "inner"),
        ("phase.ended", "main/0/0", "inner"),
        ("phase.ended", "main", "one"),
        ("phase.started", "main", "two"),
        ("phase.ended", "main", "two"),
    ]


async def summarised() -> list[Any]:
    """A fan-out that eats all it can get, and a summary that must still be possible."""
    phase("find", reserve={"model_calls": 2, "agent_calls": 1})
    found = await parallel([agent("spend 1") for _ in range(20)])
    return [found.census.ended, await agent("spend 2")]


async def test_the_reserve_of_a_phase_pays_for_its_last_call() -> None:
    async def main() -> Outcome[list[Any]]:
        return await branch("b", summarised(), limits={"model_calls": 8, "agent_calls": 100})

    calls = AnsweringCalls(as_told, floor=Amount(model_calls=1))
    ran = await run(main, calls)
    ended, summary = ran.value.value
    assert ended == {"succeeded": 6, "over_budget": 14}
    assert summary == "2"
    assert ran.result.spent.count("model_calls") == 8


async def test_what_is_left_of_a_reserve_is_free_after_its_phase() -> None:
    async def inside() -> list[str]:
        phase("find", reserve={"model_calls": 3})
        phase("judge")
        return (await parallel([agent("spend 1") for _ in range(4)])).succeeded()

    async def main() -> Outcome[list[str]]:
        return await branch("b", inside(), limits={"model_calls": 4})

    assert len((await run(main, AnsweringCalls(as_told, floor=Amount(model_calls=1)))).value.value) == 4


async def test_a_reserve_that_a_nested_limit_cannot_give_is_over_budget() -> None:
    async def inside() -> None:
        phase("find", reserve={"model_calls": 3})

    async def main() -> Outcome[None]:
        return await branch("b", inside(), limits={"model_calls": 2})

    outcome = (await run(main)).value
    assert isinstance(outcome, OverBudget)
    assert (outcome.scope, outcome.dimension) == ("main/b", "model_calls")


async def test_a_reserve_that_the_run_cannot_give_pauses_it() -> None:
    async def main() -> None:
        phase("find", reserve={"model_calls": 3})

    ran = await run(main, limits=Limits(model_calls=2))
    assert (ran.result.kind, ran.result.pause) == ("paused", "budget")


async def test_a_resume_after_the_summary_needs_no_reserve_any_more() -> None:
    calls = AnsweringCalls(as_told, floor=Amount(model_calls=1))

    async def main() -> list[Any]:
        phase("find", reserve={"model_calls": 2})
        found = await branch("b", parallel([agent("spend 1") for _ in range(6)]))
        return [found.kind, await agent("spend 2")]

    first = await memory_run(main, performers={"agent": calls}, limits=Limits(model_calls=8))
    assert first.value == ["succeeded", "2"]
    again = await memory_run(
        main, performers={"agent": calls}, limits=Limits(model_calls=8), history=first.log.events()
    )
    assert again.value == first.value
    assert len(calls.performed) == 7
