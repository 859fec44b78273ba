"""`antiphon audit`: look at a source tree with many analysers at once, and merge what they say, hiding nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from antiphon.workflows.cli.options import json_option, performing_options, runs_dir_option

if TYPE_CHECKING:
    from antiphon.workflows.cli.terminal import Paper
    from antiphon.workflows.running import Ended, Options
    from antiphon.workflows.synthesis import Cluster, Synthesis

FIRST: Final = 10
FIRST_GAPS: Final = 5
"""How many findings, and how many files that could not be looked at, are printed; the report has all."""


@click.command(name="audit", short_help="Audit a source tree, offline.")
@click.argument("path", type=click.Path())
@runs_dir_option
@performing_options
@json_option
def command(
    path: str,
    runs_dir: Path | None,
    backend: str | None,
    concurrency: int | None,
    processes: int | None,
    plain: bool,
    json: bool,
) -> int:
    """Audit the source tree (or the one file) at PATH with ruff and bandit, in parallel, offline.

    What matters first goes to stdout; the whole report is written as Markdown, JSON and SARIF.
    """
    from antiphon.workflows.cli.configuration import configuration
    from antiphon.workflows.cli.performing import Presentation, perform_and_report, settings_of
    from antiphon.workflows.running import Options

    held = configuration().with_options(
        runs_dir=runs_dir, concurrency=concurrency, processes=processes, backend=backend
    )

    arguments = {"path": str(Path(path).absolute())}

    async def perform(options: Options) -> Ended:
        from antiphon.workflows.audit.launch import prepare
        from antiphon.workflows.places import new_run, runs_home
        from antiphon.workflows.running import start

        audit = await prepare(path)
        place = new_run(runs_home(held.runs_dir))
        return await start(place, audit.loaded, arguments, replace(options, conclude=audit.conclude))

    presentation = Presentation(backend=held.backend, json=json, plain=plain)
    return perform_and_report(perform, Options(settings=settings_of(held)), presentation, report=print_audit)


def print_audit(ended: Ended, paper: Paper) -> None:
    """What a person wants to know at once: how much, how bad, the first findings, and where the rest is."""
    found = _synthesis(ended)
    if found is None:
        return
    for line in (*_overview(found), *_gaps(found)):
        paper.line(line)
    shown = [cluster for cluster in found.clusters if not cluster.set_aside]
    for cluster in shown[:FIRST]:
        paper.line(_line(cluster, found))
    if len(shown) > FIRST:
        paper.line(f"… and {len(shown) - FIRST} more in the report")
    for file in ended.reports:
        if file.suffix == ".md":
            paper.line(f"report: {_short(file)} (and report.json, report.sarif)")


def _synthesis(ended: Ended) -> Synthesis | None:
    from antiphon.workflows.synthesis import Synthesis

    outcome = ended.result.outcome
    value: Any = outcome.value if outcome is not None and outcome.kind in ("succeeded", "degraded") else None
    return value if isinstance(value, Synthesis) else None


def _overview(found: Synthesis) -> list[str]:
    from antiphon.subagents.records import SEVERITIES

    open_ones = [cluster for cluster in found.clusters if not cluster.set_aside]
    counts = Counter(cluster.severity for cluster in open_ones)
    how_bad = ", ".join(f"{counts[severity]} {severity}" for severity in reversed(SEVERITIES) if counts[severity])
    disagreements = sum(len(cluster.conflicts) for cluster in found.clusters)
    coverage = found.coverage
    return [
        f"findings: {len(open_ones)}" + (f" ({how_bad})" if how_bad else ""),
        f"disagreements on how bad something is: {disagreements}",
        f"looked at by every check meant for them: {coverage.whole} of {coverage.units - coverage.unread} files",
    ]


def _gaps(found: Synthesis) -> list[str]:
    """What was meant to be looked at and was not; an empty tree is said to be one."""
    coverage = found.coverage
    if coverage.units == coverage.unread:
        return ["there is nothing to look at: no file here is in a language that is checked"]
    by_unit: dict[str, str] = {}
    for gap in coverage.gaps:
        if gap.state != "unread":
            by_unit.setdefault(gap.unit, gap.reason)
    lines = [f"not wholly looked at: {unit} ({reason})" for unit, reason in list(by_unit.items())[:FIRST_GAPS]]
    return lines + (
        [f"… and {len(by_unit) - FIRST_GAPS} more files, in the report"] if len(by_unit) > FIRST_GAPS else []
    )


def _line(cluster: Cluster, found: Synthesis) -> str:
    claim = found.claims[cluster.claims[0]]
    place = f"{claim.key.path}:{claim.line}" if claim.line else claim.key.path
    said = " (they disagree on how bad)" if cluster.conflicts else ""
    return f"{cluster.severity:8} {claim.rule:8} {place}  {claim.text}{said}"


def _short(file: Path) -> str:
    return str(file.relative_to(Path.cwd())) if file.is_relative_to(Path.cwd()) else str(file)
