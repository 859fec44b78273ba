"""How a build ends for whoever typed the command, also where it was interrupted and resumed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from antiphon.workflows.build.integrating import WHOLE
from antiphon.workflows.build.launch import Build
from antiphon.workflows.build.report import PATCH, counts, suite_line
from antiphon.workflows.cli.diffs import diff_lines
from antiphon.workflows.cli.terminal import Paper, Part, Piece, talk
from antiphon.workflows.cli.words import plural
from antiphon.workflows.running import Ended

_STYLES: Final[Mapping[str, str]] = {"integrated": "good", "failed": "bad", "skipped": "warn"}
_WHY_CHARACTERS: Final = 300
_MOST_GAPS: Final = 10
_MOST_PATCH_BYTES: Final = 20_000_000


class BuildEnd:
    """What is printed once a build is over, and the exit code."""

    def __init__(self) -> None:
        self._build: Build | None = None
        self._run = ""

    def bound(self, build: Build) -> None:
        """Take the build, before it begins."""
        self._build = build

    def report(self, ended: Ended, paper: Paper) -> None:
        """Write to stdout what became of each subtask, what is missing, the stat of the change, and what to type."""
        if self._build is None or not self._build.told.state:
            return
        state = self._build.told.state
        for row in _rows(state):
            paper.line(*row)
        patch = ended.place.directory / PATCH
        if counts(state)[0] and patch.is_file():
            for row in _stat(patch, paper):
                paper.line(*row)

    def judged(self, ended: Ended) -> int:
        """The exit code: the run's own, which is 1 where nothing could be built and 3 where something is missing."""
        self._run = ended.place.run_id
        return ended.result.exit_code

    def say_verdict(self) -> None:
        """Say on stderr what to type next."""
        if self._build is None or not self._build.told.state:
            return
        paper = talk()
        paper.columns = None  # a command that is cut cannot be typed
        for command in next_commands(self._build.told.state, self._run):
            paper.line(Piece("  next      ", "dim"), command)


def next_commands(state: Mapping[str, Any], run: str) -> list[str]:
    """What to type after a build that left something usable."""
    return [f"antiphon apply {run} {WHOLE}"] if counts(state)[0] else []


def _rows(state: Mapping[str, Any]) -> Iterator[tuple[Part, ...]]:
    done, planned = counts(state)
    yield (Piece(f"{done} of {planned} subtasks are integrated", "bold"),)
    for one in state["subtasks"]:
        files = f"  {plural(len(one['files']), 'file')}" if one.get("files") and one["status"] == "integrated" else ""
        rounds = f"  {plural(one['rounds'], 'round')}" if one.get("rounds") else ""
        yield Piece(f"  {one['status']:<10}  ", _STYLES.get(one["status"], "dim")), one["id"], files, rounds
        if one.get("reason"):
            yield Piece(f"              {' '.join(one['reason'].split())[:_WHY_CHARACTERS]}", "dim"), ""
    yield f"tests: {suite_line(state['suite'])}", ""
    others = [gap for gap in state["gaps"] if not _of_subtask(gap, state)]
    for gap in others[:_MOST_GAPS]:
        yield Piece("missing: ", "warn"), " ".join(gap.split())[:_WHY_CHARACTERS]
    if len(others) > _MOST_GAPS:
        yield f"… and {len(others) - _MOST_GAPS} more, in the report", ""


def _of_subtask(gap: str, state: Mapping[str, Any]) -> bool:
    """Whether the line of a subtask has said it already."""
    return any(gap.startswith(f"{one['id']} (") for one in state["subtasks"])


def _stat(patch: Path, paper: Paper) -> list[tuple[Part, ...]]:
    with patch.open("rb") as file:
        text = file.read(_MOST_PATCH_BYTES).decode("utf-8", "replace")
    return [row for row in diff_lines(text, paper, most=0) if not _is_cut(row)]


def _is_cut(row: tuple[Part, ...]) -> bool:
    """Whether a row only says that the lines of the patch are not shown."""
    return len(row) == 1 and isinstance(row[0], Piece) and row[0].style == "dim"
