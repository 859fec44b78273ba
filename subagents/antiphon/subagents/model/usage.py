"""What a provider says that a request used: believed where it can be, charged at the worst case where it cannot."""

from __future__ import annotations

from typing import Final

from antiphon.engine import Attempt
from antiphon.subagents.model.contract import Completion, Model, Price, Usage
from antiphon.subagents.model.price import cost
from antiphon.tracing import Json

MOST_TOKENS: Final = 1_000_000_000
"""No request reads or writes so many: a count above is no count."""
_TEXT = 200


def settle(attempt: Attempt, model: Model, completion: Completion) -> int | None:
    """Settle an attempt by what its answer says it used, and tell its span what is known of the answer.

    Where it does not say, or says what cannot be, the attempt is left as it is: charged whole, as estimated. More than
    the worst case is believed: the engine records it as an overdraft.

    Returns:
        How many tokens it used in all; None where that is not known.
    """
    attempt.tell(model=completion.model[:_TEXT], id=completion.id[:_TEXT], finish=completion.finish)
    usage = completion.usage
    if usage is None:
        return None
    if not believable(usage, completion, model.can.price):
        attempt.tell(reported=_reported(usage))
        return None
    attempt.settle(usage.amount(0 if model.can.price is None else cost(model.can.price, usage)))
    return sum(counts(usage).values())


def counts(usage: Usage) -> dict[str, int]:
    """Its tokens by class, by the budget's names."""
    return {
        "input_tokens": usage.input,
        "cached_input_tokens": usage.cached,
        "cache_write_tokens": usage.cache_write,
        "output_tokens": usage.output,
        "reasoning_tokens": usage.reasoning,
    }


def believable(usage: Usage, completion: Completion, price: Price | None) -> bool:
    """Whether these counts can be: whole numbers, none negative, none beyond all sense, and not nothing for something.

    A model that costs nothing may count nothing.
    """
    each: list[object] = list(counts(usage).values())
    if not all(type(count) is int and 0 <= count <= MOST_TOKENS for count in each):
        return False
    return any(each) or not (completion.text or completion.calls) or _costs_nothing(price)


def _costs_nothing(price: Price | None) -> bool:
    return price is not None and cost(price, Usage(input=MOST_TOKENS, output=MOST_TOKENS)) == 0


def _reported(usage: Usage) -> dict[str, Json]:
    """What was reported, as a witness."""
    return {name: str(count)[:_TEXT] for name, count in counts(usage).items() if count}
