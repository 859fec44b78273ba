"""What a build came to, as plain data: what its reports, its summary and whoever resumes it read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from antiphon.tracing import Json
from antiphon.workflows.build.levels import levels

if TYPE_CHECKING:
    from antiphon.workflows.build.dividing import Division
    from antiphon.workflows.build.integrating import Whole
    from antiphon.workflows.build.planning import Unit
    from antiphon.workflows.synthesis import Synthesis

STATE: Final = "build"
"""The key under which a run holds it."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of a build.

    Attributes:
        subtasks: each, in the order of the levels, with what became of it so far.
        suite: the last run of all tests on the whole.
        checkpoints: the good states, the base first. notes: what went wrong with plans.
        assumptions, left_out: as the planner says. objections: what the critic has against the whole.
        gaps: all that is missing, in sentences. cost: of the whole run.
    """

    subtasks: tuple[dict[str, Json], ...]
    suite: dict[str, Json] | None
    checkpoints: tuple[str, ...]
    notes: tuple[str, ...]
    assumptions: tuple[str, ...]
    left_out: tuple[str, ...]
    objections: tuple[str, ...]
    gaps: tuple[str, ...]
    cost: Mapping[str, Json]

    @classmethod
    def of(
        cls, division: Division, whole: Whole | None, objections: Sequence[str], *, cost: Mapping[str, Json]
    ) -> Told:
        """What is known so far.

        Args:
            division: the plan.
            whole: what is built; None before anything is.
            objections: the critic's.
            cost: of the run.
        """
        subtasks = [_subtask(unit, whole) for level in levels(division.units) for unit in level]
        plan = division.plan
        plans = [("", plan), *((f"{id}: ", part) for id, part in division.parts.items())] if plan is not None else []
        left_out = tuple(f"{of}{one}" for of, each in plans for one in each.left_out)
        gaps = [f"{one['id']} ({one['status']}): {one['reason']}" for one in subtasks if one["status"] in _MISSING]
        gaps += [f"the planner left out: {one}" for one in left_out]
        gaps += [f"the critic objects: {one}" for one in objections]
        if whole is not None and whole.suite.command and not (whole.suite.passed or whole.suite.empty):
            failing = ", ".join(whole.suite.failing[:5]) or whole.suite.trouble
            gaps.append(f"the suite does not pass, as before: {failing}")
        return cls(
            subtasks=tuple(subtasks),
            suite=_suite(whole),
            checkpoints=whole.checkpoints if whole is not None else (),
            notes=division.notes,
            assumptions=tuple(f"{of}{one}" for of, each in plans for one in each.assumptions),
            left_out=left_out,
            objections=tuple(objections),
            gaps=tuple(gaps),
            cost=cost,
        )

    def to_json(self) -> dict[str, Any]:
        """As it is kept, shown and reported."""
        return {
            "subtasks": list(self.subtasks),
            "suite": self.suite,
            "checkpoints": list(self.checkpoints),
            "notes": list(self.notes),
            "assumptions": list(self.assumptions),
            "left_out": list(self.left_out),
            "objections": list(self.objections),
            "gaps": list(self.gaps),
            "cost": dict(self.cost),
        }


_MISSING: Final = ("failed", "skipped")


def _subtask(unit: Unit, whole: Whole | None) -> dict[str, Json]:
    built = whole.built.get(unit.id) if whole is not None else None
    return built.to_json() if built is not None else {**unit.to_json(), "status": "planned", "reason": ""}


def _suite(whole: Whole | None) -> dict[str, Json] | None:
    if whole is None:
        return None
    run = whole.suite
    counts: dict[str, Json] = {}
    for state in (run.cases or {}).values():
        before = counts.get(state, 0)
        counts[state] = (before if isinstance(before, int) else 0) + 1
    failing: list[Json] = list(run.failing)
    return {"command": run.command, "exit": run.exit, "passed": run.passed, "counts": counts, "failing": failing,
            "trouble": run.trouble}  # fmt: skip


def result_of(told: Mapping[str, Any], synthesis: Synthesis) -> dict[str, Any]:
    """The value of the run: what is known, and how far the records of it cover the plan."""
    return {**told, "coverage": {"units": synthesis.coverage.units, "whole": synthesis.coverage.whole}}
