"""Passages of the workspace for a prompt, chosen by rule: a role says from where and how many, BM25 says which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from antiphon.engine import UsageError
from antiphon.subagents.prompt.files import Caps, Folder, TextFile
from antiphon.subagents.prompt.index import Index
from antiphon.subagents.prompt.passage import Passage
from antiphon.subagents.roles.definition import Retrieve

_FILES_A_STEP: Final = 50
_BYTES_PER_TOKEN: Final = 3
_OVERHEAD_TOKENS: Final = 30
_EVERYTHING: Final = ("**",)

__all__ = ["Caps", "Passage", "Retrieval"]


class Retrieval:
    """Chooses passages of the files below a folder. One a run; files are read when a rule first asks for them.

    What it chooses depends on the question, the rule and the files alone. The files are taken as they were when a rule
    first asked, so that siblings of one run are given the same.

    Args:
        root: the workspace. Nothing outside it is read, and no link below it followed.
        scope: what the workflow may read (its manifest's ``scope.read``); patterns as in an ignore file.
        caps: how much is read at most.
    """

    def __init__(self, root: Path, *, scope: Sequence[str] = _EVERYTHING, caps: Caps | None = None) -> None:
        self._root, self._scope, self._caps = root.resolve(), tuple(scope), caps or Caps()
        self._shelves: dict[tuple[str, ...], _Shelf] = {}

    async def find(self, question: str, rule: Retrieve) -> tuple[Passage, ...]:
        """The passages that a rule chooses, best first.

        Args:
            question: the task, and what else says what is looked for.
            rule: from where, how many, how long together.

        Raises:
            UsageError: this Python's SQLite cannot search, or the workspace cannot be read.
        """
        shelf = self._shelves.get(rule.sources)
        if shelf is None:
            shelf = self._shelves[rule.sources] = self._shelf(rule.sources)
        async with shelf.lock:
            try:
                while await anyio.to_thread.run_sync(shelf.step):
                    pass  # between two steps a cancelled run is left
            except OSError as error:
                self._shelves.pop(rule.sources, None)  # read in part: a later question would miss the rest in silence
                raise _unreadable(self._root, error) from error
            return await anyio.to_thread.run_sync(_chosen, shelf.index, question, rule)

    def left_out(self, rule: Retrieve) -> Mapping[str, int]:
        """How many files the rule would have wanted and did not get, by reason, as far as they were read."""
        shelf = self._shelves.get(rule.sources)
        if shelf is None:
            return {}
        counts = Counter(shelf.left_out)
        counts["lines too long"] = shelf.index.too_long
        return {reason: count for reason, count in sorted(counts.items()) if count}

    def news(self, rule: Retrieve) -> str:
        """What was left out, in words for the run's log; "" where nothing was, and once it was said."""
        shelf = self._shelves.get(rule.sources)
        if shelf is None or shelf.told:
            return ""
        shelf.told = True
        counts = ", ".join(f"{count} {reason}" for reason, count in self.left_out(rule).items())
        return f"files that no passage was looked for in: {counts}" if counts else ""

    def close(self) -> None:
        """Let go of the indexes."""
        for shelf in self._shelves.values():
            shelf.index.close()
        self._shelves.clear()

    def _shelf(self, sources: tuple[str, ...]) -> _Shelf:
        left_out = Counter[str]()
        folder = Folder(self._root, (self._scope, sources), self._caps, left_out)
        return _Shelf(folder.read(), left_out)


class _Shelf:
    """The files of one rule, and how far they have been read."""

    def __init__(self, files: Iterator[TextFile], left_out: Counter[str]) -> None:
        self._files, self.left_out = files, left_out
        self.index, self.lock = Index(), anyio.Lock()
        self._whole = self.told = False

    def step(self) -> bool:
        """Read some more files; whether there may be more."""
        if not self._whole:
            some = list(islice(self._files, _FILES_A_STEP))
            self.index.add(some)
            self._whole = not some
        return not self._whole


def _unreadable(root: Path, error: OSError) -> UsageError:
    return UsageError(
        f"the workspace {root} cannot be read: {error.strerror or error}",
        advice="run where it is, or take `retrieve` out of the role",
    )


def _chosen(index: Index, question: str, rule: Retrieve) -> tuple[Passage, ...]:
    chosen: list[Passage] = []
    room = rule.tokens
    for passage in index.search(question):
        tokens = len(passage.text.encode()) // _BYTES_PER_TOKEN + _OVERHEAD_TOKENS
        if tokens <= room:
            chosen.append(passage)
            room -= tokens
        if len(chosen) == rule.most or room <= _OVERHEAD_TOKENS:
            break
    return tuple(chosen)
