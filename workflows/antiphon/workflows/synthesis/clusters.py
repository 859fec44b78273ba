"""Groups claims by their exact keys. Nothing is merged by resemblance, and nothing is removed."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from antiphon.subagents.records import RANK, Claim, Key, Severity, canonical
from antiphon.workflows.synthesis.model import Cluster, Ledger, Opinion, Site

Identified = tuple[str, Claim]


def clusters_of(claims: Mapping[str, Claim]) -> tuple[Cluster, ...]:
    """The claims (by id) grouped by key: what nobody set aside first, then the worst first."""
    groups: defaultdict[Key, list[Identified]] = defaultdict(list)
    for item in claims.items():
        groups[item[1].key].append(item)
    return tuple(sorted((_cluster(key, group) for key, group in groups.items()), key=_rank))


def ledger_of(claims: Mapping[str, Claim], clusters: Iterable[Cluster]) -> Ledger:
    """Compare what came in with what is in the output."""
    out = Counter(id for cluster in clusters for id in cluster.claims)
    return Ledger(
        claims_in=len(claims),
        claims_out=out.total(),
        missing=tuple(sorted(claims.keys() - out.keys())),
        repeated=tuple(sorted(id for id, times in out.items() if times > 1)),
        unknown=tuple(sorted(out.keys() - claims.keys())),
    )


def _rank(cluster: Cluster) -> tuple[object, ...]:
    worst = -RANK[cluster.severity]
    return (cluster.set_aside, worst, cluster.key.rule, cluster.key.path, cluster.key.symbol)


def _cluster(key: Key, group: list[Identified]) -> Cluster:
    group.sort(key=_by_place)
    # bandit names all of its list checks "blacklist"; among tools that say it, the longest title says most.
    first = group[0][1]
    return Cluster(
        id=hashlib.sha256(canonical(key.model_dump(mode="json")).encode()).hexdigest(),
        key=key,
        rules=tuple(sorted({claim.rule for _, claim in group})),
        title=max({claim.title for _, claim in group}, key=lambda title: (len(title), title)),
        text=first.text,
        severity=max((claim.severity for _, claim in group), key=RANK.__getitem__),
        tools=tuple(sorted({claim.actor.tool for _, claim in group})),
        lineages=tuple(sorted({claim.actor.lineage or claim.actor.tool for _, claim in group})),
        sites=tuple(_site(part) for part in _overlapping(group)),
        suppressed=sum(claim.suppressed is not None for _, claim in group),
    )


def _by_place(item: Identified) -> tuple[object, ...]:
    id, claim = item
    return (*_span(claim), claim.column or 0, claim.actor.tool, claim.rule, id)


def _span(claim: Claim) -> tuple[int, int]:
    start = claim.line or 0
    return start, max(start, claim.end_line or start)


def _overlapping(group: Sequence[Identified]) -> list[list[Identified]]:
    """Cut claims, sorted by place, wherever a line lies between that none of them spans."""
    parts: list[list[Identified]] = []
    reached = -1
    for item in group:
        start, end = _span(item[1])
        if start > reached:
            parts.append([])
        parts[-1].append(item)
        reached = max(reached, end)
    return parts


def _site(part: Sequence[Identified]) -> Site:
    spans = [_span(claim) for _, claim in part]
    return Site(
        start_line=min(start for start, _ in spans),
        end_line=max(end for _, end in spans),
        claims=tuple(id for id, _ in part),
        opinions=tuple(_opinion(by, part) for by in sorted({claim.severity_by for _, claim in part})),
    )


def _opinion(by: str, part: Sequence[Identified]) -> Opinion:
    said: set[Severity] = {claim.severity for _, claim in part if claim.severity_by == by}
    return Opinion(by, tuple(sorted(said, key=RANK.__getitem__)))
