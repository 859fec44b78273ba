"""Active agent-seconds: metered always, reserved slice by slice where a limit on them is in force."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

import anyio
from anyio.abc import TaskGroup

from antiphon.engine.account import Refusal
from antiphon.engine.amount import INDEX, NANO, Amount
from antiphon.engine.carve import BudgetRefused, WindDown

if TYPE_CHECKING:
    from antiphon.engine.carve import Hold
    from antiphon.engine.context import CallContext

T = TypeVar("T")
SLICE_SECONDS: Final = 5.0
_SLICE: Final = int(SLICE_SECONDS * NANO)
# A rest smaller than this is not worth a slice, and no clock tells two such moments apart.
_LEAST: Final = NANO // 100
_TICK_SECONDS: Final = 1e-6
_SECONDS: Final = INDEX["agent_seconds"]


async def within_agent_seconds(context: CallContext, answer: Callable[[], Awaitable[T]]) -> T:
    """Await what `answer` begins, metering the time it is active: not while it waits for the budget or a permit.

    Where a limit on agent_seconds is in force, the next slice is reserved while the last one runs, and the work is
    cancelled at the end of the last slice that could be had. Raises `BudgetRefused` or `WindDown` then.
    """
    context.begin()
    if context.carve.account.limits_dimension("agent_seconds"):
        return await _Slices(context).run(answer)
    try:
        return await answer()
    finally:
        context.finish()
        if context.own:
            context.budget.charge(context.carve.account, context.own)


class _Slices:
    """The slices of one call: one running, one reserved ahead. Counted in nanoseconds."""

    def __init__(self, context: CallContext) -> None:
        self._context = context
        self._settled = 0
        self._running: Hold | None = None
        self._ahead: Hold | None = None
        self._refused: BudgetRefused | WindDown | None = None

    async def run(self, answer: Callable[[], Awaitable[T]]) -> T:
        result: list[T] = []
        failed: Exception | None = None
        try:
            self._context.waits_for("agent seconds")
            self._running = await self._reserve()
            self._context.wait_ends()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._watch, tasks)
                try:
                    result.append(await answer())
                except Exception as error:  # leaves the task group as itself, not in a group
                    failed = error
                tasks.cancel_scope.cancel()
        finally:
            self._settle()
        if failed is not None:
            raise failed
        if not result:
            raise self._refused or BudgetRefused(self._exhausted())
        return result[0]

    async def _watch(self, tasks: TaskGroup) -> None:
        """Go from slice to slice; when there is no next one in time, cut the work off."""
        while True:
            tasks.start_soon(self._reach_ahead)
            await self._until_used_up()
            if self._ahead is None:
                tasks.cancel_scope.cancel()
                return
            self._go_on(self._ahead)

    async def _reach_ahead(self) -> None:
        try:
            self._ahead = await self._reserve()
        except (BudgetRefused, WindDown) as error:
            self._refused = error

    async def _until_used_up(self) -> None:
        assert self._running is not None
        granted = (self._settled + _time_of(self._running)) / NANO
        left = granted - self._context.active_seconds
        while left > _TICK_SECONDS:
            await anyio.sleep(left)
            left = granted - self._context.active_seconds

    async def _reserve(self) -> Hold:
        """The next slice: a whole one, or what the limit leaves."""
        account = self._context.carve.account
        room = account.remaining("agent_seconds") or 0
        size = room if _LEAST <= room < _SLICE else _SLICE
        return await self._context.carve.reserve(_seconds(size), aside=True)

    def _go_on(self, ahead: Hold) -> None:
        assert self._running is not None
        self._settled += _time_of(self._running)
        self._context.budget.settle(self._running, self._running.worst)
        self._running, self._ahead = ahead, None

    def _settle(self) -> None:
        """Charge what the last slice was used for; what was reserved ahead of it was not."""
        self._context.wait_ends()
        self._context.finish()
        if self._ahead is not None:
            self._context.budget.release(self._ahead)
        if self._running is not None:
            used = self._context.own.count("agent_seconds") - self._settled
            overdrafts = self._context.budget.settle(self._running, _seconds(max(0, used)))
            self._context.overdrawn(overdrafts)

    def _exhausted(self) -> Refusal:
        """The refusal of a slice that others may still free, but too late."""
        gates = [gate for gate in self._context.carve.account.gates if gate.limit(_SECONDS) is not None]
        gate = min(gates, key=lambda gate: gate.room(_SECONDS))
        return Refusal(
            path=gate.path,
            dimension="agent_seconds",
            wanted=_SLICE,
            limit=gate.ceiling[_SECONDS],
            free=max(0, gate.room(_SECONDS)),
            is_root=gate.is_root,
            overdrawn=gate.overdrawn,
            wind_down=True,
        )


def _time_of(hold: Hold) -> int:
    return hold.worst.count("agent_seconds")


def _seconds(count: int) -> Amount:
    return Amount.from_json({"agent_seconds": count})
