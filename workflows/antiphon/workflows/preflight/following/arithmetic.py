"""Numbers, slices and products of values of which only a bound may be known."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from typing import Final

from antiphon.workflows.preflight.following.values import (
    MOST_WAYS,
    NOTHING,
    Items,
    Known,
    Number,
    Record,
    Scalar,
    Unknown,
    Value,
    added,
    joined,
    listed,
    number_of,
    record,
    size_of,
    ways_of,
)
from antiphon.workflows.preflight.model import UNKNOWN, Bound

LARGEST: Final = 10**12
LONGEST_TEXT: Final = 10_000


def binary(one: Value, op: ast.operator, other: Value) -> Value:
    """What an operator gives; each way of the one with each way of the other."""
    pairs = [(left, right) for left in ways_of(one) for right in ways_of(other)]
    if len(pairs) > MOST_WAYS:
        return NOTHING
    return joined([_binary(left, op, right) for left, right in pairs])


def _binary(one: Value, op: ast.operator, other: Value) -> Value:
    match one, other:
        case Known(value=int() | float() as left), Known(value=int() | float() as right):
            return _numbers(left, op, right)
        case Known(value=str() as left), Known(value=str() as right) if isinstance(op, ast.Add):
            return Known(left + right) if len(left) + len(right) <= LONGEST_TEXT else NOTHING
        case (Number() | Known(value=int()), Number() | Known(value=int())):
            return _bounded(one, op, other)
        case Record(fields=left), Record(fields=right) if isinstance(op, ast.BitOr):
            return record({**left, **right})
        case _:
            return _of_items(one, op, other)


def _of_items(one: Value, op: ast.operator, other: Value) -> Value:
    match one, other:
        case Items(), Items() if isinstance(op, ast.Add):
            return added(one, other)
        case Items(), Unknown() if isinstance(op, ast.Add):
            return added(one, size_of(other))
        case Unknown(), Items() if isinstance(op, ast.Add):
            return added(size_of(one), other)
        case Items(), Items() if isinstance(op, ast.BitOr):
            return added(one, other)
        case Items(), Items() if isinstance(op, ast.Sub | ast.BitAnd):
            return replace(one, each=None, size=Bound(expected=None, worst=one.size.worst), sure=False)
        case (Items() as items, times) | (times, Items() as items) if isinstance(op, ast.Mult):
            return replace(items, size=items.size * number_of(times), each=None, sure=isinstance(times, Known))
        case _:
            return _told(one, other)


def _told(one: Value, other: Value) -> Value:
    """Nothing, and where that comes from."""
    return next((value for value in (one, other) if isinstance(value, Unknown) and value.source), NOTHING)


def _numbers(left: float, op: ast.operator, right: float) -> Value:
    if max(abs(left), abs(right)) > LARGEST:
        return NOTHING
    try:
        found = _applied(left, op, right)
    except ArithmeticError:
        return NOTHING
    return NOTHING if found is None else Known(found)


def _applied(left: float, op: ast.operator, right: float) -> float | None:
    match op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.FloorDiv():
            return left // right
        case ast.Div():
            return left / right
        case ast.Mod():
            return left % right
        case _:
            return None


def _bounded(one: Value, op: ast.operator, other: Value) -> Value:
    """Of two numbers that are at least 0."""
    if _negative(one) or _negative(other):
        return NOTHING
    left, right = number_of(one), number_of(other)
    told = next((value for value in (one, other) if isinstance(value, Number)), Number(UNKNOWN))
    match op:
        case ast.Add():
            return replace(told, bound=left + right)
        case ast.Mult():
            return replace(told, bound=left * right)
        case ast.Sub():
            return replace(told, bound=Bound(expected=_less(left, right), worst=left.worst))
        case ast.FloorDiv() | ast.Div() if isinstance(other, Known) and right.worst and right.worst >= 1:
            return replace(told, bound=left * Bound.exactly(1 / right.worst))
        case ast.Mod() if isinstance(other, Known) and right.worst:
            return replace(told, bound=Bound(expected=None, worst=right.worst - 1))
        case _:
            return NOTHING


def _less(left: Bound, right: Bound) -> float | None:
    known = left.expected is not None and right.expected is not None
    return max(left.expected - right.expected, 0) if known and left.expected and right.expected else left.expected


def compared(one: Value, op: ast.cmpop, other: Value) -> Value:
    """What a comparison gives, where both sides are known."""
    pairs = [(left, right) for left in ways_of(one) for right in ways_of(other)]
    return joined([_compared(left, op, right) for left, right in pairs]) if len(pairs) <= MOST_WAYS else NOTHING


def _compared(one: Value, op: ast.cmpop, other: Value) -> Value:
    if isinstance(op, ast.In | ast.NotIn):
        return _contained(one, op, other)
    if isinstance(one, Known) and isinstance(other, Known):
        answer = _answered(one.value, op, other.value)
        return NOTHING if answer is None else Known(answer)
    settled = isinstance(one, Items | Record) and other == Known(None)
    return Known(isinstance(op, ast.IsNot | ast.NotEq)) if settled else NOTHING


def _answered(one: Scalar, op: ast.cmpop, other: Scalar) -> bool | None:
    """Whether a comparison holds; None where it makes no sense."""
    match op:
        case ast.Eq() | ast.Is():
            return one == other
        case ast.NotEq() | ast.IsNot():
            return one != other
        case _:
            return _ordered(one, op, other)


def _ordered(one: Scalar, op: ast.cmpop, other: Scalar) -> bool | None:
    if isinstance(one, str) and isinstance(other, str):
        return _by_order(op, less=one < other, same=one == other)
    if isinstance(one, int | float) and isinstance(other, int | float):
        return _by_order(op, less=one < other, same=one == other)
    return None


def _by_order(op: ast.cmpop, *, less: bool, same: bool) -> bool:
    match op:
        case ast.Lt():
            return less
        case ast.LtE():
            return less or same
        case ast.Gt():
            return not less and not same
        case _:
            return not less


def _contained(one: Value, op: ast.cmpop, other: Value) -> Value:
    if not isinstance(one, Known):
        return NOTHING
    among: list[Value] | None = None
    if isinstance(other, Record):
        among = [Known(name) for name in other.fields]
    elif isinstance(other, Items) and other.each is not None:
        among = list(other.each)
    if among is None or not all(isinstance(value, Known) for value in among):
        return NOTHING
    return Known((one in among) == isinstance(op, ast.In))


def sliced(items: Items, lower: Value | None, upper: Value | None, step: Value | None) -> Items:
    """A slice: at most as long as the whole, and as it says itself."""
    ends = [_index(part) for part in (lower, upper, step)]
    if items.each is not None and all(known for known, _ in ends) and ends[2] != (True, 0):
        return listed(items.each[slice(*(at for _, at in ends))])
    size = items.size
    start = number_of(lower) if isinstance(lower, Known) else Bound.exactly(0)
    if isinstance(upper, Known | Number) and not _negative(upper) and not _negative(lower):
        most = number_of(upper).worst
        size = size.capped(None if most is None else max(most - (start.worst or 0), 0))
    elif isinstance(lower, Known) and upper is None and _negative(lower):
        size = size.capped(abs(lower.value) if isinstance(lower.value, int) else None)
    return replace(items, size=size, each=None, sure=False)


def _index(part: Value | None) -> tuple[bool, int | None]:
    """One end of a slice, and whether it is known."""
    if part is None or part == Known(None):
        return True, None
    return (True, part.value) if isinstance(part, Known) and type(part.value) is int else (False, None)


def _negative(value: Value | None) -> bool:
    return isinstance(value, Known) and isinstance(value.value, int | float) and value.value < 0


def ranged(arguments: Sequence[Value]) -> Items:
    """``range(...)``."""
    known = [value.value for value in arguments if isinstance(value, Known) and isinstance(value.value, int)]
    if any(abs(number) > LARGEST for number in known):
        return Items(UNKNOWN)
    if len(known) == len(arguments) and 1 <= len(known) <= 3:
        return _exact_range(known)
    first, last, step = _range_parts(arguments)
    told = next((one for one in (last, first) if isinstance(one, Unknown | Number) and one.source), Unknown())
    end, stride = number_of(last), step.value if isinstance(step, Known) else 1
    width = stride if isinstance(stride, int) and stride > 0 else 1
    begin = number_of(first).worst if isinstance(first, Known) else 0
    size = Bound(expected=_steps(end.expected, begin, width), worst=_steps(end.worst, begin, width))
    return Items(size, Number(end), source=told.source, argument=told.argument, sure=False)


def _range_parts(arguments: Sequence[Value]) -> tuple[Value, Value, Value]:
    match arguments:
        case [last]:
            return Known(0), last, Known(1)
        case [first, last]:
            return first, last, Known(1)
        case [first, last, step]:
            return first, last, step
        case _:
            return NOTHING, NOTHING, Known(1)


def _steps(end: float | None, begin: float | None, width: int) -> float | None:
    return None if end is None else max(ceil((end - (begin or 0)) / width), 0)


def _exact_range(parts: Sequence[int]) -> Items:
    try:
        numbers = range(*parts)
    except ValueError:
        return Items(UNKNOWN)
    if len(numbers) <= MOST_WAYS:
        return listed([Known(number) for number in numbers])
    return Items(Bound.exactly(len(numbers)), Number(Bound(expected=None, worst=max(numbers[0], numbers[-1], 0))))
