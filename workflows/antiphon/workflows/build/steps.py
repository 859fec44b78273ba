"""The steps that are a build's own: taking back what was changed outside of one's files, and reading interfaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import anyio.to_thread

from antiphon.engine import CallContext, UsageError
from antiphon.subagents.workspace.contract import Change, Workspace, workspace_of
from antiphon.subagents.workspace.files import Files, PathRefused, Put, Remove
from antiphon.workflows.build.interfaces import interface_of
from antiphon.workflows.build.owning import is_byproduct, owns
from antiphon.workflows.steps import step_function
from antiphon.workflows.working import STEPS as SHARED

_EXECUTABLE: Final = 0o111
MOST_FILES: Final = 400
"""How many files of one state are looked into."""


@step_function("confine")
async def confine(workspace: str, since: str, owned: list[str], ctx: CallContext, held: list[str] | None = None) -> Any:
    """Take back whatever was changed since a state outside of some patterns, and say what is left and what was not.

    A link, or anything else that is no plain file, is nobody's to make. What tools leave behind goes without a word.
    What is outside is never taken.

    Args:
        workspace: which one.
        since: the state that whoever worked here began at.
        owned: patterns of what they may change.
        ctx: of the call.
        held: patterns of what they may not change all the same.
    """
    place = workspace_of(ctx)
    now = await place.tree()
    own, outside = await _divided(place, since, now, (owned, held or ()))
    if outside:
        await _take_only(place, since, now, own)
        own, _ = await _divided(place, since, await place.tree(), (owned, held or ()))
    told = sorted(change.path for change in outside if not is_byproduct(change.path))
    files = [{"path": change.path, "kind": change.kind} for change in own]
    return {"tree": await place.tree(), "files": files, "outside": told}


async def _divided(
    place: Workspace, since: str, now: str, patterns: tuple[Sequence[str], Sequence[str]]
) -> tuple[list[Change], list[Change]]:
    """What was changed: what may be, and what may not."""
    owned, held = patterns
    own: list[Change] = []
    outside: list[Change] = []
    for change in await place.changed(since, now):
        mine = owns(owned, change.path) and not owns(held, change.path) and not is_byproduct(change.path)
        plain = not change.after or await place.content(change.path, now) is not None
        (own if mine and plain else outside).append(change)
    return own, outside


async def _take_only(place: Workspace, since: str, now: str, own: Sequence[Change]) -> None:
    """Go back to a state, with some files of a later one: so nothing else of that is left, whatever it was."""
    contents = {change.path: await place.content(change.path, now) for change in own}

    def modes() -> dict[str, bool]:
        looked = {path: Files(place.root).look(path) for path in contents}
        return {path: bool(entry and entry.mode & _EXECUTABLE) for path, entry in looked.items()}

    def put() -> None:
        changes = [
            Remove(path) if content is None else Put(path, content, executable=runs[path])
            for path, content in contents.items()
        ]
        Files(place.root).change(changes)

    runs = await anyio.to_thread.run_sync(modes)
    await place.restore(since)
    try:
        await anyio.to_thread.run_sync(put)
    except (PathRefused, OSError):
        await place.restore(since)  # where not even that can be done, nothing is taken


@step_function("interfaces")
async def interfaces(workspace: str, paths: list[str], ctx: CallContext) -> dict[str, str]:
    """What modules offer, by path, read from the files as they are there."""
    place = workspace_of(ctx)
    now = await place.tree()
    found: dict[str, str] = {}
    for path in paths[:MOST_FILES]:
        content = await place.content(path, now)
        if content is not None:
            found[path] = interface_of(path, content)
    return found


@step_function("suite")
async def suite(workspace: str, ctx: CallContext, command: str | None = None, only: list[str] | None = None) -> Any:
    """The step `tests`; that nobody knows how to run them, as in an empty folder, is an answer and no failure."""
    try:
        return await SHARED["tests"]({"workspace": workspace, "command": command, "only": only}, ctx)
    except UsageError as error:
        return {"command": "", "exit": None, "cases": None, "output": "", "trouble": error.message}


STEPS: Final = {step.name: step for step in (confine, interfaces, suite)}
"""By name."""
