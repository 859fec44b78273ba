"""What a run says of its own beginning: read again when it goes on. It may come from anybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from antiphon.engine import UsageError
from antiphon.subagents.workspace.contract import Base
from antiphon.tracing import read_log
from antiphon.workflows.model_roles import EVENT, ModelsAsked
from antiphon.workflows.patches import BASE, base_of
from antiphon.workflows.places import RunPlace
from antiphon.workflows.policy import ToolsAsked
from antiphon.workflows.scripts import Scripts

SERVERS: Final = "mcp"
"""The event that says with which MCP servers a resumed run goes on, where they are others than before."""
_KINDS: Final = ("run.opened", "input", EVENT, SERVERS, BASE)


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

    @property
    def sandbox(self) -> str | None:
        """What a workflow that ships with antiphon was asked to run commands in; None for the best there is."""
        said = self.arguments.get("sandbox") if self.builtin else None
        return said if isinstance(said, str) and said else None


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
                script=script,
                builtin=builtin,
                arguments=arguments,
                models=ModelsAsked.of(changed[-1] if changed else data.get("models")),
                project=_text(data, "project"),
                workspace=_text(data, "workspace"),
                base=base_of([event.data for event in events if event.kind == BASE]),
                tests=_text(data, "tests"),
                tools=ToolsAsked.of(data.get("tools")),
                servers=next((event.data for event in reversed(events) if event.kind == SERVERS), data.get("mcp")),
            )
            return opened, Scripts.of(place.directory, events, ours=ours)
        case _:
            raise UsageError(f"{place.run_id} does not say what it ran", advice=f"antiphon verify {place.run_id}")


def _text(data: Mapping[str, Any], name: str) -> str:
    said = data.get(name)
    return said.replace("\0", "") if isinstance(said, str) else ""
