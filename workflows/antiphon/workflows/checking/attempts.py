"""Lends a program agent what it needs of a call that it is not the agent of: attempts, and a place for records."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from antiphon.engine import Amount, CallContext
from antiphon.subagents.records import Record


class Collected(list[Record]):
    """Records that are nobody's claims: they are read, and not part of the run."""

    def add(self, record: Record, /) -> None:
        """Add one."""
        self.append(record)


@dataclass(frozen=True, slots=True)
class _Settled:
    def settle(self, actual: Amount, /) -> None:
        """It costs nothing of its own: the tool or step that checks is what is counted."""


@dataclass(frozen=True, slots=True)
class Lent:
    """A `ProgramContext` for some units of a call.

    Attributes:
        ctx: of the call. covers: the units. records: what was found.
    """

    ctx: CallContext
    covers: tuple[str, ...]
    records: Collected = field(default_factory=Collected)

    @asynccontextmanager
    async def attempt(self, worst_case: Amount, /, *, sort: Literal["process"], name: str) -> AsyncGenerator[_Settled]:
        """A permit for a process, and a span."""
        async with self.ctx.attempt(Amount(), sort=sort, name=name) as attempt:
            yield _Settled()
            attempt.not_billed()
