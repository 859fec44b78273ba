"""Numbers, times and outcomes in words."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

STYLE_OF: Final = {
    "succeeded": "good",
    "completed": "good",
    "ok": "good",
    "degraded": "warn",
    "paused": "warn",
    "running": "warn",
    "interrupted": "warn",
    "failed": "bad",
    "timed_out": "bad",
    "over_budget": "bad",
    "denied": "bad",
    "damaged": "bad",
    "stopped": "warn",
    "cancelled": "dim",
    "skipped": "dim",
    "cleaned": "dim",
}
FAILURES: Final = ("failed", "timed_out", "over_budget", "denied")
_ORDER: Final = ("succeeded", "degraded", *FAILURES, "cancelled", "skipped")


def said(kind: str) -> str:
    """An outcome's kind as a person reads it."""
    return kind.replace("_", " ")


def duration(seconds: float) -> str:
    """A length of time: `0.3 s`, `12 s`, `3m 05s`, `2h 03m`."""
    seconds = max(0.0, seconds)
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}m" if hours else f"{minutes}m {rest:02d}s"


def moment(at: float) -> str:
    """A point in time, local, to the second; a question mark for one that no calendar has."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
    except (OverflowError, ValueError, OSError):
        return "?"


def size(count: int) -> str:
    """Bytes as a person reads them."""
    value = float(count)
    for unit in ("bytes", "KB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{count} bytes" if unit == "bytes" else f"{value:.1f} {unit}"


def plural(count: int, one: str, many: str = "") -> str:
    """`1 call`, `2 calls`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def quantity(dimension: str, count: int) -> str:
    """One dimension of an amount without its name: money in usd, time as a duration, all else as a number."""
    from antiphon.engine.amount import SCALED, from_nano

    if dimension == "usd":
        return f"{from_nano(count):,f}"
    return duration(count / 1e9) if dimension in SCALED else f"{count:,}"


def amount(pairs: Mapping[str, Any], only: tuple[str, ...] = ()) -> str:
    """What something cost, in words; dimensions in their fixed order, `only` those named if any are."""
    from antiphon.engine.amount import DIMENSIONS

    known: list[str] = [name for name in DIMENSIONS if not only or name in only]
    found = [(name, pairs.get(name)) for name in known]
    words = [
        f"{quantity(name, count)} {_unit(name, count)}" for name, count in found if isinstance(count, int) and count
    ]
    return ", ".join(words) or "nothing"


def _unit(dimension: str, count: int) -> str:
    words = {"agent_seconds": "of agent time"}.get(dimension, dimension.replace("_", " "))
    return words.removesuffix("s") if count == 1 else words


def counts(table: Mapping[str, Any]) -> str:
    """Outcomes by kind, the usual ones first: `118 succeeded, 2 failed`."""
    names = [*_ORDER, *sorted(name for name in table if name not in _ORDER and name not in ("planned", "started"))]
    found = [(name, table.get(name)) for name in names]
    return ", ".join(f"{count:,} {said(name)}" for name, count in found if isinstance(count, int) and count)


def total(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """The sum of censuses over all phases."""
    result: dict[str, int] = {}
    for table in tables.values():
        for name, count in table.items():
            if isinstance(count, int):
                result[name] = result.get(name, 0) + count
    return result
