"""The synthesis: a pure view of all records of a run. It groups exact keys, keeps conflicts, and counts every claim."""

from collections.abc import Iterable

from antiphon.subagents.records import Claim, Coverage, Malformed, Record
from antiphon.workflows.synthesis.clusters import clusters_of, ledger_of
from antiphon.workflows.synthesis.coverage import Planned, coverage_of
from antiphon.workflows.synthesis.model import (
    Agreement,
    CheckCoverage,
    Cluster,
    CoverageView,
    Gap,
    Ledger,
    Opinion,
    Site,
    Synthesis,
)

__all__ = [
    "Agreement",
    "CheckCoverage",
    "Cluster",
    "CoverageView",
    "Gap",
    "Ledger",
    "Opinion",
    "Planned",
    "Site",
    "Synthesis",
    "synthesize",
]


def synthesize(records: Iterable[Record], planned: Planned) -> Synthesis:
    """View all records of a run.

    The same set of records gives the same bytes, in whatever order and however often they come.

    Args:
        records: every record, with the branch that recorded it.
        planned: for every unit that was to be looked at, the names of the checks that were to do it.
    """
    merged = {record.id: record for record in records}
    ordered = [(id, merged[id]) for id in sorted(merged)]
    claims = {id: record for id, record in ordered if isinstance(record, Claim)}
    clusters = clusters_of(claims)
    return Synthesis(
        clusters=clusters,
        claims=claims,
        coverage=coverage_of((record for _, record in ordered if isinstance(record, Coverage)), planned),
        malformed=tuple(record for _, record in ordered if isinstance(record, Malformed)),
        ledger=ledger_of(claims, clusters),
    )
