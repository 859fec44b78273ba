"""The history of one workspace: its commits and branches, in the repository of the run, never in the user's.

Git runs on the host, pinned by the workspace. What a model gives is never an option: a revision is looked up first and
its id is what git is told, a path follows ``--``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Protocol, cast

from antiphon.engine import CallContext
from antiphon.subagents.tools.contract import Misfit
from antiphon.subagents.workspace.contract import Workspace, workspace_of
from antiphon.subagents.workspace.files import PathRefused, parts_of
from antiphon.subagents.workspace.git import Git, GitFailed, Ran

BASE: Final = "base"
"""What a model calls the state in which the work began."""
MAIN: Final = "main"
"""The branch that a workspace is on as long as nobody made another."""
_SECONDS: Final = 60.0
_OUTPUT_BYTES: Final = 8 << 20
_REVISION: Final = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_./~^-]{0,199}")
_BRANCH: Final = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?")


class _HasGit(Workspace, Protocol):
    @property
    def git(self) -> Git: ...


@dataclass(frozen=True, slots=True)
class History:
    """Commits and branches of one workspace.

    Attributes:
        workspace: whose. git: on it.
    """

    workspace: Workspace
    git: Git

    @classmethod
    def of(cls, ctx: CallContext) -> History:
        """That of the workspace that a call works in.

        Raises:
            Misfit: it has none.
        """
        workspace = workspace_of(ctx)
        if not hasattr(workspace, "git"):
            raise Misfit("this workspace has no repository")
        # It looks at no file: git would wait for one that is a pipe, such as a `.mailmap`.
        return cls(workspace, cast("_HasGit", workspace).git.at(None, None))

    async def run(self, *arguments: str, given: bytes = b"") -> Ran:
        """Git's answer, whatever it is."""
        return await self.git.ask(*arguments, given=given, limit=_OUTPUT_BYTES, seconds=_SECONDS)

    async def said(self, *arguments: str, given: bytes = b"") -> str:
        """What git prints.

        Raises:
            GitFailed: it complains.
        """
        ran = await self.run(*arguments, given=given)
        if ran.exit:
            raise GitFailed(arguments[0], ran.said)
        return ran.out.decode("utf-8", "backslashreplace")

    # --- where it is ----------------------------------------------------------------------------------------------

    @property
    def _own(self) -> str:
        """Where this workspace's branches are: others of the run have their own."""
        return f"refs/heads/{self.workspace.root.name}/"

    @property
    def _current(self) -> str:
        return f"refs/antiphon/current/{self.workspace.root.name}"

    async def branch(self) -> str:
        """The branch that it is on."""
        ran = await self.run("symbolic-ref", "--quiet", self._current)
        name = ran.out.decode("utf-8", "replace").strip()
        return name.removeprefix(self._own) if not ran.exit and name.startswith(self._own) else MAIN

    async def tip(self) -> str:
        """The commit that it is at: the last of its branch, else the one that it began at."""
        return await self._commit(self._own + await self.branch()) or await self.began()

    async def began(self) -> str:
        """The commit that stands for what the workspace began as; "" if none does."""
        base = self.workspace.base
        for candidate in ("refs/antiphon/base", base.head):
            if candidate and await self._id(f"{candidate}^{{tree}}") == base.tree:
                return await self._commit(candidate)
        return ""

    async def branches(self) -> list[str]:
        """The branches that were made in it, in order."""
        listed = await self.said("for-each-ref", "--format=%(refname)", self._own.rstrip("/"))
        return [line.removeprefix(self._own) for line in listed.splitlines() if line.startswith(self._own)]

    # --- what a model names ---------------------------------------------------------------------------------------

    async def commit_named(self, revision: str) -> str:
        """The commit that a revision means: `base`, a branch of this workspace, ``HEAD~1``, an id.

        Raises:
            Misfit: none.
        """
        if not _REVISION.fullmatch(revision) or ".." in revision:
            raise Misfit(f"{revision[:100]!r} is no revision: {BASE!r}, HEAD, HEAD~1, a branch or a commit id")
        name = re.split("[~^]", revision, maxsplit=1)[0]
        suffix = revision[len(name) :]
        if name == BASE:
            found = await self.began()
        elif name == "HEAD":
            found = await self.tip()
        else:
            found = await self._commit(self._own + name) or (await self._commit(name) if _is_id(name) else "")
        commit = await self._commit(found + suffix) if found else ""
        if not commit:
            raise Misfit(f"there is no commit {revision[:100]!r} here: {BASE!r}, HEAD, HEAD~1, a branch or a commit id")
        return commit

    async def tree_named(self, revision: str) -> str:
        """The state that a revision means."""
        return await self._id(f"{await self.commit_named(revision)}^{{tree}}")

    async def _commit(self, name: str) -> str:
        return await self._id(f"{name}^{{commit}}")

    async def _id(self, name: str) -> str:
        ran = await self.run("rev-parse", "--verify", "--quiet", "--end-of-options", name)
        return "" if ran.exit else ran.out.decode("ascii", "replace").strip()

    # --- what changes it ------------------------------------------------------------------------------------------

    async def uncommitted(self) -> bool:
        """Whether the present state is in no commit of its branch's tip."""
        tip = await self.tip()
        return not tip or await self._id(f"{tip}^{{tree}}") != await self.workspace.tree()

    async def commit(self, message: str) -> str:
        """Make the present state a commit on the branch: its id.

        Raises:
            Misfit: nobody may change the workspace.
        """
        self._check_writable()
        branch, tip, tree = await self.branch(), await self.tip(), await self.workspace.tree()
        parent = ("-p", tip) if tip else ()
        made = (await self.said("commit-tree", *parent, tree, given=message.encode("utf-8", "replace"))).strip()
        await self._move(branch, made)
        return made

    async def switch(self, branch: str, *, create: bool) -> None:
        """Go to a branch, whose last state the files are brought to; or begin one here.

        Raises:
            Misfit: that cannot be a branch, or there is none; or changes would be lost.
        """
        self._check_writable()
        if not _BRANCH.fullmatch(branch):
            raise Misfit(f"{branch[:100]!r} cannot be a branch: small letters, digits, '-' and '_', at most 64")
        there = branch in await self.branches()
        if create == there:
            raise Misfit(f"there is {'already a' if there else 'no'} branch {branch!r}")
        if create:
            await self._move(branch, await self.tip())
            return
        if await self.uncommitted():
            raise Misfit("there are changes that are in no commit: commit them first, or undo them")
        commit = await self._commit(self._own + branch)
        await self.workspace.restore(await self._id(f"{commit}^{{tree}}"))
        await self._move(branch, commit)

    def _check_writable(self) -> None:
        if not self.workspace.writable:
            raise Misfit("nobody may change this workspace")

    async def _move(self, branch: str, commit: str) -> None:
        if commit:
            await self.said("update-ref", self._own + branch, commit)
        for name in (self._current, "HEAD"):
            await self.said("symbolic-ref", name, self._own + branch)


def _is_id(name: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{4,64}", name) is not None


def path_named(workspace: Workspace, path: str) -> str:
    """A path that a model names, relative to the workspace.

    Raises:
        Misfit: it leads out of it, or can be none.
    """
    try:
        return "/".join(parts_of(path, str(workspace.root)))
    except PathRefused as error:
        raise Misfit(str(error)) from None
