"""Whether a recorded run still says what it said: the chain, and the blobs and reports that it vouches for."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import cast, final

from antiphon.tracing.blobs import BLOBS_NAME, digest_of, is_digest
from antiphon.tracing.errors import AntiphonError
from antiphon.tracing.log import GENESIS, Row, chain
from antiphon.tracing.reading import Stored, as_row, read_stored

_MOST_PROBLEMS = 1000
_LARGEST_FILE = 4 * 2**30


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify_log` found.

    Attributes:
        ok: Nothing is wrong.
        events: How many events were read.
        head: The hash of the last event as computed from the log, in hex.
        problems: What is wrong, and at which event (`None`: the log as a whole). At most 1,000 are named.
    """

    ok: bool
    events: int
    head: str
    problems: tuple[tuple[int | None, str], ...]


def verify_log(directory: Path, head: str | None = None) -> Verification:
    """Check a run's log, and the files it vouches for, without changing or trusting anything.

    Args:
        directory: The run's directory. What is in it may come from anybody; no link out of it is followed.
        head: The hash that was printed when the run ended. Without it an edit, a removal or another order inside the
            chain is found; with it also that the end was cut off or the whole rewritten.

    Returns:
        What was found. It does not raise for anything that the directory holds.
    """
    check = _Check(directory)
    try:
        for stored in read_stored(directory):
            check.look_at(stored)
        check.look_at_reports()
    except AntiphonError as error:
        check.complain(check.events + 1 if check.events else None, error.message)
    except (OSError, ValueError, MemoryError, RecursionError) as error:
        check.complain(None, f"the log cannot be read: {error}")
    if head is not None and check.head.hex() != head.strip().lower():
        check.complain(None, "the head is not the one given: the end was cut off, or the log was rewritten")
    return Verification(not check.problems, check.events, check.head.hex(), tuple(check.problems))


@final
class _Check:
    """What has been seen of a log so far."""

    def __init__(self, directory: Path) -> None:
        self.head = GENESIS
        self.events = 0
        self.problems: list[tuple[int | None, str]] = []
        self._directory = directory
        self._expected = 1
        self._blobs: set[str] = set()
        self._reports: dict[str, tuple[int, object]] = {}

    def complain(self, seq: int | None, what: str) -> None:
        if len(self.problems) < _MOST_PROBLEMS - 1:
            self.problems.append((seq, what))
        elif len(self.problems) == _MOST_PROBLEMS - 1:
            self.problems.append((None, "there are more problems than these"))

    def look_at(self, stored: Stored) -> None:
        """Check a row by itself and against the one before."""
        self.events += 1
        row = as_row(stored)
        if isinstance(row, str):
            self.complain(stored.seq if isinstance(stored.seq, int) else None, row)
            return
        if row.seq != self._expected:
            self.complain(row.seq, f"event {self._expected} should be here: events were removed or added")
        self._expected = row.seq + 1
        self._link(row, stored.hash)
        self._vouched(row)

    def _link(self, row: Row, digest: bytes) -> None:
        if chain(self.head, row) != digest:
            self.complain(row.seq, "its hash does not fit what it says and the event before it")
        # Going on from the hash as stored names one edit once, and not everything after it.
        self.head = digest

    def _vouched(self, row: Row) -> None:
        try:
            data: object = json.loads(row.body)
        except (ValueError, RecursionError):
            self.complain(row.seq, "its data is not JSON")
            return
        if not isinstance(data, dict):
            self.complain(row.seq, "its data is not an object")
            return
        said = cast("dict[str, object]", data)
        if "blob" in said:
            self._blob(row.seq, said["blob"])
        if row.kind in ("report", "input"):  # a later one of the same name replaces it
            self._reports[str(said.get("name"))] = row.seq, said.get("sha256")

    def look_at_reports(self) -> None:
        """Check the last report, or input that was kept, of each name against its file."""
        for name, (seq, digest) in self._reports.items():
            self._file(seq, name, digest)

    def _blob(self, seq: int, digest: object) -> None:
        if isinstance(digest, str) and digest in self._blobs:
            return
        self._file(seq, f"{BLOBS_NAME}/{digest}" if is_digest(digest) else "", digest)
        self._blobs.add(str(digest))

    def _file(self, seq: int, name: str, digest: object) -> None:
        if not name or not isinstance(digest, str) or not is_digest(digest):
            self.complain(seq, "it vouches for a file, but does not say which or by what hash")
            return
        wrong = _wrong_file(self._directory, name, digest)
        if wrong:
            self.complain(seq, f"{name[:200]!r} {wrong}")


def _wrong_file(directory: Path, name: str, digest: str) -> str | None:
    parts = Path(name).parts
    if not parts or "\0" in name or ".." in parts or Path(name).is_absolute():
        return "is not a name inside the run's directory"
    place = directory
    for part in parts:
        place = place / part
        if os.path.islink(place):
            return "is reached through a link, which is not followed"
    found = digest_of(place, most=_LARGEST_FILE)
    if found is None:
        return "is missing, or not a plain file that can be read (up to 4 GiB)"
    return None if found == digest else "was changed"
