"""Outcomes, tallies and un-awaited calls used as what they are not, and calls that nobody awaits."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

from antiphon.engine import outcome
from antiphon.engine.script.lazy import Lazy
from antiphon.workflows.syntax.kinds import Found, Kind, Kinds
from antiphon.workflows.syntax.scopes import Function, Loop

_WHAT: Final[dict[Kind, str]] = {
    "call": "a call that was never awaited",
    "outcome": "an Outcome",
    "outcomes": "an Outcomes",
    "tally": "a Tally",
}
_FIX: Final[dict[Kind, str]] = {
    "call": "await it: `value = await agent(...)`",
    "outcome": "ask for `.ok`, or match on `.kind`; `.value` is what the branch gave",
    "outcomes": "`.succeeded()` is a plain list of values, `.census` counts by outcome; iterate for each Outcome",
    "tally": 'compare `.decided == "yes"`; `.votes` has every vote',
}


def _names_of(*classes: type[Any]) -> frozenset[str]:
    return frozenset(name for one in classes for name in dir(one))


_OUTCOMES = cast(list[type[Any]], [outcome.Outcome, *outcome.Outcome.__subclasses__()])
_ATTRIBUTES: Final[dict[Kind, frozenset[str]]] = {
    "call": _names_of(Lazy),
    "outcome": _names_of(*_OUTCOMES),
    "outcomes": _names_of(outcome.Outcomes),
    "tally": _names_of(outcome.Tally),
}
# These take their argument into a subagent's context or into the record: values, and nothing around them.
_TAKE_VALUES: Final = frozenset({"agent", "step", "approve", "choose", "workflow", "put"})


def misuses(kinds: Kinds) -> Iterator[Found]:
    """Everything used as what it is not, and every call that is made and dropped."""
    for node in kinds.script.nodes:
        for check in _CHECKS:
            yield from check(kinds, node)


def _used_as(kinds: Kinds, node: ast.AST, use: str, *only: Kind) -> Iterator[Found]:
    kind = kinds.kind(node)
    if kind and (not only or kind in only):
        yield node, f"{_WHAT[kind]} is used as {use}", _FIX[kind]


# --- conditions ---------------------------------------------------------------------------------------------------


def _conditions(kinds: Kinds, node: ast.AST) -> Iterator[Found]:
    for condition in tested(kinds, node):
        yield from _used_as(kinds, condition, "a condition")


def tested(kinds: Kinds, node: ast.AST) -> Iterator[ast.expr]:
    """The expressions whose truth `node` asks for."""
    match node:
        case ast.If() | ast.While() | ast.IfExp() | ast.Assert():
            yield from _last(node.test)
        case ast.UnaryOp(op=ast.Not()):
            yield from _last(node.operand)
        case ast.BoolOp():
            yield from (one for value in node.values[:-1] for one in _last(value))
        case ast.comprehension():
            yield from (one for test in node.ifs for one in _last(test))
        case ast.match_case(guard=ast.expr() as guard):
            yield from _last(guard)
        case ast.Call(args=[only]) if kinds.builtin(node) == "bool":
            yield only
        case _:
            pass


def _last(test: ast.expr) -> Iterator[ast.expr]:
    """Of `a and b` in a condition, `b`; the others are asked wherever the expression is."""
    while isinstance(test, ast.BoolOp):
        test = test.values[-1]
    yield test


def _comparisons(kinds: Kinds, node: ast.AST) -> Iterator[Found]:
    if not isinstance(node, ast.Compare):
        return
    sides = [node.left, *node.comparators]
    if any(isinstance(side, ast.Constant) for side in sides):
        for side in sides:
            yield from _used_as(kinds, side, "a value to compare")


# --- values -------------------------------------------------------------------------------------------------------


def _attributes(kinds: Kinds, node: ast.AST) -> Iterator[Found]:
    if not isinstance(node, ast.Attribute) or not isinstance(node.ctx, ast.Load):
        return
    kind = kinds.kind(node.value)
    if kind and node.attr not in _ATTRIBUTES[kind]:
        yield node.value, f"{_WHAT[kind]} is used as a value; it has no {node.attr!r}", _FIX[kind]


def _subscripts(kinds: Kinds, node: ast.AST) -> Iterator[Found]:
    if isinstance(node, ast.Subscript):
        yield from _used_as(kinds, node.value, "a value", "outcome", "tally", "call")


def _iterations(kinds: Kinds, node: ast.AST) -> Iterator[Found]:
    if isinstance(node, Loop | ast.comprehension):
        yield from _used_as(kinds, node.iter, "a list", "outcome", "tally", "call")


def _arithmetic(kinds: Kinds, node: ast.AST) -> Iterator[Found]:
    match node:
        case ast.BinOp():
            yield from _used_as(kinds, node.left, "a value")
            yield from _used_as(kinds, node.right, "a value")
        case ast.AugAssign():
            yield from _used_as(kinds, node.value, "a value", "outcome", "tally", "call")
        case _:
            pass


def _counted(kinds: Kinds, node: ast.AST) -> Iterator[Found]:
    match node:
        case ast.Call(args=[only]) if kinds.builtin(node) in ("len", "any", "all", "sum", "int", "float"):
            yield from _used_as(kinds, only, "a value")
        case _:
            pass


def _given(kinds: Kinds, node: ast.AST) -> Iterator[Found]:
    """Arguments of calls that take values."""
    if isinstance(node, ast.Call) and kinds.api_name(node) in _TAKE_VALUES:
        for given in [*node.args, *(keyword.value for keyword in node.keywords)]:
            for part in _literal_parts(given):
                yield from _used_as(kinds, part, "a value")


def _literal_parts(node: ast.expr) -> Iterator[ast.expr]:
    """What stands in a literal: the items of a list or dict, the values of an f-string."""
    todo: list[ast.expr | None] = [node]
    while todo:
        match todo.pop():
            case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Dict(values=parts) | ast.JoinedStr(values=parts):
                todo += parts
            case ast.FormattedValue(value=value):
                todo.append(value)
            case None:
                pass
            case part:
                yield part


# --- never awaited ------------------------------------------------------------------------------------------------


def _dropped(kinds: Kinds, node: ast.AST) -> Iterator[Found]:
    match node:
        case ast.Expr(value=made):
            name = _never_run(kinds, made)
        case ast.Return(value=ast.expr() as made) if _is_main(kinds.script.scopes[node].node, kinds):
            name = kinds.lazy(made)
        case ast.Assign(targets=[ast.Name() as target], value=made) if _is_unused(kinds, target):
            name = kinds.lazy(made)
        case _:
            return
    if name:
        yield made, f"{name}(...) is never awaited, so it never runs", f"await {name}(...)"


def _never_run(kinds: Kinds, made: ast.expr) -> str:
    """The name of a call that a statement makes and drops, or ``""``."""
    if isinstance(made, ast.List | ast.Tuple) and made.elts:
        made = made.elts[0]
    elif isinstance(made, ast.ListComp | ast.SetComp | ast.GeneratorExp):
        made = made.elt
    called = kinds.function(made.func) if isinstance(made, ast.Call) else None
    if isinstance(called, ast.AsyncFunctionDef):
        return called.name
    return kinds.lazy(made) if isinstance(made, ast.Call) else ""


def _is_main(around: ast.AST, kinds: Kinds) -> bool:
    at_top = kinds.script.parents.get(around) is kinds.script.tree
    return at_top and isinstance(around, ast.AsyncFunctionDef) and around.name == "main"


def _is_unused(kinds: Kinds, target: ast.Name) -> bool:
    """Whether a name in a function is set and never read."""
    scope = kinds.script.scopes[target]
    if not isinstance(scope.node, Function) or (scope, target.id) in kinds.script.uses:
        return False
    return all(isinstance(binding.node, ast.Name) for binding in scope.bindings[target.id])


_CHECKS: Final[tuple[Callable[[Kinds, ast.AST], Iterator[Found]], ...]] = (
    _conditions,
    _comparisons,
    _attributes,
    _subscripts,
    _iterations,
    _arithmetic,
    _counted,
    _given,
    _dropped,
)
