"""Properties of the agent loop: any scripted conversation, any cut, and the states that turns come to."""

from __future__ import annotations

import json
from typing import Any

import anyio
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.engine import Amount, Limits, Settings
from antiphon.engine.call import Critic
from antiphon.engine.script.api import agent, parallel
from antiphon.engine.testing import MemoryRun, memory_run
from antiphon.subagents.loop import CallModel, CallTools, Finish, GiveUp, State, Terms, next_move
from antiphon.subagents.loop.turns import ModelTurn, Result, ToolsTurn
from antiphon.subagents.model.answering import mode_of
from antiphon.subagents.model.contract import Capabilities, Completion, Message, Price, Request, ToolCall
from antiphon.subagents.roles.definition import AgentLimits, RoleDefinition
from antiphon.subagents.testing import FunctionModel, model, model_agents
from antiphon.subagents.tools import function_tool
from antiphon.tracing import Event, Json

SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
    "additionalProperties": False,
}
LIMITS = AgentLimits(turns=8, tool_calls=6, repairs=2)
WORKER = RoleDefinition(name="worker", instructions="Work.", tools=("look",), limits=LIMITS)


@function_tool
async def look(path: str) -> str:
    """Look."""
    if path == "bad":
        raise ValueError("not there")
    return f"found {path}"


arguments = st.sampled_from(['{"path":"x"}', '{"path":"y"}', '{"path":"bad"}', "{", "[]", '{"other":1}', ""])
one_call = st.builds(
    ToolCall, st.sampled_from(["", "a", "b"]), st.sampled_from(["look", "look", "nope", "answer"]), arguments
)
answers = st.sampled_from(['{"a":1}', '{"a":"x"}']).map(lambda given: ToolCall("z", "answer", given))
completions = st.builds(
    Completion,
    text=st.sampled_from(["", "hm", '{"a": 1}', "```answer\n3\n```"]),
    calls=st.one_of(st.lists(one_call, max_size=3), st.lists(answers, min_size=1, max_size=1)).map(tuple),
    finish=st.sampled_from(["stop", "stop", "stop", "tool_calls", "length", "refused"]),
)
conversations = st.lists(completions, min_size=1, max_size=10)
modes = st.tuples(st.booleans(), st.booleans())


class Answers(FunctionModel):
    """Gives the answers of a script by the number of its own words in the conversation: the same on a resume."""

    def __init__(self, said: list[Completion]) -> None:
        super().__init__(self._answer)
        self._said = said

    def _answer(self, request: Request) -> Completion:
        spoken = sum(message.role == "assistant" for message in request.messages)
        return self._said[spoken % len(self._said)]


async def play(said: list[Completion], can: tuple[bool, bool], history: list[Event]) -> tuple[Answers, MemoryRun]:
    client = Answers(said)

    async def main() -> Any:
        return await agent("do", output=SCHEMA)

    answering = model(client, schema=can[0], tools=can[1])
    ran = await memory_run(main, performers=model_agents(answering, WORKER, tools=[look]), history=history)
    return client, ran


def turns(events: list[Event]) -> list[Any]:
    return [event.data["value"] for event in events if event.kind == "turn"]


@settings(max_examples=40, deadline=None)
@given(conversations, modes, st.data())
def test_any_conversation_cut_anywhere_sends_exactly_the_remaining_requests(
    said: list[Completion], can: tuple[bool, bool], data: st.DataObject
) -> None:
    async def check() -> None:
        whole, ran = await play(said, can, [])
        events = ran.events()
        cut = data.draw(st.integers(1, len(events) - 1))
        again, resumed = await play(said, can, events[:cut])
        answered = sum(turn["turn"] == "model" for turn in turns(events[:cut]))
        assert list(map(repr, again.requests)) == list(map(repr, whole.requests[answered:]))
        assert turns(resumed.events()) == turns(events)
        assert resumed.result.kind == ran.result.kind
        assert resumed.result.reason == ran.result.reason

    anyio.run(check)


@settings(max_examples=40, deadline=None)
@given(conversations, modes)
def test_limits_hold_and_every_answer_is_either_used_or_kept(said: list[Completion], can: tuple[bool, bool]) -> None:
    async def check() -> None:
        client, ran = await play(said, can, [])
        assert len(client.requests) <= LIMITS.turns
        assert ran.result.spent.count("tool_calls") <= LIMITS.tool_calls
        [ended] = ran.events("call.ended")
        assert ended.data["kind"] in ("succeeded", "failed")
        if ended.data["kind"] == "succeeded":
            assert isinstance(ended.data["value"], dict)
        else:
            assert ended.data["reason"]
            assert "value" not in ended.data

    anyio.run(check)


def terms() -> Terms:
    return Terms(
        model=model(FunctionModel(lambda request: "")),
        mode=mode_of(Capabilities(tools=True), tools=True, schema=SCHEMA),
        limits=LIMITS,
        schema=SCHEMA,
        tools=frozenset({"look"}),
        projected=1_000,
    )


@settings(max_examples=150, deadline=None)
@given(conversations)
def test_a_state_is_its_turns_and_every_conversation_ends(said: list[Completion]) -> None:
    """Folding turn by turn is folding them all; no state is without a move; nothing goes on for ever."""
    given, prompt = terms(), (Message(role="user", text="do"),)
    state, recorded = State.of(given, prompt), list[Json]()
    for number in range(200):
        move = next_move(state)
        turn: Any
        match move:
            case CallModel(tell=None):
                turn = ModelTurn(completion=said[number % len(said)])
            case CallModel():
                turn = move.tell
            case CallTools():
                texts = ("found", "not called: x")
                turn = ToolsTurn(
                    tuple(
                        Result(id=c.id, name=c.name, text=texts[number % 2], failed=bool(number % 2))
                        for c in move.calls
                    )
                )
            case Finish() | GiveUp():
                break
        recorded.append(json.loads(json.dumps(turn.to_json())))
        state = state.after(recorded[-1])
        assert state == State.of(given, prompt, recorded)
    else:
        raise AssertionError("it never ends")
    assert next_move(State.of(given, prompt, recorded)) == move


limits = st.one_of(
    st.integers(1, 400).map(lambda thousandths: Limits.parse({"usd": str(thousandths / 1000)})),
    st.integers(0, 40).map(lambda calls: Limits(model_calls=calls)),
)


@settings(max_examples=12, deadline=None)
@given(limits, st.integers(1, 8), st.sampled_from([1, 2, 50]), st.randoms(use_true_random=False))
def test_judged_agents_with_tools_overshoot_no_budget_and_never_wait_for_ever(
    limit: Limits, number: int, permits: int, random: Any
) -> None:
    """On a clock that jumps: whoever waits for somebody who waits for him would be there at the deadline."""

    async def answer(request: Request) -> Completion | str:
        await anyio.sleep(random.random())
        if request.messages[0].text.startswith("Judge."):
            met = random.random() < 0.6
            return json.dumps({"met": met, "missing": "" if met else "more"})
        if request.tools and random.random() < 0.6:
            return Completion(calls=(ToolCall("c", "look", json.dumps({"path": str(random.random())})),))
        return str("it " * random.randrange(1, 300))

    async def main() -> Any:
        until = [Critic("critic", "?") if each % 2 else None for each in range(number)]
        found = await parallel(agent(f"task {each}", until=until[each]) for each in range(number))
        return found.census.to_json()

    async def check() -> None:
        priced = model(FunctionModel(answer), price=Price(input="0.000001", output="0.000004"))
        critic = RoleDefinition(name="critic", instructions="Judge.")
        performers = model_agents(priced, WORKER, critic, tools=[look])
        with anyio.fail_after(100_000):
            ran = await memory_run(main, performers=performers, limits=limit, settings=Settings(attempts=permits))
        spent = ran.result.spent
        assert limit.usd is None or spent.count("usd") <= limit.usd * 10**9
        assert limit.model_calls is None or spent.count("model_calls") <= limit.model_calls
        assert ran.run.budget.root.reserved == Amount()
        assert ran.result.kind in ("completed", "degraded", "paused")

    trio.run(check, clock=trio.testing.MockClock(autojump_threshold=0))
