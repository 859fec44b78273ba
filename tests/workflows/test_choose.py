"""`choose()`: one of the options and nothing else, by a model or a function; lazy, recorded, replayed."""

from __future__ import annotations

import json
from typing import Any, assert_type

import pytest

from antiphon.engine import CallContext, CallFailed, HabitError, UsageError
from antiphon.engine.testing import memory_run
from antiphon.subagents import function_agent
from antiphon.subagents.model.contract import Completion, Request, ToolCall
from antiphon.subagents.roles import built_in
from antiphon.subagents.testing import FunctionModel, ScriptedModel, model_agents, performers_of
from antiphon.workflows.script import agent, choose, parallel, race

pytestmark = pytest.mark.anyio

JUDGE = built_in()["judge"]


def said(value: object) -> str:
    """What a model that holds its answers to schemas says, where the value is no object."""
    return json.dumps({"answer": value})


def saying(*values: object) -> FunctionModel:
    """A model that answers these in turn, in the form that it is asked for."""
    left = iter(values)

    def answer(request: Request) -> Completion | str:
        text = said(next(left))
        return text if request.schema else Completion(calls=(ToolCall("c", "answer", text),), finish="tool_calls")

    return FunctionModel(answer)


async def typed() -> None:
    """Never run: what a type checker sees."""
    assert_type(await choose("q", ["a"]), str)
    assert_type(await choose("q", [1, 2]), int)
    assert_type(await race([choose("q", ["a"])]), str)


@pytest.mark.parametrize("option", ["keep", "drop it", "", 3, 2.5, True, None, ["a", 1], {"name": "x", "n": [1]}])
async def test_the_value_is_the_option(option: object) -> None:
    options = ["other", option, {"name": "y"}]

    async def main() -> Any:
        return await choose("Which one?", options)

    client = saying(option)
    ran = await memory_run(main, performers=model_agents(client, JUDGE))
    assert ran.value == option
    assert type(ran.value) is type(option)


async def test_a_model_sees_the_question_the_options_and_the_frames() -> None:
    async def main() -> str:
        return await choose("Which fits?", ["ä", "b"], context=["by price"])

    client = saying("ä")
    assert (await memory_run(main, performers=model_agents(client, JUDGE))).value == "ä"
    (request,) = client.requests
    text = "\n".join(message.text for message in request.messages)
    assert 'Which fits?\n\nAnswer with exactly one of these options, as it is written here:\n- "ä"\n- "b"' in text
    assert "by price" in text
    assert "exactly one of the options" in request.messages[0].text
    assert '["\\u00e4", "b"]' in json.dumps(request.schema)


async def test_an_answer_outside_of_the_options_is_sent_back() -> None:
    async def main() -> str:
        return await choose("Which?", ["a", "b"])

    client = saying("c", "b")
    assert (await memory_run(main, performers=model_agents(client, JUDGE))).value == "b"
    assert "'c' is not one of ['a', 'b']" in client.requests[1].messages[-1].text


async def test_who_never_picks_one_fails_the_schema() -> None:
    async def main() -> str:
        return await choose("Which?", ["a", "b"])

    client = FunctionModel(lambda request: said(f"neither {len(request.messages)}"))
    ran = await memory_run(main, performers=model_agents(client, JUDGE))
    assert ran.result.kind == "failed"
    (ended,) = [event for event in ran.log.events() if event.kind == "call.ended"]
    assert (ended.data["kind"], ended.data["category"]) == ("failed", "schema")
    assert len(client.requests) == 1 + JUDGE.limits.repairs


async def test_a_choice_replays() -> None:
    async def main() -> list[str]:
        return (await parallel(choose(f"Which {n}?", ["a", "b"]) for n in range(3))).succeeded()

    first = FunctionModel(lambda request: said("b" if "Which 1" in request.messages[-1].text else "a"))
    ran = await memory_run(main, performers=model_agents(first, JUDGE))
    nobody = ScriptedModel([])
    again = await memory_run(main, performers=model_agents(nobody, JUDGE), history=ran.log.events())
    assert again.value == ran.value == ["a", "b", "a"]
    assert (nobody.requests, again.result.reuse.reused) == ([], 3)


async def test_other_options_are_another_choice() -> None:
    options = ["a", "b"]

    async def main() -> str:
        return await choose("Which?", options)

    ran = await memory_run(main, performers=model_agents(saying("a"), JUDGE))
    options.append("c")
    later = saying("c")
    again = await memory_run(main, performers=model_agents(later, JUDGE), history=ran.log.events())
    assert again.value == "c"


async def test_a_function_may_be_the_judge() -> None:
    @function_agent("picky")
    async def picky(task: str, ctx: CallContext) -> str:
        return "b" if "best" in task else "none of them"

    async def main() -> list[str]:
        with pytest.raises(CallFailed, match=r"failed: .*not one of"):
            await choose("Which?", ["a", "b"], role="picky")
        return [await choose("Which is best?", ["a", "b"], role="picky"), await agent("best", role="picky")]

    assert (await memory_run(main, performers=performers_of(picky))).value == ["b", "b"]


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ([], UsageError, "takes 1 to 1,000 options, not 0"),
        (["a"] * 1_001, UsageError, "takes 1 to 1,000 options, not 1001"),
        (["a", "b", "a"], UsageError, '"a" twice'),
        ([1, 1.0], UsageError, "1 twice"),
        ([{"a": 1, "b": 2}, {"b": 2.0, "a": 1}], UsageError, "twice"),
        ({"a", "b"}, HabitError, "a set, whose order changes"),
        ({"a": 1}, HabitError, "takes a list of options, not dict"),
        ("ab", HabitError, "takes a list of options, not str"),
        ([object()], UsageError, "cannot be written as JSON"),
        ([float("nan")], UsageError, "cannot be written as JSON"),
    ],
)
async def test_what_are_no_options(options: Any, error: type[Exception], text: str) -> None:
    async def main() -> None:
        with pytest.raises(error, match=text):
            choose("Which?", options)
        with pytest.raises(HabitError, match="takes a question"):
            choose("  ", ["a"])

    assert (await memory_run(main)).result.kind == "completed"


async def test_true_and_one_are_two_options() -> None:
    async def main() -> Any:
        return await choose("Which?", [1, True, 0, False])

    ran = await memory_run(main, performers=model_agents(saying(True), JUDGE))
    assert ran.value is True
