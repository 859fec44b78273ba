"""What a synthesis says of disagreement, of what belongs together, and of its own completeness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from antiphon.workflows.synthesis.cluster_model import Position

ConflictKind = Literal[
    "value",
    "severity",
    "existence",
    "stance",
    "identity",
    "patch_textual",
    "patch_semantic",
    "coverage_gap",
    "evidence_unresolved",
]


@dataclass(frozen=True, slots=True)
class Conflict:
    """Something on which the records do not agree, or cannot be held to what they say. None is ever resolved away.

    Attributes:
        id: hash of kind and subject; the same in every run. kind: which sort.
        about: the id of the cluster or record, or the unit (of a coverage gap), that it is about.
        positions: the sides, in order of what they say. reason: more in words, or "".
        tested: of patches: whether a test has shown it; None where that is no question.
    """

    id: str
    kind: ConflictKind
    about: str
    positions: tuple[Position, ...] = ()
    reason: str = ""
    tested: bool | None = None


@dataclass(frozen=True, slots=True)
class Topic:
    """Clusters that links hold together, for display. It removes nothing and counts nothing.

    Attributes:
        id: of its smallest claim. title: words for a person. claims: the ids in it. links: the links that hold it.
        suggested: whether only resemblance of text holds it, and nobody said so.
    """

    id: str
    title: str
    claims: tuple[str, ...]
    links: tuple[str, ...]
    suggested: bool


@dataclass(frozen=True, slots=True)
class EvidenceView:
    """Evidence that was looked up again: how many pieces are as they were, are not, or could not be looked at."""

    resolved: int = 0
    unresolved: int = 0
    unchecked: int = 0


@dataclass(frozen=True, slots=True)
class Ledger:
    """The count of records: each one that came in must be in the output exactly once.

    Attributes:
        claims_in, claims_out: how many claims came in, and how many the clusters hold.
        missing, repeated, unknown: ids, of claims, verdicts, links, resolutions and malformed output, that came in and
            are not in the output, are there more than once, or are there and never came in.
        records_in, records_out: the same count over all of these.
        dangling: ids of records that name one that is not here. They are kept, and decide nothing.
    """

    claims_in: int
    claims_out: int
    missing: tuple[str, ...]
    repeated: tuple[str, ...]
    unknown: tuple[str, ...]
    records_in: int = 0
    records_out: int = 0
    dangling: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether the output is not what came in."""
        return bool(self.missing or self.repeated or self.unknown)
