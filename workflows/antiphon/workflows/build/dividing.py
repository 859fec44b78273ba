"""From a task to units: planners are asked, what they say is held to the rules, and sent back with reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from antiphon.subagents.workspace.contract import READ
from antiphon.tracing import Json
from antiphon.workflows.build import words
from antiphon.workflows.build.building import attempt
from antiphon.workflows.build.deciding import REPAIRS
from antiphon.workflows.build.planning import Unit, flattened, problems_of
from antiphon.workflows.build.shapes import Plan
from antiphon.workflows.script import agent, parallel


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """A task, cut up.

    Attributes:
        plan: of the whole; None where no planner gave one that can be built. parts: of what was cut up again, by id.
        notes: what went wrong on the way, for the report.
    """

    plan: Plan | None
    parts: Mapping[str, Plan] = field(default_factory=dict[str, Plan])
    notes: tuple[str, ...] = ()

    @property
    def units(self) -> tuple[Unit, ...]:
        """What is to be built."""
        return () if self.plan is None else flattened(self.plan, self.parts)


async def divide(task: str, *, depth: int, known: Sequence[Json]) -> Division:
    """Let planners cut up a task, and what is too large of it again.

    Args:
        task: in the person's words.
        depth: how often it is cut up at most.
        known: frames with what is known of the project.
    """
    frames: list[Json] = [{"task": task}, *known]
    plan, notes = await _plan(words.plan_task(), frames, None, "planner")
    if plan is None:
        return Division(plan=None, notes=tuple(notes))
    division = Division(plan=plan, notes=tuple(notes))
    for at in range(2, depth + 1):
        large = [unit for unit in division.units if unit.depth == at - 1 and unit.id in _large(division)]
        if not large:
            break
        division = await _cut(division, large, frames)
    return division


def _large(division: Division) -> frozenset[str]:
    """The units that their planners call too large."""
    named = {one.id for one in division.plan.subtasks if one.large} if division.plan is not None else set[str]()
    below = {f"{id}.{one.id}" for id, part in division.parts.items() for one in part.subtasks if one.large}
    return frozenset(named | below)


async def _cut(division: Division, large: Sequence[Unit], frames: Sequence[Json]) -> Division:
    """Cut up some units again, at the same time; one that nobody can cut up stays as it is."""
    outcomes = await parallel(_part(unit, frames) for unit in large)
    parts, notes = dict(division.parts), list(division.notes)
    for unit, outcome in zip(large, outcomes, strict=True):
        plan, said = outcome.value if outcome.kind in ("succeeded", "degraded") else (None, [outcome.reason])
        notes += said
        others = sum(1 for one in Division(plan=division.plan, parts=parts).units if one.id != unit.id)
        too_many = problems_of(plan, inside=unit.owns, taken=others) if plan is not None else ()
        if plan is None or too_many:
            notes.append(f"{unit.id} stays one subtask: {'; '.join(too_many) or 'no plan of it could be used'}")
        else:
            parts[unit.id] = plan
    return Division(plan=division.plan, parts=parts, notes=tuple(notes))


async def _part(unit: Unit, frames: Sequence[Json]) -> tuple[Plan | None, list[str]]:
    return await _plan(words.divide_task(unit), [*frames, words.about(unit)], unit.owns, f"planner/{unit.id}")


async def _plan(
    task: str, frames: Sequence[Json], inside: Sequence[str] | None, label: str
) -> tuple[Plan | None, list[str]]:
    """A plan that can be built, or None; and what was wrong with those before it."""
    notes: list[str] = []
    more: list[Json] = []
    for _ in range(1 + REPAIRS):
        said = await attempt(
            agent(task, role="planner", output=Plan, workspace=READ, context=[*frames, *more], label=label)
        )
        if isinstance(said, str):
            notes.append(f"{label}: {said}")
            continue
        problems = problems_of(said, inside=inside)
        if not problems:
            return said, notes
        notes.append(f"{label}: a plan was sent back: {'; '.join(problems)}")
        more = [words.wrong_plan(said.model_dump(mode="json"), problems)]
    return None, notes
