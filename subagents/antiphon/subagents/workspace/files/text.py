"""The text of a file, and how to write it back byte for byte: its encoding, its mark, its line ends."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, replace
from typing import Final

from antiphon.engine import UsageError

_LOOKED_AT: Final = 8_192
_MARKS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# As PEP 263 has it: in a comment in one of the first two lines.
_DECLARED: Final = re.compile(rb"\A(?:[^\r\n]*\r?\n)?[ \t\f]*#[^\r\n]*?coding[:=][ \t]*([-\w.]+)")
_ONE_BYTE: Final = re.compile(r"(?:iso8859-\d+|cp\d+|koi8-[rtu]|mac-\w+|ascii)\Z")
_SIGNATURES: Final = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x7fELF", "a program (ELF)"),
    (b"SQLite format 3\0", "an SQLite database"),
)


class NotText(UsageError):
    """The file is no text. Nothing was changed."""

    def __init__(self, path: str, what: str) -> None:
        self.path = path
        super().__init__(f"{path}: it is {what}, not text")


@dataclass(frozen=True, slots=True)
class Text:
    """A file's text. Bytes that are not valid in its encoding are kept as lone surrogates, and come back as they were.

    Attributes:
        text: all of it, line ends as they are. encoding: as Python calls it. mark: its byte order mark, or none.
    """

    text: str
    encoding: str = "utf-8"
    mark: bytes = b""

    @classmethod
    def of(cls, data: bytes, path: str) -> Text:
        """Read a file's bytes.

        Raises:
            NotText: there are NUL bytes in it, and no mark says why.
        """
        for mark, encoding in _MARKS:
            if data.startswith(mark):
                return cls._decoded(data[len(mark) :], encoding, mark, path)
        if b"\0" in data[:_LOOKED_AT]:
            raise NotText(path, what_it_is(data))
        return cls(data.decode(encoding := _declared(data), "surrogateescape"), encoding)

    @classmethod
    def _decoded(cls, data: bytes, encoding: str, mark: bytes, path: str) -> Text:
        if encoding == "utf-8":
            return cls(data.decode(encoding, "surrogateescape"), encoding, mark)
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            raise NotText(path, "binary") from None
        return cls(text, encoding, mark)

    @property
    def invalid(self) -> int:
        """The first line (from 1) that is not valid in the encoding; 0 if all is."""
        found = re.search("[\udc80-\udcff]", self.text)
        return self.text.count("\n", 0, found.start()) + 1 if found else 0

    @property
    def crlf(self) -> bool:
        """Whether most lines end in CR LF."""
        pairs = self.text.count("\r\n")
        return pairs * 2 > self.text.count("\n")

    @property
    def lines(self) -> list[str]:
        """Its lines without their ends; the empty one after the last line end is none."""
        found = self.text.split("\n")
        return found[:-1] if found[-1] == "" else found

    def holding(self, text: str) -> Text:
        """Another text, to be written in the same way."""
        return replace(self, text=text)

    def data(self, path: str) -> bytes:
        """The bytes of the file.

        Raises:
            UsageError: there is a character in it that its encoding does not have.
        """
        try:
            errors = "strict" if self.encoding.startswith("utf-16") else "surrogateescape"
            return self.mark + self.text.encode(self.encoding, errors)
        except UnicodeEncodeError as error:
            wrong = self.text[error.start]
            raise UsageError(f"{path}: its encoding, {self.encoding}, has no {wrong!r}") from None


def what_it_is(data: bytes) -> str:
    """What kind of file begins like this, in words."""
    return next((said for begin, said in _SIGNATURES if data.startswith(begin)), "binary")


def _declared(data: bytes) -> str:
    """The encoding that the file names, if it is one where each byte is a character; else UTF-8."""
    found = _DECLARED.match(data[:_LOOKED_AT])
    if found is None:
        return "utf-8"
    try:
        name = codecs.lookup(found[1].decode("ascii")).name
    except (LookupError, UnicodeDecodeError, ValueError):
        return "utf-8"
    if not _ONE_BYTE.match(name) or name == "ascii":
        return "utf-8"
    try:
        return name if data.decode(name).encode(name) == data else "utf-8"
    except UnicodeError:
        return "utf-8"
