"""Who owns which files: exact paths and whole folders (``dir/**``), compared as any file system would."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Final

ALL: Final = "/**"
_LONGEST: Final = 240
_FORBIDDEN: Final = frozenset('\\*?[]{}:"<>|')
_BYPRODUCTS: Final = frozenset(
    {
        "__pycache__",
        ".pytest_cache",
        ".mypy_cache",
        ".ruff_cache",
        ".hypothesis",
        ".coverage",
        ".venv",
        "node_modules",
        "target",
    }
)
"""What tools leave where they run: nobody's work, so it is taken away without a word."""


def problem_of(pattern: str) -> str:
    """What is wrong with a pattern of ownership; "" if nothing is."""
    path = pattern.removesuffix(ALL)
    parts = path.split("/")
    if not path or len(path) > _LONGEST:
        return f"must be a path of 1 to {_LONGEST} characters"
    if path.startswith(("/", "~")) or any(part in ("", ".", "..") for part in parts):
        return "must be a plain path inside the project, without '.', '..', '~' or empty parts"
    if any(part.casefold() == ".git" for part in parts):
        return "must not be in .git"
    if any(letter in _FORBIDDEN or unicodedata.category(letter)[0] == "C" for letter in path):
        return "must be an exact path, or a folder followed by /**; no other patterns"
    return ""


def folded(path: str) -> str:
    """A path as the least particular file system tells it from others: by neither case nor composition."""
    return unicodedata.normalize("NFC", path).casefold()


def owns(patterns: Iterable[str], path: str) -> bool:
    """Whether a file belongs to one of the patterns, to the letter."""
    return any(_contains(pattern, path) for pattern in patterns)


def within(inner: str, outer: Iterable[str]) -> bool:
    """Whether all that a pattern owns belongs to one of `outer`."""
    return any(_contains(each, inner) for each in outer)


def overlap(one: str, other: str) -> bool:
    """Whether two patterns could be about the same file, or one about a folder that the other takes for a file."""
    first, second = folded(one.removesuffix(ALL)), folded(other.removesuffix(ALL))
    return first == second or first.startswith(second + "/") or second.startswith(first + "/")


def is_byproduct(path: str) -> bool:
    """Whether it is something that tools leave behind."""
    parts = path.split("/")
    return any(part in _BYPRODUCTS or part.endswith(".egg-info") for part in parts) or path.endswith((".pyc", ".pyo"))


def _contains(outer: str, inner: str) -> bool:
    outer, inner = unicodedata.normalize("NFC", outer), unicodedata.normalize("NFC", inner)
    if outer == inner:
        return True
    return outer.endswith(ALL) and inner.removesuffix(ALL).startswith(outer.removesuffix(ALL) + "/")
