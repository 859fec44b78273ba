"""Puts the view together: records in, synthesis out, and nothing in between that depends on an order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from antiphon.subagents.records import Coverage, Fact, Finding, Link, Malformed, Passage, Patch, Record, Resolution
from antiphon.workflows.synthesis.cluster_model import (
    AnyCluster,
    Cluster,
    FactCluster,
    PassageCluster,
    PatchCluster,
    Status,
)
from antiphon.workflows.synthesis.clusters import clusters_of, rank
from antiphon.workflows.synthesis.conflict_model import Conflict, Topic
from antiphon.workflows.synthesis.conflicts import (
    contradictions,
    evidence_conflicts,
    evidence_view,
    existence_conflicts,
    gap_conflicts,
    matters_of,
    severity_conflicts,
    stance_conflicts,
    value_conflicts,
)
from antiphon.workflows.synthesis.coverage import Planned, coverage_of
from antiphon.workflows.synthesis.groups import Voices
from antiphon.workflows.synthesis.keyed import facts_of, passages_of, patches_of
from antiphon.workflows.synthesis.ledger import ledger_of
from antiphon.workflows.synthesis.model import Synthesis
from antiphon.workflows.synthesis.parts import Judgements, Parts
from antiphon.workflows.synthesis.patches import textual_conflicts
from antiphon.workflows.synthesis.status import cluster_status, status_of
from antiphon.workflows.synthesis.suggestions import SUGGESTION, suggested_links
from antiphon.workflows.synthesis.topics import Ends, identity_conflicts, topics_of
from antiphon.workflows.synthesis.trials import semantic_conflicts

ClusterT = TypeVar("ClusterT", Cluster, FactCluster, PatchCluster, PassageCluster)


def synthesize(records: Iterable[Record], planned: Planned, *, suggest: bool = True) -> Synthesis:
    """View all records of a run.

    The same set of records gives the same bytes, in whatever order and however often they come.

    Args:
        records: every record, with the branch that recorded it.
        planned: for every unit that was to be looked at, the names of the checks that were to do it.
        suggest: whether to link claims whose words resemble each other. Such links only group for display.
    """
    merged = {record.id: record for record in records}
    return _View(Parts({id: merged[id] for id in sorted(merged)}), planned, suggest=suggest).synthesis()


@dataclass(frozen=True, slots=True)
class _Clusters:
    """All clusters, by what they are."""

    findings: tuple[Cluster, ...]
    facts: tuple[FactCluster, ...]
    patches: tuple[PatchCluster, ...]
    passages: tuple[PassageCluster, ...]

    def __iter__(self) -> Iterator[AnyCluster]:
        yield from self.findings
        yield from self.facts
        yield from self.patches
        yield from self.passages

    def by_claim(self) -> dict[str, str]:
        """By id of a claim, the id of its cluster."""
        return {claim: cluster.id for cluster in self for claim in cluster.claims}

    def with_status(self, status: Mapping[str, Status]) -> _Clusters:
        """The same, each with what the statuses of its claims come to; the findings in order."""

        def done(cluster: ClusterT) -> ClusterT:
            found = cluster_status([status[id] for id in cluster.claims])
            return cluster if found == cluster.status else replace(cluster, status=found)

        def with_sites(cluster: Cluster) -> Cluster:
            sites = (replace(site, status=cluster_status([status[id] for id in site.claims])) for site in cluster.sites)
            return replace(done(cluster), sites=tuple(sites))

        findings = tuple(sorted(map(with_sites, self.findings), key=rank))
        rest = tuple(map(done, self.facts)), tuple(map(done, self.patches)), tuple(map(done, self.passages))
        return _Clusters(findings, *rest)

    def with_topics(self, topics: Mapping[str, Topic]) -> _Clusters:
        """The same, each with the topic that it belongs to."""

        def done(cluster: ClusterT) -> ClusterT:
            return replace(cluster, topic=topics[cluster.id].id) if cluster.id in topics else cluster

        rest = tuple(map(done, self.facts)), tuple(map(done, self.patches)), tuple(map(done, self.passages))
        return _Clusters(tuple(map(done, self.findings)), *rest)


class _View:
    """One synthesis in the making: each step needs only those before it."""

    def __init__(self, parts: Parts, planned: Planned, *, suggest: bool) -> None:
        self.parts = parts
        judgements = Judgements(parts.verdicts, parts.records)
        voices = Voices(parts.records)
        found = _Clusters(
            tuple(clusters_of(parts.of(Finding), judgements.aside, voices)),
            tuple(facts_of(parts.of(Fact), voices)),
            tuple(patches_of(parts.of(Patch), voices)),
            tuple(passages_of(parts.of(Passage))),
        )
        cluster_of = found.by_claim()
        apart = Ends(parts.links, parts.records, cluster_of).different(parts.links)
        made = {link.id: link for link in suggested_links(parts.claims, cluster_of, apart)} if suggest else {}
        self.made = made.keys() - parts.links.keys()
        self.links: dict[str, Link] = dict(sorted((parts.links | made).items()))
        self.records: dict[str, Record] = {**parts.records, **made}
        self.voices = Voices(self.records) if made else voices
        # A suggested link may be judged too, by whoever saw it in an earlier view.
        self.judgements = Judgements(parts.verdicts, self.records) if made else judgements
        self.status = status_of([*parts.claims, *parts.verdicts, *self.links], self.judgements.verdicts)
        self.ends = Ends(self.links, self.records, cluster_of)
        clusters = found.with_status(self.status)
        by_cluster = topics_of(list(clusters), self.ends, self.links, self.status)
        self.topics = tuple(sorted({topic.id: topic for topic in by_cluster.values()}.values(), key=lambda t: t.id))
        self.clusters = clusters.with_topics(by_cluster)
        self.coverage = coverage_of(parts.of(Coverage).values(), planned)

    def conflicts(self) -> Iterator[Conflict]:
        clusters, voices, counting = self.clusters, self.voices, self.judgements.counting
        links = self.links.values()
        said = [link for link in links if link.actor != SUGGESTION]
        yield from value_conflicts(clusters.facts)
        yield from severity_conflicts(clusters.findings, self.parts.of(Finding), voices)
        yield from existence_conflicts(matters_of(clusters), counting, self.parts.verdicts, voices)
        yield from stance_conflicts(self.records, counting, voices)
        yield from contradictions(self.records, links, voices)
        yield from identity_conflicts(self.ends, self.links, voices)
        yield from textual_conflicts(clusters.patches, voices)
        yield from semantic_conflicts(clusters.patches, self.parts.records, said, voices)
        yield from evidence_conflicts(self.records, self.parts.of(Resolution), voices)
        yield from gap_conflicts(self.coverage.gaps)

    def synthesis(self) -> Synthesis:
        parts, clusters, judgements = self.parts, self.clusters, self.judgements
        resolutions, malformed = parts.of(Resolution), tuple(parts.of(Malformed).values())
        told = [*parts.verdicts, *self.links, *resolutions]
        return Synthesis(
            clusters=clusters.findings,
            facts=clusters.facts,
            patches=clusters.patches,
            passages=clusters.passages,
            claims=parts.claims,
            verdicts=parts.verdicts,
            links=self.links,
            resolutions=resolutions,
            suggested=tuple(id for id, link in self.links.items() if link.actor == SUGGESTION),
            status=dict(sorted(self.status.items())),
            inadmissible=tuple(judgements.inadmissible),
            judged={of: tuple(ids) for of, ids in judgements.on.items()},
            aside=dict(sorted(judgements.aside.items())),
            conflicts=tuple(self.conflicts()),
            topics=self.topics,
            coverage=self.coverage,
            evidence=evidence_view(self.records, resolutions.values()),
            malformed=malformed,
            ledger=ledger_of(parts.records, clusters, told, malformed, self.made),
        )
