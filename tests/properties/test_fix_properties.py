"""A try at a fix always ends, whatever happens to it; and nothing that was lost is ever called a fix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from antiphon.workflows.crafting.results import Tests
from antiphon.workflows.fix.deciding import State, after, begin, next_step
from antiphon.workflows.fix.guarding import Touched, is_test, offences, taken_out
from antiphon.workflows.fix.judging import judge, new_cases, reference
from antiphon.workflows.fix.moves import (
    Backtrack,
    Bounds,
    Broken,
    ChangeEnvironment,
    Check,
    Checked,
    Code,
    Criticise,
    End,
    Event,
    Measured,
    Read,
    Recovered,
    Refine,
    Replan,
    Stopped,
    Wrote,
)

START = "0" * 40
TREES = st.sampled_from([START, *(letter * 40 for letter in "abc")])
NAMES = st.sampled_from(["t::a", "t::b", "t::c", "t::d"])
WORDS = st.sampled_from(["", "no", "it fails"])
CAUSES = st.sampled_from(["wrong_reasoning", "bad_plan", "environment", "infeasible"])
BOUNDS = st.builds(
    Bounds,
    rounds=st.integers(0, 5),
    replans=st.integers(0, 2),
    backtracks=st.integers(0, 3),
    environments=st.integers(0, 2),
)
MEASURED = st.builds(
    Measured,
    tree=TREES,
    passed=st.booleans(),
    failing=st.lists(NAMES, max_size=2).map(tuple),
    reasons=st.lists(WORDS, max_size=1).map(tuple),
    problems=st.integers(0, 2),
    lines=st.integers(0, 9),
)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.just(Wrote()),
    st.builds(Stopped, CAUSES, WORDS),
    st.builds(Checked, MEASURED, WORDS),
    st.builds(Read, st.none() | st.lists(WORDS, max_size=2).map(tuple), WORDS),
    st.builds(Recovered, WORDS),
    st.builds(Broken, WORDS),
)


def fitting(draw: Callable[[st.SearchStrategy[Event]], Event], state: State) -> Event:
    """An event that answers what is due."""
    match next_step(state):
        case Code() | Refine():
            return draw(st.just(Wrote()) | st.builds(Stopped, CAUSES, WORDS))
        case Check():
            return draw(st.builds(Checked, MEASURED, st.just("") | WORDS))
        case Criticise():
            return draw(st.builds(Read, st.none() | st.lists(WORDS, max_size=2).map(tuple), WORDS))
        case Backtrack() | Replan() | ChangeEnvironment():
            return draw(st.builds(Recovered, WORDS) | st.builds(Stopped, CAUSES, WORDS))
        case End():
            raise AssertionError("nothing is due")


@given(BOUNDS, st.lists(EVENTS, max_size=40))
def test_any_event_at_all_makes_the_measure_less(bounds: Bounds, events: list[Event]) -> None:
    state = begin(START, bounds)
    for event in events:
        if isinstance(next_step(state), End):
            break
        later = after(state, event)
        assert 0 <= later.measure < state.measure
        state = later


@given(BOUNDS, st.data())
def test_a_try_ends_within_its_rounds_and_its_recoveries(bounds: Bounds, data: st.DataObject) -> None:
    state, steps = begin(START, bounds), list[Any]()
    first = state.measure
    while not isinstance(due := next_step(state), End):
        steps.append(due)
        state = after(state, fitting(data.draw, state))
    assert len(steps) <= first
    rounds = max(1, bounds.rounds)
    assert sum(isinstance(one, Code | Refine) for one in steps) <= rounds
    assert sum(isinstance(one, Criticise) for one in steps) <= rounds
    assert sum(isinstance(one, Replan) for one in steps) <= bounds.replans
    assert sum(isinstance(one, Backtrack) for one in steps) <= bounds.backtracks
    assert sum(isinstance(one, ChangeEnvironment) for one in steps) <= bounds.environments
    asking = sum(isinstance(one, Code | Refine | Criticise | Replan | ChangeEnvironment) for one in steps)
    assert asking <= 2 * rounds + bounds.replans + bounds.environments, "what a person is told before it begins"
    check_the_end(state, due)


def check_the_end(state: State, end: End) -> None:
    best = end.best
    assert (best is not None) == bool(state.trail)
    if end.status == "passed":
        assert best is not None
        assert (best.passed, best.musts) == (True, ())
    if end.status == "objected":
        assert best is not None
        assert best.passed
        assert best.musts != ()
    if best is not None and best.passed:
        assert end.status in ("passed", "objected"), "what passed once is never lost"
        assert best.worth == max(one.worth for one in state.trail)


@given(BOUNDS, st.data())
def test_deciding_is_a_function_of_the_state_alone(bounds: Bounds, data: st.DataObject) -> None:
    state = begin(START, bounds)
    while not isinstance(next_step(state), End):
        assert next_step(state) == next_step(replace(state))
        event = fitting(data.draw, state)
        assert after(state, event) == after(replace(state), event)
        state = after(state, event)


@given(st.lists(MEASURED, min_size=1, max_size=6))
def test_what_passes_is_worth_more_than_whatever_does_not(states: list[Measured]) -> None:
    best = max(states, key=lambda one: one.worth)
    assert best.passed or not any(one.passed for one in states)


# --- judging ----------------------------------------------------------------------------------------------------------

STATES = st.sampled_from(["passed", "failed", "error", "skipped"])
CASES = st.dictionaries(NAMES, STATES, max_size=4)


def run_of(cases: dict[str, Any]) -> Tests:
    bad = any(state in ("failed", "error") for state in cases.values())
    return Tests(command="pytest", exit=5 if not cases else int(bad), cases=cases)


@given(CASES, CASES, CASES)
def test_a_fix_never_lost_a_case_that_passed_and_passes_all_that_show_the_bug(
    base: dict[str, Any], shown: dict[str, Any], now: dict[str, Any]
) -> None:
    before, written, later = run_of(base), run_of(shown), run_of(now)
    new = new_cases(before, written)
    judged = judge(reference(before, written, new), later, (), (), "clean")
    if judged.passed:
        assert all(now.get(name) == "passed" for name, state in base.items() if state == "passed")
        assert all(now.get(name) == "passed" for name in new)
        assert later.cases is not None


@given(CASES, CASES)
def test_what_stays_as_it_was_is_no_fix_of_a_bug_that_is_shown(base: dict[str, Any], shown: dict[str, Any]) -> None:
    before, written = run_of(base), run_of(shown)
    new = new_cases(before, written)
    judged = judge(reference(before, written, new), written, (), (), "clean")
    assert not (new and judged.passed)


# --- guarding ---------------------------------------------------------------------------------------------------------

LINES = st.lists(st.sampled_from([b"def test():", b"    assert x", b"", b"import os", b"x = 1"]), max_size=6)


@given(LINES, LINES, st.integers(0, 6))
def test_adding_lines_takes_none_out(old: list[bytes], more: list[bytes], place: int) -> None:
    new = [*old[:place], *more, *old[place:]]
    assert taken_out(b"\n".join(old), b"\n".join(new)) == []


@given(st.sampled_from(["tests/test_a.py", "conftest.py", "a_test.go", "src/x.test.ts"]), st.binary(max_size=20))
def test_no_change_of_a_test_goes_unseen(path: str, content: bytes) -> None:
    assert is_test(path) or path == "conftest.py"
    for file in (Touched(path, content, content + b"x"), Touched(path, None, content), Touched(path, content, None)):
        assert len(offences([file], "pytest")) == 1
