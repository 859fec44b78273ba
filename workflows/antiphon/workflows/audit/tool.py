"""A tool of the table as a program agent: one lens of it, over the files of a survey."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from antiphon.engine.amount import Amount
from antiphon.subagents.process import Completed
from antiphon.subagents.program import Invocation, UnreadableOutput
from antiphon.subagents.records import Actor, Coverage, CoverageState, Finding, FindingKey, Record, capped, with_author
from antiphon.workflows.audit.files import digest_of
from antiphon.workflows.audit.hits import Hit, Job, Reading, column_of
from antiphon.workflows.audit.presence import DATA, RUNNERS, filled
from antiphon.workflows.audit.sources import Source, Sources
from antiphon.workflows.audit.table import Entry, rule_of
from antiphon.workflows.audit.table.rules import rules_digest

OURS = (str(DATA), str(RUNNERS))
_UNSEEN = "{} did not look at it, and did not say why"
_SILENCED = "what its author silenced there ({}) is not known: {} cannot be asked to pass over that"


@cache
def ours_digest() -> str:
    """The sha256, in hex, of what of ours the tools are given: rules, settings, and the programs that run them."""
    return digest_of((DATA, RUNNERS))


@dataclass(frozen=True, slots=True)
class Tool:
    """One lens of a tool.

    Attributes:
        entry: what the table says of it. lens: one of its lenses. sources: the audited files.
        argv: how its command line begins. version: as the tool says it.
        needs: folders of its installation that it reads besides its own.
    """

    entry: Entry
    lens: str
    sources: Sources
    argv: tuple[str, ...]
    version: str
    needs: tuple[str, ...] = ()

    @property
    def actor(self) -> Actor:
        """Who its claims come from. Their lineage is that of each rule."""
        return Actor(tool=self.entry.tool, version=self.version, lens=self.lens, lineage=self.entry.lineage)

    @property
    def check(self) -> str:
        """The name of the check in coverage."""
        return f"{self.entry.tool}/{self.lens}"

    @property
    def advice(self) -> str:
        """What to install where it is missing."""
        return self.entry.advice

    @property
    def floor(self) -> Amount:
        """One command; one more where the author's suppressions may have to be told apart."""
        return Amount(tool_calls=2 if self._honours else 1)

    @property
    def table(self) -> str:
        """Changes with everything of ours that decides what the output becomes."""
        return hashlib.sha256(f"{self.entry.digest} {rules_digest()} {ours_digest()}".encode()).hexdigest()[:16]

    @property
    def variables(self) -> dict[str, str]:
        """More variables for its commands."""
        return {name: self._filled(value) for name, value in self.entry.environment.items()}

    def _filled(self, word: str) -> str:
        return filled(word, self.sources.root)

    @property
    def _honours(self) -> bool:
        return self.entry.honouring is not None and self.entry.honouring.ignoring is not None

    def invocations(self, units: Sequence[str]) -> Sequence[Invocation]:
        """All findings of these files; and, of files that may silence some, which are left when that is honoured.

        What is in the first output only is what the author set aside: by the tool's own reading of the comments.
        """
        name = f"{self.entry.tool} {self.lens}"
        honouring = self.entry.honouring
        sources = self.sources.now(units)
        units = [unit for unit in units if self._takes(sources[unit])]
        if not units:
            return []
        if honouring is None or honouring.ignoring is None:
            return [self._invocation(name, (), units)]
        everything = self._invocation(name, honouring.ignoring, units)
        silencing = [unit for unit in units if self._may_silence(sources[unit])]
        if not silencing:
            return [everything]
        again = units if self.entry.whole else silencing
        return [everything, self._invocation(f"{name}, suppressions honoured", honouring.honouring, again)]

    def _takes(self, source: Source | None) -> bool:
        return not self.entry.parsed or (source is not None and source.parses)

    def _invocation(self, name: str, options: tuple[str, ...], units: Sequence[str]) -> Invocation:
        entry = self.entry
        given = [*entry.options, *entry.lenses[self.lens], *options]
        named = {"files": [self.sources.path(unit) for unit in units], "root": [str(self.sources.root)], "none": []}
        targets = named[entry.target]
        return Invocation(
            name=name,
            argv=(*self.argv, *map(self._filled, given), *entry.separator, *targets),
            exits=entry.exits,
            timeout_seconds=entry.timeout_seconds,
            reads=self._reads(targets),
            executes=entry.executes,
        )

    def _reads(self, targets: Sequence[str]) -> tuple[str, ...]:
        """What the command is given to read: the files it is to look at, and what is ours or the tool's own.

        One that looks at the whole gets the whole: what a file imports need not be among those it answers for.
        """
        seen = [str(self.sources.root)] if self.entry.whole else targets
        return (*seen, *OURS, *self.needs)

    def read(self, units: Sequence[str], outputs: Sequence[Completed]) -> Sequence[Record]:
        """Claims, the author's verdicts on them, and coverage of every unit.

        Raises:
            UnreadableOutput: an output is not what this tool writes, or is about a file that it was not given.
        """
        job = Job(self.lens, str(self.sources.root))
        everything, *again = [self.entry.read(output, job) for output in outputs] or [Reading()]
        kept = {hit for reading in again for hit in reading.hits}
        sources = self.sources.now(units)
        silencing = {unit for unit, source in sources.items() if self._honours and self._may_silence(source)}
        found: list[tuple[Finding, str | None]] = []
        for hit in everything.hits:
            unit = self._unit(hit.path, sources)
            if unit is None:
                if self.entry.target != "files":  # it also looks at what the survey left out
                    continue
                raise UnreadableOutput(f"it names a file it was not given: {hit.path!r}", outputs[0].stdout)
            silenced = hit.silenced or (self._method if unit in silencing and hit not in kept else None)
            found.append((self._finding(unit, hit, sources[unit]), silenced))
        return [*with_author(found), *self._coverage(everything, sources)]

    def _unit(self, path: str, sources: Mapping[str, Source | None]) -> str | None:
        unit = self.sources.unit(path)
        return unit if unit in sources else None

    @property
    def _method(self) -> str:
        return self.entry.honouring.method if self.entry.honouring else ""

    def _may_silence(self, source: Source | None) -> bool:
        honouring = self.entry.honouring
        return source is not None and honouring is not None and source.mentions(*honouring.words)

    def _coverage(self, reading: Reading, sources: Mapping[str, Source | None]) -> list[Coverage]:
        remarks: dict[str | None, tuple[CoverageState, str]] = {}
        for remark in reading.remarks:
            remarks.setdefault(self.sources.unit(remark.path), (remark.state, remark.reason))
        whole: tuple[CoverageState, str] | None = ("failed", reading.failure) if reading.failure else None
        opened = None if reading.looked_at is None else {self.sources.unit(path) for path in reading.looked_at}
        return [
            self._covered(unit, source, whole or remarks.get(unit), unseen=opened is not None and unit not in opened)
            for unit, source in sources.items()
        ]

    def _covered(
        self, unit: str, source: Source | None, remark: tuple[CoverageState, str] | None, *, unseen: bool
    ) -> Coverage:
        state: CoverageState = "done"
        reason = ""
        if not self._takes(source):
            state, reason = "failed", "it does not parse"
        elif remark is not None:
            state, reason = remark
        elif unseen:
            state, reason = "failed", _UNSEEN.format(self.entry.tool)
        elif changed := self.sources.problem(unit, source):
            state, reason = "partial", changed
        elif not self._honours and self._may_silence(source):
            reason = _SILENCED.format(self._method, self.entry.tool)  # done, as far as this tool can
        return Coverage(record="coverage", unit=unit, check=self.check, state=state, reason=capped(reason))

    def _finding(self, unit: str, hit: Hit, source: Source | None) -> Finding:
        known = rule_of(self.entry.tool, hit.rule)
        line = hit.line
        evidence = source.evidence(line, hit.end_line or line) if source and line else None
        return Finding(
            record="claim",
            sort="finding",
            key=FindingKey(path=unit, rule=known.canonical, symbol=source.symbol(line) if source and line else ""),
            rule=hit.rule,
            title=hit.title or hit.rule,
            text=capped(hit.text),
            severity=hit.severity or known.severity,
            severity_by=self.entry.tool if hit.severity else "antiphon",
            actor=self.actor.model_copy(update={"lineage": known.lineage}),
            confidence=hit.confidence,
            evidence=(evidence,) if evidence else (),
            line=line,
            column=column_of(source, hit, line, hit.column),
            end_line=hit.end_line,
            end_column=column_of(source, hit, hit.end_line, hit.end_column),
            cwe=hit.cwe or known.cwe,
            url=hit.url,
            fingerprint=hit.fingerprint,
        )
