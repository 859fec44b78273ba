"""JSON Schemas as providers take them: made strict for those that hold an answer to one, or wrapped for a tool.

Strict means: objects are closed and name all their fields as required, references are replaced by what they refer to,
and keywords that providers refuse are said in words instead. The value is checked against the original schema
afterwards, so saying less here loses nothing; asking for *other* values than the schema would, so whatever cannot be
said the same way (free-form objects, fields that may be left out, tuples, recursion) cannot be made strict.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from antiphon.subagents.model.answering.contract import Schema
from antiphon.subagents.model.answering.reading import WRAPPED
from antiphon.tracing import Json

Object = dict[str, Json]

# The smallest limits that providers publish for strict schemas.
MOST_LEVELS, MOST_FIELDS = 5, 100
_MOST_PARTS = 2_000

_LEFT_OUT = frozenset({"$schema", "$id", "$comment", "$defs", "definitions", "title", "discriminator", "deprecated"})
_IN_WORDS = (
    *("default", "examples", "format", "pattern", "minLength", "maxLength", "minimum", "maximum"),
    *("exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minItems", "maxItems", "uniqueItems"),
)
_SCALARS = ("string", "integer", "number", "boolean", "null")


@dataclass(frozen=True, slots=True)
class Asked:
    """A schema in the form in which it is asked for.

    Attributes:
        schema: of an object. wrapped: the answer is the one field of that object.
    """

    schema: Schema
    wrapped: bool


def strict_schema(schema: Schema) -> Asked | None:
    """The schema made strict; None if it cannot be without asking for something else."""
    return _made_strict(json.dumps(schema))


def tool_parameters(schema: Schema) -> Asked:
    """The schema as parameters of a tool: as it is if it is of an object, and otherwise of one with one field."""
    if schema.get("type") == "object" and "$ref" not in schema:
        return Asked(schema, wrapped=False)
    inner = {key: value for key, value in schema.items() if key not in ("$defs", "definitions", "$schema")}
    shared = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    return Asked({**_object({WRAPPED: inner}), **shared}, wrapped=True)


@lru_cache(maxsize=256)
def _made_strict(text: str) -> Asked | None:
    root = cast(Object, json.loads(text))
    try:
        made = _Strict(root).of(root, 0, ())
        if made.get("type") == "object":
            return Asked(made, wrapped=False)
        # The object around it is a level and a field more.
        return Asked(_Strict(root).of(_object({WRAPPED: root}), 0, ()), wrapped=True)
    except _CannotBeStrict:
        return None


def _object(fields: Object) -> Object:
    required: list[Json] = list(fields)
    return {"type": "object", "properties": fields, "required": required, "additionalProperties": False}


class _CannotBeStrict(Exception):
    """A part of the schema says what strict schemas cannot."""


@dataclass(slots=True)
class _Strict:
    """One schema being made strict; what it became is counted, since references can multiply."""

    root: Object
    parts: int = 0
    fields: int = 0

    def of(self, schema: Json, level: int, inside: tuple[str, ...]) -> Object:
        """One part of the schema, `level` objects deep and inside the references `inside`."""
        self.parts += 1
        if not isinstance(schema, dict) or self.parts > _MOST_PARTS or level > MOST_LEVELS:
            raise _CannotBeStrict
        if "$ref" in schema:
            return self._referred(schema, level, inside)
        made = self._shape(schema, level, inside)
        words = _in_words(schema)
        return {**made, "description": words} if words else made

    def _referred(self, schema: Object, level: int, inside: tuple[str, ...]) -> Object:
        name = schema["$ref"]
        if not isinstance(name, str) or name in inside:
            raise _CannotBeStrict
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return self.of({**self._target(name), **rest}, level, (*inside, name))

    def _target(self, name: str) -> Object:
        start, *path = name.split("/")
        found: Json = self.root
        for part in path:
            key = part.replace("~1", "/").replace("~0", "~")
            found = found.get(key) if isinstance(found, dict) else None
        if start != "#" or not isinstance(found, dict):
            raise _CannotBeStrict
        return found

    def _shape(self, schema: Object, level: int, inside: tuple[str, ...]) -> Object:
        said = schema.keys() - _LEFT_OUT - {"description", *_IN_WORDS}
        if said in ({"anyOf"}, {"oneOf"}, {"allOf"}):
            return self._options(schema, level, inside)
        if said in ({"const"}, {"const", "type"}, {"enum"}, {"enum", "type"}):
            return _listed(schema)
        kind = schema.get("type")
        if isinstance(kind, list) and kind:
            return self._options({"anyOf": [{**_bare(schema), "type": each} for each in kind]}, level, inside)
        if kind in _SCALARS and said == {"type"}:
            return {"type": kind}
        if kind == "array" and said == {"type", "items"}:
            return {"type": "array", "items": self.of(schema["items"], level, inside)}
        if kind == "object" and said <= {"type", "properties", "required", "additionalProperties"}:
            return self._closed(schema, level + 1, inside)
        raise _CannotBeStrict

    def _options(self, schema: Object, level: int, inside: tuple[str, ...]) -> Object:
        options = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
        if not isinstance(options, list) or ("allOf" in schema and len(options) != 1):
            raise _CannotBeStrict
        made: list[Json] = [self.of(option, level, inside) for option in options]
        if len(made) == 1:
            return cast(Object, made[0])
        return {"anyOf": made}

    def _closed(self, schema: Object, level: int, inside: tuple[str, ...]) -> Object:
        fields, required = schema.get("properties"), schema.get("required", [])
        if not isinstance(fields, dict) or not isinstance(required, list) or schema.get("additionalProperties"):
            raise _CannotBeStrict
        if not fields and "additionalProperties" not in schema:
            raise _CannotBeStrict
        self.fields += len(fields)
        optional = fields.keys() - required
        # A field with a default can as well be asked for; one that means something by its absence cannot.
        if self.fields > MOST_FIELDS or any("default" not in cast(Object, fields[name]) for name in optional):
            raise _CannotBeStrict
        return _object({name: self.of(inner, level, inside) for name, inner in fields.items()})


def _bare(schema: Object) -> Object:
    return {key: value for key, value in schema.items() if key not in ("description", *_IN_WORDS)}


def _listed(schema: Object) -> Object:
    values = [schema["const"]] if "const" in schema else schema["enum"]
    if not isinstance(values, list) or not values:
        raise _CannotBeStrict
    kinds = sorted({_kind(value) for value in values})
    listed: Object = {"enum": values}
    return {"type": cast(Json, kinds[0] if len(kinds) == 1 else kinds), **listed}


def _kind(value: Json) -> str:
    if isinstance(value, bool):
        return "boolean"
    if value is None or isinstance(value, str):
        return "null" if value is None else "string"
    if isinstance(value, int | float):
        return "integer" if isinstance(value, int) else "number"
    raise _CannotBeStrict


def _in_words(schema: Mapping[str, Json]) -> str:
    """The description, and what the schema asks for beyond what a strict one can say."""
    said = str(schema.get("description", ""))
    rules = "; ".join(f"{key}: {json.dumps(schema[key], ensure_ascii=False)}" for key in _IN_WORDS if key in schema)
    return f"{said} ({rules})".strip() if rules else said
