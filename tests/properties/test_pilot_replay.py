"""A pilot changes when items run and nothing else: not which calls there are, where they stand, or what they cost."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.engine import Amount, Approvals, Call, CallContext, Limits, Performer, Settings
from antiphon.engine.script.api import agent, parallel
from antiphon.engine.testing import AnsweringCalls, MemoryRun, memory_run
from antiphon.tracing.log import Event

Tree = list[Any]
TREES: Final[st.SearchStrategy[Tree]] = st.recursive(
    st.just([]), lambda inside: st.lists(inside, min_size=1, max_size=5), max_leaves=14
)
LIMITS: Final = Limits.parse({"usd": "100"})
PRICE: Final = Amount(usd="0.01")


async def _paid(call: Call, context: CallContext) -> object:
    async with context.attempt(Amount(usd="0.05")) as sent:
        sent.settle(PRICE)
    if str(call.task).endswith("3"):
        raise RuntimeError("every third one fails")
    return call.task


def script_of(tree: Tree) -> Callable[[], Awaitable[Any]]:
    """A script whose fan-outs are nested like a tree, a call at each leaf."""

    async def walk(place: Tree, name: str) -> Any:
        if not place:
            return await agent(name)
        found = await parallel(walk(child, f"{name}.{number}") for number, child in enumerate(place))
        return [outcome.kind for outcome in found], [str(value) for value in found.succeeded()]

    return lambda: walk(tree, "t")


def attempt(tree: Tree, pilot: int | None, history: list[Event] | None = None, *, yes: bool = True) -> MemoryRun:
    """One attempt, to its end."""
    performers: dict[str, Performer] = {"agent": AnsweringCalls(_paid), "approval": Approvals()}
    asked = Settings(pilot=pilot, answers={"*": yes})

    async def run() -> MemoryRun:
        return await memory_run(
            script_of(tree), performers=performers, settings=asked, history=history or (), limits=LIMITS
        )

    return anyio.run(run)


def agents(ran: MemoryRun) -> dict[str, str]:
    """How each agent call ended, by its path."""
    return {
        event.path: f"{event.data['name']} {event.data['kind']} {event.data['hash']}"
        for event in ran.events("call.ended")
        if event.data["call"] == "agent"
    }


def outcome(ran: MemoryRun) -> tuple[str, str, dict[str, Any]]:
    """What a run came to."""
    census = {title: count.to_json() for title, count in ran.result.census.items()}
    return ran.result.kind, repr(ran.result.outcome), census


@settings(max_examples=15, deadline=None)
@given(TREES, st.integers(1, 4))
def test_a_pilot_that_is_approved_changes_nothing_but_the_order(tree: Tree, pilot: int) -> None:
    plain, piloted = attempt(tree, None), attempt(tree, pilot)
    assert agents(piloted) == agents(plain)
    assert outcome(piloted) == outcome(plain)
    assert piloted.result.spent.usd == plain.result.spent.usd


@settings(max_examples=20, deadline=None)
@given(TREES, st.integers(1, 4), st.floats(0, 1), st.booleans())
def test_a_piloted_run_that_is_cut_off_anywhere_ends_as_it_would_have(
    tree: Tree, pilot: int, share: float, yes: bool
) -> None:
    whole = attempt(tree, pilot, yes=yes)
    events = whole.events()
    kept = events[: round(share * len(events))]
    again = attempt(tree, pilot, kept, yes=yes)
    assert outcome(again) == outcome(whole)
    assert agents(again) == agents(whole)
    assert again.result.calls == whole.result.calls
    done = {event.path for event in kept if event.kind == "call.ended"}
    assert not done & {event.path for event in again.events()[len(kept) :] if event.kind == "call.started"}
    lost = sum(event.kind == "attempt.started" and event.path not in done for event in kept)
    assert again.result.spent.usd <= whole.result.spent.usd + lost * Amount(usd="0.05").usd


@settings(max_examples=20, deadline=None)
@given(TREES, st.integers(1, 4))
def test_a_no_runs_exactly_the_pilots_and_loses_nothing(tree: Tree, pilot: int) -> None:
    ran = attempt(tree, pilot, yes=False)
    census = ran.result.census.get("")
    planned = 0 if census is None else census.planned
    assert planned == sum(len(place) for place in _reached(tree, pilot))
    performed = {event.path for event in ran.events("call.started") if event.data["call"] == "agent"}
    assert len(performed) == sum(not place for place in _visited(tree, pilot))


def _visited(tree: Tree, pilot: int) -> list[Tree]:
    return [tree, *(below for child in tree[:pilot] for below in _visited(child, pilot))]


def _reached(tree: Tree, pilot: int) -> list[Tree]:
    return [place for place in _visited(tree, pilot) if place]
