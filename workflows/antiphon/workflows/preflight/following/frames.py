"""The names of a script with what is known of each, while its outline is made."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from antiphon.workflows.preflight.following.values import Value, joined

GROWING: Final = frozenset({"append", "add", "insert", "appendleft"})
EXTENDING: Final = frozenset({"extend", "update", "extendleft"})
CHANGING: Final = GROWING | EXTENDING | {"setdefault", "pop", "popitem", "popleft", "clear", "remove", "discard"}
YIELDED: Final = "(what it yields)"
"""The name under which a generator's values are collected."""


@dataclass(slots=True, eq=False)
class Frame:
    """The names of a function that is looked at, and the frame around it; `passing` is that of a comprehension."""

    values: dict[str, Value] = field(default_factory=dict[str, Value])
    around: Frame | None = None
    passing: bool = False

    def look(self, name: str) -> Value | None:
        """What is known of a name; None where it is not bound here or around."""
        frame: Frame | None = self
        while frame is not None:
            if name in frame.values:
                return frame.values[name]
            frame = frame.around
        return None

    def home(self, name: str) -> Frame:
        """The frame that a name is bound in; this one where it is bound nowhere."""
        frame: Frame | None = self
        while frame is not None:
            if name in frame.values:
                return frame
            frame = frame.around
        return self


def captured_names(pattern: ast.pattern) -> frozenset[str]:
    """The names that a pattern binds."""
    return frozenset(name for node in ast.walk(pattern) for name in _changed(node))


def merged(ways: Sequence[Mapping[str, Value]]) -> dict[str, Value]:
    """What is known where one of several ways was gone."""
    if len(ways) == 1:
        return dict(ways[0])
    names = dict.fromkeys(name for way in ways for name in way)
    return {name: _either(name, ways) for name in names}


def _either(name: str, ways: Sequence[Mapping[str, Value]]) -> Value:
    first = ways[0].get(name)
    if first is not None and all(way.get(name) is first for way in ways):
        return first
    return joined([way[name] for way in ways if name in way])


def changed_names(statements: Sequence[ast.stmt]) -> frozenset[str]:
    """The names that some statements bind, or change in place."""
    return frozenset(name for statement in statements for node in ast.walk(statement) for name in _changed(node))


def _changed(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)) if method in CHANGING:
            yield name
        case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.MatchMapping(rest=str(name)):
            yield name
        case ast.alias(name=name, asname=asname):
            yield asname or name.partition(".")[0]
        case ast.Yield() | ast.YieldFrom():
            yield YIELDED
        case _:
            pass


def changed_in_place(whole: ast.AST) -> frozenset[str]:
    """The names that are changed in place somewhere in a part of a script."""
    found: set[str] = set()
    for node in ast.walk(whole):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)) if method in CHANGING:
                found.add(name)
            case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()):
                found.add(name)
            case ast.AugAssign(target=ast.Name(id=name)):
                found.add(name)
            case _:
                pass
    return frozenset(found)


def rebound_names(whole: ast.AST) -> frozenset[str]:
    """The names that are given another value somewhere in a part of a script, and not changed in place."""
    added = {id(node.target) for node in ast.walk(whole) if isinstance(node, ast.AugAssign)}
    stores = (node for node in ast.walk(whole) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    return frozenset(node.id for node in stores if id(node) not in added)
