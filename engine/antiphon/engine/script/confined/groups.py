"""A fan-out whose items live in a guest: the engine runs it, and asks the guest what only that can know."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Protocol

import anyio

from antiphon.engine.boundary import Item
from antiphon.engine.branch import Branch
from antiphon.engine.errors import HabitError
from antiphon.engine.outcome import Degraded, Failed, Outcome, Succeeded
from antiphon.engine.script.confined.answers import shown
from antiphon.engine.script.confined.calls import lazy_of
from antiphon.engine.script.confined.frames import FanFrame, ItemAsked
from antiphon.engine.script.confined.wire import Counted
from antiphon.engine.script.given import item_of, written
from antiphon.engine.script.runtime import GuestDied, ScriptRaised
from antiphon.tracing.log import Json

_CANCEL: Final[dict[str, Json]] = {"cancel": True}


class _Wrong(str):
    """What a guest's `vote` returned that is no vote, as it is written there."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True, slots=True)
class Local:
    """A value that stayed in the guest: that of item `index`."""

    index: int


class Posting(Protocol):
    """Puts a reply on its way to the guest."""

    def __call__(self, id: int, reply: dict[str, Json]) -> None:
        """Answer the frame with this number."""
        ...


class Group:
    """One fan-out of a guest.

    Args:
        frame: what was asked for.
        post: puts a reply on its way.
        work: serves one item's branch to its end, once it may begin; given the branch, the item's place, and the
            number of the frame that waits to begin.
        pulled: waits, in the branch around, for the next item of an asynchronous source.
        version: what tells this script from an edited one; part of the mark of items that only the guest knows.
    """

    def __init__(
        self,
        frame: FanFrame,
        *,
        post: Posting,
        work: Callable[[Branch, Local, int], Awaitable[Any]],
        pulled: Callable[[], Awaitable[ItemAsked | None]],
        version: str,
    ) -> None:
        self.frame, self._post, self._work, self._pulled, self._version = frame, post, work, pulled, version
        self._beginning: dict[int, int] = {}
        self._arrived: dict[int, anyio.Event] = {}
        self._dropped: set[int] = set()
        self._began: set[int] = set()
        self._asking: int | None = None  # the frame that waits to be asked something
        self._asked = anyio.Event()
        self._answer: dict[str, Any] | None = None
        self._answered: anyio.Event | None = None
        self._one_at_a_time = anyio.Lock()
        self.is_served = False  # the branch that it was asked for in has come to it
        self._leaves = Counted()
        self._has_begun = False
        self._told = 0
        self._read = 0
        self._over = False

    # --- frames that arrive ---------------------------------------------------------------------------------------

    def begins(self, index: int, id: int) -> None:
        """A coroutine of the guest waits to begin."""
        if index in self._beginning:
            raise GuestDied("protocol", "it began an item of a fan-out twice")
        self._beginning[index] = id
        if self._over or index in self._dropped:
            self._post(id, _CANCEL)
        elif index in self._arrived:
            self._arrived[index].set()

    def asks(self, id: int, answer: dict[str, Any] | None) -> None:
        """The guest waits to be asked something, and answers what it was asked before."""
        if self._asking is not None:
            raise GuestDied("protocol", "it waits twice to be asked the same")
        self._asking = id
        if self._answered is not None:
            self._answer = answer
            self._answered.set()
        if self._over:
            self._post(id, {"value": None})
        self._asked.set()

    @property
    def works(self) -> bool:
        """Whether it waits for the host: for calls, or to begin at all. What else it waits for is the guest's."""
        return self.is_served and (bool(self._leaves) or not self._has_begun)

    # --- what the engine needs ------------------------------------------------------------------------------------

    def items(self) -> list[Item] | AsyncIterator[Item]:
        """The planned branches, as the engine's fan-out takes them."""
        if "source" in self.frame.asks:
            return self._source()
        return [self.item(index, asked) for index, asked in enumerate(self.frame.items)]

    def item(self, index: int, asked: ItemAsked) -> Item:
        """One planned branch. Raises `HabitError` for what is no call, `UsageError` for a call that does not fit."""
        if asked.call is not None:
            leaf = item_of(lazy_of(asked.call), self.frame.made)
            return replace(leaf, body=partial(self._leaf, leaf))
        if not asked.coroutine:
            raise _no_call(asked.wrong or "nothing", self.frame.made)
        place = Local(index)

        async def body(branch: Branch) -> Any:
            self._has_begun = True
            beginning = await self._begun(index)
            self._began.add(index)
            return await self._work(branch, place, beginning)

        mark = f"guest {self._version} {written(asked.item)}"
        return Item(body, lambda: self._drop(index), value=asked.item, mark=lambda: mark)

    async def _leaf(self, leaf: Item, branch: Branch) -> Any:
        self._has_begun = True
        with self._leaves:
            return await leaf.body(branch)

    async def _source(self) -> AsyncIterator[Item]:
        self._has_begun = True
        while True:
            await self.ask({"pull": True})
            asked = await self._pulled()
            if asked is None:
                return
            self._read += 1
            yield self.item(self._read - 1, asked)

    async def _begun(self, index: int) -> int:
        """The number of the frame by which the guest waits to begin an item."""
        if index not in self._beginning:
            await self._arrived.setdefault(index, anyio.Event()).wait()
        return self._beginning[index]

    def _drop(self, index: int) -> None:
        if index not in self._dropped:
            self._dropped.add(index)
            if index in self._beginning:
                self._post(self._beginning[index], _CANCEL)

    async def until(self, ended: Sequence[Outcome[Any]]) -> bool:
        """Whether the guest's `until` is true of the outcomes so far."""
        count = len(ended)
        async with self._one_at_a_time:
            new = [outcome_shown(outcome, self.index(outcome)) for outcome in ended[self._told :]]
            self._told = max(self._told, count)
            answer = await self._ask({"add": list[Json](new), "until": count})
        return answer["value"] is True

    async def vote(self, value: object) -> Any:
        """What the guest's `vote` says of a value; what is no vote is for the engine to refuse."""
        answer = await self.ask({"vote": value_shown(value)})
        return _Wrong(answer["wrong"]) if "wrong" in answer else answer.get("value")

    async def ask(self, question: dict[str, Json]) -> dict[str, Any]:
        """What the guest answers.

        Raises:
            ScriptRaised: its function raised.
        """
        async with self._one_at_a_time:
            return await self._ask(question)

    async def _ask(self, question: dict[str, Json]) -> dict[str, Any]:
        while self._asking is None:
            self._asked = anyio.Event()
            await self._asked.wait()
        id, self._asking = self._asking, None
        arrived = self._answered = anyio.Event()
        self._post(id, {"value": question})
        try:
            await arrived.wait()
        finally:
            self._answered = None
        answer = self._answer or {}
        if "raised" in answer:
            raise ScriptRaised(str(answer["raised"])[:2_000])
        return answer

    def close(self) -> None:
        """The fan-out is over: whoever still waits for it, waits no more."""
        self._over = True
        if self._asking is not None:
            self._post(self._asking, {"value": None})
        for index in self._beginning:
            if index not in self._began:
                self._drop(index)

    @staticmethod
    def index(outcome: Outcome[Any]) -> int:
        """Which item an outcome of this fan-out stands for."""
        last = outcome.path.rpartition("/")[2]
        return int(last) if last.isdigit() else 0


def _no_call(kind: str, construct: str) -> HabitError:
    if kind in ("function", "builtin_function_or_method", "method"):
        fix = "call it: agent(...) is lazy already, no lambda is needed"
        return HabitError(f"{construct}() was given a function", fix)
    fix = "hand it agent(...), step(...) or a coroutine, not awaited"
    return HabitError(f"{construct}() was given {kind}, which is no call", fix)


def value_shown(value: object) -> dict[str, Json]:
    """A value as the guest is told of it: by its place, if it never left the guest."""
    return {"local": True, "index": value.index} if isinstance(value, Local) else {"value": shown(value)}


def outcome_shown(outcome: Outcome[Any], index: int) -> dict[str, Json]:
    """An outcome as the guest is told of it."""
    said: dict[str, Json] = {
        "index": index,
        "kind": outcome.kind,
        "path": outcome.path,
        "reason": outcome.reason,
    }
    if isinstance(outcome, Succeeded | Degraded):
        return {**said, **value_shown(outcome.value), "index": index}
    return {**said, "category": outcome.category} if isinstance(outcome, Failed) else said
