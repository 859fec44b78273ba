"""Cuts the files of an audit into what one prompt holds, lens by lens. A file that no prompt holds is a named gap."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from antiphon.engine import Amount, Call
from antiphon.subagents.program import ProgramContext
from antiphon.subagents.records import Coverage
from antiphon.tracing import Json
from antiphon.workflows.audit.languages import CODE
from antiphon.workflows.audit.models.showing import tokens_of
from antiphon.workflows.audit.shards import ends
from antiphon.workflows.audit.survey import File, Survey

ROLE = "divider"
AUDITOR = "auditor"
VERIFIER = "verifier"
_TOGETHER = 8
"""Files of one prompt, about; a boundary follows the name of a file, as in `shards`."""
_LINE_BYTES = 30


class Asking(BaseModel):
    """One call of every sweep: the files of one prompt, through one lens."""

    model_config = ConfigDict(frozen=True)

    lens: str
    units: tuple[str, ...]


class Division(BaseModel):
    """The divider's value.

    Attributes:
        asking: the calls of the first sweep and every other after it, lens by lens: neighbours are together.
        mixed: those of the sweeps between: other files are together, since a file may talk its company round.
        planned: for every file that a prompt holds, the checks to come.
        stronger: by role: the model that its file names for what the first one leaves open; none for "".
    """

    model_config = ConfigDict(frozen=True)

    asking: tuple[Asking, ...]
    mixed: tuple[Asking, ...]
    planned: dict[str, tuple[str, ...]]
    stronger: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How much goes into one prompt, in tokens, about.

    Attributes:
        shard: where several files go together. file: of one file; a larger one is a gap.
    """

    shard: int = 12_000
    file: int = 48_000


def about_tokens(file: File) -> int:
    """About how many tokens a file comes to, before it is read again."""
    return tokens_of(file.size, file.size // _LINE_BYTES + 1)


def audited(survey: Survey) -> list[File]:
    """The files that models look at: code, in any language. Other text is for those who search it for secrets."""
    return [file for file in survey.files if file.language in CODE and file.sha256 is not None and file.size]


def too_large(survey: Survey, room: Room) -> dict[str, str]:
    """By file that no prompt holds: the reason."""
    return {
        file.unit: f"it is too large for one prompt: about {about_tokens(file):,} tokens, and the room is {room.file:,}"
        for file in audited(survey)
        if about_tokens(file) > room.file
    }


def divide(survey: Survey, lenses: Iterable[str], room: Room, *, mixed: bool = False) -> list[Asking]:
    """The calls of one sweep.

    Args:
        survey: what there is.
        lenses: to look through.
        room: of one prompt.
        mixed: put files together by the hash of their names, and not by their neighbourhood.
    """
    left_out = too_large(survey, room)
    files = [file for file in audited(survey) if file.unit not in left_out]
    groups = _groups(sorted(files, key=_mixing) if mixed else files, room)
    return [Asking(lens=lens, units=tuple(file.unit for file in group)) for lens in lenses for group in groups]


def _mixing(file: File) -> bytes:
    return hashlib.sha256(b"mixed " + file.unit.encode()).digest()


def _groups(files: Iterable[File], room: Room) -> list[list[File]]:
    groups: list[list[File]] = [[]]
    used = 0
    for file in files:
        size = about_tokens(file)
        if groups[-1] and used + size > room.shard:
            groups.append([])
            used = 0
        groups[-1].append(file)
        used += size
        if ends(file, _TOGETHER):
            groups.append([])
            used = 0
    return [group for group in groups if group]


@dataclass(frozen=True, slots=True)
class Divider:
    """The role that says what models will be asked, and names what none can be.

    Attributes:
        survey: what there is. lenses: to look through. room: of one prompt. stronger: see `Division`.
    """

    survey: Survey
    lenses: tuple[str, ...]
    room: Room = field(default_factory=Room)
    stronger: Mapping[str, str] = field(default_factory=dict[str, str])
    name: str = ROLE
    floor: Amount = field(default_factory=Amount)
    output: object = Division
    version: str = "1"

    def sees(self, call: Call) -> Mapping[str, Json]:
        """Every file of the tree by content, and what it is cut by."""
        text = json.dumps([[file.unit, file.sha256] for file in audited(self.survey)])
        return {
            "tree": hashlib.sha256(text.encode()).hexdigest(),
            "lenses": list(self.lenses),
            "room": [self.room.shard, self.room.file],
            "stronger": dict(self.stronger),
        }

    async def __call__(self, task: str, ctx: ProgramContext) -> Division:
        """Record the gaps, and cut the rest."""
        checks = tuple(f"{AUDITOR}/{lens}" for lens in self.lenses)
        for unit, reason in too_large(self.survey, self.room).items():
            for check in checks:
                ctx.records.add(Coverage(record="coverage", unit=unit, check=check, state="failed", reason=reason))
        asking = tuple(divide(self.survey, self.lenses, self.room))
        mixed = tuple(divide(self.survey, self.lenses, self.room, mixed=True))
        planned = {unit: checks for one in asking for unit in one.units}
        return Division(asking=asking, mixed=mixed, planned=planned, stronger=dict(self.stronger))
