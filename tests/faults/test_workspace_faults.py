"""Workspaces when a process is killed, a disk is full, or Ctrl-C comes in the middle of writing."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from antiphon.engine import UsageError
from antiphon.subagents.sandbox import Unconfined
from antiphon.subagents.testing.workspaces import everything_in, git_repository, write_files
from antiphon.subagents.workspace import RunWorkspaces
from antiphon.subagents.workspace.leaked import Folder, clean_leaked
from antiphon.subagents.workspace.user_tree import Barred, File, Tree
from antiphon.subagents.workspace.writing import Write, write_all
from antiphon.tracing import LogFailed

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]
once = pytest.mark.parametrize("anyio_backend", ["asyncio"])
"""For what does not depend on the event loop."""

HOLDER = """
import sys, anyio
from pathlib import Path
from antiphon.subagents.sandbox import Unconfined
from antiphon.subagents.workspace import RunWorkspaces

async def main(top):
    async with RunWorkspaces(top / "run", "r", top / "project", sandbox=Unconfined, home=top / "cache") as run:
        await run.open_base()
        workspace = await run.take("w", run.base.tree, writes=True)
        (workspace.root / "half").write_text("written")
        print(workspace.root, flush=True)
        await anyio.sleep_forever()

anyio.run(main, Path(sys.argv[1]))
"""
WRITER = """
import os, signal, sys
from pathlib import Path
from antiphon.subagents.workspace import user_tree
from antiphon.subagents.workspace.user_tree import File
from antiphon.subagents.workspace.writing import Write, write_all

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may have it ignored
count, how = int(sys.argv[2]), sys.argv[3]
def cut(after, *arguments, _real=user_tree.Tree.put, **options):
    global count
    count -= 1
    if not count:
        os.kill(os.getpid(), getattr(signal, how))
    return _real(after, *arguments, **options)
user_tree.Tree.put = cut
new = [Write(f"f{n}".encode(), File("100644", b"old"), File("100644", b"new" * 1000)) for n in range(5)]
try:
    write_all(Path(sys.argv[1]), [*new, Write(b"deep/er/f", None, File("100644", b"added"))])
except KeyboardInterrupt:
    sys.exit(7)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return git_repository(tmp_path / "project", {"a.txt": "one\n", "b.txt": "two\n"})


def started(code: str, *arguments: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


# --- killed ---------------------------------------------------------------------------------------------------------


@once
async def test_what_a_killed_process_left_goes_at_the_next_start_of_any_run(tmp_path: Path, project: Path) -> None:
    before = everything_in(project)
    child = await anyio.to_thread.run_sync(started, HOLDER, str(tmp_path))
    assert child.stdout is not None
    root = Path((await anyio.to_thread.run_sync(child.stdout.readline)).strip())
    home = tmp_path / "cache"
    try:
        assert clean_leaked(home) == [], "its process lives"
        assert (root / "half").exists()
    finally:
        child.send_signal(signal.SIGKILL)
        await anyio.to_thread.run_sync(child.wait)
        child.stdout.close()
    (tmp_path / "other").mkdir()
    async with RunWorkspaces(tmp_path / "other", "r2", project, sandbox=Unconfined, home=home) as run:
        await run.open_base()
        assert not root.parent.exists()
    assert list(home.iterdir()) == []
    async with RunWorkspaces(tmp_path / "run", "r", project, sandbox=Unconfined, home=home) as run:
        base = await run.open_base()
        workspace = await run.take("w", base.tree, writes=True)
        assert workspace.root == root
        assert not (root / "half").exists()
        await run.give_back(workspace)
    assert everything_in(project) == before


KILLED = """
import os, signal
from antiphon.workflows.script import *
from antiphon.subagents.workspace import state_in, workspace_of
manifest = {"name": "killed", "roles": ["coder", "reader"]}

@function_agent("coder", version="1")
async def coder(task: str, ctx: CallContext) -> str:
    workspace = workspace_of(ctx)
    before = sorted(path.name for path in workspace.root.glob("*.txt"))
    if not state_in(ctx.turns):
        (workspace.root / "turn.txt").write_text("durable")
        await ctx.turn({"tree": await workspace.tree()})
        (workspace.root / "after.txt").write_text("lost")
        os.kill(os.getpid(), signal.SIGKILL)
    (workspace.root / "end.txt").write_text("")
    return " ".join(before)

@function_agent("reader", version="1")
async def reader(task: str, ctx: CallContext) -> str:
    return " ".join(sorted(path.name for path in workspace_of(ctx).root.glob("*.txt")))

async def main():
    first = await agent("look", role="reader", workspace="read")
    return [first, await agent("work", role="coder", workspace="w"), await agent("see", role="reader", workspace="w")]
"""


def test_a_killed_call_goes_on_with_its_files_as_they_were_at_its_last_turn(tmp_path: Path, project: Path) -> None:
    (project / "killed.py").write_text(KILLED)
    told = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    argv = [sys.executable, "-c", "import sys; from antiphon.workflows.cli import main; sys.exit(main())"]
    died = subprocess.run([*argv, "run", "killed.py"], cwd=project, env=told, capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL
    assert [path for path in (tmp_path / "cache/antiphon/workspaces").iterdir() if path.is_dir()]
    (project / "a.txt").unlink()
    resumed = [*argv, "resume", "last"]
    done = subprocess.run(resumed, cwd=project, env=told, capture_output=True, check=True, text=True)
    assert json.loads(done.stdout) == [
        "a.txt b.txt",
        "a.txt b.txt turn.txt",
        "a.txt b.txt end.txt turn.txt",
    ]
    assert list((tmp_path / "cache/antiphon/workspaces").iterdir()) == []
    applied = [*argv, "apply", "last", "--yes", "--json"]
    said = json.loads(subprocess.run(applied, cwd=project, env=told, capture_output=True, check=True).stdout)
    assert [file["path"] for file in said["files"]] == ["end.txt", "turn.txt"]
    assert (project / "turn.txt").read_text() == "durable"
    assert not (project / "a.txt").exists(), "what I deleted meanwhile stays so"


@once
async def test_cleaning_follows_no_link_and_touches_nobody_elses(tmp_path: Path) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    write_files(outside, {"keep": "mine"})
    held = Folder(home / "alive")
    write_files(home, {"dead/w/file": "", "file": "no folder"})
    (home / "dead" / "out").symlink_to(outside)
    (home / "link").symlink_to(outside)
    (home / "dead-too.lock").symlink_to(outside / "made")
    (home / "dead-too").mkdir()
    if not os.geteuid():
        write_files(home, {"theirs/x": ""})
        os.chown(home / "theirs", 12345, 12345)
    assert clean_leaked(home) == [home / "dead"]
    assert sorted(os.listdir(outside)) == ["keep"]
    assert (home / "alive").is_dir()
    assert os.geteuid() or (home / "theirs" / "x").exists()
    held.let_go()
    assert not (home / "alive").exists()
    assert clean_leaked(tmp_path / "nowhere") == []
    (tmp_path / "linked").symlink_to(home)
    (home / "dead").mkdir()
    assert clean_leaked(tmp_path / "linked") == []


@once
async def test_a_cache_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("giving a folder away takes root")
    (tmp_path / "cache").mkdir()
    os.chown(tmp_path / "cache", 12345, 12345)
    with pytest.raises(UsageError, match="not a folder of yours"):
        Folder(tmp_path / "cache" / "run")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be made"):
        Folder(tmp_path / "file" / "below" / "run")


# --- a full disk ----------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 600 kB, where the system lets us mount one."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(place)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system takes root")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


async def begin(run: RunWorkspaces) -> None:
    await run.open_base()
    await run.take("w", run.base.tree, writes=True)


@pytest.mark.parametrize("full", ["run", "cache"])
async def test_a_full_disk_ends_the_run_as_a_full_log_does(
    tmp_path: Path, project: Path, small_disk: Path, full: str
) -> None:
    place = small_disk if full == "run" else tmp_path / "run"
    home = small_disk / "cache" if full == "cache" else tmp_path / "cache"
    (project / "large").write_bytes(os.urandom(900_000))
    before = everything_in(project)
    async with RunWorkspaces(place, "r", project, sandbox=Unconfined, home=home) as run:
        with pytest.raises(LogFailed, match="No space left") as caught:
            await begin(run)
        assert caught.value.exit_code == 74
        await anyio.run_process(["mount", "-o", "remount,size=16m", str(small_disk)])
        await run.open_base()
        workspace = await run.take("w", run.base.tree, writes=True)
        assert (workspace.root / "large").stat().st_size == 900_000
        await run.give_back(workspace)
    assert everything_in(project) == before


def test_applying_on_a_full_disk_changes_nothing(small_disk: Path) -> None:
    write_files(small_disk, {"a": "old", "b": "old"})
    before = everything_in(small_disk)
    writes = [
        Write(b"a", File("100644", b"old"), File("100644", b"new")),
        Write(b"b", File("100644", b"old"), File("100644", os.urandom(900_000))),
        Write(b"c/d", None, File("100644", b"new")),
    ]
    with pytest.raises(OSError, match="No space left") as caught:
        write_all(small_disk, writes)
    assert caught.value.errno == errno.ENOSPC
    assert everything_in(small_disk) == before


# --- in the middle of writing ---------------------------------------------------------------------------------------


def test_a_killed_apply_leaves_whole_files_and_can_be_done_again(tmp_path: Path) -> None:
    root = tmp_path / "p"
    write_files(root, {f"f{number}": "old" for number in range(5)})
    child = subprocess.run([sys.executable, "-c", WRITER, str(root), "4", "SIGKILL"], check=False)
    assert child.returncode == -signal.SIGKILL
    contents = [(root / f"f{number}").read_text() for number in range(5)]
    assert set(contents) <= {"old", "new" * 1000}
    assert contents.count("old") == 3
    left = [Write(f"f{n}".encode(), File("100644", b"old"), File("100644", b"new")) for n in range(5)]
    write_all(root, [write for write, text in zip(left, contents, strict=True) if text == "old"])
    assert not [name for name in os.listdir(root) if name.startswith(".")], "what it left beside them is gone"


def test_ctrl_c_in_the_middle_takes_all_of_it_back(tmp_path: Path) -> None:
    root = tmp_path / "p"
    write_files(root, {f"f{number}": "old" for number in range(5)})
    before = everything_in(root)
    child = subprocess.run([sys.executable, "-c", WRITER, str(root), "5", "SIGINT"], check=False)
    assert child.returncode == 7
    assert everything_in(root) == before


def test_a_file_that_changes_at_the_last_moment_takes_all_of_it_back(tmp_path: Path) -> None:
    write_files(tmp_path, {"a": "old", "b": "changed just now", "gone/deep/x": "old", "dir": "file"})
    (tmp_path / "a").chmod(0o640)
    before = everything_in(tmp_path)
    writes: Sequence[Write] = (
        Write(b"a", File("100644", b"old"), File("100755", b"new")),
        Write(b"gone/deep/x", File("100644", b"old"), None),
        Write(b"dir", File("100644", b"file"), None),
        Write(b"dir/x/y", None, File("100644", b"new")),
        Write(b"b", File("100644", b"old"), File("100644", b"new")),
    )
    with pytest.raises(Barred, match="changed just now"):
        write_all(tmp_path, writes)
    assert everything_in(tmp_path) == before
    write_all(tmp_path, writes[:-1])
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "dir/x/y").read_text() == "new"
    assert not (tmp_path / "gone").exists()
    with Tree(tmp_path) as tree:
        assert tree.look(b"gone/deep/x") is None


def test_a_file_that_cannot_be_taken_back_keeps_no_other_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path, {"a": "old", "z": "changed just now"})

    def put(tree: Tree, stage: int, file: str, path: bytes, made: list[bytes], real: Any = Tree.put) -> None:
        real(tree, stage, file, path, made)
        if path == b"new":  # somebody else is faster
            (tmp_path / "new").unlink()
            write_files(tmp_path, {"new/x": "theirs"})

    monkeypatch.setattr(Tree, "put", put)
    writes = (
        Write(b"a", File("100644", b"old"), File("100644", b"mine")),
        Write(b"new", None, File("100644", b"mine")),
        Write(b"z", File("100644", b"old"), File("100644", b"mine")),
    )
    with pytest.raises(Barred, match="changed just now"):
        write_all(tmp_path, writes)
    assert [(tmp_path / name).read_text() for name in ("a", "new/x", "z")] == ["old", "theirs", "changed just now"]
