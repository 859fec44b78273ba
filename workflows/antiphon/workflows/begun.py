"""A run that is about to be performed, or to go on: what one attempt at it has at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from antiphon.subagents.sandbox import choose
from antiphon.subagents.tools.contract import Tool
from antiphon.subagents.tools.mcp import McpServer, facts_of, mcp_tools
from antiphon.subagents.workspace.contract import Base
from antiphon.tracing import Json, Log
from antiphon.workflows.hosting import Hosted, hosted
from antiphon.workflows.loading import Loaded
from antiphon.workflows.model_roles import EVENT as MODELS
from antiphon.workflows.model_roles import ModelRoles
from antiphon.workflows.opened import RUNTIME, SERVERS
from antiphon.workflows.patches import BASE, base_json
from antiphon.workflows.places import RunPlace
from antiphon.workflows.scripts import Scripts

if TYPE_CHECKING:
    from antiphon.subagents.workspace.live import RunWorkspaces


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A run that is about to be performed, or to go on.

    Attributes:
        place: its directory. run_id: what it was called when it began.
        loaded: its workflow. scripts: its workflow files. models: what makes its model agents.
        servers: the MCP servers that it has. known: what its log says of them already.
        mcp_folder: what the servers' paths are relative to; None for the project.
        base: what its workspaces began as in an earlier attempt; None for as the project is now.
        sandbox: what commands run in; None for the best that works here.
        runtime: what the log says already of where its scripts run.
    """

    place: RunPlace
    run_id: str
    loaded: Loaded
    scripts: Scripts
    models: ModelRoles
    servers: Sequence[McpServer] = ()
    known: Json = None
    mcp_folder: Path | None = None
    base: Base | None = None
    sandbox: str | None = None
    runtime: str = ""

    def workspaces(self, log: Log) -> RunWorkspaces:
        """Its workspaces: nothing of the project is looked at before the first call that works in one."""
        from antiphon.subagents.workspace.live import RunWorkspaces

        return RunWorkspaces(
            self.place.directory,
            self.run_id,
            self.models.project,
            sandbox=partial(choose, self.sandbox),
            base=self.base,
            begun=partial(_say_base, log),
        )

    def record(self, log: Log) -> None:
        """Write down what a resume goes on with, where that is something else than before."""
        if self.models.changed:
            log.enqueue(MODELS, "", self.models.asked.to_json())
        servers = facts_of(self.servers)
        if servers and servers != self.known:
            log.enqueue(SERVERS, "", servers)
        if self.scripts.runtime.kept != self.runtime:
            log.enqueue(RUNTIME, "", {"name": self.scripts.runtime.kept})
        self.scripts.keep(log, self.loaded)

    def connected(self, log: Log) -> AbstractAsyncContextManager[Mapping[str, Tool]]:
        """The tools of its MCP servers, which live as long as the attempt."""

        def note(text: str) -> None:
            log.enqueue("note", "", {"text": text})

        folder = self.mcp_folder or self.models.project
        return mcp_tools(self.servers, sandbox=partial(choose, self.sandbox), project=folder, note=note)

    def hosted(self, workspaces: RunWorkspaces) -> Hosted:
        """Its workflow, with the performers that it needs."""
        return hosted(self.loaded, self.scripts, models=self.models, workspaces=workspaces, sandbox=self.sandbox)


def _say_base(log: Log, base: Base) -> None:
    log.enqueue(BASE, "", base_json(base))
