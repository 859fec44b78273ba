"""Cleaning a run: what is bulky goes, and a tombstone that carries on its chain stays."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from antiphon.tracing import AntiphonError, Json
from antiphon.tracing.database import Database, sync_directory
from antiphon.tracing.errors import LogUnusable
from antiphon.tracing.log import GENESIS, Row, encode
from antiphon.tracing.ownership import Ownership
from antiphon.tracing.query import events_of
from antiphon.tracing.reading import DATABASE_NAME, Stored, read_stored
from antiphon.workflows.cli.glance import Glance
from antiphon.workflows.cli.tombstone import CLEANED, LAST_WORDS, MOST_KEPT

BULKY: Final = ("blobs", "patches", "workspaces.git")
_WORKSHOP: Final = ".cleaning"
_TEMPORARY: Final = (_WORKSHOP, f"{DATABASE_NAME}.new", f"{DATABASE_NAME}.new-journal")
_ABANDONED_SECONDS: Final = 3600.0


class NotCleaned(AntiphonError):
    """A run that cannot be cleaned now; nothing of it was removed."""

    exit_code = 2

    def __init__(self, directory: Path, reason: str) -> None:
        self.directory, self.reason = directory, reason
        super().__init__(f"{directory.name} was not cleaned: {reason}", advice=f"antiphon show {directory.name}")


@dataclass(frozen=True, slots=True)
class Removed:
    """What cleaning took away."""

    events: int = 0
    files: int = 0
    bytes: int = 0


def prune(seen: Glance) -> Removed:
    """Remove the bulky parts of a run that nobody owns, leaving a tombstone. Blocks.

    Raises:
        LogBusy: the run goes on.
        LogDamaged, LogTooNew, LogUnusable: its log cannot be read whole; nothing is removed.
        NotCleaned: somebody reads it right now.
    """
    directory = seen.directory
    before = _bytes_below(directory)
    owner = Ownership(directory)
    try:
        _check_whole(directory)
        events = 0 if seen.cleaned_at is not None else _replace_log(seen)
        files = sum(1 for name in BULKY for _ in _files(directory / name))
        for name in (*BULKY, *_TEMPORARY):
            remove(directory / name)
    finally:
        owner.release()
    return Removed(events, files, max(0, before - _bytes_below(directory)))


def _check_whole(directory: Path) -> None:
    """Read the whole log with its chain, and move everything into `run.db`, where a -wal cannot haunt its successor."""
    Database(directory, full_fsync=sys.platform == "darwin").close()
    wal = directory / f"{DATABASE_NAME}-wal"
    if wal.exists() and wal.stat().st_size:
        raise NotCleaned(directory, "somebody is reading its log right now")


def _replace_log(seen: Glance) -> int:
    """Put a tombstone in the place of the log; the number of events removed."""
    directory = seen.directory
    count, before, kept = _last_words(directory)
    rows = list(_tombstone(seen, count, before, kept))
    workshop = directory / _WORKSHOP
    remove(workshop)
    workshop.mkdir()
    database = Database(workshop, full_fsync=sys.platform == "darwin")
    database.commit(rows)
    database.close()
    for suffix in ("-wal", "-shm"):
        (directory / f"{DATABASE_NAME}{suffix}").unlink(missing_ok=True)
    os.replace(workshop / DATABASE_NAME, directory / DATABASE_NAME)
    sync_directory(directory)
    return count - len(kept)


def _last_words(directory: Path) -> tuple[int, str, list[Stored]]:
    """How many events there are, the hash before the last words, and these."""
    tail: deque[Stored] = deque(maxlen=MOST_KEPT + 1)
    count = 0
    for stored in read_stored(directory):
        tail.append(stored)
        count += 1
    kept: list[Stored] = []
    while tail and tail[-1].kind in LAST_WORDS and len(kept) < MOST_KEPT:
        kept.insert(0, tail.pop())
    return count, (tail[-1].hash if tail else GENESIS).hex(), kept


def _tombstone(seen: Glance, count: int, before: str, kept: list[Stored]) -> Iterator[Row]:
    now = time.time()
    words: list[Json] = [[s.seq, s.at, s.kind, s.path, s.body, s.hash.hex()] for s in kept]
    removed: dict[str, Json] = {"events": count - len(kept)}
    for name in BULKY:
        sizes = [file.lstat().st_size for file in _files(seen.directory / name)]
        removed[name] = {"files": len(sizes), "bytes": sum(sizes)}
    facts: dict[str, Json] = {
        "run": seen.run_id,
        "workflow": seen.workflow,
        "started": seen.started,
        "epochs": seen.epochs,
        "events": count,
        "head": kept[-1].hash.hex() if kept else before,
        "before": before,
        "kept": words,
        "removed": removed,
    }
    yield Row(1, now, CLEANED, "", encode(CLEANED, "", facts))
    reports = {str(event.data.get("name")): event for event in events_of(seen.directory, ("report",))}
    for seq, event in enumerate(reports.values(), start=2):
        yield Row(seq, now, "report", "", encode("report", "", event.data))


def leaked(home: Path, now: float) -> list[Path]:
    """Temporary files that a killed process left behind, in runs that nobody owns; and runs that never began."""
    found: list[Path] = []
    for directory in _folders(home):
        if (directory / DATABASE_NAME).exists():
            found += _temporary_in(directory, now)
        elif _looks_like_a_run(directory) and now - directory.stat().st_mtime > _ABANDONED_SECONDS:
            found.append(directory)
    return found


def _temporary_in(directory: Path, now: float) -> Iterator[Path]:
    from antiphon.workflows.cli.owner import live_owner

    if live_owner(directory) is not None:
        return
    for name in _TEMPORARY:
        if (directory / name).exists():
            yield directory / name
    for folder, prefix in ((directory / "blobs", ".new-"), (directory / "control", ".")):
        if folder.is_dir() and not folder.is_symlink():
            for file in sorted(folder.iterdir()):
                # A request may be under way from a process that owns nothing.
                if file.name.startswith(prefix) and now - file.lstat().st_mtime > _ABANDONED_SECONDS:
                    yield file


def _looks_like_a_run(directory: Path) -> bool:
    """Whether this is a directory that a run made and that never got a log."""
    return (directory / "control").is_dir() and not (directory / f"{DATABASE_NAME}-wal").exists()


def _folders(home: Path) -> list[Path]:
    try:
        return sorted(entry for entry in home.iterdir() if entry.is_dir() and not entry.is_symlink())
    except OSError:
        return []


def remove(place: Path) -> None:
    """Remove a file, a link (never what it points to), or a folder with all that is in it; what is not there is gone.

    Raises:
        LogUnusable: it cannot be removed.
    """
    try:
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
    except OSError as error:
        raise LogUnusable(place.parent, f"{place.name} cannot be removed ({error.strerror})") from error


def _files(folder: Path) -> Iterator[Path]:
    """Every file below a folder; no link is followed."""
    if folder.is_symlink():
        return
    for around, _, names in os.walk(folder):
        for name in names:
            yield Path(around, name)


def _bytes_below(directory: Path) -> int:
    total = 0
    for file in _files(directory):
        try:
            total += file.lstat().st_size
        except OSError:
            continue
    return total
