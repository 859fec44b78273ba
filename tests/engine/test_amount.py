"""Amounts are exact, immutable, and never negative."""

import copy
import pickle
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engine.amount import DIMENSIONS, NOTHING, Amount, from_nano, to_nano

COUNTS = st.lists(st.integers(0, 10**12), min_size=len(DIMENSIONS), max_size=len(DIMENSIONS))
AMOUNTS = st.builds(Amount.of_counts, COUNTS)


@pytest.mark.parametrize(
    ("value", "nano"),
    [
        ("0.03", 30_000_000),
        (Decimal("1e-9"), 1),
        ("0.0000000001", 1),  # below one nano-usd: rounds up, so that nothing is ever free
        ("1.0000000001", 1_000_000_001),
        (3, 3_000_000_000),
        (0.1, 100_000_000),  # a float is the decimal it prints as
        (3e-06, 3_000),
        ("1e-99999999", 1),
        (0, 0),
        ("-0", 0),
    ],
)
def test_money_is_counted_in_nano_usd(value: Decimal | str | int | float, nano: int) -> None:
    assert to_nano(value) == nano


def test_money_is_exact_beyond_the_decimal_context() -> None:
    assert to_nano("123456789012345678901.123456789") == 123456789012345678901123456789


@pytest.mark.parametrize("value", ["-1", "abc", "", "NaN", "Infinity", "1e40", -0.5, float("nan"), float("inf"), True])
def test_what_is_no_money_is_refused(value: str | float) -> None:
    with pytest.raises(ValueError, match="must be a number between 0 and"):
        to_nano(value)


def test_limits_round_down() -> None:
    assert to_nano("0.0000000019", up=False) == 1
    assert to_nano("1e-99", up=False) == 0


@pytest.mark.parametrize(("count", "text"), [(0, "0"), (1, "0.000000001"), (10**9, "1"), (-15 * 10**8, "-1.5")])
def test_money_reads_back_exactly(count: int, text: str) -> None:
    assert f"{from_nano(count):f}" == text


def test_json_has_raw_counts_and_no_zeros() -> None:
    amount = Amount(usd="0.03", model_calls=3, agent_seconds=1.5)
    assert amount.to_json() == {"usd": 30_000_000, "model_calls": 3, "agent_seconds": 1_500_000_000}
    assert NOTHING.to_json() == {}


@given(AMOUNTS)
def test_json_pickle_and_copy_give_the_same_amount(amount: Amount) -> None:
    assert Amount.from_json(amount.to_json()) == amount
    assert pickle.loads(pickle.dumps(amount)) == amount
    assert copy.deepcopy(amount) == amount
    assert hash(Amount.from_json(amount.to_json())) == hash(amount)


@pytest.mark.parametrize("data", [{"euros": 1}, {"usd": 1.5}, {"usd": -1}, {"model_calls": "3"}, {"usd": True}])
def test_json_that_is_no_amount_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"dimension|whole number"):
        Amount.from_json(data)


@given(AMOUNTS, AMOUNTS, AMOUNTS)
def test_amounts_add_and_compare_by_component(a: Amount, b: Amount, c: Amount) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert (a + b) - b == a
    assert a <= a + b
    assert a.common(b) + a.beyond(b) == a
    assert (a <= b) == (not a.beyond(b))
    assert bool(a) == (a != NOTHING)
    assert Amount.total([a, b, c]) == a + b + c


def test_comparison_is_partial() -> None:
    money, calls = Amount(usd=1), Amount(model_calls=1)
    assert not money <= calls
    assert not money >= calls
    assert money + calls >= calls


def test_taking_away_too_much_is_an_error() -> None:
    with pytest.raises(ValueError, match="2 model_calls is not contained in 1 model_calls"):
        _ = Amount(model_calls=1) - Amount(model_calls=2)


@pytest.mark.parametrize("count", [-1, 1.5, True, "3"])
def test_a_count_is_a_whole_number(count: int) -> None:
    with pytest.raises(ValueError, match="model_calls must be a whole number"):
        Amount(model_calls=count)


def test_an_amount_cannot_be_changed() -> None:
    amount = Amount(model_calls=1)
    with pytest.raises(AttributeError, match="immutable"):
        amount.pairs = ()
    with pytest.raises(AttributeError, match="immutable"):
        del amount.pairs


def test_amounts_say_what_they_are() -> None:
    amount = Amount(usd="0.03", model_calls=3, agent_seconds=2)
    assert repr(amount) == "Amount(usd='0.03', model_calls=3, agent_seconds='2')"
    assert eval(repr(amount)) == amount
    assert str(amount) == "0.03 usd, 3 model_calls, 2 agent_seconds"
    assert repr(Amount(usd="1e-9")) == "Amount(usd='0.000000001')"
    assert str(NOTHING) == "nothing"
    assert amount.usd == Decimal("0.03")
    assert amount.agent_seconds == 2
    assert amount.count("model_calls") == 3
    assert amount != "0.03 usd"
