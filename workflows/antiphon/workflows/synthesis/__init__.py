"""The synthesis: a pure view of all records of a run. It groups exact keys, keeps conflicts, and counts records."""

from antiphon.workflows.synthesis.coverage import Planned
from antiphon.workflows.synthesis.coverage_model import CheckCoverage, CoverageView, Gap
from antiphon.workflows.synthesis.groups import lineage_of
from antiphon.workflows.synthesis.model import (
    Agreement,
    AnyCluster,
    Cluster,
    Conflict,
    ConflictKind,
    EvidenceView,
    FactCluster,
    Ledger,
    Opinion,
    PassageCluster,
    PatchCluster,
    Position,
    Site,
    Status,
    Synthesis,
    Topic,
)
from antiphon.workflows.synthesis.patches import PatchUnion, union_of
from antiphon.workflows.synthesis.suggestions import SUGGESTION
from antiphon.workflows.synthesis.view import synthesize

__all__ = [
    "SUGGESTION",
    "Agreement",
    "AnyCluster",
    "CheckCoverage",
    "Cluster",
    "Conflict",
    "ConflictKind",
    "CoverageView",
    "EvidenceView",
    "FactCluster",
    "Gap",
    "Ledger",
    "Opinion",
    "PassageCluster",
    "PatchCluster",
    "PatchUnion",
    "Planned",
    "Position",
    "Site",
    "Status",
    "Synthesis",
    "Topic",
    "lineage_of",
    "synthesize",
    "union_of",
]
