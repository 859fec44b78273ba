"""`ctx.send`: retries inside an attempt, with their own reservations, on the virtual clock."""

from __future__ import annotations

import anyio
import pytest
import trio.testing

from antiphon.engine import AgentFailure, Amount, Attempt, CallContext, InfrastructureError, Limits, Run, RunResult
from antiphon.engine.call import Call
from antiphon.engine.retry import RetryPolicy
from antiphon.engine.script.api import agent
from antiphon.engine.testing import AnsweringCalls, memory_run
from antiphon.subagents.agents import Agents
from antiphon.subagents.function import function_agent
from antiphon.tracing import MemoryLog

pytestmark = pytest.mark.anyio
PRICE = Amount(usd="0.01")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Retries wait for seconds: only on a clock that jumps."""
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


class Provider:
    """Fails in the given ways, then answers; remembers when it was asked."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)
        self.asked: list[float] = []

    async def answer(self, attempt: Attempt) -> str:
        """One request."""
        self.asked.append(anyio.current_time())
        if self._failures:
            raise self._failures.pop(0)
        attempt.settle(PRICE)
        return "answer"


async def asked_of(provider: Provider, policy: RetryPolicy | None = None) -> tuple[RunResult, MemoryLog]:
    """Run one agent that asks the provider."""

    @function_agent("asker", version="1")
    async def asker(task: str, ctx: CallContext) -> str:
        return await ctx.send(PRICE, provider.answer, name="fake", policy=policy or RetryPolicy())

    async def main() -> str:
        return str(await agent("ask", role="asker"))

    log = MemoryLog()
    limits = Limits.parse({"usd": "1"})
    run = Run(log, run_id="send", limits=limits, performers={"agent": Agents({"asker": asker})})
    return await run.execute(main), log


async def test_what_may_pass_is_tried_again_and_only_the_answer_is_billed() -> None:
    provider = Provider(InfrastructureError("rate", "slow down"), InfrastructureError("overloaded", "busy"))
    result, log = await asked_of(provider)
    assert result.kind == "completed"
    assert len(provider.asked) == 3
    assert result.spent.count("usd") == PRICE.count("usd")
    attempts = [event.data for event in log.events() if event.kind == "attempt.ended"]
    assert [attempt.get("category") for attempt in attempts] == ["rate", "overloaded", None]


async def test_the_seconds_the_other_side_asks_for_are_waited() -> None:
    provider = Provider(InfrastructureError("rate", "slow down", retry_after=17.0))
    await asked_of(provider)
    assert provider.asked[1] - provider.asked[0] >= 17.0


async def test_a_timeout_may_have_been_billed_and_is_charged_whole() -> None:
    result, _ = await asked_of(Provider(InfrastructureError("timeout", "no answer")))
    assert result.spent.count("usd") == 2 * PRICE.count("usd")


async def test_the_policy_gives_up_and_the_failure_is_infrastructure() -> None:
    provider = Provider(*(InfrastructureError("network", "no route") for _ in range(9)))
    result, _ = await asked_of(provider, RetryPolicy(attempts=3))
    assert result.kind == "failed"
    assert len(provider.asked) == 3
    assert "no route" in result.reason


async def test_the_time_for_all_tries_is_limited() -> None:
    provider = Provider(*(InfrastructureError("rate", "slow down", retry_after=30.0) for _ in range(9)))
    result, _ = await asked_of(provider, RetryPolicy(attempts=9, total_seconds=70.0))
    assert result.kind == "failed"
    assert provider.asked[-1] - provider.asked[0] <= 70.0


async def test_a_failure_of_the_task_is_not_tried_again() -> None:
    provider = Provider(AgentFailure("cannot"))
    result, _ = await asked_of(provider)
    assert (result.kind, len(provider.asked)) == ("failed", 1)


async def test_quota_is_not_tried_again_and_pauses() -> None:
    provider = Provider(InfrastructureError("quota", "used up"))
    result, _ = await asked_of(provider)
    assert (result.kind, result.pause, len(provider.asked)) == ("paused", "quota", 1)


async def test_told_to_wind_down_it_can_reserve_what_its_floor_holds_and_no_more() -> None:
    """What is free besides is for those who wait: to count on it would be refused."""
    said: list[int | None] = []

    async def ask(_call: Call, ctx: CallContext) -> object:
        said.append(ctx.remaining("usd"))
        ctx.carve.winding_down = True
        said.extend([ctx.remaining("usd"), ctx.remaining("output_tokens")])
        async with ctx.attempt(Amount(usd="0.25", output_tokens=9_000)) as attempt:
            attempt.settle()
        return "handed back"

    async def main() -> object:
        return await agent("ask")

    calls = AnsweringCalls(ask, floor=Amount(usd="0.25", output_tokens=1_000))
    ran = await memory_run(main, performers={"agent": calls}, limits=Limits.parse({"usd": "1"}))
    assert ran.value == "handed back"
    assert said == [1_000_000_000, 250_000_000, None]
