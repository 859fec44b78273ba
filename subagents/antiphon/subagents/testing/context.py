"""Doubles for those who write subagents: a context that needs no engine, and roles for a run in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Literal

from antiphon.engine import Approvals, Performer
from antiphon.engine.amount import Amount
from antiphon.subagents.agents import Agents
from antiphon.subagents.function import Role
from antiphon.subagents.records import Record


class CollectedAttempt:
    """An attempt without a budget. `spent` is what it was settled at, None if it was not."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.spent: Amount | None = None

    def settle(self, actual: Amount, /) -> None:
        """Keep what it cost."""
        self.spent = actual


class CollectedRecords(list[Record]):
    """The records of a call, in the order they were added."""

    def add(self, record: Record, /) -> None:
        """Add one record."""
        self.append(record)


class CollectingContext:
    """Keeps what a subagent does with its context.

    Attributes:
        covers: the units of the call. records: what it recorded. attempts: what it tried, in order.
    """

    def __init__(self, covers: Sequence[str] = ()) -> None:
        self.covers = tuple(covers)
        self.records = CollectedRecords()
        self.attempts: list[CollectedAttempt] = []

    @asynccontextmanager
    async def attempt(
        self, worst_case: Amount, /, *, sort: Literal["process"], name: str
    ) -> AsyncGenerator[CollectedAttempt]:
        """One try; nothing is refused."""
        attempt = CollectedAttempt(name)
        self.attempts.append(attempt)
        yield attempt


def performers_of(*roles: Role) -> dict[str, Performer]:
    """Performers for `antiphon.engine.testing.memory_run`: these roles answer agent calls, a person approvals."""
    return {"agent": Agents({role.name: role for role in roles}), "approval": Approvals()}
