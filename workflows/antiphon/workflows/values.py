"""What a run came to, as JSON: how its script's value is kept, and what its log says at the end."""

from __future__ import annotations

import json
from dataclasses import replace

from pydantic_core import to_json

from antiphon.engine import Run, RunResult, UsageError
from antiphon.engine.settings import LARGE_BYTES
from antiphon.tracing import Json


def valued(result: RunResult) -> tuple[RunResult, Json]:
    """The script's value as JSON. A run whose value cannot be that has failed, whatever else it did."""
    outcome = result.outcome
    if outcome is None or outcome.kind not in ("succeeded", "degraded"):
        return result, None
    try:
        return result, plain(outcome.value)
    except UsageError as error:
        return replace(result, kind="failed", reason=f"main returned a value that cannot be kept: {error}"), None


def ending(run: Run, result: RunResult, value: Json) -> dict[str, Json]:
    """What the last event of an attempt says: the script's value, the census, what is missing, what is asked."""
    text = json.dumps(value)
    large = len(text) > LARGE_BYTES and run.blobs is not None
    kept: dict[str, Json] = {"blob": run.blobs.put(text.encode())} if large and run.blobs else {"value": value}
    return {
        **kept,
        "census": {title: census.to_json() for title, census in result.census.items()},
        "calls": {title: census.to_json() for title, census in result.calls.items()},
        "reused": result.reuse.reused,
        "rebound": result.reuse.rebound,
        "performed": result.reuse.performed,
        "saved": dict(result.reuse.saved.to_json()),
        "missing": [[m.path, m.kind, m.reason] for m in result.missing[:200]],
        "pending": dict(result.pending),
        "denied": result.denied.to_json(),
        "unawaited": list[Json](run.unawaited),
    }


def plain(value: object) -> Json:
    """`value` as JSON: by its own `to_json`, as pydantic writes it, or as its text.

    Raises:
        UsageError: JSON cannot hold it: bytes and text that are no Unicode, what contains itself, endless nesting.
    """
    given = getattr(value, "to_json", None)
    if callable(given):
        value = given()
    try:
        result: Json = json.loads(to_json(value, fallback=repr, inf_nan_mode="strings"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"JSON cannot hold it ({' '.join(str(error).split())[:200]})") from None
    return result
