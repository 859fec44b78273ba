"""Everything that a run knows of one record, cluster, conflict or topic."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Final, cast

from antiphon.engine.received import Given
from antiphon.subagents.records import Claim, Link, Record, Resolution, Verdict
from antiphon.tracing.log import Json
from antiphon.workflows.report.about import About
from antiphon.workflows.report.material import Material
from antiphon.workflows.report.tree import Tree
from antiphon.workflows.synthesis import Conflict, Topic
from antiphon.workflows.synthesis.cluster_model import AnyCluster
from antiphon.workflows.why.evidence import LookedUp, look_up
from antiphon.workflows.why.lookup import Found
from antiphon.workflows.why.reading import RecordedCall, RecordedRun

_DEEPEST: Final = 12
"""So many verdicts on verdicts are told; a log from elsewhere may hold any number."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """A record, with what is said on it.

    Attributes:
        id, record: the record. status: what the verdicts on it come to, "" where there is no such thing.
        call: the call that produced it, or None if the log does not tell. given: what that was given, if it is told.
        evidence: looked up again.
        verdicts: on it, each with the verdicts on itself.
    """

    id: str
    record: Record
    status: str
    call: RecordedCall | None
    given: Given | None
    evidence: tuple[LookedUp, ...]
    verdicts: tuple[Told, ...]

    def to_json(self) -> dict[str, Json]:
        """All of it."""
        return {
            "id": self.id,
            "record": self.record.to_json(),
            "status": self.status,
            "call": {**_plain(asdict(self.call)), **self._given()} if self.call else None,
            "evidence": [piece.to_json() for piece in self.evidence],
            "verdicts": [verdict.to_json() for verdict in self.verdicts],
        }

    def _given(self) -> dict[str, Json]:
        if self.given is None:
            return {"task": None, "frames": None}
        frames = self.given.frames
        return {"task": self.given.task, "frames": None if frames is None else list(frames)}


@dataclass(frozen=True, kw_only=True)
class Account:
    """Why a run says something.

    Attributes:
        found: what was asked for. run: where.
        records: it, or the records that it is made of.
        judged: of a verdict, link or resolution: the records that it is about.
        cluster: the cluster that it is or belongs to. mates: the other claims in that, if one claim was asked for.
        conflicts: that it is a side of. links: that hold it. topic: that it belongs to.
    """

    found: Found
    run: RecordedRun
    records: tuple[Told, ...]
    judged: tuple[Told, ...] = ()
    cluster: AnyCluster | None = None
    mates: tuple[Told, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    links: tuple[tuple[str, Link], ...] = ()
    topic: Topic | None = None

    @cached_property
    def material(self) -> Material:
        """The run's synthesis, for the phrases that reports use."""
        return Material(synthesis=self.run.synthesis, about=About(target=""))

    def to_json(self) -> dict[str, Json]:
        """All of it."""
        return {
            "run": self.run.run_id,
            "workflow": self.run.workflow,
            "sort": self.found.sort,
            "id": self.found.id,
            "status": self.cluster.status if self.cluster and self.found.sort == "cluster" else self._status,
            "records": [told.to_json() for told in self.records],
            "about": [told.to_json() for told in self.judged],
            "cluster": _cluster(self.cluster) if self.cluster else None,
            "mates": [told.to_json() for told in self.mates],
            "conflicts": [_plain(asdict(conflict)) for conflict in self.conflicts],
            "links": [{"id": id, **link.to_json()} for id, link in self.links],
            "topic": _plain(asdict(self.topic)) if self.topic else None,
            "branches": self._branches(),
            "unreadable_records": self.run.unreadable,
            "damage": self.run.damage or None,
            "cleaned": self.run.cleaned,
        }

    @property
    def _status(self) -> str:
        return self.records[0].status if len(self.records) == 1 else ""

    def _branches(self) -> dict[str, Json]:
        """By path of a call: the branches around it."""
        paths = sorted({told.call.path for told in (*self.records, *self.judged, *self.mates) if told.call})
        return {path: [_plain(asdict(around)) for around in self.run.around(path)] for path in paths}


def account_of(run: RecordedRun, found: Found, tree: Tree | None = None) -> Account:
    """Collect all that a run knows of something.

    Args:
        run: the run.
        found: what to tell of.
        tree: the files as they are now, for looking evidence up again.
    """
    teller = _Teller(run, tree)
    ids, about = _members(run, found)
    cluster = _cluster_of(run, found, ids)
    told = teller.all(ids)
    mates = [id for id in cluster.claims if id not in set(ids)] if cluster and found.sort == "claim" else []
    names = {*ids, found.id, *([cluster.id] if cluster else [])}
    return Account(
        found=found,
        run=run,
        records=told,
        judged=teller.all(about),
        cluster=cluster,
        mates=teller.all(mates),
        conflicts=tuple(_conflicts(run, found, names)),
        links=tuple((id, link) for id, link in run.synthesis.links.items() if names & {link.a, link.b}),
        topic=_topic(run, found, ids),
    )


def _members(run: RecordedRun, found: Found) -> tuple[list[str], list[str]]:
    """The records that something is made of, and those that it is about."""
    view = run.synthesis
    match found.sort:
        case "cluster":
            return list(clusters_by_id(run)[found.id].claims), []
        case "topic":
            topic = next(topic for topic in view.topics if topic.id == found.id)
            return list(topic.claims), []
        case "conflict":
            conflict = next(conflict for conflict in view.conflicts if conflict.id == found.id)
            return list(dict.fromkeys(id for position in conflict.positions for id in position.records)), []
        case _:
            record = run.records.get(found.id) or view.links[found.id]
            names = (getattr(record, name, "") for name in ("of", "a", "b"))
            return [found.id], [name for name in names if name]


def clusters_by_id(run: RecordedRun) -> dict[str, AnyCluster]:
    """The clusters of all sorts of claims, by id."""
    view = run.synthesis
    every: tuple[AnyCluster, ...] = (*view.clusters, *view.facts, *view.patches, *view.passages)
    return {cluster.id: cluster for cluster in every}


def _cluster_of(run: RecordedRun, found: Found, ids: Sequence[str]) -> AnyCluster | None:
    if found.sort == "cluster":
        return clusters_by_id(run)[found.id]
    if found.sort != "claim":
        return None
    return next((cluster for cluster in clusters_by_id(run).values() if ids[0] in cluster.claims), None)


def _conflicts(run: RecordedRun, found: Found, names: set[str]) -> Iterable[Conflict]:
    for conflict in run.synthesis.conflicts:
        sides = {id for position in conflict.positions for id in position.records}
        if conflict.id == found.id or conflict.about in names or sides & names:
            yield conflict


def _topic(run: RecordedRun, found: Found, ids: Sequence[str]) -> Topic | None:
    wanted = set(ids)
    for topic in run.synthesis.topics:
        if topic.id == found.id or (found.sort in ("claim", "cluster") and wanted & set(topic.claims)):
            return topic
    return None


class _Teller:
    """Tells records, with the verdicts on them."""

    def __init__(self, run: RecordedRun, tree: Tree | None) -> None:
        self._run, self._tree = run, tree
        self._verdicts: defaultdict[str, list[str]] = defaultdict(list)
        self._looked: dict[tuple[str, int], Resolution] = {}
        for id, record in sorted(run.records.items()):
            if isinstance(record, Verdict):
                self._verdicts[record.of].append(id)
            elif isinstance(record, Resolution):
                self._looked[record.of, record.index] = record

    def all(self, ids: Iterable[str]) -> tuple[Told, ...]:
        found = ((id, self._run.records.get(id) or self._run.synthesis.links.get(id)) for id in ids)
        return tuple(self._one(id, record, _DEEPEST) for id, record in found if record is not None)

    def _one(self, id: str, record: Record, depth: int) -> Told:
        judging = self._verdicts.get(id, []) if depth else []
        call = self._run.calls.get(record.branch)
        return Told(
            id=id,
            record=record,
            status=self._run.synthesis.status.get(id, "unverified") if isinstance(record, Claim | Verdict) else "",
            call=call,
            given=self._run.given(call) if call else None,
            evidence=tuple(
                look_up(piece, self._tree, self._looked.get((id, index)))
                for index, piece in enumerate(getattr(record, "evidence", ()))
            ),
            verdicts=tuple(self._one(other, self._run.records[other], depth - 1) for other in judging),
        )


def _cluster(cluster: AnyCluster) -> dict[str, Json]:
    return {**_plain(_fields(cluster)), "claims": list(cluster.claims)}


def _fields(cluster: AnyCluster) -> dict[str, Any]:
    fields = asdict(cluster)
    if "key" in fields:
        fields["key"] = fields["key"].model_dump(mode="json")
    return fields


def _plain(value: object) -> Any:
    """The same with lists for tuples, all the way down."""
    match value:
        case dict():
            return {key: _plain(item) for key, item in cast("dict[str, object]", value).items()}
        case list() | tuple():
            return [_plain(item) for item in cast("Sequence[object]", value)]
        case _:
            return value
