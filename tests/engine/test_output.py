"""Declared types of values: what a script gets is what will replay, and what cannot be encoded is an error at once."""

import json
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, computed_field

from antiphon.engine import SchemaMismatch, UsageError, output_type
from antiphon.engine.output import is_scalar, strict_json

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(), inside, max_size=3),
    max_leaves=8,
)


class Finding(BaseModel):
    """A value with a nested list."""

    path: str
    lines: list[int] = []


class Aliased(BaseModel):
    """A value whose names differ between Python and JSON, and that shows more than it takes."""

    model_config = ConfigDict(extra="forbid")
    kind: str = Field(alias="type")

    @computed_field
    def loud(self) -> str:
        """Never read back."""
        return self.kind.upper()


@dataclass
class Point:
    """A plain dataclass."""

    x: int
    y: int


def through(declared: object, value: object) -> Any:
    """What a script gets of a value."""
    kind = output_type(declared)
    return kind.decode(kind.encode(value))


@given(json_values)
def test_any_json_comes_through_as_it_is_and_as_a_copy(value: Any) -> None:
    got = through(None, value)
    assert got == value
    assert json.dumps(got) == json.dumps(value)
    if isinstance(value, list | dict):
        assert got is not value


@pytest.mark.parametrize("value", [{1, 2}, object(), float("nan"), float("inf"), b"x", Point(1, 2), {"a": {1}}])
def test_what_json_cannot_hold_is_an_error_at_once(value: object) -> None:
    with pytest.raises(SchemaMismatch, match="cannot be written as JSON"):
        output_type(None).encode(value)


def test_a_value_that_contains_itself_is_an_error() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(SchemaMismatch):
        strict_json(value)


@pytest.mark.parametrize(
    ("declared", "value", "expected"),
    [
        (Finding, {"path": "a.py", "lines": [1]}, Finding(path="a.py", lines=[1])),
        (Finding, Finding(path="a.py"), Finding(path="a.py")),
        (Aliased, {"type": "x"}, Aliased(type="x")),
        (Point, {"x": 1, "y": 2}, Point(1, 2)),
        (Point, Point(1, 2), Point(1, 2)),
        (list[Point], [Point(1, 2)], [Point(1, 2)]),
        (dict[str, tuple[int, str]], {"a": (1, "b")}, {"a": (1, "b")}),
        (date, date(2026, 1, 2), date(2026, 1, 2)),
        (int | None, None, None),
        (bool, True, True),
    ],
)
def test_a_declared_type_gives_an_instance(declared: object, value: object, expected: object) -> None:
    assert through(declared, value) == expected


@pytest.mark.parametrize(
    ("declared", "value", "problem"),
    [
        (Finding, {"lines": [1]}, "path: Field required"),
        (Finding, {"path": 1, "lines": ["x"]}, "and 1 more"),
        (int, "many", "value"),
        (float, float("nan"), "value"),
    ],
)
def test_a_value_that_does_not_fit_keeps_its_text(declared: object, value: object, problem: str) -> None:
    with pytest.raises(SchemaMismatch) as raised:
        through(declared, value)
    assert problem in raised.value.problem
    assert raised.value.raw


def test_the_text_of_what_did_not_fit_is_kept_whole() -> None:
    with pytest.raises(SchemaMismatch) as raised:
        output_type(Finding).encode('{"path": "a.py"}')
    assert json.loads(raised.value.raw) == '{"path": "a.py"}'


def test_a_json_schema_checks_and_leaves_plain_json() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    assert through(schema, {"n": 1}) == {"n": 1}
    with pytest.raises(SchemaMismatch, match=r"\$\.n"):
        through(schema, {"n": "x"})
    with pytest.raises(UsageError, match="not a JSON Schema"):
        output_type({"type": "nothing"})


@pytest.mark.parametrize("declared", [object(), "findings", pytest, lambda: None])
def test_what_is_no_type_is_a_usage_error(declared: object) -> None:
    with pytest.raises(UsageError, match="not a type whose values can be recorded"):
        output_type(declared)


def test_fingerprints_tell_types_apart_and_are_stable() -> None:
    kinds = [None, int, str, list[int], Finding, Point, {"type": "object"}]
    assert len({output_type(kind).fingerprint for kind in kinds}) == len(kinds)
    assert output_type(Finding).fingerprint == output_type(Finding).fingerprint
    one, other = {"type": "object", "title": "x"}, {"title": "x", "type": "object"}
    assert output_type(one).fingerprint == output_type(other).fingerprint


def test_only_values_that_decode_to_themselves_are_scalars() -> None:
    class Text(str):
        """Not plain text: decoding would lose what it is."""

    assert all(is_scalar(value) for value in ("a", 1, True, None))
    others: list[object] = [1.5, [], {}, Text("a")]
    assert not any(is_scalar(value) for value in others)
