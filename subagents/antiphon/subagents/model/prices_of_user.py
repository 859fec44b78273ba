"""Prices that a person states: after `--price`, and in a table of the configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import cast

from antiphon.engine import UsageError
from antiphon.subagents.model.contract import Price
from antiphon.subagents.model.price import usd_per_token

_FORM = "NAME=IN/OUT[/CACHED[/WRITE]], in usd per million tokens"
_MILLION = 6
_TOKENS = re.compile(r"[0-9]{1,12}")
_KEYS = ("input", "output", "cached", "cache_write", "reasoning")


class PriceError(UsageError):
    """A price that cannot be read.

    Attributes:
        text: what was written. problem: what is wrong with it.
    """

    def __init__(self, text: str, problem: str) -> None:
        self.text, self.problem = text, problem
        super().__init__(f"the price {text[:200]!r} cannot be read: {problem}", advice=f"write it like {_FORM}")


def parse_price(text: str) -> tuple[str, Price]:
    """Read what followed `--price`: ``openai/my-model=1.25/10/0.125``.

    Returns:
        The model's name, and its price a token.

    Raises:
        PriceError: there is no name, or no two to four numbers of at least 0.
    """
    name, equals, numbers = text.rpartition("=")
    if not equals or not name.strip():
        raise PriceError(text, "it names no model")
    return name.strip(), _of_text(text, numbers)


def read_prices(table: Mapping[str, object]) -> dict[str, Price]:
    """Read `[tool.antiphon.prices]`: models' names, each with ``"IN/OUT[/CACHED[/WRITE]]"`` or a table.

    A table has `input` and `output`, and may have `cached`, `cache_write`, `reasoning` and `above`: further tables, by
    the length of a prompt in tokens beyond which they hold. All are usd per million tokens.

    Raises:
        PriceError: an entry cannot be read; the first is named.
    """
    return {name: _entry(name, value) for name, value in table.items()}


def _entry(name: str, value: object) -> Price:
    if isinstance(value, str):
        return _of_text(f"{name}={value}", value)
    if not isinstance(value, Mapping):
        raise PriceError(name, "it is neither a text nor a table")
    return _of_table(name, cast("Mapping[object, object]", value))


def _of_text(text: str, numbers: str) -> Price:
    parts = numbers.split("/")
    if not 2 <= len(parts) <= 4:
        raise PriceError(text, "it needs two to four numbers with / between them")
    read, written, *rest = (_a_token(text, part) for part in parts)
    return Price(
        input=read,
        output=written,
        cached=rest[0] if rest else None,
        cache_write=rest[1] if len(rest) > 1 else None,
    )


def _of_table(name: str, table: Mapping[object, object]) -> Price:
    unknown = next((key for key in table if key not in (*_KEYS, "above")), None)
    if unknown is not None:
        raise PriceError(name, f"there is no {unknown!r} in a price; there are {', '.join(_KEYS)} and above")
    given = {str(key): _a_token(f"{name}.{key}", table[key]) for key in _KEYS if key in table}
    missing = next((key for key in ("input", "output") if key not in given), None)
    if missing is not None:
        raise PriceError(name, f"it says no {missing}")
    return Price(
        input=given["input"],
        output=given["output"],
        cached=given.get("cached"),
        cache_write=given.get("cache_write"),
        reasoning=given.get("reasoning"),
        above=_above(name, table.get("above", {})),
    )


def _above(name: str, tiers: object) -> dict[int, Price]:
    if not isinstance(tiers, Mapping):
        raise PriceError(f"{name}.above", "it is no table of tables")
    found: dict[int, Price] = {}
    for begins, tier in cast("Mapping[object, object]", tiers).items():
        place = f"{name}.above.{begins}"
        sound = isinstance(begins, str | int) and _TOKENS.fullmatch(str(begins))
        if not sound or not isinstance(tier, Mapping) or "above" in tier:
            raise PriceError(place, "it is no table of prices by a number of tokens")
        found[int(str(begins))] = _of_table(place, cast("Mapping[object, object]", tier))
    return found


def _a_token(text: str, part: object) -> str:
    """The price of one token, as decimal text, of a price for a million."""
    try:
        written = _written(part)
        usd_per_token(written)  # so that an exponent of millions is never computed with
        price = format(Decimal(written).scaleb(-_MILLION).normalize(), "f")
        usd_per_token(price)
    except ValueError:
        raise PriceError(text, "a price is a number between 0 and a million, and not absurdly small") from None
    return price


def _written(part: object) -> str:
    if isinstance(part, bool) or not isinstance(part, str | int | float):
        raise ValueError("no number")
    return repr(part) if isinstance(part, float) else str(part).strip()
