"""What the statements of a script do: assignments, choices, failures, with what is known of each name on the way."""

from __future__ import annotations

import ast
from collections.abc import Callable as Action
from collections.abc import Mapping, Sequence
from typing import Final

from antiphon.workflows.preflight.following.frames import (
    Frame,
    captured_names,
    merged,
)
from antiphon.workflows.preflight.following.loops import Loops
from antiphon.workflows.preflight.following.values import (
    NOTHING,
    Callable,
    Class,
    Known,
    Value,
    truth,
)
from antiphon.workflows.preflight.model import Place
from antiphon.workflows.syntax.scopes import SCRIPT

_NAMES_A_STEP: Final = 20
"""Names that are copied in the time of one step."""


class Statements(Loops):
    """Looks at statements."""

    # --- statements -----------------------------------------------------------------------------------------------

    def block(self, statements: Sequence[ast.stmt], frame: Frame) -> bool:
        """Look at statements in order; whether they never get to their end."""
        # What has no place in the script runs only outside of antiphon: `if __name__ == "__main__":`.
        return any(self._statement(one, frame) for one in statements if one in self.script.parents)

    def _statement(self, node: ast.stmt, frame: Frame) -> bool:
        if not self.tick():
            return False
        self._depth += 1
        try:
            return self._looked_at(node, frame)
        finally:
            self._depth -= 1

    def _looked_at(self, node: ast.stmt, frame: Frame) -> bool:
        match node:
            case ast.If(test=test, body=body, orelse=orelse):
                return self._if(node, test, body, orelse, frame)
            case ast.For() | ast.AsyncFor():
                return self.for_loop(node, frame)
            case ast.While():
                return self.while_loop(node, frame)
            case ast.Try() | ast.TryStar():
                return self._try(node, frame)
            case ast.Match(subject=subject, cases=cases):
                self.evaluate(subject, frame)
                ways = [(f"case {self.told(one.pattern)}", self._matched(one, frame)) for one in cases]
                return self.fork(f"match {self.told(subject)}", node.lineno, ways, frame, exhaustive=False)
            case ast.With(items=items, body=body) | ast.AsyncWith(items=items, body=body):
                for one in items:
                    value = self.evaluate(one.context_expr, frame)
                    if one.optional_vars is not None:
                        self.assign(one.optional_vars, value, frame)
                return self.block(body, frame)
            case _:
                return self._simple(node, frame)

    def _simple(self, node: ast.stmt, frame: Frame) -> bool:
        match node:
            case ast.Return(value=value):
                returned = Known(None) if value is None else self.evaluate(value, frame)
                for around in self._returned[-1:]:  # a return of the module's own is no Python, and parses
                    around.append(returned)
                return True
            case ast.Raise(exc=exc):
                self.evaluate(exc, frame)
                return True
            case ast.Break() | ast.Continue():
                return True
            case ast.Expr(value=value):
                self.evaluate(value, frame)
                return self.kinds.api_name(value) in ("fail", "replan")
            case _:
                self._binds(node, frame)
                return False

    def _binds(self, node: ast.stmt, frame: Frame) -> None:
        """A statement that gives names their values, and goes on."""
        match node:
            case ast.Assign(targets=targets, value=value):
                found = self.evaluate(value, frame)
                for target in targets:
                    self.assign(target, found, frame)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self.assign(target, self.evaluate(value, frame), frame)
            case ast.AugAssign(target=target, op=op, value=value):
                self.assign(target, self.evaluate(ast.BinOp(_loaded(target), op, value), frame), frame)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                frame.values[name] = self._defined(node, frame)
            case ast.ClassDef(name=name):
                frame.values[name] = Class(node, frame)
            case ast.Delete(targets=targets):
                for target in targets:
                    self.assign(target, NOTHING, frame)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                frame.values.update(
                    {one.asname or one.name.partition(".")[0]: NOTHING for one in names if not self._is_api(node, one)}
                )
            case _:
                pass

    def _is_api(self, node: ast.stmt, alias: ast.alias) -> bool:
        return isinstance(node, ast.ImportFrom) and node.module == SCRIPT

    def _defined(self, node: ast.stmt, frame: Frame) -> Value:
        assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        marks = [one.func if isinstance(one, ast.Call) else one for one in node.decorator_list]
        if not marks or all(self.script.origin(mark).startswith(("functools.", "builtins.")) for mark in marks):
            return Callable(node, frame)
        return NOTHING

    # --- ways ------------------------------------------------------------------------------------------------------

    def _if(
        self, node: ast.stmt, test: ast.expr, body: Sequence[ast.stmt], orelse: Sequence[ast.stmt], frame: Frame
    ) -> bool:
        answer = truth(self.evaluate(test, frame))
        if answer is not None:
            return self.block(body if answer else orelse, frame)
        title = f"if {self.told(test)}"
        return self._ways(title, node.lineno, [(title, body), ("otherwise", orelse)], frame, exhaustive=True)

    def _ways(
        self,
        title: str,
        line: int,
        ways: Sequence[tuple[str, Sequence[ast.stmt]]],
        frame: Frame,
        *,
        exhaustive: bool = False,
    ) -> bool:
        """Look at each way from where things stand now; afterwards it may have been any that goes on."""
        actions = [(name, self._running(body, frame)) for name, body in ways]
        return self.fork(title, line, actions, frame, exhaustive=exhaustive)

    def _matched(self, case: ast.match_case, frame: Frame) -> Action[[], bool]:
        def run() -> bool:
            frame.values.update(dict.fromkeys(captured_names(case.pattern), NOTHING))
            self.evaluate(case.guard, frame)
            return self.block(case.body, frame)

        return run

    def _running(self, body: Sequence[ast.stmt], frame: Frame) -> Action[[], bool]:
        return lambda: self.block(body, frame)

    def fork(
        self, title: str, line: int, ways: Sequence[tuple[str, Action[[], bool]]], frame: Frame, *, exhaustive: bool
    ) -> bool:
        """See `_ways`; each way is an action that says whether it never gets to its end."""
        before = dict(frame.values)
        self.spend(len(before) * len(ways) // _NAMES_A_STEP)
        happens: list[Sequence[Place]] = []
        after: list[Mapping[str, Value]] = [] if exhaustive else [before]
        for _, action in ways:
            frame.values = dict(before)
            with self.apart() as places:
                ended = action()
            happens.append(places)
            after += [] if ended else [frame.values]
        frame.values = merged(after or [before])
        self.put(self.choice(title, line, happens, [name for name, _ in ways]))
        return not after

    def _try(self, node: ast.Try | ast.TryStar, frame: Frame) -> bool:
        before = dict(frame.values)
        ended = self.block(node.body, frame)
        if node.orelse and not ended:
            ended = self.block(node.orelse, frame)
        whole = dict(frame.values)
        ways = [(f"except {self.told(one.type) if one.type else ''}".strip(), one.body) for one in node.handlers]
        frame.values = merged([before, whole])
        frame.values.update({one.name: NOTHING for one in node.handlers if one.name})
        failed = self._ways("what failed", node.lineno, ways, frame, exhaustive=True) if ways else True
        frame.values = merged(
            [values for values, gone in ((whole, ended), (frame.values, failed)) if not gone] or [whole]
        )
        return self.block(node.finalbody, frame) or (ended and failed)


def _loaded(target: ast.expr) -> ast.expr:
    match target:
        case ast.Name(id=name):
            return ast.copy_location(ast.Name(name, ast.Load()), target)
        case _:
            return ast.copy_location(ast.Constant(...), target)
