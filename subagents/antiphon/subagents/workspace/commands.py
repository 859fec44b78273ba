"""Commands in a workspace: in the sandbox, with the project's own programs, and nothing of the user's."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from antiphon.engine import Amount, CallContext
from antiphon.subagents.process import Completed, Unavailable, run_command
from antiphon.subagents.sandbox import Confinement, ProcessLimits
from antiphon.subagents.sandbox.confinement import MIB
from antiphon.subagents.workspace.arranging import arranged, remove_pipes
from antiphon.subagents.workspace.contract import Workspace
from antiphon.subagents.workspace.environment import Environment

OUTPUT_BYTES: Final = 4 * MIB
"""Of each of both outputs; a command that writes more is ended."""
LIMITS: Final = ProcessLimits(file_bytes=256 * MIB)
"""Of one command."""
WRITTEN_BYTES: Final = 1024 * MIB
"""What one command may write into a workspace."""
_LOOK_EVERY_SECONDS: Final = 1.0
_LOOKS_CLOSER_BYTES: Final = WRITTEN_BYTES // 2
# A sandbox shows the installation of the program that it starts, links followed. What a project's own folders hold is
# never that program: it is looked up inside.
_THROUGH: Final = ("/bin/sh", "-c", 'exec "$0" "$@"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Also:
    """What one command has besides what all commands in its workspace have.

    Attributes:
        read, write: see `Confinement`. variables: more of its environment.
    """

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict[str, str])


_NOTHING: Final = Also()


async def command(
    workspace: Workspace,
    environment: Environment,
    argv: Sequence[str],
    *,
    ctx: CallContext,
    seconds: float,
    network: bool = False,
    name: str,
    also: Also = _NOTHING,
) -> Completed | Unavailable:
    """Run a command in a workspace, to its end and with all that it starts; one process attempt of the call.

    It may write to the workspace if whoever holds it may, never to its ``.git``. Its attempt holds a permit and costs
    no tool call: the tool that runs it is counted.

    Args:
        workspace: where. Its root is the working directory.
        environment: the project's programs and variables.
        argv: a program (a path, or a name that the environment has) and its arguments. One that is not there ends
            with status 127, as in a shell.
        ctx: of the call that it is run for.
        seconds: wall time after which it is killed.
        network: it may use the network.
        name: what a person reads, such as "run pytest -q".
        also: what else it may reach.

    Raises:
        BudgetRefused, WindDown: as every attempt.
    """
    root = str(workspace.root)
    variables = {**environment.variables_in(root), **also.variables}
    confinement = Confinement(
        read=(root, *environment.read, *repository_of(workspace), *also.read),
        write=(*((root,) if workspace.writable else ()), *also.write),
        programs=environment.programs,
        network=network,
        executes=True,
        limits=LIMITS,
    )
    async with ctx.attempt(Amount(), sort="process", name=name[:200]) as attempt:
        with arranged(root, environment.modules, workspace):
            watching = _Written(root) if workspace.writable else None
            try:
                ended = await _run_watched(
                    watching,
                    argv=(*_THROUGH, *argv),
                    cwd=Path(root),
                    env=variables,
                    seconds=seconds,
                    workspace=workspace,
                    confinement=confinement,
                )
            finally:
                if workspace.writable:
                    with anyio.CancelScope(shield=True):
                        await anyio.to_thread.run_sync(remove_pipes, root)
        attempt.not_billed()
    return ended


def repository_of(workspace: Workspace) -> tuple[str, ...]:
    """What git must be able to read for it to work inside, where the workspace is a worktree of a repository."""
    held: tuple[Path, ...] = getattr(workspace, "repository", ())
    return tuple(str(path) for path in held if path.is_absolute())


async def _run_watched(
    watching: _Written | None,
    *,
    argv: Sequence[str],
    cwd: Path,
    env: Mapping[str, str],
    seconds: float,
    workspace: Workspace,
    confinement: Confinement,
) -> Completed | Unavailable:
    ended: Completed | Unavailable | None = None
    began = time.monotonic()
    async with anyio.create_task_group() as group:
        if watching is not None:
            group.start_soon(_end_when_too_much, watching, group.cancel_scope)
        ended = await run_command(
            argv,
            cwd=cwd,
            env=env,
            timeout_seconds=seconds,
            output_limit=OUTPUT_BYTES,
            sandbox=workspace.sandbox,
            confinement=confinement,
        )
        group.cancel_scope.cancel()
    if ended is not None:
        return ended
    said = f"it wrote more than {WRITTEN_BYTES // MIB} MiB into the workspace, and was ended".encode()
    return Completed(exit=None, stdout=b"", stderr=said, excess="scratch", seconds=time.monotonic() - began)


async def _end_when_too_much(watching: _Written, scope: anyio.CancelScope) -> None:
    while True:
        await anyio.sleep(_LOOK_EVERY_SECONDS)
        if await anyio.to_thread.run_sync(watching.too_much):
            scope.cancel()
            return


class _Written:
    """How much a command has written below a folder. Cheap until the disk itself has lost as much."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._free = shutil.disk_usage(root).free
        self._since = time.time() - 2  # file systems keep coarse times

    def too_much(self) -> bool:
        """Whether it is more than one command may."""
        try:
            lost = self._free - shutil.disk_usage(self._root).free
        except OSError:
            return False
        return lost > _LOOKS_CLOSER_BYTES and self._sum() > WRITTEN_BYTES

    def _sum(self) -> int:
        total, waiting = 0, [self._root]
        while waiting and total <= WRITTEN_BYTES:
            with suppress(OSError), os.scandir(waiting.pop()) as listing:
                for entry in listing:
                    with suppress(OSError):
                        seen = entry.stat(follow_symlinks=False)
                        if stat.S_ISDIR(seen.st_mode):
                            waiting.append(entry.path)
                        elif seen.st_ctime >= self._since:
                            total += seen.st_blocks * 512
        return total
