"""The report for other tools: SARIF 2.1.0 (OASIS, errata 01), one run for each analyser.

Every claim is one result, so nothing is merged away: what antiphon adds (the cluster, who else says so, whose severity
it is) is in the result's property bag. What the code's author set aside is a result with a suppression.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence

from antiphon.subagents.records import Claim, Severity, canonical
from antiphon.tracing.log import Json
from antiphon.workflows.report.about import About
from antiphon.workflows.report.untrusted import relative_uri, sarif_text
from antiphon.workflows.synthesis import Cluster, Gap, Synthesis

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_BASE = "SRCROOT"
_LEVELS: dict[Severity, str] = {
    "critical": "error",
    "high": "error",
    "medium": "warning",
    "low": "note",
    "info": "note",
}
_FINGERPRINT = "antiphon/v1"


def sarif(synthesis: Synthesis, about: About) -> str:
    """The report as SARIF."""
    clusters = {id: cluster for cluster in synthesis.clusters for id in cluster.claims}
    tools = sorted({*about.tools, *(claim.actor.tool for claim in synthesis.claims.values())})
    runs = [_run(tool, synthesis, about, clusters) for tool in tools]
    content = {"$schema": SCHEMA, "version": "2.1.0", "runs": runs}
    return json.dumps(content, indent=1, ensure_ascii=True).replace("\x7f", "\\u007f") + "\n"


def _run(tool: str, synthesis: Synthesis, about: About, clusters: Mapping[str, Cluster]) -> dict[str, Json]:
    claims = sorted(((id, claim) for id, claim in synthesis.claims.items() if claim.actor.tool == tool), key=_by_place)
    rules = {claim.rule: claim for _, claim in reversed(claims)}
    places = {rule: index for index, rule in enumerate(sorted(rules))}
    prints = _fingerprints(claims)
    return {
        "tool": {"driver": _driver(tool, about, [rules[rule] for rule in places])},
        "originalUriBaseIds": {_BASE: {"description": {"text": "The folder that was audited."}}},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(tool, synthesis, about)],
        "results": [_result(id, claim, clusters[id], places, prints[id]) for id, claim in claims],
        "properties": {"antiphon": {"run": about.run, "version": about.antiphon, "isolation": about.isolation}},
    }


def _by_place(item: tuple[str, Claim]) -> tuple[object, ...]:
    id, claim = item
    return (claim.key.path, claim.line or 0, claim.column or 0, claim.rule, id)


def _driver(tool: str, about: About, rules: Sequence[Claim]) -> dict[str, Json]:
    version = about.tools.get(tool)
    named: dict[str, Json] = {"name": tool, **({"version": version} if version else {})}
    return {**named, "rules": [_rule(claim) for claim in rules]}


def _rule(claim: Claim) -> dict[str, Json]:
    rule: dict[str, Json] = {
        "id": claim.rule,
        "name": claim.title,
        "shortDescription": {"text": claim.title},
        "properties": {"canonical": claim.key.rule, "lineage": claim.actor.lineage},
    }
    if claim.url and claim.url.startswith("https://"):
        rule["helpUri"] = claim.url
    return rule


def _result(id: str, claim: Claim, cluster: Cluster, places: Mapping[str, int], fingerprint: str) -> dict[str, Json]:
    suppression: Json = {"kind": "inSource", "justification": f"{claim.suppressed} in the source"}
    return {
        "ruleId": claim.rule,
        "ruleIndex": places[claim.rule],
        "level": _LEVELS[claim.severity],
        "message": {"text": sarif_text(claim.text) or claim.title},
        "locations": [_location(claim)],
        "partialFingerprints": {_FINGERPRINT: fingerprint},
        # On every result, as the standard asks where it is on one: none means "not suppressed".
        "suppressions": [suppression] if claim.suppressed else [],
        "properties": {
            "antiphon": {
                "claim": id,
                "cluster": cluster.id,
                "agreement": cluster.agreement,
                "tools": list(cluster.tools),
                "severity": claim.severity,
                "severityBy": claim.severity_by,
                "severityDisputed": any(id in site.claims for site in cluster.conflicts),
                "confidence": claim.confidence,
                "cwe": claim.cwe,
            }
        },
    }


def _location(claim: Claim) -> dict[str, Json]:
    physical: dict[str, Json] = {"artifactLocation": _artifact(claim.key.path)}
    region = _region(claim)
    if region:
        physical["region"] = region
    location: dict[str, Json] = {"physicalLocation": physical}
    if claim.key.symbol:
        location["logicalLocations"] = [{"fullyQualifiedName": claim.key.symbol}]
    return location


def _artifact(unit: str) -> dict[str, Json]:
    return {"uri": relative_uri(unit), "uriBaseId": _BASE}


def _region(claim: Claim) -> dict[str, Json]:
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


def _fingerprints(claims: Sequence[tuple[str, Claim]]) -> dict[str, str]:
    """What stays the same when lines above are added or removed: key and code, and a number for equal ones."""
    seen: Counter[str] = Counter()
    prints: dict[str, str] = {}
    for id, claim in claims:
        code: list[Json] = [evidence.sha256 for evidence in claim.evidence]
        digest = hashlib.sha256(canonical([claim.key.model_dump(mode="json"), claim.rule, code]).encode()).hexdigest()
        seen[digest] += 1
        prints[id] = f"{digest}:{seen[digest]}"
    return prints


def _invocation(tool: str, synthesis: Synthesis, about: About) -> dict[str, Json]:
    first = min(about.tools, default=tool)
    mine = [gap for gap in synthesis.coverage.gaps if _belongs(gap, tool, first)]
    unreadable = any(record.actor.tool == tool for record in synthesis.malformed)
    missing = any(gap.state == "missing" for gap in mine)
    return {
        "executionSuccessful": not unreadable and not missing and not synthesis.failed,
        "toolExecutionNotifications": [_notification(gap) for gap in mine],
    }


def _belongs(gap: Gap, tool: str, first: str) -> bool:
    """Whether a gap is told in this tool's run. What the survey could not read is told once, in the first."""
    if gap.state == "unread":
        return False
    return gap.check.partition("/")[0] == tool or (gap.state == "unreadable" and tool == first)


def _notification(gap: Gap) -> dict[str, Json]:
    return {
        "level": "error" if gap.state == "missing" else "warning",
        "message": {"text": sarif_text(f"{gap.check}: {gap.reason}")},
        "locations": [{"physicalLocation": {"artifactLocation": _artifact(gap.unit)}}],
    }
