"""JSON with one entry a line: short enough for thousands of findings, and still for a person and for a diff.

`json.dumps` with an indent is written in Python and ten times slower than without, so only the outer levels are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from antiphon.tracing.log import Json

_encode = json.JSONEncoder(sort_keys=True, ensure_ascii=True, allow_nan=False).encode


def lined(value: Json, levels: int) -> str:
    """A value as JSON text in ASCII, keys sorted, with the entries of the outer `levels` each on a line of its own."""
    return "".join(_pieces(value, levels)).replace("\x7f", "\\u007f") + "\n"


def _pieces(value: Json, levels: int) -> Iterable[str]:
    if levels and value and isinstance(value, dict):
        opening, closing = "{\n", "\n}"
        entries = [(f"{_encode(name)}: ", value[name]) for name in sorted(value)]
    elif levels and value and isinstance(value, list):
        opening, closing = "[\n", "\n]"
        entries = [("", item) for item in value]
    else:
        yield _encode(value)
        return
    yield opening
    for place, (name, item) in enumerate(entries):
        yield f",\n{name}" if place else name
        yield from _pieces(item, levels - 1)
    yield closing
