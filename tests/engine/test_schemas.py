"""Schemas of strangers: what they allow is what JSON Schema says, they reach nothing, and they end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from antiphon.engine import UsageError, schemas
from antiphon.engine.schemas import Checker, Unanswerable

WORDS = ["a", "ab", "b1", "1", ""]
SCHEMAS: list[dict[str, Any]] = [
    {"type": "string", "pattern": "^a+$"},
    {"type": "string", "pattern": "[0-9]"},
    {"patternProperties": {"^a": {"type": "integer"}}},
    {"patternProperties": {"^a": {"type": "integer"}}, "additionalProperties": False},
    {"properties": {"b1": {}}, "patternProperties": {"^a": {}}, "additionalProperties": {"type": "string"}},
    {"properties": {"a": {"type": "integer"}}, "additionalProperties": False, "required": ["a"]},
    {"$defs": {"word": {"type": "string"}}, "type": "array", "items": {"$ref": "#/$defs/word"}},
    {"propertyNames": {"pattern": "^[a-b]"}},
    {"additionalProperties": True},
]
VALUES = st.recursive(
    st.sampled_from([*WORDS, 1, None, True]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=6,
)


@given(schema=st.sampled_from(SCHEMAS), value=VALUES)
def test_it_allows_what_json_schema_allows(schema: dict[str, Any], value: object) -> None:
    oracle: Any = Draft202012Validator(schema)
    assert (Checker(schema).problem(value) == "") == oracle.is_valid(value)


@pytest.mark.parametrize("reference", ["http://127.0.0.1:9/x", "file:///etc/passwd", "#/$defs/none", "other.json"])
def test_what_is_not_in_it_is_not_fetched(reference: str) -> None:
    with pytest.raises(Unanswerable, match="refers to what is not in it"):
        Checker({"$ref": reference}).problem("a")


def test_a_pattern_that_python_would_search_for_ever_is_answered() -> None:
    assert "does not match" in Checker({"pattern": "^(a+)+$"}).problem("a" * 50_000 + "!")
    schema: dict[str, Any] = {"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False}
    assert "not allowed" in Checker(schema).problem({"a" * 50_000 + "!": 1})


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "(?=a)b"},
        {"properties": {"x": {"patternProperties": {r"(a)\1": {}}}}},
        {"patternProperties": {"a": {}}, "unevaluatedProperties": False},
        {"type": "strin"},
        {"minLength": "three"},
    ],
)
def test_what_cannot_be_held_is_refused_at_once(schema: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="output="):
        Checker(schema)


def test_a_small_schema_that_grows_without_bound_is_answered() -> None:
    definitions: dict[str, Any] = {"a0": {"type": "array"}}
    for level in range(1, 40):
        definitions[f"a{level}"] = {"allOf": [{"$ref": f"#/$defs/a{level - 1}"}] * 2}
    with pytest.raises(Unanswerable, match="reasonable time"):
        Checker({"$defs": definitions, "$ref": "#/$defs/a39"}).problem([])
    with pytest.raises(Unanswerable, match="reasonable time"):
        Checker({"$ref": "#"}).problem([])


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"allOf": [{"items": {"minimum": 0}}] * 100}, list(range(100))),
        ({"items": {"enum": list(range(100))}}, [99] * 100),
        ({"uniqueItems": True}, [{"a": number} for number in range(100)]),
    ],
)
def test_a_large_value_times_a_large_schema_is_answered(
    schema: dict[str, Any], value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    checker = Checker(schema)
    assert checker.problem(value) == ""
    monkeypatch.setattr(schemas, "CHECKS", 4_000)
    with pytest.raises(Unanswerable, match="reasonable time"):
        checker.problem(value)


def test_what_can_be_checked_in_little_time_is() -> None:
    assert Checker({"uniqueItems": True}).problem([str(number) for number in range(3_000)]) == ""
    assert (
        Checker({"items": {"uniqueItems": True}}).problem([[1, 2, 1.0]]) == "$[0]: [1, 2, 1.0] has non-unique elements"
    )
