"""A run that goes on with a further version of its script: a copy of the run up to now, in which an event says so.

What finished replays, as after any edit: calls whose place and content are the same, or whose content is. The run that
it was made of stays as it is. The log is copied with its chain, so the head it was forked at is in it.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from antiphon.engine import UsageError
from antiphon.tracing import AntiphonError, Json, Log, Redactor, open_log, read_log
from antiphon.tracing.copying import copy_log
from antiphon.tracing.query import events_of
from antiphon.workflows.author.result import chosen_of
from antiphon.workflows.disk import check_plain, recording
from antiphon.workflows.loading import Loaded, load
from antiphon.workflows.opened import FORKED
from antiphon.workflows.places import RunPlace, make_run
from antiphon.workflows.scripts import Scripts

if TYPE_CHECKING:
    from antiphon.workflows.author.launch import Planning

_ID: Final = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")
_KEPT: Final = ("blobs", "workflows", "patches", "workspaces.git", "script.py", "manifest.json", "inputs.json")
_REPORTS: Final = ("report.md", "report.json", "report.html", "report.sarif", "before.sarif", "before.json")


async def fork(planning: Planning) -> str:
    """Make the run that goes on with a further version, once: its id. It is there whole, or not at all.

    Raises:
        UsageError: the run that it is made of, or the script, is not as it was; or another run has that id.
        LogFailed: it cannot be written.
    """
    asked, before = planning.asked, planning.asked.before or {}
    if not _ID.fullmatch(asked.fork):
        raise UsageError(f"{asked.fork[:80]!r} is no run's id")
    target = RunPlace(Path(asked.runs) / asked.fork)
    if not _is_taken(target):
        await _made(Path(str(before.get("directory", ""))), target, _about(planning), _examined(planning))
    elif not _is_of(target, planning.made.run):
        raise UsageError(f"there is a run {asked.fork} already, which is no fork for this plan")
    return asked.fork


def _about(planning: Planning) -> dict[str, Json]:
    """What the event says: of which run, at which head, by which plan, and what runs from then on."""
    before = planning.asked.before or {}
    return {
        "run": str(before.get("run", "")),
        "head": str(before.get("head", "")),
        "plan": planning.asked.name,
        "root": str(before.get("root", "")),
        "made_by": planning.made.run,
        "version": int(before.get("version", 1)) + 1,
        "reason": str(before.get("reason", "")),
        "script": str(planning.asked.folder / "script.py"),
    }


def _examined(planning: Planning) -> str:
    """sha256 of the version that passed, "" where none did: no other text goes on with a run."""
    chosen = chosen_of(planning.made.state) if planning.made.state else None
    return str(chosen["examined"]["sha256"]) if chosen is not None else ""


def _is_taken(place: RunPlace) -> bool:
    return os.path.lexists(place.directory)


def _is_of(place: RunPlace, made_by: str) -> bool:
    """Whether a run is the fork that this making of a plan made. A fork of a fork says more than once what it is."""
    try:
        said = events_of(place.directory, (FORKED,))
    except AntiphonError:
        return False
    return bool(said) and said[-1].data.get("made_by") == made_by


async def _made(source: Path, target: RunPlace, about: dict[str, Json], sha256: str) -> None:
    """Make it where no run is looked for, and put it in its place once it is whole."""
    loaded = load(Path(str(about["script"])))
    if loaded.digest != sha256:
        raise UsageError(f"{loaded.path} is not the version that passed", advice=f"antiphon replan {about['run']}")
    check_plain(source)
    making = target.directory.with_name(f".making-{target.run_id}")
    _clear(making)
    try:
        place = make_run(making / target.run_id)
        _copied(source, place, str(about["head"]))
        await _said(place, loaded, about)
        with recording(target.directory):
            place.directory.rename(target.directory)
    finally:
        _clear(making)


def _clear(folder: Path) -> None:
    """Take away what is made, or what a process left that was killed while it made it."""
    if folder.is_symlink() or folder.is_file():
        raise UsageError(f"{folder} is no folder")
    if folder.exists():
        shutil.rmtree(folder)


async def _said(place: RunPlace, loaded: Loaded, about: dict[str, Json]) -> None:
    """Have the log say whose fork it is, and what runs from then on."""
    async with open_log(place.directory, redactor=Redactor.from_environment()) as log:
        events = log.events()
        ended = [event.data for event in events if event.kind == "run.ended"]
        Scripts.of(place.directory, events, ours=True).keep(log, loaded)
        log.enqueue(FORKED, "", {**about, "sha256": loaded.digest})
        await _ended(log, about, ended[-1] if ended else {})


def _copied(source: Path, target: RunPlace, head: str) -> None:
    """Copy a run, which must end at `head` in the copy."""
    with recording(target.directory):
        for name in (*_KEPT, *_REPORTS):
            _copy(source / name, target.directory / name)
        copy_log(source, target.directory)
    if [event.hash for event in read_log(target.directory)][-1:] != [head]:
        raise UsageError(f"{source.name} went on since it was planned again", advice=f"antiphon replan {source.name}")


async def _ended(log: Log, about: dict[str, Json], ending: dict[str, Any]) -> None:
    """It has not begun yet; what the run before came to is what it has so far."""
    told: dict[str, Json] = {name: ending[name] for name in ("spent", "calls", "census") if name in ending}
    reason = f"a fork of {about['run']}, with a further version of its script; not begun yet"
    await log.append("run.ended", "", {**told, "kind": "paused", "reason": reason})


def _copy(source: Path, target: Path) -> None:
    """Copy a file or folder as it is; links stay links, and nothing is followed."""
    if source.is_symlink() or not source.exists():
        return
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copyfile(source, target, follow_symlinks=False)
