"""`antiphon apply`: what it shows, asks, writes and refuses; and that it writes to the project's files alone."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
import pytest

from antiphon.subagents.sandbox import Unconfined
from antiphon.subagents.testing.workspaces import everything_in, git_repository, run_git, write_files
from antiphon.subagents.workspace import RunWorkspaces
from antiphon.tracing import Json
from antiphon.tracing.database import Database
from antiphon.tracing.log import Row, encode
from antiphon.workflows.cli import main
from antiphon.workflows.patches import base_json
from antiphon.workflows.places import make_run

Change = Mapping[str, "str | None"]
FILES = {"a.txt": "".join(f"line {n}\n" for n in range(9)), "b.txt": "b\n", "sub/c.txt": "c\n"}
CHANGE: Change = {"a.txt": FILES["a.txt"].replace("line 1", "LINE 1"), "new/d.txt": "d\n", "sub/c.txt": None}
WORKFLOW = """
from antiphon.workflows.script import *
manifest = {"name": "demo", "roles": ["coder"]}

@function_agent("coder", version="1")
async def coder(task: str, ctx: CallContext) -> str:
    (ctx.workspace.root / "made.txt").write_text(task + "\\n")
    return task

async def main():
    return await agent("hello", role="coder", workspace="work")
"""


@dataclass
class Ground:
    """A project with runs in it, and the command line."""

    project: Path
    capfd: pytest.CaptureFixture[str]
    run: Path = field(init=False)

    def __post_init__(self) -> None:
        self.run = self.project / ".antiphon" / "runs" / "20260101-000000-aaaa"

    def typed(self, *words: str) -> tuple[int, str, str]:
        code = main(words)
        said = self.capfd.readouterr()
        return code, said.out, said.err

    def apply(self, *words: str) -> tuple[int, str, str]:
        return self.typed("apply", "last", *words)

    def say(self, *words: str) -> dict[str, Any]:
        _, out, _ = self.apply("--json", *words)
        said: dict[str, Any] = json.loads(out)
        return said

    def made(
        self, changes: Mapping[str, Change], builtin: str = "", edit: Callable[[bytes], bytes] | None = None
    ) -> None:
        """A run whose workspaces changed these files; None for one that was deleted."""
        anyio.run(self._made, changes, builtin, edit)

    async def _made(self, changes: Mapping[str, Change], builtin: str, edit: Callable[[bytes], bytes] | None) -> None:
        place = make_run(self.run).directory
        events: list[tuple[str, dict[str, Json]]] = [("run.opened", {"workflow": "demo", "builtin": builtin})]
        home = self.project.parent / "cache"
        async with RunWorkspaces(place, place.name, self.project, sandbox=Unconfined, home=home) as workspaces:
            events.append(("workspaces", base_json(await workspaces.open_base())))
            for name, change in changes.items():
                workspace = await workspaces.take(name, workspaces.base.tree, writes=True)
                change_files(workspace.root, change)
                workspaces.put(name, await workspaces.give_back(workspace))
            for patch in await workspaces.patches():
                diff = edit(patch.diff) if edit else patch.diff
                write_files(place, {f"patches/{patch.name}.patch": diff})
                told: Json = f"patches/{patch.name}.patch"
                events.append(("report", {"name": told, "sha256": sha256(diff).hexdigest()}))
        events.append(("run.ended", {"kind": "completed"}))
        database = Database(place, full_fsync=False)
        rows = [Row(n, 1.7e9 + n, kind, "", encode(kind, "", data)) for n, (kind, data) in enumerate(events, 1)]
        database.commit(rows)
        database.close()


def change_files(root: Path, change: Change) -> None:
    for name in (name for name, content in change.items() if content is None):
        (root / name).unlink()
        if not os.listdir((root / name).parent):
            (root / name).parent.rmdir()
    write_files(root, {name: content for name, content in change.items() if content is not None})


def held(project: Path) -> dict[str, tuple[int, str]]:
    """All but the runs."""
    return {name: one for name, one in everything_in(project).items() if not name.startswith(".antiphon")}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Ground:
    project = git_repository(tmp_path / "project", FILES)
    monkeypatch.chdir(project)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Ground(project, capfd)


def answering(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(text))


def test_it_shows_the_patch_and_writes_the_files_alone(here: Ground) -> None:
    write_files(here.project, {"staged": "1", "b.txt": "my own\n"})
    run_git(here.project, "add", "staged")
    run_git(here.project, "stash", "--keep-index")
    run_git(here.project, "stash", "apply")
    here.made({"work": CHANGE})
    (here.project / "a.txt").chmod(0o640)
    before = everything_in(here.project / ".git")
    code, out, err = here.apply("--yes")
    assert code == 0
    assert "LINE 1" in out
    assert "wrote 3 files" in err
    assert (here.project / "a.txt").read_text() == CHANGE["a.txt"]
    assert (here.project / "a.txt").stat().st_mode & 0o777 == 0o640
    assert (here.project / "new/d.txt").read_text() == "d\n"
    assert not (here.project / "sub").exists()
    assert (here.project / "b.txt").read_text() == "my own\n"
    assert everything_in(here.project / ".git") == before
    assert not [name for name in os.listdir(here.project) if name.startswith(".antiphon-")]
    code, _, err = here.apply("--yes")
    assert (code, "already" in err) == (0, True)


def test_a_person_is_asked_and_may_say_no(here: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    here.made({"work": CHANGE})
    before = held(here.project)
    answering(monkeypatch, "n\n")
    code, _, err = here.apply()
    assert (code, "Write 3 files" in err, "nothing was written" in err) == (2, True, True)
    assert held(here.project) == before
    answering(monkeypatch, "y\n")
    code, _, err = here.apply()
    assert (code, "wrote 3 files" in err) == (0, True)
    assert held(here.project) != before


def test_without_a_terminal_nothing_is_written_unless_told_to(here: Ground) -> None:
    here.made({"work": CHANGE})
    before = held(here.project)
    code, out, err = here.apply()
    assert (code, "--yes" in err, "LINE 1" in out) == (2, True, True)
    assert here.apply("--json")[0] == 2
    assert held(here.project) == before


def test_checking_writes_nothing(here: Ground) -> None:
    here.made({"work": CHANGE})
    before = everything_in(here.project)
    code, _, err = here.apply("--check")
    assert (code, "it can be applied: 3 files" in err) == (0, True)
    said = here.say("--check")
    assert [(file["path"], file["kind"]) for file in said["files"]] == [
        ("a.txt", "changed"),
        ("new/d.txt", "added"),
        ("sub/c.txt", "deleted"),
    ]
    assert (said["applied"], said["refused"], said["patch"]) == (False, [], "work")
    assert everything_in(here.project) == before


def test_my_own_changes_in_other_lines_stay(here: Ground) -> None:
    here.made({"work": CHANGE})
    mine = FILES["a.txt"].replace("line 7", "MINE 7").replace("line 4\n", "")
    write_files(here.project, {"a.txt": mine, "new/other": "x"})
    said = here.say("--yes")
    assert (said["applied"], said["merged"]) == (True, ["a.txt"])
    assert (here.project / "a.txt").read_text() == mine.replace("line 1", "LINE 1")


@pytest.mark.parametrize(
    ("mine", "path"),
    [
        ({"a.txt": FILES["a.txt"].replace("line 1", "mine 1")}, "a.txt"),
        ({"a.txt": FILES["a.txt"].replace("line 2", "mine 2")}, "a.txt"),
        ({"a.txt": None}, "a.txt"),
        ({"sub/c.txt": "mine\n"}, "sub/c.txt"),
        ({"new/d.txt": "mine\n"}, "new/d.txt"),
        ({"new": "a file\n"}, "new/d.txt"),
        ({"new/d.txt/x": "a folder\n"}, "new/d.txt"),
        ({"a.txt": "\0binary"}, "a.txt"),
    ],
)
def test_what_does_not_fit_refuses_the_whole_patch_by_name(here: Ground, mine: Change, path: str) -> None:
    here.made({"work": CHANGE})
    change_files(here.project, mine)
    before = held(here.project)
    code, _, err = here.apply("--yes")
    assert (code, path in err, "nothing was written" in err) == (1, True, True)
    assert here.apply("--check")[0] == 1
    assert [one["path"] for one in here.say("--yes")["refused"]] == [path]
    assert held(here.project) == before


def test_several_patches_need_a_name(here: Ground) -> None:
    here.made({"try-1": {"b.txt": "one\n"}, "try-2": {"b.txt": "two\n"}})
    code, _, err = here.apply("--yes")
    assert (code, "try-1, try-2" in err) == (2, True)
    assert here.apply("try-3", "--yes")[0] == 2
    assert here.apply("try-2", "--yes")[0] == 0
    assert (here.project / "b.txt").read_text() == "two\n"


@pytest.mark.parametrize(("builtin", "name"), [("fix", "fixed"), ("build", "integration")])
def test_what_ships_with_antiphon_says_which_patch_is_meant(here: Ground, builtin: str, name: str) -> None:
    here.made({"another": {"b.txt": "one\n"}, name: {"b.txt": "two\n"}}, builtin)
    assert here.say("--check")["patch"] == name


def test_a_patch_that_is_not_what_the_run_recorded_is_refused(here: Ground) -> None:
    here.made({"work": CHANGE})
    file = here.run / "patches" / "work.patch"
    file.write_bytes(file.read_bytes().replace(b"LINE 1", b"evil 1"))
    before = held(here.project)
    code, out, err = here.apply("--yes")
    assert (code, "antiphon verify" in err, "evil" in out) == (1, True, False)
    file.unlink()
    file.symlink_to(here.project / "b.txt")
    assert here.apply("--yes")[0] == 1
    assert held(here.project) == before


def test_a_run_without_patches_says_so(here: Ground) -> None:
    here.made({})
    code, _, err = here.apply("--yes")
    assert (code, "left no patch" in err) == (1, True)


def test_a_run_from_elsewhere_is_shown_and_needs_trust(here: Ground) -> None:
    here.made({"work": CHANGE})
    copy = here.project.parent / "brought"
    shutil.copytree(here.run, copy)
    before = held(here.project)
    code, out, err = here.typed("apply", str(copy), "--yes")
    assert (code, "LINE 1" in out, "--trust" in err) == (2, True, True)
    assert held(here.project) == before
    assert here.typed("apply", str(copy), "--yes", "--trust")[0] == 0
    assert (here.project / "a.txt").read_text() == CHANGE["a.txt"]


def test_a_run_from_elsewhere_does_not_say_where_its_patch_goes(here: Ground) -> None:
    here.made({"work": {"made.txt": "x\n"}})
    copy, mine = here.project.parent / "brought", here.project.parent / "mine"
    shutil.copytree(here.run, copy)
    os.chdir(git_repository(mine, FILES))
    assert here.typed("apply", str(copy), "--yes", "--trust")[0] == 0
    assert (mine / "made.txt").read_text() == "x\n"
    assert not (here.project / "made.txt").exists()


@pytest.mark.parametrize(
    "target", [".git/hooks/post-checkout", "../outside", ".GIT/config", ".antiphon/roles/coder.md"]
)
def test_a_recorded_patch_that_leads_elsewhere_is_refused(here: Ground, target: str) -> None:
    here.made({"work": {"new": "x\n"}}, edit=lambda diff: diff.replace(b"/new", b"/" + target.encode()))
    before = everything_in(here.project.parent)
    assert here.apply("--yes")[0] != 0
    assert everything_in(here.project.parent) == before


def test_control_characters_of_a_patch_do_not_reach_the_terminal(here: Ground) -> None:
    here.made({"work": {"b.txt": "\x1b]0;owned\x07\x1b[2J\u202e\n", "e\x1b[31m.txt": "x\n"}})
    _, out, err = here.apply("--check")
    assert not re.search("[\x1b\x07\u202e]", out + err)


def test_a_project_that_moved_is_named(here: Ground) -> None:
    here.made({"work": CHANGE})
    moved = here.project.parent / "moved"
    here.project.rename(moved)
    os.chdir(moved)
    code, _, err = here.apply("--yes")
    assert (code, "--into" in err) == (2, True)
    assert here.apply("--yes", "--into", str(moved))[0] == 0
    assert (moved / "a.txt").read_text() == CHANGE["a.txt"]


def test_a_file_becomes_a_folder_and_a_folder_a_file(here: Ground) -> None:
    here.made({"work": {"b.txt": None, "b.txt/x": "in\n", "sub/c.txt": None, "sub": "flat\n"}}, edit=None)
    assert here.apply("--yes")[0] == 0
    assert (here.project / "b.txt/x").read_text() == "in\n"
    assert (here.project / "sub").read_text() == "flat\n"


def test_from_a_run_to_the_project(here: Ground) -> None:
    write_files(here.project, {"workflow.py": WORKFLOW})
    before: Sequence[str] = sorted(held(here.project))
    code, out, err = here.typed("run", "workflow.py")
    assert (code, "hello" in out) == (0, True), err
    assert sorted(held(here.project)) == before
    assert here.apply("--yes")[0] == 0
    assert (here.project / "made.txt").read_text() == "hello\n"


def test_what_an_earlier_attempt_made_is_not_what_the_run_came_to(here: Ground) -> None:
    flawed = WORKFLOW + '    fail("on purpose")\n'
    write_files(here.project, {"workflow.py": flawed.replace("return await", "await")})
    assert here.typed("run", "workflow.py")[0] == 1
    assert here.apply("--check")[0] == 0
    write_files(here.project, {"workflow.py": WORKFLOW.replace('"work")', '"other")')})
    assert here.typed("resume", "last")[0] == 0
    code, _, err = here.apply("work", "--check")
    assert (code, "there are other" in err) == (2, True)
    assert here.say("--check")["patch"] == "other"
    assert here.typed("verify", "last")[0] == 0


def test_a_patch_that_is_too_large_degrades_the_run_and_costs_no_other(
    here: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("antiphon.subagents.workspace.patch.MOST_BYTES", 4_000)
    large = WORKFLOW.replace(
        "return await", 'await agent("x" * 5_000, role="coder", workspace="large")\n    return await'
    )
    write_files(here.project, {"workflow.py": large})
    code, out, err = here.typed("run", "workflow.py")
    assert (code, "'large'" in out + err, "4,000 bytes" in out + err) == (3, True, True)
    assert here.say("--check")["patch"] == "work"
