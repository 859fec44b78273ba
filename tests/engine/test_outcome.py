"""Outcomes: what a branch ended as, and what cannot be mistaken for a value, a condition or a count."""

import pytest

from antiphon.engine import (
    CallFailed,
    Cancelled,
    Census,
    Degraded,
    Denied,
    Failed,
    HabitError,
    Missing,
    Outcome,
    Outcomes,
    OverBudget,
    Skipped,
    Succeeded,
    Tally,
    TimedOut,
)

WITHOUT_VALUE: list[Outcome[int]] = [
    Failed(path="main/0", reason="no"),
    TimedOut(path="main/0", reason="no", scope="main"),
    OverBudget(path="main/0", reason="no", scope="main", dimension="usd", limit=1),
    Denied(path="main/0", reason="no"),
    Cancelled(path="main/0", reason="no"),
    Skipped(path="main/0", reason="no"),
]
EVERY: list[Outcome[int]] = [Succeeded(result=1), Degraded(result=1, reason="no"), *WITHOUT_VALUE]


def test_only_succeeded_is_ok_and_only_it_and_degraded_have_a_value() -> None:
    assert [outcome.ok for outcome in EVERY] == [True] + [False] * 7
    assert [outcome.value for outcome in EVERY[:2]] == [1, 1]
    for outcome in WITHOUT_VALUE:
        with pytest.raises(CallFailed) as raised:
            _ = outcome.value
        assert str(raised.value) == f"{outcome.kind}: no"
        assert raised.value.outcome is outcome


def test_kinds_tell_the_eight_outcomes_apart() -> None:
    kinds = [outcome.kind for outcome in EVERY]
    expected = ["succeeded", "degraded", "failed", "timed_out", "over_budget", "denied", "cancelled", "skipped"]
    assert kinds == expected


@pytest.mark.parametrize("outcome", EVERY, ids=lambda outcome: outcome.kind)
def test_an_outcome_is_no_condition(outcome: Outcome[int]) -> None:
    with pytest.raises(HabitError) as raised:
        _ = bool(outcome)
    assert ".ok" in (raised.value.advice or "")


def test_an_outcome_for_an_item_is_the_same_otherwise() -> None:
    failed: Outcome[int] = Failed(path="main/0/3", reason="no", category="schema", raw="x")
    outcome = failed.for_item("a.py")
    assert outcome == Failed(path="main/0/3", item="a.py", reason="no", category="schema", raw="x")


def test_outcomes_select_without_hiding() -> None:
    outcomes = Outcomes(EVERY)
    assert outcomes.succeeded() == [1]
    assert [outcome.kind for outcome in outcomes.degraded()] == ["degraded"]
    assert outcomes.failed() == WITHOUT_VALUE
    assert list(outcomes) == EVERY
    assert outcomes[2] is EVERY[2]
    assert outcomes.complete


def test_outcomes_have_no_length_and_no_truth_value() -> None:
    outcomes = Outcomes(EVERY)
    with pytest.raises(HabitError, match="no length"):
        len(outcomes)
    with pytest.raises(HabitError, match="neither true nor false"):
        bool(outcomes)
    assert "planned" in repr(outcomes)


def test_census_counts_what_was_planned_started_and_ended() -> None:
    census = Outcomes(EVERY).census
    assert (census.planned, census.started) == (8, 7)
    assert sum(census.ended.values()) == census.planned
    assert Census(2, 1, {"skipped": 1, "failed": 1}).to_json() == {
        "planned": 2,
        "started": 1,
        "failed": 1,
        "skipped": 1,
    }


def test_a_tally_is_no_condition() -> None:
    with pytest.raises(HabitError) as raised:
        bool(Tally("yes", (True,), Outcomes([])))
    assert raised.value.advice == 'compare `.decided == "yes"`'


def test_missing_says_where_how_and_why() -> None:
    degraded: Degraded[int] = Degraded(result=1, missing=(Missing("main/0/1", "failed", "no"),))
    assert [(m.path, m.kind, m.reason) for m in degraded.missing] == [("main/0/1", "failed", "no")]
