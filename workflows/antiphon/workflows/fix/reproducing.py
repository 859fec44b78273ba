"""The test that shows the bug: written by the tester, and accepted only once it really does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from antiphon.workflows.crafting.results import Tests, tests_of
from antiphon.workflows.fix import words
from antiphon.workflows.fix.asking import (
    answered,
    command_frame,
    frame,
    lines_told,
    report_frame,
    results_told,
    unrunnable,
)
from antiphon.workflows.fix.judging import Reference, faults, new_cases, reference, unsteady
from antiphon.workflows.fix.moves import Broken
from antiphon.workflows.fix.results import ReproductionResult
from antiphon.workflows.fix.shapes import Environment, Plan, Reproduction
from antiphon.workflows.fix.steps import commands_of
from antiphon.workflows.script import agent, log, step

NAME: Final = "reproduction"
BASELINE: Final = "baseline"
ATTEMPTS: Final = 3
"""How often a tester may try."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The project as it was.

    Attributes:
        tree: its state. command: what its tests are run with, None for what is found where they are run.
        tests: what they said. notes: what a person must know of that. planner: asked for another command already.
    """

    tree: str
    command: str | None
    tests: Tests
    notes: tuple[str, ...] = ()


async def measured(workspace: str, command: str | None) -> Tests:
    """Run the tests in a workspace, by the way that is found there where no command is given."""
    if command:
        return tests_of(await step("tests", {"workspace": workspace, "command": command}))
    if not await step("suites", {"workspace": workspace}):
        return Tests(trouble="no way to run tests was found: no test files, and no configuration of any")
    return tests_of(await step("tests", {"workspace": workspace}))


async def baseline(report: str, test: str) -> Baseline:
    """The tests of the project as it was; with another command where the one that was named cannot be run."""
    tree = await step("tree", {"workspace": BASELINE})
    tests = await measured(BASELINE, test or None)
    notes = tuple(await step("begun", {"workspace": BASELINE}))
    found = Baseline(tree=tree, command=test or None, tests=tests, notes=notes)
    why = unrunnable(tests)
    if not why:
        return found
    others = [one for one in commands_of(await step("suites", {"workspace": BASELINE})) if one != tests.command]
    if not others:
        return replace(found, notes=(why, *notes))
    chosen = await another_command(report, why, others)
    if chosen is None or chosen.command not in others:
        said = f"; missing: {', '.join(chosen.missing)}" if chosen is not None and chosen.missing else ""
        return replace(found, notes=(f"{why}{said}", *notes))
    log(f"{why}; the tests are run with {chosen.command} instead")
    note = f"{why}; `{chosen.command}` is used instead"
    return replace(found, command=chosen.command, tests=await measured(BASELINE, chosen.command), notes=(note, *notes))


async def another_command(report: str, why: str, others: list[str]) -> Environment | None:
    """Let the planner choose another way to run the tests; None if it cannot say."""
    asked = agent(
        words.command(),
        role="planner",
        output=Environment,
        workspace="read",
        context=[report_frame(report), frame(words.RESULTS, why), frame(words.COMMANDS, words.listed(others))],
        label="planner/command",
    )
    return (await answered(asked)).value


async def reproduced(report: str, plan: Plan, base: Baseline) -> tuple[ReproductionResult, Tests]:
    """A test that fails because of the bug, and the tests of the project with it.

    Where none can be had, the workspace is put back to the base, and the result says why.
    """
    attempts: list[str] = []
    await step("restore", {"workspace": NAME, "tree": base.tree})
    wrong: tuple[str, ...] = ()
    tests = base.tests
    why = f"{ATTEMPTS} attempts were not accepted"
    for _ in range(ATTEMPTS):
        said = await answered(_tester(report, plan, base, wrong, tests))
        if said.value is None:
            trouble = said.trouble
            assert trouble is not None
            attempts.append(trouble.reason if isinstance(trouble, Broken) else trouble.evidence)
            if isinstance(trouble, Broken):
                why = f"the tester could not go on: {trouble.reason}"
                break
            wrong = (attempts[-1],)
            continue
        if said.value.impossible:
            why = said.value.impossible
            break
        tests = await measured(NAME, base.command)
        seen = await step("touched", {"workspace": NAME, "since": base.tree, "command": tests.command})
        wrong = faults(base.tests, tests, seen["strays"], said.value.existing)
        wrong = wrong or unsteady(base.tests, tests, await measured(NAME, base.command), said.value.existing)
        if not wrong:
            return await _accepted(said.value, base, tests, seen["files"], attempts), tests
        attempts.append("; ".join(wrong))
    await step("restore", {"workspace": NAME, "tree": base.tree})
    return ReproductionResult(accepted=False, tree=base.tree, attempts=tuple(attempts), why=why), base.tests


def _tester(report: str, plan: Plan, base: Baseline, wrong: tuple[str, ...], tests: Tests) -> Any:
    context = [
        report_frame(report),
        frame(words.PLAN, plan_told(plan)),
        frame(words.BASELINE, results_told(base.tests)),
        *command_frame(base.command or ""),
    ]
    if wrong:
        context += [frame(words.WRONG, lines_told(wrong)), frame(words.RESULTS, results_told(tests))]
    return agent(
        words.reproduce_again() if wrong else words.reproduce(),
        role="tester",
        output=Reproduction,
        workspace=NAME,
        context=context,
        label="tester",
    )


async def _accepted(
    said: Reproduction, base: Baseline, tests: Tests, files: list[str], attempts: list[str]
) -> ReproductionResult:
    return ReproductionResult(
        accepted=True,
        tree=await step("tree", {"workspace": NAME}),
        cases=new_cases(base.tests, tests, said.existing),
        files=tuple(files),
        shows=said.shows,
        attempts=tuple(attempts),
        output=tests.tail,
    )


async def held_anew(workspace: str, command: str, base: str, shown: ReproductionResult) -> Reference:
    """What a fix is held to, measured with another command. Nothing is new where that does not run what shows the bug.

    Args:
        workspace: where; it is left at the base.
        command: that command.
        base: the project as it was.
        shown: the test that shows the bug.
    """
    await step("restore", {"workspace": workspace, "tree": shown.tree})
    now = await measured(workspace, command)
    await step("restore", {"workspace": workspace, "tree": base})
    before = await measured(workspace, command)
    return reference(before, now, new_cases(before, now, shown.cases))


def plan_told(plan: Plan) -> str:
    """What the planner found, for others."""
    said = [f"What happens: {plan.understanding}", f"How a test can show it: {plan.reproduce}"]
    said += [f"Hypothesis {number}: {one.cause}" for number, one in enumerate(plan.hypotheses, 1)]
    return "\n".join([*said, *([f"How to tell that it is gone: {plan.verify}"] if plan.verify else [])])
