"""A workspace for as long as one call works in it: in which state that begins, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from antiphon.engine import CallContext, UsageError
from antiphon.subagents.workspace.contract import READ, state_in
from antiphon.subagents.workspace.git import GitFailed
from antiphon.subagents.workspace.lent import LiveWorkspace
from antiphon.tracing import Json, LogFailed

if TYPE_CHECKING:
    from antiphon.subagents.workspace.live import RunWorkspaces


class Holding:
    """What `RunWorkspaces.holding` gives: an async context."""

    def __init__(self, run: RunWorkspaces, name: str, ctx: CallContext, *, writes: bool) -> None:
        self._run, self._name, self._ctx = run, name, ctx
        self._writes = writes and name != READ
        self._workspace: LiveWorkspace | None = None

    async def __aenter__(self) -> LiveWorkspace:
        await self._run.open_base()
        now, saw = self._run.seen(self._name), _saw(self._ctx.visible, self._name)
        if saw is not None and saw != now:
            raise UsageError(
                f"the workspace {self._name!r} was changed by another call while this one waited to begin",
                advice="give each call that may go on at the same time a name of its own, or await one first",
            )
        tree = (state_in(self._ctx.turns) if self._writes else "") or self._run.tree_of(self._name)
        self._workspace = await self._run.take(self._name, tree, writes=self._writes)
        self._ctx.workspace = self._workspace
        return self._workspace

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, where: object) -> None:
        workspace, self._workspace, self._ctx.workspace = self._workspace, None, None
        if workspace is None:
            return
        try:
            tree = await self._run.give_back(workspace)
        except (GitFailed, LogFailed):
            if error is None:
                raise
            return
        if not self._writes:
            return
        left_out = list[Json](workspace.left_out)
        self._ctx.left = {"workspace": self._name, "tree": tree, **({"left_out": left_out} if left_out else {})}
        if kind is None or issubclass(kind, Exception):
            self._run.put(self._name, tree)
        # Cut from outside: what becomes of such a call is not known here. Where its outcome is recorded with what it
        # left, whoever records it tells `replayed`, as on a replay.


def _saw(visible: Mapping[str, Json], name: str) -> Json:
    """What a call was prepared with (see `RunWorkspaces.seen`); None where it was not."""
    for said in visible.values():
        if isinstance(said, Mapping) and said.get("workspace") == name:
            return said
    return None
