"""Tools that look at the history of a workspace: `git_status`, `git_diff`, `git_log`, `git_blame`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import Field

from antiphon.engine import CallContext
from antiphon.subagents.tools.contract import Misfit, ToolResult, Traits
from antiphon.subagents.tools.function import function_tool
from antiphon.subagents.tools.git.history import BASE, History, path_named
from antiphon.subagents.tools.paging import page, visible
from antiphon.subagents.workspace.contract import Change, Workspace
from antiphon.subagents.workspace.files import left_out, present_view

_LOOKS: Final = Traits(works=True)
_LOOKS_AT_A_PATH: Final = Traits(works=True, paths=("path",))
_LINES: Final = 400
_AT_ONCE: Final = 500
"""Paths that git is told at once."""
_PART: Final = re.compile(r"^(?=diff --git )", re.MULTILINE)
_LINK: Final = re.compile(r"^(?:index [0-9a-f.]+|(?:new|old|new file|deleted file) mode) 120000$", re.MULTILINE)
"""In the head of one part of a patch: it is about a link, and what that says is a path."""
_REVISION: Final = "'base' (the state in which the work began), HEAD, HEAD~1, a branch, or a commit id"
_FORM: Final = "--format=%h %ad %an%x09%s"

Offset = Annotated[int, Field(description="pass over so many lines of the answer", ge=0)]


@function_tool(
    name="git_status",
    description="What branch this workspace is on, which files differ from its last commit, and which from the base.",
    version="1",
    traits=_LOOKS,
)
async def git_status(offset: Offset = 0, *, ctx: CallContext) -> ToolResult:
    """Say where the workspace is."""
    history = History.of(ctx)
    tip, base = await history.tip(), history.workspace.base.tree
    since = await history.tree_named("HEAD") if tip else base
    lines = [f"on branch {await history.branch()}, at {tip[:12] or 'no commit'}"]
    changes, hidden = _seen(await history.workspace.changed(since))
    lines += [f"{change.kind}: {change.path}" for change in changes] or [_nothing("from the last commit", len(hidden))]
    whole, more = _seen(await history.workspace.changed())
    if since != base:
        lines += [f"since the base: {change.kind}: {change.path}" for change in whole]
    said = page([visible(line) for line in lines], offset=offset, limit=_LINES)
    return ToolResult(said + left_out(len(hidden | more)))


@function_tool(
    name="git_diff",
    description=(
        "What was changed in this workspace, as a unified diff: from a commit (by default the base, in which the work"
        " began) to the present files, or to another commit."
    ),
    version="1",
    traits=Traits(works=True, paths=("paths",), narrows=True),
)
async def git_diff(
    paths: Annotated[list[str] | None, Field(description="only these files or folders", max_length=500)] = None,
    since: Annotated[str, Field(description=f"from: {_REVISION}")] = BASE,
    until: Annotated[str | None, Field(description="to: the same; by default the present files")] = None,
    offset: Offset = 0,
    *,
    ctx: CallContext,
) -> ToolResult:
    """Say what was changed."""
    history = History.of(ctx)
    workspace = history.workspace
    named = [path_named(workspace, path) or "." for path in paths or ()]
    before = workspace.base.tree if since == BASE else await history.tree_named(since)
    after = await history.tree_named(until) if until else ""
    patch, hidden = await _patch(workspace, before, after, [] if "." in named else named)
    if not patch:
        return ToolResult(_nothing("", hidden) + left_out(hidden))
    return ToolResult(page(patch.splitlines(), offset=offset, limit=_LINES) + left_out(hidden))


async def _patch(workspace: Workspace, before: str, after: str, named: Sequence[str]) -> tuple[str, int]:
    """What differs in some files or folders, none for all, as far as it may be seen; and how many names may not."""
    if present_view() is None:
        return await workspace.diff(before, after, named), 0
    changes = await workspace.changed(before, after)
    meant = [one for one in changes if not named or any(f"{one.path}/".startswith(f"{path}/") for path in named)]
    seen, hidden = _seen(meant)
    _, anywhere = _seen(changes)
    # To git a path is also all that is below it, where a file became a folder.
    above = {"/".join(parts[:end]) for parts in (path.split("/") for path in anywhere) for end in range(1, len(parts))}
    paths = [one.path for one in seen if one.path not in above]
    pieces = [paths[place : place + _AT_ONCE] for place in range(0, len(paths), _AT_ONCE)]
    patch = "".join([await workspace.diff(before, after, piece) for piece in pieces])
    parts = _PART.split(patch)
    shown = [part for part in parts if not _LINK.search(part.partition("\n@@")[0])]
    return "".join(shown), len(hidden) + len(seen) - len(paths) + len(parts) - len(shown)


def _seen(changes: Sequence[Change]) -> tuple[list[Change], set[str]]:
    """Those that may be seen, and the names of the others."""
    view = present_view()
    seen = [one for one in changes if view is None or view.file(one.path)]
    return seen, {one.path for one in changes} - {one.path for one in seen}


def _nothing(since: str, hidden: int) -> str:
    return " ".join(filter(None, ("nothing", "that may be seen" if hidden else "", "differs", since)))


@function_tool(
    name="git_log",
    description="The commits that led here, newest first: id, date, author, first line of the message.",
    version="1",
    traits=_LOOKS_AT_A_PATH,
)
async def git_log(
    path: Annotated[str | None, Field(description="only commits that changed this file or folder")] = None,
    since: Annotated[str, Field(description=f"begin at: {_REVISION}")] = "HEAD",
    limit: Annotated[int, Field(description="how many commits", ge=1, le=500)] = 30,
    offset: Annotated[int, Field(description="pass over so many commits", ge=0, le=1_000_000)] = 0,
    *,
    ctx: CallContext,
) -> ToolResult:
    """Say how it came to this."""
    history = History.of(ctx)
    if not await history.tip():
        return ToolResult("there is no commit yet")
    commit = await history.commit_named(since)
    named = path_named(history.workspace, path) if path else ""
    options = ("--no-color", "--no-decorate", "--no-show-signature", "--no-textconv", "--no-ext-diff", "--date=short")
    chosen = (
        f"--max-count={limit + 1}",
        f"--skip={offset}",
        "--end-of-options",
        commit,
        "--",
        *((named,) if named else ()),
    )
    lines = (await history.said("log", *options, _FORM, *chosen)).splitlines()
    if not lines:
        return ToolResult("no more commits" if offset else "no commit changed it")
    rest = [f"… more commits; call again with offset={offset + limit}"] if len(lines) > limit else []
    return ToolResult("\n".join([page(lines[:limit], limit=limit), *rest]))


@function_tool(
    name="git_blame",
    description="Who last changed each line of a file, in which commit and when. What is in no commit yet is named so.",
    version="1",
    traits=_LOOKS_AT_A_PATH,
)
async def git_blame(
    path: Annotated[str, Field(description="the file", min_length=1)],
    first: Annotated[int, Field(description="first line, from 1", ge=1)] = 1,
    last: Annotated[int | None, Field(description="last line", ge=1)] = None,
    *,
    ctx: CallContext,
) -> ToolResult:
    """Say who changed what."""
    history = History.of(ctx)
    workspace, named = history.workspace, path_named(history.workspace, path)
    content = await workspace.content(named, await workspace.tree())
    if content is None:
        raise Misfit(f"there is no file {visible(path)[:200]} in this workspace, or it is ignored")
    count = content.count(b"\n") + (not content.endswith(b"\n") and bool(content))
    if first > count:
        raise Misfit(f"it has {count} lines")
    until = min(last or first + _LINES - 1, first + _LINES - 1, count)
    tip = await history.tip()
    given = (*(("-p", tip) if tip else ()), await workspace.tree())
    now = (await history.said("commit-tree", *given, given=b"now\n")).strip()  # named by no ref: it stays nobody's
    options = ("--no-textconv", "--date=short", "--abbrev=10", "-L", f"{first},{until}")
    lines = (await history.said("blame", *options, now, "--", named)).splitlines()
    told = [line.replace(now[:11], "uncommitted", 1) for line in lines]
    left = min(last or count, count) - until
    rest = f"\n… {left} more lines; call again with first={until + 1}" if left > 0 else ""
    return ToolResult(page(told, limit=_LINES) + rest)
