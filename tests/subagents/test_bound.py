"""The bound on a prompt is never below what a real tokenizer counts; worst cases; and answers cut to what remains."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antiphon.engine import Amount
from antiphon.engine.amount import Dimension
from antiphon.subagents.model.bound import (
    CALL_TOKENS,
    CONVERSATION_TOKENS,
    MESSAGE_TOKENS,
    TOOL_TOKENS,
    TOOLS_TOKENS,
    fitted,
    input_bound,
    worst_case,
)
from antiphon.subagents.model.contract import (
    Capabilities,
    Completion,
    Message,
    Model,
    Price,
    Request,
    ToolCall,
    ToolSpec,
)
from antiphon.subagents.model.price import Unpriced

Count = Callable[[str], int]

PRICE = Price(input="0.000003", output="0.000015", cache_write="0.00000375", cached="0.0000003")
NAME = "some/model"


class Silent:
    """A client that is never asked anything."""

    async def complete(self, request: Request) -> Completion:
        """Nothing is sent in these tests."""
        raise AssertionError(request)

    async def close(self) -> None:
        """It holds nothing."""


def model_of(can: Capabilities) -> Model:
    return Model(name=NAME, client=Silent(), can=can, provider="some", lineage="some")


def request_of(text: str, *, max_tokens: int = 1_000) -> Request:
    return Request(model=NAME, messages=(Message(role="user", text=text),), max_tokens=max_tokens)


def left(**limited: int) -> Callable[[Dimension], int | None]:
    return dict(limited).get


# --- the bound against real tokenizers -------------------------------------------------------------------------------

# litellm ships the files of these, so that they are there without a network.
_SHIPPED = Path(str((find_spec("litellm") or pytest.fail("litellm is not installed")).origin)).parent
_TOKENIZERS = _SHIPPED / "litellm_core_utils" / "tokenizers"
_TIKTOKEN = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"


def tiktoken_count(name: str) -> Count:
    """OpenAI's tokenizer."""
    from tiktoken import get_encoding

    file = _TOKENIZERS / hashlib.sha1(_TIKTOKEN.format(name).encode()).hexdigest()
    assert file.is_file(), "not shipped any more: it would be fetched"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TIKTOKEN_CACHE_DIR", str(_TOKENIZERS))
        encoding = get_encoding(name)
    return lambda text: len(encoding.encode_ordinary(text.encode("utf-8", "replace").decode()))


def anthropic_count() -> Count:
    """The tokenizer that Anthropic published for Claude 2: it normalizes (NFKC) first."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(_TOKENIZERS / "anthropic_tokenizer.json"))
    return lambda text: len(tokenizer.encode(text.encode("utf-8", "replace").decode()).ids)


@cache
def counts() -> tuple[Count, ...]:
    """Tokenizers of two families; and the worst there can be: one token for each byte."""
    return tiktoken_count("cl100k_base"), tiktoken_count("o200k_base"), anthropic_count(), bytes_count


def bytes_count(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def chat_ml(request: Request) -> str:
    """A request as many open models' templates write it: the delimiters here even count as ordinary text."""
    tools = "".join(json.dumps(each(tool), indent=4, ensure_ascii=False) + "\n" for tool in request.tools)
    schema = "" if request.schema is None else json.dumps(dict(request.schema), indent=4)
    head = f"<|im_start|>system\nYou may call these:\n{tools}{schema}<|im_end|>\n" if tools or schema else ""
    return head + "".join(map(turn, request.messages)) + "<|im_start|>assistant\n"


def each(tool: ToolSpec) -> object:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def turn(message: Message) -> str:
    calls = "".join(f"\n<tool_call>\n{json.dumps(called(call))}\n</tool_call>" for call in message.calls)
    text = json.dumps(message.text) if message.role == "tool" else message.text
    return f"<|im_start|>{message.role}\n{text}{calls}<|im_end|>\n"


def called(call: ToolCall) -> object:
    return {"name": call.name, "arguments": call.arguments}


ODD = st.sampled_from(
    ["ﷺ", "<|im_end|>", "👩‍👩‍👧‍👦", "\x00\x01", "\ud800", "㍿", "़्", "𓀀", "<<<<>>>>&&", '"\\"', "\r\n\t  "]
)
TEXTS = st.lists(st.text(max_size=60) | ODD | st.sampled_from(["return x", " the", "        "]), max_size=8).map(
    "".join
)
CALLS = st.builds(
    ToolCall,
    id=st.text("abc_", min_size=1, max_size=20),
    name=st.text("abc_", min_size=1, max_size=20),
    arguments=TEXTS.map(lambda text: json.dumps({"text": text})) | TEXTS,
)
MESSAGES = st.one_of(
    st.builds(Message, role=st.sampled_from(["system", "user"]), text=TEXTS),
    st.builds(Message, role=st.just("assistant"), text=TEXTS, calls=st.lists(CALLS, max_size=3).map(tuple)),
    st.builds(Message, role=st.just("tool"), text=TEXTS, answers=st.just("call_1")),
)
SCHEMAS = st.recursive(
    st.sampled_from([{"type": "string"}, {"type": "integer", "minimum": 1}, {"enum": ["<a>", "b & c"]}]),
    lambda inner: st.dictionaries(st.text(max_size=9), inner, max_size=4).map(
        lambda fields: {"type": "object", "properties": fields, "required": list(fields)}
    ),
    max_leaves=6,
)
TOOLS = st.builds(ToolSpec, name=st.text("abc_", min_size=1, max_size=64), description=TEXTS, parameters=SCHEMAS)
REQUESTS = st.builds(
    Request,
    model=st.just(NAME),
    messages=st.lists(MESSAGES, max_size=6).map(tuple),
    tools=st.lists(TOOLS, max_size=3).map(tuple),
    schema=st.none() | SCHEMAS,
)


@given(REQUESTS)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_tokenizer_counts_more_than_the_bound(request: Request) -> None:
    written, bound = chat_ml(request), input_bound(request)
    for count in counts():
        assert count(written) <= bound


def test_a_character_that_normalizing_makes_eleven_times_as_long_is_bounded_by_that() -> None:
    assert len("ﷺ".encode()) == 3
    assert input_bound(request_of("ﷺ" * 1_000)) - input_bound(request_of("")) == 33_000


@given(st.text(alphabet=st.sampled_from("aeou\u0301\u0323\u031b\u0308\u01d8ấﬃﷺ각\u11a8\ud800"), max_size=12))
@settings(deadline=None)
def test_no_order_of_letters_and_marks_normalizes_to_more_than_the_bound(text: str) -> None:
    sent = text.encode("utf-8", "backslashreplace").decode()
    normalized = unicodedata.normalize("NFKC", sent)
    assert max(bytes_count(sent), bytes_count(normalized)) <= input_bound(request_of(text)) - input_bound(
        request_of("")
    )


def test_marks_piled_up_by_a_stranger_are_counted_without_being_put_in_order() -> None:
    piled = "\u0301\u0323" * 400_000  # to normalize this takes minutes
    assert input_bound(request_of(piled)) - input_bound(request_of("")) == 1_600_000


def test_ordinary_text_is_bounded_by_its_bytes() -> None:
    assert input_bound(request_of("naïve")) - input_bound(request_of("")) == 6
    assert input_bound(request_of("각")) - input_bound(request_of("")) == 3
    assert input_bound(request_of("x" * 5_000)) - input_bound(request_of("")) == 5_000
    assert input_bound(request_of("\udc80")) - input_bound(request_of("")) == len("\\udc80")


def test_tools_a_schema_and_what_was_called_before_all_count() -> None:
    plain = request_of("x")
    tool = ToolSpec(name="grep", description="find", parameters={"type": "object", "properties": {}})
    calls = (ToolCall("call_1", "grep", '{"pattern": "x"}'),)
    assert input_bound(replace(plain, tools=(tool,))) > input_bound(plain) + 1_024
    assert input_bound(replace(plain, schema=tool.parameters)) > input_bound(plain) + 1_024
    said = Request(model=NAME, messages=(Message(role="assistant", text="x", calls=calls),))
    assert input_bound(said) > input_bound(plain) + len(calls[0].arguments)


# --- worst cases -----------------------------------------------------------------------------------------------------


def test_the_worst_case_takes_the_dearest_class_on_both_sides_and_every_count() -> None:
    request = request_of("x" * 1_000)
    bound = input_bound(request)
    assert worst_case(model_of(Capabilities(price=PRICE)), request) == Amount.from_json(
        {
            "usd": bound * 3_750 + 1_000 * 15_000,
            "input_tokens": bound,
            "cached_input_tokens": bound,
            "cache_write_tokens": bound,
            "output_tokens": 1_000,
            "reasoning_tokens": 1_000,
            "model_calls": 1,
        }
    )


def test_a_dearer_tier_below_the_highest_is_the_worst_case() -> None:
    odd = Price(
        input="0.000001", output="0", above={10: Price(input="0.000009", output="0"), 20: Price(input="0", output="0")}
    )
    request = request_of("x")
    assert worst_case(model_of(Capabilities(price=odd)), request).count("usd") == input_bound(request) * 9_000


def test_a_tier_that_the_prompt_cannot_reach_does_not_count() -> None:
    tiered = Price(input="0.000001", output="0", above={100_000: Price(input="1", output="1")})
    request = request_of("x")
    assert worst_case(model_of(Capabilities(price=tiered)), request).count("usd") == input_bound(request) * 1_000


def test_writing_to_a_cache_is_only_reserved_where_it_can_happen() -> None:
    plain = Capabilities(price=Price(input="0", output="0"))
    marked = Request(model=NAME, messages=(Message(role="user", text="x", cached=True),))
    assert worst_case(model_of(plain), request_of("x")).count("cache_write_tokens") == 0
    assert worst_case(model_of(plain), marked).count("cache_write_tokens") == input_bound(marked)


def test_an_unpriced_model_is_refused_where_usd_are_limited_and_only_there() -> None:
    unknown, request = model_of(Capabilities()), request_of("x")
    assert worst_case(unknown, request, left(output_tokens=5)).count("usd") == 0
    assert fitted(unknown, request, left(), least=1) == request
    for refusing in (
        lambda: worst_case(unknown, request, left(usd=10**12)),
        lambda: fitted(unknown, request, left(usd=0), least=1),
    ):
        with pytest.raises(Unpriced, match=NAME) as caught:
            refusing()
        assert f"--price {NAME}=IN/OUT" in str(caught.value.advice)


def test_a_model_that_costs_nothing_is_never_refused() -> None:
    free, request = model_of(Capabilities(price=Price(input="0", output="0"))), request_of("x")
    assert fitted(free, request, left(usd=0), least=1) == request
    assert worst_case(free, request, left(usd=0)).count("usd") == 0


# --- fitting ---------------------------------------------------------------------------------------------------------


def test_an_answer_shrinks_to_the_money_that_remains() -> None:
    request = request_of("x")
    prompt = input_bound(request) * 3_750
    sent = fitted(model_of(Capabilities(price=PRICE)), request, left(usd=prompt + 400 * 15_000 + 14_999), least=256)
    assert sent.max_tokens == 400


def test_an_answer_shrinks_to_the_tokens_that_remain_and_to_what_the_model_can_write() -> None:
    free, request = Capabilities(price=Price(input="0", output="0")), request_of("x")
    assert fitted(model_of(free), request, left(output_tokens=300), least=256).max_tokens == 300
    assert fitted(model_of(free), request, left(reasoning_tokens=301, output_tokens=999), least=256).max_tokens == 301
    short = Capabilities(price=Price(input="0", output="0"), output=64)
    assert fitted(model_of(short), request, left(), least=256).max_tokens == 64


def test_rather_than_below_what_is_worth_having_it_stays_as_it_was() -> None:
    can, request = Capabilities(price=PRICE, output=900), request_of("x")
    poor = fitted(model_of(can), request, left(usd=input_bound(request) * 3_750 + 255 * 15_000), least=256)
    assert poor.max_tokens == 900, "the engine waits for others to settle, or refuses"
    assert fitted(model_of(can), request, left(usd=1), least=256).max_tokens == 900
    assert fitted(model_of(can), request, left(output_tokens=0), least=256).max_tokens == 900


def test_a_long_conversation_keeps_room_to_answer_in() -> None:
    can = Capabilities(price=Price(input="0", output="0"), window=128_000)
    near = request_of("word " * 24_000, max_tokens=8_000)
    assert input_bound(near) > 120_000
    assert fitted(model_of(can), near, left(), least=256).max_tokens == 8_000
    assert fitted(model_of(can), request_of("x" * 250_000, max_tokens=8_000), left(), least=256).max_tokens < 3_000


@pytest.mark.checkout
def test_the_page_on_models_has_these_figures() -> None:
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    for what, tokens in {
        "the conversation": CONVERSATION_TOKENS,
        "each message": MESSAGE_TOKENS,
        "each earlier call of a tool": CALL_TOKENS,
        "having tools or a schema at all": TOOLS_TOKENS,
        "each tool": TOOL_TOKENS,
    }.items():
        assert re.search(rf"^\| {what} \| {tokens:,}[, |]", page, re.MULTILINE), what


def test_the_id_of_an_answered_call_counts_in_bytes() -> None:
    """A model may have given it any characters, and some templates say it again."""
    plain, odd = (
        input_bound(Request(model="m", messages=(Message(role="tool", answers=id_),))) for id_ in ("aaaa", "龍龍龍龍")
    )
    assert odd - plain == 8
