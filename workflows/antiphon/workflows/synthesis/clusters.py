"""Groups findings by their exact keys. Nothing is merged by resemblance, and nothing is removed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from antiphon.subagents.records import RANK, Finding, FindingKey, Severity
from antiphon.workflows.synthesis.cluster_model import Cluster, Opinion, Site
from antiphon.workflows.synthesis.groups import Voices, lineage_of
from antiphon.workflows.synthesis.keys import key_id
from antiphon.workflows.synthesis.sets import DisjointSets

Identified = tuple[str, Finding]
_Key = tuple[str, str, str]


def clusters_of(findings: Mapping[str, Finding], aside: Collection[str], voices: Voices) -> list[Cluster]:
    """The findings (by id) grouped by key.

    Args:
        findings: by id.
        aside: the ids of those that the author of the code set aside.
        voices: what stands behind them.
    """
    return [_cluster(group, aside, voices) for group in _groups(findings)]


def _groups(findings: Mapping[str, Finding]) -> list[list[Identified]]:
    """Path, rule and symbol make the key.

    A tool that gives two findings of one rule in one file the same fingerprint says that they are one finding, also
    where one of them names no symbol, or another. It does not say so across files or rules: such fingerprints are often
    hashes of a line, and lines recur.
    """
    by_key: defaultdict[_Key, list[Identified]] = defaultdict(list)
    printed: defaultdict[tuple[str, ...], list[_Key]] = defaultdict(list)
    for item in findings.items():
        key = (item[1].key.path, item[1].key.rule, item[1].key.symbol)
        by_key[key].append(item)
        if item[1].fingerprint:
            printed[(*key[:2], item[1].actor.tool, item[1].fingerprint)].append(key)
    numbers = {key: number for number, key in enumerate(by_key)}
    together: DisjointSets[int] = DisjointSets()
    for first, *others in printed.values():
        for other in others:
            together.join(numbers[first], numbers[other])
    groups: defaultdict[int, list[Identified]] = defaultdict(list)
    for key, number in numbers.items():
        groups[together.find(number)] += by_key[key]
    return list(groups.values())


def rank(cluster: Cluster) -> tuple[object, ...]:
    """What nobody set aside first, then the worst first."""
    worst = -RANK[cluster.severity]
    return (cluster.set_aside, worst, cluster.key.rule, cluster.key.path, cluster.key.symbol)


def _cluster(group: list[Identified], aside: Collection[str], voices: Voices) -> Cluster:
    group.sort(key=_by_place)
    # bandit names all of its list checks "blacklist"; among tools that say it, the longest title says most.
    first = group[0][1]
    key = _key(group)
    return Cluster(
        id=key_id(key),
        key=key,
        rules=tuple(sorted({claim.rule for _, claim in group})),
        title=max({claim.title for _, claim in group}, key=lambda title: (len(title), title)),
        text=first.text,
        severity=max((claim.severity for _, claim in group), key=RANK.__getitem__),
        tools=tuple(sorted({claim.actor.tool for _, claim in group})),
        lineages=tuple(sorted({lineage_of(claim.actor) for _, claim in group})),
        sites=tuple(_site(part) for part in _overlapping(group)),
        aside=sum(id in aside for id, _ in group),
        groups=voices.groups([id for id, _ in group]),
    )


def _key(group: Sequence[Identified]) -> FindingKey:
    """The group's key; of several that fingerprints join, the first that names a symbol."""
    return min((claim.key for _, claim in group), key=lambda key: (not key.symbol, key.symbol))


def _by_place(item: Identified) -> tuple[object, ...]:
    id, claim = item
    return (*_span(claim), claim.column or 0, claim.actor.tool, claim.rule, claim.text, id)


def _span(claim: Finding) -> tuple[int, int]:
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
