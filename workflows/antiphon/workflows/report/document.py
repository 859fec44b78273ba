"""What a report for a person is made of, before it becomes Markdown or HTML: our words, and what somebody else said.

A `Said` is text that antiphon did not write: names of files, messages of tools, code. Each way of writing a document
shows it as code with its invisible characters spelled out, so that it cannot act on who reads it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_PLAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 +-]{0,38}[A-Za-z0-9])?|[0-9]+(?:\.[0-9]+){1,5}")


@dataclass(frozen=True, slots=True)
class Said:
    """Words of somebody else.

    Attributes:
        text: the words. limit: how many characters of them are shown.
    """

    text: str
    limit: int = 300


@dataclass(frozen=True, slots=True)
class Strong:
    """Words of ours that a person should not miss."""

    text: str


Piece = str | Said | Strong
Line = tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """An entry of a list, with what is below it."""

    line: Line
    below: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph."""

    line: Line


@dataclass(frozen=True, slots=True)
class Table:
    """A table. `numbers` says which columns hold numbers, from 0."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Line, ...], ...]
    numbers: frozenset[int] = frozenset()


Block = Item | Paragraph | Table


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report under one heading.

    Attributes:
        name: for links to it; ours. title: the heading; ours.
        blocks: the content; a section without any is left out.
    """

    name: str
    title: str
    blocks: tuple[Block, ...]


def section(name: str, title: str, blocks: Iterable[Block]) -> Section:
    """A section of what is yielded."""
    return Section(name, title, tuple(blocks))


def name_of(text: str) -> Piece:
    """A name that somebody else gave: plain words if it is nothing but words or a version, else as code."""
    return text if _PLAIN.fullmatch(text) else Said(text, 80)


def listed(pieces: Iterable[Piece], between: str = ", ", last: str | None = None) -> Line:
    """Pieces one after the other, with `between` between them, and `last` before the last."""
    found: list[Piece] = []
    waiting = list(pieces)
    for place, piece in enumerate(waiting):
        if place:
            found.append(last if last is not None and place == len(waiting) - 1 else between)
        found.append(piece)
    return tuple(found)


def names(texts: Iterable[str]) -> Line:
    """Names of somebody else's: `a, b and c`."""
    return listed(map(name_of, texts), last=" and ")


def many(number: int, singular: str, plural: str | None = None) -> str:
    """`1 finding`, `2 findings`."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def first_of(lines: Sequence[Item], shown: int, what: str) -> Iterable[Item]:
    """The first so many items, and the number of the others."""
    yield from lines[:shown]
    if len(lines) > shown:
        yield Item((f"… and {many(len(lines) - shown, f'more {what}')}; all are in report.json",))
