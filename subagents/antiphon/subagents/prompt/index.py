"""A search index over stretches of files: BM25, as SQLite's FTS5 computes it."""

from __future__ import annotations

import hashlib
import sqlite3
import weakref
from collections.abc import Iterable, Iterator
from typing import Final

from antiphon.engine import UsageError
from antiphon.subagents.prompt.files import TextFile
from antiphon.subagents.prompt.passage import Passage
from antiphon.subagents.prompt.words import MOST_BYTES, stretches, terms, words

_PATH_WEIGHT: Final = 2.0
"""A word in a file's path counts so much more than one in its text."""
_SCORE_DIGITS: Final = 12
"""A word that most stretches have counts a millionth; it still has to tell between them."""


class Index:
    """Stretches of files, found by words. Not for two threads at once.

    The database is a private temporary one of SQLite's: it spills to disk where it is large, and goes with the object.

    Attributes:
        too_long: how many stretches were left out because they are one line that is too long.
        close: lets go of the database; called by itself at the latest when nobody has the index any more.
    """

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self.close = weakref.finalize(self, self._database.close)
        self.too_long = 0
        try:
            self._database.execute(
                "CREATE VIRTUAL TABLE words USING fts5(said, path, content='', tokenize='porter unicode61')"
            )
        except sqlite3.OperationalError as error:
            raise UsageError(
                f"passages cannot be searched: this Python's SQLite has no FTS5 ({error})",
                advice="take `retrieve` out of the role, or use a Python whose sqlite3 has FTS5",
            ) from None
        self._database.execute(
            "CREATE TABLE stretches(id INTEGER PRIMARY KEY, path TEXT, first INT, last INT, content BLOB)"
        )

    def add(self, files: Iterable[TextFile]) -> None:
        """Add files; the order in which they come decides between passages that fit equally well."""
        self._database.execute("BEGIN")
        try:
            for file in files:
                self._add(file)
        finally:
            self._database.execute("COMMIT")

    def search(self, question: str) -> Iterator[Passage]:
        """Passages that share a word with the question, best first."""
        asked = terms(question)
        if not asked:
            return
        match = " OR ".join(f'"{term}"' for term in asked)
        rows = self._database.execute(
            "SELECT path, first, last, content, score FROM stretches JOIN ("
            f" SELECT rowid AS found, bm25(words, 1.0, {_PATH_WEIGHT}) AS score FROM words WHERE words MATCH ?"
            ") ON id = found ORDER BY round(score, ?), id",
            (match, _SCORE_DIGITS),
        )
        for path, first, last, content, score in rows:
            digest = hashlib.sha256(content).hexdigest()
            text = content.decode("utf-8", "replace")
            yield Passage(path, first, last, digest, round(-score, _SCORE_DIGITS), text)

    def _add(self, file: TextFile) -> None:
        path = file.path.encode("utf-8", "replace").decode()
        named = " ".join(words(path))
        for stretch in stretches(file.content):
            if len(stretch.content) > MOST_BYTES:
                self.too_long += 1
                continue
            row = self._database.execute(
                "INSERT INTO stretches(path, first, last, content) VALUES (?, ?, ?, ?)",
                (path, stretch.first, stretch.last, stretch.content),
            ).lastrowid
            said = " ".join(words(stretch.content.decode("utf-8", "replace")))
            self._database.execute("INSERT INTO words(rowid, said, path) VALUES (?, ?, ?)", (row, said, named))
