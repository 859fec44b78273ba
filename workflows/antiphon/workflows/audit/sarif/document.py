"""A SARIF file taken apart, one result at a time, so that its size and not its ingenuity decides what it costs."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from antiphon.subagents.records import capped
from antiphon.workflows.audit.sarif.values import Object, object_at, objects_at, text_at

MOST_BYTES = 128 * 1024 * 1024
MOST_RESULTS = 50_000
MOST_RUNS = 1_000
VERSION = "2.1.0"
_SPACE = re.compile(r"[ \t\r\n]*")
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


class NotSarif(Exception):
    """Raised for what is not SARIF 2.1.0. `reason` says what is wrong."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class SarifRun:
    """One run of one tool.

    Attributes:
        properties: the run without its results. results: those, in order, as they are.
        beyond: how many more results there are than are read.
    """

    properties: dict[str, Any] = field(default_factory=dict[str, Any])
    results: list[Any] = field(default_factory=list[Any])
    beyond: int = 0

    @property
    def driver(self) -> Object:
        """The tool component that made it."""
        return object_at(self.properties, "tool", "driver")


def read_document(data: bytes, *, most_results: int = MOST_RESULTS) -> list[SarifRun]:
    """The runs of a SARIF file.

    Args:
        data: the file. UTF-8, or UTF-16 with a byte order mark.
        most_results: of all runs together; more are counted and not kept.

    Raises:
        NotSarif: it is something else, another version, too large, or nested too deeply.
    """
    if len(data) > MOST_BYTES:
        raise NotSarif(f"it is too large: {len(data):,} bytes, and the limit is {MOST_BYTES:,}")
    text = _text(data)
    try:
        document = _Document(text, most_results)
        document.read()
    except RecursionError:
        raise NotSarif("it is nested too deeply") from None
    except ValueError as error:
        raise NotSarif(f"it is not JSON: {error}") from None
    _check_version(document.properties)
    if not document.has_runs:
        raise NotSarif("it has no list of runs")
    return document.runs


def _check_version(properties: Object) -> None:
    version = text_at(properties, "version")
    if version != VERSION:
        said = (
            f"it says that it is SARIF {version[:20]!r}" if version else "it does not say which version of SARIF it is"
        )
        raise NotSarif(f"{said}, and {VERSION} is what can be read")


def _text(data: bytes) -> str:
    mark, encoding = next(((mark, name) for mark, name in _BOMS if data.startswith(mark)), (b"", "utf-8"))
    try:
        return data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        raise NotSarif(f"it is not {encoding.upper()} text: {error.reason} at byte {error.start + len(mark)}") from None


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


class _Document:
    """A cursor over the text. Only the results, of which there may be very many, are not read as one value."""

    def __init__(self, text: str, most: int) -> None:
        self._text, self._left, self._at = text, most, 0
        self._decoder = json.JSONDecoder(parse_constant=_no_constant)
        self.properties: dict[str, Any] = {}
        self.runs: list[SarifRun] = []
        self.has_runs = False

    def read(self) -> None:
        """Read all of it. Raises `ValueError` and `RecursionError` for what is no JSON."""
        if self._next() != "{":
            raise NotSarif("it is not a JSON object")
        for key in self._keys():
            if key == "runs" and self._next() == "[":
                self.has_runs = True
                for number in self._elements():
                    if number >= MOST_RUNS:
                        raise NotSarif(f"it has more than {MOST_RUNS:,} runs")
                    self._run()
            else:
                value = self._value()
                self.properties[key] = value if len(self.properties) < MOST_RUNS else None
        if self._next():
            raise ValueError(f"there is more after its end, at character {self._at}")

    def _run(self) -> None:
        if not self._next():
            raise ValueError("it ends too soon")
        if self._next() != "{":
            raise NotSarif("one of its runs is not an object")
        run = SarifRun()
        self.runs.append(run)
        for key in self._keys():
            if key == "results" and self._next() == "[":
                for _ in self._elements():
                    self._result(run)
            else:
                run.properties[key] = self._value()

    def _result(self, run: SarifRun) -> None:
        value = self._value()
        if self._left > 0:
            self._left -= 1
            run.results.append(value)
        else:
            run.beyond += 1

    def _keys(self) -> Iterator[str]:
        """The keys of the object here; whoever is given one reads its value."""
        self._at += 1
        while self._next() != "}":
            key = self._value()
            if not isinstance(key, str) or self._next() != ":":
                raise ValueError(f"a key is expected at character {self._at}")
            self._at += 1
            self._next()
            yield key
            self._separator("}")
        self._at += 1

    def _elements(self) -> Iterator[int]:
        """The numbers of the elements of the array here; whoever is given one reads it."""
        self._at += 1
        number = 0
        while self._next() != "]":
            yield number
            number += 1
            self._separator("]")
        self._at += 1

    def _separator(self, end: str) -> None:
        found = self._next()
        if found == ",":
            self._at += 1
            if self._next() != end:
                return
        elif found == end:
            return
        raise ValueError(f"a comma or {end!r} is expected at character {self._at}")

    def _value(self) -> Any:
        value, self._at = self._decoder.raw_decode(self._text, self._at)
        return value

    def _next(self) -> str:
        """The next character that is no space, where the cursor then is."""
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._text[self._at : self._at + 1]


def troubles(run: SarifRun, tool: str) -> Iterator[str]:
    """What the tool says went wrong with it."""
    for invocation in objects_at(run.properties, "invocations"):
        if invocation.get("executionSuccessful") is False:
            yield f"{tool} says that its run did not succeed"
        for sort in ("toolExecutionNotifications", "toolConfigurationNotifications"):
            for notice in objects_at(invocation, sort):
                if text_at(notice, "level") == "error":
                    yield f"{tool} says: {capped(' '.join(text_at(notice, 'message', 'text').split()), 200)}"
