"""Writes a synthesis as JSON: all of it, in its own order, so that equal syntheses are equal bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from pydantic import BaseModel

from antiphon.subagents.records import Claim, Link, Malformed, Resolution, Verdict
from antiphon.tracing.log import Json
from antiphon.workflows.synthesis.cluster_model import (
    Cluster,
    FactCluster,
    Opinion,
    PassageCluster,
    PatchCluster,
    Position,
    Site,
)
from antiphon.workflows.synthesis.conflict_model import Conflict, EvidenceView, Ledger, Topic
from antiphon.workflows.synthesis.coverage_model import CheckCoverage, CoverageView, Gap

if TYPE_CHECKING:
    from antiphon.workflows.synthesis.model import Synthesis

_Flat = Opinion | Position | Topic | EvidenceView | Ledger | CheckCoverage | Gap


def written(synthesis: Synthesis) -> dict[str, Json]:
    """Everything that a synthesis says, as JSON."""
    return {
        "failed": synthesis.failed,
        "worst": synthesis.worst,
        "clusters": [_cluster(cluster) for cluster in synthesis.clusters],
        "facts": [_facts(cluster) for cluster in synthesis.facts],
        "patches": [_patches(cluster) for cluster in synthesis.patches],
        "passages": [_passage(cluster) for cluster in synthesis.passages],
        "claims": _records(synthesis.claims),
        "verdicts": _records(synthesis.verdicts),
        "links": _records(synthesis.links),
        "resolutions": _records(synthesis.resolutions),
        "suggested": list(synthesis.suggested),
        "status": dict(synthesis.status),
        "inadmissible": list(synthesis.inadmissible),
        "aside": dict(synthesis.aside),
        "conflicts": [_conflict(conflict) for conflict in synthesis.conflicts],
        "topics": [_flat(topic) for topic in synthesis.topics],
        "coverage": _coverage(synthesis.coverage),
        "evidence": _flat(synthesis.evidence),
        "malformed": [{"id": record.id, **record.to_json()} for record in synthesis.malformed],
        "ledger": _flat(synthesis.ledger),
    }


def _records(records: Mapping[str, Claim] | Mapping[str, Verdict | Link | Resolution | Malformed]) -> dict[str, Json]:
    return {id: record.to_json() for id, record in records.items()}


def _cluster(cluster: Cluster) -> dict[str, Json]:
    return {
        "id": cluster.id,
        "key": _key(cluster.key),
        "rules": list(cluster.rules),
        "title": cluster.title,
        "text": cluster.text,
        "severity": cluster.severity,
        "tools": list(cluster.tools),
        "lineages": list(cluster.lineages),
        "agreement": cluster.agreement,
        "set_aside": cluster.aside,
        "groups": list(cluster.groups),
        "status": cluster.status,
        "topic": cluster.topic,
        "sites": [_site(site) for site in cluster.sites],
    }


def _site(site: Site) -> dict[str, Json]:
    return {
        "start_line": site.start_line,
        "end_line": site.end_line,
        "claims": list(site.claims),
        "opinions": _all(site.opinions),
        "conflict": site.conflict,
    }


def _facts(cluster: FactCluster) -> dict[str, Json]:
    return {**_keyed(cluster), "values": _all(cluster.values)}


def _patches(cluster: PatchCluster) -> dict[str, Json]:
    return {**_keyed(cluster), "versions": _all(cluster.versions)}


def _keyed(cluster: FactCluster | PatchCluster) -> dict[str, Json]:
    return {"id": cluster.id, "key": _key(cluster.key), "status": cluster.status, "topic": cluster.topic}


def _passage(cluster: PassageCluster) -> dict[str, Json]:
    return {"id": cluster.id, "claims": list(cluster.claims), "status": cluster.status, "topic": cluster.topic}


def _conflict(conflict: Conflict) -> dict[str, Json]:
    return {
        "id": conflict.id,
        "kind": conflict.kind,
        "about": conflict.about,
        "positions": _all(conflict.positions),
        "reason": conflict.reason,
        "tested": conflict.tested,
    }


def _coverage(view: CoverageView) -> dict[str, Json]:
    return {
        "units": view.units,
        "whole": view.whole,
        "partly": view.partly,
        "not_at_all": view.not_at_all,
        "unread": view.unread,
        "checks": _all(view.checks),
        "gaps": _all(view.gaps),
    }


def _key(key: BaseModel) -> Json:
    written: Json = key.model_dump(mode="json")
    return written


def _all(items: Iterable[_Flat]) -> list[Json]:
    return [_flat(item) for item in items]


def _flat(item: _Flat) -> dict[str, Json]:
    """A dataclass of plain values, by its fields; `dataclasses.asdict` copies deeply, at twenty times the cost."""
    values: dict[str, Json | tuple[Json, ...]] = {name: getattr(item, name) for name in item.__slots__}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
