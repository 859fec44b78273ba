"""Branches: their identity is carried explicitly, so that whoever drives the engine gets the same paths."""

from collections.abc import Awaitable, Iterator

import pytest

from antiphon.engine import Branch, Call, Limits, Run, UsageError, current_branch
from antiphon.engine.boundary import Item, body_outcome, one_branch
from antiphon.engine.fanout import FanOut, fan_out
from antiphon.engine.perform import perform
from antiphon.engine.testing import AnsweringCalls, memory_run
from antiphon.tracing import MemoryLog, Redactor

pytestmark = pytest.mark.anyio


def root(**performers: AnsweringCalls) -> Branch:
    """The root branch of a run, driven by hand."""
    run = Run(MemoryLog(), run_id="r", performers=performers)
    return Branch(run, "main", account=run.budget.root)


def call(task: str) -> Call:
    """An agent call."""
    return Call(sort="agent", name="worker", task=task)


async def test_ordinals_are_taken_once_and_in_order() -> None:
    branch = root()
    assert [branch.take_ordinal() for _ in range(3)] == ["0", "1", "2"]


async def test_a_name_is_taken_once_and_is_no_number() -> None:
    branch = root()
    assert branch.take_name("first") == "first"
    for name in ("first", "0", "a/b", ""):
        with pytest.raises(UsageError):
            branch.take_name(name)


async def test_a_child_has_the_path_frames_depth_and_account_of_its_place() -> None:
    branch = root()
    account = branch.run.budget.open(branch.account, "main/0", Limits(model_calls=1))
    child = branch.child("0", account=account, context=("frame",))
    grandchild = child.child("1", context=("another",), concurrent=True)
    assert (grandchild.path, grandchild.depth, grandchild.concurrent) == ("main/0/1", 2, True)
    assert grandchild.frames == ("frame", "another")
    assert grandchild.account is account
    assert child.frames == ("frame",), "what is below changes nothing above"


def test_outside_a_run_there_is_no_branch() -> None:
    with pytest.raises(UsageError, match="only inside a workflow's main"):
        current_branch()


async def test_the_engine_can_be_driven_with_explicit_branches_alone() -> None:
    """As a confined guest's frames will: each request names its branch, and no context variable is needed."""
    calls = AnsweringCalls()
    branch = root(agent=calls)

    async def inside(child: Branch) -> object:
        return await perform(child, call(f"in {child.path}"))

    async def body(child: Branch) -> object:
        asked = FanOut(construct="parallel", items=["a", "b"], make=lambda name: Item(inside, value=name))
        return (await fan_out(child, asked)).succeeded()

    outcome = await one_branch(branch, branch.take_name("named"), Item(body))
    assert outcome.value == ["in main/named/0/0", "in main/named/0/1"]
    ended = [event.path for event in branch.run.log.events() if event.kind == "call.ended"]
    assert sorted(ended) == ["main/named/0/0/0", "main/named/0/1/0"]


async def test_a_fan_out_takes_its_ordinal_after_reading_its_items() -> None:
    calls = AnsweringCalls()
    branch = root(agent=calls)
    taken: list[str] = []

    def source() -> Iterator[str]:
        taken.append(branch.take_ordinal())
        yield "a"

    async def body(child: Branch) -> str:
        return child.path

    asked = FanOut(construct="parallel", items=source(), make=lambda name: Item(body))
    found = await fan_out(branch, asked)
    assert (taken, found.succeeded()) == (["0"], ["main/1/0"])


async def test_a_body_that_cannot_even_begin_fails_its_branch() -> None:
    def broken(branch: Branch) -> Awaitable[object]:
        raise ZeroDivisionError("no start")

    outcome = await body_outcome(root(), broken)
    assert outcome.kind == "failed"
    assert "ZeroDivisionError: no start" in outcome.reason


async def test_a_secret_in_a_name_is_not_in_the_path() -> None:
    log = MemoryLog(redactor=Redactor({"API_KEY": "a-very-secret-value"}))
    from antiphon.engine.script.api import agent
    from antiphon.engine.script.api import branch as one

    async def main() -> str:
        return (await one("x-a-very-secret-value", agent("a"))).path

    calls = AnsweringCalls()
    first = await memory_run(main, performers={"agent": calls}, log=log)
    assert first.value == "main/x-[secret:API_KEY]"
    again = MemoryLog(redactor=Redactor({"API_KEY": "a-very-secret-value"}), history=first.log.events())
    second = await memory_run(main, performers={"agent": calls}, log=again)
    assert (second.result.reuse.reused, second.result.reuse.rebound) == (1, 0)


async def test_missing_is_kept_up_to_a_bound_and_counted_beyond() -> None:
    branch = root()
    for number in range(1_500):
        branch.lack("unread", f"source {number}")
    ended = branch.ended_as("value")
    assert ended.kind == "degraded"
    assert branch.missed == 1_500
    assert len(branch.missing) == 1_000
    assert "1499 more" in ended.reason
