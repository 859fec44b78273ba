"""Patterns of ignore files, matched in time that grows with the name and never with its power.

The patterns are those of .gitignore, and mean what git says they mean, byte for byte. A tree may be hostile, and its
ignore files with it: where each pattern becomes one regular expression, as in pathspec 1.0, ``*a*a*a*a*ab`` takes half
a minute on one long name. Here a path is matched segment by segment, and within a segment nothing is tried twice.

One thing is as git documents it and not as it does it: stars beside other characters, as in ``a/b**/c``, never match a
``/``, which they do in git 2.39 where nothing before them is special.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_MOST_CHARACTERS: Final = 1_000
_STAR: Final = "*"
_ANY_NAME: Final = "\x01"
"""A name that no pattern spells out."""
_CHARACTER: Final = re.compile(r"\\?(.)", re.DOTALL)
_MEMBER: Final = re.compile(r"\\(?P<escaped>.)|\[:(?P<named>[^\]]*):\]|(?P<plain>[^\\])", re.DOTALL)
_NAMED: Final = {
    "alpha": string.ascii_letters,
    "digit": string.digits,
    "alnum": string.ascii_letters + string.digits,
    "upper": string.ascii_uppercase,
    "lower": string.ascii_lowercase,
    "space": " \t\n\r",
    "xdigit": string.hexdigits,
    "blank": " \t",
    "punct": string.punctuation,
    "graph": string.ascii_letters + string.digits + string.punctuation,
    "print": string.ascii_letters + string.digits + string.punctuation + " ",
    "cntrl": "".join(map(chr, (*range(32), 127))),
}


_EVERY_BYTE: Final = frozenset(map(chr, range(256)))
_NOTHING: Final = re.compile(r"(?!)")


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line of an ignore file.

    Attributes:
        include: False for a line that begins with ``!``. folders: it names folders only.
        segments: what each segment of a path has to be; None for ``**``, any number of them. No two None in a row.
    """

    include: bool
    folders: bool
    segments: tuple[re.Pattern[str] | None, ...]

    @property
    def weight(self) -> int:
        """What it may cost to hold a path against it, where a mere name costs 1; more for ``**`` among segments."""
        among = len(self.segments) > 2 and None in self.segments
        return len(self.segments) ** 2 if among else 1

    def matches(self, path: Sequence[str], *, folder: bool) -> bool:
        """Whether this very path is meant, by its segments; what is inside of it is for the caller to say."""
        if self.folders and not folder:
            return False
        first, *rest = self.segments
        if first is None and len(rest) == 1 and rest[0] is not None:  # most patterns are a name, wherever it is
            return rest[0].fullmatch(path[-1]) is not None
        if first is not None and not first.fullmatch(path[0]):
            return False
        # How many of the pattern's first segments can be the path's segments so far.
        reached = self._skipping({0})
        for name in path:
            reached = self._skipping(self._after(reached, name))
            if not reached:
                return False
        return len(self.segments) in reached

    def reaches_into(self, folder: Sequence[str]) -> bool:
        """Whether something inside of a folder may be meant, or all of it; by its segments, none for the top."""
        reached = self._skipping({0})
        for name in folder:
            reached = self._skipping(self._after(reached, name))
            if not reached or len(self.segments) in reached:
                return bool(reached)
        return True

    def covers(self, folder: Sequence[str]) -> bool:
        """Whether everything inside of a folder is meant, each by itself: ``secrets/**``."""
        return self.segments[-1] is None and self.matches([*folder, _ANY_NAME], folder=False)

    def _after(self, reached: Iterable[int], name: str) -> set[int]:
        after = set[int]()
        for place in reached:
            segment = self.segments[place] if place < len(self.segments) else _NOTHING
            if segment is None:
                after |= {place, place + 1} if place + 1 == len(self.segments) else {place}
            elif segment.fullmatch(name):
                after.add(place + 1)
        return after

    def _skipping(self, reached: set[int]) -> set[int]:
        """``**`` may be nothing, but at the end it is something inside."""
        last = len(self.segments) - 1
        return reached | {place + 1 for place in reached if place < last and self.segments[place] is None}


@dataclass(frozen=True, slots=True)
class Patterns:
    """Lines of an ignore file, or of a rule; the last that fits decides."""

    lines: tuple[Pattern, ...]

    @classmethod
    def of(cls, lines: Iterable[str]) -> Patterns:
        """The lines that are patterns; as git does, this passes over those that are not."""
        return cls(tuple(found for line in lines if (found := _read(_bytewise(line))) is not None))

    @property
    def weight(self) -> int:
        """What it may cost to hold a path against all of them; see `Pattern.weight`."""
        return sum(pattern.weight for pattern in self.lines)

    def decides(self, path: str, *, folder: bool) -> bool | None:
        """Whether this very path is meant: True, False for a line with ``!``, None if no line fits."""
        segments = _bytewise(path).split("/")
        for pattern in reversed(self.lines):
            if pattern.matches(segments, folder=folder):
                return pattern.include
        return None

    def may_mean_in(self, folder: str) -> bool:
        """Whether there may be a file in a folder that is meant; "" for the top."""
        segments = _bytewise(folder).split("/") if folder else []
        for pattern in reversed(self.lines):
            if pattern.include and pattern.reaches_into(segments):
                return True
            if not pattern.include and pattern.covers(segments):
                return False
        return False

    def means(self, path: str) -> bool:
        """Whether a file is meant, by itself or by a folder around it; the innermost that a line fits decides."""
        if (said := self.decides(path, folder=False)) is not None:
            return said
        above = path
        while "/" in above:
            above = above.rpartition("/")[0]
            if (said := self.decides(above, folder=True)) is not None:
                return said
        return False


def lines_of(content: bytes) -> list[str]:
    """The lines of an ignore file; as to git, nothing but a line feed ends one."""
    return content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape").split("\n")


def _bytewise(text: str) -> str:
    """A character for each byte: to git, ``?`` is one byte."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def _read(line: str) -> Pattern | None:
    text = _without_trailing_spaces(line.removesuffix("\n").removesuffix("\r"))
    if not text or text.startswith("#") or len(text) > _MOST_CHARACTERS:
        return None
    include = not text.startswith("!")
    text = text if include else text[1:]
    folders, text = text.endswith("/"), text.removesuffix("/")
    anchored, text = "/" in text, text.removeprefix("/")
    try:
        written = [_segment(atoms) for atoms in _split(text)]
    except ValueError:
        return None
    segments = written if anchored else [None, *written]
    once = [
        one for place, one in enumerate(segments) if one is not None or place == 0 or segments[place - 1] is not None
    ]
    return Pattern(include, folders, tuple(once))


def _without_trailing_spaces(text: str) -> str:
    bare = text.rstrip(" ")
    escaped = (len(bare) - len(bare.rstrip("\\"))) % 2 == 1
    return bare + " " if escaped and len(bare) < len(text) else bare


def _split(text: str) -> Iterator[list[str]]:
    """The segments of a pattern: of each its stars, and a regular expression for each other character.

    Raises:
        ValueError: it is no pattern.
    """
    atoms: list[str] = []
    place = 0
    while place < len(text):
        character = text[place]
        place += 1
        if character == "*":
            atoms.append(_STAR)
        elif character == "?":
            atoms.append(".")
        elif character == "[":
            one, place = _class(text, place)
            atoms.append(one)
        else:
            if character == "\\":
                character, place = text[place : place + 1], place + 1
            if character == "/":
                yield atoms
                atoms = []
            elif character:
                atoms.append(re.escape(character))
            else:
                raise ValueError(text)
    yield atoms


def _segment(atoms: Sequence[str]) -> re.Pattern[str] | None:
    """What a segment has to be; None for any number of segments.

    All stars but the last take as little as they can and never give it back: for a pattern of stars and single
    characters the first place that fits is as good as any.

    Raises:
        ValueError: there is nothing in it, which no segment of a path is.
    """
    if not atoms:
        raise ValueError("an empty segment")
    if set(atoms) == {_STAR} and len(atoms) > 1:
        return None
    pieces = [""]
    for atom in atoms:
        if atom != _STAR:
            pieces[-1] += atom
        elif pieces[-1] or len(pieces) == 1:
            pieces.append("")
    first, *rest = pieces
    between = "".join(f"(?>.*?{piece})" for piece in rest[:-1])
    return re.compile(first + between + "".join(f".*{piece}" for piece in rest[-1:]), re.DOTALL)


def _class(text: str, place: int) -> tuple[str, int]:
    """A class such as ``[!a-z]``, from behind its bracket: a regular expression, and where the class ends.

    Raises:
        ValueError: it has no end, or a name that there is not.
    """
    negated = text[place : place + 1] in ("!", "^")
    beginning = place = place + negated
    members, before = set[str](), ""
    while text[place : place + 1] != "]" or place == beginning:
        ranged = text[place : place + 1] == "-" and before and text[place + 1 : place + 2] not in ("", "]")
        found = (_CHARACTER if ranged else _MEMBER).match(text, place + 1 if ranged else place)
        if found is None:
            raise ValueError(text)
        place = found.end()
        if ranged:
            members.update(map(chr, range(ord(before), ord(found[1]) + 1)))
            before = ""
        else:
            before = found["escaped"] or found["plain"] or ""
            members.update(before or _named(found["named"]))
    wanted = "".join(f"\\x{ord(one):02x}" for one in sorted(_EVERY_BYTE - members if negated else members))
    return (f"[{wanted}]" if wanted else "(?!)"), place + 1


def _named(name: str) -> str:
    if name not in _NAMED:
        raise ValueError(name)
    return _NAMED[name]
