"""Patches in the unified form, as diff and git write them, and as models do, whose line counts are often wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from antiphon.subagents.tools.files.patches import FilePatch, Hunk, Line, PatchUnreadable

_HUNK: Final = re.compile(r"@@(?:\s+-(\d+)(?:,(\d+))?\s+\+(\d+)(?:,(\d+))?\s+@@.*|.*)\Z", re.DOTALL)
_NOWHERE: Final = "/dev/null"
_OPEN: Final = "\\ "
_REFUSED: Final = {
    "GIT binary patch": "binary content is not patched here; write the file, or run a command",
    "Binary files ": "binary content is not in it",
    "copy from ": "copies are not made by a patch; add the file",
}
_ESCAPED: Final = re.compile(r'\\([0-7]{3}|[abtnvfr"\\])')
_LETTERS: Final = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}
_EXECUTABLE: Final = "100755"
_PLAIN: Final = "100644"


def read(lines: Sequence[Line]) -> list[FilePatch]:
    """Read the lines of a patch in this form.

    Raises:
        PatchUnreadable: a hunk belongs to no file, or it says what is not done here.
    """
    reader = _Reader(lines)
    reader.read()
    return [one.done() for one in reader.files]


class _Head:
    """What the lines before the hunks of one file say."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.old = self.new = self.source = self.target = ""
        self.created = self.deleted = False
        self.executable: bool | None = None
        self.named: tuple[str, str] = ("", "")
        self.hunks: list[Hunk] = []

    @property
    def names(self) -> bool:
        return bool(self.old or self.new)

    def done(self) -> FilePatch:
        old, new = self._paths()
        if not (old or new):
            raise PatchUnreadable(self.number, "it is not said which file this is: `--- a/PATH` and `+++ b/PATH`")
        if self.created or not old:
            patch = FilePatch(new or old, "add", executable=self.executable)
        elif self.deleted or not new:
            patch = FilePatch(old, "delete")
        else:
            patch = self._changed(old, new)
        for hunk in self.hunks:
            patch.add(hunk)
        return patch

    def _changed(self, old: str, new: str) -> FilePatch:
        if old != new and not self.source:
            raise PatchUnreadable(
                self.number, f"two names, {old} and {new}; `rename from` and `rename to` would say so"
            )
        if old == new and not self.hunks and self.executable is None:
            raise PatchUnreadable(self.number, f"it says nothing of {old}: there is no hunk")
        return FilePatch(old, "change", to=new if new != old else "", executable=self.executable)

    def _paths(self) -> tuple[str, str]:
        """The old and the new path; "" for none."""
        if self.source and self.target:
            return self.source, self.target
        old, new = self.old or self.named[0], self.new or self.named[1]
        prefixed = _prefixed(old, "a/") and _prefixed(new, "b/")
        old, new = (_bare(old, "a/"), _bare(new, "b/")) if prefixed else (old, new)
        return ("" if old == _NOWHERE else old), ("" if new == _NOWHERE else new)


class _Reader:
    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines
        self._at = 0
        self.files: list[_Head] = []

    def read(self) -> None:
        while self._at < len(self._lines):
            number, line = self._lines[self._at]
            self._at += 1
            if line.startswith("diff --git "):
                self._open(number).named = _git_names(line.removeprefix("diff --git ").rstrip("\r"))
            elif line.startswith("--- ") and self._peek().startswith("+++ "):
                self._names(number, line)
            elif line.startswith("@@"):
                self._hunk(number, line)
            elif self.files and not self.files[-1].hunks:
                self._said(number, line.rstrip("\r"))
            elif self.files and line.strip() and line[0] in "+- " and not self._signs_off(self._at - 1):
                raise PatchUnreadable(number, "this line is in no hunk")

    def _peek(self, by: int = 0) -> str:
        place = self._at + by
        return self._lines[place][1] if place < len(self._lines) else ""

    def _open(self, number: int) -> _Head:
        self.files.append(_Head(number))
        return self.files[-1]

    def _names(self, number: int, line: str) -> None:
        fresh = not self.files or self.files[-1].names or self.files[-1].hunks
        head = self._open(number) if fresh else self.files[-1]
        head.old, head.new = _name(line[4:]), _name(self._peek()[4:])
        self._at += 1

    def _said(self, number: int, line: str) -> None:
        """A line of git's between the names: modes and renames."""
        head = self.files[-1]
        for begin, why in _REFUSED.items():
            if line.startswith(begin):
                raise PatchUnreadable(number, why)
        said, _, mode = line.rpartition(" ")
        if said in ("new file mode", "deleted file mode", "old mode", "new mode"):
            if mode not in (_EXECUTABLE, _PLAIN):
                raise PatchUnreadable(number, f"mode {mode[:10]}: only plain files are patched, no links")
            head.created |= said == "new file mode"
            head.deleted |= said == "deleted file mode"
            if said.startswith("new"):
                head.executable = mode == _EXECUTABLE
        elif line.startswith("rename from "):
            head.source = _unquoted(line.removeprefix("rename from "))
        elif line.startswith("rename to "):
            head.target = _unquoted(line.removeprefix("rename to "))

    def _hunk(self, number: int, line: str) -> None:
        if not self.files:
            raise PatchUnreadable(number, "before this hunk, `--- a/PATH` and `+++ b/PATH` have to name its file")
        said = _HUNK.match(line)
        old, new = _count(said, 2), _count(said, 4)
        hunk = Hunk(at=int(said[1]) if said and said[1] and len(said[1]) < 10 else 0)
        if said is not None and said[1] and not old:
            hunk.at += 1  # nothing goes: it says the line before
        upto = self._counted(old, new) if said is not None and said[1] else None
        for place in range(self._at, upto if upto is not None else self._guessed()):
            _take(hunk, *self._lines[place])
        self._at = upto if upto is not None else self._guessed()
        following = self._peek()
        if upto is None and following.strip() and not self._may_follow(self._at):
            raise PatchUnreadable(number + len(hunk.lines) + 1, "a line of a hunk begins with a space, `-` or `+`")
        if not hunk.lines:
            raise PatchUnreadable(number, "there is no line in this hunk")
        self.files[-1].hunks.append(hunk)

    def _counted(self, old: int, new: int) -> int | None:
        """Where the hunk ends by its counts; None where the lines do not bear them out."""
        place = self._at
        while old > 0 or new > 0:
            line = self._lines[place][1] if place < len(self._lines) else None
            kind = " " if line in ("", "\r") else line[0] if line is not None else ""
            if kind not in ("+", "-", " ", "\\") or not kind:
                return None
            old -= kind in ("-", " ")
            new -= kind in ("+", " ")
            place += 1
        if old or new:
            return None
        while place < len(self._lines) and self._lines[place][1].startswith(_OPEN):
            place += 1
        return place if self._ends(place) else None

    def _ends(self, place: int) -> bool:
        """Whether a hunk can end before this line: it is none of its kind, or begins another file."""
        while place < len(self._lines) and not self._lines[place][1].strip():
            place += 1
        if place >= len(self._lines):
            return True
        return not self._lines[place][1].startswith(("+", "-", " ")) or self._may_follow(place)

    def _may_follow(self, place: int) -> bool:
        """Whether a line is one that comes behind a hunk."""
        return self._lines[place][1].startswith("@@") or self._begins_file(place) or self._signs_off(place)

    def _signs_off(self, place: int) -> bool:
        """The line before git's version, with which it ends a patch that is a mail."""
        return self._lines[place][1].rstrip("\r") == "-- " and place >= len(self._lines) - 3

    def _begins_file(self, place: int) -> bool:
        following = self._lines[place + 1][1] if place + 1 < len(self._lines) else ""
        line = self._lines[place][1]
        return line.startswith("diff --git ") or (line.startswith("--- ") and following.startswith("+++ "))

    def _guessed(self) -> int:
        """Where the hunk ends by how its lines begin, as its counts are wrong or missing."""
        place = self._at
        while place < len(self._lines):
            line = self._lines[place][1]
            if self._begins_file(place) or self._signs_off(place) or (line and line[0] not in "+- \\\r"):
                break
            place += 1
        while place > self._at and not self._lines[place - 1][1].strip():
            place -= 1  # empty lines before the next file belong to nobody
        return place


def _count(said: re.Match[str] | None, group: int) -> int:
    if said is None or said[1] is None:
        return 0
    return 1 if said[group] is None else int(said[group][:9])


def _take(hunk: Hunk, number: int, line: str) -> None:
    if line.startswith(_OPEN):
        if not hunk.lines:
            raise PatchUnreadable(number, "no line is before this one")
        last = hunk.lines[-1][0]
        hunk.old_open = True if last in "- " else hunk.old_open
        hunk.new_open = True if last in "+ " else hunk.new_open
    else:
        hunk.lines.append(line if line not in ("", "\r") else f" {line}")


def _name(said: str) -> str:
    """A path as it stands behind ``---``: git quotes odd ones, diff puts a tab and the time behind it."""
    said = said.rstrip("\r")
    return _unquoted(said.rstrip()) if said.startswith('"') else said.split("\t")[0].rstrip()


def _unquoted(said: str) -> str:
    if not (said.startswith('"') and said.endswith('"') and len(said) > 1):
        return said
    inside, found, last = said[1:-1], bytearray(), 0
    for escape in _ESCAPED.finditer(inside):
        found += inside[last : escape.start()].encode("utf-8", "surrogateescape")
        code = escape[1]
        found.append(_LETTERS[code] if code in _LETTERS else int(code, 8) & 0xFF)
        last = escape.end()
    found += inside[last:].encode("utf-8", "surrogateescape")
    return found.decode("utf-8", "surrogateescape")


def _git_names(said: str) -> tuple[str, str]:
    """Both paths of a ``diff --git`` line; needed only where nothing else names the file, so both are the same."""
    if said.startswith('"'):
        first, _, second = said.partition('" "')
        return _unquoted(first + '"'), _unquoted('"' + second)
    middle = (len(said) - 1) // 2
    first, second = said[:middle], said[middle + 1 :]
    if _bare(first, "a/") == _bare(second, "b/"):
        return first, second
    return "", ""


def _prefixed(path: str, prefix: str) -> bool:
    return not path or path == _NOWHERE or path.startswith(prefix)


def _bare(path: str, prefix: str) -> str:
    return path if path == _NOWHERE else path.removeprefix(prefix)
