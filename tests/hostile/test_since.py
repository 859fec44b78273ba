"""`--since`: a repository that wants to run something, write somewhere, or lead out of itself, does none of it."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from antiphon.workflows.audit.revision import (
    Repository,
    RevisionError,
    read_revision,
    repository_of,
    write_revision,
)

IDENTITY = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "protocol.file.allow=always")
ALONE = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "HOME": "/nonexistent",
}


def git(folder: Path, *arguments: str, given: bytes = b"") -> str:
    """Git as the attacker runs it, to prepare a repository."""
    command = ["git", *IDENTITY, *arguments]
    done = subprocess.run(command, cwd=folder, env=ALONE, input=given, capture_output=True, check=True)
    return done.stdout.decode("utf-8", "surrogateescape").strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with one commit, and one edit after it."""
    folder = tmp_path / "project"
    (folder / "src").mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    (folder / "src" / "a.py").write_bytes(b"old\r\n")
    (folder / "b.py").write_bytes(b"b\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "one")
    (folder / "src" / "a.py").write_bytes(b"new\n")
    return folder


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "private"
    folder.mkdir()
    return folder


def commit_tree(folder: Path, *entries: tuple[str, str, bytes], kind: str = "blob") -> None:
    """Move main to a tree that no careful git would make: (mode, object, name) as they are."""
    tree = b"".join(f"{mode} ".encode() + name + b"\0" + bytes.fromhex(object) for mode, object, name in entries)
    made = git(folder, "hash-object", "-w", "-t", "tree", "--literally", "--stdin", given=tree)
    git(folder, "update-ref", "refs/heads/main", git(folder, "commit-tree", made, "-m", kind))


def blob(folder: Path, content: bytes) -> str:
    return git(folder, "hash-object", "-w", "--stdin", given=content)


def written(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def extract(project: Path, place: Path, said: str = "main", below: Path | None = None) -> dict[str, bytes]:
    repository = repository_of(below or project, said)
    write_revision(repository, read_revision(repository, said, below or project), place)
    return written(place)


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with its time and content: the checkout, the index, refs, configuration, objects."""
    return {
        str(f): (f.stat().st_mtime_ns, f.read_bytes() if f.is_file() else b"")
        for f in sorted(folder.rglob("*"))
        if not f.is_symlink()
    }


def test_files_are_as_they_were_committed_and_the_checkout_stays_as_it_is(project: Path, place: Path) -> None:
    before = everything(project)
    assert extract(project, place) == {"src/a.py": b"old\r\n", "b.py": b"b\n"}
    assert everything(project) == before


def test_only_what_is_below_the_audited_folder(project: Path, place: Path) -> None:
    assert extract(project, place, below=project / "src") == {"a.py": b"old\r\n"}


def test_a_linked_worktree(project: Path, place: Path, tmp_path: Path) -> None:
    git(project, "worktree", "add", "-q", str(tmp_path / "linked"))
    assert extract(tmp_path / "linked", place) == {"src/a.py": b"old\r\n", "b.py": b"b\n"}


COMMANDS: dict[str, Callable[[str], list[tuple[str, str]]]] = {
    "monitor": lambda run: [("core.fsmonitor", run), ("core.fsmonitorHookVersion", "2")],
    "hooks": lambda run: [("core.hooksPath", str(Path(run).parent / "hooks"))],
    "filters": lambda run: [
        ("filter.evil.smudge", run),
        ("filter.evil.clean", run),
        ("filter.evil.process", run),
        ("filter.evil.required", "true"),
    ],
    "diff": lambda run: [("diff.evil.textconv", run), ("diff.evil.command", run), ("diff.external", run)],
    "transport": lambda run: [
        ("core.sshCommand", run),
        ("core.gitProxy", run),
        ("remote.origin.url", f"ext::{run}"),
        ("remote.origin.uploadpack", run),
        ("remote.origin.promisor", "true"),
        ("remote.origin.partialclonefilter", "blob:none"),
        ("extensions.partialClone", "origin"),
        ("protocol.ext.allow", "always"),
        ("core.repositoryFormatVersion", "1"),
    ],
    "screen": lambda run: [("core.pager", run), ("pager.ls-tree", run), ("core.editor", run), ("core.askPass", run)],
    "names": lambda run: [(f"alias.{name}", f"!{run}") for name in ("ls-tree", "cat-file", "rev-parse")],
    "help": lambda run: [("credential.helper", run), ("core.alternateRefsCommand", run), ("gpg.program", run)],
}


@pytest.mark.parametrize("sort", COMMANDS)
def test_nothing_that_the_configuration_names_is_run(project: Path, place: Path, tmp_path: Path, sort: str) -> None:
    marker, program = tmp_path / "was-run", tmp_path / "evil.sh"
    program.write_text(f"#!/bin/sh\necho ran >> {marker}\n")
    program.chmod(0o755)
    (tmp_path / "hooks").mkdir()
    for hook in ("post-checkout", "reference-transaction", "post-index-change", "fsmonitor-watchman"):
        (tmp_path / "hooks" / hook).write_text(program.read_text())
        (tmp_path / "hooks" / hook).chmod(0o755)
    (project / ".gitattributes").write_text("*.py filter=evil diff=evil\n")
    (project / ".git" / "info" / "attributes").write_text("*.py filter=evil diff=evil\n")
    git(project, "add", ".gitattributes")
    git(project, "commit", "-qm", "two")
    for name, value in COMMANDS[sort](str(program)):
        git(project, "config", name, value)
    if sort == "transport":
        name = git(project, "rev-parse", "main:b.py")
        (project / ".git" / "objects" / name[:2] / name[2:]).unlink()
        with pytest.raises(RevisionError, match=r"the content of 'b\.py' is not in this repository"):
            extract(project, place)
    else:
        assert extract(project, place)["src/a.py"] == b"old\r\n"
    assert not marker.exists()


def test_the_markers_program_would_have_been_noticed(project: Path, tmp_path: Path) -> None:
    """The trap above works: git as a user runs it does run such a program."""
    marker, program = tmp_path / "was-run", tmp_path / "evil.sh"
    program.write_text(f"#!/bin/sh\necho ran >> {marker}\n")
    program.chmod(0o755)
    git(project, "config", "core.fsmonitor", str(program))
    git(project, "status")
    assert marker.exists()


def test_variables_of_the_environment_do_not_lead_elsewhere(
    project: Path, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY", "GIT_INDEX_FILE", "GIT_CONFIG_PARAMETERS"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_TRACE", str(tmp_path / "trace"))
    assert extract(project, place)["b.py"] == b"b\n"
    assert not (tmp_path / "trace").exists()


def test_odd_names_stay_names(project: Path, place: Path) -> None:
    names = ["new\nline.py", 'quo"te.py', "-rf", "tab\t.py", "ü.py", "sp ace/\x1b[31m.py", "back\\slash.py", "*"]
    for name in names:
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_bytes(name.encode())
    git(project, "add", "-A")
    git(project, "commit", "-qm", "odd")
    found = extract(project, place)
    assert {name: found.get(name) for name in names} == {name: name.encode() for name in names}


def test_names_that_lead_out_are_left_out_and_said(project: Path, place: Path) -> None:
    evil = blob(project, b"evil")
    inner = git(
        project, "hash-object", "-w", "-t", "tree", "--literally", "--stdin", given=b"100644 x\0" + bytes.fromhex(evil)
    )
    commit_tree(
        project,
        ("100644", evil, b".."),
        ("40000", inner, b"..x"),
        ("40000", inner, b".git"),
        ("40000", inner, b".GIT"),
        ("100644", evil, b"/etc/passwd-of-mine"),
        ("100644", evil, b"a/../../escaped"),
        ("100644", evil, b"\xff.py"),
        ("100644", evil, b"fine.py"),
    )
    repository = repository_of(project, "main")
    revision = read_revision(repository, "main", project)
    write_revision(repository, revision, place)
    assert written(place) == {"fine.py": b"evil", "..x/x": b"evil"}
    assert not (place.parent / "escaped").exists()
    assert len(revision.skipped) == 6
    assert {omission.reason for omission in revision.skipped} == {"its name cannot be written safely"}


def test_links_and_submodules_are_named_and_not_followed(project: Path, place: Path) -> None:
    evil = blob(project, b"/etc/passwd")
    commit = git(project, "rev-parse", "main")
    commit_tree(project, ("120000", evil, b"link.py"), ("160000", commit, b"module"), ("100644", evil, b"z.py"))
    repository = repository_of(project, "main")
    revision = read_revision(repository, "main", project)
    write_revision(repository, revision, place)
    assert written(place) == {"z.py": b"/etc/passwd"}
    assert [(omission.unit, omission.reason) for omission in revision.skipped] == [
        ("link.py", "a symbolic link"),
        ("module", "a submodule, whose files are not in this revision"),
    ]


def test_a_file_where_a_folder_is_needed_is_said(project: Path, place: Path) -> None:
    """The same name twice: as a file, and as a folder."""
    evil = blob(project, b"x")
    inner = git(
        project, "hash-object", "-w", "-t", "tree", "--literally", "--stdin", given=b"100644 x\0" + bytes.fromhex(evil)
    )
    commit_tree(project, ("100644", evil, b"same"), ("40000", inner, b"same"), ("100644", evil, b"same"))
    repository = repository_of(project, "main")
    problems = write_revision(repository, read_revision(repository, "main", project), place)
    assert written(place) == {"same": b"x"}
    assert [problem.unit for problem in problems] == ["same/x", "same"]


def test_a_huge_file_is_not_read(project: Path, place: Path) -> None:
    (project / "data.bin").write_bytes(b"\0" * 3_000_000)
    git(project, "add", "-A")
    git(project, "commit", "-qm", "big")
    repository = repository_of(project, "main")
    revision = read_revision(repository, "main", project)
    assert [omission.unit for omission in revision.skipped] == ["data.bin"]
    assert "too large" in revision.skipped[0].reason


@pytest.mark.parametrize(
    "said", ["nope", "", "-x", "--output=/tmp/never", "main:b.py", "a\0b", "main^{tree}", "x" * 5000]
)
def test_what_is_no_revision_is_said_with_what_to_type(project: Path, said: str) -> None:
    with pytest.raises(RevisionError) as caught:
        read_revision(repository_of(project, said), said, project)
    assert caught.value.advice
    assert len(caught.value.message) < 600


def test_a_folder_that_is_in_no_repository(tmp_path: Path) -> None:
    with pytest.raises(RevisionError, match="is in no git repository"):
        repository_of(tmp_path, "main")
    (tmp_path / ".git").write_text("gitdir: ../../nowhere")
    with pytest.raises(RevisionError, match="is in no git repository"):
        repository_of(tmp_path, "main")
    (tmp_path / ".git").write_bytes(b"\xff" * 20_000)
    with pytest.raises(RevisionError, match="is in no git repository"):
        repository_of(tmp_path, "main")


def test_no_git_is_said(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(RevisionError, match="git is not installed"):
        repository_of(project, "main")


@pytest.mark.parametrize("entry", ["{project}/venv/bin", ".", "venv/bin", "", "{project}/../link"])
def test_a_git_that_the_repository_brings_along_is_not_run(
    project: Path, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    """Neither by PATH, nor from the current folder, nor from a folder elsewhere that is a link; also from below it."""
    marker, tools = tmp_path / "was-run", project / "venv" / "bin"
    tools.mkdir(parents=True)
    for program in (project / "git", tools / "git"):
        program.write_text(f"#!/bin/sh\necho ran >> {marker}\n")
        program.chmod(0o755)
    (tmp_path / "link").symlink_to(tools)
    monkeypatch.chdir(project)
    monkeypatch.setenv("PATH", entry.format(project=project) + os.pathsep + ALONE["PATH"])
    assert shutil.which("git") != shutil.which("git", path=ALONE["PATH"])  # the trap works
    assert extract(project, place, below=project / "src") == {"a.py": b"old\r\n"}
    assert not marker.exists()


def test_a_git_that_cannot_be_started_is_said(project: Path, tmp_path: Path) -> None:
    with pytest.raises(RevisionError, match=r"--since 'main': .*/nowhere/git cannot be started: No such file"):
        replace(repository_of(project, "main"), git=str(tmp_path / "nowhere" / "git")).ask("rev-parse")
    long = "x" * 200_000  # more than an argument may be
    with pytest.raises(RevisionError, match="cannot be started: Argument list too long") as caught:
        read_revision(repository_of(project, long), long, project)
    assert len(caught.value.message) < 600


def test_a_git_that_does_not_answer_is_said(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.workflows.audit.revision._TIMEOUT_SECONDS", 0.0)
    with pytest.raises(RevisionError, match="did not answer within 0 s"):
        read_revision(repository_of(project, "main"), "main", project)


def test_a_shallow_clone_says_how_to_get_the_rest(project: Path, tmp_path: Path) -> None:
    first = git(project, "rev-parse", "main")
    git(project, "commit", "-qam", "two")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{project}", "shallow")
    with pytest.raises(RevisionError) as caught:
        read_revision(repository_of(tmp_path / "shallow", first), first, tmp_path / "shallow")
    assert "only a part of the history" in caught.value.message
    assert "fetch-depth: 0" in str(caught.value.advice)


def test_git_is_asked_from_a_folder_that_is_not_the_repositorys(project: Path) -> None:
    repository: Repository = repository_of(project, "main")
    assert repository.environment().keys().isdisjoint({"GIT_SSH_COMMAND", "GIT_EXTERNAL_DIFF", "GIT_PAGER"})
    assert repository.ask("rev-parse", "--show-toplevel").stdout.strip() == os.fsencode(project)
