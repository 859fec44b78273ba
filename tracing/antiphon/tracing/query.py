"""Asking a log for events of some kinds without decoding all the others: what a list of many runs needs."""

import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Final

from antiphon.tracing.errors import LogDamaged, LogMissing
from antiphon.tracing.log import MAX_BODY, Event, decode
from antiphon.tracing.reading import DATABASE_NAME, Stored, as_row, check_schema, plain_files, translated, uri_of

_MOST: Final = 10_000


def events_of(directory: Path, kinds: Collection[str]) -> list[Event]:
    """The events of these kinds, in log order, at most the first 10,000. Never writes; the chain is not checked.

    Raises:
        LogMissing: There is no log.
        LogTooNew: A newer antiphon wrote it.
        LogDamaged: The file cannot be read as a log.
        LogUnusable: It cannot be opened.
    """
    plain_files(directory)
    path, wal = directory / DATABASE_NAME, directory / f"{DATABASE_NAME}-wal"
    if not path.exists():
        raise LogMissing(directory)
    while True:
        before = _state(path), _state(wal)
        # An immutable reader leaves no -wal and -shm behind, but takes no locks: what it read counts if nobody wrote.
        still = not before[1][0]
        with translated(directory):
            rows = _read(directory, path, "immutable=1" if still else "mode=ro", kinds)
        if not still or (_state(path), _state(wal)) == before:
            return [_event(directory, row) for row in rows]


def _read(directory: Path, path: Path, mode: str, kinds: Collection[str]) -> list[Stored]:
    with closing(sqlite3.connect(uri_of(path, mode), uri=True, isolation_level=None)) as connection:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_BODY + 2**20)
        connection.execute("PRAGMA trusted_schema = OFF")
        check_schema(connection, directory)
        places = ",".join("?" * len(kinds))
        columns = "seq, at, kind, path, body, hash"
        asked = f"SELECT {columns} FROM events WHERE kind IN ({places}) ORDER BY seq LIMIT {_MOST}"
        return [Stored._make(row) for row in connection.execute(asked, tuple(kinds))]


def _event(directory: Path, stored: Stored) -> Event:
    row = as_row(stored)
    if isinstance(row, str):
        raise LogDamaged(directory, stored.seq if isinstance(stored.seq, int) else None, row)
    try:
        return decode(row, stored.hash)
    except (ValueError, RecursionError) as error:
        raise LogDamaged(directory, row.seq, "its data is not JSON") from error


def _state(path: Path) -> tuple[int, int]:
    try:
        of = path.stat()
    except FileNotFoundError:
        return 0, 0
    return of.st_size, of.st_mtime_ns
