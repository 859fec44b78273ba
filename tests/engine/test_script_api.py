"""The script API: typed values, copies, lazy calls, and messages that name the fix."""

import asyncio
import gc
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from pydantic import BaseModel

from antiphon.engine import (
    Call,
    CallContext,
    CallFailed,
    Failed,
    HabitError,
    InfrastructureError,
    MalformedOutput,
    Outcome,
    Performer,
    UndeclaredError,
    UsageError,
    current_branch,
)
from antiphon.engine.denial import Outside
from antiphon.engine.script import api
from antiphon.engine.script.api import (
    agent,
    approve,
    branch,
    get,
    log,
    parallel,
    phase,
    put,
    step,
)
from antiphon.engine.testing import AnsweringCalls, MemoryRun, memory_run

pytestmark = pytest.mark.anyio


class Finding(BaseModel):
    """What an auditor gives."""

    path: str
    line: int


async def message_of(attempt: Any, calls: AnsweringCalls | None = None) -> str:
    """What a script that does this is told, advice included."""

    async def main() -> object:
        value = attempt()
        return await value if hasattr(value, "__await__") else value

    ran = await memory_run(main, performers={"agent": calls or AnsweringCalls(), "step": AnsweringCalls()})
    assert ran.result.kind == "failed"
    assert isinstance(ran.result.outcome, Failed)
    assert ran.result.outcome.category == "script"
    return ran.result.reason


# --- values -----------------------------------------------------------------------------------------------------------


def giving(value: object) -> AnsweringCalls:
    """Calls that all answer with this value."""

    async def answer(call: Call, context: CallContext) -> object:
        return value

    return AnsweringCalls(answer)


async def test_a_declared_type_gives_an_instance_also_on_replay() -> None:
    async def main() -> list[Any]:
        found = await agent("look", output=list[Finding])
        return [type(found[0]).__name__, found[0].line]

    calls = giving([{"path": "a.py", "line": 3}])
    first = await memory_run(main, performers={"agent": calls})
    again = await memory_run(main, performers={"agent": calls}, history=first.log.events())
    assert first.value == again.value == ["Finding", 3]
    assert len(calls.performed) == 1


async def test_a_value_that_does_not_fit_is_a_schema_failure_that_keeps_the_text() -> None:
    async def main() -> Outcome[Finding]:
        return await branch("b", agent("look", output=Finding))

    first = await memory_run(main, performers={"agent": giving("I found nothing.")})
    again = await memory_run(main, performers={"agent": giving("")}, history=first.log.events())
    for ran in (first, again):
        outcome: Outcome[Finding] = ran.value
        assert isinstance(outcome, Failed)
        assert (outcome.category, outcome.raw) == ("schema", '"I found nothing."')
        assert "Finding" in outcome.reason or "valid" in outcome.reason


@pytest.mark.parametrize(
    ("raised", "category"),
    [
        (MalformedOutput("not SARIF"), "malformed"),
        (InfrastructureError("network", "no route"), "infrastructure"),
        (ValueError("no"), "task"),
        (TimeoutError("too slow"), None),
        (ExceptionGroup("several", [InfrastructureError("network", "no route")]), "infrastructure"),
    ],
    ids=lambda value: str(value)[:12],
)
async def test_failures_are_told_apart(raised: Exception, category: str | None) -> None:
    async def answer(call: Call, context: CallContext) -> object:
        raise raised

    async def main() -> Outcome[object]:
        return await branch("b", agent("look"))

    first = await memory_run(main, performers={"agent": AnsweringCalls(answer)})
    again = await memory_run(main, performers={"agent": AnsweringCalls()}, history=first.log.events())
    for outcome in (first.value, again.value):
        assert getattr(outcome, "category", None) == category
        assert outcome.kind == ("failed" if category else "timed_out")
    assert first.value == again.value


async def test_values_are_copies_on_the_way_in_and_out() -> None:
    given: list[int] = [1]
    kept: list[Any] = []

    async def answer(call: Call, context: CallContext) -> object:
        assert isinstance(call.task, dict)
        kept.append(call.task["items"])
        return call.task["items"]

    async def main() -> list[Any]:
        first = step("s", {"items": given})
        given.append(2)
        value = await first
        value.append(3)
        return [value, kept[0]]

    ran = await memory_run(main, performers={"step": AnsweringCalls(answer)})
    assert ran.value == [[1, 3], [1]]


async def test_state_is_copied_too() -> None:
    async def main() -> list[Any]:
        items = [1]
        put("items", items)
        items.append(2)
        get("items").append(3)
        return [get("items"), get("nothing", 7)]

    assert (await memory_run(main)).value == [[1], 7]


async def test_a_secret_does_not_reach_the_script_by_one_way_and_the_log_by_another() -> None:
    from antiphon.tracing import MemoryLog, Redactor

    redactor = Redactor({"API_KEY": "a-very-secret-value"})

    async def main() -> list[Any]:
        outcome = await branch("b", agent("fail"))
        return [await agent("tell"), outcome.reason]

    async def answer(call: Call, context: CallContext) -> object:
        if call.task == "fail":
            raise ValueError("refused: a-very-secret-value")
        return {"key": "a-very-secret-value"}

    log_ = MemoryLog(redactor=redactor)
    first = await memory_run(main, performers={"agent": AnsweringCalls(answer)}, log=log_)
    again = await memory_run(
        main, log=MemoryLog(redactor=redactor, history=log_.events()), performers={"agent": AnsweringCalls(answer)}
    )
    assert first.value == again.value
    assert first.value[0] == {"key": "[secret:API_KEY]"}
    assert "a-very-secret-value" not in str(first.value)
    assert all("a-very-secret-value" not in str(event.data) for event in again.events())


# --- lazy calls -------------------------------------------------------------------------------------------------------


async def test_awaiting_twice_is_refused() -> None:
    async def twice() -> None:
        call = agent("a")
        await call
        await call

    assert "agent('a') is awaited twice" in await message_of(twice)


async def test_the_same_call_in_two_places_of_a_fan_out_runs_once_and_is_named() -> None:
    async def main() -> list[str]:
        call = agent("a")
        return sorted(outcome.kind for outcome in await parallel([call, call]))

    ran = await memory_run(main, performers={"agent": AnsweringCalls()})
    assert ran.value == ["failed", "succeeded"]
    assert "awaited twice" in ran.result.reason


async def test_a_call_never_awaited_is_reported() -> None:
    async def main() -> None:
        agent("forgotten")
        parallel([agent("also")])
        del_later = step("s")
        del del_later

    ran = await memory_run(main, performers={"agent": AnsweringCalls()})
    gc.collect()
    assert {"agent('forgotten')", "parallel(...)", "step('s')"} <= set(ran.run.unawaited)


async def test_a_call_is_neither_true_nor_false() -> None:
    async def asked() -> object:
        return "yes" if approve("Go on?") else "no"

    assert "has not run yet" in await message_of(asked)


async def test_a_call_can_be_made_in_one_branch_and_awaited_in_another() -> None:
    async def inside(call: Any) -> str:
        return f"{await call} in {current_branch().path}"

    async def main() -> list[str]:
        return (await parallel([inside(agent("a"))])).succeeded()

    assert (await memory_run(main, performers={"agent": AnsweringCalls()})).value == ["a in main/0/0"]


# --- habits -----------------------------------------------------------------------------------------------------------


def three(value: Any, index: int, items: Any) -> Any:
    """A stage as other tools have them."""


loose: Any = api
"""The same names without their types: what a script that nobody checks may write."""

HABITS: dict[str, tuple[Callable[[], Any], str]] = {
    "options by position": (lambda: loose.agent("a", {"schema": {}}), "agent(task, role=..., output=...)"),
    "a task that is no text": (lambda: loose.agent({"do": "this"}), "takes the task as text, not dict"),
    "functions as calls": (lambda: loose.parallel([lambda: loose.agent("a")]), "no lambda is needed"),
    "values as calls": (lambda: loose.parallel(["a"]), "was given str, which is no call"),
    "a set as items": (lambda: loose.parallel({loose.agent("a")}), "sorted(...)"),
    "one call as items": (lambda: loose.parallel(loose.agent("a")), "parallel([call, call])"),
    "text as items": (lambda: loose.pipeline("abc", len), "takes an iterable of calls, not str"),
    "a mapping as items": (lambda: loose.race({"a": loose.agent("a")}), "takes an iterable of calls, not dict"),
    "a stage of three": (lambda: loose.pipeline([1], three), "takes 3 parameters; a stage takes one value"),
    "a stage of none": (lambda: loose.pipeline([1], lambda: 1), "takes 0 parameters; a stage takes one value"),
    "a stage that is none": (lambda: loose.pipeline([1], loose.agent("a")), "a stage must be a function"),
    "covers as text": (lambda: loose.agent("a", covers="a.py"), "covers=['a.py']"),
    "covers as a set": (lambda: loose.agent("a", covers={"a.py"}), "covers=sorted(...)"),
    "context as an object": (lambda: loose.agent("a", context={"a": 1}), "context=[{...}]"),
    "frames that are no JSON": (lambda: loose.agent("a", context=[object()]), "cannot be written as JSON"),
    "an outcome as a frame": (lambda: loose.step("s", {"o": Failed(path="main")}), "pass plain values"),
    "arguments that are no JSON": (lambda: loose.step("s", {"a": {1}}), "pass plain values"),
    "about what is no record": (lambda: loose.agent("a", about=5), "hand it what claims() gave"),
    "no workers": (lambda: loose.parallel([], concurrency=0), "at least 1"),
    "an unknown limit": (lambda: loose.agent("a", limits={"dollars": 1}), "there is no limit 'dollars'"),
    "a workspace": (lambda: loose.agent("a", workspace=True), "workspace= takes None"),
    "a workflow without a file": (lambda: loose.workflow("./other.py"), "only inside a workflow file"),
    "state that is no JSON": (lambda: loose.put("key", object()), "put('key')"),
    "a call in a quorum that is none": (lambda: loose.quorum([5], 1, vote=bool), "quorum() was given int"),
}


@pytest.mark.parametrize("habit", HABITS)
async def test_a_habit_from_elsewhere_gets_a_message_that_names_the_fix(habit: str) -> None:
    attempt, expected = HABITS[habit]
    assert expected in await message_of(attempt)


async def test_an_outcome_is_not_used_as_a_condition() -> None:
    async def attempt() -> object:
        outcome: Any = await branch("b", agent("a"))
        return "found" if outcome else "nothing"

    assert "ask for `.ok`" in await message_of(attempt)


async def test_a_raw_task_of_asyncio_is_refused_by_asyncio_itself() -> None:
    with pytest.raises(TypeError):
        asyncio.run_coroutine_threadsafe(loose.agent("a"), loose)


async def test_outside_a_run_every_word_says_where_it_belongs() -> None:
    for word in (lambda: phase("x"), lambda: put("a", 1), lambda: get("a"), lambda: log("x")):
        with pytest.raises(UsageError, match="only inside a workflow's main"):
            word()
    with pytest.raises(UsageError, match="only inside a workflow's main"):
        await agent("a")


async def test_a_role_that_nobody_answers_for_is_named() -> None:
    async def main() -> object:
        return await agent("a")

    ran = await memory_run(main, performers={"step": AnsweringCalls()})
    assert "call 'agent' is not available here (available: step)" in ran.result.reason


class Narrow:
    """A workflow that declares one role."""

    name = "narrow"

    @property
    def performers(self) -> Mapping[str, Performer]:
        """None of its own."""
        return {}

    strict = False

    def outside(self, call: Call) -> Outside | None:
        """Whether it is another one."""
        if call.name == "auditor":
            return None
        return Outside(f"role {call.name!r}", "roles", "declare it in the manifest's roles")


async def test_a_role_outside_the_manifest_is_denied() -> None:
    async def main() -> list[Any]:
        return [await agent("a", role="auditor"), str(await branch("b", agent("a", role="other")))]

    ran = await memory_run(main, performers={"agent": AnsweringCalls()}, workflow=Narrow())
    fine, other = ran.value
    assert fine == "a"
    assert other.startswith("Denied(")
    assert "declare it in the manifest" in other


def test_errors_of_usage_leave_with_exit_code_2() -> None:
    assert HabitError("a", "b").exit_code == UndeclaredError("role", "x", []).exit_code == 2
    assert CallFailed(Failed(reason="no")).exit_code == 1


async def test_the_text_of_a_failing_await_is_kind_and_reason() -> None:
    async def main() -> str:
        with pytest.raises(CallFailed) as raised:
            await agent("a")
        return str(raised.value)

    async def answer(call: Call, context: CallContext) -> object:
        raise InfrastructureError("network", "no route")

    ran: MemoryRun = await memory_run(main, performers={"agent": AnsweringCalls(answer)})
    assert ran.value == "failed: network: no route"
