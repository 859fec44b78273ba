"""A conversation cut off at every event of its log goes on exactly: no finished turn is performed again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from antiphon.engine.call import Critic
from antiphon.engine.script.api import agent, parallel
from antiphon.engine.testing import MemoryRun, memory_run
from antiphon.subagents.model.contract import Completion, Request, ToolCall
from antiphon.subagents.roles.definition import AgentLimits, RoleDefinition
from antiphon.subagents.testing import FunctionModel, GivenModels, model, model_agents
from antiphon.subagents.tools import FunctionTool, function_tool
from antiphon.tracing import Event, Redactor
from antiphon.tracing.log import MemoryLog

pytestmark = pytest.mark.anyio

WORKER = RoleDefinition(
    name="worker",
    instructions="Work.",
    tools=("look",),
    escalate="test/strong",
    limits=AgentLimits(repairs=1, turns=20),
)
CRITIC = RoleDefinition(name="critic", instructions="Judge.")
SECRET = "s3cr3t-value-0123456789"


class Counted(BaseModel):
    """A typed value."""

    count: int


def calls(name: str, *arguments: Any) -> Completion:
    made = tuple(ToolCall(f"c{n}", name, json.dumps(given)) for n, given in enumerate(arguments))
    return Completion(text=f"I want {name}, and the key is {SECRET}.", calls=made)


def scripted(request: Request) -> Completion | str:
    """A conversation with tools, a repair, an escalation and a critic, as a function of what is asked."""
    system, words = request.messages[0].text, "\n".join(message.text for message in request.messages)
    if system.startswith("Judge."):
        met = '"count":2' in words
        return json.dumps({"met": met, "missing": "" if met else "one more"})
    if request.model == "test/strong":
        return calls("answer", {"count": 2 if "one more" in words else 1})
    if "found a" not in words:
        return calls("look", {"path": "a"}, {"path": "b"})
    return calls("answer", {"count": "many"})


class Played:
    """One attempt at the run: who was asked what, and which tools ran."""

    def __init__(self) -> None:
        self.looked: list[str] = []
        self.client = FunctionModel(scripted)

    def tool(self) -> FunctionTool:
        async def look(path: str) -> str:
            """Look."""
            self.looked.append(path)
            return f"found {path}, the key is {SECRET}"

        return function_tool(version="1")(look)

    async def run(self, history: list[Event] | None = None) -> MemoryRun:
        async def main() -> Any:
            return await agent("do", output=Counted, until=Critic("critic", "Are there two?"))

        return await self.play(main, history)

    async def play(self, main: Any, history: list[Event] | None) -> MemoryRun:
        given = {name: model(self.client, name) for name in ("test/cheap", "test/strong")}
        performers = model_agents(GivenModels(default="test/cheap", given=given), WORKER, CRITIC, tools=[self.tool()])
        log = MemoryLog(redactor=Redactor({"KEY": SECRET}), history=history or ())
        return await memory_run(main, performers=performers, log=log)


def kinds(events: list[Event]) -> list[str]:
    return [str(event.data["value"]["turn"]) for event in events if event.kind == "turn"]  # type: ignore[index,call-overload]


async def test_cut_at_every_event_it_sends_exactly_the_remaining_requests() -> None:
    whole = Played()
    ran = await whole.run()
    assert ran.value == Counted(count=2)
    events = ran.events()
    assert {"tools", "repair", "escalated", "missing"} <= set(kinds(events))
    for cut in range(1, len(events)):
        before = events[:cut]
        answered = kinds(before).count("model")
        again = Played()
        resumed = await again.run(before)
        assert resumed.value == Counted(count=2), cut
        assert again.client.requests == whole.client.requests[answered:], cut
        assert sorted(again.looked) == ([] if "tools" in kinds(before) else ["a", "b"]), cut
        assert kinds(resumed.events()) == kinds(events), cut


async def test_a_conversation_is_cut_off_twice_and_still_the_same() -> None:
    whole = Played()
    ran = await whole.run()
    events = ran.events()
    turns = [number for number, event in enumerate(events) if event.kind == "turn"]
    for first in turns[1::3]:
        second = Played()
        resumed = (await second.run(events[: first + 1])).events()
        last = max(number for number, event in enumerate(resumed) if event.kind == "turn")
        third = Played()
        ended = await third.run(resumed[:last])
        answered = kinds(resumed[:last]).count("model")
        assert third.client.requests == whole.client.requests[answered:]
        assert ended.value == Counted(count=2)


async def test_no_secret_of_a_conversation_is_in_the_log_nor_sent_again() -> None:
    whole = Played()
    ran = await whole.run()
    assert SECRET not in json.dumps([event.data for event in ran.events()])
    assert not any(SECRET in message.text for request in whole.client.requests for message in request.messages)


async def test_many_conversations_cut_off_together_lose_and_repeat_nothing() -> None:
    async def main() -> Any:
        found = await parallel(agent(f"do {number}", output=Counted) for number in range(4))
        return [value.count for value in found.succeeded()]

    whole = Played()
    events = (await whole.play(main, None)).events()
    asked = sorted(map(repr, whole.client.requests))
    for cut in range(3, len(events), 11):
        again = Played()
        resumed = await again.play(main, events[:cut])
        assert resumed.value == [1, 1, 1, 1]
        assert len(again.client.requests) == len(asked) - kinds(events[:cut]).count("model"), cut
        assert set(map(repr, again.client.requests)) <= set(asked)
