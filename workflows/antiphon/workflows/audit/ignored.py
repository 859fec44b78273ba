"""What a survey leaves out: repositories' own folders, caches, virtual environments, and what ignore files name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from antiphon.engine.errors import UsageError
from antiphon.subagents.ignore_patterns import Patterns, lines_of
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
GIT_IGNORE = ".gitignore"
OWN_IGNORE = ".antiphonignore"
EXCLUDED = "excluded by you (--exclude)"
_LARGEST_IGNORE_FILE_BYTES = 1 << 20
_MOST_WEIGHT = 10_000
"""Of all patterns in force anywhere (names count 1 each); an ignore file beyond it hides nothing: all is looked at."""


def folder_reason(path: Path, runs: Path | None = None) -> str | None:
    """Why a folder is left out whatever the ignore files say, or None."""
    if path == runs:
        return FOLDERS[".antiphon"]
    if path.name in FOLDERS:
        return FOLDERS[path.name]
    return "a virtual environment" if (path / "pyvenv.cfg").is_file() else None


class PatternError(UsageError):
    """A pattern of what to leave out that leaves nothing out.

    Attributes:
        pattern: as it was given.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        super().__init__(
            f"--exclude {pattern[:300]!r} is no pattern that fits any name",
            advice="patterns are those of .gitignore: --exclude 'build/', --exclude '*_pb2.py', --exclude '/docs/**'",
        )


@dataclass(frozen=True, slots=True)
class Layer:
    """The patterns of one ignore file, or of the person.

    Attributes:
        base: what they are relative to. said: where they are from. patterns: what they are.
    """

    base: Path
    said: str
    patterns: Patterns


@dataclass(frozen=True, slots=True)
class Rules:
    """The patterns in force somewhere in a tree.

    Attributes:
        files: of ignore files, outermost first; the innermost that has an opinion decides.
        asked: of the person, which come before all of them.
    """

    files: tuple[Layer, ...] = ()
    asked: Layer | None = None

    def within(self, folder: Path) -> Self:
        """The rules inside `folder`: these, and those of its own ignore files; ours comes after git's."""
        return self.reading(folder, folder / GIT_IGNORE).reading(folder, folder / OWN_IGNORE)

    def ignores(self, path: Path, *, folder: bool) -> bool:
        """Whether `path` is left out. A folder that is left out takes everything in it along, as with git."""
        return self.reason(path, folder=folder) is not None

    def reason(self, path: Path, *, folder: bool) -> str | None:
        """Why `path` is left out, or None if it is not."""
        for layer in (*([self.asked] if self.asked else []), *reversed(self.files)):
            said = layer.patterns.decides(path.relative_to(layer.base).as_posix(), folder=folder)
            if said is not None:
                return layer.said if said else None
        return None

    def reading(self, base: Path, file: Path) -> Self:
        """These rules, and those of an ignore file whose patterns are relative to `base`."""
        patterns = Patterns.of(_lines(file))
        if not patterns.lines or patterns.weight + sum(layer.patterns.weight for layer in self.files) > _MOST_WEIGHT:
            return self
        return replace(self, files=(*self.files, Layer(base, f"ignored by {file.name}", patterns)))


def excluding(patterns: Iterable[str], root: Path) -> Layer | None:
    """What a person asked to leave out of the tree at `root`; None for nothing.

    Raises:
        PatternError: a pattern fits no name.
    """
    given = list(patterns)
    for pattern in given:
        if not Patterns.of([pattern]).lines:
            raise PatternError(pattern)
    return Layer(root, EXCLUDED, Patterns.of(given)) if given else None


def rules_above(root: Path, exclude: Iterable[str] = ()) -> Rules:
    """The ignore files between the top of the repository that holds `root` and `root` itself, not included.

    No files if there is no repository, or if they leave out `root`: who names an ignored folder wants it looked at.

    Args:
        root: the audited folder.
        exclude: patterns of the person, relative to `root`; they decide before any ignore file.

    Raises:
        PatternError: one of them fits no name.
    """
    return replace(_files_above(root), asked=excluding(exclude, root))


def _files_above(root: Path) -> Rules:
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
    return lines_of(read_regular(file, _LARGEST_IGNORE_FILE_BYTES) or b"")
