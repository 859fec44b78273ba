"""The steps that every script may declare without defining them: what it does with workspaces itself.

`files`, `tree`, `restore`, `diff`, `tests`, `checks` and `merge`, each given a `workspace` by name. What one of them
gives depends on the state of that workspace, which is part of the step's content: it replays as long as that is so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import anyio.to_thread

from antiphon.engine import CallContext, UsageError
from antiphon.subagents.workspace.contract import READ, Workspace, workspace_of
from antiphon.workflows.steps import SINCE, SOURCES, StepFunction, step_function

MOST_FILES: Final = 20_000
"""How many files one listing gives at most."""


@step_function("files")
async def files(workspace: str, ctx: CallContext, match: list[str] | None = None) -> list[str]:
    """The paths of the files in a workspace, sorted; without those that .gitignore leaves out.

    Args:
        workspace: which one.
        ctx: of the call.
        match: patterns such as ``src/**/*.py``, of which a path fits one; None for every file.
    """
    from antiphon.subagents.tools.files.finding import PathPattern
    from antiphon.subagents.workspace.files import Files, Walk

    fitting = [PathPattern(pattern) for pattern in match or ("**",)]

    def found() -> list[str]:
        walk = Walk(Files(workspace_of(ctx).root))
        return sorted(one.path for one in walk.below("") if any(fits(one.path) for fits in fitting))

    paths = await anyio.to_thread.run_sync(found)
    if len(paths) > MOST_FILES:
        raise UsageError(f"{len(paths):,} files fit, and a listing has at most {MOST_FILES:,}", advice="narrow `match`")
    return paths


@step_function("tree")
async def tree(workspace: str, ctx: CallContext) -> str:
    """The id of the state that a workspace is in: what `restore` takes."""
    return await workspace_of(ctx).tree()


@step_function("restore")
async def restore(workspace: str, tree: str, ctx: CallContext) -> str:
    """Put a workspace into a state it, or another one, was in: back to a good one, or a new name that begins there."""
    await _writable(ctx).restore(tree)
    return tree


@step_function("diff")
async def diff(workspace: str, ctx: CallContext, since: str = "", until: str = "") -> str:
    """What differs between two states, as a patch; by default all that was changed since the run began."""
    return await workspace_of(ctx).diff(since, until)


@step_function("tests")
async def run_suite(
    workspace: str, ctx: CallContext, command: str | None = None, only: list[str] | None = None
) -> dict[str, Any]:
    """Run the tests as they are there, and leave nothing behind of what they wrote; see `TestRun`."""
    from antiphon.subagents.checks import run_tests
    from antiphon.subagents.workspace.environment import environment_of

    place = workspace_of(ctx)
    before = await place.tree()
    environment = await anyio.to_thread.run_sync(environment_of, place.base.root)
    ran = await run_tests(place, environment, ctx, command=command, only=only or ())
    if place.writable:
        await place.restore(before)
    return ran.to_json()


@step_function("checks")
async def run_analysers(workspace: str, ctx: CallContext, since: str = "") -> dict[str, Any]:
    """Check the files that changed since a state (by default the base), with every analyser; see `CheckRun`."""
    from antiphon.workflows.checking import AnalyserChecker

    place = workspace_of(ctx)
    changed = [change.path for change in await place.changed(since)]
    return (await AnalyserChecker()(place.root, changed, sandbox=place.sandbox, ctx=ctx)).to_json()


@step_function("merge")
async def merge(workspace: str, sources: list[str], ctx: CallContext) -> dict[str, Any]:
    """Put the union of what others changed into a workspace, and say what does not go together.

    Args:
        workspace: which one; it is put into the state of the union, where there is one.
        sources: the others, by name. Their order does not matter: they, and what the workspace itself has by now, are
            compared with the last state that all of them were in.
        ctx: of the call.
    """
    from antiphon.subagents.workspace.live import LiveWorkspace
    from antiphon.subagents.workspace.merging import merged

    place, states = _writable(ctx), ctx.visible[SOURCES]
    assert isinstance(states, list)
    assert isinstance(place, LiveWorkspace)
    trees = [str(state["tree"]) for state in states if isinstance(state, Mapping)]
    since, before = str(ctx.visible[SINCE]) or place.base.tree, await place.tree()
    union = await merged(place.run, since, [before, *(tree or place.base.tree for tree in trees)])
    if not union.conflicts:
        await place.restore(union.tree)
    conflicts = [{"path": one.path, "reason": one.reason} for one in union.conflicts]
    return {"tree": union.tree, "conflicts": conflicts}


def _writable(ctx: CallContext) -> Workspace:
    place = workspace_of(ctx)
    if not place.writable:
        raise UsageError(f"the workspace {READ!r} is never changed", advice="name another one")
    return place


STEPS: Final[Mapping[str, StepFunction]] = {
    step.name: step for step in (files, tree, restore, diff, run_suite, run_analysers, merge)
}
"""By name."""
