"""One folder of files that follows a state, and can be asked which state it is in."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from antiphon.subagents.workspace.git import Git
from antiphon.subagents.workspace.listing import Skipped, nested, others
from antiphon.subagents.workspace.snapshot import entries, index_lines
from antiphon.subagents.workspace.store import Store

_TICK_SECONDS: Final = 1.1
"""Git cannot tell a file apart that was written in the second in which its index was, and reads it again."""

__all__ = ["Worktree", "clear"]


class Worktree:
    """A linked worktree of a run's repository. Its methods block; one at a time.

    The `.git` in it is for programs in the sandbox, which see a repository there. Nothing here ever reads it.

    Args:
        store: the run's repository.
        root: its folder.

    Attributes:
        root: its folder, absolute and real.
        skipped: what of its present state is left out.
    """

    def __init__(self, store: Store, root: Path) -> None:
        self.root, self.skipped = root, Skipped()
        self._store = store
        self._admin = store.directory / "worktrees" / root.name
        self._files = store.git.at(root, self._admin / "index")
        self._tree = ""
        self._racy = True

    @property
    def git(self) -> Git:
        """Git as in this worktree: with a HEAD of its own, refs and objects of the run's repository."""
        return replace(self._files, directory=self._admin, common=self._store.directory)

    def create(self, commit: str, tree: str) -> None:
        """Make the folder, or make it anew, in a state.

        Args:
            commit: what its HEAD is.
            tree: the state.

        Raises:
            GitFailed, OSError: it cannot be.
        """
        clear(self.root)
        self.root.parent.mkdir(parents=True, exist_ok=True)
        adding = ("worktree", "add", "--quiet", "--force", "--detach", "--no-checkout", str(self.root), commit)
        with self._store.alone:
            clear(self._admin)
            self._store.git(*adding)
        self._check_out(tree)

    def _check_out(self, tree: str) -> None:
        self._tree = ""
        self._files("read-tree", "--reset", "-u", tree)
        self._tree, self._racy = tree, True

    def sync(self) -> str:
        """The state that it is in, kept. A file that cannot be read is in it as it was before.

        Raises:
            GitFailed, OSError: it cannot be read or kept.
        """
        self._settle()
        self.skipped = Skipped()
        names = self._differing()
        if names or not self._tree:
            found = entries(self._store, self.root, names, self.skipped)
            gone = (name for name in names if name not in found and name not in self.skipped.there)
            lines = index_lines(found.values(), gone, self._store)
            self._files("update-index", "-z", "--index-info", given=lines)
            self._files.run("update-index", "-q", "--refresh")
            self._tree = self._store.index_tree(self._admin / "index")
        return self._tree

    def _settle(self) -> None:
        """Write the index once more as soon as that makes every later look at it cheap."""
        index = self._admin / "index"
        if self._racy and time.time() > index.stat().st_mtime + _TICK_SECONDS:
            self._files.run("update-index", "-q", "--refresh", "--force-write-index")
            self._racy = False

    def _differing(self) -> list[bytes]:
        """The files that may differ from the state it was in last."""
        listed = self._files("ls-files", "-z", "--modified", "--deleted")
        names = dict.fromkeys(filter(None, listed.split(b"\0")))
        names |= dict.fromkeys(others(self._files, self.root, self.skipped))
        for name in [
            name for name in names if os.path.isdir(self._whole(name)) and not os.path.islink(self._whole(name))
        ]:
            if os.path.lexists(self._whole(name) + b"/.git"):
                names |= dict.fromkeys(nested(self._files, self.root, name, self.skipped))
        return list(names)

    def _whole(self, name: bytes) -> bytes:
        return os.path.join(os.fsencode(self.root), name)

    def restore(self, tree: str) -> None:
        """Bring it into a state; what is ignored there stays, unless it is in the way.

        Raises:
            GitFailed, OSError: it cannot be.
        """
        if self.sync() == tree:
            return
        self._check_out(tree)
        # What the rules of the state before ignored, and those of this one do not, would be part of it.
        for name in list(others(self._files, self.root, Skipped())):
            os.unlink(os.path.join(os.fsencode(self.root), name))

    def remove(self) -> None:
        """Let the folder go, and what is known of it."""
        clear(self.root)
        with self._store.alone:
            clear(self._admin)


def clear(place: Path) -> None:
    """Remove a file, a link (never what it leads to), or a folder with all that is in it, whatever its permissions.

    Raises:
        OSError: it cannot be removed.
    """
    if not place.is_dir() or place.is_symlink():
        place.unlink(missing_ok=True)
        return
    shutil.rmtree(place, onerror=_open_and_retry)


def _open_and_retry(remove: Callable[..., Any], path: str, about: object) -> None:
    """A folder that whoever made it closed: open it, which its owner may, and go on below."""
    if not os.path.lexists(path):
        return
    for folder in (os.path.dirname(path), path):
        if not os.path.islink(folder) and stat.S_ISDIR(os.lstat(folder).st_mode):
            os.chmod(folder, 0o700)
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)
