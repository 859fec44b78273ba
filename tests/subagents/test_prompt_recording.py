"""The prompt is in the log exactly as it was sent, each text once; a call that was cut off gets it back from there."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from antiphon.engine import Call, CallContext
from antiphon.engine.received import frames_in
from antiphon.engine.script.api import agent, parallel
from antiphon.engine.settings import LARGE_BYTES
from antiphon.engine.testing import AnsweringCalls, MemoryRun, memory_run
from antiphon.subagents.model.contract import Capabilities, Completion, Message, Model, Request, ToolSpec
from antiphon.subagents.prompt import Opening, PromptLost, Retrieval, is_prompt, messages_of, opening, said_in
from antiphon.subagents.roles.definition import Retrieve, RoleDefinition
from antiphon.tracing.blobs import BlobStore

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]
ROLE = RoleDefinition(name="worker", instructions="Work.", retrieve=Retrieve(sources=("*.md",), most=2))
TOOL = ToolSpec(name="read", description="Reads.", parameters={"type": "object"})


class Nobody:
    """A client that must not be asked."""

    async def complete(self, request: Request) -> Completion:
        """See `ModelClient`."""
        raise AssertionError(f"asked {request.model}")

    async def close(self) -> None:
        """See `ModelClient`."""


class Openers:
    """Begins each conversation, and keeps what `opening` gave, in order."""

    def __init__(self, root: Path) -> None:
        self.openings: list[Opening] = []
        self._retrieval = Retrieval(root)

    async def __call__(self, call: Call, ctx: CallContext) -> object:
        model = Model(name="test/none", client=Nobody(), can=Capabilities(), provider="test", lineage="test")
        found = await opening(
            ctx, ROLE, model, mode="tool", tools=[TOOL], schema={"type": "string"}, retrieval=self._retrieval
        )
        self.openings.append(found)
        return call.task


async def script() -> object:
    return (await parallel([agent(f"tell of herons {n}", context=["f", "g"]) for n in range(3)])).census


async def performed(openers: Openers, **more: Any) -> MemoryRun:
    return await memory_run(script, performers={"agent": AnsweringCalls(openers)}, **more)


def prompts(ran: MemoryRun) -> list[Any]:
    return [event.data["value"] for event in ran.events("turn") if is_prompt(event.data["value"])]


async def test_the_log_gives_back_what_was_sent_and_holds_each_text_once(tmp_path: Path) -> None:
    (tmp_path / "birds.md").write_text("Herons stand still.\n")
    openers = Openers(tmp_path)
    ran = await performed(openers)
    turns = prompts(ran)
    frames = frames_in(ran.events())
    by_task = {opened.messages[-1].text: opened for opened in openers.openings}
    for turn in turns:
        messages = messages_of(turn, frames, None)
        assert by_task[messages[-1].text] == Opening(turn, messages)
    texts = [data["value"] for data in frames.values() if isinstance(data["value"], str)]
    assert len([text for text in texts if "Work." in text]) == 1
    assert len([text for text in texts if "Herons stand" in text]) == 1
    assert turns[0]["model"] == "test/none"
    assert (turns[0]["role"], turns[0]["mode"], turns[0]["tools"]) == ("worker", "tool", ["read"])
    offered = frames[turns[0]["offered"]]["value"]
    assert offered["schema"] == {"type": "string"}
    assert offered["tools"] == [{"name": "read", "description": "Reads.", "parameters": {"type": "object"}}]


async def test_what_was_retrieved_is_named_with_its_lines_and_hash(tmp_path: Path) -> None:
    content = "Herons stand still.\nThey wait.\n"
    (tmp_path / "birds.md").write_text(content)
    ran = await performed(Openers(tmp_path))
    [chosen] = prompts(ran)[0]["retrieved"]
    assert chosen["path"] == "birds.md"
    assert chosen["lines"] == [1, 2]
    assert chosen["sha256"] == hashlib.sha256(content.encode()).hexdigest()
    assert chosen["score"] > 0
    assert "text" not in chosen


async def test_what_was_left_out_is_noted_once(tmp_path: Path) -> None:
    (tmp_path / "birds.md").write_bytes(b"herons\0")
    (tmp_path / "link.md").symlink_to("birds.md")
    ran = await performed(Openers(tmp_path))
    [note] = ran.events("note")
    assert note.data["text"] == "files that no passage was looked for in: 1 links and special files, 1 not text"


async def test_a_call_that_was_cut_off_gets_its_prompt_back_though_the_files_changed(tmp_path: Path) -> None:
    (tmp_path / "birds.md").write_text("Herons stand still.\n")
    first = Openers(tmp_path)
    events = (await performed(first)).events()
    cut = max(n for n, event in enumerate(events) if event.kind == "turn") + 1
    (tmp_path / "birds.md").write_text("Herons fly.\n")
    (tmp_path / "more.md").write_text("More herons.\n")
    again = Openers(tmp_path)
    ran = await performed(again, history=events[:cut])
    assert {opened.messages for opened in again.openings} <= {opened.messages for opened in first.openings}
    assert again.openings
    assert len(prompts(ran)) == 3


async def test_a_prompt_with_large_texts_is_in_blobs_and_comes_back(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path / "run")
    (tmp_path / "run").mkdir()

    async def big() -> object:
        return await agent("t", context=["x" * (LARGE_BYTES + 1)])

    first, again = Openers(tmp_path), Openers(tmp_path)
    ran = await memory_run(big, performers={"agent": AnsweringCalls(first)}, blobs=blobs)
    events = ran.events()
    assert messages_of(prompts(ran)[0], frames_in(events), blobs) == first.openings[0].messages
    cut = max(n for n, event in enumerate(events) if event.kind == "turn") + 1
    await memory_run(big, performers={"agent": AnsweringCalls(again)}, blobs=blobs, history=events[:cut])
    assert again.openings == first.openings
    lost = await memory_run(big, performers={"agent": AnsweringCalls(Openers(tmp_path))}, history=events[:cut])
    assert lost.result.kind != "completed"
    assert "does not hold the text" in str(lost.result.reason or lost.result.outcome)


def test_a_prompt_turn_from_anywhere_is_read_as_far_as_it_makes_sense() -> None:
    strange: Any = {"turn": "prompt", "messages": [{"role": "king", "digest": 7}, "x", {"cached": "yes"}]}
    assert [(said.role, said.digest, said.cached, said.text) for said in said_in(strange, lambda _: 3)] == [
        ("user", "7", False, None),
        ("user", "", False, None),
    ]
    more: list[Any] = [None, [], {"messages": 3}, "prompt"]
    for nonsense in more:
        assert said_in(nonsense, lambda _: "x") == ()
        assert not is_prompt(nonsense)
    with pytest.raises(PromptLost, match="does not hold the text 7 of a prompt"):
        messages_of(strange, {}, None)


def test_a_message_keeps_its_place_role_and_mark() -> None:
    turn = json.loads('{"messages":[{"role":"system","digest":"a","cached":true},{"role":"user","digest":"b"}]}')
    frames = {"a": {"value": "A"}, "b": {"value": "B"}}
    assert messages_of(turn, frames, None) == (
        Message(role="system", text="A", cached=True),
        Message(role="user", text="B"),
    )
