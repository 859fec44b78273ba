"""What the expressions of a script come to, as far as that is plain, and what is awaited in them."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from antiphon.workflows.preflight.following.arithmetic import LONGEST_TEXT, binary, compared, sliced
from antiphon.workflows.preflight.following.frames import Frame
from antiphon.workflows.preflight.following.values import (
    MOST_WAYS,
    NOTHING,
    Callable,
    Class,
    Items,
    Known,
    OneOf,
    Record,
    Value,
    Work,
    added,
    as_object,
    joined,
    listed,
    number_of,
    record,
    size_of,
    truth,
    ways_of,
)
from antiphon.workflows.preflight.model import NEVER, ONCE, Bound, Place
from antiphon.workflows.syntax.kinds import Kinds

MOST_STEPS: Final = 20_000
"""Expressions and statements that are looked at, all in all, also those that are looked at again."""
MOST_PLACES: Final = 4_000
_DEEPEST: Final = 110
_APART: Final = 12
"""Items of a comprehension that are looked at one by one; of more, all at once."""
_LONGEST_TITLE: Final = 60
_AT_A_GLANCE: Final = 20
"""Places of the tree that are glanced at in the time of one step."""


class Expressions(ABC):
    """Looks at expressions. What is awaited in them becomes places of the outline, in `sink`.

    Attributes:
        complete: False once something was left out because there is too much of it.
        hands_back: whether some function of the script changes in place what it is given.
    """

    def __init__(self, kinds: Kinds) -> None:
        self.kinds, self.script = kinds, kinds.script
        self.sink: list[Place] = []
        self.complete = True
        self._steps = self._placed = self._depth = 0
        self.hands_back = False
        self._in_place: dict[int, frozenset[str]] = {}
        self._handed_on: dict[int, frozenset[str]] = {}
        self._sizes: dict[int, int] = {}
        self._weights: dict[int, tuple[Place, int]] = {}

    # --- limits of the looking itself ---------------------------------------------------------------------------

    def tick(self) -> bool:
        """Whether there is still room to look at one more thing."""
        self._steps += 1
        if self._steps > MOST_STEPS or self._depth > _DEEPEST:
            self.complete = False
        return self._steps <= MOST_STEPS and self._depth <= _DEEPEST

    def spend(self, steps: int) -> None:
        """Count what is looked at beside what is evaluated, such as names that are copied."""
        self._steps += steps

    def size(self, node: ast.AST) -> int:
        """How many places a part of the tree has."""
        if id(node) not in self._sizes:
            self._sizes[id(node)] = sum(1 for _ in ast.walk(node))
        return self._sizes[id(node)]

    def put(self, places: Sequence[Place]) -> None:
        """Take places into the outline."""
        self.sink.extend(self.counted(places))

    def counted(self, places: Sequence[Place]) -> tuple[Place, ...]:
        """The same places, or none once there are too many."""
        self._placed += sum(map(self._weight, places))
        if self._placed > MOST_PLACES:
            self.complete = False
            return ()
        return tuple(places)

    def _weight(self, place: Place) -> int:
        """Places in a place; each is kept, as one may be in many others."""
        if id(place) not in self._weights:
            self._weights[id(place)] = place, 1 + sum(map(self._weight, place.children))
        return self._weights[id(place)][1]

    @contextmanager
    def apart(self) -> Generator[list[Place]]:
        """Collect the places of what happens inside apart from the others."""
        before, self.sink = self.sink, []
        try:
            yield self.sink
        finally:
            self.sink = before

    def sized(self, value: Value) -> Items:
        """A value as something that is gone over; an enumeration has its members."""
        return self.members(value) if isinstance(value, Class) else size_of(value)

    @abstractmethod
    def members(self, made_of: Class) -> Items:
        """The members of an enumeration."""

    @abstractmethod
    def call(self, node: ast.Call, frame: Frame) -> Value:
        """What a call gives."""

    @abstractmethod
    def attribute(self, node: ast.Attribute, whole: Value) -> Value:
        """What an attribute is."""

    # --- expressions ----------------------------------------------------------------------------------------------

    def evaluate(self, node: ast.expr | None, frame: Frame) -> Value:
        """What an expression comes to; what is awaited in it becomes places."""
        if node is None or not self.tick():
            return NOTHING
        self._depth += 1
        try:
            return self._evaluate(node, frame)
        finally:
            self._depth -= 1

    def _evaluate(self, node: ast.expr, frame: Frame) -> Value:
        match node:
            case ast.Constant(value=str() | int() | float() | bool() | None as plain):
                return Known(plain)
            case ast.Name(id=name):
                return self.named(node, name, frame)
            case ast.Await(value=inner):
                return self.awaited(self.evaluate(inner, frame), node)
            case ast.Call():
                return self.call(node, frame)
            case ast.Attribute(value=whole):
                return self.attribute(node, self.evaluate(whole, frame))
            case ast.Subscript():
                return self._subscript(node, frame)
            case ast.Lambda():
                return Callable(node, frame)
            case ast.NamedExpr(target=target, value=value):
                found = self.evaluate(value, frame)
                self.bind_through(target.id, found, frame)
                return found
            case _:
                return self._composed(node, frame)

    def _composed(self, node: ast.expr, frame: Frame) -> Value:
        match node:
            case ast.List(elts=elements) | ast.Tuple(elts=elements) | ast.Set(elts=elements):
                return self._written_out(elements, frame)
            case ast.Dict():
                return self._dict(node, frame)
            case ast.JoinedStr():
                return self._text(node, frame)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self._conditional(node, test, body, orelse, frame)
            case ast.BoolOp(op=op, values=values):
                return self._either(isinstance(op, ast.Or), values, frame)
            case _:
                return self._computed(node, frame)

    def _computed(self, node: ast.expr, frame: Frame) -> Value:
        match node:
            case ast.BinOp(left=left, op=op, right=right):
                return binary(self.evaluate(left, frame), op, self.evaluate(right, frame))
            case ast.UnaryOp(op=op, operand=operand):
                return self._unary(op, self.evaluate(operand, frame))
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return compared(self.evaluate(left, frame), op, self.evaluate(right, frame))
            case _:
                return self._gathered(node, frame)

    def _gathered(self, node: ast.expr, frame: Frame) -> Value:
        match node:
            case ast.ListComp(elt=element) | ast.SetComp(elt=element) | ast.GeneratorExp(elt=element):
                return self.comprehension(node, node.generators, [element], frame)
            case ast.DictComp(key=key, value=value):
                return as_object(self.comprehension(node, node.generators, [key, value], frame))
            case ast.Starred(value=value):
                return self.evaluate(value, frame)
            case ast.Yield() | ast.YieldFrom():
                return self.yielded(node, frame)
            case _:
                for child in ast.iter_child_nodes(node):
                    if isinstance(child, ast.expr):
                        self.evaluate(child, frame)
                return NOTHING

    def bind_through(self, name: str, value: Value, frame: Frame) -> None:
        """Give a name its value where that outlives a comprehension: how often it was set is not known there."""
        around = frame
        while around.passing and around.around is not None:
            around.values[name], around = value, around.around
        around.values[name] = value if around is frame else NOTHING

    @abstractmethod
    def yielded(self, node: ast.Yield | ast.YieldFrom, frame: Frame) -> Value:
        """What a generator gives to whoever goes over it."""

    @abstractmethod
    def comprehension(
        self, node: ast.expr, generators: Sequence[ast.comprehension], parts: Sequence[ast.expr], frame: Frame
    ) -> Items:
        """What a comprehension makes; of one of pairs, the pairs."""

    @abstractmethod
    def assign(self, target: ast.expr, value: Value, frame: Frame) -> None:
        """Give a target its value."""

    @abstractmethod
    def named(self, node: ast.Name, name: str, frame: Frame) -> Value:
        """What a name stands for."""

    def awaited(self, value: Value, node: ast.expr) -> Value:
        """What awaiting gives; what it does becomes places."""
        works = [way for way in ways_of(value) if isinstance(way, Work)]
        if not works:
            return self.unseen(node)
        if len(works) == 1 and not isinstance(value, OneOf):
            self.put(works[0].places)
            return works[0].value
        self.put(self.choice("one of several", node.lineno, [work.places for work in works]))
        return joined([work.value for work in works])

    @abstractmethod
    def unseen(self, node: ast.expr) -> Value:
        """What awaiting something gives that is not in this file."""

    def choice(self, title: str, line: int, ways: Sequence[Sequence[Place]], titles: Sequence[str] = ()) -> list[Place]:
        """One place for ways of which one is gone; none where nothing happens in any."""
        if not any(ways):
            return []
        named = [*titles, *("otherwise" for _ in ways[len(titles) :])]
        children = tuple(
            Place(
                kind="branch", title=name, line=places[0].line if places else line, bound=ONCE, children=tuple(places)
            )
            for name, places in zip(named, ways, strict=True)
            if places
        )
        return [Place(kind="choice", title=title, line=line, bound=ONCE, children=children)]

    def told(self, node: ast.AST) -> str:
        """An expression as it is written, for a title."""
        if sum(1 for _ in zip(ast.walk(node), range(_LONGEST_TITLE), strict=False)) >= _LONGEST_TITLE:
            return "..."
        text = " ".join(ast.unparse(node).split())
        return text if len(text) <= _LONGEST_TITLE else f"{text[: _LONGEST_TITLE - 3]}..."

    # --- parts ----------------------------------------------------------------------------------------------------

    def _written_out(self, elements: Sequence[ast.expr], frame: Frame) -> Value:
        found = Items(NEVER, each=())
        self.spend(len(elements))
        plain: list[Value] = []
        for element in elements:
            if isinstance(element, ast.Starred):
                found, plain = added(added(found, listed(plain)), size_of(self.evaluate(element.value, frame))), []
            else:
                plain.append(self.evaluate(element, frame))
        return listed(plain) if found.each == () else added(found, listed(plain))

    def _dict(self, node: ast.Dict, frame: Frame) -> Value:
        fields: dict[str, Value] = {}
        whole = True
        for key, value in zip(node.keys, node.values, strict=True):
            name, held = self.evaluate(key, frame) if key else NOTHING, self.evaluate(value, frame)
            if key is None and isinstance(held, Record):
                fields.update(held.fields)
            elif isinstance(name, Known):
                fields[str(name.value)] = held
            else:
                whole = False
        many = Bound(expected=None, worst=None if None in node.keys else len(node.keys))
        return record(fields) if whole else Items(many, held=joined([*fields.values(), NOTHING]), sure=False)

    def _text(self, node: ast.JoinedStr, frame: Frame) -> Value:
        texts = [""]
        known = True
        for part in node.values:
            held = part.value if isinstance(part, ast.FormattedValue) else part
            found = ways_of(self.evaluate(held, frame))
            plain = [str(way.value) for way in found if isinstance(way, Known)]
            known = known and len(plain) == len(found) and len(plain) * len(texts) <= _APART
            known = known and not (isinstance(part, ast.FormattedValue) and _is_formatted(part))
            texts = [text + more for text in texts for more in plain] if known else texts
            known = known and sum(map(len, texts)) <= LONGEST_TEXT
        return joined([Known(text) for text in texts]) if known else NOTHING

    def _unary(self, op: ast.unaryop, value: Value) -> Value:
        if isinstance(op, ast.Not):
            answer = truth(value)
            return NOTHING if answer is None else Known(not answer)
        match value:
            case Known(value=int() | float() as number) if isinstance(op, ast.USub):
                return Known(-number)
            case _:
                return NOTHING

    def _either(self, takes_true: bool, values: Sequence[ast.expr], frame: Frame) -> Value:
        """`a or b`, `a and b`: what comes later may not be looked at."""
        ways: list[Value] = []
        for place, node in enumerate(values):
            with self.apart() as happens:
                value = self.evaluate(node, frame)
            self.put(happens if place == 0 else self.choice(self.told(values[0]), node.lineno, [happens]))
            answer = truth(value)
            if answer is takes_true or place == len(values) - 1:
                return joined([*ways, value])
            if answer is None:
                ways += [way for way in ways_of(value) if truth(way) is not (not takes_true)]
        return joined(ways)

    def _conditional(self, node: ast.expr, test: ast.expr, body: ast.expr, orelse: ast.expr, frame: Frame) -> Value:
        answer = truth(self.evaluate(test, frame))
        if answer is not None:
            return self.evaluate(body if answer else orelse, frame)
        with self.apart() as first:
            one = self.evaluate(body, frame)
        with self.apart() as second:
            other = self.evaluate(orelse, frame)
        self.put(self.choice(f"if {self.told(test)}", node.lineno, [first, second], [f"if {self.told(test)}"]))
        return joined([one, other])

    def _subscript(self, node: ast.Subscript, frame: Frame) -> Value:
        whole = self.evaluate(node.value, frame)
        if isinstance(node.slice, ast.Slice):
            return self._slice(node.slice, whole, frame)
        index = self.evaluate(node.slice, frame)
        pairs = [(way, at) for way in ways_of(whole) for at in ways_of(index)]
        return joined([self.item(way, at) for way, at in pairs]) if len(pairs) <= MOST_WAYS else NOTHING

    def item(self, whole: Value, index: Value) -> Value:
        """One item of a value."""
        from antiphon.workflows.preflight.following.shapes import part_of

        match whole, index:
            case Record(), Known(value=key):
                return whole.fields.get(str(key), NOTHING)
            case Record(), _:
                return joined(list(whole.fields.values()))
            case Items(each=tuple() as each), Known(value=int() as at) if -len(each) <= at < len(each):
                found: Value = each[at]
                return found
            case Items(item=item, held=held), _:
                return item if held is None else held
            case _:
                return part_of(whole, index)

    def _slice(self, part: ast.Slice, whole: Value, frame: Frame) -> Value:
        ends = [None if end is None else self.evaluate(end, frame) for end in (part.lower, part.upper, part.step)]
        if isinstance(whole, Known) and isinstance(whole.value, str):
            return NOTHING
        items = sliced(size_of(whole), *ends)
        width = self._width(part, frame)
        return items if width is None else replace(items, size=items.size.capped(width), each=None, sure=False)

    def _width(self, part: ast.Slice, frame: Frame) -> float | None:
        """The width of ``[i : i + n]``."""
        match part:
            case ast.Slice(lower=ast.Name(id=one), upper=ast.BinOp(left=ast.Name(id=other), op=ast.Add(), right=width)):
                return number_of(self.evaluate(width, frame)).worst if one == other else None
            case _:
                return None


def _is_formatted(part: ast.FormattedValue) -> bool:
    """Whether a value stands otherwise in an f-string than `str` has it."""
    return part.format_spec is not None or part.conversion not in (-1, ord("s"))
