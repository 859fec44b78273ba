"""Putting the subtasks of one level together, and going back to the last good state where that cannot be done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from antiphon.tracing import Json
from antiphon.workflows.build import words
from antiphon.workflows.build.building import Built, attempt, confined
from antiphon.workflows.build.deciding import Joining
from antiphon.workflows.build.planning import Group, Unit
from antiphon.workflows.build.shapes import Handed
from antiphon.workflows.build.verifying import Verdict, besides, checked, listed, met, run_suite, suspects, told
from antiphon.workflows.crafting.quality import Quality
from antiphon.workflows.crafting.results import Tests, regressions
from antiphon.workflows.script import agent, step

WHOLE: Final = "integration"
"""The workspace that holds what is built so far; its patch is what a build hands over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """What is built so far: the last good state.

    Attributes:
        task: in the person's words. tree: the state. suite: the run of all tests on it.
        quality: the bar. test: the command that runs the suite, "" where the project says that.
        built: what became of each subtask, by id. groups: subtasks that were cut up again.
        checkpoints: the good states, in order, the first being the base.
    """

    task: str
    tree: str
    suite: Tests
    quality: Quality
    test: str
    built: Mapping[str, Built] = field(default_factory=dict[str, Built])
    groups: tuple[Group, ...] = ()
    checkpoints: tuple[str, ...] = ()

    def having(self, more: Iterable[Built]) -> Whole:
        """The same, with what became of further subtasks."""
        return replace(self, built={**self.built, **{one.unit.id: one for one in more}})

    @property
    def integrated(self) -> list[Unit]:
        """The subtasks that are in it."""
        return [one.unit for one in self.built.values() if one.status == "integrated"]


async def join(number: int, accepted: Sequence[Built], whole: Whole) -> Whole:
    """Integrate a level; whoever cannot be in it is left out, and says why.

    Args:
        number: of the level, from 1.
        accepted: its subtasks that were accepted alone.
        whole: what is built so far.
    """
    work = _Joint(number, accepted, whole)
    joining = Joining.begin([one.unit.id for one in accepted])
    while joining.stage != "done":
        if joining.stage != "mend":
            conflict = await work.merge(joining.trying)
            if conflict:
                joining = replace(joining, mendings=0).joined(conflict)
                continue
        else:
            await work.mend(joining)
        verdict = await work.measured(joining.trying)
        joining = joining.joined(verdict.problem, verdict.suspects)
    if not work.at_good:
        await step("restore", {"workspace": WHOLE, "tree": work.good.tree})
    why = dict(joining.left_out)
    ended = [
        replace(one, status="failed", reason=f"it could not be integrated: {why[one.unit.id]}")
        if one.unit.id in why
        else replace(one, status="integrated")
        for one in accepted
    ]
    points = (*whole.checkpoints, work.good.tree) if work.good.tree != whole.tree else whole.checkpoints
    return replace(work.good, checkpoints=points).having(ended)


class _Joint:
    """The work on one level; `good` is the whole as it was when it last held together."""

    def __init__(self, number: int, accepted: Sequence[Built], whole: Whole) -> None:
        self.number, self.whole, self.good = number, whole, whole
        self.by_id = {one.unit.id: one for one in accepted}
        self.at_good = True
        self._tree = whole.tree
        self._last = Verdict()

    async def merge(self, names: Sequence[str]) -> str:
        """Merge subtasks on what is good; what does not go together."""
        if not self.at_good or self._tree != self.whole.tree:
            await step("restore", {"workspace": WHOLE, "tree": self.whole.tree})
        sources = [self.by_id[name].unit.workspace for name in names]
        merged: dict[str, Any] = await step("merge", {"workspace": WHOLE, "sources": sources})
        self.at_good = False
        self._tree = self.whole.tree if merged["conflicts"] else str(merged["tree"])
        return f"these do not go together: {merged['conflicts']}" if merged["conflicts"] else ""

    async def mend(self, joining: Joining) -> None:
        """Let a refiner work on what fails."""
        names = joining.trying
        units = [*self.whole.integrated, *(self.by_id[name].unit for name in names)]
        owned = sorted({pattern for unit in units for pattern in unit.owns})
        held = sorted({test for unit in units if unit.criterion.promise.strip() for test in unit.criterion.tests})
        before = self._tree
        await attempt(
            agent(
                words.join_task(self.number),
                role="refiner",
                output=Handed,
                workspace=WHOLE,
                context=[
                    {"task": self.whole.task, "files that are yours": list[Json](owned), "not yours": list[Json](held)},
                    *(words.about(self.by_id[name].unit) for name in names),
                    words.wrong(
                        joining.problem, output=self._last.output, it_seems_to_come_from=list(self._last.suspects)
                    ),
                ],
                label=f"refiner/level {self.number}",
            )
        )
        self._tree = str((await confined(WHOLE, before, owned, held))["tree"])

    async def measured(self, names: Sequence[str]) -> Verdict:
        """Run all that must hold on the merged state; it is the good one if it does."""
        units = [self.by_id[name].unit for name in names]
        suite = await run_suite(WHOLE, self.whole.test)
        worse = regressions(self.whole.suite, suite)
        verdict = Verdict()
        if worse:
            from_whom = suspects(worse, suite.output, units)
            verdict = Verdict(f"tests fail on the merged tree: {listed(worse)}", suite, suite.tail, from_whom)
        verdict = verdict if verdict.problem else await self._criteria(units, suite)
        if not verdict.problem:
            verdict = Verdict(told(await checked(WHOLE, self.whole.tree, self._tree, self.whole.quality, compare=True)))
        self._last = verdict
        if not verdict.problem:
            self.good, self.at_good = replace(self.whole, tree=self._tree, suite=suite), True
        return verdict

    async def _criteria(self, units: Sequence[Unit], suite: Tests) -> Verdict:
        """Each criterion once more, now that the others are there; and that of a group that is now whole.

        Tests that the suite has just run are not run again.
        """
        there = {unit.id for unit in (*self.whole.integrated, *units)}
        done = {unit.id for unit in self.whole.integrated}
        whole = [one for one in self.whole.groups if there.issuperset(one.parts) and not done.issuperset(one.parts)]
        for name, criterion in [(unit.id, unit.criterion) for unit in units] + [(g.id, g.criterion) for g in whole]:
            verdict = await met(WHOLE, besides(criterion, suite), self.whole.test, self.whole.suite)
            if verdict.problem:
                named = tuple(unit.id for unit in units if unit.id == name or unit.id.startswith(f"{name}."))
                return replace(verdict, problem=f"of {name!r}: {verdict.problem}", suspects=named)
        return Verdict()
