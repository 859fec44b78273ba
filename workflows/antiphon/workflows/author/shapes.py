"""What the models of a plan are asked for. Only what nothing could be done without is required of them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

MOST_WORDS: Final = 8_000
MOST_SCRIPT: Final = 200_000
"""Characters of a script that are looked at."""
MOST_CASES: Final = 20


def _blank(value: object) -> object:
    """Models write null where they have nothing to say, whatever they are asked."""
    return "" if value is None else value


def _none(value: Any) -> Any:
    return () if value is None else (value,) if isinstance(value, str | dict) else value


def _empty(value: object) -> object:
    return {} if value is None else value


Words = Annotated[str, BeforeValidator(_blank), Field(max_length=MOST_WORDS)]
Names = Annotated[tuple[str, ...], BeforeValidator(_none), Field(max_length=60)]
Values = Annotated[dict[str, JsonValue], BeforeValidator(_empty)]


class Said(BaseModel):
    """What a model says: read once, never changed; what it says besides is let be."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Rejected(Said):
    """A way that was thought of and not taken. way: what it is. why: what speaks against it."""

    way: Words = Field(description="The alternative, in one sentence.")
    why: Words = Field(default="", description="Why not, in one sentence.")


Rejections = Annotated[tuple[Rejected, ...], BeforeValidator(_none), Field(max_length=20)]


class Shape(Said):
    """The lightest shape that does a task.

    Attributes:
        shape: one agent call, a workflow that there is already, or a new script.
        reason: why nothing lighter does. workflow: the name of the one that there is.
        arguments: what it is given there. role: who is asked, of one agent. task: what it is asked.
        rejected: lighter shapes, and why not.
    """

    shape: Literal["agent", "workflow", "script"]
    reason: Words = Field(description="Why this shape, and why nothing lighter, in at most three sentences.")
    workflow: Words = Field(default="", description="For shape 'workflow': its name, as listed. Else ''.")
    arguments: Values = Field(default_factory=dict, description="For shape 'workflow': its arguments by name. Else {}.")
    role: Words = Field(default="", description="For shape 'agent': the role that is asked, such as 'researcher'.")
    task: Words = Field(default="", description="For shape 'agent': the task, so that it can be read alone.")
    rejected: Rejections = Field(default=(), description="Lighter shapes that would not do, and why.")


class Stage(Said):
    """One stage of what a script will do.

    Attributes:
        phase: its title. does: what happens. over: which units it fans out over, "" for none. role: who is asked.
        output: what each gives back. calls: how many calls that is, in words or as a number.
    """

    phase: Words
    does: Words
    over: Words = Field(default="", description="What it fans out over, such as 'every file'; '' for no fan-out.")
    role: Words = ""
    output: Words = ""
    calls: Annotated[str, BeforeValidator(lambda said: "" if said is None else str(said))] = ""


class Sketch(Said):
    """What a script will do, before it is written.

    Attributes:
        rationale: why it is cut up like this. units: what the work is counted in. done: how it is told that it is.
        stages: in order. rejected: other ways to cut it up. cost: what makes it dear, and what holds that.
    """

    rationale: Words = Field(description="Why the task is cut up like this.")
    units: Words = Field(description="What the units of work are, and where the list of them comes from.")
    done: Words = Field(description="How somebody could tell that every unit was done, and done right.")
    stages: Annotated[tuple[Stage, ...], BeforeValidator(_none), Field(max_length=40)]
    rejected: Rejections = ()
    cost: Words = Field(default="", description="What multiplies calls here, and what bounds it.")


class Simulated(Said):
    """What a role or a step answers in a test.

    Attributes:
        name: of the role or step. contains: what the task or the arguments must contain for this answer; "" for any.
        value: the answer. fails: if not "", the call fails with this reason instead.
    """

    name: str
    contains: Words = ""
    value: JsonValue = None
    fails: Words = ""


class Case(Said):
    """A small test of a script, in simulation.

    Attributes:
        name: what it shows. arguments: of main. answers: of roles and steps; the first that fits is given.
        outcome: how the run must end. calls: how many calls of a role or step it must make, exactly.
        contains: texts that the result, as JSON, must contain.
    """

    name: Words
    arguments: Values = Field(default_factory=dict)
    answers: Annotated[tuple[Simulated, ...], BeforeValidator(_none), Field(max_length=200)] = ()
    outcome: Literal["completed", "degraded", "failed", "replan"] = "completed"
    calls: Annotated[dict[str, int], BeforeValidator(_empty)] = Field(default_factory=dict)
    contains: Names = ()

    def holds(self, declared: Collection[str]) -> bool:
        """Whether it says more than that the run completes: of a call that can be made, of the result, or its end."""
        counted = any(count > 0 or name in declared for name, count in self.calls.items())
        return self.outcome != "completed" or counted or any(text.strip() for text in self.contains)


class Written(Said):
    """A script, as a model hands it back.

    Attributes:
        script: the whole file. arguments: what main is given for this task. tests: small ones, in simulation.
        risks: how it could succeed and still be wrong. answered: what was done about each finding, or why not.
    """

    script: str = Field(description="The whole file: the imports, the manifest literal, async def main, and the rest.")
    arguments: Values = Field(default_factory=dict, description="What main is given for this very task, by name.")
    tests: Annotated[tuple[Case, ...], BeforeValidator(_none), Field(max_length=MOST_CASES)] = ()
    risks: Words = Field(default="", description="How it could succeed and still be wrong, in a few lines.")
    answered: Words = Field(default="", description="For each finding: what you changed, or why it may stand. Else ''.")


class Needed(Said):
    """One thing that a task needs, by whoever has not seen the script.

    Attributes:
        kind: something to be looked at, or something to rest on. text: in a sentence. terms: how it is recognised.
    """

    kind: Literal["dimension", "evidence"]
    text: Words
    terms: Names = Field(description="Three to eight words or word beginnings by which it would be recognised.")


class Assessed(Said):
    """What a task needs. needs: the dimensions and kinds of evidence."""

    needs: Annotated[tuple[Needed, ...], BeforeValidator(_none), Field(max_length=24)]


def json_of(said: Said) -> dict[str, Any]:
    """As it is kept in the run and in the plan's folder."""
    return said.model_dump(mode="json")
