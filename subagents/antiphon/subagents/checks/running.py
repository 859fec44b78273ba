"""Runs a project's tests in a workspace, and reads what came of them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import anyio.to_thread

from antiphon.engine import CallContext, UsageError
from antiphon.subagents.checks.cases import Cases, TooManyCases
from antiphon.subagents.checks.junit import MOST_BYTES, UnreadableReport, read_junit
from antiphon.subagents.checks.outputs import READERS
from antiphon.subagents.checks.tap import is_tap
from antiphon.subagents.checks.testing import TestRun
from antiphon.subagents.process import Completed, Unavailable
from antiphon.subagents.prompt.delimiting import legible
from antiphon.subagents.sandbox.scratch import private_folder
from antiphon.subagents.workspace.commands import OUTPUT_BYTES, Also, command
from antiphon.subagents.workspace.contract import Workspace
from antiphon.subagents.workspace.detecting import Framework, framework_of
from antiphon.subagents.workspace.environment import Environment
from antiphon.subagents.workspace.looking import read_bytes

TEST_SECONDS: Final = 600.0
OUTPUT_CHARACTERS: Final = 64_000
"""Of what tests print, kept: the beginning and the end of it."""
_REPORT: Final = "junit.xml"
_NOT_FOUND: Final = 127
_NO_TESTS: Final = "no way to run tests was found here"
# What a framework prints when it has come to its end; what ended it before that may have exited with 0.
_ENDINGS: Final = {
    "unittest": re.compile(r"^Ran \d+ tests? in ", re.MULTILINE),
    "cargo": re.compile("^test result:", re.M),
}
_COUNTED: Final = re.compile(r"[= ]*(?:\d+ \w+, )*\d+ (?:failed|errors?)\b.* in \d+\.\d+s")
_EXCESSES: Final = {"processes": "processes", "memory": "memory", "scratch": "room for files"}


@dataclass(frozen=True, slots=True)
class _Planned:
    """A command that runs tests. `told` is what a person could type."""

    argv: tuple[str, ...]
    told: str
    framework: Framework


async def run_tests(
    workspace: Workspace,
    environment: Environment,
    ctx: CallContext,
    *,
    command: str | None = None,
    only: Sequence[str] = (),
    seconds: float = TEST_SECONDS,
) -> TestRun:
    """Run tests in a workspace, in the sandbox.

    Args:
        workspace: where.
        environment: of the project that it is a workspace of.
        ctx: of the call that this is done for.
        command: a shell command line; by default the way that was found in the project, or else in the workspace.
        only: names of tests, as `TestRun.cases` has them, or what the framework takes for one.
        seconds: wall time after which they are ended.

    Raises:
        UsageError: there is no command, or it cannot be given only some tests.
    """
    planned = await anyio.to_thread.run_sync(partial(_planned, environment, workspace.root, command, only))
    return await _run(workspace, environment, ctx, planned, seconds)


async def _run(
    workspace: Workspace, environment: Environment, ctx: CallContext, planned: _Planned, seconds: float
) -> TestRun:
    with private_folder() as folder:
        report = Path(folder, _REPORT)
        ended = await command(
            workspace,
            environment,
            planned.argv,
            ctx=ctx,
            seconds=seconds,
            name=f"test {planned.told}",
            also=Also(write=(folder,), variables={"PYTEST_ADDOPTS": _options(report)}),
        )
        data = await anyio.to_thread.run_sync(partial(read_bytes, report, MOST_BYTES + 1))
    run = await anyio.to_thread.run_sync(partial(read_run, planned.told, planned.framework, ended, data))
    # The folder has another name each time, and the same run is to be told in the same words.
    return replace(run, output="\n".join(line for line in run.output.split("\n") if folder not in line))


def _options(report: Path) -> str:
    """Given to pytest, whoever starts it: to report outside of the tree, by files, and to leave no cache in it.

    The cache is not switched off: a project's own options may be about it, and are then unknown.
    """
    cache = shlex.quote(str(report.with_name("cache")))
    return f"-o cache_dir={cache} -o junit_family=xunit1 --junitxml={shlex.quote(str(report))}"


def _planned(environment: Environment, root: Path, given: str | None, only: Sequence[str]) -> _Planned:
    given = given if given is not None else environment.tests or None
    if given is None:
        suites = environment.suites_of(root)
        if not suites:
            raise UsageError(f"{_NO_TESTS}: {'; '.join(environment.notes) or 'no test files, no configuration of one'}")
        argv = _narrowed(suites[0].argv, suites[0].framework, only)
        return _Planned(argv, shlex.join(argv), suites[0].framework)
    if not given.strip() or "\0" in given:
        raise UsageError("the command that runs the tests is empty")
    framework = framework_of(given)
    line = shlex.join(_narrowed((), framework, only))
    told = f"{given} {line}".strip()
    return _Planned(("/bin/sh", "-c", told), told, framework)


def _narrowed(argv: tuple[str, ...], framework: Framework, only: Sequence[str]) -> tuple[str, ...]:
    """A command for some tests alone."""
    if not only:
        return argv
    if odd := [name for name in only if name.startswith("-") or "\0" in name or not name]:
        raise UsageError(f"{odd[0][:100]!r} is no name of a test")
    match framework:
        case "pytest":
            return (*argv, *only)
        case "unittest":
            return (*argv[: argv.index("discover")], "-v", *only) if "discover" in argv else (*argv, *only)
        case "cargo":
            return (*argv, "--", "--exact", *only)
        case "go":
            names = "|".join(re.escape(name.rpartition(".")[2]) for name in only)
            return (*argv, "-run", f"^({names})$")
        case _:
            raise UsageError("only some tests were asked for, and this command cannot be told which")


def read_run(told: str, framework: Framework, ended: Completed | Unavailable, report: bytes | None) -> TestRun:
    """What a command that ran tests says of them.

    Args:
        told: the command, as a person types it.
        framework: whose output it should be.
        ended: how it ended.
        report: the JUnit XML that it left; None for none.
    """
    if isinstance(ended, Unavailable):
        trouble = f"it could not be started: {ended.reason}; {ended.advice}"
        return TestRun(command=told, framework=framework, exit=None, trouble=trouble)
    stdout, stderr = (said.decode("utf-8", "replace") for said in (ended.stdout, ended.stderr))
    framework = "tap" if not framework and report is None and is_tap(stdout) else framework
    cases, unreadable = _read(framework, stdout, stderr, report)
    return TestRun(
        command=told,
        framework="pytest" if report is not None else framework,
        exit=ended.exit,
        timed_out=ended.timed_out,
        seconds=round(ended.seconds, 3),
        cases=None if cases is None else cases.states,
        details={} if cases is None else cases.details,
        output=shortened(legible("\n".join(filter(None, (stdout.strip("\n"), stderr.strip("\n")))))),
        trouble=_trouble(ended)
        or unreadable
        or _cut_short(framework, ended, stdout + stderr, report)
        or _contradicted(cases, stdout, report),
    )


def _read(framework: Framework, stdout: str, stderr: str, report: bytes | None) -> tuple[Cases | None, str]:
    try:
        if report is not None:
            return read_junit(report), ""
        if framework == "pytest":
            return Cases(), ""
        reader = READERS.get(framework)
        found = reader(stdout, stderr) if reader else None
    except (UnreadableReport, TooManyCases) as error:
        return Cases(), f"what it says of its tests cannot be read: {error}"
    silent = found is None or (not found.states and framework in ("tap", "go"))
    return (None if silent else found), ""


def _trouble(ended: Completed) -> str:
    if ended.truncated:
        return f"it printed more than {OUTPUT_BYTES:,} bytes, and was ended"
    if ended.excess:
        return f"it used more {_EXCESSES[ended.excess]} than it may, and was ended"
    return "its program was not found" if ended.exit == _NOT_FOUND else ""


def _cut_short(framework: Framework, ended: Completed, said: str, report: bytes | None) -> str:
    """That it claims success and did not come to its end, as when the tested code exits by itself."""
    if ended.exit != 0:
        return ""
    if framework == "pytest" and report is None:
        return "pytest did not come to its end, though it exited with 0: it left no report"
    ending = _ENDINGS.get(framework)
    missing = ending is not None and report is None and not ending.search(said)
    return f"{framework} did not come to its end, though it exited with 0" if missing else ""


def _contradicted(cases: Cases | None, stdout: str, report: bytes | None) -> str:
    """That a report knows of no failure, and what pytest printed does: somebody changed one of both."""
    if report is None or cases is None or {"failed", "error"} & set(cases.states.values()):
        return ""
    last = stdout.rstrip().rpartition("\n")[2]
    return f"its report names no failure, but it printed: {legible(last)[:200]}" if _COUNTED.match(last) else ""


def shortened(text: str, most: int = OUTPUT_CHARACTERS) -> str:
    """The beginning and the end of a text; three quarters of it are the end, where results are."""
    if len(text) <= most:
        return text
    head = most // 4
    tail = most - head
    return f"{text[:head]}\n[… {len(text) - most:,} characters left out …]\n{text[-tail:]}"
