"""`run_tests`: the project's tests, each with its result."""

from __future__ import annotations

import shlex
from typing import Annotated, Final

import anyio
from pydantic import Field

from antiphon.engine import CallContext, UsageError
from antiphon.subagents.checks.running import run_tests
from antiphon.subagents.checks.testing import TestRun
from antiphon.subagents.tools.commands.kept import KeptOutputs, both_ends
from antiphon.subagents.tools.commands.running import MOST_SECONDS
from antiphon.subagents.tools.contract import Misfit, Tool, ToolResult, Traits
from antiphon.subagents.tools.function import function_tool
from antiphon.subagents.tools.paging import visible
from antiphon.subagents.workspace.contract import workspace_of
from antiphon.subagents.workspace.environment import Environment

_SHOWN: Final = 20
_DETAIL_CHARACTERS: Final = 3_000
_NAMES_CHARACTERS: Final = 2_000
_DETAILS_IN_ALL: Final = 16_000
_DESCRIPTION: Final = (
    "Run the project's tests in the sandbox, without network. {known} The answer begins with a summary, then each test"
    " that failed with what was said about it, then the end of the output. It counts as failed unless all went well,"
    " and, where the framework names its tests, at least one passed. The same call with offset=N reads on from line N"
    " of the whole output, without running them again. Files that the tests write are taken away afterwards."
)


def run_tests_tool(environment: Environment) -> Tool:
    """The tool `run_tests` for the workspaces of one project."""
    kept = KeptOutputs()
    suite = environment.suite
    told = environment.tests or (shlex.join(suite.argv) if suite else "")
    known = f"Without a command, `{told}`: {suite.reason}." if suite else "No command for it is known."

    @function_tool(
        name="run_tests",
        description=_DESCRIPTION.format(known=visible(known)),
        version="1",
        traits=Traits(cost="process", works=True),
    )
    async def run_tests(
        command: Annotated[str | None, Field(description="a command line that runs tests", max_length=10_000)] = None,
        only: Annotated[
            list[str] | None,
            Field(description="names of tests, as the framework or an earlier answer names them", max_length=500),
        ] = None,
        seconds: Annotated[int, Field(description="wall time after which they are ended", ge=1, le=MOST_SECONDS)] = 600,
        offset: Annotated[int, Field(description="read on from this line of the output", ge=0)] = 0,
        *,
        ctx: CallContext,
    ) -> ToolResult:
        called = repr((command, only))
        if offset:
            told = kept.read_on(ctx, called, offset)
            return ToolResult(told or "the output is not kept (any more); call it without offset", failed=told is None)
        run = await _run(environment, ctx, command, only or [], seconds)
        kept.keep(ctx, called, run.output.split("\n"))
        return ToolResult(told_of(run), failed=not run.passed)

    return run_tests


async def _run(
    environment: Environment, ctx: CallContext, command: str | None, only: list[str], seconds: int
) -> TestRun:
    """Run them, and leave nothing of what they wrote: an agent's change is what it wrote itself."""
    place = workspace_of(ctx)
    before = await place.tree() if place.writable else ""
    try:
        return await run_tests(place, environment, ctx, command=command, only=only, seconds=seconds)
    except UsageError as error:
        raise Misfit(f"{error}") from None
    finally:
        if before:
            with anyio.CancelScope(shield=True):
                await place.restore(before)


def told_of(run: TestRun) -> str:
    """Tests that were run, as a model reads them: those that failed first, with what was said about them."""
    parts = [visible(run.summary)]
    room = _DETAILS_IN_ALL
    for name in run.failing[:_SHOWN]:
        said = visible(run.details.get(name, ""))[-min(_DETAIL_CHARACTERS, max(room, 0)) or len(name) :]
        room -= len(said)
        parts.append(f"--- {(run.cases or {})[name]}: {visible(name)}" + (f"\n{said}" if said and room > 0 else ""))
    if len(run.failing) > _SHOWN:
        names = ", ".join(map(visible, run.failing[_SHOWN:]))
        parts.append(f"… {len(run.failing) - _SHOWN} more failed: {names[:_NAMES_CHARACTERS]}")
    if not run.details:
        parts.append(f"--- output\n{both_ends(run.output.split(chr(10)))}" if run.output else "(nothing was printed)")
    return "\n".join(parts)
