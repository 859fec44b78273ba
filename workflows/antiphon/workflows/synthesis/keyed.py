"""Groups facts and patches by their exact keys. Every value is a position; none wins. Passages have no key."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from pydantic import JsonValue

from antiphon.subagents.records import Fact, FactKey, Passage, Patch, PatchKey, canonical
from antiphon.tracing.log import Json
from antiphon.workflows.synthesis.cluster_model import FactCluster, PassageCluster, PatchCluster, Position
from antiphon.workflows.synthesis.groups import Voices, positions
from antiphon.workflows.synthesis.keys import key_id

_Sides = dict[str, list[str]]


def facts_of(facts: Mapping[str, Fact], voices: Voices) -> list[FactCluster]:
    """The facts (by id) grouped by subject, attribute and qualifiers, in that order."""
    groups: defaultdict[FactKey, _Sides] = defaultdict(lambda: defaultdict(list))
    for id, fact in facts.items():
        groups[fact.key][canonical(_number(fact.value))].append(id)
    ordered = sorted(groups.items(), key=lambda item: (item[0].subject, item[0].attribute, item[0].qualifiers))
    return [FactCluster(key_id(key), key, _positions(sides, voices)) for key, sides in ordered]


def patches_of(patches: Mapping[str, Patch], voices: Voices) -> list[PatchCluster]:
    """The patches (by id) grouped by base, file and lines, in that order."""
    groups: defaultdict[PatchKey, _Sides] = defaultdict(lambda: defaultdict(list))
    for id, patch in patches.items():
        groups[patch.key][patch.replacement].append(id)
    ordered = sorted(groups.items(), key=lambda item: patch_order(item[0]))
    return [PatchCluster(key_id(key), key, _positions(sides, voices)) for key, sides in ordered]


def passages_of(passages: Mapping[str, Passage]) -> list[PassageCluster]:
    """Every passage alone, in the order of their text."""
    return [PassageCluster(id, (id,)) for id in sorted(passages, key=lambda id: (passages[id].text, id))]


def patch_order(key: PatchKey) -> tuple[str, str, int, int]:
    """By base and file, and in a file from top to bottom."""
    return key.base, key.path, key.start_line, key.end_line


def _positions(sides: _Sides, voices: Voices) -> tuple[Position, ...]:
    return positions(sides, {id: voices.roots(id) for ids in sides.values() for id in ids})


def _number(value: JsonValue) -> Json:
    """The value with whole numbers written as such: JSON knows one sort of number, so 3.0 is 3."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case list():
            return [_number(item) for item in value]
        case dict():
            return {name: _number(item) for name, item in value.items()}
        case _:
            return value
