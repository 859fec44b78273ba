"""Reading values out of JSON that may come from anybody: what is not of the right type is not there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

_LONGEST_CHARACTERS = 20_000


def table(value: object) -> dict[str, Any]:
    """The value if it is an object, else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def tables(value: object) -> list[dict[str, Any]]:
    """The entries of a list, each as `table` gives it, so that indices stay what they are."""
    return [table(entry) for entry in sequence(value)]


def sequence(value: object) -> list[object]:
    """The value if it is a list, else an empty one."""
    return cast("list[object]", value) if isinstance(value, list) else []


def first(found: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The first of them, or an empty one."""
    empty: dict[str, Any] = {}
    return next(iter(found), empty)


def text(value: object) -> str:
    """The value if it is a text, cut at a length, else an empty one."""
    return value[:_LONGEST_CHARACTERS] if isinstance(value, str) else ""


def number(value: object, *, least: int = 0) -> int:
    """The value if it is a whole number of at least `least`, else `least` - 1."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= least else least - 1
