"""Names whose value may change behind their back: by another function, or through another name for the same thing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from antiphon.workflows.preflight.following.frames import CHANGING
from antiphon.workflows.syntax.scopes import Binding, Function, Scope, Script

_FRESH: Final = (
    ast.List,
    ast.ListComp,
    ast.Dict,
    ast.DictComp,
    ast.Set,
    ast.SetComp,
    ast.Tuple,
    ast.GeneratorExp,
    ast.Call,
    ast.BinOp,
    ast.Await,
    ast.Constant,
    ast.JoinedStr,
    ast.Compare,
    ast.UnaryOp,
)
"""Expressions that make a value of their own."""
_HOLDING: Final = (ast.List, ast.Tuple, ast.Set, ast.Dict, ast.IfExp, ast.BoolOp, ast.NamedExpr, ast.Starred)
Key = tuple[Scope | None, str]
ANY: Final = "*"
"""Among the attributes that change: any of them may."""


def contested_names(script: Script) -> frozenset[str]:
    """The names whose values are not plain to follow: of these nothing is claimed."""
    return frozenset({*_foreign(script), *_Aliases(script).found()})


def root_of(node: ast.AST) -> ast.Name | None:
    """The name at the beginning of ``a.b[c].get(d)``."""
    while True:
        match node:
            case ast.Name():
                return node
            case ast.Attribute(value=inner) | ast.Subscript(value=inner):
                node = inner
            case ast.Call(func=ast.Attribute(value=inner)):
                node = inner
            case _:
                return None


def _foreign(script: Script) -> Iterator[str]:
    """What a function changes although it is another's, or may be changed by the object that it was handed to."""
    kept = contested_attributes(script)
    for node in script.nodes:
        if kept and isinstance(node, ast.Call) and isinstance(_defined(script, node), ast.ClassDef):
            given = [*node.args, *(one.value for one in node.keywords)]
            yield from (one.id for one in given if isinstance(one, ast.Name))
        if isinstance(node, ast.Global | ast.Nonlocal):
            yield from node.names
        place = _changed_place(node)
        name = None if place is None else root_of(place)
        home = None if name is None else script.resolve(name)
        if name is not None and home is not None and home.node is not script.function(name):
            yield name.id


def _defined(script: Script, call: ast.Call) -> ast.AST | None:
    """The function or class of this file that is called."""
    binding = script.only_binding(call.func) if isinstance(call.func, ast.Name) else None
    return None if binding is None else binding.node


def _changed_place(node: ast.AST) -> ast.expr | None:
    """What a statement or call changes in place."""
    match node:
        case ast.Call(func=ast.Attribute(value=place, attr=method)) if method in CHANGING:
            return place
        case ast.Subscript(value=place, ctx=ast.Store() | ast.Del()):
            return place
        case ast.AugAssign(target=ast.Attribute() | ast.Subscript() as place):
            return place
        case _:
            return None


def _is_attribute(place: ast.expr) -> bool:
    """``self.found``: of attributes that change nothing is claimed, whatever they belong to."""
    while isinstance(place, ast.Subscript):
        place = place.value
    return isinstance(place, ast.Attribute)


class _Aliases:
    """Finds values that are changed under one name and looked at under another."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self._names: set[str] = set()
        self._changes: dict[Key, list[ast.expr]] = {}

    def found(self) -> set[str]:
        """The names of all of them."""
        for node in self.script.nodes:
            place = _changed_place(node)
            name = None if place is None else root_of(place)
            if name is None or place is None:
                continue
            if isinstance(place, ast.Name):
                self._changes.setdefault((self.script.resolve(name), name.id), []).append(place)
            elif not _is_attribute(place):
                self._with_sources(name)
        for scope in {id(scope): scope for scope in self.script.scopes.values()}.values():
            for bound, bindings in scope.bindings.items():
                for binding in bindings:
                    self._binding((scope, bound), binding)
        return self._names

    def _binding(self, key: Key, binding: Binding) -> None:
        source = binding.value if binding.value is not None else binding.iterated
        if source is None:
            return
        changed = key in self._changes
        if changed and (binding.iterated is not None or not self._is_fresh(source)):
            self._names.add(key[1])
            self._sources(source)
        for other in self._held(source):
            theirs = self.script.resolve(other), other.id
            if theirs in self._changes and not self._is_later(binding, self._changes[theirs], changed=changed):
                self._names.update((key[1], other.id))

    def _is_later(self, binding: Binding, changes: list[ast.expr], *, changed: bool) -> bool:
        """Whether a name is given after the last change, once and for all."""
        line = getattr(binding.node, "lineno", 0)
        if changed or any(place.lineno >= line for place in changes):
            return False
        return not any(
            isinstance(one, ast.For | ast.AsyncFor | ast.While) for one in self.script.ancestors(binding.node)
        )

    def _with_sources(self, name: ast.Name) -> None:
        if name.id in self._names:
            return
        self._names.add(name.id)
        for binding in self.script.bindings(name):
            source = binding.value if binding.value is not None else binding.iterated
            if source is not None:
                self._sources(source)

    def _sources(self, source: ast.expr) -> None:
        """The names that a value is put together from; a loop and not recursion, as there may be many."""
        todo = [source]
        while todo:
            for other in self._held(todo.pop()):
                if other.id in self._names:
                    continue
                self._names.add(other.id)
                todo += [one.value for one in self.script.bindings(other) if one.value is not None]

    def _is_fresh(self, source: ast.expr) -> bool:
        if isinstance(source, ast.Call) and isinstance(_defined(self.script, source), Function):
            return False  # it may hand back what it was given
        return isinstance(source, _FRESH) or (isinstance(source, ast.Subscript) and isinstance(source.slice, ast.Slice))

    def _held(self, source: ast.expr) -> Iterator[ast.Name]:
        """The names whose very values are in a value."""
        todo: list[ast.AST] = [source]
        while todo:
            node = todo.pop()
            if isinstance(node, ast.Name):
                yield node
            elif isinstance(node, _HOLDING):
                todo.extend(ast.iter_child_nodes(node))
            elif isinstance(node, ast.Call) and isinstance(_defined(self.script, node), Function):
                todo.extend(node.args)
            elif isinstance(node, ast.Attribute | ast.Subscript) or _is_view(node):
                root = root_of(node)
                if root is not None and not (isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice)):
                    yield root


def _is_view(node: ast.AST) -> bool:
    """``a.values()``, ``enumerate(a)``: other ways to the same things."""
    match node:
        case ast.Call(func=ast.Attribute(attr="values" | "items" | "get" | "setdefault")):
            return True
        case _:
            return False


def contested_attributes(script: Script) -> frozenset[str]:
    """The attributes that are set or changed anywhere but in an ``__init__``."""
    found: set[str] = set()
    for node in script.nodes:
        match node:
            case ast.Name(id="setattr" | "delattr" | "vars") | ast.Attribute(attr="__dict__" | "__setattr__"):
                found.add(ANY)
            case ast.Attribute(attr=name, ctx=ast.Store() | ast.Del()):
                function = script.function(node)
                if not (isinstance(function, Function) and function.name == "__init__"):
                    found.add(name)
            case ast.Call(func=ast.Attribute(value=ast.Attribute(attr=name), attr=method)) if method in CHANGING:
                found.add(name)
            case ast.Subscript(value=ast.Attribute(attr=name), ctx=ast.Store() | ast.Del()):
                found.add(name)
            case _:
                pass
    return frozenset(found)
