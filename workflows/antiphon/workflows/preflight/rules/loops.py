"""Loops and recursion that only a model's answers end."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from antiphon.workflows.preflight.model import Finding
from antiphon.workflows.preflight.rules.counting import Counting
from antiphon.workflows.preflight.rules.limited import is_limited, run_limits
from antiphon.workflows.preflight.rules.reading import Reading
from antiphon.workflows.syntax.kinds import FANOUTS
from antiphon.workflows.syntax.scopes import SCRIPT, Function

RULE: Final = "unbounded-loop"
RECURSION: Final = "unbounded-recursion"
_ASKING: Final = FANOUTS | {"agent", "choose", "workflow", "step", "branch"}
_ENDLESS: Final = frozenset({"itertools.count", "itertools.cycle", "itertools.repeat"})
_MEASURING: Final = frozenset({"now", "approve"})
_REMEDY: Final = (
    'give it a most: `for round in range(5):`, or stop when `budget.remaining("agent_calls")` falls too low, and say'
    " in the answer that it was cut off"
)


def unbounded_loops(reading: Reading) -> Iterator[Finding]:
    """Every loop around calls, and every recursion, that nothing but the answers ends."""
    for node in reading.script.nodes:
        if isinstance(node, ast.While | ast.For | ast.AsyncFor) and not reading.is_inside_role(node):
            yield from _loop(reading, node)
        elif isinstance(node, ast.AsyncFunctionDef) and not reading.is_inside_role(node):
            yield from _recursion(reading, node)


def _loop(reading: Reading, loop: ast.While | ast.For | ast.AsyncFor) -> Iterator[Finding]:
    if not isinstance(loop, ast.While) and not _is_endless(reading, loop.iter):
        return
    asking = [site for site in reading.within(loop) if site.name in _ASKING]
    if not asking or any(is_limited(reading, site) for site in asking) or _Exits(reading, loop).bounded():
        return
    what = f"`while {reading.shown(loop.test)}`" if isinstance(loop, ast.While) else f"`for {reading.shown(loop.iter)}`"
    called = ", ".join(sorted({f"{site.name}()" for site in asking}))
    yield _found(reading, RULE, loop, f"{what} calls {called} until the answers end it: nothing counts the rounds")


def _found(reading: Reading, rule: str, at: ast.AST, reason: str) -> Finding:
    limits = run_limits(reading)
    if limits:
        reason += f"; it may use up all of the run's {limits} and leave no answer"
        return reading.finding(rule, at, "warning", reason, _REMEDY)
    return reading.finding(rule, at, "error", f"{reason}, and the manifest sets no limits", _REMEDY)


def _is_endless(reading: Reading, source: ast.expr) -> bool:
    if not isinstance(source, ast.Call):
        return False
    if reading.kinds.builtin(source) == "enumerate" and source.args:
        return _is_endless(reading, source.args[0])
    if reading.kinds.builtin(source) == "iter":
        return len(source.args) > 1
    origin = reading.script.origin(source.func)
    return origin in _ENDLESS and not (origin == "itertools.repeat" and len(source.args) > 1)


# --- how a loop ends ----------------------------------------------------------------------------------------------


class _Exits:
    """What makes one loop end."""

    def __init__(self, reading: Reading, loop: ast.While | ast.For | ast.AsyncFor) -> None:
        self.reading, self.loop = reading, loop
        self.counting = Counting(reading, loop)
        self.inside = frozenset(site.node for site in reading.within(loop))

    def bounded(self) -> bool:
        """Whether something other than the answers ends it, or might."""
        if isinstance(self.loop, ast.While) and self._ends(self.loop.test, when=False):
            return True
        return any(self._leads_out(leaving) for leaving in self.counting.leaving())

    def _leads_out(self, leaving: ast.AST) -> bool:
        """Whether a `break` or `return` is certain to come: everything that it depends on does."""
        inner: ast.AST = leaving
        for around in self.reading.script.ancestors(leaving):
            match around:
                case _ if around is self.loop:
                    return True
                case ast.If() if inner is not around.test:
                    if not self._ends(around.test, when=inner in around.body):
                        return False
                case ast.Try() if inner in around.body:
                    if not all(self.counting.certain(one.body, leaving_alone=True) for one in around.handlers):
                        return False
                case ast.Try() if inner in around.handlers:
                    if not self.counting.certain([*around.body, *around.orelse], leaving_alone=True):
                        return False
                case ast.match_case() | ast.For() | ast.AsyncFor() | ast.While():
                    return False
                case _:
                    pass
            inner = around
        return True

    def _ends(self, test: ast.expr, *, when: bool) -> bool:
        """Whether `test` is certain to become `when` some time, or nobody can tell."""
        match test:
            case ast.Constant(value=value):
                return bool(value) is when
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self._ends(operand, when=not when)
            case ast.BoolOp(op=operator, values=values):
                parts = [self._ends(one, when=when) for one in values]
                return any(parts) if isinstance(operator, ast.Or) is when else all(parts)
            case _:
                return not self._is_open(test)

    def _is_open(self, test: ast.expr) -> bool:
        """Whether a test depends on nothing but answers, and on what stays the same."""
        before = self.reading.came_from(test)
        calls = [one for one in before if isinstance(one, ast.Call)]
        if any(self._measures(call) or self._is_foreign(call) for call in calls):
            return False
        if self.counting.counts(test) or self.counting.dwindles(test):
            return False
        if any(isinstance(one, ast.Compare) and one is not test and self.counting.is_counted(one) for one in before):
            return False
        return not self.inside.isdisjoint(before) or self.counting.is_fixed(test)

    def _measures(self, call: ast.Call) -> bool:
        origin = self.reading.script.origin(call.func)
        return origin.startswith(f"{SCRIPT}.budget.") or self.reading.kinds.api_name(call) in _MEASURING

    def _is_foreign(self, call: ast.Call) -> bool:
        """Whether a call does what cannot be seen here: then nobody can tell, and nothing is said."""
        if self.reading.kinds.api_name(call) or self.reading.kinds.builtin(call):
            return False
        if self.reading.calls.functions(call) or self.reading.calls.own_class(call) is not None:
            return False
        return not isinstance(call.func, ast.Attribute) or bool(self.reading.script.origin(call.func))


# --- recursion ----------------------------------------------------------------------------------------------------


def _recursion(reading: Reading, function: ast.AsyncFunctionDef) -> Iterator[Finding]:
    """A function that asks, and calls itself for whatever was answered."""
    inside = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    again = [call for call in inside if reading.calls.function(call) is function]
    sites = [site for site in reading.within(function) if site.name in _ASKING]
    if not again or not sites or any(is_limited(reading, site) for site in sites):
        return
    measured = any(reading.script.origin(call.func).startswith(f"{SCRIPT}.budget.") for call in inside)
    if measured or any(_is_deeper(reading, function, call) for call in again):
        return
    answered = [call for call in again if _from_answer(reading, function, call)]
    if answered:
        line, asked = answered[0].lineno, _asked(reading, answered[0])
        reason = f"{function.name}() calls itself on line {line} for what {asked}: nothing counts the depth"
        yield _found(reading, RECURSION, function, reason)


def _given(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(keyword.value for keyword in call.keywords)]


def _is_deeper(reading: Reading, function: Function, call: ast.Call) -> bool:
    """Whether a number goes up or down with the depth, and is asked for."""
    scope = reading.script.inner[function]
    changed = {name.id for one in _given(call) if isinstance(one, ast.BinOp) for name in ast.walk(one)
               if isinstance(name, ast.Name)}  # fmt: skip
    tests = [node.test for node in ast.walk(function) if isinstance(node, ast.If | ast.IfExp | ast.While)]
    asked = {name.id for test in tests for name in ast.walk(test) if isinstance(name, ast.Name)}
    return any(name in scope.bindings for name in changed & asked)


def _from_answer(reading: Reading, function: Function, call: ast.Call) -> bool:
    """Whether what it calls itself with came out of a call that it made, and not only of its own parameters."""
    cells = {(reading.script.inner[function], one.arg) for one in function.args.args}
    for one in _given(call):
        before = reading.came_from(one, strictly=True)
        made = [site for site in reading.sites if site.name in ("agent", "choose", "parallel") and site.node in before]
        if cells.isdisjoint(before) and any(reading.function_around(site.node) is function for site in made):
            return True
    return False


def _asked(reading: Reading, call: ast.Call) -> str:
    sites = [site for one in _given(call) for site in reading.sites_behind(one, "agent", "choose")]
    return f"{sites[0].name}() on line {sites[0].line} answered" if sites else "was answered"
