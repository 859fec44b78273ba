"""Cuts the findings of an audit into calls of the second look."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from antiphon.subagents.records import Finding

MOST_FILES = 25
MOST_FINDINGS = 500


@dataclass(frozen=True, slots=True)
class Round:
    """One call.

    Attributes:
        units: the files it answers for. findings: all findings of those files, whoever made them.
    """

    units: tuple[str, ...]
    findings: tuple[Finding, ...]


def rounds(
    findings: Iterable[Finding], *, most_files: int = MOST_FILES, most_findings: int = MOST_FINDINGS
) -> list[Round]:
    """Cut findings into calls. A function of the set: neither order nor repetition changes it.

    A file is never divided, since tools are compared within it; so one with more findings than `most_findings` is a
    call of its own.
    """
    files: dict[str, dict[str, Finding]] = defaultdict(dict)
    for finding in findings:
        files[finding.key.path][finding.id] = finding
    cut: list[Round] = []
    units: list[str] = []
    taken: list[Finding] = []
    for unit, found in sorted(files.items()):
        if units and (len(units) >= most_files or len(taken) + len(found) > most_findings):
            cut.append(Round(tuple(units), tuple(taken)))
            units, taken = [], []
        units.append(unit)
        taken += [found[id] for id in sorted(found)]
    return [*cut, Round(tuple(units), tuple(taken))] if units else cut
