"""Performing one call: find it in the journal, or carve out its floor, record, perform, record (DESIGN §5.2-§5.4)."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import anyio

from antiphon.engine.account import Refusal
from antiphon.engine.amount import ONE_AGENT, Amount
from antiphon.engine.asking import begin
from antiphon.engine.branch import Branch
from antiphon.engine.call import Call
from antiphon.engine.carve import BudgetRefused, Carve, WindDown
from antiphon.engine.context import CallContext
from antiphon.engine.denial import Outside, denied_place, outside_of, tell
from antiphon.engine.errors import (
    AgentFailure,
    CallFailed,
    InfrastructureError,
    MalformedOutput,
    OutsideManifest,
    UsageError,
    leading,
)
from antiphon.engine.journal import Earlier
from antiphon.engine.outcome import (
    Cancelled,
    Degraded,
    Denied,
    Failed,
    Outcome,
    OverBudget,
    Succeeded,
    TimedOut,
)
from antiphon.engine.output import SchemaMismatch, is_scalar
from antiphon.engine.place import Place, place_of
from antiphon.engine.received import turns_of
from antiphon.engine.replay import recorded, reuse
from antiphon.engine.settings import LARGE_BYTES
from antiphon.engine.slices import within_agent_seconds
from antiphon.tracing.errors import LogClosed, LogFailed, NotEncodable
from antiphon.tracing.log import Json, Log
from antiphon.tracing.spans import current_context

if TYPE_CHECKING:
    from collections.abc import Awaitable

_RAW_CHARACTERS = 20_000


async def perform(branch: Branch, call: Call) -> Any:
    """Perform `call` as the next call of `branch`: its value, or `CallFailed`."""
    outcome = await settle_call(branch, call)
    if isinstance(outcome, Succeeded):
        return outcome.value
    if isinstance(outcome, Degraded):
        branch.miss(outcome)
        return outcome.value
    raise CallFailed(outcome)


async def settle_call(branch: Branch, call: Call) -> Outcome[Any]:
    """Perform `call` as the next call of `branch`, and say how it ended."""
    await begin(branch)
    outside = outside_of(branch, call)
    place = place_of(branch, call) if outside is None else denied_place(branch, call, outside)
    durable = recorded(place)
    if durable is not None:
        return reuse(place, durable)
    if outside is not None:
        return await _denied(place, outside)
    return await _first_time(place)


async def _denied(place: Place, outside: Outside) -> Outcome[Any]:
    tell(place.branch.run, place.path, outside)
    return await _record(place, None, Denied(path=place.path, reason=outside.reason))


async def settle_below(context: CallContext, call: Call, number: int) -> Outcome[Any]:
    """Perform a call that a subagent asks for itself, such as its critic, and say how it ended.

    Recorded like any call, so that it replays; its admission is its own, lent from the floor of the one who asks.

    Args:
        context: of the one who asks.
        call: what it asks.
        number: the place below its own path; the same again on a resume.
    """
    run = context.run
    context.waits_for(call.name)
    run.land(context.call.sort)
    try:
        with run.budget.lending(context.carve) as floor:
            return await settle_call(context.below(number, floor), call)
    finally:
        run.take_off(context.call.sort)
        context.wait_ends()


# --- for the first time -------------------------------------------------------------------------------------------


async def _first_time(place: Place) -> Outcome[Any]:
    branch, run = place.branch, place.branch.run
    earlier = run.journal.take_earlier(place.path, place.hash)
    branch.charge_history(earlier.before)
    if not await _may_repeat(place):
        branch.charge_history(earlier.spent)
        return await _record(place, None, Denied(path=place.path, reason="not approved to be repeated"))
    try:
        carve = await _admit(place, earlier.spent)
    except BudgetRefused as error:
        return await _refused(place, error.refusal)
    if run.mode != "running":  # a pause came while this waited for the budget
        carve.never_began(carve.floor.common(ONE_AGENT).pairs)
        run.budget.close(carve)
        await run.park()
    return await _admitted(place, carve, earlier)


async def _may_repeat(place: Place) -> bool:
    """A step declared not idempotent, which a stop left in flight, is repeated only when someone says so."""
    if place.prepared.idempotent or not place.branch.run.journal.take_interrupted(place.path, place.hash):
        return True
    name = place.call.name
    question = f"{place.call.sort} {name!r} was in flight when the run stopped and is not idempotent. Perform it again?"
    return await place.branch.run.answer(place.path, question)


async def _admit(place: Place, before: Amount) -> Carve:
    """Carve out its floor. `before` is what it spent on what it goes on from: its own limits hold for all of it."""
    branch, call, run = place.branch, place.call, place.branch.run
    account = run.budget.open(branch.account, place.path, call.limits) if call.limits else branch.account
    if before:
        account.claim(before)
    phase = branch.phase
    fallback = phase.reserve if phase is not None and phase.branch is branch else None
    floor = place.prepared.floor
    if call.sort == "agent" and not floor.count("agent_calls"):
        floor = _with_agent(floor)
    if branch.lent is not None:
        return await run.budget.admit(account, floor, branch.lent)
    if fallback is not None:  # what the phase keeps is for this call: it is lent whole, and what is left goes back
        floor = floor + fallback.remaining.beyond(floor)
    return await run.budget.admit(account, floor, fallback)


@lru_cache(maxsize=256)
def _with_agent(floor: Amount) -> Amount:
    return floor + ONE_AGENT


async def _refused(place: Place, refusal: Refusal) -> Outcome[Any]:
    run = place.branch.run
    if run.refused(refusal):
        await run.park()
    return await _record(place, None, _over_budget(place, refusal))


def _over_budget(place: Place, refusal: Refusal) -> OverBudget[Any]:
    reason = f"told to wind down, and could not: {refusal}" if refusal.wind_down else str(refusal)
    scope, dimension, limit = refusal.path, refusal.dimension, refusal.limit
    return OverBudget(path=place.path, reason=reason, scope=scope, dimension=dimension, limit=limit)


async def _admitted(place: Place, carve: Carve, earlier: Earlier) -> Outcome[Any]:
    branch, run = place.branch, place.branch.run
    span = run.span(place.path)
    context = CallContext(place, carve, span, turns_of(earlier.turns, run.blobs))
    outcome: Outcome[Any] | None = None
    recorded: Outcome[Any] | None = None
    run.take_off(place.call.sort)
    try:
        fields = place.label() | await run.received.fields(place.call.task, place.frames)
        floor = place.prepared.floor.to_json()
        if earlier.turns_from != place.path:
            fields["turns_from"] = earlier.turns_from
        fields.update({"floor": floor} if floor else {}, **run.span_fields(span, branch.parent_span()))
        await run.log.append("call.started", place.path, fields)
        run.reuse.performed += 1
        outcome = await _performed(place, context)
        if outcome is not None:
            recorded = await _record(place, context, outcome)
            run.adopt_asked(branch, earlier.asked)
    finally:
        run.budget.close(carve)
        run.land(place.call.sort)
        if recorded is None:
            _record_cancelled(place, context)
    if recorded is None:
        await run.park()
    assert recorded is not None
    return recorded


async def _performed(place: Place, context: CallContext) -> Outcome[Any] | None:
    """Perform it: an outcome, or None when the run's own limit or a breaker pauses the run instead."""
    seconds = place.call.limits.wall_seconds if place.call.limits else None
    try:
        if seconds is None:  # a cancel scope is the dearest thing a call would hold
            return _encoded(place, await _performer_answers(place, context))
        with anyio.move_on_after(seconds):
            return _encoded(place, await _performer_answers(place, context))
    except Exception as error:
        return _after_error(place, leading(error))
    return TimedOut(path=place.path, scope=place.path, seconds=seconds, reason=f"not done after {seconds:g} s")


def _after_error(place: Place, error: Exception) -> Outcome[Any] | None:
    run = place.branch.run
    match error:
        case LogFailed() | LogClosed():
            raise error
        case BudgetRefused() | WindDown():
            return None if run.refused(error.refusal) else _over_budget(place, error.refusal)
        case InfrastructureError() if run.broken(error):
            return None
        case OutsideManifest():
            tell(run, place.path, Outside(error.what, error.field, error.reason))
            return Denied(path=place.path, reason=error.reason)
        case _:
            return _failed(place, error)


async def _performer_answers(place: Place, context: CallContext) -> object:
    def answer() -> Awaitable[object]:
        return place.performer.perform(place.call, context)

    metered = within_agent_seconds(context, answer) if place.call.sort == "agent" else answer()
    if not context.span:
        return await metered
    with current_context(place.branch.run.trace, context.span):
        return await metered


def _encoded(place: Place, value: object) -> Succeeded[Any]:
    """The value as it will replay: encoded by its declared type, redacted, decoded again."""
    if is_scalar(value) and place.prepared.output.fingerprint == "json" and not isinstance(value, str):
        return Succeeded(path=place.path, result=value)
    output = place.prepared.output
    text = place.branch.run.log.redact(output.encode(value))
    return Succeeded(path=place.path, result=_Encoded(text, output.decode(text)))


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A value on its way into the log: its JSON text, and what the script will get."""

    text: str
    value: Any


def _failed(place: Place, error: Exception) -> Outcome[Any]:
    path = place.path
    match error:
        case InfrastructureError():
            return Failed(path=path, reason=str(error), category="infrastructure", infrastructure=error.category)
        case SchemaMismatch():
            raw = place.branch.run.log.redact(error.raw)
            return Failed(path=path, reason=error.problem, category="schema", raw=raw)
        case MalformedOutput():
            return Failed(path=path, reason=error.message, category="malformed")
        case AgentFailure():
            kept = None if error.raw is None else place.branch.run.log.redact(error.raw)
            return Failed(path=path, reason=error.message, raw=kept)
        case UsageError():  # such as a model that cannot be asked so: what to do is as good as what is wrong
            return Failed(path=path, reason=f"{error.message}; {error.advice}" if error.advice else error.message)
        case CallFailed(outcome=OverBudget() as over):  # raising that limit performs this call again, too
            return replace(over, path=path)
        case CallFailed():
            return Failed(path=path, reason=str(error))
        case TimeoutError():
            return TimedOut(path=path, reason=str(error) or "its own deadline fired", scope=path)
        case _:
            return Failed(path=path, reason=describe_error(error))


def describe_error(error: BaseException) -> str:
    """One line for an exception of somebody else's code: type, text, and the innermost place."""
    text = " ".join(str(error).split())[:500]
    trace, place = error.__traceback__, ""
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f" ({code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno} in {code.co_name})"
        trace = trace.tb_next
    return f"{type(error).__name__}: {text}{place}" if text else f"{type(error).__name__}{place}"


async def _record(place: Place, context: CallContext | None, outcome: Outcome[Any]) -> Outcome[Any]:
    """Commit the outcome; only then may the script see it."""
    branch, run = place.branch, place.branch.run
    fields: dict[str, Json] = {**place.label(), "kind": outcome.kind}
    if outcome.reason:
        outcome = replace(outcome, reason=run.log.redact(outcome.reason))
        fields["reason"] = outcome.reason
    outcome = await _fill_value(place, fields, outcome)
    _fill_failure(fields, outcome)
    if context is not None:
        _fill_cost(place, context, fields)
    try:
        stamp = await run.log.append("call.ended", place.path, fields)
    except NotEncodable as error:
        if context is None or isinstance(outcome, Failed):
            raise
        context.records.clear()
        return await _record(place, context, Failed(path=place.path, reason=error.message, category="malformed"))
    branch.last_at = stamp.at
    run.take_records(place.path, fields)
    run.take_left(fields)
    run.count_call(branch, outcome.kind)
    return outcome


async def _fill_value(place: Place, fields: dict[str, Json], outcome: Outcome[Any]) -> Outcome[Any]:
    if not isinstance(outcome, Succeeded):
        return outcome
    value = outcome.result
    if not isinstance(value, _Encoded):
        fields["value"] = value
        return outcome
    blobs = place.branch.run.blobs
    if blobs is not None and len(value.text) > LARGE_BYTES:
        with anyio.CancelScope(shield=True):
            fields["blob"] = await anyio.to_thread.run_sync(blobs.put, value.text.encode())
    else:
        fields["value"] = json.loads(value.text)
    return Succeeded(path=outcome.path, result=value.value)


def _fill_failure(fields: dict[str, Json], outcome: Outcome[Any]) -> None:
    match outcome:
        case Failed():
            fields["category"] = outcome.category
            if outcome.infrastructure:
                fields["infrastructure"] = outcome.infrastructure
            if outcome.raw is not None:
                fields["raw"] = outcome.raw[:_RAW_CHARACTERS]
        case OverBudget():
            fields.update(scope=outcome.scope, dimension=outcome.dimension, limit=outcome.limit)
        case TimedOut(seconds=float(seconds)):
            fields["limit"] = seconds
        case _:
            pass


def _fill_cost(place: Place, context: CallContext, fields: dict[str, Json]) -> None:
    run = place.branch.run
    spent, own = context.spent, context.own
    if context.stood_back:
        fields["began"] = False
    elif place.call.sort == "agent":
        spent = spent + ONE_AGENT
    if own:
        fields["own"] = own.to_json()
        spent = spent + own
    fields["spent"] = spent.to_json()
    records = context.records.to_json()
    if records:
        fields["records"] = _redacted(run.log, records)
    if context.left is not None:
        fields["left"] = context.left
    fields.update(run.span_fields(context.span, ""))


def _redacted(log: Log, records: list[Json]) -> Json:
    """Records as they will replay."""
    text = json.dumps(records)
    clean = log.redact(text)
    return records if clean == text else json.loads(clean)


def _record_cancelled(place: Place, context: CallContext) -> None:
    """A call cut from outside: recorded, never replayed; whoever cut it decides what stands in its place."""
    outcome: Outcome[Any] = Cancelled(path=place.path, reason="cancelled from outside")
    run = place.branch.run
    fields: dict[str, Json] = {**place.label(), "kind": outcome.kind, "reason": outcome.reason}
    _fill_cost(place, context, fields)
    for told in ("records", "left"):
        fields.pop(told, None)
    run.log.enqueue("call.ended", place.path, fields)
    run.count_call(place.branch, outcome.kind)
