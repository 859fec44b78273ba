"""Requests and completions as lines of a cassette: canonical, without secrets, and readable in a diff."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from hashlib import sha256
from typing import cast, get_args

from antiphon.subagents.model.contract import (
    BadRequest,
    Completion,
    ContentRefused,
    ContextTooLong,
    Finish,
    Message,
    ModelFailure,
    Request,
    ToolCall,
    ToolSpec,
    Usage,
)
from antiphon.tracing import Json, Redactor

FAILURES: Mapping[str, type[ModelFailure]] = {one.__name__: one for one in (ContextTooLong, ContentRefused, BadRequest)}
"""What is recorded besides completions: failures that the same request would meet again."""
_MOST_DIFFERENCE_LINES, _MOST_LINE_CHARACTERS, _MOST_LINES = 24, 200, 2_000


@dataclass(frozen=True, slots=True)
class Taped:
    """One line of a cassette: a request without secrets, and what was answered to it."""

    request: Mapping[str, Json]
    answer: Completion | ModelFailure

    @property
    def key(self) -> str:
        """What finds it again; see `key_of`."""
        return key_of(self.request)

    def line(self, redactor: Redactor) -> str:
        """The line of the file, its line end included."""
        said = {"failure": _failure_out(self.answer)} if isinstance(self.answer, ModelFailure) else {}
        if isinstance(self.answer, Completion):
            said = {"completion": completion_out(self.answer)}
        whole = {"key": self.key[:16], "request": dict(self.request), **cast("dict[str, Json]", _clean(said, redactor))}
        text = json.dumps(whole, ensure_ascii=False, sort_keys=True)
        # Half a surrogate, which JSON may hold and UTF-8 may not, is written as its escape.
        readable = text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)
        return (text if readable else json.dumps(whole, sort_keys=True)) + "\n"


def taped_of(line: str) -> Taped:
    """Read one line.

    Raises:
        ValueError: it is not what `Taped.line` writes.
    """
    try:
        whole = cast("dict[str, object]", json.loads(line))
        request = cast("dict[str, Json]", whole["request"])
        lines_of(request)
        if "failure" in whole:
            failure = cast("dict[str, str]", whole["failure"])
            return Taped(request, FAILURES[failure["type"]](failure["reason"]))
        return Taped(request, completion_of(cast("dict[str, object]", whole["completion"])))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a line of a cassette: {error!r}") from None


def request_out(request: Request, redactor: Redactor) -> Mapping[str, Json]:
    """What a request says, without secrets, and without what depends on the hour.

    Left out: the deadline, the key for sharding, cache markers, and `max_tokens`, which is what the budget left at that
    moment. What is empty is left out too, so that a new field of `Request` does not make old cassettes miss.
    """
    whole: dict[str, object] = {
        "model": request.model,
        "messages": [_message_out(message) for message in request.messages],
        "tools": [_tool_out(tool) for tool in request.tools],
        "force": request.force,
        "schema": dict(request.schema) if request.schema is not None else None,
        "temperature": request.temperature,
    }
    whole = {name: value for name, value in whole.items() if value not in ("", [], None)}
    return cast("Mapping[str, Json]", _clean(json.loads(json.dumps(whole)), redactor))


def key_of(request: Mapping[str, Json]) -> str:
    """The digest of what a request says, as `request_out` gives it."""
    return sha256(json.dumps(request, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def lines_of(request: Mapping[str, Json]) -> list[str]:
    """A recorded request as lines to compare, one for each line of each message."""
    lines = [f"{name}: {json.dumps(value, sort_keys=True)}" for name, value in request.items() if name != "messages"]
    for number, message in enumerate(cast("list[dict[str, Json]]", request.get("messages", []))):
        rest = {name: value for name, value in message.items() if name not in ("role", "text")}
        lines.append(f"[{number}] {message['role']} {json.dumps(rest, sort_keys=True) if rest else ''}".rstrip())
        lines += [f"    {line}" for line in str(message.get("text", "")).splitlines()]
    return [line[:_MOST_LINE_CHARACTERS] for line in lines[:_MOST_LINES]]


def nearest(asked: Mapping[str, Json], recorded: Iterable[Mapping[str, Json]]) -> Mapping[str, Json] | None:
    """The recorded request that shares most lines with this one, the shorter of two alike; None where none is."""
    wanted = Counter(lines_of(asked))
    best: tuple[int, int] = (-1, 0)
    found: Mapping[str, Json] | None = None
    for request in recorded:
        lines = lines_of(request)
        score = (sum((Counter(lines) & wanted).values()), -len(lines))
        if score > best:
            best, found = score, request
    return found


def difference(recorded: Mapping[str, Json], asked: Mapping[str, Json]) -> str:
    """What differs, as a short unified diff."""
    lines = list(unified_diff(lines_of(recorded), lines_of(asked), "recorded", "asked", lineterm="", n=1))
    more = len(lines) - _MOST_DIFFERENCE_LINES
    return "\n".join([*lines[:_MOST_DIFFERENCE_LINES], *([f"… and {more} lines more"] if more > 0 else [])])


def completion_out(completion: Completion) -> dict[str, Json]:
    """A completion as JSON; what is empty is left out."""
    usage = completion.usage
    whole: dict[str, Json] = {
        "text": completion.text,
        "calls": [_call_out(call) for call in completion.calls],
        "finish": completion.finish,
        "usage": {name: getattr(usage, name) for name in Usage.__dataclass_fields__} if usage is not None else None,
        "model": completion.model,
        "id": completion.id,
        "rationale": completion.rationale,
    }
    return {name: value for name, value in whole.items() if value not in ("", [], None)}


def completion_of(data: Mapping[str, object]) -> Completion:
    """Read what `completion_out` wrote. Raises ValueError, KeyError or TypeError where it did not."""
    finish, usage = data.get("finish", "stop"), data.get("usage")
    if finish not in get_args(Finish):
        raise ValueError(f"no answer finishes by {finish!r}")
    counts = cast("dict[str, int]", usage or {})
    if any(type(count) is not int or count < 0 for count in counts.values()):
        raise ValueError(f"usage is counted in whole numbers, not {counts}")
    return Completion(
        text=str(data.get("text", "")),
        calls=tuple(ToolCall(**call) for call in cast("list[dict[str, str]]", data.get("calls", []))),
        finish=cast("Finish", finish),
        usage=Usage(**counts) if usage is not None else None,
        model=str(data.get("model", "")),
        id=str(data.get("id", "")),
        rationale=str(data.get("rationale", "")),
    )


def _message_out(message: Message) -> dict[str, Json]:
    whole: dict[str, Json] = {
        "role": message.role,
        "text": message.text,
        "calls": [_call_out(call) for call in message.calls],
        "answers": message.answers,
    }
    return {name: value for name, value in whole.items() if value not in ("", [])}


def _call_out(call: ToolCall) -> dict[str, Json]:
    return {"id": call.id, "name": call.name, "arguments": call.arguments}


def _tool_out(tool: ToolSpec) -> dict[str, Json]:
    return {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}


def _failure_out(failure: ModelFailure) -> Json:
    return {"type": type(failure).__name__, "reason": failure.message}


def _clean(value: object, redactor: Redactor) -> object:
    return redactor.redact_json(value)
