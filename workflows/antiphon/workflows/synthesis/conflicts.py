"""Finds every point on which the records do not agree. Nothing that is said later takes one away."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from antiphon.subagents.records import (
    Claim,
    Coverage,
    Finding,
    Link,
    Malformed,
    Record,
    Resolution,
    Verdict,
    capped,
)
from antiphon.workflows.synthesis.cluster_model import AnyCluster, Cluster, FactCluster, PatchCluster, Position, Site
from antiphon.workflows.synthesis.conflict_model import Conflict, EvidenceView
from antiphon.workflows.synthesis.coverage_model import Gap
from antiphon.workflows.synthesis.groups import Roots, Voices, judge_or_judged, positions
from antiphon.workflows.synthesis.keys import subject_id

Judged = Mapping[str, Collection[str]]
"""By id of a record: the ids of the verdicts on it that count."""

IS, IS_NOT = "it is so", "it is not so"
_SHORT = 200


class Matter(NamedTuple):
    """Claims that say one thing: those of one place, value or version of a cluster."""

    cluster: str
    part: str
    claims: tuple[str, ...]


def matters_of(clusters: Iterable[AnyCluster]) -> Iterator[Matter]:
    """What the clusters' claims say, each thing once."""
    for cluster in clusters:
        match cluster:
            case Cluster():
                for site in cluster.sites:
                    yield Matter(cluster.id, f"lines {site.start_line}-{site.end_line}", site.claims)
            case FactCluster():
                for value in cluster.values:
                    yield Matter(cluster.id, value.says, value.records)
            case PatchCluster():
                for version in cluster.versions:
                    yield Matter(cluster.id, version.says, version.records)
            case _:
                yield Matter(cluster.id, "", cluster.claims)


def value_conflicts(facts: Iterable[FactCluster]) -> Iterator[Conflict]:
    """Facts with one key and more than one value."""
    for cluster in facts:
        if len(cluster.values) > 1:
            key = cluster.key
            narrowed = "".join(f", {name} {value}" for name, value in key.qualifiers)
            reason = f"{key.attribute} of {key.subject}{narrowed}"
            yield Conflict(subject_id("value", cluster.id), "value", cluster.id, cluster.values, reason)


def severity_conflicts(
    clusters: Iterable[Cluster], findings: Mapping[str, Finding], voices: Voices
) -> Iterator[Conflict]:
    """Places on whose severity two sources differ."""
    for cluster in clusters:
        for site in cluster.conflicts:
            yield _severity(cluster, site, findings, voices)


def _severity(cluster: Cluster, site: Site, findings: Mapping[str, Finding], voices: Voices) -> Conflict:
    sides: defaultdict[str, list[str]] = defaultdict(list)
    for id in site.claims:
        sides[findings[id].severity].append(id)
    roots = {id: _rater(id, findings[id], voices) for id in site.claims}
    id = subject_id("severity", cluster.id, site.start_line, site.end_line)
    where = f"{cluster.key.path}:{site.start_line}" if site.start_line else cluster.key.path
    return Conflict(id, "severity", cluster.id, positions(sides, roots), f"how bad it is, at {where}")


def _rater(id: str, finding: Finding, voices: Voices) -> Roots:
    """Behind a severity stands whoever states it: the tool, or a table of ours that no tool can be held to."""
    own = finding.severity_by == finding.actor.tool
    return voices.roots(id) if own else (("lineage", finding.severity_by),)


def existence_conflicts(
    matters: Iterable[Matter], judged: Judged, verdicts: Mapping[str, Verdict], voices: Voices
) -> Iterator[Conflict]:
    """Things that somebody says, and a verdict that counts refutes."""
    for matter in matters:
        found = [id for claim in matter.claims for id in judged.get(claim, ())]
        if against := [id for id in found if verdicts[id].stance == "refute"]:
            for_it = [*matter.claims, *(id for id in found if verdicts[id].stance == "confirm")]
            id = subject_id("existence", matter.cluster, matter.part)
            yield Conflict(id, "existence", matter.cluster, _sides({IS: for_it, IS_NOT: against}, voices))


def stance_conflicts(records: Mapping[str, Record], judged: Judged, voices: Voices) -> Iterator[Conflict]:
    """Verdicts of different lineages on one record that contradict each other, and judgements that one refutes."""
    for of, ids in judged.items():
        verdicts = {id: verdict for id in ids if isinstance(verdict := records[id], Verdict)}
        for_it = [id for id, verdict in verdicts.items() if verdict.stance == "confirm"]
        against = [id for id, verdict in verdicts.items() if verdict.stance == "refute"]
        lineages = {judge_or_judged(verdicts[id]) for id in (*for_it, *against)}
        judgement = not isinstance(records[of], Claim)
        if against and (judgement or (for_it and len(lineages) > 1)):
            sides = {IS: [of, *for_it] if judgement else for_it, IS_NOT: against}
            yield Conflict(subject_id("stance", of), "stance", of, _sides(sides, voices), "what verdicts on it say")


def contradictions(records: Mapping[str, Record], links: Iterable[Link], voices: Voices) -> Iterator[Conflict]:
    """Pairs of records that a link says contradict each other."""
    said: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for link in links:
        if link.relation == "contradicts" and link.a != link.b and link.a in records and link.b in records:
            said[link.a, link.b].add(link.actor.tool)
    for (a, b), tools in sorted(said.items()):
        first, second = _words(records[a]), _words(records[b])
        if first == second:
            first, second = f"{first} ({a})", f"{second} ({b})"
        reason = f"{' and '.join(sorted(tools))}: they contradict each other"
        yield Conflict(subject_id("stance", a, b), "stance", a, _sides({first: [a], second: [b]}, voices), reason)


def _sides(sides: Mapping[str, Collection[str]], voices: Voices) -> tuple[Position, ...]:
    return positions(sides, {id: voices.roots(id) for ids in sides.values() for id in ids})


def _words(record: Record) -> str:
    """What a record says, in short."""
    match record:
        case Verdict():
            text = f"{record.stance}: {record.reason}"
        case Link():
            text = f"{record.relation}: {record.reason}"
        case Resolution() | Coverage():
            text = f"{record.state}: {record.reason}"
        case Malformed():
            text = record.reason
        case _:
            text = record.text
    return capped(text, _SHORT)


def evidence_conflicts(
    records: Mapping[str, Record], resolutions: Mapping[str, Resolution], voices: Voices
) -> Iterator[Conflict]:
    """Evidence that is not as it was when somebody looked again."""
    by_piece: defaultdict[tuple[str, int], list[str]] = defaultdict(list)
    for id, resolution in resolutions.items():
        if has_piece(records.get(resolution.of), resolution.index):
            by_piece[resolution.of, resolution.index].append(id)
    for (of, index), ids in sorted(by_piece.items()):
        gone = [id for id in ids if resolutions[id].state == "false"]
        if gone:
            there = [of, *(id for id in ids if resolutions[id].state == "true")]
            reason = "; ".join(sorted({resolutions[id].reason for id in gone} - {""}))
            sides = _sides({"it is as recorded": there, "it is not": gone}, voices)
            yield Conflict(subject_id("evidence_unresolved", of, index), "evidence_unresolved", of, sides, reason)


def has_piece(record: Record | None, index: int) -> bool:
    """Whether a record has that much evidence."""
    return index < len(getattr(record, "evidence", ()))


def evidence_view(records: Mapping[str, Record], resolutions: Iterable[Resolution]) -> EvidenceView:
    """How many pieces of evidence were found as they were; one that anybody found changed is unresolved."""
    states: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    for resolution in resolutions:
        if has_piece(records.get(resolution.of), resolution.index):
            states[resolution.of, resolution.index].add(resolution.state)
    counts = Counter(
        next(state for state in ("false", "true", "unchecked") if state in found) for found in states.values()
    )
    return EvidenceView(counts["true"], counts["false"], counts["unchecked"])


def gap_conflicts(gaps: Iterable[Gap]) -> Iterator[Conflict]:
    """Units on which a check that was planned did not do all of its work. What no check reads was never promised."""
    by_unit: defaultdict[str, list[str]] = defaultdict(list)
    for gap in gaps:
        if gap.state != "unread":
            by_unit[gap.unit].append(": ".join(part for part in (gap.check, gap.state, gap.reason) if part))
    for unit, lacks in by_unit.items():
        yield Conflict(subject_id("coverage_gap", unit), "coverage_gap", unit, reason="; ".join(lacks))
