"""Workspaces: working trees that agents change, apart from the user's own, and whose every state can be had again.

- `RunWorkspaces` are those of one run: which state each is in, who works in it. `holding` lends one to a call.
- A state is git's id of a tree in a repository of the run's own (`store`); folders are only copies (`worktree`).
- `snapshot` makes a state of a project; `patch` says what lies between two; `merging` brings several together.
- `applying` is what `antiphon apply` does, and the only thing that writes into the user's own tree.
"""

from antiphon.subagents.workspace.contract import (
    READ,
    Base,
    Change,
    Held,
    Workspace,
    Workspaces,
    state_in,
    workspace_of,
)
from antiphon.subagents.workspace.git import Git, GitFailed, Ran
from antiphon.subagents.workspace.lent import LiveWorkspace
from antiphon.subagents.workspace.live import RunWorkspaces
from antiphon.subagents.workspace.patch import Patch

__all__ = [
    "READ",
    "Base",
    "Change",
    "Git",
    "GitFailed",
    "Held",
    "LiveWorkspace",
    "Patch",
    "Ran",
    "RunWorkspaces",
    "Workspace",
    "Workspaces",
    "state_in",
    "workspace_of",
]
