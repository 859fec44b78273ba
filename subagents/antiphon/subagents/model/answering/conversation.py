"""A conversation as providers take it: every call of a tool is answered once, right after it, and by name.

A conversation is kept in words of no mode, and may have been held in another one, or by another model, before. What
providers refuse (a call nobody answered, arguments that are no JSON, an empty message) is put right here, the same way
each time, so that a request that is made again is the same to the byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from antiphon.subagents.model.answering.reading import Unreadable, arguments_of, with_own_ids
from antiphon.subagents.model.contract import Message, ToolCall
from antiphon.subagents.records.content import capped, storable_text

ANSWER = "answer"
"""The tool that takes the answer."""
NOTHING_SAID = "(nothing)"
NOT_PERFORMED = "This call was not performed; what follows says why."
NOT_TAKEN = "This answer was not taken; what follows says why."
TOO_EARLY = "This answer was not taken: other tools were called beside it. Answer once you have their results."
_CHARACTERS = 2_000
_NAME_CHARACTERS = 64
_UNFIT = re.compile(r"[^a-zA-Z0-9_-]")


def mended(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The same conversation, in which every call has one answer right after it and every answer has a call."""
    told: list[Message] = []
    for group in _groups(messages):
        told.extend(_mended_group(group))
    return tuple(told)


def has_calls(messages: Iterable[Message]) -> bool:
    """Whether tools were called, or answered."""
    return any(message.calls or message.role == "tool" for message in messages)


def _groups(messages: Sequence[Message]) -> Iterable[list[Message]]:
    """The conversation in pieces that each begin with a message of the assistant's, but for the first."""
    group: list[Message] = []
    for message in messages:
        if message.role == "assistant" and group:
            yield group
            group = []
        group.append(message)
    if group:
        yield group


def _mended_group(group: list[Message]) -> list[Message]:
    head, *others = map(_storable, group)
    if head.role != "assistant":
        return [_as_words(message) for message in (head, *others)]
    own = with_own_ids(head.calls)
    answers, rest = _answers(head.calls, own, others)
    said = replace(head, text=head.text or ("" if own else NOTHING_SAID), calls=tuple(map(_takeable, own)))
    return [said, *(answers.get(call.id) or _unanswered(call, own) for call in own), *rest]


def _answers(
    said: tuple[ToolCall, ...], own: tuple[ToolCall, ...], others: list[Message]
) -> tuple[dict[str, Message], list[Message]]:
    """Which message answers which call, and what else was said."""
    answers: dict[str, Message] = {}
    rest: list[Message] = []
    for message in others:
        named = [mine.id for mine in own if mine.id == message.answers]
        meant = [mine.id for call, mine in zip(said, own, strict=True) if call.id == message.answers]
        open_calls = [each for each in (*named, *meant) if each not in answers]
        if message.role == "tool" and open_calls:
            answers[open_calls[0]] = replace(message, answers=open_calls[0])
        else:
            rest.append(_as_words(message))
    return answers, rest


def _unanswered(call: ToolCall, own: tuple[ToolCall, ...]) -> Message:
    if call.name != ANSWER:
        text = NOT_PERFORMED
    else:
        text = TOO_EARLY if any(other.name != ANSWER for other in own) else NOT_TAKEN
    return Message(role="tool", answers=call.id, text=text)


def _as_words(message: Message) -> Message:
    """A tool's answer that answers nothing is still worth reading."""
    return replace(message, role="user", answers="") if message.role == "tool" else message


def _storable(message: Message) -> Message:
    text = storable_text(message.text)
    return message if text == message.text else replace(message, text=text)


def _takeable(call: ToolCall) -> ToolCall:
    """A call as providers take it back: they refuse the whole conversation for a name that no tool could have.

    Arguments that are no JSON object are refused by some, and stumbled over by clients.
    """
    name = _UNFIT.sub("_", call.name)[:_NAME_CHARACTERS] or "unnamed"
    try:
        arguments_of(call)
    except Unreadable:
        return replace(call, name=name, arguments=json.dumps({"unreadable": capped(call.arguments, _CHARACTERS)}))
    return call if name == call.name else replace(call, name=name)
