"""Schemas of strangers, and answers of theirs: what is taken, what is refused, and that nothing takes for ever."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp.types import CallToolResult

from antiphon.subagents.tools import ToolResult
from antiphon.subagents.tools.mcp.results import CHARACTERS, PARTS, told, without
from antiphon.subagents.tools.mcp.schema import SchemaUnsuitable, check_schema, checker


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def doubling(levels: int) -> dict[str, Any]:
    defs: dict[str, Any] = {"d0": {"type": "string"}}
    for level in range(1, levels):
        defs[f"d{level}"] = {"anyOf": [{"$ref": f"#/$defs/d{level - 1}"}] * 2}
    return {"type": "object", "$defs": defs, "properties": {"a": {"$ref": f"#/$defs/d{levels - 1}"}}}


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({}, "not of an object"),
        ({"type": ["object", "null"]}, "not of an object"),
        (nested(40), "nested deeper than 32"),
        ({"type": "object", "description": "x" * 70_000}, "bytes, more than 65,536"),
        (doubling(30), "more than 20,000 subschemas"),
        ({"type": "object", "properties": {"a": {"$ref": "https://example.org/x"}}}, "which is no place in it"),
        ({"type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}}, "which is no place in it"),
        ({"type": "object", "properties": {"a": {"$ref": "#anchor"}}}, "which is no place in it"),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/none"}}}, "which is not there"),
        ({"type": "object", "properties": []}, "its schema is none"),
        ({"type": "object", "required": "a"}, "its schema is none"),
        ({"type": "object", "properties": {"a": {"type": "text"}}}, "its schema is none"),
        ({"type": "object", "default": float("inf")}, "a number that JSON has not"),
    ],
)
def test_a_schema_that_is_not_taken(schema: dict[str, Any], says: str) -> None:
    with pytest.raises(SchemaUnsuitable, match=says):
        check_schema(schema)


Held = tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]
HELD: list[Held] = [
    (
        {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
        {"a": 1},
        [{}, {"a": "1"}, {"a": 1.5}],
    ),
    (
        {
            "type": "object",
            "$defs": {"tree": {"type": "object", "properties": {"kids": {"items": {"$ref": "#/$defs/tree"}}}}},
            "properties": {"root": {"$ref": "#/$defs/tree"}},
        },
        {"root": {"kids": [{"kids": []}]}},
        [{"root": {"kids": [{"kids": [3]}]}}],
    ),
    # What draft 7 says, as many servers do: a list of items is a tuple there.
    (
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "properties": {"pair": {"items": [{"type": "string"}, {"type": "integer"}]}},
        },
        {"pair": ["a", 1]},
        [{"pair": [1, "a"]}],
    ),
    # Names that are words of schemas elsewhere.
    (
        {"type": "object", "properties": {"pattern": {"type": "string"}, "$ref": {"type": "integer"}}},
        {"pattern": "x", "$ref": 1},
        [{"pattern": 1}, {"$ref": "x"}],
    ),
    # Whether a name fits an expression is the server's to say, so none is refused for it here.
    (
        {"type": "object", "patternProperties": {"^(a+)+$": {}}, "additionalProperties": False, "maxProperties": 1},
        {"a" * 50 + "!": 1},
        [{"a": 1, "b": 2}],
    ),
]


@pytest.mark.parametrize(
    ("schema", "fits", "does_not"),
    HELD,
    ids=["plain", "recursive", "draft 7", "names", "expressions"],
)
def test_arguments_are_held_to_a_schema(schema: dict[str, Any], fits: Any, does_not: list[Any]) -> None:
    check_schema(schema)
    problem = checker(schema)
    assert problem(fits) == ""
    for arguments in does_not:
        assert problem(arguments)


def test_what_refers_to_itself_without_end_is_given_up() -> None:
    endless = {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"$ref": "#/$defs/a"}}}
    check_schema(endless)
    assert "in reasonable time" in checker(endless)({"a": 1})
    # Twice as much with every level of what it is given.
    both = [{"properties": {"x": {"$ref": "#/$defs/a"}}}] * 2
    growing: dict[str, Any] = {"type": "object", "$defs": {"a": {"allOf": both}}, "allOf": both}
    check_schema(growing)
    arguments: dict[str, Any] = {}
    for _ in range(60):
        arguments = {"x": arguments}
    assert "in reasonable time" in checker(growing)(arguments)
    for _ in range(10):
        arguments = {"x": arguments}
    assert "nested deeper than 64" in checker(growing)(arguments)


def test_problems_are_few_and_short() -> None:
    schema = {"type": "object", "properties": {f"p{n}": {"const": "x" * 9_000} for n in range(6)}}
    check_schema(schema)
    said = checker(schema)({f"p{n}": n for n in range(6)})
    assert len(said) < 1_500
    assert said.endswith("and more")


def answer(*content: dict[str, Any], **said: Any) -> ToolResult:
    return told(CallToolResult.model_validate({"content": list(content), **said}))


def test_what_a_server_answers_is_told_as_text() -> None:
    text = {"type": "text", "text": "one"}
    assert answer(text, {"type": "text", "text": "two"}).text == "one\ntwo"
    assert answer(text, isError=True) == ToolResult("one", failed=True)
    assert answer().text == "(nothing)"
    image = {"type": "image", "data": "QUJDRA==", "mimeType": "image/png"}
    assert answer(image).text == "[image of image/png, 6 bytes: not shown]"
    link = {"type": "resource_link", "uri": "file:///a", "name": "a", "description": "d"}
    assert answer(link).text == "[resource file:///a (a): d]"
    inside = {"type": "resource", "resource": {"uri": "file:///a", "text": "content"}}
    assert answer(inside).text == "[resource file:///a]\ncontent"
    blob = {"type": "resource", "resource": {"uri": "file:///a", "blob": "QUJD"}}
    assert answer(blob).text == "[resource file:///a of no type, 3 bytes: not shown]"


def test_structured_content_is_told_once() -> None:
    content = {"b": 1, "a": [True]}
    assert answer(structuredContent=content).text == '{"a": [true], "b": 1}'
    assert (
        answer({"type": "text", "text": '{"a":[true],"b":1}'}, structuredContent=content).text == '{"a":[true],"b":1}'
    )
    assert answer({"type": "text", "text": "3"}, structuredContent={"result": 3}).text == "3"
    assert answer({"type": "text", "text": "done"}, structuredContent=content).text == 'done\n{"a": [true], "b": 1}'


def test_an_answer_is_capped_and_holds_no_secret() -> None:
    long = answer({"type": "text", "text": "x" * (CHARACTERS + 50)}).text
    assert len(long) < CHARACTERS + 100
    assert long.endswith("[50 more characters]")
    assert answer(*[{"type": "text", "text": "x"}] * (PARTS + 5)).text.endswith("[5 more parts, not shown]")
    assert without("key s3cret-key, again s3cret-key", {"KEY": "s3cret-key"}) == "key [$KEY], again [$KEY]"
    odd = 'pa"ss\\wörd'
    assert without(f"{odd} {json.dumps(odd)} {json.dumps(odd, ensure_ascii=False)}", {"K": odd}) == '[$K] "[$K]" "[$K]"'
    assert without("secret-longer", {"A": "secret", "B": "secret-longer"}) == "[$B]", "one may be a part of another"


WORDS = st.sampled_from(
    ["type", "properties", "items", "$ref", "$defs", "a", "anyOf", "not", "required", "pattern", "$id", "enum", "const"]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["object", "string", "#", "#/$defs/a", "(a+)+$"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=20,
)


PIECES = st.sampled_from(
    [
        {},
        {"type": "string"},
        {"type": "integer"},
        {"$ref": "#"},
        {"$ref": "#/$defs/a"},
        True,
        False,
        {"pattern": "(a+)+$"},
    ]
)
DRAFTS = st.sampled_from([f"http://json-schema.org/draft-0{number}/schema#" for number in (3, 4, 7)])


def grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    by_name, expression = (
        st.dictionaries(WORDS, inner, max_size=3),
        st.dictionaries(st.just("(a+)+$"), inner, max_size=1),
    )
    single = dict.fromkeys(("items", "not", "if", "then", "contains", "propertyNames", "additionalProperties"), inner)
    named = dict.fromkeys(("properties", "$defs", "dependentSchemas"), by_name)
    more = {"anyOf": st.lists(inner, min_size=1, max_size=3), "patternProperties": expression, "$schema": DRAFTS}
    return st.fixed_dictionaries({}, optional={**single, **named, **more})


def mapping(schema: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", schema) if isinstance(schema, dict) else {}


@settings(max_examples=60, deadline=None)
@given(st.recursive(PIECES, grown, max_leaves=12), st.dictionaries(WORDS, VALUES, max_size=3))
def test_whatever_a_schema_says_it_is_refused_or_can_be_held_to(schema: Any, arguments: dict[str, Any]) -> None:
    described: dict[str, Any] = {"properties": {"a": schema}, **mapping(schema), "type": "object"}
    try:
        check_schema(described)
    except SchemaUnsuitable:
        return
    assert isinstance(checker(described)(arguments), str)
