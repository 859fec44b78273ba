"""Looks at given files of a tree with every analyser of the audit that is here, as one `CheckRun`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from antiphon.engine import AgentFailure, CallContext
from antiphon.engine.errors import InfrastructureError, leading
from antiphon.subagents.checks import CheckRun, NotChecked, Problem, in_order
from antiphon.subagents.prompt.delimiting import legible
from antiphon.subagents.records import Coverage, Finding, Record, Verdict
from antiphon.subagents.sandbox import Sandbox
from antiphon.workflows.audit.analysers import Analyser, analysers
from antiphon.workflows.audit.languages import Language, language_of
from antiphon.workflows.audit.shards import WHOLE, plan
from antiphon.workflows.audit.sources import Sources
from antiphon.workflows.audit.survey import Survey, survey
from antiphon.workflows.checking.attempts import Lent
from antiphon.workflows.checking.configured import FORMAT, LINT, check_configured, is_configured

_AT_ONCE: Final = 4
_UNPARSED: Final = "it does not parse"
_SYNTAX: Final = "syntax"
_ASSERTS: Final = frozenset({"B101", "S101"})
_TEST_FILE: Final = re.compile(r"(?:^|/)(?:tests?/.*|test_[^/]*|[^/]*_test|conftest)\.py$")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyserChecker:
    """A `Checker` made of the audit's analysers; only those that execute nothing of what they read.

    Attributes:
        lenses: only these views of the audit; none for all.
        exclude: tools that are not asked.
    """

    lenses: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    async def __call__(
        self, root: Path, units: Sequence[str] | None, *, sandbox: Sandbox, ctx: CallContext
    ) -> CheckRun:
        """See `Checker`. A file that an ignore file names, or that is vendored or generated, is not looked at.

        Tools that look at a tree as a whole (types, dead code) do so; what they find may be in other files than these.

        Raises:
            PathMissing: there is no such tree.
        """
        looked = await anyio.to_thread.run_sync(partial(survey, root))
        wanted = looked if units is None else _only(looked, frozenset(units))
        sources = replace(Sources.of(looked), languages=_languages(wanted, units or ()))
        chosen = await analysers(sources, lenses=self.lenses, exclude=self.exclude, sandbox=sandbox)
        found = _Found(str(looked.root))
        checks = [analyser.check for analyser in chosen.analysers]
        # Where the meaning of one file is in the others, a change of one is found in another.
        whole = plan(looked, [check for check in checks if check.size == WHOLE]).shards
        shards = (*whole, *plan(wanted, [check for check in checks if check.size != WHOLE]).shards)
        by_check = {analyser.check.name: analyser for analyser in chosen.analysers}
        await _each([(by_check[shard.check], shard.units) for shard in shards], ctx, found)
        python = [file.unit for file in wanted.files if file.language in ("python", "stub")]
        configured = await anyio.to_thread.run_sync(partial(is_configured, looked.root))
        if python and configured:
            found.add_configured(*await check_configured(looked.root, python, sandbox=sandbox, ctx=ctx))
        found.absent += [NotChecked(one.tool, one.reason) for one in chosen.not_run]
        found.failed += [NotChecked("survey", f"{gap.unit}: {gap.reason}") for gap in wanted.gaps]
        return found.checked()


def _only(looked: Survey, units: frozenset[str]) -> Survey:
    """What of a survey is about some files."""
    return replace(
        looked,
        files=tuple(file for file in looked.files if file.unit in units),
        gaps=tuple(gap for gap in looked.gaps if gap.unit in units),
    )


def _languages(wanted: Survey, units: Sequence[str]) -> frozenset[Language]:
    """Those of some files, also of files that are not there: before they were made, others were."""
    named: list[Language] = [language_of(unit, b"") for unit in units]
    return frozenset((*(file.language for file in wanted.files), *named))


async def _each(work: Sequence[tuple[Analyser, tuple[str, ...]]], ctx: CallContext, found: _Found) -> None:
    slots = anyio.Semaphore(_AT_ONCE)

    async def one(analyser: Analyser, units: tuple[str, ...]) -> None:
        lent = Lent(ctx, units)
        async with slots:
            try:
                await analyser.agent("", lent)
            except (AgentFailure, InfrastructureError) as error:
                found.failed.append(NotChecked(analyser.check.name, str(error)))
        found.ran.add(analyser.agent.program.actor.tool)
        found.add(lent.records)

    try:
        async with anyio.create_task_group() as group:
            for analyser, units in work:
                group.start_soon(one, analyser, units)
    except ExceptionGroup as errors:
        raise leading(errors) from errors


def _is_assert_in_test(finding: Finding) -> bool:
    """Whether a tool complains that a test asserts something."""
    return finding.rule in _ASSERTS and _TEST_FILE.search(finding.key.path) is not None


@dataclass(slots=True)
class _Found:
    """What was found so far."""

    root: str
    problems: list[Problem] = field(default_factory=list[Problem])
    unparsed: dict[str, Problem] = field(default_factory=dict[str, Problem])
    ran: set[str] = field(default_factory=set[str])
    absent: list[NotChecked] = field(default_factory=list[NotChecked])
    failed: list[NotChecked] = field(default_factory=list[NotChecked])

    def add(self, records: Iterable[Record]) -> None:
        """Take the records of one call of an analyser."""
        records = list(records)
        silenced = {record.of: record for record in records if isinstance(record, Verdict)}
        for record in records:
            if isinstance(record, Finding) and not _is_assert_in_test(record):
                self.problems.append(self._problem(record, silenced.get(record.id)))
            elif isinstance(record, Coverage) and record.state == "failed":
                self._not_covered(record)

    def _problem(self, finding: Finding, silenced: Verdict | None) -> Problem:
        text = self._said(finding.text)
        return Problem(
            tool=finding.actor.tool or "",
            rule=legible(finding.rule),
            path=finding.key.path,
            line=finding.line,
            text=text if silenced is None else f"{text} (silenced by a comment)",
            severity=finding.severity if silenced is None else "info",
        )

    def _not_covered(self, record: Coverage) -> None:
        """A file that does not parse is a problem, once; whatever else kept a tool from a file is told."""
        if record.reason.startswith(_UNPARSED):
            tool = record.check.partition("/")[0]
            known = self.unparsed.get(record.unit)
            if known is None or len(record.reason) > len(known.text):
                said = self._said(record.reason)
                self.unparsed[record.unit] = Problem(tool, _SYNTAX, record.unit, None, said, "high")
        else:
            self.failed.append(NotChecked(record.check, self._said(f"{record.unit}: {record.reason}")))

    def add_configured(self, problems: list[Problem], failed: list[NotChecked]) -> None:
        """Take what the project's own rules said."""
        unable = {one.tool for one in failed}
        self.ran |= {FORMAT, LINT} - unable
        self.problems += [replace(one, text=self._said(one.text), path=legible(one.path)) for one in problems]
        self.failed += failed

    def _said(self, text: str) -> str:
        """What a tool says, without where the tree happens to lie: two states lie in two folders."""
        return legible(text.replace(f"{self.root}/", ""))

    def checked(self) -> CheckRun:
        """All of it, in order."""
        return CheckRun(
            problems=in_order([*self.problems, *self.unparsed.values()]),
            ran=tuple(sorted(self.ran)),
            absent=tuple(dict.fromkeys(self.absent)),
            failed=tuple(dict.fromkeys(sorted(self.failed, key=lambda one: (one.tool, one.reason)))),
        )
