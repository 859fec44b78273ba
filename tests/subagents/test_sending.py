"""Sending requests: tries, their money, deadlines, the run's retries, breakers, who stands back; on virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Final, Literal

import anyio
import pytest
import trio.testing

from antiphon.engine import Amount, CallContext, InfrastructureError, Limits, Run, Settings
from antiphon.engine.call import Call
from antiphon.engine.retry import RetryPolicy
from antiphon.engine.script.api import agent, parallel, quorum
from antiphon.engine.testing import AnsweringCalls, MemoryRun, memory_run
from antiphon.subagents.model.contract import (
    BadRequest,
    Capabilities,
    Completion,
    ContentRefused,
    ContextTooLong,
    Message,
    Model,
    Price,
    Request,
    Usage,
)
from antiphon.subagents.model.rates import Rates
from antiphon.subagents.model.sending import RetryBudget, Sender, Sent
from antiphon.tracing.spans import SpanProjector


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """What becomes of one class of failures.

    Attributes:
        means: what happened.
        again: whether the same request is tried again.
        halves: whether fewer requests are sent at once from now on.
        billed: whether the try is charged: never, or whole and marked as estimated because nobody knows.
        pauses: when the run pauses: at once, when the provider keeps failing, or never.
        ends: what the call ends as when that is all.
    """

    means: str
    again: bool
    halves: bool
    billed: Literal["no", "estimated"]
    pauses: Literal["at once", "if it goes on", "never"]
    ends: str


_OUTSIDE = "failed (infrastructure)"
_TASK = "failed (task)"
_RESUMES = "not at all: it goes on when the run does"

TREATMENTS: Final[Mapping[str, Treatment]] = {
    "rate": Treatment(
        means="too many requests", again=True, halves=True, billed="no", pauses="if it goes on", ends=_OUTSIDE
    ),
    "overloaded": Treatment(
        means="the provider is busy or broken",
        again=True,
        halves=True,
        billed="no",
        pauses="if it goes on",
        ends=_OUTSIDE,
    ),
    "timeout": Treatment(
        means="no answer in time",
        again=True,
        halves=False,
        billed="estimated",
        pauses="if it goes on",
        ends=_OUTSIDE,
    ),
    "network": Treatment(
        means="no connection, or one that was cut",
        again=True,
        halves=False,
        billed="estimated",
        pauses="if it goes on",
        ends=_OUTSIDE,
    ),
    "quota": Treatment(
        means="what may be used is used up", again=False, halves=False, billed="no", pauses="at once", ends=_RESUMES
    ),
    "credit": Treatment(
        means="what was paid for is used up", again=False, halves=False, billed="no", pauses="at once", ends=_RESUMES
    ),
    "authentication": Treatment(
        means="no key, or a wrong one", again=False, halves=False, billed="no", pauses="at once", ends=_RESUMES
    ),
    "context too long": Treatment(
        means="the conversation does not fit", again=False, halves=False, billed="no", pauses="never", ends=_TASK
    ),
    "content refused": Treatment(
        means="the provider refuses what was asked or answered",
        again=False,
        halves=False,
        billed="estimated",
        pauses="never",
        ends=_TASK,
    ),
    "bad request": Treatment(
        means="the provider does not understand it", again=False, halves=False, billed="no", pauses="never", ends=_TASK
    ),
}
"""What becomes of a request that fails, by its class: docs/rates.md shows it, and this suite holds it."""


def treatments() -> list[str]:
    """The table as lines of Markdown."""
    lines = ["| class | means | tried again | halves | charged | pauses the run | the call ends |", "|---" * 7 + "|"]
    for name, one in TREATMENTS.items():
        again, halves = ("yes" if one.again else "no"), ("yes" if one.halves else "no")
        lines.append(f"| {name} | {one.means} | {again} | {halves} | {one.billed} | {one.pauses} | {one.ends} |")
    return lines


pytestmark = pytest.mark.anyio
PRICE = Price(input="0.000001", output="0.000004")
USED = Usage(input=10, output=5)
COST = 30_000
"""What `USED` costs in 1e-9 usd."""
ANSWER = Completion(text="yes", usage=USED, model="m-1", id="r-1")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Retries and gates wait for seconds: only on a clock that jumps."""
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


@dataclass
class Provider:
    """Answers after a second in the ways given, one a request, and then as it always does."""

    script: list[Completion | Exception] = field(default_factory=list[Completion | Exception])
    always: Completion | Exception = ANSWER
    seconds: float = 1.0
    asked: list[tuple[float, Request]] = field(default_factory=list[tuple[float, Request]])
    answered: int = 0
    run: Run | None = None
    modes: list[str] = field(default_factory=list[str])

    async def complete(self, request: Request) -> Completion:
        """See `ModelClient`."""
        self.asked.append((anyio.current_time(), request))
        self.modes.append("" if self.run is None else self.run.mode)
        given = self.script.pop(0) if self.script else self.always
        await anyio.sleep(self.seconds)
        self.answered += 1
        if isinstance(given, Exception):
            raise given
        return given

    async def close(self) -> None:
        """Nothing to let go of."""

    async def watches(self, run: Run) -> None:
        """Beside a run: from now on `modes` says what it was in at each request."""
        self.run = run

    @property
    def times(self) -> list[float]:
        """When it was asked, in seconds since the first time."""
        return [at - self.asked[0][0] for at, _ in self.asked]


def model_of(provider: Any, price: Price | None = PRICE) -> Model:
    return Model(name="acme/m", client=provider, can=Capabilities(price=price), provider="acme", lineage="m")


REQUEST = Request(model="acme/m", messages=(Message(role="user", text="Is it so?"),), max_tokens=100)
Ask = Callable[[Call, CallContext], Awaitable[object]]


def asking(sender: Sender, provider: Any, request: Request = REQUEST, price: Price | None = PRICE) -> AnsweringCalls:
    """Calls that send one request each, and answer with its text."""

    async def ask(_call: Call, ctx: CallContext) -> object:
        return (await sender.send(ctx, model_of(provider, price), request)).completion.text

    return AnsweringCalls(ask)


async def one(
    provider: Any, sender: Sender | None = None, request: Request = REQUEST, price: Price | None = PRICE, **limits: Any
) -> MemoryRun:
    """A run of one call that asks once."""

    async def main() -> object:
        return await agent("ask")

    calls = asking(sender or Sender(), provider, request, price)
    return await memory_run(main, performers={"agent": calls}, limits=Limits.parse(limits) if limits else None)


def many(number: int) -> Callable[[], Awaitable[Any]]:
    """A script of so many calls at once: how many of them ended as what."""

    async def main() -> object:
        outcomes = await parallel(agent(f"ask {n}") for n in range(number))
        return [outcome.kind for outcome in outcomes]

    return main


def attempts(ran: MemoryRun) -> list[dict[str, Any]]:
    return [event.data for event in ran.events("attempt.ended")]


# --- one request ------------------------------------------------------------------------------------------------------


async def test_an_answer_is_settled_by_what_it_used() -> None:
    ran = await one(Provider())
    assert ran.value == "yes"
    assert ran.result.spent == USED.amount(COST) + Amount(model_calls=1, agent_calls=1, agent_seconds=1)
    [ended] = attempts(ran)
    assert ended["estimated"] is False
    assert ended["usage"] == {"provider": "acme", "model": "m-1", "id": "r-1", "finish": "stop"}


async def test_a_span_says_who_answered_and_never_what() -> None:
    used = Usage(input=10, cached=20, cache_write=30, output=5, reasoning=6)
    ran = await one(Provider(always=replace(ANSWER, usage=used, finish="length")))
    projector = SpanProjector(capture=False)
    spans = [span for event in ran.events() for span in projector.feed(event.kind, event.path, event.at, event.data)]
    [chat] = [span for span in spans if span.name == "chat acme/m"]
    attributes = dict(chat.attributes or {})
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "acme",
        "gen_ai.system": "acme",
        "gen_ai.request.model": "acme/m",
        "gen_ai.response.model": "m-1",
        "gen_ai.response.id": "r-1",
        "gen_ai.response.finish_reasons": ("length",),
        "gen_ai.usage.input_tokens": 60,
        "gen_ai.usage.cache_read.input_tokens": 20,
        "gen_ai.usage.cache_write.input_tokens": 30,
        "gen_ai.usage.cache_creation.input_tokens": 30,
        "gen_ai.usage.output_tokens": 11,
        "gen_ai.usage.reasoning.output_tokens": 6,
        "antiphon.cost.estimated": False,
    }
    assert {name: attributes.get(name) for name in expected} == expected
    assert not any(word in str(attributes) for word in ("Is it so", "yes"))


async def test_what_was_sent_comes_back_with_the_answer() -> None:
    got: list[Sent] = []
    sender, provider = Sender(), Provider()

    async def ask(_call: Call, ctx: CallContext) -> object:
        got.append(await sender.send(ctx, model_of(provider), REQUEST))
        return None

    async def main() -> object:
        return await agent("ask")

    await memory_run(main, performers={"agent": AnsweringCalls(ask)})
    [sent] = got
    assert (sent.completion, sent.request) == (ANSWER, REQUEST)
    assert (sent.spent, sent.estimated) == (USED.amount(COST) + Amount(model_calls=1), False)


UNBELIEVABLE = {
    "absent": None,
    "negative": Usage(input=10, output=-5),
    "beyond all sense": Usage(input=10**12),
    "a fraction": Usage(input=1.5),  # type: ignore[arg-type]  # a provider's JSON may hold anything
    "nothing for something": Usage(),
}


@pytest.mark.parametrize("usage", UNBELIEVABLE.values(), ids=UNBELIEVABLE)
async def test_usage_that_cannot_be_is_charged_at_the_worst_case_as_estimated(usage: Usage | None) -> None:
    ran = await one(Provider(always=replace(ANSWER, usage=usage)))
    [started] = ran.events("attempt.started")
    [ended] = attempts(ran)
    assert ended["spent"] == started.data["reserved"]
    assert ended["estimated"] is True
    assert ("reported" in ended["usage"]) == (usage is not None)


async def test_more_than_the_worst_case_is_an_overdraft_and_pauses() -> None:
    provider = Provider([replace(ANSWER, usage=Usage(input=10, output=100_000))])
    calls = asking(Sender(), provider)

    async def main() -> object:
        return [await agent("first"), await agent("second")]

    ran = await memory_run(main, performers={"agent": calls}, limits=Limits.parse({"usd": "0.01"}))
    assert (ran.result.pause, len(provider.asked)) == ("overdraft", 1)
    assert ran.result.spent.count("output_tokens") == 100_000


async def test_a_free_model_may_count_nothing() -> None:
    ran = await one(Provider(always=replace(ANSWER, usage=Usage())), price=Price(input="0", output="0"))
    assert attempts(ran)[0]["estimated"] is False


async def test_a_model_without_a_price_is_refused_where_money_is_limited_and_costs_nothing_elsewhere() -> None:
    provider = Provider()
    ran = await one(provider, price=None, usd="1")
    assert (ran.result.kind, provider.asked) == ("failed", [])
    assert "the price of acme/m is not known" in ran.result.reason
    free = await one(Provider(), price=None)
    assert free.result.spent.count("usd") == 0
    assert free.value == "yes"


async def test_the_answer_is_asked_for_as_short_as_the_budget_has_room_for() -> None:
    provider = Provider()
    ran = await one(provider, request=replace(REQUEST, max_tokens=100_000), usd="0.01")
    assert ran.value == "yes"
    assert 256 <= provider.asked[0][1].max_tokens < 2_500


# --- tries ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("category", ["rate", "overloaded", "network"])
async def test_what_may_pass_is_tried_again_with_the_same_conversation(category: Any) -> None:
    provider = Provider([InfrastructureError(category, "not now"), InfrastructureError(category, "not now")])
    sender = Sender()
    ran = await one(provider, sender)
    assert ran.value == "yes"
    assert [request for _, request in provider.asked] == [REQUEST] * 3
    assert (sender.requests, sender.retries) == (3, 2)
    assert [ended.get("category") for ended in attempts(ran)] == [category, category, None]
    assert attempts(ran)[0]["usage"]["problem"] == "not now"


async def test_each_try_is_reserved_and_charged_by_itself() -> None:
    ran = await one(Provider([InfrastructureError("rate", "not now"), InfrastructureError("network", "cut")]))
    started = [event.data["reserved"] for event in ran.events("attempt.started")]
    assert len(started) == 3
    billed = [ended["spent"] for ended in attempts(ran)]
    assert billed == [{}, started[1], {**USED.amount(COST).to_json(), "model_calls": 1}]
    assert not ran.run.budget.root.reserved


async def test_the_policy_gives_up_and_says_how_often_it_tried() -> None:
    provider = Provider(always=InfrastructureError("overloaded", "busy"))
    ran = await one(provider, Sender(policy=RetryPolicy(attempts=3)))
    assert ran.result.kind == "failed"
    assert ran.result.reason.endswith("overloaded: busy; tried 3 times")
    assert len(provider.asked) == 3


@pytest.mark.parametrize("refused", [ContextTooLong("too long"), BadRequest("what?")], ids=["long", "bad"])
async def test_what_was_turned_down_at_the_door_is_not_tried_again_and_costs_nothing(refused: Exception) -> None:
    provider = Provider(always=refused)
    ran = await one(provider)
    assert (ran.result.kind, len(provider.asked)) == ("failed", 1)
    assert ran.result.spent.count("usd") == 0


async def test_refused_content_may_have_been_billed() -> None:
    ran = await one(Provider(always=ContentRefused("no")))
    assert ran.result.kind == "failed"
    assert attempts(ran)[0]["estimated"] is True


async def test_a_request_has_a_hard_deadline_and_may_have_been_billed() -> None:
    provider = Provider(seconds=3600.0)
    policy = RetryPolicy(attempts=2, initial_seconds=1.0)
    ran = await one(provider, Sender(policy=policy), replace(REQUEST, timeout_seconds=60.0))
    assert "timeout: acme/m did not answer within 60 s; tried 2 times" in ran.result.reason
    assert provider.answered == 0
    assert [ended["estimated"] for ended in attempts(ran)] == [True, True]
    assert 60.5 <= provider.times[1] <= 61.0


async def test_a_timeout_of_the_clients_own_counts_as_one() -> None:
    ran = await one(Provider(always=TimeoutError()), Sender(policy=RetryPolicy(attempts=1)))
    assert [ended["category"] for ended in attempts(ran)] == ["timeout"]


async def test_cancellation_ends_the_request_and_is_never_tried_again() -> None:
    provider, sender = Provider(seconds=3600.0), Sender()

    async def main() -> object:
        return await agent("ask", limits={"wall_seconds": 5})

    ran = await memory_run(main, performers={"agent": asking(sender, provider)})
    assert ran.result.outcome is not None
    assert ran.result.outcome.kind == "timed_out"
    assert len(provider.asked) == 1
    assert attempts(ran)[0]["estimated"] is True
    assert sender.gate_of(model_of(provider)).in_flight == 0


async def test_an_error_in_a_group_is_taken_for_what_it_is() -> None:
    provider = Provider([ExceptionGroup("of a client's task group", [InfrastructureError("network", "cut")])])
    assert (await one(provider)).value == "yes"
    assert len(provider.asked) == 2


async def test_the_first_requests_are_spread_by_run_and_path() -> None:
    provider = Provider()
    sender = Sender(rates={"acme": Rates(start=2, jitter_seconds=10.0)})
    await memory_run(many(2), performers={"agent": asking(sender, provider)})
    jitter = [10.0 * Random(f"r-in-memory/main/0/{n}/0/0").random() for n in range(2)]
    first, second = provider.times
    assert first == 0.0
    assert min(abs(second - one) for one in jitter) < 1e-6


# --- the provider asks to wait ------------------------------------------------------------------------------------


async def test_while_a_provider_asks_to_wait_nobody_asks_it_anything_and_other_providers_go_on() -> None:
    sender = Sender()
    slow = Provider([InfrastructureError("rate", "slow down", retry_after=40.0)])
    quick = Provider()

    async def ask(call: Call, ctx: CallContext) -> object:
        number = int(str(call.task).split()[1])
        if number:
            await anyio.sleep(2.0 + number)
        mine = model_of(slow) if number % 2 == 0 else replace(model_of(quick), provider="other")
        return (await sender.send(ctx, mine, REQUEST)).completion.text

    ran = await memory_run(
        many(20),
        performers={"agent": AnsweringCalls(ask)},
        settings=Settings(attempts=2),
        limits=Limits.parse({"usd": "1"}),
    )
    assert ran.value == ["succeeded"] * 20
    assert min(slow.times[1:]) >= 40.0
    assert max(quick.times) < 30.0
    assert any("acme asks to wait 40 s" in str(event.data["text"]) for event in ran.events("note"))


async def test_who_stands_at_a_gate_that_closes_keeps_no_permit_from_other_providers() -> None:
    sender = Sender()
    slow = Provider([InfrastructureError("rate", "slow down", retry_after=300.0)] * 4)
    quick = Provider()

    async def ask(call: Call, ctx: CallContext) -> object:
        number = int(str(call.task).split()[1])
        if number >= 15:
            await anyio.sleep(0.5)
        mine = model_of(slow) if number < 15 else replace(model_of(quick), provider="other")
        return (await sender.send(ctx, mine, REQUEST)).completion.text

    ran = await memory_run(many(20), performers={"agent": AnsweringCalls(ask)}, settings=Settings(attempts=8))
    assert ran.value == ["succeeded"] * 20
    assert min(slow.times[4:]) >= 300.0
    assert quick.asked[-1][0] - slow.asked[0][0] < 5.0
    assert ran.run.admission.in_use == 0


@pytest.mark.parametrize("asked", [3e9, float("inf")], ids=["a century", "for ever"])
async def test_the_policy_caps_what_is_asked(asked: float) -> None:
    provider = Provider([InfrastructureError("rate", "slow down", retry_after=asked)])
    ran = await one(provider, Sender(policy=RetryPolicy(attempts=2, total_seconds=None, asked_seconds=90.0)))
    assert ran.value == "yes"
    assert 90.0 <= provider.times[1] <= 93.0


@pytest.mark.parametrize("asked", [-5.0, float("nan")], ids=["negative", "no number"])
async def test_what_cannot_be_asked_is_not(asked: float) -> None:
    provider = Provider([InfrastructureError("rate", "slow down", retry_after=asked)])
    assert (await one(provider)).value == "yes"
    assert provider.times[1] <= 1.5


# --- the run's retries --------------------------------------------------------------------------------------------


async def test_when_the_runs_retries_are_used_up_errors_pass_on_at_once_and_say_so() -> None:
    provider = Provider(always=InfrastructureError("rate", "slow down"))
    budget = RetryBudget(share=0.2, least=5)
    never = Rates(failing_requests=10_000)
    sender = Sender(rates={"acme": never}, retry_budget=budget)

    async def main() -> object:
        return [outcome.reason for outcome in await parallel(agent(f"ask {n}") for n in range(100))]

    ran = await memory_run(main, performers={"agent": asking(sender, provider)})
    assert sender.requests == 100 + sender.retries
    assert 25 <= sender.retries <= 5 + sender.most_in_flight + 0.2 * sender.requests + 1
    assert sum("second tries, and more are not allowed" in reason for reason in ran.value) >= 70


async def test_a_share_of_failures_below_the_runs_retries_is_invisible() -> None:
    script: list[Completion | Exception] = []
    for number in range(400):
        script.append(InfrastructureError("network", "cut") if number % 6 == 0 else ANSWER)
    provider = Provider(script)
    ran = await memory_run(
        many(300), performers={"agent": asking(Sender(), provider)}, settings=Settings(attempts=1_000)
    )
    assert ran.value == ["succeeded"] * 300


# --- breakers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("category", ["quota", "credit", "authentication"])
async def test_a_breaker_pauses_at_once_and_nothing_is_sent_any_more(category: Any) -> None:
    provider = Provider([*[ANSWER] * 49, InfrastructureError(category, "used up")])
    sender = Sender(rates={"acme": Rates(most_in_flight=10)})

    ran = await memory_run(
        many(300),
        performers={"agent": asking(sender, provider)},
        settings=Settings(attempts=64, settle_seconds=1e6),
        beside=provider.watches,
    )
    assert (ran.result.kind, ran.result.pause) == ("paused", category)
    assert ran.result.reason == f"{category}: used up"
    assert provider.modes[-1] == "running"
    assert "pausing" not in provider.modes
    answered = len(provider.asked) - 1
    assert answered <= 49 + 10
    assert ran.result.spent.count("model_calls") == answered
    assert ran.result.spent.count("agent_calls") == answered + 1
    assert not any(ended["estimated"] for ended in attempts(ran))
    assert not ran.run.budget.root.reserved


async def test_a_pause_by_a_breaker_is_over_when_what_is_in_flight_has_settled_and_resumes() -> None:
    provider = Provider([*[ANSWER] * 9, InfrastructureError("quota", "used up")])
    began: list[float] = []

    async def beside(_run: object) -> None:
        began.append(anyio.current_time())

    ran = await memory_run(
        many(40),
        performers={"agent": asking(Sender(rates={"acme": Rates(requests_per_minute=60)}), provider)},
        beside=beside,
    )
    assert ran.result.kind == "paused"
    assert anyio.current_time() - began[0] < 15.0
    again = await memory_run(many(40), performers={"agent": asking(Sender(), provider)}, history=ran.events())
    assert again.value == ["succeeded"] * 40
    assert len(provider.asked) == 41


async def test_who_is_in_the_middle_of_a_conversation_stands_back_too_and_goes_on_from_there() -> None:
    sender = Sender()
    provider = Provider([ANSWER, ANSWER, ANSWER, InfrastructureError("quota", "used up")], seconds=1.0)

    async def converse(_call: Call, ctx: CallContext) -> object:
        for number in range(len(ctx.turns), 3):
            await sender.send(ctx, model_of(provider), REQUEST)
            await ctx.turn({"number": number})
            await anyio.sleep(0.3)
        return len(ctx.turns)

    ran = await memory_run(many(3), performers={"agent": AnsweringCalls(converse)})
    assert ran.result.kind == "paused"
    assert len(provider.asked) <= 6
    turns = len(ran.events("turn"))
    again = await memory_run(many(3), performers={"agent": AnsweringCalls(converse)}, history=ran.events())
    assert again.value == ["succeeded"] * 3
    assert len(again.events("turn")) == 9
    assert len(provider.asked) == 9 + (len(ran.events("attempt.ended")) - turns)


async def test_an_agent_that_catches_the_error_sends_nothing_more_either() -> None:
    provider, sender = Provider(always=InfrastructureError("quota", "used up")), Sender()

    async def stubborn(_call: Call, ctx: CallContext) -> object:
        for _ in range(5):
            with suppress(InfrastructureError):
                await sender.send(ctx, model_of(provider), REQUEST)
        return "went on"

    ran = await memory_run(many(3), performers={"agent": AnsweringCalls(stubborn)})
    assert ran.result.pause == "quota"
    assert len(provider.asked) <= 3


async def test_what_fails_in_flight_after_a_breaker_tripped_fails_no_branch() -> None:
    sender = Sender(policy=RetryPolicy(attempts=1))
    breaks = Provider(always=InfrastructureError("quota", "used up"), seconds=1.0)
    is_cut = Provider(always=InfrastructureError("network", "cut"), seconds=5.0)

    async def ask(call: Call, ctx: CallContext) -> object:
        provider = breaks if call.task == "ask 0" else is_cut
        return (await sender.send(ctx, model_of(provider), REQUEST)).completion.text

    ran = await memory_run(many(3), performers={"agent": AnsweringCalls(ask)})
    assert (ran.result.pause, len(is_cut.asked), is_cut.answered) == ("quota", 2, 2)
    assert [event.data["kind"] for event in ran.events("call.ended")] == ["cancelled"] * 3


async def test_a_call_that_waits_to_try_again_stands_back_from_a_breaker_without_waiting_it_out() -> None:
    provider = Provider([InfrastructureError("rate", "slow down", retry_after=200.0)])
    sender = Sender()

    async def ask(call: Call, ctx: CallContext) -> object:
        if call.task == "ask 1":
            await anyio.sleep(5.0)
            ctx.run.broken(InfrastructureError("quota", "used up elsewhere"))
            return None
        return (await sender.send(ctx, model_of(provider), REQUEST)).completion.text

    ended: list[float] = []

    async def main() -> object:
        try:
            return await many(2)()
        finally:
            ended.append(anyio.current_time())

    began: list[float] = []

    async def beside(_run: object) -> None:
        began.append(anyio.current_time())

    ran = await memory_run(main, performers={"agent": AnsweringCalls(ask)}, beside=beside)
    assert ran.result.pause == "quota"
    assert ended[0] - began[0] < 6.0


@pytest.mark.parametrize("waits", ["in line", "to try again", "as the provider asked"])
async def test_a_pause_does_not_wait_for_who_stands_in_line_with_all_turns_recorded(waits: str) -> None:
    """Ctrl-C in the middle of conversations: what is in flight settles, and nobody waits for the rest."""
    second: dict[str, Completion | Exception] = {
        "in line": ANSWER,
        "to try again": InfrastructureError("network", "cut"),
        "as the provider asked": InfrastructureError("rate", "slow down", retry_after=100.0),
    }
    policy = RetryPolicy(initial_seconds=100.0, maximum_seconds=100.0, total_seconds=None)
    sender = Sender(rates={"acme": Rates(requests_per_minute=6, start=None)}, policy=policy)
    provider = Provider([ANSWER, second[waits]])

    async def converse(_call: Call, ctx: CallContext) -> object:
        for number in range(len(ctx.turns), 3):
            await sender.send(ctx, model_of(provider), REQUEST)
            await ctx.turn({"number": number})
        return len(ctx.turns)

    took: list[float] = []

    async def pauses(run: Run) -> None:
        await anyio.sleep(15.0)
        run.pause("asked", "enough")
        took.append(anyio.current_time())

    ran = await memory_run(many(3), performers={"agent": AnsweringCalls(converse)}, beside=pauses)
    assert (ran.result.kind, ran.result.pause) == ("paused", "asked")
    assert anyio.current_time() - took[0] < 2.0
    sender = Sender()
    again = await memory_run(many(3), performers={"agent": AnsweringCalls(converse)}, history=ran.events())
    assert again.value == ["succeeded"] * 3
    assert len(again.events("turn")) == 9


@pytest.mark.parametrize("category", ["network", "overloaded", "timeout", "rate"])
async def test_a_provider_that_keeps_failing_pauses_the_run_instead_of_failing_every_branch(category: Any) -> None:
    provider = Provider([ANSWER] * 30, always=InfrastructureError(category, "gone"))
    sender = Sender()
    ran = await memory_run(many(150), performers={"agent": asking(sender, provider)})
    assert (ran.result.kind, ran.result.pause) == ("paused", category)
    assert "acme failed" in ran.result.reason
    assert "in a row" in ran.result.reason
    assert 20 <= len(provider.asked) - 30 <= 20 + 3 * sender.most_in_flight
    assert not [event for event in ran.events("call.ended") if event.data["kind"] == "failed"]
    mended = Provider()
    again = await memory_run(many(150), performers={"agent": asking(Sender(), mended)}, history=ran.events())
    assert again.value == ["succeeded"] * 150
    assert len(mended.asked) == 120


async def test_one_broken_connection_that_fails_all_in_flight_is_no_failing_provider() -> None:
    provider = Provider([InfrastructureError("network", "cut")] * 64)
    sender = Sender(rates={"acme": Rates(start=64)})
    ran = await memory_run(many(64), performers={"agent": asking(sender, provider)})
    assert ran.value == ["succeeded"] * 64


async def test_infrastructure_failures_abstain_in_a_quorum() -> None:
    provider = Provider([ANSWER, InfrastructureError("network", "cut"), ANSWER], seconds=1.0)
    calls = asking(Sender(rates={"acme": Rates(start=1)}, policy=RetryPolicy(attempts=1)), provider)

    async def main() -> object:
        tally = await quorum([agent(f"vote {n}") for n in range(3)], need=2, vote=lambda value: value == "yes")
        return [tally.decided, list(tally.votes)]

    ran = await memory_run(main, performers={"agent": calls})
    decided, votes = ran.value
    assert (decided, votes.count(True), votes.count(None)) == ("yes", 2, 1)
    assert ran.result.kind == "completed"


# --- the table of failures ----------------------------------------------------------------------------------------

REFUSED: dict[str, Exception] = {
    "context too long": ContextTooLong("too long"),
    "content refused": ContentRefused("no"),
    "bad request": BadRequest("what?"),
}


@pytest.mark.parametrize("name", TREATMENTS)
async def test_each_class_of_failures_is_treated_as_its_table_says(name: Any) -> None:
    treatment = TREATMENTS[name]
    error = REFUSED.get(name) or InfrastructureError(name, "no")
    provider = Provider([error])
    sender = Sender(rates={"acme": Rates(start=8)})
    ran = await one(provider, sender)
    first = attempts(ran)[0]
    assert (len(provider.asked) > 1) == treatment.again
    assert sender.gate_of(model_of(provider)).limit == (4 if treatment.halves else 8)
    assert (first["spent"] != {}, first["estimated"]) == ((treatment.billed == "estimated",) * 2)
    assert (ran.result.kind == "paused") == (treatment.pauses == "at once")

    provider = Provider(always=error)
    lasting = await memory_run(many(30), performers={"agent": asking(Sender(), provider)})
    assert (lasting.result.kind == "paused") == (treatment.pauses != "never")
    [ended] = (await one(Provider(always=error))).events("call.ended")
    if treatment.pauses == "at once":
        assert (ended.data["kind"], treatment.ends[:10]) == ("cancelled", "not at all")
    else:
        assert f"{ended.data['kind']} ({ended.data['category']})" == treatment.ends


@pytest.mark.checkout
def test_the_page_shows_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "rates.md").read_text(encoding="utf-8")
    assert "\n".join(treatments()) in page
