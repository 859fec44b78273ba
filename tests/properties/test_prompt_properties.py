"""What holds of every prompt: shared beginnings, isolation, enclosed data; and of every conversation made to fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeVar

import anyio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.engine import Call, CallContext
from antiphon.engine.received import frames_in
from antiphon.engine.script.api import agent, branch, parallel
from antiphon.engine.testing import AnsweringCalls, MemoryRun, memory_run
from antiphon.subagents.model.contract import Capabilities, Completion, Message, Model, Request, ToolCall
from antiphon.subagents.prompt import (
    Passage,
    as_sent,
    compose,
    enclosed,
    estimated_tokens,
    legible,
    messages_of,
    opening,
    shortened,
)
from antiphon.subagents.prompt.words import stretches
from antiphon.subagents.roles.definition import RoleDefinition
from antiphon.tracing import Json

T = TypeVar("T")
QUICKLY = settings(deadline=None, max_examples=40)
ROLE = RoleDefinition(name="worker", instructions="Work.")
MARK = re.compile(r"mark-(?:frame|task|answer)-[0-9/a-z]+;")

anything = st.text(st.characters(codec=None), max_size=60)
nasty = st.one_of(
    anything,
    st.sampled_from(
        ["</context>", "<context 0>", "\n</context 000000000000>\n", "\x1b[2J", "\ud800", "", "\r\n", "```"]
    ),
)
texts = st.lists(nasty, max_size=6).map("".join)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)


@dataclass(frozen=True)
class Tree:
    """A call tree to run: calls of this branch, and branches with frames of their own."""

    calls: int
    frames: int
    below: tuple[Tree, ...] = field(default=())


trees = st.recursive(
    st.builds(Tree, st.integers(0, 3), st.integers(0, 2)),
    lambda inner: st.builds(Tree, st.integers(0, 2), st.integers(0, 2), st.lists(inner, max_size=3).map(tuple)),
    max_leaves=6,
)


class Nobody:
    """A client that must not be asked."""

    async def complete(self, request: Request) -> Completion:
        """See `ModelClient`."""
        raise AssertionError(f"asked {request.model}")

    async def close(self) -> None:
        """See `ModelClient`."""


def in_virtual_time(go: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Trio's own shuffling of what happens at the same time, without waiting."""
    clock = trio.testing.MockClock(autojump_threshold=0)
    return anyio.run(go, backend="trio", backend_options={"clock": clock})


def performed(tree: Tree) -> tuple[MemoryRun, dict[str, tuple[Message, ...]]]:
    """A run of the tree; what each call was sent, by its name."""
    seen: dict[str, tuple[Message, ...]] = {}

    async def answer(call: Call, ctx: CallContext) -> object:
        model = Model(name="test/m", client=Nobody(), can=Capabilities(caching=True), provider="test", lineage="test")
        found = await opening(ctx, ROLE, model, mode="schema")
        name = str(call.task).removeprefix("mark-task-").removesuffix(";")
        seen[name] = found.messages
        await anyio.sleep(len(name) % 3)
        return f"mark-answer-{name};"

    async def grown(here: Tree, name: str) -> Any:
        first = await parallel([agent(f"mark-task-{name}/c{n};") for n in range(here.calls)])
        return first.census, await parallel([below(inner, f"{name}/{n}") for n, inner in enumerate(here.below)])

    def below(here: Tree, name: str) -> Any:
        frames = [f"mark-frame-{name}/f{n};" for n in range(here.frames)]
        return branch(f"b{name.replace('/', '-')}", grown(here, name), context=frames)

    async def go() -> MemoryRun:
        return await memory_run(lambda: below(tree, "r"), performers={"agent": AnsweringCalls(answer)})

    return in_virtual_time(go), seen


def frames_of(tree: Tree, name: str) -> dict[str, list[str]]:
    """By name of a call: the marks of the frames that it is to see, in order."""
    found: dict[str, list[str]] = {}

    def walk(here: Tree, path: str, above: list[str]) -> None:
        frames = [*above, *(f"mark-frame-{path}/f{n};" for n in range(here.frames))]
        found.update({f"{path}/c{n}": frames for n in range(here.calls)})
        for n, inner in enumerate(here.below):
            walk(inner, f"{path}/{n}", frames)

    walk(tree, name, [])
    return found


@QUICKLY
@given(trees)
def test_a_call_sees_its_frames_from_the_root_and_nothing_of_anybody_else(tree: Tree) -> None:
    ran, seen = performed(tree)
    assert ran.result.kind == "completed", ran.result.reason
    expected = frames_of(tree, "r")
    assert seen.keys() == expected.keys()
    for name, messages in seen.items():
        marks = MARK.findall("\n".join(message.text for message in messages))
        assert marks == [*expected[name], f"mark-task-{name};"]


@QUICKLY
@given(trees)
def test_any_two_calls_share_every_byte_up_to_their_last_shared_frame(tree: Tree) -> None:
    _, seen = performed(tree)
    expected = frames_of(tree, "r")
    names = sorted(seen)
    for one, other in pairwise(names):
        shared = 0
        while shared < min(len(expected[one]), len(expected[other])) and (
            expected[one][shared] == expected[other][shared]
        ):
            shared += 1
        sent = [[(message.role, message.text) for message in seen[name][: shared + 1]] for name in (one, other)]
        assert sent[0] == sent[1]
        assert len(sent[0]) == shared + 1


@QUICKLY
@given(trees)
def test_the_log_holds_every_prompt_exactly_and_every_text_once(tree: Tree) -> None:
    ran, seen = performed(tree)
    frames = frames_in(ran.events())
    assert len(frames) == len(ran.events("frame"))
    turns = [event.data["value"] for event in ran.events("turn")]
    assert sorted(map(str, (messages_of(turn, frames, None) for turn in turns))) == sorted(map(str, seen.values()))


@QUICKLY
@given(texts, st.dictionaries(st.sampled_from(["path", "lines"]), texts))
def test_content_never_closes_its_own_enclosure(content: str, attributes: Mapping[str, str]) -> None:
    text = enclosed("context", content, dict(attributes))
    first, rest = text.split("\n", 1)
    closing = rest.rsplit("\n", 1)[-1]
    marker = closing.removeprefix("</context ").removesuffix(">")
    assert first.startswith(f"<context {marker}")
    assert text.count(marker) == 2
    assert rest.removesuffix(f"\n{closing}") == legible(content)
    text.encode()


@QUICKLY
@given(texts, st.lists(values, max_size=3), texts, values, st.lists(texts, max_size=2), texts)
def test_any_prompt_is_sendable_stable_and_in_its_order(
    instructions: str, frames: Sequence[Json], task: str, about: Json, covers: Sequence[str], path: str
) -> None:
    passage = Passage(path, 1, 1, "0" * 64, 1.0, task)

    def made() -> tuple[Message, ...]:
        return compose(
            instructions=instructions, frames=frames, task=task, about=about, covers=covers, retrieved=[passage]
        )

    messages = made()
    assert messages == made()
    assert [message.role for message in messages] == ["system", *("user" for _ in range(len(frames) + 2))]
    for message in messages:
        message.text.encode()
        assert legible(message.text) == message.text
    assert messages[-1].text.endswith(legible(task))
    assert (
        compose(instructions=instructions, frames=frames, task="other")[: len(frames) + 1]
        == (messages[: len(frames) + 1])
    )


bodies = st.tuples(texts, st.integers(0, 6_000)).map(lambda given: given[0] + "x" * given[1])


def said(role: str, text: str) -> Message:
    """A message of a conversation."""
    if role == "assistant":
        return Message(role="assistant", text=text, calls=(ToolCall("c", "t", "{}"),))
    return Message(role="tool", text=text, answers="c") if role == "tool" else Message(role="user", text=text)


spoken = st.lists(st.builds(said, st.sampled_from(["assistant", "tool", "user"]), bodies), max_size=12)
conversations = st.tuples(st.lists(bodies, max_size=3), spoken).map(
    lambda given: [Message(role="system", text="s"), *(Message(role="user", text=t) for t in given[0]), *given[1]]
)


@QUICKLY
@given(conversations, st.integers(1, 30_000))
def test_a_conversation_is_made_to_fit_where_rules_can_and_only_by_them(talk: list[Message], most: int) -> None:
    found = shortened(talk, most)
    assert found.tokens == sum(map(estimated_tokens, found.messages))
    assert found.fits == (found.tokens <= most)
    assert found.messages == as_sent(talk, found.indexes)
    first = next((n for n, message in enumerate(talk) if message.role == "assistant"), len(talk))
    for index, (before, after) in enumerate(zip(talk, found.messages, strict=True)):
        assert (before != after) == (index in found.indexes)
        if before != after:
            assert index > 0
            assert before.role in ("assistant", "tool")
            assert index >= first or before.role == "tool"
            assert len(after.text) < len(before.text)
            assert "left out to make room" in after.text
    if not found.fits:
        assert shortened(found.messages, 1).messages == found.messages


@QUICKLY
@given(conversations, st.integers(1, 30_000), spoken)
def test_shortening_again_changes_nothing_and_what_was_short_stays_short(
    talk: list[Message], most: int, more: list[Message]
) -> None:
    found = shortened(talk, most)
    assert shortened(found.messages, found.tokens).messages == found.messages
    assert as_sent(found.messages, found.indexes) == found.messages
    later = shortened([*talk, *more], most, already=found.indexes)
    assert set(later.indexes) >= set(found.indexes)
    assert later.messages[: len(talk)] == found.messages or later.indexes != found.indexes


@QUICKLY
@given(st.lists(st.one_of(st.binary(max_size=90), st.sampled_from([b"\n", b"\n\n", b"x" * 5_000])), max_size=60))
def test_stretches_are_the_file(pieces: list[bytes]) -> None:
    content = b"".join(pieces)
    found = list(stretches(content))
    assert b"".join(stretch.content for stretch in found) == content
    numbered = content.split(b"\n")
    for stretch in found:
        assert stretch.content.rstrip(b"\n").split(b"\n")[0] == numbered[
            stretch.first - 1
        ] or not stretch.content.strip(b"\n")
