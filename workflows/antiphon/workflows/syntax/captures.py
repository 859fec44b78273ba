"""Late binding: functions and generators that outlive the loop whose variable they read, and see its last value."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from antiphon.workflows.syntax.kinds import FANOUTS, Found, Kinds
from antiphon.workflows.syntax.scopes import Comprehension, Function, Loop, Scope, Script

Deferred = ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef | ast.GeneratorExp
_KEEPING: Final = frozenset({"append", "extend", "insert", "add", "setdefault", "appendleft"})
_PASSING: Final = (ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Starred, ast.keyword, ast.NamedExpr, ast.IfExp)
_MOST_NAMES: Final = 100


def late_bindings(kinds: Kinds) -> Iterator[Found]:
    """Every function, lambda or generator that reads a loop's variable after the loop went on."""
    captures = _Captures(kinds)
    for (inner, name), scope in _captured(kinds.script).items():
        loop = captures.loop_of(inner, name, scope)
        if loop is not None and any(captures.outlives(held, loop, set()) for held in captures.held(inner, loop)):
            yield inner, _problem(inner, name), _fix(kinds, inner, name)


def _captured(script: Script) -> dict[tuple[Deferred, str], Scope]:
    """What each deferred piece of code reads from outside, and the scope it reads it from."""
    found: dict[tuple[Deferred, str], Scope] = {}
    for (home, name), uses in script.uses.items():
        if home is None:
            continue
        for use in uses:
            scope: Scope | None = script.scopes[use]
            while scope is not None and scope is not home:
                if isinstance(scope.node, Deferred):
                    found[scope.node, name] = home
                scope = scope.around
    return found


class _Captures:
    """Follows deferred code from where it is made to where it runs. What is not plain to follow counts as harmless."""

    def __init__(self, kinds: Kinds) -> None:
        self.kinds, self.script = kinds, kinds.script
        self._changing: dict[Loop, set[str]] = {}
        self._handed: dict[tuple[Scope | None, str, ast.AST, bool], bool] = {}

    def loop_of(self, inner: Deferred, name: str, scope: Scope) -> ast.AST | None:
        """The loop around `inner` that gives `name` a new value each time."""
        if isinstance(scope.node, Comprehension):
            return scope.node
        for node in self.script.ancestors(inner):
            if node is scope.node:
                return None
            if isinstance(node, Loop) and self.script.scopes[node] is scope and name in self._changed_by(node, scope):
                return node
        return None

    def _changed_by(self, loop: Loop, scope: Scope) -> set[str]:
        """A loop's variables, and the names that its body makes from them and nothing else sets."""
        if loop not in self._changing:
            names = _names_in(loop.target)
            for statement in loop.body:
                match statement:
                    case ast.Assign(targets=[ast.Name(id=made)], value=value) if len(scope.bindings.get(made, [])) == 1:
                        names |= {made} if _names_in(value) & names else set()
                    case _:
                        pass
            self._changing[loop] = names
        return self._changing[loop]

    def held(self, inner: Deferred, loop: ast.AST) -> list[ast.expr]:
        """The expressions, within the loop, that hold the deferred code."""
        if not isinstance(inner, Function):
            return [inner]
        if inner.decorator_list:
            return []
        uses = self.script.uses.get((self.script.scopes[inner], inner.name), [])
        return [held for use in uses if self._within(use, loop) for held in self._made_by(inner, use)]

    def _made_by(self, inner: Function, use: ast.Name) -> list[ast.expr]:
        around = self.script.parents[use]
        if not (isinstance(around, ast.Call) and around.func is use):
            return [use]
        # Calling a plain function runs it at once; calling an async one only makes a coroutine.
        return [around] if isinstance(inner, ast.AsyncFunctionDef) else []

    def outlives(self, held: ast.expr, loop: ast.AST, seen: set[ast.AST]) -> bool:
        """Whether `held` gets into a fan-out that starts after the loop went on."""
        node: ast.AST = held
        started = False
        for around in self.script.ancestors(held):
            if around is loop:
                return self._collected(loop, started)
            if isinstance(around, ast.Call) and around.func is not node:
                if self.kinds.is_lazy(around):
                    started = True
                elif not self._passes(around):
                    kept = _kept_in(around)
                    return kept is not None and self._handed_on(kept, loop, started)
            elif isinstance(around, ast.Assign | ast.AnnAssign | ast.AugAssign):
                return self._outlives_by_name(around, loop, started, seen)
            elif not isinstance(around, _PASSING) and not _is_element(around, node):
                return False
            node = around
        return False

    def _passes(self, call: ast.Call) -> bool:
        return self.kinds.builtin(call) in ("map", "filter", "list", "tuple", "iter", "zip", "enumerate")

    def _outlives_by_name(
        self, around: ast.Assign | ast.AnnAssign | ast.AugAssign, loop: ast.AST, started: bool, seen: set[ast.AST]
    ) -> bool:
        """Follow what is held through the name it was given."""
        target = around.targets[0] if isinstance(around, ast.Assign) else around.target
        if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
            return self._handed_on(target.value, loop, started)
        if not isinstance(target, ast.Name) or around in seen or len(seen) > _MOST_NAMES:
            return False
        if isinstance(around, ast.AugAssign):
            return self._handed_on(target, loop, started)
        seen.add(around)
        uses = self.script.uses.get((self.script.scopes[target], target.id), [])
        return any(self.outlives(use, loop, seen) for use in uses if self._within(use, loop))

    def _collected(self, loop: ast.AST, started: bool) -> bool:
        """Whether a comprehension gathers what it makes before anything of it is awaited."""
        if not isinstance(loop, ast.ListComp | ast.GeneratorExp):
            return False
        if started and isinstance(loop, ast.ListComp):
            return True
        node: ast.AST = loop
        for around in self.script.ancestors(loop):
            if isinstance(around, ast.Call) and around.func is not node:
                if self.kinds.api_name(around) in FANOUTS:
                    return True
                if not self._passes(around):
                    return False
            elif isinstance(around, ast.Assign | ast.AnnAssign):
                target = around.targets[0] if isinstance(around, ast.Assign) else around.target
                return isinstance(target, ast.Name) and self._handed_on(target, loop, False)
            elif not isinstance(around, _PASSING):
                return False
            node = around
        return False

    def _handed_on(self, kept: ast.Name, loop: ast.AST, started: bool) -> bool:
        """Whether the list `kept` goes to a fan-out outside the loop, or holds calls and is used there at all."""
        key = self.script.resolve(kept), kept.id, loop, started
        if key not in self._handed:
            uses = self.script.uses.get(key[:2], [])
            outside = (use for use in uses if not self._within(use, loop))
            self._handed[key] = any(started or self._in_fanout(use) for use in outside)
        return self._handed[key]

    def _in_fanout(self, use: ast.Name) -> bool:
        return any(self.kinds.api_name(around) in FANOUTS for around in self.script.ancestors(use))

    def _within(self, node: ast.AST, loop: ast.AST) -> bool:
        return loop in self.script.ancestors(node)


def _names_in(node: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def _is_element(around: ast.AST, node: ast.AST) -> bool:
    return isinstance(around, ast.ListComp | ast.GeneratorExp) and around.elt is node


def _kept_in(call: ast.Call) -> ast.Name | None:
    """The list that `calls.append(...)` and the like put their argument into."""
    match call.func:
        case ast.Attribute(value=ast.Name() as kept, attr=method) if method in _KEEPING:
            return kept
        case ast.Attribute(value=ast.Subscript(value=ast.Name() as kept), attr=method) if method in _KEEPING:
            return kept
        case _:
            return None


# --- words --------------------------------------------------------------------------------------------------------


def _problem(inner: Deferred, name: str) -> str:
    match inner:
        case ast.Lambda():
            what = "a lambda"
        case ast.GeneratorExp():
            what = "a generator handed to a fan-out"
        case _:
            what = f"{inner.name}()"
    return f"{what} captures the loop variable {name!r}; by the time it is read, {name} has its last value"


def _fix(kinds: Kinds, inner: Deferred, name: str) -> str:
    if isinstance(inner, ast.GeneratorExp):
        return "write a list there: [... for ...] is read at once"
    if isinstance(inner, ast.Lambda) and not inner.args.args and kinds.is_lazy(inner.body):
        return "leave out the lambda: a call such as agent(...) is lazy already"
    start = "def" if isinstance(inner, Function) else "lambda"
    return f"bind it now, as a default: {start} ...({name}={name}), or pass it as an argument"
