"""The watcher that says that nothing ends: what it says, how often, and that it never ends anything itself."""

from __future__ import annotations

import anyio
import pytest
import trio.testing

from antiphon.engine import Amount, CallContext, Limits, Settings
from antiphon.engine.call import Call
from antiphon.engine.script.api import agent, approve, parallel
from antiphon.engine.testing import AnsweringCalls, MemoryRun, memory_run
from antiphon.subagents.model.stall import StallWatch
from antiphon.subagents.testing import performers_of
from antiphon.tracing import Json

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """It waits for minutes: only on a clock that jumps."""
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


def stalls(ran: MemoryRun) -> list[dict[str, Json]]:
    """What it noted, in order."""
    noted = [event.data.get("stalled") for event in ran.events("note")]
    return [stalled for stalled in noted if isinstance(stalled, dict)]


async def sleeps(call: Call, ctx: CallContext) -> object:
    """Takes as many seconds as its task says."""
    async with ctx.attempt(name="slow") as attempt:
        await anyio.sleep(float(str(call.task)))
        attempt.settle(Amount(usd="0.01"))
    return call.task


async def run_of(*seconds: int, watch: StallWatch, attempts: int = 64) -> MemoryRun:
    async def main() -> object:
        return len((await parallel(agent(str(one)) for one in seconds)).succeeded())

    settings = Settings(attempts=attempts)
    return await memory_run(main, performers={"agent": AnsweringCalls(sleeps)}, settings=settings, beside=watch)


async def test_it_says_what_everybody_waits_for_and_again_after_twice_as_long_and_nothing_is_ended() -> None:
    watch = StallWatch(seconds=60, said=lambda: ["acme: 1 of 4 in flight"])
    ran = await run_of(500, 500, 500, watch=watch, attempts=1)
    assert ran.value == 3
    assert [stall["seconds"] for stall in stalls(ran)] == [60, 120, 240, 480] * 3
    assert stalls(ran)[0] == {"seconds": 60.0, "in_flight": 3, "waits": stalls(ran)[0]["waits"]}
    note = ran.events("note")[0]
    text = str(note.data["text"])
    assert "nothing has ended for 60 s: 2 calls wait for a permit, 1 at work or sent" in text
    assert "acme: 1 of 4 in flight" in text
    assert f"antiphon resume {ran.run.run_id}" in text


async def test_whatever_ends_begins_the_time_anew() -> None:
    watch = StallWatch(seconds=60)
    ran = await run_of(50, 100, 150, 200, 255, watch=watch)
    assert stalls(ran) == []
    assert watch.text == ""
    watch = StallWatch(seconds=60)
    ran = await run_of(50, 111, watch=watch)
    assert [stall["seconds"] for stall in stalls(ran)] == [60.0]
    assert watch.text == ""


async def test_a_person_who_is_waited_for_is_told() -> None:
    watch = StallWatch(seconds=0.1)

    async def main() -> object:
        return [outcome.kind for outcome in await parallel([agent("5"), approve("Go on?")])]

    performers = {"agent": AnsweringCalls(sleeps), "approval": performers_of()["approval"]}
    ran = await memory_run(main, performers=performers, beside=watch)
    assert ran.result.pause == "approval"
    assert any("--approve" in str(event.data["text"]) for event in ran.events("note"))


async def test_a_script_that_waits_by_itself_is_named_as_what_waits() -> None:
    async def main() -> object:
        await anyio.sleep(100)
        return "done"

    ran = await memory_run(main, beside=StallWatch(seconds=60))
    assert ran.value == "done"
    assert "the script itself waits" in str(ran.events("note")[0].data["text"])


async def test_who_waits_for_the_budget_is_told_what_helps() -> None:
    async def slow(_call: Call, ctx: CallContext) -> object:
        async with ctx.attempt(Amount(usd="1"), name="slow") as attempt:
            await anyio.sleep(100)
            attempt.settle(Amount(usd="0.1"))
        return None

    async def main() -> object:
        await parallel([agent("a"), agent("b")])
        return "done"

    ran = await memory_run(
        main,
        performers={"agent": AnsweringCalls(slow)},
        limits=Limits.parse({"usd": "1.5"}),
        beside=StallWatch(seconds=60),
    )
    assert ran.value == "done"
    assert "--budget +AMOUNT" in str(ran.events("note")[0].data["text"])
