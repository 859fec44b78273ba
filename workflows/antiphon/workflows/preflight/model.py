"""What preflight says of a script: findings, an outline with bounds, what it may cost, and where it can run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Final, Literal

from antiphon.tracing import Json
from antiphon.workflows.manifest import Manifest

Severity = Literal["error", "warning", "note"]
SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "note")
"""From the worst."""
_LARGEST: Final = 1e18
"""The largest number that a bound may have; beyond, it is none."""
PlaceKind = Literal["main", "phase", "fan-out", "call", "branch", "loop", "choice", "workflow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing to say about a script.

    Attributes:
        rule: which rule says it, in kebab case.
        line: where, from 1.
        severity: *error* refuses the script, *warning* is likely a fault, *note* is to be known.
        reason: what goes wrong there, in this script's own names.
        remedy: what to write instead.
        column: where in the line, from 0.
    """

    rule: str
    line: int
    severity: Severity
    reason: str
    remedy: str
    column: int = 0

    @property
    def order(self) -> tuple[int, int, int, str, str]:
        """By line, then by column, the worst first."""
        return self.line, self.column, SEVERITIES.index(self.severity), self.rule, self.reason

    def to_json(self) -> dict[str, Json]:
        """As `antiphon check --json` prints it."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """How often, or how much: what is to be expected, and the most that can be.

    Attributes:
        expected: None where nobody can know before the run.
        worst: None where nothing bounds it.
    """

    expected: float | None
    worst: float | None

    @classmethod
    def exactly(cls, count: float) -> Bound:
        """A number that is known, where it is none beyond all sense."""
        known = _finite(count)
        return cls(expected=known, worst=known)

    def __add__(self, other: Bound) -> Bound:
        """Both, one after the other or side by side."""
        return Bound(expected=_sum(self.expected, other.expected), worst=_sum(self.worst, other.worst))

    def __mul__(self, other: Bound) -> Bound:
        """One for each of the other. None of something that nobody knows is none."""
        return Bound(expected=_product(self.expected, other.expected), worst=_product(self.worst, other.worst))

    def __or__(self, other: Bound) -> Bound:
        """Either of them, and nobody knows which: the dearer one."""
        return Bound(expected=_larger(self.expected, other.expected), worst=_larger(self.worst, other.worst))

    def capped(self, most: float | None) -> Bound:
        """At most so much; None changes nothing."""
        if most is None:
            return self
        expected = None if self.expected is None else min(self.expected, most)
        return Bound(expected=expected, worst=most if self.worst is None else min(self.worst, most))

    @property
    def certain(self) -> bool:
        """Whether it is a number that cannot be another."""
        return self.worst is not None and self.expected == self.worst

    def __str__(self) -> str:
        if self.certain:
            return _written(self.worst)
        worst = "unbounded" if self.worst is None else f"at most {_written(self.worst)}"
        return worst if self.expected is None else f"about {_written(self.expected)}, {worst}"

    def to_json(self) -> dict[str, Json]:
        """As `antiphon check --json` prints it; null as in the attributes."""
        return {"expected": self.expected, "worst": self.worst}


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else _finite(one + other)


def _product(one: float | None, other: float | None) -> float | None:
    if one == 0 or other == 0:
        return 0
    return None if one is None or other is None else _finite(one * other)


def _finite(count: float) -> float | None:
    """A number, or nothing where there is none that large."""
    return count if abs(count) <= _LARGEST else None


def _larger(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else max(one, other)


def _written(count: float | None) -> str:
    return "unknown" if count is None else f"{count:,.0f}" if float(count).is_integer() else f"{count:,.4g}"


ONCE: Final = Bound.exactly(1)
NEVER: Final = Bound.exactly(0)
UNKNOWN: Final = Bound(expected=None, worst=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One place of the outline.

    Attributes:
        kind: what it is. title: what a person sees. line: where it is written, from 1.
        bound: how often it happens for each time that the place around it does; of a fan-out, its items; of a loop, its
            rounds.
        construct: of a fan-out, such as ``parallel``; of a call, what it calls, such as ``agent``.
        role, step: of a call, whom it asks, `` | `` between several; "" where that is no agent or step, or is computed.
        model: of a call: which model it names, as `role`. limits: of its own, by name; None where that is computed.
        limited_by: where nothing else bounds it: the limit that does, such as ``agent_calls 400``.
        source: where a number that nobody knows comes from. argument: whether a person gives it before the run.
        listed: whether `children` are its items one by one, and not what each of them does.
        children: what happens in it, in the order of the text; of a choice, the ways it can go, of which one is gone.
    """

    kind: PlaceKind
    title: str
    line: int
    bound: Bound
    construct: str = ""
    role: str = ""
    step: str = ""
    model: str = ""
    limits: Mapping[str, float | None] = field(default_factory=dict[str, "float | None"])
    limited_by: str = ""
    source: str = ""
    argument: bool = False
    listed: bool = False
    children: tuple[Place, ...] = ()

    def walk(self) -> Iterator[Place]:
        """This place and all below it, outside in."""
        todo: list[Place] = [self]
        while todo:
            place = todo.pop()
            yield place
            todo.extend(reversed(place.children))

    def to_json(self) -> dict[str, Json]:
        """As `antiphon check --json` prints it; what is empty is left out."""
        said: dict[str, Json] = {"kind": self.kind, "title": self.title, "line": self.line}
        said["bound"] = self.bound.to_json()
        for name in ("construct", "role", "step", "model", "limited_by", "source", "listed"):
            if getattr(self, name):
                said[name] = getattr(self, name)
        if self.limits:
            said["limits"] = dict(self.limits)
        if self.children:
            said["children"] = [child.to_json() for child in self.children]
        return said


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What a script does: a tree of phases, fan-outs, calls, loops and choices.

    Attributes:
        places: what main does, in order.
        phases: titles in the order in which they begin.
        complete: False where the outline was cut off because the script has too much in it.
    """

    places: tuple[Place, ...] = ()
    phases: tuple[str, ...] = ()
    complete: bool = True

    def walk(self) -> Iterator[Place]:
        """Every place, outside in."""
        for place in self.places:
            yield from place.walk()

    def to_json(self) -> dict[str, Json]:
        """As `antiphon check --json` prints it."""
        places: list[Json] = [place.to_json() for place in self.places]
        return {"phases": list(self.phases), "places": places, "complete": self.complete}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a run may come to.

    Attributes:
        calls: agent calls. model_calls: requests to models.
        tokens: of prompts and answers together. usd: money, as a float. seconds: on the clock.
        unpriced: roles that a model answers whose price nobody knows, or of which nobody knows which model answers.
        limited_by: what bounds a dimension (``calls``, ``model_calls``, ``tokens``, ``usd``, ``seconds``) where the
            script itself does not, or would let it come to more: ``agent_calls 400``.
        assumed: what `expected` takes for granted, a sentence each.
    """

    calls: Bound = NEVER
    model_calls: Bound = NEVER
    tokens: Bound = NEVER
    usd: Bound = NEVER
    seconds: Bound = NEVER
    unpriced: tuple[str, ...] = ()
    limited_by: Mapping[str, str] = field(default_factory=dict[str, str])
    assumed: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Json]:
        """As `antiphon check --json` prints it."""
        said: dict[str, Json] = {name: getattr(self, name).to_json() for name in DIMENSIONS}
        return {
            **said,
            "unpriced": list(self.unpriced),
            "limited_by": dict(self.limited_by),
            "assumed": list(self.assumed),
        }


DIMENSIONS: Final = ("calls", "model_calls", "tokens", "usd", "seconds")
"""What a cost has a bound of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Portability:
    """Where a script can run.

    Attributes:
        portable: whether the portable runtime (monty) runs it too.
        needs_jail: what of it does not run there, and does in the jail, each with its line.
        trusted_only: what of it no confined script has.
    """

    portable: bool = True
    needs_jail: tuple[Finding, ...] = ()
    trusted_only: tuple[Finding, ...] = ()

    def to_json(self) -> dict[str, Json]:
        """As `antiphon check --json` prints it."""
        said: dict[str, Json] = {"portable": self.portable}
        for name in ("needs_jail", "trusted_only"):
            said[name] = [finding.to_json() for finding in getattr(self, name)]
        return said


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What the task needs, by whoever reviewed it without seeing the script.

    Attributes:
        kind: a dimension to be looked at, or a kind of evidence.
        text: in words. terms: words of which at least one is found in what covers it.
    """

    kind: Literal["dimension", "evidence"]
    text: str
    terms: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """All that is said of a script before it runs.

    Attributes:
        file: its name. digest: sha256 of its text.
        manifest: what it declares; None where that cannot be read, which is a finding.
        outline: what it does. cost: what that may come to. portability: where it can run.
        findings: by line.
    """

    file: str
    digest: str
    manifest: Manifest | None = None
    outline: Outline = Outline()
    cost: Cost = Cost()
    findings: tuple[Finding, ...] = ()
    portability: Portability = Portability()

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that refuse the script."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def passed(self) -> bool:
        """Whether nothing refuses it."""
        return not self.errors

    def to_json(self) -> dict[str, Json]:
        """As `antiphon check --json` prints it."""
        return {
            "file": self.file,
            "sha256": self.digest,
            "passed": self.passed,
            "manifest": None if self.manifest is None else self.manifest.to_json(),
            "outline": self.outline.to_json(),
            "cost": self.cost.to_json(),
            "portability": self.portability.to_json(),
            "findings": [finding.to_json() for finding in self.findings],
        }
