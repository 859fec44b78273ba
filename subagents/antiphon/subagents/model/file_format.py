"""The files of a model that answers by files: what is written, what is read, and what is refused (docs/file-model.md).

Requests are written here and read by anybody; answers are written by anybody and read here, so that every answer is
hostile until the schema says otherwise. The schema that ships beside this file is the one description of both.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from math import isfinite
from pathlib import Path
from typing import Any, Final, cast

from antiphon.engine import InfrastructureError
from antiphon.engine.errors import InfrastructureCategory
from antiphon.subagents.model.answering.conversation import ANSWER
from antiphon.subagents.model.contract import (
    BadRequest,
    Capabilities,
    Completion,
    ContentRefused,
    ContextTooLong,
    Finish,
    Message,
    Price,
    Request,
    ToolCall,
    Usage,
)
from antiphon.tracing import Json
from antiphon.tracing.blobs import open_plain

VERSION: Final = 1
MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
"""Most bytes of an answer."""
MAX_REQUEST_BYTES: Final = 64 * 1024 * 1024
"""Most bytes of a request."""
MAX_OPTIONS_BYTES: Final = 64 * 1024
OPTIONS: Final = "model.json"
REQUEST: Final = re.compile(r"request-([0-9a-f]{32})\.json")
"""What the file of a request is called; nothing of another name is read."""


BESIDE: Final = frozenset({"id", "asked_at", "asker", "max_tokens", "model"})
"""What stands in a request and is not what is asked."""


class Unreadable(Exception):
    """A file says something that cannot be used; the text is the reason, in one sentence."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """The files of one request in a directory."""

    directory: Path
    id: str

    @property
    def request(self) -> Path:
        """What is asked."""
        return self.directory / f"request-{self.id}.json"

    @property
    def answer(self) -> Path:
        """Where its answer goes, by an atomic rename."""
        return self.directory / f"answer-{self.id}.json"

    @property
    def problem(self) -> Path:
        """Why the answer that is there now is not taken."""
        return self.directory / f"answer-{self.id}.problem"

    @property
    def failed(self) -> Path:
        """The last answer that was an error: it was told, and does not stand in the way of another try."""
        return self.directory / f"failed-{self.id}.json"


# --- requests ------------------------------------------------------------------------------------------------------


def asked(request: Request) -> dict[str, Json]:
    """The document of a request, without its id and its time."""
    return {
        "version": VERSION,
        "kind": "request",
        "asker": request.asker,
        "conversation": request.key,
        "model": request.model,
        "messages": [_message(message) for message in request.messages],
        "tools": [
            {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
            for tool in request.tools
        ],
        "force": request.force,
        "schema": None if request.schema is None else dict(request.schema),
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
    }


def id_of(document: Mapping[str, Json]) -> str:
    """The id of a request: by what is asked, in which conversation.

    Room for the answer is not part of it: what is left of a budget may differ after a restart, the question does not.
    Neither is the model's name: a directory that was moved is still the one that was asked.
    """
    said = {name: value for name, value in document.items() if name not in BESIDE}
    text = json.dumps(said, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def written(document: Mapping[str, Json], id: str) -> bytes:
    """The file of a request. Raises `BadRequest` when it is too large for one."""
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    content = json.dumps({**document, "id": id, "asked_at": now}, indent=1).encode()
    if len(content) > MAX_REQUEST_BYTES:
        raise BadRequest(f"the request is larger than {MAX_REQUEST_BYTES:,} bytes, which no file of one may be")
    return content


def _message(message: Message) -> dict[str, Json]:
    said: dict[str, Json] = {"role": message.role, "text": message.text}
    if message.calls:
        said["calls"] = [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in message.calls]
    if message.answers:
        said["answers"] = message.answers
    return said


# --- answers -------------------------------------------------------------------------------------------------------


def answered(content: bytes, tools: Collection[str], force: str, id: str) -> Completion | Exception:
    """What an answer file says: a completion, or the failure that it names.

    Args:
        content: of the file.
        tools: names of the tools that the request offers.
        force: the one that has to be called, or "".
        id: the request's.

    Raises:
        Unreadable: it is no answer, or none to this request.
    """
    document = checked(content, "answer")
    if "error" in document:
        return _failure(document["error"])
    calls = tuple(_call(entry, number, id) for number, entry in enumerate(document.get("calls", ())))
    text, taker = _text(document), force or (ANSWER if "value" in document and ANSWER in tools else "")
    if taker and not calls and text:
        calls, text = (ToolCall(f"{id[:8]}-0", taker, text),), ""
    unknown = [call.name for call in calls if call.name not in tools]
    if unknown:
        known = ", ".join(tools) or "none"
        raise Unreadable(f"it calls {unknown[0]!r}, and the tools of this request are {known}")
    default: Finish = "tool_calls" if calls else "stop"
    return Completion(
        text=text,
        calls=calls,
        finish=cast("Finish", document.get("finish", default)),
        usage=Usage(**{name: int(count) for name, count in document.get("usage", {}).items()}),  # 2e3 is one to JSON
        model=document.get("model", ""),
        id=id,
        rationale=document.get("rationale", ""),
    )


def checked(content: bytes, kind: str) -> dict[str, Any]:
    """A document of one of the schema's kinds: ``request``, ``answer`` or ``options``. Raises `Unreadable`."""
    try:
        document: object = json.loads(content.decode("utf-8"), parse_constant=_no_number, parse_float=_finite)
    except UnicodeDecodeError:
        raise Unreadable("it is not UTF-8") from None
    except ValueError as error:
        raise Unreadable(f"it is not JSON: {str(error)[:200]}") from None
    except RecursionError:
        raise Unreadable("it is nested too deeply") from None
    try:
        problem = next(iter(_validator(kind).iter_errors(document)), None)
    except RecursionError:
        raise Unreadable("it is nested too deeply") from None
    if problem is not None:
        raise Unreadable(f"{problem.json_path}: {problem.message}"[:500])
    return cast("dict[str, Any]", document)


@lru_cache(maxsize=1)
def schema() -> dict[str, Any]:
    """The JSON Schema of all three kinds of files."""
    text = files("antiphon.subagents.model").joinpath("file-model.schema.json").read_text("utf-8")
    return cast("dict[str, Any]", json.loads(text))


@lru_cache(maxsize=4)
def _validator(kind: str) -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator({"$defs": schema()["$defs"], "$ref": f"#/$defs/{kind}"})


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    return number if isfinite(number) else _no_number(text[:20])


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document["value"], ensure_ascii=False) if "value" in document else str(document.get("text", ""))


def _call(entry: Mapping[str, Any], number: int, id: str) -> ToolCall:
    given = entry["arguments"]
    arguments = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    return ToolCall(str(entry.get("id", "")) or f"{id[:8]}-{number}", entry["name"], arguments)


def _failure(error: Mapping[str, Any]) -> Exception:
    """An error by its class; nothing was billed, because whoever answers by files sends no bill."""
    kind, reason = str(error["class"]), str(error.get("reason", "")) or "no reason was given"
    match kind:
        case "context_too_long":
            return ContextTooLong(reason)
        case "refused":
            return ContentRefused(reason)
        case "bad_request":
            return BadRequest(reason)
        case _:
            category = cast("InfrastructureCategory", kind)
            after: float | None = error.get("retry_after_seconds")
            return InfrastructureError(category, reason, retry_after=after, billed=False)


# --- what the directory says of its model --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `model.json` says.

    Attributes:
        can: what the model can; by default everything, of any length, for nothing.
        poll_seconds: longest time between two looks for an answer.
    """

    can: Capabilities
    poll_seconds: float = 0.5


def options_of(directory: Path) -> Options:
    """The options of a directory, which need not exist. Raises `Unreadable`."""
    try:
        content = read_plain(directory / OPTIONS, MAX_OPTIONS_BYTES)
    except FileNotFoundError:
        content = b'{"version": 1}'
    said = checked(content, "options")
    price = said.get("price", {"input": "0", "output": "0"})
    can = Capabilities(
        window=said.get("window"),
        output=said.get("output"),
        schema=said.get("schema", True),
        tools=said.get("tools", True),
        price=Price(input=_a_token(price["input"]), output=_a_token(price["output"])),
    )
    return Options(can=can, poll_seconds=float(said.get("poll_seconds", 0.5)))


def read_plain(path: Path, most: int) -> bytes:
    """The content of a plain file.

    Raises:
        FileNotFoundError: there is none.
        Unreadable: it is a link, a pipe or a folder, too large, or cannot be read.
    """
    try:
        with open_plain(path) as file:
            content = file.read(most + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Unreadable(f"it is no plain file that can be read ({error.strerror or 'not a plain file'})") from None
    if len(content) > most:
        raise Unreadable(f"it is larger than {most:,} bytes")
    return content


def put_whole(path: Path, content: bytes) -> None:
    """Write a file that whoever looks sees whole or not at all, and that only its owner may read. Raises `OSError`."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


def _a_token(usd_a_million: str) -> str:
    return format(Decimal(usd_a_million) / 1_000_000, "f")
