"""What the host lends to scripts beyond the engine: nested workflows, claims, synthesis, held to the manifest."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast, get_args

from antiphon.engine import Approvals, Branch, Call, Limits, Outcome, Outcomes, Performer, UsageError
from antiphon.engine.denial import Outside, deny
from antiphon.engine.result import Recorded
from antiphon.engine.settings import HostFunction
from antiphon.subagents.agents import Agents
from antiphon.subagents.answers import SCHEMAS
from antiphon.subagents.criteria import CommandPlace
from antiphon.subagents.records import Claim, Coverage, Record, read_records
from antiphon.subagents.sandbox import choose as choose_sandbox
from antiphon.subagents.tools.policy import Scope
from antiphon.subagents.workspace.contract import Workspaces
from antiphon.tracing import Json
from antiphon.workflows.approval.planned import planned_of
from antiphon.workflows.loading import Loaded
from antiphon.workflows.model_roles import ModelRoles
from antiphon.workflows.outside import outside_manifest
from antiphon.workflows.policy import scope_of
from antiphon.workflows.runtimes import TRUSTED
from antiphon.workflows.scripts import Scripts
from antiphon.workflows.steps import Steps
from antiphon.workflows.synthesis import Status, Synthesis, synthesize

_STATUSES: tuple[str, ...] = get_args(Status)
DEFAULT_DEPTH = 1
"""How many workflows may be nested below one whose manifest sets no ``limits.depth``."""


@dataclass(frozen=True, slots=True)
class Hosted:
    """A loaded workflow in a run: what answers its calls, the run's workflow files, and how deep it is nested.

    `scopes` are what it and those around it say that its calls may touch; `around` is what it is nested in.
    """

    loaded: Loaded
    scripts: Scripts
    performers: Mapping[str, Performer]
    models: ModelRoles
    workspaces: Workspaces | None = None
    level: int = 0
    depth: int = DEFAULT_DEPTH
    sandbox: str | None = None
    scopes: tuple[Scope, ...] = ()
    around: Hosted | None = None

    @property
    def name(self) -> str:
        """The manifest's name."""
        return self.loaded.name

    @property
    def strict(self) -> bool:
        """Whether it is held to its manifest also where that is silent: nobody signed its text off as their own."""
        return self.loaded.runtime != TRUSTED or planned_of(self.loaded.source) is not None

    def outside(self, call: Call) -> Outside | None:
        """Why a call is outside of what the manifest declares; None if it is not.

        A planned script was agreed to with what it declares itself: what it nests gets no more than that.
        """
        found = outside_manifest(self.loaded.manifest, self.models, call, strict=self.strict)
        above = self.around
        while found is None and above is not None:
            if planned_of(above.loaded.source) is not None:
                found = outside_manifest(above.loaded.manifest, above.models, call, strict=True)
            above = above.around
        return found


def hosted(
    loaded: Loaded,
    scripts: Scripts,
    *,
    models: ModelRoles | None = None,
    workspaces: Workspaces | None = None,
    sandbox: str | None = None,
    level: int = 0,
    depth: int | None = None,
    around: tuple[Scope, ...] = (),
) -> Hosted:
    """Give a loaded workflow the performers that its own roles and steps need.

    Args:
        loaded: the workflow.
        scripts: the run's workflow files, which it may nest.
        models: what makes the run's model agents.
        workspaces: the run's; None where there are none.
        sandbox: what the commands of completion criteria run in; None for the best that works here.
        level: how many workflows are around it.
        depth: the deepest level that those around it allow; its own manifest can only narrow that.
        around: what those around it say that their calls may touch; its own manifest can only narrow that too.

    Raises:
        UsageError: a model role that it declares cannot be used.
    """
    models = models or ModelRoles()
    roles = {**models.agents(loaded.manifest, loaded.roles, around), **loaded.roles}
    scopes = (*around, scope_of(loaded.manifest))
    performers: dict[str, Performer] = {
        "agent": Agents(roles, SCHEMAS, commands=_commands(loaded, sandbox), workspaces=workspaces, scopes=scopes),
        "step": Steps(loaded.steps, workspaces, scopes),
        "approval": Approvals(),
    }
    declared = loaded.manifest.limits.depth
    deepest = DEFAULT_DEPTH if depth is None else depth
    if declared is not None:
        deepest = declared if depth is None else min(depth, level + declared)
    return Hosted(loaded, scripts, performers, models, workspaces, level, deepest, sandbox, scopes)


def _commands(loaded: Loaded, sandbox: str | None) -> CommandPlace:
    """Where the commands of a workflow's criteria run: beside its file, which they may read."""
    return CommandPlace(folder=loaded.path.parent, sandbox=partial(choose_sandbox, sandbox))


def host_functions(workspaces: Workspaces | None = None) -> dict[str, HostFunction]:
    """The host functions of every run."""
    own: dict[str, HostFunction] = {"workflow": nested_workflow, "claims": claims, "synthesize": synthesis}
    return own if workspaces is None else {**own, "left": workspaces.replayed}


def nested_workflow(
    branch: Branch, name: str, args: dict[str, Any]
) -> tuple[Callable[[Branch], Awaitable[Any]], Limits]:
    """The body and limits of the workflow at `name`, a path relative to the calling file."""
    around = branch.workflow
    if not isinstance(around, Hosted):
        raise UsageError("workflow() works only inside a workflow file")
    if around.level >= around.depth:
        deny(branch, _too_deep(name, around.depth))
    loaded = _loaded(around, name)
    around.scripts.keep(branch.run.log, loaded)
    child = hosted(
        loaded,
        around.scripts,
        models=around.models,
        workspaces=around.workspaces,
        sandbox=around.sandbox,
        level=around.level + 1,
        depth=around.depth,
        around=around.scopes,
    )
    child = replace(child, around=around)
    values = loaded.parameters.validate(args)

    async def body(inside: Branch) -> Any:
        inside.workflow = child
        return await loaded.main(**values)

    return body, loaded.manifest.limits


def _too_deep(name: str, depth: int) -> Outside:
    problem = f"workflow({name!r}) would be nested deeper than the declared {depth}"
    return Outside(f"workflow {name!r}", "limits.depth", f'{problem}; raise "depth" in the manifest\'s limits')


def _loaded(around: Hosted, name: str) -> Loaded:
    caller = around.loaded
    file = _beside(caller, name)
    try:
        return around.scripts.load(file)
    except UsageError as error:
        if caller.runtime == TRUSTED:
            raise
        # What a confined script reads of an error says nothing of where it is on this machine.
        raise UsageError(error.message.replace(f"{caller.path.parent}{os.sep}", ""), advice=error.advice) from None


def _beside(caller: Loaded, name: str) -> Path:
    if not name.endswith(".py"):
        raise UsageError(
            f"workflow({name!r}): name a file relative to {caller.path.name}", advice="workflow('./other.py', {...})"
        )
    # By name alone, and not by what links there are here: a run from elsewhere names its files as they were there.
    folder = caller.path.parent
    file = Path(os.path.normpath(folder / name))
    if caller.runtime != TRUSTED and not file.is_relative_to(folder):
        raise UsageError(
            f"workflow({name!r}): a confined script nests only what is in its own folder", advice="put the file there"
        )
    return file


def synthesis(branch: Branch, planned: Sequence[str] | Mapping[str, Sequence[str]]) -> Synthesis:
    """All records of the run, merged; a planned unit that no successful call covered degrades the branch."""
    wanted = planned if isinstance(planned, Mapping) else dict.fromkeys(planned, ("covers",))
    for unit, checks in wanted.items():
        if checks and unit not in branch.run.covered:
            branch.lack("uncovered", f"no call covered {unit}")
    done = [_covered(unit) for unit in wanted if unit in branch.run.covered] if wanted is not planned else []
    records = _read(branch.run.records)
    return synthesize([*records, *done], wanted)


def _covered(unit: str) -> Coverage:
    """What a call's `covers` says of a unit, where no program says it better."""
    return Coverage(record="coverage", unit=unit, check="covers", state="done")


def claims(branch: Branch, of: object, phase: str | None, status: str | None) -> list[Claim]:
    """The claims recorded so far, ordered by id; what a concurrent branch sees of them is a decision."""
    if status is not None and status not in _STATUSES:
        raise UsageError(f"there is no status {status!r}", advice=f"claims(status=...): {', '.join(_STATUSES)}")
    below = _paths(of)
    found = [recorded for recorded in branch.run.records if _wanted(recorded, below, phase)]
    known = {record.id: record for record in _read(found) if isinstance(record, Claim)}
    ids = sorted(known) if status is None else _of_status(branch, known, status)
    if branch.concurrent:
        decided: list[str] = branch.decide("claims", list[Json](ids))
        ids = [claim for claim in decided if claim in known]
    return [known[claim] for claim in ids]


def _of_status(branch: Branch, known: Mapping[str, Claim], status: str) -> list[str]:
    """The ids of claims of which the verdicts of the whole run come to this."""
    found = synthesize(_read(branch.run.records), {}, suggest=False).status
    return sorted(id for id in known if found[id] == status)


def _read(recorded: Iterable[Recorded]) -> list[Record]:
    """Records as the branches said them, call by call."""
    by_call: defaultdict[str, list[Mapping[str, Json]]] = defaultdict(list)
    for item in recorded:
        by_call[item.path].append(item.record)
    return [record for path, data in by_call.items() for record in read_records(data, path)]


def _paths(of: object) -> set[str] | None:
    if of is None:
        return None
    if isinstance(of, Outcome):
        return {of.path}
    if isinstance(of, Outcomes):
        return {outcome.path for outcome in cast("Iterable[Outcome[Any]]", of)}
    raise UsageError(f"claims(of=...) takes what a fan-out or branch gave, not {type(of).__name__}")


def _wanted(recorded: Recorded, below: set[str] | None, phase: str | None) -> bool:
    if recorded.record.get("record") != "claim" or (phase is not None and recorded.phase != phase):
        return False
    return below is None or not below.isdisjoint(_upwards(recorded.path))


def _upwards(path: str) -> Iterator[str]:
    """The path and every place above it."""
    while path:
        yield path
        path = path.rpartition("/")[0]
