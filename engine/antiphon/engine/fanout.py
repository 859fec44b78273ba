"""Many branches at once: parallel, pipeline, race, quorum. Results come in the order of the items.

Every construct is the same thing: items that become branches, started in a window, each ended as an `Outcome`. What
a construct decides by timing (a race's winner, an `until` that was met, a deadline that fired) is recorded as a
decision, and what it cut off is adopted as recorded on replay.
"""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import anyio
from anyio.abc import TaskGroup

from antiphon.engine.asking import PILOT, Tried, begin, go_on, pilot_of
from antiphon.engine.boundary import Item, body_outcome
from antiphon.engine.branch import CURRENT, Branch
from antiphon.engine.denial import check_limits
from antiphon.engine.errors import HabitError, leading
from antiphon.engine.limits import Limits
from antiphon.engine.outcome import Cancelled, Outcome, Outcomes, Skipped, TimedOut
from antiphon.tracing.log import Json

Construct = Literal["parallel", "pipeline", "race", "quorum"]
Until = Callable[[list[Outcome[Any]]], bool | Awaitable[bool]]
_CUT = "cut short"
_DECLINED = "a person said no to the rest"
_CLOSING_SECONDS = 5.0
_END = object()


@dataclass(slots=True, kw_only=True)
class FanOut:
    """What a fan-out was asked to be.

    Attributes:
        construct: its name in the log.
        items: what the script gave: read to the end before the first starts; an async iterable is pulled as the
            window moves.
        make: makes a planned branch of one of them; raises `HabitError` for what is none.
        until: stops the fan-out once true of the outcomes so far, in the order they ended.
        window: how many items run at once.
        limits: of the whole fan-out.
        context: frames for every item.
    """

    construct: Construct
    items: Iterable[Any] | AsyncIterable[Any]
    make: Callable[[Any], Item]
    until: Until | None = None
    window: int | None = None
    limits: Limits | None = None
    context: tuple[Json, ...] = ()

    def read(self) -> list[Item]:
        """The planned branches of a plain iterable. When reading fails, those already made are discarded."""
        if isinstance(self.items, AsyncIterable):
            return []
        planned: list[Item] = []
        source, complete = iter(self.items), False
        try:
            planned.extend(map(self.make, source))
            complete = True
        finally:
            if not complete:
                _discard(planned)
                self._discard_rest(source)
        return planned

    def mark(self) -> str:
        """What this fan-out is, as far as that can be told before a generator of it is run."""
        made = map(self.make, self.items) if isinstance(self.items, Sequence) else ()
        return f"{self.construct} [{', '.join(item.mark() for item in made)}]"

    def discard(self) -> None:
        """Say that the fan-out will never begin. Only what is there already is discarded: no generator is run."""
        if isinstance(self.items, Sequence):
            self._discard_rest(iter(self.items))

    def _discard_rest(self, source: Iterable[Any]) -> None:
        if not isinstance(self.items, Sequence):
            return
        for given in source:
            try:
                self.make(given).discard()
            except HabitError:
                continue


def _discard(items: Iterable[Item]) -> None:
    for item in items:
        item.discard()


async def fan_out(branch: Branch, asked: FanOut) -> Outcomes[Any]:
    """Run every item in a branch of its own; the outcomes, in item order."""
    planned = asked.read()
    begins = False
    try:
        await begin(branch)
        check_limits(branch, asked.limits)
        begins = True
    finally:
        if not begins:
            _discard(planned)
    return await _Running(branch, asked, planned).run()


class _Running:
    """One fan-out while it runs."""

    def __init__(self, around: Branch, asked: FanOut, planned: list[Item]) -> None:
        run = around.run
        self._around, self._asked, self._planned = around, asked, planned
        segment = around.take_ordinal()
        path = f"{around.path}/{segment}"
        self._pilot = pilot_of(around, path)
        metered = asked.limits is not None or self._pilot is not None
        account = run.budget.open(around.account, path, asked.limits) if metered else around.account
        self._fan = around.child(segment, account=account, context=asked.context, concurrent=True)
        self._source: AsyncIterator[Any] | None = None
        if isinstance(asked.items, AsyncIterable):
            self._source = aiter(asked.items)
        self._complete = self._source is None
        self._started: dict[int, Branch] = {}
        self._outcomes: dict[int, Outcome[Any]] = {}
        self._order: list[Outcome[Any]] = []
        self._last_at = 0.0
        self._why = ""
        self._marks = [item.mark() for item in planned] if self._may_be_cut else []
        self._broken: Exception | None = None
        self._scope = anyio.CancelScope()
        self._free = anyio.Semaphore(asked.window or run.settings.window, fast_acquire=True)

    @property
    def _may_be_cut(self) -> bool:
        return self._asked.until is not None or self._seconds is not None

    @property
    def _seconds(self) -> float | None:
        return self._asked.limits.wall_seconds if self._asked.limits else None

    async def run(self) -> Outcomes[Any]:
        self._begin()
        kind = "cancelled"
        try:
            await self._replay_or_perform()
            kind = "failed" if self._broken is not None else "succeeded"
        finally:
            self._fill()
            outcomes = Outcomes([self._outcomes[i] for i in range(len(self._planned))], complete=self._complete)
            self._end(kind, outcomes)
        if self._broken is not None:
            raise self._broken
        return outcomes

    def _begin(self) -> None:
        fan, run = self._fan, self._fan.run
        facts: dict[str, Json] = {} if self._source is not None else {"items": len(self._planned)}
        run.branch_started(fan, self._around, self._asked.construct, facts)
        run.count_branch(fan, "planned", len(self._planned))

    def _end(self, kind: str, outcomes: Outcomes[Any]) -> None:
        around = self._around
        closing: dict[str, Json] = {"census": outcomes.census.to_json()}
        if not self._complete:
            closing["complete"] = False
        self._fan.run.branch_ended(self._fan, kind, self._why, closing)
        around.last_at = max(around.last_at, self._last_at)
        if not self._complete and self._why != "until":  # an `until` that was met is what the script asked for
            around.lack("unread", "a source was not read to its end")

    async def _replay_or_perform(self) -> None:
        try:
            decided = await self._recorded()
            if self._broken is None and (decided is None or not await self._replay(decided)):
                await self._perform()
        except ExceptionGroup as group:
            raise leading(group) from None
        finally:
            await self._close_source()

    # --- performing -----------------------------------------------------------------------------------------------

    async def _perform(self) -> None:
        if self._seconds is not None:
            self._scope.deadline = anyio.current_time() + self._seconds
        with self._scope:
            if await self._tried():
                async with anyio.create_task_group() as tasks:
                    await self._feed(tasks)
        if self._broken is not None:
            return
        if self._scope.cancelled_caught and not self._why:
            self._why = "deadline"
        if (self._why and self._why != PILOT) or self._asked.until is not None:  # a person's answer replays by itself
            self._decide()

    async def _tried(self) -> bool:
        """Run the first items alone, if that is asked for, and then ask; whether the rest may run."""
        size = self._pilot
        while size is not None and not self._complete and len(self._planned) <= size:
            await self._pull()
        if size is None or len(self._planned) <= size:
            return True
        async with anyio.create_task_group() as tasks:
            await self._feed(tasks, size)
        if self._why or self._broken is not None:
            return False
        outcomes = tuple(self._outcomes[index] for index in range(size))
        tried = Tried(self._asked.construct, len(self._planned), self._complete, outcomes, self._fan.account.spent)
        left, self._scope.deadline = self._scope.deadline - anyio.current_time(), math.inf  # a person is no slow item
        self._why = "" if await go_on(self._fan, tried) else PILOT
        self._scope.deadline = anyio.current_time() + left
        return not self._why

    async def _feed(self, tasks: TaskGroup, most: int | None = None) -> None:
        for index, item in enumerate(self._planned[:most]):
            if index not in self._outcomes:
                await self._free.acquire()
                tasks.start_soon(self._in_window, index, item)
        while most is None and not self._complete:
            await self._free.acquire()
            pulled = await self._pull()
            if pulled is not None:
                tasks.start_soon(self._in_window, len(self._planned) - 1, pulled)

    async def _pull(self) -> Item | None:
        """The next item of an async source, planned; None at its end, or when it broke."""
        assert self._source is not None
        try:
            given = await anext(self._source, _END)
            item = None if given is _END else self._asked.make(given)
        except Exception as error:
            self._break(error)
            return None
        if item is None:
            self._complete = True
            return None
        self._planned.append(item)
        if self._may_be_cut:
            self._marks.append(item.mark())
        self._fan.run.count_branch(self._fan, "planned")
        return item

    async def _close_source(self) -> None:
        """Let an async generator clean up, in bounded time, whatever ended the fan-out."""
        close = getattr(self._source, "aclose", None)
        if close is not None:
            with anyio.move_on_after(_CLOSING_SECONDS, shield=True):
                await close()

    async def _in_window(self, index: int, item: Item) -> None:
        if self._scope.cancel_called:  # cut off between being started and its first step
            return
        await self._in_branch(index, item)
        if self._asked.until is not None and not self._why and await self._is_met(self._asked.until, self._order):
            self._why = "until"
            self._scope.cancel()
        self._free.release()

    async def _is_met(self, until: Until, ended: list[Outcome[Any]]) -> bool:
        try:
            met = until(ended)
            return await met if inspect.isawaitable(met) else met
        except Exception as error:
            self._break(error)
            return False

    def _break(self, error: Exception) -> None:
        """Script code of the fan-out itself failed: nothing of it can be trusted, so it ends here, loudly."""
        self._broken = error
        self._complete = True
        self._scope.cancel()

    async def _in_branch(self, index: int, item: Item) -> None:
        fan, run = self._fan, self._fan.run
        child = self._start(index)
        if item.leaf:
            child.span = fan.span
        else:
            run.branch_started(child, fan, "item")
        token = CURRENT.set(child)
        try:
            outcome = await body_outcome(child, item.body, item=item.value)
        finally:
            CURRENT.reset(token)
        self._last_at = max(self._last_at, child.last_at)
        self._order.append(outcome)
        self._count(index, outcome)
        if not item.leaf:
            run.branch_ended(child, outcome.kind, outcome.reason)

    def _start(self, index: int) -> Branch:
        child = self._started[index] = self._fan.child(str(index))
        self._fan.run.count_branch(self._fan, "started")
        return child

    def _count(self, index: int, outcome: Outcome[Any]) -> None:
        self._outcomes[index] = outcome
        self._fan.run.count_branch(self._fan, outcome.kind)

    # --- what timing decided --------------------------------------------------------------------------------------

    def _decide(self) -> None:
        """Record which items had ended, in which order, when the fan-out was over or cut short."""
        fields: dict[str, Json] = {
            "why": self._why,
            "ended": list(self._outcomes),
            "started": list(self._started),
            "items": self._all_marks(),
            "count": len(self._planned),
            "complete": self._complete,
            "seconds": self._seconds,
        }
        self._fan.run.decide(self._fan.path, _CUT, 0, fields, anew=True)

    def _all_marks(self) -> str:
        marks = [self._asked.construct, *self._marks]
        return hashlib.sha256("\n".join(marks).encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def _fill(self) -> None:
        """Give what did not end an outcome, and discard what never began."""
        for index, item in enumerate(self._planned):
            if index in self._outcomes:
                continue
            child = self._started.get(index)
            if child is None:
                item.discard()
            outcome = self._cut(index, item)
            self._count(index, outcome)
            if self._why or (child is not None and not item.leaf):
                self._fan.run.branch_ended(child or self._fan.child(str(index)), outcome.kind, outcome.reason)

    def _cut(self, index: int, item: Item) -> Outcome[Any]:
        path = f"{self._fan.path}/{index}"
        construct = self._asked.construct
        why = {"deadline": "its deadline fired", "until": f"the {construct} was decided", PILOT: _DECLINED}
        reason = why.get(self._why, "cancelled from outside" if self._broken is None else f"the {construct} failed")
        if index not in self._started:
            return Skipped(path=path, item=item.value, reason=f"{reason} before this began")
        if self._why == "deadline":
            reason = f"{self._fan.path} was not done after {self._seconds or 0:g} s"
            return TimedOut(path=path, item=item.value, scope=self._fan.path, reason=reason)
        return Cancelled(path=path, item=item.value, reason=reason)

    async def _recorded(self) -> dict[str, Any] | None:
        """The decision of an earlier attempt, if this is still the same fan-out and nobody asks for another."""
        value = self._fan.run.journal.decisions.get((self._fan.path, _CUT, 0))
        if value is None or not self._still_asked(value):
            return None
        while not self._complete and len(self._planned) < value["count"]:
            await self._pull()
        return dict(value) if value["items"] == self._all_marks() else None

    def _still_asked(self, value: dict[str, Any]) -> bool:
        if value["why"] != "deadline":
            return self._asked.until is not None
        retried = self._fan.run.settings.retry_failed & {"*", "timed_out"}
        return not retried and self._seconds is not None and self._seconds <= value["seconds"]

    async def _replay(self, decided: dict[str, Any]) -> bool:
        """Run again what had ended, as if in the order it ended; adopt the rest as recorded.

        False when the decision no longer holds: the winner was edited, and did not win this time.
        """
        async with anyio.create_task_group() as tasks:
            for index in decided["ended"]:
                await self._free.acquire()
                tasks.start_soon(self._again, index)
        self._order = [self._outcomes[index] for index in decided["ended"]]
        if decided["why"] == "until" and not await self._met_before():
            return self._broken is not None
        self._why, self._complete = decided["why"], decided["complete"]
        cut: list[int] = [index for index in decided["started"] if index not in self._started]
        for index in cut:
            self._start(index)
            self._planned[index].discard()  # begun by an earlier attempt, and not again
        self._fan.run.adopt(self._fan, _CUT, frozenset([*map(str, cut), *([PILOT] if self._pilot else [])]))
        return True

    async def _again(self, index: int) -> None:
        await self._in_branch(index, self._planned[index])
        self._free.release()

    async def _met_before(self) -> bool:
        """Whether `until` is true of what had ended, at any moment of it: more may end in the moment it is met."""
        until = self._asked.until
        assert until is not None
        for ended in range(1, len(self._order) + 1):
            if await self._is_met(until, self._order[:ended]):
                return True
        return False
