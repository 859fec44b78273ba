"""What is known of models before they are asked, against litellm's own map and its own arithmetic."""

import subprocess
import sys
from decimal import Decimal
from typing import cast

import pytest

from antiphon.engine import UsageError
from antiphon.subagents.model import Price, Usage
from antiphon.subagents.model.catalogue import FREE, capabilities, price_map, provider_of
from antiphon.subagents.model.naming import ModelName, lineage_of, taken_apart
from antiphon.subagents.model.price import cost


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("openai/gpt-5", ModelName("openai", "gpt-5")),
        ("gpt-5", ModelName("", "gpt-5")),
        ("openrouter/meta-llama/llama-3", ModelName("openrouter", "meta-llama/llama-3")),
        ("vertex_ai/claude-sonnet-4@20250514", ModelName("vertex_ai", "claude-sonnet-4@20250514")),
        ("file:/tmp/answers", ModelName("file", "/tmp/answers")),
        ("openai/m@http://127.0.0.1:8000/v1/", ModelName("openai", "m", "http://127.0.0.1:8000/v1")),
        ("m@https://host/v1", ModelName("openai", "m", "https://host/v1")),
        (
            "openai/m@http://[::1]:8000/v1#tools,schema,window=32768",
            ModelName("openai", "m", "http://[::1]:8000/v1", frozenset({"tools", "schema"}), {"window": 32768}),
        ),
    ],
)
def test_a_name_is_taken_apart(name: str, parts: ModelName) -> None:
    assert taken_apart(name) == parts


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "no model's name"),
        ("openai/", "no model's name"),
        ("/gpt", "no model's name"),
        ("openai/m@http://", "no http address"),
        ("openai/m@http://host:port/v1", "no http address"),
        ("openai/m@http://ho st/v1", "no http address"),
        ("openai/m@http://me:secret@host/v1", "holds a password"),
        ("openai/m@http://host/v1#sings", "nothing that a model can"),
        ("openai/m@http://host/v1#window=much", "nothing that a model can"),
    ],
)
def test_a_name_that_cannot_be_read_is_a_usage_error_without_its_password(name: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as raised:
        taken_apart(name)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "lineage", "provider"),
    [
        ("openai/gpt-5-mini", "gpt", "openai"),
        ("gpt-4o", "gpt", "openai"),
        ("openai/o3", "gpt", "openai"),
        ("openrouter/openai/gpt-4o", "gpt", "openrouter"),
        ("anthropic/claude-sonnet-4-5", "claude", "anthropic"),
        ("bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0", "claude", "bedrock"),
        ("ollama/llama3.1:70b", "llama", "ollama"),
        ("groq/deepseek-r1-distill-llama-70b", "deepseek", "groq"),
        ("mistral/codestral-latest", "mistral", "mistral"),
        ("openai/Mine@http://127.0.0.1:8000/v1", "mine", "openai@127.0.0.1:8000"),
        ("file:/tmp/a", "file:/tmp/a", "file"),
        ("nobody-knows", "nobody-knows", "unknown"),
    ],
)
def test_who_serves_a_model_and_which_family_it_is_of(name: str, lineage: str, provider: str) -> None:
    assert (lineage_of(name), provider_of(name)) == (lineage, provider)


def test_a_known_model_is_known_with_and_without_its_provider() -> None:
    found = capabilities("openai/gpt-4o")
    assert found == capabilities("gpt-4o")
    assert (found.window, found.output, found.schema, found.tools) == (128_000, 16_384, True, True)
    assert found.price == Price(input="0.0000025", output="0.00001", cached="0.00000125")


def test_a_model_of_another_provider_lends_neither_price_nor_abilities() -> None:
    assert "claude-sonnet-4-5" in price_map()
    assert capabilities("groq/claude-sonnet-4-5") == capabilities("groq/nobody-knows")
    assert capabilities("groq/nobody-knows").price is None


def test_a_server_of_ones_own_has_the_abilities_of_the_name_and_no_price() -> None:
    found = capabilities("openai/gpt-4o@http://127.0.0.1:1/v1#caching,window=9000")
    assert (found.window, found.tools, found.caching, found.price) == (9000, True, True, None)
    unknown = capabilities("compatible/mine@http://127.0.0.1:1/v1#tools")
    assert (unknown.window, unknown.tools, unknown.schema, unknown.price) == (None, True, False, None)


@pytest.mark.parametrize("name", ["ollama/whatever@https://models.example.com", "lm_studio/m@http://10.0.0.7:1/v1"])
def test_a_local_providers_model_at_another_machine_may_cost_something(name: str) -> None:
    assert capabilities(name).price is None


@pytest.mark.parametrize("name", ["ollama/whatever", "ollama_chat/llama3@http://127.0.0.1:1", "file:/tmp/a"])
def test_what_runs_on_ones_own_machine_costs_nothing(name: str) -> None:
    price = capabilities(name).price
    assert price is not None
    assert cost(price, Usage(input=10**6, cached=10**6, cache_write=10**6, output=10**6, reasoning=10**6)) == 0


@pytest.mark.parametrize("name", ["perplexity/sonar", "perplexity/sonar-medium-online"])
def test_a_price_that_is_not_of_tokens_alone_is_none(name: str) -> None:
    assert name in price_map()
    assert capabilities(name).price is None


@pytest.mark.parametrize(
    ("name", "marked"),
    [
        ("anthropic/claude-sonnet-4-5", True),
        ("vertex_ai/claude-sonnet-4-5", True),
        ("openai/gpt-4o", False),
        ("gemini/gemini-2.5-pro", False),
        ("vertex_ai/gemini-2.5-pro", False),
    ],
)
def test_cache_markers_go_only_to_models_that_take_them(name: str, marked: bool) -> None:
    assert name.partition("/")[2] in price_map() or name in price_map()
    assert capabilities(name).caching == marked


def test_every_price_is_exactly_what_the_map_says() -> None:
    seen = 0
    for name, row in price_map().items():
        price = capabilities(name).price if "@http" not in name else None
        told = row.get("input_cost_per_token")
        if price is None or price == FREE or not isinstance(told, float):
            continue
        seen += 1
        assert Decimal(price.input) == Decimal(repr(told))
        assert float(price.output) == cast(float, row["output_cost_per_token"])
    assert seen > 1000


TIERED = ("gemini/gemini-2.5-pro", "vertex_ai/claude-sonnet-4-5", "dashscope/qwen-flash", "claude-sonnet-4-5", "gpt-5")


@pytest.mark.parametrize("name", TIERED)
@pytest.mark.parametrize("prompt", [1_000, 200_000, 200_001, 256_000, 256_001])
def test_costs_are_what_litellm_computes(name: str, prompt: int) -> None:
    from antiphon.subagents.model.litellm_home import imported

    litellm = imported()
    usage = Usage(input=prompt - 300, cached=200, cache_write=100 if "claude" in name else 0, output=70)
    total = usage.input + usage.cached + usage.cache_write
    asked, written = litellm.cost_per_token(
        model=name,
        prompt_tokens=total,
        completion_tokens=usage.output,
        usage_object=litellm.Usage(
            prompt_tokens=total,
            completion_tokens=usage.output,
            total_tokens=total + usage.output,
            cache_read_input_tokens=usage.cached,
            cache_creation_input_tokens=usage.cache_write,
        ),
    )
    price = capabilities(name).price
    assert price is not None
    assert cost(price, usage) == pytest.approx((asked + written) * 1e9, abs=1)


def test_nothing_of_litellm_is_imported_for_it() -> None:
    script = (
        "import sys\n"
        "from antiphon.subagents.model import Models\n"
        "from antiphon.subagents.model.litellm_client import LitellmClient\n"
        "from antiphon.subagents.model.compatible import CompatibleClient\n"
        "assert Models.of(['gpt-4o']).model_for('worker').can.price\n"
        "print(sorted({'litellm', 'openai', 'httpx', 'httpx2', 'aiohttp', 'mcp'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
