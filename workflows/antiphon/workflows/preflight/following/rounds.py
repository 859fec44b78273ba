"""How often a `while` loop goes around at most: by a number that it counts, a list that it empties, or the budget."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

from antiphon.workflows.preflight.following.frames import CHANGING, changed_names
from antiphon.workflows.preflight.following.values import Items, Known, Number, Unknown, Value, truth
from antiphon.workflows.preflight.model import NEVER, UNKNOWN, Bound
from antiphon.workflows.syntax.kinds import Kinds
from antiphon.workflows.syntax.scopes import SCRIPT

BUDGET: Final = "budget"
ENDLESS: Final = "nothing in it ends it"
_PLAIN: Final = frozenset({"len", "min", "max", "int"})
_TAKING: Final = frozenset({"pop", "popleft", "popitem"})
_Evaluate = Callable[[ast.expr], Value]


@dataclass(frozen=True, slots=True)
class Rounds:
    """How often a loop goes around.

    Attributes:
        bound: at most. construct: ``budget``, where readings of the budget end it.
        source, argument: where a number that nobody knows comes from.
        endless: whether nothing ever ends it. sure: whether it goes around exactly that often.
        dimension: of the budget: what is read.
    """

    bound: Bound
    construct: str = ""
    source: str = ""
    argument: bool = False
    endless: bool = False
    sure: bool = False
    dimension: str = ""


def rounds_of_while(node: ast.While, evaluate: _Evaluate, kinds: Kinds) -> Rounds:
    """The rounds of a `while` loop.

    Args:
        node: the loop.
        evaluate: what an expression comes to before its first round.
        kinds: of the script.
    """
    if truth(evaluate(node.test)) is False:
        return Rounds(NEVER)
    found = [_by_test(test, node, evaluate) for test in _all_of(node.test)]
    found += [_by_guard(guard, node, evaluate) for guard in _guards(node.body)]
    counted = [bound for bound in found if bound is not None and bound.worst is not None]
    if counted:
        best = min(counted, key=lambda bound: bound.worst or 0)
        alone = len(_all_of(node.test)) == 1 and not leaves_early(node.body) and _by_test(node.test, node, evaluate)
        return Rounds(best if alone else Bound(expected=None, worst=best.worst))
    dimension = _budget_read(node, kinds)
    if dimension:
        return Rounds(UNKNOWN, construct=BUDGET, source=f"budget ({dimension})", dimension=dimension)
    argument = next((bound for bound in found if bound is not None), None)
    constant = isinstance(node.test, ast.Constant) and bool(node.test.value)
    endless = constant and not leaves_early(node.body)
    told = ENDLESS if endless else "nobody knows when its condition fails"
    return Rounds(UNKNOWN, source=told, endless=endless, argument=argument is not None)


def leaves_early(body: Sequence[ast.stmt]) -> bool:
    """Whether a loop's body may leave the loop."""
    return any(_leaves(statement, inside=False) for statement in body)


def _leaves(node: ast.AST, *, inside: bool) -> bool:
    """`inside` of another loop a `break` means that one."""
    match node:
        case ast.Break():
            return not inside
        case ast.Return() | ast.Raise():
            return True
        case ast.Call(func=ast.Name(id="fail" | "replan")):
            return True
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda() | ast.ClassDef():
            return False
        case ast.For() | ast.AsyncFor() | ast.While():
            return any(_leaves(child, inside=True) for child in node.body) or any(
                _leaves(child, inside=inside) for child in node.orelse
            )
        case _:
            return any(_leaves(child, inside=inside) for child in ast.iter_child_nodes(node))


# --- counters -----------------------------------------------------------------------------------------------------


def _all_of(test: ast.expr) -> list[ast.expr]:
    """The conditions that must all hold."""
    return test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) else [test]


def _guards(body: Sequence[ast.stmt]) -> Iterator[ast.expr]:
    """The conditions under which the body leaves the loop, where it always gets to them."""
    for statement in body:
        if isinstance(statement, ast.If) and statement.body and _goes(statement.body[-1]):
            test = statement.test
            yield from test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or) else [test]
        elif any(isinstance(one, ast.Continue) for one in ast.walk(statement)):
            return


def _goes(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Break | ast.Return | ast.Raise)


def _by_test(test: ast.expr, loop: ast.While, evaluate: _Evaluate) -> Bound | None:
    """The rounds until a condition fails."""
    match test:
        case ast.Compare(left=ast.Name() as name, ops=[ast.Lt() | ast.LtE() as op], comparators=[limit]):
            return _counted(name, limit, loop, evaluate, up=True, closed=isinstance(op, ast.LtE))
        case ast.Compare(left=ast.Name() as name, ops=[ast.Gt() | ast.GtE() as op], comparators=[limit]):
            return _counted(name, limit, loop, evaluate, up=False, closed=isinstance(op, ast.GtE))
        case ast.Compare(left=limit, ops=[ast.Gt() | ast.GtE() as op], comparators=[ast.Name() as name]):
            return _counted(name, limit, loop, evaluate, up=True, closed=isinstance(op, ast.GtE))
        case ast.Name() as name:
            counted = _counted(name, ast.Constant(0), loop, evaluate, up=False, closed=False)
            met = counted is not None and _is_met(name, ast.Constant(0), loop, evaluate)
            return counted if met else _emptied(name, loop, evaluate)
        case _:
            return None


def _by_guard(guard: ast.expr, loop: ast.While, evaluate: _Evaluate) -> Bound | None:
    """The rounds until a condition under which the body leaves holds: the last of them may be cut short."""
    opposite: dict[type[ast.cmpop], ast.cmpop] = {
        ast.GtE: ast.Lt(),
        ast.Gt: ast.LtE(),
        ast.LtE: ast.Gt(),
        ast.Lt: ast.GtE(),
        ast.Eq: ast.Lt(),
    }
    match guard:
        case ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]) if not _is_met(left, right, loop, evaluate):
            return None
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in opposite:
            test = ast.copy_location(ast.Compare(left, [opposite[type(op)]], [right]), guard)
            found = _by_test(test, loop, evaluate)
            return None if found is None else found + Bound(expected=0, worst=1)
        case ast.UnaryOp(op=ast.Not(), operand=ast.Name() as name):
            return _by_test(name, loop, evaluate)
        case _:
            return None


def _counted(
    name: ast.Name, limit: ast.expr, loop: ast.While, evaluate: _Evaluate, *, up: bool, closed: bool
) -> Bound | None:
    step = _step(name.id, loop.body)
    if step is None or (step > 0) is not up or not _stays(limit, loop):
        return None
    start, end = evaluate(name), evaluate(limit)
    if not isinstance(start, Known) or not isinstance(start.value, int | float):
        return UNKNOWN if _given_by_person(start) else None
    if isinstance(end, Number) and up:
        return _far(end.bound, start.value, step, closed)
    if not isinstance(end, Known) or not isinstance(end.value, int | float):
        return UNKNOWN if _given_by_person(end) else None
    return Bound.exactly(_rounds((end.value - start.value) / step, closed))


def _is_met(name: ast.expr, limit: ast.expr, loop: ast.While, evaluate: _Evaluate) -> bool:
    """Whether a count comes to exactly its limit, and does not leap over it; of what a person gives, so it is taken."""
    step = _step(name.id, loop.body) if isinstance(name, ast.Name) else None
    start, end = evaluate(name), evaluate(limit)
    if step is None or _given_by_person(start) or _given_by_person(end):
        return step is not None
    if not (isinstance(start, Known) and isinstance(end, Known)):
        return False
    if type(start.value) is not int or type(end.value) is not int:
        return False
    distance = end.value - start.value
    return distance % step == 0 and distance / step >= 0


def _far(end: Bound, start: float, step: float, closed: bool) -> Bound:
    ends = [None if one is None else _rounds((one - start) / step, closed) for one in (end.expected, end.worst)]
    return Bound(expected=ends[0], worst=ends[1])


def _rounds(distance: float, closed: bool) -> float:
    return max(int(distance) + 1 if closed else ceil(distance), 0)


def _given_by_person(value: Value) -> bool:
    return isinstance(value, Unknown | Number) and value.argument


def _step(name: str, body: Sequence[ast.stmt]) -> float | None:
    """What a body adds to a number in every round; None where that is not plain."""
    steps: list[float] = []
    for statement in body:
        match statement:
            case ast.AugAssign(target=ast.Name(id=target), op=op, value=ast.Constant(value=int() | float() as by)):
                if target == name and isinstance(op, ast.Add | ast.Sub):
                    steps.append(by if isinstance(op, ast.Add) else -by)
            case ast.Assign(
                targets=[ast.Name(id=target)],
                value=ast.BinOp(left=ast.Name(id=left), op=op, right=ast.Constant(value=int() | float() as by)),
            ):
                if target == left == name and isinstance(op, ast.Add | ast.Sub):
                    steps.append(by if isinstance(op, ast.Add) else -by)
            case _:
                if any(isinstance(one, ast.Continue) for one in _own(statement)) and not steps:
                    return None
    stores = [one for part in body for one in ast.walk(part) if _stores(one, name)]
    return steps[0] if len(steps) == 1 and len(stores) == 1 and steps[0] else None


def _own(statement: ast.stmt) -> Iterator[ast.AST]:
    """The places in a statement that are not in a loop of their own."""
    todo: list[ast.AST] = [statement]
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, ast.For | ast.AsyncFor | ast.While):
            todo.extend(ast.iter_child_nodes(node))


def _stores(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)


def _names(node: ast.expr) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def _stays(limit: ast.expr, loop: ast.While) -> bool:
    """Whether a limit is the same in every round."""
    called = [one.func for one in ast.walk(limit) if isinstance(one, ast.Call)]
    plain = all(isinstance(one, ast.Name) and one.id in _PLAIN for one in called)
    return plain and not _names(limit) - _PLAIN & changed_names([loop])


# --- lists --------------------------------------------------------------------------------------------------------


def _emptied(name: ast.Name, loop: ast.While, evaluate: _Evaluate) -> Bound | None:
    """A list that every round takes something out of, and that nothing is put into."""
    before = evaluate(name)
    if not isinstance(before, Items | Unknown):
        return None
    width = _taken(name.id, loop)
    if width is None:
        return None
    if isinstance(before, Unknown):
        return UNKNOWN if before.argument else None
    ends = [None if one is None else float(ceil(one / width)) for one in (before.size.expected, before.size.worst)]
    if before.size.worst is None:
        return UNKNOWN if before.argument else None
    return Bound(expected=ends[0], worst=ends[1])


def _taken(name: str, loop: ast.While) -> int | None:
    """How many each round takes out; None where that is not plain, or something puts others in."""
    puts = {
        one.func.attr
        for one in ast.walk(loop)
        if _changes(one, name) and isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute)
    }
    stores = [one for one in ast.walk(loop) if _stores(one, name)]
    if puts - _TAKING:
        return None
    slices = [width for part in loop.body if (width := _cut(name, part)) is not None]
    if stores:
        return slices[0] if len(stores) == len(slices) == 1 and not puts else None
    always = any(_changes(one, name) for part in loop.body if not isinstance(part, _MAYBE) for one in ast.walk(part))
    return 1 if always and puts else None


_MAYBE: Final = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.Match)


def _changes(node: ast.AST, name: str) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=target), attr=method)):
            return target == name and method in CHANGING
        case _:
            return False


def _cut(name: str, statement: ast.stmt) -> int | None:
    """The n of ``queue = queue[n:]``, also beside another assignment."""
    match statement:
        case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
            pairs = list(zip(targets, values, strict=False))
        case ast.Assign(targets=[target], value=value):
            pairs = [(target, value)]
        case _:
            return None
    for target, value in pairs:
        match target, value:
            case (
                ast.Name(id=one),
                ast.Subscript(
                    value=ast.Name(id=other),
                    slice=ast.Slice(lower=ast.Constant(value=int() as width), upper=None, step=None),
                ),
            ) if one == other == name and width > 0:
                return width
            case _:
                pass
    return None


# --- the budget ---------------------------------------------------------------------------------------------------


def _budget_read(loop: ast.While, kinds: Kinds) -> str:
    """What of the budget a loop's own conditions read; "" where they read nothing of it."""
    tests = [loop.test, *_guards(loop.body)]
    names = {one for test in tests for one in _names(test)}
    made = [part.value for part in loop.body if isinstance(part, ast.Assign) and _set_by(part) & names]
    for test in (*tests, *made):
        for node in ast.walk(test):
            if isinstance(node, ast.Call) and kinds.script.origin(node.func).startswith(f"{SCRIPT}.budget."):
                return _dimension(node)
    return ""


def _set_by(part: ast.Assign) -> set[str]:
    return {one.id for target in part.targets for one in ast.walk(target) if isinstance(one, ast.Name)}


def _dimension(node: ast.Call) -> str:
    given = [*node.args, *(one.value for one in node.keywords if one.arg == "kind")]
    first = given[0] if given else ast.Constant("usd")
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else "usd"
