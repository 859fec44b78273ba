"""How a fix ends for whoever typed the command, also where it was interrupted and resumed."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final

from antiphon.workflows.cli.diffs import print_diff
from antiphon.workflows.cli.terminal import Paper, Part, Piece, talk, visible
from antiphon.workflows.cli.words import plural
from antiphon.workflows.fix.concluding import why
from antiphon.workflows.fix.launch import Fix
from antiphon.workflows.fix.results import FINAL, FixResult, Ran, TryResult
from antiphon.workflows.running import Ended

_WIDTH: Final = 100
_LONG: Final = 1_200
_SHORT: Final = 600
_SHOWN: Final = 12
_PATCH_BYTES: Final = 2_000_000
_STYLES: Final = {"fixed": "good", "degraded": "warn", "failed": "bad"}
_MARKS: Final = {"passed": "good", "objected": "warn"}


class FixEnd:
    """What is printed once a fix is over, and the exit code."""

    def __init__(self) -> None:
        self._fix: Fix | None = None
        self._run = ""

    def bound(self, fix: Fix) -> None:
        """Take the fix, before it begins."""
        self._fix = fix

    @property
    def _result(self) -> FixResult | None:
        return self._fix.told.result if self._fix is not None else None

    def report(self, ended: Ended, paper: Paper) -> None:
        """Write what was wrong, the patch, the test, and what was tried."""
        result = self._result
        if result is None:
            return
        width = min(paper.columns or _WIDTH, _WIDTH)
        for line in _told(result, width):
            paper.line(*line)
        patch = _patch_of(ended) if result.winner else ""
        if patch:
            paper.line("")
            print_diff(patch, paper)

    def judged(self, ended: Ended) -> int:
        """The exit code: the run's own, which ends as the fix does."""
        self._run = ended.place.run_id
        return ended.result.exit_code

    def say_verdict(self) -> None:
        """Say on stderr what to type next."""
        result = self._result
        if result is None:
            return
        paper = talk()
        paper.columns = None  # a command that is cut cannot be typed
        for command in next_commands(result, self._run):
            paper.line(Piece("  next      ", "dim"), command)


def next_commands(result: FixResult, run: str) -> list[str]:
    """What to type after a fix, besides what every run says: how to see what was done."""
    return [f"antiphon show {run} --transcript main"] if result.tries else []


def _patch_of(ended: Ended) -> str:
    """The patch of the winner, as the run wrote it; "" if it is not there."""
    try:
        with (ended.place.directory / "patches" / f"{FINAL}.patch").open("rb") as file:
            return file.read(_PATCH_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


Line = tuple[Part, ...]


def _told(result: FixResult, width: int) -> Iterator[Line]:
    heads = {"fixed": "fixed", "degraded": "a patch passes, and something is missing", "failed": "not fixed"}
    yield (Piece(heads[result.status], _STYLES[result.status]),)
    yield from _wrapped("why", result.reason, width)
    yield from _wrapped("was wrong", result.wrong, width)
    yield from _test(result, width)
    best = result.best
    if best is not None:
        yield from _row("tests", f"{_ran(best.tests)}{', twice' if result.confirmed else ''}")
        yield from _row("checks", _checks(best))
        yield from _wrapped("unsure", best.unsure, width)
    yield from _tries(result)
    for note in result.notes:
        yield from _wrapped("note", note, width)


def _test(result: FixResult, width: int) -> Iterator[Line]:
    shown = result.reproduction
    if not shown.accepted:
        yield from _wrapped("no test", shown.why, width)
        return
    how = "failed before and passes now" if result.winner else "fails"
    for case in shown.cases[:_SHOWN]:
        yield from _row("test", f"{case} {how}")
    if len(shown.cases) > _SHOWN:
        yield from _row("", f"and {len(shown.cases) - _SHOWN} more")


def _tries(result: FixResult) -> Iterator[Line]:
    for one in result.tries:
        taken = ", taken" if one.name == result.winner else ""
        because = "; ".join(why(one))
        rounds = sum(each.act in ("code", "refine") for each in one.rounds)
        said = f"{one.status}{taken} after {plural(rounds, 'round')}"
        text = visible(because[:_SHORT].replace("\n", " "))
        yield (
            Piece(f"{_name(one.name)}", "dim"),
            Piece(said, _MARKS.get(one.status, "bad")),
            f": {text}" if text else "",
        )


def _ran(ran: Ran) -> str:
    if not ran.command:
        return f"none were run ({ran.trouble or 'there are none'})"
    counts = f"status {ran.exit}" if ran.passed is None else f"{ran.passed} passed, {ran.failed} failed"
    return f"{counts} ({ran.command})"


def _checks(best: TryResult) -> str:
    by = f" by {', '.join(best.checked)}"
    found = f"{plural(len(best.problems), 'new problem')}{by}" if best.problems else f"no new problem{by}"
    found = found if best.checked else "no linter, type checker or analyser looked"
    read = (
        "the critic could not read it"
        if best.musts is None
        else "the critic objects"
        if best.musts
        else "the critic agrees"
    )
    return f"{found}; {read}; {plural(best.lines, 'changed line')} in {', '.join(best.files)}"


def _name(label: str) -> str:
    return f"{label:<11}"


def _row(label: str, text: str) -> Iterator[Line]:
    yield (Piece(_name(label), "dim"), text)


def _wrapped(label: str, text: str, width: int) -> Iterator[Line]:
    """Words of an agent, over several lines."""
    words = " ".join(text.split())
    lines = textwrap.wrap(words[:_LONG] + ("…" if len(words) > _LONG else ""), max(20, width - 11))
    for number, line in enumerate(lines):
        yield (Piece(_name("" if number else label), "dim"), line)
