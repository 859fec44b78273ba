"""Readings of a live run: what the budget says, and what is being waited for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from antiphon.engine import Run
from antiphon.engine.amount import DIMENSIONS, INDEX
from antiphon.workflows.cli.words import quantity


@dataclass(frozen=True, slots=True)
class Meter:
    """One limited dimension of the run, as raw counts."""

    dimension: str
    spent: int
    reserved: int
    limit: int

    @property
    def free(self) -> int:
        """What nobody has spent or reserved."""
        return max(0, self.limit - self.spent - self.reserved)

    def in_words(self) -> str:
        """`usd 0.31 spent, 0.02 reserved, 4.67 free`."""
        spent, reserved, free = (quantity(self.dimension, n) for n in (self.spent, self.reserved, self.free))
        return f"{self.dimension.replace('_', ' ')}: {spent} spent, {reserved} reserved, {free} free"


def meters(run: Run) -> list[Meter]:
    """The limited dimensions of the run."""
    root = run.budget.root
    found: list[Meter] = []
    for dimension in DIMENSIONS:
        limit = root.limit_of(dimension)
        if limit is not None:
            index = INDEX[dimension]
            found.append(Meter(dimension, root.spent_counts[index], root.reserved_counts[index], limit))
    return found


def waits(run: Run) -> Iterator[str]:
    """What is being waited for, and by how many."""
    for count, what in (
        (run.budget.waiting, "budget"),
        (run.admission.waiting, "a permit"),
        (run.processes.waiting, "a process"),
        (len(run.pending), "an answer"),
    ):
        if count:
            yield f"{count:,} for {what}"
