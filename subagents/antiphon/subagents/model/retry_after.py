"""How long a provider asks to wait: the Retry-After header in both of its forms, and what is absurd in either."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite

_MILLISECONDS = 1_000.0
_FORMS = (
    "%a, %d %b %Y %H:%M:%S GMT",
    "%A, %d-%b-%y %H:%M:%S GMT",
    "%a %b %d %H:%M:%S %Y",
    "%a, %d %b %Y %H:%M:%S %z",
)
"""RFC 9110, 5.6.7; and what mail writes."""
_LONGEST = 60


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """The seconds that an answer asks to wait, by ``retry-after-ms`` or ``Retry-After`` (RFC 9110, 10.2.3).

    A date is read against the answer's own ``Date``, where it has one: so the two clocks need not agree.

    Args:
        headers: of the answer; upper and lower case are the same.
        now: unix seconds; by default the time it is.

    Returns:
        Seconds of at least 0, however many: how long one really waits is for whoever waits to say. None where nothing
        is asked, or what is asked is neither a finite number nor a date.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    milliseconds = _number(lower.get("retry-after-ms", ""))
    if milliseconds is not None:
        return max(0.0, milliseconds / _MILLISECONDS)
    asked = lower.get("retry-after", "")
    seconds = _number(asked)
    if seconds is None:
        seconds = _until(asked, lower.get("date", ""), time.time() if now is None else now)
    return None if seconds is None else max(0.0, seconds)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) and "_" not in text else None


def _until(date: str, said_at: str, now: float) -> float | None:
    then = _unix_seconds(date)
    if then is None:
        return None
    said = _unix_seconds(said_at)
    return then - (now if said is None else said)


def _unix_seconds(date: str) -> float | None:
    """A date of HTTP, in any of its three forms or with a zone of its own, in unix seconds."""
    for form in _FORMS if len(date) <= _LONGEST else ():
        try:
            read = datetime.strptime(date.strip(), form)
            return (read if read.tzinfo is not None else read.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            continue
    return None
