"""Calls of a fix that may fail: what their failing means for what is done next; and what agents are shown."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast, get_args

from antiphon.engine import CallFailed, Failed, Outcome
from antiphon.workflows.crafting.results import Tests
from antiphon.workflows.fix import words
from antiphon.workflows.fix.moves import Broken, Cause, Stopped
from antiphon.workflows.fix.results import Ran

T = TypeVar("T")
MOST_REPORT: Final = 20_000
MOST_DIFF: Final = 30_000
_MOST_CASES: Final = 60
_MOST_LINES: Final = 40
_CANNOT_RUN: Final = (126, 127)


@dataclass(frozen=True, slots=True)
class Answered(Generic[T]):
    """What a call came to: a value, or what its failing means."""

    value: T | None
    trouble: Stopped | Broken | None = None


async def answered(call: Awaitable[T]) -> Answered[T]:
    """Await a call. That it failed is an answer too, and not the end of the script."""
    try:
        return Answered(await call)
    except CallFailed as error:
        return Answered(None, meaning(error.outcome))


def meaning(outcome: Outcome[Any]) -> Stopped | Broken:
    """What a failed call means: by the diagnosis that the agent's loop left, where it did.

    Raises:
        CallFailed: it was the script's own fault.
    """
    if not isinstance(outcome, Failed) or outcome.category == "infrastructure":
        return Broken(f"{outcome.kind.replace('_', ' ')}: {outcome.reason}")
    if outcome.category == "script":
        raise CallFailed(outcome)
    return Stopped(_cause(outcome.raw), outcome.reason)


def _cause(raw: str | None) -> Cause:
    try:
        said: object = json.loads(raw or "null")
    except (ValueError, RecursionError):
        said = None
    cause = cast("dict[str, object]", said).get("diagnosis") if isinstance(said, dict) else None
    return next((known for known in get_args(Cause) if known == cause), "wrong_reasoning")


# --- what agents are shown --------------------------------------------------------------------------------------------


def frame(name: str, text: str) -> str:
    """A frame under a name that the task speaks of."""
    return f"{name}:\n{text}"


def report_frame(report: str) -> str:
    """The bug report."""
    return frame(words.REPORT, shortened(report, MOST_REPORT))


def command_frame(command: str) -> list[str]:
    """How the tests are run, where that is not what the project's files say; the tool cannot know it."""
    return [frame(words.COMMAND, f"run_tests with command={command!r}")] if command else []


def shortened(text: str, most: int) -> str:
    """The beginning of a text; what is left out is said."""
    return text if len(text) <= most else f"{text[:most]}\n[{len(text) - most} characters more]"


def results_told(tests: Tests) -> str:
    """A run of the tests, for an agent: what fails first, and the end of what was printed."""
    if not tests.ran:
        what = f" ({tests.command})" if tests.command else ""
        return f"The tests could not be run{what}: {tests.trouble or 'no command'}"
    named = tests.failing[:_MOST_CASES]
    more = len(tests.failing) - len(named)
    said = [f"`{tests.command}` ended with status {tests.exit}{' and did not end in time' if tests.timed_out else ''}."]
    said += [f"Failing: {', '.join(named)}{f' and {more} more' if more else ''}."] if named else ["No case fails."]
    return "\n".join([*said, "The end of its output:", tests.tail])


def lines_told(lines: Sequence[str]) -> str:
    """Sentences as a list, not too many."""
    more = [f"and {len(lines) - _MOST_LINES} more"] if len(lines) > _MOST_LINES else []
    return words.listed([shortened(line, 2_000) for line in (*lines[:_MOST_LINES], *more)])


# --- runs of tests ----------------------------------------------------------------------------------------------------


def unrunnable(tests: Tests) -> str:
    """Why tests could not be run at all, so that they say nothing of the code; "" if they could."""
    if not tests.ran and not tests.command:
        return tests.trouble or "no way to run this project's tests was found"
    if not tests.ran:
        return f"`{tests.command}` could not be run: {tests.trouble or 'it did not start'}"
    if tests.exit in _CANNOT_RUN and tests.cases is None:
        return f"`{tests.command}` could not be run (status {tests.exit}): {tests.output.strip()[-300:]}"
    return ""


def ran(tests: Tests) -> Ran:
    """The same without its output."""
    cases = tests.cases
    counted = None if cases is None else list(cases.values())
    return Ran(
        command=tests.command,
        exit=tests.exit,
        timed_out=tests.timed_out,
        passed=None if counted is None else counted.count("passed"),
        failed=None if counted is None else counted.count("failed") + counted.count("error"),
        skipped=None if counted is None else counted.count("skipped"),
        sha256=tests.sha256,
        trouble=tests.trouble,
    )
