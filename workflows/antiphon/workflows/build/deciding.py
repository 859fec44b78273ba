"""What is done next with a subtask, and with a level: pure machines that end within bounds, whatever happens.

Each has a `measure`, a whole number that every event makes smaller and that is 0 only at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from antiphon.workflows.build.planning import MOST_UNITS

REPAIRS: Final = 2
"""How often a plan is sent back with what is wrong with it."""
TESTERS: Final = 2
"""How often a tester is asked for one subtask."""
MENDINGS: Final = 2
"""How often a refiner works on a level that does not go together, and on what a critic says of the whole."""
DEPTH: Final = 2
ROUNDS: Final = 3
MOST_DEPTH: Final = 4
MOST_ROUNDS: Final = 10

Stage = Literal["test", "work", "verify", "review", "accepted", "given up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """Where one subtask stands.

    Attributes:
        stage: what is done next; the last two are ends. rounds: of coder and refiner that are left.
        testers: how often a tester may still be asked. refused: the states that were not accepted.
        problem: why the last round was not accepted, or why it was given up.
    """

    stage: Stage
    rounds: int
    testers: int = TESTERS
    refused: frozenset[str] = frozenset()
    problem: str = ""

    @classmethod
    def begin(cls, rounds: int, *, promised: bool) -> Making:
        """A subtask before anything is done; `promised`: a tester writes its test first."""
        return cls(stage="test" if promised else "work", rounds=max(1, min(rounds, MOST_ROUNDS)))

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do."""
        return self.stage in ("accepted", "given up")

    @property
    def measure(self) -> int:
        """What is left at most; every event makes it smaller."""
        match self.stage:
            case "accepted" | "given up":
                return 0
            case "test":
                return 4 * self.rounds + 1 + self.testers
            case "work":
                return 4 * self.rounds + 1
            case "verify":
                return 4 * self.rounds + 3
            case "review":
                return 4 * self.rounds + 2

    def tested(self, problem: str) -> Making:
        """A tester is done; "" if what it wrote can be used."""
        assert self.stage == "test"
        if not problem:
            return replace(self, stage="work", problem="")
        left = self.testers - 1
        return replace(self, stage="test" if left else "given up", testers=left, problem=problem)

    def worked(self, tree: str, problem: str) -> Making:
        """A coder or refiner is done and left this state; "" if nothing speaks against looking at it."""
        assert self.stage == "work"
        spent = replace(self, rounds=self.rounds - 1)
        return spent._refuse(tree, problem) if problem else replace(spent, stage="verify", problem="")

    def verified(self, tree: str, problem: str) -> Making:
        """Its criterion and the checks were run on this state; "" if all is well."""
        assert self.stage == "verify"
        return self._refuse(tree, problem) if problem else replace(self, stage="review", problem="")

    def reviewed(self, tree: str, problem: str) -> Making:
        """Somebody else read the change; "" if nothing blocks."""
        assert self.stage == "review"
        return self._refuse(tree, problem) if problem else replace(self, stage="accepted", problem="")

    def _refuse(self, tree: str, problem: str) -> Making:
        if self.rounds <= 0:
            return replace(self, stage="given up", problem=problem)
        if tree in self.refused:
            return replace(self, stage="given up", problem=f"the same state again, so nothing is gained: {problem}")
        return replace(self, stage="work", refused=self.refused | {tree}, problem=problem)


Joint = Literal["whole", "mend", "single", "done"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """Where the integration of one level stands.

    Attributes:
        stage: what is done next. waiting: subtasks whose place is not decided, in the order in which they are tried.
        kept: those that are in. left_out: those that are not, and why. mendings: how often a refiner may still work.
        problem: what failed last.
    """

    stage: Joint
    waiting: tuple[str, ...]
    kept: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    mendings: int = MENDINGS
    problem: str = ""

    @classmethod
    def begin(cls, names: Sequence[str], mendings: int = MENDINGS) -> Joining:
        """A level whose accepted subtasks are `names`."""
        return cls(stage="whole" if names else "done", waiting=tuple(names), mendings=mendings)

    @property
    def trying(self) -> tuple[str, ...]:
        """The subtasks that the next attempt puts together."""
        return (*self.kept, *(self.waiting[:1] if self.stage == "single" else self.waiting))

    @property
    def measure(self) -> int:
        """What is left at most; every event makes it smaller."""
        match self.stage:
            case "done":
                return 0
            case "whole":
                return len(self.waiting) + self.mendings + 2
            case "mend":
                return len(self.waiting) + self.mendings + 1
            case "single":
                return len(self.waiting)

    def joined(self, problem: str, suspects: Sequence[str] = ()) -> Joining:
        """The attempt at `trying`, or a refiner's at mending it, is over; "" if all goes together.

        Args:
            problem: what fails.
            suspects: subtasks that it seems to come from; they are tried last.
        """
        if self.stage == "single":
            return self._decided(problem)
        if not problem:
            return replace(self, stage="done", kept=self.waiting, waiting=(), problem="")
        mendings = self.mendings - (self.stage == "mend")
        if mendings > 0:
            return replace(self, stage="mend", mendings=mendings, problem=problem)
        order = (*(one for one in self.waiting if one not in suspects), *(o for o in self.waiting if o in suspects))
        alone = replace(self, stage="single", mendings=0, waiting=order, problem=problem)
        return alone._decided(problem) if len(order) == 1 else alone

    def _decided(self, problem: str) -> Joining:
        first, *rest = self.waiting
        after = replace(self, waiting=tuple(rest), stage="single" if rest else "done", problem=problem)
        if problem:
            return replace(after, left_out=(*self.left_out, (first, problem)))
        return replace(after, kept=(*self.kept, first))


# --- bounds ----------------------------------------------------------------------------------------------------------


def calls_of_unit(rounds: int) -> int:
    """How many agents one subtask takes at most: testers, and for each round a coder or refiner and a reviewer."""
    return TESTERS + 2 * min(max(1, rounds), MOST_ROUNDS)


def most_agent_calls(rounds: int, depth: int = DEPTH) -> int:
    """How many agents a build takes at most by its construction, whatever a model answers.

    Args:
        rounds: of each subtask.
        depth: how often the task is cut up; each time after the first, every subtask may be.
    """
    planners = (1 + REPAIRS) * (1 + (min(max(1, depth), MOST_DEPTH) - 1) * MOST_UNITS)
    mending = MENDINGS * MOST_UNITS  # there are no more levels than units
    review = 2 * MENDINGS + 1
    return planners + MOST_UNITS * (calls_of_unit(rounds) + 1) + mending + review
