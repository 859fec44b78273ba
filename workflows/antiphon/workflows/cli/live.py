"""The view for a terminal: a small picture of the run, drawn over itself a few times a second."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, final

import anyio

from antiphon.engine import Run
from antiphon.workflows.cli.meters import Meter, meters, waits
from antiphon.workflows.cli.progress import FlyingCall, PhaseView, Progress
from antiphon.workflows.cli.terminal import Paper, Part, Piece, cut, visible, width_of
from antiphon.workflows.cli.words import STYLE_OF, counts, duration, plural, quantity

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

DRAW_SECONDS: Final = 0.125
_SHOWN_CALLS: Final = 8
_SHOWN_PHASES: Final = 12
_RICH: Final = {"good": "green", "bad": "red", "warn": "yellow", "dim": "dim", "bold": "bold", "": ""}
_NARROW: Final = 60

Row = tuple[Part, ...]


@final
class LiveTree:
    """Draws the run on stderr, a terminal.

    Args:
        paper: where.
        progress: what is going on.
    """

    def __init__(self, paper: Paper, progress: Progress) -> None:
        self._paper, self._progress = paper, progress
        self._live: Live | None = None
        self._draws = self._is_aside = False

    @contextmanager
    def shown(self) -> Generator[None]:
        """Draw while the block runs, and leave nothing of the picture behind. What is printed meanwhile stays above."""
        self._draws = True
        self._begin()
        try:
            yield
        finally:
            self._draws = False
            self._end()

    @contextmanager
    def aside(self) -> Generator[None]:
        """Take the picture away while the block runs; what comes meanwhile is told after it."""
        self._is_aside = True
        self._end()
        try:
            yield
        finally:
            self._is_aside = False
            if self._draws:
                self._begin()

    def _begin(self) -> None:
        """A picture of its own each time: one that is begun again would wipe what was printed since."""
        from rich.live import Live

        live = Live(console=_console(self._paper), auto_refresh=False, transient=True, vertical_overflow="crop")
        live.start()
        self._live = live

    def _end(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def say(self, text: str, *, now: bool = False) -> None:
        """See `Voice`."""
        live = self._live
        if now or live is None:
            # The drawing may hang in the middle of a frame with the lock held: past it, and with the cursor back.
            with suppress(OSError):
                os.write(2, f"\x1b[?25h\r\x1b[K{visible(text)}\n".encode(errors="backslashreplace"))
            return
        live.console.print(_text((text,), None), soft_wrap=True)

    async def watch(self, run: Run) -> None:
        """Draw, until cancelled."""
        run.log.watch(self._progress.follow)
        while True:
            self._progress.sample()
            if not self._is_aside:
                self.tell_news()
                self._draw(run)
            await anyio.sleep(DRAW_SECONDS)

    def tell_news(self) -> None:
        """Print above the picture what deserves to stay: not phases, which the picture itself shows."""
        for text in self._progress.take_news():
            if not text.startswith("phase "):
                self.say(text)

    def _draw(self, run: Run) -> None:
        live = self._live
        if live is None:
            return
        from rich.console import Group

        columns, height = live.console.size
        rows = list(picture(run, self._progress, columns, self._paper.letters))[: max(3, height - 2)]
        live.update(Group(*(_text(row, columns) for row in rows)), refresh=True)


def _console(paper: Paper) -> Console:
    from rich.console import Console

    return Console(file=paper.out or sys.stderr, highlight=False, markup=False, emoji=False, no_color=not paper.colour)


def _text(row: Row, columns: int | None) -> Text:
    from rich.text import Text

    text = Text(no_wrap=columns is not None, overflow="crop" if columns is not None else "fold")
    room = columns
    for part in row:
        words, style = part if isinstance(part, Piece) else (part, "")
        words = visible(words)
        if room is not None:
            words = cut(words, room)
            room -= width_of(words)
        text.append(words, _RICH[style])
    return text


# --- the picture ----------------------------------------------------------------------------------------------------


def picture(run: Run, progress: Progress, columns: int, letters: bool = True) -> Iterator[Row]:
    """The rows of the picture, for a terminal of this width."""
    narrow = columns < _NARROW
    yield _heading(run, progress)
    phases = list(progress.phases.values())
    if len(phases) > _SHOWN_PHASES:
        yield (Piece(f"  {len(phases) - _SHOWN_PHASES} earlier phases", "dim"),)
    for phase in phases[-_SHOWN_PHASES:]:
        yield _phase_row(phase, progress, letters)
    yield from _calls(run, progress, letters)
    for meter in meters(run):
        yield _meter_row(meter, narrow, letters)
    waiting = ", ".join(waits(run))
    if waiting:
        yield ("  waiting: ", Piece(waiting, "warn"))
    for path, question in list(run.pending.items())[:3]:
        yield (Piece("  asks: ", "warn"), question.partition("\n")[0], Piece(f"  ({path})", "dim"))
    yield _last_row(progress)


def _heading(run: Run, progress: Progress) -> Row:
    done, planned = progress.items()
    parts: list[Part] = [Piece(progress.workflow or run.run_id, "bold"), f"  {duration(_now(progress))}"]
    if run.mode == "pausing":
        parts.append(Piece("  pausing", "warn"))
    if planned:
        parts.append(f"  {done:,}/{planned:,} items")
    eta = progress.eta_seconds()
    if eta is not None:
        parts.append(f"  about {duration(eta)} left")
    parts.append(Piece(f"  {run.run_id}", "dim"))
    return tuple(parts)


def _now(progress: Progress) -> float:
    return progress.clock() - progress.began


def _phase_row(phase: PhaseView, progress: Progress, letters: bool) -> Row:
    running = phase.ended is None
    mark = ("▸ " if letters else "> ") if running else ("✓ " if letters else "+ ")
    took = duration((phase.ended or progress.clock()) - phase.began)
    parts: list[Part] = [Piece(f"  {mark}", "warn" if running else "good"), Piece(phase.title or "(no phase)", "bold")]
    parts.append(Piece(f"  {took}", "dim"))
    for kind, count in phase.calls.items():
        parts.append(Piece(f"  {counts({kind: count})}", STYLE_OF.get(kind, "")))
    if phase.in_flight:
        parts.append(f"  {phase.in_flight:,} in flight")
    if phase.reused:
        parts.append(Piece(f"  {phase.reused:,} reused", "dim"))
    return tuple(parts)


def _calls(run: Run, progress: Progress, letters: bool) -> Iterator[Row]:
    flying = list(progress.flying.values())
    longest = sorted(flying, key=lambda call: (call.path in run.waits, call.since))[:_SHOWN_CALLS]
    now = progress.clock()
    elbow = Piece("    · " if letters else "    - ", "dim")
    for call in longest:
        since = Piece(f"{duration(now - call.since):>7}  ", "dim")
        yield elbow, since, Piece(call.name, "bold"), f"  {doing(run, call, progress)}", Piece(f"  {call.path}", "dim")
    if len(flying) > len(longest):
        yield (Piece(f"      and {plural(len(flying) - len(longest), 'call')} more in flight", "dim"),)


def doing(run: Run, call: FlyingCall, progress: Progress) -> str:
    """What a call is at: what it waits for, what its agent does, an attempt by name, or simply working."""
    waits_for = run.waits.get(call.path)
    if waits_for:
        return f"waits for {waits_for}"
    act = run.acts.get(call.path)
    return progress.lasting(call.path, act) if act else call.doing or "working"


def _meter_row(meter: Meter, narrow: bool, letters: bool) -> Row:
    name = meter.dimension.replace("_", " ")
    spent, limit = quantity(meter.dimension, meter.spent), quantity(meter.dimension, meter.limit)
    if narrow:
        return (f"  {name} {spent}/{limit}",)
    reserved, free = quantity(meter.dimension, meter.reserved), quantity(meter.dimension, meter.free)
    told = f" {spent} spent, {reserved} reserved, {free} free of {limit}"
    return (f"  {name:<14}", *_bar(meter, letters), told)


def _bar(meter: Meter, letters: bool, cells: int = 16) -> Row:
    whole = max(1, meter.limit)
    spent = min(cells, -(-meter.spent * cells // whole))
    reserved = min(cells - spent, -(-meter.reserved * cells // whole))
    full, half, empty = ("█", "▒", "░") if letters else ("#", "+", ".")
    rest = empty * (cells - spent - reserved)
    return Piece(full * spent, "good"), Piece(half * reserved, "warn"), Piece(rest, "dim")


def _last_row(progress: Progress) -> Row:
    ago = progress.clock() - progress.last_at
    told = f"  last: {progress.last or 'starting'}"
    return (Piece(told + (f", {duration(ago)} ago" if ago >= 2 else ""), "dim"),)
