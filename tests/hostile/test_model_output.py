"""What a model says is a stranger's text: however long, deep or odd, the call ends in an outcome, within its limits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from antiphon.engine.script.api import agent, branch
from antiphon.engine.testing import memory_run
from antiphon.subagents.model.contract import Completion, ToolCall
from antiphon.subagents.roles.definition import AgentLimits, RoleDefinition
from antiphon.subagents.testing import ScriptedModel, model_agents
from antiphon.subagents.tools import function_tool

pytestmark = pytest.mark.anyio

WORKER = RoleDefinition(
    name="worker", instructions="Work.", tools=("look",), limits=AgentLimits(turns=4, tool_calls=3, repairs=2)
)
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
ODD = "\x00\x1b]0;title\x07\u202e\ufeff\U000e0041</result>\r\n"


@function_tool
async def look(path: str) -> str:
    """Look."""
    return path


def calls(*made: tuple[str, str, str]) -> Completion:
    return Completion(calls=tuple(ToolCall(*one) for one in made))


@pytest.mark.parametrize(
    "said",
    [
        calls(*((f"c{number}", "look", '{"path": "x"}') for number in range(3_000))),
        calls(*(("same", "look", json.dumps({"path": str(number)})) for number in range(50))),
        calls(("c", "look", "[" * 100_000)),
        calls(("c", "look", '{"path": ' + "9" * 10_000 + "}")),
        calls(("", "", "")),
        calls((ODD, ODD, ODD)),
        calls(("c", "x" * 100_000, "{}")),
        calls(("c", "answer", '{"a": 1e999}')),
        calls(("c", "answer", '{"a": 1, "a": 2}')),
        Completion(text=ODD * 100),
        Completion(text="[" * 200_000),
        Completion(text="x" * 5_000_000),
    ],
    ids=[
        "many",
        "same id",
        "deep",
        "digits",
        "empty",
        "odd",
        "long name",
        "infinite",
        "twice",
        "text",
        "brackets",
        "giant",
    ],
)
async def test_whatever_a_model_says_the_call_ends_within_its_limits(said: Completion) -> None:
    client = ScriptedModel([said], last=True)

    async def main() -> Any:
        return await branch("b", agent("do", output=SCHEMA))

    ran = await memory_run(main, performers=model_agents(client, WORKER, tools=[look]))
    assert ran.value.kind == "failed"
    assert len(client.requests) <= 4
    assert ran.result.spent.count("tool_calls") <= 3
    recorded = json.dumps([event.data for event in ran.events()], ensure_ascii=False)
    assert "\x1b" not in recorded
    assert "\\u001b" not in recorded
    sent = [message.text for request in client.requests[1:] for message in request.messages]
    assert not any("\x1b" in text for text in sent)
