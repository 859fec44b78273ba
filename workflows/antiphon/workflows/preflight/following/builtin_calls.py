"""What calls of Python's own functions and methods give, as far as their size goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from math import ceil, comb, perm
from typing import Final

from antiphon.workflows.preflight.following.arithmetic import LARGEST, ranged
from antiphon.workflows.preflight.following.values import (
    NOTHING,
    Items,
    Known,
    Number,
    Outcome,
    Record,
    Unknown,
    Value,
    added,
    as_items,
    joined,
    listed,
    number_of,
    size_of,
)
from antiphon.workflows.preflight.model import NEVER, ONCE, UNKNOWN, Bound

_SAME: Final = frozenset({"list", "tuple", "sorted", "reversed", "iter", "deque"})
_FEWER: Final = frozenset({"set", "frozenset", "filter"})
_WIDEST: Final = 6
_MOST_CHOSEN_FROM: Final = 10_000
Arguments = Sequence[Value]


def builtin(name: str, given: Arguments) -> Value | None:
    """What a builtin or a function of itertools gives; None where that is not known here."""
    short = name.rpartition(".")[2]
    if short in _SAME and given:
        return size_of(given[0])
    if short in _FEWER and given:
        return _fewer(size_of(given[-1]))
    if short in ("set", "frozenset", *_SAME):
        return Items(NEVER, each=())
    function = _KNOWN.get(short)
    return function(given) if function is not None else None


def _fewer(items: Items) -> Items:
    certain = items.size.certain and items.each is not None and len(set(map(repr, items.each))) == len(items.each)
    fewer = Bound(expected=None, worst=items.size.worst)
    return items if certain else replace(items, each=None, size=fewer, sure=items.size == NEVER)


def _len(given: Arguments) -> Value:
    if not given:
        return NOTHING
    items = size_of(given[0])
    if items.sure and items.size.certain and items.size.worst is not None:
        return Known(int(items.size.worst))
    return Number(items.size, items.source, items.argument)


def _least(given: Arguments) -> Value:
    values = _among(given)
    known = [value.value for value in values if isinstance(value, Known) and isinstance(value.value, int | float)]
    if values and len(known) == len(values):
        return Known(min(known))
    if not known or len(given) < 2:
        return NOTHING
    expected = [number_of(value).expected for value in values]
    worst = [bound for value in values if (bound := number_of(value).worst) is not None]
    sure = None if None in expected else min(one for one in expected if one is not None)
    return Number(Bound(expected=sure, worst=min(worst)))


def _most(given: Arguments) -> Value:
    values = _among(given)
    known = [value.value for value in values if isinstance(value, Known) and isinstance(value.value, int | float)]
    if values and len(known) == len(values):
        return Known(max(known))
    numbers = [value for value in values if isinstance(value, Known | Number)]
    if len(given) < 2 or len(numbers) != len(values):
        return next((value for value in values if isinstance(value, Unknown)), NOTHING)
    return Number(reduce(lambda one, other: one | other, map(number_of, values)))


def _among(given: Arguments) -> Arguments:
    if len(given) != 1:
        return given
    items = size_of(given[0])
    return items.each or (items.item,)


def _enumerate(given: Arguments) -> Value:
    return _rows([size_of(Items(UNKNOWN, NOTHING)), size_of(given[0])], size_of(given[0])) if given else NOTHING


def _zip(given: Arguments) -> Value:
    columns = [size_of(value) for value in given]
    if not columns:
        return Items(NEVER)
    shortest = min(columns, key=lambda one: float("inf") if one.size.worst is None else one.size.worst)
    return _rows(columns, shortest)


def _rows(columns: Sequence[Items], long: Items) -> Items:
    """Tuples with one of each column."""
    if long.each is not None and all(column.each is not None for column in columns):
        return listed([listed(row) for row in zip(*(column.each or () for column in columns), strict=False)])
    sure = all(column.sure for column in columns)
    row = listed([column.item for column in columns])
    return replace(long, item=row, each=None, held=None, outcomes=False, sure=sure)


def _product(given: Arguments) -> Value:
    columns = [size_of(value) for value in given]
    size = reduce(lambda one, other: one * other, (column.size for column in columns), ONCE)
    told = next((column for column in columns if column.size.worst is None), Items(NEVER))
    return Items(size, listed([one.item for one in columns]), source=told.source, argument=told.argument, sure=False)


def _chain(given: Arguments) -> Value:
    return reduce(added, map(size_of, given), Items(NEVER, each=()))


def _flattened(given: Arguments) -> Value:
    return flattened(size_of(given[0])) if given else NOTHING


def flattened(outer: Items) -> Items:
    """The items of the items."""
    if outer.each is not None:
        return reduce(added, map(size_of, outer.each), Items(NEVER, each=()))
    inner = size_of(outer.item)
    told = outer if outer.size.worst is None else inner
    size = outer.size * inner.size
    return Items(size, inner.item, source=told.source, argument=told.argument, sure=False)


def _choices(count: Callable[[int, int], int]) -> Callable[[Arguments], Value]:
    def sized(given: Arguments) -> Value:
        if not given:
            return NOTHING
        items, width = size_of(given[0]), given[1] if len(given) > 1 else NOTHING
        if not (isinstance(width, Known) and isinstance(width.value, int) and 0 <= width.value <= _WIDEST):
            return Items(UNKNOWN)
        many = width.value
        ends = (items.size.expected, items.size.worst)
        size = [None if one is None or one > _MOST_CHOSEN_FROM else count(int(one), many) for one in ends]
        bound = Bound(expected=size[0], worst=size[1])
        return Items(bound, listed([items.item] * many), source=items.source, argument=items.argument, sure=items.sure)

    return sized


def _first(given: Arguments) -> Value:
    """``islice(items, n)``."""
    if len(given) != 2:
        return replace(size_of(given[0]), each=None) if given else NOTHING
    items = size_of(given[0])
    return replace(items, size=items.size.capped(number_of(given[1]).worst), each=None, sure=False)


def _batched(given: Arguments) -> Value:
    items = size_of(given[0]) if given else Items(UNKNOWN)
    width = number_of(given[1]).worst if len(given) > 1 else None
    if not width:
        return items
    parts = [None if one is None else ceil(one / width) for one in (items.size.expected, items.size.worst)]
    batch = Items(Bound(expected=None, worst=width), items.item)
    return Items(
        Bound(expected=parts[0], worst=parts[1]), batch, source=items.source, argument=items.argument, sure=items.sure
    )


def _as_dict(given: Arguments) -> Value:
    if not given:
        return Record({})
    return given[0] if isinstance(given[0], Record) else replace(size_of(given[0]), each=None, held=NOTHING)


def _whole(given: Arguments) -> Value:
    match given:
        case [Known(value=int() | float() as number)] if abs(number) <= LARGEST:
            return Known(int(number))
        case [Known(value=str() as text)] if text.isdecimal() and len(text) < 12:
            return Known(int(text))
        case [Number() as number]:
            return number
        case _:
            return NOTHING


def _text(given: Arguments) -> Value:
    return Known(str(given[0].value)) if given and isinstance(given[0], Known) else NOTHING


_KNOWN: Final[Mapping[str, Callable[[Arguments], Value]]] = {
    "len": _len,
    "range": ranged,
    "min": _least,
    "max": _most,
    "enumerate": _enumerate,
    "zip": _zip,
    "product": _product,
    "chain": _chain,
    "from_iterable": _flattened,
    "combinations": _choices(comb),
    "permutations": _choices(perm),
    "islice": _first,
    "batched": _batched,
    "dict": _as_dict,
    "int": _whole,
    "str": _text,
    "repeat": lambda given: Items(number_of(given[1]), given[0]) if len(given) > 1 else Items(UNKNOWN),
}


# --- methods ------------------------------------------------------------------------------------------------------


def method(whole: Value, name: str, given: Arguments) -> Value | None:
    """What a method gives that changes nothing; None where that is not known here."""
    match whole, name:
        case Items(outcomes=True), "succeeded":
            return replace(whole, item=_value(whole.item), each=None, outcomes=False, sure=False)
        case Items(outcomes=True), "degraded":
            return replace(whole, size=Bound(expected=0, worst=whole.size.worst), each=None, sure=False)
        case Items(outcomes=True), "failed":
            return replace(whole, size=Bound(expected=0, worst=whole.size.worst), each=None, sure=False)
        case (Record() | Items(), "items" | "keys" | "values" | "get" | "copy"):
            return _of_object(as_items(whole) if isinstance(whole, Record) and name != "get" else whole, name, given)
        case Known(value=str() as text), "split" if not given and len(text) < 10_000:
            return listed([Known(one) for one in text.split()])
        case Known(value=str() as text), "lower" | "upper" | "strip" | "title" | "capitalize":
            return Known(getattr(text, name)()) if not given else NOTHING
        case _:
            return None


def _value(item: Value) -> Value:
    return item.value if isinstance(item, Outcome) else item


def _of_object(whole: Record | Items, name: str, given: Arguments) -> Value | None:
    match whole, name:
        case Record(fields=fields), _:
            default = given[1] if len(given) > 1 else Known(None)
            known = given[0].value if given and isinstance(given[0], Known) else None
            return fields.get(str(known), default) if known is not None else joined([*fields.values(), default])
        case Items(), "copy":
            return whole
        case Items(held=None), _:
            return None
        case Items(), "keys":
            return replace(whole, held=None)
        case Items(held=held), "values":
            return replace(whole, each=None, item=held or NOTHING, held=None)
        case Items(item=item, held=held), "items":
            return replace(whole, each=None, item=listed([item, held or NOTHING]), held=None)
        case Items(held=held), "get":
            return held
        case _:
            return None
