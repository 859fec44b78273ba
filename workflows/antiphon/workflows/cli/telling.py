"""Telling the story of a run from its log, event by event; what an event says that makes no sense is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, final

from antiphon.engine.amount import Amount
from antiphon.engine.journal import read_journal
from antiphon.tracing import AntiphonError, Event, LogDamaged, read_log
from antiphon.workflows.cli.glance import glance
from antiphon.workflows.cli.story import CUT_OFF, FLYING, ROOT, Decision, Entry, Story, walk
from antiphon.workflows.cli.tombstone import CLEANED, kept_events
from antiphon.workflows.cli.untrusted import mapping, shallow, text

DEEPEST: Final = 100
_LONGEST: Final = 2_000
_MOST_NOTES: Final = 1_000


def read_story(directory: Path) -> Story:
    """Read a run's whole log, as far as it can be read.

    Raises:
        LogTooNew: a newer antiphon wrote it.
        LogMissing, LogUnusable: there is no log, or it cannot be opened.
    """
    story = Story(glance(directory))
    teller = _Teller(story)

    def told() -> Iterator[Event]:
        try:
            for event in read_log(directory):
                teller.take(event)
                yield event
        except LogDamaged as error:
            story.damage = error.message

    events = told()
    try:
        story.journal = read_journal(events)
    except (AssertionError, KeyError, TypeError, ValueError, AttributeError) as error:
        # An event that no antiphon writes: the accounts are off, the tree is not.
        story.damage = f"its accounts cannot be read: event {story.events} is malformed ({type(error).__name__})"
        for _ in _read_rest(directory, story.events, teller):
            pass
    teller.finish()
    return story


def _read_rest(directory: Path, after: int, teller: _Teller) -> Iterator[None]:
    """Go on telling where the accounts gave up."""
    try:
        for place, event in enumerate(read_log(directory)):
            if place >= after:
                teller.take(event)
                yield
    except AntiphonError as error:
        teller.story.damage = error.message


@final
class _Teller:
    """Builds a story from events of any origin."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self._by_path: dict[str, Entry] = {ROOT: story.root}
        self._readers: dict[str, Callable[[Event, Mapping[str, Any]], None]] = {
            "run.epoch": self._run_epoch,
            "run.opened": self._run_opened,
            "run.started": self._run_started,
            "run.ended": self._run_ended,
            CLEANED: self._run_cleaned,
            "phase.started": self._phase_started,
            "branch.started": self._branch_started,
            "branch.ended": self._branch_ended,
            "call.started": self._call_started,
            "call.ended": self._call_ended,
            "call.reused": self._call_reused,
            "attempt.started": self._attempt_started,
            "decision": self._decision,
            "note": self._note,
            "control": self._control,
            "forked": self._forked,
            "report": self._report,
        }

    def take(self, event: Event) -> None:
        """Take one event; what it says that makes no sense is left out."""
        self.story.events += 1
        self.story.head = event.hash
        reader = self._readers.get(event.kind)
        if reader is not None:
            reader(event, mapping(event.data))

    def finish(self) -> None:
        """Add up what is below each place, and say of what is open what became of it."""
        story = self.story
        open_as = FLYING if story.glance.state == "running" else CUT_OFF
        for entry in reversed(list(walk(story.root))):
            if not entry.kind and (entry.is_call or entry.sort):
                entry.kind = open_as
            if story.journal is not None and entry.is_call:
                entry.own = story.journal.cost(entry.path)
            tallies = Counter({entry.kind: 1}) if entry.is_call else Counter[str]()
            spent = [entry.own]
            for child in entry.children.values():
                tallies.update(child.tally)
                if child.spent:
                    spent.append(child.spent)
            entry.tally, entry.spent = tallies, Amount.total(spent)
        if not story.root.kind:
            story.root.kind = str(story.ending.get("kind", "")) or open_as

    def _entry(self, path: str) -> Entry | None:
        """The entry of a path, with those above it."""
        found = self._by_path.get(path)
        if found is not None:
            return found
        segments = path.split("/", DEEPEST + 1)
        if len(segments) > DEEPEST or segments[0] != ROOT:
            self.story.too_deep += 1
            return None
        here = self.story.root
        for place, segment in enumerate(segments[1:], start=2):
            inside = here.children.get(segment)
            if inside is None:
                inside = here.children[segment] = Entry("/".join(segments[:place]))
                self._by_path[inside.path] = inside
            here = inside
        return here

    # --- events -----------------------------------------------------------------------------------------------------

    def _run_epoch(self, _event: Event, _data: Mapping[str, Any]) -> None:
        story = self.story
        story.epoch += 1
        story.reused = story.rebound = story.performed = 0
        story.ending = {}

    def _run_opened(self, _event: Event, data: Mapping[str, Any]) -> None:
        self.story.opened = mapping(shallow(data))

    def _run_started(self, event: Event, data: Mapping[str, Any]) -> None:
        root = self.story.root
        root.started, root.ended, root.kind = event.at, None, ""
        root.sort, root.name = "workflow", _text(data, "workflow")

    def _run_ended(self, event: Event, data: Mapping[str, Any]) -> None:
        self.story.ending = mapping(shallow(data))
        root = self.story.root
        root.ended, root.kind, root.reason = event.at, _text(data, "kind"), _text(data, "reason")

    def _run_cleaned(self, event: Event, data: Mapping[str, Any]) -> None:
        self.story.tombstone = dict(data)
        for kept in kept_events(data):
            if kept.kind == "run.ended":
                self._run_ended(kept, mapping(kept.data))
        self.story.epoch = self.story.glance.epochs
        self.story.root.name = _text(data, "workflow")

    def _phase_started(self, event: Event, data: Mapping[str, Any]) -> None:
        entry = self._entry(event.path)
        if entry is not None:
            entry.phases[_text(data, "title")] = None

    def _branch_started(self, event: Event, data: Mapping[str, Any]) -> None:
        entry = self._begun(event, data)
        if entry is not None:
            entry.sort = _text(data, "construct") or "branch"
            items = data.get("items")
            entry.items = items if isinstance(items, int) else None

    def _branch_ended(self, event: Event, data: Mapping[str, Any]) -> None:
        entry = self._entry(event.path)
        if entry is not None:
            entry.sort = entry.sort or "item"
            self._ended(entry, event, data)

    def _call_started(self, event: Event, data: Mapping[str, Any]) -> None:
        entry = self._begun(event, data)
        if entry is not None:
            self._is_call(entry, data)
            self.story.performed += 1

    def _call_ended(self, event: Event, data: Mapping[str, Any]) -> None:
        entry = self._entry(event.path)
        if entry is not None:
            self._is_call(entry, data)
            self._ended(entry, event, data)

    def _call_reused(self, event: Event, data: Mapping[str, Any]) -> None:
        entry = self._entry(event.path)
        if entry is None:
            return
        source = self._by_path.get(_text(data, "source"))
        self._is_call(entry, data)
        entry.kind, entry.reused, entry.epoch = _text(data, "kind"), True, self.story.epoch
        entry.phase = _text(data, "phase")
        if source is not None and source is not entry:
            entry.started, entry.ended = source.started, source.ended
            entry.reason, entry.category = source.reason, source.category
            self.story.rebound += 1
        self.story.reused += 1

    def _attempt_started(self, event: Event, _data: Mapping[str, Any]) -> None:
        entry = self._by_path.get(event.path)
        if entry is not None:
            entry.attempts += 1

    def _decision(self, event: Event, data: Mapping[str, Any]) -> None:
        self.story.decisions.append(Decision(event.path, _text(data, "decision"), shallow(data.get("value"))))

    def _note(self, event: Event, data: Mapping[str, Any]) -> None:
        if event.path and len(self.story.notes) < _MOST_NOTES:
            self.story.notes.append((event.path, _text(data, "text")))

    def _control(self, _event: Event, data: Mapping[str, Any]) -> None:
        what = _text(data, "ask") or ("pause" if "pause" in data else "control")
        told = " ".join(text for text in (what, _text(data, "budget"), _text(data, "reason")) if text)
        if len(self.story.controls) < _MOST_NOTES:
            self.story.controls.append(told)

    def _forked(self, _event: Event, data: Mapping[str, Any]) -> None:
        told = f"a fork of {_text(data, 'run')}, with the script of the plan {_text(data, 'plan')}"
        if len(self.story.controls) < _MOST_NOTES:
            self.story.controls.append(told)

    def _report(self, _event: Event, data: Mapping[str, Any]) -> None:
        self.story.reports[_text(data, "name")] = _text(data, "sha256")

    # --- parts of events --------------------------------------------------------------------------------------------

    def _begun(self, event: Event, data: Mapping[str, Any]) -> Entry | None:
        entry = self._entry(event.path)
        if entry is not None:
            entry.started, entry.ended = event.at, None
            entry.kind, entry.reason, entry.category, entry.reused = "", "", "", False
            entry.phase, entry.epoch = _text(data, "phase"), self.story.epoch
        return entry

    def _ended(self, entry: Entry, event: Event, data: Mapping[str, Any]) -> None:
        entry.ended, entry.epoch = event.at, self.story.epoch
        entry.kind, entry.reason = _text(data, "kind"), _text(data, "reason")
        entry.category = _text(data, "infrastructure") or _text(data, "category")
        entry.estimated = bool(data.get("estimated"))
        entry.phase = _text(data, "phase") or entry.phase

    def _is_call(self, entry: Entry, data: Mapping[str, Any]) -> None:
        entry.is_call, entry.sort = True, _text(data, "call") or "call"
        entry.name, entry.label = _text(data, "name"), _text(data, "label")


def _text(data: Mapping[str, Any], key: str) -> str:
    return text(data.get(key), _LONGEST)
