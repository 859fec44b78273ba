"""What commands printed, kept for a while, so that a model can read on in it without running them again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from antiphon.engine import CallContext
from antiphon.subagents.tools.paging import more, one_line, page, within

_MOST_OUTPUTS: Final = 128
_MOST_CHARACTERS: Final = 64 * 1024 * 1024
_PAGE_LINES: Final = 400
_LAST_LINES: Final = 120
_LAST_CHARACTERS: Final = 10_000
_FIRST_CHARACTERS: Final = 6_000


class KeptOutputs:
    """The last outputs of the calls of a run, by what was called. The oldest go when there are too many."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str, str], tuple[str, ...]] = OrderedDict()
        self._characters = 0
        self._changing = threading.Lock()

    def keep(self, ctx: CallContext, called: str, lines: Sequence[str]) -> None:
        """Keep what a command printed, in the place of what it printed before."""
        key = (ctx.run.run_id, ctx.path, called)
        with self._changing:
            self._drop(key)
            self._kept[key] = tuple(lines)
            self._characters += _size(lines)
            while len(self._kept) > _MOST_OUTPUTS or (self._characters > _MOST_CHARACTERS and len(self._kept) > 1):
                self._drop(next(iter(self._kept)))

    def read_on(self, ctx: CallContext, called: str, offset: int) -> str | None:
        """What a command printed from a line on; None where it is not kept."""
        lines = self._kept.get((ctx.run.run_id, ctx.path, called))
        return None if lines is None else page(lines, offset=offset, limit=_PAGE_LINES)

    def _drop(self, key: tuple[str, str, str]) -> None:
        self._characters -= _size(self._kept.pop(key, ()))


def _size(lines: Sequence[str]) -> int:
    return sum(map(len, lines))


def both_ends(lines: Sequence[str]) -> str:
    """The beginning and the end of an output, where what matters is; all of it where that fits."""
    if len(lines) <= _PAGE_LINES and len(whole := within(map(one_line, lines))) == len(lines):
        return "\n".join(whole)
    first = within(map(one_line, lines[:_LAST_LINES]), _FIRST_CHARACTERS)
    last = within(map(one_line, reversed(lines[len(first) :][-_LAST_LINES:])), _LAST_CHARACTERS)
    left = len(lines) - len(first) - len(last)
    between = [more(left, "lines before the last ones", len(first))] if left else []
    return "\n".join([*first, *between, *reversed(last)])
