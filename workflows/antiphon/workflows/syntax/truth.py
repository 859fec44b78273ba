"""Conditions on what may be an Outcome. In monty an Outcome is true, whatever it came to, so these are refused.

Values are followed through names, attributes, containers and functions of the script: generously, for `if found:` that
is asked of an Outcome would take every failure for a success, without a word.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final, Literal

from antiphon.workflows.syntax.kinds import Found, Kinds
from antiphon.workflows.syntax.misuse import tested
from antiphon.workflows.syntax.scopes import Binding, Comprehension, Function, Scope

Shape = Literal["one", "all", "holds"]
"""An Outcome or a Tally; an Outcomes; a container that holds such things."""
Taint = frozenset[tuple[Shape, ast.Call | None]]
"""What an expression may be, and of which construct; None where there are too many to tell them apart."""
_NONE: Final[Taint] = frozenset()
_GIVES: Final[dict[str, Shape]] = {"parallel": "all", "pipeline": "all", "branch": "one", "quorum": "one"}
_FANS: Final = frozenset({*_GIVES, "race"})
_PLAIN: Final = frozenset(
    ("ok", "kind", "reason", "item", "path", "category", "complete", "census", "decided", "votes", "missing")
)
"""What an Outcome, an Outcomes or a Tally has that is none itself."""
_SAY_NOTHING: Final = frozenset(
    ("len", "str", "repr", "print", "isinstance", "int", "float", "bool", "hash", "type", "id", "format", "any", "all")
)
_PUTS: Final = frozenset(("append", "extend", "insert", "add", "setdefault", "appendleft", "update"))
_MOST_ROUNDS: Final = 40
_MOST_READ: Final = 1_000_000
_MOST_APART: Final = 200
_DEEPEST: Final = 100

_FIX: Final = "ask for `.ok` of each, or `if found.succeeded():`; `.decided == 'yes'` of a Tally"


def doubtful_conditions(kinds: Kinds) -> Iterator[Found]:
    """Every condition on something that may be an Outcome, an Outcomes or a Tally."""
    reading = _Reading(kinds)
    if not reading.begins:
        return
    if not reading.settle():
        yield kinds.script.tree, "this script is too long or too twisted to follow its Outcomes", "a shorter one"
    for node in kinds.script.nodes:
        for condition in (*tested(kinds, node), *_counted(kinds, node)):
            if _is_outcome(reading.of(condition)):
                yield condition, "this may be an Outcome, which is always true in monty", _FIX
        if isinstance(node, ast.Call) and kinds.builtin(node) in ("any", "all", "filter"):
            for given in _asked_of(kinds, node):
                if _is_outcome(reading.inside(given)):
                    yield given, "these may be Outcomes, which are always true in monty", _FIX


def _is_outcome(taint: Taint) -> bool:
    return any(shape != "holds" for shape, _ in taint)


def _as(shape: Shape, taint: Taint) -> Taint:
    return frozenset((shape, construct) for _, construct in taint)


def _parts(taint: Taint) -> Taint:
    """What a part of it may be: of an Outcomes an Outcome, of a container anything."""
    held = frozenset(one for one in taint if one[0] == "holds")
    return _as("one", frozenset(one for one in taint if one[0] == "all")) | _anything(held)


def _anything(taint: Taint) -> Taint:
    return _as("one", taint) | _as("all", taint) | _as("holds", taint)


def _counted(kinds: Kinds, node: ast.AST) -> list[ast.expr]:
    return node.args[:1] if isinstance(node, ast.Call) and kinds.builtin(node) == "bool" else []


def _asked_of(kinds: Kinds, call: ast.Call) -> list[ast.expr]:
    if kinds.builtin(call) != "filter":
        return call.args[:1]
    match call.args:
        case [ast.Constant(value=None) | ast.Name(id="bool"), given]:
            return [given]
        case _:
            return []


class _Reading:
    """What names, attributes and functions may hold, read over and over until nothing is added."""

    def __init__(self, kinds: Kinds) -> None:
        self._kinds, self._script = kinds, kinds.script
        self._names: dict[tuple[Scope | None, str], Taint] = defaultdict(frozenset)
        self._attributes: dict[str, Taint] = defaultdict(frozenset)
        self._returns: dict[ast.AST, Taint] = defaultdict(frozenset)
        # What the items of a construct may come to: one that gives an Outcomes is nested.
        self._values: dict[ast.Call | None, Taint] = defaultdict(frozenset)
        # What was found out about an expression in this round; and how deep the question goes that is being answered.
        self._known: dict[ast.expr, Taint] = {}
        self._depth = 0
        self._calls = [node for node in self._script.nodes if isinstance(node, ast.Call)]
        self._functions: dict[str, list[Function]] = defaultdict(list)
        for node in self._script.nodes:
            if isinstance(node, Function):
                self._functions[node.name].append(node)
        scopes = (self._script.module, *self._script.inner.values())
        self._bindings = [
            ((scope, name), binding) for scope in scopes for name, all_ in scope.bindings.items() for binding in all_
        ]
        constructs = [call for call in self._calls if kinds.api_name(call) in _FANS]
        self.begins = bool(constructs)
        self._apart = len(constructs) <= _MOST_APART

    def settle(self) -> bool:
        """Read the script until what is known does not grow; whether that came to its end."""
        for _round in range(max(3, min(_MOST_ROUNDS, _MOST_READ // len(self._script.nodes)))):
            before = self._all_known()
            self._known.clear()
            self._read()
            if before == self._all_known():
                return True
        return False

    def _all_known(self) -> tuple[object, ...]:
        return dict(self._names), dict(self._attributes), dict(self._returns), dict(self._values)

    def _read(self) -> None:
        # There and back by turns, so that a chain of names is followed in one go, whichever way it runs.
        self._bindings.reverse()
        for name, binding in self._bindings:
            self._names[name] |= self._bound(binding)
        for node in self._script.nodes:
            self._read_statement(node)
        for call in self._calls:
            self._read_call(call)

    def _read_statement(self, node: ast.AST) -> None:
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._store(target, self.of(value))
            case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.AugAssign(target=target, value=value):
                self._store(target, self.of(value))
            case ast.Return(value=ast.expr() as value):
                self._returns[self._script.function(node)] |= self.of(value)
            case ast.Lambda(body=body):
                self._returns[node] |= self.of(body)
            case _:
                pass

    def _store(self, target: ast.expr, taint: Taint) -> None:
        match target:
            case ast.Attribute(attr=attr):
                self._attributes[attr] |= taint
            case ast.Subscript(value=base) if taint:
                self._store(base, _as("holds", taint))
            case ast.Name():
                self._names[self._script.resolve(target), target.id] |= taint
            case _:
                pass

    def _bound(self, binding: Binding) -> Taint:
        if binding.value is not None:
            return self.of(binding.value)
        if binding.iterated is not None:
            return self.inside(binding.iterated) if binding.position is None else self._deep(binding.iterated)
        return _NONE

    def _deep(self, node: ast.expr) -> Taint:
        """One of several that are unpacked: of `enumerate`, `zip`, `.items()`, or a tuple."""
        return _anything(self.of(node))

    def _read_call(self, call: ast.Call) -> None:
        given = [*call.args, *(one.value for one in call.keywords)]
        if isinstance(call.func, ast.Attribute) and call.func.attr in _PUTS:
            self._store(call.func.value, _as("holds", self._any(given)))
        function, name = self._kinds.function(call.func), self._kinds.api_name(call)
        if function is not None:
            self._read_arguments(call, function)
        elif name in _FANS:
            self._read_construct(call, name)
        else:
            for one in given:
                self._hand(one, _parts(self._any(given)))

    def _read_construct(self, call: ast.Call, name: str) -> None:
        site = self._site(call)
        for keyword in call.keywords:
            if keyword.arg == "until":
                self._hand(keyword.value, frozenset({("holds", site)}))
        for stage in call.args[1:] if name == "pipeline" else []:
            function = self._kinds.function(stage)
            self._values[site] |= self._returns.get(function, _NONE) if function is not None else _NONE
        if name == "branch":
            self._values[site] |= self._any(call.args[1:2])
        elif call.args and name != "pipeline":
            self._values[site] |= self.inside(call.args[0])

    def _site(self, call: ast.Call) -> ast.Call | None:
        return call if self._apart else None

    def _hand(self, given: ast.expr, taint: Taint) -> None:
        function = self._kinds.function(given)
        scope = self._script.inner.get(function) if function is not None else None
        for place in function.args.args[:1] if function is not None and taint else []:
            self._names[scope, place.arg] |= taint

    def _read_arguments(self, call: ast.Call, function: Function | ast.Lambda) -> None:
        scope, places = self._script.inner.get(function), [*function.args.posonlyargs, *function.args.args]
        if scope is None:
            return
        for place, given in zip(places, call.args, strict=False):
            self._names[scope, place.arg] |= self.of(given)
        for keyword in call.keywords:
            if keyword.arg is not None:
                self._names[scope, keyword.arg] |= self.of(keyword.value)

    # --- expressions ----------------------------------------------------------------------------------------------

    def of(self, node: ast.expr) -> Taint:
        """What `node` may be."""
        if node not in self._known:
            if self._depth > _DEEPEST:
                return _NONE
            self._depth += 1
            self._known[node] = self._of(node)
            self._depth -= 1
        return self._known[node]

    def _of(self, node: ast.expr) -> Taint:
        match node:
            case ast.Await(value=value) | ast.NamedExpr(value=value) | ast.Starred(value=value):
                return self.of(value)
            case ast.Name():
                return self._names.get((self._script.resolve(node), node.id), _NONE)
            case ast.Attribute(value=value, attr=attr):
                return self._attribute(value, attr)
            case ast.Subscript(value=value, slice=index):
                return _as("holds", self.of(value)) if isinstance(index, ast.Slice) else self.inside(value)
            case ast.Call():
                return self._call(node)
            case _:
                return self._composed(node)

    def _composed(self, node: ast.expr) -> Taint:
        """Of an expression that chooses between others, or holds them."""
        match node:
            case ast.BoolOp(values=values):
                return self._any(values)
            case ast.IfExp(body=one, orelse=other) | ast.BinOp(left=one, right=other):
                return self.of(one) | self.of(other)
            case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts) | ast.Dict(values=parts):
                return self._holding(parts)
            case ast.ListComp(elt=element) | ast.SetComp(elt=element) | ast.GeneratorExp(elt=element):
                return self._holding([element])
            case ast.DictComp(value=element):
                return self._holding([element])
            case _:
                return _NONE

    def inside(self, node: ast.expr) -> Taint:
        """What a part of `node` may be."""
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            return self._any(node.elts)
        if isinstance(node, Comprehension) and not isinstance(node, ast.DictComp):
            return self.of(node.elt)
        return _parts(self.of(node))

    def _any(self, nodes: Iterable[ast.expr]) -> Taint:
        return _NONE.union(*(self.of(node) for node in nodes))

    def _holding(self, nodes: Iterable[ast.expr | None]) -> Taint:
        return _as("holds", self._any(node for node in nodes if node is not None))

    def _attribute(self, value: ast.expr, attr: str) -> Taint:
        whole = self.of(value)
        if _is_outcome(whole):
            return self._of_outcome(whole, attr)
        return self._attributes.get(attr, _NONE)

    def _of_outcome(self, whole: Taint, attr: str) -> Taint:
        if attr == "value":
            return self._valued(whole)
        if attr == "outcomes":
            return _as("all", whole)
        return _NONE if attr in _PLAIN else self._attributes.get(attr, _NONE)

    def _valued(self, whole: Taint) -> Taint:
        """What the values of these outcomes may be."""
        return _NONE.union(*(self._values.get(construct, _NONE) for _, construct in whole))

    def _call(self, call: ast.Call) -> Taint:
        name = self._kinds.api_name(call)
        if name in _GIVES:
            return frozenset({(_GIVES[name], self._site(call))})
        if name:
            return self._values.get(self._site(call), _NONE) if name == "race" else _NONE
        function = self._kinds.function(call.func)
        if function is not None:
            return self._returns.get(function, _NONE)
        if isinstance(call.func, ast.Attribute):
            return self._method(call.func)
        return self._builtin(call)

    def _builtin(self, call: ast.Call) -> Taint:
        name = self._kinds.builtin(call)
        given = self._any((*call.args, *(one.value for one in call.keywords)))
        if name in _SAY_NOTHING:
            return _NONE
        return _parts(_anything(given)) if name in ("next", "min", "max") else _as("holds", given)

    def _method(self, method: ast.Attribute) -> Taint:
        whole = self.of(method.value)
        if _is_outcome(whole):
            if method.attr == "succeeded":
                return _as("holds", self._valued(whole))
            return _as("holds", whole) if method.attr in ("degraded", "failed") else _NONE
        if whole:
            return whole if method.attr in ("values", "items", "copy") else _anything(whole)
        return _NONE.union(*(self._returns.get(one, _NONE) for one in self._functions.get(method.attr, ())))
