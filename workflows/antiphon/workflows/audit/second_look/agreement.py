"""Another analyser of another lineage said the same of the same place. That confirms; silence refutes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from antiphon.subagents.records import Finding, Verdict

METHOD = "agreement"
# Weaknesses so wide that two tools naming one of them need not mean the same thing.
WIDE_CWES = frozenset({16, 19, 20, 118, 254, 284, 388, 398, 399, 435, 664, 682, 691, 693, 697, 703, 707, 710})
# One weakness, more and less precisely: a password, a key, any credential in the source.
_CREDENTIALS = {259: 798, 321: 798}
# These judge by the name that a text is bound to, in every tool: two of them agreeing looked at the same thing once.
_BY_NAME = frozenset({"bandit:B105", "bandit:B106", "bandit:B107"})
_LONGEST_LINES = 30


def agreements(findings: Iterable[Finding]) -> list[Verdict]:
    """A verdict for every finding and every other lineage that says the same: one rule, or one CWE on shared lines.

    Findings of unknown lineage neither confirm nor are confirmed. A finding is about the lines it names; one that
    spans more than 30 lines is about its first.
    """
    ordered = sorted(findings, key=lambda finding: finding.id)
    found: dict[tuple[str, str], tuple[Finding, Finding]] = {}
    for place in _by_place(ordered).values():
        for finding, witness in _within(place):
            pair = found.setdefault((finding.id, witness.actor.lineage), (finding, witness))
            if witness.id < pair[1].id:
                found[finding.id, witness.actor.lineage] = (finding, witness)
    return [_verdict(*found[key]) for key in sorted(found)]


def _by_place(findings: Iterable[Finding]) -> dict[tuple[str, str, int], list[Finding]]:
    """By file, what is said, and line. A finding is at each of its lines, under its rule and under its CWE."""
    found: dict[tuple[str, str, int], list[Finding]] = defaultdict(list)
    for finding in findings:
        if not finding.actor.lineage or finding.line is None:
            continue
        said = [finding.key.rule]
        if finding.cwe is not None and finding.cwe not in WIDE_CWES:
            said.append(f"CWE-{_CREDENTIALS.get(finding.cwe, finding.cwe)}")
        for line in _lines(finding):
            for what in said:
                found[finding.key.path, what, line].append(finding)
    return found


def _lines(finding: Finding) -> range:
    first = finding.line or 1
    last = max(finding.end_line or first, first)
    return range(first, last + 1 if last - first < _LONGEST_LINES else first + 1)


def _within(place: Sequence[Finding]) -> Iterable[tuple[Finding, Finding]]:
    """Each finding at one place with a witness of every other lineage and sort of rule, the first one."""
    witnesses: dict[tuple[str, bool], Finding] = {}
    for finding in place:
        witnesses.setdefault((finding.actor.lineage, finding.key.rule in _BY_NAME), finding)
    if len(witnesses) > 1:
        for finding in place:
            by_name = finding.key.rule in _BY_NAME
            for (lineage, other), witness in witnesses.items():
                if lineage != finding.actor.lineage and not (by_name and other):
                    yield finding, witness


def _verdict(finding: Finding, witness: Finding) -> Verdict:
    same = "the same rule" if witness.key.rule == finding.key.rule else f"CWE-{finding.cwe}"
    return Verdict(
        record="verdict",
        of=finding.id,
        stance="confirm",
        actor=witness.actor,
        method=METHOD,
        reason=f"{witness.actor.tool}, of another lineage, reports {same} here as {witness.rule}",
        evidence=witness.evidence,
    )
