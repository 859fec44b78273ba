"""Names of models as a person types them, taken apart: ``provider/name@url#what it can``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from antiphon.engine import UsageError
from antiphon.subagents.model.guard import is_loopback

__all__ = ["ModelName", "is_loopback", "lineage_of", "taken_apart"]

FAMILIES: Mapping[str, str] = {
    r"claude": "claude",
    r"gemini": "gemini",
    r"gemma": "gemma",
    r"deepseek": "deepseek",
    r"qwen|qwq": "qwen",
    r"llama": "llama",
    r"mi[sxn]istral|mistral|mixtral|magistral|ministral|codestral|devstral|pixtral": "mistral",
    r"gpt|chatgpt|codex|davinci|\bo[1345](?=\b|-)": "gpt",
    r"grok": "grok",
    r"command": "command",
    r"\bphi": "phi",
    r"\bglm": "glm",
    r"kimi": "kimi",
    r"\bnova": "nova",
    r"granite": "granite",
    r"minimax": "minimax",
}
"""Families by what a model's name has in it, the first that fits: a distilled deepseek-llama is deepseek's."""
SAID = frozenset({"tools", "schema", "caching"})
SIZES = frozenset({"window", "output"})


@dataclass(frozen=True, slots=True)
class ModelName:
    """A model's name taken apart.

    Attributes:
        provider: who serves it: ``openai``. name: the rest, as the provider knows it.
        url: of the server, where one is named; None for the provider's own.
        can: what the person says it can do. sizes: and how large, in tokens: ``window``, ``output``.
    """

    provider: str
    name: str
    url: str | None = None
    can: frozenset[str] = frozenset()
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def full(self) -> str:
        """Provider and name, as litellm writes them."""
        return f"{self.provider}/{self.name}" if self.provider else self.name


def taken_apart(name: str) -> ModelName:
    """A model's name as its parts.

    Args:
        name: ``provider/name``, a bare name that litellm knows, ``file:DIR``, or either of the first two followed by
            ``@http://host:port/v1`` and, after ``#``, what that server's model can: ``#tools,schema,window=32768``.

    Raises:
        UsageError: no name, an address that is none or holds a password, or an ability that is unknown.
    """
    if name.startswith("file:"):
        return ModelName("file", name.removeprefix("file:"))
    bare, _, address = name.partition("@http")
    url, _, said = f"http{address}".partition("#") if address else ("", "", "")
    provider, slash, rest = bare.partition("/")
    if not slash:
        provider, rest = ("openai" if url else ""), bare
    if not rest or (slash and not provider):
        raise UsageError(
            f"{_short(name)} is no model's name", advice="write it as provider/name, such as ollama/llama3"
        )
    can, sizes = _abilities(said)
    return ModelName(provider, rest, _checked(url) if url else None, can, sizes)


def lineage_of(name: str) -> str:
    """The family that a model is of, whoever serves it; a model of no known family is its own.

    Claims of one lineage are one voice when support is counted, so two sizes of one family do not confirm each other.
    """
    parts = taken_apart(name)
    if parts.provider == "file":
        return f"file:{parts.name}"
    told = parts.name.lower()
    return next((family for sign, family in FAMILIES.items() if re.search(sign, told)), told)


def _abilities(said: str) -> tuple[frozenset[str], dict[str, int]]:
    can: set[str] = set()
    sizes: dict[str, int] = {}
    for part in filter(None, said.split(",")):
        key, _, value = part.partition("=")
        if key in SIZES and value.isdecimal() and len(value) < 12:
            sizes[key] = int(value)
        elif part in SAID:
            can.add(part)
        else:
            advice = "after # say any of tools, schema, caching, window=TOKENS, output=TOKENS"
            raise UsageError(f"{_short(part)} is nothing that a model can", advice=advice)
    return frozenset(can), sizes


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        sound, parts = False, urlsplit("")
    if parts.username or parts.password:
        raise UsageError("the address of a model holds a password", advice="put the key into the environment instead")
    if not sound or not url.isprintable() or " " in url:
        raise UsageError(f"{_short(url)} is no http address", advice="write it as openai/NAME@http://host:port/v1")
    return url.rstrip("/")


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
