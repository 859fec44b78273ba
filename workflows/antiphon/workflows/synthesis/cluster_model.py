"""What a synthesis says of claims: one cluster for each exact key. Immutable, and in one fixed order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from antiphon.subagents.records import FactKey, FindingKey, PatchKey, Severity

Agreement = Literal["one tool", "one lineage", "independent"]
Status = Literal["confirmed", "refuted", "disputed", "unverified"]


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
        status: what the verdicts on these claims come to.
    """

    start_line: int
    end_line: int
    claims: tuple[str, ...]
    opinions: tuple[Opinion, ...]
    status: Status = "unverified"

    @property
    def conflict(self) -> bool:
        """Whether two sources differ on the severity of something here. Both values stay; none wins.

        Two values from different sources that differ are enough, so that nothing said later can hide a conflict.
        """
        values = {severity for opinion in self.opinions for severity in opinion.severities}
        return len(self.opinions) > 1 and len(values) > 1


@dataclass(frozen=True, slots=True)
class Cluster:
    """All findings with one key: one rule in one function of one file, whoever says so.

    Attributes:
        id: hash of the key; the same in every run. key: path, canonical rule, symbol.
        rules: the rule's names in the tools. title, text: of the first claim.
        severity: the worst that anybody gives it; the sites hold all values.
        tools, lineages: who reports it. sites: where, in the order of lines.
        groups: the independence groups that report it; how many there are is what the agreement is worth.
        status: what the verdicts on its claims come to.
        aside: how many of the claims the author set aside in the source.
        topic: the id of the topic that it belongs to, or "".
    """

    id: str
    key: FindingKey
    rules: tuple[str, ...]
    title: str
    text: str
    severity: Severity
    tools: tuple[str, ...]
    lineages: tuple[str, ...]
    sites: tuple[Site, ...]
    aside: int
    groups: tuple[str, ...] = ()
    status: Status = "unverified"
    topic: str = ""

    @property
    def claims(self) -> tuple[str, ...]:
        """The ids of all its claims."""
        return tuple(claim for site in self.sites for claim in site.claims)

    @property
    def agreement(self) -> Agreement:
        """What it is worth that several tools say it: those of one group share their rules, and their mistakes."""
        if len(self.tools) < 2:
            return "one tool"
        return "independent" if len(self.groups) > 1 else "one lineage"

    @property
    def conflicts(self) -> tuple[Site, ...]:
        """The sites on whose severity the sources disagree."""
        return tuple(site for site in self.sites if site.conflict)

    @property
    def standing(self) -> tuple[Site, ...]:
        """Where to send a person: the sites of which not every claim is refuted, undisputed ones first; else all."""
        found = [site for site in self.sites if site.status != "refuted"]
        return tuple(sorted(found, key=lambda site: site.status == "disputed")) or self.sites

    @property
    def set_aside(self) -> bool:
        """Whether the author has set aside every claim of it, and no second look says otherwise."""
        return self.aside == len(self.claims) and self.status == "refuted"


@dataclass(frozen=True, slots=True)
class Position:
    """One side of a conflict.

    Attributes:
        says: what is held: a severity, a fact's value, "it is there", "it is not".
        records: ids of the claims or verdicts that hold it. groups: the independence groups behind them.
        minority: whether another side has more groups behind it. It may be right all the same.
    """

    says: str
    records: tuple[str, ...]
    groups: tuple[str, ...]
    minority: bool = False


@dataclass(frozen=True, slots=True)
class FactCluster:
    """All facts with one key. Each value is a position; none wins."""

    id: str
    key: FactKey
    values: tuple[Position, ...]
    status: Status = "unverified"
    topic: str = ""

    @property
    def claims(self) -> tuple[str, ...]:
        """The ids of all its claims."""
        return tuple(sorted(id for value in self.values for id in value.records))


@dataclass(frozen=True, slots=True)
class PatchCluster:
    """All patches of the same lines of the same base. Each replacement is a position."""

    id: str
    key: PatchKey
    versions: tuple[Position, ...]
    status: Status = "unverified"
    topic: str = ""

    @property
    def claims(self) -> tuple[str, ...]:
        """The ids of all its claims."""
        return tuple(sorted(id for version in self.versions for id in version.records))


@dataclass(frozen=True, slots=True)
class PassageCluster:
    """One passage: text has no key, so nothing merges with it."""

    id: str
    claims: tuple[str, ...]
    status: Status = "unverified"
    topic: str = ""


AnyCluster = Cluster | FactCluster | PatchCluster | PassageCluster
