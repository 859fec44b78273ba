"""A branch of the engine that a guest works in: what it may do there, and what it was told."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any, Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from antiphon.engine.branch import Branch
from antiphon.engine.errors import CallFailed
from antiphon.engine.outcome import Degraded, Outcome, Succeeded
from antiphon.engine.script.confined.frames import CallFrame, EndFrame, FanFrame, PulledFrame
from antiphon.engine.script.confined.groups import outcome_shown
from antiphon.engine.script.runtime import GuestDied, ScriptRaised
from antiphon.tracing.log import Json

Asked = CallFrame | FanFrame | PulledFrame | EndFrame
KEPT_FAILURES: Final = 10_000


class Served:
    """A branch of the engine that the guest works in.

    Attributes:
        failures: what the guest was told to raise here, by its text; what it raises in turn is looked up.
        waiting: the numbers of the frames that wait for their replies: one, and one more while an asynchronous source
            of its fan-out is read.
        has_heard: it asked for something since it was cancelled, so it is not another branch that keeps it.
    """

    def __init__(self, branch: Branch) -> None:
        self.branch = branch
        self.token = secrets.token_hex(16)
        self.failures: dict[str, Exception] = {}
        self.waiting: list[int] = []
        self.is_cancelled = False
        self.has_heard = False
        self.asked: MemoryObjectReceiveStream[Asked]
        self._arriving: MemoryObjectSendStream[Asked]
        self._arriving, self.asked = anyio.create_memory_object_stream[Asked](64)

    def arrives(self, frame: Asked) -> None:
        """Something to serve. Raises `GuestDied` when a branch asks for more things at once than a branch can."""
        try:
            self._arriving.send_nowait(frame)
        except anyio.WouldBlock:
            raise GuestDied("protocol", "it asked for many things at once in one branch") from None
        except anyio.BrokenResourceError:
            raise GuestDied("protocol", "it asked for something in a branch that is over") from None

    def fails(self, error: Exception) -> str:
        """Note what the guest may raise here; its text."""
        text = str(error)
        self.failures.pop(text, None)
        self.failures[text] = error
        if len(self.failures) > KEPT_FAILURES:  # the oldest goes: what is raised is mostly what was told last
            del self.failures[next(iter(self.failures))]
        return text

    def told(self, outcomes: Iterable[Outcome[Any]]) -> list[Json]:
        """Outcomes as the guest is told of them; it may raise those that have no value."""
        told: list[Json] = []
        for index, outcome in enumerate(outcomes):
            told.append(outcome_shown(outcome, index))
            if not isinstance(outcome, Succeeded | Degraded):
                self.fails(CallFailed(outcome))
        return told

    def value_of(self, ended: EndFrame) -> Any:
        """What a branch came to. What the host made the guest raise is raised again as it was."""
        if ended.error is not None:
            known = self.failures.get(ended.error)
            raise known if known is not None else ScriptRaised((ended.described or ended.error)[:2_000])
        if ended.cancelled:
            raise ScriptRaised("the script ended itself, by an exception that is none of its own to raise")
        return ended.value

    def hears_no_more(self) -> None:
        """Nothing will arrive here; what did is still there."""
        self._arriving.close()

    def close(self) -> None:
        """Nothing is served here any more."""
        self._arriving.close()
        self.asked.close()
