"""Test runs as a script has them, and what one of them lost against another."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

State = Literal["passed", "failed", "error", "skipped"]
WHOLE: Final = "the test command"
"""What a failure is called where the command does not say which test failed."""
_NO_TESTS: Final = 5
SHOWN_CHARACTERS: Final = 6_000
"""How much of a command's output an agent is shown: its end, where test runners say what failed."""


class Tests(BaseModel):
    """One run of the tests, as the step `tests` gives it.

    Attributes:
        command: what was run; "" where no way to run tests is known. exit: its status.
        timed_out: whether it was stopped for taking too long. seconds: how long it took.
        cases: every case by name, or None where the output does not tell. output: what it wrote, shortened.
        trouble: why it could not run to its end, "" where it did.
    """

    __test__ = False  # pytest takes every class called Test… for a suite
    model_config = ConfigDict(frozen=True, extra="ignore")

    command: Annotated[str, BeforeValidator(lambda said: said if isinstance(said, str) else " ".join(said or ()))] = ""
    exit: int | None = None
    timed_out: bool = False
    seconds: float = Field(default=0.0, exclude=True)
    cases: Mapping[str, State] | None = None
    output: str = ""
    trouble: str = ""

    @property
    def ran(self) -> bool:
        """Whether there was anything to run."""
        return bool(self.command) and self.exit is not None

    @property
    def empty(self) -> bool:
        """Whether it found no test to run: pytest says so by its exit status, others by naming none."""
        return not self.cases and (self.exit == _NO_TESTS or (self.exit == 0 and self.cases is not None))

    @property
    def failing(self) -> tuple[str, ...]:
        """The cases that did not pass, by name; `WHOLE` where only the exit status says so."""
        named = sorted(name for name, state in (self.cases or {}).items() if state in ("failed", "error"))
        if named or not self.ran or self.empty:
            return tuple(named)
        return (WHOLE,) if self.exit != 0 or self.timed_out or self.trouble else ()

    @property
    def passed(self) -> bool:
        """Whether it ran to its end and nothing failed; of the cases that it names, one passed at least."""
        if not self.ran or self.failing or self.exit != 0:
            return False
        return self.cases is None or "passed" in self.cases.values()

    @property
    def sha256(self) -> str:
        """Of its output, as evidence."""
        return hashlib.sha256(self.output.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def tail(self) -> str:
        """The end of its output, as an agent is shown it."""
        return self.output[-SHOWN_CHARACTERS:]


def tests_of(said: Mapping[str, Any]) -> Tests:
    """A test run as the step gives it."""
    return Tests.model_validate(dict(said))


def regressions(before: Tests, after: Tests) -> tuple[str, ...]:
    """What is worse than before: cases that fail and did not, or that passed and are gone or skipped; in order of name.

    A case that is new and fails counts. Where the earlier run does not tell its cases, the exit status is compared.
    """
    if after.timed_out and not before.timed_out:
        return (f"{WHOLE} ran into its time limit",)
    known = set(before.failing)
    worse = [name for name in after.failing if name not in known]
    if after.cases is not None and before.cases is not None:
        lost = {name: after.cases.get(name) for name, state in before.cases.items() if state == "passed"}
        worse += [f"{name} (no longer there)" for name, state in lost.items() if state is None]
        worse += [f"{name} (skipped now)" for name, state in lost.items() if state == "skipped"]
    elif before.cases and after.ran and not worse:
        worse.append(f"{WHOLE} no longer says which cases passed")
    if not after.ran and before.ran:
        worse.append(f"{WHOLE} could not be run")
    return tuple(sorted(worse))
