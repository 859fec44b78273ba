"""Results of calls, kept by what the calls could see, for the audits to come. The folder may hold anything.

A repository can bring such a folder along, and every file in it belongs to whoever cloned it. So an entry counts only
under the seal of the user who made it; what has no such seal is passed over, and that is said.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import secrets
import stat
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from antiphon.tracing import Json
from antiphon.tracing.blobs import open_plain
from antiphon.workflows.places import HOME, seal

LARGEST_ENTRY_BYTES = 16 << 20
KEPT_BYTES = 256 << 20
KEPT_SECONDS = 60 * 86_400.0
_PURPOSE = "cache"
_SEAL_CHARACTERS = 64
_FOLDER = re.compile(r"[0-9a-f]{2}")
_KEPT = re.compile(r"[0-9a-f]{62}|\.new-[0-9a-f]{16}")
"""What we name our folders and files. Nothing else is ever removed, wherever somebody lets the folder lead."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a call gave.

    Attributes:
        run: the run that performed it. value: its value. records: what it recorded.
    """

    run: str
    value: Json
    records: Sequence[Mapping[str, Json]]


class Keeping(Protocol):
    """Where results are kept, by key.

    Attributes:
        troubles: how often something was wrong with it, by what.
    """

    troubles: Counter[str]

    def get(self, key: str) -> Entry | None:
        """The entry of a key, or None."""
        ...

    def put(self, key: str, entry: Entry) -> None:
        """Keep an entry."""
        ...

    def prune(self) -> int:
        """Remove what there is too much of; how many that were."""
        ...


@dataclass(slots=True)
class InMemory:
    """Results that are kept as long as this object: those of one audit for another of the same command."""

    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    troubles: Counter[str] = field(default_factory=Counter[str])

    def get(self, key: str) -> Entry | None:
        """See `Keeping`."""
        return self.entries.get(key)

    def put(self, key: str, entry: Entry) -> None:
        """See `Keeping`."""
        self.entries[key] = entry

    def prune(self) -> int:
        """See `Keeping`."""
        return 0


@dataclass(slots=True)
class Store:
    """Entries in a folder, one file each. Several processes may use it at once. Its methods block.

    Attributes:
        folder: where. above: how many folders around it must be no links either.
        kept_bytes, kept_seconds: what `prune` leaves.
        troubles: how often something was wrong with it, by what.
    """

    folder: Path
    above: int = 0
    kept_bytes: int = KEPT_BYTES
    kept_seconds: float = KEPT_SECONDS
    troubles: Counter[str] = field(default_factory=Counter[str])

    def get(self, key: str) -> Entry | None:
        """The entry of a key (sha256, in hex), or None. What is there and is not to be trusted counts as a trouble."""
        if not self._usable(self._file(key).parent):
            return None
        try:
            with open_plain(self._file(key)) as file:
                data = file.read(LARGEST_ENTRY_BYTES + 1)
                problem = _foreign(os.fstat(file.fileno()))
        except FileNotFoundError:
            return None
        except OSError as error:
            self.troubles[f"an entry could not be read: {error.strerror or error}"] += 1
            return None
        found = None if problem else _opened(key, data)
        if found is None:
            self.troubles[problem or "an entry is damaged, or not of this user's making"] += 1
            return None
        with suppress(OSError):
            os.utime(self._file(key))  # what is used is kept
        return found

    def put(self, key: str, entry: Entry) -> None:
        """Keep an entry. What cannot be kept is a trouble, and no error: the audit has its result anyway."""
        body = json.dumps({"key": key, "run": entry.run, "value": entry.value, "records": list(entry.records)})
        content = body.encode("utf-8", "surrogatepass")
        if len(content) > LARGEST_ENTRY_BYTES - _SEAL_CHARACTERS:
            self.troubles["an entry is too large to keep"] += 1
            return
        if not self._usable(self._file(key).parent):
            return
        try:
            self._write(self._file(key), seal(content, _PURPOSE).encode() + content)
        except OSError as error:
            self.troubles[f"an entry could not be kept: {error.strerror or error}"] += 1

    def _usable(self, inner: Path | None = None) -> bool:
        """Whether its folders, where they are there, are folders of this user and lead nowhere else."""
        own = (inner, self.folder, *list(self.folder.parents)[: self.above])
        if all(map(_own_folder, filter(None, own))):
            return True
        self.troubles["its folder is no folder of this user, or a link"] += 1
        return False

    def _file(self, key: str) -> Path:
        return self.folder / key[:2] / key[2:]

    def _write(self, file: Path, content: bytes) -> None:
        """All of it or nothing, whoever reads or writes at the same time. Not synced: a lost entry costs one call."""
        for folder in (self.folder, file.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = file.with_name(f".new-{secrets.token_hex(8)}")
        try:
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as out:
                out.write(content)
            os.replace(fresh, file)
        except OSError:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise

    def prune(self) -> int:
        """Remove what was not used for longest, until the rest is small and young enough; how many that were."""
        if not self._usable():
            return 0
        oldest = time.time() - self.kept_seconds
        entries = sorted(self._entries())
        total = sum(size for _, size, _ in entries)
        removed = 0
        for used, size, file in entries:
            if used >= oldest and total <= self.kept_bytes:
                break
            with suppress(OSError):
                os.unlink(file)
                removed += 1
            total -= size
        return removed

    def _entries(self) -> Iterator[tuple[float, int, str]]:
        """When last used, size and path of every file."""
        for folder in _scan(self.folder):
            if not folder.is_dir(follow_symlinks=False) or not _FOLDER.fullmatch(folder.name):
                continue
            for entry in _scan(Path(folder.path)):
                if _KEPT.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    with suppress(OSError):
                        found = entry.stat(follow_symlinks=False)
                        yield found.st_mtime, found.st_size, entry.path


def store_beside(runs_home: Path) -> Store:
    """The store that belongs to a folder of runs."""
    ours = runs_home.parent.name == HOME
    return Store((runs_home.parent if ours else runs_home) / "cache" / "audit", above=2 if ours else 1)


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _own_folder(folder: Path) -> bool:
    try:
        found = os.lstat(folder)
    except OSError:
        return True  # there is none yet, or what is wrong with it is said where it is used
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _foreign(found: os.stat_result) -> str | None:
    if found.st_uid != os.geteuid():
        return "an entry belongs to somebody else"
    return "an entry can be written by others" if found.st_mode & 0o022 else None


def _opened(key: str, data: bytes) -> Entry | None:
    given, content = data[:_SEAL_CHARACTERS], data[_SEAL_CHARACTERS:]
    try:
        if not hmac.compare_digest(given, seal(content, _PURPOSE).encode()):
            return None
        body: dict[str, Any] = json.loads(content)  # sealed, so it is what we wrote, if not this version of us
        return Entry(body["run"], body["value"], body["records"]) if body["key"] == key else None
    except (OSError, ValueError, RecursionError, LookupError, TypeError):
        return None
