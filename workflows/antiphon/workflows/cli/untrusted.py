"""Reading values out of a log that may come from anybody: what is not of the right type is not there."""

from __future__ import annotations

from typing import Any


def mapping(value: object) -> dict[str, Any]:
    """The value if it is an object, else an empty one."""
    given: Any = value
    found: dict[str, Any] = given if isinstance(value, dict) else {}
    return found


def sequence(value: object) -> list[Any]:
    """The value if it is a list, else an empty one."""
    given: Any = value
    found: list[Any] = given if isinstance(value, list) else []
    return found


def mappings(value: object) -> dict[str, dict[str, Any]]:
    """The entries of an object that are objects themselves."""
    found = {name: mapping(entry) for name, entry in mapping(value).items()}
    return {name: entry for name, entry in found.items() if entry}


def text(value: object, longest: int = 10_000) -> str:
    """The value if it is a text, cut at a length, else an empty one."""
    return value[:longest] if isinstance(value, str) else ""


def shallow(value: object, levels: int = 50) -> Any:
    """The value, with what is nested more deeply than so many levels left out: encoding it again must not fail."""
    given: Any = value
    if not isinstance(value, dict | list):
        return value
    if not levels:
        return "(nested too deeply)"
    if isinstance(value, dict):
        return {name: shallow(entry, levels - 1) for name, entry in mapping(given).items()}
    return [shallow(entry, levels - 1) for entry in sequence(given)]
