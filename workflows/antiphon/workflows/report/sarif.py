"""The report for other tools: SARIF 2.1.0 (OASIS, errata 01), one run for each analyser.

Every finding is one result, so nothing is merged away: what antiphon adds (the cluster, who else says so, how sure it
is, whose severity it is) is in the result's property bag. Facts, patches and passages have no place in SARIF; they are
in report.json.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from antiphon.subagents.records import Finding
from antiphon.tracing.log import Json
from antiphon.workflows.report.about import About
from antiphon.workflows.report.lined import lined
from antiphon.workflows.report.material import Material
from antiphon.workflows.report.sarif_result import BASE, CWE, artifact, fingerprints, result
from antiphon.workflows.report.untrusted import is_https, sarif_text
from antiphon.workflows.synthesis import Gap, Synthesis

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = 4

_Identified = tuple[str, Finding]


def sarif(synthesis: Synthesis, about: About) -> str:
    """The report as SARIF."""
    material = Material(synthesis=synthesis, about=about)
    by_tool: defaultdict[str, list[_Identified]] = defaultdict(list)
    for id, claim in synthesis.claims.items():
        if isinstance(claim, Finding):
            by_tool[claim.actor.tool].append((id, claim))
    tools = sorted({*about.tools, *about.imported, *by_tool})
    runs = [_run(tool, sorted(by_tool[tool], key=_by_place), material) for tool in tools]
    return lined({"$schema": SCHEMA, "version": "2.1.0", "runs": [*runs]}, _LEVELS)


def _by_place(item: _Identified) -> tuple[object, ...]:
    id, claim = item
    return (claim.key.path, claim.line or 0, claim.column or 0, claim.rule, id)


def _run(tool: str, claims: Sequence[_Identified], material: Material) -> dict[str, Json]:
    about = material.about
    rules = {claim.rule: claim for _, claim in reversed(claims)}
    places = {rule: index for index, rule in enumerate(sorted(rules))}
    prints = fingerprints(claims)
    weaknesses = _weaknesses(claims)
    driver = _driver(tool, about, [_rule(rules[rule], weaknesses[rule]) for rule in places])
    run: dict[str, Json] = {
        "tool": {"driver": driver},
        "originalUriBaseIds": {BASE: {"description": {"text": "The folder that was audited."}}},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(tool, material.synthesis, about)],
        "results": [result(id, claim, material, places[claim.rule], prints[id]) for id, claim in claims],
        "properties": {"antiphon": {"run": about.run, "version": about.antiphon, "isolation": about.isolation}},
    }
    if known := sorted({number for numbers in weaknesses.values() for number in numbers}):
        driver["supportedTaxonomies"] = [{"name": CWE, "index": 0}]
        run["taxonomies"] = [_taxonomy(known)]
    return run


def _weaknesses(claims: Sequence[_Identified]) -> dict[str, list[int]]:
    """By rule: the weaknesses (CWE) that its findings name."""
    found: defaultdict[str, set[int]] = defaultdict(set)
    for _, claim in claims:
        found[claim.rule].update([claim.cwe] if claim.cwe is not None else [])
    return {rule: sorted(numbers) for rule, numbers in found.items()}


def _taxonomy(numbers: Sequence[int]) -> dict[str, Json]:
    return {
        "name": CWE,
        "organization": "MITRE",
        "informationUri": "https://cwe.mitre.org/",
        "shortDescription": {"text": "The MITRE Common Weakness Enumeration"},
        "isComprehensive": False,
        "taxa": [{"id": str(number)} for number in numbers],
    }


def _driver(tool: str, about: About, rules: list[Json]) -> dict[str, Json]:
    version = about.tools.get(tool) or about.imported.get(tool)
    return {"name": tool, **({"version": version} if version else {}), "rules": rules}


def _rule(claim: Finding, weaknesses: Sequence[int]) -> dict[str, Json]:
    rule: dict[str, Json] = {
        "id": claim.rule,
        "name": claim.title,
        "shortDescription": {"text": sarif_text(claim.title)},
        "properties": {"canonical": claim.key.rule, "lineage": claim.actor.lineage},
    }
    if claim.url and is_https(claim.url):
        rule["helpUri"] = claim.url
    if weaknesses:
        rule["relationships"] = [
            {"target": {"id": str(number), "toolComponent": {"name": CWE, "index": 0}}, "kinds": ["relevant"]}
            for number in weaknesses
        ]
    return rule


def _invocation(tool: str, synthesis: Synthesis, about: About) -> dict[str, Json]:
    first = min(about.tools, default=tool)
    mine = [gap for gap in synthesis.coverage.gaps if _belongs(gap, tool, first)]
    unreadable = any(record.actor.tool == tool for record in synthesis.malformed)
    missing = any(gap.state == "missing" for gap in mine)
    invocation: dict[str, Json] = {
        "executionSuccessful": not unreadable and not missing and not synthesis.failed,
        "toolExecutionNotifications": [_notification(gap) for gap in mine],
    }
    if tool == first and about.not_run:  # SARIF has no place for a tool that did not run, so another's run tells it
        absent = sorted(about.not_run.items())
        invocation["toolConfigurationNotifications"] = [
            {"level": "note", "message": {"text": sarif_text(f"{name} did not take part: {reason}")}}
            for name, reason in absent
        ]
    return invocation


def _belongs(gap: Gap, tool: str, first: str) -> bool:
    """Whether a gap is told in this tool's run. What the survey could not read is told once, in the first."""
    if gap.state == "unread":
        return False
    return gap.check.partition("/")[0] == tool or (gap.state == "unreadable" and tool == first)


def _notification(gap: Gap) -> dict[str, Json]:
    return {
        "level": "error" if gap.state == "missing" else "warning",
        "message": {"text": sarif_text(f"{gap.check}: {gap.reason}")},
        "locations": [{"physicalLocation": {"artifactLocation": artifact(gap.unit)}}],
    }
