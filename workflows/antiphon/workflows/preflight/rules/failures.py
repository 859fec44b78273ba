"""Failures that are made to look like nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Final

from antiphon.workflows.preflight.model import Finding
from antiphon.workflows.preflight.rules.reading import Reading
from antiphon.workflows.preflight.rules.targets import Spot
from antiphon.workflows.syntax.kinds import FANOUTS

SWALLOWED: Final = "failure-swallowed"
_CATCHING: Final = frozenset(
    {"Exception", "BaseException", "RuntimeError", "CallFailed", "AgentFailure", "InfrastructureError", "AntiphonError"}
)
_FAILING: Final = FANOUTS | {"agent", "step", "choose", "workflow", "approve"}


def swallowed_failures(reading: Reading) -> Iterator[Finding]:
    """Every `except` around calls that leaves no trace of the failure."""
    for node in reading.script.nodes:
        if reading.is_inside_role(node):
            continue
        if isinstance(node, ast.Try) and _awaits(reading, node.body):
            for one in node.handlers:
                if _catches(one.type) and _is_silent(reading, node, one):
                    yield _swallowed(reading, one, node)
        elif isinstance(node, ast.With | ast.AsyncWith) and _awaits(reading, node.body):
            yield from _suppressed(reading, node)


def _awaits(reading: Reading, block: Sequence[ast.stmt]) -> bool:
    """Whether calls of the API are awaited in a block."""
    awaited = [node.value for statement in block for node in ast.walk(statement) if isinstance(node, ast.Await)]
    if not awaited:
        return False
    inside = [site for statement in block for site in reading.within(statement)]
    return any(site.name in _FAILING for site in inside) or any(
        reading.sites_behind(one, *_FAILING, strictly=True) for one in awaited
    )


def _catches(caught: ast.expr | None) -> bool:
    """Whether an `except` takes the failure of a call, and not only other errors."""
    if caught is None:
        return True
    classes = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any((one.attr if isinstance(one, ast.Attribute) else getattr(one, "id", "")) in _CATCHING for one in classes)


def _is_silent(reading: Reading, tried: ast.Try, caught: ast.ExceptHandler) -> bool:
    """Whether nothing says that it failed: no word, no count, no other try."""
    if caught.name and any(isinstance(one, ast.Name) and one.id == caught.name and isinstance(one.ctx, ast.Load)
                           for part in caught.body for one in ast.walk(part)):  # fmt: skip
        return False
    for statement in caught.body:
        match statement:
            case ast.Pass() | ast.Continue() | ast.Break():
                pass
            case ast.Expr(value=ast.Constant()):
                pass
            case ast.Return(value=value) if value is None or is_nothing(value):
                pass
            case ast.Assign(value=value) if is_nothing(value):
                pass
            case _:
                return False
    return not (_is_tried_again(reading, tried) or _is_asked_later(reading, tried, caught))


def is_nothing(value: ast.expr) -> bool:
    """Whether a value says nothing: a constant, or an empty container."""
    match value:
        case ast.Constant():
            return True
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return all(is_nothing(one) for one in elements)
        case ast.Dict(values=values):
            return all(is_nothing(one) for one in values) and not _names_failure(value)
        case _:
            return False


def _names_failure(value: ast.Dict) -> bool:
    """`{"ok": False, "error": ...}` is a word about the failure."""
    said = [one.value for one in value.values if isinstance(one, ast.Constant)]
    return any(one is False or (isinstance(one, str) and one != "") for one in said)


def _is_tried_again(reading: Reading, tried: ast.Try) -> bool:
    """Whether a loop tries again, and somebody says so when no attempt worked."""
    loops = reading.loops_around(tried)
    loop = next((one for one in loops if isinstance(one, ast.For | ast.While)), None)
    if loop is None or not any(isinstance(one, ast.Return | ast.Break) for part in [*tried.body, *tried.orelse]
                               for one in ast.walk(part)):  # fmt: skip
        return False
    block = reading.block_of(loop)
    after = [*loop.orelse, *block[block.index(loop) + 1 :]]
    return any(_says_so(reading, statement) for statement in after)


def _says_so(reading: Reading, statement: ast.stmt) -> bool:
    if any(isinstance(one, ast.Raise) for one in ast.walk(statement)):
        return True
    if any(site.name in ("fail", "log", "replan", "put") for site in reading.within(statement)):
        return True
    return isinstance(statement, ast.Return) and statement.value is not None and not is_nothing(statement.value)


def _is_asked_later(reading: Reading, tried: ast.Try, caught: ast.ExceptHandler) -> bool:
    """Whether somebody asks whether there is a value, and counts or says where there is none."""
    marks: set[Spot] = set()
    for statement in caught.body:
        if isinstance(statement, ast.Assign):
            marks |= {cell for target in statement.targets if (cell := reading.edges.stored(target)) is not None}
        elif isinstance(statement, ast.Return):
            marks.add(reading.function_around(tried))
    if not marks:
        return False
    for node in reading.script.nodes:
        tested = _tested_for_none(node)
        if tested is not None and not marks.isdisjoint(reading.came_from(tested)) and _is_told(reading, node):
            return True
    return False


def _tested_for_none(node: ast.AST) -> ast.expr | None:
    match node:
        case ast.Compare(
            left=left, ops=[ast.Is() | ast.IsNot() | ast.Eq() | ast.NotEq()], comparators=[ast.Constant()]
        ):
            return left
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return operand
        case ast.If(test=ast.Name() as test):
            return test
        case _:
            return None


def _is_told(reading: Reading, node: ast.AST) -> bool:
    """Whether a test is more than a filter: it leads to statements, or counts."""
    for around in [node, *reading.script.ancestors(node)]:
        if isinstance(around, ast.If):
            return bool(around.orelse) or not all(isinstance(one, ast.Continue | ast.Pass) for one in around.body)
        if isinstance(around, ast.comprehension):
            return _is_counted(reading, reading.script.parents[around])
        if isinstance(around, ast.stmt):
            return isinstance(around, ast.While)
    return False


def _is_counted(reading: Reading, comprehension: ast.AST) -> bool:
    """Whether what a filter leaves out, or how much, is asked: it keeps the missing, or is counted."""
    around = reading.script.parents.get(comprehension)
    return isinstance(around, ast.Call) and reading.kinds.builtin(around) in ("len", "sum")


def _swallowed(reading: Reading, caught: ast.ExceptHandler, tried: ast.Try) -> Finding:
    calls = [site for statement in tried.body for site in reading.within(statement) if site.name in _FAILING]
    role = next((role for site in calls if (role := reading.examined.role(site))), None)
    asked = f"{calls[0].name}() on line {calls[0].line}" if calls else "a call"
    asked += f" ({role!r})" if role else ""
    what = f"except {reading.shown(caught.type)}" if caught.type is not None else "a bare except"
    return reading.finding(
        SWALLOWED,
        caught,
        "warning",
        f"{what} makes a failure of {asked} look like an answer that has nothing in it: nobody counts it",
        "count it and say so in the result: failed.append((item, str(error))); or leave it to the fan-out, whose census"
        " counts it",
    )


def _suppressed(reading: Reading, node: ast.With | ast.AsyncWith) -> Iterator[Finding]:
    for item in node.items:
        call = item.context_expr
        if not isinstance(call, ast.Call) or reading.script.origin(call.func) != "contextlib.suppress":
            continue
        if any(_catches(one) for one in call.args):
            yield reading.finding(
                SWALLOWED,
                node,
                "warning",
                f"{reading.shown(call)} makes a failure of the calls below look as if nothing had happened",
                "catch it, and count it in the result; or `branch(name, call)`, whose Outcome says how it ended",
            )
