"""Writes the outcome of a comparison into this audit's SARIF log: baselineState, and the results that are absent."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from antiphon.tracing.log import Json
from antiphon.workflows.baseline.comparison import Comparison
from antiphon.workflows.baseline.plain import table, text
from antiphon.workflows.baseline.reading import SarifLog
from antiphon.workflows.baseline.sightings import Region, Sighting
from antiphon.workflows.report.lined import lined
from antiphon.workflows.report.untrusted import relative_uri, sarif_text


def with_states(after: SarifLog, comparison: Comparison) -> str:
    """This audit's log, as text, with a baselineState on every result (SARIF 3.27.24: on all of a run, or on none).

    What is absent is appended to the run of its tool, at the place that it had. It is written anew from what was
    understood of it, since an earlier log may come from anybody, and its indices point into itself.
    """
    # Infinity and NaN, which JSON has not, become null.
    content: dict[str, Any] = json.loads(json.dumps(after.content), parse_constant=lambda _: None)
    gone: defaultdict[str, list[Json]] = defaultdict(list)
    for change in comparison.changes:
        if change.after is not None:
            content["runs"][change.after.run]["results"][change.after.index]["baselineState"] = change.state
        else:
            gone[change.sighting.tool].append(_absent(change.sighting))
    for run in content["runs"]:
        tool = text(table(table(table(run).get("tool")).get("driver")).get("name")).lower()
        if tool in gone:
            run["results"] = [*run.get("results", ()), *gone.pop(tool)]
    return lined(content, 4)


def _absent(sighting: Sighting) -> dict[str, Json]:
    result: dict[str, Json] = {
        "ruleId": sighting.rule,
        "level": sighting.level,
        "message": {"text": sarif_text(sighting.message) or sighting.rule or "no message"},
        "baselineState": "absent",
        "locations": [_location(sighting)] if sighting.uri else [],
        # On every result, as the standard asks where it is on one.
        "suppressions": [{"kind": sighting.suppressed}] if sighting.suppressed else [],
    }
    for name, values in (("fingerprints", sighting.fingerprints), ("partialFingerprints", sighting.partials)):
        if values:
            result[name] = dict(values)
    if sighting.claim:
        result["properties"] = {
            "antiphon": {
                "claim": sighting.claim,
                "cluster": sighting.cluster,
                "severity": sighting.severity,
                "lens": sighting.lens,
            }
        }
    return result


def _location(sighting: Sighting) -> dict[str, Json]:
    outside = sighting.uri.startswith("/") or "://" in sighting.uri
    artifact: dict[str, Json] = {"uri": relative_uri(sighting.uri)}
    if not outside:
        artifact["uriBaseId"] = "SRCROOT"
    physical: dict[str, Json] = {"artifactLocation": artifact}
    if sighting.region.start_line:
        physical["region"] = _region(sighting.region)
    location: dict[str, Json] = {"physicalLocation": physical}
    if sighting.symbol:
        location["logicalLocations"] = [{"fullyQualifiedName": sighting.symbol}]
    return location


def _region(region: Region) -> dict[str, Json]:
    named = {
        "startLine": region.start_line,
        "startColumn": region.start_column,
        "endLine": max(region.end_line, region.start_line),
        "endColumn": region.end_column,
    }
    return {name: value for name, value in named.items() if value}
