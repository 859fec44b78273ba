"""How the tools show a file: its lines with their numbers, and what is special about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from antiphon.subagents.tools.paging import more, one_line, within
from antiphon.subagents.workspace.files import Text

_AROUND: Final = 3
_EXCERPT_LINES: Final = 30


def numbered(lines: Sequence[str], first: int) -> list[str]:
    """Lines with their numbers.

    Args:
        lines: without their ends.
        first: the number of the first of them.
    """
    return [f"{number:>6}\t{one_line(line.removesuffix(chr(13)))}" for number, line in enumerate(lines, first)]


def shown_lines(text: Text, offset: int, limit: int) -> str:
    """Lines from a number (from 1) on, and how to read on."""
    lines = text.lines
    if offset > max(1, len(lines)):
        return f"(the file has only {len(lines):,} lines)"
    taken = within(numbered(lines[offset - 1 : offset - 1 + limit], offset))
    last = offset - 1 + len(taken)
    return "\n".join([*taken, more(len(lines) - last, "lines", last + 1)] if last < len(lines) else taken)


def excerpt(text: Text, first: int, last: int) -> str:
    """Some lines and those around them, numbered; of many only the beginning.

    Args:
        text: the whole.
        first: a line number, from 1.
        last: the same, included; before `first` for a place between lines.
    """
    lines = text.lines
    begin = max(1, first - _AROUND)
    end = min(len(lines), max(first, last) + _AROUND)
    upto = min(end, begin + _EXCERPT_LINES - 1)
    said = within(numbered(lines[begin - 1 : upto], begin), 6_000)
    if upto < end:
        said.append(f"… up to line {end}")
    return "\n".join(said) or "(empty)"


def about(text: Text, size: int) -> str:
    """What is special about a file, in words: its size first."""
    said = [sized(size)]
    if text.encoding != "utf-8" or text.mark:
        said.append(f"{text.encoding}{' with a byte order mark' if text.mark else ''}")
    if text.crlf:
        said.append("CRLF line ends")
    if text.text and not text.text.endswith("\n"):
        said.append("no newline at the end")
    if line := text.invalid:
        said.append(f"not valid {text.encoding} (first in line {line}; such bytes are shown as \\udcXX)")
    return ", ".join(said)


def sized(size: int) -> str:
    """A number of bytes, in words."""
    return counted(size, "byte")


def counted(count: int, what: str) -> str:
    """A number of things, in words."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
