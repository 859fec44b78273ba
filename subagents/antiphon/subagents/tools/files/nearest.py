"""What to say when text was not found: the lines that come nearest to it. For words only; nothing is replaced by it."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches
from itertools import pairwise
from typing import Final

from antiphon.subagents.tools.files.showing import excerpt
from antiphon.subagents.workspace.files import Text

_LINES_LOOKED_AT: Final = 20_000
_COMPARED: Final = 1_000
_CHARACTERS: Final = 300


def nearest(text: Text, wanted: str) -> str:
    """The lines of a text that come nearest to some lines, in words with their numbers.

    Args:
        text: where it is not.
        wanted: what was looked for.
    """
    looked = [line.strip() for line in wanted.splitlines()]
    looked = looked[next((n for n, line in enumerate(looked) if line), 0) :]
    while looked and not looked[-1]:
        looked.pop()
    lines = [line.strip() for line in text.lines[:_LINES_LOOKED_AT]]
    if not looked or not lines:
        return "The file is empty." if not lines else "What is looked for is only white space."
    if (place := _same(lines, looked)) is not None:
        said = "Only the white space differs: these lines are the same but for indentation or spaces at the ends."
        return f"{said} The file has:\n{excerpt(text, place + 1, place + len(looked))}"
    place = _likeliest(lines, looked)
    if place is None:
        return "Nothing in it looks like that; read the file again."
    return f"What comes nearest to it:\n{excerpt(text, place + 1, place + len(looked))}"


def _same(lines: list[str], looked: list[str]) -> int | None:
    for place in range(len(lines) - len(looked) + 1):
        if lines[place] == looked[0] and lines[place : place + len(looked)] == looked:
            return place
    return None


def _likeliest(lines: list[str], looked: list[str]) -> int | None:
    """Where the most lines of a stretch are the wanted ones; else where one line is like the first."""
    said = Counter(line for line in looked if len(line) > 1)
    hits = [0, *(1 if line in said else 0 for line in lines)]
    for place, (before, here) in enumerate(pairwise(hits)):
        hits[place + 1] = before + here
    span = min(len(looked), len(lines))
    counts = [hits[place + span] - hits[place] for place in range(len(lines) - span + 1)]
    best = max(range(len(counts)), key=lambda place: (counts[place], lines[place] == looked[0], -place))
    if counts[best]:
        return best
    first = max(looked[:5], key=len)[:_CHARACTERS]
    some = list(dict.fromkeys(line[:_CHARACTERS] for line in lines if line))[:_COMPARED]
    close = get_close_matches(first, some, 1, 0.6)
    return next((place for place, line in enumerate(lines) if close and line[:_CHARACTERS] == close[0]), None)
