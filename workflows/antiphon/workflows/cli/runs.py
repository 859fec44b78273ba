"""`antiphon runs`: every run here, one line each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from antiphon.workflows.cli.options import json_option, runs_dir_option

if TYPE_CHECKING:
    from antiphon.workflows.cli.glance import Glance
    from antiphon.workflows.cli.terminal import Paper

_NARROW = 70


@click.command(name="runs", short_help="List the runs.")
@runs_dir_option
@json_option
def command(runs_dir: Path | None, json: bool) -> int:
    """List the runs, oldest first."""
    from antiphon.workflows.cli.configuration import configuration
    from antiphon.workflows.cli.glance import glance
    from antiphon.workflows.cli.terminal import data, talk
    from antiphon.workflows.places import list_runs, runs_home

    home = runs_home(runs_dir or configuration().runs_dir)
    seen = [glance(place.directory) for place in list_runs(home)]
    paper = data()
    if json:
        paper.raw(_as_json(seen) + "\n")
        return 0
    for one in seen:
        _print(paper, one)
    if not seen:
        talk().line(f"no runs in {home} yet; antiphon run FILE.py makes one")
    return 0


def _print(paper: Paper, seen: Glance) -> None:
    from antiphon.workflows.cli.terminal import Piece
    from antiphon.workflows.cli.words import STYLE_OF, duration, moment

    state = Piece(f"  {seen.state:<11}", STYLE_OF.get(seen.state, "warn"))
    if paper.columns is not None and paper.columns < _NARROW:
        paper.line(seen.run_id, state, f"  {seen.workflow}")
        return
    started = moment(seen.started) if seen.started is not None else ""
    known = seen.started is not None and seen.ended is not None
    took = duration((seen.ended or 0) - (seen.started or 0)) if known else ""
    paper.line(seen.run_id, state, f"  {started:<19}  {took:>8}  {seen.workflow}", Piece(_tail(seen), "dim"))


def _tail(seen: Glance) -> str:
    from antiphon.workflows.cli.words import amount, counts

    usd = amount(seen.spent, only=("usd",)) if seen.spent.get("usd") else ""
    marks = ["saved" if seen.saved else "", "cleaned" if seen.cleaned_at is not None else ""]
    told = [counts(seen.calls), usd, *marks, f"in {seen.owner}" if seen.owner is not None else "", seen.problem]
    return "".join(f"  {text}" for text in told if text)


def _as_json(seen: list[Glance]) -> str:
    import json

    return json.dumps([_facts(one) for one in seen])


def _facts(seen: Glance) -> dict[str, object]:
    return {
        "run": seen.run_id,
        "directory": str(seen.directory),
        "workflow": seen.workflow,
        "state": seen.state,
        "reason": seen.reason,
        "started": seen.started,
        "ended": seen.ended,
        "attempts": seen.epochs,
        "calls": seen.calls,
        "spent": seen.spent,
        "pending": seen.pending,
        "saved": seen.saved,
        "cleaned": seen.cleaned_at,
        "problem": seen.problem or None,
    }
