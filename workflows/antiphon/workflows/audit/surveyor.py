"""The surveyor: the function agent that says what there is to look at, and cuts it into calls."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict

from antiphon.engine import Amount, Call, CallContext
from antiphon.engine.errors import InfrastructureError
from antiphon.subagents.program import ProgramAgent, ProgramContext
from antiphon.tracing import Json
from antiphon.workflows.audit.analysers import Analyser
from antiphon.workflows.audit.sarif_import import ROLE, SarifFile
from antiphon.workflows.audit.shards import Check, Plan, plan
from antiphon.workflows.audit.survey import Survey
from antiphon.workflows.audit.table import role_names


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
    """Names every file of the tree; what cannot be looked at becomes a gap in coverage.

    Attributes:
        survey: what is there. analysers: who looks. imports: SARIF files of other tools, which are units too.
    """

    survey: Survey
    analysers: tuple[Analyser, ...]
    imports: tuple[SarifFile, ...] = ()
    name: str = "surveyor"
    floor: Amount = field(default_factory=Amount)
    output: object = Cut
    version: str = "2"

    def sees(self, call: Call) -> Mapping[str, Json]:
        """The whole tree, by content, and the checks it is cut for."""
        text = json.dumps([[file.unit, file.sha256, file.language] for file in self.survey.files])
        gaps = [[gap.unit, gap.reason] for gap in self.survey.gaps]
        checks: list[Json] = [_seen(analyser.check) for analyser in self.analysers]
        given: list[Json] = [[file.unit, file.sha256] for file in self.imports]
        tree = hashlib.sha256((text + json.dumps(gaps)).encode()).hexdigest()
        return {"tree": tree, "checks": checks, "sarif": given}

    async def __call__(self, task: str, ctx: ProgramContext) -> Cut:
        """Record the gaps, and cut the rest."""
        for record in self.survey.records():
            ctx.records.add(record)
        cut = self._plan()
        return Cut(
            shards=self.shards(cut), planned={**cut.planned, **{file.unit: (file.check,) for file in self.imports}}
        )

    def shards(self, cut: Plan | None = None) -> tuple[ShardCall, ...]:
        """All calls of analysers to come, those of SARIF files last."""
        roles = {analyser.check.name: analyser.agent.name for analyser in self.analysers}
        planned = (cut or self._plan()).shards
        shards = tuple(ShardCall(role=roles[s.check], check=s.check, units=s.units) for s in planned)
        return *shards, *(ShardCall(role=ROLE, check=file.check, units=(file.unit,)) for file in self.imports)

    def _plan(self) -> Plan:
        return plan(self.survey, [analyser.check for analyser in self.analysers])


def _seen(check: Check) -> Json:
    return [check.name, *sorted(check.languages), str(check.size)]


@dataclass(frozen=True, slots=True)
class Reader:
    """A program agent whose calls are keyed by the content of the files they cover, and by what we know of its rules.

    Attributes:
        agent: the program agent. hashes: the survey's content hashes, by unit. table: see `Analyser`.
    """

    agent: ProgramAgent
    hashes: Mapping[str, str]
    table: str = ""
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
        """See `Role`. Another version of the tool, or of our table, is another call."""
        return f"{self.agent.version}+{self.table}" if self.table else self.agent.version

    def sees(self, call: Call) -> Mapping[str, Json]:
        """The content of every file it covers."""
        return {unit: self.hashes.get(unit, "") for unit in call.covers}

    async def __call__(self, task: str, ctx: CallContext) -> Any:
        """Run the program."""
        return await self.agent(task, ctx)


@dataclass(frozen=True, slots=True)
class Absent:
    """Stands for an analyser that is not here: the workflow declares every role that it may ever call.

    Attributes:
        name: the role's. reason: why it is not here.
    """

    name: str
    reason: str = "it is not on this machine"
    floor: Amount = field(default_factory=Amount)
    output: object = None
    version: str = "absent"

    async def __call__(self, task: str, ctx: CallContext) -> Any:
        """Nobody is cut any work for it, so this is never performed.

        Raises:
            InfrastructureError: always.
        """
        raise InfrastructureError("environment", f"{self.name}: {self.reason}")


def absent(present: Collection[str]) -> dict[str, Absent]:
    """Roles for the tools of the table, and for SARIF files, that are not among those present."""
    return {name: Absent(name) for name in (*role_names(), ROLE) if name not in present}
