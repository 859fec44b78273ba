"""What is gathered from expressions: comprehensions, what generators yield, and the names that take values."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from antiphon.workflows.preflight.following.contested import root_of
from antiphon.workflows.preflight.following.expressions import Expressions
from antiphon.workflows.preflight.following.frames import YIELDED, Frame, changed_in_place
from antiphon.workflows.preflight.following.values import (
    NOTHING,
    Items,
    Known,
    Record,
    Unknown,
    Value,
    added,
    as_items,
    listed,
    record,
    size_of,
    truth,
)
from antiphon.workflows.preflight.model import NEVER, ONCE, UNKNOWN, Bound, Place

_APART: Final = 12
"""Items of a comprehension that are looked at one by one; of more, all at once."""
_AT_A_GLANCE: Final = 20


class Gathering(Expressions):
    """Looks at comprehensions and assignments."""

    def yielded(self, node: ast.Yield | ast.YieldFrom, frame: Frame) -> Value:
        """What a generator gives to whoever goes over it."""
        value = self.evaluate(node.value, frame)
        before = frame.values.get(YIELDED, Items(NEVER))
        more = size_of(value) if isinstance(node, ast.YieldFrom) else listed([value])
        frame.values[YIELDED] = added(size_of(before), more)
        return NOTHING

    # --- comprehensions -------------------------------------------------------------------------------------------

    def comprehension(
        self, node: ast.expr, generators: Sequence[ast.comprehension], parts: Sequence[ast.expr], frame: Frame
    ) -> Items:
        """What a comprehension makes; of one of pairs, the pairs."""
        inner = Frame(around=frame, passing=True)
        self.spend(self.size(node) // _AT_A_GLANCE)
        first = self.sized(self.evaluate(generators[0].iter, frame))  # which is evaluated once, and before all else
        with self.apart() as happens:
            found = self._gone_over(generators, 0, parts, inner, first)
        rounds = self._rounds(generators, found, first)
        if happens and rounds != ONCE:
            title = f"for {self.told(generators[0].target)} in {self.told(generators[0].iter)}"
            place = Place(
                kind="loop",
                title=title,
                line=node.lineno,
                bound=rounds,
                source=found.source or first.source,
                argument=found.argument or first.argument,
                children=tuple(happens),
            )
            happens = [place]
        self.put(happens)
        for name in self.changed_in(node) | self.handed_in(node):  # once for each item, and looked at once
            if frame.look(name) is not None:
                frame.home(name).values[name] = NOTHING
        return found

    def _rounds(self, generators: Sequence[ast.comprehension], found: Items, first: Items) -> Bound:
        """How often what is awaited in a comprehension happens: also for what a condition then leaves out."""
        if all(not one.ifs for one in generators) and not _awaits((), [one.iter for one in generators[1:]]):
            return found.size
        worst = first.size.worst if len(generators) == 1 else None
        return Bound(expected=found.size.expected, worst=worst)

    def _gone_over(
        self,
        generators: Sequence[ast.comprehension],
        at: int,
        parts: Sequence[ast.expr],
        frame: Frame,
        first: Items | None = None,
    ) -> Items:
        if at == len(generators):
            values = [self.evaluate(part, frame) for part in parts]
            return listed([values[0] if len(values) == 1 else listed(values)])
        one = generators[at]
        items = self.sized(self.evaluate(one.iter, frame)) if first is None else first
        self.spend(len(generators))
        if items.each is not None and len(items.each) <= _APART and not _awaits(generators, parts):
            found = Items(NEVER, each=())
            for value in items.each:
                self.assign(one.target, value, frame)
                found = added(found, self._kept(one, generators, at, parts, frame))
            return found
        self.assign(one.target, items.item, frame)
        inner = self._kept(one, generators, at, parts, frame)
        told = items if items.size.worst is None else inner
        return replace(
            inner,
            size=items.size * inner.size,
            each=None,
            source=told.source,
            argument=told.argument,
            sure=items.sure and inner.sure,
        )

    def _kept(
        self,
        one: ast.comprehension,
        generators: Sequence[ast.comprehension],
        at: int,
        parts: Sequence[ast.expr],
        frame: Frame,
    ) -> Items:
        """What one item gives, if it is kept."""
        answers = [truth(self.evaluate(test, frame)) for test in one.ifs]
        if False in answers:
            return Items(NEVER, each=())
        found = self._gone_over(generators, at + 1, parts, frame)
        if None not in answers:
            return found
        return replace(found, size=Bound(expected=None, worst=found.size.worst), each=None, sure=False)

    # --- what changes in place ------------------------------------------------------------------------------------

    def changed_in(self, whole: ast.AST) -> frozenset[str]:
        """The names that are changed in place somewhere in a part of the script."""
        if id(whole) not in self._in_place:
            self._in_place[id(whole)] = changed_in_place(whole)
        return self._in_place[id(whole)]

    def handed_in(self, whole: ast.AST) -> frozenset[str]:
        """The names of what is handed, in a part of the script, to functions that may change it in place."""
        if not self.hands_back:
            return frozenset()
        if id(whole) not in self._handed_on:
            calls = [one for one in ast.walk(whole) if isinstance(one, ast.Call) and not self._harmless(one)]
            given = [part for call in calls for part in (*call.args, *(one.value for one in call.keywords))]
            names = (root_of(part) for part in given)
            self._handed_on[id(whole)] = frozenset(name.id for name in names if name is not None)
        return self._handed_on[id(whole)]

    def _harmless(self, call: ast.Call) -> bool:
        return bool(self.kinds.api_name(call) or self.kinds.builtin(call))

    # --- assignment -----------------------------------------------------------------------------------------------

    def assign(self, target: ast.expr, value: Value, frame: Frame) -> None:
        """Give a target its value."""
        match target:
            case ast.Name(id=name):
                frame.values[name] = value
            case ast.Starred(value=inner):
                self.assign(inner, replace(size_of(value), each=None), frame)
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                self._unpack(elements, value, frame)
            case ast.Subscript(value=ast.Name(id=name) as whole, slice=index):
                at = self.evaluate(index, frame)
                frame.home(name).values[name] = _with(self.evaluate(whole, frame), at, value)
            case _:
                pass

    def _unpack(self, elements: Sequence[ast.expr], value: Value, frame: Frame) -> None:
        items = size_of(value) if not isinstance(value, Unknown) else Items(UNKNOWN, value)
        if items.each is not None and len(items.each) == len(elements):
            for element, each in zip(elements, items.each, strict=True):
                self.assign(element, each, frame)
            return
        for element in elements:
            self.assign(element, items if isinstance(element, ast.Starred) else items.item, frame)


def _with(whole: Value, index: Value, value: Value) -> Value:
    """A dict or list in which one item was set."""
    if isinstance(whole, Record) and isinstance(index, Known):
        return record({**whole.fields, str(index.value): value})
    if isinstance(whole, Record):
        whole = as_items(whole)
    more = Items(ONCE, index, held=value, sure=False)  # the key may be there already
    return added(whole, more) if isinstance(whole, Items) else NOTHING


def _awaits(generators: Sequence[ast.comprehension], parts: Sequence[ast.expr]) -> bool:
    whole: list[ast.AST] = [*parts, *(test for one in generators for test in one.ifs)]
    whole += [one.iter for one in generators[1:]]
    return any(isinstance(node, ast.Await) for part in whole for node in ast.walk(part))
