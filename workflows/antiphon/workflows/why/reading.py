"""Reads a run's log for what was recorded: the records as the report had them, and the calls that produced them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from antiphon.engine.history import Durable
from antiphon.engine.journal import Journal, read_journal
from antiphon.engine.received import Given, frames_in, given_to
from antiphon.subagents.records import Record, from_json, read_records
from antiphon.tracing import Event, LogDamaged, read_log
from antiphon.tracing.log import Json
from antiphon.workflows.cli import tombstone
from antiphon.workflows.cli.untrusted import mapping, sequence, shallow, text
from antiphon.workflows.synthesis import Synthesis, synthesize
from antiphon.workflows.why.blobs import KeptBlobs
from antiphon.workflows.why.cleaned import kept_records
from antiphon.workflows.why.older import as_now

_ROOT: Final = "main"
_STRANGE: Final = (AssertionError, KeyError, TypeError, ValueError, AttributeError, RecursionError)
_MOST_TEXT: Final = 20_000
_FINAL: Final = frozenset({"completed", "degraded", "failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCall:
    """A call, as the log tells of it.

    Attributes:
        path: its place. source: where it was performed, if a resume took it from there; else "".
        sort, name, label, phase: what it was called. covers: the units it answered for.
        hash: of all that it could see.
        kind, reason: how it ended. seconds: how long it took, None if that is not known.
        spent: what it cost, by dimension.
    """

    path: str
    source: str = ""
    sort: str = ""
    name: str = ""
    label: str = ""
    phase: str = ""
    covers: tuple[str, ...] = ()
    hash: str = ""
    kind: str = ""
    reason: str = ""
    seconds: float | None = None
    spent: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Around:
    """A branch around a call: its place, and what sort of thing it is."""

    path: str
    construct: str
    name: str
    phase: str


@dataclass(kw_only=True)
class RecordedRun:
    """What a run recorded.

    Attributes:
        directory: the run's. workflow: its name. arguments: what it was given.
        records: every record, by id. calls: those that produced records, by path. branches: by path.
        started: by path: the event that began a call there. frames: by digest: what holds each frame.
        unreadable: how many records this version cannot read.
        damage: why the log could not be read to its end, or "".
        cleaned: whether the log was cleaned away, so that the records are those of its report.json, without calls.
    """

    directory: Path
    workflow: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    records: dict[str, Record] = field(default_factory=dict[str, Record])
    calls: dict[str, RecordedCall] = field(default_factory=dict[str, RecordedCall])
    branches: dict[str, Around] = field(default_factory=dict[str, Around])
    started: dict[str, Event] = field(default_factory=dict[str, Event])
    frames: dict[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    unreadable: int = 0
    damage: str = ""
    cleaned: bool = False

    @property
    def run_id(self) -> str:
        """The directory's name."""
        return self.directory.name

    @cached_property
    def synthesis(self) -> Synthesis:
        """The records, merged as the report merges them."""
        return synthesize(self.records.values(), {})

    def given(self, call: RecordedCall) -> Given | None:
        """What a call was given, or None where the log is too old to hold it."""
        begun = self.started.get(call.source or call.path)
        if begun is None or not begun.data.keys() & {"task", "task_blob"}:
            return None
        found = given_to(begun.data, self.frames, KeptBlobs(self.directory))
        frames = None if found.frames is None else tuple(shallow(frame) for frame in found.frames)
        return Given(shallow(found.task), frames)

    def around(self, path: str) -> list[Around]:
        """The branches around a call, from the root on."""
        parts = path.split("/")
        above = ("/".join(parts[:length]) for length in range(1, min(len(parts), 100)))
        return [self.branches.get(place, Around(place, "", "", "")) for place in above]


def read_run(directory: Path) -> RecordedRun:
    """Read what a run recorded, as far as it can be read.

    Raises:
        LogTooNew: a newer antiphon wrote it.
        LogMissing, LogUnusable: there is no log, or it cannot be opened.
    """
    run = RecordedRun(directory=directory)
    events = list(_told(directory, run))
    for event in events:
        _take(run, event)
    if run.cleaned:
        _take_kept(run)
    run.frames = frames_in(events)
    for path, durable in _outcomes(events, run):
        call = _call(path, durable, run.started.get(durable.path))
        if found := _records(run, durable.data, path):
            run.calls[path] = call
            run.records.update({record.id: record for record in found})
    return run


def _told(directory: Path, run: RecordedRun) -> Iterator[Event]:
    try:
        yield from read_log(directory)
    except LogDamaged as error:
        run.damage = error.message


def _take(run: RecordedRun, event: Event) -> None:
    data = mapping(event.data)
    match event.kind:
        case "run.opened":
            run.workflow = text(data.get("workflow"))
            run.arguments = mapping(shallow(data.get("arguments")))
        case "branch.started":
            words = (text(data.get(key), 200) for key in ("construct", "name", "phase"))
            run.branches[event.path] = Around(event.path, *words)
        case tombstone.CLEANED:
            run.cleaned, run.workflow = True, text(data.get("workflow"))
        case "call.started":
            run.started[event.path] = event
        case _:
            pass


def _take_kept(run: RecordedRun) -> None:
    for record in kept_records(run.directory):
        if record is None:
            run.unreadable += 1
        else:
            run.records[record.id] = record


def _outcomes(events: Sequence[Event], run: RecordedRun) -> list[tuple[str, Durable]]:
    """The outcomes that stand, with their place: where the last attempt ended, what it used; else everything."""
    try:
        journal = read_journal(events)
    except _STRANGE as error:
        run.damage = run.damage or f"its accounts cannot be read: an event is malformed ({type(error).__name__})"
        return _plain_outcomes(events)
    return _standing(journal, _last_ended(events))


def _last_ended(events: Sequence[Event]) -> bool:
    last = next((event for event in reversed(events) if event.kind in ("run.started", "run.ended")), None)
    return last is not None and last.kind == "run.ended" and text(last.data.get("kind")) in _FINAL


def _standing(journal: Journal, only_last: bool) -> list[tuple[str, Durable]]:
    placed = journal.left_below(_ROOT, "", None).placed
    return [(one.path, one.durable) for one in placed if not only_last or one.attempt == journal.attempts]


def _plain_outcomes(events: Sequence[Event]) -> list[tuple[str, Durable]]:
    """What a log says that no antiphon wrote: every ending, at its own place."""
    last = {event.path: event for event in events if event.kind == "call.ended"}
    return [(path, Durable(path, path, "", event.seq, event.at, mapping(event.data))) for path, event in last.items()]


def _call(path: str, durable: Durable, begun: Event | None) -> RecordedCall:
    data = mapping(durable.data)
    told = {key: text(data.get(key), _MOST_TEXT) for key in ("name", "label", "phase", "hash", "kind", "reason")}
    return RecordedCall(
        path=path,
        source=durable.path if durable.path != path else "",
        sort=text(data.get("call"), 100),
        covers=tuple(text(unit) for unit in sequence(data.get("covers"))),
        seconds=max(0.0, durable.at - begun.at) if begun else None,
        spent=mapping(data.get("spent")),
        **told,
    )


def _records(run: RecordedRun, data: Mapping[str, Any], path: str) -> list[Record]:
    """The records of one call. One that cannot be read is counted, and does not hide the others."""
    given: list[Mapping[str, Json]] = []
    for item in sequence(mapping(data).get("records")):
        try:
            given += as_now(mapping(item))
        except (ValidationError, *_STRANGE):
            run.unreadable += 1
    try:
        return read_records(given, path)
    except (ValidationError, *_STRANGE):
        return list(_one_by_one(run, given, path))


def _one_by_one(run: RecordedRun, given: Sequence[Mapping[str, Json]], path: str) -> Iterator[Record]:
    for item in given:
        try:
            yield from_json(item, branch=path)
        except (ValidationError, *_STRANGE):
            run.unreadable += 1
