"""The step `examine`: whether a script may be kept. Preflight first; then its own tests, in the runtime of its runs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
from pydantic import TypeAdapter

from antiphon.engine import UsageError
from antiphon.engine.script.runtime import GuestDied
from antiphon.tracing import Json
from antiphon.workflows.author.cases import Ran, ran
from antiphon.workflows.author.plans import headed, without_line
from antiphon.workflows.author.shapes import MOST_SCRIPT, Case, Needed
from antiphon.workflows.author.words import worst_first
from antiphon.workflows.loading import Loaded, load_source
from antiphon.workflows.model_roles import ModelsAsked
from antiphon.workflows.preflight import Finding, Need, Preflight, preflight
from antiphon.workflows.runtimes import RuntimeUnusable
from antiphon.workflows.steps import step_function

NOT_RUN: Final = "tests-not-run"
"""The rule of a script whose tests nothing here can run."""
_MOST_PROBLEMS: Final = 200
_MOST_SECONDS: Final = 90.0
"""Of all tests of one version together, on the clock."""
_SAID_AS: Final = {"unpriced-model": "note"}
"""Findings that say something of who answers here, and nothing that the author of a script could mend."""
_CASES: Final = TypeAdapter(list[Case])
_NEEDS: Final = TypeAdapter(list[Needed])


@step_function("examine", version="1")
async def examine(
    script: str,
    file: str,
    plan: str,
    tests: list[dict[str, Any]],
    arguments: dict[str, Any],
    needs: list[dict[str, Any]],
    asked: dict[str, Any],
    before: str = "",
) -> dict[str, Any]:
    """What there is to say of a script that a model wrote; nothing of it is executed outside of a confined guest.

    Args:
        script: its text, as the model gave it.
        file: where it would lie.
        plan: the plan's name.
        tests: its own, see `Case`.
        arguments: what main is to be given for the task.
        needs: what the task needs by the blind review, see `Needed`.
        asked: the models that answer, as `ModelsAsked.to_json` writes them; for the cost.
        before: the version that this one replaces, "" for none.

    Returns:
        ``source`` (the text with its first line), ``sha256``, ``passed``, ``problems`` (worst first), ``tests``, and of
        preflight ``outline``, ``cost`` and ``portable``.
    """
    if len(script) > MOST_SCRIPT:
        told = f"the file has {len(script):,} characters, and {MOST_SCRIPT:,} are the most"
        return _refused(_problem("too-large", told, "write less: loops and functions instead of copies"))
    source = headed(plan, script)
    if before and _alike(source, before):
        told = "it is the version before, unchanged, whose run asked for another one"
        return {**_refused(_problem("unchanged", told, "mend what ended that run")), "source": source}
    needed = [Need(kind=one.kind, text=one.text, terms=one.terms) for one in _NEEDS.validate_python(needs)]
    look = partial(preflight, arguments=arguments, models=ModelsAsked.of(asked), needed=needed)
    looked = await anyio.to_thread.run_sync(look, source, Path(file).name)  # a text may be made to take its time
    problems = [_of(finding, severity=_SAID_AS.get(finding.rule, "")) for finding in looked.findings]
    problems += [_of(finding, severity="warning") for finding in looked.portability.needs_jail]
    cases: list[Ran] = []
    if looked.passed:
        more, cases = await _tried(source, Path(file), _CASES.validate_python(tests), arguments)
        problems += more
    return _said(source, looked, problems, cases)


def _alike(source: str, before: str) -> bool:
    """Whether two versions say the same, but for the first line, blanks at the ends of lines, and empty lines."""
    one, other = ([line for line in _lines(text) if line] for text in (source, before))
    return one == other


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in without_line(text).splitlines()]


async def _tried(
    source: str, file: Path, cases: Sequence[Case], arguments: Mapping[str, Any]
) -> tuple[list[dict[str, Json]], list[Ran]]:
    """What comes of loading a script and running its tests: what is wrong, and how each test went."""
    try:
        loaded = load_source(source, file)
    except RuntimeUnusable as error:
        note = _problem(NOT_RUN, error.message, "antiphon doctor", severity="note")
        return [note], []
    except UsageError as error:
        return [_problem("cannot-be-loaded", error.message, error.advice or "")], []
    problems = list(_unfitting(loaded, arguments))
    problems += _untested(loaded, cases)
    results: list[Ran] = []
    began = anyio.current_time()
    for case in cases:
        if anyio.current_time() - began > _MOST_SECONDS:  # each of them may take its time, and all of them may not
            results.append(Ran(name=case.name, problem=f"the tests before it took more than {_MOST_SECONDS:g} s"))
        else:
            results.append(await _tested(loaded, case))
    for one in results:
        if one.problem:
            said = f"test {one.name!r}: {one.problem}"
            problems.append(_problem("test-failed", said, "mend the script, or the test if it is wrong"))
    return problems, results


def _untested(loaded: Loaded, cases: Sequence[Case]) -> list[dict[str, Json]]:
    """What is wrong with tests that pass whatever the script does."""
    if not cases:
        return [_problem("no-tests", "it comes without a test", "hand back two to five small tests")]
    declared = frozenset((*loaded.manifest.roles, *loaded.manifest.steps))
    empty = [case for case in cases if not case.holds(declared)]
    severity = "error" if len(empty) == len(cases) else "warning"
    told = "would pass whatever the script does with its answers"
    remedy = "say with `calls` whom it must ask how often, and with `contains` what its result must hold"
    return [_problem("empty-test", f"test {case.name!r} {told}", remedy, severity=severity) for case in empty]


async def _tested(loaded: Loaded, case: Case) -> Ran:
    try:
        return await ran(loaded, case)
    except GuestDied as error:
        return Ran(name=case.name, problem=error.message)


def _unfitting(loaded: Loaded, arguments: Mapping[str, Any]) -> list[dict[str, Json]]:
    try:
        loaded.parameters.validate(arguments)
    except UsageError as error:
        return [_problem("arguments", f"what main is given for the task does not fit: {error.message}", "")]
    return []


def _of(finding: Finding, *, severity: str = "") -> dict[str, Json]:
    """A finding as it is kept. What needs the jail is no fault of a script, and yet not what its author was taught."""
    return {
        "rule": finding.rule,
        "line": finding.line,
        "severity": severity or finding.severity,
        "reason": finding.reason,
        "remedy": finding.remedy,
    }


def _problem(rule: str, reason: str, remedy: str, *, severity: str = "error") -> dict[str, Json]:
    return {"rule": rule, "line": 0, "severity": severity, "reason": reason, "remedy": remedy}


def _refused(problem: dict[str, Json]) -> dict[str, Any]:
    return {"source": "", "sha256": "", "passed": False, "problems": [problem], "tests": []}


def _said(
    source: str, looked: Preflight, problems: Sequence[Mapping[str, Json]], cases: Sequence[Ran]
) -> dict[str, Any]:
    return {
        "source": source,
        "sha256": hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest(),
        "passed": not any(problem["severity"] == "error" for problem in problems),
        "problems": [dict(one) for one in worst_first(problems)[:_MOST_PROBLEMS]],
        "tests": [one.to_json() for one in cases],
        "outline": looked.outline.to_json(),
        "cost": looked.cost.to_json(),
        "portable": looked.portability.portable,
    }
