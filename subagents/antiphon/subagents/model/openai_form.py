"""Requests and answers in the form of OpenAI's chat completions, which every client here speaks to its provider.

What comes back is a stranger's: every field may be missing, of another type or far too large.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import cast

from antiphon.subagents.model.contract import Completion, Finish, Message, Request, ToolCall, ToolSpec, Usage
from antiphon.tracing import Json

Body = Mapping[str, object]

MOST_TEXT = 4_000_000
"""Most characters of an answer that are kept; it ends as cut off for want of room beyond."""
MOST_CALLS = 256
MOST_ARGUMENTS = 1_000_000
MOST_NAME = 256
MOST_ID = 16 * 1024
"""Of a tool call's id: litellm carries Gemini's signature of a thought in it, and it has to come back whole."""
MOST_TOKENS = 10**9
"""A figure above this is not believed."""
MARKS = 4
"""Most cache markers a provider takes."""
_FINISH: Mapping[str, Finish] = {
    "stop": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "refused",
    "refusal": "refused",
}


class NoAnswer(Exception):
    """What came back is no answer of a model; the text says what is wrong with it.

    Attributes:
        status: what the server says the status really is, where it wraps a failure in a success; None otherwise.
    """

    def __init__(self, problem: str, status: int | None = None) -> None:
        super().__init__(problem)
        self.status = status


def asked(request: Request, *, marks: bool = False) -> dict[str, Json]:
    """A request's body, without the model's name.

    Args:
        request: what is asked.
        marks: cache markers are sent; a provider that does not know them would refuse the request.
    """
    marked = [index for index, message in enumerate(request.messages) if message.cached] if marks else []
    kept = frozenset(marked[-MARKS:])
    body: dict[str, Json] = {
        "messages": [_message(message, index in kept) for index, message in enumerate(request.messages)],
        "max_tokens": request.max_tokens,
    }
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        if request.force:
            body["tool_choice"] = {"type": "function", "function": {"name": request.force}}
    if request.schema is not None:
        body["response_format"] = _response_format(request.schema)
    if request.temperature is not None:
        body["temperature"] = request.temperature
    return body


def answered(body: object) -> Completion:
    """An answer in our words.

    Raises:
        NoAnswer: there is no message of a model in it.
    """
    choice = _first(_mapping(body, "the answer"))
    message = _mapping(choice.get("message"), "its message")
    calls, overfull = _calls(message.get("tool_calls"))
    refusal, said = _text(message.get("refusal")), _text(message.get("content"))
    text = said or refusal
    return Completion(
        text=text[:MOST_TEXT],
        calls=calls,
        finish=_finish(choice, calls, refused=bool(refusal), cut=overfull or len(text) > MOST_TEXT),
        usage=used(cast(Body, body).get("usage")),
        model=_name(cast(Body, body).get("model")),
        id=_name(cast(Body, body).get("id")),
        rationale=_rationale(message)[:MOST_TEXT],
    )


def used(usage: object) -> Usage | None:
    """Tokens by class, without overlap; None where they are not told, or told in a way that cannot be.

    OpenAI counts cached tokens as part of the prompt and reasoning as part of what was written; who counts them beside
    is known by its sums.
    """
    if not isinstance(usage, Mapping):
        return None
    told = cast(Body, usage)
    prompt, written = _count(told.get("prompt_tokens")), _count(told.get("completion_tokens"))
    # A request that used nothing was not counted: litellm says zero where its provider said nothing.
    if prompt is None or written is None or prompt + written == 0:
        return None
    of_prompt, of_written = _part(told, "prompt_tokens_details"), _part(told, "completion_tokens_details")
    cached = _largest(of_prompt.get("cached_tokens"), told.get("cache_read_input_tokens"))
    cache_write = _largest(
        of_prompt.get("cache_creation_tokens"),
        of_prompt.get("cache_write_tokens"),
        told.get("cache_creation_input_tokens"),
    )
    reasoning = _largest(of_written.get("reasoning_tokens"))
    beside = reasoning > written or (reasoning and _count(told.get("total_tokens")) == prompt + written + reasoning)
    fresh = prompt - cached - cache_write
    return Usage(
        input=fresh if fresh >= 0 else prompt,
        cached=cached,
        cache_write=cache_write,
        output=written if beside else written - reasoning,
        reasoning=reasoning,
    )


def _message(message: Message, marked: bool) -> Json:
    content: Json = message.text
    if marked and message.text:
        content = [{"type": "text", "text": message.text, "cache_control": {"type": "ephemeral"}}]
    body: dict[str, Json] = {"role": message.role, "content": content}
    if message.role == "tool":
        body["tool_call_id"] = message.answers
    if message.calls:
        # An assistant that only calls tools says nothing, which is not the same as saying "".
        body["content"] = content or None
        body["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": _sendable(call.arguments)}}
            for call in message.calls
        ]
    return body


def _sendable(arguments: str) -> str:
    """A call's own arguments, said again: where they were no JSON object, a provider would refuse the conversation."""
    try:
        sound = isinstance(json.loads(arguments), dict)
    except (ValueError, RecursionError):
        sound = False
    return arguments if sound else json.dumps({"malformed": arguments}, ensure_ascii=False)


def _tool(tool: ToolSpec) -> Json:
    function: Json = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def _response_format(schema: Mapping[str, Json]) -> Json:
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": dict(schema), "strict": _strict(dict(schema))},
    }


def _strict(schema: Json) -> bool:
    """Whether providers can hold an answer to a schema strictly: every object is closed, and every field required."""
    if isinstance(schema, list):
        return all(_strict(part) for part in schema)
    if not isinstance(schema, dict):
        return True
    fields, required = schema.get("properties"), schema.get("required")
    if isinstance(fields, dict):
        named = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set[str]()
        if schema.get("additionalProperties") is not False or named != fields.keys():
            return False
    elif schema.get("type") == "object":
        return False
    return all(_strict(part) for part in schema.values())


def _first(body: Body) -> Body:
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        raise NoAnswer(f"it has no choices{_its_error(body)}", _count(_object(body.get("error")).get("code")))
    return _mapping(cast("list[object]", choices)[0], "its first choice")


def _its_error(body: Body) -> str:
    """What a server says that answers a failure with the status of a success."""
    error = body.get("error")
    told = cast(Body, error).get("message") if isinstance(error, Mapping) else error
    return f", but an error: {told[:300]}" if isinstance(told, str) and told else ""


def _mapping(value: object, what: str) -> Body:
    if not isinstance(value, Mapping):
        raise NoAnswer(f"{what} is {_kind(value)}, not an object")
    return cast(Body, value)


def _object(value: object) -> Body:
    """An object, or an empty one for what is none."""
    return cast(Body, value) if isinstance(value, Mapping) else cast(Body, {})


def _kind(value: object) -> str:
    return "missing" if value is None else f"a {type(value).__name__}"


def _text(value: object) -> str:
    """Text, also where it is said in parts."""
    if isinstance(value, str):
        return _whole(value)
    if isinstance(value, list):
        parts = (cast(Body, part).get("text") for part in cast("list[object]", value) if isinstance(part, Mapping))
        return _whole("".join(part for part in parts if isinstance(part, str)))
    return ""


def _name(value: object, most: int = MOST_NAME) -> str:
    return _whole(value[:most]) if isinstance(value, str) else ""


def _whole(text: str) -> str:
    """Text without halves of surrogate pairs, which JSON can say and UTF-8 cannot."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _rationale(message: Body) -> str:
    told = _text(message.get("reasoning_content")) or _text(message.get("reasoning"))
    if told:
        return told
    blocks = message.get("thinking_blocks")
    listed = cast("list[object]", blocks) if isinstance(blocks, list) else []
    return "".join(_text(cast(Body, block).get("thinking")) for block in listed if isinstance(block, Mapping))


def _calls(told: object) -> tuple[tuple[ToolCall, ...], bool]:
    """The tools that it wants called, and whether some were left out or cut."""
    listed = cast("list[object]", told) if isinstance(told, list) else []
    taken: set[str] = set()
    calls = [_call(one, index, taken) for index, one in enumerate(listed[:MOST_CALLS])]
    overfull = len(listed) > MOST_CALLS or any(len(call.arguments) > MOST_ARGUMENTS for call in calls)
    return tuple(ToolCall(call.id, call.name, call.arguments[:MOST_ARGUMENTS]) for call in calls), overfull


def _call(told: object, index: int, taken: set[str]) -> ToolCall:
    """One call; an id that is missing or used twice is made up, since the result has to say it again."""
    body = _object(told)
    inner = _object(body.get("function"))
    name = _name(body.get("id"), MOST_ID)
    if not name or name in taken:
        name = f"call_{index}_{len(taken)}"
    taken.add(name)
    return ToolCall(name, _name(inner.get("name")), _arguments(inner.get("arguments")))


def _arguments(told: object) -> str:
    if isinstance(told, str):
        return _whole(told)
    # Some servers send the object itself instead of its text.
    return "" if told is None else json.dumps(told, ensure_ascii=False, default=str)


def _finish(choice: Body, calls: Sequence[ToolCall], *, refused: bool, cut: bool) -> Finish:
    said = choice.get("finish_reason")
    finish = _FINISH.get(said, "stop") if isinstance(said, str) else "stop"
    if refused or finish == "refused":
        return "refused"
    if cut or finish == "length":
        return "length"
    return "tool_calls" if calls else "stop"


def _part(usage: Body, key: str) -> Body:
    return _object(usage.get(key))


def _count(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= MOST_TOKENS else None


def _largest(*values: object) -> int:
    """The same figure under several names; where none is told it is 0."""
    return max((count for value in values if (count := _count(value)) is not None), default=0)
