"""What happens to a try, what may be due in it, and what one state of the code came to: what `deciding` speaks of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Cause = Literal["wrong_reasoning", "bad_plan", "environment", "infeasible"]
Status = Literal["passed", "objected", "failed", "infeasible", "environment", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How often a try may do what: rounds in all, and recoveries of each kind."""

    rounds: int = 4
    replans: int = 1
    backtracks: int = 2
    environments: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one state of the code came to.

    Attributes:
        tree: its id. passed: whether tests and checks have nothing against it.
        failing: the cases that should pass and do not. reasons: what speaks against it.
        problems: how many new problems. lines: how many lines differ from the base.
        musts: what the critic says it is wrong without; None where none has read it.
    """

    tree: str
    passed: bool
    failing: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    problems: int = 0
    lines: int = 0
    musts: tuple[str, ...] | None = None

    @property
    def worth(self) -> tuple[bool, int, int, bool, int, int]:
        """What is better is greater: tests first, then fewer new problems, then the critic, then the smaller change."""
        objections = 1 if self.musts is None else 2 * len(self.musts)
        failing = len(self.failing) + len(self.reasons)
        return (self.passed, -failing, -self.problems, self.musts == (), -objections, -self.lines)


# --- what happens -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wrote:
    """Somebody wrote, and handed back."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """Whoever was to write or to plan did not come to an end. cause: what that most likely means."""

    cause: Cause
    evidence: str


@dataclass(frozen=True, slots=True)
class Checked:
    """The state was measured. unrunnable: why the tests could not be run at all; "" if they could."""

    measured: Measured
    unrunnable: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """The critic read it. musts: what it is wrong without; None if no critic could. approach: another one, or ""."""

    musts: tuple[str, ...] | None
    approach: str = ""


@dataclass(frozen=True, slots=True)
class Recovered:
    """The recovery is done: the code is at the state it named. approach: a new one by a new plan, or ""."""

    approach: str = ""


@dataclass(frozen=True, slots=True)
class Broken:
    """Something that no other instruction mends: no budget, no time, no provider."""

    reason: str


Event: TypeAlias = Wrote | Stopped | Checked | Read | Recovered | Broken


# --- what to do -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Code:
    """Let the coder write, from where the code is. told: what it has to know of what was tried. approach: or ""."""

    told: tuple[str, ...] = ()
    approach: str = ""


@dataclass(frozen=True, slots=True)
class Refine:
    """Let the refiner mend the present state. musts: of the critic. reasons: of tests and checks."""

    musts: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """Measure the present state."""


@dataclass(frozen=True, slots=True)
class Criticise:
    """Let the critic read the present state."""


@dataclass(frozen=True, slots=True)
class Backtrack:
    """Put the code back to a state it was in. why: what went wrong since. approach: what the critic would do, or ""."""

    tree: str
    why: str
    approach: str = ""


@dataclass(frozen=True, slots=True)
class Replan:
    """Plan anew, with what failed, and put the code back to where the try began."""

    tree: str
    why: str


@dataclass(frozen=True, slots=True)
class ChangeEnvironment:
    """Choose another way to run the tests."""

    why: str


@dataclass(frozen=True, slots=True)
class End:
    """It is over. best: the best state it came to; None if it never was measured."""

    status: Status
    reason: str
    best: Measured | None


Step: TypeAlias = Code | Refine | Check | Criticise | Backtrack | Replan | ChangeEnvironment | End
Recovery: TypeAlias = Backtrack | Replan | ChangeEnvironment
