"""The most that a request can cost before it is sent, and the longest answer that what remains can pay for.

A bound on the prompt's tokens needs no tokenizer: one that works on bytes spends at most one token on a byte. So it is
the bytes of everything sent, plus what providers put around messages and tools. It is about four times what English or
code comes to, and it is only ever reserved: what is paid is what the provider counted.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from antiphon.engine import Amount
from antiphon.engine.amount import Dimension
from antiphon.subagents.model.contract import Message, Model, Request, ToolCall, ToolSpec
from antiphon.subagents.model.price import Rates, Unpriced, reachable
from antiphon.tracing import Json

Remaining = Callable[[Dimension], int | None]
"""What could be reserved now of one dimension, a raw count; None where nothing limits it: `CallContext.remaining`."""

CONVERSATION_TOKENS = 512
"""Around every conversation: its beginning, the head of the answer, and the instructions of their own that some chat
templates begin with where a request has none (the longest known are near 400 tokens)."""
MESSAGE_TOKENS = 16
"""Around every message: its delimiters and its role."""
CALL_TOKENS = 32
"""Around every call of a tool, as the model's earlier words are given back to it."""
TOOLS_TOKENS = 1_024
"""Around all tools, or a schema: the instructions that a provider adds for them (530 tokens is the most published)."""
TOOL_TOKENS = 128
"""Around each tool."""

# A provider may write JSON again: with spaces or line breaks at its separators, and with <, > and & as \u003c.
_ENCODED = json.JSONEncoder().encode
_SEPARATORS, _PER_SEPARATOR = ",:[]{}", 4
_MARKUP, _PER_MARKUP = "<>&'", 5
# Schemas are written with indentation by some, inside two objects more.
_INDENTED = json.JSONEncoder(indent=4).encode
_OUTSIDE = 8


def input_bound(request: Request) -> int:
    """The most tokens that a request's prompt can come to, by any tokenizer that works on bytes.

    Tokenizers that first normalize (NFKC), or to whom JSON is written again with other escapes, are covered too.
    """
    return _of_prompt(_Prompt(request.messages, request.tools, request.schema))


def worst_case(model: Model, request: Request, remaining: Remaining | None = None) -> Amount:
    """The most that one attempt at a request can cost, in every dimension.

    A prompt's tokens may turn out to be of any class, and an answer's too, so each class is reserved at the most it can
    be; the money is the dearest mixture, in the dearest tier that the prompt can reach.

    Args:
        model: with its price.
        request: as it is to be sent.
        remaining: what could be reserved now, to refuse a model without a price; None not to ask.

    Raises:
        Unpriced: the model has no known price, and usd are limited.
    """
    _refuse_unpriced(model, remaining)
    read, written = input_bound(request), request.max_tokens
    counts: dict[str, Json] = {
        "input_tokens": read,
        "cached_input_tokens": read,
        "output_tokens": written,
        "reasoning_tokens": written,
        "model_calls": 1,
        "usd": max((rates.most(read, written) for rates in _tiers(model, read)), default=0),
    }
    if _writes_cache(model, request):
        counts["cache_write_tokens"] = read
    return Amount.from_json(counts)


def fitted(model: Model, request: Request, remaining: Remaining, *, least: int) -> Request:
    """The request with the longest answer that fits what remains, so that it need not wait for others to settle.

    The window takes a likelier count than the bound, half of it: money is a promise, and a prompt that does not fit is
    refused unbilled, while a bound of three times the truth would leave long conversations no room to answer in.

    Args:
        model: with its price and its sizes.
        request: with the longest answer wanted.
        remaining: what could be reserved now.
        least: an answer shorter than so many tokens is not worth having: rather than below it, `max_tokens` stays as
            long as the model allows, and whoever reserves it waits or is refused.

    Returns:
        The same request with a `max_tokens` that is never longer than asked for or than the model can write.

    Raises:
        Unpriced: the model has no known price, and usd are limited.
    """
    _refuse_unpriced(model, remaining)
    longest = max(1, min(request.max_tokens, model.can.output or request.max_tokens))
    fits = min(longest, *_rooms(model, request, remaining))
    return replace(request, max_tokens=fits if fits >= min(least, longest) else longest)


def _refuse_unpriced(model: Model, remaining: Remaining | None) -> None:
    if model.can.price is None and remaining is not None and remaining("usd") is not None:
        raise Unpriced(model.name)


def _tiers(model: Model, read: int) -> Iterable[Rates]:
    return () if model.can.price is None else reachable(model.can.price, read)


def _writes_cache(model: Model, request: Request) -> bool:
    priced = model.can.price is not None and model.can.price.cache_write is not None
    return priced or model.can.caching or any(message.cached for message in request.messages)


def _rooms(model: Model, request: Request, remaining: Remaining) -> list[int]:
    """How long an answer may be for each thing that limits it."""
    read = input_bound(request)
    rooms = [left for name in ("output_tokens", "reasoning_tokens") if (left := remaining(name)) is not None]
    if model.can.window is not None:
        rooms.append(model.can.window - read // 2)
    usd = remaining("usd")
    if usd is not None:
        rooms.extend(_affordable(rates, read, usd) for rates in _tiers(model, read) if rates.dearest_output)
        rooms.extend(0 for rates in _tiers(model, read) if rates.most(read, 0) > usd)
    return rooms or [request.max_tokens]


def _affordable(rates: Rates, read: int, usd: int) -> int:
    return int((usd - read * rates.dearest_input) // rates.dearest_output)


@dataclass(frozen=True, slots=True, eq=False)
class _Prompt:
    """What is read of a request, as a key by identity: one request is fitted, reserved and sent, and counted once."""

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...]
    schema: Mapping[str, Json] | None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Prompt):
            return NotImplemented
        return self.messages is other.messages and self.tools is other.tools and self.schema is other.schema

    def __hash__(self) -> int:
        return hash((id(self.messages), id(self.tools), id(self.schema)))


@lru_cache(maxsize=16)
def _of_prompt(prompt: _Prompt) -> int:
    around = TOOLS_TOKENS if prompt.tools or prompt.schema is not None else 0
    return (
        CONVERSATION_TOKENS
        + around
        + sum(map(_of_message, prompt.messages))
        + sum(map(_of_tool, prompt.tools))
        + (0 if prompt.schema is None else _of_schema(_Same(prompt.schema)))
    )


def _of_message(message: Message) -> int:
    # Some templates write what a tool answered as a JSON text, and so with escapes.
    text = _of_string(message.text) if message.role == "tool" else _of_text(message.text)
    return (
        MESSAGE_TOKENS + text + _of_text(message.answers) + (sum(map(_of_call, message.calls)) if message.calls else 0)
    )


def _of_call(call: ToolCall) -> int:
    arguments = _of_string(call.arguments) + _PER_SEPARATOR * sum(map(call.arguments.count, _SEPARATORS))
    return CALL_TOKENS + _of_text(call.id) + _of_text(call.name) + arguments


def _of_tool(tool: ToolSpec) -> int:
    schema = _of_schema(_Same(tool.parameters))
    return TOOL_TOKENS + _of_text(tool.name) + _of_string(tool.description) + schema


@dataclass(frozen=True, slots=True, eq=False)
class _Same:
    """A schema as a key by identity: it is the same one in every request of a conversation."""

    schema: Mapping[str, Json]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.schema is other.schema

    def __hash__(self) -> int:
        return id(self.schema)


@lru_cache(maxsize=512)
def _of_schema(same: _Same) -> int:
    """Tokens of a schema, however it is written: escaped, indented, or both."""
    text = _INDENTED(dict(same.schema))
    return len(text) + _OUTSIDE * (text.count("\n") + 1) + _of_markup(text)


def _of_text(text: str) -> int:
    """Bytes of a text, or of its NFKC form where that is longer: some tokenizers normalize first."""
    if text.isascii():
        return len(text)
    if unicodedata.is_normalized("NFKC", text):
        return _bytes(text)
    # Not normalized itself: that takes quadratic time where somebody piles up marks, and this is a stranger's text.
    return sum(count * _widest(character) for character, count in Counter(text).items())


@lru_cache(maxsize=4096)
def _widest(character: str) -> int:
    """The most bytes that a character can become: its parts, which only composing again makes fewer."""
    plain = _bytes(character)
    # Syllables of Hangul always compose again: nothing can come between their parts.
    return plain if "\uac00" <= character <= "\ud7a3" else max(plain, _bytes(unicodedata.normalize("NFKD", character)))


def _bytes(text: str) -> int:
    """Bytes in UTF-8; a lone surrogate is sent as its escape, if at all."""
    return len(text.encode("utf-8", "backslashreplace"))


def _of_string(text: str) -> int:
    """Tokens of a text as JSON, however it is escaped."""
    return len(_ENCODED(text)) + _of_markup(text)


def _of_markup(text: str) -> int:
    return _PER_MARKUP * sum(map(text.count, _MARKUP))
