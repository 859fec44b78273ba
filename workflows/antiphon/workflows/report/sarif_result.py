"""One finding as one SARIF result."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from antiphon.subagents.records import AUTHOR, FileSpan, Finding, Severity, Verdict, canonical
from antiphon.tracing.log import Json
from antiphon.workflows.report.material import Material
from antiphon.workflows.report.secrets import shown_text
from antiphon.workflows.report.untrusted import relative_uri, sarif_text
from antiphon.workflows.synthesis import Cluster, Status

BASE = "SRCROOT"
CWE = "CWE"
_LEVELS: dict[Severity, str] = {
    "critical": "error",
    "high": "error",
    "medium": "warning",
    "low": "note",
    "info": "note",
}
_RANKS: dict[Severity, float] = {"critical": 95.0, "high": 80.0, "medium": 55.0, "low": 30.0, "info": 10.0}
_FINGERPRINT = "antiphon/v1"
_TOOLS_FINGERPRINT = "tool/v1"
_REVIEWER = "reviewer"


def result(id: str, claim: Finding, material: Material, rule_index: int, fingerprint: str) -> dict[str, Json]:
    """A finding as a result.

    Args:
        id: the finding's id.
        claim: the finding.
        material: everything else.
        rule_index: of its rule, in its run.
        fingerprint: what stays the same of it from one audit to the next.
    """
    cluster = material.by_claim[id]
    prints: dict[str, Json] = {_FINGERPRINT: fingerprint}
    if claim.fingerprint:
        prints[_TOOLS_FINGERPRINT] = claim.fingerprint
    made: dict[str, Json] = {
        "ruleId": claim.rule,
        "ruleIndex": rule_index,
        **_weight(claim, cluster, material.synthesis.status.get(id, cluster.status)),
        "message": {"text": sarif_text(shown_text(claim)) or claim.title},
        "locations": [_location(claim)],
        "partialFingerprints": prints,
        # On every result, as the standard asks where it is on one: none means "not suppressed".
        "suppressions": _suppressions(id, material),
        "properties": {"antiphon": _properties(id, claim, material)},
    }
    if claim.cwe is not None:
        made["taxa"] = [{"id": str(claim.cwe), "toolComponent": {"name": CWE, "index": 0}}]
    return made


def _weight(claim: Finding, cluster: Cluster, status: Status) -> dict[str, Json]:
    """Kind, level and rank.

    Where a check of another lineage refutes a finding, two checks disagree, and the standard's word for a result that a
    person has to decide on is "review" (3.27.9); its level must then be "none" (3.27.10). So it stays, and counts for
    no gate that goes by levels. Its severity is in the property bag.
    """
    rank = _RANKS[claim.severity] + min(4.0, max(0.0, len(cluster.groups) - 1.0))
    if status == "refuted":
        return {"kind": "review", "level": "none", "rank": rank / 10}
    return {"kind": "fail", "level": _LEVELS[claim.severity], "rank": rank + (1.0 if status == "confirmed" else 0.0)}


def _suppressions(id: str, material: Material) -> list[Json]:
    found: list[Json] = []
    for _, verdict in material.verdicts_on([id]):
        if verdict.stance == "refute" and verdict.actor == AUTHOR:
            found.append({"kind": "inSource", "justification": sarif_text(f"{verdict.method} in the source")})
        elif verdict.stance == "refute" and verdict.actor.lineage == _REVIEWER:
            found.append({"kind": "external", "justification": sarif_text(verdict.reason or verdict.method)})
    return found


def _properties(id: str, claim: Finding, material: Material) -> dict[str, Json]:
    cluster = material.by_claim[id]
    conflicts = material.conflicts_of([id, cluster.id])
    return {
        "claim": id,
        "cluster": cluster.id,
        "lens": claim.actor.lens,
        "agreement": cluster.agreement,
        "tools": list(cluster.tools),
        "groups": list(cluster.groups),
        "severity": claim.severity,
        "severityBy": claim.severity_by,
        "severityDisputed": any(id in site.claims for site in cluster.conflicts),
        "status": material.synthesis.status.get(id, cluster.status),
        "verdicts": [_verdict(*found) for found in material.verdicts_on([id])],
        "conflicts": [{"id": conflict.id, "kind": conflict.kind} for conflict in conflicts],
        "topic": cluster.topic,
        "confidence": claim.confidence,
        "cwe": claim.cwe,
    }


def _verdict(id: str, verdict: Verdict) -> Json:
    actor = verdict.actor
    return {
        "id": id,
        "stance": verdict.stance,
        "by": actor.tool,
        "lineage": actor.lineage,
        "method": verdict.method,
        "reason": verdict.reason,
    }


def _location(claim: Finding) -> dict[str, Json]:
    physical: dict[str, Json] = {"artifactLocation": artifact(claim.key.path)}
    region = _region(claim)
    if region:
        physical["region"] = region
    location: dict[str, Json] = {"physicalLocation": physical}
    if claim.key.symbol:
        location["logicalLocations"] = [{"fullyQualifiedName": claim.key.symbol}]
    return location


def artifact(unit: str) -> dict[str, Json]:
    """A file of the audited tree."""
    return {"uri": relative_uri(unit), "uriBaseId": BASE}


def _region(claim: Finding) -> dict[str, Json]:
    """Lines and columns as SARIF counts them: from 1, in characters, the end column one past the last."""
    if claim.line is None:
        return {}
    region: dict[str, Json] = {"startLine": claim.line}
    if claim.column is not None:
        region["startColumn"] = claim.column
    if claim.end_line is not None:
        region["endLine"] = claim.end_line
        if claim.end_column is not None:
            region["endColumn"] = claim.end_column
    return region


def fingerprints(claims: Sequence[tuple[str, Finding]]) -> dict[str, str]:
    """What stays the same when lines above are added or removed: key and code, and a number for equal ones."""
    seen: Counter[str] = Counter()
    prints: dict[str, str] = {}
    for id, claim in claims:
        code: list[Json] = [evidence.sha256 for evidence in claim.evidence if isinstance(evidence, FileSpan)]
        digest = hashlib.sha256(canonical([claim.key.model_dump(mode="json"), claim.rule, code]).encode()).hexdigest()
        seen[digest] += 1
        prints[id] = f"{digest}:{seen[digest]}"
    return prints
