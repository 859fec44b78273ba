"""Reads TAP, nested tests included, and the form that newer versions of node's test runner print instead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from antiphon.subagents.checks.cases import Cases, CaseState

_LINE: Final = re.compile(r"^(\s*)(not ok|ok)\b\s*\d*\s*(?:- )?(.*)$")
_DIRECTIVE: Final = re.compile(r"\s#\s*(?:SKIP|TODO)\b.*$", re.IGNORECASE)
_SPEC: Final = re.compile(r"^(\s*)([✔✖﹣]) (.*?)(?: \([\d.]+ms\))?( # (?:SKIP|TODO).*)?$")
_PLAN: Final = re.compile(r"^1\.\.(\d+)\s*$", re.MULTILINE)
_REPEATED: Final = "✖ failing tests:"


@dataclass(slots=True)
class _Point:
    """One test: how deep it is nested, its own name, how it ended, and what was said about it."""

    depth: int
    title: str
    state: CaseState
    said: list[str] = field(default_factory=list[str])


def read_tap(stdout: str, stderr: str) -> Cases:
    """The tests that a run prints. One inside of another is named ``outer > inner``."""
    cases = Cases()
    points = list(_points(stdout.splitlines()))
    for point, name in zip(points, _names(points), strict=True):
        cases.add(name, point.state, "\n".join(point.said))
    return cases


def is_tap(stdout: str) -> bool:
    """Whether an output of nobody knows what is TAP, and as many tests as it planned."""
    plans = _PLAN.findall(stdout)
    points = sum(point.depth == 0 for point in _points(stdout.splitlines()))
    return len(plans) == 1 and points > 0 and plans[0] == str(points)


def _names(points: list[_Point]) -> list[str]:
    """What is inside is printed before what is around it, so this goes backwards."""
    outer: dict[int, str] = {}
    names: list[str] = []
    for point in reversed(points):
        outer = {depth: title for depth, title in outer.items() if depth < point.depth} | {point.depth: point.title}
        names.append(" > ".join(outer[depth] for depth in sorted(outer)))
    return names[::-1]


def _points(lines: list[str]) -> Iterator[_Point]:
    last: _Point | None = None
    explaining = False
    for line in lines:
        if line.startswith(_REPEATED):
            break
        if last is not None and (explaining or line.strip() == "---"):
            explaining = line.strip() != "..."
            last.said.append(line)
            continue
        found = _point(line)
        if found is not None:
            if last is not None:
                yield last
            last = found
    if last is not None:
        yield last


def _point(line: str) -> _Point | None:
    if found := _LINE.match(line):
        title = _DIRECTIVE.sub("", found[3])
        state: CaseState = "passed" if found[2] == "ok" else "failed"
        return _Point(len(found[1]), title.strip(), "skipped" if title != found[3] else state)
    if spec := _SPEC.match(line):
        state = "passed" if spec[2] == "✔" else "failed"
        return _Point(len(spec[1]), spec[3].strip(), "skipped" if spec[4] or spec[2] == "﹣" else state)
    return None
