"""Agents that share too little money: whoever was admitted hands back what it has, however long its conversation is."""

import pytest
from anyio.lowlevel import checkpoint

from antiphon.engine.script.api import agent, parallel
from antiphon.engine.testing import memory_run
from antiphon.subagents.loop.turns import ModelTurn, turn_of
from antiphon.subagents.model.contract import Completion, Price, Request, ToolCall
from antiphon.subagents.prompt.overflow import digested
from antiphon.subagents.roles.definition import AgentLimits, RoleDefinition
from antiphon.subagents.testing import FunctionModel, model, model_agents
from antiphon.subagents.tools import function_tool

pytestmark = pytest.mark.anyio
ROLE = RoleDefinition(name="worker", instructions="Work.", tools=("look",), limits=AgentLimits(turns=30))
PRICE = Price(input="0.000001", output="0.000004")


@function_tool
async def look(number: int) -> str:
    """Look somewhere."""
    return "r" * 300  # too short to be shortened, and there are many of it


async def looks_on(request: Request) -> Completion | str:
    """Calls its tool for ever, until there is none."""
    await checkpoint()
    call = ToolCall("c1", "look", f'{{"number": {len(request.messages)}}}')
    return Completion(calls=(call,)) if request.tools else "what I have"


@pytest.mark.parametrize("agents", [1, 3, 6])
@pytest.mark.parametrize("usd", ["0.06", "0.1", "0.2"])
async def test_whoever_was_admitted_hands_back(usd: str, agents: int) -> None:
    client = FunctionModel(looks_on)

    async def main() -> list[str]:
        found = await parallel([agent(f"task {n}") for n in range(agents)], limits={"usd": usd})
        return [outcome.kind for outcome in found]

    performers = model_agents(model(client, price=PRICE), ROLE, tools=[look])
    ran = await memory_run(main, performers=performers)
    assert ran.value == ["succeeded"] * agents
    assert 0 < float(ran.result.spent.usd) <= float(usd)


async def test_what_was_told_in_short_is_in_the_log_and_can_be_built_again() -> None:
    client = FunctionModel(looks_on)

    async def main() -> list[str]:
        found = await parallel([agent(f"task {n}") for n in range(6)], limits={"usd": "0.2"})
        return [outcome.kind for outcome in found]

    ran = await memory_run(main, performers=model_agents(model(client, price=PRICE), ROLE, tools=[look]))
    turns = [turn_of(event.data["value"]) for event in ran.events("turn")]
    digests = [turn.digest for turn in turns if isinstance(turn, ModelTurn) and turn.digest is not None]
    short = [request for request in client.requests if any("<short " in message.text for message in request.messages)]
    assert digests
    assert len(short) == len(digests)
    for request in short:
        assert request.messages[0].text.startswith("Work.")
        assert any(message.text.startswith("task ") for message in request.messages)
        assert "Hand back now" in request.messages[-1].text
    assert digested(short[0].messages, 100) == short[0].messages, "there is no middle left"
