"""The step `survey`: what there is to work on, so that the author need not guess. Deterministic, and capped.

A tree may be hostile: nothing is followed out of it, nothing is executed, names and beginnings of files are legible,
and however large it is, what is said of it is small.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import anyio.to_thread

from antiphon.engine import UsageError
from antiphon.subagents.prompt.delimiting import legible
from antiphon.subagents.workspace.files import Files, PathRefused, Walk
from antiphon.tracing import Json
from antiphon.workflows.audit.languages import language_of
from antiphon.workflows.steps import step_function

MOST_LISTED: Final = 300
MOST_FOLDERS: Final = 60
_MOST_FILES: Final = 100_000
_MOST_LARGE: Final = 10
_MOST_NAMED: Final = 30
_NAME_CHARACTERS: Final = 200
_README_BYTES: Final = 4_000
_DOCUMENTS: Final = (".md", ".rst", ".adoc", ".txt", ".html")
_TESTS: Final = frozenset({"tests", "test", "__tests__", "spec"})
_SIGNS: Final = frozenset(
    {"pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "tox.ini", "package.json", "tsconfig.json",
     "cargo.toml", "go.mod", "pom.xml", "build.gradle", "gemfile", "composer.json", "makefile", "dockerfile"}
)  # fmt: skip


@dataclass(slots=True)
class _Seen:
    """What a walk found."""

    files: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    links: int = 0
    cut: bool = False
    left_out: Counter[str] = field(default_factory=Counter[str])


@step_function("survey", version="1")
async def survey(path: str) -> dict[str, Any]:
    """What is in the folder at `path`: files by language and folder, tests, documents, the largest, the README.

    Args:
        path: the folder, absolute.
    """
    return await anyio.to_thread.run_sync(surveyed, Path(path))


def surveyed(folder: Path) -> dict[str, Json]:
    """See `survey`. Blocks.

    Raises:
        UsageError: there is no such folder, or it cannot be read.
    """
    files = Files(folder)
    try:
        seen = _walked(files)
    except (PathRefused, OSError) as error:
        raise UsageError(f"{folder} cannot be looked at: {error}") from None
    paths = sorted(path for path, _ in seen.files)
    return {
        "folder": _name(files.root.name),
        "files": len(seen.files),
        "bytes": sum(size for _, size in seen.files),
        "links_not_followed": seen.links,
        "languages": _languages(seen.files),
        "folders": _folders(seen.files),
        "built_by": _named(path for path in paths if path.rpartition("/")[2].lower() in _SIGNS),
        "tests": _counted([path for path in paths if _is_test(path)]),
        "documents": _counted([path for path in paths if path.lower().endswith(_DOCUMENTS)]),
        "largest": [[_name(path), size] for path, size in sorted(seen.files, key=_by_size)[:_MOST_LARGE]],
        "listing": _listing(paths),
        "readme": _readme(files, paths),
        "not_all": seen.cut or len(paths) > MOST_LISTED,
        "left_out": dict(sorted(seen.left_out.items())),
    }


def _walked(files: Files) -> _Seen:
    seen, walk = _Seen(), Walk(files)
    for found in walk.below(""):
        if found.entry.kind != "file":
            seen.links += 1
        elif len(seen.files) >= _MOST_FILES:
            seen.cut = True
            break
        elif not found.path.startswith(".antiphon/"):
            seen.files.append((found.path, found.entry.size))
    seen.left_out = walk.left_out
    return seen


def _languages(files: Iterable[tuple[str, int]]) -> dict[str, Json]:
    count, size = Counter[str](), Counter[str]()
    for path, large in files:
        language = language_of(path, b"")
        count[language] += 1
        size[language] += large
    return {name: {"files": count[name], "bytes": size[name]} for name in sorted(count)}


def _folders(files: Iterable[tuple[str, int]]) -> list[Json]:
    """The folders of the first two levels, those with the most files first."""
    count = Counter[str]()
    for path, _ in files:
        parts = path.split("/")[:-1][:2]
        count["/".join(parts) or "."] += 1
    return [[_name(folder), number] for folder, number in sorted(count.items(), key=_by_count)[:MOST_FOLDERS]]


def _by_count(pair: tuple[str, int]) -> tuple[int, str]:
    return -pair[1], pair[0]


def _by_size(pair: tuple[str, int]) -> tuple[int, str]:
    return -pair[1], pair[0]


def _is_test(path: str) -> bool:
    *folders, name = path.lower().split("/")
    stem = name.rpartition(".")[0] or name
    marked = stem.startswith("test_") or stem.endswith(("_test", ".test", ".spec", "-test"))
    return marked or (not _TESTS.isdisjoint(folders) and name.endswith((".py", ".js", ".ts")))


def _counted(paths: Sequence[str]) -> dict[str, Json]:
    return {"files": len(paths), "some": _named(paths)}


def _named(paths: Iterable[str]) -> list[Json]:
    return [_name(path) for _, path in zip(range(_MOST_NAMED), paths, strict=False)]


def _listing(paths: Sequence[str]) -> list[Json]:
    """All paths, or as many as may be listed from all over the tree."""
    return [_name(path) for path in _spread(paths)]


def _spread(paths: Sequence[str]) -> Iterator[str]:
    if len(paths) <= MOST_LISTED:
        yield from paths
        return
    for place in range(MOST_LISTED):
        yield paths[place * len(paths) // MOST_LISTED]


def _name(text: str) -> str:
    plain = legible(" ".join(text.split(" ")))
    return plain if len(plain) <= _NAME_CHARACTERS else f"{plain[: _NAME_CHARACTERS - 1]}…"


def _readme(files: Files, paths: Sequence[str]) -> str:
    """The beginning of the README at the top, if there is one."""
    for path in paths:
        if "/" not in path and path.lower().partition(".")[0] == "readme":
            try:
                return legible(files.read(path, _README_BYTES).data.decode("utf-8", "replace"))
            except (PathRefused, OSError):
                return ""
    return ""
