"""Patches as coding models write them: from ``*** Begin Patch`` over ``*** Update File: PATH`` to ``*** End Patch``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from antiphon.subagents.tools.files.patches import Act, FilePatch, Hunk, Line, PatchUnreadable

_BEGIN: Final = "*** Begin Patch"
_END: Final = "*** End Patch"
_ADD: Final = "*** Add File: "
_UPDATE: Final = "*** Update File: "
_DELETE: Final = "*** Delete File: "
_MOVE: Final = "*** Move to: "
_END_OF_FILE: Final = "*** End of File"


def read(lines: Sequence[Line]) -> list[FilePatch]:
    """Read the lines of a patch in this form.

    Raises:
        PatchUnreadable: a line in it is none of this form.
    """
    return _Reader(lines).read()


_NUMBERS: Final = re.compile(r"-(\d{1,9})(?:,(\d{1,9}))? \+\d{1,9}(?:,\d{1,9})?(?: @@.*)?")


class _Reader:
    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines
        self._files: list[FilePatch] = []
        self._begun: list[int] = []
        self._hunk: Hunk | None = None

    def read(self) -> list[FilePatch]:
        for number, line in self._lines:
            if line.rstrip() == _END:
                break
            if line.rstrip() != _BEGIN and not self._directive(number, line):
                self._content(number, line)
        for number, file in zip(self._begun, self._files, strict=True):
            if file.act == "change" and not file.to and not any(hunk.lines for hunk in file.hunks):
                raise PatchUnreadable(number, f"it says nothing of {file.path}: no line of it changes")
        return self._files

    def _directive(self, number: int, line: str) -> bool:
        """Whether a line says what the next ones are about."""
        said = line.rstrip()
        if said.startswith(_ADD):
            file = self._file(number, said.removeprefix(_ADD), "add")
            self._begin(file, Hunk(new_open=False))
        elif said.startswith(_UPDATE):
            self._file(number, said.removeprefix(_UPDATE), "change")
        elif said.startswith(_DELETE):
            self._file(number, said.removeprefix(_DELETE), "delete").checked = False
        elif said.startswith(_MOVE) and self._files:
            self._files[-1].to = said.removeprefix(_MOVE).strip()
        elif said == _END_OF_FILE and self._hunk is not None:
            self._hunk.at_end = True
        else:
            return False
        return True

    def _file(self, number: int, path: str, act: Act) -> FilePatch:
        file = FilePatch(path.strip(), act)
        self._files.append(file)
        self._begun.append(number)
        self._hunk = None
        return file

    def _begin(self, file: FilePatch, hunk: Hunk) -> Hunk:
        file.add(hunk)
        self._hunk = hunk
        return hunk

    def _content(self, number: int, line: str) -> None:
        if not self._files:
            if line.strip():
                raise PatchUnreadable(number, f"before this, `{_UPDATE}PATH` (or Add, Delete) has to name a file")
            return
        file = self._files[-1]
        if file.act == "change" and line.startswith("@@"):
            self._anchor(file, line)
        elif line.startswith(("+", "-", " ")) or (not line and self._hunk is not None and file.act == "change"):
            self._body(file, number, line or " ")
        elif line.strip():
            raise PatchUnreadable(number, "a line of a change begins with a space, `-` or `+`; `@@ LINE` before it")

    def _anchor(self, file: FilePatch, line: str) -> None:
        anchor = line[2:].removeprefix(" ").removesuffix("\r")
        if numbers := _NUMBERS.fullmatch(anchor):  # the other form's: where it is, and no line of the file
            self._begin(file, Hunk(at=int(numbers[1]) + (numbers[2] == "0")))
            return
        given = (anchor.removesuffix(" @@"),) if anchor.strip() and anchor.strip() != "@@" else ()
        if self._hunk is not None and not self._hunk.lines:
            self._hunk.anchors += given  # several in a row: the class, then the method in it
        else:
            self._begin(file, Hunk(anchors=given))

    def _body(self, file: FilePatch, number: int, line: str) -> None:
        if file.act == "delete":
            raise PatchUnreadable(number, "after `*** Delete File` no lines are said")
        if file.act == "add" and not line.startswith("+"):
            raise PatchUnreadable(number, "each line of a new file begins with `+`")
        hunk = self._hunk or self._begin(file, Hunk())
        if hunk.at_end:
            hunk = self._begin(file, Hunk())
        hunk.lines.append(line)
