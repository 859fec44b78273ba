"""Model agents over real HTTP while a provider fails: every outcome is explained, every figure is the provider's."""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from antiphon.engine import Limits, Run, Settings
from antiphon.engine.amount import DIMENSIONS, Amount
from antiphon.engine.retry import RetryPolicy
from antiphon.engine.script.api import agent, parallel
from antiphon.engine.testing import MemoryRun, memory_run
from antiphon.subagents.model.contract import Completion, Price, ToolCall, Usage
from antiphon.subagents.model.price import cost
from antiphon.subagents.model.rates import Rates
from antiphon.subagents.model.registry import Models
from antiphon.subagents.model.sending import RetryBudget, Sender
from antiphon.subagents.roles.definition import AgentLimits, RoleDefinition
from antiphon.subagents.testing import (
    Answer,
    Asked,
    Faults,
    Good,
    LoopbackServer,
    Served,
    Tally,
    broken,
    cut,
    model_agents,
    out_of_quota,
    refused,
    too_long,
    unauthenticated,
)
from antiphon.subagents.tools import function_tool
from antiphon.tracing import Event, Json

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

PRICE = Price(input="0.000001", output="0.000004")
COUNTER = RoleDefinition(
    name="counter",
    instructions="Look the document up, then say how many lines it has.",
    tools=("look_up",),
    limits=AgentLimits(turns=6, max_tokens=300),
)
AT_ONCE = Rates(start=32, jitter_seconds=0.0, failing_requests=10_000)
"""No slow start, and no breaker: at the end of a run, documents that always fail are all that is asked for."""
IMPATIENT = RetryPolicy(attempts=9, total_seconds=None, initial_seconds=0.005, maximum_seconds=0.05)


UNKNOWN = -1
"""What an agent says that has to hand back before it could look."""


class Count(BaseModel):
    """What each agent is asked for."""

    document: int
    lines: int


@function_tool
async def look_up(document: int) -> str:
    """Look a document up."""
    await anyio.lowlevel.checkpoint()
    return f"it has {document * 7} lines"


def task_of(asked: Asked) -> int:
    """The document that a conversation is about."""
    texts = [message.text for message in asked.request.messages if message.role == "user"]
    return int(next(hit[1] for text in texts if (hit := re.search(r"document (\d+)\b", text))))


def counting(asked: Asked) -> Good | Served:
    """The model: looks up, then answers; every tenth answers nonsense first. Some documents always fail."""
    document = task_of(asked)
    if fault := LASTING.get(document % 50):
        return fault[0]
    said = [message for message in asked.request.messages if message.role == "assistant"]
    found = [re.search(r"it has (\d+) lines", message.text) for message in asked.request.messages]
    lines = [hit[1] for hit in found if hit is not None]
    if not lines and "look_up" in [tool.name for tool in asked.request.tools]:
        return Completion(calls=(ToolCall(f"c{document}", "look_up", json.dumps({"document": document})),))
    if document % 10 == 3 and len(said) == 1:
        return Completion(text="about a hundred, I would say")
    return Answer({"document": document, "lines": int(lines[-1]) if lines else UNKNOWN})


LASTING: Mapping[int, tuple[Served, str, str]] = {
    17: (broken(500), "infrastructure", ""),
    27: (refused(), "task", "refuse"),
    37: (too_long(), "task", "window|context|fit"),
}
"""Documents that always fail, by their number modulo 50: with what, as which class, and what the reason says."""


# --- a run against a server -------------------------------------------------------------------------------------------


@dataclass
class Setting:
    """A server, its model, and what looks at the budget at every event."""

    server: LoopbackServer
    models: Models
    overshoots: list[str]
    rates: Rates

    @classmethod
    def of(cls, server: LoopbackServer, form: str, *, rates: Rates | None = None) -> Setting:
        name = server.model.replace("openai/", f"{form}/", 1)
        return cls(server, Models.of([name], prices={name: PRICE}), [], rates or AT_ONCE)

    async def run(
        self,
        agents: int,
        *,
        limits: Limits,
        attempts: int = 64,
        history: Iterable[Event] = (),
        top_up: Amount | None = None,
    ) -> MemoryRun:
        """So many agents in one fan-out."""

        async def main() -> object:
            found = await parallel(
                agent(f"How many lines has document {n}?", role="counter", output=Count) for n in range(agents)
            )
            return [[outcome.kind, outcome.ok and outcome.value.lines] for outcome in found]

        sender = Sender(
            policy=IMPATIENT,
            retry_budget=RetryBudget(share=1.0, least=1000),
            rates={self.models.model_for("counter").provider: self.rates},
        )
        performers = model_agents(self.models, COUNTER, tools=[look_up], sender=sender)
        return await memory_run(
            main,
            performers=performers,
            limits=limits,
            settings=Settings(attempts=attempts),
            beside=self._watch,
            history=history,
            top_up=top_up,
        )

    async def _watch(self, run: Run) -> None:
        """Promise 2 at every event: what is spent and reserved never exceeds the limit and the recorded overdraft."""

        def look(kind: str, path: str, at: float, data: Mapping[str, Json]) -> None:
            gate = run.budget.root.gate
            if gate is None:
                return
            for index, dimension in enumerate(DIMENSIONS):
                if gate.spent[index] + gate.reserved[index] > gate.ceiling[index] + gate.overdraft[index]:
                    self.overshoots.append(f"{dimension} at {kind} of {path}")

        run.log.watch(look)


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Threads and sockets of this process are afterwards what they were before."""
    before = (threads(), sockets())
    yield
    assert (threads(), sockets()) == before


def threads() -> set[str]:
    """By name; idle ones that anyio and trio keep for the next blocking call are theirs."""
    kept = ("AnyIO worker", "Trio thread", "asyncio_")
    return {thread.name for thread in threading.enumerate() if not thread.name.startswith(kept)}


def sockets() -> int:
    """How many this process has open, where /proc tells."""
    folder = Path("/proc/self/fd")
    return (
        sum(os.path.islink(one) and "socket:" in os.readlink(one) for one in folder.iterdir()) if folder.exists() else 0
    )


def tasks() -> int:
    """How many asyncio tasks there are; 0 under trio, whose nurseries cannot be left before."""
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return 0


def is_quiet(tally: Tally) -> bool:
    """Whether nobody is connected to the server."""
    return not tally.open


# --- what has to hold -------------------------------------------------------------------------------------------------


def ends(events: list[Event]) -> list[Mapping[str, Any]]:
    """The ends of all attempts at a model. A call that went on after a stop counts its attempts anew."""
    sort: dict[tuple[str, Json], Json] = {}
    found: list[Mapping[str, Any]] = []
    for event in events:
        if event.kind == "attempt.started":
            sort[event.path, event.data["attempt"]] = event.data["sort"]
        elif event.kind == "attempt.ended" and sort[event.path, event.data["attempt"]] == "model":
            found.append(event.data)
    return found


def check_spend(events: list[Event], server: LoopbackServer) -> None:
    """Settled is what the server counted, request by request; estimated is no less; nothing else was sent."""
    told = {f"chatcmpl-{one.number}": one for one in server.tally.billed if one.known and one.usage != Usage()}
    settled: dict[str, Amount] = {}
    estimated = Amount()
    for data in ends(events):
        spent = Amount.from_json(data["spent"])
        if data["estimated"]:
            estimated = estimated + spent
        elif spent:
            settled[data["usage"]["id"]] = spent
    assert settled == {id: one.usage.amount(cost(PRICE, one.usage)) + Amount(model_calls=1) for id, one in told.items()}
    unknown = server.tally.usage(known=False)
    assert unknown.amount(cost(PRICE, unknown)) <= estimated
    # Whose start was in the log already when a pause came sent nothing, and costs nothing.
    sent = [data for data in ends(events) if data["spent"] or "error" in data]
    assert len(server.tally.asked) == len(sent) == len(server.tally.billed)


def check_outcomes(ran: MemoryRun, agents: int) -> None:
    """Everybody is in the census; each failure names its class and its reason; each value is the right one."""
    ended = {str(e.path): e.data for e in ran.events("call.ended")}
    # Who was told that its budget is used up before it had looked; this log says so.
    handed_back = {event.path.split("/")[2] for event in ran.events("turn") if "winding" in json.dumps(event.data)}
    assert len(ended) == agents == len(ran.value)
    for n, (kind, lines) in enumerate(ran.value):
        data = ended[f"main/0/{n}/0"]
        if expected := LASTING.get(n % 50):
            _, category, reason = expected
            assert (kind, data["category"]) == ("failed", category), data
            assert re.search(reason, str(data["reason"])), data
            assert category == "task" or data["infrastructure"], data
        else:
            assert kind == "succeeded", data
            assert lines == n * 7 or (lines == UNKNOWN and str(n) in handed_back), data
    counts = Counter(str(data["kind"]) for data in ended.values())
    assert counts == sum((Counter(census.ended) for census in ran.result.calls.values()), Counter[str]())


async def holds_under_faults(agents: int, form: str, *, usd: str, seed: int) -> None:
    before = tasks()
    with LoopbackServer(Faults(counting, share=0.2, seed=seed)) as server:
        setting = Setting.of(server, form)
        async with setting.models:
            ran = await setting.run(agents, limits=Limits.parse({"usd": usd}))
        assert ran.result.kind in ("completed", "degraded"), ran.result
        assert len([kind for kind in server.tally.kinds if kind != "answered"]) >= 5
        check_outcomes(ran, agents)
        check_spend(ran.events(), server)
        assert setting.overshoots == []
        assert await anyio.to_thread.run_sync(server.tally.wait_for, is_quiet)
    assert tasks() == before


@pytest.mark.usefixtures("nothing_left")
async def test_twenty_agents_and_a_fifth_of_all_answers_gone_wrong() -> None:
    await holds_under_faults(20, "compatible", usd="0.2", seed=1)


@pytest.mark.long
@pytest.mark.usefixtures("nothing_left")
async def test_three_hundred_agents_and_a_fifth_of_all_answers_gone_wrong() -> None:
    """The limit is far below the sum of what they could cost at worst, so reservations really hold them back."""
    await holds_under_faults(300, "openai", usd="1", seed=2)


@pytest.mark.long
@pytest.mark.usefixtures("nothing_left")
async def test_a_limit_that_is_too_small_pauses_and_a_top_up_finishes() -> None:
    """Nothing is overshot on either side of the pause, and what was answered is not asked again."""
    with LoopbackServer(Faults(counting, share=0.2, seed=3)) as server:
        setting = Setting.of(server, "openai")
        async with setting.models:
            first = await setting.run(60, limits=Limits.parse({"usd": "0.02"}))
            assert (first.result.kind, first.result.pause) == ("paused", "budget"), first.result
            assert Amount.total(Amount.from_json(one["spent"]) for one in ends(first.events())).usd <= Decimal("0.02")
            finished = {event.path for event in first.events("call.ended") if event.data["kind"] == "succeeded"}
            sent = len(server.tally.asked)
            limits, top_up = Limits.parse({"usd": "0.02"}), Amount(usd="1")
            second = await setting.run(60, limits=limits, history=first.events(), top_up=top_up)
        assert second.result.kind in ("completed", "degraded"), second.result
        check_outcomes(second, 60)
        check_spend(second.events(), server)
        assert setting.overshoots == []
        again = {f"main/0/{task_of(asked)}/0" for asked in server.tally.asked[sent:]}
        assert not again & finished


@pytest.mark.usefixtures("nothing_left")
async def test_a_quota_error_at_call_fifty_sends_nothing_more_pauses_and_resumes() -> None:
    await quota_pauses("compatible", agents=40, attempts=8)


@pytest.mark.long
@pytest.mark.usefixtures("nothing_left")
async def test_so_does_one_among_three_hundred_agents() -> None:
    await quota_pauses("openai", agents=300, attempts=64)


async def quota_pauses(form: str, *, agents: int, attempts: int) -> None:
    """From the fiftieth request on the account is empty; until somebody pays."""
    paid = threading.Event()

    def until_paid(asked: Asked) -> Good | Served:
        return counting(asked) if asked.number < 50 or paid.is_set() else out_of_quota()

    with LoopbackServer(until_paid) as server:
        setting = Setting.of(server, form)
        limits = Limits.parse({"usd": "10"})
        async with setting.models:
            first = await setting.run(agents, limits=limits, attempts=attempts)
            assert (first.result.kind, first.result.exit_code) == ("paused", 4), first.result.reason
            assert re.search("quota", first.result.reason), first.result
            check_nothing_after_quota(first.events())
            # Those that were in flight when the first was told: fewer than there are permits.
            sent = len(server.tally.asked)
            assert 50 <= sent < 50 + attempts
            check_spend(first.events(), server)
            paid.set()
            second = await setting.run(agents, limits=limits, history=first.events())
        check_outcomes(second, agents)
        check_spend(second.events(), server)
        assert setting.overshoots == []
        check_turns_are_asked_once(first.events(), server.tally.asked[sent:])


def check_nothing_after_quota(events: list[Event]) -> None:
    """Once the first was told, nobody began another attempt."""
    told = next(
        event.seq for event in events if event.kind == "attempt.ended" and event.data.get("category") == "quota"
    )
    begun = [e for e in events if e.seq > told and e.kind == "attempt.started" and e.data["sort"] == "model"]
    assert not begun, begun[:3]


def check_turns_are_asked_once(before: list[Event], asked_after: list[Asked]) -> None:
    """After a stop every conversation goes on from its last turn in the log."""
    turns = Counter(
        event.path for event in before if event.kind == "turn" and dict_of(event.data["value"])["turn"] == "model"
    )
    first_asked: dict[int, int] = {}
    for asked in asked_after:
        said = sum(message.role == "assistant" for message in asked.request.messages)
        first_asked.setdefault(task_of(asked), said)
    for document, said in first_asked.items():
        assert said == turns[f"main/0/{document}/0"], document


def dict_of(value: Json) -> Mapping[str, Json]:
    """A value that is known to be an object."""
    assert isinstance(value, dict)
    return value


@pytest.mark.usefixtures("nothing_left")
async def test_a_key_that_is_wrong_pauses_after_the_first_answer() -> None:
    with LoopbackServer(lambda asked: unauthenticated()) as server:
        setting = Setting.of(server, "compatible")
        async with setting.models:
            ran = await setting.run(20, limits=Limits.parse({"usd": "1"}), attempts=1)
    assert (ran.result.kind, ran.result.exit_code) == ("paused", 4)
    assert "authentication" in ran.result.reason
    assert server.tally.kinds == {"invalid_api_key": 1}


@pytest.mark.usefixtures("nothing_left")
async def test_a_provider_that_keeps_failing_pauses_the_run_and_a_resume_finishes_it() -> None:
    """The breaker: three hundred branches do not fail one by one."""
    well = threading.Event()
    with LoopbackServer(lambda asked: counting(asked) if well.is_set() else cut("nothing", "before")) as server:
        setting = Setting.of(server, "compatible", rates=Rates(start=8, jitter_seconds=0.0))
        async with setting.models:
            first = await setting.run(16, limits=Limits.parse({"usd": "1"}))
            assert (first.result.kind, first.result.exit_code) == ("paused", 4), first.result.reason
            assert "in a row" in first.result.reason
            assert not first.events("call.ended") or "failed" not in [
                e.data["kind"] for e in first.events("call.ended")
            ]
            sent = len(server.tally.asked)
            well.set()
            second = await setting.run(16, limits=Limits.parse({"usd": "1"}), history=first.events())
        assert sent < 16 * IMPATIENT.attempts
        check_outcomes(second, 16)
        check_spend(second.events(), server)
