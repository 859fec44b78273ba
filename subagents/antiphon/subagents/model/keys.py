"""Keys of servers that have an address of their own: which variable holds one, and when it is sent."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from antiphon.subagents.model.guard import is_loopback

NO_KEY = "none"
"""What is sent as a key to a server that has none: some clients refuse to send nothing."""


def key_for(provider: str, url: str) -> str:
    """The key for a server with an address of its own: the provider's, by ``OPENAI_API_KEY`` for ``openai/…@URL``.

    Over plain http it is sent to this machine only; elsewhere somebody could read it on the way.
    """
    return NO_KEY if unsent_key(provider, url) else os.environ.get(variable_of(provider)) or NO_KEY


def unsent_key(provider: str, url: str | None) -> str:
    """Why the key for a server is not sent to it although there is one; "" where it is, or where there is none."""
    if not url or urlsplit(url).scheme == "https" or is_loopback(url) or not os.environ.get(variable_of(provider)):
        return ""
    return f"{variable_of(provider)} is not sent over plain http"


def variable_of(provider: str) -> str:
    """The environment variable that holds a provider's key, as litellm names it."""
    return f"{provider.upper().replace('-', '_')}_API_KEY"
