"""Schemas from strangers: what may be shown to a model, and what arguments are held to before they are sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

from antiphon.tracing import Json

SCHEMA_BYTES: Final = 64 * 1024
DEPTH: Final = 32
EXPANDED: Final = 20_000
"""Subschemas that one may be when every reference is followed."""
LOOKUPS: Final = 10_000
"""References that are followed to check one set of arguments."""
ARGUMENT_DEPTH: Final = 64
_PROBLEMS: Final = 3
_SAID: Final = 300
# Regular expressions of a stranger may take longer than the world lasts, and nothing can interrupt them. The server
# checks its own.
_EXPRESSIONS: Final = frozenset({"pattern", "patternProperties", "format"})
# What makes a reference mean another place than it says, so that its size could not be told.
_ELSEWHERE: Final = frozenset({"$schema", "$id", "id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveRef"})
_DATA: Final = frozenset({"const", "enum", "default", "examples"})
_BY_NAME: Final = frozenset({"properties", "$defs", "definitions", "dependentSchemas"})


class SchemaUnsuitable(ValueError):
    """A schema that is not taken; the text says why."""


class _TooMuch(Exception):
    pass


def check_schema(schema: Mapping[str, Any]) -> None:
    """Refuse a schema that no model should be shown, or that could not be checked in reasonable time.

    Raises:
        SchemaUnsuitable: the text says why.
    """
    if schema.get("type") != "object":
        raise SchemaUnsuitable("its schema is not of an object")
    if _depth(schema) > DEPTH:
        raise SchemaUnsuitable(f"its schema is nested deeper than {DEPTH}")
    try:
        size = len(json.dumps(schema, allow_nan=False).encode())
    except ValueError:
        raise SchemaUnsuitable("its schema holds a number that JSON has not") from None
    if size > SCHEMA_BYTES:
        raise SchemaUnsuitable(f"its schema has {size:,} bytes, more than {SCHEMA_BYTES:,}")
    _Expansion(schema).check()
    _check_metaschema(schema)


def checker(schema: Mapping[str, Any]) -> Callable[[Mapping[str, Json]], str]:
    """A function that says what is wrong with arguments: "" if they fit.

    Args:
        schema: one that `check_schema` let through.
    """
    from referencing.exceptions import Unresolvable

    followed = _Followed()
    validator = followed.validator(_kind(schema), _without_expressions(dict(schema)))

    def problem(arguments: Mapping[str, Json]) -> str:
        if _depth(arguments) > ARGUMENT_DEPTH:
            return f"they are nested deeper than {ARGUMENT_DEPTH}"
        try:
            followed.left = LOOKUPS
            return "; ".join(_problems(validator, dict(arguments)))
        except (_TooMuch, RecursionError, Unresolvable):
            return "they cannot be checked against the tool's schema in reasonable time"

    return problem


def _problems(validator: Any, arguments: dict[str, Json]) -> Iterator[str]:
    for number, error in enumerate(validator.iter_errors(arguments)):
        if number == _PROBLEMS:
            yield "and more"
            return
        place = ".".join(map(str, error.absolute_path)) or "arguments"
        message = error.message if len(error.message) <= _SAID else f"{error.message[:_SAID]}…"
        yield f"{place[:_SAID]}: {message}"


def _kind(schema: Mapping[str, Any]) -> Any:
    """The draft that a schema says it is written in; the present one if it says none, or one nobody knows."""
    from jsonschema import Draft3Validator, Draft202012Validator
    from jsonschema.validators import validator_for

    known: Any = validator_for({"$schema": str(schema.get("$schema", ""))}, default=Draft202012Validator)
    return Draft202012Validator if known is Draft3Validator else known


class _Followed:
    """Counts the references that a validator follows: all that grows out of proportion goes through them.

    Attributes:
        left: how many it may still follow.
    """

    left = LOOKUPS

    def validator(self, kind: Any, schema: Mapping[str, Any]) -> Any:
        """A validator of a draft that is held to it, and fetches nothing."""
        from jsonschema import validators
        from referencing import Registry

        base: Any = kind.VALIDATORS["$ref"]

        def counted(validator: Any, reference: Any, instance: Any, within: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                raise _TooMuch
            return base(validator, reference, instance, within)

        untyped: Any = validators
        return untyped.extend(kind, {"$ref": counted})(schema, registry=cast("Any", Registry)())


def _check_metaschema(schema: Mapping[str, Any]) -> None:
    from jsonschema import SchemaError

    try:
        _kind(schema).check_schema(_without_expressions(dict(schema)))
    except (SchemaError, RecursionError) as error:
        said = getattr(error, "message", "it is nested too deeply")
        raise SchemaUnsuitable(f"its schema is none: {str(said)[:_SAID]}") from None


def _without_expressions(value: Any) -> Any:
    """A schema without what is not checked here. What `patternProperties` would allow must then not be refused."""
    if isinstance(value, list):
        return [_without_expressions(entry) for entry in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    table = cast("dict[str, Any]", value)
    dropped = _EXPRESSIONS | _ELSEWHERE
    if "patternProperties" in table:
        dropped |= {"additionalProperties", "unevaluatedProperties"}
    return {key: _kept(key, inner) for key, inner in table.items() if key not in dropped}


def _kept(key: str, inner: Any) -> Any:
    if key in _BY_NAME and isinstance(inner, dict):  # its keys are names, and not words of the schema
        return {name: _without_expressions(one) for name, one in cast("dict[str, Any]", inner).items()}
    return inner if key in _DATA else _without_expressions(inner)


def _depth(value: object) -> int:
    """How deep a value is nested; found without recursion."""
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        one, depth = waiting.pop()
        deepest = max(deepest, depth)
        if depth > 2 * ARGUMENT_DEPTH:
            break  # deeper than anybody allows
        if isinstance(one, Mapping):
            waiting += [(inner, depth + 1) for inner in cast("Mapping[str, object]", one).values()]
        elif isinstance(one, list | tuple):
            waiting += [(inner, depth + 1) for inner in cast("list[object]", one)]
    return deepest


class _Expansion:
    """How large a schema becomes when its references are followed: a small text can be a number with many digits."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._known: dict[str, int] = {}

    def check(self) -> None:
        if self._size(self._schema, ()) > EXPANDED:
            raise SchemaUnsuitable(f"its schema is more than {EXPANDED:,} subschemas when its references are followed")

    def _size(self, value: object, following: tuple[str, ...]) -> int:
        if isinstance(value, Mapping):
            table = cast("Mapping[str, object]", value)
            total = 1 + sum(self._size(inner, following) for inner in table.values())
            reference = table.get("$ref")
            return total + (self._referred(reference, following) if isinstance(reference, str) else 0)
        if isinstance(value, list):
            return 1 + sum(self._size(inner, following) for inner in cast("list[object]", value))
        return 0

    def _referred(self, reference: str, following: tuple[str, ...]) -> int:
        if reference in following:
            return 1  # a recursive schema is as deep as what it is given; the lookups are counted then
        if len(following) >= DEPTH:
            raise SchemaUnsuitable("its schema refers on and on")
        if reference not in self._known:
            self._known[reference] = self._size(self._target(reference), (*following, reference))
        return self._known[reference]

    def _target(self, reference: str) -> object:
        if reference != "#" and not reference.startswith("#/"):
            raise SchemaUnsuitable(f"its schema refers to {reference[:100]!r}, which is no place in it")
        here: object = self._schema
        for part in reference.removeprefix("#").split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(here, Mapping) and name in here:
                here = cast("Mapping[str, object]", here)[name]
            elif isinstance(here, list) and name.isascii() and name.isdigit():
                here = dict(enumerate(cast("list[object]", here))).get(int(name[:6]))
            else:
                raise SchemaUnsuitable(f"its schema refers to {reference[:100]!r}, which is not there")
        return here
