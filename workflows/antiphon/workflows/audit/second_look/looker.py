"""The role: a second look at the findings of an audit, by checks of another lineage than the tools that made them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import anyio.to_thread
from pydantic import BaseModel, ConfigDict, ValidationError

from antiphon.engine import AgentFailure, Amount, Call, CallContext
from antiphon.subagents.program import ProgramContext
from antiphon.subagents.records import Finding, Record, Resolution, Verdict, from_json
from antiphon.tracing import Json
from antiphon.workflows.audit.second_look.actors import version
from antiphon.workflows.audit.second_look.code import Code
from antiphon.workflows.audit.second_look.experiments import BUILDERS, Experiment, experiments
from antiphon.workflows.audit.second_look.looking import look
from antiphon.workflows.audit.second_look.reproduction import MOST_RUN, Laboratory
from antiphon.workflows.audit.second_look.resolving import holds
from antiphon.workflows.audit.second_look.table import CHECKS, READS_THE_TREE
from antiphon.workflows.audit.second_look.words import Words
from antiphon.workflows.audit.sources import Sources

FRAME = "findings"
"""The key of the frame that holds the findings of a call, each as the JSON of a `Finding` with its branch."""


class Looked(BaseModel):
    """The value of one call: counts.

    Attributes:
        units, findings: looked at. confirm, refute, cannot_tell: verdicts given, by stance.
        unjudged: findings that no check said anything of. gone: pieces of evidence that are not there any more.
    """

    model_config = ConfigDict(frozen=True)

    units: int
    findings: int
    confirm: int
    refute: int
    cannot_tell: int
    unjudged: int
    gone: int


@dataclass(frozen=True, slots=True)
class SecondLooker:
    """Looks again at the findings of the files that a call covers.

    Attributes:
        sources: the audited files. words: what the whole tree mentions; None: rules that need it are left alone.
        laboratory: where reproductions run; None: nothing is run.
    """

    sources: Sources
    words: Words | None = None
    laboratory: Laboratory | None = field(default_factory=Laboratory)
    name: str = "second-look"
    output: object = Looked

    @property
    def version(self) -> str:
        """Of the checks and their table: another one is another call."""
        return version()

    @property
    def floor(self) -> Amount:
        """As many processes as one call may run."""
        return Amount(tool_calls=MOST_RUN if self.laboratory else 0)

    def sees(self, call: Call) -> Mapping[str, Json]:
        """The content of every file it covers; all that the tree mentions where a check of these findings asks."""
        seen: dict[str, Json] = {unit: self.sources.hashes.get(unit, "") for unit in call.covers}
        return {"files": seen, "words": self.words.digest if self.words and _asks_the_tree(call.context) else ""}

    async def __call__(self, task: str, ctx: CallContext) -> Looked:
        """Look at the findings in the last frame that has some. Every record is about one of them, by its full id.

        Raises:
            AgentFailure: the frame holds something else than findings of the covered files.
        """
        return await self.answer(ctx.frames, ctx)

    async def answer(self, frames: Sequence[Json], ctx: ProgramContext) -> Looked:
        """The same with less of a context. Raises what a call raises."""
        found = findings_in(frames)
        by_unit = _by_unit(found, ctx.covers)
        said: list[Record] = []
        wanted: list[Experiment] = []
        for unit in ctx.covers:
            records, more = await anyio.to_thread.run_sync(self._look_at, unit, by_unit[unit])
            said += records
            wanted += more
        if self.laboratory is not None:
            said += await self.laboratory.run(wanted, ctx)
        for record in said:
            ctx.records.add(record)
        return _counts(len(ctx.covers), found, said)

    def _look_at(self, unit: str, findings: Sequence[Finding]) -> tuple[list[Record], list[Experiment]]:
        if not findings:
            return [], []
        source = self.sources.source(unit)
        asked = any(finding.key.rule in CHECKS or finding.key.rule in BUILDERS for finding in findings)
        code = Code.of(source) if source is not None and asked else None
        there = [finding for finding in findings if source is not None and holds(finding, source)]
        wanted = experiments(there, code) if code is not None and self.laboratory else []
        return [*look(findings, source, self.words, code=code)], wanted


def findings_in(frames: Sequence[Json]) -> list[Finding]:
    """The findings that the last frame with a list of them holds, each once, in order of their ids.

    Raises:
        AgentFailure: something in it is no finding.
    """
    lists = [frame[FRAME] for frame in frames if isinstance(frame, dict) and FRAME in frame]
    given = lists[-1] if lists else None
    read = [_finding(item) for item in given] if isinstance(given, list) else []
    return sorted({finding.id: finding for finding in read}.values(), key=lambda finding: finding.id)


def _finding(item: Json) -> Finding:
    try:
        read = from_json(cast("dict[str, Json]", item))
    except (ValidationError, TypeError) as error:
        raise AgentFailure(f"what is to be looked at again is no finding: {error}") from None
    if not isinstance(read, Finding):
        raise AgentFailure(f"what is to be looked at again is no finding, but a {read.record}")
    return read


def _by_unit(findings: Iterable[Finding], covers: Sequence[str]) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        if finding.key.path not in covers:
            raise AgentFailure(f"a finding is in {finding.key.path!r}, which this call does not cover")
        found[finding.key.path].append(finding)
    return found


def _asks_the_tree(frames: Sequence[Json]) -> bool:
    given = [frame[FRAME] for frame in frames if isinstance(frame, dict) and FRAME in frame]
    keys = [item.get("key") for items in given if isinstance(items, list) for item in items if isinstance(item, dict)]
    return any(isinstance(key, dict) and key.get("rule") in READS_THE_TREE for key in keys)


def _counts(units: int, findings: Sequence[Finding], said: Sequence[Record]) -> Looked:
    verdicts = [record for record in said if isinstance(record, Verdict)]
    stances: Counter[Any] = Counter(verdict.stance for verdict in verdicts)
    judged = {verdict.of for verdict in verdicts}
    return Looked(
        units=units,
        findings=len(findings),
        confirm=stances["confirm"],
        refute=stances["refute"],
        cannot_tell=stances["cannot_tell"],
        unjudged=sum(finding.id not in judged for finding in findings),
        gone=sum(isinstance(record, Resolution) and record.state == "false" for record in said),
    )
