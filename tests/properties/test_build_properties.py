"""The pure rules of a build: levels, ownership, plans, and the machines that always end within their bounds."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from antiphon.engine import Limits
from antiphon.workflows.build.deciding import (
    MOST_DEPTH,
    MOST_ROUNDS,
    REPAIRS,
    TESTERS,
    Joining,
    Making,
    calls_of_unit,
    most_agent_calls,
)
from antiphon.workflows.build.interfaces import interface_of
from antiphon.workflows.build.levels import cycle, levels, reached, without
from antiphon.workflows.build.owning import overlap, owns, problem_of, within
from antiphon.workflows.build.planning import MOST_UNITS, flattened, groups_of, problems_of
from antiphon.workflows.build.shapes import Criterion, Plan, Subtask
from antiphon.workflows.build.workflow import manifest

NAMES = [f"s{number}" for number in range(8)]
FILES = [
    "a.py",
    "b.py",
    "src/c.py",
    "src/d.py",
    "src/deep/e.py",
    "tests/test_a.py",
    "src/**",
    "tests/**",
    "src/deep/**",
]
OWN = [f"{name}.py" for name in NAMES]


@dataclass(frozen=True)
class Part:
    """What levels need of a subtask."""

    id: str
    needs: tuple[str, ...]


@st.composite
def needing(draw: st.DrawFn) -> list[Part]:
    """Subtasks without a circle: each may need some of those before it, in any order."""
    count = draw(st.integers(0, len(NAMES)))
    parts = [Part(NAMES[at], tuple(draw(st.lists(st.sampled_from(NAMES[:at]), unique=True)))) for at in range(1, count)]
    return draw(st.permutations([Part(NAMES[0], ()), *parts]))


@st.composite
def tangled(draw: st.DrawFn) -> list[Part]:
    """Subtasks that may need any others, themselves too."""
    count = draw(st.integers(1, 6))
    return [Part(name, tuple(draw(st.lists(st.sampled_from(NAMES[:count]), unique=True)))) for name in NAMES[:count]]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Plans of one small universe of names and files; many cannot be built."""
    ids = draw(st.lists(st.sampled_from(NAMES[:4]), min_size=1, max_size=4))
    owned = st.lists(st.sampled_from(FILES), min_size=1, max_size=2)
    needs = st.lists(st.sampled_from(NAMES[:4]), max_size=2)
    return Plan(subtasks=tuple(subtask(id, draw(owned), draw(needs)) for id in ids))


@st.composite
def good_plans(draw: st.DrawFn, inside: str = "") -> Plan:
    """Plans that can be built: whatever two subtasks of which none needs the other would both own, the first keeps."""
    parts = draw(needing().filter(bool))
    needs = {one.id: one.needs for one in parts}
    owned: dict[str, list[str]] = {}
    for one in parts:
        wanted = draw(st.lists(st.sampled_from(FILES), min_size=1, max_size=3, unique=True))
        others = [id for id in owned if id not in reached(needs, one.id) and one.id not in reached(needs, id)]
        taken = [pattern for id in others for pattern in owned[id]]
        mine = [f"{inside}{path}" for path in wanted]
        owned[one.id] = [path for path in mine if not any(overlap(path, each) for each in taken)] or [
            f"{inside}own/{one.id}.py"
        ]
    return Plan(subtasks=tuple(subtask(one.id, owned[one.id], one.needs) for one in parts))


def subtask(id: str, owned: Sequence[str], needs: Sequence[str]) -> Subtask:
    """One that says no more than it must."""
    goal, criterion = f"what is to be done for {id}", Criterion(command="true")
    return Subtask(id=id, goal=goal, owns=tuple(owned), needs=tuple(needs), criterion=criterion)


# --- levels -----------------------------------------------------------------------------------------------------------


@given(needing())
def test_every_need_is_in_an_earlier_level_and_nothing_waits_longer_than_it_must(parts: list[Part]) -> None:
    found = levels(parts)
    at = {one.id: number for number, level in enumerate(found) for one in level}
    assert sorted(at) == sorted(one.id for one in parts)
    for one in parts:
        assert at[one.id] == max((at[need] + 1 for need in one.needs), default=0)


@given(needing(), st.randoms(use_true_random=False))
def test_levels_do_not_depend_on_the_order_that_subtasks_come_in(parts: list[Part], chance: random.Random) -> None:
    shuffled = list(parts)
    chance.shuffle(shuffled)
    assert levels(shuffled) == levels(parts)


@given(tangled())
def test_a_circle_is_found_exactly_where_there_are_no_levels(parts: list[Part]) -> None:
    circle = cycle(parts)
    needs = {one.id: one.needs for one in parts}
    circular = {one.id for one in parts if one.id in reached(needs, one.id)}
    if not circle:
        assert not circular
        assert sum(map(len, levels(parts))) == len(parts)
        return
    assert circle[0] == circle[-1]
    assert set(circle) <= circular
    assert all(after in needs[before] for before, after in pairwise(circle))


@given(needing(), st.sets(st.sampled_from(NAMES)))
def test_who_misses_something_is_dropped_with_all_that_need_it_and_nobody_else(
    parts: list[Part], gone: set[str]
) -> None:
    left, dropped = without(parts, gone)
    needs = {one.id: one.needs for one in parts}
    for one in parts:
        lacks = bool(reached(needs, one.id) & gone)
        assert (one in left) == (not lacks and one.id not in gone)
        assert (one.id in dropped) == (lacks and one.id not in gone)


# --- ownership --------------------------------------------------------------------------------------------------------


@given(st.sampled_from(FILES), st.sampled_from(FILES), st.sampled_from(FILES))
def test_what_two_patterns_own_in_common_is_an_overlap(one: str, other: str, path: str) -> None:
    file = path.removesuffix("/**") + ("/x.py" if path.endswith("/**") else "")
    if owns([one], file) and owns([other], file):
        assert overlap(one, other)
    assert overlap(one, other) == overlap(other, one)
    if within(one, [other]) and owns([one], file):
        assert owns([other], file)


@given(st.text(max_size=30), st.sampled_from(["", "/**"]))
def test_a_pattern_without_problems_stays_inside(text: str, tail: str) -> None:
    pattern = f"{text}{tail}"
    if not problem_of(pattern):
        parts = pattern.removesuffix("/**").split("/")
        assert parts
        assert not any(part in ("", ".", "..") or part.casefold() == ".git" for part in parts)
        assert owns([pattern], pattern if not pattern.endswith("/**") else f"{pattern[:-3]}/x")


# --- plans ------------------------------------------------------------------------------------------------------------


PLAIN = [path if not path.endswith("/**") else f"{path[:-3]}/x.py" for path in FILES]
UNIVERSE = [*PLAIN, *(f"{prefix}/{path}" for prefix in ("big", "own", "big/own") for path in [*PLAIN, *OWN])]


def files_of(patterns: tuple[str, ...]) -> set[str]:
    """All files of the universe that patterns own."""
    return {path for path in UNIVERSE if owns(patterns, path)}


@given(good_plans() | plans())
def test_a_plan_without_problems_has_levels_in_which_no_file_has_two_owners(plan: Plan) -> None:
    if problems_of(plan):
        return
    units = flattened(plan, {})
    for level in levels(units):
        for one, other in combinations(level, 2):
            assert files_of(one.owns).isdisjoint(files_of(other.owns))


@given(good_plans())
def test_a_plan_that_can_be_built_is_not_sent_back(plan: Plan) -> None:
    assert problems_of(plan) == ()


@given(good_plans(), good_plans(inside="big/"), st.data())
def test_what_is_cut_up_again_keeps_to_the_files_and_the_order_of_the_whole(
    plan: Plan, part: Plan, data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, len(plan.subtasks) - 1))
    large = plan.subtasks[first].model_copy(update={"owns": ("big/**",)})
    plan = Plan(subtasks=(*plan.subtasks[:first], large, *plan.subtasks[first + 1 :]))
    assert not problems_of(plan)
    assert not problems_of(part, inside=large.owns)
    units = flattened(plan, {})
    chosen = next(unit for unit in units if unit.id == large.id)
    whole = flattened(plan, {chosen.id: part})
    assert len({unit.id for unit in whole}) == len(whole)
    assert {need for unit in whole for need in unit.needs} <= {unit.id for unit in whole}
    (group,) = groups_of(plan, {chosen.id: part})
    inside = [unit for unit in whole if unit.id in group.parts]
    assert len(inside) == len(part.subtasks)
    assert all(within(pattern, chosen.owns) for unit in inside for pattern in unit.owns)
    assert all(set(chosen.needs) <= set(unit.needs) for unit in inside)
    for unit in whole:
        before = next((one for one in units if one.id == unit.id), None)
        if before is not None and chosen.id in before.needs:
            assert set(group.parts) <= set(unit.needs)
    for level in levels(whole):
        for one, other in combinations(level, 2):
            assert files_of(one.owns).isdisjoint(files_of(other.owns))


# --- machines that end ------------------------------------------------------------------------------------------------


@given(st.integers(-3, 30), st.booleans(), st.data())
def test_a_subtask_ends_within_its_rounds_whatever_happens(rounds: int, promised: bool, data: st.DataObject) -> None:
    making = Making.begin(rounds, promised=promised)
    calls, measures = 0, [making.measure]
    trees, problems = st.sampled_from(["t1", "t2", "t3"]), st.sampled_from(["", "wrong"])
    while not making.ended:
        calls += making.stage in ("test", "work", "review")
        making = after(making, data.draw(trees), data.draw(problems))
        measures.append(making.measure)
    assert all(now < before for before, now in pairwise(measures))
    assert measures[-1] == 0
    assert calls <= calls_of_unit(rounds)
    assert bool(making.problem) == (making.stage == "given up")


def after(making: Making, tree: str, problem: str) -> Making:
    """A subtask after the event that its stage waits for."""
    match making.stage:
        case "test":
            return making.tested(problem)
        case "work":
            return making.worked(tree, problem)
        case "verify":
            return making.verified(tree, problem)
        case _:
            return making.reviewed(tree, problem)


@given(st.integers(1, MOST_ROUNDS))
def test_a_state_that_was_refused_before_ends_it(rounds: int) -> None:
    making = Making.begin(rounds, promised=False)
    seen = 0
    while not making.ended:
        making = making.worked("the same", "wrong")
        seen += 1
    assert seen == min(rounds, 2)
    assert making.stage == "given up"


@given(st.lists(st.sampled_from(NAMES), unique=True), st.integers(0, 3), st.data())
def test_a_level_ends_with_everybody_in_it_or_left_out_with_a_reason(
    names: list[str], mendings: int, data: st.DataObject
) -> None:
    joining = Joining.begin(names, mendings)
    measures = [joining.measure]
    last_good: tuple[str, ...] = ()
    while joining.stage != "done":
        trying = joining.trying
        assert trying
        problem = data.draw(st.sampled_from(["", "fails"]))
        last_good = last_good if problem else trying
        joining = joining.joined(problem, data.draw(st.lists(st.sampled_from(NAMES))))
        measures.append(joining.measure)
    assert all(now < before for before, now in pairwise(measures))
    assert sorted([*joining.kept, *(name for name, _ in joining.left_out)]) == sorted(names)
    assert all(why for _, why in joining.left_out)
    assert sorted(joining.kept) == sorted(last_good), "what is kept was seen to go together"


def test_the_limit_of_the_run_is_above_what_its_bounds_allow() -> None:
    limits = Limits.parse(cast("Mapping[str, object]", manifest["limits"]))
    assert limits.agent_calls is not None
    assert most_agent_calls(MOST_ROUNDS, MOST_DEPTH) <= limits.agent_calls
    planners = most_agent_calls(3, MOST_DEPTH) - most_agent_calls(3, 1)
    assert planners == (1 + REPAIRS) * (MOST_DEPTH - 1) * MOST_UNITS, "every subtask may be cut up at every depth"
    assert most_agent_calls(10**9) == most_agent_calls(MOST_ROUNDS)
    assert most_agent_calls(3) == 848, "docs/build.md says so"
    assert most_agent_calls(1) > MOST_UNITS * (TESTERS + 2)


# --- interfaces -------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=200), st.sampled_from(["m.py", "m.txt", "m.pyi"]))
def test_whatever_a_file_holds_its_interface_is_text(content: bytes, path: str) -> None:
    assert interface_of(path, content)
