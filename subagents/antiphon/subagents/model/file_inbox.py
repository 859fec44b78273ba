"""The other side of a model that answers by files: what is asked in a directory, and how to answer it.

Requests may have been written by anybody: they are checked, capped, and only shown. An answer is held to the schema
that the request names before it is written, so that nobody has to be told later that it does not fit.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from antiphon.engine import UsageError
from antiphon.subagents.model.answering.conversation import ANSWER
from antiphon.subagents.model.file_format import (
    MAX_ANSWER_BYTES,
    MAX_REQUEST_BYTES,
    REQUEST,
    VERSION,
    Exchange,
    Unreadable,
    answered,
    checked,
    put_whole,
    read_plain,
)
from antiphon.tracing import Json

MOST_LISTED: Final = 10_000
"""Most open requests of a directory that are looked at; those that were answered do not count."""
_WRAPPED: Final = "answer"
_MAX_PROBLEM: Final = 4_096


@dataclass(frozen=True, slots=True)
class Open:
    """A request that nobody has answered.

    Attributes:
        exchange: its files. document: what it says. problem: why the answer that is there is not taken; "" for none.
    """

    exchange: Exchange
    document: Mapping[str, Any]
    problem: str = ""

    @property
    def id(self) -> str:
        """Its id."""
        return self.exchange.id

    @property
    def asked_at(self) -> str:
        """Since when it waits, UTC."""
        return str(self.document["asked_at"])

    @property
    def asker(self) -> str:
        """Who asks; where the request does not say it, the first sentence of its instructions."""
        if self.document["asker"]:
            return str(self.document["asker"])
        said = next((message["text"] for message in self.document["messages"] if message["role"] == "system"), "")
        return _first_sentence(str(said))

    @property
    def task(self) -> str:
        """What was said last to whoever answers."""
        messages = self.document["messages"]
        return str(messages[-1]["text"]) if messages else ""

    @property
    def tools(self) -> dict[str, Mapping[str, Any]]:
        """The schemas of the tools that it offers, by name."""
        return {tool["name"]: tool["parameters"] for tool in self.document["tools"]}

    @property
    def schema(self) -> Mapping[str, Any] | None:
        """What a value must fit: the schema asked for, or that of the tool that is forced, or takes the answer."""
        asked: Mapping[str, Any] | None = self.document["schema"]
        return self.tools.get(self.document["force"] or ANSWER) if asked is None else asked

    def to_json(self) -> dict[str, Json]:
        """For a listing."""
        return {
            "id": self.id,
            "asked_at": self.asked_at,
            "conversation": self.document["conversation"],
            "asker": self.asker,
            "task": self.task,
            "schema": None if self.schema is None else dict(self.schema),
            "tools": list[Json](self.tools),
            "problem": self.problem,
        }


@dataclass(frozen=True, slots=True)
class Inbox:
    """What is asked in a directory.

    Attributes:
        open: requests that nobody has answered, oldest first. unreadable: files that are no request, and why.
        more: how many are open besides, which were not looked at.
    """

    open: tuple[Open, ...]
    unreadable: Mapping[str, str]
    more: int = 0

    def one(self, named: str) -> Open:
        """The open request of an id, or of a beginning of one. Raises `UsageError`."""
        found = [request for request in self.open if request.id.startswith(named)] if named else list(self.open)
        if len(found) == 1:
            return found[0]
        ids = ", ".join(request.id[:8] for request in self.open[:10]) or "none"
        problem, s = ("there are several", "s") if found else ("there is no", "")
        those = f"request{s} {named[:64]!r} that {'are' if found else 'is'} open" if named else f"open request{s}"
        raise UsageError(f"{problem} {those}", advice=f"--request ID; open are: {ids}")


def inbox(directory: Path) -> Inbox:
    """What is asked in a directory. Raises `UsageError` when that cannot be listed."""
    found: list[Open] = []
    unreadable: dict[str, str] = {}
    exchanges = _unanswered(directory)
    for exchange in exchanges[:MOST_LISTED]:
        try:
            found.append(Open(exchange, _document(exchange), _problem(exchange)))
        except FileNotFoundError:  # taken back meanwhile
            continue
        except Unreadable as error:
            unreadable[exchange.request.name] = str(error)
    found.sort(key=lambda request: (request.asked_at, request.id))
    return Inbox(tuple(found), unreadable, max(0, len(exchanges) - MOST_LISTED))


def leave(request: Open, document: Mapping[str, Any]) -> None:
    """Answer a request, whole and at once.

    Raises:
        Unreadable: the answer is none, or does not fit what is asked; nothing was written.
        UsageError: somebody else answered it, or it was taken back; or nothing can be written.
    """
    content = json.dumps({"version": VERSION, **document}, ensure_ascii=False, indent=1).encode("utf-8", "replace")
    if len(content) > MAX_ANSWER_BYTES:
        raise Unreadable(f"it is larger than {MAX_ANSWER_BYTES:,} bytes")
    _check_fits(request, content)
    exchange = request.exchange
    if os.path.lexists(exchange.answer) and not _problem(exchange):
        raise UsageError(f"request {request.id[:8]} was answered meanwhile")
    if not os.path.lexists(exchange.request):
        raise UsageError(f"request {request.id[:8]} was taken back: nobody waits for it any more")
    try:
        exchange.problem.unlink(missing_ok=True)  # it was about the answer before, and would ask for a third
        put_whole(exchange.answer, content)
    except OSError as error:
        raise UsageError(f"{exchange.answer} cannot be written: {error.strerror or error}") from None


def document_of(request: Open, text: str) -> dict[str, Json]:
    """What somebody typed, as an answer: the value where one is asked for, and else the text.

    A value may be typed as JSON; a text that fits need not be in quotes, and the object around a single value need not
    be typed.

    Raises:
        Unreadable: it does not fit the schema, in none of these forms.
    """
    schema = request.schema
    if schema is None:
        return {"text": text}
    problem = ""
    for value in _readings(schema, text):
        found = misfit(value, schema)
        if not found:
            return {"value": value}
        problem = problem or found
    raise Unreadable(problem or "it is not JSON")


def whole_document(text: str) -> dict[str, Json]:
    """What somebody typed as a whole answer file; its version may be left out. Raises `Unreadable`."""
    document = _parsed(text, "a whole answer")
    if not isinstance(document, dict):
        raise Unreadable("a whole answer must be an object")
    return document


def misfit(value: Json, schema: Mapping[str, Any]) -> str:
    """Why a value does not fit a schema that anybody wrote; "" if it does. Nothing is fetched for it."""
    from jsonschema import SchemaError
    from jsonschema.validators import Draft202012Validator
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    validator: Any = Draft202012Validator(dict(schema), registry=Registry())
    try:
        Draft202012Validator.check_schema(dict(schema))
        problem = next(iter(validator.iter_errors(value)), None)
    except (SchemaError, Unresolvable, RecursionError, re.error, TypeError, ValueError, AttributeError) as error:
        reason = str(error).partition("\n")[0][:200]
        return f"the schema that is asked for cannot be used: {reason}"
    return "" if problem is None else f"{problem.json_path}: {problem.message}"[:1_000]


def _readings(schema: Mapping[str, Any], text: str) -> Iterator[Json]:
    """What the text may mean, the likeliest first."""
    fields = schema.get("properties")
    alone = isinstance(fields, dict) and list(cast("dict[str, Any]", fields)) == [_WRAPPED]
    values: list[Json] = [text.strip()]
    with suppress(ValueError, RecursionError):
        values.insert(0, cast("Json", json.loads(text)))
    for value in values:
        wraps = alone and not (isinstance(value, dict) and _WRAPPED in value)
        yield {_WRAPPED: value} if wraps else value


def _check_fits(request: Open, content: bytes) -> None:
    """An answer as the client will read it, and its value as the asker will."""
    found = answered(content, request.tools, request.document["force"], request.id)
    if isinstance(found, Exception):
        return
    for call in found.calls:
        problem = misfit(_parsed(call.arguments, f"the arguments of {call.name}"), request.tools[call.name])
        if problem:
            raise Unreadable(f"the arguments of {call.name}: {problem}")
    schema = request.document["schema"]
    if schema is not None and not found.calls and found.finish == "stop":
        problem = misfit(_parsed(found.text, "the text"), schema)
        if problem:
            raise Unreadable(problem)


def _parsed(text: str, what: str) -> Json:
    try:
        return cast("Json", json.loads(text))
    except (ValueError, RecursionError):
        raise Unreadable(f"{what} must be JSON") from None


def _unanswered(directory: Path) -> list[Exchange]:
    """Those without an answer, or with one that is not taken, by one listing: most of a long run are answered."""
    try:
        names = set(os.listdir(directory))
    except OSError as error:
        raise UsageError(
            f"{directory} cannot be read: {error.strerror or error}", advice="antiphon answer DIR"
        ) from None
    asked = sorted(match[1] for name in names if (match := REQUEST.fullmatch(name)))
    exchanges = (Exchange(directory, id) for id in asked)
    return [one for one in exchanges if one.answer.name not in names or one.problem.name in names]


def _document(exchange: Exchange) -> dict[str, Any]:
    document = checked(read_plain(exchange.request, MAX_REQUEST_BYTES), "request")
    if document["id"] != exchange.id:
        raise Unreadable("its id is not that of its name")
    return document


def _problem(exchange: Exchange) -> str:
    try:
        return read_plain(exchange.problem, _MAX_PROBLEM).decode("utf-8", "replace").strip()
    except FileNotFoundError:
        return ""
    except Unreadable as error:
        return str(error)


def _first_sentence(text: str) -> str:
    line = " ".join(text[:2_000].split())
    end = line.find(". ")
    return line[: end + 1] if end >= 0 else line[:200]
