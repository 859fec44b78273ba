"""On what terms a request can be granted now, if at all: pure readings of the accounts.

A request is granted on terms, refused because it can never fit, or stands still at some points: the gates and
dimensions that have too little now, but could have enough once outstanding reservations come back.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from antiphon.engine.account import Account, Gate, Refusal
from antiphon.engine.amount import DIMENSIONS, NOTHING, Amount, Pairs
from antiphon.engine.carve import Carve, Keep

Point = tuple[Gate, int]
"""Where a request stands still: a gate, and the dimension that it has too little of."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a grant is paid.

    Attributes:
        fresh: What is newly reserved up the chain.
        given: What comes out of the carve's own floor.
        lent: What a keep lends to an admission.
    """

    fresh: Pairs
    given: Pairs = ()
    lent: Amount = NOTHING


def for_hold(carve: Carve, wanted: Amount, *, barred: bool) -> Terms | Refusal | list[Point]:
    """On what terms an attempt's worst case can be reserved.

    What fits is new, dimension by dimension; where it does not fit, the floor gives first and only the rest is new.

    Args:
        carve: Whose attempt it is.
        wanted: Its worst case.
        barred: Whether others come first, so that only the floor can pay.
    """
    own, account = carve.guarantee, carve.account
    floor_only = barred or carve.winding_down
    short = account.short_of(wanted.pairs)
    if floor_only:  # what nobody limits is nobody's, and need not be in the floor
        short |= account.limited(wanted.dimensions)
    fresh = tuple((i, need) for i, count in wanted.pairs if (need := count - own[i] if i in short else count) > 0)
    points = points_of(account.gates, fresh)
    missing = [i for i, _ in fresh if i in short] if floor_only else []
    if not points and not missing:
        return Terms(fresh, tuple((i, min(count, own[i])) for i, count in wanted.pairs if i in short and own[i]))
    hopeless = _hopeless(points, fresh, carve)
    if hopeless is not None:
        return refusal(hopeless[0], wanted, hopeless[1])
    if carve.winding_down:
        gate, index = points[0] if points else (account.gate_of(missing[0]), missing[0])
        return refusal((gate, index), wanted, gate.room(index), wind_down=True)
    return points


def for_floor(account: Account, floor: Amount, fallback: Keep | None, *, barred: bool) -> Terms | Refusal | list[Point]:
    """On what terms a subagent can be admitted.

    Args:
        account: Where it is to run.
        floor: What it needs to finish and hand back.
        fallback: What to pay from when it does not fit otherwise.
        barred: Whether others come first, so that only the fallback can pay.
    """
    points = points_of(account.gates, floor.pairs)
    if not points and not barred:
        return Terms(floor.pairs)
    if fallback is not None and not fallback.closed:
        return _from_keep(account, floor, fallback, barred=barred)
    hopeless = _hopeless(points, floor.pairs)
    return points if hopeless is None else refusal(hopeless[0], floor, hopeless[1])


def _from_keep(account: Account, floor: Amount, keep: Keep, *, barred: bool) -> Terms | Refusal | list[Point]:
    """Above where something is kept only what it does not cover is new; below that account all of it is."""
    lent = floor.common(keep.remaining)
    fresh = floor.beyond(lent)
    above = keep.account.gates
    below = account.gates[: len(account.gates) - len(above)]
    inside, outside = points_of(below, floor.pairs), points_of(above, fresh.pairs)
    if not (inside or outside) and not (barred and (below or fresh)):
        return Terms(fresh.pairs, lent=lent)
    hopeless = _hopeless(inside, floor.pairs) or _hopeless(outside, fresh.pairs)
    return [*inside, *outside] if hopeless is None else refusal(hopeless[0], floor, hopeless[1])


def points_of(gates: Iterable[Gate], pairs: Pairs) -> list[Point]:
    """Where, and in which dimension, this cannot be reserved now."""
    return [(gate, index) for gate in gates for index, count in pairs if gate.overdrawn or gate.room(index) < count]


def _hopeless(points: list[Point], fresh: Pairs, carve: Carve | None = None) -> tuple[Point, int] | None:
    """The first point at which not even everything outstanding could make room, and how much there could be.

    A subagent's own holds kept aside do not come back before it goes on, and where its floor does not reach, the
    floor is part of what it wants.
    """
    new, own, aside = dict(fresh), [0] * len(DIMENSIONS), [0] * len(DIMENSIONS)
    if carve is not None:
        own, aside = carve.guarantee, aside if carve.lends else carve.beside.counts()
    for gate, index in points:
        most = gate.prospect(index) - aside[index]
        if gate.overdrawn or most < new[index] + own[index]:
            return (gate, index), most
    return None


def refusal(point: Point, wanted: Amount, free: int, *, wind_down: bool = False) -> Refusal:
    """Say no at one point, where `free` is what there is or could be."""
    gate, index = point
    return Refusal(
        path=gate.path,
        dimension=DIMENSIONS[index],
        wanted=wanted.count(DIMENSIONS[index]),
        limit=gate.ceiling[index],
        free=max(0, free),
        is_root=gate.is_root,
        overdrawn=gate.overdrawn,
        wind_down=wind_down,
    )
