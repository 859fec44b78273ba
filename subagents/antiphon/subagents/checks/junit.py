"""Reads JUnit XML, which tests write and anybody may have written: sizes are bounded, and nothing in it is expanded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from antiphon.subagents.checks.cases import Cases, CaseState

MOST_BYTES: Final = 32 * 1024 * 1024
_MOST_DEPTH: Final = 16
_SAID_CHARACTERS: Final = 6_000
_STATES: Final[dict[str, CaseState]] = {"failure": "failed", "error": "error", "skipped": "skipped"}


class UnreadableReport(Exception):
    """What should be JUnit XML is not."""


@dataclass(slots=True)
class _Reader:
    cases: Cases = field(default_factory=Cases)
    depth: int = 0
    name: str = ""
    state: CaseState = "passed"
    said: list[str] = field(default_factory=list[str])
    speaking: bool = False
    room: int = _SAID_CHARACTERS

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > _MOST_DEPTH:
            raise UnreadableReport("it is nested too deeply")
        if tag == "testcase":
            self.name, self.state = _name(attributes), "passed"
            self.said, self.room = [], _SAID_CHARACTERS
        elif tag in _STATES and self.name:
            self.state = _STATES[tag]
            self.speaking = tag != "skipped"

    def end(self, tag: str) -> None:
        self.depth -= 1
        if tag in _STATES:
            self.speaking = False
        elif tag == "testcase" and self.name:
            self.cases.add(self.name, self.state, "".join(self.said))
            self.name = ""

    def text(self, data: str) -> None:
        if self.speaking and self.room > 0:
            self.said.append(data[: self.room])
            self.room -= len(data)


def read_junit(data: bytes) -> Cases:
    """The tests of a report.

    Raises:
        UnreadableReport: it is none, is too large, or declares a document type: that is how entities are smuggled in.
    """
    if len(data) > MOST_BYTES:
        raise UnreadableReport(f"it is larger than {MOST_BYTES} bytes")
    reader, parser = _Reader(), expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = reader.text, _refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise UnreadableReport(f"it is not XML: {error}") from None
    return reader.cases


def _refuse(*_: object) -> None:
    raise UnreadableReport("it declares a document type")


def _name(attributes: dict[str, str]) -> str:
    """What pytest would be given to run this test alone, where the report names the file; else its dotted name."""
    name, module, file = (attributes.get(key, "") for key in ("name", "classname", "file"))
    if not name:
        return module
    if not file:
        return f"{module}.{name}" if module else name
    dotted = file.removesuffix(".py").replace("/", ".").replace("\\", ".")
    inside = module.removeprefix(dotted).strip(".") if module.startswith(dotted) else ""
    return "::".join((file, *filter(None, inside.split(".")), name))
