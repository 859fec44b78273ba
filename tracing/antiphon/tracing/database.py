"""Writing a log's SQLite file: made whole or not at all, and written by one connection.

Everything here blocks; `sqlite_store` calls it from worker threads.
"""

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import chain as flatten
from pathlib import Path
from typing import Final, final

from antiphon.tracing.errors import LogDamaged
from antiphon.tracing.log import GENESIS, Row, chain
from antiphon.tracing.reading import (
    DATABASE_NAME,
    FIRST,
    SCHEMA_VERSION,
    SELECT,
    TABLE,
    History,
    Stored,
    check_schema,
    plain_files,
    translated,
    uri_of,
)

_APPLICATION: Final = 0x616E7470  # "antp"
# Each statement step lets go of the interpreter lock, and getting it back from a busy event loop can take 5 ms: so
# many rows go in at one step. 64 rows of 6 values stay below the oldest limit on bound values, 999.
_CHUNKS: Final = (64, 8, 1)
_INSERTS: Final = {rows: "INSERT INTO events VALUES " + ",".join(["(?,?,?,?,?,?)"] * rows) for rows in _CHUNKS}


@final
class Database:
    """The one connection that writes a log.

    Args:
        directory: The run's directory; the caller owns it.
        full_fsync: Ask macOS to flush the disk's own cache too; elsewhere it does nothing.

    Raises:
        LogTooNew: A newer antiphon wrote it.
        LogDamaged: The file or the chain is broken.
        LogUnusable: It cannot be opened.
    """

    def __init__(self, directory: Path, *, full_fsync: bool) -> None:
        self._directory = directory
        plain_files(directory)
        path = directory / DATABASE_NAME
        with translated(directory):
            if not path.exists():
                _create(directory)
            self._connection = sqlite3.connect(
                uri_of(path, "mode=rw"), uri=True, isolation_level=None, check_same_thread=False
            )
            try:
                check_schema(self._connection, directory)  # first: what is not a log is not written to
                _configure(self._connection, full_fsync=full_fsync)
                rows = map(Stored._make, self._connection.execute(SELECT, (FIRST,)))
                self.history = History(directory, rows)
            except Exception:
                self._connection.close()
                raise
        self.head = bytes.fromhex(self.history[-1].hash) if self.history else GENESIS

    @property
    def settings(self) -> dict[str, object]:
        """What SQLite says of the settings that durability rests on."""
        names = ("journal_mode", "synchronous", "fullfsync", "checkpoint_fullfsync", "user_version")
        return {name: self._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names}

    def commit(self, rows: Sequence[Row]) -> str:
        """Write rows in one transaction; they are on the disk when this returns.

        Returns:
            The new head, in hex.

        Raises:
            sqlite3.Error: Disk full or I/O. Nothing of these rows counts as written; nothing may be tried again.
        """
        values: list[tuple[object, ...]] = []
        head = self.head
        for row in rows:
            head = chain(head, row)
            values.append((*row, head))
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        start = 0
        for size in _CHUNKS:
            while len(values) - start >= size:
                execute(_INSERTS[size], tuple(flatten.from_iterable(values[start : start + size])))
                start += size
        execute("COMMIT")
        self.head = head
        return head.hex()

    def close(self) -> None:
        """Move everything into `run.db`, so that it is complete on its own, and let go of it.

        Raises:
            sqlite3.Error: Disk full or I/O. What was committed stays committed.
        """
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            self.abandon()
            raise
        self._connection.close()

    def abandon(self) -> None:
        """Let go of the file after a failure, without writing anything again.

        Closing the last connection would checkpoint, which syncs once more. A reader that closes after it makes it
        not the last, and a reader cannot checkpoint.
        """
        try:
            with closing(sqlite3.connect(uri_of(self._directory / DATABASE_NAME, "mode=ro"), uri=True)) as reader:
                reader.execute("SELECT 1 FROM events LIMIT 1").fetchall()
                self._connection.close()
        except sqlite3.Error:
            self._connection.close()


def _create(directory: Path) -> None:
    """Make an empty log beside its place and move it there whole, so that an empty run.db is always damage."""
    path = directory / DATABASE_NAME
    fresh = path.with_name(DATABASE_NAME + ".new")
    if path.with_name(DATABASE_NAME + "-wal").exists():
        raise LogDamaged(directory, None, f"{DATABASE_NAME} is missing, and its -wal is there")
    for leftover in (fresh, fresh.with_name(fresh.name + "-journal")):
        leftover.unlink(missing_ok=True)
    with closing(sqlite3.connect(fresh, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        for statement in (
            "BEGIN",
            f"PRAGMA application_id = {_APPLICATION}",
            f"PRAGMA user_version = {SCHEMA_VERSION}",
            TABLE,
            "COMMIT",
        ):
            connection.execute(statement)
    fresh.rename(path)
    sync_directory(directory)


def sync_directory(directory: Path) -> None:
    """Make the directory's names durable.

    Raises:
        OSError: I/O error.
    """
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _configure(connection: sqlite3.Connection, *, full_fsync: bool) -> None:
    execute: Callable[[str], sqlite3.Cursor] = connection.execute
    execute("PRAGMA trusted_schema = OFF")
    execute("PRAGMA busy_timeout = 10000")
    mode = execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise sqlite3.OperationalError(f"write-ahead logging cannot be had here, only {mode}")
    execute("PRAGMA synchronous = FULL")
    for name in ("fullfsync", "checkpoint_fullfsync"):
        execute(f"PRAGMA {name} = {int(full_fsync)}")
