"""What preflight can know of a value without executing anything: itself, its size, or what is done when it is awaited.

Every statement about a value is an upper bound; where nothing is known, nothing is claimed.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, cast

from antiphon.tracing import Json
from antiphon.workflows.preflight.model import NEVER, UNKNOWN, Bound, Place

if TYPE_CHECKING:
    from antiphon.workflows.preflight.following.frames import Frame

Scalar = str | int | float | bool | None
MOST_LISTED: Final = 200
"""Items that are kept one by one; of more, only the number is."""
MOST_WAYS: Final = 24
"""Values that something may have; of more, nothing is known."""
_LONGEST: Final = 10_000
_HEAVIEST: Final = 2_000
"""Parts of a value, all in all: one that holds itself twice, again and again, is not followed."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nothing is known of it.

    Attributes:
        source: where it comes from, in words; argument: whether a person gives it, so that it is known before the run.
    """

    source: str = ""
    argument: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """A text, number, truth value or None."""

    value: Scalar


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number that is at least 0, of which a bound is known."""

    bound: Bound
    source: str = ""
    argument: bool = False


@dataclass(frozen=True, slots=True)
class Items:
    """Something that is gone over: a list, a set, a generator, or what a fan-out gave.

    Attributes:
        size: how many. item: what each of them is.
        each: all of them, where they are written out.
        source, argument: see `Unknown`: where an unknown size comes from.
        outcomes: whether it is what awaiting a fan-out gave.
        grown: how many were added in this round of the loop that is looked at; None outside of one.
        held: of an object whose keys are not known, what its values are; its keys are the items.
        sure: whether there are exactly as many, where a number is known; else there may be fewer.
    """

    size: Bound
    item: Value = Unknown()
    each: tuple[Value, ...] | None = None
    source: str = ""
    argument: bool = False
    outcomes: bool = False
    grown: Bound | None = None
    held: Value | None = None
    sure: bool = True
    weight: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Record:
    """An object with keys that are known."""

    fields: Mapping[str, Value]
    weight: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Shaped:
    """Something of which only the JSON Schema is known: what an agent was asked for."""

    schema: Mapping[str, Json]
    source: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a branch ended as, around a value."""

    value: Value


@dataclass(frozen=True, slots=True)
class Work:
    """Something that has not been awaited yet: what it does then, and what it gives."""

    places: tuple[Place, ...] = ()
    value: Value = Unknown()


@dataclass(frozen=True, slots=True, eq=False)
class Callable:
    """A function of the script, a method bound to what it belongs to, or a name of the API with some arguments given.

    Attributes:
        node: the function. frame: the names around it. api: the name of the API.
        given: arguments that are there already. named: the same, by keyword.
    """

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | None = None
    frame: Frame | None = None
    api: str = ""
    given: tuple[Value, ...] = ()
    named: Mapping[str, Value] = field(default_factory=dict[str, "Value"])


@dataclass(frozen=True, slots=True, eq=False)
class Class:
    """A class of the script."""

    node: ast.ClassDef
    frame: Frame


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """An instance of a class of the script, as it was made."""

    made_of: Class
    fields: Mapping[str, Value] = field(default_factory=dict[str, "Value"])


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of several values."""

    ways: tuple[Value, ...]


Value = Unknown | Known | Number | Items | Record | Shaped | Outcome | Work | Callable | Class | Instance | OneOf
NOTHING: Final = Unknown()
GROWS: Final = Unknown("what grows in the loop")
"""The items of a list to which a loop adds, before it is known what."""


def listed(values: Sequence[Value]) -> Items:
    """Items that are written out."""
    size, weight = Bound.exactly(len(values)), 1 + sum(map(weight_of, values))
    if weight > _HEAVIEST:
        return Items(size)
    if len(values) > MOST_LISTED:
        return Items(size, joined(values[:MOST_LISTED]), weight=weight)
    return Items(size, joined(values), tuple(values), weight=weight)


def record(fields: Mapping[str, Value]) -> Value:
    """An object with these keys."""
    weight = 1 + sum(map(weight_of, fields.values()))
    return Record(dict(fields), weight) if weight <= _HEAVIEST else NOTHING


def weight_of(value: Value) -> int:
    """How many parts a value has, all in all."""
    match value:
        case Items() | Record():
            return value.weight
        case Work(places=places):
            return 1 + len(places)
        case Outcome(value=inner):
            return 1 + weight_of(inner)
        case OneOf(ways=ways):
            return 1 + sum(map(weight_of, ways))
        case _:
            return 1


def of_json(value: object) -> Value:
    """The value of plain data."""
    if isinstance(value, list | tuple):
        return listed([of_json(one) for one in cast("Sequence[object]", value)[:_LONGEST]])
    if isinstance(value, dict):
        return record({str(name): of_json(one) for name, one in cast("Mapping[object, object]", value).items()})
    return Known(value) if isinstance(value, str | int | float | bool | None) else NOTHING


def to_json(value: Value) -> tuple[bool, Json]:
    """The plain data that a value is, and whether it is any."""
    match value:
        case Known(value=plain):
            return True, plain
        case Items(each=tuple() as each):
            parts = [to_json(one) for one in each]
            return all(good for good, _ in parts), [one for _, one in parts]
        case Record(fields=fields):
            named = {name: to_json(one) for name, one in fields.items()}
            return all(good for good, _ in named.values()), {name: one for name, (_, one) in named.items()}
        case _:
            return False, None


def joined(values: Sequence[Value]) -> Value:
    """A value that is one of these, whichever it may be."""
    ways: list[Value] = []
    for value in values:
        for way in value.ways if isinstance(value, OneOf) else (value,):
            if isinstance(way, Unknown):
                return way  # nothing is known of what may be unknown
            if way not in ways:
                ways.append(way)
        if len(ways) > MOST_WAYS:
            break
    if not ways:
        return NOTHING
    if len(ways) == 1:
        return ways[0]
    if len(ways) > MOST_WAYS:
        return NOTHING
    if all(isinstance(way, Items) for way in ways):
        return _joined_items([way for way in ways if isinstance(way, Items)])
    return OneOf(tuple(ways))


def _joined_items(ways: Sequence[Items]) -> Items:
    size = ways[0].size
    for way in ways[1:]:
        size = size if size == way.size else Bound(expected=None, worst=(size | way.size).worst)
    told = next((way for way in ways if way.size.worst is None), ways[0])
    parts = [way.item for way in ways if way.size != NEVER and way.item is not GROWS]
    grown = [way.grown for way in ways if way.grown is not None]
    most = grown[0] if grown else None
    for one in grown[1:]:
        most = one if most is None or most == one else Bound(expected=None, worst=(most | one).worst)
    return Items(
        size=size,
        item=joined(parts) if parts else ways[0].item,
        source=told.source,
        argument=told.argument,
        outcomes=all(way.outcomes for way in ways),
        grown=most,
        held=_both([way.held for way in ways]),
        sure=all(way.sure and way.size == size for way in ways),
    )


def _both(values: Sequence[Value | None]) -> Value | None:
    there = [value for value in values if value is not None]
    return joined(there) if there else None


def as_items(value: Record) -> Items:
    """An object as one whose keys are not known one by one."""
    return replace(listed([Known(name) for name in value.fields]), held=joined(list(value.fields.values())))


def ways_of(value: Value) -> tuple[Value, ...]:
    """Each value that it may be."""
    return value.ways if isinstance(value, OneOf) else (value,)


def truth(value: Value) -> bool | None:
    """Whether it is true in a condition; None where nobody knows."""
    answers = {_truth(way) for way in ways_of(value)}
    return answers.pop() if len(answers) == 1 else None


def _truth(value: Value) -> bool | None:
    match value:
        case Known(value=plain):
            return bool(plain)
        case Items(size=size, sure=sure) if size.certain and (sure or size.worst == 0):
            return size.worst != 0
        case Record(fields=fields):
            return bool(fields)
        case Callable() | Class():
            return True
        case _:
            return None


def size_of(value: Value) -> Items:
    """A value as something that is gone over; what nobody knows has an unknown size, with its source."""
    match value:
        case Items():
            return value
        case Record(fields=fields):
            return listed([Known(name) for name in fields])
        case Known(value=str() as text):
            return Items(Bound.exactly(len(text)), NOTHING)
        case Shaped(schema=schema, source=source):
            return _shaped_items(schema, source)
        case OneOf(ways=ways):
            parts = [size_of(way) for way in ways if way != Known(None)]
            return _joined_items(parts) if parts else Items(NEVER)
        case Unknown(source=source, argument=argument):
            return Items(UNKNOWN, Unknown(source, argument), source=source, argument=argument)
        case Work():
            return Items(UNKNOWN, source="something that was not awaited")
        case _:
            return Items(UNKNOWN)


def _shaped_items(schema: Mapping[str, Json], source: str) -> Items:
    most, items = schema.get("maxItems"), schema.get("items")
    worst = most if isinstance(most, int) and not isinstance(most, bool) and most >= 0 else None
    item = Shaped(cast("Mapping[str, Json]", items), source) if isinstance(items, dict) else Unknown(source)
    return Items(Bound(expected=None, worst=worst), item, source=source)


def added(before: Items, more: Items) -> Items:
    """A list with others behind it."""
    each = before.each + more.each if before.each is not None and more.each is not None else None
    told, weight = before if before.size.worst is None else more, before.weight + more.weight
    return replace(
        before,
        size=before.size + more.size,
        item=more.item if before.size == NEVER or before.item is GROWS else joined([before.item, more.item]),
        each=each if each is not None and len(each) <= MOST_LISTED and weight <= _HEAVIEST else None,
        weight=min(weight, _HEAVIEST),
        source=told.source,
        argument=told.argument,
        grown=None if before.grown is None else before.grown + more.size,
        held=_both([before.held, more.held]),
        sure=before.sure and more.sure,
        outcomes=False,
    )


def number_of(value: Value) -> Bound:
    """The bound of a number; unknown where it is none."""
    parts = [_number(way) for way in ways_of(value)]
    found = parts[0]
    for part in parts[1:]:
        found = found | part
    return found


def _number(value: Value) -> Bound:
    match value:
        case Known(value=bool() as plain):
            return Bound.exactly(int(plain))
        case Known(value=int() | float() as plain):
            return Bound.exactly(max(plain, 0))
        case Number(bound=bound):
            return bound
        case _:
            return UNKNOWN


def as_object(pairs: Items) -> Value:
    """What a comprehension of pairs makes."""
    each = [size_of(pair).each or (NOTHING, NOTHING) for pair in pairs.each or (pairs.item,)]
    keys = [pair[0] for pair in each]
    if pairs.each is not None and all(isinstance(key, Known) for key in keys):
        return record({str(key.value): pair[1] for key, pair in zip(keys, each, strict=True) if isinstance(key, Known)})
    return replace(pairs, each=None, item=joined(keys), held=joined([pair[1] for pair in each]), sure=False)
