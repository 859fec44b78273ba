"""Data in a prompt: enclosed so that nothing inside can close it, and legible whatever it is."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Final

from antiphon.tracing import Json

_MARKER_CHARACTERS: Final = 12
# Controls other than tab and line ends, and halves of surrogate pairs, which UTF-8 cannot hold.
_ILLEGIBLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def legible(text: str) -> str:
    r"""The text with control characters and lone surrogates spelled out (``\x1b``, ``\udc80``); the rest as it is.

    What is sent is what the log holds and what a person is shown; and every provider takes it. Twice is as once.
    """
    return _ILLEGIBLE.sub(lambda found: _spelled(found[0]), text)


def _spelled(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def enclosed(name: str, content: str, attributes: Mapping[str, Json] | None = None) -> str:
    """Content between two lines that carry a marker which is not in the content.

    The marker is a hash of the content, so the same content is enclosed in the same way everywhere (siblings share a
    provider's cache), and whoever writes content cannot close it: to name the marker changes the marker.

    Args:
        name: what the content is: ``context``, ``passage``, ``about``.
        content: anything, from anybody.
        attributes: of the first line; written as JSON, so that they stay inside it.
    """
    inside = legible(content)
    said = "".join(f" {key}={legible(_line(value))}" for key, value in (attributes or {}).items())
    marker = _marker(inside, said)
    return f"<{name} {marker}{said}>\n{inside}\n</{name} {marker}>"


def written(value: Json) -> str:
    """A value as a model reads it: a text as it is, everything else as JSON with sorted keys."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _line(value: Json) -> str:
    """JSON on one line, also for those who end lines at U+2028."""
    return json.dumps(value, ensure_ascii=False).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _marker(content: str, attributes: str) -> str:
    """Letters and digits that are in neither; found by hashing again until it is so."""
    marker = hashlib.sha256(f"{len(content)} {content}{attributes}".encode()).hexdigest()
    while (short := marker[:_MARKER_CHARACTERS]) in content or short in attributes:
        marker = hashlib.sha256(f"{marker}{content}".encode()).hexdigest()
    return short
