"""Patches as a person reads them: what each file gains and loses, its lines in colour. Nothing in them is trusted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from antiphon.workflows.cli.terminal import Paper, Part, Piece, cut, width_of
from antiphon.workflows.cli.words import plural

MOST_LINES: Final = 5_000
"""Of a patch that is printed, unless its caller says otherwise."""
_TAB: Final = 4
_BAR: Final = 30
_NAME: Final = 60
_HUNK: Final = re.compile(r"@@ -\d{1,9}(?:,(\d{1,9}))? \+\d{1,9}(?:,(\d{1,9}))? @@")
_BINARY: Final = ("GIT binary patch", "Binary files ")
_MODES: Final = ("new file", "deleted file", "rename from", "rename to", "copy from", "copy to", "old mode", "new mode")
_OURS: Final = (
    "*** Begin Patch",
    "*** End Patch",
    "*** Update File:",
    "*** Add File:",
    "*** Delete File:",
    "*** Move to:",
)

Row = tuple[Part, ...]


@dataclass(slots=True)
class FileDiff:
    """What a patch does to one file.

    Attributes:
        path: the file; its new path where it moved.
        added, removed: how many lines. binary: it is no text, and shown as one line.
        lines: of the patch, with what each is: ``+``, ``-``, ``@``, ``h`` for the head, " " for what stays.
    """

    path: str
    added: int = 0
    removed: int = 0
    binary: bool = False
    lines: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])


def read_diff(patch: str) -> list[FileDiff]:
    """The files of a patch, in its order. Text of any kind is read: what is no patch is one file without a name."""
    return _Reader().read(patch)


def diff_lines(patch: str, paper: Paper, *, most: int = MOST_LINES, stat: bool = True) -> list[Row]:
    """A patch as rows for `Paper.line`: a stat of its files, then their changed lines in colour.

    Args:
        patch: unified, as git or `difflib` writes it.
        paper: where it will be printed.
        most: lines of the patch at most; what is left out is said.
        stat: begin with what each file gains and loses.
    """
    files = read_diff(patch)
    rows = list(_stat(files, paper)) if stat and any(file.path for file in files) else []
    lines = [row for file in files for row in _file_rows(file, paper)]
    rows += lines[:most]
    if len(lines) > most:
        rows.append((Piece(f"{paper.mark} and {plural(len(lines) - most, 'more line')} of the patch", "dim"),))
    return rows


def print_diff(patch: str, paper: Paper, *, most: int = MOST_LINES, stat: bool = True, indent: str = "") -> None:
    """Print a patch, each line behind `indent`; see `diff_lines`."""
    for row in diff_lines(patch, paper, most=most, stat=stat):
        paper.line(*((indent, *row) if indent else row))


def stat_of(patch: str) -> str:
    """What a patch does, in one line: ``3 files changed, 12 lines added, 4 removed``."""
    files = read_diff(patch)
    return _summed(files)


def _stat(files: list[FileDiff], paper: Paper) -> Iterator[Row]:
    widest = max((width_of(file.path) for file in files), default=0)
    most = max((file.added + file.removed for file in files), default=0)
    for file in files:
        name = cut(file.path or "(no name)", _NAME, paper.mark)
        pad = " " * max(0, min(widest, _NAME) - width_of(name))
        if file.binary:
            yield (f" {name}{pad} | ", Piece("binary", "dim"))
            continue
        plus, minus = _bar(file.added, most), _bar(file.removed, most)
        yield (f" {name}{pad} | {file.added + file.removed:>4} ", Piece("+" * plus, "good"), Piece("-" * minus, "bad"))
    if files:
        yield (f" {_summed(files)}",)


def _bar(count: int, most: int) -> int:
    return count if most <= _BAR else -(-count * _BAR // most)


def _summed(files: list[FileDiff]) -> str:
    added, removed = sum(file.added for file in files), sum(file.removed for file in files)
    return f"{plural(len(files), 'file')} changed, {plural(added, 'line')} added, {removed:,} removed"


def _file_rows(file: FileDiff, paper: Paper) -> Iterator[Row]:
    for sort, raw in file.lines:
        line = raw[:1] + raw[1:].expandtabs(_TAB)  # behind the sign, as the file has it
        match sort:
            case "+":
                yield (Piece(line, "good"),)
            case "-":
                yield (Piece(line, "bad"),)
            case "@":
                yield (Piece(line, "warn"),)
            case "h":
                yield (Piece(line, "bold"),)
            case _:
                yield (line,)
    if file.binary:
        yield (Piece(f"binary: {file.path or '(no name)'} is no text; its content is not shown", "dim"),)


class _Reader:
    """Reads a patch line by line. Counts of a hunk's head say where it ends, so no line of a file poses as a head."""

    def __init__(self) -> None:
        self._files: list[FileDiff] = []
        self._before = self._after = 0
        self._in_binary = self._in_hunks = False

    def read(self, patch: str) -> list[FileDiff]:
        for line in patch.removesuffix("\n").split("\n"):
            self._line(line.removesuffix("\r"))
        return [file for file in self._files if file.lines or file.binary or file.path]

    def _line(self, line: str) -> None:
        if self._before > 0 or self._after > 0:
            self._changed(line)
        elif line.startswith("diff --git "):
            self._begin(_both(line), line)
        elif self._in_binary:
            return
        elif line.startswith(_BINARY):
            self._file().binary, self._in_binary = True, True
        elif (hunk := _HUNK.match(line)) is not None:
            self._before, self._after = (int(count) if count is not None else 1 for count in hunk.groups())
            self._file().lines.append(("@", line))
            self._in_hunks = True
        else:
            self._head(line)

    def _changed(self, line: str) -> None:
        file, sort = self._file(), line[:1]
        if sort == "\\":
            file.lines.append((" ", line))
            return
        self._before -= sort != "+"
        self._after -= sort != "-"
        file.added += sort == "+"
        file.removed += sort == "-"
        file.lines.append((sort if sort in ("+", "-") else " ", line))

    def _head(self, line: str) -> None:
        if line.startswith("--- ") and (not self._files or self._in_hunks):
            self._begin(_path(line), line)
        elif line.startswith(("--- ", "+++ ")):
            if not line.endswith("/dev/null"):
                self._file().path = _path(line)
            self._file().lines.append(("h", line))
        elif line.startswith(_OURS):
            self._ours(line)
        elif line.startswith(("index ", "similarity ", "dissimilarity ")):
            return
        else:
            self._loose(line)

    def _ours(self, line: str) -> None:
        """The form of patches that models are taught: no counts, so every line is what it begins with."""
        if line.startswith(("*** Update", "*** Add", "*** Delete")):
            self._begin(line.partition(": ")[2], line)
        elif line.startswith("*** Move"):
            self._file().lines.append(("h", line))

    def _loose(self, line: str) -> None:
        file, sort = self._file(), line[:1]
        if line.startswith(_MODES):
            file.lines.append(("h", line))
        elif sort in ("+", "-"):
            file.added += sort == "+"
            file.removed += sort == "-"
            file.lines.append((sort, line))
        elif line or file.lines:
            file.lines.append(("@" if line.startswith("@@") else " ", line))

    def _begin(self, path: str, line: str) -> None:
        self._files.append(FileDiff(path, lines=[("h", line)]))
        self._in_binary = self._in_hunks = False

    def _file(self) -> FileDiff:
        if not self._files:
            self._files.append(FileDiff(""))
        return self._files[-1]


def _path(line: str) -> str:
    path = line[4:].split("\t", 1)[0]
    return path[2:] if path.startswith(("a/", "b/")) else path


def _both(line: str) -> str:
    """The path in ``diff --git a/x b/x``: a name may have blanks, but both halves are alike unless it moved."""
    said = line.removeprefix("diff --git ")
    half = len(said) // 2
    if said[:half].removeprefix("a/") == said[half + 1 :].removeprefix("b/"):
        return said[half + 1 :].removeprefix("b/")
    return said.rpartition(" b/")[2] or said
