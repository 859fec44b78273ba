"""Cost: exact, by class and tier, rounded up once; prices that a person states; and litellm as the oracle."""

import re
import tomllib
import warnings
from collections.abc import Iterator, Mapping
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from antiphon.subagents.model.catalogue import capabilities, price_map
from antiphon.subagents.model.contract import Price, Usage
from antiphon.subagents.model.price import Unpriced, cost, rates_for, usd_per_token
from antiphon.subagents.model.prices_of_user import PriceError, parse_price, read_prices

FULL = Price(input="0.000003", output="0.000015", cached="0.0000003", cache_write="0.00000375", reasoning="0.00002")
TIERED = Price(
    input="0.000001",
    output="0.000002",
    cached="0.0000001",
    above={200_000: Price(input="0.000002", output="0.000004"), 400_000: Price(input="0.000008", output="0.000001")},
)


def test_every_class_has_its_own_price() -> None:
    usage = Usage(input=100, cached=1_000, cache_write=10, output=20, reasoning=30)
    # 300 + 300 + 37.5 + 300 + 600 micro-usd
    assert cost(FULL, usage) == 1_537_500


def test_a_class_without_a_price_costs_what_its_kind_costs() -> None:
    plain = Price(input="0.000003", output="0.000015")
    assert cost(plain, Usage(cached=1, cache_write=1)) == cost(plain, Usage(input=2)) == 6_000
    assert cost(plain, Usage(reasoning=1)) == cost(plain, Usage(output=1)) == 15_000


def test_a_request_is_rounded_up_once_and_not_for_each_class() -> None:
    tiny = Price(input="0.0000000003", output="0.0000000003", cached="0.0000000003")
    assert cost(tiny, Usage(input=1, cached=1, output=1)) == 1
    assert cost(tiny, Usage(input=1, cached=1, output=2)) == 2
    assert cost(tiny, Usage()) == 0


@pytest.mark.parametrize(
    ("usage", "nano"),
    [
        (Usage(input=200_000, output=10), 200_000_000 + 20_000),
        (Usage(input=200_001, output=10), 400_002_000 + 40_000),
        (Usage(input=100_000, cached=100_001, output=10), 400_002_000 + 40_000),
        (Usage(input=1, cached=199_999), 1_000 + 19_999_900),
        (Usage(input=400_001, output=10), 3_200_008_000 + 10_000),
    ],
    ids=["at the threshold", "above it", "cached tokens count, at the tier's own input", "below", "the highest tier"],
)
def test_a_tier_holds_for_the_whole_request(usage: Usage, nano: int) -> None:
    assert cost(TIERED, usage) == nano


def test_what_no_provider_can_mean_is_an_error() -> None:
    with pytest.raises(ValueError, match="negative"):
        cost(FULL, Usage(input=-1))


@pytest.mark.parametrize("text", ["", "free", "-1", "nan", "inf", "1e7", "1e-999999999", "0." + "0" * 100 + "1"])
def test_a_price_that_is_none_is_refused_before_anything_is_computed_with_it(text: str) -> None:
    with pytest.raises(ValueError, match="must be a number of usd"):
        usd_per_token(text)


def test_prices_are_read_exactly() -> None:
    assert usd_per_token("1.5e-7") == Fraction(15, 100_000_000)
    assert rates_for(FULL, 1).cache_write == Fraction(3_750)
    assert usd_per_token("0e-999999999") == 0


def test_a_price_is_stated_in_usd_per_million_tokens() -> None:
    assert parse_price("openai/mine=1.25/10") == ("openai/mine", Price(input="0.00000125", output="0.00001"))
    name, price = parse_price("openai/m@http://127.0.0.1:8000/v1?a=b=3/15/0.3/3.75")
    assert name == "openai/m@http://127.0.0.1:8000/v1?a=b"
    assert price == Price(input="0.000003", output="0.000015", cached="0.0000003", cache_write="0.00000375")
    assert cost(parse_price("x= 0 / 0")[1], Usage(input=10**9, output=10**9)) == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gpt",
        "=1/2",
        "gpt=",
        "gpt=1",
        "gpt=1/2/3/4/5",
        "gpt=1/",
        "gpt=a/b",
        "gpt=-1/2",
        "gpt=1/nan",
        "gpt=1/1e99999999",
        "gpt=1e-38/1",
    ],
)
def test_a_price_that_cannot_be_read_says_how_to_write_one(text: str) -> None:
    with pytest.raises(PriceError, match="cannot be read") as caught:
        parse_price(text)
    assert "NAME=IN/OUT[/CACHED[/WRITE]]" in str(caught.value.advice)
    assert caught.value.exit_code == 2


def test_a_table_of_prices_may_have_every_class_and_tiers() -> None:
    table: Mapping[str, object] = {
        "a/short": "1/2",
        "b/full": {
            "input": 3,
            "output": 15.5,
            "cached": "0.3",
            "reasoning": 20,
            "above": {"200000": {"input": 6, "output": 22.5}},
        },
    }
    assert read_prices(table) == {
        "a/short": Price(input="0.000001", output="0.000002"),
        "b/full": Price(
            input="0.000003",
            output="0.0000155",
            cached="0.0000003",
            reasoning="0.00002",
            above={200_000: Price(input="0.000006", output="0.0000225")},
        ),
    }


@pytest.mark.parametrize(
    "entry",
    [
        3,
        "1",
        {"input": 1},
        {"output": 1},
        {"input": 1, "output": True},
        {"input": 1, "output": 2, "batch": 1},
        {"input": 1, "output": 2, "above": 3},
        {"input": 1, "output": 2, "above": {"200k": {"input": 1, "output": 2}}},
        {"input": 1, "output": 2, "above": {"5": {"input": 1, "output": 2, "above": {}}}},
        {"input": [1], "output": {}},
        {"input": 10**5_000, "output": 1},
        {"input": 1, "output": 2, "above": {"9" * 5_000: {"input": 1, "output": 2}}},
        {"input": 1, "output": 2, "above": {True: {"input": 1, "output": 2}}},
    ],
)
def test_a_table_that_cannot_be_read_names_the_model(entry: object) -> None:
    with pytest.raises(PriceError, match="some/model"):
        read_prices({"some/model": entry})


def test_the_refusal_of_an_unpriced_model_says_what_to_type() -> None:
    refused = Unpriced("openai/unknown")
    assert str(refused) == "the price of openai/unknown is not known, and a limit on usd holds"
    assert "--price openai/unknown=IN/OUT" in str(refused.advice)
    assert refused.exit_code == 2


# --- litellm, the library whose map the prices come from, as oracle --------------------------------------------------

USAGES = (
    Usage(input=1_000, output=500),
    Usage(input=7, cached=100_001, cache_write=3, output=11, reasoning=13),
    Usage(input=128_000, output=3),
    Usage(input=200_000, output=3),
    Usage(input=250_001, cached=30_000, cache_write=10, output=5_000, reasoning=100),
    Usage(input=600_000, output=1),
)
CACHED_AT_HALF = frozenset({"fireworks_ai"})
"""Where the map has no price of cached tokens here, litellm assumes half of the input's; we take the input's own."""
ONE_RATE = frozenset({"perplexity"})
"""litellm's reckoning for this provider leaves out the map's tiers, and its price of cached tokens."""
ASKS_TO_LOG_IN = frozenset({"github_copilot", "chatgpt"})
"""litellm looks for the user's account before it computes anything."""


@pytest.fixture
def litellm(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The library, with its own copy of the price map and nothing said on the terminal."""
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library = import_module("litellm")
        monkeypatch.setattr(library, "suppress_debug_info", True)
        yield library


def in_its_words(usage: Usage) -> object:
    """A usage as litellm counts: cached tokens and reasoning are part of their sums."""
    words = import_module("litellm.types.utils")
    read, written = usage.input + usage.cached + usage.cache_write, usage.output + usage.reasoning
    return words.Usage(
        prompt_tokens=read,
        completion_tokens=written,
        total_tokens=read + written,
        prompt_tokens_details=words.PromptTokensDetailsWrapper(
            cached_tokens=usage.cached, cache_creation_tokens=usage.cache_write
        ),
        completion_tokens_details=words.CompletionTokensDetailsWrapper(
            reasoning_tokens=usage.reasoning, text_tokens=usage.output
        ),
        cache_creation_input_tokens=usage.cache_write,
        cache_read_input_tokens=usage.cached,
    )


def explained(entry: Mapping[str, object], usage: Usage, ours: int, theirs: float) -> bool:
    """Whether it is known why the two differ."""
    provider = entry.get("litellm_provider")
    if "off_peak_pricing" in entry or (provider in CACHED_AT_HALF and usage.cached):
        return ours > theirs  # reckoned at the price of the day, and of the map
    tiered = any("_above_" in key for key in entry)
    return provider in ONE_RATE and (usage.cached > 0 or tiered)


@pytest.mark.long
@pytest.mark.real_time
def test_litellm_computes_the_same_of_every_model_that_it_has_a_price_for(litellm: ModuleType) -> None:
    compared, unknown = 0, 0
    differ: list[object] = []
    usages = [(usage, in_its_words(usage)) for usage in USAGES]
    for name, entry in price_map().items():
        price = None if entry.get("litellm_provider") in ASKS_TO_LOG_IN else capabilities(name).price
        for usage, theirs in usages if price else ():
            assert price is not None
            try:
                read, written = litellm.cost_per_token(model=name, usage_object=theirs)
            except Exception:  # a name in its map that litellm itself cannot find the provider of
                unknown += 1
                break
            ours, nano = cost(price, usage), (read + written) * 1e9
            compared += 1
            # Their sum is of floats; ours is exact and rounded up.
            if not -1e-9 * ours <= ours - nano <= 1 + 1e-9 * ours and not explained(entry, usage, ours, nano):
                differ.append((name, usage, ours, nano))
    assert not differ, differ[:5]
    assert compared > 10_000, "17,700 when this was written"
    assert unknown < 200


@pytest.mark.checkout
def test_the_prices_on_the_page_on_models_can_be_read() -> None:
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    tables = [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", page, re.DOTALL)]
    named, full = (read_prices(table["tool"]["antiphon"]["prices"])["openai/my-own"] for table in tables)
    assert named == parse_price("x=0.4/1.6")[1]
    assert full.reasoning == "0.000012"
    assert full.above[200_000].cached == "0.00000025"
