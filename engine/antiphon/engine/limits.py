"""Limits: what a run or a branch may use at most. Configuration only; the meter is `antiphon.engine.budget`."""

import difflib
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from antiphon.engine.amount import DIMENSIONS, INDEX, SCALED, Amount, to_nano
from antiphon.tracing.errors import AntiphonError


class LimitsError(AntiphonError):
    """Limits that cannot be read: an unknown name, or a value that is not a limit.

    Attributes:
        problems: One sentence for each thing that is wrong.
    """

    exit_code = 2

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(
            f"The limits cannot be read: {'; '.join(problems)}.", advice=f"the limits are {', '.join(LIMIT_NAMES)}"
        )


class TopUpError(AntiphonError):
    """A `--budget` text that cannot be read.

    Attributes:
        text: What was typed.
        reason: What is wrong with it.
    """

    exit_code = 2

    def __init__(self, text: str, reason: str) -> None:
        self.text = text
        self.reason = reason
        super().__init__(
            f"The top-up {text!r} cannot be read: {reason}.", advice="write it like --budget +2usd,+500agent_calls"
        )


def _not_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number, not a bool")
    return value


def _money(value: object) -> object:
    """Read floats as the decimals they print as, so that 0.1 is a tenth."""
    return repr(value) if isinstance(_not_bool(value), float) else value


def _bounded(value: Decimal) -> Decimal:
    to_nano(value)
    return value


Count = Annotated[int, Field(strict=True, ge=0)]
Usd = Annotated[Decimal, BeforeValidator(_money), AfterValidator(_bounded)]
Seconds = Annotated[float, BeforeValidator(_not_bool), Field(ge=0, le=1e12, allow_inf_nan=False)]


class Limits(BaseModel):
    """What may be used at most; `None` means that this is not limited here (an outer limit still holds).

    Attributes:
        usd: Money in usd; fractions below 1e-9 are not usable.
        input_tokens: Input tokens that came from no cache.
        cached_input_tokens: Input tokens read from a provider's cache.
        cache_write_tokens: Input tokens written to a provider's cache.
        output_tokens: Output tokens without reasoning.
        reasoning_tokens: Output tokens of hidden reasoning.
        model_calls: Requests to a model provider.
        agent_calls: Subagents admitted.
        tool_calls: Tools called by subagents.
        agent_seconds: Active time of all subagents together, in seconds.
        wall_seconds: Time on the clock, in seconds; a scope and not an account.
        depth: How many workflows may be nested inside this one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    usd: Usd | None = None
    input_tokens: Count | None = None
    cached_input_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    output_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    model_calls: Count | None = None
    agent_calls: Count | None = None
    tool_calls: Count | None = None
    agent_seconds: Seconds | None = None
    wall_seconds: Seconds | None = None
    depth: Count | None = None

    @classmethod
    def parse(cls, literal: Mapping[str, object]) -> "Limits":
        """Read the limits of a manifest, or of a call: `{"usd": "5", "agent_calls": 400, "wall_seconds": 1800}`.

        Raises:
            LimitsError: A name is unknown or a value is no limit; every problem is named, in one sentence each.
        """
        try:
            return cls.model_validate(dict(literal))
        except ValidationError as error:
            problems = [_sentence(found["type"], found["loc"], found["msg"], literal) for found in error.errors()]
        raise LimitsError(problems)

    def ceilings(self) -> list[int | None]:
        """The raw limit of each dimension in the order of `DIMENSIONS`, fractions below 1e-9 rounded down."""
        values: list[Decimal | float | int | None] = [getattr(self, name) for name in DIMENSIONS]
        return [
            value if value is None or (isinstance(value, int) and name not in SCALED) else to_nano(value, up=False)
            for name, value in zip(DIMENSIONS, values, strict=True)
        ]

    def narrowed_by(self, inner: "Limits") -> "Limits":
        """The limits that hold inside both: the smaller of each, so that an inner scope can only narrow."""
        ours, theirs = self.model_dump(exclude_none=True), inner.model_dump(exclude_none=True)
        return Limits(**{name: _smaller(ours.get(name), theirs.get(name)) for name in {*ours, *theirs}})

    def to_json(self) -> dict[str, str | int | float]:
        """What `parse` reads back: the limits that are set, money as a string."""
        return {
            name: str(value) if isinstance(value, Decimal) else value
            for name, value in self.model_dump(exclude_none=True).items()
        }


LIMIT_NAMES: Final = tuple(Limits.model_fields)


def _smaller(ours: Any, theirs: Any) -> Any:
    return theirs if ours is None else ours if theirs is None else min(ours, theirs)


def _sentence(kind: str, where: tuple[int | str, ...], message: str, literal: Mapping[str, object]) -> str:
    """Turn one pydantic problem into a sentence that names the limit."""
    name = str(where[0]) if where else "limits"
    if kind == "extra_forbidden":
        return f"there is no limit {name!r}{_meant(name, LIMIT_NAMES)}"
    if name not in LIMIT_NAMES:
        return f"{name}: {message}"
    number = "a number" if name in ("usd", "agent_seconds", "wall_seconds") else "a whole number"
    return f"the limit {name} must be {number} of at least 0, not {literal.get(name)!r}"


def _meant(name: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


_TERM: Final = re.compile(r"\+?\s*(?P<number>[0-9][0-9_]*(?:\.[0-9]+)?|\.[0-9]+)\s*(?P<dimension>[a-z_]+)")


def parse_top_up(text: str) -> Amount:
    """Read what `resume --budget` was given: `+2usd`, `+500agent_calls`, `2usd,+10model_calls`.

    Returns:
        What to add to the run's own limit; seconds of `agent_seconds` and usd may have a fraction.

    Raises:
        TopUpError: The text is no list of numbers with dimensions, names one twice, or adds nothing.
    """
    amounts: dict[str, Amount] = {}
    for term in text.split(","):
        dimension, amount = _term(text, term.strip())
        if dimension in amounts:
            raise TopUpError(text, f"{dimension} is there twice")
        amounts[dimension] = amount
    return Amount.total(amounts.values())


def _term(text: str, term: str) -> tuple[str, Amount]:
    match = _TERM.fullmatch(term)
    if match is None:
        raise TopUpError(text, f"{term!r} is not a number with a dimension" if term else "a part of it is empty")
    number, dimension = match["number"].replace("_", ""), match["dimension"]
    if dimension not in INDEX:
        raise TopUpError(text, _no_dimension(dimension))
    if dimension not in SCALED and "." in number:
        raise TopUpError(text, f"{dimension} must be a whole number, not {number}")
    if not Decimal(number):
        raise TopUpError(text, f"it adds no {dimension}")
    count = to_nano(number) if dimension in SCALED else int(number)
    return dimension, Amount.from_json({dimension: count})


def _no_dimension(name: str) -> str:
    scopes: tuple[Literal["wall_seconds"], Literal["depth"]] = ("wall_seconds", "depth")
    if name in scopes:
        return f"{name} is a scope and not part of the budget"
    return f"there is no dimension {name!r}{_meant(name, DIMENSIONS)}; there are {', '.join(DIMENSIONS)}"
