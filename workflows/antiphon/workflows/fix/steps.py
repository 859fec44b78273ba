"""The steps of a fix besides those that every script has: what was touched, how tests are run, what is recorded."""

from __future__ import annotations

import os
import secrets
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any, Final

import anyio
import anyio.to_thread

from antiphon.engine import CallContext
from antiphon.subagents.workspace.contract import Workspace, workspace_of
from antiphon.subagents.workspace.files import Files
from antiphon.workflows.fix import canary
from antiphon.workflows.fix.claiming import Told, records_of
from antiphon.workflows.fix.guarding import Touched, offences, strays
from antiphon.workflows.steps import StepFunction, step_function

_MOST_SUITES: Final = 12
_MOST_FILES: Final = 2_000
_MOST_NOTES: Final = 20
_MOST_PLANTED: Final = 20


@step_function("suites")
async def suites(workspace: str, ctx: CallContext) -> list[dict[str, str]]:
    """The ways to run tests that a workspace has, best first: each its command and what says so."""
    from antiphon.subagents.workspace.environment import environment_of

    place = workspace_of(ctx)
    environment = await anyio.to_thread.run_sync(environment_of, place.base.root)
    found = await anyio.to_thread.run_sync(environment.suites_of, place.root)
    return [{"command": shlex.join(suite.argv), "reason": suite.reason} for suite in found[:_MOST_SUITES]]


@step_function("begun")
async def begun(workspace: str, ctx: CallContext) -> list[str]:
    """What a person must know of what workspaces began as: how the project was taken, and what of it was left out."""
    base = workspace_of(ctx).base
    at = f" (it is at commit {base.head[:12]})" if base.head else " (it is no git repository, or has no commit)"
    return [f"the project was taken as its files are, with what is not committed{at}", *base.notes[:_MOST_NOTES]]


@step_function("touched")
async def touched(workspace: str, since: str, command: str, ctx: CallContext) -> dict[str, Any]:
    """What was changed since a state, and what of that must not be.

    Args:
        workspace: where.
        since: the state.
        command: how the tests are run.
        ctx: of the call.

    Returns:
        ``files``: their paths; ``offences`` and ``strays``: see `guarding`; ``lines``: how many lines differ.
    """
    place = workspace_of(ctx)
    count = len(await place.changed(since))
    many = [f"{count:,} files were changed, and only {_MOST_FILES:,} can be looked at"] if count > _MOST_FILES else []
    files = await _touched(place, since)
    patch = await place.diff(since)
    lines = sum(line[:1] in "+-" and line[:3] not in ("+++", "---") for line in patch.splitlines() if line)
    return {
        "files": [file.path for file in files],
        "offences": [*many, *offences(files, command)],
        "strays": [*many, *strays(files, command)],
        "lines": lines,
    }


async def _touched(place: Workspace, since: str) -> list[Touched]:
    changes = await place.changed(since)
    now = await place.tree()
    before = since or place.base.tree
    return [
        Touched(
            change.path,
            await place.content(change.path, before) if change.kind != "added" else None,
            await place.content(change.path, now) if change.kind != "deleted" else None,
        )
        for change in changes[:_MOST_FILES]
    ]


@step_function("problems")
async def problems(workspace: str, paths: list[str], ctx: CallContext) -> dict[str, Any]:
    """What linters, type checkers and analysers report of some changed files and did not report of the base.

    Args:
        workspace: where.
        paths: the files.
        ctx: of the call.

    Returns:
        ``new``: the problems; ``ran``: the tools that looked; ``absent``: those that could not, each with the reason.
    """
    from antiphon.subagents.checks import compare
    from antiphon.workflows.checking import AnalyserChecker

    found = await compare(workspace_of(ctx), AnalyserChecker(), ctx, paths=paths)
    unchecked = (*found.after.absent, *found.after.failed)
    return {
        "new": [asdict(problem) for problem in found.new],
        "ran": list(found.after.ran),
        "absent": [f"{one.tool}: {one.reason}" for one in unchecked],
    }


@step_function("canary")
async def with_canary(workspace: str, command: str, cases: list[str], ctx: CallContext) -> dict[str, Any]:
    """Run the tests with a canary beside the cases that show the bug, where there can be one.

    Args:
        workspace: where; it is left as it was.
        command: how they are run.
        cases: those that show the bug; the files that have them are run.
        ctx: of the call.

    Returns:
        ``tests``: see `TestRun`; ``canary``: what is in the names of its cases, "" where there is none.
    """
    from antiphon.subagents.checks import run_tests
    from antiphon.subagents.workspace.environment import environment_of

    place = workspace_of(ctx)
    before = await place.tree()
    environment = await anyio.to_thread.run_sync(environment_of, place.base.root)
    token = secrets.token_hex(8)
    try:
        planted = await anyio.to_thread.run_sync(_plant, place.root, cases, token)
        ran = await run_tests(place, environment, ctx, command=command)
    finally:
        with anyio.CancelScope(shield=True):
            await place.restore(before)
    return {"tests": ran.to_json(), "canary": token if planted else ""}


def _plant(root: Path, cases: list[str], token: str) -> bool:
    """Plant it in every test file that has one of the cases; whether there is such a file."""
    files = Files(root)
    homes = [path for path in _tests_below(root) if canary.has_one(path, cases)][:_MOST_PLANTED]
    for path in homes:
        files.write(path, canary.planted(files.read(path).data, token))
    return bool(homes)


def _tests_below(root: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in sorted(folders) if not name.startswith(".") and name != "node_modules"]
        found = (PurePosixPath(folder, name).relative_to(root) for name in sorted(names) if name.endswith(".py"))
        yield from (str(path) for path in found if canary.takes(str(path)))


@step_function("claimed")
async def claimed(workspace: str, told: dict[str, Any], ctx: CallContext) -> list[str]:
    """Record what a try came to: each run of lines it changed as a claim, what tests and critic say of it as verdicts.

    Args:
        workspace: the try's, at its best state.
        told: see `Told`.
        ctx: of the call.

    Returns:
        The ids of the claims, as they are within this call.
    """
    place, said = workspace_of(ctx), Told.model_validate(told)
    files = [(file.path, file.before, file.after) for file in await _touched(place, "")]
    claims, verdicts = records_of(files, place.base.tree, said)
    for record in (*claims, *verdicts):
        ctx.records.add(record)
    return [claim.id for claim in claims]


_ALL: Final = (suites, begun, touched, problems, with_canary, claimed)
STEPS: Final[Mapping[str, StepFunction]] = {step.name: step for step in _ALL}
"""By name."""


def commands_of(found: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """The commands of what the step `suites` gives."""
    return tuple(dict.fromkeys(one["command"] for one in found))
