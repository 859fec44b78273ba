"""What a server answered a call, as text for the model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from antiphon.subagents.tools.contract import ToolResult

if TYPE_CHECKING:
    from mcp.types import CallToolResult, EmbeddedResource, ResourceLink

CHARACTERS: Final = 200_000
"""Of one answer that are looked at; how many of them the model sees is the loop's to say."""
PARTS: Final = 1_000
_NAME: Final = 300


def told(result: CallToolResult) -> ToolResult:
    """The parts of an answer that are text, and a word for those that are not.

    Its structured content is told too, as JSON, unless that is what the text says already.
    """
    parts = list(_parts(result))
    if len(result.content) > PARTS:
        parts.append(f"[{len(result.content) - PARTS:,} more parts, not shown]")
    text = "\n".join(part for part in parts if part)
    if result.structured_content is not None:
        written = json.dumps(result.structured_content, ensure_ascii=False, sort_keys=True)
        if not _says(text, result.structured_content):
            text = f"{text}\n{written}" if text else written
    return ToolResult(capped(text or "(nothing)"), failed=result.is_error)


def capped(text: str) -> str:
    """At most so many characters as are looked at."""
    return text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]}\n[{len(text) - CHARACTERS:,} more characters]"


def without(text: str, secrets: Mapping[str, str]) -> str:
    """The text without the values that the server was given from the user's environment, in case it repeats them.

    A value is found as it is and as JSON writes it; the longest first, as one may be a part of another.
    """
    for name, value in sorted(secrets.items(), key=lambda secret: len(secret[1]), reverse=True):
        for form in dict.fromkeys((value, *(json.dumps(value, ensure_ascii=only)[1:-1] for only in (True, False)))):
            text = text.replace(form, f"[${name}]")
    return text


def _parts(result: CallToolResult) -> Iterator[str]:
    for part in result.content[:PARTS]:
        match part.type:
            case "text":
                yield part.text
            case "image" | "audio":
                yield f"[{part.type} of {part.mime_type[:_NAME]}, {_size(part.data):,} bytes: not shown]"
            case "resource_link":
                yield _linked(part)
            case "resource":
                yield _embedded(part)


def _linked(part: ResourceLink) -> str:
    described = f": {part.description[:_NAME]}" if part.description else ""
    return f"[resource {str(part.uri)[:_NAME]} ({part.name[:_NAME]}){described}]"


def _embedded(part: EmbeddedResource) -> str:
    resource, uri = part.resource, str(part.resource.uri)[:_NAME]
    blob = cast("object", getattr(resource, "blob", None))
    if isinstance(blob, str):
        return f"[resource {uri} of {(resource.mime_type or 'no type')[:_NAME]}, {_size(blob):,} bytes: not shown]"
    return f"[resource {uri}]\n{getattr(resource, 'text', '')}"


def _size(base64: str) -> int:
    return len(base64) * 3 // 4


def _says(text: str, structured: Any) -> bool:
    """Whether the text is the structured content already: servers are told to say both."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        said = text
    return bool(said == structured or structured == {"result": said})
