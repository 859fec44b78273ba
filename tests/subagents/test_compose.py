"""What a prompt is: instructions, frames from the root to the leaf, passages, task; the same for the same call."""

import json
from typing import Any

import pytest

from antiphon.engine import Call, CallContext
from antiphon.engine.script.api import agent, branch, parallel
from antiphon.engine.testing import AnsweringCalls, memory_run
from antiphon.subagents.model.contract import Capabilities, Completion, Message, Model, Request
from antiphon.subagents.prompt import LAYOUT, Passage, compose, enclosed, legible, opening, written
from antiphon.subagents.roles.definition import RoleDefinition
from antiphon.tracing import MemoryLog, Redactor

PASSAGE = Passage("docs/a b.md", 3, 4, "ab" * 32, 1.5, "one\ntwo\n")
ROLE = RoleDefinition(name="worker", instructions="Work.")


class Nobody:
    """A client that must not be asked."""

    async def complete(self, request: Request) -> Completion:
        """See `ModelClient`."""
        raise AssertionError(f"asked {request.model}")

    async def close(self) -> None:
        """See `ModelClient`."""


def a_model(*, caching: bool = True) -> Model:
    """A model that only its name is needed of."""
    can = Capabilities(caching=caching)
    return Model(name="test/none", client=Nobody(), can=can, provider="test", lineage="test")


def test_a_prompt_is_instructions_frames_passages_and_the_task_last() -> None:
    messages = compose(
        instructions="  Be exact.\n", frames=["the tree is small", {"b": 2, "a": 1}], task="count", retrieved=[PASSAGE]
    )
    assert [message.role for message in messages] == ["system", "user", "user", "user", "user"]
    system, first, second, passage, task = (message.text for message in messages)
    assert system == f"Be exact.\n\n{LAYOUT}"
    assert first.splitlines()[1:-1] == ["the tree is small"]
    assert second.splitlines()[1] == '{"a": 1, "b": 2}'
    assert passage.splitlines()[0].endswith(' path="docs/a b.md" lines="3-4">')
    assert passage.splitlines()[1:-1] == ["one", "two"]
    assert task == "count"
    assert not any(message.cached for message in messages)


def test_a_call_that_judges_is_told_the_record_and_its_units_before_the_task() -> None:
    [_, asked] = compose(instructions="", frames=[], task="refute it", about={"id": "c1"}, covers=["a.py", "b.py"])
    lines = asked.text.splitlines()
    assert lines[0].startswith("<about ")
    assert json.loads(lines[1]) == {"id": "c1"}
    assert json.loads(lines[4]) == ["a.py", "b.py"]
    assert lines[-2:] == ["Task:", "refute it"]


def test_what_siblings_share_is_marked_where_the_provider_caches() -> None:
    marked = [message.cached for message in compose(instructions="a", frames=["f", "g"], task="t", cache=True)]
    assert marked == [True, False, True, False]
    assert [message.cached for message in compose(instructions="a", frames=[], task="t", cache=True)] == [True, False]


def test_equal_frames_are_equal_bytes_whatever_the_order_of_their_keys() -> None:
    one = compose(instructions="a", frames=[{"x": 1, "y": [2]}], task="1")
    other = compose(instructions="a", frames=[{"y": [2], "x": 1}], task="2")
    assert one[:2] == other[:2]


def test_the_closing_line_names_what_the_content_cannot() -> None:
    inside = enclosed("context", "x")
    nested = enclosed("context", inside)
    assert nested.splitlines()[-1] not in inside
    assert nested.splitlines()[1:-1] == inside.splitlines()


def test_controls_and_lone_surrogates_are_spelled_out_and_the_rest_stays() -> None:
    assert legible("a\x1b[2J\udc80\x00\x85\n\tñ\r\u202e🙂") == "a\\x1b[2J\\udc80\\x00\\x85\n\tñ\r\u202e🙂"
    assert legible(legible("\x1b")) == legible("\x1b")
    assert written("a\nb") == "a\nb"
    assert written(["é", None]) == '["é", null]'


@pytest.mark.anyio
async def test_secrets_are_gone_before_a_prompt_is_made() -> None:
    """Also from the markers, which are hashes: with another key the prompt is the same."""
    seen: list[tuple[Message, ...]] = []

    async def answer(_: Call, ctx: CallContext) -> object:
        seen.append((await opening(ctx, ROLE, a_model(), mode="schema")).messages)
        return None

    async def run_with(secret: str) -> None:
        async def main() -> object:
            return await agent(f"use {secret}", context=[{"key": secret}], covers=[secret])

        log = MemoryLog(redactor=Redactor({"API_KEY": secret}))
        await memory_run(main, performers={"agent": AnsweringCalls(answer)}, log=log)

    await run_with("s3cr3t-value-0123456789")
    await run_with("an-other-value-9876543")
    assert seen[0] == seen[1]
    assert "[secret:API_KEY]" in seen[0][1].text
    assert "[secret:API_KEY]" in seen[0][2].text


@pytest.mark.anyio
async def test_siblings_share_every_byte_up_to_the_last_frame_and_see_nothing_of_each_other() -> None:
    seen: dict[str, tuple[Message, ...]] = {}

    async def answer(call: Call, ctx: CallContext) -> object:
        seen[str(call.task)] = (await opening(ctx, ROLE, a_model(), mode="schema")).messages
        return f"answer of {call.task}"

    async def inside() -> Any:
        return await parallel([agent(f"task-{name}", context=[f"own-{name}"]) for name in "abc"])

    async def main() -> object:
        return (await branch("b", inside(), context=["shared-frame"])).kind

    await memory_run(main, performers={"agent": AnsweringCalls(answer)})
    a, b, c = (seen[f"task-{name}"] for name in "abc")
    assert a[:2] == b[:2] == c[:2]
    assert "shared-frame" in a[1].text
    assert "own-a" in a[2].text
    everything = "".join(message.text for message in a)
    assert not [other for other in ("own-b", "own-c", "task-b", "answer of") if other in everything]
