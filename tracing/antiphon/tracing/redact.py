"""Secrets out of what is recorded: each becomes a stable placeholder before anything is hashed or made into a key.

Two things count as secret: the values of environment variables whose names say so, wherever they appear, and texts that
have the shape of a well-known credential. `[secret:NAME]` stands for the first, `[secret:shape:first 8 hex of its
sha256]` for the second, so that equal secrets stay equal and nothing of them can be read back.
"""

import json
import os
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple, cast, final
from urllib.parse import quote

_SECRET_NAME = re.compile(
    r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|PRIVATE)S?(?:_?(?:ID|VALUE|\d+))?$"
    r"|(?:^|_)(?:SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|TOKEN|API_?KEY|ACCESS_KEY|PRIVATE_KEY)_",
    re.IGNORECASE,
)
# Git hands configuration to its children as GIT_CONFIG_KEY_n=name: names, not keys.
_NOT_SECRET_NAME = re.compile(r"^GIT_CONFIG_KEY_\d+$")
_SHORTEST = 8
_NUMBER = re.compile(r"[+-]?[\d_.,:]+")


class _Shape(NamedTuple):
    """A form that credentials have: `markers` are cheap to look for, `pattern` decides."""

    name: str
    markers: tuple[str, ...]
    pattern: re.Pattern[str]

    def replace(self, text: str) -> str:
        return self.pattern.sub(self._stand_in, text)

    def _stand_in(self, found: re.Match[str]) -> str:
        digest = sha256(found[0].encode("utf-8", "surrogatepass")).hexdigest()
        return f"[secret:{self.name}:{digest[:8]}]"


def _shape(name: str, markers: str, pattern: str) -> _Shape:
    return _Shape(name, tuple(markers.split("|")), re.compile(pattern))


def _token(name: str, markers: str, start: str, rest: str) -> _Shape:
    """A token that begins a word; before it there may be a JSON escape, whose letters are not part of the word.

    What may stand before it is asked after `start` has matched, because a pattern that begins with plain letters is
    searched for several times faster.
    """
    before = rf"(?:(?<![A-Za-z0-9_]{start})|(?<=\\[nrtbf]{start})|(?<=\\u[0-9a-fA-F]{{4}}{start}))"
    return _shape(name, markers, start + before + rest)


# A key cut off in the middle has no END line; then everything that can be part of one goes.
_PEM = (
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----"
    r"(?:(?!-----END)(?:[A-Za-z0-9+/=\s:,.\-]|\\+[nrt]))*(?:-----END [A-Z0-9 ]*-----)?"
)
_SHAPES: Final = (
    _shape("pem", "PRIVATE KEY", _PEM),
    _token("sk", "sk-", "sk-", r"[A-Za-z0-9_-]{20,}"),
    _token("github", "gh", "gh[pousr]_", r"[A-Za-z0-9]{20,}"),
    _token("github", "_pat_", "github_pat_", r"[A-Za-z0-9_]{20,}"),
    _token("slack", "xox", "xox[a-z]-", r"[A-Za-z0-9-]{10,}"),
    _token("aws", "AKIA|ASIA", "A[KS]IA", r"[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _token("google", "AIza", "AIza", r"[A-Za-z0-9_-]{35}"),
    _token("jwt", "eyJ", "eyJ", r"[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    _shape("url", "://", r"(?<=://)(?!\[secret:)[^\s/@:?#\"'\\<>]*:[^\s/@?#\"'\\<>]+(?=@)"),
)
_SHAPE_PLACEHOLDER = "|".join(sorted({shape.name for shape in _SHAPES}))


@final
class Redactor:
    """Replaces secrets by placeholders. Doing it twice changes nothing more.

    Args:
        secrets: Names and the secret values they stand for.
    """

    def __init__(self, secrets: Mapping[str, str] | None = None) -> None:
        named = sorted((secrets or {}).items())
        self._names: dict[str, str] = {}
        for name, value in named:
            for spelling in _spellings(value):
                self._names.setdefault(spelling, re.sub(r"\W", "_", name))
        # The longest first: a secret may contain another one.
        self._values = tuple(sorted(self._names, key=lambda value: (-len(value), value)))
        # What `finds` asks, in order: is this in the text, and if so, does that (None: certainly) find a secret in it.
        values = tuple((value, None) for value in self._values)
        self._quick = values + tuple((marker, shape.pattern.search) for shape in _SHAPES for marker in shape.markers)
        known = "|".join(sorted({re.escape(name) for name in self._names.values()})) or "(?!)"
        self._placeholder = re.compile(rf"(\[secret:(?:(?:{known})|(?:{_SHAPE_PLACEHOLDER}):[0-9a-f]{{8}})\])")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Redactor":
        """A redactor for the values of the variables whose names look secret.

        Values shorter than 8 characters, numbers, and paths that exist are left alone.
        """
        return cls({name: value for name, value in environ.items() if _is_secret(name, value)})

    def finds(self, text: str) -> bool:
        """Whether the text, which may be JSON, holds anything that `redact` would replace."""
        for marker, decides in self._quick:
            if marker not in text:
                continue
            if decides is None or decides(text) is not None:
                return True
        return False

    def redact(self, text: str) -> str:
        """The text with every secret replaced."""
        return self._settle(text) if self.finds(text) else text

    def redact_json(self, value: object) -> object:
        """A JSON value with every secret in its strings and keys replaced."""
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, list):
            return [self.redact_json(item) for item in cast("list[object]", value)]
        if isinstance(value, dict):
            pairs = cast("dict[str, object]", value)
            return {self.redact(key): self.redact_json(item) for key, item in pairs.items()}
        return value

    def _settle(self, text: str) -> str:
        # One replacement can uncover another (two tokens run together). Each pass leaves less text outside
        # placeholders, so this ends.
        while (after := self._pass(text)) != text:
            text = after
        return text

    def _pass(self, text: str) -> str:
        pieces = self._placeholder.split(text)
        pieces[::2] = [self._replace(piece) for piece in pieces[::2]]
        return "".join(pieces)

    def _replace(self, text: str) -> str:
        for value in self._values:
            if value in text:
                return text.replace(value, f"[secret:{self._names[value]}]")
        for shape in _SHAPES:
            if shape.pattern.search(text):
                return shape.replace(text)
        return text


def _spellings(value: str) -> set[str]:
    """The ways a secret is written: as it is, in a URL, and inside JSON text up to twice over."""
    if not value:
        return set()
    written = {value, quote(value, safe="", errors="replace")}
    for ascii_only in (True, False):
        text = value
        for _ in range(3):
            text = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
            written.add(text)
    return written


def _is_secret(name: str, value: str) -> bool:
    if not _SECRET_NAME.search(name) or _NOT_SECRET_NAME.match(name):
        return False
    return len(value) >= _SHORTEST and not _NUMBER.fullmatch(value) and not _is_path(value)


def _is_path(value: str) -> bool:
    """Whether a value is plainly a path. Keys in base64 may begin with a slash, so the disk is asked."""
    if value.startswith(("~/", "./", "../")):
        return True
    if not value.startswith("/") or len(value) > 1024:
        return False
    path = Path(value)
    try:
        return path.exists() or (len(path.parts) > 2 and path.parent.is_dir())
    except (OSError, ValueError):
        return False
