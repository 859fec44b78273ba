"""Somebody's SARIF file as one more subagent: what its tools say becomes findings beside those of our own analysers."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import anyio.to_thread

from antiphon.engine import Amount, Call
from antiphon.engine.errors import MalformedOutput, UsageError
from antiphon.subagents.program import ProgramContext
from antiphon.subagents.records import (
    Actor,
    Coverage,
    CoverageState,
    Finding,
    FindingKey,
    Malformed,
    Record,
    Verdict,
    author_verdict,
    capped,
    malformed,
    numbered,
    storable,
)
from antiphon.tracing import Json
from antiphon.workflows.audit.files import NotRegular, open_regular
from antiphon.workflows.audit.hits import column_of
from antiphon.workflows.audit.sarif.document import MOST_BYTES, NotSarif, SarifRun, read_document, troubles
from antiphon.workflows.audit.sarif.result import SarifResult, Suppression, results_of
from antiphon.workflows.audit.sarif.values import text_at
from antiphon.workflows.audit.sources import Source, Sources
from antiphon.workflows.audit.table import TABLE, rule_of

ROLE = "sarif"
REVIEWER = Actor(tool="reviewer", lineage="reviewer")
"""Who set a result aside outside the source: somebody who looked, and whom we do not know."""
_LONGEST_NAME = 100
_MOST_MALFORMED = 20
_KNOWN_TOOLS = {entry.tool.casefold(): entry.tool for entry in TABLE}


@dataclass(frozen=True, slots=True)
class SarifFile:
    """A SARIF file that somebody gave.

    Attributes:
        unit: its name in the run. data: its bytes. sha256: of them.
    """

    unit: str
    data: bytes = field(repr=False)
    sha256: str

    @property
    def check(self) -> str:
        """The name of the check in coverage."""
        return f"sarif/{self.unit.removeprefix('sarif:')}"


def open_all(paths: Iterable[Path]) -> tuple[SarifFile, ...]:
    """Read the SARIF files that were named, each under a unit of its own. See `open_sarif`."""
    files: dict[str, SarifFile] = {}
    for path in paths:
        file = open_sarif(path)
        same = 2
        unit = file.unit
        while unit in files:
            unit, same = f"{file.unit}#{same}", same + 1
        files[unit] = replace(file, unit=unit)
    return tuple(files.values())


def open_sarif(path: Path) -> SarifFile:
    """Read a SARIF file that was named. Whether it is one is found out when it is read into findings.

    Raises:
        UsageError: there is no such regular file, or it is too large.
    """
    advice = "antiphon audit PATH --sarif FILE, with the output of another tool"
    try:
        with open_regular(path.resolve()) as stream:
            data = stream.read(MOST_BYTES + 1)
    except NotRegular:
        raise UsageError(f"{path} is no SARIF file: it is no regular file", advice=advice) from None
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{path} cannot be read: {str(reason).lower()}", advice=advice) from None
    if len(data) > MOST_BYTES:
        raise UsageError(f"{path} is too large: the limit for a SARIF file is {MOST_BYTES:,} bytes", advice=advice)
    digest = hashlib.sha256(data).hexdigest()
    return SarifFile(f"sarif:{storable(path.name)}", data, digest)


def tools_of(files: Iterable[SarifFile]) -> dict[str, str]:
    """The versions of all tools that have a run in some SARIF files, by name, whether they found something or not."""
    found: dict[str, str] = {}
    for file in files:
        try:
            runs = read_document(file.data, most_results=0)
        except NotSarif:  # the call that reads it says so
            continue
        for run in runs:
            actor = _actor(run, "")
            found.setdefault(actor.tool, actor.version)
    return found


@dataclass(frozen=True, slots=True)
class SarifImport:
    """Answers for the SARIF files of a run: one call for each, keyed by its content. It runs nothing.

    Attributes:
        files: by unit. sources: the audited files.
    """

    files: Mapping[str, SarifFile]
    sources: Sources
    name: str = ROLE
    floor: Amount = field(default_factory=Amount)
    output: object = None
    version: str = "1"

    def sees(self, call: Call) -> Mapping[str, Json]:
        """The content of the files it covers, and of the tree that their locations are in."""
        tree = hashlib.sha256(repr(sorted(self.sources.hashes.items())).encode()).hexdigest()
        return {"tree": tree, **{unit: self.files[unit].sha256 for unit in call.covers if unit in self.files}}

    async def __call__(self, task: str, ctx: ProgramContext) -> dict[str, Json]:
        """Read the files of the call into records. The value is counts.

        Raises:
            MalformedOutput: one is not SARIF 2.1.0; a `Malformed` record holds its beginning.
        """
        counts: Counter[str] = Counter()
        for unit in ctx.covers:
            file = self.files[unit]
            try:
                records = await anyio.to_thread.run_sync(partial(findings_of, file, self.sources))
            except NotSarif as error:
                for record in _refused(file, error.reason):
                    ctx.records.add(record)
                raise MalformedOutput(f"{unit.removeprefix('sarif:')} was refused: {error.reason}") from None
            for record in records:
                ctx.records.add(record)
            counts.update(record.record for record in records)
        return {"findings": counts["claim"], "set_aside": counts["verdict"], "malformed": counts["malformed"]}


def _refused(file: SarifFile, reason: str) -> list[Record]:
    actor = Actor(tool="sarif", lens="sarif", lineage="sarif")
    return [
        malformed(actor, file.data, reason, [file.unit]),
        Coverage(record="coverage", unit=file.unit, check=file.check, state="failed", reason=reason),
    ]


def findings_of(file: SarifFile, sources: Sources) -> list[Record]:
    """All records of a SARIF file: findings, verdicts of who set some aside, and how far it could be read.

    Raises:
        NotSarif: it is not SARIF 2.1.0.
    """
    runs = read_document(file.data)
    readings = [_Run(file, run, sources) for run in runs]
    records = [record for reading in readings for record in reading.records()]
    reasons = [reason for reading in readings for reason in reading.reasons()]
    if not runs:
        reasons.append("it holds no run of any tool")
    state: CoverageState = "partial" if reasons else "done"
    said = capped("; ".join(dict.fromkeys(reasons)))
    return [*records, Coverage(record="coverage", unit=file.unit, check=file.check, state=state, reason=said)]


class _Run:
    """One run of the file, read."""

    def __init__(self, file: SarifFile, run: SarifRun, sources: Sources) -> None:
        self._file, self._run, self._sources = file, run, sources
        self._tool = _tool(run)
        self._unreadable: list[str] = []
        self._found: list[SarifResult] = []
        self._opened: dict[str, Source | None] = {}
        known = sources.hashes.__contains__
        for one in results_of(run, str(sources.root), known):
            if isinstance(one, str):
                self._unreadable.append(one)
            else:
                self._found.append(one)

    def records(self) -> list[Record]:
        """Findings in order, verdicts, and what could not be read."""
        present = [one for one in self._found if one.present]
        findings = numbered(self._finding(one) for one in present)
        verdicts = [
            verdict
            for finding, one in zip(findings, present, strict=True)
            for verdict in _verdicts(finding, one.suppressions)
        ]
        return [*findings, *verdicts, *self._malformed()]

    def reasons(self) -> Iterator[str]:
        """What is not as it should be, for coverage."""
        nowhere = sum(1 for one in self._found if one.present and not one.hit.path)
        outside = sum(1 for one in self._found if one.present and not one.inside) - nowhere
        gone = sum(1 for one in self._found if not one.present)
        if outside:
            yield f"{outside} of {len(self._found)} results of {self._tool} are in files that are not in the tree"
        if nowhere:
            yield f"{nowhere} of {len(self._found)} results of {self._tool} name no file"
        if gone:
            yield f"{gone} results of {self._tool} are no findings: absent since its baseline, or passed"
        if self._unreadable:
            yield f"{len(self._unreadable)} results of {self._tool} could not be read: {self._unreadable[0]}"
        if self._run.beyond:
            yield f"{self._run.beyond:,} results of {self._tool} are more than are read from one file"
        yield from troubles(self._run, self._tool)

    def _malformed(self) -> Iterator[Malformed]:
        for reason in self._unreadable[:_MOST_MALFORMED]:
            yield malformed(_actor(self._run, self._tool.casefold()), reason.encode(), reason, [self._file.unit])

    def _finding(self, result: SarifResult) -> Finding:
        hit, source = result.hit, self._source(result)
        known = rule_of(self._tool.casefold(), hit.rule)
        line = hit.line
        evidence = source.evidence(line, min(hit.end_line or line, len(source.lines))) if source and line else None
        return Finding(
            record="claim",
            sort="finding",
            key=FindingKey(
                path=hit.path or self._file.unit, rule=known.canonical, symbol=_symbol(source, line) or result.symbol
            ),
            rule=hit.rule,
            title=capped(hit.title, 200),
            text=capped(hit.text),
            severity=hit.severity or "medium",
            severity_by=self._tool,
            actor=_actor(self._run, known.lineage),
            evidence=(evidence,) if evidence else (),
            line=line,
            column=column_of(source, hit, line, hit.column),
            end_line=hit.end_line,
            end_column=column_of(source, hit, hit.end_line, hit.end_column),
            cwe=hit.cwe or known.cwe,
            url=hit.url,
            fingerprint=hit.fingerprint,
        )

    def _source(self, result: SarifResult) -> Source | None:
        """The file that a result is in, if it is the tree's. Kept for the run, as its results share few files."""
        if not result.inside:
            return None
        if result.hit.path not in self._opened:
            self._opened[result.hit.path] = self._sources.source(result.hit.path)
        return self._opened[result.hit.path]


def _tool(run: SarifRun) -> str:
    said = text_at(run.driver, "name")[:_LONGEST_NAME] or "an unnamed tool"
    return _KNOWN_TOOLS.get(said.casefold(), said)


def _actor(run: SarifRun, lineage: str) -> Actor:
    version = text_at(run.driver, "semanticVersion") or text_at(run.driver, "version")
    return Actor(tool=_tool(run), version=version[:_LONGEST_NAME], lens=ROLE, lineage=lineage)


def _symbol(source: Source | None, line: int | None) -> str:
    return source.symbol(line) if source and line else ""


def _verdicts(finding: Finding, suppressions: Sequence[Suppression]) -> Iterable[Verdict]:
    """Each sort of suppression once: the author's in the source, and a reviewer's elsewhere."""
    kinds = {one.kind: one for one in reversed(suppressions)}
    for kind, one in sorted(kinds.items()):
        if kind == "inSource":
            yield author_verdict(finding, "inSource")
            continue
        reason = one.reason or "the SARIF file says that it was set aside outside the source"
        yield Verdict(
            record="verdict",
            of=finding.id,
            stance="refute",
            actor=REVIEWER,
            method="external",
            reason=capped(reason),
            evidence=finding.evidence,
        )
