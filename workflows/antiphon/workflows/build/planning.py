"""A plan of a model, checked by rules and not by another model: what is wrong with it is said so that it can be mended.

A subtask that is cut up again is replaced by its parts: they need what it needed, whoever needed it needs them all, and
together they own no more than it did.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

from antiphon.tracing import Json
from antiphon.workflows.build.levels import cycle, reached
from antiphon.workflows.build.owning import overlap, owns, problem_of, within
from antiphon.workflows.build.shapes import Criterion, Plan, Subtask

MOST_SUBTASKS: Final = 24
"""Of one plan. `MOST_UNITS`: of a whole build, however often it is cut up."""
MOST_UNITS: Final = 60
MOST_OWNED: Final = 40
_SHORTEST_GOAL: Final = 12
_SLUG_LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_LONGEST_SLUG: Final = 40
_LONGEST_NAME: Final = 64
"""Of a workspace."""
_MOST_PROBLEMS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A subtask that one agent builds, in its place among all the others.

    Attributes:
        id: its name; below another ``parent.part``. goal, owns, offers: see `Subtask`. needs: ids of other units.
        criterion: how it is told to be done. depth: how often the task was cut up to come to it, from 1.
    """

    id: str
    goal: str
    owns: tuple[str, ...]
    needs: tuple[str, ...]
    offers: str
    criterion: Criterion
    depth: int = 1

    @property
    def workspace(self) -> str:
        """The name of the workspace that it is built in."""
        name = f"build-{self.id.replace('.', '--')}"
        if len(name) <= _LONGEST_NAME:
            return name
        return f"{name[: _LONGEST_NAME - 9]}-{hashlib.sha256(self.id.encode()).hexdigest()[:8]}"

    def to_json(self) -> dict[str, Json]:
        """As it is recorded and shown."""
        return {
            "id": self.id,
            "goal": self.goal,
            "owns": list(self.owns),
            "needs": list(self.needs),
            "offers": self.offers,
            "criterion": self.criterion.model_dump(mode="json"),
            "depth": self.depth,
        }


@dataclass(frozen=True, slots=True)
class Group:
    """A subtask that was cut up again: its criterion is to hold once all its parts are there."""

    id: str
    criterion: Criterion
    parts: tuple[str, ...]


# --- what is wrong with a plan ---------------------------------------------------------------------------------------


def problems_of(plan: Plan, *, inside: Sequence[str] | None = None, taken: int = 0) -> tuple[str, ...]:
    """Everything that keeps a plan from being built, in sentences for whoever made it; none where it can be.

    Args:
        plan: what a model said.
        inside: the patterns that all of it must stay in; None for the whole project.
        taken: how many units of the build there are besides.
    """
    found = [*_of_number(plan, taken), *_of_names(plan)]
    for one in plan.subtasks:
        found += [f"subtask {one.id!r}: {problem}" for problem in _of_subtask(one, inside)]
    if not found:
        found += _of_order(plan)
    return tuple(found[:_MOST_PROBLEMS])


def _of_number(plan: Plan, taken: int) -> Iterator[str]:
    count = len(plan.subtasks)
    if count == 0:
        yield "there is no subtask; give at least one"
    if count > MOST_SUBTASKS:
        yield f"there are {count} subtasks, and at most {MOST_SUBTASKS} are allowed; make them larger"
    elif count + taken > MOST_UNITS:
        yield f"with the others there would be {count + taken} subtasks, and at most {MOST_UNITS} are allowed"


def _of_names(plan: Plan) -> Iterator[str]:
    ids = [one.id for one in plan.subtasks]
    for id in dict.fromkeys(ids):
        if ids.count(id) > 1:
            yield f"the id {id!r} is used {ids.count(id)} times; each subtask has an id of its own"
    for one in plan.subtasks:
        for need in dict.fromkeys(one.needs):
            if need not in ids:
                yield f"subtask {one.id!r} needs {need!r}, and there is no such subtask"


def _of_subtask(one: Subtask, inside: Sequence[str] | None) -> Iterator[str]:
    if not is_slug(one.id):
        yield f"its id must be 1 to {_LONGEST_SLUG} lower-case letters, digits and single '-', beginning with a letter"
    if len(one.goal.strip()) < _SHORTEST_GOAL:
        yield "its goal says too little: somebody who reads nothing else must be able to do it"
    if not one.owns:
        yield "it owns no files; name every file that it creates or changes"
    if len(one.owns) > MOST_OWNED:
        yield f"it owns {len(one.owns)} patterns, and at most {MOST_OWNED} are allowed; name a folder/** or cut it up"
    for pattern in one.owns:
        if problem := problem_of(pattern):
            yield f"it owns {pattern[:120]!r}, which {problem}"
        elif inside is not None and not within(pattern, inside):
            yield f"it owns {pattern!r}, which is outside of what the task owns: {', '.join(inside)}"
    yield from _of_criterion(one)


def _of_criterion(one: Subtask) -> Iterator[str]:
    criterion = one.criterion
    if not (criterion.command.strip() or criterion.tests):
        hint = "; name the test files that the promise is written into" if criterion.promise.strip() else ""
        yield f"it has no criterion: give a command that exits with 0, or test files that must pass{hint}"
    if any(letter in criterion.command for letter in "\n\r\0"):
        yield "its criterion's command must be one line"
    for test in criterion.tests:
        if problem := problem_of(test):
            yield f"its criterion names the test {test[:120]!r}, which {problem}"
        elif not owns(one.owns, test):
            yield f"its criterion names the test {test!r}, which it does not own"
    if criterion.promise.strip() and criterion.tests and not _left_besides(one):
        yield "it owns nothing but its tests; name the files that are to pass them"


def _left_besides(one: Subtask) -> bool:
    return any(pattern not in one.criterion.tests for pattern in one.owns)


def _of_order(plan: Plan) -> Iterator[str]:
    """Circles, and files of two owners: only where each subtask makes sense by itself."""
    if circle := cycle(plan.subtasks):
        yield f"these subtasks need one another in a circle: {' -> '.join(circle)}; let one of them need none of them"
        return
    needs = {one.id: one.needs for one in plan.subtasks}
    above = {id: reached(needs, id) for id in needs}
    for one, other in combinations(sorted(plan.subtasks, key=lambda subtask: subtask.id), 2):
        if other.id in above[one.id] or one.id in above[other.id]:
            continue  # never at the same time
        for mine, theirs in ((mine, theirs) for mine in one.owns for theirs in other.owns if overlap(mine, theirs)):
            shared = mine if mine == theirs else f"{mine} and {theirs}"
            yield (
                f"{one.id!r} and {other.id!r} may be built at the same time and both own {shared}: "
                "give it to one of them, or let one need the other"
            )


def is_slug(text: str) -> bool:
    """Whether it can be the id of a subtask."""
    if not 0 < len(text) <= _LONGEST_SLUG or not _SLUG_LETTERS.issuperset(text):
        return False
    return text[0].isalpha() and not text.endswith("-") and "--" not in text


# --- from plans to units ----------------------------------------------------------------------------------------------


def flattened(plan: Plan, parts: Mapping[str, Plan], *, below: str = "", depth: int = 1) -> tuple[Unit, ...]:
    """The units of a plan, a subtask that was cut up again replaced by its parts.

    Args:
        plan: a plan without problems.
        parts: the plans of subtasks that were cut up again, by the unit's id.
        below: the id of what the plan is a part of.
        depth: how deep the plan is, from 1.
    """
    units: list[Unit] = []
    inside: dict[str, tuple[str, ...]] = {}
    for one in plan.subtasks:
        id = f"{below}.{one.id}" if below else one.id
        if (part := parts.get(id)) is None:
            units.append(_unit(one, id, depth))
        else:
            within_it = flattened(part, parts, below=id, depth=depth + 1)
            inside[one.id] = tuple(unit.id for unit in within_it)
            units += [_from_outside(unit, one.needs) for unit in within_it]
    return tuple(replace(unit, needs=_named(unit, inside, below)) for unit in units)


def _unit(one: Subtask, id: str, depth: int) -> Unit:
    return Unit(
        id=id,
        goal=one.goal.strip(),
        owns=tuple(dict.fromkeys(one.owns)),
        needs=tuple(f"?{need}" for need in dict.fromkeys(one.needs)),
        offers=one.offers,
        criterion=one.criterion,
        depth=depth,
    )


def _from_outside(unit: Unit, needs: Iterable[str]) -> Unit:
    """A part needs what the whole of it needed, too."""
    return replace(unit, needs=(*unit.needs, *(f"?{need}" for need in needs)))


def _named(unit: Unit, inside: Mapping[str, tuple[str, ...]], below: str) -> tuple[str, ...]:
    """Its needs by the ids of units: those of this plan, which are marked until here, and those found further in."""
    found: list[str] = []
    for need in unit.needs:
        if not need.startswith("?"):
            found.append(need)
        elif (name := need[1:]) in inside:
            found += inside[name]
        else:
            found.append(f"{below}.{name}" if below else name)
    return tuple(sorted(set(found)))


def groups_of(plan: Plan, parts: Mapping[str, Plan], *, below: str = "") -> tuple[Group, ...]:
    """The subtasks that were cut up again, with the units they came to."""
    found: list[Group] = []
    for one in plan.subtasks:
        id = f"{below}.{one.id}" if below else one.id
        if (part := parts.get(id)) is not None:
            units = tuple(unit.id for unit in flattened(part, parts, below=id))
            found += [*groups_of(part, parts, below=id), Group(id, one.criterion, units)]
    return tuple(found)
