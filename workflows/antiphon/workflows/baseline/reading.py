"""Reads a SARIF 2.1.0 log, of ours or of any tool, as results that can be compared. The log may come from anybody."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from antiphon.engine.errors import UsageError
from antiphon.workflows.baseline.artifacts import Artifacts
from antiphon.workflows.baseline.plain import first, number, sequence, table, tables, text
from antiphon.workflows.baseline.sightings import Named, Region, Sighting

LARGEST_BYTES = 256 << 20
_ARGUMENT = re.compile(r"\{(\d{1,3})\}|\{\{|\}\}")
_LEVELS = ("none", "note", "warning", "error")


class BaselineError(UsageError):
    """What was named as a baseline is none.

    Attributes:
        source: as the person named it. problem: what is wrong with it.
    """

    def __init__(self, source: str, problem: str) -> None:
        self.source, self.problem = source, problem
        super().__init__(
            f"the baseline {source[:300]!r} {problem}",
            advice="name a SARIF 2.1.0 file or one of your runs: --baseline FILE.sarif, or --baseline last",
        )


@dataclass(frozen=True, slots=True)
class SarifLog:
    """A SARIF log.

    Attributes:
        source: where it is from, as a person names it. content: all of it.
        tools: every tool that has a run in it, in lower case, whether it found something or not.
        sightings: its results; those it calls absent are not among them. unreadable: entries that are no results.
    """

    source: str
    content: dict[str, Any]
    tools: frozenset[str]
    sightings: tuple[Sighting, ...]
    unreadable: int = 0


def read_sarif(data: bytes | str, source: str, *, root: Path | None = None) -> SarifLog:
    """Read a log.

    Args:
        data: its content.
        source: where it is from, for messages.
        root: the audited folder; absolute paths into it become relative.

    Raises:
        BaselineError: it is no SARIF 2.1.0 log.
    """
    content = table(_json(data, source))
    if not isinstance(content.get("runs"), list) or not text(content.get("version")).startswith("2.1"):
        raise BaselineError(source, "is no SARIF 2.1.0 log: it needs a version and runs")
    sightings: list[Sighting] = []
    tools: set[str] = set()
    unreadable = 0
    for place, run in enumerate(content["runs"]):
        reader = _Run(table(run), place, root)
        tools.add(reader.tool)
        found = list(reader.sightings())
        sightings += [sighting for sighting in found if sighting is not None]
        unreadable += found.count(None)
    return SarifLog(source, content, frozenset(tools), tuple(sightings), unreadable)


def _json(data: bytes | str, source: str) -> object:
    try:
        decoded = data.decode("utf-8-sig") if isinstance(data, bytes) else data
        parsed: object = json.loads(decoded)
        return parsed
    except (ValueError, RecursionError) as error:
        raise BaselineError(source, f"is no JSON: {' '.join(str(error).split())[:200]}") from None


class _Run:
    """One run of a log under reading."""

    def __init__(self, run: Mapping[str, Any], place: int, root: Path | None) -> None:
        self._run, self._place = run, place
        self._driver = table(table(run.get("tool")).get("driver"))
        self._components = [self._driver, *tables(table(run.get("tool")).get("extensions"))]
        self._artifacts = Artifacts(run, root)
        self.tool = text(self._driver.get("name")).lower()

    def sightings(self) -> Iterator[Sighting | None]:
        """Its results, None for what is none."""
        for index, found in enumerate(tables(self._run.get("results"))):
            if not found:
                yield None
            elif found.get("baselineState") != "absent":
                yield self._sighting(found, index)

    def _sighting(self, result: Mapping[str, Any], index: int) -> Sighting:
        rule = self._rule(result)
        location = first(tables(result.get("locations")))
        physical = table(location.get("physicalLocation"))
        region = table(physical.get("region"))
        logical = first(tables(location.get("logicalLocations")))
        ours = table(table(result.get("properties")).get("antiphon"))
        level = _level(result, rule)
        return Sighting(
            run=self._place,
            index=index,
            tool=self.tool,
            rule=_rule_id(result, rule),
            uri=self._artifacts.name(table(physical.get("artifactLocation"))),
            region=_region(region),
            symbol=text(logical.get("fullyQualifiedName")) or text(logical.get("name")),
            message=self._message(table(result.get("message")), rule),
            snippet=text(table(region.get("snippet")).get("text")),
            level=level,
            severity=text(ours.get("severity")) or level,
            guids=_texts({name: result.get(name) for name in ("correlationGuid", "guid")}),
            fingerprints=_texts(table(result.get("fingerprints"))),
            partials=_texts(table(result.get("partialFingerprints"))),
            suppressed=_suppressed(result),
            claim=text(ours.get("claim")),
            cluster=text(ours.get("cluster")),
            lens=text(ours.get("lens")),
        )

    def _rule(self, result: Mapping[str, Any]) -> Mapping[str, Any]:
        """The descriptor of the rule, empty where the log has none."""
        named = table(result.get("rule"))
        place = number(table(named.get("toolComponent")).get("index"))
        component = self._components[place + 1] if 0 <= place < len(self._components) - 1 else self._driver
        rules = tables(component.get("rules"))
        index = number(result.get("ruleIndex", named.get("index")))
        if 0 <= index < len(rules):
            return rules[index]
        return first(rule for rule in rules if rule.get("id") == _rule_id(result, {}))

    def _message(self, message: Mapping[str, Any], rule: Mapping[str, Any]) -> str:
        given = sequence(message.get("arguments"))
        words = text(message.get("text")) or text(message.get("markdown"))
        if not words and (name := text(message.get("id"))):
            words = self._string(name, rule) or f"{name} {json.dumps(given)}"
        return _filled(words, given) if given else words

    def _string(self, name: str, rule: Mapping[str, Any]) -> str:
        strings = (table(rule.get("messageStrings")), table(self._driver.get("globalMessageStrings")))
        return next((found for each in strings if (found := text(table(each.get(name)).get("text")))), "")


def _filled(words: str, arguments: Sequence[Any]) -> str:
    """A message with its arguments in their places (SARIF 3.11.5)."""

    def argument(place: re.Match[str]) -> str:
        if place.group(1) is None:
            return place.group()[0]
        index = int(place.group(1))
        return text(arguments[index]) if index < len(arguments) else place.group()

    return _ARGUMENT.sub(argument, words)


def _rule_id(result: Mapping[str, Any], rule: Mapping[str, Any]) -> str:
    return text(result.get("ruleId")) or text(table(result.get("rule")).get("id")) or text(rule.get("id"))


def _level(result: Mapping[str, Any], rule: Mapping[str, Any]) -> str:
    """The level of a result: its own, else its rule's, else "warning" (SARIF 3.27.10)."""
    said = text(result.get("level")) or text(table(rule.get("defaultConfiguration")).get("level"))
    return said if said in _LEVELS else "warning"


def _suppressed(result: Mapping[str, Any]) -> str:
    """The kind of the suppression in force: a rejected one, or one under review, is not (SARIF 3.27.23)."""
    kinds = [
        text(e.get("kind")) for e in tables(result.get("suppressions")) if e.get("status", "accepted") == "accepted"
    ]
    if not kinds:
        return ""
    return kinds[0] if kinds[0] in ("inSource", "external") else "external"


def _region(region: Mapping[str, Any]) -> Region:
    line = number(region.get("startLine"), least=1)
    end = number(region.get("endLine"), least=1) or line
    return Region(line, number(region.get("startColumn"), least=1), end, number(region.get("endColumn"), least=1))


def _texts(given: Mapping[str, Any]) -> Named:
    return tuple(sorted((name, value) for name, value in given.items() if isinstance(value, str) and value))
