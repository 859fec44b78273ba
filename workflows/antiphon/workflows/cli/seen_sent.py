"""What was sent to a model at one turn of a recorded conversation: built again from the log, by the same rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from antiphon.engine import UsageError
from antiphon.subagents.loop.state import State, Terms
from antiphon.subagents.model.answering import Mode, SchemaMode, TextMode, ToolMode
from antiphon.subagents.model.contract import Capabilities, Completion, Message, Model, Request, ToolSpec
from antiphon.subagents.prompt.overflow import as_sent, digested
from antiphon.tracing import AntiphonError, Json
from antiphon.workflows.cli.seen import Context
from antiphon.workflows.cli.untrusted import mapping, sequence, text

_STRANGE: Final = (AssertionError, KeyError, TypeError, ValueError, AttributeError, RecursionError, IndexError)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentAt:
    """One request of a conversation.

    Attributes:
        number: of the request, from 1. model: who was asked.
        request: what was sent, in the words of the conversation's mode.
        conversation: how many messages the conversation had. shortened: which of them were shortened, from 0.
        counted: how many it had by the log; None if that does not say.
    """

    number: int
    model: str
    request: Request
    conversation: int
    shortened: tuple[int, ...]
    counted: int | None

    @property
    def agrees(self) -> bool:
        """Whether the conversation, built again, is as long as the log says."""
        return self.counted in (None, self.conversation)

    def to_json(self) -> dict[str, Json]:
        """All of it, as data."""
        request = self.request
        return {
            "turn": self.number,
            "model": self.model,
            "messages": [_message(message) for message in request.messages],
            "tools": [spec.name for spec in request.tools],
            "force": request.force,
            "schema": cast("Json", request.schema),
            "max_tokens": request.max_tokens,
            "shortened": list(self.shortened),
            "agrees": self.agrees,
        }


def sent_at(seen: Context, number: int) -> SentAt:
    """The request of one turn.

    Args:
        seen: the call.
        number: of the request, from 1.

    Raises:
        UsageError: there was no such request, or the log does not hold what it was built from.
    """
    answers = [place for place, turn in enumerate(seen.turns) if mapping(turn).get("turn") == "model"]
    if not 1 <= number <= len(answers):
        held = f"it has {len(answers)}" if answers else "no model was asked"
        raise UsageError(f"{seen.call.path} has no turn {number}: {held}", advice="leave out --turn to see all")
    if not seen.messages or any(one.text is None for one in seen.messages):
        raise UsageError(f"turn {number} of {seen.call.path}: the run does not hold its prompt any more")
    try:
        return _built(seen, number, answers[number - 1])
    except (AntiphonError, *_STRANGE) as error:
        why = f"{type(error).__name__}: {error}"[:300]
        raise UsageError(f"turn {number} of {seen.call.path} cannot be built again from this log ({why})") from None


def _built(seen: Context, number: int, place: int) -> SentAt:
    answer = mapping(seen.turns[place])
    sent = mapping(answer.get("sent"))
    prompt = tuple(Message(role=one.role, text=one.text or "", cached=one.cached) for one in seen.messages)
    terms = _terms(seen, seen.turns[:place])
    state = State.of(terms, prompt, seen.turns[:place])
    short = tuple(index for index in sequence(sent.get("shortened")) if isinstance(index, int))
    digest = sent.get("digest")
    whole = as_sent(state.messages, short)
    messages = digested(whole, digest) if isinstance(digest, int) else whole
    if not isinstance(digest, int) and any(message.cached for message in prompt):
        messages = (*messages[:-1], replace(messages[-1], cached=True))
    most, counted = sent.get("max_tokens"), sent.get("messages")
    request = Request(
        model=text(answer.get("model"), 1_000),
        messages=messages,
        tools=() if state.winding else _tools(seen.offered),
        max_tokens=most if isinstance(most, int) else 0,
    )
    return SentAt(
        number=number,
        model=request.model,
        request=state.terms.mode.ask(request, terms.schema),
        conversation=len(whole),
        shortened=short,
        counted=counted if isinstance(counted, int) else None,
    )


def _terms(seen: Context, turns: Sequence[Any]) -> Terms:
    """What the conversation was held to, as far as the messages depend on it, and what after it was escalated."""
    escalated = next((turn for turn in map(mapping, turns) if turn.get("turn") == "escalated"), None)
    stronger = None if escalated is None else _terms_in(seen, escalated.get("to"), escalated.get("mode"), None)
    return _terms_in(seen, seen.prompt.get("model"), seen.prompt.get("mode"), stronger)


def _terms_in(seen: Context, name: object, mode: object, stronger: Terms | None) -> Terms:
    held = seen.offered.get("schema")
    schema = None if held is None else mapping(held)
    model = Model(name=text(name, 1_000), client=_Nobody(), can=Capabilities(), provider="", lineage="")
    return Terms(model=model, mode=_mode(seen, schema, mode), schema=schema, stronger=stronger)


def _mode(seen: Context, schema: Mapping[str, Any] | None, name: object) -> Mode:
    match name:
        case "schema":
            return SchemaMode(schema)
        case "tool":
            return ToolMode(schema)
        case "text":
            return TextMode(schema, bool(_tools(seen.offered)))
        case other:
            raise ValueError(f"mode {other!r:.100} is not known")


def _tools(offered: Mapping[str, Any]) -> tuple[ToolSpec, ...]:
    given = [mapping(one) for one in sequence(offered.get("tools"))]
    return tuple(
        ToolSpec(name=str(one["name"]), description=str(one["description"]), parameters=mapping(one["parameters"]))
        for one in given
    )


def _message(message: Message) -> Json:
    calls: list[Json] = [{"id": one.id, "name": one.name, "arguments": one.arguments} for one in message.calls]
    return {
        "role": message.role,
        "text": message.text,
        "calls": calls,
        "answers": message.answers,
        "cached": message.cached,
    }


class _Nobody:
    """Reading a log asks no model."""

    async def complete(self, request: Request) -> Completion:
        """See `ModelClient`."""
        raise AssertionError(f"{request.model} must not be asked")

    async def close(self) -> None:
        """See `ModelClient`."""
