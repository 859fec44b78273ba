"""Workspaces: their states, what they begin as, who may work in one, and what is left of them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import anyio
import pytest

from antiphon.engine import CallContext, UsageError
from antiphon.subagents.sandbox import Sandbox, SandboxUnusable, Unconfined
from antiphon.subagents.testing.workspaces import (
    everything_in,
    git_repository,
    run_git,
    temporary_workspace,
    temporary_workspaces,
    write_files,
)
from antiphon.subagents.workspace import READ, Base, RunWorkspaces
from antiphon.subagents.workspace.applying import plan_patch
from antiphon.subagents.workspace.lent import LiveWorkspace
from antiphon.subagents.workspace.worktree import clear
from antiphon.subagents.workspace.writing import write_all
from antiphon.tracing import Json

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

once = pytest.mark.parametrize("anyio_backend", ["asyncio"])
"""For what does not depend on the event loop."""
FILES = {"a.txt": "one\ntwo\n", "pkg/b.py": "x = 1\n", ".gitignore": "*.log\n"}


@dataclass
class Ctx:
    """What a workspace needs of a call's context."""

    turns: tuple[Json, ...] = ()
    visible: Mapping[str, Json] = field(default_factory=dict[str, Json])
    left: Json = None
    workspace: object | None = None

    def context(self) -> CallContext:
        return cast("CallContext", self)


def workspaces_of(tmp_path: Path, project: Path, base: Base | None = None, run_id: str = "r-1") -> RunWorkspaces:
    place = tmp_path / "run"
    place.mkdir(exist_ok=True)
    return RunWorkspaces(place, run_id, project, sandbox=Unconfined, base=base, home=tmp_path / "cache")


def names_in(folder: Path) -> list[str]:
    files = (path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    return sorted(str(path.relative_to(folder)) for path in files if ".git" not in path.relative_to(folder).parts)


async def held(run: RunWorkspaces, name: str, ctx: Ctx | None = None, **files: str) -> Ctx:
    """One call that writes some files."""
    ctx = ctx or Ctx()
    async with run.holding(name, ctx.context(), writes=True) as workspace:
        write_files(workspace.root, files)
    return ctx


def tree_left(ctx: Ctx) -> str:
    assert isinstance(ctx.left, Mapping)
    return str(ctx.left["tree"])


# --- states -----------------------------------------------------------------------------------------------------------


async def test_a_state_is_what_the_files_are_and_can_be_had_again() -> None:
    async with temporary_workspace(FILES) as workspace:
        before = await workspace.tree()
        assert before == workspace.base.tree
        (workspace.root / "a.txt").write_text("one\nTWO\n")
        (workspace.root / "pkg" / "b.py").unlink()
        (workspace.root / "new").mkdir()
        (workspace.root / "new" / "c").write_bytes(b"\0\xff\r\n")
        (workspace.root / "x.log").write_text("ignored")
        after = await workspace.tree()
        changed = [(change.path, change.kind) for change in await workspace.changed()]
        assert changed == [("a.txt", "changed"), ("new/c", "added"), ("pkg/b.py", "deleted")]
        await workspace.restore(before)
        assert names_in(workspace.root) == [".gitignore", "a.txt", "pkg/b.py", "x.log"]
        assert await workspace.tree() == before
        await workspace.restore(after)
        assert (workspace.root / "new" / "c").read_bytes() == b"\0\xff\r\n"
        assert await workspace.tree() == after
        assert await workspace.content("a.txt", before) == b"one\ntwo\n"
        assert await workspace.content("a.txt", after) == b"one\nTWO\n"
        assert await workspace.content("pkg/b.py", after) is None
        assert await workspace.content("pkg", before) is None


@once
async def test_the_diff_is_a_patch_that_git_applies(tmp_path: Path) -> None:
    plain = git_repository(tmp_path / "plain", FILES)
    async with temporary_workspace(FILES) as workspace:
        (workspace.root / "a.txt").write_text("one\nTWO")
        (workspace.root / "bin").write_bytes(bytes(range(256)))
        (workspace.root / "run.sh").write_text("#!/bin/sh\n")
        (workspace.root / "run.sh").chmod(0o755)
        (workspace.root / "link").symlink_to("a.txt")
        patch = tmp_path / "patch"
        patch.write_text(await workspace.diff())
        run_git(plain, "apply", "--binary", str(patch))
        for name in ("a.txt", "bin", "run.sh"):
            assert (plain / name).read_bytes() == (workspace.root / name).read_bytes()
        assert os.access(plain / "run.sh", os.X_OK)
        assert os.readlink(plain / "link") == "a.txt"
        assert await workspace.diff(paths=["bin"]) != await workspace.diff()


@once
async def test_a_file_changed_in_the_same_moment_with_the_same_length_is_seen() -> None:
    async with temporary_workspace({"a": "1"}) as workspace:
        seen = {await workspace.tree()}
        for text in "23456789":
            (workspace.root / "a").write_text(text)
            seen.add(await workspace.tree())
        assert len(seen) == 9


@once
@pytest.mark.parametrize("order", ["file first", "folder first"])
async def test_a_file_in_the_place_of_a_folder_and_back(order: str) -> None:
    file, folder = {"x": "file", "y": ""}, {"x/a": "1", "x/b/c": "2", "y": ""}
    begin, end = (file, folder) if order == "file first" else (folder, file)
    async with temporary_workspace(begin) as workspace:
        before = await workspace.tree()
        if order == "file first":
            (workspace.root / "x").unlink()
        else:
            for path in ("x/a", "x/b/c"):
                (workspace.root / path).unlink()
            (workspace.root / "x/b").rmdir()
            (workspace.root / "x").rmdir()
        write_files(workspace.root, end)
        after = await workspace.tree()
        await workspace.restore(before)
        assert names_in(workspace.root) == sorted(begin)
        await workspace.restore(after)
        assert names_in(workspace.root) == sorted(end)


async def test_what_is_no_state_of_the_run_is_refused() -> None:
    async with temporary_workspace(FILES) as workspace:
        for tree in ("HEAD", "--help", "0" * 40, "refs/antiphon/base", "abc"):
            with pytest.raises(UsageError, match="no state"):
                await workspace.restore(tree)
            with pytest.raises(UsageError, match="no state"):
                await workspace.diff(until=tree)


@once
async def test_programs_in_it_see_a_repository_with_the_history(tmp_path: Path) -> None:
    project = git_repository(tmp_path / "project", FILES)
    (project / "a.txt").write_text("one\ntwo\nthree\n")
    async with workspaces_of(tmp_path, project) as run, run.holding("w", Ctx().context(), writes=True) as workspace:
        log = run_git(workspace.root, "log", "--format=%an %s").splitlines()
        assert log == ["antiphon The project as antiphon found it", "A Person first"]
        assert run_git(workspace.root, "status", "--short") == ""
        blamed = run_git(workspace.root, "blame", "-p", "a.txt")
        assert ("author A Person" in blamed, "author antiphon" in blamed) == (True, True)
        assert Path(run_git(workspace.root, "rev-parse", "--git-common-dir")) in workspace.repository


@once
async def test_a_clean_project_begins_at_the_users_own_commit(tmp_path: Path) -> None:
    project = git_repository(tmp_path / "project", FILES)
    async with workspaces_of(tmp_path, project) as run, run.holding("w", Ctx().context(), writes=True) as workspace:
        assert run_git(workspace.root, "rev-parse", "HEAD") == run_git(project, "rev-parse", "HEAD") == run.base.head


# --- the base ---------------------------------------------------------------------------------------------------------


@once
async def test_the_base_is_the_project_as_it_is_now(tmp_path: Path) -> None:
    project = git_repository(tmp_path / "project", {**FILES, "kept.log": "tracked", "gone": "", "staged": "1"})
    run_git(project, "add", "-f", "kept.log")
    run_git(project, "commit", "-q", "-m", "kept")
    (project / "a.txt").write_text("uncommitted")
    (project / "untracked").write_text("")
    (project / "x.log").write_text("ignored")
    (project / "gone").unlink()
    (project / "staged").write_text("2")
    run_git(project, "add", "staged")
    write_files(project, {".antiphon/runs/r/run.db": "ours", "sub/.antiphon/x": "ours"})
    (project / ".git/info/exclude").write_text("secret\n")
    (project / "secret").write_text("")
    before = everything_in(project)
    async with workspaces_of(tmp_path, project) as run, run.holding("w", Ctx().context(), writes=True) as workspace:
        expected = [".gitignore", "a.txt", "kept.log", "pkg/b.py", "staged", "untracked"]
        assert names_in(workspace.root) == expected
        assert (workspace.root / "a.txt").read_text() == "uncommitted"
        assert (workspace.root / "staged").read_text() == "2"
        assert run.base.root == project
        assert run.base.notes == ()
    assert everything_in(project) == before


@once
async def test_a_folder_that_is_no_repository(tmp_path: Path) -> None:
    project = tmp_path / "project"
    write_files(project, FILES)
    async with workspaces_of(tmp_path, project) as run:
        ctx = await held(run, "w", c="new")
        assert run.base.head == ""
        [patch] = await run.patches()
        assert (patch.name, [change.path for change in patch.files], patch.tree) == ("w", ["c"], tree_left(ctx))
        assert b"+new" in patch.diff


@once
async def test_the_runs_directory_in_the_project_is_no_part_of_it(tmp_path: Path) -> None:
    project = tmp_path / "project"
    write_files(project, {**FILES, "runs/old/x": "", "run/x": ""})
    for place, others in ((project / "runs" / "new", ["run/x"]), (project / "new", ["run/x", "runs/old/x"])):
        place.mkdir()
        run = RunWorkspaces(place, "r", project, sandbox=Unconfined, home=project / "cache")
        async with run, run.holding(READ, Ctx().context(), writes=False) as workspace:
            assert names_in(workspace.root) == [".gitignore", "a.txt", "pkg/b.py", *others]
        clear(place)


@once
async def test_a_folder_of_a_repository_keeps_the_rules_of_those_above(tmp_path: Path) -> None:
    top = git_repository(tmp_path / "top", {".gitignore": "*.tmp\n/sub/only\nother/x\n", "sub/a": "1", "b": "2"})
    write_files(top / "sub", {"x.tmp": "", "only": "", "other/x": "", "deep/y.tmp": ""})
    async with (
        workspaces_of(tmp_path, top / "sub") as run,
        run.holding(READ, Ctx().context(), writes=True) as workspace,
    ):
        assert names_in(workspace.root) == ["a", "other/x"]
        assert any("folder of a repository" in note for note in run.base.notes)


@once
@pytest.mark.parametrize("sort", ["worktree", "submodule", "separate", "alternates", "sha256", "shallow", "bare"])
async def test_wherever_the_users_objects_are(sort: str, tmp_path: Path) -> None:
    project = made(tmp_path, sort)
    before, size = everything_in(tmp_path / "made"), len(list((tmp_path / "made").rglob("objects/??/*")))
    async with workspaces_of(tmp_path, project) as run, run.holding("w", Ctx().context(), writes=True) as workspace:
        assert (workspace.root / "a.txt").read_text() == "one\ntwo\n"
        assert "first" in run_git(workspace.root, "log", "--format=%s").splitlines()
        (workspace.root / "a.txt").write_text("changed")
        assert "changed" in await workspace.diff()
        blobs = [file for file in (tmp_path / "run/workspaces.git/objects").rglob("??/*") if file.is_file()]
        assert len(blobs) <= 3, "what the user's repository has is not copied"
    assert size
    assert everything_in(tmp_path / "made") == before


def made(tmp_path: Path, sort: str) -> Path:
    """A project whose repository lies elsewhere than usual."""
    top = tmp_path / "made"
    top.mkdir()
    match sort:
        case "sha256":
            (top / "p").mkdir()
            try:
                run_git(top / "p", "init", "-q", "--object-format=sha256")
            except subprocess.CalledProcessError:
                pytest.skip("this git knows no sha256")
            return git_repository(top / "p", FILES)
        case "separate":
            run_git(top, "init", "-q", "--separate-git-dir", str(top / "elsewhere"), str(top / "p"))
            return git_repository(top / "p", FILES)
        case _:
            pass
    origin = git_repository(top / "origin", FILES)
    match sort:
        case "worktree":
            run_git(origin, "worktree", "add", "-q", str(top / "p"))
        case "submodule":
            outer = git_repository(top / "outer", {"x": ""})
            run_git(outer, "submodule", "--quiet", "add", str(origin), "p")
            return outer / "p"
        case "alternates":
            run_git(top, "clone", "-q", "--shared", str(origin), str(top / "p"))
        case "shallow":
            run_git(origin, "commit", "-q", "--allow-empty", "-m", "second")
            run_git(origin, "commit", "-q", "--allow-empty", "-m", "first again")
            run_git(origin, "commit", "-q", "--allow-empty", "--amend", "-m", "first")
            run_git(top, "clone", "-q", "--depth", "1", f"file://{origin}", str(top / "p"))
        case _:
            run_git(top, "clone", "-q", "--bare", str(origin), str(top / "p"))
    return top / "p"


@once
async def test_too_much_is_refused_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    write_files(project, {"a": "1", "b": "2", "c": "123456"})
    with monkeypatch.context() as small:
        small.setattr("antiphon.subagents.workspace.snapshot.MOST_FILES", 2)
        async with workspaces_of(tmp_path, project) as run:
            with pytest.raises(UsageError, match="3 files") as caught:
                await run.open_base()
            assert ".gitignore" in str(caught.value.advice)
    with monkeypatch.context() as small:
        small.setattr("antiphon.subagents.workspace.snapshot.MOST_BYTES", 4)
        async with workspaces_of(tmp_path, project) as run:
            with pytest.raises(UsageError, match="GiB"):
                await run.open_base()
    monkeypatch.setattr("antiphon.subagents.workspace.snapshot.LARGEST_BYTES", 4)
    async with workspaces_of(tmp_path, project) as run:
        assert (await run.open_base()).notes == ("c: it is too large: 6 bytes, and the limit is 4",)


@once
async def test_without_git_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    write_files(project, {"bin/git": "#!/bin/sh\ntouch /tmp/never\n", "a": ""})
    (project / "bin/git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{project / 'bin'}:bin:.")
    async with workspaces_of(tmp_path, project) as run:
        with pytest.raises(UsageError, match="git, which is not installed") as caught:
            await run.open_base()
        assert "install git" in str(caught.value.advice)
    old = tmp_path / "old"
    write_files(old, {"git": "#!/bin/sh\necho git version 2.20.1\n"})
    (old / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(old))
    async with workspaces_of(tmp_path, project) as run:
        with pytest.raises(UsageError, match=r"2\.25 or newer"):
            await run.open_base()


@once
async def test_without_a_sandbox_files_can_still_be_worked_on(tmp_path: Path) -> None:
    def none() -> Sandbox:
        raise SandboxUnusable("bubblewrap", "there is none here", "install it")

    write_files(tmp_path / "project", {**FILES, ".antiphon-apply-1234/old-1": "of a killed apply"})
    (tmp_path / "run").mkdir()
    run = RunWorkspaces(tmp_path / "run", "r", tmp_path / "project", sandbox=none, home=tmp_path / "cache")
    async with run, run.holding("w", Ctx().context(), writes=True) as workspace:
        assert names_in(workspace.root) == sorted(FILES)
        with pytest.raises(SandboxUnusable):
            _ = workspace.sandbox


# --- who works in it --------------------------------------------------------------------------------------------------


async def test_what_a_call_leaves_is_what_the_next_one_begins_with(tmp_path: Path) -> None:
    write_files(tmp_path / "project", FILES)
    async with workspaces_of(tmp_path, tmp_path / "project") as run:
        assert run.seen("w") == {"workspace": "w", "tree": ""}
        first = await held(run, "w", b="1")
        assert run.seen("w") == first.left == {"workspace": "w", "tree": run.tree_of("w")}
        assert first.workspace is None
        async with run.holding("w", Ctx().context(), writes=True) as workspace:
            assert (workspace.root / "b").read_text() == "1"
        async with run.holding("other", Ctx().context(), writes=True) as workspace:
            assert not (workspace.root / "b").exists()
        run.put("fork", tree_left(first))
        async with run.holding("fork", Ctx().context(), writes=False) as workspace:
            assert (workspace.root / "b").read_text() == "1"
            assert not workspace.writable


async def failing(run: RunWorkspaces, ctx: Ctx) -> None:
    async with run.holding("w", ctx.context(), writes=True) as workspace:
        (workspace.root / "b").write_text("1")
        raise ZeroDivisionError


async def test_a_call_that_failed_leaves_its_changes(tmp_path: Path) -> None:
    write_files(tmp_path / "project", FILES)
    ctx = Ctx()
    async with workspaces_of(tmp_path, tmp_path / "project") as run:
        with pytest.raises(ZeroDivisionError):
            await failing(run, ctx)
        assert ctx.left == run.seen("w")
        assert run.names == ["w"]


async def test_folders_in_which_nobody_works_are_not_kept_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("antiphon.subagents.workspace.live.MOST_IDLE", 2)
    write_files(tmp_path / "project", FILES)
    async with workspaces_of(tmp_path, tmp_path / "project") as run:
        look = await run.at("look", (await run.open_base()).tree)
        for number in range(5):
            await held(run, f"w{number}", b=str(number))
        folders = {folder.name for folder in look.root.parent.iterdir()}
        assert folders == {"read", "w2", "w3", "w4"}
        async with run.holding("w0", Ctx().context(), writes=True) as workspace:
            assert (workspace.root / "b").read_text() == "0"


async def test_a_run_goes_on_in_the_project_and_not_where_its_record_says(tmp_path: Path) -> None:
    write_files(tmp_path / "project", FILES)
    async with workspaces_of(tmp_path, tmp_path / "project") as run:
        base = await run.open_base()
    (tmp_path / "project").rename(tmp_path / "moved")
    async with workspaces_of(tmp_path, tmp_path / "moved", base) as run:
        assert (await run.open_base()).root == tmp_path / "moved"


async def test_a_file_that_grew_too_large_stays_as_it_was_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path / "project", FILES)
    ctx = Ctx()
    async with workspaces_of(tmp_path, tmp_path / "project") as run:
        async with run.holding("w", ctx.context(), writes=True) as workspace:
            monkeypatch.setattr("antiphon.subagents.workspace.snapshot.LARGEST_BYTES", 1_000)
            write_files(workspace.root, {"a.txt": "x" * 2_000, "new": "1"})
            assert [change.path for change in await workspace.changed()] == ["new"]
        assert "a.txt: it is too large" in str(ctx.left)
        assert run.names == ["w"]


async def test_a_cancelled_call_says_what_it_left_and_the_next_begins_as_it_did(tmp_path: Path) -> None:
    write_files(tmp_path / "project", FILES)
    ctx = Ctx()
    async with workspaces_of(tmp_path, tmp_path / "project") as run:
        with anyio.CancelScope() as scope:
            async with run.holding("w", ctx.context(), writes=True) as workspace:
                write_files(workspace.root, {"b": "1"})
                scope.cancel()
                await anyio.sleep_forever()
        assert tree_left(ctx) != run.base.tree
        assert run.seen("w") == {"workspace": "w", "tree": ""}
        async with run.holding("w", Ctx().context(), writes=True) as workspace:
            assert not (workspace.root / "b").exists()
        run.replayed(ctx.left)  # as the engine does where its outcome holds: it timed out
        async with run.holding("w", Ctx().context(), writes=True) as workspace:
            assert (workspace.root / "b").exists()


async def test_a_call_goes_on_from_the_state_of_its_last_turn(tmp_path: Path) -> None:
    write_files(tmp_path / "project", FILES)
    async with workspaces_of(tmp_path, tmp_path / "project") as run:
        cut_off = await held(run, "elsewhere", b="half")
        turns: tuple[Json, ...] = ({"turn": "tools", "tree": tree_left(cut_off)}, {"turn": "answer"})
        async with run.holding("w", Ctx(turns=turns).context(), writes=True) as workspace:
            assert (workspace.root / "b").read_text() == "half"
        async with run.holding("x", Ctx(turns=({"tree": "f" * 40},)).context(), writes=False) as workspace:
            assert not (workspace.root / "b").exists(), "a call that only looks has changed nothing"
        with pytest.raises(UsageError, match="no state"):
            async with run.holding("y", Ctx(turns=({"tree": "f" * 40},)).context(), writes=True):
                pass


@pytest.mark.parametrize(("first", "second"), [(True, True), (True, False), (False, True)])
async def test_two_at_once_of_which_one_writes_are_refused(tmp_path: Path, first: bool, second: bool) -> None:
    write_files(tmp_path / "project", FILES)
    async with workspaces_of(tmp_path, tmp_path / "project") as run:
        async with run.holding("w", Ctx().context(), writes=first):
            with pytest.raises(UsageError, match="two calls work in the workspace 'w' at once") as caught:
                async with run.holding("w", Ctx().context(), writes=second):
                    pass
            assert "w-1" in str(caught.value.advice)
        async with run.holding("w", Ctx().context(), writes=second):
            pass


async def test_who_waited_while_another_changed_it_is_refused(tmp_path: Path) -> None:
    write_files(tmp_path / "project", FILES)
    async with workspaces_of(tmp_path, tmp_path / "project") as run:
        late = Ctx(visible={"version": "1", "workspace": run.seen("w")})
        await held(run, "w", b="1")
        with pytest.raises(UsageError, match="was changed by another call"):
            await held(run, "w", late, c="2")


async def test_any_number_read_at_once(tmp_path: Path) -> None:
    write_files(tmp_path / "project", FILES)
    roots: set[Path] = set()
    together = anyio.Event()

    async def look(run: RunWorkspaces) -> None:
        ctx = Ctx()
        async with run.holding(READ, ctx.context(), writes=True) as workspace:
            roots.add(workspace.root)
            counted.append(workspace)
            if len(counted) == 8:
                together.set()
            await together.wait()
            assert not workspace.writable
            assert (workspace.root / "a.txt").exists()
            with pytest.raises(UsageError):
                await workspace.restore(workspace.base.tree)
        assert ctx.left is None

    counted: list[LiveWorkspace] = []
    async with workspaces_of(tmp_path, tmp_path / "project") as run, anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(look, run)
    assert len(roots) == 1


@once
async def test_names_are_held_to_their_form(tmp_path: Path) -> None:
    write_files(tmp_path / "project", FILES)
    async with workspaces_of(tmp_path, tmp_path / "project") as run:
        for name in ("", ".", "..", "a/b", ".git", "a..b", "-x", "x.lock", "x" * 65, "ä", "a b", "x."):
            with pytest.raises(UsageError, match="cannot be the name"):
                run.seen(name)
        for left in (None, 3, {"workspace": "w"}, {"tree": "x"}, {"workspace": READ, "tree": "x"}, "text"):
            run.replayed(cast("Json", left))
        with pytest.raises(UsageError):
            run.put(READ, "0" * 40)
        await held(run, "Name", b="upper")
        await held(run, "name", b="lower")
        assert run.names == ["Name", "name"]


async def test_any_state_can_be_looked_at(tmp_path: Path) -> None:
    write_files(tmp_path / "project", FILES)
    async with workspaces_of(tmp_path, tmp_path / "project") as run:
        ctx = await held(run, "w", b="1")
        look = await run.at("look", tree_left(ctx))
        assert (look.root / "b").read_text() == "1"
        assert (look.writable, await look.tree()) == (False, tree_left(ctx))
        assert not ((await run.at("look", run.base.tree)).root / "b").exists()
        with pytest.raises(UsageError):
            await run.at("look", "0" * 40)


@once
async def test_every_kind_of_change_comes_out_and_goes_into_the_project(tmp_path: Path) -> None:
    project = git_repository(
        tmp_path / "project", {**FILES, "tool": "#!/bin/sh\n", "bin": bytes(range(256)) * 9, "l": ""}
    )
    (project / "l").unlink()
    (project / "l").symlink_to("a.txt")
    async with workspaces_of(tmp_path, project) as run:
        ctx = Ctx()
        async with run.holding("w", ctx.context(), writes=True) as workspace:
            root = workspace.root
            (root / "tool").chmod(0o755)
            (root / "bin").write_bytes(b"\0" + os.urandom(5000))
            (root / "l").unlink()
            (root / "l").symlink_to("pkg/b.py")
            (root / "a.txt").unlink()
            (root / "a.txt").symlink_to("tool")
            write_files(root, {"empty": b"", "no end": b"x", "deep/er/f": b"\r\n\0"})
            expected = {name: held for name, held in everything_in(root).items() if ".git" not in name}
        [patch] = await run.patches()
        plan = plan_patch(patch.diff, run.base, tmp_path / "run")
        assert not plan.refused
        write_all(project, plan.writes)
        assert {name: held for name, held in everything_in(project).items() if ".git" not in name} == expected
        again = plan_patch(patch.diff, run.base, tmp_path / "run")
        assert (again.writes, len(again.done)) == ((), len(patch.files))


# --- resume, and what is left -----------------------------------------------------------------------------------------


async def test_an_attempt_goes_on_in_the_same_folders_with_the_same_states(tmp_path: Path) -> None:
    project = git_repository(tmp_path / "project", FILES)
    begun: list[Base] = []
    run = RunWorkspaces(tmp_path, "r-1", project, sandbox=Unconfined, begun=begun.append, home=tmp_path / "cache")
    async with run:
        ctx = Ctx()
        async with run.holding("w", ctx.context(), writes=True) as workspace:
            root = workspace.root
            write_files(root, {"b": "1", "x.log": "ignored"})
    assert not root.exists()
    assert list((tmp_path / "cache").iterdir()) == []
    write_files(project, {"a.txt": "changed meanwhile"})
    run_git(project, "commit", "-qam", "meanwhile")
    again = RunWorkspaces(
        tmp_path, "r-1", project, sandbox=Unconfined, base=begun[0], begun=begun.append, home=tmp_path / "cache"
    )
    async with again:
        again.replayed(ctx.left)
        async with again.holding("w", Ctx().context(), writes=True) as workspace:
            assert workspace.root == root
            assert (root / "b").read_text() == "1"
            assert (root / "a.txt").read_text() == FILES["a.txt"]
            assert not (root / "x.log").exists()
        assert [patch.name for patch in await again.patches()] == ["w"]
    assert len(begun) == 1


async def test_a_run_goes_on_in_one_process_at_a_time(tmp_path: Path) -> None:
    write_files(tmp_path / "project", FILES)
    async with workspaces_of(tmp_path, tmp_path / "project") as one:
        await one.open_base()
        workspace = await one.take("w", one.base.tree, writes=True)
        async with workspaces_of(tmp_path, tmp_path / "project", one.base) as two:
            with pytest.raises(UsageError, match="another process"):
                await two.open_base()
        write_files(workspace.root, {"b": "1"})
        assert await one.give_back(workspace) != one.base.tree


@once
async def test_folders_are_this_users_alone_and_go_whatever_is_in_them(tmp_path: Path) -> None:
    write_files(tmp_path / "project", FILES)
    async with workspaces_of(tmp_path, tmp_path / "project") as run:
        async with run.holding("w", Ctx().context(), writes=True) as workspace:
            for folder in (workspace.root.parent, workspace.root.parent.parent):
                assert folder.stat().st_mode & 0o777 == 0o700
            write_files(workspace.root, {"closed/deep/x": "", "ro/y": ""})
            (workspace.root / "out").symlink_to(tmp_path / "project")
            (workspace.root / "ro").chmod(0o500)
            (workspace.root / "closed" / "deep").chmod(0o000)
            (workspace.root / "closed").chmod(0o000)
        root = workspace.root
    assert not root.exists()
    assert names_in(tmp_path / "project") == sorted(FILES)


@once
async def test_one_more_workspace_copies_no_objects(tmp_path: Path) -> None:
    async with temporary_workspaces({f"{n}.txt": str(n) * 1000 for n in range(50)}) as run:
        await held(run, "one", more="1")
        store = run.store.directory / "objects"
        before = sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
        await held(run, "two", more="2")
        after = sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
        assert after - before < 4000
