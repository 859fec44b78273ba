"""Limits are read from literals, only narrow, and say what is wrong with them."""

from decimal import Decimal

import pytest
from pydantic import ValidationError

from antiphon.engine.amount import Amount
from antiphon.engine.limits import Limits, LimitsError, TopUpError, parse_top_up

MANIFEST: dict[str, object] = {"usd": "5", "agent_calls": 400, "wall_seconds": 1800, "depth": 2}


def test_a_manifest_literal_is_read() -> None:
    limits = Limits.parse(MANIFEST)
    assert limits == Limits(usd=Decimal(5), agent_calls=400, wall_seconds=1800, depth=2)
    assert limits.model_calls is None
    assert Limits.parse(limits.to_json()) == limits


def test_a_float_of_money_is_the_decimal_it_prints_as() -> None:
    assert Limits.parse({"usd": 0.1}).usd == Decimal("0.1")


def test_ceilings_are_raw_counts_that_never_round_up() -> None:
    ceilings = Limits.parse({"usd": "0.0000000019", "agent_seconds": 1.5, "tool_calls": 0}).ceilings()
    assert ceilings == [1, *[None] * 7, 0, 1_500_000_000]


@pytest.mark.parametrize(
    ("literal", "sentence"),
    [
        ({"usdd": 1}, "there is no limit 'usdd' (did you mean 'usd'?)"),
        ({"agent_calls": "many"}, "the limit agent_calls must be a whole number of at least 0, not 'many'"),
        ({"agent_calls": "400"}, "the limit agent_calls must be a whole number of at least 0, not '400'"),
        ({"agent_calls": -1}, "the limit agent_calls must be a whole number of at least 0, not -1"),
        ({"depth": True}, "the limit depth must be a whole number of at least 0, not True"),
        ({"usd": "cheap"}, "the limit usd must be a number of at least 0, not 'cheap'"),
        ({"usd": "-1"}, "the limit usd must be a number of at least 0, not '-1'"),
        ({"usd": True}, "the limit usd must be a number of at least 0, not True"),
        ({"usd": float("inf")}, "the limit usd must be a number of at least 0, not inf"),
        ({"wall_seconds": float("nan")}, "the limit wall_seconds must be a number of at least 0, not nan"),
        ({"wall_seconds": False}, "the limit wall_seconds must be a number of at least 0, not False"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(literal: dict[str, object], sentence: str) -> None:
    with pytest.raises(LimitsError) as caught:
        Limits.parse(literal)
    assert caught.value.problems == [sentence]
    assert caught.value.exit_code == 2


def test_every_problem_is_named() -> None:
    with pytest.raises(LimitsError) as caught:
        Limits.parse({"usd": "x", "calls": 3})
    assert len(caught.value.problems) == 2


def test_limits_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Limits().usd = Decimal(1)


def test_an_inner_limit_only_narrows() -> None:
    outer = Limits.parse({"usd": "5", "depth": 2, "wall_seconds": 60})
    inner = Limits.parse({"usd": "7", "depth": 1, "model_calls": 3})
    assert outer.narrowed_by(inner) == Limits.parse({"usd": "5", "depth": 1, "wall_seconds": 60, "model_calls": 3})
    assert outer.narrowed_by(Limits()) == outer
    assert Limits().narrowed_by(inner) == inner


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("+2usd", Amount(usd=2)),
        ("0.5 usd", Amount(usd="0.5")),
        ("+500agent_calls", Amount(agent_calls=500)),
        ("2usd,+10model_calls", Amount(usd=2, model_calls=10)),
        (" +1_000 input_tokens , .5agent_seconds ", Amount(input_tokens=1000, agent_seconds="0.5")),
    ],
)
def test_a_top_up_is_read(text: str, amount: Amount) -> None:
    assert parse_top_up(text) == amount


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "a part of it is empty"),
        ("2usd,", "a part of it is empty"),
        ("usd", "'usd' is not a number with a dimension"),
        ("$2", "'$2' is not a number with a dimension"),
        ("-2usd", "'-2usd' is not a number with a dimension"),
        ("2", "'2' is not a number with a dimension"),
        ("1e3usd", "'1e3usd' is not a number with a dimension"),
        ("2euros", "there is no dimension 'euros'"),
        ("5agent_call", "(did you mean 'agent_calls'?)"),
        ("60wall_seconds", "wall_seconds is a scope and not part of the budget"),
        ("1.5model_calls", "model_calls must be a whole number, not 1.5"),
        ("0usd", "it adds no usd"),
        ("1usd,2usd", "usd is there twice"),
    ],
)
def test_a_top_up_that_cannot_be_read_says_why(text: str, reason: str) -> None:
    with pytest.raises(TopUpError) as caught:
        parse_top_up(text)
    assert reason in caught.value.reason
    assert caught.value.exit_code == 2
    assert caught.value.advice == "write it like --budget +2usd,+500agent_calls"
