"""The mode for models with neither tools nor schemas: a protocol of fenced blocks, explained in the request."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from antiphon.subagents.model.answering.contract import Reply, Schema
from antiphon.subagents.model.answering.conversation import mended
from antiphon.subagents.model.answering.protocol import Block, in_words, taken_apart, whole
from antiphon.subagents.model.answering.reading import (
    EMPTY,
    Unreadable,
    canonical_text,
    cut_short,
    parsed,
    plain_reply,
    reply_with_calls,
    said_aloud,
)
from antiphon.subagents.model.contract import Completion, Message, Request, ToolCall, ToolSpec
from antiphon.tracing import Json

_CALLS = """\
# How to call a tool

Write a block like this one for each call, with the tool's name and its arguments as one JSON object, and end your
message after the last. What the tools answer comes with the next message. Never write what a tool answers yourself.

```call NAME
{"argument": "value"}
```

The tools are:
"""
_ANSWER = """\
# How to answer

When you are done, write your answer in one block like this, as one JSON value that fits the schema below. Do not call a
tool in the same message.

```answer
VALUE
```

The schema of the answer is:
"""
MISSING = "Your message has no answer: write it in one block that begins with a line of ```answer and ends with ```."
_OTHER_FORM = "Your message resembles the call of a tool in another form. Write calls and answers as blocks, as told."
_ARGUMENTS = frozenset({"arguments", "parameters"})
_OF_A_CALL = _ARGUMENTS | {"name", "id", "type"}
_UNCLOSED = "A block that begins with ```{} is not closed: end it with a line of ``` alone."
_NAMELESS = "A block that calls a tool has to begin with ```call and the tool's name, and no more."


@dataclass(frozen=True, slots=True)
class TextMode:
    """Calls and the answer are fenced blocks in the model's own message; nobody else's words are read as such.

    Attributes:
        schema: of the answer; None where the answer is what was said.
        tools: tools may be called; otherwise a block that resembles a call is prose.
    """

    schema: Schema | None = None
    tools: bool = False

    @property
    def name(self) -> Literal["text"]:
        """What the log calls it."""
        return "text"

    def ask(self, request: Request, schema: Schema | None) -> Request:
        """The request without tools, its conversation in words, and the protocol explained in the system's message."""
        told = in_words(mended(request.messages))
        explained = "\n\n".join(filter(None, (_of_tools(request.tools, request.force), _of_answer(schema))))
        return replace(request, messages=_explained(told, explained), tools=(), force="", schema=None)

    def read(self, completion: Completion) -> Reply:
        """The blocks of the model's message: calls, or else the answer."""
        if cut := cut_short(completion):
            return cut
        text = said_aloud(completion)
        prose, blocks = taken_apart(text)
        meant = [block for block in blocks if block.is_protocol and self._may(block)]
        calls = [block for block in meant if block.info[0] == "call"]
        if problem := _ill_formed(meant):
            return Reply(text, problem=problem, fault="malformed")
        if calls:
            return reply_with_calls(prose, [ToolCall("", block.info[1], block.body) for block in calls])
        if self.schema is None:
            return plain_reply(text)
        return _answer(text, prose, meant)

    def _may(self, block: Block) -> bool:
        return self.tools if block.info[0] == "call" else self.schema is not None


def _ill_formed(blocks: Sequence[Block]) -> str:
    for block in blocks:
        if not block.closed:
            return _UNCLOSED.format(block.info[0])
        if len(block.info) != (2 if block.info[0] == "call" else 1):
            return _NAMELESS if block.info[0] == "call" else MISSING
    return ""


def _answer(text: str, prose: str, answers: Sequence[Block]) -> Reply:
    if not text.strip():
        return Reply("", problem=EMPTY, fault="empty")
    if not answers:
        return _bare_answer(text)
    try:
        found = {canonical_text(parsed(block.body)) for block in answers}
    except Unreadable as error:
        problem = f"Your answer cannot be read: {error}. Write it again, in one block of ```answer."
        return Reply(text, problem=problem, fault="malformed")
    if len(found) > 1:
        return Reply(text, problem="You gave several different answers: write one.", fault="malformed")
    return Reply(prose, found.pop())


def _bare_answer(text: str) -> Reply:
    """A message that is nothing but one JSON value leaves nothing to guess, unless it is in another protocol's form."""
    try:
        value = whole(text)
    except Unreadable:
        return Reply(text, problem=MISSING, fault="missing")
    if isinstance(value, dict) and "name" in value and value.keys() & _ARGUMENTS and value.keys() <= _OF_A_CALL:
        return Reply(text, problem=_OTHER_FORM, fault="missing")
    return Reply("", canonical_text(value))


def _of_tools(tools: Sequence[ToolSpec], force: str) -> str:
    if not tools:
        return ""
    listed = "\n".join(f"- `{tool.name}`: {tool.description}\n  arguments: {_json(tool.parameters)}" for tool in tools)
    return f"{_CALLS}\n{listed}" + (f"\n\nCall `{force}` now." if force else "")


def _of_answer(schema: Schema | None) -> str:
    return "" if schema is None else f"{_ANSWER}\n{_json(schema)}"


def _explained(messages: tuple[Message, ...], explained: str) -> tuple[Message, ...]:
    if not explained:
        return messages
    if messages and messages[0].role == "system":
        first = replace(messages[0], text=f"{messages[0].text}\n\n{explained}")
        return (first, *messages[1:])
    return (Message(role="system", text=explained), *messages)


def _json(value: Schema | Json) -> str:
    return json.dumps(value, ensure_ascii=False)
