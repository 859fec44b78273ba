"""What a run says of its own beginning: read again when it goes on. It may come from anybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from antiphon.engine import Settings, UsageError
from antiphon.subagents.workspace.contract import Base
from antiphon.tracing import Json, read_log
from antiphon.workflows.model_roles import EVENT, ModelsAsked
from antiphon.workflows.patches import BASE, base_of
from antiphon.workflows.places import RunPlace
from antiphon.workflows.policy import ToolsAsked
from antiphon.workflows.runtimes import NAMES, RUNTIMES, TRUSTED, RuntimeAsked
from antiphon.workflows.scripts import Scripts

RUNTIME: Final = "runtime"
"""The event that says what a resumed run's scripts run in, where that is something else than before."""
SERVERS: Final = "mcp"
"""The event that says with which MCP servers a resumed run goes on, where they are others than before."""
APPROVAL: Final = "approval"
"""The event that says who agreed to the script that a model wrote, and to which version of it."""
FORKED: Final = "forked"
"""The event that says that a run goes on from another one, with a further version of its script."""
_KINDS: Final = ("run.opened", "input", EVENT, SERVERS, RUNTIME, APPROVAL, BASE, FORKED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a run says of its beginning.

    Attributes:
        run: its id, whatever its directory is called by now.
        script: the file; builtin: the name of a workflow that ships with antiphon, or "".
        arguments: what main was given.
        models: who answers, as it was said last.
        project: the folder whose role files it reads, "" where it began in none.
        workspace: the folder that workspaces are made of. base: what that was, once one was made.
        tests: the command line that runs its tests, or "". tools: what was asked of tools.
        servers: of its MCP servers, what `facts_of` gave last.
        runtime: what its scripts ran in, as it was said last; "" where nothing was said.
        approved: hashes of the scripts that somebody agreed to. asks: what `asks_of` gave when it began.
    """

    run: str
    script: str
    builtin: str
    arguments: Mapping[str, Any]
    models: ModelsAsked
    project: str
    workspace: str
    base: Base | None
    tests: str
    tools: ToolsAsked
    servers: Any
    runtime: str = ""
    approved: frozenset[str] = frozenset()
    asks: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def sandbox(self) -> str | None:
        """What a workflow that ships with antiphon was asked to run commands in; None for the best there is."""
        said = self.arguments.get("sandbox") if self.builtin else None
        return said if isinstance(said, str) and said else None

    def runtime_again(self, asked: RuntimeAsked, *, ours: bool) -> RuntimeAsked:
        """What the run's scripts run in now: as a person says, else as before.

        A run that was not made here may say of itself that a person trusts what a model wrote; that is not believed.

        Raises:
            UsageError: it is of a workflow that ships with antiphon, and is to be confined.
        """
        if self.builtin and asked.name in RUNTIMES:
            problem = f"{self.builtin} ships with antiphon, and runs in this process"
            raise UsageError(problem, advice="leave --runtime out")
        if asked.name:
            return asked
        return RuntimeAsked(name=self.runtime, trust=ours and self.runtime == TRUSTED)

    def settings_again(self, settings: Settings) -> Settings:
        """How the run goes on: it asks what it asked when it began."""
        pilot, gates = self.asks.get("pilot"), self.asks.get("gate_phases")
        held = pilot if isinstance(pilot, int) and not isinstance(pilot, bool) and pilot > 0 else settings.pilot
        return replace(settings, pilot=held, gate_phases=settings.gate_phases or gates is True)


def asks_of(settings: Settings) -> dict[str, Json]:
    """What a run asks a person by itself; empty where that is nothing."""
    pilot: dict[str, Json] = {} if settings.pilot is None else {"pilot": settings.pilot}
    return {**pilot, **({"gate_phases": True} if settings.gate_phases else {})}


def opened_of(place: RunPlace, *, ours: bool) -> tuple[Opened, Scripts]:
    """What the run at `place` says of its beginning, and the workflow files that it executed.

    Args:
        place: the run.
        ours: whether files outside of its directory may be executed.

    Raises:
        UsageError: it ended before it began, or says nothing that a run says.
    """
    events = [event for event in read_log(place.directory) if event.kind in _KINDS]
    data = next((event.data for event in events if event.kind == "run.opened"), None)
    match data:
        case None:
            raise UsageError(f"{place.run_id} ended before it began: nothing to resume", advice="start it again")
        case {"run": str(run), "script": str(script), "builtin": str(builtin), "arguments": dict(arguments)}:
            changed = [event.data for event in events if event.kind == EVENT]
            opened = Opened(
                run=run,
                script=_forked([event.data for event in events if event.kind == FORKED]) or script,
                builtin=builtin,
                arguments=arguments,
                models=ModelsAsked.of(changed[-1] if changed else data.get("models")),
                project=_text(data, "project"),
                workspace=_text(data, "workspace"),
                base=base_of([event.data for event in events if event.kind == BASE]),
                tests=_text(data, "tests"),
                tools=ToolsAsked.of(data.get("tools")),
                servers=next((event.data for event in reversed(events) if event.kind == SERVERS), data.get("mcp")),
                approved=frozenset(_text(event.data, "script_sha256") for event in events if event.kind == APPROVAL),
                asks=asks if isinstance(asks := data.get("asks"), dict) else {},
                runtime=_runtime([event.data for event in events if event.kind == RUNTIME], data),
            )
            return opened, Scripts.of(place.directory, events, ours=ours)
        case _:
            raise UsageError(f"{place.run_id} does not say what it ran", advice=f"antiphon verify {place.run_id}")


def _forked(said: Sequence[Mapping[str, Any]]) -> str:
    """The script that a fork goes on with; "" where the run is none."""
    return _text(said[-1], "script") if said else ""


def _runtime(changed: Sequence[Mapping[str, Any]], data: Mapping[str, Any]) -> str:
    said = _text(changed[-1], "name") if changed else _text(data, "runtime")
    return said if said in NAMES else ""


def _text(data: Mapping[str, Any], name: str) -> str:
    said = data.get(name)
    return said.replace("\0", "") if isinstance(said, str) else ""
