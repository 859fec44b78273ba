"""What providers allow: requests and tokens by the minute, and how many at once; as a person states it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from antiphon.engine import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What a provider allows, and how its gate opens.

    Attributes:
        requests_per_minute: None for no limit known.
        tokens_per_minute: input and output together; None for no limit known.
        most_in_flight: None for as many as there are permits.
        start: how many are sent before the first answer came; None for as many as there are, without a window.
        jitter_seconds: over how long the first requests are spread.
        failing_requests, failing_calls, failing_rounds: how many requests, of how many calls, in how many round trips
            have to fail in a row for the provider to be taken as failing.
        failing_crowded_rounds: the same where it only says that there are too many: the window has to become small.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    most_in_flight: int | None = None
    start: int | None = 4
    jitter_seconds: float = 0.05
    failing_requests: int = 20
    failing_calls: int = 10
    failing_rounds: int = 3
    failing_crowded_rounds: int = 10

    def __post_init__(self) -> None:
        counts = (self.requests_per_minute, self.tokens_per_minute, self.most_in_flight, self.start)
        if any(count is not None and count < 1 for count in counts):
            raise ValueError(f"rates must be at least 1, or None for no limit, not {counts}")


PATIENT = Rates(start=None)
"""For whoever answers at a pace of his own, such as a person: everything is put before him at once."""

_FORM = "PROVIDER=500rpm,200000tpm,32 (requests and tokens by the minute, and how many at once; any of them)"
_BY_MINUTE = {"rpm": "requests_per_minute", "tpm": "tokens_per_minute", "": "most_in_flight"}


class RatesError(UsageError):
    """Rates that cannot be read.

    Attributes:
        text: what was written. problem: what is wrong with it.
    """

    def __init__(self, text: str, problem: str) -> None:
        self.text, self.problem = text, problem
        super().__init__(f"the rates {text!r} cannot be read: {problem}", advice=f"write them like {_FORM}")


def read_rates(texts: Iterable[str]) -> dict[str, Rates]:
    """Rates as a person states them: ``openai=500rpm,200000tpm,32``, by provider or by a model's whole name.

    Raises:
        RatesError: one cannot be read; the first is named.
    """
    read: dict[str, Rates] = {}
    for text in texts:
        name, equals, limits = text.rpartition("=")
        if not equals or not name.strip():
            raise RatesError(text, "it names no provider")
        read[name.strip()] = _rates(text, limits, read.get(name.strip(), Rates()))
    return read


def _rates(text: str, limits: str, rates: Rates) -> Rates:
    for limit in limits.split(","):
        plain = limit.strip().replace("_", "")
        number = plain.rstrip("abcdefghijklmnopqrstuvwxyz")
        unit = plain[len(number) :]
        if unit not in _BY_MINUTE or not (number.isascii() and number.isdecimal()) or not 0 < int(number[:15]) < 10**12:
            raise RatesError(text, f"{limit.strip()[:40]!r} is no limit of at least 1")
        rates = replace(rates, **{_BY_MINUTE[unit]: int(number)})
    return rates
