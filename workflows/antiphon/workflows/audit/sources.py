"""The audited files as the readers of analysers' output need them: lines, hashes, enclosing symbols."""

from __future__ import annotations

import ast
import hashlib
import io
import threading
import tokenize
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from antiphon.subagents.records import FileSpan, file_span
from antiphon.workflows.audit.files import read_regular
from antiphon.workflows.audit.languages import language_of
from antiphon.workflows.audit.survey import LARGEST_BYTES, Language, Survey

_KEPT_FILES = 4096
_SCOPES = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_PARSING = threading.Lock()  # catch_warnings changes what all threads share, and must be left in order

Scopes = tuple[tuple[int, int, str], ...]
"""Functions and classes as (first line, last line, dotted name), outer before inner."""


class Source:
    """One file's content at one moment.

    Attributes:
        unit: its name. data: its bytes. sha256: of them.
    """

    def __init__(self, unit: str, data: bytes, kept: _KeptScopes) -> None:
        self.unit, self.data, self._kept = unit, data, kept
        self.sha256 = hashlib.sha256(data).hexdigest()

    @cached_property
    def lines(self) -> list[bytes]:
        """Its lines, ends included."""
        return self.data.splitlines(keepends=True)

    @property
    def python(self) -> bool:
        """Whether it is Python, by its name or its first line."""
        return language_of(self.unit, self.data[:256]) in ("python", "stub")

    @cached_property
    def encoding(self) -> str:
        """The encoding that it declares (PEP 263), if it is Python; else UTF-8."""
        if not self.python:
            return "utf-8"
        try:
            return tokenize.detect_encoding(io.BytesIO(self.data).readline)[0]
        except (SyntaxError, LookupError):
            return "utf-8"

    @cached_property
    def scopes(self) -> Scopes:
        """Its functions and classes; none if it does not parse."""
        return self._kept.of(self) or ()

    @property
    def parses(self) -> bool:
        """Whether it is Python that can be parsed."""
        return self.python and self._kept.of(self) is not None

    def mentions(self, *words: bytes) -> bool:
        """Whether one of some words, given in lower case, occurs in it in any case."""
        lowered = self.data.lower()
        return any(word in lowered for word in words)

    def symbol(self, line: int) -> str:
        """The innermost function or class around a line, dotted; "" at module level."""
        return next((name for first, last, name in reversed(self.scopes) if first <= line <= last), "")

    def evidence(self, start_line: int, end_line: int) -> FileSpan | None:
        """The lines as evidence, or None if the file has no such lines."""
        if not 1 <= start_line <= len(self.lines):
            return None
        return file_span(self.unit, self.lines[start_line - 1 : max(start_line, end_line)], start_line)

    def column(self, line: int, offset: int, unit: str = "utf8") -> int | None:
        """The column, from 1 in characters, of a place in a line.

        Args:
            line: from 1.
            offset: bytes of the line's UTF-8 form, from 0; or units of its UTF-16 form, from 1.
            unit: which of the two, "utf8" or "utf16".
        """
        if not 1 <= line <= len(self.lines) or offset < 0:
            return None
        text = self.lines[line - 1].decode(self.encoding, "replace")
        if unit == "utf16":
            return len(text.encode("utf-16-le", "replace")[: 2 * (offset - 1)].decode("utf-16-le", "ignore")) + 1
        return len(text.encode("utf-8", "replace")[:offset].decode("utf-8", "ignore")) + 1


class _KeptScopes:
    """The scopes of files seen lately, by content: several checks ask for the same ones. Small, unlike the files."""

    def __init__(self) -> None:
        self._by_content: dict[str, Scopes | None] = {}

    def of(self, source: Source) -> Scopes | None:
        with _PARSING:
            if source.sha256 not in self._by_content:
                if len(self._by_content) >= _KEPT_FILES:
                    self._by_content.pop(next(iter(self._by_content)))
                self._by_content[source.sha256] = _scopes(source.data) if source.python else ()
            return self._by_content[source.sha256]


@dataclass(frozen=True, slots=True)
class Sources:
    """The files of a survey. May be used by several threads at once.

    Attributes:
        root: what units are relative to.
        hashes: by unit, the content hash that the survey saw.
        largest_bytes: no file above this size is read.
        languages: those of the files.
    """

    root: Path
    hashes: Mapping[str, str] = field(default_factory=dict[str, str])
    largest_bytes: int = LARGEST_BYTES
    languages: frozenset[Language] = frozenset()
    _kept: _KeptScopes = field(default_factory=_KeptScopes, repr=False, compare=False)

    @classmethod
    def of(cls, survey: Survey) -> Sources:
        """The sources of a survey."""
        hashes = {file.unit: file.sha256 for file in survey.files if file.sha256}
        return cls(survey.root, hashes, languages=frozenset(file.language for file in survey.files))

    def path(self, unit: str) -> str:
        """The absolute path of a unit. Absolute, so that no file name can pass for an option or an argument file."""
        return str(self.root / unit)

    def unit(self, path: str) -> str | None:
        """The unit that an absolute path means, or None if it is outside the root."""
        prefix = str(self.root).rstrip("/") + "/"
        return path.removeprefix(prefix) if path.startswith(prefix) else None

    def source(self, unit: str) -> Source | None:
        """A unit as it is now, or None if it cannot be read, or would lead out of the tree."""
        if not self._within(unit):
            return None
        data = read_regular(self.root / unit, self.largest_bytes)
        return None if data is None else Source(unit, data, self._kept)

    def _within(self, unit: str) -> bool:
        """Whether a unit means what it says: no way up, and no link on the way. Others' reports name units too."""
        path = self.root / unit
        try:
            inside = "\0" not in unit and ".." not in path.parts and path.is_relative_to(self.root)
            return inside and path.parent.resolve() == path.parent
        except (OSError, RuntimeError, ValueError):
            return False

    def now(self, units: Iterable[str]) -> dict[str, Source | None]:
        """Several units as they are now."""
        return {unit: self.source(unit) for unit in units}

    def problem(self, unit: str, source: Source | None) -> str | None:
        """Why a unit is not what the survey saw any more, or None if it is."""
        if source is None:
            return "it could not be read again"
        same = self.hashes.get(unit, source.sha256) == source.sha256
        return None if same else "it changed while it was looked at"


def parsed(data: bytes) -> ast.Module | None:
    """The syntax tree of some source, without the warnings that compiling it gives; None if it does not parse."""
    with _PARSING:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse(data)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def _scopes(data: bytes) -> Scopes | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the audited code's own, such as invalid escapes
            tree = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # not Python, or nested to bring a parser down; claims are then keyed by file and rule
    return tuple(sorted(_named(tree), key=lambda scope: (scope[0], -scope[1])))


def _named(tree: ast.Module) -> list[tuple[int, int, str]]:
    found: list[tuple[int, int, str]] = []
    open_nodes: list[tuple[ast.AST, str]] = [(tree, "")]
    while open_nodes:  # not recursive, as the code may be nested deeper than Python's stack
        parent, outer = open_nodes.pop()
        for child in ast.iter_child_nodes(parent):
            name = outer
            if isinstance(child, _SCOPES):
                name = f"{outer}.{child.name}" if outer else child.name
                first = min([child.lineno, *(decorator.lineno for decorator in child.decorator_list)])
                found.append((first, child.end_lineno or child.lineno, name))
            if not isinstance(child, ast.expr):  # no function or class statement is inside an expression
                open_nodes.append((child, name))
    return found
