"""Sending on every backend, without waiting for any clock: breakers, leaving, and a thousand at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from antiphon.engine import CallContext, InfrastructureError, Run, Settings
from antiphon.engine.call import Call
from antiphon.engine.script.api import agent, parallel, race
from antiphon.engine.testing import AnsweringCalls, memory_run
from antiphon.subagents.model.contract import Capabilities, Completion, Message, Model, Price, Request, Usage
from antiphon.subagents.model.rates import Rates
from antiphon.subagents.model.sending import Sender

pytestmark = pytest.mark.anyio
REQUEST = Request(model="acme/m", messages=(Message(role="user", text="Is it so?"),), max_tokens=100)
RATES = {"acme": Rates(most_in_flight=5, jitter_seconds=0)}


@dataclass
class Provider:
    """Answers at once; request number `breaks` gets a quota error, and `stops` is where it never answers."""

    breaks: int = 0
    stops: int = 0
    run: Run | None = None
    asked: int = 0
    cut: int = 0
    modes: list[str] = field(default_factory=list[str])

    async def complete(self, request: Request) -> Completion:
        """See `ModelClient`."""
        self.asked += 1
        self.modes.append("" if self.run is None else self.run.mode)
        number = self.asked
        if number == self.stops:
            try:
                await anyio.sleep_forever()
            finally:
                self.cut += 1
        await checkpoint()
        if number == self.breaks:
            raise InfrastructureError("quota", "used up")
        return Completion(text="yes", usage=Usage(input=10, output=5))

    async def close(self) -> None:
        """Nothing to let go of."""

    async def watches(self, run: Run) -> None:
        """Beside a run."""
        self.run = run


def asking(sender: Sender, provider: Any) -> AnsweringCalls:
    """Calls that send one request each."""
    can = Capabilities(price=Price(input="0.000001", output="0.000004"))
    model = Model(name="acme/m", client=provider, can=can, provider="acme", lineage="m")

    async def ask(_call: Call, ctx: CallContext) -> object:
        return (await sender.send(ctx, model, REQUEST)).completion.text

    return AnsweringCalls(ask)


async def test_after_a_quota_error_nothing_is_sent_and_only_what_was_sent_is_charged() -> None:
    provider, sender = Provider(breaks=50), Sender(rates=RATES)

    async def main() -> object:
        return len((await parallel(agent(f"ask {n}") for n in range(300))).succeeded())

    ran = await memory_run(main, performers={"agent": asking(sender, provider)}, beside=provider.watches)
    assert (ran.result.kind, ran.result.pause) == ("paused", "quota")
    assert "pausing" not in provider.modes
    assert provider.asked <= 54
    assert ran.result.spent.count("model_calls") == provider.asked - 1
    assert ran.result.spent.count("agent_calls") == provider.asked
    assert not ran.run.budget.root.reserved
    mended = Provider()
    again = await memory_run(main, performers={"agent": asking(Sender(rates=RATES), mended)}, history=ran.events())
    assert again.value == 300
    assert mended.asked == 300 - (provider.asked - 1)


async def test_a_thousand_at_once_all_get_their_turn() -> None:
    provider, sender = Provider(), Sender(rates=RATES)

    async def main() -> object:
        return len((await parallel(agent(f"ask {n}") for n in range(1_000))).succeeded())

    calls = asking(sender, provider)
    ran = await memory_run(main, performers={"agent": calls}, settings=Settings(attempts=1_000, spans=False))
    assert (ran.value, provider.asked, sender.most_in_flight) == (1_000, 1_000, 5)


async def test_the_loser_of_a_race_lets_go_of_its_request_and_its_place() -> None:
    provider, sender = Provider(stops=1), Sender(rates=RATES)

    async def main() -> object:
        return await race([agent(f"ask {n}") for n in range(2)])

    ran = await memory_run(main, performers={"agent": asking(sender, provider)})
    assert (ran.value, provider.cut) == ("yes", 1)
    ended = [event.data["estimated"] for event in ran.events("attempt.ended")]
    assert sorted(ended, key=bool) == [False, True]
    assert sender.said() == ["acme: 0 of 4 in flight"]
