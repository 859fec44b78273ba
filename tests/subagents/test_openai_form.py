"""OpenAI's form of requests and answers: what is sent, and what is made of whatever comes back."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.subagents.model import Completion, Message, Request, ToolCall, ToolSpec, Usage
from antiphon.subagents.model.openai_form import (
    MOST_ARGUMENTS,
    MOST_CALLS,
    MOST_TEXT,
    NoAnswer,
    answered,
    asked,
    used,
)
from antiphon.tracing import Json

CLOSED: Mapping[str, Json] = {
    "type": "object",
    "properties": {"a": {"type": "object", "properties": {}, "required": [], "additionalProperties": False}},
    "required": ["a"],
    "additionalProperties": False,
}


def answer(message: Mapping[str, object], finish: object = "stop", **more: object) -> Completion:
    return answered({"choices": [{"message": message, "finish_reason": finish}], **more})


PLAIN = Request(model="m", messages=(Message(role="user", text="hi"),))


def test_what_is_not_asked_for_is_not_sent() -> None:
    assert asked(PLAIN) == {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 4096}


def test_tools_a_forced_tool_and_a_temperature_are_sent() -> None:
    tool = ToolSpec(name="f", description="d", parameters={"type": "object"})
    sent = asked(replace(PLAIN, tools=(tool,), force="f", temperature=0.0))
    assert sent["tools"] == [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
    ]
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert sent["temperature"] == 0.0


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (CLOSED, True),
        ({**CLOSED, "required": []}, False),
        ({**CLOSED, "additionalProperties": True}, False),
        ({**CLOSED, "properties": {"a": {"type": "object"}}}, False),
        ({"type": "array", "items": {"type": "string"}}, True),
    ],
)
def test_a_schema_is_strict_where_providers_can_hold_to_it(schema: Mapping[str, Json], strict: bool) -> None:
    form = cast("dict[str, dict[str, object]]", asked(replace(PLAIN, schema=schema))["response_format"])
    assert form["json_schema"] == {"name": "answer", "schema": schema, "strict": strict}


def test_cache_markers_are_sent_only_where_they_are_known_and_only_the_last_four() -> None:
    request = Request(model="m", messages=tuple(Message(role="user", text=str(n), cached=True) for n in range(6)))
    assert "cache_control" not in json.dumps(asked(request))
    sent = cast("list[dict[str, object]]", asked(request, marks=True)["messages"])
    assert [isinstance(message["content"], list) for message in sent] == [False, False, True, True, True, True]


def test_a_conversation_with_tools_is_said_again_with_sound_arguments() -> None:
    calls = (ToolCall("1", "f", '{"a": 1}'), ToolCall("2", "f", '{"a":'))
    request = Request(
        model="m",
        messages=(Message(role="assistant", calls=calls), Message(role="tool", text="done", answers="1")),
    )
    said = cast("list[dict[str, object]]", asked(request)["messages"])
    assert said[0]["content"] is None
    functions = [
        call["function"]["arguments"] for call in cast("list[dict[str, dict[str, str]]]", said[0]["tool_calls"])
    ]
    assert functions[0] == '{"a": 1}'
    assert json.loads(functions[1]) == {"malformed": '{"a":'}
    assert said[1] == {"role": "tool", "content": "done", "tool_call_id": "1"}


def test_an_answer_is_read() -> None:
    found = answer(
        {"content": "yes", "reasoning_content": "because"},
        model="gpt",
        id="x1",
        usage={"prompt_tokens": 3, "completion_tokens": 2},
    )
    assert found == Completion(
        text="yes", usage=Usage(input=3, output=2), model="gpt", id="x1", rationale="because", finish="stop"
    )


def test_calls_are_read_however_badly_they_are_written() -> None:
    told = [
        {"id": "a", "function": {"name": "f", "arguments": '{"x": 1}'}},
        {"id": "a", "function": {"name": "f", "arguments": "{"}},
        {"function": {"name": "g", "arguments": {"x": 1}}},
        {"id": "b"},
        "nonsense",
    ]
    found = answer({"content": None, "tool_calls": told})
    assert found.finish == "tool_calls"
    assert [call.name for call in found.calls] == ["f", "f", "g", "", ""]
    assert [call.arguments for call in found.calls] == ['{"x": 1}', "{", '{"x": 1}', "", ""]
    assert len({call.id for call in found.calls}) == len(told)
    assert all(call.id for call in found.calls)


@pytest.mark.parametrize(
    ("said", "message", "finish"),
    [
        ("stop", {"content": "x"}, "stop"),
        (None, {"content": "x"}, "stop"),
        (["?"], {"content": "x"}, "stop"),
        ("length", {"content": "x"}, "length"),
        ("max_tokens", {"content": "x"}, "length"),
        ("length", {"tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}, "length"),
        ("stop", {"tool_calls": [{"function": {"name": "f"}}]}, "tool_calls"),
        ("content_filter", {"content": ""}, "refused"),
        ("stop", {"content": None, "refusal": "I will not"}, "refused"),
    ],
)
def test_why_it_stopped(said: object, message: Mapping[str, object], finish: str) -> None:
    assert answer(message, said).finish == finish


def test_what_is_too_large_is_cut_and_says_so() -> None:
    long = answer({"content": "x" * (MOST_TEXT + 1)})
    assert (len(long.text), long.finish) == (MOST_TEXT, "length")
    many = answer({"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}] * (MOST_CALLS + 1)})
    assert (len(many.calls), many.finish) == (MOST_CALLS, "length")
    wide = answer({"tool_calls": [{"function": {"name": "f", "arguments": "x" * (MOST_ARGUMENTS + 1)}}]})
    assert (len(wide.calls[0].arguments), wide.finish) == (MOST_ARGUMENTS, "length")


def test_half_a_character_does_not_get_as_far_as_the_log() -> None:
    found = answer(
        {"content": "a\ud800b", "tool_calls": [{"id": "\udc00", "function": {"name": "f", "arguments": "\ud800"}}]}
    )
    assert (found.text, found.calls) == ("a?b", (ToolCall("?", "f", "?"),))


def test_text_in_parts_and_thoughts_in_blocks_are_joined() -> None:
    found = answer({
        "content": [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}],
        "thinking_blocks": [{"thinking": "one "}, {"thinking": "two"}, 3],
    })  # fmt: skip
    assert (found.text, found.rationale) == ("ab", "one two")


NONSENSE: list[tuple[object, str]] = [
    (None, "the answer is missing"),
    ([], "the answer is a list"),
    ({}, "no choices"),
    ({"choices": "x"}, "no choices"),
    ({"choices": [3]}, "its first choice is a int"),
    ({"choices": [{}]}, "its message is missing"),
    ({"error": {"message": "out of memory"}}, "but an error: out of memory"),
    ({"error": "out of memory"}, "but an error: out of memory"),
]


@pytest.mark.parametrize(("nonsense", "what"), NONSENSE)
def test_what_is_no_answer_says_what_is_wrong(nonsense: object, what: str) -> None:
    with pytest.raises(NoAnswer, match=what):
        answered(nonsense)


@pytest.mark.parametrize(
    ("told", "counted"),
    [
        # OpenAI: cached tokens are part of the prompt, reasoning of what was written.
        (
            {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
             "prompt_tokens_details": {"cached_tokens": 80}, "completion_tokens_details": {"reasoning_tokens": 30}},
            Usage(input=20, cached=80, output=20, reasoning=30),
        ),
        # Anthropic through litellm: what was written to the cache is part of the prompt too.
        (
            {"prompt_tokens": 1110, "completion_tokens": 5, "cache_creation_input_tokens": 100,
             "cache_read_input_tokens": 1000,
             "prompt_tokens_details": {"cached_tokens": 1000, "cache_creation_tokens": 100}},
            Usage(input=10, cached=1000, cache_write=100, output=5),
        ),
        # Counted beside, not inside: told by the sums.
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 22,
             "completion_tokens_details": {"reasoning_tokens": 7}},
            Usage(input=10, output=5, reasoning=7),
        ),
        ({"prompt_tokens": 10, "completion_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 9}},
         Usage(input=10, output=1, reasoning=9)),
        ({"prompt_tokens": 10, "completion_tokens": 1, "cache_read_input_tokens": 90},
         Usage(input=10, cached=90, output=1)),
        ({"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": None}, Usage(input=10, output=1)),
        ({"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": "many"}},
         Usage(input=10, output=1)),
        # Not told, or told in a way that cannot be: none, so that it is charged as estimated, and never nothing.
        (None, None),
        ("lots", None),
        ({}, None),
        ({"prompt_tokens": 10}, None),
        ({"prompt_tokens": -1, "completion_tokens": 5}, None),
        ({"prompt_tokens": 10, "completion_tokens": 10**12}, None),
        ({"prompt_tokens": True, "completion_tokens": 5}, None),
        ({"prompt_tokens": 1.5, "completion_tokens": 5}, None),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, None),
    ],
)  # fmt: skip
def test_tokens_are_counted_by_class_without_overlap(told: object, counted: Usage | None) -> None:
    assert used(told) == counted


KEYS = (
    "choices", "message", "content", "tool_calls", "function", "name", "arguments", "id", "finish_reason", "usage",
    "prompt_tokens", "completion_tokens", "prompt_tokens_details", "cached_tokens", "error", "model", "thinking_blocks",
)  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["stop", "length"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=20,
)


@given(message=ANYTHING, usage=ANYTHING, whole=ANYTHING, finish=ANYTHING)
def test_whatever_comes_back_is_an_answer_or_says_that_it_is_none(
    message: object, usage: object, whole: object, finish: object
) -> None:
    for body in (whole, {"choices": [{"message": message, "finish_reason": finish}], "usage": usage}):
        try:
            found = answered(body)
        except NoAnswer:
            continue
        assert all(call.id for call in found.calls)
        assert len({call.id for call in found.calls}) == len(found.calls)
        told = found.usage
        assert told is None or min(told.input, told.cached, told.cache_write, told.output, told.reasoning) >= 0
