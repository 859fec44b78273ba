"""What `antiphon audit` writes to stdout once the audit is over."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from antiphon.subagents.records import AUTHOR, RANK, SEVERITIES
from antiphon.workflows.audit.failing import open_clusters, shown_sites
from antiphon.workflows.audit.sarif_import import REVIEWER
from antiphon.workflows.baseline import STATES, Comparison
from antiphon.workflows.cli.annotations import github_annotations, github_message
from antiphon.workflows.report.order import is_test
from antiphon.workflows.synthesis import Cluster, Synthesis

if TYPE_CHECKING:
    from antiphon.workflows.cli.terminal import Paper
    from antiphon.workflows.running import Ended

FIRST: Final = 10
FIRST_GAPS: Final = 5
"""How many findings, and how many files that could not be looked at, are printed; the report has all."""


def synthesis_of(ended: Ended) -> Synthesis | None:
    """What the audit says, if it got to its end."""
    outcome = ended.result.outcome
    value: Any = outcome.value if outcome is not None and outcome.kind in ("succeeded", "degraded") else None
    return value if isinstance(value, Synthesis) else None


def print_audit(ended: Ended, paper: Paper, comparison: Comparison | None = None) -> None:
    """What a person wants to know at once: how much, how bad, the first findings, and where the rest is."""
    found = synthesis_of(ended)
    if found is None:
        return
    for line in (*_overview(found), *_changes(comparison), *_gaps(found)):
        paper.line(line)
    shown = sorted(open_clusters(found), key=lambda cluster: _rank(cluster, comparison))
    for cluster in shown[:FIRST]:
        paper.line(_line(cluster, found, comparison))
    if len(shown) > FIRST:
        paper.line(f"… and {len(shown) - FIRST} more in the report")
    for file in ended.reports:
        if file.suffix == ".md":
            paper.line(f"report: {_short(file)} (and {', '.join(_others(ended))})")


def print_sarif(ended: Ended, paper: Paper) -> None:
    """The SARIF report, whole."""
    for file in ended.reports:
        if file.name == "report.sarif":
            paper.raw(file.read_text("utf-8"))


def print_annotations(ended: Ended, paper: Paper, root: Path, comparison: Comparison | None = None) -> None:
    """Annotations for GitHub Actions; one error if the audit did not get to its end."""
    found = synthesis_of(ended)
    lines = github_annotations(found, root, comparison) if found else [github_message(_unfinished(ended))]
    paper.raw("".join(f"{line}\n" for line in lines))


def _unfinished(ended: Ended) -> str:
    return f"the audit did not get to its end ({ended.result.kind}): {ended.result.reason}"


def _rank(cluster: Cluster, comparison: Comparison | None) -> tuple[bool, int, bool]:
    """What is new or updated first, then the worst, then what is in no test; else in the order of the report."""
    state = comparison.state(cluster.claims) if comparison else None
    return state == "unchanged", -RANK[cluster.severity], is_test(cluster.key.path)


def _overview(found: Synthesis) -> list[str]:
    open_ones = open_clusters(found)
    counts = Counter(cluster.severity for cluster in open_ones)
    how_bad = ", ".join(f"{counts[severity]} {severity}" for severity in reversed(SEVERITIES) if counts[severity])
    disagreements = sum(len(cluster.conflicts) for cluster in found.clusters)
    coverage = found.coverage
    return [
        f"findings: {len(open_ones)}" + (f" ({how_bad})" if how_bad else "") + beside(found),
        f"disagreements on how bad something is: {disagreements}",
        f"looked at by every check meant for them: {coverage.whole} of {coverage.units - coverage.unread} files",
    ]


def beside(found: Synthesis) -> str:
    """What is in the report and not counted here, and why not."""
    aside = sum(cluster.set_aside for cluster in found.clusters)
    reviewed = sum(_reviewed(cluster, found) for cluster in found.clusters)
    refuted = len(found.clusters) - len(open_clusters(found)) - aside - reviewed
    said = [f"{refuted} refuted by a second look"] if refuted else []
    said += [f"{aside} set aside by the code's authors"] if aside else []
    said += [f"{reviewed} set aside by a reviewer"] if reviewed else []
    return f"; {' and '.join(said)}" if said else ""


def _reviewed(cluster: Cluster, found: Synthesis) -> bool:
    """Whether people set every claim of it aside, and not the authors alone: so that no second look was needed."""
    people = (AUTHOR, REVIEWER)
    aside = [
        any(verdict.stance == "refute" and verdict.actor in people for verdict in found.verdicts_on(claim))
        for claim in cluster.claims
    ]
    return cluster.status == "refuted" and not cluster.set_aside and all(aside)


def _changes(comparison: Comparison | None) -> list[str]:
    if comparison is None:
        return []
    counts = comparison.counts
    unseen = sum(len(each.sightings) for each in comparison.unseen)
    said = [f"{counts[state]} {state}" for state in STATES] + ([f"{unseen} not looked for again"] if unseen else [])
    return [f"since {comparison.source}: {', '.join(said)}"]


def _gaps(found: Synthesis) -> list[str]:
    """What was meant to be looked at and was not; an empty tree is said to be one."""
    coverage = found.coverage
    if coverage.units == coverage.unread:
        return ["there is nothing to look at: no file here is in a language that is checked"]
    by_unit: dict[str, str] = {}
    for gap in coverage.gaps:
        if gap.state != "unread":
            by_unit.setdefault(gap.unit, f"{gap.check}: {gap.reason}" if gap.check else gap.reason)
    lines = [f"not wholly looked at: {unit} ({reason})" for unit, reason in list(by_unit.items())[:FIRST_GAPS]]
    return lines + (
        [f"… and {len(by_unit) - FIRST_GAPS} more files, in the report"] if len(by_unit) > FIRST_GAPS else []
    )


def _line(cluster: Cluster, found: Synthesis, comparison: Comparison | None) -> str:
    site, *others = shown_sites(cluster, comparison)
    claim = found.standing_at(site)
    place = f"{claim.key.path}:{claim.line}" if claim.line else claim.key.path
    state = comparison.state(site.claims) if comparison else None
    place += f" (and {len(others)} more)" if others else ""
    said = " (they disagree on how bad)" if cluster.conflicts else ""
    return f"{cluster.severity:8} {f'{state:9} ' if state else ''}{claim.rule:8} {place}  {claim.text}{said}"


def _others(ended: Ended) -> list[str]:
    return [file.name for file in ended.reports if file.stem == "report" and file.suffix != ".md"]


def _short(file: Path) -> str:
    return str(file.relative_to(Path.cwd())) if file.is_relative_to(Path.cwd()) else str(file)
