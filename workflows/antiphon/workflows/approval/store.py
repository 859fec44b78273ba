"""What was approved, kept in the user's own state folder under a seal that only their secret makes.

Nothing of it is ever read from a project, a run or a plan: those may come from anybody.
"""

from __future__ import annotations

import getpass
import hashlib
import hmac
import json
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from antiphon.tracing import Json
from antiphon.tracing.blobs import open_plain
from antiphon.workflows.approval.planned import planned_of
from antiphon.workflows.approval.subject import Subject
from antiphon.workflows.places import seal, state_folder

_PURPOSE: Final = "approval 1"
_MOST_BYTES: Final = 8_000_000
_MOST_VERSIONS: Final = 50
_MOST_FILES: Final = 200
_VERSION: Final = re.compile(r"-v\d{1,6}$")
_SUFFIX: Final = ".json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """One version of a script that a person agreed to.

    Attributes:
        digest: of its subject. file: where it lay, absolute.
        at: unix seconds. who: the account that agreed. how: ``terminal`` or ``hash``.
        source, manifest, granted: of its subject; arguments: only their names, and a hash of their values.
        cost: what preflight said that it may come to, as JSON.
    """

    digest: str
    file: str
    at: float
    who: str
    how: str
    source: str
    manifest: Mapping[str, Any] = field(default_factory=dict[str, Any])
    granted: Mapping[str, Json] = field(default_factory=dict[str, Json])
    arguments: Mapping[str, str] = field(default_factory=dict[str, str])
    cost: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def event(self) -> dict[str, Json]:
        """As the log of a run has it."""
        return {"hash": self.digest, "file": self.file, "at": self.at, "who": self.who, "how": self.how}


def approved_now(subject: Subject, cost: Mapping[str, Any], *, how: str) -> Approved:
    """The record of a person who agrees right now."""
    return Approved(
        digest=subject.digest,
        file=subject.file,
        at=round(time.time(), 3),
        who=account(),
        how=how,
        source=subject.source,
        manifest=subject.manifest,
        granted=subject.granted,
        arguments={name: sha16(value) for name, value in subject.arguments.items()},
        cost=dict(cost),
    )


def account() -> str:
    """The account that this process belongs to, as a person knows it."""
    with suppress(OSError, KeyError, ImportError):
        return getpass.getuser()
    return str(os.getuid()) if hasattr(os, "getuid") else ""


class Kept:
    """Every approval of this user.

    Args:
        folder: where they are kept; by default the user's own state folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or state_folder() / "approved"

    def find(self, subject: Subject) -> Approved | None:
        """The approval of exactly this, wherever the file lies."""
        place = self._place(subject.file, subject.digest)
        found = _read(place)
        return found if found is not None and found.digest == subject.digest else None

    def last(self, file: str) -> Approved | None:
        """The version of a file that was approved last."""
        return max(self._versions(file), key=lambda version: version.at, default=None)

    def before(self, subject: Subject) -> Approved | None:
        """What a version is compared with: the last of its file, else of another version of its plan, beside it."""
        found, family = self.last(subject.file), _family(subject.file, subject.source)
        if found is not None or not family:
            return found
        others = (version for place in self._recent() for version in _approvals(place))
        related = (version for version in others if _family(version.file, version.source) == family)
        return max(related, key=lambda version: version.at, default=None)

    def keep(self, approved: Approved) -> bool:
        """Keep an approval; False where this user has no place for it, and it holds for this run alone."""
        place = self._place(approved.file, approved.digest)
        content = json.dumps(asdict(approved)).encode()
        try:
            sealed = f"{seal(content, _PURPOSE)}\n".encode() + content
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write(place, sealed)
        except OSError:
            return False
        self._prune(place.parent)
        return True

    def _place(self, file: str, digest: str) -> Path:
        name = hashlib.sha256(file.encode("utf-8", "surrogateescape")).hexdigest()[:40]
        return self._folder / name / f"{digest}{_SUFFIX}"

    def _versions(self, file: str) -> Iterator[Approved]:
        return (found for found in _approvals(self._place(file, "any").parent) if found.file == file)

    def _recent(self) -> list[Path]:
        """The folders of the files that were approved last."""
        try:
            folders = [(entry.stat().st_mtime_ns, entry.path) for entry in os.scandir(self._folder) if entry.is_dir()]
        except OSError:
            return []
        return [Path(path) for _, path in sorted(folders, reverse=True)[:_MOST_FILES]]

    def _prune(self, folder: Path) -> None:
        """Forget the oldest, so that a file that is planned again and again does not fill the disk."""
        for place in _files(folder)[:-_MOST_VERSIONS]:
            with suppress(OSError):
                place.unlink()


def _family(file: str, source: str) -> tuple[str, str] | None:
    """What versions of one plan have in common: where the plans lie, and the name without ``-v2``."""
    planned = planned_of(source)
    return None if planned is None else (str(Path(file).parent.parent), _VERSION.sub("", planned.name))


def _approvals(folder: Path) -> Iterator[Approved]:
    return (found for place in _files(folder) if (found := _read(place)) is not None)


def _files(folder: Path) -> list[Path]:
    """The approvals in a folder, the oldest first."""
    try:
        found = [(entry.stat().st_mtime_ns, entry.path) for entry in os.scandir(folder) if entry.name.endswith(_SUFFIX)]
    except OSError:
        return []
    return [Path(path) for _, path in sorted(found)]


def _write(place: Path, content: bytes) -> None:
    fresh = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(content)
        os.replace(fresh, place)
    finally:
        fresh.unlink(missing_ok=True)


def _read(place: Path) -> Approved | None:
    """What a file says, if it stands under this user's seal; None for anything else."""
    try:
        with open_plain(place) as file:
            text = file.read(_MOST_BYTES + 1)
        sealed, _, content = text.partition(b"\n")
        if len(text) > _MOST_BYTES or not hmac.compare_digest(sealed, seal(content, _PURPOSE).encode()):
            return None
        return Approved(**cast("dict[str, Any]", json.loads(content)))
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def sha16(value: Json) -> str:
    """The beginning of a sha256 of a JSON value, in hex."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
