"""Finds what a model quotes in the file that it says it is from. Line numbers are often wrong; words seldom are."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from antiphon.subagents.answers.shapes import MOST_QUOTED_CHARACTERS
from antiphon.subagents.prompt.delimiting import legible
from antiphon.subagents.records import FileSpan

_ENDS = re.compile(r"\r\n|\r|\n")
"""What ends a line of a file; a model's other line ends are part of one."""
_NUMBERED = re.compile(r"^\s*\d+\s*[|:]")
_SHORTEST = 4
"""Less than so many characters, such as a bracket, are a quote of the place that is named, and of no other."""


class Content(Protocol):
    """A file that may be quoted, as it is now."""

    @property
    def lines(self) -> Sequence[bytes]:
        """Its lines, ends included."""
        ...

    @property
    def encoding(self) -> str:
        """How its text is encoded."""
        ...

    def symbol(self, line: int) -> str:
        """The innermost function or class around a line, dotted; "" for none."""
        ...

    def evidence(self, start_line: int, end_line: int) -> FileSpan | None:
        """Lines of it as evidence; None if it has no such lines."""
        ...


Lookup = Callable[[str], Content | None]
"""A file by its name, or None where there is none to be read."""


@dataclass(frozen=True, slots=True)
class Located:
    """What became of a quote.

    Attributes:
        evidence: the lines it was found on; else the lines it was said to be on, with the hash of the quote itself.
        problem: why it is not what the file says; "" if it is.
        unchecked: nobody could look.
    """

    evidence: FileSpan
    problem: str = ""
    unchecked: bool = False


class Pages:
    """The files that the quotes of one answer are looked up in; each is read once.

    Args:
        look_up: a file by its name; None where nobody can look.
    """

    def __init__(self, look_up: Lookup | None) -> None:
        self._look_up = look_up
        self._found: dict[str, tuple[Content, list[str]] | None] = {}

    def content(self, name: str) -> Content | None:
        """A file, or None if it cannot be read."""
        page = self._page(name)
        return None if page is None else page[0]

    def locate(self, name: str, line: int, quote: str) -> Located:
        """See `locate`."""
        page = self._page(name)
        if page is None:
            return Located(_as_claimed(name, line, quote), "the file could not be read", unchecked=True)
        return _located(name, line, quote, *page)

    def _page(self, name: str) -> tuple[Content, list[str]] | None:
        if name not in self._found:
            content = self._look_up(name) if self._look_up is not None else None
            self._found[name] = None if content is None else (content, _text(content))
        return self._found[name]


def locate(name: str, line: int, quote: str, content: Content | None) -> Located:
    """Look a quote up, at the line it is said to be on first, else at the nearest place that has it.

    White space and line numbers in front are let pass; nothing else is.

    Args:
        name: of the file.
        line: where the quote is said to begin, from 1.
        quote: its words.
        content: the file as it is now; None if it cannot be read.
    """
    return Pages(lambda _: content).locate(name, line, quote)


def _located(name: str, line: int, quote: str, content: Content, text: Sequence[str]) -> Located:
    wanted = _wanted(quote)
    claimed = _as_claimed(name, line, quote)
    if not wanted:
        return Located(claimed, "it quotes nothing")
    if len(quote) > MOST_QUOTED_CHARACTERS:
        return Located(claimed, f"it quotes more than {MOST_QUOTED_CHARACTERS:,} characters, which names no place")
    first = _first(text, wanted, line)
    evidence = content.evidence(first, first + len(wanted) - 1) if first is not None else None
    return Located(claimed, "the quoted words are not in the file") if evidence is None else Located(evidence)


def _wanted(quote: str) -> list[str]:
    """The quote's lines, bare; blank ones around it do not count."""
    lines = _ENDS.split(quote)
    said = [line for line in lines if line.strip()]
    if said and all(_NUMBERED.match(line) for line in said):
        lines = [_NUMBERED.sub("", line) for line in lines]
    bare = [_bare(line) for line in lines]
    while bare and not bare[0]:
        bare.pop(0)
    while bare and not bare[-1]:
        bare.pop()
    return bare


def _bare(line: str) -> str:
    """Without what does not count: how wide white space is, and how a prompt spells what cannot be read."""
    return legible(" ".join(line.split()))


def _text(content: Content) -> list[str]:
    return [_bare(line.decode(content.encoding, "replace")) for line in content.lines]


def _first(lines: Sequence[str], wanted: Sequence[str], near: int) -> int | None:
    """The line, from 1, on which the words begin: of several the nearest, and of two as near the first."""
    if len("".join(wanted)) < _SHORTEST:
        places = [near] if near <= len(lines) else []
    else:
        places = [place for place, line in enumerate(lines, 1) if wanted[0] in line]
    found = [place for place in places if _is_at(lines, wanted, place)]
    return min(found, key=lambda place: (abs(place - near), place), default=None)


def _is_at(lines: Sequence[str], wanted: Sequence[str], place: int) -> bool:
    """Whether the words are there: whole lines, but the first may begin and the last may end within one."""
    here = lines[place - 1 : place - 1 + len(wanted)]
    if len(here) < len(wanted) or wanted[0] not in here[0]:
        return False
    if len(wanted) == 1:
        return True
    return here[0].endswith(wanted[0]) and list(here[1:-1]) == list(wanted[1:-1]) and here[-1].startswith(wanted[-1])


def _as_claimed(name: str, line: int, quote: str) -> FileSpan:
    """The place that was named, with the hash of the words themselves: no file will ever have that there by chance."""
    digest = hashlib.sha256(quote.encode("utf-8", "backslashreplace")).hexdigest()
    last = line + max(len(quote[:MOST_QUOTED_CHARACTERS].splitlines()), 1) - 1
    return FileSpan(kind="file_span", path=name, start_line=line, end_line=last, sha256=digest)
