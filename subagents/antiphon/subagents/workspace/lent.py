"""A workspace while somebody works in it, and what it shares with the others of its run."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import anyio
import anyio.to_thread

from antiphon.engine import UsageError
from antiphon.subagents.sandbox import Sandbox, SandboxUnusable
from antiphon.subagents.workspace.contract import Base, Change
from antiphon.subagents.workspace.git import Git
from antiphon.subagents.workspace.leaked import Folder
from antiphon.subagents.workspace.patch import changes_between, content_of, diff_between
from antiphon.subagents.workspace.store import Store
from antiphon.subagents.workspace.worktree import Worktree
from antiphon.tracing import LogFailed

if TYPE_CHECKING:
    from antiphon.subagents.workspace.live import RunWorkspaces

T = TypeVar("T")
_THREADS: Final = 8
_DISK: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG})


class Threads:
    """Where blocking functions run; a full disk is the run's own error.

    Args:
        place: the run's directory.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self._limiter = anyio.CapacityLimiter(_THREADS)

    async def __call__(self, function: Callable[[], T]) -> T:
        """What a function gives. Cancellation waits for it: what it does to files must not go on unseen.

        Raises:
            LogFailed: the disk is full, or fails.
        """
        try:
            return await anyio.to_thread.run_sync(function, limiter=self._limiter)
        except OSError as error:
            if error.errno not in _DISK:
                raise
            where = f" ({error.filename})" if error.filename else ""
            raise LogFailed(self._place, f"its workspaces cannot be written: {error.strerror}{where}") from error


@dataclass(slots=True)
class Place:
    """A folder that a copy of a state is in.

    Attributes:
        readers: how many work in it now. writer: whether one of them changes it.
        fresh: what is in it is known; else it is made anew.
        lock: held by whoever brings it into a state, or asks for the one it is in.
    """

    worktree: Worktree
    readers: int = 0
    writer: bool = False
    fresh: bool = False
    lock: anyio.Lock = field(default_factory=anyio.Lock)


@dataclass(frozen=True, slots=True)
class Opened:
    """What there is once the base of a run is.

    Attributes:
        store: the repository. folder: where folders are. base: what workspaces begin as.
        commit: what worktrees begin at. sandbox: what commands run in, or why they cannot.
        blocking: where blocking functions run.
    """

    store: Store
    folder: Folder
    base: Base
    commit: str
    sandbox: Sandbox | SandboxUnusable
    blocking: Threads


class LiveWorkspace:
    """A workspace while somebody works in it; see `antiphon.subagents.workspace.Workspace`.

    Attributes:
        name, writable: as in the protocol. run: the workspaces that it is one of. place: its folder, for those.
    """

    def __init__(
        self, run: RunWorkspaces, opened: Opened, name: str, place: Place, tree: str, *, writable: bool
    ) -> None:
        self.run, self.name, self.writable, self.place = run, name, writable, place
        self._opened, self._store, self._tree = opened, opened.store, tree

    @property
    def root(self) -> Path:
        """Its folder: absolute, real."""
        return self.place.worktree.root

    @property
    def base(self) -> Base:
        """What it began as."""
        return self._opened.base

    @property
    def sandbox(self) -> Sandbox:
        """What commands in it run in. Raises `SandboxUnusable` where there is nothing."""
        if isinstance(self._opened.sandbox, SandboxUnusable):
            raise self._opened.sandbox
        return self._opened.sandbox

    @property
    def git(self) -> Git:
        """Git on the host, pinned to this workspace and to the run's repository; it knows nothing of the user's."""
        return self.place.worktree.git

    @property
    def repository(self) -> tuple[Path, ...]:
        """What a command in the sandbox must be able to read, for git to work in it."""
        return (self._store.directory, *self._store.objects)

    @property
    def left_out(self) -> tuple[str, ...]:
        """What of its files is not in the state that `tree` said last, and why, for a person."""
        return self.place.worktree.skipped.all()

    async def tree(self) -> str:
        """The id of its present state, whose content is kept from now on."""
        if self.writable:
            async with self.place.lock:
                self._tree = await self._opened.blocking(self.place.worktree.sync)
        return self._tree

    async def restore(self, tree: str) -> None:
        """Make it what it was at `tree`; ignored files stay. Raises `UsageError` for what is no state of this run."""
        if not self.writable:
            raise UsageError(f"nobody may change the workspace {self.name!r} here", advice="give it a name of its own")
        await self._check(tree)
        async with self.place.lock:
            await self._opened.blocking(lambda: self.place.worktree.restore(tree))

    async def changed(self, since: str = "", until: str = "") -> list[Change]:
        """The files that differ between two states; by default from the base to the present one."""
        before, after = await self._states(since, until)
        return await self._opened.blocking(lambda: changes_between(self._store, before, after))

    async def diff(self, since: str = "", until: str = "", paths: Sequence[str] = ()) -> str:
        """The same as a patch. What is no UTF-8 in it is replaced: `RunWorkspaces.patches` has the bytes."""
        before, after = await self._states(since, until)
        patch = await self._opened.blocking(lambda: diff_between(self._store, before, after, paths))
        return patch.decode("utf-8", "replace")

    async def _states(self, since: str, until: str) -> tuple[str, str]:
        before, after = since or self._opened.base.tree, until or await self.tree()
        for tree in {since, until} - {""}:
            await self._check(tree)
        return before, after

    async def _check(self, tree: str) -> None:
        await self._opened.blocking(lambda: self._store.check_tree(tree))

    async def content(self, path: str, tree: str) -> bytes | None:
        """A file as it was at `tree`; None where it was not there, or was no plain file."""
        await self._check(tree)
        return await self._opened.blocking(lambda: content_of(self._store, path, tree))
