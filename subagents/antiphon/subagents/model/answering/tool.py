"""The mode for models that call tools: the answer is the call of one more tool."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from antiphon.engine import UsageError
from antiphon.subagents.model.answering.contract import Reply, Schema
from antiphon.subagents.model.answering.conversation import ANSWER
from antiphon.subagents.model.answering.reading import (
    EMPTY,
    Unreadable,
    arguments_of,
    canonical_text,
    cut_short,
    plain_reply,
    reply_with_calls,
    said_aloud,
    unwrapped,
    with_own_ids,
)
from antiphon.subagents.model.answering.schema import native
from antiphon.subagents.model.answering.strict import tool_parameters
from antiphon.subagents.model.contract import Completion, Request, ToolCall, ToolSpec

DESCRIPTION = "Give your final answer. Calling it ends the conversation, so call it once, alone, and last."
MISSING = f"You gave no answer: call the tool `{ANSWER}` with it, or another tool if you need to know more."


@dataclass(frozen=True, slots=True)
class ToolMode:
    """The answer is the call of a tool named `answer`, the only one or beside others.

    Attributes:
        schema: of the answer; None where the answer is plain text, and no such tool is offered.
    """

    schema: Schema | None = None

    @property
    def name(self) -> Literal["tool"]:
        """What the log calls it."""
        return "tool"

    def ask(self, request: Request, schema: Schema | None) -> Request:
        """The request with the tool that takes the answer; it has to be called where it is the only one."""
        tools = tuple(tool for tool in request.tools if schema is None or not _is_ours(tool))
        if schema is None:
            return replace(request, messages=native(request), schema=None)
        if any(tool.name == ANSWER for tool in tools):
            raise UsageError(
                f"a tool is named {ANSWER!r}, which is the tool that takes a model's answer",
                advice="give the tool another name",
            )
        answer = ToolSpec(name=ANSWER, description=DESCRIPTION, parameters=tool_parameters(schema).schema)
        return replace(
            request,
            messages=native(request, answer=True),
            tools=(*tools, answer),
            force=request.force or ("" if tools else ANSWER),
            schema=None,
        )

    def read(self, completion: Completion) -> Reply:
        """Calls of other tools, which come first, or else the answer."""
        if cut := cut_short(completion):
            return cut
        text = said_aloud(completion)
        calls = with_own_ids(completion.calls)
        others = [call for call in calls if self.schema is None or call.name != ANSWER]
        if others:
            return reply_with_calls(text, others)
        if self.schema is None:
            return plain_reply(text)
        if not calls:
            return Reply(text, problem=MISSING if text.strip() else EMPTY, fault="missing" if text.strip() else "empty")
        return self._answer(text, self.schema, calls)

    def _answer(self, text: str, schema: Schema, calls: tuple[ToolCall, ...]) -> Reply:
        try:
            first, *others = map(arguments_of, calls)
            if any(canonical_text(other) != canonical_text(first) for other in others):
                raise Unreadable("you gave several different ones")
            return Reply(text, unwrapped(first, wrapped=tool_parameters(schema).wrapped))
        except Unreadable as error:
            problem = f"Your answer cannot be read: {error}. Call `{ANSWER}` once, with arguments that fit its schema."
            return Reply(text, problem=problem, fault="malformed")


def _is_ours(tool: ToolSpec) -> bool:
    return tool.name == ANSWER and tool.description == DESCRIPTION
