"""The gate of a provider: limits by the minute, the window, order, waiting without polling, and leaving early."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import anyio
import pytest
from anyio.lowlevel import checkpoint

from antiphon.engine import InfrastructureError
from antiphon.subagents.model.gate import Gate, Ticket, TurnedAway
from antiphon.subagents.model.pace import Bucket, Failing, Window
from antiphon.subagents.model.rates import PATIENT, Rates, RatesError, read_rates

pytestmark = pytest.mark.anyio
virtual = pytest.mark.parametrize("anyio_backend", ["virtual"], indirect=True)
RATE = InfrastructureError("rate", "slow down")


def stays() -> bool:
    return False


def gate_of(rates: Rates) -> Gate:
    return Gate("acme", rates, anyio.current_time())


async def visit(
    gate: Gate,
    order: list[tuple[str, float]],
    name: str,
    *,
    tokens: int = 1,
    depth: int = 0,
    seconds: float = 1.0,
    leaves: Callable[[], bool] = stays,
) -> None:
    """Go in, stay for so long, come out answered."""
    ticket = Ticket(gate, tokens, leaves, depth=depth)
    try:
        await ticket.enter()
    except TurnedAway:
        await gate.opened(leaves)
        await ticket.enter()
    try:
        if ticket.inside:
            order.append((name, anyio.current_time()))
            await anyio.sleep(seconds)
            gate.answered(ticket)
    finally:
        ticket.leave()


# --- by the minute ----------------------------------------------------------------------------------------------------


@virtual
@pytest.mark.parametrize("per_minute", [1, 7, 60, 600])
async def test_no_more_requests_than_allowed_go_in_any_minute(per_minute: int) -> None:
    gate = gate_of(Rates(start=None, requests_per_minute=per_minute))
    went: list[tuple[str, float]] = []
    async with anyio.create_task_group() as tasks:
        for number in range(3 * per_minute):
            tasks.start_soon(visit, gate, went, str(number))
    times = sorted(at for _, at in went)
    assert len(times) == 3 * per_minute
    for index, at in enumerate(times[:-per_minute]):
        assert times[index + per_minute] - at >= 60.0 - 1e-3
    assert times[-1] - times[0] <= 60.0 * 3.5 * 12 / 11


@virtual
async def test_tokens_are_taken_at_their_worst_case_and_corrected_afterwards() -> None:
    gate = gate_of(Rates(start=None, tokens_per_minute=1_200))
    began, times = anyio.current_time(), list[float]()
    for used in (100, 10, 90, 100):
        ticket = Ticket(gate, 100, stays)
        await ticket.enter()
        times.append(anyio.current_time() - began)
        ticket.used = used
        ticket.leave()
    a_second = (1_200 - 100 + 1) / 60
    assert times[:2] == pytest.approx([0.0, 100 / a_second])
    assert times[2] == pytest.approx(times[1] + 10 / a_second)
    assert times[3] == pytest.approx(times[2] + 90 / a_second)


@virtual
async def test_what_is_larger_than_the_bucket_goes_when_it_is_full_and_the_rest_waits_for_the_debt() -> None:
    gate = gate_of(Rates(start=None, tokens_per_minute=1_200))
    went: list[tuple[str, float]] = []
    began = anyio.current_time()
    await visit(gate, went, "large", tokens=1_000, seconds=0.0)
    await visit(gate, went, "small", tokens=1, seconds=0.0)
    assert went[0][1] == began
    assert 49.0 <= went[1][1] - began <= 55.0


async def test_a_large_request_is_not_overtaken_by_small_ones() -> None:
    gate = gate_of(Rates(start=None, most_in_flight=1))
    went: list[tuple[str, float]] = []
    first = Ticket(gate, 1, stays)
    await first.enter()
    async with anyio.create_task_group() as tasks:
        for number in range(9):
            tasks.start_soon(partial(visit, gate, went, str(number), tokens=1000 - 100 * number, seconds=0.0))
            while gate.waiting <= number:
                await checkpoint()
        first.leave()
    assert [name for name, _ in went] == [str(number) for number in range(9)]


async def test_deeper_calls_go_first_and_equals_in_order() -> None:
    gate = gate_of(Rates(start=None, most_in_flight=1))
    went: list[tuple[str, float]] = []
    first = Ticket(gate, 1, stays)
    await first.enter()
    async with anyio.create_task_group() as tasks:
        for name, depth in (("a", 1), ("b", 3), ("c", 1), ("d", 3)):
            waiting = gate.waiting
            tasks.start_soon(partial(visit, gate, went, name, depth=depth, seconds=0.0))
            while gate.waiting == waiting:
                await checkpoint()
        first.leave()
    assert [name for name, _ in went] == ["b", "d", "a", "c"]


# --- the window -------------------------------------------------------------------------------------------------------


def test_the_window_doubles_with_every_round_trip_until_it_halves_and_then_grows_by_one() -> None:
    window = Window(2, None)
    for expected in (4, 8, 16):
        for _ in range(window.limit):
            window.answered(was_full=True)
        assert window.limit == expected
    window.crowded(window.round)
    assert (window.limit, window.ramping) == (8, False)
    for expected in (9, 10):
        for _ in range(window.limit):
            assert window.limit == expected - 1
            window.answered(was_full=True)
        assert window.limit == expected


def test_a_window_halves_once_a_round_trip_and_never_below_one() -> None:
    window = Window(16, None)
    sent = [window.round] * 16
    for sent_in in sent:
        window.crowded(sent_in)
    assert window.limit == 8
    for _ in range(9):
        window.crowded(window.round)
    assert window.limit == 1


def test_a_window_does_not_grow_by_answers_that_did_not_fill_it_nor_beyond_its_most() -> None:
    window = Window(4, 6)
    for _ in range(100):
        window.answered(was_full=False)
    assert window.limit == 4
    for _ in range(100):
        window.answered(was_full=True)
    assert window.limit == 6
    assert Window(64, 6).limit == 6


@virtual
async def test_the_first_requests_are_few_and_double_as_answers_come() -> None:
    gate = gate_of(Rates(start=2, jitter_seconds=0.01))
    went: list[tuple[str, float]] = []
    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for number in range(62):
            tasks.start_soon(visit, gate, went, str(number))
    rounds = Counter(int(at - began) for _, at in went)
    assert rounds == {0: 2, 1: 4, 2: 8, 3: 16, 4: 32}


@virtual
async def test_too_many_halve_what_is_in_flight() -> None:
    gate = gate_of(Rates(start=16, jitter_seconds=0))
    tickets = [Ticket(gate, 1, stays) for _ in range(16)]
    for ticket in tickets:
        await ticket.enter()
    for ticket in tickets:
        assert gate.failed(ticket, RATE, 0.0) == ""
        ticket.leave()
    assert (gate.limit, gate.in_flight) == (8, 0)


@virtual
async def test_the_jitter_of_the_first_requests_is_the_tickets_own_and_the_first_has_none() -> None:
    gate = gate_of(Rates(start=4, jitter_seconds=0.1))
    began, went = anyio.current_time(), dict[float, float]()

    async def go(jitter: float) -> None:
        ticket = Ticket(gate, 1, stays, jitter=lambda: jitter)
        await ticket.enter()
        went[jitter] = anyio.current_time() - began

    await go(0.9)
    async with anyio.create_task_group() as tasks:
        for jitter in (0.5, 0.25):
            tasks.start_soon(go, jitter)
    assert went == pytest.approx({0.9: 0.0, 0.5: 0.05, 0.25: 0.025})


async def test_whoever_answers_at_his_own_pace_gets_everything_at_once() -> None:
    gate = Gate("file", PATIENT, anyio.current_time())
    for _ in range(500):
        await Ticket(gate, 10**9, stays).enter()
    assert (gate.in_flight, gate.limit) == (500, None)


# --- waiting ----------------------------------------------------------------------------------------------------------


@virtual
async def test_while_a_provider_asked_to_wait_everybody_does() -> None:
    gate = gate_of(Rates(start=None, most_in_flight=8))
    went: list[tuple[str, float]] = []
    began = anyio.current_time()
    ticket = Ticket(gate, 1, stays)
    await ticket.enter()
    gate.failed(ticket, RATE, 30.0)
    ticket.leave()
    assert gate.closed_seconds() == 30.0
    assert "asked to wait for 30 s more" in gate.said()
    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(visit, gate, went, str(number))
        tasks.start_soon(gate.opened, stays)
        await anyio.sleep(10)
        gate.failed(ticket, RATE, 5.0)
        assert gate.closed_seconds() == 20.0
    assert [at - began for _, at in went] == [30.0] * 4


@virtual
async def test_who_stands_in_line_when_a_provider_asks_to_wait_goes_outside_at_once() -> None:
    """In line it would keep its permit and its budget from everybody else."""
    gate = gate_of(Rates(start=None, most_in_flight=1))
    began, away = anyio.current_time(), list[float]()
    inside = Ticket(gate, 1, stays)
    await inside.enter()

    async def stand() -> None:
        with pytest.raises(TurnedAway):
            await Ticket(gate, 1, stays).enter()
        away.append(anyio.current_time() - began)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(stand)
        await anyio.sleep(2)
        gate.failed(inside, RATE, 30.0)
    assert away == [2.0] * 3
    assert gate.waiting == 0
    inside.leave()
    assert gate.in_flight == 0


@virtual
async def test_a_thousand_wait_without_anybody_polling() -> None:
    gate = gate_of(Rates(start=None, requests_per_minute=60, most_in_flight=1))
    went: list[tuple[str, float]] = []
    looked = Counter[str]()

    def counted() -> bool:
        looked["times"] += 1
        return False

    async with anyio.create_task_group() as tasks:
        for number in range(1_000):
            tasks.start_soon(partial(visit, gate, went, str(number), leaves=counted))
    assert len(went) == 1_000
    assert 1_000 <= looked["times"] < 5_000


@virtual
async def test_who_is_cancelled_after_it_was_let_in_gives_its_tokens_back() -> None:
    gate = gate_of(Rates(start=4, tokens_per_minute=1_200, jitter_seconds=10.0))
    await Ticket(gate, 1, stays).enter()
    with anyio.move_on_after(1):
        await Ticket(gate, 99, stays, jitter=lambda: 1.0).enter()
    with anyio.fail_after(0.5):
        await Ticket(gate, 99, stays).enter()
    assert gate.in_flight == 2


async def test_a_cancelled_waiter_leaves_no_hole() -> None:
    gate = gate_of(Rates(start=None, most_in_flight=1))
    went: list[tuple[str, float]] = []
    first = Ticket(gate, 1, stays)
    await first.enter()
    async with anyio.create_task_group() as tasks:
        scopes = [anyio.CancelScope() for _ in range(6)]

        async def wait_in(scope: anyio.CancelScope, name: str) -> None:
            with scope:
                await visit(gate, went, name, seconds=0.0)

        for number, scope in enumerate(scopes):
            tasks.start_soon(wait_in, scope, str(number))
            while gate.waiting <= number:
                await checkpoint()
        for number in (0, 2, 5):
            scopes[number].cancel()
        first.leave()
    assert [name for name, _ in went] == ["1", "3", "4"]
    assert (gate.in_flight, gate.waiting) == (0, 0)


@virtual
async def test_the_alarm_of_a_first_in_line_that_is_cancelled_passes_to_the_next() -> None:
    gate = gate_of(Rates(start=None, requests_per_minute=1))
    went: list[tuple[str, float]] = []
    began = anyio.current_time()
    await visit(gate, went, "at once", seconds=0.0)

    async def impatient() -> None:
        with anyio.move_on_after(10):
            await visit(gate, went, "impatient")

    with anyio.fail_after(1_000):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(impatient)
            while not gate.waiting:
                await checkpoint()
            tasks.start_soon(partial(visit, gate, went, "patient"))
    assert [(name, at - began) for name, at in went] == [("at once", 0.0), ("patient", pytest.approx(60.0))]


async def test_one_that_is_cancelled_as_it_is_let_in_makes_room() -> None:
    gate = gate_of(Rates(start=None, most_in_flight=1))
    went: list[tuple[str, float]] = []
    first = Ticket(gate, 1, stays)
    await first.enter()
    async with anyio.create_task_group() as tasks:
        scope = anyio.CancelScope()

        async def wait_in() -> None:
            with scope:
                await visit(gate, went, "cancelled", seconds=0.0)

        tasks.start_soon(wait_in)
        while not gate.waiting:
            await checkpoint()
        tasks.start_soon(partial(visit, gate, went, "next", seconds=0.0))
        while gate.waiting < 2:
            await checkpoint()
        first.leave()
        scope.cancel()
    assert went[-1][0] == "next"
    assert gate.in_flight == 0


async def test_those_who_are_not_to_be_sent_leave_when_they_are_told_to_look_again() -> None:
    gate = gate_of(Rates(start=None, most_in_flight=1))
    went: list[tuple[str, float]] = []
    paused: list[bool] = []
    first = Ticket(gate, 1, stays)
    await first.enter()
    async with anyio.create_task_group() as tasks:
        for name in ("goes", "stays", "rests"):
            leaves = stays if name == "stays" else lambda: bool(paused)
            waiting = gate.waiting + gate.resting
            if name == "rests":
                tasks.start_soon(gate.rest, 1e9, leaves)
            else:
                tasks.start_soon(partial(visit, gate, went, name, leaves=leaves, seconds=0.0))
            while gate.waiting + gate.resting == waiting:
                await checkpoint()
        paused.append(True)
        gate.look_again()
        while gate.resting:
            await checkpoint()
        assert gate.waiting == 1
        first.leave()
    assert [name for name, _ in went] == ["stays"]


@virtual
async def test_who_is_not_to_be_sent_does_not_even_begin_to_wait() -> None:
    gate = gate_of(Rates(requests_per_minute=1))
    began = anyio.current_time()
    await gate.rest(1_000, lambda: True)
    first, second = Ticket(gate, 1, stays), Ticket(gate, 1, lambda: True)
    gate.failed(first, RATE, 1_000)
    await gate.opened(lambda: True)
    await second.enter()
    assert not second.inside
    assert anyio.current_time() == began


# --- failing ----------------------------------------------------------------------------------------------------------


def test_a_provider_fails_by_requests_and_rounds_and_any_answer_begins_anew() -> None:
    failing = Failing(4)
    burst = [failing.round] * 10
    assert not any(failing.failed("a", sent_in, 2) for sent_in in burst)
    assert failing.failed("a", failing.round, 2)
    failing.answered()
    assert not any(failing.failed("a", sent_in, 2) for sent_in in burst)
    assert failing.in_a_row == 10


def test_a_few_calls_that_always_fail_are_no_failing_provider() -> None:
    failing = Failing(4, calls=3)
    assert not any(failing.failed("ab"[n % 2], failing.round, 2) for n in range(50))
    assert failing.failed("c", failing.round, 2)


def test_a_bucket_fills_with_time_and_not_beyond_its_rim() -> None:
    bucket = Bucket(120, 0.0)
    assert bucket.capacity == 10
    bucket.take(10, 0.0)
    assert bucket.wait(1, 0.0) == pytest.approx(60 / 111)
    bucket.give_back(100, 0.0)
    assert bucket.wait(10, 0.0) == 0.0
    bucket.take(10, 0.0)
    assert bucket.wait(10, 1e6) == 0.0


@pytest.mark.parametrize("wrong", [{"requests_per_minute": 0}, {"most_in_flight": -1}, {"start": 0}])
def test_rates_are_at_least_one(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        replace(Rates(), **wrong)


def test_rates_are_read_as_a_person_states_them() -> None:
    assert read_rates(["openai=500rpm,200_000tpm,32", "acme/m=7", "acme/m= 60rpm "]) == {
        "openai": Rates(requests_per_minute=500, tokens_per_minute=200_000, most_in_flight=32),
        "acme/m": Rates(requests_per_minute=60, most_in_flight=7),
    }


@pytest.mark.parametrize(
    "wrong", ["60rpm", "=60rpm", "openai=", "openai=0rpm", "openai=-1rpm", "openai=1.5rpm", "openai=5rps", "o=²rpm"]
)
def test_rates_that_cannot_be_read_say_how_to_write_them(wrong: str) -> None:
    with pytest.raises(RatesError, match="cannot be read") as caught:
        read_rates([wrong])
    assert "500rpm" in (caught.value.advice or "")
