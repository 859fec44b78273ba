"""What the folder of a workspace has to be for the time that a command runs in it, and never in any of its states."""

from __future__ import annotations

import os
import stat
import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from antiphon.subagents.workspace.contract import Workspace
from antiphon.subagents.workspace.looking import read_bytes
from antiphon.subagents.workspace.worktree import clear

_MODULES: Final = "node_modules"
_NO_EXCEPTIONS: Final = "landlock"
"""The sandbox whose rules only ever add: of a folder that may be changed nothing can be kept from change."""
_READ_BY_GIT: Final = frozenset({".gitignore", ".gitattributes", ".mailmap"})
_LINKS: Final = Counter[str]()
_LINKING: Final = threading.Lock()


@contextmanager
def arranged(root: str, modules: str, workspace: Workspace) -> Generator[None]:
    """Make a workspace's folder what commands need it to be, for as long as one runs.

    Args:
        root: its folder.
        modules: the folder of packages that node programs import; "" for none.
        workspace: what it is.
    """
    with _modules_in(root, modules):
        if workspace.writable and workspace.sandbox.name == _NO_EXCEPTIONS:
            with _without_pointer(root):
                yield
        else:
            yield


def remove_pipes(root: str) -> None:
    """Remove what is no file where git on the host reads one in every folder: it would wait for a pipe. Blocks.

    Args:
        root: a workspace in which a command has run.
    """
    waiting = [root]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as listing:
            for entry in listing:
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.name in _READ_BY_GIT and not _is_file_or_folder(entry.path):
                        os.unlink(entry.path)


def _is_file_or_folder(path: str) -> bool:
    mode = os.stat(path).st_mode
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


@contextmanager
def _without_pointer(root: str) -> Generator[None]:
    """Take the `.git` of a worktree away, for a sandbox that could not keep it from being changed.

    It only tells programs inside where the repository is. Whatever is in its place afterwards goes: the next git
    command there would obey it.
    """
    pointer = Path(root, ".git")
    content = read_bytes(pointer)
    clear(pointer)
    try:
        yield
    finally:
        clear(pointer)
        if content is not None:
            pointer.write_bytes(content)


@contextmanager
def _modules_in(root: str, modules: str) -> Generator[None]:
    """While commands run, packages that the project has installed are found where node looks for them.

    Modules look in the folders above themselves, and nowhere else: so a link is there for as long as a command runs,
    and no state of the workspace ever holds it.
    """
    link = os.path.join(root, _MODULES)
    if not modules or not _link(link, modules):
        yield
        return
    try:
        yield
    finally:
        _unlink(link, modules)


def _link(link: str, modules: str) -> bool:
    with _LINKING:
        if not _LINKS[link]:
            try:
                os.symlink(modules, link)
            except OSError:  # the workspace has one of its own, or nobody may write there
                return False
        _LINKS[link] += 1
        return True


def _unlink(link: str, modules: str) -> None:
    with _LINKING:
        _LINKS[link] -= 1
        if _LINKS[link] == 0:
            del _LINKS[link]
            with suppress(OSError):
                if os.readlink(link) == modules:  # else the command made something else of it
                    os.unlink(link)
