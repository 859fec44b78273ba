"""`run`: a shell command in the workspace, in the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

from pydantic import Field

from antiphon.engine import CallContext
from antiphon.subagents.process import Completed, Unavailable
from antiphon.subagents.tools.commands.kept import KeptOutputs, both_ends
from antiphon.subagents.tools.contract import Misfit, Tool, ToolResult, Traits
from antiphon.subagents.tools.function import function_tool
from antiphon.subagents.workspace.commands import OUTPUT_BYTES, command
from antiphon.subagents.workspace.contract import workspace_of
from antiphon.subagents.workspace.environment import Environment

MOST_SECONDS: Final = 1_800
TOLD_FROM_SECONDS: Final = 5.0
_SHELL: Final = "/bin/sh"
_EXCESSES: Final = {"processes": "more processes", "memory": "more memory", "scratch": "more room for files"}
_DESCRIPTION: Final = (
    "Run a shell command (/bin/sh) in the workspace's folder and get its exit status and both outputs. It runs in a"
    " sandbox: no network, files only in the workspace, and only in a workspace that may be changed; the project's own"
    " programs (its virtual environment, node_modules/.bin) are on PATH. Nothing goes on in the background: all that it"
    " started ends with it. Its input is empty. Long output is cut in the middle; the same command with offset=N reads"
    " on from line N of what it printed, without running it again."
)


def run_tool(environment: Environment, *, network: bool) -> Tool:
    """The tool `run` for the workspaces of one project."""
    kept = KeptOutputs()

    @function_tool(
        name="run",
        description=_DESCRIPTION,
        version="1 with network" if network else "1",
        traits=Traits(cost="network" if network else "process", works=True, sees_all=True),
    )
    async def run(
        command: Annotated[str, Field(description="a command line for /bin/sh", min_length=1, max_length=50_000)],
        seconds: Annotated[int, Field(description="wall time after which it is ended", ge=1, le=MOST_SECONDS)] = 120,
        offset: Annotated[int, Field(description="read on from this line; it is not run again", ge=0)] = 0,
        *,
        ctx: CallContext,
    ) -> ToolResult:
        if offset:
            return _read_on(kept, ctx, command, offset)
        return await _run(environment, command, seconds, network, kept, ctx)

    return run


async def _run(
    environment: Environment, line: str, seconds: int, network: bool, kept: KeptOutputs, ctx: CallContext
) -> ToolResult:
    if "\0" in line:
        raise Misfit("a command line cannot hold a NUL")
    ended = await command(
        workspace_of(ctx),
        environment,
        (_SHELL, "-c", line),
        ctx=ctx,
        seconds=seconds,
        network=network,
        name=f"run {line}",
    )
    if isinstance(ended, Unavailable):
        return ToolResult(f"it could not be started: {ended.reason}; {ended.advice}", failed=True)
    lines = list(_lines(ended))
    kept.keep(ctx, line, lines)
    return ToolResult(f"{_how(ended, seconds)}\n{both_ends(lines)}".rstrip("\n"), failed=ended.exit != 0)


def _read_on(kept: KeptOutputs, ctx: CallContext, line: str, offset: int) -> ToolResult:
    told = kept.read_on(ctx, line, offset)
    if told is None:
        return ToolResult("what this command printed is not kept (any more); call it without offset", failed=True)
    return ToolResult(told)


def _how(ended: Completed, seconds: float) -> str:
    """How it ended, and in how many seconds where those are many: the same work is to be told in the same words."""
    took = f"{ended.seconds:.0f} s"
    if ended.timed_out:
        return f"ended after {seconds:g} s: it took longer than it was given"
    if ended.truncated:
        return f"ended after {took}: it printed more than {OUTPUT_BYTES:,} bytes"
    if ended.excess:
        return f"ended after {took}: it used {_EXCESSES[ended.excess]} than a command may"
    if ended.exit is not None and ended.exit < 0:
        return f"ended by signal {-ended.exit} after {took}"
    return f"exit {ended.exit}, {took}" if ended.seconds >= TOLD_FROM_SECONDS else f"exit {ended.exit}"


def _lines(ended: Completed) -> Iterator[str]:
    for name, said in (("stdout", ended.stdout), ("stderr", ended.stderr)):
        text = said.decode("utf-8", "backslashreplace").strip("\n")
        if text:
            yield f"--- {name}"
            yield from text.split("\n")
    if not ended.stdout and not ended.stderr:
        yield "(it printed nothing)"
