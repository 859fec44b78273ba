"""What a run may come to: expected and at worst, in calls, requests to models, tokens, usd and seconds.

*Worst* holds for every run: each bound of the outline, every turn that a role's file allows, each prompt as long as its
model's window, each answer as long as the role allows; requests that a provider fails and that are sent again are held
by the run's budget and not counted here. *Expected* takes the dearer way of each choice, usual prompts and answers
(`pricing`), and where nobody knows how many there will be, the numbers that `Cost.assumed` names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from math import ceil
from typing import Final

from antiphon.workflows.manifest import Manifest
from antiphon.workflows.preflight.following import BETWEEN
from antiphon.workflows.preflight.model import DIMENSIONS, NEVER, ONCE, UNKNOWN, Bound, Cost, Outline, Place
from antiphon.workflows.preflight.pricing import NO_COST, NOBODY_KNOWS, Figures, Pricing, ceilings, within

ASSUMED_ITEMS: Final = 10
"""Items that a fan-out or loop is expected to go over, where nobody knows."""
ASSUMED_ROUNDS: Final = 2
"""Rounds that a `while` loop is expected to go around, where nobody knows."""
_WINDOW: Final = 1_000
"""Branches of a fan-out that are started at once; see `engine.Settings`."""
_MOST_ASSUMED: Final = 20
_FOLLOWING: Final = ("model_calls", "tokens", "usd")
"""Dimensions that can be no more than the calls allow."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one part of an outline comes to.

    Attributes:
        figures: of all of it. each: the most that a single call in it may come to.
        capped: by dimension, the limit that bounds it.
    """

    figures: Figures = NO_COST
    each: Figures = NO_COST
    capped: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(slots=True)
class _Costing:
    pricing: Pricing
    assumed: dict[str, None] = field(default_factory=dict[str, None])
    unpriced: dict[str, None] = field(default_factory=dict[str, None])

    def places(self, places: Sequence[Place]) -> Part:
        return reduce(_added, map(self.place, places), Part())

    def place(self, place: Place) -> Part:
        part = self._held(place)
        return _limited(part, place.limits) if place.limits else part

    def _held(self, place: Place) -> Part:
        match place.kind:
            case "call" | "workflow":
                return self._leaf(place)
            case "loop":
                inner = self.places(place.children)
                return inner if place.listed else _times(inner, self._rounds(place))
            case "fan-out":
                return self._fan_out(place)
            case "choice":
                return reduce(_either, map(self.place, place.children), Part())
            case _:
                return self.places(place.children)

    def _leaf(self, place: Place) -> Part:
        inner = self.places(place.children)
        if place.construct in ("agent", "choose", "critic"):
            return _added(self._asked(place), inner)
        if place.construct in ("unseen", "workflow"):
            return Part(NOBODY_KNOWS, NOBODY_KNOWS)
        return _added(Part(Figures(seconds=Bound(expected=0, worst=None))), inner)

    def _asked(self, place: Place) -> Part:
        names = place.role.split(BETWEEN) if place.role else list(self.pricing.roles())
        models = place.model.split(BETWEEN)
        roles = [(name, self.pricing.role(name, model)) for name in names for model in models]
        for name, role in roles:
            if not role.priced:
                self.unpriced[name] = None
        figures = reduce(_dearer, (role.figures for _, role in roles)) if roles else replace(NOBODY_KNOWS, calls=ONCE)
        return Part(figures, figures)

    def _fan_out(self, place: Place) -> Part:
        if place.listed:
            parts = [self.place(child) for child in place.children]
            summed, longest = reduce(_added, parts, Part()), reduce(_either, parts, Part())
            return replace(summed, figures=replace(summed.figures, seconds=longest.figures.seconds))
        inner, many = self.places(place.children), self._items(place)
        part = _times(inner, many)
        turns = None if many.expected is None else ceil(many.expected / _WINDOW)
        one = inner.figures.seconds
        together = None if turns is None or one.expected is None else turns * one.expected
        worst = part.figures.seconds.worst
        return replace(part, figures=replace(part.figures, seconds=Bound(expected=together, worst=worst)))

    def _items(self, place: Place) -> Bound:
        return self._assuming(place, ASSUMED_ITEMS, "items")

    def _rounds(self, place: Place) -> Bound:
        if place.title.startswith("while ") or place.construct == "recursion":
            return self._assuming(place, ASSUMED_ROUNDS, "rounds")
        return self._assuming(place, ASSUMED_ITEMS, "rounds")

    def _assuming(self, place: Place, usual: int, what: str) -> Bound:
        bound = place.bound
        if bound.expected is not None or not place.children:
            return bound
        many = usual if bound.worst is None else min(usual, bound.worst)
        if len(self.assumed) < _MOST_ASSUMED:
            self.assumed[f"line {place.line}: {many:,.0f} {what} of {place.title}"] = None
        return Bound(expected=many, worst=bound.worst)


def cost_of(outline: Outline, manifest: Manifest | None, pricing: Pricing) -> Cost:
    """What a run of a script may come to.

    Args:
        outline: what it does.
        manifest: its limits hold for all of it; None where it cannot be read.
        pricing: what one call of each role may come to.
    """
    if not outline.complete:
        return Cost(calls=UNKNOWN, model_calls=UNKNOWN, tokens=UNKNOWN, usd=UNKNOWN, seconds=UNKNOWN)
    costing = _Costing(pricing)
    part = costing.places(outline.places)
    if manifest is not None:
        limits = {name: float(value) for name, value in manifest.limits.to_json().items()}
        part = _limited(part, limits)
    return Cost(
        **{name: getattr(part.figures, name) for name in DIMENSIONS},
        unpriced=tuple(costing.unpriced),
        limited_by=dict(part.capped),
        assumed=tuple(costing.assumed),
    )


# --- arithmetic ---------------------------------------------------------------------------------------------------


def _map(one: Figures, other: Figures, which: str) -> Figures:
    made = {name: getattr(getattr(one, name), which)(getattr(other, name)) for name in Figures.__dataclass_fields__}
    return Figures(**made)


def _dearer(one: Figures, other: Figures) -> Figures:
    return _map(one, other, "__or__")


def _added(one: Part, other: Part) -> Part:
    figures = _map(one.figures, other.figures, "__add__")
    return Part(figures, _dearer(one.each, other.each), _still({**one.capped, **other.capped}, figures))


def _either(one: Part, other: Part) -> Part:
    figures = _dearer(one.figures, other.figures)
    return Part(figures, _dearer(one.each, other.each), _still({**one.capped, **other.capped}, figures))


def _still(capped: Mapping[str, str], figures: Figures) -> dict[str, str]:
    """Limits inside say nothing of a dimension that is unbounded all the same."""
    return {name: limit for name, limit in capped.items() if getattr(figures, name).worst is not None}


def _times(part: Part, many: Bound) -> Part:
    if many == NEVER:
        return Part()
    times = Figures(**dict.fromkeys(Figures.__dataclass_fields__, many))
    figures = _map(part.figures, times, "__mul__")
    return Part(figures, part.each, _still(part.capped, figures))


def _limited(part: Part, limits: Mapping[str, float | None]) -> Part:
    """A part, held to limits; what follows from its calls is held to what so many calls may come to."""
    before, capped = part.figures, dict(part.capped)
    figures = within(before, limits)
    for dimension, (most, name) in ceilings(limits).items():
        if _is_less(getattr(figures, dimension).worst, getattr(before, dimension).worst):
            capped[dimension] = f"{name} {most:,.10g}"
    return _following(Part(figures, part.each, capped), before)


def _following(part: Part, before: Figures) -> Part:
    """Fewer calls than the outline makes: what they use is less, too."""
    figures, capped = part.figures, dict(part.capped)
    share = _share(figures.calls.expected, before.calls.expected)
    for name in _FOLLOWING:
        bound: Bound = getattr(figures, name)
        each: Bound = getattr(part.each, name)
        worst = bound.worst
        if "calls" in capped and each.worst is not None and figures.calls.worst is not None:
            most = each.worst * figures.calls.worst
            if _is_less(most, worst):
                worst, capped[name] = most, capped["calls"]
        expected = (
            None if bound.expected is None else min(bound.expected * share, float("inf") if worst is None else worst)
        )
        figures = replace(figures, **{name: Bound(expected=expected, worst=worst)})
    return Part(figures, part.each, capped)


def _share(now: float | None, before: float | None) -> float:
    return now / before if now is not None and before else 1.0


def _is_less(one: float | None, other: float | None) -> bool:
    return one is not None and (other is None or one < other)
