"""The gate of a provider: who may send to it, and when. Everything on the backend's clock; nobody polls.

A request stands at the gate with its budget and its permit in hand. It is let in when fewer are in flight than the
window allows, when the buckets of the provider's limits have enough, and when the provider has not asked to wait.
Deeper calls go first, as they do for permits; among equals, first come first served, and a large request is not
overtaken by small ones. Only the first in line ever sets an alarm; everybody else waits to become it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from math import inf
from typing import final

import anyio

from antiphon.engine import InfrastructureError
from antiphon.subagents.model.pace import Bucket, Failing, Window
from antiphon.subagents.model.rates import Rates

CROWDED = frozenset({"rate", "overloaded"})
"""What says that too many requests are in flight."""
TURNED_AWAY_SECONDS = 1.0
"""Who would have to stand at a closed gate for longer waits outside."""
_EARLIER = 1e-6


class TurnedAway(Exception):
    """The provider asked to wait: come back later, and hold no budget and no permit meanwhile."""


class Gate:
    """The gate of one provider.

    Attributes:
        provider: whose it is. rates: what it allows.
        in_flight: how many requests are inside.
    """

    def __init__(self, provider: str, rates: Rates, now: float) -> None:
        self.provider, self.rates = provider, rates
        self.in_flight = 0
        self.window = None if rates.start is None else Window(rates.start, rates.most_in_flight)
        self._requests = _bucket(rates.requests_per_minute, now)
        self._tokens = _bucket(rates.tokens_per_minute, now)
        self._failing = Failing(rates.failing_requests, rates.failing_calls)
        self._closed_until = 0.0
        self._line: list[tuple[int, int, Ticket]] = []
        self._arrivals = 0
        self._resting: dict[anyio.Event, Callable[[], bool]] = {}

    # --- what it is like ------------------------------------------------------------------------------------------

    @property
    def limit(self) -> int | None:
        """How many may be inside now; None for no limit."""
        return self.rates.most_in_flight if self.window is None else self.window.limit

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return sum(ticket.waits for _, _, ticket in self._line)

    @property
    def resting(self) -> int:
        """How many wait outside, because the provider asked to, or before they try again."""
        return len(self._resting)

    def closed_seconds(self) -> float:
        """How long the provider still asks to wait."""
        return max(0.0, self._closed_until - anyio.current_time())

    def said(self) -> str:
        """One line for a person."""
        closed = self.closed_seconds()
        of = "" if self.limit is None else f" of {self.limit}"
        parts = [f"{self.in_flight}{of} in flight"]
        parts += [f"{self.waiting} in line"] if self.waiting else []
        parts += [f"{self.resting} waiting to try again"] if self.resting else []
        parts += [f"asked to wait for {closed:.3g} s more"] if closed else []
        return f"{self.provider}: {', '.join(parts)}"

    # --- in and out -----------------------------------------------------------------------------------------------

    async def enter(self, ticket: Ticket) -> None:
        """Wait to be let in; returns early where the ticket's owner is not to be sent any more.

        Raises:
            TurnedAway: the provider asked to wait, now or while this stood in line.
        """
        now, entered = anyio.current_time(), False
        try:
            self._check_open(ticket)
            if not self._line and not self._wait(ticket, now):
                self._let_in(ticket, now)
            else:
                await self._stand(ticket)
            if ticket.inside and self.window is not None and self.window.ramping and self.in_flight > 1:
                await anyio.sleep(ticket.jitter() * self.rates.jitter_seconds)
            entered = True
        finally:
            if not entered:
                ticket.used = 0
                self.leave(ticket)

    def leave(self, ticket: Ticket) -> None:
        """Make room; what was reserved of the tokens and not used goes back."""
        if not ticket.inside:
            return
        ticket.inside = False
        self.in_flight -= 1
        if self._tokens is not None and ticket.used is not None:
            self._tokens.give_back(ticket.tokens - ticket.used, anyio.current_time())
        self._serve()

    def answered(self, ticket: Ticket) -> None:
        """The provider answered this request; that it refused what was asked is an answer, too."""
        self._failing.answered()
        if self.window is not None:
            self.window.answered(was_full=self.in_flight >= self.window.limit or self._first() is not None)

    def failed(self, ticket: Ticket, error: InfrastructureError, asked_seconds: float) -> str:
        """This request failed.

        Args:
            ticket: its own.
            error: how.
            asked_seconds: how long the provider asked to wait: all who want to send to it do.

        Returns:
            What to tell a person when the provider keeps failing, or "".
        """
        self._close(asked_seconds)
        crowded = error.category in CROWDED
        if crowded and self.window is not None:
            self.window.crowded(ticket.sent_in)
        rounds = self.rates.failing_crowded_rounds if error.category == "rate" else self.rates.failing_rounds
        if not self._failing.failed(ticket.call, ticket.failed_in, rounds):
            return ""
        calls = len(self._failing.failed_calls)
        return f"{self.provider} failed {self._failing.in_a_row} requests in a row, of {calls} calls"

    # --- waiting --------------------------------------------------------------------------------------------------

    async def opened(self, leaves: Callable[[], bool]) -> None:
        """Wait outside, without budget and permit, for as long as the provider asked; early once `leaves` holds."""
        while (seconds := self.closed_seconds()) and not leaves():
            await self.rest(seconds, leaves)

    async def rest(self, seconds: float, leaves: Callable[[], bool]) -> None:
        """Wait outside for so long; not at all where `leaves` holds, and early once it does at a `look_again`."""
        if leaves():
            return
        event = anyio.Event()
        self._resting[event] = leaves
        try:
            with anyio.move_on_after(seconds):
                await event.wait()
        finally:
            del self._resting[event]

    def look_again(self) -> None:
        """Let everybody go who is not to be sent any more."""
        for event, leaves in self._resting.items():
            if leaves():
                event.set()
        for _, _, ticket in self._line:
            if ticket.waits and ticket.leaves():
                ticket.waits = False
                ticket.wake.set()
        self._serve()

    def _close(self, seconds: float) -> None:
        """Let nobody in for so long; who stands in line goes outside, so that other providers have their permits."""
        self._closed_until = max(self._closed_until, anyio.current_time() + seconds)
        if self.closed_seconds() > TURNED_AWAY_SECONDS:
            for _, _, ticket in self._line:
                ticket.wake.set()

    def _check_open(self, ticket: Ticket) -> None:
        if self.closed_seconds() > TURNED_AWAY_SECONDS and not ticket.leaves():
            raise TurnedAway

    async def _stand(self, ticket: Ticket) -> None:
        self._arrivals += 1
        heappush(self._line, (-ticket.depth, self._arrivals, ticket))
        ticket.waits = True
        self._serve()
        try:
            while ticket.waits and not ticket.leaves():
                self._check_open(ticket)
                now = anyio.current_time()
                ticket.due = now + self._wait(ticket, now) if self._first() is ticket else inf
                with anyio.move_on_after(ticket.due - now):
                    await ticket.wake.wait()
                ticket.wake = anyio.Event()
                self._serve()
        finally:
            if ticket.waits:
                ticket.waits = False
                self._serve()

    def _first(self) -> Ticket | None:
        """The first in line, without those who gave up."""
        while self._line and not self._line[0][2].waits:
            heappop(self._line)
        return self._line[0][2] if self._line else None

    def _serve(self) -> None:
        """Let in who can be let in; whoever is first then, and could be earlier than it knows, looks again."""
        now = anyio.current_time()
        while (ticket := self._first()) is not None:
            wait = self._wait(ticket, now)
            if wait:
                if now + wait < ticket.due - _EARLIER:
                    ticket.wake.set()
                return
            ticket.waits = False
            self._let_in(ticket, now)
            ticket.wake.set()

    def _wait(self, ticket: Ticket, now: float) -> float:
        """Seconds until the first in line can be let in, as far as time alone decides; infinite where it does not."""
        if self.limit is not None and self.in_flight >= self.limit:
            return inf
        return max(self._closed_until - now, *self._short_of(ticket, now), 0.0)

    def _short_of(self, ticket: Ticket, now: float) -> Iterator[float]:
        if self._requests is not None:
            yield self._requests.wait(1, now)
        if self._tokens is not None:
            yield self._tokens.wait(ticket.tokens, now)

    def _let_in(self, ticket: Ticket, now: float) -> None:
        self.in_flight += 1
        if self._requests is not None:
            self._requests.take(1, now)
        if self._tokens is not None:
            self._tokens.take(ticket.tokens, now)
        ticket.inside = True
        ticket.sent_in = 0 if self.window is None else self.window.round
        ticket.failed_in = self._failing.round


def _none() -> float:
    return 0.0


@final
class Ticket:
    """One request at a gate; what an attempt knows of the gate.

    Attributes:
        call: whose it is. tokens: most that it can use. used: what it did use, once that is known.
        depth: how deep its call is; deeper ones go first. leaves: whether it is not to be sent any more.
        jitter: gives its place between 0 and 1 among those that begin together.
        waits: whether it stands in line. inside: whether it was let in, and has not left. due: its alarm.
        sent_in, failed_in: the rounds that it was sent in.
    """

    __slots__ = (
        "call",
        "depth",
        "due",
        "failed_in",
        "gate",
        "inside",
        "jitter",
        "leaves",
        "sent_in",
        "tokens",
        "used",
        "waits",
        "wake",
    )

    def __init__(
        self,
        gate: Gate,
        tokens: int,
        leaves: Callable[[], bool],
        *,
        call: str = "",
        depth: int = 0,
        jitter: Callable[[], float] = _none,
    ) -> None:
        self.gate, self.tokens, self.leaves = gate, tokens, leaves
        self.call, self.depth, self.jitter = call, depth, jitter
        self.used: int | None = None
        self.waits = self.inside = False
        self.sent_in = self.failed_in = 0
        self.due = inf
        self.wake = anyio.Event()

    @property
    def name(self) -> str:
        """Whose gate it is."""
        return self.gate.provider

    async def enter(self) -> None:
        """See `Gate.enter`."""
        await self.gate.enter(self)

    def leave(self) -> None:
        """See `Gate.leave`."""
        self.gate.leave(self)


def _bucket(per_minute: int | None, now: float) -> Bucket | None:
    return None if per_minute is None else Bucket(per_minute, now)
