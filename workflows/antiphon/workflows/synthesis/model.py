"""What a synthesis says. Immutable, in one fixed order, whatever order the records came in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

from antiphon.subagents.records import RANK, Claim, Key, Malformed, Severity
from antiphon.tracing.log import Json

Agreement = Literal["one tool", "one lineage", "independent"]
GapState = Literal["unreadable", "failed", "partial", "missing", "unread"]


@dataclass(frozen=True, slots=True)
class Opinion:
    """How bad something is, according to whom: a tool, or antiphon where the tool states nothing."""

    by: str
    severities: tuple[Severity, ...]


@dataclass(frozen=True, slots=True)
class Site:
    """Claims of one cluster about overlapping lines.

    Attributes:
        start_line, end_line: the lines that they span; 0 where no line is known.
        claims: their ids. opinions: on the severity, one for each source.
    """

    start_line: int
    end_line: int
    claims: tuple[str, ...]
    opinions: tuple[Opinion, ...]

    @property
    def conflict(self) -> bool:
        """Whether two sources differ on the severity of something here. Both values stay; none wins.

        Two values from different sources that differ are enough, so that nothing said later can hide a conflict.
        """
        values = {severity for opinion in self.opinions for severity in opinion.severities}
        return len(self.opinions) > 1 and len(values) > 1


@dataclass(frozen=True, slots=True)
class Cluster:
    """All claims with one key: one rule in one function of one file, whoever says so.

    Attributes:
        id: hash of the key; the same in every run. key: path, canonical rule, symbol.
        rules: the rule's names in the tools. title, text: of the first claim.
        severity: the worst that anybody gives it; the sites hold all values.
        tools, lineages: who reports it. sites: where, in the order of lines.
        suppressed: how many of the claims the code's author has set aside in the source.
    """

    id: str
    key: Key
    rules: tuple[str, ...]
    title: str
    text: str
    severity: Severity
    tools: tuple[str, ...]
    lineages: tuple[str, ...]
    sites: tuple[Site, ...]
    suppressed: int

    @property
    def claims(self) -> tuple[str, ...]:
        """The ids of all its claims."""
        return tuple(claim for site in self.sites for claim in site.claims)

    @property
    def agreement(self) -> Agreement:
        """What it is worth that several tools say it: those of one lineage share their rules, and their mistakes."""
        if len(self.tools) < 2:
            return "one tool"
        return "independent" if len(self.lineages) > 1 else "one lineage"

    @property
    def conflicts(self) -> tuple[Site, ...]:
        """The sites on whose severity the sources disagree."""
        return tuple(site for site in self.sites if site.conflict)

    @property
    def set_aside(self) -> bool:
        """Whether the author has set aside every claim of it."""
        return self.suppressed == len(self.claims)


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that was not looked at, or not wholly.

    Attributes:
        unit: what. check: by whom, "" where it is nobody in particular.
        state: unreadable (the survey could not read it), failed or partial (the check says so), missing (planned, and
            nothing came back), unread (no check reads such files).
    """

    unit: str
    check: str
    state: GapState
    reason: str


@dataclass(frozen=True, slots=True)
class CheckCoverage:
    """How far one check got: numbers of units."""

    check: str
    planned: int
    done: int
    partial: int
    failed: int
    missing: int


@dataclass(frozen=True, slots=True)
class CoverageView:
    """What was looked at.

    Attributes:
        units: everything that was planned, and what the survey could not read.
        whole: units that every planned check finished. partly: some did. not_at_all: none did.
        unread: units that no check reads, such as documents.
        checks: by check. gaps: everything that is missing, by unit.
    """

    units: int
    whole: int
    partly: int
    not_at_all: int
    unread: int
    checks: tuple[CheckCoverage, ...]
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class Ledger:
    """The count of claims: each one that came in must be in the output exactly once."""

    claims_in: int
    claims_out: int
    missing: tuple[str, ...]
    repeated: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def failed(self) -> bool:
        """Whether the output is not what came in."""
        return bool(self.missing or self.repeated or self.unknown)


@dataclass(frozen=True, slots=True)
class Synthesis:
    """A view of all records of a run.

    Attributes:
        clusters: worst first. claims: every claim by id. coverage: what was looked at. malformed: output that could
            not be read. ledger: the proof that nothing was lost.
    """

    clusters: tuple[Cluster, ...]
    claims: Mapping[str, Claim]
    coverage: CoverageView
    malformed: tuple[Malformed, ...]
    ledger: Ledger

    @property
    def failed(self) -> bool:
        """Whether a claim was lost, doubled or invented on the way. The report says which."""
        return self.ledger.failed

    @property
    def worst(self) -> Severity | None:
        """The worst severity of a cluster that its author did not set aside, or None if there is none."""
        found: list[Severity] = [cluster.severity for cluster in self.clusters if not cluster.set_aside]
        if not found:
            return None
        worst: Severity = max(found, key=RANK.__getitem__)
        return worst

    def to_json(self) -> dict[str, Json]:
        """All of it, every claim included."""
        return {
            "failed": self.failed,
            "worst": self.worst,
            "clusters": [_cluster_json(cluster) for cluster in self.clusters],
            "claims": {id: claim.to_json() for id, claim in self.claims.items()},
            "coverage": _plain(asdict(self.coverage)),
            "malformed": [{"id": record.id, **record.to_json()} for record in self.malformed],
            "ledger": _plain(asdict(self.ledger)),
        }


def _cluster_json(cluster: Cluster) -> dict[str, Json]:
    return {
        "id": cluster.id,
        "key": cluster.key.model_dump(mode="json"),
        "rules": list(cluster.rules),
        "title": cluster.title,
        "text": cluster.text,
        "severity": cluster.severity,
        "tools": list(cluster.tools),
        "lineages": list(cluster.lineages),
        "agreement": cluster.agreement,
        "suppressed": cluster.suppressed,
        "sites": [{**_plain(asdict(site)), "conflict": site.conflict} for site in cluster.sites],
    }


def _plain(value: Mapping[str, Any]) -> dict[str, Json]:
    """The same with lists for tuples, all the way down."""
    return {key: _plain_item(item) for key, item in value.items()}


def _plain_item(item: object) -> Any:
    match item:
        case dict():
            return _plain(cast("Mapping[str, Any]", item))
        case tuple():
            return [_plain_item(part) for part in cast("Sequence[Any]", item)]
        case _:
            return item
