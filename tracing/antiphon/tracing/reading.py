"""Reading a log's SQLite file: by brief read-only connections, without trust in who wrote it."""

import sqlite3
import stat
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, final, overload

from antiphon.tracing.errors import LogDamaged, LogMissing, LogTooNew, LogUnusable
from antiphon.tracing.log import GENESIS, MAX_BODY, Event, Row, chain, decode

DATABASE_NAME: Final = "run.db"
SCHEMA_VERSION: Final = 1
TABLE: Final = (
    "CREATE TABLE events (seq INTEGER PRIMARY KEY, at REAL NOT NULL, kind TEXT NOT NULL, path TEXT NOT NULL, "
    "body TEXT NOT NULL, hash BLOB NOT NULL)"
)
SELECT: Final = "SELECT seq, at, kind, path, body, hash FROM events WHERE seq >= ? ORDER BY seq"
FIRST: Final = -(2**63)
_LAST: Final = 2**63 - 1
_BRIEF_ROWS: Final = 1000
_BRIEF_BYTES: Final = 8 * 2**20


class Stored(NamedTuple):
    """A row of the database as it is, of whatever types somebody put there."""

    seq: Any
    at: Any
    kind: Any
    path: Any
    body: Any
    hash: Any


def read_stored(directory: Path) -> Iterator[Stored]:
    """The rows of a log, in order, read a little at a time so that an owner who writes is never kept waiting.

    Raises:
        LogMissing: There is no log.
        LogTooNew: A newer antiphon wrote it.
        LogDamaged: The file cannot be read as a log.
        LogUnusable: It cannot be opened.
    """
    plain_files(directory)
    if not (directory / DATABASE_NAME).exists():
        raise LogMissing(directory)
    first = FIRST
    while rows := _read_some(directory, first):
        yield from rows
        if rows[-1].seq >= _LAST:
            return
        first = rows[-1].seq + 1


def read_log(directory: Path) -> Iterator[Event]:
    """The events of a log, in order, while it is written as well as after. Never writes; the chain is not checked.

    Raises:
        LogMissing: There is no log.
        LogTooNew: A newer antiphon wrote it.
        LogDamaged: The file cannot be read as a log.
        LogUnusable: It cannot be opened.
    """
    for stored in read_stored(directory):
        row = as_row(stored)
        if isinstance(row, str):
            raise LogDamaged(directory, _number(stored.seq), row)
        yield _decoded(directory, row, stored.hash)


def as_row(stored: Stored) -> Row | str:
    """The stored row if its types are right, else what is wrong with it."""
    seq, at, kind, path, body, digest = stored
    if not (isinstance(seq, int) and isinstance(at, float) and isinstance(digest, bytes) and len(digest) == 32):
        return "its number, time or hash is not of the right type"
    if not (isinstance(kind, str) and isinstance(path, str) and isinstance(body, str)):
        return "its kind, path or data is not text"
    return Row(seq, at, kind, path, body)


def plain_files(directory: Path) -> None:
    """Refuse database files that are links, pipes or devices; a run may come from somebody else.

    Raises:
        LogDamaged: One of them is.
        LogUnusable: The directory cannot be looked into.
    """
    for suffix in ("", "-wal", "-shm", "-journal", ".new", ".new-journal"):
        name = DATABASE_NAME + suffix
        try:
            mode = (directory / name).lstat().st_mode
        except FileNotFoundError:
            continue
        except OSError as error:
            raise LogUnusable(directory, str(error.strerror)) from error
        if not stat.S_ISREG(mode):
            raise LogDamaged(directory, None, f"{name} is not a plain file")


@final
class History(Sequence[Event]):
    """Events that were read and checked, made into `Event`s one at a time as they are looked at.

    A hundred thousand events held as their texts take a third of the memory, and a quarter of the time to open.
    """

    def __init__(self, directory: Path, rows: Iterator[Stored]) -> None:
        self._directory = directory
        self._rows: list[tuple[Any, ...]] = [tuple(row) for row in _checked(directory, rows)]

    def __len__(self) -> int:
        """How many events there are."""
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Event, ...]: ...
    def __getitem__(self, index: int | slice) -> Event | tuple[Event, ...]:
        """The event at a place, from 0, or a tuple of those in a slice."""
        if isinstance(index, slice):
            return tuple(map(self._event, self._rows[index]))
        return self._event(self._rows[index])

    def __iter__(self) -> Iterator[Event]:
        """The events in order."""
        return map(self._event, self._rows)

    def of_kind(self, kind: str) -> Iterator[Event]:
        """The events of one kind, in order, without looking into the others."""
        return (self._event(row) for row in self._rows if row[2] == kind)

    def _event(self, row: tuple[Any, ...]) -> Event:
        return _decoded(self._directory, Row(*row[:5]), row[5])


def _checked(directory: Path, rows: Iterator[Stored]) -> Iterator[Stored]:
    """The rows of a log, each after its link of the chain has been found to hold."""
    head, expected = GENESIS, 1
    while (stored := _next(directory, rows, expected)) is not None:
        row = as_row(stored)
        if isinstance(row, str):
            raise LogDamaged(directory, _number(stored.seq), row)
        if row.seq != expected:
            raise LogDamaged(directory, expected, f"it is missing, and event {row.seq} comes instead")
        head = chain(head, row)
        if head != stored.hash:
            raise LogDamaged(directory, expected, "its hash does not fit what it says and the event before it")
        yield stored
        expected += 1


def _next(directory: Path, rows: Iterator[Stored], expected: int) -> Stored | None:
    try:
        return next(rows, None)
    except sqlite3.DatabaseError as error:
        raise LogDamaged(directory, expected, str(error)) from error


def _decoded(directory: Path, row: Row, digest: bytes) -> Event:
    try:
        return decode(row, digest)
    except (ValueError, RecursionError) as error:
        raise LogDamaged(directory, row.seq, "its data is not a JSON object") from error


def _number(seq: object) -> int | None:
    return seq if isinstance(seq, int) else None


def _read_some(directory: Path, first: int) -> list[Stored]:
    """Up to a thousand rows from `first` on, by a connection that lives as long as this call."""
    path, wal = directory / DATABASE_NAME, directory / f"{DATABASE_NAME}-wal"
    while True:
        before = _state(path, wal)
        # Where everything is in run.db, an immutable reader leaves no -wal and -shm behind and needs no place to make
        # them. It takes no locks, so what it read counts only if nobody wrote meanwhile.
        still = before[-1] == 0
        with translated(directory), _reader(directory, "immutable=1" if still else "mode=ro") as connection:
            check_schema(connection, directory)
            rows = _brief(map(Stored._make, connection.execute(SELECT, (first,))))
        if not still or _state(path, wal) == before:
            return rows


def _brief(rows: Iterator[Stored]) -> list[Stored]:
    taken: list[Stored] = []
    size = 0
    while len(taken) < _BRIEF_ROWS and size < _BRIEF_BYTES:
        try:
            row = next(rows, None)
        except sqlite3.DatabaseError:
            if not taken:
                raise
            break  # what is good before the damage is given first; the next read starts at it
        if row is None:
            break
        taken.append(row)
        size += len(row.body) if isinstance(row.body, str | bytes) else 0
    return taken


def _state(path: Path, wal: Path) -> tuple[int, int, int, int]:
    of = path.stat()
    try:
        pending = wal.stat().st_size
    except FileNotFoundError:
        pending = 0
    return of.st_ino, of.st_size, of.st_mtime_ns, pending


@contextmanager
def _reader(directory: Path, mode: str) -> Generator[sqlite3.Connection]:
    uri = uri_of(directory / DATABASE_NAME, mode)
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        # No row and no statement may take more memory than an honest event could.
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_BODY + 2**20)
        connection.execute("PRAGMA trusted_schema = OFF")
        yield connection


@contextmanager
def translated(directory: Path) -> Generator[None]:
    """Turn SQLite's errors into this floor's."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        blocked = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL)
        if code in (*blocked, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM):
            raise LogUnusable(directory, str(error)) from error
        raise LogDamaged(directory, None, str(error)) from error
    except OSError as error:
        raise LogUnusable(directory, str(error.strerror)) from error


def check_schema(connection: sqlite3.Connection, directory: Path) -> None:
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > SCHEMA_VERSION:
        raise LogTooNew(directory, found, SCHEMA_VERSION)
    schema = connection.execute("SELECT type, name, sql FROM sqlite_master LIMIT 2").fetchall()
    if schema != [("table", "events", TABLE)]:
        raise LogDamaged(directory, None, f"{DATABASE_NAME} is empty, or not laid out as a log is")


def uri_of(path: Path, mode: str) -> str:
    return f"{path.absolute().as_uri()}?{mode}"
