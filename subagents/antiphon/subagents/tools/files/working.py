"""What the file tools share: the files of a call, work in a thread, and refusals as answers."""

from __future__ import annotations

from collections.abc import Callable

import anyio.from_thread
import anyio.to_thread

from antiphon.engine import CallContext, UsageError
from antiphon.subagents.tools.contract import Misfit, ToolResult
from antiphon.subagents.workspace.contract import workspace_of
from antiphon.subagents.workspace.files import Files, present_view


def files_of(ctx: CallContext) -> Files:
    """The files of the workspace that a call works in, as far as it may see them. Raises `Misfit` where it has none."""
    return Files(workspace_of(ctx).root, present_view())


def files_to_change(ctx: CallContext) -> Files:
    """The same, to be changed.

    Raises:
        Misfit: the call has no workspace, or may only read it.
    """
    workspace = workspace_of(ctx)
    if not workspace.writable:
        raise Misfit("this workspace may only be read")
    return Files(workspace.root)


async def in_thread(work: Callable[[], str | ToolResult]) -> ToolResult:
    """Do what blocks, and answer with what it gives; what it refuses, and what the disk refuses, is the answer too.

    A cancelled call waits for the thread, which ends at the latest where `between_files` is called.
    """
    try:
        answer = await anyio.to_thread.run_sync(work)
    except UsageError as error:
        return ToolResult(str(error), failed=True)
    except OSError as error:
        return ToolResult(f"the files could not be worked on: {error.strerror or error}", failed=True)
    return answer if isinstance(answer, ToolResult) else ToolResult(answer)


def between_files() -> None:
    """Called in such a thread between two files: ends the work of a call that is cancelled."""
    anyio.from_thread.check_cancelled()
