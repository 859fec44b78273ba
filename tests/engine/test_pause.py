"""Pause, stop, breakers, approvals and the run's own limit: nothing new begins, nothing finished is lost."""

from typing import Any

import anyio
import pytest

from antiphon.engine import (
    Amount,
    Approvals,
    Call,
    CallContext,
    InfrastructureError,
    Limits,
    Outcome,
    Performer,
    Run,
    Settings,
    Stopped,
    read_journal,
)
from antiphon.engine.script.api import (
    agent,
    approve,
    branch,
    budget,
    get,
    log,
    now,
    parallel,
    phase,
    put,
    random,
    step,
)
from antiphon.engine.testing import AnsweringCalls, MemoryRun, Turnstile, memory_run

pytestmark = pytest.mark.anyio
virtual_time = pytest.mark.parametrize("anyio_backend", ["virtual"], indirect=True)


async def one_call(call: Call, context: CallContext) -> object:
    """Spend one model call."""
    async with context.attempt() as attempt:
        attempt.settle()
    return call.task


def assert_accounts_agree(ran: MemoryRun) -> None:
    """What the meter shows is what the log says was spent."""
    assert read_journal(ran.log.events()).spent == ran.result.spent


# --- pause ------------------------------------------------------------------------------------------------------------


async def test_a_pause_lets_calls_in_flight_settle_and_admits_nothing() -> None:
    turnstile = Turnstile()

    async def answer(call: Call, context: CallContext) -> object:
        async with context.attempt() as attempt:
            await turnstile.go_through(str(call.task))
            attempt.settle()
        return call.task

    async def beside(run: Run) -> None:
        await turnstile.wait_for(2)
        run.pause("asked", "a person asked")
        await anyio.lowlevel.checkpoint()
        turnstile.open()

    async def main() -> list[str]:
        found = await parallel([agent(name) for name in "abcd"], concurrency=2)
        return found.succeeded()

    calls = AnsweringCalls(answer)
    first = await memory_run(main, performers={"agent": calls}, beside=beside)
    assert (first.result.kind, first.result.exit_code, first.result.pause) == ("paused", 4, "asked")
    assert (first.result.outcome, first.result.reason) == (None, "a person asked")
    assert sorted(map(str, calls.performed)) == ["a", "b"]
    assert_accounts_agree(first)

    turnstile.open()
    again = await memory_run(main, performers={"agent": calls}, history=first.log.events())
    assert again.value == list("abcd")
    assert sorted(map(str, calls.performed)) == ["a", "b", "c", "d"], "what had settled is not performed again"
    assert (again.result.reuse.reused, again.result.reuse.performed) == (2, 2)
    assert_accounts_agree(again)


async def test_who_waits_for_the_budget_when_a_pause_comes_is_not_admitted_by_what_settles() -> None:
    turnstile = Turnstile()

    async def answer(call: Call, context: CallContext) -> object:
        await turnstile.go_through(str(call.task))
        return call.task

    async def beside(run: Run) -> None:
        await turnstile.wait_for(1)
        while run.budget.waiting < 2:
            await anyio.lowlevel.checkpoint()
        run.pause("asked", "a person asked")
        turnstile.open()

    async def main() -> object:
        return (await parallel(agent(str(i)) for i in range(3))).census.to_json()

    calls = AnsweringCalls(answer, floor=Amount(model_calls=1))
    ran = await memory_run(main, performers={"agent": calls}, limits=Limits(model_calls=1), beside=beside)
    assert ran.result.kind == "paused"
    assert len(calls.performed) == 1
    assert ran.result.spent.count("agent_calls") == 1
    assert ran.run.budget.root.reserved == Amount()
    assert_accounts_agree(ran)


async def test_a_script_that_is_done_before_it_asks_again_is_done() -> None:
    turnstile = Turnstile()

    async def answer(call: Call, context: CallContext) -> object:
        await turnstile.go_through("it")
        return "done"

    async def beside(run: Run) -> None:
        await turnstile.wait_for(1)
        turnstile.open()
        run.pause("asked", "too late")

    async def main() -> object:
        return await agent("a")

    ran = await memory_run(main, performers={"agent": AnsweringCalls(answer)}, beside=beside)
    assert ran.result.kind in ("completed", "paused")
    again = await memory_run(main, performers={"agent": AnsweringCalls()}, history=ran.log.events())
    assert again.value == "done"


@virtual_time
async def test_the_runs_wall_time_pauses_it() -> None:
    async def answer(call: Call, context: CallContext) -> object:
        await anyio.sleep(8)
        return call.task

    async def main() -> list[object]:
        return [await agent(str(i)) for i in range(3)]

    calls = AnsweringCalls(answer)
    ran = await memory_run(main, performers={"agent": calls}, limits=Limits(wall_seconds=10))
    assert (ran.result.kind, ran.result.pause) == ("paused", "wall_seconds")
    assert anyio.current_time() == pytest.approx(16, abs=1), "the call in flight settled first"
    assert len(read_journal(ran.log.events()).in_flight) == 0


# --- stop -------------------------------------------------------------------------------------------------------------


async def test_a_stop_cancels_at_once_and_what_was_in_flight_is_charged_as_estimated() -> None:
    turnstile = Turnstile()

    async def answer(call: Call, context: CallContext) -> object:
        async with context.attempt(Amount(usd="0.01")) as attempt:
            await turnstile.go_through(str(call.task))
            attempt.settle(Amount())
        return call.task

    async def beside(run: Run) -> None:
        await turnstile.wait_for(2)
        run.stop("twice Ctrl-C")

    async def main() -> object:
        return (await parallel([agent("a"), agent("b")])).census.to_json()

    calls = AnsweringCalls(answer)
    ran = await memory_run(main, performers={"agent": calls}, beside=beside)
    assert (ran.result.kind, ran.result.exit_code, ran.result.reason) == ("stopped", 130, "twice Ctrl-C")
    assert ran.result.spent.usd == Amount(usd="0.02").usd
    assert all(event.data["estimated"] for event in ran.events("attempt.ended"))
    assert_accounts_agree(ran)

    turnstile.open()
    again = await memory_run(main, performers={"agent": calls}, history=ran.log.events())
    assert again.value == {"planned": 2, "started": 2, "succeeded": 2}
    assert again.result.spent.usd == Amount(usd="0.02").usd, "what may have been billed stays charged"


async def test_after_a_stop_every_engine_call_raises_and_except_exception_does_not_eat_it() -> None:
    reached: list[str] = []
    turnstile = Turnstile()

    async def answer(call: Call, context: CallContext) -> object:
        await turnstile.go_through(str(call.task))
        return call.task

    async def beside(run: Run) -> None:
        await turnstile.wait_for(1)
        run.stop()

    async def main() -> None:
        try:
            await agent("a")
        except Exception:
            reached.append("swallowed")  # pragma: no cover
        finally:
            for name, word in WORDS.items():
                try:
                    word()
                except Exception:
                    reached.append(f"{name} swallowed")  # pragma: no cover
                except Stopped:
                    reached.append(name)
        await agent("after")  # pragma: no cover

    calls = AnsweringCalls(answer)
    ran = await memory_run(main, performers={"agent": calls}, beside=beside)
    assert ran.result.kind == "stopped"
    assert reached == list(WORDS)
    assert calls.performed == ["a"]


WORDS: dict[str, Any] = {
    "phase": lambda: phase("x"),
    "put": lambda: put("a", 1),
    "get": lambda: get("a"),
    "log": lambda: log("x"),
    "now": now,
    "random": random,
    "used": budget.used,
    "remaining": budget.remaining,
}


@pytest.mark.parametrize("word", ["agent", "parallel", "branch", "approve", "step"])
async def test_a_script_that_shields_itself_from_a_stop_gets_it_raised(word: str) -> None:
    turnstile = Turnstile()
    told: list[str] = []
    make: dict[str, Any] = {
        "agent": lambda: agent("after"),
        "parallel": lambda: parallel([agent("after")]),
        "branch": lambda: branch("b", agent("after")),
        "approve": lambda: approve("after?"),
        "step": lambda: step("after"),
    }

    async def answer(call: Call, context: CallContext) -> object:
        await turnstile.go_through(str(call.task))
        return call.task

    async def beside(run: Run) -> None:
        await turnstile.wait_for(1)
        run.stop()

    async def main() -> None:
        try:
            await agent("a")
        finally:
            with anyio.CancelScope(shield=True):
                try:
                    await make[word]()
                except Exception:
                    told.append("swallowed")  # pragma: no cover
                except Stopped:
                    told.append("stopped")

    calls = AnsweringCalls(answer)
    performers: dict[str, Performer] = {"agent": calls, "step": calls, "approval": Approvals()}
    ran = await memory_run(main, performers=performers, beside=beside)
    assert (ran.result.kind, told) == ("stopped", ["stopped"])
    assert calls.performed == ["a"]


async def test_a_stop_closes_coroutines_that_never_began() -> None:
    turnstile = Turnstile()

    async def answer(call: Call, context: CallContext) -> object:
        await turnstile.go_through(str(call.task))
        return call.task

    async def work(name: str) -> str:
        return str(await agent(name))

    async def beside(run: Run) -> None:
        await turnstile.wait_for(1)
        run.stop()

    async def main() -> object:
        return await parallel([work(name) for name in "abc"], concurrency=1)

    ran = await memory_run(main, performers={"agent": AnsweringCalls(answer)}, beside=beside)
    assert ran.result.kind == "stopped"
    assert ran.result.census[""].to_json() == {"planned": 3, "started": 1, "cancelled": 1, "skipped": 2}


async def test_a_step_that_is_not_idempotent_and_was_cut_off_is_not_repeated_unasked() -> None:
    turnstile = Turnstile()

    async def answer(call: Call, context: CallContext) -> object:
        await turnstile.go_through("it")
        return "merged"

    async def beside(run: Run) -> None:
        await turnstile.wait_for(1)
        run.stop()

    async def main() -> Outcome[object]:
        return await branch("b", step("merge"))

    calls = AnsweringCalls(answer, idempotent=False)
    first = await memory_run(main, performers={"step": calls}, beside=beside)
    asked = await memory_run(main, performers={"step": calls}, history=first.log.events())
    assert (asked.result.kind, asked.result.pause) == ("paused", "approval")
    assert "not idempotent" in str(asked.result.pending)
    assert len(calls.performed) == 1

    refused = await memory_run(
        main, performers={"step": calls}, history=first.log.events(), settings=Settings(answers={"*": False})
    )
    assert refused.value.kind == "denied"
    turnstile.open()
    repeated = await memory_run(
        main, performers={"step": calls}, history=first.log.events(), settings=Settings(answers={"*": True})
    )
    assert repeated.value.value == "merged"
    assert len(calls.performed) == 2


# --- breakers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("category", ["quota", "credit", "authentication"])
async def test_a_breaker_pauses_a_run_of_300_branches_and_fails_none(category: Any) -> None:
    healthy: list[bool] = []

    async def answer(call: Call, context: CallContext) -> object:
        async with context.attempt(Amount(usd="0.01")) as attempt:
            await anyio.lowlevel.checkpoint()
            if not healthy and int(str(call.task)) >= 100:
                raise InfrastructureError(category, "none left")
            attempt.settle()
        return call.task

    async def main() -> object:
        return (await parallel(agent(str(i)) for i in range(300))).census.to_json()

    calls = AnsweringCalls(answer)
    first = await memory_run(main, performers={"agent": calls}, settings=Settings(attempts=20))
    assert (first.result.kind, first.result.pause) == ("paused", category)
    kinds = {str(event.data["kind"]) for event in first.events("call.ended")}
    assert kinds <= {"succeeded", "cancelled"}
    assert_accounts_agree(first)

    healthy.append(True)
    before = len(calls.performed)
    done = sum(event.data["kind"] == "succeeded" for event in first.events("call.ended"))
    again = await memory_run(main, performers={"agent": calls}, history=first.log.events())
    assert again.value == {"planned": 300, "started": 300, "succeeded": 300}
    assert len(calls.performed) - before == 300 - done
    assert_accounts_agree(again)


async def test_a_breaker_inside_a_task_group_of_an_agent_trips_too() -> None:
    async def attempt(context: CallContext) -> None:
        async with context.attempt():
            raise InfrastructureError("quota", "none left")

    async def answer(call: Call, context: CallContext) -> object:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(attempt, context)
            tasks.start_soon(attempt, context)
        return None  # pragma: no cover

    async def main() -> object:
        return await agent("a")

    ran = await memory_run(main, performers={"agent": AnsweringCalls(answer)})
    assert (ran.result.kind, ran.result.pause) == ("paused", "quota")
    assert ran.result.spent.count("model_calls") == 0, "quota is known not to be billed"


async def test_what_is_no_breaker_fails_its_branch_alone() -> None:
    async def answer(call: Call, context: CallContext) -> object:
        raise InfrastructureError("network", "no route")

    async def main() -> object:
        return (await parallel([agent("a"), agent("b")])).census.to_json()

    ran = await memory_run(main, performers={"agent": AnsweringCalls(answer)})
    assert ran.value == {"planned": 2, "started": 2, "failed": 2}


# --- approvals --------------------------------------------------------------------------------------------------------


async def asking() -> list[object]:
    """Ask, and do as told."""
    before = await agent("before")
    if await approve("Merge?", {"files": 3}):
        return [before, await agent("merge")]
    return [before]


@pytest.mark.parametrize("yes", [True, False])
async def test_an_approval_pauses_the_run_and_an_answer_resumes_it(yes: bool) -> None:
    calls = AnsweringCalls()
    performers: dict[str, Performer] = {"agent": calls, "approval": Approvals()}
    first = await memory_run(asking, performers=performers)
    assert (first.result.kind, first.result.pause) == ("paused", "approval")
    assert first.result.pending == {"main/1": "Merge?"}
    assert first.result.spent.agent_seconds < 0.2, "waiting for a person is not working"

    settings = Settings(answers={"main/1": yes})
    again = await memory_run(asking, performers=performers, history=first.log.events(), settings=settings)
    assert again.value == (["before", "merge"] if yes else ["before"])
    third = await memory_run(asking, performers=performers, history=again.log.events())
    assert third.value == again.value, "the answer is recorded"
    assert calls.performed == (["before", "merge"] if yes else ["before"])


async def test_an_approval_waits_while_other_work_goes_on_and_takes_an_answer_meanwhile() -> None:
    turnstile = Turnstile()

    async def answer(call: Call, context: CallContext) -> object:
        await turnstile.go_through("work")
        return call.task

    async def beside(run: Run) -> None:
        await turnstile.wait_for(1)
        while not run.pending:
            await anyio.lowlevel.checkpoint()
        run.give_answer("*", True)
        turnstile.open()

    async def main() -> list[bool]:
        return (await parallel([agent("a"), approve("Go on?")])).succeeded()

    performers: dict[str, Performer] = {"agent": AnsweringCalls(answer), "approval": Approvals()}
    ran = await memory_run(main, performers=performers, beside=beside)
    assert ran.value == ["a", True]


async def test_an_agent_that_asks_twice_gets_two_answers_and_its_waiting_lets_the_run_pause() -> None:
    async def answer(call: Call, context: CallContext) -> object:
        return [await context.ask("first?"), await context.ask("second?")]

    async def main() -> object:
        return await agent("a")

    async def beside(run: Run) -> None:
        while not run.pending:
            await anyio.lowlevel.checkpoint()
        run.give_answer("main/0", True)

    ran = await memory_run(main, performers={"agent": AnsweringCalls(answer)}, beside=beside)
    assert ran.result.pause == "approval"
    assert ran.result.pending == {"main/0#2": "second?"}
    settings = Settings(answers={"main/0": True, "main/0#2": False})
    again = await memory_run(
        main, performers={"agent": AnsweringCalls(answer)}, history=ran.log.events(), settings=settings
    )
    assert again.value == [True, False]


# --- the run's own limit ----------------------------------------------------------------------------------------------


async def test_the_runs_own_limit_pauses_it_and_a_top_up_finishes() -> None:
    async def main() -> object:
        return (await parallel(agent(str(i)) for i in range(10))).census.to_json()

    calls = AnsweringCalls(one_call, floor=Amount(model_calls=1))
    limits = Limits(model_calls=4)
    first = await memory_run(main, performers={"agent": calls}, limits=limits)
    assert (first.result.kind, first.result.pause) == ("paused", "budget")
    assert first.result.spent.count("model_calls") == 4

    short = await memory_run(
        main, performers={"agent": calls}, limits=limits, history=first.log.events(), top_up=Amount(model_calls=3)
    )
    assert (short.result.kind, short.result.spent.count("model_calls")) == ("paused", 7)
    done = await memory_run(
        main, performers={"agent": calls}, limits=limits, history=short.log.events(), top_up=Amount(model_calls=3)
    )
    assert done.value == {"planned": 10, "started": 10, "succeeded": 10}
    assert sorted(map(str, calls.performed)) == [str(i) for i in range(10)]
    assert_accounts_agree(done)


async def test_a_top_up_while_it_runs_lets_it_go_on() -> None:
    turnstile = Turnstile()

    async def answer(call: Call, context: CallContext) -> object:
        await turnstile.go_through(str(call.task))
        return await one_call(call, context)

    async def beside(run: Run) -> None:
        await turnstile.wait_for(1)
        while not run.budget.waiting:
            await anyio.lowlevel.checkpoint()
        run.top_up(Amount(model_calls=1))
        turnstile.open()

    async def main() -> object:
        return (await parallel([agent("a"), agent("b")])).succeeded()

    calls = AnsweringCalls(answer, floor=Amount(model_calls=1))
    ran = await memory_run(main, performers={"agent": calls}, limits=Limits(model_calls=1), beside=beside)
    assert ran.value == ["a", "b"]


async def test_a_nested_limit_is_over_budget_and_the_run_goes_on() -> None:
    async def main() -> list[str]:
        found = await parallel([agent(str(i)) for i in range(4)], limits={"model_calls": 3})
        return sorted(outcome.kind for outcome in found)

    ran = await memory_run(main, performers={"agent": AnsweringCalls(one_call, floor=Amount(model_calls=1))})
    assert ran.value == ["over_budget", "succeeded", "succeeded", "succeeded"]
    assert ran.result.kind == "degraded"


@pytest.mark.parametrize("nested", [False, True])
async def test_an_agent_that_can_neither_get_more_nor_wind_down_meets_the_limit_it_met(nested: bool) -> None:
    async def greedy(call: Call, context: CallContext) -> object:
        for _ in range(3):
            await one_call(call, context)
        return call.task

    async def main() -> object:
        calls = parallel([agent("a"), agent("b")], limits={"model_calls": 4} if nested else None)
        return sorted(outcome.kind for outcome in await calls)

    calls = AnsweringCalls(greedy, floor=Amount(model_calls=1))
    limits = None if nested else Limits(model_calls=4)
    ran = await memory_run(main, performers={"agent": calls}, limits=limits)
    if nested:
        assert "over_budget" in ran.value
    else:
        assert (ran.result.kind, ran.result.pause) == ("paused", "budget")
    assert ran.result.spent.count("model_calls") <= 4
    assert_accounts_agree(ran)


async def test_what_is_billed_above_the_worst_case_is_an_overdraft_recorded_and_pauses() -> None:
    async def answer(call: Call, context: CallContext) -> object:
        async with context.attempt(Amount(usd="0.01")) as attempt:
            attempt.settle(Amount(usd="0.05"))
        return call.task

    async def main() -> object:
        return (await parallel([agent("a"), agent("b")], concurrency=1)).succeeded()

    ran = await memory_run(main, performers={"agent": AnsweringCalls(answer)}, limits=Limits.parse({"usd": "0.02"}))
    assert (ran.result.kind, ran.result.pause) == ("paused", "overdraft")
    [over] = [event.data for event in ran.events("budget")]
    assert (over["overdraft"], over["dimension"], over["count"]) == ("main", "usd", 30_000_000)
