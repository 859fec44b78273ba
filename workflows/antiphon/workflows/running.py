"""From a loaded workflow to a finished run on disk: start it, resume it, write down how it ended."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import anyio

from antiphon.engine import Amount, Run, RunResult, Settings, UsageError
from antiphon.engine.errors import leading
from antiphon.subagents.function import Role
from antiphon.subagents.model.stall import StallWatch
from antiphon.subagents.roles.library import Roles
from antiphon.subagents.tools.mcp import McpAsked, check_named, facts_of
from antiphon.tracing import Json, Log, LogDamaged, LogUnusable, Redactor, exporting, open_log
from antiphon.workflows import controls
from antiphon.workflows.begun import Begun
from antiphon.workflows.disk import RunBlobs, check_plain, recording, write_whole
from antiphon.workflows.hosting import Hosted, host_functions
from antiphon.workflows.loading import Loaded
from antiphon.workflows.model_roles import ModelRoles, ModelsAsked, check_answered
from antiphon.workflows.opened import APPROVAL, Opened, asks_of, opened_of
from antiphon.workflows.patches import lacks, project_of, write_patches
from antiphon.workflows.places import RunPlace, is_ours
from antiphon.workflows.policy import ToolsAsked
from antiphon.workflows.runtimes import TRUSTED, RuntimeAsked
from antiphon.workflows.scripts import Scripts
from antiphon.workflows.steps import StepFunction
from antiphon.workflows.values import ending, plain, valued

if TYPE_CHECKING:
    from antiphon.workflows.builtin import Bound

_NO_REPORTS: Mapping[str, str] = {}


class Watching(Protocol):
    """Whoever wants to see a run while it goes on: a terminal, Ctrl-C."""

    async def __call__(self, run: Run) -> None:
        """Watch until cancelled."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person asks of one attempt at a run.

    Attributes:
        settings: how it is performed.
        top_up: what to add to the run's own limits.
        watching: tasks that run beside it.
        conclude: writes reports once the script has ended; gives their names.
        models: which models answer roles. On a resume, what it is here goes before what the run began with.
        sandbox: what commands run in: those of tools and of completion criteria; None for the best that works here.
        project: the folder that workspaces are made of; by default the one around the current folder, see `project_of`.
        tests: the command line that runs that folder's tests; "" for what is found.
        tools: what a person and the project ask of tools.
        mcp: the MCP servers that are started; mcp_folder: what their paths are relative to, by default the project.
        valued: what the run came to where its script gave no value, as one that failed does.
        closing: lets go, once the attempt is over, of what the roles hold open.
        runtime: what was said of where its scripts run. On a resume, what is said here goes before what was before.
        roles: function agents that the program which runs this lends to its scripts, by name: a confined script has
            none of its own, and a nested one neither. steps: likewise.
        approval: what the log says of who agreed to the script, if anybody had to.
        approving: gives that for a resume whose script is another than was agreed to; raises where nobody did.
    """

    settings: Settings = field(default_factory=Settings)
    top_up: Amount | None = None
    watching: tuple[Watching, ...] = ()
    conclude: Callable[[RunPlace, Run, RunResult], Mapping[str, str]] | None = None
    models: ModelsAsked = field(default_factory=ModelsAsked)
    sandbox: str | None = None
    project: Path | None = None
    tests: str = ""
    tools: ToolsAsked = field(default_factory=ToolsAsked)
    mcp: McpAsked = field(default_factory=McpAsked)
    mcp_folder: Path | None = None
    valued: Callable[[], Json] | None = None
    closing: Callable[[], Awaitable[None]] | None = None
    runtime: RuntimeAsked = field(default_factory=RuntimeAsked)
    roles: Mapping[str, Role] = field(default_factory=dict[str, Role])
    steps: Mapping[str, StepFunction] = field(default_factory=dict[str, StepFunction])
    approval: Mapping[str, Json] = field(default_factory=dict[str, Json])
    approving: Callable[[Loaded, Mapping[str, Any]], Mapping[str, Json]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An attempt at a run, over."""

    place: RunPlace
    result: RunResult
    value: Json
    head: str
    reports: tuple[Path, ...] = ()
    exported: int = 0
    dropped: int = 0


async def start(place: RunPlace, loaded: Loaded, arguments: Mapping[str, Any], options: Options) -> Ended:
    """Run a workflow for the first time, in the new run at `place`.

    Raises:
        UsageError: no model answers one of its roles, or a role's file is bad.
        LogFailed: nothing could be recorded any more (disk full, I/O); the run can be resumed.
        LogUnusable: not even a beginning could be recorded.
    """
    project = options.project or project_of(Path.cwd())
    servers = options.mcp.servers()
    models = ModelRoles(
        options.models, project=project, tests=options.tests, held=options.tools, servers=options.mcp.names
    )
    check_named(loaded.manifest.scope.tools, options.mcp.names, str(loaded.path))
    check_answered(loaded.manifest, loaded.source, loaded.roles, models, str(loaded.path))
    manifest = loaded.manifest.model_dump(mode="json")
    try:
        write_whole(place.directory / "manifest.json", (json.dumps(manifest, indent=2) + "\n").encode())
    except OSError as error:
        raise LogUnusable(place.directory, error.strerror or str(error)) from error
    facts: dict[str, Json] = {
        "manifest": manifest,
        "arguments": _given(loaded, arguments),
        "builtin": loaded.builtin,
        "script": str(loaded.path),
        "script_sha256": loaded.digest,
        "project": str(models.library.folder or ""),
        "workspace": str(project),
    }
    more: dict[str, Json] = {
        "models": options.models.to_json(),
        "tests": options.tests,
        "tools": options.tools.to_json(),
        "mcp": facts_of(servers),
        "runtime": options.runtime.within(loaded.runtime).kept,
        "asks": asks_of(options.settings),
    }
    facts |= {name: value for name, value in more.items() if value}
    scripts = Scripts(place.directory, library=models.library, runtime=options.runtime.within(loaded.runtime))
    scripts.roles, scripts.steps = options.roles, options.steps
    begun = Begun(
        place=place,
        run_id=place.run_id,
        loaded=loaded,
        scripts=scripts,
        models=models,
        servers=servers,
        known=facts_of(servers),
        sandbox=options.sandbox,
        mcp_folder=options.mcp_folder,
        runtime=scripts.runtime.kept,
    )
    return await _attempt(begun, arguments, options, facts)


def _given(loaded: Loaded, arguments: Mapping[str, Any]) -> dict[str, Json]:
    """The arguments that are not main's defaults, as JSON: a default belongs to the script, and may be edited there."""
    defaults = {one.name: plain(one.default) for one in loaded.parameters.each if not one.required}
    written = {name: plain(value) for name, value in arguments.items()}
    return {name: value for name, value in written.items() if name not in defaults or value != defaults[name]}


async def resume(
    place: RunPlace,
    options: Options,
    *,
    trust: bool = False,
    bound: Callable[[str, Bound], None] | None = None,
    told: Callable[[Loaded, ModelRoles], None] | None = None,
) -> Ended:
    """Go on with a run: what is in its journal replays, the rest is performed.

    Args:
        place: the run.
        options: how to perform it.
        trust: execute the script of a run that was not made here.
        bound: is given the name of a workflow that ships with antiphon, and that workflow, once it is bound again to
            what it was asked.
        told: is given the workflow and what answers its roles, before anything is performed; not of an audit.

    Raises:
        UsageError: the run came from elsewhere and `trust` is not given, its directory leads out of itself, its record
            is not one that a run leaves, or its script no longer loads.
        LogFailed: see `start`.
    """
    ours = is_ours(place)
    _check_origin(place, ours=ours, trust=trust)
    check_plain(place.directory)
    opened, scripts = opened_of(place, ours=ours)
    servers = options.mcp.again(opened.servers)
    models = _models_again(opened, options, [server.name for server in servers], ours=ours)
    scripts.roles, scripts.steps = options.roles, options.steps
    scripts.library, scripts.runtime = models.library, opened.runtime_again(options.runtime, ours=ours)
    sandbox = options.sandbox or (opened.sandbox if ours else None)  # "none" is for the person to say, not for a file
    options = replace(options, models=models.asked, sandbox=sandbox)
    loaded, options = await _loaded_again(scripts, opened, options, place.directory.parent, bound)
    scripts.runtime = scripts.runtime.within(loaded.runtime)
    arguments = loaded.parameters.validate(opened.arguments)
    freed = loaded.runtime == TRUSTED and opened.runtime != TRUSTED  # agreed to as one that is confined
    if options.approving is not None and not (ours and loaded.digest in opened.approved and not freed):
        options = replace(options, approval=options.approving(loaded, arguments))
    options = replace(options, settings=opened.settings_again(options.settings))
    if told is not None and opened.builtin != "audit":  # whose models are its own
        told(loaded, models)
    place.control.mkdir(exist_ok=True)
    begun = Begun(
        place=place,
        run_id=opened.run,
        loaded=loaded,
        scripts=scripts,
        models=models,
        servers=servers,
        known=opened.servers,
        base=opened.base,
        sandbox=options.sandbox,
        mcp_folder=options.mcp_folder,
        runtime=opened.runtime,
    )
    return await _attempt(begun, arguments, options, {})


def _check_origin(place: RunPlace, *, ours: bool, trust: bool) -> None:
    if not (trust or ours):
        raise UsageError(
            f"{place.run_id} was not made here, and resuming it executes its script",
            advice=f"read {place.script} (and workflows/ beside it), then: antiphon resume {place.run_id} --trust",
        )


def _models_again(opened: Opened, options: Options, servers: Sequence[str], *, ours: bool) -> ModelRoles:
    """The models of a run that began earlier, those asked for now before them; roles are read where it was begun."""
    asked = opened.models.then(options.models)
    gone = opened.project and not os.path.isdir(opened.project)  # moved, as likely as not to where we are
    library = Roles(Path(opened.project) if opened.project else None) if ours and not gone else None
    there = ours and opened.workspace and os.path.isdir(opened.workspace)
    return ModelRoles(
        asked,
        library=library,
        project=Path(opened.workspace) if there else project_of(Path.cwd()),
        tests=options.tests or opened.tests,
        held=opened.tools.then(options.tools),
        servers=servers,
        changed=asked.to_json() != opened.models.to_json(),
    )


async def _loaded_again(
    scripts: Scripts,
    opened: Opened,
    options: Options,
    home: Path,
    told: Callable[[str, Bound], None] | None,
) -> tuple[Loaded, Options]:
    """The workflow of a run that began earlier: a file, or one that ships with antiphon, bound again."""
    if not opened.builtin:
        return scripts.load(Path(opened.script)), options
    from antiphon.workflows.builtin import Again, bind_again

    again = Again(arguments=opened.arguments, home=home, settings=options.settings, models=options.models)
    bound = await bind_again(opened.builtin, again)
    bound.begins(opened.run)
    if told is not None:
        told(opened.builtin, bound)
    return bound.loaded, replace(options, conclude=bound.conclude, valued=bound.value, closing=bound.close)


async def _attempt(begun: Begun, arguments: Mapping[str, Any], options: Options, facts: Mapping[str, Json]) -> Ended:
    place, loaded, models = begun.place, begun.loaded, begun.models
    async with (
        _closed(options.closing),
        models,
        open_log(place.directory, redactor=Redactor.from_environment()) as log,
    ):
        async with (
            exporting(log) as export,
            begun.workspaces(log) as workspaces,
            begun.connected(log) as tools,
        ):
            models.connect(tools)
            begun.record(log)
            if options.approval:
                log.enqueue(APPROVAL, "", dict(options.approval))
            workflow = begun.hosted(workspaces)
            run = _run(place, begun.run_id, log, workflow, options)
            result = await _watched(run, place, workflow, lambda: loaded.main(**arguments), options, facts)
            result, value = valued(result)
            with recording(place.directory):
                reports, lacking = await write_patches(place, workspaces)
                result = lacks(result, lacking)
                reports |= options.conclude(place, run, result) if options.conclude else _NO_REPORTS
            await _close(run, result, reports, value)
        head = log.head
    written = tuple(place.directory / name for name in reports)
    return Ended(
        place=place,
        result=result,
        value=options.valued() if value is None and options.valued else value,
        head=head,
        reports=written,
        exported=export.exported if export else 0,
        dropped=export.dropped if export else 0,
    )


def _run(place: RunPlace, run_id: str, log: Log, workflow: Hosted, options: Options) -> Run:
    try:
        return Run(
            log,
            run_id=run_id,
            limits=workflow.loaded.manifest.limits,
            performers=workflow.performers,
            host=host_functions(workflow.workspaces),
            settings=options.settings,
            blobs=RunBlobs(place.directory),
            top_up=options.top_up,
        )
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:
        # The chain holds, but no antiphon wrote these events: a run may come from anybody.
        reason = f"it has an event that no run leaves ({type(error).__name__})"
        raise LogDamaged(place.directory, None, reason) from error


async def _watched(
    run: Run,
    place: RunPlace,
    workflow: Hosted,
    main: Callable[[], Awaitable[Any]],
    options: Options,
    facts: Mapping[str, Json],
) -> RunResult:
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(controls.follow, run, place.control)
            tasks.start_soon(StallWatch(said=workflow.models.said), run)
            for watching in options.watching:
                tasks.start_soon(watching, run)
            with _less_collecting():
                result = await run.execute(main, workflow=workflow, opened=facts)
            tasks.cancel_scope.cancel()
            return result
    except ExceptionGroup as group:
        raise leading(group) from None
    raise AssertionError("unreachable")


@asynccontextmanager
async def _closed(closing: Callable[[], Awaitable[None]] | None) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        if closing is not None:
            await closing()


@contextmanager
def _less_collecting() -> Generator[None]:
    """Cyclic garbage collection is up to half the cost at a thousand tasks: freeze what is there, look less often."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, before[1], before[2])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


async def _close(run: Run, result: RunResult, reports: Mapping[str, str], value: Json) -> None:
    """Record the reports' hashes and the ending; afterwards the log's head vouches for all of it."""
    for name, digest in sorted(reports.items()):
        run.log.enqueue("report", "", {"name": name, "sha256": digest})
    await run.close(result, ending(run, result, value))
