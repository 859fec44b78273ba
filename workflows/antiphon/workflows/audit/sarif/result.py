"""One result of a SARIF run, as we read it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from antiphon.subagents.records import Severity
from antiphon.workflows.audit.hits import Columns, Hit
from antiphon.workflows.audit.sarif.document import SarifRun
from antiphon.workflows.audit.sarif.places import Where, locate
from antiphon.workflows.audit.sarif.values import (
    Object,
    at,
    index_at,
    is_array,
    is_object,
    items_at,
    object_at,
    objects_at,
    place_at,
    text_at,
)

_CWE = re.compile(r"\bcwe[-_/ :]*0*([1-9]\d{0,4})\b", re.IGNORECASE)
_LINK = re.compile(r"\[([^\[\]\\]{1,300})\]\(\d{1,9}\)")  # to one of the result's own related locations
_ARGUMENT = re.compile(r"\{(\d{1,3})\}")
_LEVELS: dict[str, Severity] = {"error": "high", "warning": "medium", "note": "low", "none": "info"}
# GitHub's scale for the CVSS number in `security-severity`.
_SCORES: tuple[tuple[float, Severity], ...] = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"), (0.1, "low"))
_NO_FINDING = frozenset({"pass", "notApplicable"})
_STEPS_SHOWN = 6
_LONGEST_NAME = 200
_LONGEST_URL = 500


@dataclass(frozen=True, slots=True)
class Suppression:
    """Somebody set a result aside: in the source, or elsewhere; why, in words."""

    kind: Literal["inSource", "external"]
    reason: str


@dataclass(frozen=True, slots=True)
class SarifResult:
    """A result.

    Attributes:
        hit: what it says. inside: it is in a file of the tree. symbol: the function or class it names, or "".
        present: it is a finding of now: not passed, not absent since a baseline. suppressions: see there.
    """

    hit: Hit
    inside: bool
    symbol: str = ""
    present: bool = True
    suppressions: tuple[Suppression, ...] = ()


@dataclass(slots=True)
class _Rules:
    """The rules that the tool and its extensions describe."""

    run: Object
    by_id: dict[str, Object] = field(default_factory=dict[str, Object])

    def __post_init__(self) -> None:
        for component in (object_at(self.run, "tool", "driver"), *objects_at(self.run, "tool", "extensions")):
            for rule in objects_at(component, "rules"):
                self.by_id.setdefault(text_at(rule, "id"), rule)

    def of(self, result: Object) -> tuple[str, Object]:
        """The id and description of a result's rule; an id may go on, after "/", beyond the one described."""
        index = index_at(result, "ruleIndex")
        index = index_at(result, "rule", "index") if index is None else index
        component = index_at(result, "rule", "toolComponent", "index")
        rules = at(self.run, "tool", "driver") if component is None else at(self.run, "tool", "extensions", component)
        indexed = object_at(rules, "rules", index if index is not None else -1)
        name = text_at(result, "ruleId") or text_at(result, "rule", "id") or text_at(indexed, "id")
        described = self.by_id.get(name) or self.by_id.get(name.rpartition("/")[0]) or indexed
        return name, described


def results_of(run: SarifRun, root: str, known: Callable[[str], bool]) -> Iterator[SarifResult | str]:
    """The results of a run; a reason in the place of one that cannot be read.

    Args:
        run: the run.
        root: the audited folder, absolute.
        known: whether a unit is one of the tree's files.
    """
    rules = _Rules(run.properties)
    for item in run.results:
        if is_object(item):
            yield _Result(item, run.properties, rules).read(root, known)
        else:
            yield f"a result is not an object but {type(item).__name__}"


@dataclass(frozen=True, slots=True)
class _Result:
    item: Object
    run: Object
    rules: _Rules

    def read(self, root: str, known: Callable[[str], bool]) -> SarifResult | str:
        name, rule = self.rules.of(self.item)
        message = _message(self.item, rule)
        if not name and not message:
            return "a result has neither a rule nor a message"
        location = object_at(self.item, "locations", 0)
        physical = object_at(location, "physicalLocation")
        where = locate(object_at(physical, "artifactLocation"), self.run, root, known)
        return SarifResult(
            hit=self._hit(name, rule, message, where, object_at(physical, "region")),
            inside=where.inside,
            symbol=_symbol(location),
            present=text_at(self.item, "kind") not in _NO_FINDING and text_at(self.item, "baselineState") != "absent",
            suppressions=tuple(_suppressions(self.item)),
        )

    def _hit(self, name: str, rule: Object, message: str, where: Where, region: Object) -> Hit:
        line = place_at(region, "startLine")
        end_line = place_at(region, "endLine")
        in_order = line is not None and end_line is not None and end_line >= line
        return Hit(
            path=where.path,
            rule=name[:_LONGEST_NAME] or "unnamed",
            text=(message or name) + self._steps(),
            title=_title(rule, name),
            line=line,
            end_line=end_line if in_order else line,
            column=place_at(region, "startColumn"),
            end_column=place_at(region, "endColumn") if in_order or end_line is None else None,
            columns=self._columns,
            severity=_severity(self.item, rule),
            cwe=_cwe(self.item, rule),
            url=_url(rule),
            fingerprint=_fingerprint(self.item),
            silenced=next((one.kind for one in _suppressions(self.item)), None),
        )

    @property
    def _columns(self) -> Columns:
        return "utf16" if text_at(self.run, "columnKind") == "utf16CodeUnits" else "characters"

    def _steps(self) -> str:
        """The way that data takes, as places, cut short; "" if none is said."""
        steps = [
            f"{_file_name(physical)}:{place_at(physical, 'region', 'startLine') or '?'}"
            for step in items_at(self.item, "codeFlows", 0, "threadFlows", 0, "locations")
            if (physical := object_at(step, "location", "physicalLocation"))
        ]
        if len(steps) < 2:
            return ""
        shown = steps if len(steps) <= _STEPS_SHOWN else [*steps[: _STEPS_SHOWN - 1], "…", steps[-1]]
        return f" (by way of {' → '.join(shown)})"


def _url(rule: Object) -> str | None:
    said = text_at(rule, "helpUri")
    return said if said.startswith(("https://", "http://")) and len(said) <= _LONGEST_URL else None


def _file_name(physical: Object) -> str:
    return text_at(physical, "artifactLocation", "uri").rpartition("/")[2][:80]


def _message(result: Object, rule: Object) -> str:
    message = object_at(result, "message")
    text = text_at(message, "text") or text_at(message, "markdown")
    if not text and (id := text_at(message, "id")):
        text = text_at(rule, "messageStrings", id, "text")
    text = text or text_at(rule, "shortDescription", "text") or text_at(rule, "fullDescription", "text")
    given = [argument for argument in items_at(message, "arguments") if isinstance(argument, str)]
    return _LINK.sub(r"\1", _ARGUMENT.sub(lambda found: _argument(given, found), text[:10_000]))


def _argument(given: list[str], found: re.Match[str]) -> str:
    index = int(found[1])
    return given[index][:1_000] if index < len(given) else found[0]


def _title(rule: Object, name: str) -> str:
    said = text_at(rule, "name") or text_at(rule, "shortDescription", "text") or name
    return " ".join(said[:_LONGEST_NAME].split()) or "unnamed"


def _severity(result: Object, rule: Object) -> Severity:
    score = _score(at(result, "properties", "security-severity"))
    score = _score(at(rule, "properties", "security-severity")) if score is None else score
    if score is not None:
        return _of_score(score)
    kind = text_at(result, "kind")
    level = text_at(result, "level") or text_at(rule, "defaultConfiguration", "level")
    if level not in _LEVELS:
        level = "warning" if kind in ("", "fail") else "none"
    return _LEVELS[level]


def _of_score(score: float) -> Severity:
    for least, severity in _SCORES:
        if score >= least:
            return severity
    return "info"


def _score(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value[:20] if isinstance(value, str) else value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and 0 <= number <= 10 else None


def _cwe(result: Object, rule: Object) -> int | None:
    """The weakness, from wherever tools say it: taxa, relationships, tags, properties."""
    for said in (*_taxa(result), *_properties(result), *_relations(rule), *_properties(rule)):
        found = _CWE.search(said[:500])
        if found:
            return int(found[1])
    return None


def _taxa(result: Object) -> Iterator[str]:
    for taxon in objects_at(result, "taxa"):
        yield f"{text_at(taxon, 'toolComponent', 'name')}-{text_at(taxon, 'id')}"
        yield text_at(taxon, "id")


def _relations(rule: Object) -> Iterator[str]:
    for relation in objects_at(rule, "relationships"):
        target = object_at(relation, "target")
        yield f"{text_at(target, 'toolComponent', 'name')}-{text_at(target, 'id')}"
        yield text_at(target, "id")


def _properties(holder: Object) -> Iterator[str]:
    properties = object_at(holder, "properties")
    for tag in items_at(properties, "tags")[:100]:
        if isinstance(tag, str):
            yield tag
    for name in ("cwe", "CWE", "cweId", "cwe_id"):
        value = properties.get(name)
        for one in value[:10] if is_array(value) else [value]:
            if isinstance(one, (str, int)) and not isinstance(one, bool):
                yield f"CWE-{one}"
                yield str(one)[:500]


def _fingerprint(result: Object) -> str:
    """The tool's own name for the finding: `fingerprints` say it is the same one, `partialFingerprints` help to."""
    for name in ("fingerprints", "partialFingerprints"):
        flat = _flat(object_at(result, name))
        if flat:
            return ";".join(f"{key}={value}" for key, value in sorted(flat.items()))[: 2 * _LONGEST_NAME]
    return ""


def _flat(values: Mapping[str, Any]) -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, str):
            flat[key] = value
        elif is_object(value):  # against the standard, but there are tools that nest them
            flat |= {f"{key}.{inner}": text for inner, text in value.items() if isinstance(text, str)}
    return flat


def _symbol(location: Object) -> str:
    for logical in objects_at(location, "logicalLocations"):
        if text_at(logical, "kind") in ("function", "member", "type", "method", "class", ""):
            name = text_at(logical, "fullyQualifiedName") or text_at(logical, "name")
            if name:
                return name[:_LONGEST_NAME]
    return ""


def _suppressions(result: Object) -> Iterator[Suppression]:
    """Those in force: not rejected, and not still under review."""
    for one in objects_at(result, "suppressions"):
        if text_at(one, "status") in ("", "accepted"):
            kind: Literal["inSource", "external"] = "inSource" if text_at(one, "kind") == "inSource" else "external"
            yield Suppression(kind, text_at(one, "justification"))
