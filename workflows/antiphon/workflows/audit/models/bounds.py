"""What a person lets an audit use: `--budget 5usd --max-agents 300 --deadline 30m`, as the run's own limits."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from antiphon.engine import Limits, UsageError, parse_top_up
from antiphon.engine.amount import DIMENSIONS, NANO, SCALED

_DURATION: Final = re.compile(r"(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m)?(?:(?P<seconds>\d+)s?)?")
_LONGEST_SECONDS: Final = 30 * 24 * 3600


def bounds(budget: str = "", max_agents: int = 0, deadline_seconds: float = 0.0) -> Limits:
    """The limits that these stand for; what is empty or 0 limits nothing.

    Raises:
        TopUpError: the budget cannot be read.
    """
    amount = parse_top_up(budget) if budget else None
    counts = dict(zip(DIMENSIONS, amount.counts(), strict=True)) if amount is not None else {}
    given: dict[str, object] = {
        name: Decimal(count) / NANO if name in SCALED else count for name, count in counts.items() if count
    }
    if "agent_seconds" in given:
        given["agent_seconds"] = float(counts["agent_seconds"] / NANO)
    said = Limits.parse(given)
    more = Limits(agent_calls=max_agents or None, wall_seconds=deadline_seconds or None)
    return said.narrowed_by(more)


def seconds_of(text: str) -> float:
    """Read a time such as ``30m``, ``1h30m``, ``45s`` or ``90``: seconds.

    Raises:
        UsageError: it is none, or longer than a month.
    """
    found = _DURATION.fullmatch(text.strip())
    parts = {name: int(value) for name, value in found.groupdict().items() if value} if found else {}
    seconds = parts.get("hours", 0) * 3600 + parts.get("minutes", 0) * 60 + parts.get("seconds", 0)
    if not 0 < seconds <= _LONGEST_SECONDS:
        raise UsageError(f"--deadline {text[:40]!r} is no time", advice="write it like --deadline 30m, 1h30m or 45s")
    return float(seconds)
