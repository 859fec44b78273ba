"""Amounts: what something costs, as an exact vector of integers.

Money is counted in nano-usd (1e-9 usd) and agent time in nanoseconds, so that adding ten thousand
attempts never drifts; `Decimal`, strings and floats live only at the edges. An amount keeps only its
non-zero dimensions: a budget touches each one on every account of a chain, and most are zero.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Final, Literal, final, get_args

from antiphon.tracing.log import Json

Dimension = Literal[
    "usd",
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "model_calls",
    "agent_calls",
    "tool_calls",
    "agent_seconds",
]
"""What is metered: everything that adds up. Wall time and depth do not, so they are scopes and not dimensions."""

DIMENSIONS: Final[tuple[Dimension, ...]] = get_args(Dimension)
INDEX: Final[Mapping[str, int]] = {name: index for index, name in enumerate(DIMENSIONS)}
"""The place of each dimension in a budget's vectors."""

NANO: Final = 1_000_000_000
SCALED: Final = frozenset({"usd", "agent_seconds"})
"""The dimensions that are counted in units of 1e-9."""

Pairs = tuple[tuple[int, int], ...]
"""Non-zero components, as (index of the dimension, count) in the order of `DIMENSIONS`."""

Number = Decimal | str | int | float
"""How money and seconds may be given at the edges; a float is read as the decimal it prints as."""

# Far above any bill and far below what would make the integers themselves expensive.
_DIGITS: Final = 30


def to_nano(value: Number, *, up: bool = True) -> int:
    """Count `value` in units of 1e-9, exactly.

    Args:
        value: Usd or seconds.
        up: Whether a fraction below 1e-9 rounds up (what something costs) or down (what may be spent).

    Raises:
        ValueError: The value is not a finite number between 0 and 1e30.
    """
    try:
        number = Decimal(repr(value) if isinstance(value, float) else value)
    except (InvalidOperation, TypeError):
        number = Decimal("NaN")
    if isinstance(value, bool) or not number.is_finite() or number < 0 or number.adjusted() > _DIGITS:
        raise ValueError(f"must be a number between 0 and 1e{_DIGITS}, not {value!r}")
    if number.adjusted() < -_DIGITS:
        return int(up and number > 0)
    numerator, denominator = number.as_integer_ratio()
    return -(-numerator * NANO // denominator) if up else numerator * NANO // denominator


def from_nano(count: int) -> Decimal:
    """The usd or seconds that `count` units of 1e-9 are, exactly and without trailing zeros."""
    whole, rest = divmod(abs(count), NANO)
    digits = f"{rest:09d}".rstrip("0")
    return Decimal(f"{'-' if count < 0 else ''}{whole}{'.' if digits else ''}{digits}")


def in_words(dimension: Dimension, count: int) -> str:
    """Say a raw count as a person would: `0.03 usd`, `3 model_calls`."""
    return f"{from_nano(count):f} {dimension}" if dimension in SCALED else f"{count} {dimension}"


@final
class Amount:
    """What something costs: an immutable vector over `DIMENSIONS`, never negative.

    Comparison is componentwise and therefore partial: `a <= b` says that `a` fits into `b` in every
    dimension, and neither of two amounts need fit into the other.
    """

    __slots__ = ("pairs",)

    pairs: Pairs

    def __init__(
        self,
        *,
        usd: Number = 0,
        input_tokens: int = 0,
        cached_input_tokens: int = 0,
        cache_write_tokens: int = 0,
        output_tokens: int = 0,
        reasoning_tokens: int = 0,
        model_calls: int = 0,
        agent_calls: int = 0,
        tool_calls: int = 0,
        agent_seconds: Number = 0,
    ) -> None:
        """Build an amount from what a person or a provider says.

        Args:
            usd: Money in usd; fractions below 1e-9 round up.
            input_tokens: Input tokens that came from no cache.
            cached_input_tokens: Input tokens read from a provider's cache.
            cache_write_tokens: Input tokens written to a provider's cache.
            output_tokens: Output tokens without reasoning.
            reasoning_tokens: Output tokens of hidden reasoning.
            model_calls: Requests to a model provider.
            agent_calls: Subagents admitted.
            tool_calls: Tools called by subagents.
            agent_seconds: Active time of subagents in seconds; fractions below 1e-9 round up.

        Raises:
            ValueError: A component is negative, not finite or not a number.
        """
        counts = (
            to_nano(usd) if usd != 0 else 0,
            input_tokens,
            cached_input_tokens,
            cache_write_tokens,
            output_tokens,
            reasoning_tokens,
            model_calls,
            agent_calls,
            tool_calls,
            to_nano(agent_seconds) if agent_seconds != 0 else 0,
        )
        object.__setattr__(self, "pairs", _checked(counts))

    @classmethod
    def of(cls, pairs: Iterable[tuple[int, int]]) -> "Amount":
        """Wrap components that are known to be positive and in order; nothing is checked."""
        self = cls.__new__(cls)
        object.__setattr__(self, "pairs", tuple(pairs))
        return self

    @classmethod
    def of_counts(cls, counts: Iterable[int]) -> "Amount":
        """Wrap one raw count per dimension, in the order of `DIMENSIONS`; counts of zero or less are left out."""
        return cls.of((index, count) for index, count in enumerate(counts) if count > 0)

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> "Amount":
        """Read what `to_json` wrote.

        Raises:
            ValueError: A key is no dimension, or a value is not a whole number of at least 0.
        """
        unknown = next((name for name in data if name not in INDEX), None)
        if unknown is not None:
            raise ValueError(f"an amount has no dimension {unknown!r}")
        return cls.of(_checked(tuple(data.get(name, 0) for name in DIMENSIONS)))

    @classmethod
    def total(cls, amounts: Iterable["Amount"]) -> "Amount":
        """Add up any number of amounts."""
        counts = [0] * len(DIMENSIONS)
        for amount in amounts:
            for index, count in amount.pairs:
                counts[index] += count
        return cls.of_counts(counts)

    def to_json(self) -> dict[str, Json]:
        """The non-zero dimensions by name: usd in nano-usd, agent_seconds in nanoseconds, all else as counts."""
        return {DIMENSIONS[index]: count for index, count in self.pairs}

    def count(self, dimension: Dimension) -> int:
        """The raw count of one dimension (nano-usd, nanoseconds, tokens, calls)."""
        wanted = INDEX[dimension]
        return next((count for index, count in self.pairs if index == wanted), 0)

    def counts(self) -> list[int]:
        """One raw count per dimension, in the order of `DIMENSIONS`, as a new list."""
        counts = [0] * len(DIMENSIONS)
        for index, count in self.pairs:
            counts[index] = count
        return counts

    @property
    def dimensions(self) -> frozenset[int]:
        """The indexes of the non-zero dimensions."""
        return frozenset(index for index, _ in self.pairs)

    @property
    def usd(self) -> Decimal:
        """The money, in usd."""
        return from_nano(self.count("usd"))

    @property
    def agent_seconds(self) -> Decimal:
        """The active agent time, in seconds."""
        return from_nano(self.count("agent_seconds"))

    def beyond(self, other: "Amount") -> "Amount":
        """What is left of this amount after taking `other` away, at least zero in every dimension."""
        theirs = other.counts()
        return Amount.of((index, count - theirs[index]) for index, count in self.pairs if count > theirs[index])

    def common(self, other: "Amount") -> "Amount":
        """The smaller of the two in every dimension."""
        theirs = other.counts()
        return Amount.of((index, min(count, theirs[index])) for index, count in self.pairs if theirs[index])

    def __add__(self, other: "Amount") -> "Amount":
        if not other.pairs:
            return self
        if not self.pairs:
            return other
        counts = dict(self.pairs)
        for index, count in other.pairs:
            counts[index] = counts.get(index, 0) + count
        return Amount.of(sorted(counts.items()))

    def __sub__(self, other: "Amount") -> "Amount":
        """Take away what is contained; `beyond` is the one that stops at zero.

        Raises:
            ValueError: `other` does not fit into this amount.
        """
        if not other <= self:
            raise ValueError(f"{other} is not contained in {self}")
        return self.beyond(other)

    def __le__(self, other: "Amount") -> bool:
        theirs = other.counts()
        return all(count <= theirs[index] for index, count in self.pairs)

    def __ge__(self, other: "Amount") -> bool:
        return other <= self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Amount) and self.pairs == other.pairs

    def __hash__(self) -> int:
        return hash(self.pairs)

    def __bool__(self) -> bool:
        return bool(self.pairs)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"an Amount is immutable; cannot set {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"an Amount is immutable; cannot delete {name}")

    def __reduce__(self) -> tuple[object, tuple[Pairs]]:
        return Amount.of, (self.pairs,)

    def __repr__(self) -> str:
        inside = (
            f"{DIMENSIONS[i]}={f'{from_nano(count):f}'!r}" if DIMENSIONS[i] in SCALED else f"{DIMENSIONS[i]}={count}"
            for i, count in self.pairs
        )
        return f"Amount({', '.join(inside)})"

    def __str__(self) -> str:
        return ", ".join(in_words(DIMENSIONS[index], count) for index, count in self.pairs) or "nothing"


def _checked(counts: tuple[object, ...]) -> Pairs:
    """Keep the non-zero counts, after making sure that each is a whole number of at least zero."""
    for name, count in zip(DIMENSIONS, counts, strict=True):
        if type(count) is not int or count < 0:
            raise ValueError(f"{name} must be a whole number of at least 0, not {count!r}")
    return tuple((index, count) for index, count in enumerate(counts) if isinstance(count, int) and count)


NOTHING: Final = Amount()
"""The empty amount."""

ONE_AGENT: Final = Amount(agent_calls=1)
"""What every agent call costs by beginning."""


def add_to(counts: list[int], pairs: Pairs, sign: int = 1) -> None:
    """Add components to a vector of raw counts, in place; with a sign of -1 take them away."""
    for index, count in pairs:
        counts[index] += sign * count
