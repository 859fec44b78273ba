"""The outline of a script: what it does, in phases, and how often, as far as that can be proved before it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from antiphon.tracing import Json
from antiphon.workflows.preflight.following import Statements
from antiphon.workflows.preflight.model import Outline, Place
from antiphon.workflows.syntax.kinds import Kinds


def outline_of(kinds: Kinds, arguments: Mapping[str, Json]) -> Outline:
    """What a script does. Nothing of it is executed.

    Every bound holds for every run with these arguments, and with the defaults of those that are not given: sizes
    come from literals, `range`, slices, given arguments and schemas, and where nothing proves a size there is none.

    Args:
        kinds: the script.
        arguments: what main is given, as far as that is known.
    """
    looked = Statements(kinds)
    try:
        places = looked.script_of(arguments)
    except RecursionError:
        return Outline(complete=False)
    return Outline(places=tuple(_in_phases(places)), phases=_titles(places), complete=looked.complete)


def _in_phases(places: Sequence[Place]) -> list[Place]:
    """What follows a phase belongs to it, until the next; the same inside of every place."""
    found: list[Place] = []
    phase: Place | None = None
    inside: list[Place] = []
    for place in places:
        if place.kind == "phase":
            found += _closed(phase, inside)
            phase, inside = place, []
        else:
            inside.append(replace(_settled(place), children=tuple(_in_phases(place.children))))
    return [*found, *_closed(phase, inside)]


def _settled(place: Place) -> Place:
    """Where a number comes from matters only where nobody knows it."""
    known = place.bound.worst is not None and place.construct != "unseen"
    return replace(place, source="", argument=False) if known else place


def _closed(phase: Place | None, inside: Sequence[Place]) -> list[Place]:
    return list(inside) if phase is None else [replace(phase, children=tuple(inside))]


def _titles(places: Sequence[Place]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.title for place in places for one in place.walk() if one.kind == "phase"))
