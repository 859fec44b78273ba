"""What came out of running a project's tests: each test's result where the framework says it, and what was printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, cast

from antiphon.subagents.checks.cases import CaseState
from antiphon.tracing import Json

_TOLD_FROM_SECONDS: Final = 5.0
"""Of fewer nothing is said: the same work is to be told in the same words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRun:
    """Tests that were run, however that ended. All of it but the numbers is the tested code's word: data, not truth.

    Attributes:
        command: as it was run. framework: whose output was read, "" where none was known.
        exit: its exit status; the negative signal number if one ended it; None if it did not start or was not reaped.
        timed_out: it took longer than it was given, and was ended for it. seconds: wall time.
        cases: by name, how each test ended; None where the framework does not say.
        details: of those that failed, what was said about it; capped.
        output: what it printed, legible and capped.
        trouble: why it could not run to its end, "" where it did: a limit, a program that is not there.
    """

    __test__: ClassVar[bool] = False

    command: str
    exit: int | None
    timed_out: bool = False
    seconds: float = 0.0
    cases: Mapping[str, CaseState] | None = None
    details: Mapping[str, str] = field(default_factory=dict[str, str])
    output: str = ""
    framework: str = ""
    trouble: str = ""

    @property
    def passed(self) -> bool:
        """It exited with 0 within its limits, and of the tests that it names one passed at least and none failed."""
        if self.exit != 0 or self.timed_out or self.trouble:
            return False
        return self.cases is None or (not self.failing and "passed" in self.cases.values())

    @property
    def failing(self) -> tuple[str, ...]:
        """The tests that failed or broke, in order."""
        return tuple(name for name, state in (self.cases or {}).items() if state in ("failed", "error"))

    @property
    def counts(self) -> dict[CaseState, int]:
        """How many tests ended in each way."""
        states = list((self.cases or {}).values())
        return {state: states.count(state) for state in ("passed", "failed", "error", "skipped")}

    @property
    def summary(self) -> str:
        """One sentence: what was run and how it ended."""
        told = ", ".join(f"{count} {state}" for state, count in self.counts.items() if count)
        if self.cases is None:
            told = "its framework does not say which tests there were"
        ended = self.trouble or ("it took too long and was ended" if self.timed_out else f"exit {self.exit}")
        verdict = "passed" if self.passed else "not passed"
        took = f"{self.seconds:.0f} s; " if self.seconds >= _TOLD_FROM_SECONDS else ""
        return f"{verdict}: {told or 'no test was run'}; {ended}; {took}`{self.command[:200]}`"

    def to_json(self) -> dict[str, Json]:
        """As JSON; `from_json` reads it again. `passed` is in it for whoever reads it as it is."""
        cases = None if self.cases is None else cast("Json", dict(self.cases))
        return {
            "command": self.command,
            "framework": self.framework,
            "exit": self.exit,
            "timed_out": self.timed_out,
            "seconds": self.seconds,
            "cases": cases,
            "details": cast("Json", dict(self.details)),
            "output": self.output,
            "trouble": self.trouble,
            "passed": self.passed,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TestRun:
        """What `to_json` gave."""
        return cls(**{name: given for name, given in value.items() if name != "passed"})
