"""An attempt: one reserved try at something that costs. Reserve, take a permit, pass a gate, record, send, settle."""

from __future__ import annotations

from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from anyio.lowlevel import checkpoint_if_cancelled

from antiphon.engine.amount import NOTHING, Amount
from antiphon.engine.call import AttemptSort
from antiphon.engine.errors import InfrastructureError
from antiphon.tracing.log import Json

if TYPE_CHECKING:
    from antiphon.engine.account import Overdraft
    from antiphon.engine.admission import Admission, Permit
    from antiphon.engine.carve import Hold
    from antiphon.engine.context import CallContext


class Gate(Protocol):
    """Where an attempt stands last, with its budget and its permit in hand and nothing recorded yet."""

    @property
    def name(self) -> str:
        """Whose gate it is."""
        ...

    async def enter(self) -> None:
        """Wait to be let in. Returns early when the attempt must not be sent any more."""
        ...

    def leave(self) -> None:
        """The attempt is over, or was not sent; told once or more, also where it was not let in."""
        ...


_ONE: dict[AttemptSort, Amount] = {
    "model": Amount(model_calls=1),
    "tool": Amount(tool_calls=1),
    "process": Amount(tool_calls=1),
}


@lru_cache(maxsize=1024)
def counted(amount: Amount, sort: AttemptSort) -> Amount:
    """An amount that counts its own call: one model call or one tool call, where it names none itself."""
    named = amount.count("model_calls" if sort == "model" else "tool_calls")
    return amount if named else amount + _ONE[sort]


class Attempt:
    """One reserved try. An async context manager; see `CallContext.attempt`.

    Attributes:
        spent: what it was charged, once it is left. estimated: whether that is the worst case, for want of knowledge.
    """

    __slots__ = (
        "_actual",
        "_context",
        "_gate",
        "_hold",
        "_name",
        "_number",
        "_permit",
        "_released",
        "_sort",
        "_usage",
        "_worst",
        "estimated",
        "spent",
    )

    def __init__(
        self, context: CallContext, worst: Amount, sort: AttemptSort, name: str, gate: Gate | None = None
    ) -> None:
        self._context, self._worst, self._name, self._gate = context, worst, name, gate
        self._sort: AttemptSort = sort
        self.spent, self.estimated = NOTHING, False
        self._actual: Amount | None = None
        self._released = False
        self._usage: dict[str, Json] = {}
        self._number = 0
        self._hold: Hold | None = None
        self._permit: Permit | None = None

    def settle(self, actual: Amount | None = None, **usage: Json) -> None:
        """Say what it really cost; without an amount, that it cost the worst case. `usage` goes to the span."""
        self._actual = self._worst if actual is None else counted(actual, self._sort)
        self.tell(**usage)

    def tell(self, **usage: Json) -> None:
        """Say something for the span without saying what it cost: which model answered, why it stopped."""
        self._usage = {**self._usage, **usage}

    def not_billed(self) -> None:
        """Say that it is known to have cost nothing."""
        self._released = True

    async def __aenter__(self) -> Attempt:
        context, run = self._context, self._context.run
        entered = False
        context.waits_for("the budget")
        try:
            self._hold = await context.carve.reserve(self._worst)
            if self._sort != "tool":  # a tool is called in this process, and may itself send what needs a permit
                context.waits_for("a process" if self._sort == "process" else "a permit")
                await self._enter(run.processes if self._sort == "process" else run.admission)
            if self._gate is not None:
                context.waits_for(f"its turn at {self._gate.name}")
                await self._gate.enter()
            context.wait_ends()
            await self._stand_back()
            self._number = context.attempt_begins()
            await run.attempt_started(context, self._number, self._sort, self._name, self._worst)
            await checkpoint_if_cancelled()  # who was cancelled during the commit has sent nothing, and pays nothing
            await self._stand_back()
            context.attempt_sends()
            entered = True
        finally:
            context.wait_ends()
            if not entered:
                await self._withdraw()
        return self

    async def _enter(self, admission: Admission) -> None:
        permit = admission.permit(self._context.depth)
        await permit.__aenter__()
        self._permit = permit

    async def _stand_back(self) -> None:
        """Where a pause says that nothing more is sent: give everything back, and wait for its end."""
        context = self._context
        if not context.stands_back(self._sort):
            return
        await self._withdraw()
        await context.stand_back()

    async def _withdraw(self) -> None:
        """Nothing was sent: give back what was had already, and say so where its start may be in the log."""
        hold, permit, self._hold, self._permit = self._hold, self._permit, None, None
        number, self._number = self._number, 0
        if self._gate is not None:
            self._gate.leave()
        if hold is not None:
            self._context.budget.release(hold)
        if permit is not None:
            await permit.__aexit__(None, None, None)
        if number:
            self._context.run.attempt_ended(self._context, number, NOTHING, False, None, {})

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        context, run, hold, permit = self._context, self._context.run, self._hold, self._permit
        assert hold is not None
        overdrafts: tuple[Overdraft, ...] = ()
        if self._released or _known_not_billed(error, self._actual):
            spent = NOTHING
            run.budget.release(hold)
        elif self._actual is not None:
            spent = self._actual
            overdrafts = run.budget.settle(hold, spent)
        else:
            spent = self._worst
            overdrafts = run.budget.estimate(hold)
        self.spent, self.estimated = spent, self._actual is None and bool(spent)
        context.attempt_cost(spent)
        if error is not None:
            context.attempt_failed()
        try:
            run.attempt_ended(context, self._number, spent, self.estimated, error, self._usage)
            run.overdrawn(context.path, overdrafts)
        finally:
            if self._gate is not None:
                self._gate.leave()
            if permit is not None:
                await permit.__aexit__(kind, error, trace)


def _known_not_billed(error: BaseException | None, actual: Amount | None) -> bool:
    return actual is None and isinstance(error, InfrastructureError) and not error.billed
