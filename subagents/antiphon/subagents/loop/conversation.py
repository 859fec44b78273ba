"""The messages that turns come to. A function of the turns alone, so that a resumed conversation is the same one.

Kept in words of no mode: calls that nobody answered, and tools that are not offered any more, are put right by the mode
that asks (`antiphon.subagents.model.answering`).
"""

from __future__ import annotations

from typing import Final

from antiphon.subagents.loop.anomaly import GIANT_CHARACTERS
from antiphon.subagents.loop.turns import ToolsTurn
from antiphon.subagents.model.answering.results import delimited
from antiphon.subagents.model.contract import Completion, Message

_CUT_CHARACTERS: Final = 4_000


def said(completion: Completion) -> Message:
    """A model's own words, as it is given them back: of what did not come to an end only as much as tells it which."""
    if completion.finish == "length" or len(completion.text) > GIANT_CHARACTERS:
        return Message(role="assistant", text=capped_text(completion.text, _CUT_CHARACTERS))
    return Message(role="assistant", text=completion.text, calls=completion.calls)


def capped_text(text: str, most: int) -> str:
    """A text of at most about `most` characters: the beginning and the end, and how much is left out between them."""
    if len(text) <= most:
        return text
    head, tail = most * 2 // 3, most // 3
    return f"{text[:head]}\n[... {len(text) - head - tail} characters left out ...]\n{text[-tail:]}"


def answered(turn: ToolsTurn) -> tuple[Message, ...]:
    """The results of tools, as data."""
    return tuple(Message(role="tool", answers=one.id, text=delimited(one)) for one in turn.results)


def told(text: str) -> Message:
    """Something that the loop says to the model."""
    return Message(role="user", text=text)
