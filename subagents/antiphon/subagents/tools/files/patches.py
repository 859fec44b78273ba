"""What a patch says, in whichever form it is written: for each file what becomes of it, and its hunks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from antiphon.engine import UsageError

Act = Literal["add", "change", "delete"]
MOST_CHARACTERS = 4_000_000
"""Of one patch."""
MOST_HUNKS = 1_000
"""Of one patch."""


class PatchUnreadable(UsageError):
    """A patch cannot be read. Nothing was changed.

    Attributes:
        line: where in the patch, from 1.
    """

    def __init__(self, line: int, problem: str) -> None:
        self.line = line
        super().__init__(f"the patch cannot be read at its line {line}: {problem}; nothing was changed")


@dataclass(slots=True)
class Hunk:
    """Lines that follow each other, and what becomes of them.

    Attributes:
        lines: each with " " (stays), "-" (goes) or "+" (comes) before it, without its line end.
        at: line number of the first in the old file, from 1, as far as the patch says; 0 where it does not.
        anchors: lines that have to come before it, in this order.
        old_open, new_open: whether the last line before and after has no newline; None where the patch does not say.
        at_end: it has to be at the end of the file.
        number: which hunk of its file it is, from 1.
    """

    lines: list[str] = field(default_factory=list[str])
    at: int = 0
    anchors: tuple[str, ...] = ()
    old_open: bool | None = None
    new_open: bool | None = None
    at_end: bool = False
    number: int = 1

    @property
    def old(self) -> list[str]:
        """The lines that have to be there."""
        return [line[1:] for line in self.lines if line[0] != "+"]

    @property
    def new(self) -> list[str]:
        """The lines that are there afterwards."""
        return [line[1:] for line in self.lines if line[0] != "-"]


@dataclass(slots=True)
class FilePatch:
    """What becomes of one file.

    Attributes:
        path: below the root, as the patch has it. act: what becomes of it.
        to: its new path, if it moves. hunks: what changes in it.
        whole: everything that a new file holds, where the patch says it without hunks.
        executable: whether it may be run afterwards; None as before.
        checked: a deletion says what the file has to hold.
    """

    path: str
    act: Act
    to: str = ""
    hunks: list[Hunk] = field(default_factory=list[Hunk])
    executable: bool | None = None
    checked: bool = True

    def add(self, hunk: Hunk) -> None:
        """One more hunk."""
        hunk.number = len(self.hunks) + 1
        self.hunks.append(hunk)


def read_patch(text: str) -> list[FilePatch]:
    """Read a patch in the unified form or the ``*** Begin Patch`` form.

    Raises:
        PatchUnreadable: it is neither, or says what is not done here.
    """
    from antiphon.subagents.tools.files import envelope, unified

    if len(text) > MOST_CHARACTERS:
        raise PatchUnreadable(1, f"it has more than {MOST_CHARACTERS:,} characters")
    lines = unfenced(text.split("\n"))
    begins = next((line for _, line in lines if line.strip()), "")
    found = envelope.read(lines) if begins.startswith("*** ") else unified.read(lines)
    if not found:
        raise PatchUnreadable(1, "no file is named in it (`--- a/PATH` and `+++ b/PATH`, or `*** Update File: PATH`)")
    if sum(len(one.hunks) for one in found) > MOST_HUNKS:
        raise PatchUnreadable(1, f"it has more than {MOST_HUNKS:,} hunks")
    return found


Line = tuple[int, str]
"""A line of the patch with its number."""


def unfenced(lines: list[str]) -> list[Line]:
    """The lines with their numbers, without what models put around a patch: code fences, and CR where all have it."""
    numbered = list(enumerate(lines, 1))
    while numbered and numbered[-1][1] in ("", "\r"):
        numbered.pop()
    while numbered and not numbered[0][1].strip():
        numbered.pop(0)
    if numbered and numbered[0][1].startswith("```"):
        numbered.pop(0)
        if numbered and numbered[-1][1].rstrip() == "```":
            numbered.pop()
    if numbered and numbered[0][1].startswith("apply_patch"):  # as in a shell, with a here document
        numbered = [one for one in numbered[1:] if one[1].rstrip() not in ("EOF", "PATCH")]
    if numbered and all(line.endswith("\r") for _, line in numbered[:-1]):
        numbered = [(number, line.removesuffix("\r")) for number, line in numbered]
    return numbered
