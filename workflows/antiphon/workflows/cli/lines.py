"""The view for pipes, logs and dumb terminals: a plain line for each thing worth one, and progress now and then."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import final

import anyio

from antiphon.engine import Run
from antiphon.workflows.cli.meters import meters
from antiphon.workflows.cli.progress import Progress
from antiphon.workflows.cli.terminal import Paper
from antiphon.workflows.cli.words import counts, duration, plural

_TICK_SECONDS = 0.25
PROGRESS_SECONDS = 5.0
_ACTS = 5


@final
class Lines:
    """Writes plain lines on stderr.

    Args:
        paper: where.
        progress: what happened.
        every_seconds: how often at most there is a progress line.
    """

    def __init__(self, paper: Paper, progress: Progress, *, every_seconds: float = PROGRESS_SECONDS) -> None:
        self._paper, self._progress, self._every = paper, progress, every_seconds
        self._told_at = progress.clock()
        self._told_events: int = 0
        self._told_acts: dict[str, str] = {}
        self._writing = threading.Lock()
        self._is_aside = False

    @contextmanager
    def aside(self) -> Generator[None]:
        """Write nothing while the block runs; what comes meanwhile is written after it."""
        self._is_aside = True
        try:
            yield
        finally:
            self._is_aside = False

    def shown(self) -> AbstractContextManager[None]:
        """Nothing to set up."""
        return nullcontext()

    def say(self, text: str, *, now: bool = False) -> None:
        """See `Voice`."""
        if now:
            self._paper.line(text)
            return
        self._write(text)

    async def watch(self, run: Run) -> None:
        """Write what comes, until cancelled."""
        run.log.watch(self._progress.follow)
        while True:
            self._progress.sample()
            if not self._is_aside:
                self.tell_news()
                self._tell_progress(run)
            await anyio.sleep(_TICK_SECONDS)

    def tell_news(self) -> None:
        """Write what happened and was not written yet."""
        for text in self._progress.take_news():
            self._write(text)

    def _tell_progress(self, run: Run) -> None:
        progress, now = self._progress, self._progress.clock()
        if now - self._told_at < self._every or progress.events == self._told_events:
            return
        self._told_at, self._told_events = now, progress.events
        self._write(progress_line(run, progress))
        for line in act_lines(run, progress, self._told_acts):
            self._write(line)
        self._told_acts = dict(run.acts)

    def _write(self, text: str) -> None:
        progress = self._progress
        with self._writing:
            self._paper.line(f"[{duration(progress.clock() - progress.began):>7}] ", text)


def progress_line(run: Run, progress: Progress) -> str:
    """How far it is, in one line."""
    done, planned = progress.items()
    parts = [
        f"{done:,} of {planned:,} items" if planned else f"{progress.done:,} calls",
        counts(progress.calls),
        f"{len(progress.flying):,} in flight",
        *(meter.in_words() for meter in meters(run)),
    ]
    eta = progress.eta_seconds()
    if eta is not None:
        parts.append(f"about {duration(eta)} left")
    return "; ".join(part for part in parts if part)


def act_lines(run: Run, progress: Progress, told: Mapping[str, str]) -> Iterator[str]:
    """What a few agents do now that was not told before, each in one line; those that began first.

    Args:
        run: whose acts.
        progress: what is in flight.
        told: the acts that were told, by path.
    """
    news = {path: act for path, act in run.acts.items() if told.get(path) != act}
    acting = progress.acting(news, _ACTS)
    for call, act in acting:
        yield f"  {call.name} at {call.path}: {act}"
    if len(news) > len(acting) > 0:
        yield f"  and {plural(len(news) - len(acting), 'more agent')} at something else than before"
