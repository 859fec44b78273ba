"""What a call changed in a workspace, held to what the manifests around it say may be changed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from antiphon.engine import CallContext
from antiphon.engine.errors import OutsideManifest
from antiphon.subagents.tools.policy import Scope
from antiphon.subagents.workspace.contract import workspace_of

_LISTED = 5


@asynccontextmanager
async def scoped(ctx: CallContext, scopes: Sequence[Scope], *, writes: bool) -> AsyncGenerator[None]:
    """Look at the end what changed, where anything may not be; tools of a conversation were looked at before.

    Raises:
        OutsideManifest: something did; all files are again what they were when the call began.
    """
    held = [scope for scope in scopes if scope.holds_writes] if writes else []
    before = await workspace_of(ctx).tree() if held else ""
    yield
    if not held:
        return
    workspace = workspace_of(ctx)
    changed = [change.path for change in await workspace.changed(before, await workspace.tree())]
    strays = sorted({path for scope in held for path in scope.strays(changed)})
    if strays:
        await workspace.restore(before)
        more = f" and {len(strays) - _LISTED} more" if len(strays) > _LISTED else ""
        listed = ", ".join(strays[:_LISTED]) + more
        reason = f"it changed {listed}, which is not in scope.write; all files are again what they were before it"
        raise OutsideManifest(f"writing {strays[0]}", "scope.write", reason)
