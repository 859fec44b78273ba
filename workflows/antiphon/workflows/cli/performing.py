"""What `run`, `resume` and `audit` share: perform a run with somebody watching, and report how it ended."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import anyio

from antiphon.engine import Run
from antiphon.workflows.cli.asking import asker_of
from antiphon.workflows.cli.configuration import Configuration
from antiphon.workflows.cli.lines import Lines
from antiphon.workflows.cli.live import LiveTree
from antiphon.workflows.cli.progress import Progress
from antiphon.workflows.cli.signals import Interrupts, Voice
from antiphon.workflows.cli.summary import facts, print_summary, value_text
from antiphon.workflows.cli.terminal import Paper, can_draw, data, talk
from antiphon.workflows.running import Ended, Options


class View(Voice, Protocol):
    """What a person sees while a run goes on."""

    def shown(self) -> AbstractContextManager[None]:
        """Show it while the block runs."""
        ...

    async def watch(self, run: Run) -> None:
        """Follow the run, until cancelled."""
        ...

    def tell_news(self) -> None:
        """Say what is left to say."""
        ...

    def aside(self) -> AbstractContextManager[None]:
        """Write nothing while the block runs: somebody else uses the terminal."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """How a run is performed and shown.

    Attributes:
        backend: ``asyncio`` or ``trio``.
        json: print one JSON object instead of the value as text.
        plain: plain lines even on a terminal.
        print_value: print the final value; False where a command prints something of its own.
    """

    backend: str = "asyncio"
    json: bool = False
    plain: bool = False
    print_value: bool = True


def perform_and_report(
    perform: Callable[[Options], Awaitable[Ended]],
    options: Options,
    presentation: Presentation,
    *,
    report: Callable[[Ended, Paper], None] | None = None,
    judge: Callable[[Ended], int] | None = None,
) -> int:
    """Perform one attempt at a run, visibly and interruptibly, and report how it ended.

    Args:
        perform: `start` or `resume`, given all but the options.
        options: what was asked for; the view and Ctrl-C are added.
        presentation: how it is performed and shown.
        report: prints what the command itself has to say on stdout, in place of the value; not with `json`.
        judge: gives the exit code; the run's own by default.

    Returns:
        The exit code.

    Raises:
        AntiphonError: the run could not begin, or nothing could be recorded any more.
    """
    progress = Progress()
    view = _view(talk(), progress, plain=presentation.plain)
    interrupts = Interrupts(view, grace_seconds=options.settings.grace_seconds)
    asker = asker_of(view, talk())
    beside = (view.watch, interrupts.watch) if asker is None else (view.watch, interrupts.watch, asker.watch)
    watched = replace(options, watching=(*options.watching, *beside))
    # A person's answer to Ctrl-C must reach us before anything can hang.
    with interrupts.received(), scripts_talk(), view.shown():
        ended = anyio.run(perform, watched, backend=presentation.backend)
        view.tell_news()
    code = judge(ended) if judge else ended.result.exit_code
    if presentation.json:
        data().raw(facts(ended, progress, code) + "\n")
    else:
        _print_result(ended, presentation, report)
    print_summary(talk(), ended, progress)
    return code


def _print_result(ended: Ended, presentation: Presentation, report: Callable[[Ended, Paper], None] | None) -> None:
    paper = data()
    if report is not None:
        report(ended, paper)
    elif presentation.print_value and ended.value is not None:
        paper.text(value_text(ended.value))


def _view(paper: Paper, progress: Progress, *, plain: bool) -> View:
    return Lines(paper, progress) if plain or not can_draw(paper.out) else LiveTree(paper, progress)


@contextmanager
def scripts_talk() -> Generator[None]:
    """What a script prints is talk: stdout stays data, so that `antiphon run … | jq` works whatever the script says."""
    out, sys.stdout = sys.stdout, sys.stderr
    try:
        yield
    finally:
        sys.stdout = out


def settings_of(held: Configuration, **more: Any) -> Any:
    """The engine's settings that a configuration stands for; `more` are further fields of `Settings`."""
    from antiphon.engine import Settings

    if held.concurrency is not None:
        more["attempts"] = held.concurrency
    if held.processes is not None:
        more["processes"] = held.processes
    return Settings(**more)
