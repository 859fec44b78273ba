"""Whatever is asked of a gate, in whatever order: nobody is let in beyond its limits, and nobody is forgotten."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import anyio
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.engine import InfrastructureError
from antiphon.subagents.model.gate import Gate, Ticket, TurnedAway
from antiphon.subagents.model.pace import Bucket, Window
from antiphon.subagents.model.rates import Rates
from antiphon.subagents.model.retry_after import retry_after


@dataclass(frozen=True)
class Visit:
    """One request: when it comes, how many tokens, how long it takes, how it ends, and when it is cancelled."""

    at: float
    tokens: int
    seconds: float
    ends: str
    patience: float


FAILURES = {"rate": InfrastructureError("rate", "no"), "network": InfrastructureError("network", "no")}
MOMENTS = st.floats(0, 100).map(lambda number: round(number, 2))
VISITS = st.lists(
    st.builds(
        Visit,
        at=MOMENTS,
        tokens=st.integers(1, 400),
        seconds=MOMENTS,
        ends=st.sampled_from(["answered", "answered", "answered", "rate", "network"]),
        patience=st.one_of(st.just(1e9), MOMENTS),
    ),
    min_size=1,
    max_size=30,
)
RATES = st.builds(
    Rates,
    requests_per_minute=st.one_of(st.none(), st.integers(1, 120)),
    tokens_per_minute=st.one_of(st.none(), st.integers(60, 5_000)),
    most_in_flight=st.one_of(st.none(), st.integers(1, 8)),
    start=st.one_of(st.none(), st.integers(1, 8)),
    jitter_seconds=st.just(0.05),
)


@dataclass
class Seen:
    """What became of the visits."""

    went: list[tuple[float, int]]
    ended: int = 0
    cancelled: int = 0
    most: int = 0


async def play(rates: Rates, visits: list[Visit]) -> tuple[Gate, Seen]:
    """All visits, each in a task of its own."""
    gate, seen = Gate("acme", rates, anyio.current_time()), Seen([])

    async def one(visit: Visit) -> None:
        await anyio.sleep(visit.at)
        ticket = Ticket(gate, visit.tokens, lambda: False)
        with anyio.move_on_after(visit.patience) as scope:
            try:
                while not ticket.inside:
                    await gate.opened(lambda: False)
                    with suppress(TurnedAway):
                        await ticket.enter()
                seen.went.append((anyio.current_time(), visit.tokens))
                seen.most = max(seen.most, gate.in_flight)
                await anyio.sleep(visit.seconds)
                if visit.ends == "answered":
                    gate.answered(ticket)
                else:
                    gate.failed(ticket, FAILURES[visit.ends], visit.seconds)
            finally:
                ticket.leave()
        seen.cancelled += scope.cancelled_caught
        seen.ended += 1

    async with anyio.create_task_group() as tasks:
        for visit in visits:
            tasks.start_soon(one, visit)
    return gate, seen


@settings(max_examples=60, deadline=None)
@given(RATES, VISITS)
def test_a_gate_keeps_its_limits_and_forgets_nobody(rates: Rates, visits: list[Visit]) -> None:
    gate, seen = trio.run(play, rates, visits, clock=trio.testing.MockClock(autojump_threshold=0))
    assert seen.ended == len(visits)
    assert len(seen.went) >= len(visits) - seen.cancelled
    assert (gate.in_flight, gate.waiting) == (0, 0)
    if rates.most_in_flight is not None:
        assert seen.most <= rates.most_in_flight
    if rates.requests_per_minute is not None:
        _at_most_in_any_minute(rates.requests_per_minute, sorted(at for at, _ in seen.went))
    assert gate.limit is None or gate.limit >= 1


def _at_most_in_any_minute(most: int, times: list[float]) -> None:
    # The first requests are spread by a jitter after they were let in, which can bring two closer by as much.
    for index, at in enumerate(times[: -most or None]):
        if index + most < len(times):
            assert times[index + most] - at >= 60.0 - 0.05 - 1e-3


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 10_000), st.lists(st.tuples(st.floats(0, 30), st.floats(0, 3_000)), max_size=40))
def test_what_leaves_a_bucket_in_any_window_is_bounded(per_minute: int, asked: list[tuple[float, float]]) -> None:
    bucket, now, taken = Bucket(per_minute, 0.0), 0.0, list[tuple[float, float]]()
    for pause, number in asked:
        now += pause
        now += bucket.wait(number, now)
        bucket.take(number, now)
        taken.append((now, number))
    rate = (per_minute - bucket.capacity + 1) / 60
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            window = taken[last][0] - taken[first][0]
            before_last = sum(number for _, number in taken[first:last])
            assert before_last + min(taken[last][1], bucket.capacity) <= bucket.capacity + rate * window + 1e-3


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 64),
    st.one_of(st.none(), st.integers(1, 64)),
    st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 5)), max_size=200),
)
def test_a_window_stays_within_its_bounds_and_halves_once_a_round(
    start: int, most: int | None, told: list[tuple[bool, bool, int]]
) -> None:
    window = Window(start, most)
    for answered, was_full, age in told:
        before, round_before = window.limit, window.round
        if answered:
            window.answered(was_full=was_full)
            assert window.limit in (before, before + 1)
        else:
            window.crowded(max(0, round_before - age))
            halved = age == 0 or round_before == 0
            assert window.limit == (max(1, before // 2) if halved else before)
        assert 1 <= window.limit <= (most if most is not None else 10**9)


CLOCK = r"[0-9]{1,3}:[0-9]{2}:[0-9]{2}"
DATES = st.from_regex(rf"(Tue, )?[0-9]{{1,3}}[ -](Nov|Feb)[ -][0-9]{{1,6}} {CLOCK} ?(GMT|[+-][0-9]{{4,9}})?")


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(["Retry-After", "retry-after-ms", "Date"]), st.one_of(st.text(), DATES)))
def test_whatever_a_provider_asks_is_a_time_or_nothing(headers: dict[str, str]) -> None:
    asked = retry_after(headers, 1_700_000_000.0)
    assert asked is None or 0.0 <= asked < float("inf")
