"""The surveyor: the function agent that says what there is to look at, and cuts it into calls."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict

from antiphon.engine import Amount, Call, CallContext
from antiphon.subagents.program import ProgramAgent
from antiphon.tracing import Json
from antiphon.workflows.audit.analysers import Analyser
from antiphon.workflows.audit.shards import Plan, plan
from antiphon.workflows.audit.survey import Survey


class ShardCall(BaseModel):
    """One call to come: which role looks at which units, for which check."""

    model_config = ConfigDict(frozen=True)

    role: str
    check: str
    units: tuple[str, ...]


class Cut(BaseModel):
    """The surveyor's value: all calls to come, and for every unit the checks that will look at it."""

    model_config = ConfigDict(frozen=True)

    shards: tuple[ShardCall, ...]
    planned: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Surveyor:
    """Names every file of the tree; what cannot be looked at becomes a gap in coverage."""

    survey: Survey
    analysers: tuple[Analyser, ...]
    name: str = "surveyor"
    floor: Amount = field(default_factory=Amount)
    output: object = Cut
    version: str = "1"

    def sees(self, call: Call) -> Mapping[str, Json]:
        """The whole tree, by content, and the checks it is cut for."""
        text = json.dumps([[file.unit, file.sha256] for file in self.survey.files])
        gaps = [[gap.unit, gap.reason] for gap in self.survey.gaps]
        checks: list[Json] = [analyser.check.name for analyser in self.analysers]
        return {"tree": hashlib.sha256((text + json.dumps(gaps)).encode()).hexdigest(), "checks": checks}

    async def __call__(self, task: str, ctx: CallContext) -> Cut:
        """Record the gaps, and cut the rest."""
        for record in self.survey.records():
            ctx.records.add(record)
        cut: Plan = plan(self.survey, [analyser.check for analyser in self.analysers])
        roles = {analyser.check.name: analyser.agent.name for analyser in self.analysers}
        shards = tuple(ShardCall(role=roles[s.check], check=s.check, units=s.units) for s in cut.shards)
        return Cut(shards=shards, planned=dict(cut.planned))


@dataclass(frozen=True, slots=True)
class Reader:
    """A program agent whose calls are keyed by the content of the files they cover."""

    agent: ProgramAgent
    hashes: Mapping[str, str]
    output: object = None

    @property
    def name(self) -> str:
        """The role's name."""
        return self.agent.name

    @property
    def floor(self) -> Amount:
        """See `Role`."""
        return self.agent.floor

    @property
    def version(self) -> str:
        """See `Role`."""
        return self.agent.version

    def sees(self, call: Call) -> Mapping[str, Json]:
        """The content of every file it covers."""
        return {unit: self.hashes.get(unit, "") for unit in call.covers}

    async def __call__(self, task: str, ctx: CallContext) -> Any:
        """Run the program."""
        return await self.agent(task, ctx)
