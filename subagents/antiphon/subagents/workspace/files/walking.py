"""All files below a folder, in order, without those that ignore files leave out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from antiphon.subagents.ignore_patterns import Patterns, lines_of
from antiphon.subagents.prompt.files import IGNORE_FILES, NEVER
from antiphon.subagents.workspace.files.content import Entry
from antiphon.subagents.workspace.files.files import Files
from antiphon.subagents.workspace.files.names import PathRefused, is_git, parts_of
from antiphon.subagents.workspace.files.viewing import LEFT_OUT

_MOST_NAMES: Final = 200_000
_DEEPEST: Final = 60
_IGNORE_BYTES: Final = 1 << 18
_IGNORE_LINES: Final = 1_000


class Found(NamedTuple):
    """Something below a folder: its path with `/`, and what it is."""

    path: str
    entry: Entry


class _Layer(NamedTuple):
    base: str
    patterns: Patterns


def _go_on() -> None:
    """Nothing asks for an end."""


@dataclass(slots=True)
class Walk:
    """A walk through the files of a workspace, as far as its view shows them. Links are told and not followed.

    Attributes:
        files: where. ignored: files that ignore files leave out, and folders of tools (`.venv`, `node_modules`), too.
        between: called between two folders; what it raises ends the walk.
        left_out: what was not looked at, by reason; filled on the way.
    """

    files: Files
    ignored: bool = False
    between: Callable[[], None] = _go_on
    left_out: Counter[str] = field(default_factory=Counter[str])
    _seen: int = 0

    def below(self, path: str = "") -> Iterator[Found]:
        """Files and links below a folder, in order of their paths by folder; a file's own path gives that file.

        Links on the way to the folder are passed; the paths are those that lead through none.

        Raises:
            PathRefused: the path leads out, or nothing is there.
        """
        parts = parts_of(self.files.where(path))
        layers: tuple[_Layer, ...] = ()
        for length in range(len(parts)):
            here = "/".join(parts[:length])
            layers = (*layers, *self._layers(here, {entry.name for entry in self.files.list(here)}))
        top = "/".join(parts)
        entry = self.files.look(top)
        if entry is None:
            raise PathRefused(path, "there is no such file or folder")
        if entry.kind != "folder":
            if self._shown(top, entry):
                yield Found(top, entry)
            return
        yield from self._walk(top, layers)

    def _walk(self, top: str, layers: tuple[_Layer, ...]) -> Iterator[Found]:
        waiting = [(top, layers)]
        while waiting:
            here, above = waiting.pop()
            self.between()
            entries = self._listed(here, optional=here != top)
            ignoring = (*above, *self._layers(here, {entry.name for entry in entries}))
            folders: list[tuple[str, tuple[_Layer, ...]]] = []
            for entry in entries:
                path = f"{here}/{entry.name}" if here else entry.name
                if not self._wanted(path, entry, ignoring) or not self._shown(path, entry):
                    continue
                if entry.kind == "folder":
                    folders.append((path, ignoring))
                else:
                    yield Found(path, entry)
            waiting += reversed(self._entered(here, folders))

    def _listed(self, here: str, *, optional: bool) -> list[Entry]:
        try:
            entries = self.files.list(here)
        except PathRefused:
            if not optional:
                raise
            self.left_out["folders that could not be read"] += 1
            return []
        self._seen += len(entries)
        return entries

    def _entered(
        self, here: str, folders: list[tuple[str, tuple[_Layer, ...]]]
    ) -> list[tuple[str, tuple[_Layer, ...]]]:
        if self._seen > _MOST_NAMES:
            self.left_out[f"folders beyond {_MOST_NAMES:,} names"] += len(folders)
            return []
        if here.count("/") >= _DEEPEST:
            self.left_out["folders too deep"] += len(folders)
            return []
        return folders

    def _wanted(self, path: str, entry: Entry, layers: tuple[_Layer, ...]) -> bool:
        if entry.kind == "special" or is_git(entry.name):
            return False
        if self.ignored:
            return True
        folder = entry.kind == "folder"
        return not (folder and entry.name in NEVER) and not _ignored(path, layers, folder=folder)

    def _shown(self, path: str, entry: Entry) -> bool:
        shown = self.files.shown(path, entry) is not None
        if not shown:
            self.left_out[LEFT_OUT] += 1
        return shown

    def _layers(self, here: str, names: set[str]) -> Iterator[_Layer]:
        if self.ignored:
            return
        base = f"{here}/" if here else ""
        for name in IGNORE_FILES:
            if name not in names:
                continue
            try:
                lines = lines_of(self.files.read(f"{base}{name}", _IGNORE_BYTES).data)
            except (PathRefused, OSError):
                continue
            if len(lines) > _IGNORE_LINES:
                self.left_out["lines of ignore files beyond the cap"] += len(lines) - _IGNORE_LINES
            yield _Layer(base, Patterns.of(lines[:_IGNORE_LINES]))


def _ignored(path: str, layers: tuple[_Layer, ...], *, folder: bool) -> bool:
    """Whether the innermost ignore file that has an opinion leaves this out."""
    for base, patterns in reversed(layers):
        said = patterns.decides(path[len(base) :], folder=folder)
        if said is not None:
            return said
    return False
