"""`antiphon clean`: remove the bulky parts of ended runs, leaving tombstones that still verify."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from antiphon.workflows.cli.options import json_option, runs_dir_option

if TYPE_CHECKING:
    from antiphon.workflows.cli.glance import Glance

_DAY = 86_400.0
_OVER = frozenset({"completed", "degraded", "failed"})


@click.command(name="clean", short_help="Remove the bulky parts of ended runs.")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@runs_dir_option
@click.option("--keep", type=click.IntRange(min=0), metavar="N", default=0, help="Keep the newest N of them whole.")
@click.option("--older-than", type=click.FloatRange(min=0), metavar="DAYS", help="Only what ended longer ago.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def command(
    runs: tuple[str, ...],
    runs_dir: Path | None,
    keep: int,
    older_than: float | None,
    dry_run: bool,
    yes: bool,
    json: bool,
) -> int:
    """Remove logs, blobs and patches of runs that are over; reports and a tombstone stay, and still verify.

    Without RUN: every run that completed, degraded or failed. A run that can be resumed is cleaned only by name. A run
    with a file called `saved` in its directory is kept whole, and one that goes on is not touched.
    """
    from antiphon.workflows.cli.configuration import configuration
    from antiphon.workflows.cli.pruning import leaked
    from antiphon.workflows.places import runs_home

    home = runs_home(runs_dir or configuration().runs_dir)
    chosen = _chosen(home, runs, keep, older_than)
    left_over = [] if runs else leaked(home, time.time())
    _announce(chosen, left_over)
    if dry_run or not (chosen or left_over):
        _print(json, dry_run, [(seen, 0) for seen in chosen], left_over)
        return 0
    if not (yes or _agreed()):
        return 2
    return _clean(chosen, left_over, as_json=json)


def _chosen(home: Path, runs: tuple[str, ...], keep: int, older_than: float | None) -> list[Glance]:
    from antiphon.workflows.cli.glance import glance
    from antiphon.workflows.places import find_run, list_runs

    if runs:
        places = {place.directory.resolve(): place for place in (find_run(home, run) for run in runs)}
        seen = [_cleanable(glance(place.directory)) for place in places.values()]
    else:
        seen = [glance(place.directory) for place in list_runs(home) if not place.directory.is_symlink()]
        seen = [one for one in seen if one.state in _OVER and one.cleaned_at is None and not one.saved]
    seen = seen[: len(seen) - keep] if keep else seen
    if older_than is not None:
        before = time.time() - older_than * _DAY
        seen = [one for one in seen if (one.ended or one.started or 0.0) < before]
    return seen


def _cleanable(seen: Glance) -> Glance:
    """The run that was named, or why it cannot be cleaned."""
    from antiphon.tracing import LogBusy
    from antiphon.workflows.cli.pruning import NotCleaned

    if seen.owner is not None:
        raise LogBusy(seen.directory, seen.owner.pid, seen.owner.host)
    if seen.saved:
        raise NotCleaned(seen.directory, "it is saved; remove the file `saved` in its directory first")
    if seen.problem:
        raise NotCleaned(seen.directory, f"{seen.problem} Remove the directory by hand if it is of no use")
    return seen


def _announce(chosen: list[Glance], left_over: list[Path]) -> None:
    from antiphon.workflows.cli.terminal import talk

    paper = talk()
    for seen in chosen:
        warning = "" if seen.state in _OVER else "  it can no longer be resumed then"
        paper.line(f"{seen.run_id}  {seen.state}  {seen.workflow}{warning}")
    for place in left_over:
        paper.line(f"left over: {place}")
    if not (chosen or left_over):
        paper.line("nothing to clean")


def _agreed() -> bool:
    from antiphon.engine import UsageError
    from antiphon.workflows.cli.terminal import is_terminal

    if not is_terminal(sys.stdin):
        raise UsageError("nobody is there to ask whether these may be cleaned", advice="antiphon clean --yes")
    return click.confirm("Clean these?", default=False, err=True)


def _clean(chosen: list[Glance], left_over: list[Path], *, as_json: bool) -> int:
    from antiphon.tracing import AntiphonError
    from antiphon.workflows.cli.entry import tell
    from antiphon.workflows.cli.pruning import prune, remove

    done: list[tuple[Glance, int]] = []
    code = 0
    for seen in chosen:
        try:
            done.append((seen, prune(seen).bytes))
        except AntiphonError as error:
            tell(error.message, error.advice)
            code = code or error.exit_code
    for place in left_over:
        remove(place)
    _print(as_json, False, done, left_over)
    return code


def _print(as_json: bool, dry_run: bool, done: list[tuple[Glance, int]], left_over: list[Path]) -> None:
    from antiphon.workflows.cli.terminal import data, talk
    from antiphon.workflows.cli.words import plural, size

    if as_json:
        import json

        runs = [{"run": seen.run_id, "bytes": freed} for seen, freed in done]
        data().raw(json.dumps({"dry_run": dry_run, "cleaned": runs, "left_over": list(map(str, left_over))}) + "\n")
    if dry_run or not (done or left_over):
        return
    freed = sum(bytes for _, bytes in done)
    talk().line(f"cleaned {plural(len(done), 'run')}, {size(freed)} freed; antiphon verify still checks what is left")
