"""What every answering mode does: put a question in a form that the model can answer, and read what it answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from antiphon.subagents.model.contract import Completion, Request, ToolCall
from antiphon.tracing import Json

Schema = Mapping[str, Json]
"""A JSON Schema."""

Fault = Literal["", "empty", "malformed", "missing", "truncated", "too_long", "refused"]
"""What is wrong with an answer, in one word; "" for nothing."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered, the same whatever the mode.

    Attributes:
        text: what it said besides the answer and the calls; all it said where no schema is asked for, or it is faulty.
        value: the answer as JSON text, unwrapped and checked to be JSON, though not against the schema; without one,
            the text as a JSON string. None where there is none, and while tools are to be called first.
        calls: the tools it wants called, each with an id of its own; the arguments are as it wrote them.
        problem: what is wrong and what to do about it, in words for the model; "" for nothing. Beside calls it
            says which of them cannot be performed.
        fault: the sort of problem.
    """

    text: str
    value: str | None = None
    calls: tuple[ToolCall, ...] = ()
    problem: str = ""
    fault: Fault = ""


class Mode(Protocol):
    """One way to ask a model for tools and an answer. It keeps nothing between requests."""

    @property
    def name(self) -> Literal["schema", "tool", "text"]:
        """The provider holds the answer to a schema; the answer is a tool; or both are written as text."""
        ...

    def ask(self, request: Request, schema: Schema | None) -> Request:
        """The request as this mode sends it.

        Its conversation may have been made by any mode: every call of a tool gets exactly one answer after it, and
        what cannot be said in this mode is said as text.

        Args:
            request: the conversation, the tools and the limits, in words of no mode.
            schema: the one that the mode was made for; None where this request asks for no answer in it.

        Raises:
            UsageError: one of the tools has the name of the tool that takes the answer.
        """
        ...

    def read(self, completion: Completion) -> Reply:
        """What the model answered. Never raises: what cannot be read is a problem, and nothing is guessed."""
        ...
