"""The workspaces of a run: which state each is in, who works in it, and the folders that copies of them are in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, TypeVar

import anyio
import anyio.to_thread

from antiphon.engine import CallContext, UsageError
from antiphon.subagents.sandbox import Sandbox, SandboxUnusable
from antiphon.subagents.workspace.contract import READ, Base, Workspace
from antiphon.subagents.workspace.git import GitFailed
from antiphon.subagents.workspace.holding import Holding
from antiphon.subagents.workspace.leaked import Folder, clean_leaked, workspaces_home
from antiphon.subagents.workspace.lent import LiveWorkspace, Opened, Place, Threads
from antiphon.subagents.workspace.listing import ignore_rules
from antiphon.subagents.workspace.naming import checked_name, checked_tree, folder_name, run_folder
from antiphon.subagents.workspace.patch import Patch, patch_of
from antiphon.subagents.workspace.repository import Found, find_repository
from antiphon.subagents.workspace.snapshot import snapshot
from antiphon.subagents.workspace.store import Store, open_store, write_exclude
from antiphon.subagents.workspace.worktree import Worktree
from antiphon.tracing import Json

__all__ = ["Holding", "LiveWorkspace", "RunWorkspaces"]

T = TypeVar("T")
MOST_IDLE: Final = 16
"""Folders that are kept although nobody works in them: what is ignored there stays, such as caches."""
_LAST_SECONDS: Final = 120.0
"""What an ending may take, cancelled or not."""


class RunWorkspaces:
    """Implements `antiphon.subagents.workspace.Workspaces` for one attempt at a run; an async context manager.

    Nothing is made before `open_base`. Folders go with the context; the states stay in the run's directory.

    Args:
        place: the run's directory.
        run_id: the run.
        project: the folder that workspaces are made of.
        sandbox: gives what commands in workspaces run in; asked once, in a worker thread.
        base: what an earlier attempt of the run began with.
        begun: is told the base once it is made, so that it can be recorded.
        home: where the folders of all runs are; by default in the user's cache.
    """

    def __init__(
        self,
        place: Path,
        run_id: str,
        project: Path,
        *,
        sandbox: Callable[[], Sandbox],
        base: Base | None = None,
        begun: Callable[[Base], None] | None = None,
        home: Path | None = None,
    ) -> None:
        self._place, self._run_id, self._project, self._home = place, run_id, project, home
        self._sandbox, self._given, self._begun = sandbox, base, begun
        self._open: Opened | None = None
        self._states: dict[str, str] = {}
        self._pasts: dict[str, list[str]] = {}
        self._places: dict[str, Place] = {}
        self._opening = anyio.Lock()
        self._threads = Threads(place)

    async def __aenter__(self) -> RunWorkspaces:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        opened, self._open = self._open, None
        if opened is None:
            return
        with anyio.move_on_after(_LAST_SECONDS, shield=True):
            await anyio.to_thread.run_sync(_let_go, opened, list(self._places.values()), abandon_on_cancel=True)

    # --- the base -----------------------------------------------------------------------------------------------

    async def open_base(self) -> Base:
        """What every workspace begins as: the project as it is now, or as it was when the run began.

        Raises:
            UsageError: there is no git, the project is too large, its folder is gone, or its repository lacks what the
                run began with.
            LogFailed: the disk is full.
        """
        async with self._opening:
            if self._open is None:
                opened = await self.blocking(self._make)
                self._open = opened
                if self._given is None and self._begun is not None:
                    self._begun(opened.base)
        return self._open.base

    def _make(self) -> Opened:
        found, home = _repository(self._project), self._home or workspaces_home()
        clean_leaked(home)
        with ExitStack() as undo:
            folder = Folder(home / run_folder(self._run_id, str(self._place.resolve())))
            undo.callback(folder.let_go)
            store = open_store(self._place, self._project, found, self._given.tree if self._given else "")
            project = self._project.resolve()
            write_exclude(store, ignore_rules(found, project))
            base = replace(self._given, root=project) if self._given else self._taken(store, project, found)
            store.keep(store.check_tree(base.tree))
            opened = Opened(store, folder, base, store.commit(base), self._chosen(), self._threads)
            undo.pop_all()
        return opened

    def _chosen(self) -> Sandbox | SandboxUnusable:
        """What commands run in. Where nothing can be had, files can still be read and written."""
        try:
            return self._sandbox()
        except SandboxUnusable as error:
            return error

    def _taken(self, store: Store, project: Path, found: Found | None) -> Base:
        place = self._place.resolve()
        apart = [folder for folder in (place, place.parent, self._home or workspaces_home()) if folder != project]
        tree, skipped = snapshot(store, project, found, without=apart)
        head = found.head() if found is not None else ""
        notes = list(skipped.all())
        if head and not store.tree_of(head):
            head = ""
            notes.append("the commit that the repository is at is not in it; log and blame know nothing before the run")
        elif head and found is not None and found.top != project:
            notes.append(f"{project.name} is a folder of a repository; log and blame show its files as new")
        return Base(tree, head if found is not None and found.top == project else "", project, tuple(notes))

    @property
    def base(self) -> Base:
        """See `open_base`, which must have been awaited."""
        return self._opened.base

    @property
    def store(self) -> Store:
        """The run's repository; `open_base` must have been awaited."""
        return self._opened.store

    @property
    def _opened(self) -> Opened:
        if self._open is None:
            raise UsageError("no workspace can be had before the base of the run is open")
        return self._open

    # --- states -------------------------------------------------------------------------------------------------

    def tree_of(self, name: str) -> str:
        """The state that a workspace is in, by the calls so far. Raises `UsageError` for what is no name."""
        if name == READ:
            return self.base.tree
        return self._states.get(checked_name(name), self.base.tree)

    def put(self, name: str, tree: str) -> None:
        """A workspace is in this state now. Raises `UsageError` for what is no name, no state, or not to be changed."""
        if checked_name(name) == READ:
            raise UsageError(f"the workspace {READ!r} is the project as it was", advice="give the state another name")
        self._states[name] = checked_tree(tree)
        past, state = self._pasts.setdefault(name, [""]), self._beyond_base(name)
        if state in past:  # it went back: what came after that is none of its past
            del past[past.index(state) + 1 :]
        else:
            past.append(state)

    def common(self, name: str, others: Sequence[str]) -> str:
        """See `Workspaces.common`."""
        pasts = [self._pasts.get(other, [""]) for other in others]
        own = self._pasts.get(checked_name(name), [""])
        return next(state for state in reversed(own) if all(state in past for past in pasts))

    def seen(self, name: str) -> Json:
        """See `Workspaces.seen`. The base is "": it may not be made yet, and is the same for all calls of a run."""
        return {"workspace": checked_name(name), "tree": self._beyond_base(name)}

    def _beyond_base(self, name: str) -> str:
        base = self._open.base if self._open is not None else self._given
        tree = self._states.get(name, "")
        return "" if base is not None and tree == base.tree else tree

    def replayed(self, left: Json) -> None:
        """See `Workspaces.replayed`. What is left by something else than a workspace is nothing to it."""
        if isinstance(left, Mapping) and {"workspace", "tree"} <= left.keys() and left["workspace"] != READ:
            self.put(str(left["workspace"]), str(left["tree"]))

    def holding(self, name: str, ctx: CallContext, *, writes: bool) -> Holding:
        """See `Workspaces.holding`."""
        return Holding(self, checked_name(name), ctx, writes=writes)

    @property
    def names(self) -> list[str]:
        """The workspaces that are in another state than the base, in order."""
        return sorted(name for name, tree in self._states.items() if tree != self.base.tree)

    async def patches(self) -> list[Patch]:
        """What every workspace that differs from the base came to, in order of name."""
        if not self._states:
            return []
        await self.open_base()
        opened, states = self._opened, [(name, self._states[name]) for name in self.names]
        return await self.blocking(
            lambda: [patch_of(opened.store, name, opened.base.tree, tree) for name, tree in states]
        )

    async def at(self, name: str, tree: str) -> Workspace:
        """A look at any state, in a folder of its own that nobody may change.

        Raises:
            UsageError: it is no state of this run.
        """
        opened = self._opened
        await self.blocking(lambda: opened.store.check_tree(tree))
        place = self._place_of("read" if tree == opened.base.tree else f"state-{tree}")
        place.readers += 1  # for good: nobody says when the look is over
        await self._bring(place, tree)
        return LiveWorkspace(self, opened, name, place, tree, writable=False)

    # --- folders ------------------------------------------------------------------------------------------------

    def _place_of(self, folder: str) -> Place:
        found = self._places.pop(folder, None)
        if found is None:
            opened = self._opened
            found = Place(Worktree(opened.store, opened.folder.path / folder))
        self._places[folder] = found  # the last one, as the one that was used last
        return found

    async def _make_room(self) -> None:
        """Remove the folders that nobody has worked in for longest: their states are kept, and make them again."""
        idle = [place for place in self._places.values() if place.fresh and not place.readers]
        for place in idle[: max(0, len(idle) - MOST_IDLE)]:
            async with place.lock:
                if place.fresh and not place.readers:
                    place.fresh = False
                    await self.blocking(place.worktree.remove)

    async def _bring(self, place: Place, tree: str) -> None:
        """Bring a folder into a state, unless others look at it right now, who brought it there."""
        opened = self._opened
        async with place.lock:
            if place.fresh and place.readers > 1:
                return
            if place.fresh:
                place.fresh = False
                await self.blocking(lambda: place.worktree.restore(tree))
            else:
                await self.blocking(lambda: place.worktree.create(opened.commit, tree))
            place.fresh = True

    async def take(self, name: str, tree: str, *, writes: bool) -> LiveWorkspace:
        """Begin to work in a workspace that is to be in a state; see `give_back`.

        Raises:
            UsageError: somebody else works in it, and one of both changes it.
        """
        opened = self._opened
        place = self._place_of(folder_name(name))
        if place.writer or (writes and place.readers):
            raise UsageError(
                f"two calls work in the workspace {name!r} at once, and one of them changes it",
                advice=f"give each a name of its own (workspace='{name}-1', workspace='{name}-2'), or await one first",
            )
        place.readers += 1
        place.writer = writes
        ready = False
        try:
            await self.blocking(lambda: opened.store.check_tree(tree))
            await self._make_room()
            await self._bring(place, tree)
            ready = True
        finally:
            if not ready:
                self._release(place, writes=writes)
        return LiveWorkspace(self, opened, name, place, tree, writable=writes)

    def _release(self, place: Place, *, writes: bool) -> None:
        place.readers -= 1
        if writes:
            place.writer = False

    async def give_back(self, workspace: LiveWorkspace) -> str:
        """Stop working in a workspace: the state that it is left in. Shielded from cancellation, and bounded.

        Raises:
            GitFailed, LogFailed: that cannot be told; the next one begins with the state before.
        """
        place, tree = workspace.place, ""
        try:
            with anyio.move_on_after(_LAST_SECONDS, shield=True):
                tree = await workspace.tree()
            if not tree:
                raise GitFailed("ls-files", f"the state was not known after {_LAST_SECONDS:g} s")
            return tree
        finally:
            place.fresh = bool(tree)
            self._release(place, writes=workspace.writable)

    async def blocking(self, function: Callable[[], T]) -> T:
        """What a blocking function gives; see `Threads`."""
        return await self._threads(function)


def _repository(project: Path) -> Found | None:
    if not project.is_dir():
        raise UsageError(f"there is no folder {project}", advice="name the folder that the work is about")
    return find_repository(project.resolve())


def _let_go(opened: Opened, places: Sequence[Place]) -> None:
    """Remove folders; one that resists stays for the next start, which tries again."""
    try:
        for place in places:
            place.worktree.remove()
        opened.folder.let_go()
    except OSError:
        pass
