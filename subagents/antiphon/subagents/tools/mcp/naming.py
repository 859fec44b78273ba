"""What a server's tools are called here: ``SERVER__tool``, in characters that every provider takes."""

from __future__ import annotations

import hashlib
import re
from typing import Final

CHARACTERS: Final = 64
SEPARATOR: Final = "__"
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]")
_HASH_CHARACTERS: Final = 8


def tool_name(server: str, tool: str) -> str:
    """The name under which a model calls a server's tool. Different tools may get the same: whoever asks looks."""
    name = f"{server}{SEPARATOR}{_UNSAFE.sub('_', tool)}"
    if len(name) <= CHARACTERS:
        return name
    # Surrogates are no UTF-8, and a stranger may send them.
    digest = hashlib.sha256(tool.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_CHARACTERS]
    return f"{name[: CHARACTERS - _HASH_CHARACTERS - 1]}_{digest}"


def is_mcp_name(name: str) -> bool:
    """Whether a tool's name, or a pattern such as ``SERVER__*``, is of a server's tool."""
    return SEPARATOR in name


def server_of(name: str) -> str:
    """The server that a tool's name, or a pattern, belongs to."""
    return name.partition(SEPARATOR)[0]
