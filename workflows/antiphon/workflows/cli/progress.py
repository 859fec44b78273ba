"""What is going on in a run right now, from its events as they come. Cheap: it is told everything."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, final

from antiphon.tracing import Json
from antiphon.workflows.cli.words import FAILURES, duration

_RATE_SECONDS = 30.0
_RATE_POINTS = 240
_LASTING_SECONDS = 2.0
KEPT_FAILURES = 20
_MOST_DENIED = 20


@dataclass(slots=True)
class PhaseView:
    """One phase: how many calls ended as what, and when it began and ended."""

    title: str
    began: float
    ended: float | None = None
    calls: Counter[str] = field(default_factory=Counter[str])
    in_flight: int = 0
    reused: int = 0


@dataclass(slots=True)
class FlyingCall:
    """A call that has begun and not ended.

    Attributes:
        doing: the attempt that is under way (`model gpt`, `process ruff`), or empty.
    """

    path: str
    name: str
    sort: str
    phase: str
    since: float
    doing: str = ""


@dataclass(slots=True)
class _FanOut:
    items: int
    done: int = 0


@final
class Progress:
    """Follows a run's log.

    Args:
        clock: seconds, from any start.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.began = clock()
        self.workflow = ""
        self.last = ""
        self.last_at = self.began
        self.events = 0
        self.calls: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.phases: dict[str, PhaseView] = {}
        self.flying: dict[str, FlyingCall] = {}
        self.news: deque[str] = deque(maxlen=1000)
        self.hidden_failures = 0
        self._told_denied = set[str]()
        self._acts: dict[str, tuple[str, float]] = {}
        self._open_phases: Counter[str] = Counter()
        self._fans: dict[str, _FanOut] = {}
        self._items: set[str] = set()
        self._points: deque[tuple[float, int]] = deque(maxlen=_RATE_POINTS)
        self._readers: dict[str, Callable[[str, Mapping[str, Any]], None]] = {
            "run.started": self._run_started,
            "run.resumed": self._run_resumed,
            "phase.started": self._phase_started,
            "phase.ended": self._phase_ended,
            "branch.started": self._branch_started,
            "branch.ended": self._branch_ended,
            "call.started": self._call_started,
            "call.ended": self._call_ended,
            "call.reused": self._call_reused,
            "attempt.started": self._attempt_started,
            "attempt.ended": self._attempt_ended,
            "note": self._note,
            "denied": self._denied,
            "control": self._control,
            "budget": self._budget,
        }

    def follow(self, kind: str, path: str, _at: float, data: Mapping[str, Json]) -> None:
        """Take one event; a `Watcher`."""
        self.events += 1
        self.last_at = self.clock()
        reader = self._readers.get(kind)
        if reader is not None:
            reader(path, data)

    def take_news(self) -> list[str]:
        """What happened since the last time that deserves a line of its own."""
        lines = list(self.news)
        self.news.clear()
        return lines

    @property
    def done(self) -> int:
        """How many calls have ended or replayed."""
        return self.calls.total()

    # --- who does what -----------------------------------------------------------------------------------------------

    def lasting(self, path: str, act: str) -> str:
        """What a call does, with how long it has done so already where that is worth saying: ``run pytest (12 s)``."""
        before, now = self._acts.get(path), self.clock()
        if before is None or before[0] != act:
            self._acts[path] = act, now
            return act
        seconds = now - before[1]
        return f"{act} ({duration(seconds)})" if seconds >= _LASTING_SECONDS else act

    def acting(self, acts: Mapping[str, str], most: int) -> list[tuple[FlyingCall, str]]:
        """A few of the calls that do something, those that began first, and what that is."""
        some = islice(((call, acts[path]) for path, call in self.flying.items() if path in acts), most)
        return [(call, self.lasting(call.path, act)) for call, act in some]

    # --- how far ----------------------------------------------------------------------------------------------------

    def items(self) -> tuple[int, int]:
        """How many items of the outermost fan-outs are done, and how many there are."""
        outer = [fan for path, fan in self._fans.items() if not self._inside_another(path)]
        return sum(fan.done for fan in outer), sum(fan.items for fan in outer)

    def sample(self) -> None:
        """Remember how far it is, for the rate; to be called now and then."""
        self._points.append((self.clock(), self.items()[0]))

    def eta_seconds(self) -> float | None:
        """How long the open fan-outs will take at the rate of the last half minute; None when that is not known."""
        done, planned = self.items()
        now = self.clock()
        start = next(((at, n) for at, n in self._points if now - at <= _RATE_SECONDS), None)
        if start is None or done <= start[1] or planned <= done or now - start[0] < 1.0:
            return None
        return (planned - done) * (now - start[0]) / (done - start[1])

    def _inside_another(self, path: str) -> bool:
        parent = path.rpartition("/")[0]
        while parent:
            if parent in self._fans:
                return True
            parent = parent.rpartition("/")[0]
        return False

    # --- events -----------------------------------------------------------------------------------------------------

    def _run_started(self, _path: str, data: Mapping[str, Any]) -> None:
        self.workflow = str(data.get("workflow", ""))

    def _run_resumed(self, _path: str, data: Mapping[str, Any]) -> None:
        names = [str(call.get("path")) for call in data.get("in_flight", ())]
        if names:
            self.news.append(f"in flight when it stopped, to be performed again: {_some(names)}")

    def _phase_started(self, _path: str, data: Mapping[str, Any]) -> None:
        title = str(data.get("title", ""))
        self._phase(title).ended = None
        self._open_phases[title] += 1
        if self._open_phases[title] == 1:
            self.news.append(f"phase {title}")
        self.last = f"phase {title}"

    def _phase_ended(self, _path: str, data: Mapping[str, Any]) -> None:
        title = str(data.get("title", ""))
        self._open_phases[title] -= 1
        if self._open_phases[title] <= 0:
            phase = self._phase(title)
            phase.ended = self.clock()
            self.news.append(f"phase {title} ended: {_tally(phase)}")

    def _branch_started(self, path: str, data: Mapping[str, Any]) -> None:
        if isinstance(data.get("items"), int):
            self._fans[path] = _FanOut(data["items"])
        else:
            self._items.add(path)

    def _branch_ended(self, path: str, _data: Mapping[str, Any]) -> None:
        fan = self._fans.get(path)
        if fan is not None and self._inside_another(path):
            del self._fans[path]
        elif fan is not None:
            fan.done = fan.items
        self._items.discard(path)
        self._item_done(path)

    def _item_done(self, path: str) -> None:
        fan = self._fans.get(path.rpartition("/")[0])
        if fan is not None and fan.done < fan.items:
            fan.done += 1

    def _call_started(self, path: str, data: Mapping[str, Any]) -> None:
        name, phase = _name(data), str(data.get("phase", ""))
        self.flying[path] = FlyingCall(path, name, str(data.get("call", "")), phase, self.last_at)
        self._phase(phase).in_flight += 1
        self.last = f"{name} began"

    def _call_ended(self, path: str, data: Mapping[str, Any]) -> None:
        kind, phase = str(data.get("kind", "")), self._phase(str(data.get("phase", "")))
        if self.flying.pop(path, None) is not None:
            phase.in_flight -= 1
            self._acts.pop(path, None)
        phase.calls[kind] += 1
        self.calls[kind] += 1
        self.last = f"{_name(data)} {kind}"
        self._call_over(path)
        if kind in FAILURES:
            self._failed(path, kind, data)

    def _failed(self, path: str, kind: str, data: Mapping[str, Any]) -> None:
        sort = str(data.get("infrastructure") or data.get("category") or kind)
        self.failures[sort] += 1
        if self.failures.total() > KEPT_FAILURES:
            self.hidden_failures += 1
            return
        self.news.append(f"{path} {_name(data)} {kind.replace('_', ' ')}: {data.get('reason', '')}")
        if self.failures.total() == KEPT_FAILURES:
            self.news.append("further failures are counted and not listed; antiphon show lists them")

    def _call_reused(self, path: str, data: Mapping[str, Any]) -> None:
        kind, phase = str(data.get("kind", "")), self._phase(str(data.get("phase", "")))
        phase.calls[kind] += 1
        phase.reused += 1
        self.calls[kind] += 1
        if kind in FAILURES:
            self.failures[f"{kind.replace('_', ' ')} (replayed)"] += 1
        self._call_over(path)

    def _call_over(self, path: str) -> None:
        """A call alone in its item stands for the item, which then has no events of its own."""
        around = path.rpartition("/")[0]
        if around not in self._items:
            self._item_done(around)

    def _attempt_started(self, path: str, data: Mapping[str, Any]) -> None:
        call = self.flying.get(path)
        if call is not None:
            call.doing = f"{data.get('sort', '')} {data.get('name', '')}".strip()

    def _attempt_ended(self, path: str, _data: Mapping[str, Any]) -> None:
        call = self.flying.get(path)
        if call is not None:
            call.doing = ""

    def _note(self, path: str, data: Mapping[str, Any]) -> None:
        if path:
            self.news.append(f"note: {data.get('text', '')}")

    def _denied(self, path: str, data: Mapping[str, Any]) -> None:
        """Each thing that is denied is told once; what a tool was denied is told by its note."""
        what = str(data.get("what", ""))
        if "at" not in data and what not in self._told_denied and len(self._told_denied) < _MOST_DENIED:
            self._told_denied.add(what)
            self.news.append(f"denied: {data.get('reason', '')}  ({path})")

    def _control(self, _path: str, data: Mapping[str, Any]) -> None:
        if "pause" in data and data["pause"] != "asked":  # whoever asked has said so
            self.news.append(f"pausing: {data.get('reason', '')}")
        elif "ask" in data:
            self.news.append(f"another process asks: {data['ask']} {data.get('budget') or ''}".rstrip())

    def _budget(self, _path: str, data: Mapping[str, Any]) -> None:
        if "top_up" in data:
            self.news.append("the budget was topped up")

    def _phase(self, title: str) -> PhaseView:
        phase = self.phases.get(title)
        if phase is None:
            phase = self.phases[title] = PhaseView(title, self.clock())
        return phase


def _name(data: Mapping[str, Any]) -> str:
    return str(data.get("label") or data.get("name") or "call")


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _tally(phase: PhaseView) -> str:
    from antiphon.workflows.cli.words import counts, plural

    told = counts(phase.calls) or "no calls"
    return f"{told} ({plural(phase.reused, 'call')} reused)" if phase.reused else told
