"""What a state of the code is worth, by its tests and checks: pure functions of what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict

from antiphon.subagents.records import RANK, Severity
from antiphon.workflows.crafting.quality import Quality, objects
from antiphon.workflows.crafting.results import WHOLE, State, Tests

NO_TESTS_COLLECTED: Final = 5
"""What pytest exits with where it finds no test."""
_SHOWN: Final = 12


class NewProblem(BaseModel):
    """A problem that a linter, type checker or analyser reports now and did not report of the base."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    tool: str
    rule: str
    path: str
    line: int | None = None
    text: str = ""
    severity: Severity = "medium"

    @property
    def sentence(self) -> str:
        """It, in words."""
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{self.severity}: {self.tool} {self.rule} at {place}: {self.text}"


class Reference(BaseModel):
    """What a fix is held to.

    Attributes:
        new: cases that fail because of the bug, and must pass. kept: cases that pass and must go on passing.
        clean: whether the tests of the base ended with status 0.
        cases: whether the tests say which case passed; where not, only their exit status counts.
    """

    model_config = ConfigDict(frozen=True)

    new: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    clean: bool = True
    cases: bool = True


class Judged(BaseModel):
    """What a state is worth.

    Attributes:
        passed: whether nothing speaks against it. reasons: what does, as sentences.
        failing: the cases that should pass and do not. problems: new problems, the worst first.
    """

    model_config = ConfigDict(frozen=True)

    passed: bool
    reasons: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()
    problems: tuple[NewProblem, ...] = ()


def states(tests: Tests) -> Mapping[str, State] | None:
    """The cases of a run; none at all where there was nothing to run."""
    if tests.cases is None and (not tests.ran or tests.empty):
        return {}
    return tests.cases


def new_cases(base: Tests, now: Tests, existing: Iterable[str] = ()) -> tuple[str, ...]:
    """The cases that show a bug: they fail, and were not there before, or are said to have shown it all along.

    Where the tests do not tell their cases, that the whole command fails is the case.
    """
    before, after = states(base), states(now)
    if not after or before is None:
        return () if not now.ran or now.passed or now.empty else (WHOLE,)
    said = set(existing)
    return tuple(
        sorted(name for name, state in after.items() if state == "failed" and (name not in before or name in said))
    )


def reference(base: Tests, now: Tests, new: Sequence[str]) -> Reference:
    """What a fix is held to, once the new test is there.

    Args:
        base: the tests of the project as it was.
        now: the same with the new test.
        new: what must pass. A case that failed in the base and passes now, where only tests were added, is nothing to
            hold anybody to.
    """
    before, after = states(base), states(now)
    cases = bool(after or before) and after is not None and before is not None
    passing = {name for name, state in (before or {}).items() if state == "passed"}
    passing |= {name for name, state in (after or {}).items() if state == "passed" and name not in (before or {})}
    kept = tuple(sorted(passing - set(new))) if cases else ()
    clean = base.exit == 0 or (not base.failing and base.exit in (None, NO_TESTS_COLLECTED))
    return Reference(new=tuple(new), kept=kept, clean=clean, cases=cases)


def faults(base: Tests, now: Tests, strays: Sequence[str], existing: Sequence[str]) -> tuple[str, ...]:
    """What is wrong with a reproduction, as sentences for the tester; nothing if it is one."""
    if not now.ran:
        return (*strays, "the tests cannot be run: no command is known that runs what you wrote")
    before, after = states(base) or {}, states(now) or {}
    found = [*strays, *_lost(before, after)]
    if now.timed_out:
        found.append("the tests did not end in time: the new test must end, and quickly, also while the bug is there")
    errors = sorted(name for name, state in after.items() if state == "error" and before.get(name) != "error")
    if errors:
        found.append(
            f"{_named(errors)}: it does not get as far as failing (an error while it is loaded or set up); the test "
            "itself has to fail, so put an import that may fail inside of it"
        )
    elif not new_cases(base, now, existing):
        found.append("no new case fails: on the code as it is the test must fail because of the bug")
    return tuple(found)


def unsteady(base: Tests, first: Tests, again: Tests, existing: Sequence[str]) -> tuple[str, ...]:
    """What keeps a new test from showing anything when it is run twice: a case that fails only now and then."""
    missed = sorted(set(new_cases(base, first, existing)) - set(new_cases(base, again, existing)))
    return (f"{_named(missed)}: it failed, and did not when run again: it must fail each time",) if missed else ()


def _lost(before: Mapping[str, State], after: Mapping[str, State]) -> list[str]:
    """Cases that passed and do not any more."""
    lost = sorted(name for name, state in before.items() if state == "passed" and after.get(name) != "passed")
    return [f"these passed before and do not now: {_named(lost)}"] if lost else []


def judge(
    held: Reference, tests: Tests, offences: Sequence[str], problems: Sequence[NewProblem], quality: Quality
) -> Judged:
    """Whether a state of the code is a fix.

    Args:
        held: what it is held to.
        tests: of the whole suite, on this state.
        offences: what was touched that must not be; see `guarding`.
        problems: new against the base.
        quality: the bar.
    """
    failing = _failing(held, tests)
    reasons = [*offences, *_endings(held, tests, failing)]
    bad = [problem for problem in problems if objects(problem.severity, quality)]
    reasons += [f"new problem, {problem.sentence}" for problem in bad[:_SHOWN]]
    if len(bad) > _SHOWN:
        reasons.append(f"and {len(bad) - _SHOWN} more new problems")
    ordered = sorted(problems, key=lambda one: (-RANK[one.severity], one.path, one.line or 0, one.tool, one.rule))
    return Judged(passed=not reasons, reasons=tuple(reasons), failing=failing, problems=tuple(ordered))


def _failing(held: Reference, tests: Tests) -> tuple[str, ...]:
    """What should pass and does not: the new cases, those that passed, and whatever fails that nobody knew."""
    if not held.cases:
        return () if tests.passed else (WHOLE,)
    if tests.cases is None:
        return held.new or (WHOLE,)
    now = tests.cases
    wanted = [*held.new, *held.kept]
    bad = {name for name in wanted if now.get(name) != "passed"}
    if held.clean:
        bad |= {name for name, state in now.items() if state in ("failed", "error")}
    return tuple(sorted(bad))


def _endings(held: Reference, tests: Tests, failing: Sequence[str]) -> list[str]:
    if not tests.ran:
        return ["the tests could not be run"]
    said: list[str] = []
    if tests.timed_out:
        said.append("the tests did not end in time")
    if tests.trouble:
        said.append(tests.trouble)
    if held.cases and tests.cases is None:
        said.append(f"the tests ended with status {tests.exit} and do not say which passed: they were cut short")
    elif failing:
        said += _sentences(held, tests, failing)
    elif held.clean and tests.exit != 0:
        said.append(f"the tests ended with status {tests.exit}, although no case failed")
    return said


def _sentences(held: Reference, tests: Tests, failing: Sequence[str]) -> list[str]:
    now, new = tests.cases or {}, set(held.new)
    groups: dict[str, list[str]] = {}
    for name in failing:
        state = now.get(name)
        was = "should pass now" if name in new else "passed before" if name in held.kept else "is not meant to fail"
        how = "is gone" if state is None and held.cases else "is skipped" if state == "skipped" else "fails"
        groups.setdefault(f"{was} and {how}", []).append(name)
    return [f"{said}: {_named(names)}" for said, names in sorted(groups.items())]


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
