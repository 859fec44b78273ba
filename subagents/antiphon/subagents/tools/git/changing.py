"""Tools that change the history of a workspace: `git_commit`, `git_branch`. The user's repository never sees it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from antiphon.engine import CallContext
from antiphon.subagents.tools.contract import Misfit, ToolResult, Traits
from antiphon.subagents.tools.function import function_tool
from antiphon.subagents.tools.git.history import History
from antiphon.subagents.tools.paging import visible


@function_tool(
    name="git_commit",
    description=(
        "Commit the present files of this workspace, all of them, to its branch. Only in the repository of this run:"
        " the user's is not touched. The tests must have passed on these very files first (run_tests)."
    ),
    version="1",
    traits=Traits(cost="write", works=True, after=("run_tests",)),
)
async def git_commit(
    message: Annotated[str, Field(description="what was changed and why", min_length=1, max_length=20_000)],
    *,
    ctx: CallContext,
) -> ToolResult:
    """Commit all that was changed."""
    history = History.of(ctx)
    if not message.strip() or "\0" in message:
        raise Misfit("the message is empty, or no text")
    if not await history.uncommitted():
        return ToolResult("nothing differs from the last commit", failed=True)
    made = await history.commit(message.strip() + "\n")
    return ToolResult(f"committed {made[:12]} on branch {await history.branch()}")


@function_tool(
    name="git_branch",
    description=(
        "Without a name: the branches of this workspace. With one: go to that branch, whose last commit the files are"
        " brought to; with create=true begin it here."
    ),
    version="1",
    traits=Traits(cost="write", works=True),
)
async def git_branch(
    name: Annotated[str | None, Field(description="small letters, digits, '-' and '_'")] = None,
    create: Annotated[bool, Field(description="begin it at the present commit")] = False,
    *,
    ctx: CallContext,
) -> ToolResult:
    """List branches, begin one, or go to one."""
    history = History.of(ctx)
    if name is not None:
        await history.switch(name, create=create)
    current = await history.branch()
    names = [branch for branch in await history.branches() if branch != current]
    return ToolResult("\n".join([f"* {visible(current)}", *(f"  {visible(one)}" for one in names)]))
