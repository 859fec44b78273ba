"""Paths that a model may name: none of them leads out of the workspace, into its repository, or through a link."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from antiphon.engine import UsageError
from antiphon.subagents.tools.files.patching import patch_files
from antiphon.subagents.workspace.files import Files, PathRefused, Put, Remove, Walk, parts_of
from antiphon.subagents.workspace.files.names import is_git, spelled_otherwise

SECRET = b"outside"


class Tree:
    """A workspace beside something that is not to be reached."""

    def __init__(self, top: Path) -> None:
        self.root, self.outside = top / "root", top / "outside"
        for folder in (self.root / "src", self.root / ".git" / "hooks", self.outside):
            folder.mkdir(parents=True)
        (self.root / "src" / "a.py").write_bytes(b"inside\n")
        (self.root / ".git" / "config").write_bytes(b"[core]\n")
        (self.outside / "secret").write_bytes(SECRET)
        self.files = Files(self.root)
        self.link("link-out", "../outside/secret")
        self.link("folder-out", "../outside")
        self.link("absolute", str(self.outside))
        self.link("etc", "/etc")
        self.link("git", ".git")
        self.link("loop", "loop")
        self.link("one", "two")
        self.link("two", "one")
        self.link("self", ".")
        self.link("inside", "src/a.py")
        self.link("folder-inside", "src")
        self.link("up-and-in", "src/../src/a.py")
        self.link("dangling", "nowhere/at/all")
        self.link("src/up", "../..")
        self.link("src/far", "../../outside/secret")
        self.link("chain", "src/up")

    def link(self, name: str, target: str) -> None:
        os.symlink(target, self.root / name)

    def state(self) -> dict[str, bytes | str]:
        """All there is, outside too."""
        found: dict[str, bytes | str] = {}
        for folder, folders, names in os.walk(self.root.parent, followlinks=False):
            for name in (*folders, *names):
                path = Path(folder, name)
                if path.is_symlink():
                    found[str(path)] = os.readlink(path)
                elif stat.S_ISREG(path.lstat().st_mode):
                    found[str(path)] = path.read_bytes()
        return found


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


NEVER = [
    "..",
    "../outside/secret",
    "src/../../outside/secret",
    "src/../src/a.py",
    "./../outside/secret",
    "src/./../..",
    "/etc/passwd",
    "/",
    "//etc/passwd",
    "/proc/self/environ",
    "/proc/self/root/etc/passwd",
    "link-out",
    "folder-out/secret",
    "folder-out",
    "absolute/secret",
    "etc/passwd",
    "src/up/outside/secret",
    "src/far",
    "chain/outside/secret",
    "loop",
    "one",
    "self/self/../../outside/secret",
    "dangling",
    ".git",
    ".git/config",
    ".GIT/config",
    ".Git/hooks/post-checkout",
    "git/config",
    "self/.git/config",
    "src/.git/config",
    ".git./config",
    ".git /config",
    ".git::$INDEX_ALLOCATION/config",
    ".git\\config",
    "git~1/config",
    "GIT~1/config",
    ".g\u200cit/config",
    "\u202e.git/config",
    "a\0b",
    "src/a.py\0.txt",
    "a" * 256,
    "\u00e9" * 128,
    "/".join(["a" * 200] * 25),
    "\ud800",
    "~/secret",
    "src/a.py/b",
]


@pytest.mark.parametrize("path", NEVER, ids=lambda path: ascii(path)[:40])
def test_a_path_that_leads_out_is_neither_read_nor_changed(tree: Tree, path: str) -> None:
    before = tree.state()
    acts: list[Callable[[], object]] = [
        lambda: tree.files.read(path),
        lambda: tree.files.write(path, b"changed"),
        lambda: tree.files.delete(path),
        lambda: tree.files.change([Put("src/a.py", b"changed"), Put(path, b"changed")]),
        lambda: tree.files.change([Remove("src/a.py"), Remove(path)]),
        lambda: (
            list(Walk(tree.files, ignored=True).below(path)) if path not in ("dangling",) else tree.files.read(path)
        ),
    ]
    for act in acts:
        with pytest.raises((PathRefused, OSError)):
            act()
    assert tree.state() == before


@pytest.mark.parametrize("path", NEVER, ids=lambda path: ascii(path)[:40])
def test_a_patch_of_such_a_path_changes_nothing(tree: Tree, path: str) -> None:
    before = tree.state()
    good = "*** Update File: src/a.py\n-inside\n+changed\n"
    if "\n" not in path and "\0" not in path:
        for bad in (
            f"*** Add File: {path}\n+x\n",
            f"*** Delete File: {path}\n",
            f"*** Update File: {path}\n-inside\n+x\n",
        ):
            with pytest.raises(UsageError):
                patch_files(tree.files, f"*** Begin Patch\n{good}{bad}*** End Patch")
        with pytest.raises(UsageError):
            patch_files(tree.files, f"*** Begin Patch\n*** Update File: src/a.py\n*** Move to: {path}\n*** End Patch")
    assert tree.state() == before


@pytest.mark.parametrize(("path", "real"), [("inside", "src/a.py"), ("folder-inside/a.py", "src/a.py")])
def test_a_link_that_stays_inside_is_read_and_never_written_through(tree: Tree, path: str, real: str) -> None:
    assert tree.files.read(path).path == real
    assert tree.files.read("up-and-in").data == b"inside\n"
    assert tree.files.read("self/self/src/a.py").path == real
    before = tree.state()
    with pytest.raises(PathRefused, match="link"):
        tree.files.write(path, b"x")
    with pytest.raises(PathRefused, match="link"):
        tree.files.delete(path)
    assert tree.state() == before


def test_an_absolute_path_is_refused_and_what_it_would_be_is_said(tree: Tree) -> None:
    """A rule that forbids `src/a.py` is not to be got round by another name of it."""
    with pytest.raises(PathRefused, match=r"relative to the top of the workspace; this is src/a\.py$"):
        tree.files.read(f"{tree.root}/src/a.py")
    with pytest.raises(PathRefused, match="outside"):
        tree.files.read(f"{tree.root}-other/src/a.py")


def test_a_file_with_other_names_is_replaced_and_they_keep_what_they_had(tree: Tree) -> None:
    os.link(tree.outside / "secret", tree.root / "hard")
    tree.files.write("hard", b"changed")
    assert (tree.outside / "secret").read_bytes() == SECRET
    assert tree.files.read("hard").data == b"changed"


@pytest.fixture
def special(tree: Tree) -> Iterator[list[str]]:
    os.mkfifo(tree.root / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        where = os.getcwd()
        os.chdir(tree.root)  # the name of a socket is at most about a hundred bytes
        try:
            listening.bind("socket")
        finally:
            os.chdir(where)
        names = ["pipe", "socket"]
        if os.geteuid() == 0:
            os.mknod(tree.root / "device", stat.S_IFCHR | 0o600, os.makedev(1, 5))
            names.append("device")
        yield names


def test_what_is_no_plain_file_is_never_opened(tree: Tree, special: list[str]) -> None:
    for name in special:
        with pytest.raises(PathRefused):
            tree.files.read(name)
        with pytest.raises(PathRefused):
            tree.files.write(name, b"x")
        with pytest.raises(PathRefused):
            tree.files.delete(name)
        assert os.path.lexists(tree.root / name)
    assert not {found.path for found in Walk(tree.files, ignored=True).below()} & set(special)


def test_a_folder_is_not_changed_as_a_file(tree: Tree) -> None:
    for act in (
        lambda: tree.files.write("src", b"x"),
        lambda: tree.files.delete("src"),
        lambda: tree.files.read("src"),
    ):
        with pytest.raises(PathRefused, match="folder"):
            act()
    with pytest.raises(PathRefused):
        tree.files.write("", b"x")


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[2Jb", " a", "a ", "new \n/a", "tab\there"])
def test_a_new_name_that_nobody_could_tell_is_refused(tree: Tree, name: str) -> None:
    before = tree.state()
    with pytest.raises(PathRefused, match="new name"):
        tree.files.write(name, b"x")
    assert tree.state() == before


def test_names_of_the_repository_are_known_in_every_spelling() -> None:
    assert all(map(is_git, (".git", ".GIT", ".giT.", ".git ", ".git. .", "git~1", ".git:x", ".git\\y", ".gi\u200dt")))
    assert not any(map(is_git, (".gitignore", ".github", "git", "a.git", ".git2", ".gitmodules", "git~2")))


def test_names_that_differ_only_by_case_are_told_where_they_are_one() -> None:
    assert spelled_otherwise("README.md", ["a", "readme.md"]) == "readme.md"
    assert spelled_otherwise("README.md", ["README.md", "readme.md"]) == ""
    assert spelled_otherwise("e\u0301", ["\u00e9"]) == ""
    assert parts_of("./a//b/.", "/root") == ("a", "b")


@pytest.mark.parametrize(
    "changes",
    [
        [Put("new", b"1"), Put("new", b"2")],
        [Put("new", b"1"), Put("new/inner", b"2")],
        [Put("src/a.py", b"1", before="absent")],
        [Put("src/a.py", b"1", before=b"something else")],
        [Put("x", b"1"), Remove("not-there")],
        [Put("x", b"1"), Put("big", b"x" * (16 * 1024 * 1024 + 1))],
        [Put("x", b"1"), Put("src/a.py/b", b"1")],
        [Put(f"many/{number}", b"") for number in range(1_001)],
    ],
    ids=["twice", "file and folder", "there", "other content", "missing", "too large", "below a file", "too many"],
)
def test_a_set_of_changes_with_one_that_cannot_be_made_makes_none(tree: Tree, changes: list[Put | Remove]) -> None:
    before = tree.state()
    with pytest.raises(PathRefused):
        tree.files.change([Put("src/a.py", b"changed") if changes[0].path != "src/a.py" else Put("y", b""), *changes])
    assert tree.state() == before


def test_a_write_that_fails_in_the_middle_is_taken_back(tree: Tree) -> None:
    """No file may be larger than some bytes, and the third is."""
    before = tree.state()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            tree.files.change([Put("n/new", b"1"), Put("src/a.py", b"changed"), Put("other/x", b"3" * 100_000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert tree.state() == before
    assert not (tree.root / "n").exists()


def test_modes_are_kept_and_none_is_given_that_runs_as_somebody_else(tree: Tree) -> None:
    script = tree.root / "run.sh"
    script.write_bytes(b"#!/bin/sh\n")
    script.chmod(0o4755)
    tree.files.write("run.sh", b"changed")
    assert stat.S_IMODE(script.stat().st_mode) == 0o755
    tree.files.change([Put("src/a.py", b"x", executable=True), Put("run.sh", b"y", executable=False)])
    assert stat.S_IMODE((tree.root / "src/a.py").stat().st_mode) == 0o755
    assert stat.S_IMODE(script.stat().st_mode) == 0o644


SWAPS = 150


def test_a_folder_exchanged_for_a_link_meanwhile_leads_nowhere(tree: Tree) -> None:
    """Another thread exchanges a folder and a link out, again and again, while files below it are worked on."""
    (tree.root / "moving").mkdir()
    (tree.root / "moving" / "secret").write_bytes(b"inside")
    os.symlink(tree.outside, tree.root / "decoy")
    over = threading.Event()

    def swap() -> None:
        moving, decoy, aside = tree.root / "moving", tree.root / "decoy", tree.root / "aside"
        while not over.is_set():
            for old, new in ((moving, aside), (decoy, moving), (moving, decoy), (aside, moving)):
                with suppress(OSError):  # a write made the folder anew just then
                    old.rename(new)
            if aside.exists():
                shutil.rmtree(moving, ignore_errors=True)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for number in range(SWAPS):
            try:
                assert tree.files.read("moving/secret").data in (b"inside", b"changed")
                tree.files.write("moving/secret", b"changed")
                tree.files.write(f"moving/new-{number}", b"x")
            except (PathRefused, OSError):
                continue
    finally:
        over.set()
        thread.join()
    assert sorted(os.listdir(tree.outside)) == ["secret"]
    assert (tree.outside / "secret").read_bytes() == SECRET


def test_a_file_exchanged_for_a_link_meanwhile_is_replaced_and_not_followed(tree: Tree) -> None:
    over = threading.Event()

    def swap() -> None:
        place = tree.root / "place"
        while not over.is_set():
            for make in (lambda: os.symlink("../outside/secret", place), lambda: place.write_bytes(b"inside")):
                place.unlink(missing_ok=True)
                try:
                    make()
                except OSError:  # the other thread was first
                    continue

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(SWAPS):
            try:
                assert tree.files.read("place").data != SECRET
                tree.files.write("place", b"changed")
            except (PathRefused, OSError):
                continue
    finally:
        over.set()
        thread.join()
    assert (tree.outside / "secret").read_bytes() == SECRET


def test_deep_folders_take_one_descriptor_and_too_deep_ones_are_refused(tree: Tree) -> None:
    deep = "/".join("d" for _ in range(150))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 8, hard))
    try:
        tree.files.write(f"{deep}/f", b"deep")
        tree.link(f"{deep}/up", "../" * 149 + "d/d")
        assert tree.files.read(f"{deep}/up/{deep.removeprefix('d/d/d/')}/f").data == b"deep"
        with pytest.raises(PathRefused, match="folders deep"):
            tree.files.write("/".join("e" for _ in range(300)), b"")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
