"""A look at a run from outside: how it stands, without reading all of its log and without trusting any of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from antiphon.tracing import AntiphonError, Event, LogTooNew
from antiphon.tracing.query import events_of
from antiphon.workflows.cli.owner import Owner, live_owner
from antiphon.workflows.cli.tombstone import CLEANED, kept_events
from antiphon.workflows.cli.untrusted import mapping, mappings, text
from antiphon.workflows.cli.words import total

_KINDS: Final = ("run.epoch", "run.opened", "run.ended", CLEANED)
_ENDINGS: Final = frozenset({"completed", "degraded", "failed", "paused", "stopped"})
SAVED: Final = "saved"


@dataclass(slots=True)
class Glance:
    """How a run stands.

    Attributes:
        directory: its directory.
        workflow: the workflow's name; empty where the log does not tell.
        state: ``running`` | ``completed`` | ``degraded`` | ``failed`` | ``paused`` | ``stopped`` | ``interrupted`` (the
            process ended without saying so) | ``damaged`` | ``newer`` | ``unreadable``.
        owner: who owns it while it runs.
        started, ended: unix seconds, or None.
        epochs: how often it was opened.
        calls: calls by outcome, as the last ending tells.
        cleaned_at: when it was cleaned, or None.
        problem: why it cannot be read, or empty.
    """

    directory: Path
    workflow: str = ""
    state: str = "interrupted"
    reason: str = ""
    owner: Owner | None = None
    started: float | None = None
    ended: float | None = None
    epochs: int = 0
    calls: dict[str, int] = field(default_factory=dict[str, int])
    spent: dict[str, Any] = field(default_factory=dict[str, Any])
    pending: dict[str, str] = field(default_factory=dict[str, str])
    cleaned_at: float | None = None
    problem: str = ""

    @property
    def run_id(self) -> str:
        """The directory's name."""
        return self.directory.name

    @property
    def saved(self) -> bool:
        """Whether somebody marked the run as one to keep whole."""
        return (self.directory / SAVED).exists()


def glance(directory: Path) -> Glance:
    """How the run in a directory stands. Raises nothing that the directory's content could cause."""
    seen = Glance(directory)
    try:
        _read(seen, events_of(directory, _KINDS))
    except AntiphonError as error:
        seen.problem = error.message
        seen.state = _state_of(error)
    seen.owner = live_owner(directory)
    if seen.owner is not None and not seen.problem:
        seen.state, seen.ended = "running", None
    return seen


def _state_of(error: AntiphonError) -> str:
    if isinstance(error, LogTooNew):
        return "newer"
    return "damaged" if type(error).__name__ == "LogDamaged" else "unreadable"


def _read(seen: Glance, events: Iterable[Event]) -> None:
    for event in events:
        data = mapping(event.data)
        match event.kind:
            case "run.epoch":
                seen.epochs += 1
                seen.state, seen.ended = "interrupted", None
            case "run.opened":
                seen.started = event.at
                seen.workflow = text(data.get("workflow"))
            case "run.ended":
                _ended(seen, event.at, data)
            case _:
                _cleaned(seen, event.at, data)


def _ended(seen: Glance, at: float, data: Mapping[str, Any]) -> None:
    kind = data.get("kind")
    seen.state = kind if isinstance(kind, str) and kind in _ENDINGS else "ended strangely"
    seen.ended, seen.reason = at, text(data.get("reason"))
    tables = mappings(data.get("calls"))
    seen.calls = {kind: n for kind, n in total(tables).items() if kind not in ("planned", "started")}
    seen.spent = mapping(data.get("spent"))
    seen.pending = {path: text(question) for path, question in mapping(data.get("pending")).items()}


def _cleaned(seen: Glance, at: float, data: Mapping[str, Any]) -> None:
    """A tombstone: what it kept of the ending stands for the log it replaced."""
    seen.cleaned_at = at
    seen.workflow = text(data.get("workflow"))
    for event in kept_events(data):
        if event.kind == "run.ended":
            _ended(seen, event.at, event.data)
    started, epochs = data.get("started"), data.get("epochs")
    seen.started = float(started) if isinstance(started, int | float) else None
    seen.epochs = epochs if isinstance(epochs, int) else 0
