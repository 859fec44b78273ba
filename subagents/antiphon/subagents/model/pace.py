"""What a gate counts with: a bucket that time fills, a window that answers widen, and how often a provider failed."""

from __future__ import annotations

from dataclasses import dataclass, field

_SECONDS = 60.0
_SHARE_AT_ONCE = 12
"""A twelfth of a minute's worth may go at once; the rest comes with time."""
_LEAST = 1e-6
"""Less than this is rounding: a waiter that slept until its time must not find itself a hair too early."""


class Bucket:
    """A token bucket: so many may go at once, and so many more with every second.

    It holds a twelfth of a minute's worth (at least one), and fills so slowly that no more than the limit leaves it
    in any 60 seconds. What is larger than the bucket leaves when it is full, and the debt is waited for afterwards.
    """

    def __init__(self, per_minute: int, now: float) -> None:
        self.capacity = float(max(1, per_minute // _SHARE_AT_ONCE))
        self._rate = (per_minute - self.capacity + 1) / _SECONDS
        self._level = self.capacity
        self._at = now

    def wait(self, number: float, now: float) -> float:
        """Seconds until so many could be taken; 0.0 when they can be taken now."""
        self._fill(now)
        missing = min(number, self.capacity) - self._level
        return missing / self._rate if missing > _LEAST else 0.0

    def take(self, number: float, now: float) -> None:
        """Take so many, also into debt."""
        self._fill(now)
        self._level -= number

    def give_back(self, number: float, now: float) -> None:
        """Give back what was taken and not used; of a negative number, take what was used beyond it."""
        self._fill(now)
        self._level = min(self.capacity, self._level + number)

    def _fill(self, now: float) -> None:
        self._level = min(self.capacity, self._level + (now - self._at) * self._rate)
        self._at = now


class Window:
    """How many requests may be in flight: it grows with answers and halves when there are too many (AIMD).

    At first it doubles with every round trip, as each answer adds one; from the first halving on it grows by one for
    each windowful of answers. It grows only where it was full: what was not tried is not known to work. It halves at
    most once a round trip: requests that were sent before a halving say nothing new.

    Attributes:
        limit: how many may be in flight now, at least 1. ramping: whether it still doubles.
    """

    def __init__(self, start: int, most: int | None) -> None:
        self._most = most
        self.limit = start if most is None else min(start, most)
        self.ramping = True
        self._answers = 0
        self._halvings = 0

    @property
    def round(self) -> int:
        """What a request notes when it is sent, and hands in with its answer."""
        return self._halvings

    def answered(self, *, was_full: bool) -> None:
        """An answer came."""
        if not was_full or (self._most is not None and self.limit >= self._most):
            return
        self._answers += 1
        if self.ramping or self._answers >= self.limit:
            self.limit += 1
            self._answers = 0

    def crowded(self, sent_in: int) -> None:
        """The provider says that there are too many; `sent_in` is the round that the request was sent in."""
        if sent_in < self._halvings:
            return
        self._halvings += 1
        self._answers, self.ramping = 0, False
        self.limit = max(1, self.limit // 2)


@dataclass(slots=True)
class Failing:
    """How often a provider failed in a row, over all agents; any answer begins it anew.

    A provider keeps failing when so many requests failed, of so many calls, in so many rounds. A round is requests that
    were sent after the failure that began the last one: one broken connection fails all that is in flight, and is one.
    The calls are counted because a few that always fail, and are all that is left of a run, are no failing provider.

    Attributes:
        requests, calls: how many of each make a provider failing.
        in_a_row: how many requests have failed since the last answer. failed_calls: and of which calls.
        round: what a request notes when it is sent, and hands in when it failed.
    """

    requests: int
    calls: int = 1
    in_a_row: int = 0
    failed_calls: set[str] = field(default_factory=set[str])
    round: int = 0
    _round_of_answer: int = 0

    def answered(self) -> None:
        """The provider works."""
        if self.in_a_row:
            self.failed_calls.clear()
        self.in_a_row, self._round_of_answer = 0, self.round

    def failed(self, call: str, sent_in: int, rounds: int) -> bool:
        """A request of a call failed that was sent in that round: whether the provider keeps failing."""
        self.in_a_row += 1
        self.failed_calls.add(call)
        if sent_in >= self.round:
            self.round += 1
        enough = self.in_a_row >= self.requests and len(self.failed_calls) >= self.calls
        return enough and self.round - self._round_of_answer >= rounds
