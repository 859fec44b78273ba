"""What speaks against a state of the code: its criterion, its checks, its suite. Measured by steps, told in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from antiphon.subagents.checks import CheckRun, Problem, new_problems
from antiphon.workflows.build.owning import ALL, owns
from antiphon.workflows.build.planning import Unit
from antiphon.workflows.build.shapes import Criterion
from antiphon.workflows.crafting.quality import Quality, objects
from antiphon.workflows.crafting.results import Tests, regressions, tests_of
from antiphon.workflows.script import CallFailed, step

MOST_NAMED: Final = 20
"""How many failures or problems are named to whoever is to mend them."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was measured of one state.

    Attributes:
        problem: what speaks against it, for whoever is to mend it; "" for nothing.
        tests: the run that says most. output: what a command wrote, where that helps.
        suspects: the subtasks that a failure seems to come from.
    """

    problem: str = ""
    tests: Tests | None = None
    output: str = ""
    suspects: tuple[str, ...] = ()


async def run_suite(workspace: str, command: str) -> Tests:
    """Run all tests that there are; where nobody knows how, that is said in `Tests.trouble`."""
    return await _ran({"workspace": workspace, **_by(command)})


async def _ran(args: Mapping[str, Any]) -> Tests:
    try:
        return tests_of(await step("suite", args))
    except CallFailed as error:
        return Tests(trouble=error.outcome.reason)


async def met(workspace: str, criterion: Criterion, command: str, before: Tests) -> Verdict:
    """Whether a criterion is met, by running it.

    Args:
        workspace: where.
        criterion: its command, and its tests; all of the suite where it cannot be run for some tests alone.
        command: how the suite is run, "" where the project says that.
        before: the suite as it was on the state that the work began at.
    """
    verdict = Verdict()
    if criterion.command.strip():
        ran = await _ran({"workspace": workspace, "command": criterion.command.strip()})
        verdict = Verdict(_unmet(ran, f"`{criterion.command.strip()}`"), ran, ran.tail)
    if criterion.tests and not verdict.problem:
        only = [test.removesuffix(ALL) for test in criterion.tests]
        ran = await _ran({"workspace": workspace, "only": only, **_by(command)})
        if not ran.ran and command:
            return await _whole_met(workspace, command, before)
        verdict = Verdict(_unmet(ran, f"the tests {', '.join(criterion.tests)}"), ran, ran.tail)
    return verdict


async def _whole_met(workspace: str, command: str, before: Tests) -> Verdict:
    """Whether all of the suite passes, or fails at nothing but what it failed at before."""
    ran = await run_suite(workspace, command)
    no_worse = ran.cases is not None and bool(ran.cases) and not regressions(before, ran)
    return Verdict("" if no_worse else _unmet(ran, f"`{command}`"), ran, ran.tail)


def besides(criterion: Criterion, suite: Tests) -> Criterion:
    """What of a criterion a run of the suite has not shown already, by the files that its cases are named after."""
    if not (suite.passed and suite.cases):
        return criterion
    passed = [name for name, state in suite.cases.items() if state == "passed"]
    ran = {part for name in passed for part in (name.split("::")[0], *name.split("."))}
    left = [test for test in criterion.tests if test not in ran and PurePosixPath(test).stem not in ran]
    return criterion.model_copy(update={"tests": tuple(left)})


def _by(command: str) -> dict[str, str]:
    return {"command": command} if command else {}


def _unmet(ran: Tests, what: str) -> str:
    if ran.passed:
        return ""
    if not ran.ran:
        return f"its criterion cannot be run: {what}: {ran.trouble or 'no way to run it is known'}"
    named = f": {listed(ran.failing)}" if ran.cases and ran.failing else ""
    ended = "took too long" if ran.timed_out else f"ended with exit {ran.exit}"
    return f"its criterion is not met: {what} {ended}{named}"


async def checked(workspace: str, since: str, until: str, quality: Quality, *, compare: bool) -> list[Problem]:
    """The problems at or above the bar that a state has and an earlier one has not.

    Args:
        workspace: where; in the later state, before and afterwards.
        since: the earlier state.
        until: the later one.
        quality: the bar.
        compare: whether a file that changed was there before, so that it may have had problems already.
    """
    if quality == "tests":
        return []
    after = CheckRun.from_json(await step("checks", {"workspace": workspace, "since": since}))
    grave = [problem for problem in after.problems if objects(problem.severity, quality)]
    if not grave or not compare:
        return grave
    await step("restore", {"workspace": workspace, "tree": since})
    before = CheckRun.from_json(await step("checks", {"workspace": workspace, "since": until}))
    await step("restore", {"workspace": workspace, "tree": until})
    return new_problems(before.problems, grave)


def told(problems: Sequence[Problem]) -> str:
    """New problems, in words."""
    if not problems:
        return ""
    return f"there are new problems at or above the quality bar:\n{listed([str(one) for one in problems], '- ')}"


def listed(names: Sequence[str], before: str = "") -> str:
    """Names, as many as anybody reads."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    shown = [f"{before}{name}" for name in names[:MOST_NAMED]]
    return ("\n" if before else ", ").join(shown) + more


def suspects(failing: Iterable[str], output: str, units: Iterable[Unit]) -> tuple[str, ...]:
    """The subtasks that own a file which a failure names: by the test's own path, or by what was printed."""
    named = [case.replace("::", " ").split(" ")[0] for case in failing]
    words = {word.strip("\"'()[],;") for word in output.replace(":", " ").split()}
    paths = [*named, *(word for word in words if "/" in word or "." in word)]
    return tuple(unit.id for unit in units if any(owns(unit.owns, path) for path in paths))


def changed_before(files: Sequence[Mapping[str, Any]]) -> bool:
    """Whether any of the files was there before."""
    return any(one["kind"] != "added" for one in files)
