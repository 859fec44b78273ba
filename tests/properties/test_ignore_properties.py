"""What ignore files leave out of an audit is what git leaves out, whatever is written in them."""

from __future__ import annotations

import os
import re
import subprocess
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.subagents.ignore_patterns import Patterns
from antiphon.workflows.audit import survey

pytestmark = pytest.mark.real_time

NAMES = ("a", "b", "ab", "abab", "a.md", "b.md", "*", "é", "-", "#", "!", "]", "[", "\\", "a ")
FOLDERS = ("a", "b", "ab", "é", "a/b", "b/a", "a/b/ab", "ab/a")
GIT = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "PATH": os.environ["PATH"]}
ATOMS = [
    *("a", "b", "ab", "*", "**", "***", "?", "/", "/", "\\", "[", "[a]", "[!a]", "[a-c]", "[]a]", "[^]b]", "[a-]"),
    *("[z-ab]", "[[:alpha:]]", "[[:punct:]-b]", "[[:none:]a]", "[[:a]", "[a/b]", "[\\]]", "]", "!", "#", " ", "-"),
    *(".md", "\\*", "\\/", "é", "[é]", "**/", "/**", "\r", "\x0b", "\ufeff", "\u2028"),
]
# What git does otherwise than its manual says: see the module. And **\/, which nobody writes.
QUIRKS = re.compile(r"[^/*]\*\*|\*\\/")
LINES = (
    st.lists(st.sampled_from(ATOMS), min_size=1, max_size=5).map("".join).filter(lambda line: not QUIRKS.search(line))
)
IGNORE_FILES = st.lists(LINES, min_size=1, max_size=4)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with odd names, three folders deep."""
    root = tmp_path_factory.mktemp("repository")
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    for folder, name in product(("", *FOLDERS), NAMES):
        if not (root / folder / name).exists():
            (root / folder / name).touch()
    subprocess.run(["git", "init", "-q", str(root)], check=True, env=GIT)
    return root


def ignored_by_git(root: Path, names: list[str]) -> set[str]:
    """Which of the files git leaves out."""
    command = ["git", "-C", str(root), "check-ignore", "-z", "--no-index", "--stdin"]
    done = subprocess.run(command, input="\0".join(names).encode(), capture_output=True, env=GIT, check=False)
    assert done.returncode in (0, 1), done.stderr
    return {name for name in done.stdout.decode().split("\0") if name}


@settings(deadline=None, max_examples=150)
@given(IGNORE_FILES, IGNORE_FILES)
def test_an_audit_leaves_out_what_git_leaves_out(repository: Path, outer: list[str], inner: list[str]) -> None:
    written = {".gitignore": outer, "a/.gitignore": inner}
    for name, lines in written.items():
        (repository / name).write_bytes("\n".join(lines).encode())
    names = [str(path.relative_to(repository)) for path in repository.rglob("*") if path.is_file()]
    names = [name for name in names if not name.startswith(".git/")]
    found = survey(repository, include_vendored=True)
    assert not found.gaps
    assert set(names) - {file.unit for file in found.files} == ignored_by_git(repository, names)


@settings(deadline=None, max_examples=100)
@given(st.lists(LINES.filter(lambda line: not line.startswith("!")), min_size=1, max_size=4))
def test_a_file_is_meant_by_itself_or_by_a_folder_around_it(repository: Path, lines: list[str]) -> None:
    (repository / ".gitignore").write_bytes("\n".join(lines).encode())
    (repository / "a" / ".gitignore").unlink(missing_ok=True)
    names = [f"{folder}/{name}" if folder else name for folder, name in product(("", *FOLDERS), NAMES)]
    names = [name for name in names if (repository / name).is_file()]
    patterns = Patterns.of(lines)
    assert {name for name in names if patterns.means(name)} == ignored_by_git(repository, names)


@pytest.mark.parametrize(
    ("line", "meant", "other"),
    [
        ("a/**/", {"a/b/a.md", "a/b/ab/b"}, {"a/a.md", "b/a/a.md"}),
        ("a/**", {"a/b/a.md", "a/a.md"}, {"b/a/a.md"}),
        ("a/***/ab", {"a/b/ab/b"}, {"a/a.md"}),
        ("[z-a]", set[str](), {"ab/b", "b/b"}),
        ("?", {"b/-", "b/a/a.md"}, {"é/b.md", "abab"}),
    ],
)
def test_what_may_be_read_in_two_ways_is_read_as_git_reads_it(
    repository: Path, line: str, meant: set[str], other: set[str]
) -> None:
    (repository / ".gitignore").write_text(f"{line}\n")
    (repository / "a" / ".gitignore").unlink(missing_ok=True)
    units = {file.unit for file in survey(repository, include_vendored=True).files}
    assert other <= units
    assert not meant & units
    assert ignored_by_git(repository, sorted(meant | other)) == meant
