"""A run that is to be planned again, as its author is shown it: why, with what results, what it did, and its script.

A run may come from anybody; everything read here is data, and all of it is capped.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from antiphon.engine import UsageError
from antiphon.engine.script.replanning import EVENT
from antiphon.tracing import BlobStore, Event, Json, read_log
from antiphon.tracing.blobs import open_plain
from antiphon.workflows.approval.planned import planned_of
from antiphon.workflows.author.plans import Plan, read_plan
from antiphon.workflows.loading import MAX_BYTES
from antiphon.workflows.opened import FORKED, Opened, opened_of
from antiphon.workflows.places import RunPlace, is_ours
from antiphon.workflows.scripts import Scripts

MOST_RESULTS: Final = 60_000
"""Characters of the results that the author is shown."""
_MOST_FAILURES: Final = 40
_CHARACTERS: Final = 400
_MOST_VERSIONS: Final = 1_000
_FAILED: Final = frozenset({"failed", "timed_out", "over_budget", "denied"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A run that is to be planned again.

    Attributes:
        run: its id. directory: where it lies. head: the hash of its last event.
        plan: the name of the plan it runs, "" for none. root: of the first version below its task. version: its own.
        task: in the person's words. script: the text that it ran last. arguments: of main.
        reason: why it is planned again. results: what is known so far, as JSON text, shortened.
        ended: how it ended. census, calls: by phase, how branches and calls ended. failures: the first of them.
        records: how many there are of each sort.
    """

    run: str
    directory: str
    head: str
    plan: str = ""
    root: str = ""
    version: int = 1
    task: str = ""
    script: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    reason: str = ""
    results: str = ""
    ended: str = ""
    census: Mapping[str, Any] = field(default_factory=dict[str, Any])
    calls: Mapping[str, Any] = field(default_factory=dict[str, Any])
    failures: tuple[str, ...] = ()
    records: Mapping[str, int] = field(default_factory=dict[str, int])

    def to_json(self) -> dict[str, Any]:
        """As an argument of the plan's workflow."""
        return asdict(self)


@dataclass(slots=True)
class _Read:
    """What a log says of how a run went."""

    head: str = ""
    reason: str = ""
    given: Mapping[str, Any] = field(default_factory=dict[str, Any])
    ending: Mapping[str, Any] = field(default_factory=dict[str, Any])
    names: dict[str, str] = field(default_factory=dict[str, str])
    failures: dict[str, str] = field(default_factory=dict[str, str])
    records: Counter[str] = field(default_factory=Counter[str])
    forked: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def take(self, event: Event) -> None:
        data = event.data
        self.head = event.hash
        match event.kind:
            case "run.started":
                self.reason, self.given, self.ending = "", {}, {}
            case "run.ended":
                self.ending = data
            case _ if event.kind == FORKED:
                self.forked = data
            case "call.started":
                self.names[event.path] = str(data.get("name", ""))[:_CHARACTERS]
            case "call.ended":
                self._ended(event.path, data)
            case _ if event.kind == EVENT:
                self.reason, self.given = _text(data.get("reason")), data
            case _:
                pass

    def _ended(self, path: str, data: Mapping[str, Any]) -> None:
        self.failures.pop(path, None)
        if data.get("kind") in _FAILED:
            what = f"{self.names.get(path, '')} at {path}: {data.get('kind')}: {_text(data.get('reason'))}"
            self.failures[path] = what[: 2 * _CHARACTERS]
        records: Any = data.get("records")
        for record in _rows(records):
            self.records["/".join(str(record[key])[:60] for key in ("record", "sort") if key in record)] += 1


def _rows(said: object) -> list[dict[str, Any]]:
    given: Any = said
    found: list[Any] = given if isinstance(said, list) else []
    return [row for row in found if isinstance(row, dict)]


def finished(place: RunPlace, *, because: str = "", plans: Path) -> Finished:
    """What there is to say of a run that is to be planned again.

    Args:
        place: the run; nobody may be performing it.
        because: why, in a person's words; "" for what the run itself says.
        plans: the folder of plans.

    Raises:
        UsageError: it is not the run of a script, it says no reason and neither does the person, or its script is gone.
    """
    opened, scripts = opened_of(place, ours=is_ours(place))
    if opened.builtin:
        raise UsageError(
            f"{place.run_id} is a run of {opened.builtin!r}, which ships with antiphon and is not planned",
            advice=f"antiphon resume {place.run_id}",
        )
    read = _Read()
    for event in read_log(place.directory):
        read.take(event)
    kind = _text(read.ending.get("kind")) or "interrupted"
    reason = " ".join(because.split())[:4_000] or read.reason
    if not reason and kind == "failed":
        reason = f"the run failed: {_text(read.ending.get('reason'))}"
    if not reason:
        raise UsageError(
            f"{place.run_id} ended {kind}, and nothing asked for another version of its script",
            advice=f'antiphon replan {place.run_id} --because "what is wrong with it"',
        )
    script = _script(place, scripts, opened)
    plan = _plan(script, plans)
    root, version = _known_as(plan, read.forked)
    return Finished(
        run=place.run_id,
        directory=str(place.directory),
        head=read.head,
        plan=plan.name if plan else "",
        root=root or place.run_id,
        version=version,
        task=plan.words if plan else "",
        script=script,
        arguments=dict(opened.arguments),
        reason=reason,
        results=_results(place, read.given),
        ended=f"{kind}: {_text(read.ending.get('reason'))}",
        census=_table(read.ending.get("census")),
        calls=_table(read.ending.get("calls")),
        failures=tuple(read.failures.values())[:_MOST_FAILURES],
        records=dict(sorted(read.records.items())[:_MOST_FAILURES]),
    )


def root_of(plan: Plan) -> str:
    """The name of the first version below a plan's task."""
    said = plan.task.get("root")
    return said if isinstance(said, str) and said else plan.name


def _known_as(plan: Plan | None, forked: Mapping[str, Any]) -> tuple[str, int]:
    """Root and version of what a run executed: the plan's, else the log's own, which goes along with the run."""
    said, number = _text(forked.get("root")), forked.get("version")
    counted = number if isinstance(number, int) and 0 < number < _MOST_VERSIONS else 1
    return (root_of(plan), min(max(plan.version, counted), _MOST_VERSIONS)) if plan else (said, counted)


def _plan(script: str, plans: Path) -> Plan | None:
    """The plan that a script is of, where its folder is still there."""
    made = planned_of(script)
    plan = read_plan(plans / made.name) if made is not None else None
    return plan if plan is not None and plan.task else None


def _script(place: RunPlace, scripts: Scripts, opened: Opened) -> str:
    """The text that a run executed last, as its own copy has it."""
    copy = scripts.copies.get(opened.script)
    if copy is None:
        raise UsageError(f"{place.run_id} holds no copy of its script", advice=f"antiphon verify {place.run_id}")
    try:
        with open_plain(place.directory / copy.name) as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{copy.name} of {place.run_id} cannot be read: {error.strerror or error}") from None
    if hashlib.sha256(content).hexdigest() != copy.sha256:
        raise UsageError(f"{copy.name} is not what {place.run_id} executed", advice=f"antiphon verify {place.run_id}")
    return content.decode("utf-8", "replace")


def _results(place: RunPlace, given: Mapping[str, Any]) -> str:
    blob = given.get("blob")
    if isinstance(blob, str):
        try:
            text = BlobStore(place.directory).get(blob).decode("utf-8", "replace")
        except (OSError, ValueError):
            text = ""
    else:
        text = json.dumps(given.get("results"), ensure_ascii=False) if given.get("results") is not None else ""
    return text if len(text) <= MOST_RESULTS else f"{text[:MOST_RESULTS]}… ({len(text):,} characters in all)"


def _table(said: object) -> dict[str, Json]:
    """A census by phase, as far as it can be one."""
    found: dict[str, Json] = {}
    for title, counts in _pairs(said):
        numbers: dict[str, Json] = {str(name)[:60]: count for name, count in _pairs(counts) if isinstance(count, int)}
        found[str(title)[:100] or "(no phase)"] = numbers
    return found


def _pairs(said: object) -> Iterable[tuple[Any, Any]]:
    given: Any = said
    found: dict[Any, Any] = given if isinstance(said, dict) else {}
    return list(found.items())[:100]


def _text(said: object) -> str:
    return said[: 10 * _CHARACTERS] if isinstance(said, str) else ""
