"""JSON Schemas that anybody may have written, a model among them: nothing is fetched, nothing takes for ever."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, cast

from pydantic_core import SchemaError as PatternError
from pydantic_core import SchemaValidator, core_schema

from antiphon.engine.errors import UsageError

SCHEMA_CHARACTERS: Final = 256 * 1024
CHECKS = 500_000
"""Keywords that are applied to check one value, some seconds' worth; a schema times a value may be far more."""
_OF_A_REFERENCE: Final = 20  # each is looked up, which takes as long as so many checks


class Unanswerable(ValueError):
    """A value cannot be checked against a schema; the text says why."""


class Checker:
    """Holds values to one schema.

    Args:
        schema: the schema.

    Raises:
        UsageError: it is no schema, is too large, or has a pattern that cannot be searched in time linear in the text.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        from jsonschema import SchemaError
        from jsonschema.validators import validator_for

        known: Any = validator_for(schema)
        try:
            known.check_schema(schema)
        except SchemaError as error:
            raise UsageError(f"output={str(schema)[:200]} is not a JSON Schema: {error.message[:500]}") from None
        except RecursionError:
            raise UsageError("output= is a JSON Schema that is nested too deeply") from None
        _check_patterns(schema)
        self._left = CHECKS
        self._validator = self._held(known, dict(schema))

    def problem(self, value: object) -> str:
        """What is wrong with a value: "" if it fits.

        Raises:
            Unanswerable: it refers outside itself, or cannot be checked in reasonable time.
        """
        from referencing.exceptions import Unresolvable

        self._left = CHECKS
        try:
            error = next(self._validator.iter_errors(value), None)
        except (RecursionError, _TooMuch):
            raise Unanswerable("it cannot be checked against its schema in reasonable time") from None
        except Unresolvable as error:
            raise Unanswerable(f"its schema refers to what is not in it: {str(error)[:200]}") from None
        return "" if error is None else f"{error.json_path}: {error.message}"

    def _held(self, known: Any, schema: dict[str, Any]) -> Any:
        from jsonschema import validators
        from referencing import Registry

        own: dict[str, Any] = {
            **known.VALIDATORS,
            "pattern": _pattern,
            "patternProperties": _pattern_properties,
            "additionalProperties": _additional_properties,
        }
        untyped: Any = validators
        counted = {keyword: self._counted(keyword, check) for keyword, check in own.items()}
        return untyped.extend(known, counted)(schema, registry=cast("Any", Registry)())

    def _counted(self, keyword: str, check: Any) -> Any:
        def counted(validator: Any, given: Any, instance: Any, schema: Any) -> Any:
            self._left -= _work(keyword, given, instance)
            if self._left < 0:
                raise _TooMuch
            return check(validator, given, instance, schema)

        return counted


def _work(keyword: str, given: object, instance: object) -> int:
    """How many checks it takes to apply a keyword, besides those of what is inside it."""
    match keyword:
        case "$ref" | "$dynamicRef" | "$recursiveRef":
            return _OF_A_REFERENCE
        case "enum" if isinstance(given, list):
            return len(cast("list[object]", given))
        case "uniqueItems" if isinstance(instance, list):
            return _comparisons(cast("list[object]", instance))
        case _:
            return 1


def _comparisons(items: list[object]) -> int:
    """How many it takes to see that all differ: what cannot be sorted is compared with each other."""
    kinds = {type(item) for item in items}
    return len(items) if kinds <= {str} or kinds <= {int, float} else len(items) ** 2 // 2


class _TooMuch(Exception):
    pass


def _check_patterns(schema: object) -> None:
    waiting, has_patterns, looks_around = [schema], False, False
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            table = cast("Mapping[str, object]", one)
            found = table.get("pattern")
            names = table.get("patternProperties")
            has_patterns = has_patterns or names is not None
            looks_around = looks_around or "unevaluatedProperties" in table
            patterns = [found] if isinstance(found, str) else []
            patterns += list(cast("Mapping[str, object]", names)) if isinstance(names, Mapping) else []
            for pattern in patterns:
                _search(pattern)
            waiting.extend(table.values())
        elif isinstance(one, list):
            waiting.extend(cast("list[object]", one))
    if has_patterns and looks_around:  # which would search the patterns by Python's own means
        raise UsageError("output= has patternProperties and unevaluatedProperties", advice="use additionalProperties")


@lru_cache(maxsize=512)
def _search(pattern: str) -> SchemaValidator:
    """A search that takes time linear in the text: without the constructs that make Python's own take for ever."""
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except PatternError:
        raise UsageError(
            f"output= has the pattern {pattern[:100]!r}, which cannot be searched in bounded time",
            advice="leave out look-around and back-references",
        ) from None


def _matches(pattern: str, text: str) -> bool:
    return _search(pattern).isinstance_python(text)


def _pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if isinstance(instance, str) and not _matches(pattern, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Mapping[str, Any], instance: Any, _schema: Any) -> Iterator[Any]:
    if not isinstance(instance, dict):
        return
    for pattern, inner in patterns.items():
        for name, value in cast("dict[str, Any]", instance).items():
            if _matches(pattern, name):
                yield from validator.descend(value, inner, path=name, schema_path=pattern)


def _additional_properties(validator: Any, additional: Any, instance: Any, schema: Mapping[str, Any]) -> Iterator[Any]:
    from jsonschema import ValidationError

    if not isinstance(instance, dict):
        return
    named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    table = cast("dict[str, Any]", instance)
    extra = [name for name in table if name not in named and not any(_matches(each, name) for each in patterns)]
    if additional is False and extra:
        yield ValidationError(f"Additional properties are not allowed ({', '.join(map(repr, extra[:10]))})")
    for name in extra if isinstance(additional, dict) else ():
        yield from validator.descend(table[name], additional, path=name)
