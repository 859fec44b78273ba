"""What a loop counts: numbers and lists that grow or shrink in every round."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from antiphon.workflows.preflight.rules.reading import Reading
from antiphon.workflows.preflight.rules.targets import Spot
from antiphon.workflows.syntax.scopes import Function

_SHRINKING: Final = frozenset({"pop", "popleft", "popitem", "remove", "clear", "discard"})
_GROWING: Final = frozenset({"append", "extend", "insert", "add", "appendleft", "update"})
_ORDERED: Final = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)


class Counting:
    """What one loop does to the names that its end depends on."""

    def __init__(self, reading: Reading, loop: ast.While | ast.For | ast.AsyncFor) -> None:
        self.reading, self.script, self.loop = reading, reading.script, loop
        self.body = list(_below(loop.body))

    def leaving(self) -> Iterator[ast.AST]:
        """Every statement that leaves the loop."""
        for node in self.body:
            if self._leaves(node):
                yield node

    def _leaves(self, node: ast.AST) -> bool:
        match node:
            case ast.Return() | ast.Raise():
                return True
            case ast.Break():
                return self._own_loop(node)
            case ast.Expr(value=ast.Call() as call):
                return self.reading.kinds.api_name(call) in ("fail", "replan")
            case _:
                return False

    def _own_loop(self, node: ast.AST) -> bool:
        loops = (one for one in self.script.ancestors(node) if isinstance(one, ast.While | ast.For | ast.AsyncFor))
        return next(loops, None) is self.loop

    # --- counting -----------------------------------------------------------------------------------------------------

    def counts(self, test: ast.expr) -> bool:
        """Whether a test compares something that every round makes larger or smaller."""
        if isinstance(test, ast.Compare):
            if not any(isinstance(one, _ORDERED) for one in test.ops):
                return False
        elif not isinstance(test, ast.Name):
            return False
        places = [one for one in ast.walk(test) if isinstance(one, ast.Name | ast.Attribute | ast.BinOp)]
        return any(self.certain(self.loop.body, one) for one in places if not self._shrinks(one))

    def is_counted(self, test: ast.Compare) -> bool:
        """Whether a comparison looks at a number that is counted anywhere in the script."""
        if not any(isinstance(one, _ORDERED) for one in test.ops):
            return False
        names = {one.attr for one in ast.walk(test) if isinstance(one, ast.Attribute)}
        cells = {self.reading.edges.cell(one) for one in ast.walk(test) if isinstance(one, ast.Name)} - {None}
        for node in self.script.nodes:
            if isinstance(node, ast.AugAssign):
                target = node.target
                base = target.value if isinstance(target, ast.Subscript) else target
                if isinstance(base, ast.Attribute) and base.attr in names:
                    return True
                if isinstance(base, ast.Name) and self.reading.edges.cell(base) in cells:
                    return True
        return False

    def is_fixed(self, test: ast.expr) -> bool:
        """Whether a test looks at plain names alone, that nothing in the loop sets."""
        if any(isinstance(one, ast.Call | ast.Attribute | ast.Await) for one in ast.walk(test)):
            return False
        cells = {self.reading.edges.cell(one) for one in ast.walk(test) if isinstance(one, ast.Name)}
        names = [one for one in self.body if isinstance(one, ast.Name) and not isinstance(one.ctx, ast.Load)]
        return cells.isdisjoint({self.reading.edges.cell(one) for one in names})

    def certain(self, block: Sequence[ast.stmt], place: ast.expr | None = None, *, leaving_alone: bool = False) -> bool:
        """Whether every way through a block counts `place`, or leaves the loop."""
        for statement in block:
            if self._certainly(statement, place, leaving_alone):
                return True
            if any(isinstance(one, ast.Continue) and self._own_loop(one) for one in ast.walk(statement)):
                return False
        return False

    def _certainly(self, statement: ast.stmt, place: ast.expr | None, alone: bool) -> bool:
        if self._leaves(statement):
            return True
        if not alone and place is not None and self._steps(statement, place):
            return True
        match statement:
            case ast.If(body=body, orelse=orelse):
                return self.certain(body, place, leaving_alone=alone) and self.certain(
                    orelse, place, leaving_alone=alone
                )
            case ast.With(body=body) | ast.AsyncWith(body=body):
                return self.certain(body, place, leaving_alone=alone)
            case ast.For(iter=source, body=body):
                return not alone and self._taken_out(source) and self.certain(body, place)
            case ast.Try():
                return self._tried(statement, place, alone)
            case _:
                return False

    def _taken_out(self, source: ast.expr) -> bool:
        """Whether a loop within goes over what this round took out of a list that is not empty."""
        test = self.loop.test if isinstance(self.loop, ast.While) else None
        places = [one for one in ast.walk(test) if isinstance(one, ast.Name)] if test is not None else []
        cells = {self.reading.edges.cell(one) for one in places if self._shrinks(one)}
        return not cells.isdisjoint(self.reading.came_from(source))

    def _tried(self, statement: ast.Try, place: ast.expr | None, alone: bool) -> bool:
        if self.certain(statement.finalbody, place, leaving_alone=alone):
            return True
        if not alone and place is not None and statement.body and self._steps(statement.body[0], place):
            return True
        ways = [[*statement.body, *statement.orelse], *(one.body for one in statement.handlers)]
        return all(self.certain(way, place, leaving_alone=alone) for way in ways)

    def _steps(self, statement: ast.stmt, place: ast.expr) -> bool:
        """Whether a statement counts: `n += 1`, `n = n + 1`, `done.append(...)`."""
        match statement:
            case ast.AugAssign(target=target, op=ast.Add() | ast.Sub()):
                return self._same(target, place)
            case ast.Assign(targets=[target], value=ast.BinOp(left=left, right=right)):
                return self._same(target, place) and (self._same(left, place) or self._same(right, place))
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=whole, attr=method))):
                return method in _GROWING and self._same(whole, place)
            case ast.Assign(targets=[ast.Subscript(value=whole)]):
                return self._same(whole, place)
            case _:
                return False

    def _same(self, one: ast.expr, other: ast.expr) -> bool:
        match other:
            case ast.BinOp(left=left, op=ast.Add(), right=right):  # either of what is added up
                return self._same(one, left) or self._same(one, right)
            case ast.Call(func=ast.Name(id="len"), args=[whole]):
                return self._same(one, whole)
            case _:
                pass
        first, second = self._spot(one), self._spot(other)
        return first is not None and first == second

    def _spot(self, node: ast.expr) -> Spot | None:
        if isinstance(node, ast.Name):
            return self.reading.edges.cell(node)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            cell = self.reading.edges.cell(node.value)
            return (cell, node.attr) if cell is not None else None
        return None

    # --- dwindling ----------------------------------------------------------------------------------------------------

    def dwindles(self, test: ast.expr) -> bool:
        """Whether what a test looks at only gets shorter, except by what no model answers."""
        for place in ast.walk(test):
            if isinstance(place, ast.Name | ast.Attribute) and self._shrinks(place):
                return not any(self._answered(value) for value in self._grown_by(place))
        return False

    def _shrinks(self, place: ast.expr) -> bool:
        return any(self._makes_shorter(node, place) for node in self.body)

    def _makes_shorter(self, node: ast.AST, place: ast.expr) -> bool:
        match node:
            case ast.Call(func=ast.Attribute(value=whole, attr=method)):
                return method in _SHRINKING and self._same(whole, place)
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=value):
                rest = [name.value for name in names if isinstance(name, ast.Starred)]
                return (self._same(value, place) and bool(rest)) or self._is_sliced_pair(names, value, place)
            case ast.Assign(targets=[target], value=ast.Subscript(value=whole, slice=ast.Slice())):
                return self._same(target, place) and self._same(whole, place)
            case ast.Delete(targets=[ast.Subscript(value=whole)]):
                return self._same(whole, place)
            case _:
                return False

    def _is_sliced_pair(self, names: list[ast.expr], value: ast.expr, place: ast.expr) -> bool:
        """`batch, queue = queue[:5], queue[5:]`."""
        if not isinstance(value, ast.Tuple) or len(value.elts) != len(names):
            return False
        return any(
            self._same(name, place) and isinstance(one, ast.Subscript) and self._same(one.value, place)
            for name, one in zip(names, value.elts, strict=True)
        )

    def _grown_by(self, place: ast.expr) -> Iterator[ast.expr]:
        """What the loop puts into it, except where a limit is asked for first."""
        for node in self.body:
            match node:
                case ast.Call(func=ast.Attribute(value=whole, attr=method), args=args) if method in _GROWING:
                    given: Iterable[ast.expr] = args if self._same(whole, place) else ()
                case ast.AugAssign(target=target, value=value) if self._same(target, place):
                    given = [value]
                case ast.Assign(targets=[target], value=value) if self._same(target, place):
                    given = () if self._makes_shorter(node, place) else [value]
                case _:
                    given = ()
            if given and not self._is_guarded(node):
                yield from given

    def _is_guarded(self, node: ast.AST) -> bool:
        """Whether a statement is reached only while some number is small enough."""
        for around in self.script.ancestors(node):
            if around is self.loop:
                return False
            if isinstance(around, ast.If) and any(
                isinstance(one, ast.Lt | ast.LtE | ast.Gt | ast.GtE)
                for compared in ast.walk(around.test)
                if isinstance(compared, ast.Compare)
                for one in compared.ops
            ):
                return True
        return False

    def _answered(self, value: ast.expr) -> bool:
        """Whether a value was made up in this round, by a call of the loop, and not picked from what was there."""
        inside = {site.node for site in self.reading.within(self.loop)}
        return any(site.node in inside for site in self.reading.sites_behind(value, "agent", "workflow"))


def _below(block: Sequence[ast.stmt]) -> Iterator[ast.AST]:
    """Everything in a block that runs with it."""
    todo: list[ast.AST] = list(block)
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, Function | ast.Lambda | ast.ClassDef):
            todo.extend(ast.iter_child_nodes(node))
