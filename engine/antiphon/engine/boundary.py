"""The boundary of a branch: inside, awaiting a call gives its value or raises; outside, there is an `Outcome`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio

from antiphon.engine.asking import begin
from antiphon.engine.branch import CURRENT, Branch
from antiphon.engine.denial import check_limits
from antiphon.engine.errors import CallFailed, Stopped, leading
from antiphon.engine.limits import Limits
from antiphon.engine.outcome import Cancelled, Degraded, Failed, Outcome, OverBudget, TimedOut
from antiphon.engine.perform import describe_error
from antiphon.tracing.errors import AntiphonError, LogClosed, LogFailed
from antiphon.tracing.log import Json

Body = Callable[[Branch], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Item:
    """One planned branch of a fan-out.

    Attributes:
        body: what to do in the branch.
        discard: what to do when it is never begun.
        value: the item as a person knows it.
        leaf: whether the body is a single call, whose own events then stand for the branch.
        mark: says what the item is, for telling a changed fan-out from an unchanged one; ask before it begins.
    """

    body: Body
    discard: Callable[[], None] = lambda: None
    value: Any = None
    leaf: bool = False
    mark: Callable[[], str] = str


async def body_outcome(branch: Branch, body: Body, *, item: object = None) -> Outcome[Any]:
    """Begin a branch's body and await it; how the branch ended. Cancellation passes through."""
    try:
        return branch.ended_as(await body(branch), item)
    except Stopped:
        return Cancelled(path=branch.path, item=item, reason="the run stopped")
    except Exception as error:
        return _after_error(branch, leading(error), item)
    finally:
        branch.run.end_phase(branch)


def _after_error(branch: Branch, error: Exception, item: object) -> Outcome[Any]:
    path = branch.path
    match error:
        case CallFailed():
            return _of_branch(branch, error.outcome, item)
        case LogFailed() | LogClosed():
            raise error  # nothing can be recorded any more: the run ends, whatever branch noticed
        case AntiphonError():
            advice = f" ({error.advice})" if error.advice else ""
            return Failed(path=path, item=item, reason=f"{error.message}{advice}", category="script")
        case _:
            return Failed(path=path, item=item, reason=describe_error(error), category="script")


def _of_branch(branch: Branch, inner: Outcome[Any], item: object) -> Outcome[Any]:
    """The outcome of a branch that a failed call ended: the call's, at the branch's place."""
    where, reason = branch.path, inner.reason
    match inner:
        case Degraded():
            return Degraded(path=where, item=item, reason=reason, result=inner.result, missing=inner.missing)
        case Failed():
            kind, raw = inner.infrastructure, inner.raw
            return Failed(path=where, item=item, reason=reason, category=inner.category, infrastructure=kind, raw=raw)
        case TimedOut():
            return TimedOut(path=where, item=item, reason=reason, scope=inner.scope)
        case OverBudget():
            limit = inner.limit
            return OverBudget(
                path=where, item=item, reason=reason, scope=inner.scope, dimension=inner.dimension, limit=limit
            )
        case _:
            return type(inner)(path=where, item=item, reason=reason)


async def one_branch(
    around: Branch,
    segment: str,
    item: Item,
    *,
    construct: str = "branch",
    limits: Limits | None = None,
    context: tuple[Json, ...] = (),
) -> Outcome[Any]:
    """Run one item in a branch at `segment`. A deadline that fires is a decision about what `item.mark` says it is."""
    run = around.run
    begins = False
    try:
        await begin(around)
        check_limits(around, limits)
        begins = True
    except CallFailed as denied:
        return denied.outcome
    finally:
        if not begins:
            item.discard()
    path = f"{around.path}/{segment}"
    account = run.budget.open(around.account, path, limits) if limits else around.account
    child = around.child(segment, account=account, context=context)
    run.branch_started(child, around, construct)
    run.count_branch(child, "planned")
    run.count_branch(child, "started")
    outcome: Outcome[Any] = Cancelled(path=path, reason="cancelled from outside")
    try:
        outcome = await _within_deadline(child, item, limits.wall_seconds if limits else None)
    finally:
        run.branch_ended(child, outcome.kind, outcome.reason)
        run.count_branch(child, outcome.kind)
    if not (isinstance(outcome, TimedOut) and outcome.scope == path):  # what a deadline cut has no last event
        around.last_at = max(around.last_at, child.last_at)
    return outcome


async def _within_deadline(child: Branch, item: Item, seconds: float | None) -> Outcome[Any]:
    token = CURRENT.set(child)
    try:
        if seconds is None:
            return await body_outcome(child, item.body)
        return await _until_deadline(child, item, seconds)
    finally:
        CURRENT.reset(token)


async def _until_deadline(child: Branch, item: Item, seconds: float) -> Outcome[Any]:
    run, mark = child.run, item.mark()
    timed_out: Outcome[Any] = TimedOut(path=child.path, scope=child.path, reason=f"not done after {seconds:g} s")
    fired = run.journal.decisions.get((child.path, "deadline", 0))
    if fired is not None and _still_holds(child, fired, seconds, mark):
        item.discard()
        run.adopt(child, "deadline")
        return timed_out
    with anyio.move_on_after(seconds):
        return await body_outcome(child, item.body)
    run.decide(child.path, "deadline", 0, {"seconds": seconds, "mark": mark}, anew=True)
    return timed_out


def _still_holds(child: Branch, fired: dict[str, Any], seconds: float, mark: str) -> bool:
    """Whether a deadline that fired earlier would fire again: same work, no more time, nobody insists."""
    retried = child.run.settings.retry_failed & {"*", "timed_out"}
    return not retried and seconds <= fired["seconds"] and mark == fired["mark"]
