"""A call that has a place: its path, its frames, and the hash of all it can see."""

from __future__ import annotations

from dataclasses import dataclass, replace

from antiphon.engine.branch import Branch
from antiphon.engine.call import Call, Performer, Prepared, call_hash
from antiphon.engine.errors import UndeclaredError
from antiphon.tracing.log import Json


@dataclass(slots=True)
class Place:
    """A call that has a place: its path, its frames, and the hash of all it can see."""

    branch: Branch
    call: Call
    performer: Performer
    prepared: Prepared
    frames: tuple[Json, ...]
    path: str
    hash: str

    def label(self) -> dict[str, Json]:
        """The event fields that tell a person which call this is."""
        call, phase = self.call, self.branch.phase
        fields: dict[str, Json] = {"call": call.sort, "name": call.name, "hash": self.hash}
        if phase is not None:
            fields["phase"] = phase.title
        if call.label is not None:
            fields["label"] = call.label
        if call.covers:
            fields["covers"] = list(call.covers)
        if call.about is not None:
            fields["about"] = call.about
        return fields


def place_of(branch: Branch, call: Call) -> Place:
    performer = branch.performer(call.sort)
    if performer is None:
        raise UndeclaredError("call", call.sort, list(branch.run.performers))
    prepared = performer.prepare(call)
    if prepared.limits is not None:
        call = replace(call, limits=prepared.limits.narrowed_by(call.limits) if call.limits else prepared.limits)
    return placed(branch, call, performer, prepared)


def placed(branch: Branch, call: Call, performer: Performer, prepared: Prepared) -> Place:
    """The next place of a branch, for a call that is prepared."""
    frames = branch.frames + call.context if call.context else branch.frames
    path = f"{branch.path}/{branch.take_ordinal()}"
    return Place(
        branch, call, performer, prepared, frames, path, call_hash(call, prepared, frames, branch.run.log.redact)
    )
