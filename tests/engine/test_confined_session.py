"""The host's side of a confined script, against guests that say what each test has them say."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from antiphon.engine import CallContext, CallFailed, Failed
from antiphon.engine.branch import current_branch
from antiphon.engine.call import Call
from antiphon.engine.script.api import branch, race
from antiphon.engine.script.confined import run_confined, served
from antiphon.engine.script.confined.frames import EndFrame
from antiphon.engine.script.runtime import Death, GuestDied, GuestLimits, Program
from antiphon.engine.testing import AnsweringCalls, MemoryRun, memory_run

pytestmark = pytest.mark.anyio
LIMITS = GuestLimits(grace_seconds=10.0, turn_seconds=60.0, output_bytes=40, sent_bytes=20_000)
ON_A_CLOCK_THAT_JUMPS = pytest.mark.parametrize("anyio_backend", ["virtual"], indirect=True)
"""For what takes longer than a turn of a guest."""


class SpokenGuest:
    """A guest whose frames a test writes: `script` speaks for it until it returns."""

    def __init__(self, root: str) -> None:
        self.waiting = True
        self.root = root
        self.killed = ""
        self._to_host, self._from_guest = anyio.create_memory_object_stream[str](1_000)
        self._replies: dict[int, dict[str, Any]] = {}
        self._replied = anyio.Event()
        self._number = 0

    async def receive(self) -> str | None:
        try:
            return await self._from_guest.receive()
        except anyio.EndOfStream:
            if self.killed:
                raise GuestDied("killed", self.killed) from None
            return None

    async def send(self, reply: str) -> None:
        said = json.loads(reply)
        self._replies[said["id"]] = said
        self._replied.set()
        self._replied = anyio.Event()

    async def kill(self, reason: str) -> None:
        self.killed = self.killed or reason
        self._to_host.close()

    def tell(self, do: str, at: str | None = None, **fields: Any) -> int:
        """Send a frame; its number."""
        self._number += 1
        self.raw(json.dumps({"id": self._number, "at": at or self.root, "do": do, **fields}))
        return self._number

    def raw(self, text: str) -> None:
        """Send any text."""
        try:
            self._to_host.send_nowait(text)
        except anyio.ClosedResourceError:  # it was ended
            return

    async def reply_to(self, number: int) -> dict[str, Any]:
        """The reply to a frame, once it is there."""
        while number not in self._replies:
            await self._replied.wait()
        return self._replies[number]

    async def ask(self, do: str, at: str | None = None, **fields: Any) -> dict[str, Any]:
        """Send a frame and wait for its reply."""
        return await self.reply_to(self.tell(do, at, **fields))

    def leave(self) -> None:
        """End without another word."""
        self._to_host.close()

    def close(self) -> None:
        """Nothing crosses any more."""
        self._to_host.close()
        self._from_guest.close()


Speaking = Callable[[SpokenGuest], Awaitable[None]]


class SpokenRuntime:
    """Runs what a test speaks, whatever the program says."""

    name = "spoken"

    def __init__(self, speak: Speaking) -> None:
        self._speak = speak
        self.guests: list[SpokenGuest] = []

    @asynccontextmanager
    async def guest(self, program: Program, limits: GuestLimits) -> AsyncGenerator[SpokenGuest]:
        guest = SpokenGuest(program.token)
        self.guests.append(guest)
        own = anyio.CancelScope(shield=True)  # whatever happens around the script, it goes on until it is left

        async def spoken() -> None:
            with own:
                await self._speak(guest)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(spoken)
            try:
                yield guest
            finally:
                guest.close()
                own.cancel()


def agent(task: str) -> dict[str, Any]:
    return {"name": "agent", "args": {"task": task}}


LATE: list[anyio.Event] = []
"""What a late answer waits for."""


async def echo(call: Call, _context: CallContext) -> object:
    if call.task == "never":
        await anyio.sleep_forever()
    if call.task == "late":
        await LATE[-1].wait()
    return call.task


async def ran(speak: Speaking, calls: AnsweringCalls | None = None) -> MemoryRun:
    runtime = SpokenRuntime(speak)
    LATE.append(anyio.Event())

    async def main() -> Any:
        return await run_confined(runtime, source="", file="script.py", arguments={}, limits=LIMITS)

    return await memory_run(main, performers={"agent": calls or AnsweringCalls(echo)})


async def death_of(speak: Speaking) -> GuestDied:
    """How the guest was ended. The run itself goes on to its end, and says so."""
    died: list[GuestDied] = []
    runtime = SpokenRuntime(speak)
    LATE.append(anyio.Event())

    async def main() -> Any:
        try:
            return await run_confined(runtime, source="", file="script.py", arguments={}, limits=LIMITS)
        except GuestDied as death:
            died.append(death)
            raise

    done = await memory_run(main, performers={"agent": AnsweringCalls(echo)})
    assert done.result.kind == "failed"
    assert runtime.guests[0].killed
    return died[0]


# --- what is asked, and answered ----------------------------------------------------------------------------------


async def test_a_call_is_performed_where_a_trusted_one_would_be() -> None:
    async def speak(guest: SpokenGuest) -> None:
        first = await guest.ask("call", call=agent("a"))
        found = await guest.ask("fan", group=1, construct="parallel", options={}, items=[{"call": agent("b")}], asks=[])
        guest.tell("end", value=[first["value"], found["value"]["outcomes"][0]["path"]])

    done = await ran(speak)
    assert done.value == ["a", "main/1/0"]
    assert [event.path for event in done.log.events() if event.kind == "call.ended"] == ["main/0", "main/1/0/0"]


async def test_what_the_host_raised_ends_the_script_as_that() -> None:
    async def speak(guest: SpokenGuest) -> None:
        said = await guest.ask("fail", reason="no luck")
        guest.tell("end", error=said["failed"], described="CallFailed: failed: no luck (script.py:3 in main)")

    done = await ran(speak)
    assert done.result.outcome is not None
    assert (done.result.outcome.kind, done.result.outcome.reason) == ("failed", "no luck")


async def test_an_outcome_that_was_told_may_be_raised_as_it_was() -> None:
    async def speak(guest: SpokenGuest) -> None:
        def fan(items: list[Any]) -> int:
            return guest.tell("fan", group=1, construct="parallel", options={}, items=items, asks=[])

        whole = fan([{"coroutine": True}])
        here = (await guest.ask("begin", group=1, index=0))["value"]["at"]
        said = await guest.ask("fail", here, reason="inside")
        guest.tell("end", here, error=said["failed"])
        outcome = (await guest.reply_to(whole))["value"]["outcomes"][0]
        guest.tell("end", error=f"{outcome['kind']}: {outcome['reason']}", described="CallFailed")

    done = await ran(speak)
    with pytest.raises(CallFailed, match="failed: inside"):
        _ = done.value


async def test_arguments_that_do_not_fit_are_an_error_for_the_script() -> None:
    errors: list[str] = []

    async def speak(guest: SpokenGuest) -> None:
        calls: list[dict[str, Any]] = [
            {"name": "agent", "args": {"task": 3}},
            {"name": "agent", "args": {"task": "a", "rol": "b"}},
            {"name": "agent", "args": {"task": "a", "role": ["b"]}},
            {"name": "agent", "args": {"task": "a", "covers": [1]}},
            {"name": "step", "args": {"name": "s", "args": []}},
            {"name": "choose", "args": {"question": "q", "options": "ab"}},
            {"name": "agent", "args": {"task": "a", "until": {"role": "critic"}}},
        ]
        for call in calls:
            errors.append((await guest.ask("call", call=call))["error"])
        errors.append((await guest.ask("log", text=["no text"]))["error"])
        errors.append((await guest.ask("budget", reading="used", kind="gold"))["error"])
        guest.tell("end", value=None)

    done = await ran(speak)
    assert done.result.kind == "completed"
    assert [error.split("(")[0] for error in errors] == [
        *("agent", "agent", "agent", "covers= takes the names of units, as text"),
        *("step", "choose", "Critic", "log", "there is no budget dimension 'gold'"),
    ]


async def test_what_it_prints_is_noted_up_to_a_limit_that_is_said_once() -> None:
    async def speak(guest: SpokenGuest) -> None:
        for text in ("hello\n", "\n", "x" * 100, "never seen"):
            guest.tell("print", text=text)
        guest.tell("end", value=None)

    done = await ran(speak)
    notes = [event.data["text"] for event in done.log.events() if event.kind == "note"]
    assert notes == ["hello", "x" * 33 + " … and more, which is dropped"]


# --- cancellation -------------------------------------------------------------------------------------------------


async def test_a_branch_that_is_cancelled_is_told_so_and_waited_for() -> None:
    left: list[Any] = []

    async def speak(guest: SpokenGuest) -> None:
        items = [{"call": agent("late")}, {"coroutine": True}]
        whole = guest.tell("fan", group=1, construct="race", options={}, items=items, asks=[])
        here = (await guest.ask("begin", group=1, index=1))["value"]["at"]
        waiting = guest.tell("call", here, call=agent("never"))
        await guest.ask("now")  # by now the call before is on its way
        LATE[-1].set()
        left.append(await guest.reply_to(waiting))
        left.append(await guest.ask("call", here, call=agent("a")))  # in a finally, say
        guest.tell("end", here, cancelled=True)
        guest.tell("end", value=(await guest.reply_to(whole))["value"]["won"])

    calls = AnsweringCalls(echo)
    done = await ran(speak, calls)
    assert done.value == {"value": "late"}
    assert [said.get("cancel") for said in left] == [True, True]
    assert sorted(map(str, calls.performed)) == ["late", "never"]


@ON_A_CLOCK_THAT_JUMPS
async def test_a_guest_that_stays_in_a_cancelled_branch_is_ended() -> None:
    async def speak(guest: SpokenGuest) -> None:
        items = [{"call": agent("late")}, {"coroutine": True}]
        guest.tell("fan", group=1, construct="race", options={}, items=items, asks=[])
        await guest.ask("begin", group=1, index=1)
        LATE[-1].set()
        await anyio.sleep_forever()

    death = await death_of(speak)
    assert (death.category, death.reason) == ("killed", "it went on in a branch that was cancelled")


@ON_A_CLOCK_THAT_JUMPS
@pytest.mark.parametrize("seconds", [20.0, 200.0])
async def test_a_guest_that_computes_in_another_branch_has_its_turn_to_leave_a_cancelled_one(seconds: float) -> None:
    async def speak(guest: SpokenGuest) -> None:
        items = [{"call": agent("late")}, {"coroutine": True}]
        whole = guest.tell("fan", group=1, construct="race", options={}, items=items, asks=[])
        here = (await guest.ask("begin", group=1, index=1))["value"]["at"]
        guest.waiting = False
        LATE[-1].set()
        await anyio.sleep(seconds)  # longer than its grace; a turn is 60 s
        guest.waiting = True
        guest.tell("end", here, cancelled=True)
        guest.tell("end", value=(await guest.reply_to(whole))["value"]["won"]["value"])

    if seconds < LIMITS.turn_seconds:
        assert (await ran(speak)).value == "late"
    else:
        assert (await death_of(speak)).category == "killed"


async def test_what_a_cancelled_branch_puts_as_it_is_left_is_there() -> None:
    async def speak(guest: SpokenGuest) -> None:
        items = [{"call": agent("late")}, {"coroutine": True}]
        whole = guest.tell("fan", group=1, construct="race", options={}, items=items, asks=[])
        here = (await guest.ask("begin", group=1, index=1))["value"]["at"]
        waiting = guest.tell("call", here, call=agent("never"))
        await guest.ask("now")
        LATE[-1].set()
        await guest.reply_to(waiting)
        await guest.ask("put", here, key="state", value="left")
        guest.tell("end", here, cancelled=True)
        await guest.reply_to(whole)
        guest.tell("end", value=(await guest.ask("get", key="state"))["value"])

    assert (await ran(speak)).value == "left"


async def test_half_a_character_ends_no_script() -> None:
    async def halved(call: Call, _context: CallContext) -> object:
        return f"{call.task}\udc80"  # as a model may answer

    async def speak(guest: SpokenGuest) -> None:
        said = await guest.ask("call", call=agent("\U0001f600 \ud83d \\ud83d"))
        guest.tell("end", value=said["value"])

    done = await ran(speak, AnsweringCalls(halved))
    assert done.value == "\U0001f600 \ufffd \\ud83d\ufffd"


async def test_after_ten_thousand_failures_the_last_is_still_known() -> None:
    async def main() -> None:
        here = served.Served(current_branch())
        told = [here.fails(CallFailed(Failed(reason=f"no {number}"))) for number in range(served.KEPT_FAILURES + 1)]
        ended = EndFrame(id=1, at=here.token, do="end", error=told[-1])
        with pytest.raises(CallFailed, match=f"no {served.KEPT_FAILURES}$"):
            here.value_of(ended)
        assert len(here.failures) == served.KEPT_FAILURES
        here.close()

    assert (await memory_run(main)).result.kind == "completed"


async def test_a_script_cancelled_from_outside_ends_as_cancelled() -> None:
    asked = anyio.Event()

    async def speak(guest: SpokenGuest) -> None:
        waiting = guest.tell("call", call=agent("never"))
        await guest.ask("now")
        asked.set()
        guest.tell("end", cancelled=(await guest.reply_to(waiting))["cancel"])

    async def confined() -> Any:
        return await run_confined(SpokenRuntime(speak), source="", file="s.py", arguments={}, limits=LIMITS)

    async def other() -> str:
        await asked.wait()
        return "won"

    async def main() -> Any:
        return await race([confined(), other()])

    done = await memory_run(main, performers={"agent": AnsweringCalls(echo)})
    assert done.value == "won"
    ended = {event.path: event.data["kind"] for event in done.log.events() if event.kind == "branch.ended"}
    assert ended["main/0/0"] == "cancelled"


@ON_A_CLOCK_THAT_JUMPS
async def test_a_deadline_ends_a_guest_that_says_nothing() -> None:
    async def speak(_guest: SpokenGuest) -> None:
        await anyio.sleep_forever()

    async def confined() -> Any:
        return await run_confined(SpokenRuntime(speak), source="", file="s.py", arguments={}, limits=LIMITS)

    async def main() -> Any:
        return (await branch("b", confined(), limits={"wall_seconds": 0.1})).kind

    assert (await memory_run(main)).value == "timed_out"


# --- what no guest sends ------------------------------------------------------------------------------------------


FAN: dict[str, Any] = {"group": 1, "construct": "parallel", "options": {}, "asks": []}
SPOOFS: dict[str, tuple[list[str], Death]] = {
    "no JSON": (["{"], "protocol"),
    "no object": (["[]"], "protocol"),
    "an unknown request": (['{"id": 1, "at": "ROOT", "do": "exec"}'], "protocol"),
    "a field too many": (['{"id": 1, "at": "ROOT", "do": "now", "path": "main/9"}'], "protocol"),
    "a number that is none": (['{"id": true, "at": "ROOT", "do": "now"}'], "protocol"),
    "a number of nothing": (['{"id": 0, "at": "ROOT", "do": "now"}'], "protocol"),
    "a number twice": (['{"id": 1, "at": "ROOT", "do": "now"}'] * 2, "protocol"),
    "a token that it made up": (['{"id": 1, "at": "00000000000000000000000000000000", "do": "now"}'], "protocol"),
    "no token": (['{"id": 1, "do": "now"}'], "protocol"),
    "a reply": (['{"id": 1, "value": 3}'], "protocol"),
    "an item of nobody": (['{"id": 1, "at": "ROOT", "do": "pulled", "group": 4, "item": null}'], "protocol"),
    "deep nesting": (['{"id": 1, "at": "ROOT", "do": "end", "value": ' + "[" * 9_000 + "]" * 9_000 + "}"], "protocol"),
    "the same fan-out twice": (
        [json.dumps({"id": n, "at": "ROOT", "do": "fan", "items": [{"coroutine": True}], **FAN}) for n in (1, 2)],
        "protocol",
    ),
    "the same beginning twice": (
        [
            json.dumps({"id": 1, "at": "ROOT", "do": "fan", "items": [{"coroutine": True}] * 2, **FAN}),
            *(json.dumps({"id": n, "at": "ROOT", "do": "begin", "group": 1, "index": 0}) for n in (2, 3)),
        ],
        "protocol",
    ),
    "many requests of one branch at once": (
        [json.dumps({"id": n, "at": "ROOT", "do": "call", "call": agent("never")}) for n in range(1, 200)],
        "protocol",
    ),
    "a branch of many": (
        [json.dumps({"id": 1, "at": "ROOT", "do": "fan", "items": [], **FAN, "construct": "branch"})],
        "protocol",
    ),
}


@pytest.mark.parametrize("name", sorted(SPOOFS))
async def test_what_no_guest_sends_ends_it(name: str) -> None:
    frames, category = SPOOFS[name]

    async def speak(guest: SpokenGuest) -> None:
        for frame in frames:
            guest.raw(frame.replace("ROOT", guest.root))
        await anyio.sleep_forever()

    death = await death_of(speak)
    assert death.category == category
    assert len(death.reason) < 400


async def test_a_branch_that_is_over_is_not_spoken_for_again() -> None:
    async def speak(guest: SpokenGuest) -> None:
        guest.tell("fan", group=1, construct="parallel", options={}, items=[{"coroutine": True}] * 2, asks=[])
        here = (await guest.ask("begin", group=1, index=0))["value"]["at"]
        await guest.ask("begin", group=1, index=1)
        guest.tell("end", here, value=None)
        await guest.ask("log", text="by now that end is served")
        await anyio.wait_all_tasks_blocked()
        guest.tell("call", here, call=agent("again"))
        await anyio.sleep_forever()

    death = await death_of(speak)
    assert (death.category, death.reason) == ("protocol", "it spoke for a branch that is over")


@ON_A_CLOCK_THAT_JUMPS
async def test_a_guest_that_waits_for_nothing_is_ended() -> None:
    async def speak(guest: SpokenGuest) -> None:
        await guest.ask("now")
        await anyio.sleep_forever()

    death = await death_of(speak)
    assert (death.category, death.reason) == ("turn", "it waits for what nobody will answer")


@ON_A_CLOCK_THAT_JUMPS
@pytest.mark.parametrize(
    "how",
    [
        "an item that never begins",
        "a branch that asks in another",
        "a fan-out that is asked for in another",
        "an answer never given",
    ],
)
async def test_a_guest_that_waits_for_itself_is_ended(how: str) -> None:
    async def speak(guest: SpokenGuest) -> None:
        asks = ["until"] if how == "an answer never given" else []
        items = [{"coroutine": True}] * 2
        guest.tell("fan", group=1, construct="parallel", options={}, items=items, asks=asks)
        here = (await guest.ask("begin", group=1, index=0))["value"]["at"]
        if how == "a branch that asks in another":
            await guest.ask("begin", group=1, index=1)
            guest.tell("call", call=agent("in the branch around"))
        if how == "a fan-out that is asked for in another":
            guest.tell("fan", group=2, construct="parallel", options={}, items=items, asks=[])
        if how == "an answer never given":
            guest.tell("end", here)
        await anyio.sleep_forever()

    death = await death_of(speak)
    assert (death.category, death.reason) == ("turn", "it waits for what nobody will answer")


@ON_A_CLOCK_THAT_JUMPS
async def test_a_guest_that_waits_for_a_slow_call_is_waited_for() -> None:
    async def speak(guest: SpokenGuest) -> None:
        whole = guest.tell("fan", group=1, construct="parallel", options={}, items=[{"call": agent("late")}], asks=[])
        with anyio.move_on_after(5 * (LIMITS.turn_seconds + LIMITS.grace_seconds)):
            await guest.reply_to(whole)
        assert not guest.killed
        LATE[-1].set()
        guest.tell("end", value=(await guest.reply_to(whole))["value"]["outcomes"][0]["value"])

    assert (await ran(speak)).value == "late"


async def test_one_that_leaves_while_its_fan_out_runs_has_crashed() -> None:
    async def speak(guest: SpokenGuest) -> None:
        guest.tell("fan", group=1, construct="parallel", options={}, items=[{"coroutine": True}], asks=[])
        await guest.ask("begin", group=1, index=0)
        guest.tell("end", value=1)
        guest.leave()

    assert (await death_of(speak)).category == "crashed"


async def test_branches_are_nested_to_a_bound() -> None:
    async def speak(guest: SpokenGuest) -> None:
        inside, fans = [guest.root], list[int]()
        while True:
            asked: dict[str, Any] = {"construct": "parallel", "options": {}, "items": [{"coroutine": True}], "asks": []}
            fans.append(guest.tell("fan", inside[-1], group=len(inside), **asked))
            begun = await guest.ask("begin", inside[-1], group=len(inside), index=0)
            if "cancel" in begun:
                break
            inside.append(begun["value"]["at"])
        said = (await guest.reply_to(fans.pop()))["error"]
        while fans:
            guest.tell("end", inside.pop())
            await guest.reply_to(fans.pop())
        guest.tell("end", value=said)

    assert (await ran(speak)).value == "parallel() is nested more than 100 branches deep"


async def test_a_guest_that_sends_more_than_it_may_is_ended() -> None:
    async def speak(guest: SpokenGuest) -> None:
        for _ in range(30):
            await guest.ask("put", key="k", value="x" * 1_000)

    death = await death_of(speak)
    assert death.category == "frames"


@ON_A_CLOCK_THAT_JUMPS
async def test_nobody_waits_for_a_guest_that_died() -> None:
    async def speak(guest: SpokenGuest) -> None:
        items = [{"coroutine": True}] * 2
        guest.tell("fan", group=1, construct="parallel", options={}, items=items, asks=[])
        here = [(await guest.ask("begin", group=1, index=index))["value"]["at"] for index in range(2)]
        guest.tell("pulled", here[0], group=9, item=None)  # which nobody asked for
        await anyio.sleep_forever()

    begun = anyio.current_time()
    assert (await death_of(speak)).category == "protocol"
    assert anyio.current_time() == begun  # by this clock, nothing was waited for


async def test_a_guest_that_leaves_without_a_word_has_crashed() -> None:
    async def speak(guest: SpokenGuest) -> None:
        guest.leave()

    death = await death_of(speak)
    assert death.category == "crashed"


async def test_frames_for_what_is_over_are_cancelled_and_harm_nothing() -> None:
    async def speak(guest: SpokenGuest) -> None:
        said = [await guest.ask("begin", group=7, index=0), await guest.ask("ask", group=7, answer=None)]
        guest.tell("end", value=said)

    done = await ran(speak)
    assert done.value == [{"id": 1, "cancel": True}, {"id": 2, "value": None}]
