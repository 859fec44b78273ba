"""What an output that is written in the script says of the value: whether there is one, and whether its lists end."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from antiphon.workflows.preflight.examined import Examined, Site
from antiphon.workflows.preflight.rules.reading import Reading

_LISTS: Final = frozenset({"list", "List", "tuple", "Tuple", "Sequence", "set", "frozenset"})
_BOUNDS: Final = frozenset({"max_length", "maxItems"})


def bounds_lists(reading: Reading, site: Site) -> bool:
    """Whether the lists in an answer are bounded by its schema, as far as can be seen; unknown counts as bounded."""
    return open_list(reading, site) is None and site.argument("output") is not None


def open_list(reading: Reading, site: Site) -> str | None:
    """The first list without a bound in the schema that a call writes out: its name, ``""`` for the whole; or None."""
    given = site.argument("output")
    return None if given is None else next(_open(reading.examined, given, "", set()), None)


def _open(examined: Examined, node: ast.expr | None, name: str, seen: set[ast.AST]) -> Iterator[str]:
    if node is None or node in seen:
        return
    seen.add(node)
    match node:
        case ast.Name() if (binding := examined.script.only_binding(node)) is not None:
            if isinstance(binding.node, ast.ClassDef):
                yield from _open_in_class(examined, binding.node, seen)
            else:
                yield from _open(examined, binding.value, name, seen)
        case ast.Name(id=kind) if kind in _LISTS:
            yield name
        case ast.Dict():
            yield from _open_in_schema(examined, node, name, seen)
        case ast.Subscript():
            yield from _open_in_type(examined, node, name, seen)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            yield from _open(examined, left, name, seen)
            yield from _open(examined, right, name, seen)
        case _:
            pass


def _open_in_schema(examined: Examined, schema: ast.Dict, name: str, seen: set[ast.AST]) -> Iterator[str]:
    """Arrays of a JSON schema that have no ``maxItems``."""
    said = {
        key.value: value
        for key, value in zip(schema.keys, schema.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }
    if examined.text(said.get("type")) == "array" and "maxItems" not in said:
        yield name
    properties = said.get("properties")
    if isinstance(properties, ast.Dict):
        for key, value in zip(properties.keys, properties.values, strict=True):
            yield from _open(examined, value, examined.text(key) or name, seen)
    if "items" in said:
        yield from _open(examined, said["items"], name, seen)


def _open_in_type(examined: Examined, node: ast.Subscript, name: str, seen: set[ast.AST]) -> Iterator[str]:
    """``list[str]``, but not ``Annotated[list[str], Field(max_length=9)]``, nor a tuple of so many."""
    kind = node.value.id if isinstance(node.value, ast.Name) else getattr(node.value, "attr", "")
    if kind == "Annotated":
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else []
        if parts and not any(_has_bound(part) for part in parts[1:]):
            yield from _open(examined, parts[0], name, seen)
    elif kind in ("tuple", "Tuple"):
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else []
        if any(isinstance(part, ast.Constant) and part.value is ... for part in parts):
            yield name
    elif kind in _LISTS:
        yield name


def _open_in_class(examined: Examined, own: ast.ClassDef, seen: set[ast.AST]) -> Iterator[str]:
    for statement in own.body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=value):
                if value is None or not _has_bound(value):
                    yield from _open(examined, annotation, name, seen)
            case _:
                pass


def _has_bound(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and any(keyword.arg in _BOUNDS for keyword in node.keywords)
