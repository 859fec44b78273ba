"""Reading what a model wrote: strictly, so that what is not said is told back and never guessed."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NoReturn, cast

from antiphon.subagents.model.answering.contract import Reply
from antiphon.subagents.model.contract import Completion, ToolCall
from antiphon.subagents.records.content import storable_text
from antiphon.tracing import Json

LONGEST_CHARACTERS = 4_000_000
"""More than this in one completion, its calls included, is not read."""
MOST_CALLS = 1_000
"""Nor more calls than these."""
WRAPPED = "answer"
"""The one field of an answer whose schema is of no object, and so has to be put into one."""

REFUSED = "The provider refused to hand out this answer."
TRUNCATED = "Your message was cut off at the limit on its length, so nothing of it was taken. Say it again, shorter."
EMPTY = "Your message was empty."
TOO_LONG = "Your message was too long or had too many calls, so nothing of it was taken. Say it shorter."


_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)


class Unreadable(ValueError):
    """Text that is no JSON, or no JSON of the asked-for kind; `str()` says where and why, for the model."""


def parsed(text: str) -> Json:
    """JSON, and nothing that only resembles it.

    Raises:
        Unreadable: it is no JSON; a name is there twice in one object; a number is not finite; it nests too deep.
    """
    try:
        return cast(Json, json.loads(text, object_pairs_hook=_once, parse_constant=_no_number, parse_float=_finite))
    except json.JSONDecodeError as error:
        raise Unreadable(_where(error)) from None
    except RecursionError:
        raise Unreadable("it nests too deep") from None
    except ValueError as error:  # an integer of thousands of digits, and our own
        raise Unreadable(str(error).partition(";")[0]) from None


def canonical_text(value: Json) -> str:
    """A value that `parsed` gave as JSON text that any encoding can carry."""
    return storable_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def unwrapped(value: Json, *, wrapped: bool) -> str:
    """The answer as JSON text, out of the object that it was put into, if any.

    Raises:
        Unreadable: it was to be put into an object and was not.
    """
    if not wrapped:
        return canonical_text(value)
    if not isinstance(value, dict) or value.keys() != {WRAPPED}:
        raise Unreadable(f'it has to be an object with the one field "{WRAPPED}"')
    return canonical_text(value[WRAPPED])


def said_aloud(completion: Completion) -> str:
    """What a model said, without the thought that some servers leave in front of it, and as any encoding can carry it.

    A draft of a call in a thought is no call.
    """
    return storable_text(_THOUGHT.sub("", completion.text, count=1))


def cut_short(completion: Completion) -> Reply | None:
    """The reply to a completion of which nothing may be taken; None if it can be read."""
    text = said_aloud(completion)
    if completion.finish == "refused":
        return Reply(text, problem=REFUSED, fault="refused")
    if completion.finish == "length":
        # Half of a number is a number, and half a list of calls is a list: what was cut off is never half taken.
        return Reply(text, problem=TRUNCATED, fault="truncated")
    length = len(text) + sum(len(call.arguments) for call in completion.calls)
    return too_long(text) if length > LONGEST_CHARACTERS or len(completion.calls) > MOST_CALLS else None


def too_long(text: str) -> Reply:
    """The reply to a completion that is more than anybody could mean."""
    return Reply(text[:LONGEST_CHARACTERS], problem=TOO_LONG, fault="too_long")


def reply_with_calls(text: str, calls: Sequence[ToolCall]) -> Reply:
    """The reply that wants tools called; which of them cannot be, for want of readable arguments, is its problem."""
    if len(calls) > MOST_CALLS:
        return too_long(text)
    own = with_own_ids(calls)
    problem = " ".join(filter(None, map(_unperformable, own)))
    return Reply(text, calls=own, problem=problem, fault="malformed" if problem else "")


def plain_reply(text: str) -> Reply:
    """The reply whose answer is what was said."""
    if not text.strip():
        return Reply("", problem=EMPTY, fault="empty")
    return Reply(text, canonical_text(text))


def with_own_ids(calls: Iterable[ToolCall]) -> tuple[ToolCall, ...]:
    """The same calls, each with an id that no other of them has, and with text that any encoding can carry.

    Some servers give no ids, or the same one twice. The ids depend on nothing but the calls, so that a conversation
    that is asked again has the same ones.
    """
    taken: set[str] = set()
    own: list[ToolCall] = []
    for number, call in enumerate(calls, 1):
        said = storable_text(call.id) or f"call_{number}"
        ids = (said if again == 1 else f"{said}_{again}" for again in range(1, len(taken) + 2))
        found = next(each for each in ids if each not in taken)
        taken.add(found)
        arguments = storable_text(call.arguments).strip() or "{}"
        own.append(replace(call, id=found, name=storable_text(call.name), arguments=arguments))
    return tuple(own)


def arguments_of(call: ToolCall) -> dict[str, Json]:
    """The arguments of a call.

    Raises:
        Unreadable: they are no JSON object.
    """
    value = parsed(call.arguments)
    if not isinstance(value, dict):
        raise Unreadable("they have to be one JSON object")
    return value


def _unperformable(call: ToolCall) -> str:
    try:
        arguments_of(call)
    except Unreadable as error:
        return f"The arguments of the call {call.id} of {call.name!r} cannot be read: {error}."
    return ""


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        times = Counter(name for name, _ in pairs)
        twice = next(name for name, number in times.items() if number > 1)
        raise ValueError(f"the name {twice[:80]!r} is twice in one object")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"the number {text[:40]} is too large")
    return number


def _where(error: json.JSONDecodeError) -> str:
    before = error.doc[: error.pos].rstrip()
    hint = "; is there a comma too many before a closing bracket?" if before.endswith(",") else ""
    return f"it is no JSON: {error.msg} at line {error.lineno} column {error.colno}{hint}"
