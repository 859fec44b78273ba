"""What a request costs: exact, in integers of 1e-9 usd, rounded up once for the whole request.

Prices are decimal text, so nothing here is a float. A tier holds for the whole request, what is read and what is
written, once its prompt is longer than the tier's number of tokens: as providers bill it, and as litellm computes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache
from math import ceil

from antiphon.engine import UsageError
from antiphon.engine.amount import NANO
from antiphon.subagents.model.contract import Price, Usage

# Beyond these a price is a slip of the pen, or an exponent that is an attack on the arithmetic.
_DEAREST_USD = 1_000_000
_SMALLEST_EXPONENT = -40
_CHARACTERS = 60


class Unpriced(UsageError):
    """A limit on usd holds, and nobody knows what this model costs, so nothing is sent.

    Attributes:
        model: its name, as typed after `--model`.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        super().__init__(
            f"the price of {model} is not known, and a limit on usd holds",
            advice=f"say what it costs in usd per million tokens, --price {model}=IN/OUT (0/0 if it costs nothing), "
            "or leave out the limit on usd",
        )


@dataclass(frozen=True, slots=True)
class Rates:
    """What one token of each class costs in one tier, in 1e-9 usd, exactly; a class without a price has its kind's.

    Attributes:
        input, cached, cache_write: of the prompt. output, reasoning: of the answer.
    """

    input: Fraction
    cached: Fraction
    cache_write: Fraction
    output: Fraction
    reasoning: Fraction

    @property
    def dearest_input(self) -> Fraction:
        """The most that a token of a prompt can cost: writing to a cache is often dearer than reading afresh."""
        return max(self.input, self.cached, self.cache_write)

    @property
    def dearest_output(self) -> Fraction:
        """The most that a token of an answer can cost."""
        return max(self.output, self.reasoning)

    def most(self, read: int, written: int) -> int:
        """The most that so many tokens can cost, in whole units of 1e-9 usd, rounded up."""
        return ceil(read * self.dearest_input + written * self.dearest_output)


def cost(price: Price, usage: Usage) -> int:
    """What a request cost, in 1e-9 usd: exact, and rounded up once.

    Raises:
        ValueError: a count of tokens is negative, or a price is no number of usd a token.
    """
    if min(usage.input, usage.cached, usage.cache_write, usage.output, usage.reasoning) < 0:
        raise ValueError(f"a count of tokens is negative: {usage}")
    rates = rates_for(price, usage.input + usage.cached + usage.cache_write)
    return ceil(
        usage.input * rates.input
        + usage.cached * rates.cached
        + usage.cache_write * rates.cache_write
        + usage.output * rates.output
        + usage.reasoning * rates.reasoning
    )


def rates_for(price: Price, prompt_tokens: int) -> Rates:
    """The rates that hold for a whole request with a prompt of so many tokens, cached ones included.

    Raises:
        ValueError: a price is no number of usd a token.
    """
    above = max((begins for begins in price.above if prompt_tokens > begins), default=None)
    return _rates(price if above is None else price.above[above])


def reachable(price: Price, most_prompt_tokens: int) -> Iterator[Rates]:
    """The rates of every tier that a prompt of at most so many tokens may be billed at.

    A dearer tier need not be a later one, so whoever wants the worst looks at all of them.

    Raises:
        ValueError: a price is no number of usd a token.
    """
    yield _rates(price)
    for begins, tier in price.above.items():
        if most_prompt_tokens > begins:
            yield _rates(tier)


def usd_per_token(text: str) -> Fraction:
    """Read a price in usd a token.

    Raises:
        ValueError: it is not a number between 0 and a million, of at most 60 characters and not below 1e-40.
    """
    try:
        number = Decimal(text if len(text) <= _CHARACTERS else "NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or not 0 <= number <= _DEAREST_USD or (number and number.adjusted() < _SMALLEST_EXPONENT):
        raise ValueError(f"a price must be a number of usd between 0 and {_DEAREST_USD}, not {text[:_CHARACTERS]!r}")
    return Fraction(number)


@lru_cache(maxsize=4096)
def _nano(text: str) -> Fraction:
    return usd_per_token(text) * NANO


def _rates(price: Price) -> Rates:
    """A tier is a price of its own: what it does not name costs what its own input or output costs."""
    read, written = _nano(price.input), _nano(price.output)
    return Rates(
        input=read,
        cached=read if price.cached is None else _nano(price.cached),
        cache_write=read if price.cache_write is None else _nano(price.cache_write),
        output=written,
        reasoning=written if price.reasoning is None else _nano(price.reasoning),
    )
