"""A request that fits: into the model's window, and at the end into what the budget still has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from antiphon.engine import CallContext
from antiphon.engine.amount import DIMENSIONS, Dimension
from antiphon.subagents.loop.state import State
from antiphon.subagents.model.bound import worst_case
from antiphon.subagents.model.contract import Message, Model, Request
from antiphon.subagents.prompt.overflow import Shortened, as_sent, digested, shortened

_BYTES_PER_TOKEN: Final = 2
_MESSAGE_TOKENS: Final = 16
_OFFERED_TOKENS: Final = 1024
_LEAST_TOKENS: Final = 256
_SHARES: Final = (0.5, 0.25, 0.1)
_DIGESTS: Final = (4_000, 1_200, 300)
"""Characters of what is told in short, where shortening was not enough: the next is tried if one is too dear."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request as it is to be sent.

    Attributes:
        request: in the words of its mode. shortened: indexes of the messages that were shortened for it.
        fits: whether its messages are, by a careful estimate, within what is known to fit.
        digest: in how many characters all between beginning and end is told; None where it is there itself.
    """

    request: Request
    shortened: tuple[int, ...]
    fits: bool
    digest: int | None = None

    @property
    def tokens(self) -> int:
        """How long its messages are, by a careful estimate."""
        return sum(map(careful_tokens, self.request.messages))


def fitted_prompt(
    state: State, request: Request, remaining: Callable[[Dimension], int | None], *, final: bool
) -> Prompt:
    """The request of a state, shortened by rule where it is too long for the model, or for the last of the money.

    Args:
        state: where the conversation stands.
        request: its next one, in words of no mode.
        remaining: what could be reserved now.
        final: the answer is to be handed back, within the floor.
    """
    prompt = _prompt(state, request)
    if not final:
        return prompt
    for share in _SHARES:
        if _affordable(state.terms.model, prompt.request, remaining):
            break
        prompt = _prompt(state, request, int(prompt.tokens * share))
    for digest in _DIGESTS:
        if _affordable(state.terms.model, prompt.request, remaining):
            break
        prompt = _in_short(state, request, digest)
    return prompt


def is_used_up(model: Model, request: Request, ctx: CallContext, least: int) -> bool:
    """Whether a request can only be paid from the call's floor, also once all that others hold came back."""
    if ctx.carve.winding_down:
        return True
    if not ctx.carve.account.gates:
        return False
    worst = worst_case(model, replace(request, max_tokens=min(request.max_tokens, least)))
    rooms = ((worst.count(dimension), ctx.prospect(dimension)) for dimension in DIMENSIONS)
    return any(room is not None and wanted > room for wanted, room in rooms)


def careful_tokens(message: Message) -> int:
    """How many tokens a message has at most, unless it is nearly all rare symbols: half of its bytes, and some."""
    texts = (message.text, *(text for call in message.calls for text in (call.name, call.arguments)))
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    return -(-size // _BYTES_PER_TOKEN) + _MESSAGE_TOKENS


def _prompt(state: State, request: Request, most: int | None = None) -> Prompt:
    """The request as its mode sends it, with messages of at most `most` tokens by the careful estimate."""
    short = _shortened(state, request.messages, _most_tokens(state, request, most))
    messages = short.messages
    if state.terms.model.can.caching:
        messages = (*messages[:-1], replace(messages[-1], cached=True))
    asked = state.terms.mode.ask(replace(request, messages=messages), state.terms.schema)
    return Prompt(asked, short.indexes, short.fits)


def _in_short(state: State, request: Request, digest: int) -> Prompt:
    """The request with only its beginning and its end, and what is between them in so many characters."""
    asked = state.terms.mode.ask(replace(request, messages=digested(request.messages, digest)), state.terms.schema)
    return Prompt(asked, (), True, digest)


def _most_tokens(state: State, request: Request, most: int | None) -> int | None:
    """How long the messages may be, by the careful estimate: what a provider turned down before was too long."""
    rooms = [room for room in (most, state.most_prompt, _window(state, request)) if room is not None]
    return min(rooms, default=None)


def _window(state: State, request: Request) -> int | None:
    """What the window has room for. Where a provider counted the beginning, that is better than an estimate of it."""
    window = state.terms.model.can.window
    if window is None:
        return None
    room = max(1, window - min(request.max_tokens, window // 4) - _OFFERED_TOKENS)
    beginning, new = request.messages[: state.known_messages], request.messages[state.known_messages :]
    estimate, known = sum(map(careful_tokens, beginning)), state.known
    if not known:
        return room
    if known + sum(map(careful_tokens, new)) <= room:
        return None
    return max(room, room * estimate // known)


def _shortened(state: State, messages: tuple[Message, ...], most: int | None) -> Shortened:
    if most is None:
        return Shortened(as_sent(messages, state.shortened), state.shortened, 0, True)
    return shortened(messages, most, already=state.shortened, tokens=careful_tokens)


def _affordable(model: Model, request: Request, remaining: Callable[[Dimension], int | None]) -> bool:
    worst = worst_case(model, replace(request, max_tokens=min(request.max_tokens, _LEAST_TOKENS)))
    rooms = ((worst.count(dimension), remaining(dimension)) for dimension in DIMENSIONS)
    return all(room is None or wanted <= room for wanted, room in rooms)
