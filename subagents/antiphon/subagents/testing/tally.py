"""What a loopback server counted: every request, what it was answered, what it was billed, and connections."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256

from antiphon.subagents.model.contract import Usage
from antiphon.subagents.testing.served import Asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """What became of one request.

    Attributes:
        number: of the request. kind: what was done with it: ``answered``, ``cut body``, ``rate_limit_exceeded`` …
        usage: what it was billed; nothing for a failure.
        known: the client was told all of it, so it can settle exactly.
        model: that was asked.
    """

    number: int
    kind: str
    usage: Usage
    known: bool
    model: str


class Tally:
    """Counts of one server. Written by its thread, readable from any.

    Attributes:
        asked: every request, in the order they came. billed: what became of each, in the order they ended.
        open: connections now. most_open: at most. connections: ever.
        errors: what the test's own answering function raised; the client was told 500.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.billed: list[Billed] = []
        self.errors: list[Exception] = []
        self.open = self.most_open = self.connections = 0
        self._seen: Counter[bytes] = Counter()
        self._changed = threading.Condition()

    @property
    def kinds(self) -> dict[str, int]:
        """How many requests ended in which way."""
        return dict(Counter(one.kind for one in list(self.billed)))

    def usage(self, *, known: bool | None = None) -> Usage:
        """What was billed in all; with `known`, only what the client was told of, or only the rest."""
        return total(one.usage for one in list(self.billed) if known is None or one.known is known)

    def connection_made(self) -> None:
        """One more is open."""
        with self._changed:
            self.connections += 1
            self.open += 1
            self.most_open = max(self.most_open, self.open)
            self._changed.notify_all()

    def connection_lost(self) -> None:
        """One less is open."""
        with self._changed:
            self.open -= 1
            self._changed.notify_all()

    def wait_for(self, met: Callable[[Tally], bool], *, seconds: float = 30.0) -> bool:
        """Block until the counts meet a condition, such as ``lambda tally: not tally.open``.

        Args:
            met: is asked after each change.
            seconds: to wait at most.

        Returns:
            Whether they met it in time.
        """
        with self._changed:
            return self._changed.wait_for(lambda: met(self), seconds)

    def came(self, asked: Asked) -> None:
        """One more request."""
        with self._changed:
            self.asked.append(asked)
            self._changed.notify_all()

    def ended(self, billed: Billed) -> None:
        """What became of one."""
        with self._changed:
            self.billed.append(billed)
            self._changed.notify_all()

    def times_seen(self, body: bytes) -> int:
        """How often this very body came before."""
        digest = sha256(body).digest()
        self._seen[digest] += 1
        return self._seen[digest] - 1


def total(usages: Iterable[Usage]) -> Usage:
    """The sum of usages, class by class."""
    found = list(usages)
    return Usage(
        input=sum(one.input for one in found),
        cached=sum(one.cached for one in found),
        cache_write=sum(one.cache_write for one in found),
        output=sum(one.output for one in found),
        reasoning=sum(one.reasoning for one in found),
    )
