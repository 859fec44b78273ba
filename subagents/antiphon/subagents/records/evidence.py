"""What a record rests on, in a form that can be looked up again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from antiphon.subagents.records.content import Digest, Frozen, Place, Text


class FileSpan(Frozen, frozen=True):
    """Lines of a file, with the hash of exactly the bytes they had when the record was made.

    Attributes:
        path: the file, relative to the audited root, POSIX separators.
        start_line, end_line: first and last line, both counted from 1 and included.
        sha256: of the bytes of those lines, line ends included.
    """

    kind: Literal["file_span"]
    path: Text
    start_line: Place
    end_line: Place
    sha256: Digest

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end_line < self.start_line:
            raise ValueError(f"a span ends at line {self.end_line}, before it starts at line {self.start_line}")
        return self


class UrlQuote(Frozen, frozen=True):
    """Words that a page had when it was read.

    Attributes:
        url: the page. quote: its words, exactly. title: the page's, or "".
    """

    kind: Literal["url"]
    url: Text
    quote: Text
    title: Text = ""


class CommandRun(Frozen, frozen=True):
    """A command and how it ended.

    Attributes:
        argv: program and arguments. exit: its status. sha256: of its standard output.
    """

    kind: Literal["command"]
    argv: tuple[Text, ...]
    exit: int
    sha256: Digest


class TestRun(Frozen, frozen=True):
    """A test and how it ended.

    Attributes:
        name: the test's. passed: whether it did. sha256: of its output.
        patches: ids of the patches that were applied to the base when it ran; none for the base itself.
    """

    __test__ = False  # pytest takes every class called Test… for a suite

    kind: Literal["test"]
    name: Text
    passed: bool
    sha256: Digest
    patches: tuple[Digest, ...] = ()


Evidence = Annotated[FileSpan | UrlQuote | CommandRun | TestRun, Field(discriminator="kind")]


def file_span(path: str, lines: Iterable[bytes], start_line: int) -> FileSpan:
    """Evidence for consecutive lines (their bytes, ends included) that begin at `start_line`."""
    span = list(lines)
    digest = hashlib.sha256(b"".join(span)).hexdigest()
    last = start_line + max(len(span), 1) - 1
    return FileSpan(kind="file_span", path=path, start_line=start_line, end_line=last, sha256=digest)
