"""Where runs live: `.antiphon/runs/<run-id>/`, and how a run made here is told from one that came from elsewhere."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from antiphon.engine import UsageError
from antiphon.tracing.blobs import open_plain

_MARK_BYTES = 64
HOME = ".antiphon"
_IGNORED = "*\n!/roles/\n!/roles/**\n"
"""What git is told of all that: only the project's roles are anybody else's business."""


@dataclass(frozen=True, slots=True)
class RunPlace:
    """The directory of one run."""

    directory: Path

    @property
    def run_id(self) -> str:
        """The run's id, which is the directory's name."""
        return self.directory.name

    @property
    def script(self) -> Path:
        """The workflow as it was when the run began."""
        return self.directory / "script.py"

    @property
    def control(self) -> Path:
        """Where other processes leave requests."""
        return self.directory / "control"

    @property
    def origin(self) -> Path:
        """The mark that says this user made the run."""
        return self.directory / "origin"


def runs_home(given: Path | None = None) -> Path:
    """The folder that holds runs: `given`, or `.antiphon/runs` here."""
    return (given or Path.cwd() / HOME / "runs").absolute()


def new_run(home: Path) -> RunPlace:
    """A new run in `home`, named by the time. Raises `UsageError` where nothing can be written."""
    return make_run(home / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}")


def make_run(directory: Path) -> RunPlace:
    """A new run in `directory`, which must not exist. Raises `UsageError` where nothing can be written."""
    place, home = RunPlace(directory), directory.parent
    try:
        place.control.mkdir(parents=True)
        _ignore_itself(home)
    except OSError as error:
        raise UsageError(
            f"cannot write runs to {home}: {error.strerror or error}", advice="choose another place with --runs-dir DIR"
        ) from None
    with suppress(OSError), place.origin.open("xb") as out:  # without a key, resuming will ask for --trust
        out.write(_mark(place.run_id, os.fstat(out.fileno()).st_ino))
    return place


def _ignore_itself(home: Path) -> None:
    if home.parent.name == HOME and not (ignore := home.parent / ".gitignore").exists():
        ignore.write_text(_IGNORED)


def find_run(home: Path, wanted: str) -> RunPlace:
    """The run named by its id, `last`, a path to its directory, or a unique beginning or ending of its id.

    Raises:
        UsageError: there is none, or more than one.
    """
    runs = list_runs(home)
    found = runs[-1:] if wanted == "last" else [run for run in runs if run.run_id == wanted]
    if not found and _holds_run(Path(wanted)):
        found = [RunPlace(Path(os.path.abspath(wanted)))]
    found = found or [run for run in runs if wanted and (run.run_id.startswith(wanted) or run.run_id.endswith(wanted))]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(run.run_id for run in found[:5])
        raise UsageError(f"{wanted!r} fits {len(found)} runs: {names}", advice="antiphon runs")
    raise UsageError(f"there is no run {wanted[:300]!r} in {home}", advice="antiphon runs")


def _holds_run(directory: Path) -> bool:
    try:
        return (directory / "run.db").exists()
    except (OSError, ValueError):  # too long, or no name at all
        return False


def list_runs(home: Path) -> list[RunPlace]:
    """Every run in `home`, oldest first."""
    if not home.is_dir():
        return []
    return [RunPlace(entry) for entry in sorted(home.iterdir()) if (entry / "run.db").is_file()]


def is_ours(place: RunPlace) -> bool:
    """Whether this user made the run on this machine.

    Its mark is keyed by a secret of theirs, and bound to the file that holds it: a run that was sent away and came
    back, or was copied, has another one.
    """
    try:
        with open_plain(place.origin) as file:
            said, inode = file.read(_MARK_BYTES + 1), os.fstat(file.fileno()).st_ino
        return hmac.compare_digest(said, _mark(place.run_id, inode))
    except OSError:
        return False


def _mark(run_id: str, inode: int) -> bytes:
    text = f"{inode} {run_id}".encode("utf-8", "surrogateescape")
    return hmac.new(_key(), text, hashlib.sha256).hexdigest().encode()


def seal(content: bytes, purpose: str) -> str:
    """What only this user on this machine can write under some content: in hex, keyed by a secret of theirs.

    Raises:
        OSError: there is no such secret, and none can be made.
    """
    return hmac.new(_key(), purpose.encode() + b"\0" + content, hashlib.sha256).hexdigest()


def state_folder() -> Path:
    """Where this user keeps what no project, run or plan may bring along: outside of all of them."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "antiphon"


def _key() -> bytes:
    """The user's own secret, made at first use; outside any run directory, so that nobody can bring it along."""
    folder = state_folder()
    file = folder / "origin.key"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / f"origin.key.{os.getpid()}.{secrets.token_hex(4)}"
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(secrets.token_bytes(32))
        try:
            os.link(fresh, file)  # whoever comes first makes the key
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return file.read_bytes()
