"""What holds of any price and request: nothing costs more than is reserved, no answer is shorter than need be."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal, getcontext, localcontext

from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.engine import Amount
from antiphon.engine.amount import DIMENSIONS, Dimension
from antiphon.subagents.model.bound import fitted, input_bound, worst_case
from antiphon.subagents.model.contract import Capabilities, Completion, Message, Model, Price, Request, Usage
from antiphon.subagents.model.price import cost


class Silent:
    """A client that is never asked anything."""

    async def complete(self, request: Request) -> Completion:
        """Nothing is sent in these tests."""
        raise AssertionError(request)

    async def close(self) -> None:
        """It holds nothing."""


def usd(most: int = 10**8) -> st.SearchStrategy[str]:
    """Usd a token, as decimal text: up to 100 usd per million tokens, to the 15th digit."""
    return st.integers(0, most).map(lambda count: format(Decimal(count).scaleb(-12), "f"))


def rates(above: st.SearchStrategy[dict[int, Price]]) -> st.SearchStrategy[Price]:
    maybe = st.none() | usd()
    return st.builds(Price, input=usd(), output=usd(), cached=maybe, cache_write=maybe, reasoning=maybe, above=above)


PRICES = rates(st.dictionaries(st.integers(0, 3_000), rates(st.just({})), max_size=3))
TOKENS = st.integers(0, 5_000)
USAGES = st.builds(Usage, input=TOKENS, cached=TOKENS, cache_write=TOKENS, output=TOKENS, reasoning=TOKENS)


def model_of(price: Price | None, *, window: int | None = None, output: int | None = None) -> Model:
    can = Capabilities(price=price, window=window, output=output, caching=True)
    return Model(name="some/model", client=Silent(), can=can, provider="some", lineage="some")


def request_of(text: str, max_tokens: int) -> Request:
    return Request(model="some/model", messages=(Message(role="user", text=text),), max_tokens=max_tokens)


def left(**limited: int) -> Callable[[Dimension], int | None]:
    return dict(limited).get


def naively(price: Price, usage: Usage) -> Decimal:
    """The cost in 1e-9 usd, term by term, as somebody would write it down."""
    read = usage.input + usage.cached + usage.cache_write
    for begins in sorted(price.above):
        if read > begins:
            chosen = price.above[begins]
            price = replace(price, **{name: getattr(chosen, name) for name in NAMES})
    terms = [
        usage.input * Decimal(price.input),
        usage.cached * Decimal(price.input if price.cached is None else price.cached),
        usage.cache_write * Decimal(price.input if price.cache_write is None else price.cache_write),
        usage.output * Decimal(price.output),
        usage.reasoning * Decimal(price.output if price.reasoning is None else price.reasoning),
    ]
    return sum(terms, Decimal(0)) * 10**9


NAMES = ("input", "cached", "cache_write", "output", "reasoning")


@given(PRICES, USAGES)
@settings(deadline=None)
def test_cost_is_the_sum_of_its_terms_rounded_up(price: Price, usage: Usage) -> None:
    with localcontext(getcontext()) as exact:
        exact.prec = 80
        naive = naively(price, usage)
        assert 0 <= cost(price, usage) - naive < 1


@given(PRICES, USAGES, st.text(max_size=300), st.integers(1, 5_000))
@settings(deadline=None)
def test_no_usage_within_the_bounds_costs_more_than_the_worst_case(
    price: Price, usage: Usage, text: str, max_tokens: int
) -> None:
    request = request_of(text, max_tokens)
    bound, model = input_bound(request), model_of(price)
    read, written = usage.input + usage.cached + usage.cache_write, usage.output + usage.reasoning
    within = Usage(
        input=usage.input * bound // max(read, bound),
        cached=usage.cached * bound // max(read, bound),
        cache_write=usage.cache_write * bound // max(read, bound),
        output=usage.output * max_tokens // max(written, max_tokens),
        reasoning=usage.reasoning * max_tokens // max(written, max_tokens),
    )
    actual = within.amount(cost(price, within)) + Amount(model_calls=1)
    assert actual <= worst_case(model, request)


@given(PRICES, st.text(max_size=300), st.integers(1, 100_000))
@settings(deadline=None)
def test_the_worst_case_is_the_dearest_classes_of_the_dearest_tier_within_reach(
    price: Price, text: str, max_tokens: int
) -> None:
    request = request_of(text, max_tokens)
    bound = input_bound(request)
    tiers = [price, *(tier for begins, tier in price.above.items() if bound > begins)]
    with localcontext(getcontext()) as exact:
        exact.prec = 80
        naive = max(bound * dearest(tier, NAMES[:3]) + max_tokens * dearest(tier, NAMES[3:]) for tier in tiers)
        assert 0 <= worst_case(model_of(price), request).count("usd") - naive * 10**9 < 1


def dearest(price: Price, names: tuple[str, ...]) -> Decimal:
    return max(Decimal(text) for name in names if (text := getattr(price, name)) is not None)


LIMITED = st.dictionaries(st.sampled_from(DIMENSIONS), st.integers(0, 10**7), max_size=4)


@given(PRICES, st.text(max_size=200), st.integers(1, 20_000), LIMITED, st.none() | st.integers(1, 9_000))
@settings(deadline=None, max_examples=200)
def test_an_answer_is_as_long_as_what_remains_allows_and_no_longer(
    price: Price, text: str, wanted: int, limited: dict[Dimension, int], output: int | None
) -> None:
    model, request, remaining = model_of(price, output=output), request_of(text, wanted), left(**limited)
    least = 100
    sent = fitted(model, request, remaining, least=least)
    longest = min(wanted, output or wanted)
    assert replace(sent, max_tokens=wanted) == request, "nothing else changes"
    assert 1 <= sent.max_tokens <= longest
    if sent.max_tokens < longest:
        assert sent.max_tokens >= min(least, longest)
        assert fits(worst_case(model, sent), limited)
        assert not fits(worst_case(model, replace(sent, max_tokens=sent.max_tokens + 1)), limited), "one more would do"
    else:
        shorter = replace(sent, max_tokens=min(least, longest))
        assert fits(worst_case(model, sent), limited) or not fits(worst_case(model, shorter), limited)


def fits(worst: Amount, limited: dict[Dimension, int]) -> bool:
    """Whether what an answer's length decides fits; a prompt that is too long fits no better with a shorter answer."""
    return all(
        worst.count(name) <= limited[name] for name in ("usd", "output_tokens", "reasoning_tokens") if name in limited
    )


@given(st.text(max_size=2_000), st.integers(1, 50_000), st.integers(1, 50_000))
@settings(deadline=None)
def test_an_answer_leaves_room_for_the_likely_prompt_in_the_window(text: str, wanted: int, window: int) -> None:
    request = request_of(text, wanted)
    sent = fitted(model_of(None, window=window), request, left(), least=64)
    room = window - input_bound(request) // 2
    assert sent.max_tokens == (min(wanted, room) if room >= min(64, wanted) else wanted)
