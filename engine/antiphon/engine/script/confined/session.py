"""One confined script, served: its frames come in, the engine's own constructs do what they ask, replies go out.

Every branch of the script is a branch of the engine, and the engine's task for it serves what the guest asks for there,
one thing after another. So paths, windows, budget, deadlines, decisions and replay are those of trusted files. A branch
is named by a token that only the host makes; a frame that names none, or one that is over, ends the guest.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

import anyio

from antiphon.engine import constructs
from antiphon.engine.branch import CURRENT, Branch
from antiphon.engine.errors import CallFailed, Stopped, UsageError, leading
from antiphon.engine.fanout import Construct, FanOut
from antiphon.engine.script import api
from antiphon.engine.script.confined.answers import answered
from antiphon.engine.script.confined.calls import lazy_of
from antiphon.engine.script.confined.frames import (
    AnyFrame,
    AskFrame,
    BeginFrame,
    CallFrame,
    EndFrame,
    FanFrame,
    ItemAsked,
    NowFrame,
    PrintFrame,
    PulledFrame,
)
from antiphon.engine.script.confined.groups import Group, Local, value_shown
from antiphon.engine.script.confined.served import Served
from antiphon.engine.script.confined.wire import Counted, Wire
from antiphon.engine.script.given import frames_of, limits_of, window_of
from antiphon.engine.script.lazy import Lazy
from antiphon.engine.script.runtime import Guest, GuestDied, GuestLimits, ScriptRaised
from antiphon.tracing.errors import AntiphonError, LogClosed, LogFailed
from antiphon.tracing.log import Json

MAX_DEPTH: Final = 100
"""How many branches of one script may be inside of each other; a fan-out and its item are two."""
_CANCEL: Final[dict[str, Json]] = {"cancel": True}


class Session:
    """A guest, and the branches that it works in.

    Args:
        guest: the running script.
        limits: what it may use.
        version: what tells this script from an edited one.
    """

    def __init__(self, guest: Guest, limits: GuestLimits, version: str) -> None:
        self._limits, self._version = limits, version
        self._wire = Wire(guest, limits, self)
        self._served: dict[str, Served] = {}
        self._over: set[str] = set()
        self._groups: dict[int, Group] = {}
        self._calls = Counted()
        self._printed = 0
        self._said_its_end = False
        self._root: Served

    async def run(self, root: Served) -> Any:
        """Serve the script until it is over; what its `main` returned.

        Raises:
            CallFailed, UsageError: what the host made it raise, and it did not catch.
            ScriptRaised: an exception of its own.
            GuestDied: it ended before its script did.
        """
        self._root = self._served[root.token] = root
        try:
            async with anyio.create_task_group() as tasks:
                self._wire.start(tasks)
                try:
                    return await self._work(root)
                finally:
                    self._wire.stop()
        except ExceptionGroup as group:
            raise leading(group) from None
        finally:
            self._wire.close()

    # --- what arrives ---------------------------------------------------------------------------------------------

    def died(self) -> None:
        """The guest is no more: nobody need wait for a word of it."""
        for here in self._served.values():
            here.hears_no_more()

    @property
    def works(self) -> bool:
        """Whether the host itself has something to do for the guest; a person who thinks about a question is slow."""
        asked = bool(self._root.branch.run.pending)
        return asked or bool(self._calls) or any(group.works for group in self._groups.values())

    @property
    def is_over(self) -> bool:
        """Whether the script said what it came to, and nothing else of it is under way."""
        return self._said_its_end and not self._root.waiting

    @property
    def is_cancelled(self) -> bool:
        """Whether the script was cancelled from outside."""
        return self._root.is_cancelled

    def takes(self, frame: AnyFrame) -> None:
        """Take a frame. Raises `GuestDied` for what no guest sends."""
        here = self._served.get(frame.at)
        if here is None:
            known = frame.at in self._over
            raise GuestDied("protocol", f"it spoke for a branch that {'is over' if known else 'there is not'}")
        match frame:
            case EndFrame():
                self._said_its_end = self._said_its_end or here is self._root
                here.arrives(frame)
            case BeginFrame():
                self._begins(frame)
            case AskFrame():
                self._asks(frame)
            case PrintFrame():
                self._print(here, frame.text)
            case NowFrame():  # also of a branch that is cancelled: its `finally` may log and put, as in a trusted file
                self._wire.post(frame.id, self._at_once(here, frame))
            case _ if here.is_cancelled:
                here.has_heard = True
                self._wire.post(frame.id, _CANCEL)
            case PulledFrame():
                here.arrives(frame)
            case _:
                if isinstance(frame, FanFrame):
                    self._plan(here, frame)
                here.arrives(frame)

    def _plan(self, here: Served, frame: FanFrame) -> None:
        if frame.group in self._groups:
            raise GuestDied("protocol", "it used the number of a fan-out twice")

        async def pulled() -> ItemAsked | None:
            return await self._pulled(here, frame.group)

        self._groups[frame.group] = Group(
            frame, post=self._wire.post, work=self._item, pulled=pulled, version=self._version
        )

    def _begins(self, frame: BeginFrame) -> None:
        group = self._groups.get(frame.group)
        if group is None:  # it is over by now, or its branch was cancelled
            self._wire.post(frame.id, _CANCEL)
        else:
            group.begins(frame.index, frame.id)

    def _asks(self, frame: AskFrame) -> None:
        group = self._groups.get(frame.group)
        if group is None:
            self._wire.post(frame.id, {"value": None})
        else:
            group.asks(frame.id, frame.answer)

    def _print(self, here: Served, text: str) -> None:
        room = self._limits.output_bytes - self._printed
        self._printed += len(text.encode("utf-8", "surrogatepass"))
        if room <= 0:
            return
        dropped = "" if self._printed <= self._limits.output_bytes else " … and more, which is dropped"
        said = text[:room].rstrip("\n")
        if said or dropped:
            self._note(here, f"{said}{dropped}")

    def _note(self, here: Served, text: str) -> None:
        here.branch.run.log.enqueue("note", here.branch.path, {"text": text[:10_000], "printed": True})

    def _at_once(self, here: Served, frame: NowFrame) -> dict[str, Json]:
        token = CURRENT.set(here.branch)
        try:
            return {"value": answered(here.branch, frame)}
        except Stopped:
            return _CANCEL
        except (AntiphonError, TypeError, ValueError) as error:
            return self._failure(here, error)
        finally:
            CURRENT.reset(token)

    def _failure(self, here: Served, error: Exception) -> dict[str, Json]:
        """The reply that makes the guest raise what the host raised."""
        if isinstance(error, LogFailed | LogClosed):
            raise error  # nothing can be recorded any more: the run ends, whatever the script would make of it
        text = here.fails(error)
        return {"failed" if isinstance(error, CallFailed) else "error": text}

    # --- branches -------------------------------------------------------------------------------------------------

    async def _item(self, branch: Branch, place: Local, beginning: int) -> Any:
        here = Served(branch)
        self._served[here.token] = here
        self._wire.post(beginning, {"value": {"at": here.token}})
        await self._work(here)
        return place

    async def _work(self, here: Served) -> Any:
        """Serve a branch until the guest says that it is over; what it came to."""
        ended: EndFrame | None = None
        try:
            ended = await self._serve(here)
        finally:
            if ended is None:
                await self._cancel(here)
            del self._served[here.token]
            self._over.add(here.token)
            here.close()
        assert ended is not None
        return here.value_of(ended)

    async def _serve(self, here: Served, group: int | None = None) -> Any:
        """Do what the guest asks for in a branch, until its end, or until the source of `group` gave an item."""
        async for frame in here.asked:
            match frame:
                case EndFrame() if group is None:
                    return frame
                case PulledFrame() if frame.group == group:
                    return frame
                case CallFrame() | FanFrame():
                    await self._perform(here, frame)
                case _:
                    await self._end("it ended a branch, or gave an item, out of turn")
        await anyio.sleep_forever()  # the guest died, and whoever reads from it cancels all that serves it
        raise AssertionError("unreachable")

    async def _end(self, reason: str) -> NoReturn:
        """End the guest for what it sent."""
        raise await self._wire.end(GuestDied("protocol", reason))

    async def _perform(self, here: Served, frame: CallFrame | FanFrame) -> None:
        here.waiting.append(frame.id)
        reply = await self._reply(here, frame)
        here.waiting.remove(frame.id)
        self._wire.post(frame.id, reply)

    async def _reply(self, here: Served, frame: CallFrame | FanFrame) -> dict[str, Json]:
        try:
            if isinstance(frame, FanFrame):
                return {"value": await self._fan(here, frame)}
            with self._calls:
                return value_shown(await lazy_of(frame.call).begin(here.branch))
        except GuestDied:
            raise
        except (AntiphonError, TypeError, ValueError) as error:
            return self._failure(here, error)

    async def _cancel(self, here: Served) -> None:
        """Tell the guest that a branch is cancelled, and wait until it has left it; one that does not is ended."""
        here.is_cancelled = True
        if self._wire.is_dead:
            return
        for id in here.waiting:
            self._wire.post(id, _CANCEL)
        if not await self._left(here):
            await self._wire.end(GuestDied("killed", "it went on in a branch that was cancelled"))

    async def _left(self, here: Served) -> bool:
        """Whether the guest left a cancelled branch in time. While it computes in another, it hears of nothing.

        So it has the rest of its turn, if the run goes on: whoever stops a run is not kept waiting.
        """
        for seconds in (self._limits.grace_seconds, self._limits.turn_seconds):
            with anyio.move_on_after(seconds, shield=True):
                await self._ended(here)
                return True
            if self._wire.is_waiting or here.has_heard or here is self._root or self._run_is_over():
                break
        return False

    def _run_is_over(self) -> bool:
        try:
            self._root.branch.run.check()
        except Stopped:
            return True
        return False

    async def _ended(self, here: Served) -> None:
        async for frame in here.asked:
            if isinstance(frame, EndFrame):
                return
            if not isinstance(frame, PulledFrame):
                self._wire.post(frame.id, _CANCEL)

    async def _pulled(self, here: Served, group: int) -> ItemAsked | None:
        frame = await self._serve(here, group)
        assert isinstance(frame, PulledFrame)
        if frame.raised is not None:
            raise ScriptRaised(frame.raised[:2_000])
        return frame.item

    # --- constructs -----------------------------------------------------------------------------------------------

    async def _fan(self, here: Served, frame: FanFrame) -> Json:
        group = self._groups[frame.group]
        group.is_served = True
        try:
            if here.branch.depth - self._root.branch.depth > MAX_DEPTH:
                raise UsageError(f"{frame.made}() is nested more than {MAX_DEPTH} branches deep")
            if frame.made == "branch":
                return await self._branch(here, group, frame)
            return await self._fanned(here, group, frame, frame.made)
        finally:
            group.close()
            self._groups.pop(frame.group, None)

    async def _branch(self, here: Served, group: Group, frame: FanFrame) -> Json:
        items = group.items()
        if not isinstance(items, list) or len(items) != 1:
            await self._end("it named a branch of many items")
        item, options = items[0], frame.options
        lazy: Lazy[Any] = Lazy("branch item", item.body, leaf=item.leaf, mark=item.mark, drop=item.discard)
        outcome = await api.branch(options.name, lazy, limits=options.limits, context=options.context).begin(
            here.branch
        )
        return {"outcomes": here.told([outcome])}

    async def _fanned(self, here: Served, group: Group, frame: FanFrame, construct: Construct) -> Json:
        asked = FanOut(
            construct=construct,
            items=group.items(),
            make=lambda item: item,
            until=group.until if "until" in frame.asks else None,
            window=window_of(frame.options.concurrency),
            limits=limits_of(frame.options.limits),
            context=frames_of(frame.options.context),
        )
        match construct:
            case "race":
                return {"outcomes": [], "won": value_shown(await constructs.race(here.branch, asked))}
            case "quorum":
                return await self._quorum(here, group, asked, frame.options.need)
            case _:
                outcomes = await constructs.parallel(here.branch, asked)
                return {"outcomes": here.told(outcomes), "complete": outcomes.complete}

    async def _quorum(self, here: Served, group: Group, asked: FanOut, need: int) -> Json:
        if need < 1:
            raise UsageError(f"quorum needs at least one vote, not need={need}")
        tally = await constructs.quorum(here.branch, asked, need, group.vote)
        votes: list[Json] = list(tally.votes)
        return {"outcomes": here.told(tally.outcomes), "decided": tally.decided, "votes": votes}
