"""A conversation that outgrew a model's window: what is shortened, by rule, and said so in the text itself.

Shortened are results of tools, the oldest first, then what the model said earlier, then the newest results. Never
what came before the model's first word (instructions, frames, passages, task), and never what it was told in between
(what is missing, what was wrong). How a message is shortened does not depend on how much room there is, so that the
indexes in the log are enough to say exactly what was sent. A last answer that has to be cheap is asked for with what is
in the middle told in short (`digested`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from antiphon.subagents.model.contract import Message
from antiphon.subagents.prompt.delimiting import enclosed, legible

HEAD_CHARACTERS: Final = 1200
TAIL_CHARACTERS: Final = 600
_SAID_CHARACTERS: Final = 300
"""Room for the sentence in between: what is no longer than head, tail and this is left as it is."""
_OVERHEAD_TOKENS: Final = 8
_BYTES_PER_TOKEN: Final = 3


@dataclass(frozen=True, slots=True)
class Shortened:
    """A conversation as it is to be sent.

    Attributes:
        messages: all of them, some shortened.
        indexes: which, ascending; they go into the model turn's ``sent``.
        tokens: how long it is now, by the measure that was used.
        fits: whether that is within what was asked for. If not, no rule can make it fit.
    """

    messages: tuple[Message, ...]
    indexes: tuple[int, ...]
    tokens: int
    fits: bool


def estimated_tokens(message: Message) -> int:
    """How many tokens a message is likely to have: a third of its bytes, and a little for itself. No bound."""
    texts = (message.text, *(text for call in message.calls for text in (call.name, call.arguments)))
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    return -(-size // _BYTES_PER_TOKEN) + _OVERHEAD_TOKENS


def shortened(
    messages: Sequence[Message],
    most_tokens: int,
    *,
    already: Iterable[int] = (),
    tokens: Callable[[Message], int] = estimated_tokens,
) -> Shortened:
    """The conversation, shortened to fit if it has to be.

    Where it does not fit, it is brought down to three quarters of what would: else every later turn would shorten one
    more message, and the provider's prompt cache would never hold.

    Args:
        messages: the conversation in full.
        most_tokens: how long it may be.
        already: what was shortened for the turn before (its ``indexes``); stays so, for the cache's sake.
        tokens: how long a message is.
    """
    cut = set(already) & set(_order(messages))
    sizes = [tokens(_brief(messages, index) if index in cut else message) for index, message in enumerate(messages)]
    if sum(sizes) > most_tokens:
        _cut_more(messages, most_tokens * 3 // 4, cut, sizes, tokens)
    total = sum(sizes)
    return Shortened(as_sent(messages, cut), tuple(sorted(cut)), total, total <= most_tokens)


def as_sent(messages: Sequence[Message], indexes: Iterable[int]) -> tuple[Message, ...]:
    """The conversation with exactly these messages shortened: what was sent, from what the log says of it."""
    chosen = set(indexes)
    return tuple(_brief(messages, index) if index in chosen else one for index, one in enumerate(messages))


def digested(messages: Sequence[Message], most_characters: int) -> tuple[Message, ...]:
    """A conversation's beginning and its last word; what is between them is one message, each told by its beginning.

    Args:
        messages: the conversation in full.
        most_characters: of what is between, about.
    """
    begin = next((index for index, message in enumerate(messages) if message.role == "assistant"), len(messages))
    middle = messages[begin:-1]
    if not middle:
        return tuple(messages)
    each = most_characters // len(middle)
    told = "\n".join(_in_short(message, each) for message in middle)[-most_characters:]
    said = f"[... {len(middle)} messages of this conversation follow in short, to make room ...]\n"
    return (*messages[:begin], Message(role="user", text=said + enclosed("short", told)), messages[-1])


def _in_short(message: Message, most: int) -> str:
    called = f" calls {', '.join(call.name for call in message.calls)}" if message.calls else ""
    return f"{message.role}{called}: {' '.join(message.text[: 4 * most].split())}"[:most]


def _cut_more(
    messages: Sequence[Message], goal: int, cut: set[int], sizes: list[int], tokens: Callable[[Message], int]
) -> None:
    total = sum(sizes)
    for index in _order(messages):
        if total <= goal:
            return
        short = _brief(messages, index)
        if index in cut or short is messages[index]:
            continue
        cut.add(index)
        total -= sizes[index]
        sizes[index] = tokens(short)
        total += sizes[index]


def _order(messages: Sequence[Message]) -> list[int]:
    """What may be shortened, in the order in which it is."""
    spoken = [index for index, message in enumerate(messages) if message.role == "assistant"]
    if not spoken:
        return []
    results = [index for index, message in enumerate(messages) if message.role == "tool"]
    old = [index for index in results if index < spoken[-1]]
    return [*old, *spoken[:-1], *results[len(old) :]]


def _brief(messages: Sequence[Message], index: int) -> Message:
    """The message with its middle left out, or itself where there is too little to leave out."""
    message = messages[index]
    if len(message.text) <= HEAD_CHARACTERS + TAIL_CHARACTERS + _SAID_CHARACTERS:
        return message
    left_out = len(message.text) - HEAD_CHARACTERS - TAIL_CHARACTERS
    if message.role == "tool":
        name = next(_names(messages, index, message.answers), "the tool")
        said = f"{left_out} characters of this result left out to make room; to read on, call {name} for less at a time"
    else:
        said = f"{left_out} characters of this message left out to make room"
    text = f"{message.text[:HEAD_CHARACTERS]}\n[... {said} ...]\n{message.text[-TAIL_CHARACTERS:]}"
    return replace(message, text=text)


def _names(messages: Sequence[Message], index: int, answers: str) -> Iterator[str]:
    """What the tool is called whose result this is: the last call of that id before it."""
    for earlier in reversed(messages[:index]):
        for call in earlier.calls:
            if call.id == answers:
                yield legible(call.name)[:64]
