"""Finds what a person means by what they typed: an id or its beginning, a place in a file, or a file."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from antiphon.subagents.records import Finding
from antiphon.workflows.synthesis import Cluster, FactCluster, PatchCluster, Synthesis
from antiphon.workflows.why.reading import RecordedRun

Sort = Literal["claim", "verdict", "link", "resolution", "coverage", "malformed", "cluster", "topic", "conflict"]
SHORTEST: Final = 4
_HEX: Final = re.compile(r"[0-9a-f]{4,64}")
_PLACE: Final = re.compile(r"(?P<path>.+?)(?::(?P<line>\d{1,9}))?(?::\d{1,9})?")


@dataclass(frozen=True, slots=True)
class Found:
    """Something that has an id."""

    sort: Sort
    id: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """Nothing is what was typed. `near` is what it may have been meant to be."""

    near: tuple[str, ...]


def find(run: RecordedRun, wanted: str) -> list[Found] | NotFound:
    """What `wanted` means: one thing, or several if it is ambiguous.

    Args:
        run: where to look.
        wanted: an id, at least the first four of its characters, or `path`, `path:line` or `path:line:column`.
    """
    typed = wanted.strip()
    if _HEX.fullmatch(typed.lower()):
        found = sorted(_of_id(run, typed.lower()), key=lambda one: (one.sort, one.id))
        if found:
            return found
    at_place = list(_at(run.synthesis, typed))
    return at_place or NotFound(_near(run, typed))


def _of_id(run: RecordedRun, start: str) -> Iterator[Found]:
    for sort, ids in _all(run).items():
        yield from (Found(sort, id) for id in ids if id.startswith(start))


def _all(run: RecordedRun) -> Mapping[Sort, Iterable[str]]:
    view = run.synthesis
    records: dict[Sort, list[str]] = {}
    for id, record in run.records.items():
        records.setdefault(record.record, []).append(id)
    groups: tuple[Cluster | FactCluster | PatchCluster, ...] = (*view.clusters, *view.facts, *view.patches)
    return {
        **records,
        "link": view.links,
        "cluster": [cluster.id for cluster in groups],
        "topic": [topic.id for topic in view.topics if topic.id not in run.records],
        "conflict": [conflict.id for conflict in view.conflicts],
    }


def _at(view: Synthesis, typed: str) -> Iterator[Found]:
    """The clusters with a finding in this file, at this line if one is given."""
    match = _PLACE.fullmatch(typed)
    if match is None:
        return
    path, line = match["path"], match["line"]
    for cluster in view.clusters:
        if cluster.key.path in (path, typed, path.removeprefix("./")) and (
            line is None or any(site.start_line <= int(line) <= site.end_line for site in cluster.sites)
        ):
            yield Found("cluster", cluster.id)


def _near(run: RecordedRun, typed: str) -> tuple[str, ...]:
    """Files with findings whose names are like what was typed, or the lines nearest to it in the file it names."""
    match = _PLACE.fullmatch(typed)
    path, line = (match["path"], match["line"]) if match else (typed, None)
    findings = [record for record in run.records.values() if isinstance(record, Finding)]
    if line is not None:
        lines = sorted(
            {f.line for f in findings if f.key.path == path and f.line}, key=lambda n: (abs(n - int(line)), n)
        )
        if lines:
            return tuple(f"{path}:{near}" for near in lines[:5])
    paths = sorted({finding.key.path for finding in findings})[:20_000]
    ending = [found for found in paths if found.endswith(f"/{path}")]
    return tuple(ending[:5] or difflib.get_close_matches(path[:200], paths, n=3))
