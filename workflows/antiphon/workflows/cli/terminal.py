"""Writing: where text goes, how wide and how colourful it may be, and that nothing in it can command a terminal."""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final, NamedTuple, TextIO

_STYLES: Final = {"good": "32", "bad": "31", "warn": "33", "dim": "2", "bold": "1"}
_NARROWEST: Final = 20


class Piece(NamedTuple):
    """A stretch of text in one style; `style` is a key of the styles or empty."""

    text: str
    style: str = ""


Part = Piece | str


def visible(text: str, *, keep: str = "") -> str:
    """The text with every control, format and unassigned character spelled out, so that a terminal only shows it.

    Args:
        text: anything, from anybody.
        keep: characters to leave as they are, such as newlines in a text that is shown whole.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if _harmless(character, keep) else _spelled(character) for character in text)


def _harmless(character: str, keep: str) -> bool:
    return character in keep or character.isprintable() or unicodedata.category(character) == "Zs"


def _spelled(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def width_of(text: str) -> int:
    """How many columns the text takes on a terminal."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, columns: int, mark: str = "…") -> str:
    """The text, shortened to fit into so many columns; `mark` stands for what is left out."""
    if width_of(text) <= columns:
        return text
    kept, used, room = "", 0, max(0, columns - len(mark))
    for character in text:
        used += _columns(character)
        if used > room:
            break
        kept += character
    return kept + mark[:columns]


@dataclass(slots=True)
class Paper:
    """One of the two streams, and what it can show.

    Attributes:
        out: the stream, or None where the process has none.
        columns: how wide a line may be, or None for no limit.
        colour: whether styles are written.
        letters: whether it can show more than ASCII.
        forgiving: whether what cannot be written is dropped (talk) or an error (data). A reader that went away is
            never an error.
    """

    out: TextIO | None
    columns: int | None = None
    colour: bool = False
    letters: bool = True
    forgiving: bool = False

    @property
    def is_terminal(self) -> bool:
        """Whether a person looks at it."""
        return is_terminal(self.out)

    @property
    def mark(self) -> str:
        """What stands for left-out text."""
        return "…" if self.letters else "..."

    def glyph(self, fancy: str, plain: str) -> str:
        """`fancy` where it can be shown, else `plain`."""
        return fancy if self.letters else plain

    def line(self, *parts: Part) -> None:
        """Write one line. Control characters are made visible; what is too wide is cut."""
        room = self.columns
        written: list[str] = []
        for part in parts:
            text, style = part if isinstance(part, Piece) else (part, "")
            text = visible(text)
            if room is not None:
                text = cut(text, room, self.mark)
                room -= width_of(text)
            written.append(f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if style and self.colour and text else text)
        self.raw("".join(written).rstrip(" ") + "\n")

    def text(self, text: str) -> None:
        """Write a text of several lines, whole; only its line breaks and tabs stay what they are."""
        self.raw(visible(text, keep="\n\t") + ("" if text.endswith("\n") else "\n"))

    def raw(self, text: str) -> None:
        """Write exactly this."""
        if self.out is None:
            return
        try:
            self.out.write(text)
            self.out.flush()
        except BrokenPipeError:
            self._gone()
        except (OSError, ValueError):
            self._gone()
            if not self.forgiving:
                raise

    def _gone(self) -> None:
        """Write to nowhere from now on, so that the interpreter's last flush does not fail once more."""
        out, self.out = self.out, None
        with suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, out.fileno() if out is not None else 1)
            os.close(nowhere)


def data() -> Paper:
    """Standard output."""
    return _paper(sys.stdout, forgiving=False)


def talk() -> Paper:
    """Standard error."""
    return _paper(sys.stderr, forgiving=True)


def is_terminal(out: TextIO | None) -> bool:
    """Whether a stream is a terminal."""
    try:
        return out is not None and out.isatty()
    except ValueError:  # closed
        return False


def can_draw(out: TextIO | None) -> bool:
    """Whether lines on it can be drawn over again."""
    return is_terminal(out) and os.environ.get("TERM", "") not in ("", "dumb", "unknown")


def _paper(out: TextIO | None, *, forgiving: bool) -> Paper:
    terminal = is_terminal(out)
    columns = max(_NARROWEST, shutil.get_terminal_size().columns) if terminal else None
    colour = can_draw(out) and not os.environ.get("NO_COLOR")
    encoding = (getattr(out, "encoding", None) or "ascii").lower().replace("_", "-")
    return Paper(out, columns, colour, encoding.startswith("utf"), forgiving)


@contextmanager
def safe_encoding() -> Generator[None]:
    """Let both streams spell out what their encoding cannot say, instead of failing on it."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    yield
