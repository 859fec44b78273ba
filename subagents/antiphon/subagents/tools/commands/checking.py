"""`run_checks`: what linters, formatters, type checkers and security analysers complain of in what was changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import Field

from antiphon.engine import CallContext
from antiphon.subagents.checks.comparing import Compared, Kept, compare
from antiphon.subagents.checks.problems import Checker, NotChecked, at_least
from antiphon.subagents.tools.contract import Tool, ToolResult, Traits
from antiphon.subagents.tools.function import function_tool
from antiphon.subagents.tools.paging import one_line, page
from antiphon.subagents.workspace.contract import workspace_of

_SHOWN: Final = 100
_BAR: Final = "medium"
_NAMED: Final = 5
_DESCRIPTION: Final = (
    "Check the files that were changed in this workspace with the linters, formatters, type checkers and security"
    " analysers that are here. Only problems that are new against the state in which the work began count, and are"
    " listed: path, line, severity, tool, rule, text. It counts as failed if one of them is of severity medium or"
    " above; those below are for you to judge. Nothing of the project is executed."
)


def run_checks_tool(checker: Checker) -> Tool:
    """The tool `run_checks`, by whoever checks."""
    kept: Kept = {}

    @function_tool(
        name="run_checks",
        description=_DESCRIPTION,
        version="1",
        traits=Traits(cost="process", paths=("paths",), works=True),
    )
    async def run_checks(
        paths: Annotated[
            list[str] | None, Field(description="only these of the changed files; all by default", max_length=2_000)
        ] = None,
        offset: Annotated[int, Field(description="pass over so many of the problems", ge=0)] = 0,
        *,
        ctx: CallContext,
    ) -> ToolResult:
        compared = await compare(workspace_of(ctx), checker, ctx, paths=paths or None, kept=kept)
        return ToolResult(told_of(compared, offset), failed=bool(at_least(compared.new, _BAR)))

    return run_checks


def told_of(compared: Compared, offset: int = 0) -> str:
    """What came out of a comparison, as a model reads it."""
    if not compared.files:
        return "nothing was changed, so nothing was checked"
    new = compared.new
    files = f"{len(compared.files)} changed file" + ("s" if len(compared.files) > 1 else "")
    low = len(new) - len(at_least(new, _BAR))
    below = f" ({low} below {_BAR})" if low else ""
    parts = [f"{len(new)} new problems{below} in {files}; {compared.old} others were there before"]
    if new:
        parts.append(page([str(problem) for problem in new], offset=offset, limit=_SHOWN, what="problems"))
    parts.append(f"looked: {', '.join(compared.after.ran) or 'nobody'}")
    parts += _named("did not look", compared.after.absent)
    parts += _named("broke down", compared.after.failed)
    return "\n".join(parts)


def _named(what: str, tools: Sequence[NotChecked]) -> list[str]:
    said = [f"{one.tool} ({one_line(one.reason, 200)})" for one in tools[:_NAMED]]
    more = f" and {len(tools) - _NAMED} more" if len(tools) > _NAMED else ""
    return [f"{what}: {'; '.join(said)}{more}"] if said else []
