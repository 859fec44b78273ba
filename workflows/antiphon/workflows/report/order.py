"""What a person reads first: the worst rules, and of each what is most certain and not in a test."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from antiphon.subagents.records import RANK
from antiphon.workflows.synthesis import Cluster, Status

_TEST_FOLDERS = frozenset({"test", "tests", "testing", "conftest.py"})
_CERTAIN: dict[Status, int] = {"confirmed": 0, "unverified": 1, "disputed": 1, "refuted": 2}


def is_test(unit: str) -> bool:
    """Whether a file looks like a test's, by its name and folders. It changes the order, and nothing else."""
    *folders, name = unit.lower().split("/")
    return name.startswith("test_") or name.endswith("_test.py") or not _TEST_FOLDERS.isdisjoint([*folders, name])


def by_rule(clusters: Iterable[Cluster]) -> list[list[Cluster]]:
    """Clusters by their canonical rule; inside a rule and among rules what matters most first.

    That is: the worst severity, then what is confirmed before what is not and that before what is refuted, then what
    more independent groups say, then what is not in tests.
    """
    groups: defaultdict[str, list[Cluster]] = defaultdict(list)
    for cluster in sorted(clusters, key=_rank):
        groups[cluster.key.rule].append(cluster)
    return list(groups.values())


def _rank(cluster: Cluster) -> tuple[object, ...]:
    key = cluster.key
    sure = (_CERTAIN[cluster.status], -len(cluster.groups))
    line = cluster.standing[0].start_line
    return (-RANK[cluster.severity], *sure, is_test(key.path), key.rule, key.path, line, key.symbol)
