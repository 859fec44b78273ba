"""What tools say, cut to what a model can take, with one form of how to read on; nothing in it acts on a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from antiphon.subagents.prompt.delimiting import legible

MOST_CHARACTERS: Final = 24_000
"""Of one page; below what the loop cuts in the middle."""
MOST_LINE_CHARACTERS: Final = 1_000
"""Of one line on a page."""
# What changes how the text around it is shown: directions, and line ends that only some know.
_MISLEADING: Final = re.compile("[\r\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]")


def visible(text: str) -> str:
    r"""Text with everything spelled out (``\x1b``, ``\u202e``) that would be taken for something else than it is."""
    return _MISLEADING.sub(lambda found: _spelled(found[0]), legible(text))


def one_line(text: str, most: int = MOST_LINE_CHARACTERS) -> str:
    """One line of somebody's, visible and cut; says how much is left out."""
    shown = visible(text[:most].replace("\n", "\\n"))
    left = len(text) - most
    return f"{shown}… ({left:,} more characters in this line)" if left > 0 else shown


def more(count: int, what: str, offset: int) -> str:
    """How to read on: the one form of it that every tool uses.

    Args:
        count: how many more there are.
        what: of what.
        offset: where the next page begins.
    """
    return f"… {count:,} more {what}; call again with offset={offset}"


def page(
    lines: Sequence[str], *, offset: int = 0, limit: int = 200, what: str = "lines", most: int = MOST_CHARACTERS
) -> str:
    """Some of the lines from an offset (from 0), and how to read on where there are more.

    Args:
        lines: all of them; each is made visible and cut by itself.
        offset: how many to pass over.
        limit: how many at most.
        what: what they are, in the plural.
        most: characters at most, the last sentence not counted.
    """
    taken = within((one_line(line) for line in lines[offset : offset + limit]), most)
    if not taken and offset and offset >= len(lines):
        return f"(there are only {len(lines):,} {what})"
    left = len(lines) - offset - len(taken)
    return "\n".join([*taken, more(left, what, offset + len(taken))] if left > 0 else taken)


def within(lines: Iterable[str], most: int = MOST_CHARACTERS) -> list[str]:
    """As many lines as fit; at least one."""
    taken: list[str] = []
    room = most
    for line in lines:
        room -= len(line) + 1
        if room < 0 and taken:
            break
        taken.append(line)
    return taken


def _spelled(character: str) -> str:
    code = ord(character)
    if character == "\r":
        return "\\r"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
