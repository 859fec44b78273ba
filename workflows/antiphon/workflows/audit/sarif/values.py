"""Reading JSON that may hold anything anywhere: what has the wrong type is as if it were not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

LARGEST_PLACE = 1_000_000_000

Object = Mapping[str, Any]


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether it is a JSON object; of JSON, whose keys are all text."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[Any]]:
    """Whether it is a JSON array."""
    return isinstance(value, list)


def at(value: object, *path: str | int) -> Any:
    """What is at a path of keys and indexes, or None."""
    for step in path:
        if isinstance(step, str) and is_object(value):
            value = value.get(step)
        elif isinstance(step, int) and is_array(value) and 0 <= step < len(value):
            value = value[step]
        else:
            return None
    return value


def text_at(value: object, *path: str | int) -> str:
    """The text at a path, or ""."""
    found = at(value, *path)
    return found if isinstance(found, str) else ""


def object_at(value: object, *path: str | int) -> Object:
    """The object at a path, or an empty one."""
    found = at(value, *path)
    return found if is_object(found) else {}


def items_at(value: object, *path: str | int) -> list[Any]:
    """The array at a path, or an empty one."""
    found = at(value, *path)
    return found if is_array(found) else []


def objects_at(value: object, *path: str | int) -> Iterator[Object]:
    """The objects in the array at a path."""
    return (item for item in items_at(value, *path) if is_object(item))


def place_at(value: object, *path: str | int) -> int | None:
    """A line or column counted from 1 at a path; None for what is none."""
    found = index_at(value, *path)
    return found if found and found <= LARGEST_PLACE else None


def index_at(value: object, *path: str | int) -> int | None:
    """A whole number that is not negative at a path, or None."""
    found = at(value, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else None
