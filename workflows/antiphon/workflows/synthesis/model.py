"""What a synthesis says. Immutable, in one fixed order, whatever order the records came in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from antiphon.subagents.records import RANK, Claim, Finding, Link, Malformed, Resolution, Severity, Verdict
from antiphon.tracing.log import Json
from antiphon.workflows.synthesis.cluster_model import (
    Agreement,
    AnyCluster,
    Cluster,
    FactCluster,
    Opinion,
    PassageCluster,
    PatchCluster,
    Position,
    Site,
    Status,
)
from antiphon.workflows.synthesis.conflict_model import Conflict, ConflictKind, EvidenceView, Ledger, Topic
from antiphon.workflows.synthesis.coverage_model import CoverageView

__all__ = [
    "Agreement",
    "AnyCluster",
    "Cluster",
    "Conflict",
    "ConflictKind",
    "EvidenceView",
    "FactCluster",
    "Ledger",
    "Opinion",
    "PassageCluster",
    "PatchCluster",
    "Position",
    "Site",
    "Status",
    "Synthesis",
    "Topic",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesis:
    """A view of all records of a run.

    Attributes:
        clusters: findings by key, worst first. facts, patches, passages: the other sorts of claims.
        claims, verdicts, links, resolutions: every one of them, by id; suggested links are among the links.
        suggested: the ids of the links that only resemblance of text made.
        status: of every claim, verdict and link, the grounded labelling of who refutes whom.
        inadmissible: ids of verdicts on what their own lineage said. They are kept, and count for nothing.
        judged: by id of a record: the ids of the verdicts on it.
        aside: by id of a finding: the sort of comment by which the code's author set it aside.
        conflicts: everything on which they do not agree. topics: what belongs together.
        coverage: what was looked at. evidence: whether what the claims rest on is still there.
        malformed: output that could not be read. ledger: the proof that nothing was lost.
    """

    clusters: tuple[Cluster, ...] = ()
    facts: tuple[FactCluster, ...] = ()
    patches: tuple[PatchCluster, ...] = ()
    passages: tuple[PassageCluster, ...] = ()
    claims: Mapping[str, Claim] = field(default_factory=dict[str, Claim])
    verdicts: Mapping[str, Verdict] = field(default_factory=dict[str, Verdict])
    links: Mapping[str, Link] = field(default_factory=dict[str, Link])
    resolutions: Mapping[str, Resolution] = field(default_factory=dict[str, Resolution])
    suggested: tuple[str, ...] = ()
    status: Mapping[str, Status] = field(default_factory=dict[str, Status])
    inadmissible: tuple[str, ...] = ()
    judged: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    aside: Mapping[str, str] = field(default_factory=dict[str, str])
    conflicts: tuple[Conflict, ...] = ()
    topics: tuple[Topic, ...] = ()
    coverage: CoverageView
    evidence: EvidenceView = field(default_factory=EvidenceView)
    malformed: tuple[Malformed, ...] = ()
    ledger: Ledger

    @property
    def minority(self) -> tuple[tuple[Conflict, Position], ...]:
        """The positions that fewer groups hold than another, each with its conflict."""
        return tuple((c, position) for c in self.conflicts for position in c.positions if position.minority)

    def finding(self, id: str) -> Finding:
        """The finding with this id."""
        found = self.claims[id]
        assert isinstance(found, Finding)
        return found

    def standing_at(self, site: Site) -> Finding:
        """The first finding of a site that is not refuted; the first of all where every one is."""
        standing = (id for id in site.claims if self.status.get(id) != "refuted")
        return self.finding(next(standing, site.claims[0]))

    def verdicts_on(self, id: str) -> tuple[Verdict, ...]:
        """The verdicts on one record, in the order of their ids."""
        return tuple(self.verdicts[verdict] for verdict in self.judged.get(id, ()))

    @property
    def failed(self) -> bool:
        """Whether a record was lost, doubled or invented on the way. The report says which."""
        return self.ledger.failed

    @property
    def worst(self) -> Severity | None:
        """The worst severity of a cluster that its author did not set aside, or None if there is none."""
        found: list[Severity] = [cluster.severity for cluster in self.clusters if not cluster.set_aside]
        if not found:
            return None
        worst: Severity = max(found, key=RANK.__getitem__)
        return worst

    def to_json(self) -> dict[str, Json]:
        """All of it, every record included."""
        from antiphon.workflows.synthesis.writing import written  # it needs this class

        return written(self)
