"""What `--baseline` may name: a SARIF file, or a run, of which its own log is meant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from antiphon.engine.errors import UsageError
from antiphon.workflows.baseline.reading import LARGEST_BYTES, BaselineError, SarifLog, read_sarif
from antiphon.workflows.places import find_run, is_ours, runs_home

REPORT = "report.sarif"


@dataclass(frozen=True, slots=True)
class Named:
    """What a person named as a baseline.

    Attributes:
        file: the log. pinned: a name that means the same later: of the run, or the file's absolute path.
        source: what to call it. ours: false for a run that this user did not make here, which may say anything.
    """

    file: Path
    pinned: str
    source: str
    ours: bool = True


def find_baseline(named: str, *, runs_dir: Path | None = None) -> Named:
    """The log that a person means: a file, or a run's id, a part of it, `last`, or its directory.

    Args:
        named: as it was typed.
        runs_dir: where runs live.

    Raises:
        BaselineError: there is nothing of this name.
    """
    try:
        if named and Path(named).is_file():
            return Named(Path(named), str(Path(named).absolute()), named)
        place = find_run(runs_home(runs_dir), named)
    except UsageError as error:
        raise BaselineError(named, f"is neither a file nor a run: {error.message}") from None
    except (OSError, ValueError) as error:  # too long for a path, or no name at all
        raise BaselineError(named, f"cannot be a file's name: {error}") from None
    report = place.directory / REPORT
    if not report.is_file():
        raise BaselineError(named, f"is a run without a {REPORT}: it is no audit, or did not get to its end")
    within = place.directory.parent == runs_home(runs_dir)
    return Named(report, place.run_id if within else str(report), place.run_id, is_ours(place))


def load_baseline(named: Named, *, root: Path | None = None) -> SarifLog:
    """Read the log.

    Args:
        named: as `find_baseline` gives it.
        root: the audited folder, for absolute names in the log.

    Raises:
        BaselineError: it cannot be read, or is no SARIF 2.1.0.
    """
    try:
        if named.file.stat().st_size > LARGEST_BYTES:
            raise BaselineError(named.source, f"is larger than {LARGEST_BYTES >> 20} MiB")
        data = named.file.read_bytes()
    except OSError as error:
        raise BaselineError(named.source, f"cannot be read: {named.file}: {error.strerror or error}") from None
    return read_sarif(data, named.source, root=root)
