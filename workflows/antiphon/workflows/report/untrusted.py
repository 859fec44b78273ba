r"""Text that somebody else wrote: names of files, messages of tools, code. It must not act on who reads it.

A file name may hold escape sequences that rewrite a terminal, marks that reverse the direction of what follows, line
ends that start a new Markdown block, or links and images. Shown as code, after its invisible characters are written
out (``\x1b``, ``\u202e``), none of that works any more.
"""

from __future__ import annotations

import re
from urllib.parse import quote

_SHOWN_CHARACTERS = 300
_BACKTICKS = re.compile(r"`+")
_HTTPS = re.compile(
    r"https://[A-Za-z0-9.-]+(?::\d{1,5})?(?:/[A-Za-z0-9._~!$&()*+,;=:@%/-]*)?(?:\?[A-Za-z0-9._~&=%+-]*)?(?:#[\w.~:-]*)?",
    re.ASCII,
)
_SARIF_LINK = re.compile(r"(?=\[(?:[^\[\]]|\\.)*\]\()")


def visible(text: str, limit: int = _SHOWN_CHARACTERS) -> str:
    """The text on one line, with every invisible character written out, and cut to `limit` characters."""
    start = text[: limit + 1]
    shown = start if start.isprintable() else "".join(map(_escaped, start))
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def _escaped(character: str) -> str:
    # Not printable: control, format (which holds the direction marks), surrogates, separators, spaces but the usual.
    if character.isprintable():
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def code(text: str, limit: int = _SHOWN_CHARACTERS) -> str:
    """The text as a Markdown code span, outside tables."""
    shown = visible(text, limit)
    if not shown.strip():
        return "` `" if not shown else f"`{'␠' * len(shown)}`"
    fence = "`" * (max((len(run) for run in _BACKTICKS.findall(shown)), default=0) + 1)
    pad = " " if shown.startswith(("`", " ")) or shown.endswith(("`", " ")) else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def cell(text: str, limit: int = _SHOWN_CHARACTERS) -> str:
    """The text as a code span in a table, where a bar would end the cell even inside a code span."""
    return code(text, limit).replace("|", r"\|")


def sarif_text(text: str) -> str:
    """The text as a SARIF message, in which ``[words](target)`` would become a link."""
    return _SARIF_LINK.sub(r"\\", text)


def is_https(url: str) -> bool:
    """Whether a link to it is harmless: an address of a web page in plain characters, and no name or password in it."""
    return _HTTPS.fullmatch(url) is not None


def relative_uri(unit: str) -> str:
    """A unit's name as a relative URI. A colon is encoded too: before it, a viewer would see a scheme."""
    return quote(unit.encode("utf-8", "backslashreplace"), safe="/")
