"""Compares what was planned with what came back. Silence is a gap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from antiphon.subagents.records import Coverage, CoverageState
from antiphon.workflows.synthesis.coverage_model import CheckCoverage, CoverageView, Gap

Planned = Mapping[str, Sequence[str]]
_State = CoverageState | Literal["missing"]
_Table = dict[tuple[str, str], tuple[_State, str]]

# A check that failed on a unit and was tried again: what it reached in the end counts.
_REACHED: dict[CoverageState, int] = {"failed": 0, "partial": 1, "done": 2}
_NOBODY = "no check reads files like this"
_SILENT = "it was planned, and nothing came back"


def coverage_of(records: Iterable[Coverage], planned: Planned) -> CoverageView:
    """What was looked at, of what was planned (unit: names of the checks) and of what the records name besides."""
    found = _best(records)
    table: _Table = {
        (unit, check): found.get((unit, check), ("missing", _SILENT)) for unit in planned for check in planned[unit]
    }
    table |= found
    by_unit: dict[str, list[_State]] = {unit: [] for unit in planned}
    for (unit, _), (state, _) in table.items():
        by_unit.setdefault(unit, []).append(state)
    unread = sorted(unit for unit, states in by_unit.items() if not states)
    gaps = [Gap(unit, "", "unread", _NOBODY) for unit in unread]
    gaps += [
        _gap(unit, check, state, reason, planned) for (unit, check), (state, reason) in table.items() if state != "done"
    ]
    kinds = Counter(_kind(states) for states in by_unit.values() if states)
    return CoverageView(
        units=len(by_unit),
        whole=kinds["whole"],
        partly=kinds["partly"],
        not_at_all=kinds["not at all"],
        unread=len(unread),
        checks=_by_check(table, planned),
        gaps=tuple(sorted(gaps, key=lambda gap: (gap.unit, gap.check, gap.state, gap.reason))),
    )


def _best(records: Iterable[Coverage]) -> _Table:
    best: dict[tuple[str, str], Coverage] = {}
    for record in records:
        place = record.unit, record.check
        best[place] = max(best.get(place, record), record, key=_reached)
    return {place: (record.state, record.reason) for place, record in best.items()}


def _reached(record: Coverage) -> tuple[int, str]:
    return _REACHED[record.state], record.reason


def _gap(unit: str, check: str, state: _State, reason: str, planned: Planned) -> Gap:
    if state == "done":
        raise ValueError("what is done is no gap")
    # The survey records only what it cannot read, and plans nothing for it.
    return Gap(unit, check, "unreadable" if state == "failed" and unit not in planned else state, reason)


def _kind(states: Sequence[_State]) -> str:
    if all(state == "done" for state in states):
        return "whole"
    return "partly" if any(state in ("done", "partial") for state in states) else "not at all"


def _by_check(table: _Table, planned: Planned) -> tuple[CheckCoverage, ...]:
    names = sorted({check for checks in planned.values() for check in checks})
    counts = Counter((check, state) for (_, check), (state, _) in table.items())
    return tuple(
        CheckCoverage(
            check=check,
            planned=sum(check in checks for checks in planned.values()),
            done=counts[check, "done"],
            partial=counts[check, "partial"],
            failed=counts[check, "failed"],
            missing=counts[check, "missing"],
        )
        for check in names
    )
