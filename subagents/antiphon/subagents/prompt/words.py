"""Text as a search sees it: words, identifiers with their parts, and stretches of lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

MOST_LINES: Final = 40
MOST_BYTES: Final = 4_000
MOST_TERMS: Final = 200
_WORD: Final = re.compile(r"\w+")
_PART: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
# Scripts that put no spaces between words: each character is a word.
_UNSPACED: Final = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
# In nearly every task, and telling of none.
_COMMON_WORDS: Final = (
    "a all an and any are as at be by can do each for from has have how if in into is it its may more no not of on or"
    " so such than that the their them then there these they this to was what when where which who why will with you"
    " your"
)
_COMMON: Final = frozenset(_COMMON_WORDS.split())


class Stretch(NamedTuple):
    """Lines of a file: the first and the last from 1, and their bytes."""

    first: int
    last: int
    content: bytes


def words(text: str) -> Iterator[str]:
    """Words in lower case; of an identifier such as ``parse_HTTPHeader`` its parts, and then the whole without `_`."""
    for found in _WORD.findall(_UNSPACED.sub(r" \g<0> ", text) if not text.isascii() else text):
        parts: list[str] = _PART.findall(found) if found.isascii() else found.replace("_", " ").split()
        if len(parts) > 1:
            yield from (part.lower() for part in parts)
            yield found.replace("_", "").lower()
        elif parts:
            yield parts[0].lower()


def terms(question: str) -> list[str]:
    """The words of a question that tell something, each once, in order, as many as a search takes."""
    told = dict.fromkeys(word for word in words(question) if word not in _COMMON)
    return list(told)[:MOST_TERMS]


def stretches(content: bytes) -> Iterator[Stretch]:
    """A file in stretches of at most 40 lines and 4,000 bytes, which end at an empty line where one is near.

    One line that is longer than that is a stretch by itself, whatever its length.
    """
    lines = content.splitlines(keepends=True) if b"\r" not in content else _lines(content)
    first = 0
    while first < len(lines):
        after = _end(lines, first)
        yield Stretch(first + 1, after, b"".join(lines[first:after]))
        first = after


def _lines(content: bytes) -> list[bytes]:
    """Lines as editors number them: a lone carriage return ends none."""
    return [line + b"\n" for line in content.split(b"\n")[:-1]] + [rest for rest in content.split(b"\n")[-1:] if rest]


def _end(lines: list[bytes], first: int) -> int:
    """The line after the last of the stretch that begins at `first`, from 0."""
    size, after = len(lines[first]), first + 1
    while after < len(lines) and after - first < MOST_LINES and size + len(lines[after]) <= MOST_BYTES:
        size += len(lines[after])
        after += 1
    if after == len(lines):
        return after
    empty = (place for place in range(after, first + (after - first) // 2, -1) if not lines[place - 1].strip())
    return next(empty, after)
