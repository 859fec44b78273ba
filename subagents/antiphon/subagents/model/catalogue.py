"""What is known of a model before it is asked: its window, what it can do, and its price.

All of it is read from the price map inside the litellm package, which is found without importing litellm: the import
takes seconds, the file takes milliseconds. What the map does not know is not guessed, and a price that cannot be told
by tokens alone (a fee for each request or search) is no price.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import cast
from urllib.parse import urlsplit

from antiphon.subagents.model.contract import Capabilities, Price
from antiphon.subagents.model.naming import ModelName, is_loopback, lineage_of, taken_apart

__all__ = ["FREE", "capabilities", "lineage_of", "listed_provider", "provider_of"]

Entry = Mapping[str, object]

MAP_FILE = "model_prices_and_context_window_backup.json"
FREE = Price(input="0", output="0", cached="0", cache_write="0", reasoning="0")
LOCAL = frozenset({"ollama", "ollama_chat", "lm_studio", "llamafile", "file"})
"""Providers that run on the user's own machine, unless another is named: no price a token, whatever the model."""
CHAT = frozenset({"chat", "responses"})
MARKED = frozenset({"anthropic", "bedrock", "bedrock_converse", "vertex_ai", "azure_ai", "openrouter"})
"""Providers whose Claude models litellm hands cache markers to. Others cache by themselves or not at all; for Gemini a
marker makes litellm create a cache by requests of its own, which nobody reserved money for."""
INCLUSIVE = frozenset({"xai"})
"""Providers whose dearer tier begins at its threshold, not after it."""
ABOVE = re.compile(r"^(?:input|output)_cost_per_token_above_(\d+)(k?)_tokens$")
FEES = frozenset({"input_cost_per_request", "citation_cost_per_token"})
SEARCHES = frozenset({"perplexity"})
"""Providers that bill a search with each request, by what they did and not by tokens."""
SPELLED = MappingProxyType({"amazon-nova": "amazon_nova", "cohere": "cohere_chat", "compatible": "openai"})


def capabilities(name: str) -> Capabilities:
    """What is known of the model that a person calls `name`.

    Of a model behind an address of its own (``openai/NAME@URL``) the price is not known, whatever its name; what it can
    is what the person says after ``#``, and what the map says of that name.

    Raises:
        UsageError: the name cannot be read.
    """
    parts = taken_apart(name)
    if parts.provider == "file":
        from antiphon.subagents.model.file_client import file_capabilities

        return file_capabilities(parts.name)
    entry = _entry(parts)
    known = Capabilities() if entry is None else _read(entry, parts.name)
    here = parts.provider in LOCAL and (parts.url is None or is_loopback(parts.url))
    price = FREE if here else None if parts.url else known.price
    return Capabilities(
        window=parts.sizes.get("window", known.window),
        output=parts.sizes.get("output", known.output),
        schema=known.schema or "schema" in parts.can,
        tools=known.tools or "tools" in parts.can,
        caching=known.caching or "caching" in parts.can,
        price=price,
    )


def provider_of(name: str) -> str:
    """Which breaker and which rates a model falls under: its provider, or the server where one is named.

    Two servers of one kind fail apart, so ``openai/m@http://127.0.0.1:8000/v1`` is ``openai@127.0.0.1:8000``.
    """
    parts = taken_apart(name)
    provider = parts.provider or listed_provider(parts.name) or "unknown"
    return f"{provider}@{urlsplit(parts.url).netloc}" if parts.url else provider


def listed_provider(name: str) -> str | None:
    """Who serves a model that was named without its provider, as the map says; None if the map has no such name."""
    entry = price_map().get(name)
    provider = entry.get("litellm_provider") if entry else None
    return provider if isinstance(provider, str) else None


def litellm_places() -> tuple[Path, ...]:
    """Where the litellm package is; none of it is run."""
    spec = importlib.util.find_spec("litellm")
    return tuple(Path(place) for place in (spec.submodule_search_locations or ())) if spec else ()


@lru_cache(maxsize=1)
def price_map() -> Mapping[str, Entry]:
    """The map inside the litellm package, by name; empty where litellm is not installed or its map cannot be read."""
    for place in litellm_places():
        try:
            read = cast(object, json.loads((place / MAP_FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError):
            continue
        if isinstance(read, dict):
            rows = cast("dict[str, object]", read)
            return {name: cast(Entry, row) for name, row in rows.items() if isinstance(row, dict)}
    return {}


def _entry(parts: ModelName) -> Entry | None:
    """The map's entry for a model of this provider; never one of another provider that has the same name."""
    known = price_map()
    if entry := known.get(parts.full):
        return entry
    entry = known.get(parts.name)
    return entry if entry and _serves(parts.provider, str(entry.get("litellm_provider", ""))) else None


def _serves(provider: str, listed: str) -> bool:
    if not provider or SPELLED.get(provider, provider) == listed:
        return True
    return provider in {"bedrock", "vertex_ai"} and listed.startswith(provider)


def _read(entry: Entry, name: str) -> Capabilities:
    provider = str(entry.get("litellm_provider", ""))
    chats = entry.get("mode") in CHAT
    return Capabilities(
        window=_tokens(entry, "max_input_tokens"),
        output=_tokens(entry, "max_output_tokens"),
        schema=chats and entry.get("supports_response_schema") is True,
        tools=chats and entry.get("supports_function_calling") is True,
        caching=chats and entry.get("supports_prompt_caching") is True and _is_marked(provider, name),
        price=_price(entry, provider) if chats else None,
    )


def _is_marked(provider: str, name: str) -> bool:
    return provider.partition("-")[0] in MARKED and "claude" in name


def _price(entry: Entry, provider: str) -> Price | None:
    if FEES & entry.keys() or (provider in SEARCHES and "search_context_cost_per_query" in entry):
        return None
    tiers = entry.get("tiered_pricing")
    if isinstance(tiers, list):
        return _by_ranges(entry, cast("list[object]", tiers))
    base = _rates(entry, "")
    return None if base is None else _with_tiers(base, _by_thresholds(entry, base, provider))


def _by_thresholds(entry: Entry, base: Price, provider: str) -> dict[int, Price]:
    """Dearer prices by where they begin; what a tier does not say is as in the tier below it."""
    found = {int(hit[1]) * (1000 if hit[2] else 1): hit[1] + hit[2] for key in entry if (hit := ABOVE.match(key))}
    above: dict[int, Price] = {}
    below = base
    for tokens in sorted(found):
        below = _rates(entry, f"_above_{found[tokens]}_tokens", below) or below
        above[tokens - 1 if provider in INCLUSIVE else tokens] = below
    return above


def _by_ranges(entry: Entry, tiers: list[object]) -> Price | None:
    """Prices that the map tells as a list of ranges: the first is the base, the others hold above their beginning."""
    found: list[tuple[int, Price]] = []
    for tier in tiers:
        begins = _begin(tier)
        rates = _rates({"output_cost_per_token": entry.get("output_cost_per_token"), **cast(Entry, tier)}, "")
        if begins is None or rates is None:
            return None
        found.append((begins, rates))
    found.sort(key=lambda pair: pair[0])
    return _with_tiers(found[0][1], dict(found[1:])) if found else None


def _begin(tier: object) -> int | None:
    ends = cast(Entry, tier).get("range") if isinstance(tier, dict) else None
    first = cast("list[object]", ends)[0] if isinstance(ends, list) and ends else None
    return int(first) if isinstance(first, int | float) else None


def _with_tiers(base: Price, above: Mapping[int, Price]) -> Price:
    return Price(
        input=base.input,
        output=base.output,
        cached=base.cached,
        cache_write=base.cache_write,
        reasoning=base.reasoning,
        above=above,
    )


def _rates(entry: Entry, suffix: str, below: Price | None = None) -> Price | None:
    """The prices of one tier; None where what is read and what is written have none."""
    given = _usd(entry, f"input_cost_per_token{suffix}") or (below.input if below else None)
    written = _usd(entry, f"output_cost_per_token{suffix}") or (below.output if below else None)
    if given is None or written is None:
        return None
    return Price(
        input=given,
        output=written,
        cached=_usd(entry, f"cache_read_input_token_cost{suffix}") or (below.cached if below else None),
        cache_write=_usd(entry, f"cache_creation_input_token_cost{suffix}") or (below.cache_write if below else None),
        reasoning=_usd(entry, f"output_cost_per_reasoning_token{suffix}") or (below.reasoning if below else None),
    )


def _usd(entry: Entry, key: str) -> str | None:
    """A price as exact decimal text: the shortest that names the same float, which is what the map's author wrote."""
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        return None
    return format(Decimal(repr(value)).normalize(), "f")


def _tokens(entry: Entry, key: str) -> int | None:
    value = entry.get(key)
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None
