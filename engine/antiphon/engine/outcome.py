"""What a branch ended as. Never a bare None, and never true or false by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, Literal, NoReturn, TypeVar

from antiphon.engine.errors import CallFailed, HabitError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Kind = Literal["succeeded", "degraded", "failed", "timed_out", "over_budget", "denied", "cancelled", "skipped"]
FailureCategory = Literal["task", "infrastructure", "schema", "malformed", "script"]


@dataclass(frozen=True, slots=True)
class Missing:
    """One thing a degraded value lacks: which branch, how it ended, why."""

    path: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Generic[T_co]):
    """How a branch ended. `match` on the subclass, or read `kind`.

    Attributes:
        path: the branch's place in the call tree.
        item: the fan-out item it stands for, or None.
        reason: one sentence; empty for `Succeeded`.
    """

    path: str = ""
    item: Any = None
    reason: str = ""
    kind: ClassVar[Kind]

    @property
    def ok(self) -> bool:
        """True only for `Succeeded`."""
        return False

    @property
    def value(self) -> T_co:
        """The value, of `Succeeded` and `Degraded`; any other outcome raises `CallFailed`."""
        raise CallFailed(self)

    def __bool__(self) -> NoReturn:
        raise HabitError("an Outcome is neither true nor false", "ask for `.ok`, or match on `.kind`")

    def for_item(self, item: object) -> Outcome[T_co]:
        """The same outcome, standing for `item`."""
        return replace(self, item=item)


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded(Outcome[T_co]):
    """A value, and nothing missing from it."""

    result: T_co
    kind: ClassVar[Kind] = "succeeded"

    @property
    def ok(self) -> bool:
        """Always True here."""
        return True

    @property
    def value(self) -> T_co:
        """The value."""
        return self.result


@dataclass(frozen=True, slots=True, kw_only=True)
class Degraded(Outcome[T_co]):
    """A value, and what is missing from it."""

    result: T_co
    missing: tuple[Missing, ...] = ()
    kind: ClassVar[Kind] = "degraded"

    @property
    def value(self) -> T_co:
        """The value, incomplete as it is."""
        return self.result


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Outcome[T_co]):
    """No value: the task, the infrastructure, the output's form or the script itself failed.

    Attributes:
        category: what failed.
        infrastructure: for category ``infrastructure``, which kind (rate, quota, network, ...).
        raw: the text that did not fit the schema, kept, or None.
    """

    category: FailureCategory = "task"
    infrastructure: str = ""
    raw: str | None = None
    kind: ClassVar[Kind] = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedOut(Outcome[T_co]):
    """A deadline fired.

    Attributes:
        scope: the path of the branch whose deadline it was.
        seconds: how long it gave, where that is a limit that could be raised; else None.
    """

    scope: str = ""
    seconds: float | None = None
    kind: ClassVar[Kind] = "timed_out"


@dataclass(frozen=True, slots=True, kw_only=True)
class OverBudget(Outcome[T_co]):
    """A limit could never have been kept; refused before it cost anything.

    Attributes:
        scope: the path of the branch whose limit said no.
        dimension: which limit.
        limit: what the limit was, in the dimension's integer unit (nano-usd, nanoseconds, or a count).
    """

    scope: str = ""
    dimension: str = ""
    limit: int = 0
    kind: ClassVar[Kind] = "over_budget"


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied(Outcome[T_co]):
    """Outside the declared scope, or not approved."""

    kind: ClassVar[Kind] = "denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled(Outcome[T_co]):
    """Ended from outside: a race was decided, an `until` was met, a deadline or a stop cut it."""

    kind: ClassVar[Kind] = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped(Outcome[T_co]):
    """Planned and never started."""

    kind: ClassVar[Kind] = "skipped"


@dataclass(frozen=True, slots=True)
class Census:
    """How many branches were planned, started, and ended in each outcome."""

    planned: int = 0
    started: int = 0
    ended: Mapping[str, int] = field(default_factory=dict[str, int])

    def to_json(self) -> dict[str, Any]:
        """The census as a JSON object."""
        return {"planned": self.planned, "started": self.started, **{k: self.ended[k] for k in sorted(self.ended)}}


class _NoLength(HabitError, TypeError):
    """Also a `TypeError`, which `list(outcomes)` takes for an answer when it asks how many there will be."""


class Outcomes(Generic[T]):
    """The outcomes of a fan-out, in the order of its items.

    Iterate or index; `succeeded()`, `degraded()` and `failed()` select. There is no length to mistake for a
    count of results: `census` says how many of what.
    """

    __slots__ = ("_outcomes", "complete")

    def __init__(self, outcomes: Sequence[Outcome[T]], *, complete: bool = True) -> None:
        self._outcomes = tuple(outcomes)
        self.complete = complete
        """False when the source was not read to its end."""

    def __getitem__(self, index: int) -> Outcome[T]:
        return self._outcomes[index]

    def __iter__(self) -> Iterator[Outcome[T]]:
        return iter(self._outcomes)

    def __len__(self) -> NoReturn:
        raise _NoLength("Outcomes has no length", "`.census` counts by outcome; `.succeeded()` is a plain list")

    def __bool__(self) -> NoReturn:
        raise HabitError("Outcomes is neither true nor false", "ask `.census`, or `if found.succeeded():`")

    def __repr__(self) -> str:
        return f"Outcomes({self.census.to_json()})"

    def succeeded(self) -> list[T]:
        """Values of the branches that succeeded, in item order. What is left out is in the census."""
        return [outcome.value for outcome in self._outcomes if outcome.ok]

    def degraded(self) -> list[Degraded[T]]:
        """The branches that have a value with something missing."""
        return [outcome for outcome in self._outcomes if isinstance(outcome, Degraded)]

    def failed(self) -> list[Outcome[T]]:
        """The branches that have no value, whatever the kind."""
        return [outcome for outcome in self._outcomes if not isinstance(outcome, Succeeded | Degraded)]

    @property
    def census(self) -> Census:
        """How many were planned, were started, and ended as what."""
        ended = Counter[str](outcome.kind for outcome in self._outcomes)
        return Census(sum(ended.values()), sum(ended.values()) - ended["skipped"], dict(ended))


@dataclass(frozen=True, slots=True)
class Tally:
    """A quorum's result: the decision, and every vote that led to it.

    Attributes:
        decided: "yes" or "no" when one side reached `need` first in item order, else "undecided".
        votes: True, False or None (an abstention) per call, in item order.
        outcomes: the calls' outcomes, in item order.
    """

    decided: Literal["yes", "no", "undecided"]
    votes: tuple[bool | None, ...]
    outcomes: Outcomes[Any]

    def __bool__(self) -> NoReturn:
        raise HabitError("a Tally is neither true nor false", 'compare `.decided == "yes"`')


Vote = Callable[[Any], bool | None]
