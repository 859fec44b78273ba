"""Declared types of values that cross a boundary: encoded, redacted, decoded, on first execution as on replay."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from pydantic import PydanticUndefinedAnnotation, PydanticUserError, TypeAdapter, ValidationError

from antiphon.engine.errors import UsageError
from antiphon.engine.schemas import SCHEMA_CHARACTERS, Checker, Unanswerable

_SCALARS = (str, int, bool, type(None))
_PLAIN_TEXT = ({"type": "string"},)


class SchemaMismatch(ValueError):
    """A value does not fit its declared type; `raw` is the value's text, kept."""

    def __init__(self, problem: str, raw: str) -> None:
        super().__init__(problem)
        self.problem, self.raw = problem, raw


class OutputType(Protocol):
    """How one declared type encodes and decodes. `fingerprint` is part of a call's hash."""

    @property
    def fingerprint(self) -> str:
        """What tells this type from another."""
        ...

    def encode(self, value: object) -> str:
        """JSON text of `value`, checked. Raises `SchemaMismatch`."""
        ...

    def decode(self, text: str) -> Any:
        """The value that `text` stands for. Raises `SchemaMismatch`."""
        ...


def strict_json(value: object) -> str:
    """JSON text of a value made of JSON types only; anything else raises `SchemaMismatch`."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise SchemaMismatch(f"the value cannot be written as JSON: {error}", repr(value)[:2000]) from None


@dataclass(frozen=True, slots=True)
class AnyJson:
    """No declared type: whatever JSON can hold."""

    fingerprint: str = "json"

    def encode(self, value: object) -> str:
        """JSON text; a value that JSON cannot hold is an error at once."""
        return strict_json(value)

    def decode(self, text: str) -> Any:
        """Plain JSON."""
        return json.loads(text)


@dataclass(frozen=True, slots=True)
class Typed:
    """A pydantic model, a dataclass, or any annotation pydantic understands."""

    adapter: TypeAdapter[Any]
    fingerprint: str

    def encode(self, value: object) -> str:
        """JSON text of the validated value."""
        try:
            checked = self.adapter.validate_python(value)
            return self.adapter.dump_json(checked, warnings="error", by_alias=True, round_trip=True).decode()
        except (ValidationError, ValueError) as error:
            raise SchemaMismatch(_readable(error), _raw(value)) from None

    def decode(self, text: str) -> Any:
        """The typed value."""
        try:
            return self.adapter.validate_json(text)
        except ValidationError as error:
            raise SchemaMismatch(_readable(error), text[:20_000]) from None


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """A JSON Schema given as an object; the value stays plain JSON."""

    schema: dict[str, Any]
    fingerprint: str
    checker: Checker

    def encode(self, value: object) -> str:
        """JSON text of the value, after the schema accepted it."""
        text = strict_json(value)
        try:
            problem = self.checker.problem(json.loads(text))
        except Unanswerable as unanswerable:
            problem = str(unanswerable)
        if problem:
            raise SchemaMismatch(problem, text[:20_000])
        return text

    def decode(self, text: str) -> Any:
        """Plain JSON; it was checked when it was encoded."""
        return json.loads(text)


def output_type(declared: object) -> OutputType:
    """The `OutputType` of what a script or role declares: None, a type, or a JSON Schema object."""
    if declared is None:
        return _ANY
    if isinstance(declared, dict):
        return _json_schema(json.dumps(declared, sort_keys=True))
    try:
        if inspect.isroutine(declared):  # pydantic would take it for its signature
            raise TypeError("it is a function")
        return _typed(declared)
    except (PydanticUserError, PydanticUndefinedAnnotation, TypeError) as error:
        raise UsageError(
            f"output={declared!r} is not a type whose values can be recorded: {error}",
            advice="use a pydantic model, a dataclass, a type such as list[str], or a JSON Schema object",
        ) from None


def schema_of(output: OutputType) -> dict[str, Any] | None:
    """The JSON Schema that values of a declared type fit; None where any text is a value: no type, or plain text."""
    match output:
        case Typed():
            schema: dict[str, Any] = json.loads(output.fingerprint)
        case JsonSchema():
            schema = output.schema
        case _:
            return None
    return None if schema in _PLAIN_TEXT else schema


def is_scalar(value: object) -> bool:
    """Whether decoding would give the very same value back, so that it can be left out."""
    return type(value) in _SCALARS


_ANY = AnyJson()


@lru_cache(maxsize=512)
def _typed(declared: Any) -> OutputType:
    adapter: TypeAdapter[Any] = TypeAdapter(declared)
    return Typed(adapter, json.dumps(adapter.json_schema(), sort_keys=True))


@lru_cache(maxsize=512)
def _json_schema(text: str) -> OutputType:
    if len(text) > SCHEMA_CHARACTERS:
        raise UsageError(f"output= is a JSON Schema of {len(text):,} characters, more than {SCHEMA_CHARACTERS:,}")
    schema = json.loads(text)
    return JsonSchema(schema, text, Checker(schema))


def _readable(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "value"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{place}: {first['msg']}{more}"


def _raw(value: object) -> str:
    try:
        return strict_json(value)[:20_000]
    except SchemaMismatch as mismatch:
        return mismatch.raw
