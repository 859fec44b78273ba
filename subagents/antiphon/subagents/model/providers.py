"""Which providers litellm knows, read from the files of its package without importing it: a typo is found at once."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import cast

from antiphon.engine import UsageError
from antiphon.subagents.model.catalogue import litellm_places, price_map
from antiphon.subagents.model.naming import ModelName

UNLISTED = frozenset({"vertex_ai_beta", "sagemaker_nova", "litellm_agent", "custom"})
"""Providers that litellm takes and lists nowhere but in its code."""


def check_provider(parts: ModelName) -> None:
    """Make sure that litellm knows who serves a model.

    Raises:
        UsageError: no such provider, or a bare name that is not in litellm's map.
    """
    known = known_providers()
    if not known or parts.provider in known or (not parts.provider and parts.name in price_map()):
        return
    if not parts.provider:
        raise UsageError(
            f"no provider is known for the model {parts.name[:80]!r}",
            advice=f"write the provider in front, such as openai/{parts.name[:80]}",
        )
    near = difflib.get_close_matches(parts.provider, known, n=3)
    advice = f"did you mean {' or '.join(near)}?" if near else "docs.litellm.ai/docs/providers lists them"
    raise UsageError(f"litellm knows no provider {parts.provider[:80]!r}", advice=advice)


@lru_cache(maxsize=1)
def known_providers() -> frozenset[str]:
    """Names that may stand before the slash; empty where litellm is not installed."""
    return frozenset(name for place in litellm_places() for name in _of_package(place))


def _of_package(place: Path) -> frozenset[str]:
    listed = _keys(place / "provider_endpoints_support_backup.json", "providers")
    compatible = _keys(place / "llms" / "openai_like" / "providers.json")
    folders = (folder.name for folder in _folders(place / "llms") if not folder.name.startswith("_"))
    priced = (name.partition("/")[0] for name in price_map() if "/" in name)
    owners = (str(row["litellm_provider"]) for row in price_map().values() if row.get("litellm_provider"))
    return frozenset((*listed, *compatible, *folders, *priced, *owners, *UNLISTED))


def _folders(place: Path) -> Iterator[Path]:
    return (folder for folder in place.iterdir() if folder.is_dir()) if place.is_dir() else iter(())


def _keys(file: Path, under: str = "") -> list[str]:
    try:
        read = cast(object, json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return []
    table = cast("dict[str, object]", read).get(under) if under and isinstance(read, dict) else read
    return list(cast("dict[str, object]", table)) if isinstance(table, dict) else []
