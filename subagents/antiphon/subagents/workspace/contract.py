"""What a workspace is to whoever works in it: a folder of its own, whose states have names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol, cast

from antiphon.engine import CallContext
from antiphon.subagents.sandbox import Sandbox
from antiphon.subagents.tools.contract import Misfit
from antiphon.tracing import Json

READ: Final = "read"
"""The name of the workspace that nobody may change: the project as it was when the run began."""


@dataclass(frozen=True, slots=True)
class Base:
    """What every workspace of a run begins as.

    Attributes:
        tree: git's id of the project's files, uncommitted changes and untracked files included, ignored ones not.
        head: the commit that the project was at; "" where it is no git repository, or has none.
        root: the project's folder.
        notes: what of the project is not in it, and why, for a person.
    """

    tree: str
    head: str
    root: Path
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """One file that two states do not have in common. `before` and `after` are blob ids; "" where it is not there."""

    path: str
    kind: Literal["added", "changed", "deleted"]
    before: str
    after: str


class Workspace(Protocol):
    """A folder that the agents of one branch work in.

    Only its `root` may be looked at or changed, and only through `antiphon.subagents.workspace.files` (paths that a
    model names) or a command in the sandbox. Git runs on the host, pinned to a repository of the run's own.
    """

    @property
    def name(self) -> str:
        """As in ``agent(workspace=name)``."""
        ...

    @property
    def root(self) -> Path:
        """Its folder: absolute, real."""
        ...

    @property
    def writable(self) -> bool:
        """Whether whoever holds it may change it."""
        ...

    @property
    def base(self) -> Base:
        """What it began as."""
        ...

    @property
    def sandbox(self) -> Sandbox:
        """What commands in it run in."""
        ...

    async def tree(self) -> str:
        """The id of its present state, whose content is kept from now on."""
        ...

    async def restore(self, tree: str) -> None:
        """Make it what it was at `tree`; ignored files stay. Raises `UsageError` for what is no state of this run."""
        ...

    async def changed(self, since: str = "", until: str = "") -> list[Change]:
        """The files that differ between two states; by default from the base to the present one. In order of path."""
        ...

    async def diff(self, since: str = "", until: str = "", paths: Sequence[str] = ()) -> str:
        """The same as a patch in git's form, binary content included, that ``git apply`` takes."""
        ...

    async def content(self, path: str, tree: str) -> bytes | None:
        """A file as it was at `tree`; None where it was not there, or was no plain file."""
        ...


class Workspaces(Protocol):
    """The workspaces of one run. What state each is in is known from calls alone: folders are only a copy of it."""

    def seen(self, name: str) -> Json:
        """What a call that works in `name` sees of it, before it begins: its state. Part of the call's hash.

        Raises:
            UsageError: that cannot be the name of a workspace.
        """
        ...

    def common(self, name: str, others: Sequence[str]) -> str:
        """The last state of a workspace that some others were in, too; "" for the base, in which all of them were."""
        ...

    def replayed(self, left: Json) -> None:
        """A call was replayed that left this behind (`CallContext.left`): its workspace is in that state now."""
        ...

    def holding(self, name: str, ctx: CallContext, *, writes: bool) -> Held:
        """The workspace for as long as one call works in it, in the state that the call saw, or was cut off at.

        Puts it at ``ctx.workspace``, and at the end what it came to at ``ctx.left``, however the call ended.

        Raises on entry:
            UsageError: somebody else works in it at the same time, and one of both changes it.
        """
        ...


class Held(Protocol):
    """What `Workspaces.holding` gives: an async context."""

    async def __aenter__(self) -> Workspace: ...

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, where: object) -> None: ...


def workspace_of(ctx: CallContext) -> Workspace:
    """The workspace that a call works in.

    Raises:
        Misfit: it has none.
    """
    found = ctx.workspace
    if found is None:
        raise Misfit("this call has no workspace; its script must say workspace='read' or a name")
    return cast("Workspace", found)  # put there by `Workspaces.holding` alone


def state_in(turns: Sequence[Json]) -> str:
    """The last state of a workspace that the turns of a call speak of; "" if none does."""
    for turn in reversed(turns):
        if isinstance(turn, Mapping) and isinstance(tree := turn.get("tree"), str) and tree:
            return tree
    return ""
