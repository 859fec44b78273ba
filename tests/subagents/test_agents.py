"""Function agents as subagents: their floors, rounds, records, and what they see, which is nothing of a sibling."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from antiphon.engine import Amount, CallContext, Failed, Limits, Outcome, Settings, WindDown
from antiphon.engine.script.api import agent, branch, parallel, phase, race
from antiphon.engine.testing import Turnstile, memory_run
from antiphon.subagents.agents import MAX_ROUNDS, Agents
from antiphon.subagents.function import function_agent
from antiphon.subagents.testing import performers_of

pytestmark = pytest.mark.anyio
virtual_time = pytest.mark.parametrize("anyio_backend", ["virtual"], indirect=True)


class Report(BaseModel):
    """A typed value."""

    text: str
    done: bool = False


@dataclass
class Fact:
    """A record."""

    text: str

    def to_json(self) -> dict[str, Any]:
        """Its content."""
        return {"text": self.text}


@function_agent("counter", floor=Amount(model_calls=3))
async def counter(task: str, ctx: CallContext) -> int:
    """Three model calls."""
    for _ in range(3):
        async with ctx.attempt() as attempt:
            attempt.settle()
    return len(task)


@function_agent("reporter", output=Report)
async def reporter(task: str, ctx: CallContext) -> Any:
    """A report, done once it was sent back twice."""
    rounds = 0 if ctx.missing is None else int(ctx.missing.split()[-1])
    return {"text": task, "done": rounds >= 2}


@function_agent("looker")
async def looker(task: str, ctx: CallContext) -> Any:
    """All that a subagent can see."""
    return {"task": task, "frames": list(ctx.frames), "about": ctx.about, "covers": list(ctx.covers)}


# --- what it gives ----------------------------------------------------------------------------------------------------


async def test_a_roles_type_holds_where_the_call_names_none() -> None:
    async def main() -> list[str]:
        mine = await agent("a", role="reporter")
        other = await agent("b", role="reporter", output=dict[str, Any])
        return [type(mine).__name__, type(other).__name__]

    ran = await memory_run(main, performers=performers_of(reporter))
    assert ran.value == ["Report", "dict"]


async def test_a_named_schema_is_looked_up() -> None:
    async def main() -> list[str]:
        found = await agent("a", role="looker", output="anything")
        unknown = await branch("b", agent("a", role="looker", output="nothing"))
        return [found["task"], unknown.reason]

    ran = await memory_run(main, performers={"agent": Agents({"looker": looker}, {"anything": dict[str, Any]})})
    task, reason = ran.value
    assert task == "a"
    assert "output schema 'nothing' is not available here (available: anything)" in reason


async def test_an_unknown_role_names_those_there_are() -> None:
    async def main() -> Any:
        return await agent("a", role="auditor")

    ran = await memory_run(main, performers=performers_of(counter, looker))
    assert "role 'auditor' is not available here (available: counter, looker)" in ran.result.reason


def when_done() -> Callable[[Report], bool | str]:
    """A criterion on the typed value, which says how often it was not met."""
    asked: list[Report] = []

    def criterion(report: Report) -> bool | str:
        asked.append(report)
        return report.done or f"round {len(asked)}"

    return criterion


async def test_an_agent_that_stops_before_its_criterion_is_told_what_is_missing() -> None:
    async def main() -> Report:
        return await agent("a", role="reporter", output=Report, until=when_done())

    ran = await memory_run(main, performers=performers_of(reporter))
    assert ran.value == Report(text="a", done=True)


async def test_a_criterion_never_met_fails_after_a_bounded_number_of_rounds() -> None:
    async def main() -> Any:
        return await branch("b", agent("a", role="looker", until=lambda value: False))

    outcome: Outcome[Any] = (await memory_run(main, performers=performers_of(looker))).value
    assert isinstance(outcome, Failed)
    assert outcome.category == "task"
    assert f"stopped before its criterion {MAX_ROUNDS} times" in outcome.reason


async def test_a_command_as_a_criterion_is_refused_before_it_costs_anything() -> None:
    async def main() -> Any:
        return await agent("a", role="counter", until="pytest")

    ran = await memory_run(main, performers=performers_of(counter))
    assert "needs the sandbox" in ran.result.reason
    assert ran.result.spent == Amount()


# --- records ----------------------------------------------------------------------------------------------------------


async def test_records_become_part_of_the_run_with_the_outcome_in_the_phase_they_were_made_in() -> None:
    @function_agent("recorder")
    async def recorder(task: str, ctx: CallContext) -> str:
        fact = Fact(f"{task} one")
        ctx.records.add(fact)
        fact.text = "changed afterwards"
        ctx.records.add(Fact(f"{task} two"))
        if task == "bad":
            raise ValueError("after recording")
        return task

    async def main() -> None:
        phase("find")
        units = {"good": ["a.py"], "bad": ["b.py"]}
        await parallel(agent(task, role="recorder", covers=covers) for task, covers in units.items())

    first = await memory_run(main, performers=performers_of(recorder))
    again = await memory_run(main, performers=performers_of(recorder), history=first.log.events())
    for ran in (first, again):
        told = sorted((record.path, record.phase, str(record.record["text"])) for record in ran.run.records)
        assert told == [
            ("main/0/0/0", "find", "good one"),
            ("main/0/0/0", "find", "good two"),
            ("main/0/1/0", "find", "bad one"),
            ("main/0/1/0", "find", "bad two"),
        ]
        assert ran.run.covered == {"a.py"}, "a unit whose call failed is not covered"


async def test_records_of_a_call_that_was_cut_are_not_kept() -> None:
    turnstile = Turnstile()

    @function_agent("recorder")
    async def recorder(task: str, ctx: CallContext) -> str:
        ctx.records.add(Fact(task))
        if task == "loser":
            await turnstile.go_through(task)
        else:
            await turnstile.wait_for(1)
        return task

    async def main() -> Any:
        return await race([agent("loser", role="recorder"), agent("winner", role="recorder")])

    ran = await memory_run(main, performers=performers_of(recorder))
    assert [record.record["text"] for record in ran.run.records] == ["winner"]


async def test_a_record_that_cannot_be_written_fails_the_call_and_loses_nothing_else() -> None:
    @function_agent("recorder")
    async def recorder(task: str, ctx: CallContext) -> str:
        if task == "bad":
            ctx.records.add(Fact({1}))  # type: ignore[arg-type]
        return task

    async def main() -> list[str]:
        found = await parallel([agent("good", role="recorder"), agent("bad", role="recorder")])
        return [outcome.kind for outcome in found]

    first = await memory_run(main, performers=performers_of(recorder))
    again = await memory_run(main, performers=performers_of(recorder), history=first.log.events())
    assert first.value == again.value == ["succeeded", "failed"]
    assert again.result.reuse.performed == 0


# --- isolation --------------------------------------------------------------------------------------------------------


async def test_a_subagent_sees_the_frames_from_the_root_to_itself_and_its_task() -> None:
    async def inside() -> Any:
        return await agent("deep", role="looker", context=[{"leaf": 3}], about="c1", covers=["a.py"])

    async def main() -> Any:
        await parallel([agent("elsewhere", role="looker", context=["of a sibling"])], context=["of another fan-out"])
        found = await parallel([branch("b", inside(), context=["branch"])], context=[{"fan": 1}, "second"])
        return found[0].value.value

    ran = await memory_run(main, performers=performers_of(looker))
    assert ran.value == {
        "task": "deep",
        "frames": [{"fan": 1}, "second", "branch", {"leaf": 3}],
        "about": "c1",
        "covers": ["a.py"],
    }


async def test_what_a_subagent_does_to_its_frames_no_sibling_sees() -> None:
    @function_agent("vandal")
    async def vandal(task: str, ctx: CallContext) -> Any:
        frame: Any = ctx.frames[0]
        frame["seen"].append(task)
        await anyio.lowlevel.checkpoint()
        return frame["seen"]

    frame: dict[str, Any] = {"seen": []}

    async def main() -> Any:
        found = await parallel([agent(name, role="vandal") for name in "abc"], context=[frame])
        frame["seen"].append("the script")
        return found.succeeded()

    ran = await memory_run(main, performers=performers_of(vandal))
    assert ran.value == [["a"], ["b"], ["c"]]


async def test_what_a_script_does_to_a_frame_after_handing_it_over_changes_nothing() -> None:
    frame = {"n": 1}

    async def main() -> Any:
        call = agent("a", role="looker", context=[frame])
        frame["n"] = 2
        return (await call)["frames"]

    assert (await memory_run(main, performers=performers_of(looker))).value == [{"n": 1}]


# --- budget -----------------------------------------------------------------------------------------------------------


async def test_the_race_of_promise_2_at_a_nested_limit() -> None:
    """Money for ten calls, a hundred agents that need three each: three finish, nobody else costs anything."""

    async def main() -> Any:
        found = await parallel((agent(f"t{i}", role="counter") for i in range(100)), limits={"model_calls": 10})
        return found.census.to_json()

    ran = await memory_run(main, performers=performers_of(counter))
    assert ran.value == {"planned": 100, "started": 100, "over_budget": 97, "succeeded": 3}
    assert ran.result.spent.count("model_calls") == 9
    assert ran.result.spent.count("agent_calls") == 3
    assert len(ran.events("call.started")) == 3
    refused = [event for event in ran.events("call.ended") if event.data["kind"] == "over_budget"]
    assert len(refused) == 97
    assert all("spent" not in event.data for event in refused)
    again = await memory_run(main, performers=performers_of(counter), history=ran.log.events())
    assert (again.value, again.result.reuse.performed) == (ran.value, 0)


async def test_the_race_of_promise_2_at_the_runs_own_limit_pauses_and_a_top_up_finishes_all() -> None:
    async def main() -> Any:
        return (await parallel(agent(f"t{i}", role="counter") for i in range(100))).census.to_json()

    limits = Limits(model_calls=10)
    first = await memory_run(main, performers=performers_of(counter), limits=limits)
    assert (first.result.kind, first.result.pause) == ("paused", "budget")
    assert first.result.spent.count("model_calls") == 9
    assert len(first.events("call.started")) == 3
    done = await memory_run(
        main,
        performers=performers_of(counter),
        limits=limits,
        history=first.log.events(),
        top_up=Amount(model_calls=290),
    )
    assert done.value == {"planned": 100, "started": 100, "succeeded": 100}
    assert (done.result.reuse.reused, done.result.reuse.performed) == (3, 97)
    assert done.result.spent.count("model_calls") == 300


async def test_an_agent_told_to_wind_down_hands_back_what_it_has_within_its_floor() -> None:
    @function_agent("collector", floor=Amount(model_calls=1))
    async def collector(task: str, ctx: CallContext) -> Any:
        pages = 0
        try:
            for _ in range(8):
                if ctx.winding_down:
                    break
                async with ctx.attempt() as attempt:
                    await anyio.lowlevel.checkpoint()
                    attempt.settle()
                pages += 1
        except WindDown:
            pass
        return {"pages": pages, "wound_down": ctx.winding_down}

    async def main() -> Any:
        found = await parallel([agent(n, role="collector") for n in "abc"], limits={"model_calls": 10})
        return found.succeeded()

    ran = await memory_run(main, performers=performers_of(collector))
    assert len(ran.value) == 3
    assert any(value["wound_down"] for value in ran.value)
    assert ran.result.spent.count("model_calls") <= 10


async def test_permits_bound_the_attempts_in_flight_and_nothing_else() -> None:
    inside: list[int] = [0, 0]

    @function_agent("busy")
    async def busy(task: str, ctx: CallContext) -> str:
        async with ctx.attempt() as attempt:
            inside[0] += 1
            inside[1] = max(inside)
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            inside[0] -= 1
            attempt.settle()
        return task

    async def main() -> Any:
        return len((await parallel(agent(str(i), role="busy") for i in range(20))).succeeded())

    ran = await memory_run(main, performers=performers_of(busy), settings=Settings(attempts=3))
    assert (ran.value, inside) == (20, [0, 3])
