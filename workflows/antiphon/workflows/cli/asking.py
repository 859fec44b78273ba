"""Questions of a run, asked on the terminal that it was started from: the view steps aside, and comes back."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Final, Literal, Protocol, final

import anyio

from antiphon.engine import Run
from antiphon.workflows.cli.diffs import print_diff
from antiphon.workflows.cli.terminal import Paper, Piece, is_terminal

_LOOK_SECONDS: Final = 0.1
_LONGEST: Final = 4096
_SHOWN_LINES: Final = 400
_DIFF_BEGINS: Final = ("--- ", "diff --git ", "*** Begin Patch", "*** Update File: ", "*** Add File: ")
_WORDS: Final[dict[str, Reply]] = {
    "y": "yes",
    "yes": "yes",
    "n": "no",
    "no": "no",
    "a": "always",
    "always": "always",
}

Reply = Literal["yes", "no", "always"]


class Aside(Protocol):
    """A view that can step aside."""

    def aside(self) -> AbstractContextManager[None]:
        """Write nothing while the block runs."""
        ...


@final
class Asker:
    """Asks the person at the terminal whatever the run asks, one question after another.

    Args:
        view: steps aside meanwhile.
        paper: where questions are written.
        source: the file that answers are read from, a terminal.
    """

    def __init__(self, view: Aside, paper: Paper, source: int) -> None:
        self._view, self._paper, self._source = view, paper, source
        self._typed = b""
        self._answered = set[str]()
        self._is_gone = self._is_prompting = False

    async def watch(self, run: Run) -> None:
        """Ask, until cancelled. While this goes on the run does not pause for want of an answer."""
        try:
            while not self._is_gone:
                run.is_attended = in_foreground(self._source)
                place = self._next(run)
                if place is None:
                    await anyio.sleep(_LOOK_SECONDS)
                else:
                    await self._asked(run, place)
        finally:
            run.is_attended = False

    def _next(self, run: Run) -> str | None:
        """The question that is open longest and was not answered here; who asked may not have heard yet."""
        self._answered &= run.pending.keys()
        if not run.is_attended or run.mode != "running":
            return None
        return next((place for place in run.pending if place not in self._answered), None)

    async def _asked(self, run: Run, place: str) -> None:
        from antiphon.subagents.tools.asking import consent_in

        tool = consent_in(run).asked.get(place, "")
        with self._view.aside(), self._whole_lines():
            print_question(self._paper, run.pending[place], place)
            reply = await self._reply(run, place, tool)
        if reply is None:
            return
        if reply == "always":
            consent_in(run).always(place)
        self._answered.add(place)
        run.give_answer(place, reply != "no")

    @contextmanager
    def _whole_lines(self) -> Generator[None]:
        """A prompt that nobody answers, because the question is settled or the run over, does not stay unended."""
        self._is_prompting = False
        try:
            yield
        finally:
            if self._is_prompting:
                self._paper.raw("\n")

    async def _reply(self, run: Run, place: str, tool: str) -> Reply | None:
        """What the person says; None where the question is not open any more, or nobody can answer it."""
        choice = f"y yes, n no, a always for {tool}" if tool else "y yes, n no"
        self._forget_typed()
        while True:
            self._paper.raw(f"{choice} > ")
            self._is_prompting = True
            line = await self._line(run, place)
            if line is None:
                return None
            self._is_prompting = False
            reply = _WORDS.get(line.strip().lower())
            if reply is not None and (tool or reply != "always"):
                return reply

    async def _line(self, run: Run, place: str) -> str | None:
        """The next line that is typed, while the question is open."""
        while b"\n" not in self._typed:
            if run.mode != "running" or place not in run.pending:
                return None
            with anyio.move_on_after(_LOOK_SECONDS):
                await anyio.wait_readable(self._source)
                if not self._take():
                    return None
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode("utf-8", "replace")

    def _forget_typed(self) -> None:
        """What was typed before the question was there is no answer to it."""
        self._typed = b""
        with suppress(OSError, ImportError):
            import termios

            with suppress(termios.error):
                termios.tcflush(self._source, termios.TCIFLUSH)

    def _take(self) -> bool:
        """Read what was typed; False once there is nobody any more."""
        try:
            some = os.read(self._source, _LONGEST)
        except OSError:
            some = b""
        self._typed = (self._typed + some)[-_LONGEST:]
        self._is_gone = not some
        return bool(some)


def asker_of(view: Aside, paper: Paper) -> Asker | None:
    """Who asks the person at this process's terminal; None where there is none."""
    if not (paper.is_terminal and is_terminal(sys.stdin)):
        return None
    return Asker(view, paper, sys.stdin.fileno())


def in_foreground(source: int) -> bool:
    """Whether whoever types there types for this process: one in the background is stopped if it reads."""
    with suppress(OSError, AttributeError):
        return os.tcgetpgrp(source) == os.getpgrp()
    return True


def print_question(paper: Paper, question: str, place: str) -> None:
    """Print what is asked: what would be done, all that is known of it, and the diff in colour."""
    first, *rest = question.split("\n")
    columns, paper.columns = paper.columns, None  # to be read whole
    try:
        paper.line(Piece("asks: ", "warn"), Piece(first, "bold"), Piece(f"  ({place})", "dim"))
        begins = next((at for at, line in enumerate(rest) if line.startswith(_DIFF_BEGINS)), len(rest))
        bar = f"  {paper.glyph('│', '|')} "  # what others wrote stands behind it, so that none poses as ours
        for line in _shortened(rest[:begins]):
            paper.line(bar, line)
        if begins < len(rest):
            print_diff("\n".join(rest[begins:]), paper, most=_SHOWN_LINES, stat=False, indent=bar)
    finally:
        paper.columns = columns


def _shortened(lines: list[str]) -> Iterator[str]:
    yield from lines[:_SHOWN_LINES]
    if len(lines) > _SHOWN_LINES:
        yield f"... and {len(lines) - _SHOWN_LINES} more lines"
