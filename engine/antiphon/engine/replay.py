"""Replay: a call's outcome taken from the journal, and which recorded outcomes are performed again all the same."""

from __future__ import annotations

import json
from typing import Any

from antiphon.engine.amount import INDEX
from antiphon.engine.errors import UsageError
from antiphon.engine.history import Durable
from antiphon.engine.outcome import Degraded, Denied, Failed, Missing, Outcome, OverBudget, Succeeded, TimedOut
from antiphon.engine.place import Place
from antiphon.tracing.log import Json


def recorded(place: Place) -> Durable | None:
    run = place.branch.run
    durable = run.journal.find(place.path, place.hash)
    if durable is None or _performed_again(place, durable):
        return None
    return durable


def _performed_again(place: Place, durable: Durable) -> bool:
    """Whether a recorded outcome is one that a resume performs again: a raised limit, or --retry-failed."""
    data, retry = durable.data, place.branch.run.settings.retry_failed
    if durable.kind == "over_budget":
        limit = _limit_now(place, str(data.get("scope", "")), str(data.get("dimension", "")))
        if limit is None or limit > int(data.get("limit", 0)):
            return True
    if durable.kind == "timed_out" and (given := data.get("limit")) is not None:
        seconds = place.call.limits.wall_seconds if place.call.limits else None
        if seconds is None or seconds > float(given):
            return True
    if durable.kind in ("succeeded", "degraded") or not retry:
        return False
    return bool(retry & {"*", durable.kind, str(data.get("category", ""))})


def _limit_now(place: Place, scope: str, dimension: str) -> int | None:
    return own_limit(place, dimension) if scope == place.path else place.branch.limit_of(scope, dimension)


def own_limit(place: Place, dimension: str) -> int | None:
    limits = place.call.limits
    return limits.ceilings()[INDEX[dimension]] if limits is not None and dimension in INDEX else None


def reuse(place: Place, durable: Durable) -> Outcome[Any]:
    branch, run = place.branch, place.branch.run
    outcome = _decoded(place, durable.data)
    durable.used = True
    source: dict[str, Json] = {"hash": place.hash, "source": durable.path, "seq": durable.seq, "kind": durable.kind}
    run.log.enqueue("call.reused", place.path, {**place.label(), **source})
    branch.last_at = durable.at
    branch.charge_history(durable.cost + run.journal.take_cost(place.path))
    run.take_records(place.path, durable.data)
    run.take_left(durable.data)
    run.reuse.reused += 1
    run.reuse.rebound += durable.path != place.path
    run.reuse.saved = run.reuse.saved + durable.cost
    run.count_call(branch, outcome.kind)
    run.adopt_asked(branch, durable.asked)
    return outcome


def _decoded(place: Place, data: dict[str, Any]) -> Outcome[Any]:
    kind, reason, path = data["kind"], str(data.get("reason", "")), place.path
    match kind:
        case "succeeded":
            return Succeeded(path=path, result=_value(place, data))
        case "degraded":
            missing = tuple(Missing(*entry) for entry in data.get("missing", ()))
            return Degraded(path=path, reason=reason, result=_value(place, data), missing=missing)
        case "timed_out":
            return TimedOut(path=path, reason=reason, scope=path, seconds=data.get("limit"))
        case "over_budget":
            scope, dimension, limit = data.get("scope", ""), data.get("dimension", ""), data.get("limit", 0)
            return OverBudget(path=path, reason=reason, scope=scope, dimension=dimension, limit=limit)
        case "denied":
            return Denied(path=path, reason=reason)
        case _:
            category = data.get("category", "task")
            infrastructure = data.get("infrastructure", "")
            return Failed(
                path=path, reason=reason, category=category, infrastructure=infrastructure, raw=data.get("raw")
            )


def _value(place: Place, data: dict[str, Any]) -> Any:
    if "blob" in data:
        blobs = place.branch.run.blobs
        if blobs is None:
            raise UsageError(f"{place.path}: its value is a blob, and this run has no blobs")
        return place.prepared.output.decode(blobs.get(data["blob"]).decode())
    return place.prepared.output.decode(json.dumps(data.get("value")))
