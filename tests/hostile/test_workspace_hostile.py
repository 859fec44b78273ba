"""Workspaces of hostile projects, in hostile run directories, changed by hostile programs: nothing of theirs runs.

Every trap is first shown to work on a git that is not careful, where it is one that git walks into.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from antiphon.engine import UsageError
from antiphon.subagents.process import Completed, run_command
from antiphon.subagents.sandbox import Confinement, SandboxUnusable, Unconfined, choose
from antiphon.subagents.testing.workspaces import everything_in, git_repository, run_git, write_files
from antiphon.subagents.workspace import Base, GitFailed, RunWorkspaces
from antiphon.subagents.workspace.applying import Plan, plan_patch
from antiphon.subagents.workspace.lent import LiveWorkspace
from antiphon.subagents.workspace.writing import write_all

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

FILES: dict[str, str | bytes] = {"a.txt": "one\ntwo\nthree\n", "pkg/b.py": "x = 1\n", "big.bin": bytes(range(256)) * 4}
HOOKS = (
    "pre-commit",
    "post-checkout",
    "post-index-change",
    "reference-transaction",
    "post-commit",
    "fsmonitor-watchman",
)
anyio_backend = pytest.fixture(lambda: "asyncio", name="anyio_backend")
"""What is shown here does not depend on the event loop."""


@dataclass
class Ground:
    """A project, a run, and a program that leaves a mark."""

    top: Path
    project: Path = field(init=False)
    place: Path = field(init=False)
    evil: Path = field(init=False)

    def __post_init__(self) -> None:
        self.project, self.place, self.evil = self.top / "project", self.top / "run", self.top / "evil.sh"
        self.place.mkdir()
        self.evil.write_text(f"#!/bin/sh\necho \"$0 $*\" >> '{self.mark}'\ncat\n")
        self.evil.chmod(0o755)
        self.repository()

    @property
    def mark(self) -> Path:
        return self.top / "MARK"

    def repository(self) -> None:
        git_repository(self.project, FILES)

    def config(self, *settings: str) -> None:
        for setting in settings:
            name, _, value = setting.partition("=")
            run_git(self.project, "config", "--local", name, value.replace("EVIL", str(self.evil)))

    def workspaces(self, base: Base | None = None) -> RunWorkspaces:
        return RunWorkspaces(self.place, "r", self.project, sandbox=Unconfined, base=base, home=self.top / "cache")

    def bites(self, *provoke: str) -> bool:
        """Whether a git that is not careful runs the program."""
        copy = self.top / "copy"
        shutil.copytree(self.project, copy, symlinks=True)
        with suppress(subprocess.CalledProcessError):
            write_files(copy, {"a.txt": "one\nchanged\n"})
            run_git(copy, *provoke)
        bitten = self.mark.exists()
        self.mark.unlink(missing_ok=True)
        shutil.rmtree(copy)
        return bitten


@pytest.fixture
def here(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


async def whole_life(here: Ground, base: Base | None = None) -> Plan:
    """All that is ever done with a workspace, up to its patch in the user's own tree."""
    async with here.workspaces(base) as run:
        await run.open_base()
        workspace = await run.take("w", run.base.tree, writes=True)
        await worked_in(workspace)
        tree = await run.give_back(workspace)
        run.put("w", tree)
        await run.at("look", tree)
        [patch] = await run.patches()
        plan = plan_patch(patch.diff, run.base, here.place)
    return plan


async def worked_in(workspace: LiveWorkspace) -> None:
    before = await workspace.tree()
    write_files(workspace.root, {"a.txt": "one\nTWO\nthree\n", "new/c.txt": "new\n"})
    after = await workspace.tree()
    await workspace.diff()
    await workspace.content("a.txt", after)
    await workspace.restore(before)
    await workspace.restore(after)
    git = workspace.git
    git("log", "--oneline", "-p", "--", "a.txt")
    git.run("blame", "a.txt")
    git.run("status")


# --- the user's repository is hostile -------------------------------------------------------------------------------


def hooks(here: Ground) -> None:
    for name in HOOKS:
        shutil.copy(here.evil, here.project / ".git" / "hooks" / name)
    here.config(f"core.hooksPath={here.project}/.git/hooks")


def fsmonitor(here: Ground) -> None:
    here.config("core.fsmonitor=EVIL", "core.untrackedCache=true")


def filters(here: Ground) -> None:
    write_files(here.project, {".gitattributes": "* filter=evil\n[attr]m filter=evil\n", "new.txt": "x"})
    here.config("filter.evil.clean=EVIL", "filter.evil.smudge=EVIL", "filter.evil.required=true")
    (here.project / ".git/info/attributes").write_text("* filter=evil\n")


def process_filter(here: Ground) -> None:
    write_files(here.project, {".gitattributes": "* filter=evil\n", "new.txt": "x"})
    here.config("filter.evil.process=EVIL")


def textconv(here: Ground) -> None:
    write_files(here.project, {".gitattributes": "* diff=evil\n"})
    here.config("diff.evil.textconv=EVIL")


def external_diff(here: Ground) -> None:
    write_files(here.project, {".gitattributes": "* diff=evil merge=evil\n"})
    here.config("diff.external=EVIL", "diff.evil.command=EVIL", "merge.evil.driver=EVIL")


def included(here: Ground) -> None:
    write_files(here.project, {"conf": f"[core]\n\tfsmonitor = {here.evil}\n[diff]\n\texternal = {here.evil}\n"})
    here.config(f"include.path={here.project}/conf", f"includeIf.gitdir:**.path={here.project}/conf")


def aliases(here: Ground) -> None:
    names = ("ls-files", "apply", "read-tree", "write-tree", "worktree", "cat-file", "diff-tree")
    here.config(*(f"alias.{name}=!EVIL" for name in names), "alias.st=!EVIL")


def transports(here: Ground) -> None:
    here.config("core.sshCommand=EVIL", "core.gitProxy=EVIL", "core.askPass=EVIL", "credential.helper=!EVIL")
    here.config(
        "gpg.program=EVIL", "commit.gpgSign=true", "log.showSignature=true", "core.pager=EVIL", "pager.log=EVIL"
    )
    here.config("core.editor=EVIL", "sequence.editor=EVIL", "remote.origin.url=ext::sh -c EVIL")


def promisor(here: Ground) -> None:
    """A partial clone: a content that is missing is fetched by a program that the configuration names."""
    here.config("core.repositoryFormatVersion=1", "extensions.partialClone=origin", "remote.origin.promisor=true")
    here.config(f"remote.origin.url={here.project}", "remote.origin.uploadpack=EVIL </dev/null #")
    name = run_git(here.project, "rev-parse", "HEAD:a.txt")
    (here.project / ".git/objects" / name[:2] / name[2:]).unlink()


def other_work_tree(here: Ground) -> None:
    write_files(here.top / "elsewhere", {"theirs": "x"})
    here.config(f"core.worktree={here.top / 'elsewhere'}", "core.fsmonitor=EVIL")


def worktree_config(here: Ground) -> None:
    here.config("core.repositoryFormatVersion=1", "extensions.worktreeConfig=true")
    (here.project / ".git/config.worktree").write_text(f"[core]\n\tfsmonitor = {here.evil}\n")


def common_directory(here: Ground) -> None:
    other = here.project / "common"
    shutil.copytree(here.project / ".git", other)
    (here.project / ".git/commondir").write_text("../common\n")
    (other / "config").write_text(f"[core]\n\trepositoryformatversion = 0\n\tfsmonitor = {here.evil}\n")


def pointer(here: Ground) -> None:
    (here.project / ".git").rename(here.project / "data")
    (here.project / "data/config").write_text(f"[core]\n\trepositoryformatversion = 0\n\tfsmonitor = {here.evil}\n")
    (here.project / ".git").write_text("gitdir: data\n")


def submodule(here: Ground) -> None:
    inner = git_repository(here.project / "sub", {"s.txt": "s\n"})
    run_git(inner, "config", "core.fsmonitor", str(here.evil))
    write_files(here.project, {".gitmodules": f'[submodule "s"]\n\tpath=sub\n\turl=ext::{here.evil}\n'})
    run_git(here.project, "-c", "core.fsmonitor=false", "add", "-A")
    write_files(inner, {"s.txt": "changed\n", "untracked": ""})


TRAPS: list[tuple[Callable[[Ground], None], tuple[str, ...]]] = [
    (hooks, ("commit", "-qam", "x")),
    (fsmonitor, ("status",)),
    (filters, ("add", "-A")),
    (process_filter, ("add", "-A")),
    (textconv, ("diff",)),
    (external_diff, ("diff",)),
    (included, ("status",)),
    (aliases, ("st",)),
    (transports, ("commit", "-qam", "x")),
    (promisor, ("cat-file", "-p", "HEAD:a.txt")),
    (other_work_tree, ("status",)),
    (worktree_config, ("status",)),
    (common_directory, ("status",)),
    (pointer, ("status",)),
    (submodule, ("status",)),
]


@pytest.mark.parametrize(("trap", "provoke"), TRAPS, ids=[trap.__name__ for trap, _ in TRAPS])
async def test_nothing_of_a_hostile_repository_runs_or_changes(
    here: Ground, trap: Callable[[Ground], None], provoke: tuple[str, ...]
) -> None:
    trap(here)
    assert here.bites(*provoke), "the trap must be one"
    before = everything_in(here.top)
    plan = await whole_life(here)
    assert not here.mark.exists()
    after = everything_in(here.top)
    assert {name: held for name, held in after.items() if not name.startswith(("run/", "cache"))} == {
        name: held for name, held in before.items() if not name.startswith(("run/", "cache"))
    }
    assert not plan.refused
    git_before = everything_in(here.project / ".git") if (here.project / ".git").is_dir() else {}
    write_all(here.project, plan.writes)
    assert (here.project / "a.txt").read_text() == "one\nTWO\nthree\n"
    assert (here.project / "new/c.txt").read_text() == "new\n"
    assert not here.mark.exists()
    assert git_before == (everything_in(here.project / ".git") if git_before else {})


async def test_the_environment_of_whoever_started_it_is_told_to_nobody(
    here: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = str(here.evil)
    told = {
        "GIT_DIR": str(here.top / "nowhere"), "GIT_WORK_TREE": "/", "GIT_INDEX_FILE": str(here.top / "index"),
        "GIT_EXTERNAL_DIFF": evil, "GIT_SSH_COMMAND": evil, "GIT_PAGER": evil, "GIT_EDITOR": evil,
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.fsmonitor", "GIT_CONFIG_VALUE_0": evil,
        "GIT_TRACE": str(here.top / "trace"), "GIT_TEMPLATE_DIR": str(here.top), "GIT_OBJECT_DIRECTORY": "/nowhere",
        "GIT_CONFIG_PARAMETERS": f"'core.fsmonitor'='{evil}'", "GIT_EXEC_PATH": str(here.top),
    }  # fmt: skip
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    plan = await whole_life(here)
    assert len(plan.writes) == 2
    assert not here.mark.exists()
    assert not (here.top / "trace").exists()


async def test_replaced_objects_and_grafts_of_the_user_are_not_believed(here: Ground) -> None:
    other = run_git(here.project, "commit-tree", "-m", "false history", "HEAD^{tree}")
    run_git(here.project, "replace", "HEAD", other)
    false = run_git(here.project, "hash-object", "-w", "--stdin")
    run_git(here.project, "replace", run_git(here.project, "rev-parse", "HEAD:a.txt"), false)
    assert "false history" in run_git(here.project, "log", "-1")
    async with here.workspaces() as run:
        await run.open_base()
        workspace = await run.take("w", run.base.tree, writes=True)
        assert b"false history" not in workspace.git("log", "-1")
        assert (workspace.root / "a.txt").read_text() == FILES["a.txt"]
        await run.give_back(workspace)


async def test_a_repository_of_another_user_is_read_all_the_same(here: Ground) -> None:
    if os.geteuid():
        pytest.skip("giving files away takes root")
    for path in (here.project, *here.project.rglob("*")):
        os.lchown(path, 12345, 12345)
    with pytest.raises(subprocess.CalledProcessError, match="128"):
        run_git(here.project, "-c", "safe.directory=", "status")
    plan = await whole_life(here)
    write_all(here.project, plan.writes)
    assert (here.project / "a.txt").stat().st_uid == 12345
    assert (here.project / "a.txt").read_text() == "one\nTWO\nthree\n"


async def test_an_index_in_the_middle_of_a_merge_with_a_stash_and_a_lock(here: Ground) -> None:
    git = here.project
    run_git(git, "checkout", "-qb", "side")
    write_files(git, {"a.txt": "side\n"})
    run_git(git, "commit", "-qam", "side")
    run_git(git, "checkout", "-q", "main")
    write_files(git, {"a.txt": "main\n"})
    run_git(git, "commit", "-qam", "main")
    write_files(git, {"pkg/b.py": "stashed\n"})
    run_git(git, "stash")
    with pytest.raises(subprocess.CalledProcessError):
        run_git(git, "merge", "side")
    run_git(git, "update-index", "--split-index")
    write_files(git, {".git/index.lock": ""})
    before = everything_in(git)
    async with here.workspaces() as run:
        await run.open_base()
        workspace = await run.take("w", run.base.tree, writes=True)
        assert "<<<<<<<" in (workspace.root / "a.txt").read_text()
        await run.give_back(workspace)
    assert everything_in(git) == before


async def test_an_index_that_is_none_costs_only_a_note(here: Ground) -> None:
    (here.project / ".git/index").write_bytes(b"DIRC" + b"\xff" * 5000)
    async with here.workspaces() as run:
        base = await run.open_base()
        assert any("index" in note for note in base.notes)
        assert len(run.store.git("ls-tree", "-r", base.tree).splitlines()) == 3


@pytest.mark.parametrize(
    "head", ["ref: ../../../etc/passwd", "ref: refs/heads/../../x", "x" * 100_000, "", "ref: HEAD"]
)
async def test_a_head_that_leads_elsewhere_is_none(here: Ground, head: str) -> None:
    (here.project / ".git/HEAD").write_text(head)
    async with here.workspaces() as run:
        assert (await run.open_base()).head == ""


@pytest.mark.parametrize("link", ["info", "info/exclude"])
async def test_ignore_rules_are_no_way_to_another_file(here: Ground, link: str) -> None:
    write_files(here.top, {"secrets/exclude": "a secret\n"})
    place = here.project / ".git" / link
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    place.symlink_to(here.top / "secrets" / ("" if link == "info" else "exclude"))
    async with here.workspaces() as run:
        await run.open_base()
        assert "secret" not in (run.store.directory / "info" / "exclude").read_text()


# --- contents stay as they are --------------------------------------------------------------------------------------


ATTRIBUTES = (
    "* text=auto eol=crlf\n*.enc working-tree-encoding=UTF-16\n*.id ident\n*.lfs filter=lfs diff=lfs merge=lfs -text\n"
    "*.hidden -diff\n* export-subst whitespace=fix\n"
)
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12345\n"


async def test_bytes_are_not_converted_whatever_attributes_say(here: Ground) -> None:
    files: dict[str, str | bytes] = {
        "crlf.txt": b"a\r\nb\r\n", "mixed.txt": b"a\r\nb\nc\r", "x.enc": "\ufefftext".encode("utf-16"),
        "x.id": b"$Id$ $Id: old $\n", "pointer.lfs": POINTER, "real.lfs": b"\0real content" * 50,
        "x.hidden": "one\n", "no newline": b"x", "nul": b"\0", "empty": b"",
    }  # fmt: skip
    here.config("core.autocrlf=true", "core.safecrlf=true", "filter.lfs.required=true", "filter.lfs.clean=false")
    write_files(here.project, {**files, ".gitattributes": ATTRIBUTES})
    async with here.workspaces() as run:
        await run.open_base()
        workspace = await run.take("w", run.base.tree, writes=True)
        for name, content in files.items():
            assert (workspace.root / name).read_bytes() == (content.encode() if isinstance(content, str) else content)
        for name in ("crlf.txt", "x.enc", "x.id", "pointer.lfs", "x.hidden"):
            with (workspace.root / name).open("ab") as file:
                file.write(b"more\r\n")
        assert "+more" in await workspace.diff(paths=["x.hidden"]), "no attribute hides a change"
        run.put("w", await run.give_back(workspace))
        [patch] = await run.patches()
        write_all(here.project, plan_patch(patch.diff, run.base, here.place).writes)
        for name in ("crlf.txt", "x.enc", "x.id", "pointer.lfs", "x.hidden"):
            content = files[name]
            whole = content.encode() if isinstance(content, str) else content
            assert (here.project / name).read_bytes() == whole + b"more\r\n"


ODD = (
    b"new\nline", b'quo"te', b"back\\slash", b"caf\xe9", b"-rf", b"--help", b"*", b":(glob)x", b":!x", b"tab\there",
    b" lead", b"trail ", b"a'b", b"\x1b[31mred", b"#x", b"!x", b"\xe2\x80\xae.txt", b"x" * 255, b"d/" * 60 + b"deep",
    b"CON", b"aux.txt", b"A", b"a", b"HEAD", b"@{u}", b"config",
)  # fmt: skip


async def test_odd_names_survive_everything(here: Ground) -> None:
    for name in ODD:
        (here.project / os.fsdecode(name)).parent.mkdir(parents=True, exist_ok=True)
        (here.project / os.fsdecode(name)).write_bytes(b"1\n" + name)
    async with here.workspaces() as run:
        base = await run.open_base()
        assert base.notes == ()
        workspace = await run.take("w", base.tree, writes=True)
        for name in ODD:
            (workspace.root / os.fsdecode(name)).write_bytes(b"1\n" + name + b"more")
        tree = await run.give_back(workspace)
        assert {os.fsencode(change.path) for change in await workspace.changed(until=tree)} == set(ODD)
        assert await workspace.content(os.fsdecode(ODD[3]), tree) == b"1\n" + ODD[3] + b"more"
        run.put("w", tree)
        [patch] = await run.patches()
        write_all(here.project, plan_patch(patch.diff, base, here.place).writes)
    for name in ODD:
        assert (here.project / os.fsdecode(name)).read_bytes() == b"1\n" + name + b"more"


async def test_what_no_program_should_wait_for_is_left_out_with_a_note(here: Ground) -> None:
    os.mkfifo(here.project / "pipe")
    (here.project / "link").symlink_to("/etc")
    (here.project / "dangling").symlink_to("nowhere")
    (here.project / "loop").symlink_to("loop")
    (here.project / "gone").mkdir()
    shutil.rmtree(here.project / "pkg")
    (here.project / "pkg").symlink_to("/etc")  # a tracked folder is a link now: pkg/b.py leads out
    write_files(here.top, {"b.py": "secret"})
    async with here.workspaces() as run:
        base = await run.open_base()
        names = run.store.git("ls-tree", "-r", "--name-only", base.tree).split()
        assert names == [b"a.txt", b"big.bin", b"dangling", b"link", b"loop", b"pkg"]
        os.remove(here.project / "a.txt")
        os.mkfifo(here.project / "a.txt")
    async with RunWorkspaces(here.top / "run", "r2", here.project, sandbox=Unconfined, home=here.top / "cache") as run:
        assert any(note.startswith("a.txt: it is a pipe") for note in (await run.open_base()).notes)


async def test_repositories_inside_are_plain_files_and_linked_worktrees_a_note(here: Ground) -> None:
    inner = git_repository(here.project / "vendor" / "inner", {"i.txt": "i", ".gitignore": "*.o\n", "x/y": ""})
    write_files(inner, {"z.o": "", "untracked": ""})
    git_repository(inner / "deeper", {"d": ""})
    run_git(here.project, "worktree", "add", "-q", str(here.project / "copy"))
    write_files(here.project, {"fake/.git": "gitdir: /nowhere\n", "fake/f": "", "half/.git/config": "[core]\n"})
    async with here.workspaces() as run:
        base = await run.open_base()
        names = run.store.git("ls-tree", "-r", "--name-only", base.tree).decode().split()
    inside = [name for name in names if name.startswith("vendor")]
    assert inside == [f"vendor/inner/{name}" for name in (".gitignore", "deeper/d", "i.txt", "untracked", "x/y")]
    assert not [name for name in names if name.startswith("copy/") or ".git/" in name or name.endswith("/.git")]
    assert any(note.startswith("copy:") for note in base.notes)


# --- whoever works in it is hostile ---------------------------------------------------------------------------------


async def test_what_a_program_does_to_the_repository_in_its_workspace_is_never_read(here: Ground) -> None:
    before = everything_in(here.project)
    async with here.workspaces() as run:
        base = await run.open_base()
        workspace = await run.take("w", base.tree, writes=True)
        root = workspace.root
        (root / ".git").unlink()
        git_repository(root, {"theirs": "x"})
        for setting in ("core.fsmonitor", "diff.external", "filter.evil.clean", "core.worktree", "alias.diff-tree"):
            run_git(root, "config", setting, str(here.evil))
        write_files(root, {".gitattributes": "* filter=evil diff=evil\n", ".gitmodules": "[submodule]\n", "new": ""})
        for name in HOOKS:
            shutil.copy(here.evil, root / ".git/hooks" / name)
        here.mark.unlink(missing_ok=True)
        tree = await workspace.tree()
        names = [change.path for change in await workspace.changed()]
        assert names == [".gitattributes", ".gitmodules", "new", "theirs"]
        await workspace.restore(base.tree)
        await workspace.restore(tree)
        await run.give_back(workspace)
    assert not here.mark.exists()
    assert everything_in(here.project) == before


async def test_a_nested_repository_that_a_program_made_is_plain_files(here: Ground) -> None:
    async with here.workspaces() as run:
        base = await run.open_base()
        workspace = await run.take("w", base.tree, writes=True)
        for name in ("nested", "pkg"):
            git_repository(workspace.root / name, {"n": "1"})
            run_git(workspace.root / name, "config", "core.fsmonitor", str(here.evil))
        os.remove(workspace.root / "a.txt")
        git_repository(workspace.root / "a.txt", {"was": "a file"})
        here.mark.unlink(missing_ok=True)
        tree = await workspace.tree()
        changed = [(change.path, change.kind) for change in await workspace.changed(until=tree)]
        assert changed == [("a.txt", "deleted"), ("a.txt/was", "added"), ("nested/n", "added"), ("pkg/n", "added")]
        await workspace.restore(base.tree)
        assert (workspace.root / "a.txt").read_text() == FILES["a.txt"]
        assert await workspace.tree() == base.tree
        await run.give_back(workspace)
    assert not here.mark.exists()


async def test_a_checkout_writes_through_no_link(here: Ground) -> None:
    outside = here.top / "outside"
    write_files(outside, {"b.py": "mine", "keep": "mine"})
    async with here.workspaces() as run:
        base = await run.open_base()
        workspace = await run.take("w", base.tree, writes=True)
        root = workspace.root
        shutil.rmtree(root / "pkg")
        (root / "pkg").symlink_to(outside)
        (root / "a.txt").unlink()
        (root / "a.txt").symlink_to(outside / "keep")
        write_files(root, {".gitignore": "ignored\n"})
        (root / "ignored").symlink_to(outside)
        linked = await workspace.tree()
        assert [(c.path, c.kind) for c in await workspace.changed()] == [
            (".gitignore", "added"), ("a.txt", "changed"), ("pkg", "added"), ("pkg/b.py", "deleted"),
        ]  # fmt: skip
        await workspace.restore(base.tree)
        assert (root / "pkg/b.py").read_text() == FILES["pkg/b.py"]
        await workspace.restore(linked)
        assert await workspace.tree() == linked
        await workspace.restore(base.tree)
        assert await workspace.tree() == base.tree
        await run.give_back(workspace)
    assert {name: (outside / name).read_text() for name in ("b.py", "keep")} == {"b.py": "mine", "keep": "mine"}


async def test_ignored_files_in_the_way_of_a_state_give_way(here: Ground) -> None:
    async with here.workspaces() as run:
        base = await run.open_base()
        workspace = await run.take("w", base.tree, writes=True)
        shutil.rmtree(workspace.root / "pkg")
        write_files(workspace.root, {".gitignore": "pkg\na.txt\n", "pkg": "ignored"})
        (workspace.root / "a.txt").unlink()
        write_files(workspace.root, {"a.txt/x/y": "ignored"})
        await workspace.restore(base.tree)
        assert await workspace.tree() == base.tree
        assert (workspace.root / "pkg/b.py").read_text() == FILES["pkg/b.py"]
        await run.give_back(workspace)


async def test_pipes_and_unreadable_files_hold_nothing_up(here: Ground) -> None:
    async with here.workspaces() as run:
        base = await run.open_base()
        workspace = await run.take("w", base.tree, writes=True)
        (workspace.root / "a.txt").unlink()
        os.mkfifo(workspace.root / "a.txt")
        os.mkfifo(workspace.root / "pipe")
        write_files(workspace.root, {"ok": "1"})
        changed = [(change.path, change.kind) for change in await workspace.changed()]
        assert changed == [("a.txt", "deleted"), ("ok", "added")]
        await run.give_back(workspace)


TRIES = """
git log --oneline -1 && git status --short && git show --stat HEAD && echo '!! saw'
echo evil >> "$PROJECT/.git/config"  # its folder may be one that only this program sees
echo evil >> "$PROJECT/a.txt"
for place in .git "$STORE/config" "$STORE/worktrees/w/HEAD" "$STORE/hooks/x"; do
    echo evil >> "$place" && echo "!! wrote $place"
done
rm -f .git && echo '!! removed .git'
mv .git other && echo '!! moved .git'
git config core.fsmonitor /evil && echo '!! configured'
git commit -qam x && echo '!! committed'
echo changed > a.txt && echo '!! wrote a file'
"""


async def test_a_program_in_the_sandbox_sees_a_repository_and_changes_files_alone(here: Ground) -> None:
    try:
        sandbox = await anyio.to_thread.run_sync(choose)
    except SandboxUnusable:
        pytest.skip("no sandbox works here")
    run_git(here.top, "clone", "-q", "--shared", str(here.project), str(here.top / "shared"))
    here.project = here.top / "shared"
    before = everything_in(here.project)
    async with here.workspaces() as run:
        base = await run.open_base()
        workspace = await run.take("w", base.tree, writes=True)
        reads = (str(workspace.root), *map(str, workspace.repository))
        confinement = Confinement(read=reads, write=(str(workspace.root),), executes=True)
        told = {"STORE": str(run.store.directory), "PROJECT": str(here.project)}
        ran = await run_command(
            ["/bin/sh", "-c", TRIES], cwd=workspace.root, env=told, sandbox=sandbox, confinement=confinement
        )
        assert isinstance(ran, Completed)
        said = [line for line in ran.stdout.decode().splitlines() if line.startswith("!!")]
        assert said == ["!! saw", "!! wrote a file"], (ran.stdout, ran.stderr)
        assert [change.path for change in await workspace.changed()] == ["a.txt"]
        await run.give_back(workspace)
    assert everything_in(here.project) == before


def leading_to(private: Path, granted: Iterable[Path]) -> list[Path]:
    return [place for place in granted if private.is_relative_to(place.resolve())]


@pytest.mark.parametrize("how", ["alternates", "gitfile", "commondir", "link"])
async def test_a_repository_grants_no_folder_of_the_users_by_calling_it_objects(here: Ground, how: str) -> None:
    private = here.top / "private" / "objects"
    write_files(private, {"pack/x": "", "id_ed25519": "secret"})
    git = here.project / ".git"
    match how:
        case "alternates":
            write_files(git, {"objects/info/alternates": f"{private}\n"})
        case "commondir":
            write_files(git, {"commondir": f"{private.parent}\n"})
        case "link":
            shutil.rmtree(git / "objects")
            (git / "objects").symlink_to(private)
            (git / "index").unlink()
        case _:
            shutil.rmtree(git)
            write_files(private.parent, {"HEAD": "ref: refs/heads/main\n"})
            git.write_text(f"gitdir: {private.parent}\n")
    async with here.workspaces() as run:
        workspace = await run.take("w", (await run.open_base()).tree, writes=True)
        assert not leading_to(private, workspace.repository)
        await run.give_back(workspace)


# --- the run's directory is hostile ---------------------------------------------------------------------------------


async def test_what_a_run_directory_brings_along_is_not_believed(here: Ground) -> None:
    write_files(here.project, {"pkg/b.py": "uncommitted\n"})
    async with here.workspaces() as run:
        base = await run.open_base()
    store = here.place / "workspaces.git"
    (store / "config").write_text(
        f"[core]\n\trepositoryformatversion = 0\n\tfsmonitor = {here.evil}\n\tworktree = /\n\thooksPath = {here.top}\n"
        f'[filter "evil"]\n\tclean = {here.evil}\n\tsmudge = {here.evil}\n[include]\n\tpath = {here.top}/x\n'
        f"[diff]\n\texternal = {here.evil}\n"
    )
    write_files(
        store,
        {
            "info/attributes": "* filter=evil\n", "commondir": "/nowhere\n",
            "config.worktree": f"[core]\n\tfsmonitor={here.evil}\n",
            "info/grafts": "0" * 40, "objects/info/alternates": "/nowhere\n", "objects/info/commit-graph": "x",
            "refs/antiphon/base.lock": "", "objects/ab/.new-1": "", "refs/antiphon/trees/.new-2": "",
            "refs/replace/" + base.tree: base.tree + "\n", "shallow": "x\n", "index.lock": "",
            "worktrees/w/gitdir": "/etc/passwd\n", "worktrees/w/commondir": "/nowhere\n", "HEAD": "x" * 1000,
        },
    )  # fmt: skip
    for name in HOOKS:
        write_files(store, {f"hooks/{name}": here.evil.read_text()})
        (store / "hooks" / name).chmod(0o755)
    plan = await whole_life(here, base)
    assert len(plan.writes) == 2
    assert not here.mark.exists()


@pytest.mark.parametrize("name", [".", "objects", "objects/ab", "refs", "refs/antiphon/trees", "objects/pack"])
async def test_a_run_directory_that_leads_out_of_itself_is_refused(here: Ground, name: str) -> None:
    async with here.workspaces() as run:
        base = await run.open_base()
    outside = here.top / "outside"
    outside.mkdir()
    place = here.place / "workspaces.git" / name
    if place.is_dir():
        shutil.rmtree(place)
    place.symlink_to(outside)
    async with here.workspaces(base) as run:
        with pytest.raises(UsageError, match="no plain folder or file"):
            await run.open_base()
    assert list(outside.iterdir()) == []


async def test_a_state_that_the_run_no_longer_has_is_said(here: Ground) -> None:
    write_files(here.project, {"a.txt": "uncommitted\n"})
    async with here.workspaces() as run:
        base = await run.open_base()
    shutil.rmtree(here.place / "workspaces.git")
    async with here.workspaces(base) as run:
        with pytest.raises(UsageError, match="no state of this run"):
            await run.open_base()


async def test_a_content_that_is_not_what_its_id_says_is_not_applied(here: Ground) -> None:
    write_files(here.project, {"a.txt": "uncommitted\n"})
    async with here.workspaces() as run:
        await run.open_base()
        workspace = await run.take("w", run.base.tree, writes=True)
        write_files(workspace.root, {"pkg/b.py": "wanted\n"})
        run.put("w", await run.give_back(workspace))
        [patch] = await run.patches()
        base, store = run.base, run.store
        false = store.write_blob(b"false\n")
        true = run_git(here.project, "hash-object", "pkg/b.py")
        folder = store.directory / "objects"
        (folder / true[:2]).mkdir(exist_ok=True)
        shutil.copy(folder / false[:2] / false[2:], folder / true[:2] / true[2:])
    with pytest.raises(UsageError, match=r"not what its id says|no patch of"):
        plan_patch(patch.diff, base, here.place)


@pytest.mark.parametrize(
    "path",
    ["../out", "/etc/out", ".git/config", "pkg/.git/x", "PKG/.GIT/config", ".antiphon/x", "a/../../out", "git~1/x"],
)
async def test_a_patch_that_leads_out_of_the_project_is_refused(here: Ground, path: str) -> None:
    async with here.workspaces() as run:
        base = await run.open_base()
    before = everything_in(here.top)
    diff = f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+x\n"
    with pytest.raises((UsageError, GitFailed)):
        plan_patch(diff.encode(), base, here.place)
    assert everything_in(here.top) == before


async def test_a_patch_reaches_nothing_through_a_link_and_leaves_none_that_leads_out(here: Ground) -> None:
    outside = here.top / "outside"
    write_files(outside, {"b.py": FILES["pkg/b.py"]})
    async with here.workspaces() as run:
        await run.open_base()
        workspace = await run.take("w", run.base.tree, writes=True)
        write_files(workspace.root, {"pkg/b.py": "x = 2\n", "deep/er/new": "1"})
        (workspace.root / "escape").symlink_to("../../etc/passwd")
        (workspace.root / "absolute").symlink_to("/etc/passwd")
        (workspace.root / "pkg/inside").symlink_to("../a.txt")
        (workspace.root / "deep/er/top").symlink_to("../..")
        (workspace.root / "through").symlink_to("deep/er/top/../outside")
        run.put("w", await run.give_back(workspace))
        [patch] = await run.patches()
        base = run.base
    shutil.rmtree(here.project / "pkg")
    (here.project / "pkg").symlink_to(outside)
    (here.project / "deep").symlink_to(outside)
    plan = plan_patch(patch.diff, base, here.place)
    assert {refusal.path for refusal in plan.refused} == {
        "pkg/b.py", "pkg/inside", "deep/er/new", "deep/er/top", "escape", "absolute", "through",
    }  # fmt: skip
    assert (outside / "b.py").read_text() == FILES["pkg/b.py"]
