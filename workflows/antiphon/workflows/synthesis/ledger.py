"""The output ledger: compares what came in with what the output holds. It reads the output, not the way to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

from antiphon.subagents.records import Claim, Coverage, Malformed, Record, references
from antiphon.workflows.synthesis.cluster_model import AnyCluster
from antiphon.workflows.synthesis.conflict_model import Ledger


def ledger_of(
    records: Mapping[str, Record],
    clusters: Iterable[AnyCluster],
    judgements: Iterable[str] = (),
    malformed: Iterable[Malformed] = (),
    made: Collection[str] = (),
) -> Ledger:
    """Count every claim, verdict, link, resolution and malformed output.

    Args:
        records: all that came in, by id. What was looked at (coverage) is counted by units, in the coverage.
        clusters: all clusters of the output.
        judgements: the ids of the output's verdicts, links and resolutions.
        malformed: of the output.
        made: the ids of links that the synthesis added itself.
    """
    wanted = {id for id, record in records.items() if not isinstance(record, Coverage)}
    own = set(made) - wanted
    claims = [id for cluster in clusters for id in cluster.claims]
    out = Counter([*claims, *(id for id in judgements if id not in own), *(record.id for record in malformed)])
    return Ledger(
        claims_in=sum(isinstance(record, Claim) for record in records.values()),
        claims_out=len(claims),
        missing=tuple(sorted(wanted - out.keys())),
        repeated=tuple(sorted(id for id, times in out.items() if times > 1)),
        unknown=tuple(sorted(out.keys() - wanted)),
        records_in=len(wanted),
        records_out=out.total(),
        dangling=tuple(sorted(_dangling(records, own))),
    )


def _dangling(records: Mapping[str, Record], own: Collection[str]) -> Iterator[str]:
    for id, record in records.items():
        for name in references(record):
            if name not in records and name not in own:
                yield id
                break
