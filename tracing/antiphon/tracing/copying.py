"""Copying a log as it is, so that another run can go on from it: same events, same chain, another directory."""

import sqlite3
from contextlib import closing
from pathlib import Path

from antiphon.tracing.errors import LogMissing, LogUnusable
from antiphon.tracing.log import MAX_BODY
from antiphon.tracing.reading import DATABASE_NAME, check_schema, plain_files, translated, uri_of


def copy_log(source: Path, target: Path) -> None:
    """Copy a run's log into another directory, which has none. Nobody may be writing it; the chain is not checked.

    Args:
        source: the run's directory; it may come from anybody, and is only read.
        target: a directory.

    Raises:
        LogMissing: there is no log.
        LogTooNew: a newer antiphon wrote it.
        LogDamaged: the file cannot be read as a log.
        LogUnusable: it cannot be opened; or there is a log in the target already.
    """
    plain_files(source)
    path, copy = source / DATABASE_NAME, target / DATABASE_NAME
    if not path.exists():
        raise LogMissing(source)
    if copy.exists():
        raise LogUnusable(target, "it holds a log already")
    with (
        translated(source),
        closing(sqlite3.connect(uri_of(path, "mode=ro"), uri=True, isolation_level=None)) as old,
        closing(sqlite3.connect(copy)) as new,
    ):
        old.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_BODY + 2**20)
        old.execute("PRAGMA trusted_schema = OFF")
        check_schema(old, source)
        old.backup(new)
