"""The front matter of a Markdown file: YAML between two lines of ``---``, read as plain values with their lines.

The text may come from anybody. YAML's own dangers are refused by name: anchors (a few lines that stand for gigabytes),
tags (objects of Python), keys that are there twice, and deep nesting. Values are built from the parser's events, so
that nothing is made before it was looked at.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from antiphon.engine import UsageError

if TYPE_CHECKING:
    from yaml.events import Event

MAX_FRONT: Final = 32 * 1024
"""Most characters between the two lines of ``---``."""
_DEEPEST: Final = 6
_MOST_EVENTS: Final = 5_000
_FENCE: Final = "---"
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER: Final = re.compile(r"[-+]?(?:[0-9]{1,18}\.[0-9]{0,18}|\.[0-9]{1,18})")
_CONSTANTS: Final[Mapping[str, bool | None]] = {"": None, "~": None, "null": None, "true": True, "false": False}
_ENTRY: Final = re.compile(r"([A-Za-z][A-Za-z0-9_-]*):(?:\s+(.*))?")

Place = tuple[str, ...]


class RoleError(UsageError):
    """A role file that cannot be used.

    Attributes:
        file: the file. line: where, from 1; None if it is the file as a whole. problem: what is wrong.
        role: the name that the file gives to its role, as far as that can be told; "" otherwise.
    """

    role: str = ""

    def __init__(self, file: Path | str, problem: str, line: int | None = None) -> None:
        self.file, self.problem, self.line = str(file), problem, line
        place = f"{file}:{line}" if line else str(file)
        super().__init__(f"{place}: {problem}", advice="docs/roles.md says what a role file may hold")


@dataclass(frozen=True, slots=True)
class Front:
    """A Markdown file, taken apart.

    Attributes:
        values: what the front matter says. lines: where each entry stands, from 1.
        body: the text below it, without blank lines around. body_line: where that begins.
    """

    values: Mapping[str, Any]
    lines: Mapping[Place, int]
    body: str
    body_line: int

    def line(self, place: Place) -> int:
        """The line of an entry, or of the nearest around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def front_matter(text: str, file: Path | str, *, lenient: bool = False) -> Front:
    """Take a Markdown file apart.

    Args:
        text: of the file.
        file: its name, for messages.
        lenient: where it is not YAML, take each line of ``name: text`` for an entry, as coding agents do: their
            descriptions are full of colons.

    Raises:
        RoleError: there is no front matter, or it is not plain YAML.
    """
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    if lines[0].rstrip() != _FENCE:
        raise RoleError(file, "it does not begin with a line of ---, its front matter, and another line of ---", 1)
    end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == _FENCE), None)
    if end is None:
        raise RoleError(file, "the front matter that begins here has no line of --- at its end", 1)
    front = lines[1:end]
    if sum(map(len, front)) + len(front) > MAX_FRONT:
        raise RoleError(file, f"its front matter is longer than {MAX_FRONT:,} characters", 1)
    try:
        values, places = _Reader(file).read("\n".join(front))
    except RoleError:
        read = _by_lines(front) if lenient else None
        if read is None:
            raise
        values, places = read
    body = "\n".join(lines[end + 1 :])
    blank = len(body) - len(body.lstrip("\n"))
    return Front(values, places, body.strip(), end + 2 + blank)


def _by_lines(front: list[str]) -> tuple[dict[str, Any], dict[Place, int]] | None:
    """Entries of one line each, as text; what is indented goes on with the one before. None if it is not that."""
    values: dict[str, Any] = {}
    places: dict[Place, int] = {(): 1}
    name = ""
    for number, line in enumerate(front, 2):
        entry = _ENTRY.fullmatch(line.rstrip())
        if entry is not None and entry[1] not in values:
            name = entry[1]
            values[name], places[(name,)] = (entry[2] or "").strip("\"'"), number
        elif name and (not line.strip() or line[0].isspace()):
            values[name] = f"{values[name]} {line.strip()}".strip()
        else:
            return None
    return values, places


class _Reader:
    """Reads one front matter; line 1 of it is line 2 of the file."""

    def __init__(self, file: Path | str) -> None:
        self._file = file
        self._lines: dict[Place, int] = {(): 1}
        self._line = self._depth = self._count = 0

    def read(self, text: str) -> tuple[dict[str, Any], dict[Place, int]]:
        import yaml

        with self._told(text):
            events = yaml.parse(text, Loader=yaml.SafeLoader)
            first = self._next(events)
            while isinstance(first, yaml.StreamStartEvent | yaml.DocumentStartEvent):
                first = self._next(events)
            if isinstance(first, yaml.StreamEndEvent):
                return {}, self._lines
            if not isinstance(first, yaml.MappingStartEvent):
                self._fail("the front matter must be entries such as name: critic")
            values = self._mapping(events, ())
            self._next(events)
            if not isinstance(self._next(events), yaml.StreamEndEvent):
                self._fail("the front matter is one document")
        return values, self._lines

    @contextmanager
    def _told(self, text: str) -> Generator[None]:
        """What the parser says, as a place in the file."""
        import yaml

        try:
            yield
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self._line = mark.line if mark else 0
            self._fail(_said(error.problem or error.context or "it is not YAML"))
        except yaml.YAMLError as error:
            self._line = text.count("\n", 0, int(getattr(error, "position", 0)))
            self._fail("it holds a character that YAML does not allow")

    def _next(self, events: Any) -> Event:
        """The next event, once it was looked at."""
        import yaml

        event: Event = next(events)
        self._line = event.start_mark.line if event.start_mark else 0
        self._count += 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            self._fail("anchors and aliases (& and *) are not read; quote the text if it is meant as such")
        if getattr(event, "tag", None) is not None:
            self._fail("tags (!) are not read; quote the text if it is meant as such")
        self._depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if self._depth > _DEEPEST or self._count > _MOST_EVENTS:
            self._fail("it is nested too deeply, or has too many entries")
        return event

    def _value(self, event: Event, events: Any, place: Place) -> Any:
        import yaml

        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(events, place)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(events, place)
        assert isinstance(event, yaml.ScalarEvent)
        return _scalar(str(event.value)) if event.implicit[0] else str(event.value)

    def _mapping(self, events: Any, place: Place) -> dict[str, Any]:
        import yaml

        found: dict[str, Any] = {}
        while not isinstance(key := self._next(events), yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent):
                self._fail("the name of an entry must be plain text")
            name = str(key.value)
            if name in found:
                self._fail(f"{name[:60]!r} is there twice, first on line {self._lines[(*place, name)]}")
            self._lines[(*place, name)] = self._line + 2
            found[name] = self._value(self._next(events), events, (*place, name))
        return found

    def _sequence(self, events: Any, place: Place) -> list[Any]:
        import yaml

        found: list[Any] = []
        while not isinstance(entry := self._next(events), yaml.SequenceEndEvent):
            here = (*place, str(len(found)))
            self._lines[here] = self._line + 2
            found.append(self._value(entry, events, here))
        return found

    def _fail(self, problem: str) -> NoReturn:
        raise RoleError(self._file, problem, self._line + 2)


def _scalar(text: str) -> Any:
    """What stands without quotes: a number, true, false or nothing, and else the text that was written, dates too."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


def _said(problem: str) -> str:
    """What the parser says, in one short line, and what most often is the cause."""
    cut = " ".join(problem.split())[:160]
    if "mapping values are not allowed" in cut:
        return f"it is not YAML: {cut} (a text with a colon in it needs quotes)"
    if "cannot start any token" in cut and "\\t" in cut:
        return "it is not YAML: a tab; indent with spaces"
    return f"it is not YAML: {cut}"
