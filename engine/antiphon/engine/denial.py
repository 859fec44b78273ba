"""What a script asks for and its manifest does not declare: denied, in the log, counted (DESIGN §9)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from antiphon.engine.amount import DIMENSIONS, from_nano
from antiphon.engine.call import Call, Prepared
from antiphon.engine.errors import CallFailed
from antiphon.engine.history import DENIED
from antiphon.engine.outcome import Denied
from antiphon.engine.place import Place, placed

if TYPE_CHECKING:
    from antiphon.engine.branch import Branch
    from antiphon.engine.context import CallContext
    from antiphon.engine.limits import Limits
    from antiphon.engine.run import Run
    from antiphon.tracing.log import Json

_SHOWN = 300


class Outside(NamedTuple):
    """Something outside of what the manifest declares.

    Attributes:
        what: such as ``role 'auditor'``. field: the manifest's, such as ``roles`` or ``scope.tools``.
        reason: one sentence, which says what to write.
    """

    what: str
    field: str
    reason: str


def outside_of(branch: Branch, call: Call) -> Outside | None:
    """Why a call may not be made in a branch; None if it may."""
    if branch.workflow is not None and (found := branch.workflow.outside(call)) is not None:
        return found
    return _beyond(branch, call.limits)


def check_limits(branch: Branch, limits: Limits | None) -> None:
    """Refuse limits of a fan-out or a branch that are beyond the run's own.

    Raises:
        CallFailed: they are; with a `Denied`.
    """
    outside = _beyond(branch, limits)
    if outside is not None:
        deny(branch, outside)


def deny(branch: Branch, outside: Outside) -> NoReturn:
    """Deny what is no call of its own, such as a nested workflow. Raises `CallFailed` with a `Denied`."""
    path = f"{branch.path}/{branch.take_ordinal()}"
    tell(branch.run, path, outside)
    raise CallFailed(Denied(path=path, reason=outside.reason))


def tell(run: Run, path: str, outside: Outside, *, at: str = "") -> None:
    """Put a denial into the log, and count it; once for a place, however often the run is resumed.

    Args:
        run: the run.
        path: of the call that was denied something.
        outside: what.
        at: tells several of one call apart, such as the turn of a conversation.
    """
    what = run.log.redact(outside.what[:_SHOWN])
    if run.journal.denials.count(path, what, outside.field, at):
        reason = run.log.redact(outside.reason[:_SHOWN])
        fields: dict[str, Json] = {"what": what, "field": outside.field, "reason": reason}
        run.log.enqueue(DENIED, path, {**fields, "at": at} if at else fields)


def denied_place(branch: Branch, call: Call, outside: Outside) -> Place:
    """The place of a call that is denied: its own hash, so that it is performed once the manifest declares it."""
    prepared = Prepared(visible={"outside": [outside.what, outside.field]})
    return placed(branch, call, _Nobody(), prepared)


class _Nobody:
    """Stands where a performer would: nothing is performed."""

    def prepare(self, call: Call) -> Prepared:
        """See `Performer`."""
        raise AssertionError("what is denied is never prepared")

    async def perform(self, call: Call, context: CallContext) -> object:
        """See `Performer`."""
        raise AssertionError("what is denied is never performed")


def _beyond(branch: Branch, limits: Limits | None) -> Outside | None:
    """The first of some limits that is beyond the run's own: the manifest's, and what a person added.

    They could only narrow what holds anyway. A script that nobody wrote says with it that it means to use more than was
    agreed to; one that a person wrote, that the person asked for less this time.
    """
    if limits is None or branch.workflow is None or not branch.workflow.strict:
        return None
    return next(_asked_beyond(branch, limits), None)


def _asked_beyond(branch: Branch, limits: Limits) -> Iterator[Outside]:
    root = branch.run.budget.root
    for dimension, asked in zip(DIMENSIONS, limits.ceilings(), strict=True):
        held = None if asked is None else root.limit_of(dimension)
        if asked is not None and held is not None and asked > held:
            yield _more(dimension, _written(dimension, asked), _written(dimension, held))
    seconds, most = limits.wall_seconds, branch.run.limits.wall_seconds
    if seconds is not None and most is not None and seconds > most:
        yield _more("wall_seconds", f"{seconds:g}", f"{most:g}")


def _more(name: str, asked: str, held: str) -> Outside:
    reason = f"{name} {asked} is more than the run's own limit of {held}; ask for less, or raise limits.{name}"
    return Outside(f"{name} {asked}", f"limits.{name}", reason)


def _written(dimension: str, count: int) -> str:
    return f"{from_nano(count):f}" if dimension in ("usd", "agent_seconds") else f"{count:,}"
