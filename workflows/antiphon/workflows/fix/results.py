"""What a fix came to, as the run's value and the report hold it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from antiphon.workflows.fix.judging import NewProblem
from antiphon.workflows.fix.moves import Status

FixStatus = Literal["fixed", "degraded", "failed"]
STATE = "fix"
"""Under this key the run's own state holds the result, also where the run failed and so has no value."""
FINAL = "fixed"
"""The workspace that the best try is confirmed in: its patch is the one that is applied unless another is named."""


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Ran(_Kept):
    """A run of the tests, without its output.

    Attributes:
        command: what was run; "" if nothing could be. exit: its status. timed_out: it did not end in time.
        passed, failed, skipped: how many cases; None where the command does not say.
        sha256: of its output. trouble: why it could not be run; "" if it could.
    """

    command: str = ""
    exit: int | None = None
    timed_out: bool = False
    passed: int | None = None
    failed: int | None = None
    skipped: int | None = None
    sha256: str = ""
    trouble: str = ""


class ReproductionResult(_Kept):
    """The test that shows the bug.

    Attributes:
        accepted: whether there is one. tree: the state with it, or the base where there is none.
        cases: what fails because of the bug. files: where it is. shows: what it does, in the tester's words.
        attempts: what was wrong with each attempt that was not accepted. why: why there is none; "" if there is.
        output: the end of what the tests printed while the bug was there.
    """

    accepted: bool
    tree: str
    cases: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    shows: str = ""
    attempts: tuple[str, ...] = ()
    why: str = ""
    output: str = ""


class Round(_Kept):
    """One thing that a try did, in order.

    Attributes:
        act: code, refine, check, criticise, backtrack, replan or environment. tree: the state after it; "" if the same.
        said: what came of it, in words. passed: of a check, whether nothing spoke against it.
    """

    act: str
    said: str = ""
    tree: str = ""
    passed: bool | None = None


class TryResult(_Kept):
    """What one try came to.

    Attributes:
        name: of its workspace. approach: what it set out to do. cause: what was wrong, as its coder found it.
        status, reason: how it ended. tree: its best state; "" if it has none. passed: whether that passes everything.
        rounds: what it did. tests: of the best state. problems: new ones in it. musts: of the critic on it; None where
            none could read it. reasons: what speaks against it. failing: cases that should pass and do not.
        files: what it changed. lines: how many differ.
        checked: the linters, type checkers and analysers that looked at it; what does not pass anyway is not shown to
            them. absent: those that could not, each with the reason.
        unsure: what its author could not verify. patches: ids of the claims that hold it.
    """

    name: str
    approach: str
    cause: str = ""
    status: Status = "failed"
    reason: str = ""
    tree: str = ""
    passed: bool = False
    rounds: tuple[Round, ...] = ()
    tests: Ran = Ran()
    problems: tuple[NewProblem, ...] = ()
    musts: tuple[str, ...] | None = None
    reasons: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    lines: int = 0
    checked: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    unsure: str = ""
    patches: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether it passes everything, and no critic objects."""
        return self.passed and self.musts == ()


class FixResult(_Kept):
    """What a fix came to.

    Attributes:
        status: fixed; degraded: a patch passes, and the reason says what is missing; failed: there is none.
        reason: in one sentence. wrong: what was wrong, in words; "" if nobody knows.
        winner: the name of the best try, whose patch is what `antiphon apply` takes; "" if there is none.
        base: the tests of the project as it was. reproduction: the test that shows the bug.
        kept: how many cases passed before, and have to go on passing.
        tries: all of them, the best first. notes: what a person must know besides.
        confirmed: whether the tests passed once more on the winner, in a fresh copy.
    """

    status: FixStatus
    reason: str = ""
    wrong: str = ""
    winner: str = ""
    base: Ran = Ran()
    reproduction: ReproductionResult
    kept: int = 0
    tries: tuple[TryResult, ...] = ()
    notes: tuple[str, ...] = ()
    confirmed: bool = False

    @property
    def best(self) -> TryResult | None:
        """The winner."""
        return next((one for one in self.tries if one.name == self.winner), None)
