"""The OpenAI-compatible wire, seen from the provider's side: a body becomes a `Request`, a `Completion` a body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, cast

from antiphon.subagents.model.contract import Completion, Finish, Message, Request, ToolCall, ToolSpec, Usage
from antiphon.tracing import Json

Body = Mapping[str, object]
_FINISH: Mapping[Finish, str] = {"refused": "content_filter"}
_ROLES: Mapping[str, Literal["system", "user", "assistant", "tool"]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_MOST_TOKENS = 4096
_PIECE = 8


def request_of(asked: object) -> Request:
    """What a client asks, in our own words.

    Raises:
        ValueError: the body is not what a provider takes; the text says where.
    """
    body = _mapping(asked, "body")
    messages = tuple(_message(_mapping(one, "messages[]")) for one in _items(body.get("messages"), "messages"))
    if not messages:
        raise ValueError("'messages' is empty")
    return Request(
        model=_text(body.get("model"), "model"),
        messages=messages,
        tools=tuple(_tool(_mapping(one, "tools[]")) for one in _items(body.get("tools"), "tools")),
        force=_forced(body.get("tool_choice")),
        schema=_schema(body.get("response_format")),
        max_tokens=_most_tokens(body),
        temperature=_temperature(body.get("temperature")),
        timeout_seconds=None,
    )


def response_of(completion: Completion, *, number: int, usage: Mapping[str, Json] | None) -> dict[str, Json]:
    """The body of an answer. `usage` is what it says it used, None to say nothing."""
    message: dict[str, Json] = {"role": "assistant", "content": completion.text or None}
    if completion.calls:
        message["tool_calls"] = [_call_out(call) for call in completion.calls]
    if completion.rationale:
        message["reasoning_content"] = completion.rationale
    finish = "tool_calls" if completion.calls else completion.finish
    body: dict[str, Json] = {
        "id": completion.id or f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": completion.model,
        "choices": [{"index": 0, "message": message, "finish_reason": _FINISH.get(finish, finish), "logprobs": None}],
    }
    if usage is not None:
        body["usage"] = dict(usage)
    return body


def stream_of(body: Mapping[str, Any], *, with_usage: bool) -> bytes:
    """The same answer as a stream of events: text in pieces, calls whole, then why it ended, then the usage."""
    [choice] = body["choices"]
    message = choice["message"]
    text = message.get("content") or ""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": text[start : start + _PIECE]} for start in range(0, len(text), _PIECE)]
    calls = [{"index": number, **call} for number, call in enumerate(message.get("tool_calls", []))]
    deltas += [{"tool_calls": [call]} for call in calls]
    shared = {"id": body["id"], "object": "chat.completion.chunk", "created": body["created"], "model": body["model"]}
    events = [{**shared, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    events.append({**shared, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]})
    if with_usage and "usage" in body:
        events.append({**shared, "choices": [], "usage": body["usage"]})
    lines = [*(json.dumps(event) for event in events), "[DONE]"]
    return "".join(f"data: {line}\n\n" for line in lines).encode()


def usage_out(usage: Usage) -> dict[str, Json]:
    """Usage as the wire says it: cached tokens are part of the prompt's, reasoning is part of the completion's."""
    prompt, written = usage.input + usage.cached + usage.cache_write, usage.output + usage.reasoning
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        "prompt_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": usage.cache_write},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def error_out(message: str, *, sort: str, code: str) -> dict[str, Json]:
    """The body of a failure."""
    return {"error": {"message": message, "type": sort, "param": None, "code": code}}


def _message(body: Body) -> Message:
    role = _ROLES.get(_text(body.get("role"), "role"))
    if role is None:
        raise ValueError(f"no message has the role {body.get('role')!r}")
    text, cached = _content(body.get("content"))
    return Message(
        role=role,
        text=text,
        calls=tuple(_call(_mapping(one, "tool_calls[]")) for one in _items(body.get("tool_calls"), "tool_calls")),
        answers=_text(body.get("tool_call_id") or "", "tool_call_id"),
        cached=cached or "cache_control" in body,
    )


def _content(content: object) -> tuple[str, bool]:
    if content is None or isinstance(content, str):
        return content or "", False
    parts = [_mapping(part, "content[]") for part in _items(content, "content")]
    text = "".join(_text(part.get("text"), "content[].text") for part in parts)
    return text, any("cache_control" in part for part in parts)


def _call(body: Body) -> ToolCall:
    function = _mapping(body.get("function"), "tool_calls[].function")
    name, arguments = _text(function.get("name"), "name"), _text(function.get("arguments"), "arguments")
    return ToolCall(id=_text(body.get("id"), "tool_calls[].id"), name=name, arguments=arguments)


def _call_out(call: ToolCall) -> Json:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _tool(body: Body) -> ToolSpec:
    function = _mapping(body.get("function"), "tools[].function")
    parameters = cast("Mapping[str, Json]", _mapping(function.get("parameters") or {}, "parameters"))
    description = _text(function.get("description") or "", "description")
    return ToolSpec(name=_text(function.get("name"), "tools[].name"), description=description, parameters=parameters)


def _forced(choice: object) -> str:
    if not isinstance(choice, Mapping):
        return ""
    function = _mapping(cast("Body", choice).get("function"), "tool_choice.function")
    return _text(function.get("name"), "tool_choice.function.name")


def _schema(form: object) -> Mapping[str, Json] | None:
    if not isinstance(form, Mapping) or cast("Body", form).get("type") != "json_schema":
        return None
    declared = _mapping(cast("Body", form).get("json_schema"), "response_format.json_schema")
    return cast("Mapping[str, Json]", _mapping(declared.get("schema"), "response_format.json_schema.schema"))


def _most_tokens(body: Body) -> int:
    asked = body.get("max_completion_tokens", body.get("max_tokens"))
    if asked is None:
        return _MOST_TOKENS
    if type(asked) is not int or asked < 1:
        raise ValueError(f"'max_tokens' must be a whole number of at least 1, not {asked!r}")
    return asked


def _temperature(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _mapping(value: object, where: str) -> Body:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where!r} must be an object")
    return cast("Body", value)


def _items(value: object, where: str) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"{where!r} must be a list")
    return cast("list[object]", value)


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{where!r} must be a string")
    return value
