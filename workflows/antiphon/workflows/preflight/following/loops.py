"""What loops do, and how often: one round is looked at for all, with the names that change in it held to be unknown."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import Final

from antiphon.workflows.preflight.following.frames import (
    Frame,
    changed_names,
)
from antiphon.workflows.preflight.following.functions import Functions
from antiphon.workflows.preflight.following.rounds import Rounds, leaves_early, rounds_of_while
from antiphon.workflows.preflight.following.values import (
    GROWS,
    Items,
    Record,
    Unknown,
    Value,
    as_items,
    joined,
    truth,
)
from antiphon.workflows.preflight.model import NEVER, UNKNOWN, Bound, Place

_UNROLLED: Final = 5
"""Rounds of a loop that are looked at one by one, where looking at one for all finds no bound."""
_NAMES_A_STEP: Final = 20
"""Names that are copied in the time of one step."""


class Loops(Functions):
    """Looks at loops."""

    def for_loop(self, node: ast.For | ast.AsyncFor, frame: Frame) -> bool:
        items = self.sized(self.evaluate(node.iter, frame))
        title = f"for {self.told(node.target)} in {self.told(node.iter)}"
        early = leaves_early(node.body)
        expected = (
            None if early and items.size.expected is not None and items.size.expected > 1 else items.size.expected
        )
        bound = Bound(expected=expected, worst=items.size.worst)
        sure = items.sure and not early
        rounds = Rounds(bound, source=items.source, argument=items.argument, sure=sure)
        self._loop(title, node, rounds, items, frame)
        self.block(node.orelse, frame)
        return False

    def while_loop(self, node: ast.While, frame: Frame) -> bool:
        changed = self._changed_by(node)
        rounds = rounds_of_while(node, lambda one: self._quietly(one, frame), self.kinds)
        if truth(self._quietly(node.test, self._widened(frame, changed))) is None:
            with self.apart():
                self.evaluate(node.test, frame)
        self._loop(f"while {self.told(node.test)}", node, rounds, Items(rounds.bound), frame)
        endless = rounds.endless
        self.block(node.orelse, frame)
        return endless

    def _quietly(self, node: ast.expr, frame: Frame) -> Value:
        with self.apart():
            return self.evaluate(node, frame)

    def _changed_by(self, node: ast.For | ast.AsyncFor | ast.While) -> frozenset[str]:
        if id(node) not in self._changing:
            self._changing[id(node)] = changed_names([node]) | self.handed_in(node)
        return self._changing[id(node)]

    def _widened(self, frame: Frame, changed: frozenset[str]) -> Frame:
        inner = Frame(dict(frame.values), frame.around)
        inner.values.update({name: _widened(inner.values[name]) for name in changed if name in inner.values})
        return inner

    def _loop(
        self, title: str, node: ast.For | ast.AsyncFor | ast.While, rounds: Rounds, items: Items, frame: Frame
    ) -> None:
        before = dict(frame.values)
        self.spend((len(before) + self.size(node)) // _NAMES_A_STEP)
        with self.apart() as happens:
            self._one_for_all(node, rounds, items, frame)
        worst = rounds.bound.worst
        listed = False
        again = worst is not None and worst <= _UNROLLED and any(_unbounded(place) for place in happens)
        if again and rounds.bound.certain and isinstance(node, ast.For):
            frame.values = dict(before)
            with self.apart() as happens:
                self._one_by_one(node, items, frame)
            listed = True
        if not happens and not rounds.endless:
            return
        place = Place(
            kind="loop",
            title=title,
            line=node.lineno,
            bound=rounds.bound,
            construct=rounds.construct,
            source=rounds.source,
            argument=rounds.argument,
            listed=listed,
            children=tuple(happens),
        )
        self.put([place])

    def _one_for_all(
        self, node: ast.For | ast.AsyncFor | ast.While, rounds: Rounds, items: Items, frame: Frame
    ) -> None:
        before = dict(frame.values)
        frame.values = self._widened(frame, self._changed_by(node)).values
        if isinstance(node, ast.While):
            self.evaluate(node.test, frame)
        else:
            self.assign(node.target, items.item, frame)
        self.block(node.body, frame)
        after = frame.values
        frame.values = {**before, **{name: _settled(before.get(name), value, rounds) for name, value in after.items()}}

    def _one_by_one(self, node: ast.For, items: Items, frame: Frame) -> None:
        for place in range(int(items.size.worst or 0)):
            self.assign(node.target, items.each[place] if items.each else items.item, frame)
            self.block(node.body, frame)


def _widened(value: Value) -> Value:
    """A value that changes from round to round: a list may have grown, and of anything else nothing is known."""
    items = as_items(value) if isinstance(value, Record) else value
    if isinstance(items, Items):
        return replace(items, size=UNKNOWN, each=None, item=GROWS, grown=NEVER, source=GROWS.source)
    return Unknown("what changes in the loop")


def _settled(before: Value | None, after: Value, rounds: Rounds) -> Value:
    """What is known after all rounds of a name, from what one round made of it."""
    if isinstance(before, Record):
        before = as_items(before)
    if isinstance(before, Items) and isinstance(after, Items) and after.grown is not None:
        grown = after.grown * rounds.bound
        told = rounds if grown.worst is None else after
        source = told.source or after.source
        parts = [one.item for one in (before, after) if one.item is not GROWS and one.size != NEVER]
        item = joined(parts) if parts else before.item
        further = None if before.grown is None else before.grown + grown
        return replace(
            after,
            size=before.size + grown,
            item=item,
            grown=further,
            source=source,
            argument=rounds.argument,
            sure=before.sure and after.sure and rounds.sure,
        )
    if before is after:
        return after
    if isinstance(after, Items) and after.grown is not None:
        after = replace(after, grown=None)
    certain = rounds.sure and rounds.bound.certain and rounds.bound.worst != 0
    return after if before is None or certain else joined([before, after])


def _unbounded(place: Place) -> bool:
    return any(one.bound.worst is None for one in place.walk())
