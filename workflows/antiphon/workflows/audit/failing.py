"""`--fail-on`: which findings make an audit fail. What was refuted or set aside does not, what is disputed does."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from antiphon.subagents.records import RANK, SEVERITIES, Severity
from antiphon.workflows.baseline import Comparison, State
from antiphon.workflows.report.untrusted import visible
from antiphon.workflows.synthesis import Cluster, Site, Synthesis

_COUNTING: frozenset[State | None] = frozenset({"new", "updated", None})
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Failing:
    """Why an audit fails.

    Attributes:
        threshold: the least severity that counts. clusters: the findings that do, worst first.
        comparison: with an earlier audit, or None; then only what is new or updated counts.
    """

    threshold: Severity
    clusters: tuple[Cluster, ...]
    comparison: Comparison | None = None

    def __bool__(self) -> bool:
        """Whether it fails."""
        return bool(self.clusters)

    def sentence(self) -> str:
        """What made it fail, or that nothing did; for one line of a terminal."""
        since = f"since {visible(self.comparison.source, 80)}" if self.comparison else ""
        kind = f"new or updated findings {since}" if since else "findings"
        if not self.clusters:
            return f"--fail-on {self.threshold}: no {kind} of that severity or above"
        counts = Counter(cluster.severity for cluster in self.clusters)
        said = ", ".join(f"{counts[severity]} {severity}" for severity in reversed(SEVERITIES) if counts[severity])
        first = "; ".join(_named(cluster, self.comparison) for cluster in self.clusters[:_SHOWN])
        more = f"; and {len(self.clusters) - _SHOWN} more" if len(self.clusters) > _SHOWN else ""
        return f"--fail-on {self.threshold}: {said} ({kind}): {first}{more}"


def failing(found: Synthesis, threshold: Severity, comparison: Comparison | None = None) -> Failing:
    """The findings that make an audit fail.

    Args:
        found: what the audit says.
        threshold: the least severity that counts.
        comparison: with an earlier audit; then what has not changed since does not count.
    """
    clusters = [
        cluster
        for cluster in open_clusters(found)
        if RANK[cluster.severity] >= RANK[threshold]
        and (comparison is None or comparison.state(cluster.claims) in _COUNTING)
    ]
    worst_first = sorted(clusters, key=lambda cluster: -RANK[cluster.severity])
    return Failing(threshold, tuple(worst_first), comparison)


def open_clusters(found: Synthesis) -> list[Cluster]:
    """The findings that stand: neither refuted by a second look nor set aside by the author. Disputed ones do."""
    return [cluster for cluster in found.clusters if cluster.status != "refuted"]


def shown_sites(cluster: Cluster, comparison: Comparison | None = None) -> tuple[Site, ...]:
    """Where a person should look: the places that stand, and of those what is new or updated if anything is."""
    changed = [s for s in cluster.standing if comparison and comparison.state(s.claims) in ("new", "updated")]
    return tuple(changed) or cluster.standing


def _named(cluster: Cluster, comparison: Comparison | None) -> str:
    line = shown_sites(cluster, comparison)[0].start_line
    place = visible(cluster.key.path, 120) + (f":{line}" if line else "")
    return f"{'/'.join(visible(rule, 40) for rule in cluster.rules)} at {place}"
