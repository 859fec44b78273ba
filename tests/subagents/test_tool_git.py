"""Git tools: they look at the workspace's own history, change it in the run's repository alone, and obey no option."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from antiphon.engine import CallContext
from antiphon.subagents.loop.calling import perform_tool
from antiphon.subagents.loop.toolbox import Toolbox
from antiphon.subagents.sandbox import Unconfined
from antiphon.subagents.testing.calls import call_tool, inside_a_call
from antiphon.subagents.testing.workspaces import temporary_workspace
from antiphon.subagents.tools import Misfit, ToolResult, function_tool
from antiphon.subagents.tools.contract import Traits
from antiphon.subagents.tools.git import git_tools
from antiphon.subagents.workspace.live import LiveWorkspace, RunWorkspaces

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

TOOLS = {tool.spec.name: tool for tool in git_tools()}
FILES = {"a.py": "one\ntwo\nthree\n", "deep/b.py": "b\n"}


async def ask(workspace: LiveWorkspace, name: str, /, **arguments: Any) -> str:
    result = await call_tool(TOOLS[name], workspace, **arguments)
    assert not result.failed, result.text
    return result.text


def test_the_tools_say_what_they_take() -> None:
    assert sorted(TOOLS) == ["git_blame", "git_branch", "git_commit", "git_diff", "git_log", "git_status"]
    assert {name for name, tool in TOOLS.items() if tool.traits.cost == "write"} == {"git_branch", "git_commit"}
    assert TOOLS["git_commit"].traits.after == ("run_tests",)


async def test_what_was_changed_is_told_against_the_base_and_against_the_last_commit() -> None:
    async with temporary_workspace(FILES) as space:
        assert await ask(space, "git_diff") == "nothing differs"
        assert "nothing differs from the last commit" in await ask(space, "git_status")
        (space.root / "a.py").write_text("one\nTWO\nthree\n")
        (space.root / "deep" / "b.py").unlink()
        (space.root / "new.py").write_text("new\n")
        told = await ask(space, "git_status")
        assert told.splitlines()[1:] == ["changed: a.py", "deleted: deep/b.py", "added: new.py"]
        assert "-two\n+TWO" in await ask(space, "git_diff")
        only = await ask(space, "git_diff", paths=["deep"])
        assert "-b" in only
        assert "TWO" not in only
        committed = await ask(space, "git_commit", message="first\n\nbody")
        assert committed.endswith("on branch main")
        (space.root / "a.py").write_text("one\nTWO\nTHREE\n")
        told = await ask(space, "git_status")
        assert told.splitlines()[1:3] == ["changed: a.py", "since the base: changed: a.py"]
        since = await ask(space, "git_diff", since="HEAD")
        assert "+THREE" in since
        assert "+TWO" not in since
        between = await ask(space, "git_diff", since="base", until="HEAD")
        assert "+TWO" in between
        assert "THREE" not in between


async def test_history_names_commits_and_lines_and_what_is_in_no_commit_yet() -> None:
    async with temporary_workspace(FILES) as space:
        (space.root / "a.py").write_text("one\nTWO\nthree\n")
        await ask(space, "git_commit", message="second line")
        (space.root / "a.py").write_text("one\nTWO\nthree\nfour\n")
        log = (await ask(space, "git_log")).splitlines()
        assert [line.split("\t")[1] for line in log] == ["second line", "The project as antiphon found it"]
        assert "second line" not in await ask(space, "git_log", path="deep/b.py")
        assert "call again with offset=1" in await ask(space, "git_log", limit=1)
        assert (await ask(space, "git_log", limit=1, offset=1)).count("\n") == 0
        commit, blamed = log[0].split()[0], (await ask(space, "git_blame", path="a.py")).splitlines()
        assert blamed[1].startswith(commit)
        assert blamed[3].startswith("uncommitted")
        assert (await ask(space, "git_blame", path="a.py", first=2, last=2)).count("\n") == 0
        with pytest.raises(Misfit, match="4 lines"):
            await ask(space, "git_blame", path="a.py", first=9)
        with pytest.raises(Misfit, match="no file"):
            await ask(space, "git_blame", path="absent.py")


async def test_branches_are_begun_gone_to_and_bring_their_files_along() -> None:
    async with temporary_workspace(FILES) as space:
        (space.root / "a.py").write_text("main\n")
        await ask(space, "git_commit", message="on main")
        assert await ask(space, "git_branch", name="try-1", create=True) == "* try-1\n  main"
        (space.root / "a.py").write_text("try\n")
        with pytest.raises(Misfit, match="in no commit"):
            await ask(space, "git_branch", name="main")
        await ask(space, "git_commit", message="on try")
        assert await ask(space, "git_branch", name="main") == "* main\n  try-1"
        assert (space.root / "a.py").read_text() == "main\n"
        assert "on try" not in await ask(space, "git_log")
        assert "on try" in await ask(space, "git_log", since="try-1")
        with pytest.raises(Misfit, match="already a branch"):
            await ask(space, "git_branch", name="try-1", create=True)
        with pytest.raises(Misfit, match="no branch"):
            await ask(space, "git_branch", name="try-2")
        nothing = await call_tool(TOOLS["git_commit"], space, message="again")
        assert (nothing.failed, nothing.text) == (True, "nothing differs from the last commit")


async def test_a_commit_needs_tests_that_passed_on_these_very_files() -> None:
    outcome = [False]

    @function_tool(name="run_tests", traits=Traits(cost="process", works=True))
    async def run_tests() -> ToolResult:
        """Stands for the tests."""
        return ToolResult("said", failed=not outcome[0])

    async with temporary_workspace(FILES) as space:

        async def work(ctx: CallContext) -> None:
            box = Toolbox(ctx, {**TOOLS, "run_tests": run_tests})

            async def perform(name: str, **arguments: Any) -> ToolResult:
                return await perform_tool(box.tools[name], name, arguments, ctx, box)

            (space.root / "a.py").write_text("x\n")
            refused = await perform("git_commit", message="m")
            assert refused.failed
            assert "run_tests" in refused.text
            await perform("run_tests")
            assert (await perform("git_commit", message="m")).failed
            outcome[0] = True
            await perform("run_tests")
            (space.root / "a.py").write_text("y\n")
            await perform("git_branch")  # which may have changed files, so the state is looked at again
            assert (await perform("git_commit", message="m")).failed
            await perform("run_tests")
            assert not (await perform("git_commit", message="m")).failed

        await inside_a_call(work, space)


async def test_a_workspace_that_nobody_may_change_is_only_looked_at() -> None:
    async with temporary_workspace(FILES, writable=False) as space:
        assert "on branch main" in await ask(space, "git_status")
        assert "antiphon found it" in await ask(space, "git_log")
        assert (await call_tool(TOOLS["git_commit"], space, message="m")).failed
        with pytest.raises(Misfit, match="nobody may change"):
            await call_tool(TOOLS["git_branch"], space, name="b", create=True)


# --- a model's words are never options ------------------------------------------------------------------------------


REVISIONS = (
    *("--output=x", "-p", "HEAD --output=x", "HEAD..base", "HEAD^{/x}", ":/x", "@{-1}", "HEAD:a.py", "refs/heads/x"),
    *("main;id", "$(id)", "\n", "", "x" * 300, "../HEAD", "HEAD\0", "FETCH_HEAD", "deadbeef"),
)


async def test_what_is_no_revision_is_told_and_git_never_sees_it_as_an_option() -> None:
    async with temporary_workspace(FILES) as space:
        for revision in REVISIONS:
            for name in ("git_log", "git_diff"):
                with pytest.raises(Misfit, match=r"no revision|no commit"):
                    await call_tool(TOOLS[name], space, since=revision)
        assert sorted(os.listdir(space.root)) == [".git", "a.py", "deep"]


async def test_a_path_that_leads_out_is_told() -> None:
    async with temporary_workspace(FILES) as space:
        for path in ("../project/a.py", "/etc/passwd", ".git/config", "a\0b", "~/x", "deep/../../x", ".GIT/x"):
            arguments: list[tuple[str, dict[str, Any]]] = [
                ("git_log", {"path": path}),
                ("git_blame", {"path": path}),
                ("git_diff", {"paths": [path]}),
            ]
            for name, given in arguments:
                with pytest.raises(Misfit):
                    await call_tool(TOOLS[name], space, **given)


async def test_a_path_is_a_path_whatever_it_looks_like() -> None:
    odd = ("--output=stolen", "-L1,1", ":(top)a.py", "*.py", ":!a.py")
    async with temporary_workspace({**FILES, **dict.fromkeys(odd, "odd\n")}) as space:
        for path in ("a.py", *odd):
            (space.root / path).write_text(f"changed {path}\n")
        for path in odd:
            diff = await ask(space, "git_diff", paths=[path])
            assert [line for line in diff.splitlines() if line.startswith("+changed")] == [f"+changed {path}"]
            assert "antiphon found it" in await ask(space, "git_log", path=path)
            assert (await ask(space, "git_blame", path=path)).startswith("uncommitted")
        assert "stolen" not in os.listdir(space.root)


async def test_what_cannot_be_a_branch_is_told() -> None:
    async with temporary_workspace(FILES) as space:
        for name in ("--force", "-D", "a b", "../x", "a/b", "HEAD~1", "x.lock", "", "A", "é", "a" * 70):
            with pytest.raises(Misfit, match="cannot be a branch"):
                await call_tool(TOOLS["git_branch"], space, name=name, create=True)


async def test_a_message_is_text_whatever_it_says() -> None:
    async with temporary_workspace(FILES) as space:
        (space.root / "a.py").write_text("x\n")
        await ask(space, "git_commit", message="--amend \x1b[31m $(touch stolen)\n\n# not a comment\n")
        log = await ask(space, "git_log")
        assert "--amend \\x1b[31m $(touch stolen)" in log
        assert "stolen" not in os.listdir(space.root)
        with pytest.raises(Misfit):
            await call_tool(TOOLS["git_commit"], space, message="   ")


async def test_a_pipe_where_git_looks_for_names_of_people_is_not_waited_for() -> None:
    async with temporary_workspace({"a.py": "one\n"}) as space:
        os.mkfifo(space.root / ".mailmap")
        assert "one" in await ask(space, "git_blame", path="a.py")
        assert await ask(space, "git_log")


# --- the user's repository ------------------------------------------------------------------------------------------


def git(folder: Path, *arguments: str) -> str:
    own = {"HOME": str(folder.parent), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
    environment = {"PATH": os.environ["PATH"], **own}
    author = ("-c", "user.name=user", "-c", "user.email=user@example.org")
    done = subprocess.run(["git", *author, *arguments], cwd=folder, env=environment, check=True, capture_output=True)
    return done.stdout.decode()


def digest(folder: Path) -> str:
    seen = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        seen.update(str(path).encode())
        if path.is_file() and not path.is_symlink():
            seen.update(path.read_bytes())
    return seen.hexdigest()


@asynccontextmanager
async def on(project: Path, place: Path) -> AsyncGenerator[Callable[[], Awaitable[LiveWorkspace]]]:
    async with RunWorkspaces(place, "r-git", project, sandbox=Unconfined) as workspaces:
        await workspaces.open_base()

        async def take() -> LiveWorkspace:
            return await workspaces.take("w", workspaces.base.tree, writes=True)

        yield take


async def test_the_users_history_is_seen_and_never_touched_and_commits_outlive_an_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "run").mkdir()
    git(project, "init", "-q", "-b", "trunk")
    (project / "a.py").write_text("one\n")
    git(project, "add", "a.py")
    git(project, "commit", "-q", "-m", "the user's own")
    (project / "a.py").write_text("one\ndirty\n")
    before = digest(project)
    async with on(project, tmp_path / "run") as take:
        space = await take()
        assert "the user's own" in await ask(space, "git_log")
        blamed = (await ask(space, "git_blame", path="a.py")).splitlines()
        assert "user" in blamed[0]
        (space.root / "a.py").write_text("one\ndirty\nmore\n")
        await ask(space, "git_commit", message="the agent's own")
        await ask(space, "git_branch", name="aside", create=True)
    assert digest(project) == before
    assert "agent" not in git(project, "log", "--all", "--format=%s")
    async with on(project, tmp_path / "run") as take:  # what a resumed run sees
        space = await take()
        assert await ask(space, "git_branch") == "* aside\n  main"
        assert (await ask(space, "git_log")).count("\n") == 2
