"""What each role of a fix is asked for. What a model leaves out that nothing hangs on is taken as not said."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MOST_HYPOTHESES = 6
MOST_POINTS = 12


def _blank(value: object) -> object:
    """Models write null where they have nothing to say."""
    return "" if value is None else value


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


Words = Annotated[str, BeforeValidator(_blank)]


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Place(_Said):
    """A line of a file."""

    file: str = Field(description="The file, relative to the project's root.")
    line: int = Field(default=1, ge=1, le=10_000_000, description="The line, from 1.")


class Hypothesis(_Said):
    """What may be wrong."""

    cause: str = Field(
        description="What is wrong in the code and how it leads to the symptom, in two or three sentences."
    )
    evidence: tuple[Place, ...] = Field(default=(), description="The lines that it rests on, which you have read.")
    distinguish: Words = Field(default="", description="What would be seen if it is this and not another hypothesis.")
    approach: str = Field(description="What to change, where, and what must stay as it is.")


class Plan(_Said):
    """What the planner hands back."""

    understanding: str = Field(description="What happens, what should happen instead, and under what circumstances.")
    hypotheses: tuple[Hypothesis, ...] = Field(
        min_length=1, max_length=MOST_HYPOTHESES, description="The most likely one first."
    )
    reproduce: str = Field(description="How a test can show the bug: what it calls, with what, and what must come.")
    verify: Words = Field(default="", description="How to tell that the bug is gone and nothing else broke.")
    infeasible: Words = Field(
        default="", description='Why it cannot be mended in this project, with the evidence; "" if it can.'
    )


class Environment(_Said):
    """What the planner says of tests that cannot be run."""

    command: Words = Field(
        default="", description='One of the commands that were listed, exactly; "" if none would do.'
    )
    missing: tuple[str, ...] = Field(default=(), description="Programs and modules that are not there and are needed.")
    reason: Words = Field(default="", description="Why, in one or two sentences.")


class Reproduction(_Said):
    """What the tester hands back."""

    shows: str = Field(
        description="What the new test does, and why it fails because of the bug and for no other reason."
    )
    files: tuple[str, ...] = Field(default=(), description="The test files that you added or added cases to.")
    existing: tuple[str, ...] = Field(
        default=(), description="Names of cases that were there already, fail, and show this bug, exactly as listed."
    )
    impossible: Words = Field(
        default="", description='Why no test can be made to fail reliably (a race, say); "" if you wrote one.'
    )


Blocked = Literal["no", "bad_plan", "wrong_reasoning", "environment", "infeasible"]


class Change(_Said):
    """What the coder or the refiner hands back."""

    summary: str = Field(description="What you changed and where, in a few lines.")
    cause: Words = Field(
        default="", description="What was wrong: the cause as you found it, in two or three sentences."
    )
    unsure: Words = Field(default="", description="What you could not verify.")
    rejected: tuple[str, ...] = Field(
        default=(), description="Points of the critique you did not take, each with the reason."
    )
    blocked: Annotated[Blocked, BeforeValidator(_lower)] = Field(
        default="no",
        description="bad_plan: the hypothesis is wrong. environment: something that is needed is not here. "
        "infeasible: it cannot be mended. wrong_reasoning: you went astray. no: it is done.",
    )
    evidence: Words = Field(default="", description='What shows that you are blocked; "" if you are not.')


class Point(_Said):
    """One objection of the critic."""

    must: bool = Field(description="true if the fix is wrong or incomplete without it; false for what could be better.")
    what: str = Field(description="What is wrong, and the input or case that shows it.")
    file: Words = ""
    line: int | None = Field(default=None, description="The line, or null.")
    change: Words = Field(default="", description="The smallest change that would mend it.")


class Critique(_Said):
    """What the critic hands back."""

    sound: bool = Field(description="true if the change mends the cause and not only the test, and breaks nothing.")
    reason: str = Field(description="Why, in at most four sentences.")
    points: tuple[Point, ...] = Field(default=(), max_length=MOST_POINTS, description="In order of consequence.")
    approach: Words = Field(default="", description='Another approach, if this one cannot be made right; "" if it can.')

    @property
    def musts(self) -> tuple[Point, ...]:
        """What the fix is wrong without. Somebody who says that it is not sound and not why has one too."""
        said = tuple(point for point in self.points if point.must)
        if said or self.sound:
            return said
        return (Point(must=True, what=self.reason or "the critic says that it is not sound, and not why"),)
