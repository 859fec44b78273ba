"""What a report is written from, with the questions that all its parts ask."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from antiphon.subagents.records import AUTHOR, Actor, Verdict
from antiphon.workflows.baseline.comparison import Comparison
from antiphon.workflows.report.about import About
from antiphon.workflows.synthesis import Cluster, Conflict, Synthesis

Excerpts = Mapping[str, str]
"""By id of a claim: the line of code that it is about, where its evidence is still what it was."""


@dataclass(frozen=True, kw_only=True)
class Material:
    """What a report is written from.

    Attributes:
        synthesis: what was found. about: how. comparison: with an earlier audit, if there is one.
        excerpts: lines of code, where they may be shown.
    """

    synthesis: Synthesis
    about: About
    comparison: Comparison | None = None
    excerpts: Excerpts = field(default_factory=dict[str, str])

    @cached_property
    def open(self) -> list[Cluster]:
        """The clusters that their author did not set aside."""
        return [cluster for cluster in self.synthesis.clusters if not cluster.set_aside]

    @cached_property
    def standing(self) -> list[Cluster]:
        """Those of them that no check refutes."""
        return [cluster for cluster in self.open if cluster.status != "refuted"]

    @cached_property
    def refuted(self) -> list[Cluster]:
        """Those of them that a check refutes."""
        return [cluster for cluster in self.open if cluster.status == "refuted"]

    @cached_property
    def aside(self) -> list[Cluster]:
        """The clusters that their author set aside."""
        return [cluster for cluster in self.synthesis.clusters if cluster.set_aside]

    @cached_property
    def contested(self) -> list[Cluster]:
        """The clusters that their author set aside, and a check of another lineage does not; they count as open."""
        return [cluster for cluster in self.open if cluster.aside == len(cluster.claims)]

    @cached_property
    def by_claim(self) -> dict[str, Cluster]:
        """By id of a finding: its cluster."""
        return {id: cluster for cluster in self.synthesis.clusters for id in cluster.claims}

    @cached_property
    def by_id(self) -> dict[str, Cluster]:
        """Clusters by their id."""
        return {cluster.id: cluster for cluster in self.synthesis.clusters}

    def verdicts_on(self, ids: Iterable[str]) -> list[tuple[str, Verdict]]:
        """All verdicts on some records, with their ids, in one order that depends on no id where it need not."""
        view = self.synthesis
        found = [(verdict, view.verdicts[verdict]) for id in ids for verdict in view.judged.get(id, ())]
        return sorted(found, key=_in_words)

    def checks_of(self, cluster: Cluster) -> list[Verdict]:
        """The verdicts that count on a cluster's claims, but its author's; those that say what came of it first."""
        wanted = {"confirmed": "confirm", "refuted": "refute"}.get(cluster.status, "")
        found = [
            verdict
            for id, verdict in self.verdicts_on(cluster.claims)
            if verdict.actor != AUTHOR and id not in self._inadmissible
        ]
        return sorted(found, key=lambda verdict: verdict.stance != wanted)

    @cached_property
    def _inadmissible(self) -> frozenset[str]:
        return frozenset(self.synthesis.inadmissible)

    @cached_property
    def _conflicts(self) -> dict[str, list[Conflict]]:
        found: defaultdict[str, list[Conflict]] = defaultdict(list)
        for conflict in self.synthesis.conflicts:
            for id in {conflict.about, *(id for position in conflict.positions for id in position.records)}:
                found[id].append(conflict)
        return dict(found)

    def conflicts_of(self, ids: Iterable[str]) -> list[Conflict]:
        """The conflicts that some records or clusters are a side of."""
        found = {conflict.id: conflict for id in ids for conflict in self._conflicts.get(id, ())}
        return [found[id] for id in sorted(found)]

    def actors(self, ids: Iterable[str]) -> Iterator[tuple[str, Actor]]:
        """Who claims, verdicts and links come from, by their ids."""
        view = self.synthesis
        for id in ids:
            record = view.claims.get(id) or view.verdicts.get(id) or view.links.get(id)
            if record is not None:
                yield id, record.actor

    def excerpt(self, cluster: Cluster) -> str:
        """The line of code that a cluster is about first, or ""."""
        return next((self.excerpts[id] for id in cluster.standing[0].claims if id in self.excerpts), "")


def _in_words(item: tuple[str, Verdict]) -> tuple[str, ...]:
    id, verdict = item
    return (verdict.stance, verdict.method, verdict.reason, verdict.actor.tool, verdict.actor.lineage, id)
