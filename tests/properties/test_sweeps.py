"""Sweep until dry: whatever sweeps bring, it ends, says how, and never takes a failure for nothing found."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.subagents.records import FindingKey
from antiphon.workflows.audit.models.sweeps import Means, Sweeping, affords, sentences

KEYS = st.builds(
    FindingKey, path=st.sampled_from(["a.py", "b.py"]), rule=st.sampled_from(["CWE-1", "CWE-2", "model:x"])
)
FAILURES = st.lists(st.sampled_from(["environment", "overloaded", "schema", "over_budget"]), max_size=2)
SWEEPS = st.lists(st.tuples(st.lists(KEYS, max_size=6), FAILURES, st.booleans()), max_size=8)
MONEY = st.integers(0, 10_000).map(Decimal)


def swept(sweeps: list[tuple[list[FindingKey], list[str], bool]], most: int) -> list[Sweeping]:
    """Every state on the way, as a workflow goes through them."""
    states = [Sweeping(most)]
    for keys, failed, poor in sweeps:
        if states[-1].end is not None:
            break
        after = states[-1].after("outsider", keys, calls=5, failed=failed)
        states.append(after.out_of_budget() if poor else after)
    return states


@settings(max_examples=60)
@given(SWEEPS, st.integers(1, 5))
def test_it_is_dry_exactly_when_everyone_answered_and_nothing_was_new(
    sweeps: list[tuple[list[FindingKey], list[str], bool]], most: int
) -> None:
    states = swept(sweeps, most)
    for (keys, failed, _), before, after in zip(sweeps, states, states[1:], strict=False):
        new = set(keys) - before.known
        assert after.known == before.known | set(keys), "no key is ever lost"
        assert after.done[-1].new == len(new)
        assert after.done[-1].dry == (not new and not failed)
        assert (after.end == "dry") == (not new and not failed)


@settings(max_examples=60)
@given(SWEEPS, st.integers(1, 5))
def test_it_ends_after_as_many_sweeps_as_were_asked_for_and_says_how(
    sweeps: list[tuple[list[FindingKey], list[str], bool]], most: int
) -> None:
    last = swept(sweeps, most)[-1]
    assert len(last.done) <= most
    if len(last.done) == most:
        assert last.end in ("dry", "most")
    (told,) = sentences(last.to_json())
    assert ("nothing new was found" in told) == (last.end in ("most", "budget"))
    assert ("the last sweep brought nothing new" in told) == (last.end == "dry")
    assert told.count("not dry, as calls failed") == sum(bool(sweep.failed) for sweep in last.done)


@settings(max_examples=60)
@given(SWEEPS, st.integers(1, 5))
def test_the_order_in_which_auditors_answer_changes_nothing(
    sweeps: list[tuple[list[FindingKey], list[str], bool]], most: int
) -> None:
    shuffled = [(keys[::-1], failed[::-1], poor) for keys, failed, poor in sweeps]
    assert swept(sweeps, most)[-1] == swept(shuffled, most)[-1]


@settings(max_examples=60)
@given(MONEY, MONEY, st.integers(0, 100), st.integers(1, 100), st.integers(0, 300))
def test_another_sweep_is_begun_only_where_it_and_what_is_due_can_be_paid(
    used: Decimal, room: Decimal, agents: int, calls: int, due: int
) -> None:
    last, left = Means(used, agents), Means(room, None)
    enough = affords(last, left, calls=calls, due=due)
    assert enough == (used + used * due / calls <= room)
    assert affords(last, Means(None, None), calls=calls, due=due), "where nothing limits it, it goes on"
    assert not affords(Means(Decimal(0), 5), Means(None, 4), calls=calls, due=due)


def test_what_is_no_state_says_nothing() -> None:
    assert sentences(None) == ()
    assert sentences("dry") == ()
    assert "did not end" in sentences({})[0]
