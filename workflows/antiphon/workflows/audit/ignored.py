"""What a survey leaves out: repositories' own folders, caches, virtual environments, and what ignore files name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pathspec

from antiphon.workflows.audit.files import read_regular

# Names of folders that hold nothing a person wrote. What they are is said in the report.
FOLDERS = {
    ".git": "version control",
    ".hg": "version control",
    ".svn": "version control",
    ".bzr": "version control",
    ".antiphon": "antiphon's own runs",
    "__pycache__": "a cache",
    ".mypy_cache": "a cache",
    ".ruff_cache": "a cache",
    ".pytest_cache": "a cache",
    ".hypothesis": "a cache",
    ".import_linter_cache": "a cache",
    ".tox": "virtual environments",
    ".nox": "virtual environments",
    ".eggs": "installed packages",
    "node_modules": "installed packages",
}
_LARGEST_IGNORE_FILE_BYTES = 1 << 20


def folder_reason(path: Path) -> str | None:
    """Why a folder is left out whatever the ignore files say, or None."""
    if path.name in FOLDERS:
        return FOLDERS[path.name]
    return "a virtual environment" if (path / "pyvenv.cfg").is_file() else None


@dataclass(frozen=True, slots=True)
class Rules:
    """The ignore files in force somewhere in a tree, outermost first; the innermost that has an opinion decides."""

    files: tuple[tuple[Path, pathspec.GitIgnoreSpec], ...] = ()

    def within(self, folder: Path) -> Self:
        """The rules inside `folder`: these, and those of its own .gitignore."""
        return self.reading(folder, folder / ".gitignore")

    def ignores(self, path: Path, *, folder: bool) -> bool:
        """Whether `path` is left out. A folder that is left out takes everything in it along, as with git."""
        for base, spec in reversed(self.files):
            relative = path.relative_to(base).as_posix() + ("/" if folder else "")
            decision = spec.check_file(relative).include
            if decision is not None:
                return decision
        return False

    def reading(self, base: Path, file: Path) -> Self:
        """These rules, and those of an ignore file whose patterns are relative to `base`."""
        lines = _lines(file)
        if not lines:
            return self
        return type(self)((*self.files, (base, pathspec.GitIgnoreSpec.from_lines(_valid(lines)))))


def rules_above(root: Path) -> Rules:
    """The ignore files between the top of the repository that holds `root` and `root` itself, not included.

    None if there is no repository, or if they leave out `root`: who names an ignored folder wants it looked at.
    """
    top = next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), None)
    if top is None:
        return Rules()
    rules = Rules().reading(top, top / ".git" / "info" / "exclude")
    if top == root:
        return rules
    for folder in _between(top, root):
        rules = rules.within(folder)
        inner = folder / root.relative_to(folder).parts[0]
        if rules.ignores(inner, folder=True):
            return Rules()
    return rules


def _between(top: Path, root: Path) -> Iterable[Path]:
    folder = top
    for part in root.relative_to(top).parts:
        yield folder
        folder = folder / part


def _lines(file: Path) -> list[str]:
    """Lines of an ignore file; none if it is no regular file, or is too large to be meant seriously."""
    data = read_regular(file, _LARGEST_IGNORE_FILE_BYTES) or b""
    return data.decode("utf-8", "surrogateescape").splitlines()


def _valid(lines: Iterable[str]) -> Iterable[str]:
    """The lines that are patterns; git passes over those that are not, and so does this."""
    for line in lines:
        try:
            pathspec.GitIgnoreSpec.from_lines([line])
        except ValueError:
            continue
        yield line
