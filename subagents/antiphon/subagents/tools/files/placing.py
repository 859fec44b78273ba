"""Where the hunks of a patch belong in a text, and the text that they make of it. Pure.

Only the position of a hunk is ever guessed, never its content: its lines have to be there, all of them and in order.
Where a hunk is not at the line that it says, it has to fit in one place only.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from antiphon.subagents.tools.files.nearest import nearest
from antiphon.subagents.tools.files.patches import Hunk
from antiphon.subagents.tools.files.showing import excerpt
from antiphon.subagents.tools.paging import one_line
from antiphon.subagents.workspace.files import Text

_PLACES_SAID: Final = 5
_CR: Final = "\r"


class HunkMisfit(Exception):
    """A hunk does not fit; the text says why, and what the file has there."""


@dataclass(frozen=True, slots=True)
class Placed:
    """What became of one hunk. `line`: where it is in the new text. `moved`: how far from where it said."""

    hunk: Hunk
    line: int
    moved: int


@dataclass(slots=True)
class _Lines:
    """The lines of a text, to be looked through quickly whatever is in them."""

    lines: list[str]
    _joined: str = ""
    _ends: list[int] = field(default_factory=list[int])
    _known: dict[str, list[int]] = field(default_factory=dict[str, list[int]])

    def places(self, wanted: Sequence[str], begin: int, most: int) -> list[int]:
        """Where these lines follow each other, from a line on; at most so many places."""
        if not self._joined:
            self._joined = "\n" + "".join(f"{line}\n" for line in self.lines)
            self._ends = list(accumulate((len(line) + 1 for line in self.lines), initial=0))
        if begin >= len(self._ends):
            return []
        sought = "\n" + "".join(f"{line}\n" for line in wanted)
        found: list[int] = []
        at = self._joined.find(sought, self._ends[begin])
        while at >= 0 and len(found) < most:
            found.append(bisect_left(self._ends, at))
            at = self._joined.find(sought, at + 1)
        return found

    def first(self, line: str, begin: int) -> int | None:
        """The first line from one on that is this, but for white space around it."""
        if not self._known:
            for place, one in enumerate(self.lines):
                self._known.setdefault(one.strip(), []).append(place)
        places = self._known.get(line.strip(), [])
        after = bisect_left(places, begin)
        return places[after] if after < len(places) else None


class Placing:
    """Places the hunks of one file, one after the other.

    Args:
        text: what the file is.
    """

    def __init__(self, text: Text) -> None:
        self._text = text
        self._exact = _Lines(text.lines)
        self._loose: _Lines | None = None
        self._made: list[str] = []
        self._next = 0  # the first line that no hunk has taken yet
        self._shift = 0
        self._closed = text.text.endswith("\n") or not text.text
        self.placed: list[Placed] = []

    def add(self, hunk: Hunk) -> None:
        """Place the next hunk.

        Raises:
            HunkMisfit: it does not fit; as if it had not been added.
        """
        hunk = self._unmarked(hunk)
        place, loose = self._place(hunk)
        self._check_end(hunk, place)
        new = self._new_lines(hunk, place, loose=loose)
        self._made += self._exact.lines[self._next : place]
        self.placed.append(Placed(hunk, len(self._made) + 1, place - (hunk.at - 1) if hunk.at else 0))
        self._made += new
        self._next = place + len(hunk.old)
        self._shift = place - (hunk.at - 1) if hunk.at else self._shift
        if self._next == len(self._exact.lines):
            self._closed = self._closes(hunk)

    def made(self) -> Text:
        """The text with all hunks that were added."""
        lines = [*self._made, *self._exact.lines[self._next :]]
        end = "\n" if self._closed and lines else ""
        return self._text.holding("\n".join(lines) + end)

    def _unmarked(self, hunk: Hunk) -> Hunk:
        """The hunk without the byte order mark, which is no part of the text."""
        if not self._text.mark:
            return hunk
        lines = [f"{line[0]}{line[2:]}" if line[1:2] == "\ufeff" else line for line in hunk.lines]
        return Hunk(lines, hunk.at, hunk.anchors, hunk.old_open, hunk.new_open, hunk.at_end, hunk.number)

    def _place(self, hunk: Hunk) -> tuple[int, bool]:
        """The line (from 0) where the hunk belongs, and whether only line ends differ."""
        begin = self._after_anchors(hunk)
        if not hunk.old:
            return self._insertion(hunk, begin), self._text.crlf and not hunk.at
        for lines, old, loose in self._readings(hunk):
            expected = hunk.at - 1 + self._shift
            exact = lines.lines[expected : expected + len(old)] if hunk.at and expected >= self._next else []
            if exact == old and not hunk.at_end:
                return expected, loose
            places = lines.places(old, begin, _PLACES_SAID + 1)
            if hunk.at_end:
                places = [one for one in places if one + len(old) == len(lines.lines)]
            if len(places) == 1 or (places and hunk.anchors):
                return places[0], loose
            if places:
                raise HunkMisfit(self._several(places))
        raise HunkMisfit(self._missing(hunk))

    def _readings(self, hunk: Hunk) -> list[tuple[_Lines, list[str], bool]]:
        """The file and the hunk as they are; and with all CR at line ends taken for line ends."""
        exact = (self._exact, hunk.old, False)
        if _CR not in self._text.text and not any(line.endswith(_CR) for line in hunk.lines):
            return [exact]
        if self._loose is None:
            self._loose = _Lines([line.removesuffix(_CR) for line in self._exact.lines])
        return [exact, (self._loose, [line.removesuffix(_CR) for line in hunk.old], True)]

    def _after_anchors(self, hunk: Hunk) -> int:
        """The first line that a hunk may be in."""
        begin = self._next
        for anchor in hunk.anchors:
            found = self._exact.first(anchor, begin)
            if found is None:
                raise HunkMisfit(
                    f"no line is {one_line(anchor)!r} (said behind @@) after line {begin}. "
                    + nearest(self._text, anchor)
                )
            begin = found
        return begin

    def _insertion(self, hunk: Hunk, begin: int) -> int:
        """Where lines come of which the patch does not show what is around them."""
        count = len(self._exact.lines)
        if hunk.anchors and not hunk.at_end:
            return begin + 1
        if hunk.at_end or not count:
            return count
        expected = hunk.at - 1 + self._shift
        if hunk.at and self._next <= expected <= count:
            return expected
        if hunk.at:
            raise HunkMisfit(f"it adds lines at line {hunk.at}, and the file has {count:,} lines")
        raise HunkMisfit("it adds lines and does not show a line before or after them, so nobody knows where")

    def _new_lines(self, hunk: Hunk, place: int, *, loose: bool) -> list[str]:
        """What comes in the place of the old lines; those that stay are the file's own, whatever their ends."""
        made: list[str] = []
        ending = _CR if self._text.crlf else ""
        for line in hunk.lines:
            if line[0] == "+":
                made.append(line[1:].removesuffix(_CR) + ending if loose else line[1:])
            else:
                if line[0] == " ":
                    made.append(self._exact.lines[place])
                place += 1
        return made

    def _check_end(self, hunk: Hunk, place: int) -> None:
        """What a patch says of the newline at the end of a file has to be so."""
        ends = place + len(hunk.old) == len(self._exact.lines)
        if hunk.old_open and (not ends or self._closed):
            raise HunkMisfit("it says that the file has no newline at its end there, and it has one")
        if hunk.new_open and not ends:
            raise HunkMisfit("it says that the file ends after its lines, and there are more")

    def _closes(self, hunk: Hunk) -> bool:
        """Whether there is a newline at the end, after a hunk that reaches it."""
        if hunk.new_open is not None:
            return not hunk.new_open
        if hunk.old_open or not self._exact.lines:
            return True
        # The patch does not say: as it was, unless the line that had no newline has gone and none came instead.
        return self._closed or hunk.lines[-1][0] == "-"

    def _several(self, places: Sequence[int]) -> str:
        said = ", ".join(str(place + 1) for place in places[:_PLACES_SAID])
        more = " and more" if len(places) > _PLACES_SAID else ""
        return f"its lines are in the file several times (lines {said}{more}); show more lines around the change"

    def _missing(self, hunk: Hunk) -> str:
        looked = "\n".join(hunk.old)
        wanted = "\n".join(one_line(line, 300) for line in hunk.old[:8])
        more = f"\n… ({len(hunk.old) - 8} more lines)" if len(hunk.old) > 8 else ""
        there = nearest(self._text, looked)
        if there.startswith("Nothing") and hunk.at:
            there = f"At line {hunk.at} it has:\n{excerpt(self._text, hunk.at, hunk.at + len(hunk.old) - 1)}"
        before = f", after line {self._next}" if self._next else ""
        return f"these lines are not in the file{before}:\n{wanted}{more}\n{there}"
