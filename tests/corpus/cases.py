"""The corpus: small repositories with one real bug each, stored as text and put on disk for a test.

A case is a folder of `fix/`: `repository/` (each file with `.txt` after its name, so that nothing takes it for code of
antiphon), `report.md` (what a user wrote), `right.patch` and `wrong.patch`, `reproducing.txt` (a test that a tester
would write) and `hidden.txt` (tests that tell right from wrong, which nobody but the corpus sees), and `case.toml`.
"""

from __future__ import annotations

import os
import subprocess
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FIX = Path(__file__).parent / "fix"
WHO = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")


@dataclass(frozen=True, slots=True)
class Case:
    """One repository with a bug.

    Attributes:
        name: of its folder. kind: of bug. cause: what is wrong, in words of whoever wrote it.
        report: as a user wrote it: what they saw, not why.
        files: of the repository, by path. test: how its tests are run; "" where that is to be found out.
        framework: what its tests say: "pytest", "unittest" or "tap". git: whether it is a git repository.
        right, wrong: patches. caught_by: which tests see that the wrong one is wrong: "existing" or "reproducing".
        reproducing, hidden: a path and a test.
    """

    name: str
    kind: str
    cause: str
    report: str
    files: Mapping[str, bytes]
    test: str
    framework: str
    git: bool
    right: str
    wrong: str
    caught_by: str
    reproducing: tuple[str, str]
    hidden: tuple[str, str]

    def write(self, folder: Path) -> Path:
        """Put the repository there, committed where it is one of git's; returns the folder."""
        for path, content in self.files.items():
            place(folder, path, content)
        if self.git:
            git(folder, "init", "--quiet", "--initial-branch=main")
            git(folder, "add", "--all", "--force")
            git(folder, *WHO, "commit", "--quiet", "--message", "Everything")
        return folder

    def existing(self, path: str) -> bool:
        """Whether a file of results is one of the repository's own tests."""
        return path not in (self.reproducing[0], self.hidden[0])


def read(name: str) -> Case:
    """A case by its name."""
    folder = FIX / name
    about = tomllib.loads((folder / "case.toml").read_text())
    crlf = frozenset(about.get("crlf", ()))
    files = dict(_stored(folder / "repository", crlf))
    return Case(
        name=name,
        kind=about["kind"],
        cause=about["cause"],
        report=(folder / "report.md").read_text(),
        files=files,
        test=about.get("test", ""),
        framework=about["framework"],
        git=about.get("git", True),
        right=_patch(folder / "right.patch", crlf),
        wrong=_patch(folder / "wrong.patch", crlf),
        caught_by=about["caught_by"],
        reproducing=(about["reproducing"], (folder / "reproducing.txt").read_text()),
        hidden=(about["hidden"], (folder / "hidden.txt").read_text()),
    )


def names() -> list[str]:
    """All cases."""
    return sorted(found.name for found in FIX.iterdir() if (found / "case.toml").is_file())


def place(folder: Path, path: str, content: bytes | str) -> None:
    """Put one file there."""
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content if isinstance(content, bytes) else content.encode())


def git(folder: Path, *words: str, stdin: str | None = None) -> str:
    """What git prints, with nobody's configuration."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CEILING_DIRECTORIES": str(folder.parent),
    }
    done = subprocess.run(
        ["git", "-C", str(folder), *words],
        input=None if stdin is None else stdin.encode(),
        capture_output=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, (words, done.stderr.decode(errors="replace"))
    return done.stdout.decode(errors="replace")


def apply(folder: Path, patch: str) -> None:
    """Apply a patch to the files of a folder."""
    git(folder, "apply", "-", stdin=patch)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by path: `.git` too."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def _stored(root: Path, crlf: frozenset[str]) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for file in sorted(root.rglob("*.txt")):
        path = str(file.relative_to(root)).removesuffix(".txt")
        content = file.read_bytes()
        found.append((path, content.replace(b"\n", b"\r\n") if path in crlf else content))
    return found


def _patch(file: Path, crlf: frozenset[str]) -> str:
    """A patch; the lines of files that end in CR LF do so in it."""
    lines: list[str] = []
    path = ""
    for line in file.read_text().split("\n"):
        if line.startswith("+++ "):
            path = line.removeprefix("+++ b/")
        of_file = line[:1] in (" ", "+", "-") and not line.startswith(("+++ ", "--- "))
        lines.append(f"{line}\r" if path in crlf and of_file else line)
    return "\n".join(lines)
