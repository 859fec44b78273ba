"""Who speaks when a model does, so that voices that would be wrong together count as one.

A model's lineage is its family *and* what its role looks from. A verdict counts where its lineage is another than the
claim's, so a model may judge what it said itself only in a role that looks from elsewhere; two lenses of one auditor do
not confirm each other. Support counts groups, and voices of one model family are one group whatever their framings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from antiphon.engine import Call, OutputType
from antiphon.subagents.model.contract import Model
from antiphon.subagents.records import Actor, Record
from antiphon.tracing import Json


class Sink(Protocol):
    """Where the records of one call go."""

    def add(self, record: Record, /) -> None:
        """Add one."""
        ...


class Answering(Protocol):
    """What is needed of a call's context to make records of its answer; see `antiphon.engine.CallContext`."""

    @property
    def records(self) -> Sink:
        """Where records go."""
        ...

    @property
    def frames(self) -> Sequence[Json]:
        """The frames from the root to the call."""
        ...

    @property
    def about(self) -> str | None:
        """The id of the record judged."""
        ...

    @property
    def covers(self) -> Sequence[str]:
        """The units that the call answers for."""
        ...

    @property
    def call(self) -> Call:
        """What the script asked for."""
        ...

    @property
    def output(self) -> OutputType:
        """The declared type of the value."""
        ...


def framed(frames: Sequence[Json], name: str) -> str:
    """What the last frame that says anything under a name says there; "" for none."""
    said = [frame[name] for frame in frames if isinstance(frame, dict) and isinstance(frame.get(name), str)]
    return str(said[-1]) if said else ""


def speaker(ctx: Answering, model: Model, *, framing: str = "") -> Actor:
    """The actor of what a model says in a call.

    Args:
        ctx: the call. Frames may name its ``lens`` and its ``framing``.
        model: what answered.
        framing: what the role looks from, where its file says that.
    """
    role, lens = ctx.call.name, framed(ctx.frames, "lens")
    from_where, family = framing or role, model.lineage or model.name
    words = "/".join(part for part in (from_where, lens, framed(ctx.frames, "framing")) if part)
    lineage = f"{family}/{from_where}"
    return Actor(tool=role, version=model.name, lens=lens, lineage=lineage, model=family, framing=words)
