"""One try at mending the bug: performs what `deciding` says is due, until it says that it is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never

from antiphon.workflows.crafting.results import Tests
from antiphon.workflows.fix import words
from antiphon.workflows.fix.asking import (
    MOST_DIFF,
    answered,
    command_frame,
    frame,
    lines_told,
    ran,
    report_frame,
    results_told,
    shortened,
    unrunnable,
)
from antiphon.workflows.fix.deciding import State, after, begin, next_step
from antiphon.workflows.fix.judging import Judged, NewProblem, Reference, judge
from antiphon.workflows.fix.moves import (
    Backtrack,
    Broken,
    ChangeEnvironment,
    Check,
    Checked,
    Code,
    Criticise,
    End,
    Event,
    Measured,
    Read,
    Recovered,
    Refine,
    Replan,
    Step,
    Stopped,
    Wrote,
)
from antiphon.workflows.fix.reproducing import another_command, held_anew, measured
from antiphon.workflows.fix.results import Round, TryResult
from antiphon.workflows.fix.shapes import Change, Critique, Hypothesis, Plan
from antiphon.workflows.fix.steps import commands_of
from antiphon.workflows.fix.task import Task, Tried, point_told
from antiphon.workflows.script import agent, step


async def tried(task: Task, name: str, number: int, hypothesis: Hypothesis, *, again: bool = False) -> Tried:
    """One try, in a workspace of its own that begins with the test that shows the bug.

    Args:
        task: what is to be mended.
        name: of its workspace.
        number: from 0; which hypothesis of a new plan it takes.
        hypothesis: what it sets out from.
        again: another try sets out from the same.
    """
    await step("restore", {"workspace": name, "tree": task.shown.tree})
    trying = Trying(
        again=again,
        task=task,
        name=name,
        number=number,
        hypothesis=hypothesis,
        held=task.held,
        command=task.base.command,
    )
    state = begin(task.shown.tree, task.bounds, hypothesis.approach)
    while not isinstance(due := next_step(state), End):
        state = after(state, await trying.perform(due, state))
    return Tried(await trying.concluded(due), trying.held)


@dataclass(slots=True, kw_only=True)
class Trying:
    """What one try knows while it goes on."""

    task: Task
    name: str
    number: int
    hypothesis: Hypothesis
    again: bool
    held: Reference
    command: str | None
    rounds: list[Round] = field(default_factory=list[Round])
    states: dict[str, tuple[Tests, Judged, dict[str, Any]]] = field(default_factory=dict[str, Any])
    changes: dict[str, Change] = field(default_factory=dict[str, Change])
    last: Change | None = None
    checked: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    async def perform(self, due: Step, state: State) -> Event:
        """Do what is due, and say what came of it."""
        match due:
            case Code():
                return await self._code(due)
            case Refine():
                return await self._refine(due, state)
            case Check():
                return await self._check()
            case Criticise():
                return await self._criticise(state)
            case Backtrack():
                await self._restore(due.tree)
                self._note("backtrack", due.why, tree=due.tree)
                return Recovered()
            case Replan():
                return await self._replan(due, state)
            case ChangeEnvironment():
                return await self._another_command(due)
            case End():
                raise AssertionError("nothing is due after the end")
            case _:
                assert_never(due)

    def _note(self, act: str, said: str, *, tree: str = "", passed: bool | None = None) -> None:
        self.rounds.append(Round(act=act, said=shortened(said, 2_000), tree=tree, passed=passed))

    async def _restore(self, tree: str) -> None:
        await step("restore", {"workspace": self.name, "tree": tree})

    # --- writing ------------------------------------------------------------------------------------------------------

    async def _code(self, due: Code) -> Event:
        approach = due.approach or self.hypothesis.approach
        said = f"Cause: {self.hypothesis.cause}\nApproach: {approach}"
        lines = [f"{place.file}:{place.line}" for place in self.hypothesis.evidence]
        context = [report_frame(self.task.report), frame(words.APPROACH, "\n".join([said, *lines])), *self._shown()]
        if self.again:
            context.append(frame(words.VARIED, words.varied()))
        if due.told:
            context.append(frame(words.TRIED, lines_told(due.told)))
        return await self._written("code", words.code(reproduced=self.task.shown.accepted), "coder", context)

    async def _refine(self, due: Refine, state: State) -> Event:
        context = [report_frame(self.task.report), *self._shown(), await self._diff()]
        if due.reasons:
            tests = self.states[state.trail[-1].tree][0]
            context.append(frame(words.RESULTS, f"{lines_told(due.reasons)}\n{results_told(tests)}"))
        if due.musts:
            context.append(frame(words.CRITIQUE, lines_told(due.musts)))
        return await self._written("refine", words.refine(), "refiner", context)

    async def _written(self, act: str, task: str, role: str, context: Sequence[str]) -> Event:
        context = [*context, *command_frame(self.command or "")]
        asked = agent(task, role=role, output=Change, workspace=self.name, context=context, label=f"{role}/{self.name}")
        said = await answered(asked)
        if said.value is None:
            assert said.trouble is not None
            self._note(act, said.trouble.reason if isinstance(said.trouble, Broken) else said.trouble.evidence)
            return said.trouble
        self.last = said.value
        self._note(act, said.value.summary)
        if said.value.blocked != "no":
            return Stopped(said.value.blocked, said.value.evidence or said.value.summary)
        return Wrote()

    def _shown(self) -> list[str]:
        shown = self.task.shown
        if not shown.accepted:
            return []
        said = [shown.shows, f"Files: {', '.join(shown.files)}", f"Cases: {', '.join(shown.cases)}"]
        return [frame(words.TEST, "\n".join([*said, "What the tests print now:", shown.output]))]

    async def _diff(self) -> str:
        patch = await step("diff", {"workspace": self.name, "since": self.task.shown.tree})
        return frame(words.DIFF, shortened(patch, MOST_DIFF))

    # --- measuring ----------------------------------------------------------------------------------------------------

    async def _check(self) -> Event:
        tests = await measured(self.name, self.command)
        seen = await step("touched", {"workspace": self.name, "since": self.task.shown.tree, "command": tests.command})
        judged = judge(self.held, tests, seen["offences"], (), self.task.quality)
        if judged.passed:  # what does not pass anyway needs no analyser
            judged = judge(self.held, tests, seen["offences"], await self._problems(seen["files"]), self.task.quality)
        tree: str = await step("tree", {"workspace": self.name})
        if tree == self.task.shown.tree:  # without a test that shows the bug, that would pass
            judged = judged.model_copy(update={"passed": False, "reasons": (*judged.reasons, "nothing was changed")})
        self.states[tree] = (tests, judged, seen)
        if self.last is not None:
            self.changes.setdefault(tree, self.last)
        self._note("check", "; ".join(judged.reasons) or "passes", tree=tree, passed=judged.passed)
        now = Measured(
            tree=tree,
            passed=judged.passed,
            failing=judged.failing,
            reasons=judged.reasons,
            problems=len(judged.problems),
            lines=seen["lines"],
        )
        return Checked(now, unrunnable(tests))

    async def _problems(self, files: list[str]) -> list[NewProblem]:
        """What linters, type checkers and analysers report now and did not report of the base."""
        if self.task.quality == "tests":
            self.absent = ("linters, type checkers and analysers: the quality bar is tests alone",)
            return []
        found = await step("problems", {"workspace": self.name, "paths": files})
        self.checked, self.absent = tuple(found["ran"]), tuple(found["absent"])
        return [NewProblem.model_validate(one) for one in found["new"]]

    async def _criticise(self, state: State) -> Event:
        now = state.trail[-1]
        tests, judged, _ = self.states[now.tree]
        results = (
            lines_told([*judged.reasons, *(one.sentence for one in judged.problems)]) or "Nothing speaks against it."
        )
        asked = agent(
            words.criticise(),
            role="critic",
            output=Critique,
            workspace=self.name,
            context=[
                report_frame(self.task.report),
                *self._shown(),
                await self._diff(),
                frame(words.RESULTS, f"{results}\n{results_told(tests)}"),
            ],
            label=f"critic/{self.name}",
        )
        said = await answered(asked)
        if said.value is None:
            trouble = said.trouble
            if isinstance(trouble, Stopped):
                self._note("criticise", f"no critic could read it: {trouble.evidence}")
                return Read(None)
            assert trouble is not None
            self._note("criticise", trouble.reason)
            return trouble
        musts = tuple(point_told(point.what, point.file, point.line, point.change) for point in said.value.musts)
        self._note("criticise", "; ".join(musts) or said.value.reason, passed=not musts)
        return Read(musts, said.value.approach if musts else "")

    # --- recovering ---------------------------------------------------------------------------------------------------

    async def _replan(self, due: Replan, state: State) -> Event:
        failed = [f"Approach: {self.hypothesis.approach}", *state.lessons]
        asked = agent(
            words.replan(),
            role="planner",
            output=Plan,
            workspace="read",
            context=[report_frame(self.task.report), *self._shown(), frame(words.TRIED, lines_told(failed))],
            label=f"planner/{self.name}",
        )
        said = await answered(asked)
        if said.value is None:
            assert said.trouble is not None
            self._note("replan", said.trouble.reason if isinstance(said.trouble, Broken) else said.trouble.evidence)
            return said.trouble
        if said.value.infeasible:
            self._note("replan", said.value.infeasible)
            return Stopped("infeasible", said.value.infeasible)
        self.hypothesis = said.value.hypotheses[self.number % len(said.value.hypotheses)]
        self._note("replan", self.hypothesis.approach, tree=due.tree)
        await self._restore(due.tree)
        return Recovered(self.hypothesis.approach)

    async def _another_command(self, due: ChangeEnvironment) -> Event:
        found = commands_of(await step("suites", {"workspace": self.name}))
        others = [one for one in found if one != (self.command or self.task.base.tests.command)]
        chosen = await another_command(self.task.report, due.why, others) if others else None
        if chosen is None or chosen.command not in others:
            missing = f"; missing: {', '.join(chosen.missing)}" if chosen is not None and chosen.missing else ""
            self._note("environment", f"{due.why}{missing}")
            return Stopped("environment", f"{due.why}{missing or '; no other way to run the tests was found'}")
        task = self.task
        held = await held_anew(f"{self.name}-held", chosen.command, task.base.tree, task.shown)
        if task.shown.accepted and not held.new:  # whatever passes then would be called a fix
            self._note("environment", why := f"{due.why}; with {chosen.command}, nothing shows the bug")
            return Stopped("environment", why)
        self.command, self.held = chosen.command, held
        self._note("environment", f"{due.why}; the tests are run with {chosen.command} from here on")
        return Recovered()

    # --- ending -------------------------------------------------------------------------------------------------------

    async def concluded(self, end: End) -> TryResult:
        """What the try came to; its workspace is put into its best state, and that becomes a record."""
        result = TryResult(
            name=self.name,
            approach=self.hypothesis.approach,
            cause=self.hypothesis.cause,
            status=end.status,
            reason=end.reason,
            rounds=tuple(self.rounds),
        )
        best = end.best
        if best is None:
            return result
        await self._restore(best.tree)
        tests, judged, _ = self.states[best.tree]
        seen = await step("touched", {"workspace": self.name, "since": self.task.shown.tree, "command": tests.command})
        change = self.changes.get(best.tree)
        return result.model_copy(
            update={
                "tree": best.tree,
                "passed": best.passed,
                "cause": (change.cause if change else "") or self.hypothesis.cause,
                "unsure": change.unsure if change else "",
                "tests": ran(tests),
                "problems": judged.problems,
                "musts": best.musts,
                "reasons": best.reasons,
                "failing": best.failing,
                "files": tuple(seen["files"]),
                "lines": best.lines,
                "checked": self.checked,
                "absent": self.absent,
            }
        )
