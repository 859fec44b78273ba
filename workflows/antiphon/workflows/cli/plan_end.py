"""How the making of a plan ends for whoever typed the command, also where it was interrupted and resumed."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import anyio

from antiphon.engine import UsageError
from antiphon.workflows.author.launch import Planning
from antiphon.workflows.author.material import SHIPPED
from antiphon.workflows.author.result import chosen_of, summary_of
from antiphon.workflows.cli.summary import short_path
from antiphon.workflows.cli.terminal import Paper, Part, Piece, talk
from antiphon.workflows.cli.words import plural
from antiphon.workflows.running import Ended

_CHARACTERS: Final = 400
_MOST_FINDINGS: Final = 12
_DIMENSIONS: Final = ("calls", "model_calls", "tokens", "usd", "seconds")


class PlanEnd:
    """What is printed once a plan is made, and the exit code."""

    def __init__(self) -> None:
        self._planning: Planning | None = None
        self._fork = ""

    def bound(self, planning: Planning) -> None:
        """Take the making of the plan, before it begins."""
        self._planning = planning

    def report(self, ended: Ended, paper: Paper) -> None:
        """Write to stdout the shape and why, the outline, the cost, what there is to say of it, and where it lies."""
        if self._planning is None or not self._planning.made.state:
            return
        for row in _rows(self._planning.asked.folder, self._planning.made.state):
            paper.line(*row)

    def judged(self, ended: Ended) -> int:
        """The exit code, the run's own; where a further version was planned, the run that goes on with it is made."""
        planning = self._planning
        if planning is not None and planning.asked.fork and ended.result.exit_code == 0:
            from antiphon.workflows.author.forking import fork

            self._fork = anyio.run(fork, planning)
        return ended.result.exit_code

    def say_verdict(self) -> None:
        """Say on stderr what to type next."""
        planning = self._planning
        if planning is None or not planning.made.state:
            return
        paper = talk()
        paper.columns = None  # a command that is cut cannot be typed
        for command in next_commands(planning, self._fork):
            paper.line(Piece("  next      ", "dim"), command)


def next_commands(planning: Planning, fork: str = "") -> list[str]:
    """What to type after a plan.

    Args:
        planning: what was made.
        fork: the run that goes on with a further version, "" for none.
    """
    state, folder = planning.made.state, planning.asked.folder
    if state["state"] == "planning":
        return []  # it is to be resumed, as any run that says so
    if state["state"] != "planned":
        more, run = f"--rounds {planning.asked.rounds + 2}", (planning.asked.before or {}).get("run")
        return [f"antiphon replan {run} {more}" if run else f"antiphon plan … --name {planning.asked.name}-2 {more}"]
    if state["shape"]["shape"] == "workflow":
        return [_of_workflow(state["shape"], planning)]
    script = shlex.quote(short_path(folder / "script.py"))
    if fork:
        before = planning.asked.before or {}
        return [f"antiphon check {script}", f"antiphon resume {fork}{_approving(folder, before['arguments'], '=')}"]
    chosen = chosen_of(state)
    given: dict[str, Any] = chosen["arguments"] if chosen else {}
    moved = "" if Path(planning.asked.path) == Path.cwd() else f"cd {shlex.quote(planning.asked.path)} && "
    there = script if not moved else shlex.quote(str(folder / "script.py"))
    words = " ".join((there, *_arguments(given)))
    return [f"antiphon check {script}", f"{moved}antiphon run {words}{_approving(folder, given, ' ')}"]


def _approving(folder: Path, arguments: Mapping[str, Any], between: str) -> str:
    """What agrees to exactly this script with these arguments, for who has read it; "" where that cannot be told."""
    from antiphon.workflows.approval import subject_of
    from antiphon.workflows.loading import load

    try:
        loaded = load(folder / "script.py")
        subject = subject_of(loaded, loaded.parameters.validate(arguments))
    except UsageError:
        return ""
    return f" --approve{between}{subject.hash}"


def _of_workflow(shape: Mapping[str, Any], planning: Planning) -> str:
    """The command of a workflow that there is; what a model said of its arguments is quoted."""
    name, path = shape["workflow"], shlex.quote(planning.asked.path)
    if name == "audit":
        return f"antiphon audit {path}"
    if name in SHIPPED:
        return f"antiphon {name} {shlex.quote(planning.asked.task)} --path {path}"
    script = short_path(Path(planning.asked.plans) / name / "script.py")
    return " ".join((f"antiphon run {shlex.quote(script)}", *_arguments(shape.get("arguments", {}))))


def _arguments(given: Mapping[str, Any]) -> Iterator[str]:
    for name, value in given.items():
        if name.isidentifier():
            said = value if isinstance(value, str) else json.dumps(value)
            yield f"--arg {shlex.quote(f'{name}={said}')}"


def _rows(folder: Path, state: Mapping[str, Any]) -> Iterator[tuple[Part, ...]]:
    summary, sketch = summary_of(state), state["sketch"]
    shape = " ".join(filter(None, (str(summary["shape"]), str(summary["workflow"] or ""))))
    yield Piece("shape     ", "dim"), Piece(shape or "none", "bold"), f"  {_line(summary['reason'])}"
    for one in state["shape"].get("rejected", ()):
        yield Piece("rejected  ", "dim"), f"{_line(one['way'])}: {_line(one['why'])}"
    for one in sketch.get("stages", ()):
        over = f" over {_line(one['over'])}" if one["over"] else ""
        calls = f"  {_line(one['calls'])} calls" if one["calls"] else ""
        yield Piece("stage     ", "dim"), f"{_line(one['phase'])}: {_line(one['does'])}{over}", Piece(calls, "dim")
    cost = summary["cost"]
    if isinstance(cost, dict):
        yield Piece("cost      ", "dim"), _cost(cost)
    findings = summary["findings"]
    assert isinstance(findings, list)
    for one in findings[:_MOST_FINDINGS]:
        if isinstance(one, dict):
            style = "bad" if one["severity"] == "error" else "warn"
            where = f"line {one['line']}: " if one["line"] else ""
            told = f"{where}{_line(one['reason'])}"
            yield Piece(f"{one['severity']:<10}", style), told, Piece(f"  {one['rule']}", "dim")
    if len(findings) > _MOST_FINDINGS:
        yield f"… and {len(findings) - _MOST_FINDINGS} more, in the report", ""
    for note in state["notes"]:
        yield Piece("note      ", "dim"), _line(note)
    versions = len(state["attempts"])
    yield Piece("attempts  ", "dim"), plural(versions, "version"), ""
    if state["state"] == "planned" and state["chosen"] is not None:
        yield Piece("script    ", "dim"), short_path(folder / "script.py")
    else:
        yield Piece("plan      ", "dim"), f"{short_path(folder)}{os.sep}"


def _cost(cost: Mapping[str, Any]) -> str:
    """What a run may come to: expected, and at most."""
    told: list[str] = []
    for name in _DIMENSIONS:
        bound: dict[str, Any] = cost.get(name) or {}
        if bound.get("expected") == 0 and bound.get("worst") == 0:
            continue
        expected, worst = bound.get("expected"), bound.get("worst")
        about = "" if expected is None or expected == worst else f"about {expected:,.6g}, "
        told.append(f"{name.replace('_', ' ')} {about}{'unbounded' if worst is None else f'at most {worst:,.6g}'}")
    return "; ".join(told) or "no calls"


def _line(text: object) -> str:
    said = " ".join(str(text).split())
    return said if len(said) <= _CHARACTERS else f"{said[: _CHARACTERS - 1]}…"
