"""A script is the same run in process and confined: same values, same calls at the same places, same replay."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antiphon.engine import AgentFailure, CallContext, CallFailed
from antiphon.engine.call import Call
from antiphon.engine.outcome import Outcome, Outcomes, Tally
from antiphon.engine.script import api
from antiphon.engine.script.confined import run_confined
from antiphon.engine.script.runtime import Runtime
from antiphon.engine.testing import AnsweringCalls, MemoryRun, memory_run
from antiphon.subagents.runtimes import choose_runtime
from antiphon.tracing.log import Event

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]
SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
HEAD = """
def shown(value):
    if isinstance(value, Outcomes):
        return [shown(one) for one in value]
    if isinstance(value, Outcome):
        reached = value.kind in ("succeeded", "degraded")
        return [value.kind, shown(value.value) if reached else value.reason.split(":")[0]]
    if isinstance(value, Tally):
        return [value.decided, list(value.votes), shown(value.outcomes)]
    return value
"""
API = ("agent", "branch", "fail", "get", "log", "parallel", "phase", "pipeline", "put", "quorum", "race", "random")


async def answer(call: Call, _context: CallContext) -> object:
    number = int(str(call.task)[1:])
    if number % 5 == 3:
        raise AgentFailure(f"no answer to {call.task}")
    return f"answer {number}"


class Writer:
    """Writes a script of nested constructs, each call of which has a task of its own."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw, self._number = draw, itertools.count()
        self.functions: list[str] = []
        self._constructs: dict[str, Callable[[int], str]] = {
            "leaf": self._leaf,
            "coroutine": self._coroutine,
            "parallel": self._parallel,
            "quorum": self._quorum,
            "branch": self._branch,
            "pipeline": self._pipeline,
            "race": self._race,
            "fails": self._fails,
        }

    def block(self, depth: int, statements: int) -> str:
        lines = [line for _ in range(statements) for line in self._statement(depth)]
        return "\n".join(f"    {line}" for line in lines)

    def _statement(self, depth: int) -> list[str]:
        awaited = f"found.append(shown(await {self._call(depth)}))"
        alternatives = [
            [awaited],
            ["try:", f"    {awaited}", "except CallFailed as error:", "    found.append(str(error))"],
            [f'put("k{next(self._number) % 3}", {next(self._number)})'],
            ['log("here")'],
            ["found.append(random())"],
        ]
        return self._draw(st.sampled_from(alternatives))

    def _call(self, depth: int) -> str:
        name = self._draw(st.sampled_from(sorted(self._constructs))) if depth else "leaf"
        return self._constructs[name](depth - 1)

    def _leaf(self, _depth: int) -> str:
        return f'agent("t{next(self._number)}")'

    def _coroutine(self, depth: int) -> str:
        name, body = f"work{next(self._number)}", self.block(depth, self._draw(st.integers(1, 3)))
        self.functions.append(f"async def {name}():\n    found = []\n{body}\n    return found\n")
        return f"{name}()"

    def _parallel(self, depth: int) -> str:
        return f"parallel([{', '.join(self._call(depth) for _ in range(self._draw(st.integers(0, 3))))}])"

    def _quorum(self, depth: int) -> str:
        voters = ", ".join(self._leaf(depth) for _ in range(3))
        return f"quorum([{voters}], need=2, vote=lambda said: said != 'answer 1')"

    def _branch(self, depth: int) -> str:
        return f'branch("b{next(self._number)}", {self._call(depth)})'

    def _pipeline(self, _depth: int) -> str:
        last = self._draw(st.sampled_from(["lambda value: [value]", "lambda value: 1 // 0"]))
        return f'pipeline([1, 2], lambda value: agent(f"t{next(self._number)}{{value}}"), {last})'

    def _race(self, depth: int) -> str:
        return f"race([{self._call(depth)}])"

    def _fails(self, _depth: int) -> str:
        name = f"fails{next(self._number)}"
        self.functions.append(f'async def {name}():\n    fail("of itself", partial=[1])\n')
        return f"{name}()"


@st.composite
def scripts(draw: st.DrawFn) -> str:
    """A whole script."""
    writer = Writer(draw)
    body = writer.block(3, draw(st.integers(1, 4)))
    main = f'async def main():\n    found = []\n    phase("one")\n{body}\n    return found\n'
    return "\n".join([HEAD, *writer.functions, main])


def trusted(source: str) -> Any:
    names: dict[str, Any] = {name: getattr(api, name) for name in API}
    names |= {"CallFailed": CallFailed, "Outcome": Outcome, "Outcomes": Outcomes, "Tally": Tally}
    exec(compile(source, "script.py", "exec"), names)
    return names["main"]()


async def in_process(source: str, history: Sequence[Event] = ()) -> tuple[MemoryRun, AnsweringCalls]:
    calls = AnsweringCalls(answer)

    async def main() -> Any:
        return await trusted(source)

    return await memory_run(main, performers={"agent": calls}, history=history), calls


async def confined(runtime: Runtime, source: str, history: Sequence[Event] = ()) -> tuple[MemoryRun, AnsweringCalls]:
    calls = AnsweringCalls(answer)

    async def main() -> Any:
        return await run_confined(runtime, source=source, file="script.py", arguments={})

    return await memory_run(main, performers={"agent": calls}, history=history), calls


def came_to(run: MemoryRun) -> tuple[Any, ...]:
    outcome = run.result.outcome
    assert outcome is not None
    value = outcome.value if outcome.kind in ("succeeded", "degraded") else None
    census = {title: counts.to_json() for title, counts in run.result.census.items()}
    return run.result.kind, value, census, {t: c.to_json() for t, c in run.result.calls.items()}


def journal(run: MemoryRun) -> dict[str, Any]:
    """What each call was, and came to, by its path."""
    return {
        event.path: (event.data["kind"], event.data["hash"], event.data.get("value"))
        for event in run.log.events()
        if event.kind == "call.ended"
    }


@pytest.mark.parametrize("name", ["jail", "monty"])
@settings(max_examples=15, deadline=None, suppress_health_check=SLOW)
@given(source=scripts())
async def test_a_script_is_the_same_run_confined(name: str, source: str) -> None:
    runtime = choose_runtime(name)
    here, _ = await in_process(source)
    there, _ = await confined(runtime, source)
    assert came_to(there) == came_to(here)
    assert journal(there) == journal(here)


@settings(max_examples=15, deadline=None, suppress_health_check=SLOW)
@given(source=scripts(), data=st.data())
async def test_what_finished_before_a_kill_is_performed_by_no_runtime_again(source: str, data: st.DataObject) -> None:
    whole, _ = await confined(choose_runtime("jail"), source)
    events = whole.log.events()
    kept = events[: data.draw(st.integers(1, len(events)), label="events kept")]
    again, calls = await confined(choose_runtime("monty"), source, history=kept)
    done = {event.path for event in kept if event.kind == "call.ended"}
    assert came_to(again)[:2] == came_to(whole)[:2]
    assert len(calls.performed) == len(journal(whole)) - len(done)
