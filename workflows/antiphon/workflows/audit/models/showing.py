"""How code is shown to a model: with the numbers of its lines, whole or not at all, or the lines around one place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from antiphon.subagents.prompt.passage import Passage
from antiphon.workflows.audit.sources import Source

BYTES_A_TOKEN: Final = 3
"""Code comes to some three bytes a token. Used to plan: what is reserved is bounded by bytes, what is paid counted."""
NUMBER_BYTES: Final = 6
"""What the number of a line adds to it."""
AROUND_LINES: Final = 80
"""Lines before and after a claim's that its verifiers see."""


def tokens_of(size: int, lines: int) -> int:
    """About how many tokens a file comes to once it is numbered.

    Args:
        size: in bytes.
        lines: how many it has.
    """
    return -(-(size + lines * NUMBER_BYTES) // BYTES_A_TOKEN)


def whole(source: Source) -> Passage:
    """A file as a passage, every line with its number."""
    return _passage(source, 1, len(source.lines))


def around(source: Source, line: int, end: int, most_tokens: int) -> Passage:
    """The lines around some lines, as many as there is room for on both sides alike, `AROUND_LINES` at most.

    Where a line alone is more than there is room for, its beginning is shown, and how much is not.

    Args:
        source: the file.
        line: the first that must be seen, from 1.
        end: the last.
        most_tokens: of all that is shown, about.
    """
    last = len(source.lines)
    first, end = min(max(line, 1), max(last, 1)), min(max(end, line), last)
    low, high = max(1, first - AROUND_LINES), min(last, end + AROUND_LINES)
    while low < high and _size(source, low, high) > most_tokens:
        if first - low >= high - end and low < first:
            low += 1
        elif high > first:
            high -= 1
        else:
            break
    return _passage(source, low, high, most_tokens * BYTES_A_TOKEN)


def _size(source: Source, low: int, high: int) -> int:
    return tokens_of(sum(map(len, source.lines[low - 1 : high])), high - low + 1)


def _passage(source: Source, low: int, high: int, most_bytes: int | None = None) -> Passage:
    span = source.evidence(low, high)
    text = "".join(_numbered(source, source.lines[low - 1 : high], low, most_bytes))
    digest = span.sha256 if span is not None else source.sha256
    return Passage(source.unit, low, high, digest, 1.0, text)


def _numbered(source: Source, lines: Sequence[bytes], first: int, most_bytes: int | None) -> Iterator[str]:
    for number, line in enumerate(lines, first):
        beyond = 0 if most_bytes is None else max(0, len(line) - most_bytes)
        shown = line[: len(line) - beyond].decode(source.encoding, "replace").rstrip()
        yield f"{number:>4}| {shown}" + (f" […{beyond:,} more bytes of this line]\n" if beyond else "\n")
