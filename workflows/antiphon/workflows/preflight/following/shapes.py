"""What an agent is asked to give: JSON Schema, and classes of the script, as far as they say how long a list may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Final, cast

from antiphon.tracing import Json
from antiphon.workflows.preflight.following.values import NOTHING, Class, Known, Record, Shaped, Unknown, Value, to_json

_DEEPEST: Final = 8
_LISTS: Final = frozenset({"list", "List", "Sequence", "tuple", "set", "frozenset", "conlist"})


def shaped(output: Value, source: str) -> Value:
    """What an agent gives that is asked for `output`."""
    match output:
        case Record():
            plain, schema = to_json(output)
            return Shaped(cast("Mapping[str, Json]", schema), source) if plain else Unknown(source)
        case Class(node=node):
            return Shaped(schema_of(node), source)
        case _:
            return Unknown(source)


def part_of(whole: Value, index: Value) -> Value:
    """One part of what only a schema is known of."""
    match whole, index:
        case Shaped(schema=schema, source=source), Known(value=str() as name):
            inner = schema.get("properties")
            found = inner.get(name) if isinstance(inner, Mapping) else None
            return Shaped(cast("Mapping[str, Json]", found), source) if isinstance(found, Mapping) else Unknown(source)
        case Shaped(schema=schema, source=source), _:
            found = schema.get("items")
            return Shaped(cast("Mapping[str, Json]", found), source) if isinstance(found, Mapping) else Unknown(source)
        case Unknown(), _:
            return whole
        case _:
            return NOTHING


def schema_of(node: ast.ClassDef) -> dict[str, Json]:
    """The schema of a class with annotated fields, as far as lists and their lengths go."""
    properties: dict[str, Json] = {
        part.target.id: _schema(part.annotation, _longest(part.value), _DEEPEST)
        for part in node.body
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
    }
    return {"type": "object", "properties": properties}


def _schema(annotation: ast.expr, most: int | None, depth: int) -> dict[str, Json]:
    if depth and isinstance(annotation, ast.Subscript):
        name = _name(annotation.value)
        if name == "Annotated" and isinstance(annotation.slice, ast.Tuple):
            inner, *more = annotation.slice.elts
            found = [longest for one in more if (longest := _longest(one)) is not None]
            return _schema(inner, min(found) if found else most, depth - 1)
        if name in _LISTS:
            items = _schema(annotation.slice, None, depth - 1)
            return {"type": "array", "items": items, **({} if most is None else {"maxItems": most})}
    return {}


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _longest(node: ast.expr | None) -> int | None:
    """``Field(max_length=5)``: how long the value may be."""
    return next(_lengths(node), None) if isinstance(node, ast.Call) else None


def _lengths(node: ast.Call) -> Iterator[int]:
    for keyword in node.keywords:
        match keyword:
            case ast.keyword(arg="max_length" | "max_items", value=ast.Constant(value=int() as most)):
                yield most
            case _:
                pass
