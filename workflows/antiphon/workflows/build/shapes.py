"""What the models of a build are asked for. Only what nothing could be done without is required of them."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MOST_TEXT: Final = 8_000


def _blank(value: object) -> object:
    """Models write null where they have nothing to say, whatever they are asked."""
    return "" if value is None else value


def _none(value: object) -> object:
    return () if value is None else (value,) if isinstance(value, str) else value


Words = Annotated[str, BeforeValidator(_blank), Field(max_length=MOST_TEXT)]
Names = Annotated[tuple[str, ...], BeforeValidator(_none), Field(max_length=200)]


class Said(BaseModel):
    """What a model says: read once, never changed; what it says besides is let be."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Criterion(Said):
    """How it is told that a subtask is done. At least one of the three is given.

    Attributes:
        command: a command line, run in the project's folder; it is met when that exits with 0.
        tests: test files that the subtask owns, run by the project's test runner.
        promise: what a tester, who has not seen the code, writes those test files from, before the code is written.
    """

    command: Words = Field(default="", description="A command line that exits with 0 once the subtask is done, or ''.")
    tests: Names = Field(default=(), description="Test files among the owned files that must pass, or [].")
    promise: Words = Field(
        default="", description="If somebody else is to write those tests first: exactly what they must hold it to."
    )


class Subtask(Said):
    """One part of a task, small enough for one agent unless it says otherwise.

    Attributes:
        id: its name. goal: what is to be done, readable alone. owns: the files that it alone may change.
        needs: subtasks whose work it imports. offers: what others may import of it.
        criterion: how it is told to be done. large: whether it is to be cut up again.
    """

    id: str = Field(description="A short name: lower-case letters, digits and '-', beginning with a letter.")
    goal: str = Field(
        max_length=MOST_TEXT,
        description="What to do, so that somebody who reads only this can do it: behaviour, formats, edge cases.",
    )
    owns: Names = Field(
        description="The files that only this subtask creates or changes, its tests too: exact paths, or folder/**."
    )
    needs: Names = Field(default=(), description="Ids of the subtasks whose modules this one imports.")
    offers: Words = Field(default="", description="The names and signatures that other subtasks may rely on.")
    criterion: Criterion
    large: bool = Field(default=False, description="True only if one agent cannot do it and it must be cut up again.")


class Plan(Said):
    """A task cut into subtasks.

    Attributes:
        subtasks: the parts. test_command: how the whole suite is run, where the project does not say; or "".
        assumptions: what it takes for granted. left_out: what was asked for and is in no subtask, and why.
    """

    subtasks: Annotated[tuple[Subtask, ...], BeforeValidator(_none)]
    test_command: Words = Field(default="", description="How all tests of the finished project are run, or ''.")
    assumptions: Names = ()
    left_out: Names = Field(default=(), description="What the task asks for and no subtask does, and why; or [].")


class Handed(Said):
    """What a coder, tester or refiner says of what it did; what it really did is read from the files.

    Attributes:
        summary: in a few lines. unverified: what it did not check. stuck: why it could not do it, or "".
    """

    summary: Words = Field(default="", description="What you changed and where, in a few lines.")
    unverified: Names = ()
    stuck: Words = Field(default="", description="If you could not do it: exactly what stands in the way. Else ''.")


class Remark(Said):
    """One thing that is wrong.

    Attributes:
        file: where; line: on which line, or None. what: is wrong and when. change: what to do about it.
    """

    file: Words = ""
    line: int | None = None
    what: str = Field(max_length=MOST_TEXT, description="What goes wrong, and with which input or in which case.")
    change: Words = Field(default="", description="The smallest change that mends it.")


class Review(Said):
    """What a reviewer or critic says of a change.

    Attributes:
        blocks: what must be mended before it goes in; empty accepts it. consider: what could be better.
    """

    blocks: tuple[Remark, ...] = Field(default=(), max_length=50, description="What must be mended; [] accepts it.")
    consider: tuple[Remark, ...] = Field(default=(), max_length=50)
