"""The reports of a fix: Markdown for a person, JSON for a program. Nothing in them acts on who reads it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from antiphon.engine import Run
from antiphon.subagents.records import read_records
from antiphon.tracing import Json
from antiphon.workflows.cli.words import amount
from antiphon.workflows.fix.results import FINAL, FixResult, Ran, TryResult
from antiphon.workflows.report.document import Said
from antiphon.workflows.report.lined import lined
from antiphon.workflows.report.markdown import text
from antiphon.workflows.synthesis import Synthesis, synthesize

if TYPE_CHECKING:
    from antiphon.workflows.fix.launch import Asked

FORMAT: Final = "antiphon-fix/1"
_LEVELS: Final = 3
_LONG: Final = 2_000
_HEADS: Final = {"fixed": "Fixed", "degraded": "A patch that passes, with something missing", "failed": "Not fixed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a report says of the run. run: its id. asked: of it. spent: in all, by dimension."""

    run: str
    asked: Asked
    spent: Mapping[str, Json]


def synthesis_of(run: Run) -> Synthesis:
    """All records of a run, merged."""
    by_call: defaultdict[str, list[Mapping[str, Json]]] = defaultdict(list)
    for item in run.records:
        by_call[item.path].append(item.record)
    return synthesize([one for path, data in by_call.items() for one in read_records(data, path)], {})


def json_report(result: FixResult, about: About, found: Synthesis) -> str:
    """Everything, in one fixed order. ASCII."""
    asked: Json = about.asked.arguments()
    said: dict[str, Json] = {
        "format": FORMAT,
        "about": {"run": about.run, "asked": asked, "spent": dict(about.spent)},
        "result": result.model_dump(mode="json"),
        "synthesis": found.to_json(),
    }
    return lined(said, _LEVELS)


def markdown(result: FixResult, about: About, found: Synthesis) -> str:
    """The report as Markdown."""
    return "\n".join(_lines(result, about, found)) + "\n"


def _lines(result: FixResult, about: About, found: Synthesis) -> Iterator[str]:
    yield f"# {_HEADS[result.status]}: {_said(about.asked.report.strip().splitlines()[0], 120)}"
    yield from _paragraph(result.reason)
    if result.wrong:
        yield from ("", "## What was wrong", "", _said(result.wrong))
    yield from _patch(result)
    yield from _test(result)
    yield from ("", "## What was tried")
    for one in result.tries:
        yield from _try(one, won=one.name == result.winner)
    if not result.tries:
        yield from ("", "Nothing: it ended before any try.")
    yield from _records(found)
    yield from _notes(result, about)


def _paragraph(words: str) -> Iterator[str]:
    if words:
        yield from ("", _said(words))


def _patch(result: FixResult) -> Iterator[str]:
    best = result.best
    if best is None:
        return
    yield from ("", "## The patch", "")
    files = ", ".join(_said(path) for path in best.files)
    yield f"`patches/{FINAL}.patch`: {best.lines} changed lines in {files}, and the test. {_said(best.name)} made it."
    if best.unsure:
        yield from ("", f"Its author could not verify: {_said(best.unsure)}")
    if best.problems:
        yield from ("", "New problems that the quality bar lets pass:", "")
        yield from (f"- {_said(problem.sentence)}" for problem in best.problems)


def _test(result: FixResult) -> Iterator[str]:
    shown = result.reproduction
    yield from ("", "## The test that shows it", "")
    if not shown.accepted:
        yield f"There is none: {_said(shown.why)}"
    else:
        yield f"{_said(shown.shows)} In {', '.join(_said(path) for path in shown.files)}."
        yield ""
        yield from (f"- {_said(case)} failed before" for case in shown.cases)
    for attempt in shown.attempts:
        yield from ("", f"Not accepted: {_said(attempt)}")
    yield from ("", f"Before: {_ran(result.base)}")
    if result.best is not None:
        again = ", and once more in a fresh copy" if result.confirmed else ""
        yield from ("", f"With the patch: {_ran(result.best.tests)}{again}")


def _ran(ran: Ran) -> str:
    if not ran.command:
        return f"no tests were run ({_said(ran.trouble or 'there are none')})"
    counts = "" if ran.passed is None else f", {ran.passed} passed, {ran.failed} failed, {ran.skipped} skipped"
    return f"{_said(ran.command)} ended with status {ran.exit}{counts}"


def _try(one: TryResult, *, won: bool) -> Iterator[str]:
    yield from ("", f"### {_said(one.name)}: {one.status}{', the one that is taken' if won else ''}", "")
    yield f"Approach: {_said(one.approach)}"
    if one.reasons:
        yield from ("", f"What speaks against it: {_said('; '.join(one.reasons))}")
    if one.reason:
        yield from ("", f"How it ended: {_said(one.reason)}")
    if one.rounds:
        yield ""
    for number, each in enumerate(one.rounds, 1):
        verdict = "" if each.passed is None else " (passes)" if each.passed else " (does not pass)"
        yield f"{number}. {each.act}{verdict}: {_said(each.said)}"
    yield from (f"- not checked by {_said(tool)}" for tool in one.absent)


def _records(found: Synthesis) -> Iterator[str]:
    yield from ("", "## What the records say", "")
    yield f"{len(found.claims)} changed runs of lines, and {len(found.verdicts)} verdicts of tests and critics on them."
    for conflict in found.conflicts:
        yield f"- {conflict.kind.replace('_', ' ')}: {_said(conflict.reason)}"


def _notes(result: FixResult, about: About) -> Iterator[str]:
    yield from ("", "## Besides", "")
    yield from (f"- {_said(note)}" for note in result.notes)
    yield f"- Spent: {amount(about.spent)}."
    models = ", ".join(map(_said, about.asked.models)) or "as the roles say"
    yield f"- Quality bar: {about.asked.quality}. Models: {models}."
    yield f"- Run {_said(about.run)}: `antiphon show` prints all of it, `antiphon verify` checks it."


def _said(words: str, limit: int = _LONG) -> str:
    """Words of somebody else, as code on one line."""
    told: Any = Said(" ".join(words.split()), limit)
    return text((told,))
