"""Who says that nothing happens: a watcher beside a run. It notes what each call waits for, and never ends anything.

A model may think for minutes and a provider ask to wait for an hour, and neither is a reason to throw work away. So
what ends a request is its own deadline, and what is here only tells a person where to look.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, final

import anyio

from antiphon.engine import Run
from antiphon.tracing import Json

PROGRESS: Final = frozenset({"attempt.ended", "call.ended", "call.reused", "branch.ended", "phase.ended", "turn"})
"""What counts as something that ended."""
STALLED_SECONDS: Final = 120.0
_PATH = "main"
_NAMED = 100
_GROUPS = 5


def _nothing() -> Iterable[str]:
    return ()


@final
@dataclass(slots=True)
class StallWatch:
    """Watches a run until it is cancelled; see `antiphon.workflows.running.Watching`.

    Args:
        seconds: how long nothing may have ended before it says so; again after twice as long, and so on.
        said: further lines for a person, such as `Sender.said`.

    Attributes:
        text: what it said last, while that still holds; "" when something has ended since.
    """

    seconds: float = STALLED_SECONDS
    said: Callable[[], Iterable[str]] = _nothing
    text: str = field(default="", init=False)
    _last: float = field(default=0.0, init=False)
    _moved: anyio.Event | None = field(default=None, init=False)

    async def __call__(self, run: Run) -> None:
        """Watch until cancelled."""
        run.log.watch(self._follow)
        self._last = anyio.current_time()
        quiet = self.seconds
        while True:
            since, self._moved = self._last, anyio.Event()
            with anyio.move_on_after(since + quiet - anyio.current_time()):
                await self._moved.wait()
            if self._last > since:
                quiet = self.seconds
            elif run.mode == "running":
                self._say(run, quiet)
                quiet *= 2
            else:
                quiet *= 2

    def _follow(self, kind: str, _path: str, _at: float, _data: Mapping[str, Json]) -> None:
        if kind not in PROGRESS:
            return
        self._last = anyio.current_time()
        if self.text and self._moved is not None:  # else it looks by itself, and need not be woken by each event
            self._moved.set()
        self.text = ""

    def _say(self, run: Run, seconds: float) -> None:
        told = ". ".join([_under_way(run), *self.said(), _advice(run)])
        self.text = f"nothing has ended for {seconds:.4g} s: {told}"
        waits: dict[str, Json] = dict(list(run.waits.items())[:_NAMED])
        stalled: dict[str, Json] = {"seconds": seconds, "in_flight": run.in_flight, "waits": waits}
        run.log.enqueue("note", _PATH, {"text": self.text, "stalled": stalled})


def _under_way(run: Run) -> str:
    """How many calls are at what, in words."""
    waiting = Counter(run.waits.values())
    parts = [_counted(number, f"for {what}") for what, number in waiting.most_common(_GROUPS)]
    if len(waiting) > _GROUPS:
        parts.append(f"and {len(waiting) - _GROUPS} further reasons")
    working = run.in_flight - waiting.total()
    if working > 0:
        parts.append(f"{working} at work or sent, without an answer so far")
    return ", ".join(parts) if parts else "no call is under way, so the script itself waits for something"


def _counted(number: int, what: str) -> str:
    return f"1 call waits {what}" if number == 1 else f"{number} calls wait {what}"


def _advice(run: Run) -> str:
    if run.pending:
        return f"It may be you who is waited for: antiphon resume {run.run_id} --approve"
    if "the budget" in run.waits.values():
        return f"More budget may help: Ctrl-C, then antiphon resume {run.run_id} --budget +AMOUNT"
    return f"It may go on by itself; Ctrl-C pauses, and antiphon resume {run.run_id} goes on"
