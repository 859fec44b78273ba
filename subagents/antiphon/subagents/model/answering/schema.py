"""The mode for providers that hold an answer to a JSON Schema themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from antiphon.subagents.model.answering.contract import Reply, Schema
from antiphon.subagents.model.answering.conversation import has_calls, mended
from antiphon.subagents.model.answering.protocol import in_words, whole
from antiphon.subagents.model.answering.reading import (
    EMPTY,
    Unreadable,
    cut_short,
    plain_reply,
    reply_with_calls,
    said_aloud,
    unwrapped,
)
from antiphon.subagents.model.answering.strict import strict_schema
from antiphon.subagents.model.contract import Completion, Message, Request


@dataclass(frozen=True, slots=True)
class SchemaMode:
    """The whole message is the answer, and the provider holds it to the schema. Tools are called natively.

    Attributes:
        schema: of the answer, one that can be made strict; None where the answer is plain text.
    """

    schema: Schema | None = None

    @property
    def name(self) -> Literal["schema"]:
        """What the log calls it."""
        return "schema"

    def ask(self, request: Request, schema: Schema | None) -> Request:
        """The request with its schema made strict."""
        made = None if schema is None else strict_schema(schema)
        return replace(request, messages=native(request), schema=made.schema if made else None)

    def read(self, completion: Completion) -> Reply:
        """Calls of tools, or else the whole message as the answer."""
        if cut := cut_short(completion):
            return cut
        text = said_aloud(completion)
        if completion.calls:
            return reply_with_calls(text, completion.calls)
        if self.schema is None or not text.strip():
            return plain_reply(text) if self.schema is None else Reply("", problem=EMPTY, fault="empty")
        made = strict_schema(self.schema)
        try:
            return Reply("", unwrapped(whole(text), wrapped=made is not None and made.wrapped))
        except Unreadable as error:
            problem = (
                f"Your answer cannot be read: {error}. Send the answer alone, as one JSON value that fits the schema."
            )
            # It is of an object, always; what begins as none was not meant as one.
            meant = text.lstrip().startswith(("{", "`", "~"))
            return Reply(text, problem=problem, fault="malformed" if meant else "missing")


def native(request: Request, *, answer: bool = False) -> tuple[Message, ...]:
    """The conversation for a provider that knows tools; told in words where none are offered any more.

    Providers refuse a conversation with calls in it beside which no tool is offered.
    """
    messages = mended(request.messages)
    return messages if answer or request.tools or not has_calls(messages) else in_words(messages)
