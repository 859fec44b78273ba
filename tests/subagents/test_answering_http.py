"""The three modes over real HTTP: one conversation with a tool, a mistake and an answer, the same in each of them."""

import json

import pytest

from antiphon.subagents.loop.turns import Result
from antiphon.subagents.model.answering import Mode, Reply, mode_of, results_as_messages
from antiphon.subagents.model.answering.contract import Schema
from antiphon.subagents.model.answering.protocol import call_block
from antiphon.subagents.model.compatible import CompatibleClient
from antiphon.subagents.model.contract import Capabilities, Completion, Message, Request, ToolCall, ToolSpec
from antiphon.subagents.testing import Asked, LoopbackServer

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

SCHEMA: Schema = {
    "type": "object",
    "properties": {"verdict": {"enum": ["confirm", "refute"]}},
    "required": ["verdict"],
}
GREP = ToolSpec(name="grep", description="Finds text.", parameters={"type": "object", "properties": {}})
ANSWER = '{"verdict": "refute"}'


def said(asked: Asked, kind: str, text: str) -> Completion:
    """What a model says that can do just what it is offered: a call, or an answer."""
    request = asked.request
    if kind == "call" and request.tools:
        return Completion(calls=(ToolCall("", "grep", text),), finish="tool_calls")
    if kind == "answer" and any(tool.name == "answer" for tool in request.tools):
        return Completion(calls=(ToolCall("", "answer", text),), finish="tool_calls")
    if request.schema is not None:
        return Completion(text=text)
    return Completion(text=call_block(ToolCall("", "grep", text)) if kind == "call" else f"```answer\n{text}\n```")


def model(asked: Asked) -> Completion:
    """A call, then an answer that is no JSON, then one that is."""
    results = sum("no match" in message.text for message in asked.request.messages)
    if not results and (asked.request.tools or asked.request.schema is None):
        return said(asked, "call", '{"pattern": "x"}')
    mistaken = any("cannot be read" in message.text for message in asked.request.messages)
    return said(asked, "answer", ANSWER if mistaken else "{'verdict': 'refute'}")


@pytest.mark.parametrize(
    ("can", "tools", "name"),
    [
        (Capabilities(schema=True, tools=True), False, "schema"),
        (Capabilities(tools=True), True, "tool"),
        (Capabilities(), True, "text"),
    ],
)
async def test_a_conversation_comes_to_its_answer_in_any_mode(can: Capabilities, tools: bool, name: str) -> None:
    mode = mode_of(can, tools=tools, schema=SCHEMA)
    assert mode.name == name
    with LoopbackServer(model) as server:
        client = CompatibleClient(server.url)
        try:
            reply, called = await answered(client, mode, (GREP,) if tools else ())
        finally:
            await client.close()
    assert json.loads(reply.value or "") == {"verdict": "refute"}
    assert called == (["grep"] if tools else [])
    assert server.tally.kinds == {"answered": 3 if tools else 2}


async def answered(client: CompatibleClient, mode: Mode, tools: tuple[ToolSpec, ...]) -> tuple[Reply, list[str]]:
    """The first reply with nothing to perform or to put right, and the tools that were called before it."""
    messages: tuple[Message, ...] = (Message(role="user", text="Is it so?"),)
    called: list[str] = []
    while True:
        request = Request(model="compatible/scripted", messages=messages, tools=tools)
        completion = await client.complete(mode.ask(request, SCHEMA))
        messages = (*messages, Message(role="assistant", text=completion.text, calls=completion.calls))
        reply = mode.read(completion)
        if reply.calls:
            called += [call.name for call in reply.calls]
            results = [Result(id=call.id, name=call.name, text="no match") for call in reply.calls]
            messages = (*messages, *results_as_messages(mode, results))
        elif reply.problem:
            messages = (*messages, Message(role="user", text=reply.problem))
        else:
            return reply, called
