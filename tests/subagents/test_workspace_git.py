"""Git on the host: bounded, told nothing by anybody, and plain about what failed; and what is read of the user's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from antiphon.engine import UsageError
from antiphon.subagents.testing.workspaces import git_repository, run_git, write_files
from antiphon.subagents.workspace.git import Git, GitFailed, find_git
from antiphon.subagents.workspace.listing import Skipped, is_forbidden
from antiphon.subagents.workspace.naming import folder_name, run_folder
from antiphon.subagents.workspace.repository import find_repository
from antiphon.subagents.workspace.store import open_store


def program(tmp_path: Path, text: str) -> Git:
    """Something that is called as git would be."""
    file = tmp_path / "git"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return Git(program=str(file), directory=tmp_path)


def test_what_prints_too_much_is_ended(tmp_path: Path) -> None:
    git = program(tmp_path, "while :; do echo a lot of it; done")
    ran = git.run("log", limit=1000)
    assert (len(ran.out), ran.cut) == (1000, True)
    with pytest.raises(GitFailed, match="more than 1,000 bytes"):
        git("log", limit=1000)


def test_what_does_not_end_is_ended(tmp_path: Path) -> None:
    with pytest.raises(GitFailed, match="did not end within"):
        program(tmp_path, "exec tail -f /dev/null").run("log", seconds=0.1)


def test_input_of_any_size_does_not_block(tmp_path: Path) -> None:
    given = os.urandom(1 << 20)
    assert program(tmp_path, "cat").run("hash-object", given=given).out == given


def test_what_it_complains_is_one_line_and_a_full_disk_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(GitFailed, match="git log failed in a workspace: no such thing here"):
        program(tmp_path, "echo 'fatal: no such\nthing here' >&2; exit 128")("log")
    with pytest.raises(OSError, match="No space left"):
        program(tmp_path, "echo 'error: x: No space left on device' >&2; exit 1")("log")
    with pytest.raises(GitFailed, match="cannot be started"):
        Git(program=str(tmp_path / "none"), directory=tmp_path)("log")


def test_it_is_told_nothing_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "secret")
    monkeypatch.setenv("GIT_TRACE", "1")
    monkeypatch.setenv("PATH", f"relative:.:{os.environ['PATH']}")
    told = program(tmp_path, "env").run("x").out.decode().splitlines()
    names = {line.partition("=")[0] for line in told}
    assert {"GIT_DIR", "GIT_CONFIG_GLOBAL", "GIT_NO_REPLACE_OBJECTS", "GIT_OPTIONAL_LOCKS"} <= names
    assert not names & {"SECRET_KEY", "GIT_TRACE"}
    assert not [line for line in told if line.startswith("PATH=") and ("relative" in line or ":.:" in line)]


def test_it_is_never_taken_from_where_somebody_else_may_put_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project" / "bin").mkdir(parents=True)
    mine = program(tmp_path / "project" / "bin", "echo git version 99.0")
    (tmp_path / "link").symlink_to(tmp_path / "project" / "bin")
    real = os.environ["PATH"]
    monkeypatch.setenv("PATH", f"{tmp_path / 'link'}:{tmp_path / 'project' / 'bin'}:{real}")
    assert find_git([tmp_path / "project"]) != mine.program
    monkeypatch.setenv("PATH", f"{tmp_path / 'link'}")
    with pytest.raises(UsageError):
        find_git([tmp_path / "project"])


def test_states_survive_a_collection_of_garbage_and_odd_paths_are_borrowed_from(tmp_path: Path) -> None:
    project = git_repository(tmp_path / 'pro"je\\ct\n #x', {"a": "1"})
    (tmp_path / "run").mkdir()
    store = open_store(tmp_path / "run", project, find_repository(project))
    head = run_git(project, "rev-parse", "HEAD")
    tree = store.tree_of(head)
    blob = store.write_blob(b"mine\n")
    index = store.temporary("index")
    store.git.at(None, index)("update-index", "--add", "--cacheinfo", f"100644,{blob},b")
    kept = store.index_tree(index)
    index.unlink()
    lost = store.write_blob(b"lost\n")
    store.git("gc", "--quiet", "--prune=now")
    assert store.check_tree(tree) == tree
    assert store.contents([blob]) == {blob: b"mine\n"}
    assert store.git("ls-tree", "--name-only", kept) == b"b\n"
    assert store.missing([blob, lost]) == {lost}


def test_a_repository_is_found_as_git_finds_it(tmp_path: Path) -> None:
    top = git_repository(tmp_path / "top", {"deep/er/x": ""})
    found = find_repository(top / "deep" / "er")
    assert found is not None
    assert (found.top, found.head()) == (top, run_git(top, "rev-parse", "HEAD"))
    run_git(top, "pack-refs", "--all")
    assert found.head() == run_git(top, "rev-parse", "HEAD")
    run_git(top, "checkout", "-q", "--detach")
    assert found.head() == run_git(top, "rev-parse", "HEAD")
    write_files(top, {".git/objects/info/alternates": f"# a comment\n{top}/nowhere\n../../lent\n../../deep\n\n"})
    write_files(top, {"lent/pack/x": ""})
    assert found.borrowed() == (top / ".git/objects", top / "lent")
    for pointer in ("gitdir: nowhere", "nonsense", "gitdir: ../../../../../etc", "", "gitdir: \0"):
        write_files(tmp_path, {"other/.git": pointer})
        assert find_repository(tmp_path / "other") is None


@pytest.mark.parametrize(
    "name", [".git", ".GIT", "x/.Git/y", ".git.", ".git ", ".git::$DATA", "git~1", ".g\u200cit", "..", "a//b"]
)
def test_names_that_some_system_takes_for_gits_own_are_none(name: str) -> None:
    assert is_forbidden(name.encode())
    assert not is_forbidden(b"x" + name.encode().replace(b"/", b"").replace(b".", b"-"))


def test_folders_of_different_names_are_different() -> None:
    assert folder_name("mend") == "mend"
    assert len({folder_name(name).lower() for name in ("Mend", "mend", "MEND", "mEnd")}) == 4
    for run in ("../../etc", "", "a/b", "x" * 500, "\0", "ä \ud800"):
        assert run_folder(run, "/place").replace("-", "").replace("_", "").isalnum()
    assert run_folder("r", "/one") != run_folder("r", "/two")


def test_of_many_that_are_left_out_the_first_are_named() -> None:
    skipped = Skipped()
    for number in range(30):
        skipped.say(b"\xff%d" % number, "because")
    assert len(skipped.all()) == 21
    assert skipped.all()[0] == "\\udcff0: because"
    assert skipped.all()[-1] == "and 10 more are left out"
