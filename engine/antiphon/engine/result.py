"""How an attempt at a run ended, and what it took from the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from antiphon.engine.amount import Amount
from antiphon.engine.history import Denials
from antiphon.engine.outcome import Census, Missing, Outcome
from antiphon.tracing.log import Json


@dataclass(slots=True)
class Reuse:
    """What a resumed run took from the journal, and what it did again."""

    reused: int = 0
    rebound: int = 0
    performed: int = 0
    saved: Amount = field(default_factory=Amount)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How an attempt at a run ended.

    Attributes:
        kind: ``completed`` | ``degraded`` | ``failed`` | ``paused`` | ``stopped``.
        outcome: the root branch's outcome; None when paused or stopped.
        reason: why it failed, degraded, paused or stopped; empty otherwise.
        pause: what paused it: ``budget`` | ``approval`` | ``quota`` | ``wall_seconds`` | ``asked`` | ``overdraft`` ...
        pending: questions waiting for an answer, by path.
        census: branches by outcome, per phase.
        spent: what the whole run has spent, over all its attempts.
        reuse: what came from the journal.
        missing: what a degraded run lacks.
        denied: what was outside of the manifest, over all attempts.
    """

    kind: Literal["completed", "degraded", "failed", "paused", "stopped"]
    outcome: Outcome[Any] | None
    reason: str = ""
    pause: str = ""
    pending: Mapping[str, str] = field(default_factory=dict[str, str])
    census: Mapping[str, Census] = field(default_factory=dict[str, Census])
    calls: Mapping[str, Census] = field(default_factory=dict[str, Census])
    spent: Amount = field(default_factory=Amount)
    reuse: Reuse = field(default_factory=Reuse)
    missing: tuple[Missing, ...] = ()
    denied: Denials = field(default_factory=Denials)

    @property
    def exit_code(self) -> int:
        """The process exit code that DESIGN §11 gives this ending."""
        return {"completed": 0, "degraded": 3, "failed": 1, "paused": 4, "stopped": 130}[self.kind]


class Recorded(NamedTuple):
    """A record, with the call that produced it and the phase that call was in."""

    path: str
    phase: str
    record: dict[str, Json]


def census_of(counts: Counter[str]) -> Census:
    """The census that counts by outcome, planned and started make."""
    ended = {kind: n for kind, n in counts.items() if kind not in ("planned", "started")}
    planned = counts["planned"] or sum(ended.values())
    return Census(planned, counts["started"] or planned - counts["skipped"], ended)
