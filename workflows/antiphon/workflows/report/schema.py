"""The published JSON Schema of report.json. `python -m antiphon.workflows.report.schema` prints it.

What records look like comes from the records themselves; what a report says besides is written down here. The result
is shipped beside this file as `report.schema.json`, so that whoever reads reports can hold them to it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, get_args

from pydantic.json_schema import models_json_schema

from antiphon.subagents.records import (
    SEVERITIES,
    Actor,
    Coverage,
    Fact,
    FactKey,
    Finding,
    FindingKey,
    Link,
    Malformed,
    Passage,
    Patch,
    PatchKey,
    Resolution,
    Verdict,
)
from antiphon.workflows.report.json_report import FORMAT
from antiphon.workflows.synthesis import ConflictKind, Status

NAME = "report.schema.json"
_Schema = dict[str, Any]
_RECORDS = (
    Finding,
    Fact,
    Passage,
    Patch,
    Verdict,
    Link,
    Resolution,
    Coverage,
    Malformed,
    Actor,
    FindingKey,
    FactKey,
    PatchKey,
)
_TEXT: _Schema = {"type": "string"}
_FLAG: _Schema = {"type": "boolean"}
_COUNT: _Schema = {"type": "integer", "minimum": 0}
_ID: _Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_TEXTS: _Schema = {"type": "array", "items": _TEXT}
_IDS: _Schema = {"type": "array", "items": _ID}
_TOPIC: _Schema = {"type": "string", "pattern": "^([0-9a-f]{64})?$"}
_SEVERITY: _Schema = {"enum": list(SEVERITIES)}
_STATUS: _Schema = {"enum": list(get_args(Status))}


def schema() -> _Schema:
    """The schema, as this version ships it."""
    text = resources.files(__package__ or "antiphon.workflows.report").joinpath(NAME).read_text(encoding="utf-8")
    shipped: _Schema = json.loads(text)
    return shipped


def schema_text() -> str:
    """The schema as text, made from the code."""
    return json.dumps(_made(), indent=1, sort_keys=True) + "\n"


@cache
def _made() -> _Schema:
    _, definitions = models_json_schema([(model, "validation") for model in _RECORDS], ref_template="#/$defs/{model}")
    whole = _closed(_parts(), optional={"comparison"})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A report of antiphon",
        "description": "What an audit, or another workflow, found: every record, and the view of them all.",
        **whole,
        "$defs": {**definitions["$defs"], **_views()},
    }


def _parts() -> dict[str, _Schema]:
    claims = {"oneOf": [_ref(name) for name in ("Finding", "Fact", "Passage", "Patch")]}
    return {
        "format": {"const": FORMAT},
        "about": _about(),
        "comparison": _comparison(),
        "failed": _FLAG,
        "worst": {"enum": [*SEVERITIES, None]},
        "clusters": _list(_ref("Cluster")),
        "facts": _list(_closed({**_keyed("FactKey"), "values": _list(_ref("Position"))})),
        "patches": _list(_closed({**_keyed("PatchKey"), "versions": _list(_ref("Position"))})),
        "passages": _list(_closed({"id": _ID, "claims": _IDS, "status": _STATUS, "topic": _TOPIC})),
        "claims": _by_id(claims),
        "verdicts": _by_id(_ref("Verdict")),
        "links": _by_id(_ref("Link")),
        "resolutions": _by_id(_ref("Resolution")),
        "suggested": _IDS,
        "status": _by_id(_STATUS),
        "inadmissible": _IDS,
        "aside": _by_id(_TEXT),
        "conflicts": _list(_ref("Conflict")),
        "topics": _list(_ref("Topic")),
        "coverage": _ref("CoverageView"),
        "evidence": _counts("resolved", "unresolved", "unchecked"),
        # A Malformed with its id in it: a schema that is closed cannot be extended by reference.
        "malformed": _list({"type": "object", "required": ["id", "record"], "properties": {"id": _ID}}),
        "ledger": _ledger(),
    }


def _views() -> dict[str, _Schema]:
    """What a report says of the records."""
    return {
        "Cluster": _cluster(),
        "Position": _closed({"says": _TEXT, "records": _IDS, "groups": _TEXTS, "minority": _FLAG}),
        "Conflict": _closed(
            {
                "id": _ID,
                "kind": {"enum": list(get_args(ConflictKind))},
                "about": _TEXT,
                "positions": _list(_ref("Position")),
                "reason": _TEXT,
                "tested": {"enum": [True, False, None]},
            }
        ),
        "Topic": _closed({"id": _ID, "title": _TEXT, "claims": _IDS, "links": _IDS, "suggested": _FLAG}),
        "CoverageView": _coverage(),
    }


def _cluster() -> _Schema:
    opinion = _closed({"by": _TEXT, "severities": _list(_SEVERITY)})
    lines = {"start_line": _COUNT, "end_line": _COUNT}
    site = _closed({**lines, "claims": _IDS, "opinions": _list(opinion), "conflict": _FLAG})
    return _closed(
        {
            **_keyed("FindingKey"),
            "rules": _TEXTS,
            "title": _TEXT,
            "text": _TEXT,
            "severity": _SEVERITY,
            "tools": _TEXTS,
            "lineages": _TEXTS,
            "agreement": {"enum": ["one tool", "one lineage", "independent"]},
            "set_aside": _COUNT,
            "groups": _TEXTS,
            "sites": _list(site),
        }
    )


def _keyed(key: str) -> dict[str, _Schema]:
    return {"id": _ID, "key": _ref(key), "status": _STATUS, "topic": _TOPIC}


def _coverage() -> _Schema:
    state = {"enum": ["unreadable", "failed", "partial", "missing", "unread"]}
    check = _counts("planned", "done", "partial", "failed", "missing")
    check = _closed({"check": _TEXT, **check["properties"]})
    gap = _closed({"unit": _TEXT, "check": _TEXT, "state": state, "reason": _TEXT})
    numbers = _counts("units", "whole", "partly", "not_at_all", "unread")["properties"]
    return _closed({**numbers, "checks": _list(check), "gaps": _list(gap)})


def _ledger() -> _Schema:
    numbers = _counts("claims_in", "claims_out", "records_in", "records_out")["properties"]
    return _closed({**numbers, "missing": _IDS, "repeated": _IDS, "unknown": _IDS, "dangling": _IDS})


def _about() -> _Schema:
    counts = {"type": "object", "additionalProperties": _COUNT}
    words = {"type": "object", "additionalProperties": _TEXT}
    texts = dict.fromkeys(("target", "run", "antiphon", "isolation", "banner", "configuration"), _TEXT)
    lists = dict.fromkeys(("lenses", "excluded", "notes"), _TEXTS)
    analysers = {"type": "object", "additionalProperties": _ref("Actor")}
    numbers = {"outcomes": counts, "left_out": counts, "reused": _COUNT}
    return _closed({**texts, **lists, **numbers, "analysers": analysers, "not_run": words})


def _comparison() -> _Schema:
    result = {**dict.fromkeys(("tool", "rule", "path", "severity", "message", "claim"), _TEXT), "line": _COUNT}
    state = {"enum": ["new", "updated", "absent"]}
    change = _closed({**result, "state": state, "recognised_by": _TEXT, "what": _TEXTS}, {"recognised_by", "what"})
    unseen = _closed({"reason": _TEXT, "results": _list(_closed(result))})
    return _closed(
        {
            "compared_with": _TEXT,
            "counts": _counts("new", "updated", "unchanged", "absent"),
            "changes": _list(change),
            "not_looked_at_again": _list(unseen),
            "unknown_tools": _TEXTS,
            "unreadable": _COUNT,
        }
    )


def _ref(name: str) -> _Schema:
    return {"$ref": f"#/$defs/{name}"}


def _list(items: _Schema) -> _Schema:
    return {"type": "array", "items": items}


def _by_id(values: _Schema) -> _Schema:
    return {"type": "object", "propertyNames": _ID, "additionalProperties": values}


def _counts(*names: str) -> _Schema:
    return _closed(dict.fromkeys(names, _COUNT))


def _closed(properties: Mapping[str, _Schema], optional: set[str] | frozenset[str] = frozenset()) -> _Schema:
    """An object that has these properties and no others."""
    required = sorted(properties.keys() - optional)
    return {
        "type": "object",
        "properties": dict(properties),
        "required": required,
        "additionalProperties": False,
    }


if __name__ == "__main__":
    print(schema_text(), end="")
