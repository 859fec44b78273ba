"""Workspaces without a run, and repositories to make them of, for those who test tools and steps."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from antiphon.subagents.sandbox import Sandbox, Unconfined
from antiphon.subagents.workspace.lent import LiveWorkspace
from antiphon.subagents.workspace.live import RunWorkspaces
from antiphon.subagents.workspace.worktree import clear


def write_files(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files below a folder, by path."""
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)


def run_git(folder: Path, *arguments: str) -> str:
    """What git prints in a folder, told nothing of the user's configuration.

    Raises:
        subprocess.CalledProcessError: it complains.
    """
    told = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ALLOW_PROTOCOL": "file",
        "LC_ALL": "C",
    }
    said = ("-c", "user.name=A Person", "-c", "user.email=person@example.org", "-c", "init.defaultBranch=main")
    options = (*said, "-c", "protocol.file.allow=always", "-c", "safe.directory=*")
    done = subprocess.run(["git", *options, *arguments], cwd=folder, env=told, check=True, capture_output=True)
    return done.stdout.decode("utf-8", "surrogateescape").strip()


def git_repository(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """A repository in a folder, which is made, with one commit of these files."""
    folder.mkdir(parents=True, exist_ok=True)
    run_git(folder, "init", "-q")
    write_files(folder, files)
    run_git(folder, "add", "-A")
    run_git(folder, "commit", "-q", "--allow-empty", "-m", "first")
    return folder


def everything_in(folder: Path) -> dict[str, tuple[int, str]]:
    """Every file, link and folder below one, `.git` too: its mode, and a hash of what it holds or leads to."""
    found: dict[str, tuple[int, str]] = {}
    for around, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(around, name)
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                held = os.fsencode(os.readlink(path))
            else:
                held = path.read_bytes() if stat.S_ISREG(mode) else b""
            found[str(path.relative_to(folder))] = (mode, hashlib.sha256(held).hexdigest())
    return found


@asynccontextmanager
async def temporary_workspaces(
    files: Mapping[str, str | bytes], *, sandbox: Callable[[], Sandbox] = Unconfined
) -> AsyncGenerator[RunWorkspaces]:
    """The workspaces of a run that there is not, of a project that holds these files. All of it is removed.

    Args:
        files: by path.
        sandbox: what commands in workspaces run in; by default nothing confines them.
    """
    with _folder() as top:
        write_files(top / "project", files)
        async with RunWorkspaces(top / "run", "a-test", top / "project", sandbox=sandbox, home=top / "cache") as made:
            await made.open_base()
            yield made


@contextmanager
def _folder() -> Generator[Path]:
    """A folder that is removed whatever is in it."""
    top = Path(os.path.realpath(tempfile.mkdtemp(prefix="antiphon-test-")))
    try:
        for name in ("project", "run"):
            (top / name).mkdir()
        yield top
    finally:
        clear(top)


@asynccontextmanager
async def temporary_workspace(
    files: Mapping[str, str | bytes],
    *,
    sandbox: Callable[[], Sandbox] = Unconfined,
    name: str = "test",
    writable: bool = True,
) -> AsyncGenerator[LiveWorkspace]:
    """A workspace that holds these files, which are its base. All of it is removed.

    Args:
        files: by path.
        sandbox: what commands in it run in; by default nothing confines them.
        name: what it is called.
        writable: whether it may be changed.
    """
    async with temporary_workspaces(files, sandbox=sandbox) as workspaces:
        workspace = await workspaces.take(name, workspaces.base.tree, writes=writable)
        try:
            yield workspace
        finally:
            await workspaces.give_back(workspace)
