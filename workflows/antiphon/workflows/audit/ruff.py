"""ruff as program agents, one for each lens."""

from __future__ import annotations

import json
import sysconfig
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, TypeAdapter, ValidationError

from antiphon.engine.amount import Amount
from antiphon.subagents.process import Completed
from antiphon.subagents.program import Invocation, UnreadableOutput
from antiphon.subagents.records import Actor, Claim, Coverage, CoverageState, Key, Place, Record, Text, capped, numbered
from antiphon.workflows.audit.rules import canonical_rule, family_of, severity_of
from antiphon.workflows.audit.sources import Source, Sources

ADVICE = "pip install ruff"
# A lens is a question, and the rules that go into it.
LENSES: dict[str, tuple[str, ...]] = {
    "security": ("S",),
    "correctness": ("F", "B", "PLE"),
    "async": ("ASYNC", "RUF006"),
    "performance": ("PERF",),
    "complexity": ("C90", "PLR0911", "PLR0912", "PLR0913", "PLR0915"),
}
# Always on: without it ruff says of a file that it cannot decode nothing but a warning, and reports success.
_UNREADABLE = "E902"
_SYNTAX = "invalid-syntax"
# What the ways to silence ruff in a file contain. It decides only whether to ask ruff again, so it may be too wide.
_SILENCERS = (b"noqa", b"ruff:")


class _Point(BaseModel, frozen=True):
    row: Place
    column: Place


class _Diagnostic(BaseModel, frozen=True):
    """What is read of one entry of ruff's list. Frozen, so that equal ones of two outputs can be matched."""

    filename: Text
    code: Text | None
    name: Text
    message: Text
    location: _Point
    end_location: _Point
    url: Text | None = None

    @property
    def problem(self) -> str | None:
        """Why ruff could not look at the whole file, if that is what this entry says."""
        if self.code not in (_SYNTAX, _UNREADABLE, None):
            return None
        what = "it cannot be read" if self.code == _UNREADABLE else "it does not parse"
        return f"{what}, line {self.location.row}: {self.message}"


_LIST = TypeAdapter(list[_Diagnostic])


def command() -> str:
    """The ruff installed beside this Python, else the one on PATH."""
    beside = Path(sysconfig.get_path("scripts")) / "ruff"
    return str(beside) if beside.exists() else "ruff"


@dataclass(frozen=True, slots=True)
class Ruff:
    """One lens of ruff over the files of a survey.

    Attributes:
        lens: a key of `LENSES`. sources: the audited files. version: as ruff says it.
    """

    lens: str
    sources: Sources
    version: str

    @property
    def actor(self) -> Actor:
        """Who its claims come from. Their lineage is that of each rule."""
        return Actor(tool="ruff", version=self.version, lens=self.lens, lineage="ruff")

    @property
    def check(self) -> str:
        """The name of the check in coverage."""
        return f"ruff/{self.lens}"

    @property
    def advice(self) -> str:
        """What to install where it is missing."""
        return ADVICE

    @property
    def floor(self) -> Amount:
        """Two commands: everything, and again with the author's suppressions honoured where there may be any."""
        return Amount(tool_calls=2)

    def invocations(self, units: Sequence[str]) -> Sequence[Invocation]:
        """All findings of these files; and, of files that may silence some, which are left when ruff honours that.

        What is in the first output only is what the author set aside: by ruff's own reading of the comments.
        """
        everything = self._invocation(f"ruff {self.lens}", ("--ignore-noqa",), units)
        silencing = [unit for unit, source in self.sources.now(units).items() if _may_silence(source)]
        if not silencing:
            return [everything]
        return [everything, self._invocation(f"ruff {self.lens}, suppressions honoured", (), silencing)]

    def _invocation(self, name: str, options: tuple[str, ...], units: Iterable[str]) -> Invocation:
        select = ",".join((*LENSES[self.lens], _UNREADABLE))
        # Isolated: no configuration file of the audited project, of a parent folder or of the user is read.
        fixed = ("--isolated", "--no-cache", "--quiet", "--output-format", "json", "--select", select)
        paths = [self.sources.path(unit) for unit in units]
        argv = (command(), "check", *fixed, *options, "--", *paths)
        return Invocation(name=name, argv=argv, exits=frozenset({0, 1}))

    def read(self, units: Sequence[str], outputs: Sequence[Completed]) -> Sequence[Record]:
        """Claims, and coverage of every unit."""
        kept = {item for output in outputs[1:] for item in _diagnostics(output)}
        sources = self.sources.now(units)
        silencing = {unit for unit, source in sources.items() if _may_silence(source)}
        claims: list[Claim] = []
        problems: dict[str, str] = {}
        for item in _diagnostics(outputs[0]):
            unit = self.sources.unit(item.filename)
            if unit is None or unit not in sources:
                raise UnreadableOutput(f"it names a file it was not given: {item.filename!r}", outputs[0].stdout)
            if item.problem:
                problems.setdefault(unit, item.problem)
            else:
                silenced = unit in silencing and item not in kept
                claims.append(self._claim(unit, item, sources[unit], silenced=silenced))
        coverage = [self._coverage(unit, problems.get(unit), source) for unit, source in sources.items()]
        return [*numbered(claims), *coverage]

    def _coverage(self, unit: str, problem: str | None, source: Source | None) -> Coverage:
        state: CoverageState = "failed" if problem else "done"
        if problem is None and (problem := self.sources.problem(unit, source)):
            state = "partial"
        return Coverage(record="coverage", unit=unit, check=self.check, state=state, reason=problem or "")

    def _claim(self, unit: str, item: _Diagnostic, source: Source | None, *, silenced: bool) -> Claim:
        code = item.code or ""
        line, end_line = item.location.row, max(item.location.row, item.end_location.row)
        evidence = source.evidence(line, end_line) if source else None
        return Claim(
            record="claim",
            sort="finding",
            key=Key(path=unit, rule=canonical_rule(code), symbol=source.symbol(line) if source else ""),
            rule=code,
            title=item.name,
            text=capped(item.message),
            severity=severity_of(code),
            severity_by="antiphon",
            actor=self.actor.model_copy(update={"lineage": family_of(code).lineage}),
            evidence=(evidence,) if evidence else (),
            line=line,
            column=item.location.column,
            end_line=end_line,
            end_column=item.end_location.column,
            suppressed="noqa" if silenced else None,
            url=item.url,
        )


def _may_silence(source: Source | None) -> bool:
    return source is not None and source.mentions(*_SILENCERS)


def _diagnostics(output: Completed) -> list[_Diagnostic]:
    try:
        return _LIST.validate_python(json.loads(output.stdout))
    except (ValueError, RecursionError) as error:  # what pydantic raises is a ValueError
        raise UnreadableOutput(f"it is not ruff's JSON: {first_problem(error)}", output.stdout) from None


def first_problem(error: Exception) -> str:
    """One line of what is wrong with some JSON."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)
