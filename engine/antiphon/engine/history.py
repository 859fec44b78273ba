"""What the attempts of a run left at each place of the call tree, found again by subtree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from antiphon.engine.amount import NOTHING, Amount
from antiphon.tracing.log import Event, Json

DENIED = "denied"
"""The event that names what was outside of the manifest, and the field that says so."""
_LISTED = 200
_DEEPEST = 2_000
"""Places deeper than any run has are not looked for: a log from elsewhere may name anything."""


@dataclass(slots=True)
class Durable:
    """An outcome that is in the log.

    Attributes:
        path: where it was performed.
        place: where it stands: elsewhere, once a resume has rebound it.
        hash: of what its call could see.
        seq, at, data: of the event that recorded it.
        cost: what was spent on it, attempts that were cut off before it included.
        used: whether this attempt of the run has taken it.
        asked: the calls that it asked for itself, such as its critic.
    """

    path: str
    place: str
    hash: str
    seq: int
    at: float
    data: dict[str, Any]
    cost: Amount = NOTHING
    used: bool = False
    asked: tuple[Placed, ...] = ()

    @property
    def kind(self) -> str:
        """The outcome's kind."""
        return str(self.data["kind"])


@dataclass(slots=True)
class Placed:
    """What stood at a place when an attempt of the run left it."""

    path: str
    attempt: int
    durable: Durable


@dataclass(slots=True)
class SeenBranch:
    """A branch that an attempt of the run began, for its part in the census."""

    path: str
    attempt: int
    phase: str
    construct: str
    kind: str = ""
    census: dict[str, int] = field(default_factory=dict[str, int])


@dataclass(slots=True)
class StateSet:
    """A value that was put into the run's own state."""

    path: str
    attempt: int
    key: str
    value: Json


@dataclass(slots=True)
class Left:
    """What stood below a place, for whoever takes it as it is; calls are in log order."""

    placed: list[Placed] = field(default_factory=list[Placed])
    branches: list[SeenBranch] = field(default_factory=list[SeenBranch])
    states: list[StateSet] = field(default_factory=list[StateSet])


class History:
    """The call tree as earlier attempts of a run left it."""

    def __init__(self) -> None:
        self.calls: dict[str, Placed] = {}
        self.branches: dict[str, SeenBranch] = {}
        self._states: dict[str, list[StateSet]] = {}
        self._below: dict[str, list[str]] = {}

    def put_call(self, placed: Placed) -> None:
        """A call ended, or an earlier outcome was taken, here."""
        self.calls[placed.path] = placed
        self._plant(placed.path)

    def put_branch(self, seen: SeenBranch) -> None:
        """A branch began here."""
        self.branches[seen.path] = seen
        self._plant(seen.path)

    def put_state(self, state: StateSet) -> None:
        """A value was put into the state from here."""
        self._states.setdefault(state.path, []).append(state)
        self._plant(state.path)

    def left_below(self, path: str, since: int, children: frozenset[str] | None) -> Left:
        """What attempts from number `since` on left below `path`.

        Args:
            path: a branch. What it put into the state itself counts as below it, when all of it is asked for.
            since: the first attempt that counts.
            children: only what is at or below these path segments; None for all.
        """
        left = Left()
        if children is None:
            left.states += [state for state in self._states.get(path, ()) if state.attempt >= since]
        for place in self._subtree(path, children):
            call, branch = self.calls.get(place), self.branches.get(place)
            if call is not None and call.attempt >= since:
                left.placed.append(call)
            if branch is not None and branch.attempt >= since:
                left.branches.append(branch)
            left.states += [state for state in self._states.get(place, ()) if state.attempt >= since]
        left.placed.sort(key=lambda placed: placed.durable.seq)
        return left

    def _plant(self, path: str) -> None:
        """Make a place, and those above it, known as the children they are."""
        if path in self._below or path.count("/") > _DEEPEST:
            return
        unknown: list[str] = []
        while path and path not in self._below:
            unknown.append(path)
            path = path.rpartition("/")[0]
        for place in reversed(unknown):
            self._below[place] = []
            if path:
                self._below[path].append(place)
            path = place

    def _subtree(self, path: str, children: frozenset[str] | None) -> Iterator[str]:
        below = self._below.get(path, ()) if children is None else (f"{path}/{child}" for child in children)
        waiting = list(below)
        while waiting:
            place = waiting.pop()
            if place in self._below:
                yield place
                waiting += self._below[place]


@dataclass(slots=True)
class Denials:
    """What a run was denied, over all its attempts: how often, by what it was and the field that denied it."""

    counts: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    _seen: set[tuple[str, ...]] = field(default_factory=set[tuple[str, ...]])

    def count(self, path: str, what: str, manifest_field: str, at: str = "") -> bool:
        """Count one; False where an earlier attempt counted it already, at the same place."""
        if (path, what, manifest_field, at) in self._seen:
            return False
        self._seen.add((path, what, manifest_field, at))
        self.counts[what, manifest_field] = self.counts.get((what, manifest_field), 0) + 1
        return True

    def read(self, event: Event) -> None:
        """Take in what an earlier attempt recorded."""
        data = event.data
        self.count(event.path, str(data["what"]), str(data["field"]), str(data.get("at", "")))

    def to_json(self) -> list[Json]:
        """As the end of a run says it: the first ones, and how many there are besides."""
        listed = list(self.counts.items())
        said: list[Json] = [{"what": what, "field": named, "count": n} for (what, named), n in listed[:_LISTED]]
        rest = sum(n for _, n in listed[_LISTED:])
        return [*said, {"what": "others", "field": "", "count": rest}] if rest else said
