"""`antiphon verify`: whether a run still says what it said."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from antiphon.workflows.cli.options import json_option, run_argument, runs_dir_option

if TYPE_CHECKING:
    from antiphon.workflows.cli.checking import Checked

_SHOWN = 20


@click.command(name="verify", short_help="Check that a run's record was not changed.")
@run_argument
@runs_dir_option
@click.option("--head", metavar="H", help="The head that was printed when the run ended.")
@json_option
def command(run: str, runs_dir: Path | None, head: str | None, json: bool) -> int:
    """Check RUN's log, and the blobs and reports it vouches for. Exits 1 when anything was changed.

    Without --head an edit, a removal or another order inside the log is found; with it also that the end was cut off,
    or the whole rewritten.
    """
    from antiphon.workflows.cli.checking import check
    from antiphon.workflows.cli.configuration import configuration
    from antiphon.workflows.cli.terminal import data
    from antiphon.workflows.places import find_run, runs_home

    place = find_run(runs_home(runs_dir or configuration().runs_dir), run)
    checked = check(place.directory, head)
    if json:
        data().raw(_as_json(place.run_id, checked) + "\n")
    else:
        _print(place.run_id, checked, head)
    return 0 if checked.ok else 1


def _print(run_id: str, checked: Checked, head: str | None) -> None:
    from antiphon.workflows.cli.terminal import Piece, data, talk
    from antiphon.workflows.cli.words import moment, plural

    paper = data()
    paper.columns = None
    if checked.ok:
        paper.line(Piece("ok", "good"), f"  {run_id}: {plural(checked.events, 'event')}, head {checked.head}")
    else:
        found = plural(len(checked.problems), "problem")
        paper.line(Piece("changed", "bad"), f"  {run_id}: {found} in {plural(checked.events, 'event')}")
    for seq, problem in checked.problems[:_SHOWN]:
        paper.line("  ", f"event {seq}: " if seq is not None else "", problem)
    if len(checked.problems) > _SHOWN:
        paper.line(f"  and {len(checked.problems) - _SHOWN} more (--json has all)")
    if checked.cleaned_at is not None:
        paper.line(
            f"  cleaned on {moment(checked.cleaned_at)}: of {plural(checked.events_before, 'event')} the last "
            f"{checked.kept:,} are kept, and should end in the head {checked.head_before}"
        )
    if checked.ok and head is None:
        talk().line("the end was not checked: give the head that was printed when the run ended with --head H")


def _as_json(run_id: str, checked: Checked) -> str:
    import json

    return json.dumps(
        {
            "run": run_id,
            "ok": checked.ok,
            "events": checked.events,
            "head": checked.head,
            "problems": [{"event": seq, "problem": problem} for seq, problem in checked.problems],
            "cleaned": checked.cleaned_at,
            "head_before": checked.head_before or None,
        }
    )
