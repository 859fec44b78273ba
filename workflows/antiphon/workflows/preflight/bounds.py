"""What bounds each loop and fan-out of an outline; what nothing bounds is a finding that says what to add."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from antiphon.workflows.manifest import Manifest
from antiphon.workflows.preflight.following import BETWEEN, BUDGET, ENDLESS
from antiphon.workflows.preflight.model import Finding, Outline, Place, Severity

_OF_AGENTS: Final = frozenset({"agent_calls"})
_OF_MODELS: Final = frozenset(
    {
        "usd",
        "model_calls",
        "agent_seconds",
        "input_tokens",
        "cached_input_tokens",
        "cache_write_tokens",
        "output_tokens",
        "reasoning_tokens",
    }
)
_OF_TIME: Final = frozenset({"wall_seconds"})
_RULES: Final = {"loop": "unbounded-loop", "fan-out": "unbounded-fan-out", "recursion": "unbounded-recursion"}


@dataclass(frozen=True, slots=True)
class Holding:
    """The limits around a place, the nearest first.

    Attributes:
        limits: by name, each with whose it is. functions: roles that the script defines itself, which ask no model.
    """

    limits: tuple[tuple[str, str], ...] = ()
    functions: frozenset[str] = frozenset()

    def within(self, place: Place) -> Holding:
        """The same, with those of a place."""
        own = tuple((name, _told(name, amount)) for name, amount in place.limits.items())
        return replace(self, limits=(*own, *self.limits)) if own else self

    def of(self, names: frozenset[str]) -> str:
        """The nearest of some limits, in words; "" for none."""
        return next((told for name, told in self.limits if name in names), "")


@dataclass(slots=True)
class _Bounding:
    """Walks an outline. Findings are collected on the way."""

    findings: list[Finding] = field(default_factory=list[Finding])

    def place(self, place: Place, holding: Holding) -> Place:
        inner = holding.within(place)
        around = inner if place.kind == "fan-out" else holding
        if place.bound.worst is None and place.kind in ("loop", "fan-out"):
            place = self._unbounded(place, around)
        if not place.children:
            return place
        return replace(place, children=tuple(self.place(child, inner) for child in place.children))

    def _unbounded(self, place: Place, holding: Holding) -> Place:
        asked = _asked(place)
        if place.construct == BUDGET:
            return self._by_budget(place, holding)
        if not asked and not _is_while(place):
            return place  # what it goes over ends, and it costs nothing
        names = _OF_TIME
        if asked and any(one.construct != "unseen" for one in asked):
            names = names | _OF_AGENTS
        if any(not _is_function(one, holding.functions) for one in asked):
            names = names | _OF_MODELS | _OF_AGENTS
        held = holding.of(names) if place.children else ""
        if held:
            return replace(place, limited_by=held)
        self.findings.append(_refused(place, asked))
        return place

    def _by_budget(self, place: Place, holding: Holding) -> Place:
        """`while budget.remaining("usd") > 1`: as long as there is such a limit."""
        dimension = place.source.partition("(")[2].rstrip(")")
        held = holding.of(frozenset({dimension})) or holding.of(_OF_AGENTS | _OF_MODELS | _OF_TIME)
        if held:
            return replace(place, limited_by=held)
        reason = (
            f"{place.title} goes on until budget.remaining({dimension!r}) is low, and no limit on {dimension} is set:"
            f" remaining() is None then"
        )
        remedy = f'add a limit to the manifest: "limits": {{"{dimension}": ...}}'
        self.findings.append(
            Finding(rule="unbounded-loop", line=place.line, severity="error", reason=reason, remedy=remedy)
        )
        return place


def bounded(
    outline: Outline, manifest: Manifest | None, functions: frozenset[str]
) -> tuple[Outline, tuple[Finding, ...]]:
    """The same outline with what limits each place that nothing else bounds, and findings where nothing does.

    Args:
        outline: of the script.
        manifest: its limits hold everywhere; None where it cannot be read.
        functions: the roles that the script defines itself: they ask no model, so money does not bound them.
    """
    bounding = _Bounding()
    limits = (
        () if manifest is None else tuple((name, _told(name, amount)) for name, amount in _amounts(manifest).items())
    )
    holding = Holding(limits, functions)
    places = tuple(bounding.place(place, holding) for place in outline.places)
    return replace(outline, places=places), tuple(dict.fromkeys((*bounding.findings, *_endless(places))))


def _amounts(manifest: Manifest) -> Mapping[str, float]:
    return {name: float(value) for name, value in manifest.limits.to_json().items() if name != "depth"}


def _told(name: str, amount: float | None) -> str:
    return f"{name} (computed)" if amount is None else f"{name} {amount:,.10g}"


def _asked(place: Place) -> list[Place]:
    """What of a place asks a subagent, or may do so."""
    return [one for one in place.walk() if one.construct in ("agent", "choose", "critic", "unseen", "workflow")]


def _is_while(place: Place) -> bool:
    return place.kind == "loop" and (place.title.startswith("while ") or place.construct == "recursion")


def _is_function(one: Place, functions: frozenset[str]) -> bool:
    return bool(one.role) and all(role in functions for role in one.role.split(BETWEEN))


# --- words --------------------------------------------------------------------------------------------------------


def _refused(place: Place, asked: Sequence[Place]) -> Finding:
    rule = _RULES["recursion" if place.construct == "recursion" else place.kind]
    seen = any(one.construct != "unseen" for one in asked) or not asked
    severity: Severity = "warning" if place.argument or not seen else "error"
    return Finding(rule=rule, line=place.line, severity=severity, reason=_reason(place), remedy=_remedy(place))


def _reason(place: Place) -> str:
    if place.kind == "fan-out":
        return f"nothing bounds how many calls {place.title} makes: {_because(place)}, and no limit holds it"
    if place.construct == "recursion":
        return f"{place.title}, and no number that it is given shows that it ends; no limit holds it"
    return f"nothing bounds how often {place.title} goes around: {_because(place)}, and no limit holds it"


def _because(place: Place) -> str:
    if place.argument:
        return f"as many as {place.source or 'an argument'} says"
    return place.source or "nobody knows its size before the run"


def _remedy(place: Place) -> str:
    whole = 'add "limits": {"agent_calls": N} to the manifest'
    if place.kind == "fan-out":
        return f'{whole}, give it limits={{"agent_calls": N}}, or cut what it goes over: items[:N]'
    if place.construct == "recursion":
        return f"{whole}, or give it a depth that goes down: f(part, depth - 1), and stop at 0"
    return f"{whole}, or count the rounds: for number in range(N): ... break"


def _endless(places: Sequence[Place]) -> Iterator[Finding]:
    for place in (one for root in places for one in root.walk()):
        if place.kind != "loop" or place.source != ENDLESS:
            continue
        held = place.limited_by
        if not held and place.children:
            continue  # said already
        end = f"every run ends by its limit ({held}), without a result" if held else "the run never ends"
        yield Finding(
            rule="endless-loop",
            line=place.line,
            severity="warning" if held else "error",
            reason=f"{place.title} has no break, return or raise: {end}",
            remedy="leave it when it is done: if ...: break; or count its rounds: for number in range(N)",
        )
