"""The workflow files of a run: where each is read from, and the copies of them that the run keeps.

A run keeps every version it executed: the first in `script.py`, later ones and nested workflows in `workflows/`, named
by their hash. An `input` event says which file a copy is of, so that `verify` finds an edit. A run made here reads the
original, so that edits count, and the copy where that is gone; a run from elsewhere reads copies only.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from antiphon.engine import UsageError
from antiphon.subagents.function import Role
from antiphon.subagents.roles.library import Roles
from antiphon.tracing import Event, Log
from antiphon.tracing.blobs import open_plain
from antiphon.workflows.disk import recording, write_whole
from antiphon.workflows.loading import MAX_BYTES, Loaded, load, load_source
from antiphon.workflows.runtimes import RuntimeAsked
from antiphon.workflows.steps import StepFunction

FOLDER = "workflows"
FIRST = "script.py"
_NAME = re.compile(r"script\.py|workflows/[0-9a-f]{64}\.py")


@dataclass(frozen=True, slots=True)
class Copy:
    """A workflow file as a run executed it: the copy's name in the run's directory, and its sha256."""

    name: str
    sha256: str


@dataclass(slots=True)
class Scripts:
    """The workflow files of one run.

    Attributes:
        directory: the run's.
        ours: whether files outside of it may be executed.
        copies: the newest copy, by the file's absolute path.
        library: the model roles that they may declare; by default those of the current folder's project.
        runtime: what was said of where they run; once the first is confined, all of them are.
        roles: those that the program which runs them lends them. steps: likewise.
    """

    directory: Path
    ours: bool = True
    copies: dict[str, Copy] = field(default_factory=dict[str, Copy])
    library: Roles | None = None
    runtime: RuntimeAsked = field(default_factory=RuntimeAsked)
    roles: Mapping[str, Role] = field(default_factory=dict[str, Role])
    steps: Mapping[str, StepFunction] = field(default_factory=dict[str, StepFunction])
    _loaded: dict[Path, Loaded] = field(default_factory=dict[Path, Loaded])

    @classmethod
    def of(cls, directory: Path, events: Iterable[Event], *, ours: bool, library: Roles | None = None) -> Scripts:
        """Those of a run that began earlier, by its log."""
        found = cls(directory, ours, library=library)
        for event in events:
            if event.kind == "input":
                found._take(event.data)
        return found

    def load(self, path: Path) -> Loaded:
        """The workflow at `path`; within one attempt of a run, always the same version.

        Raises:
            UsageError: it cannot be loaded; it is gone and there is no copy; the copy is not what the log says.
        """
        if path not in self._loaded:
            here = self.ours and path.is_file()
            self._loaded[path] = self._from_original(path) if here else self._from_copy(path)
        return self._loaded[path]

    def keep(self, log: Log, loaded: Loaded) -> None:
        """Copy a workflow that is about to be executed, and say so in the log. Nothing happens for a known version.

        Raises:
            LogFailed: the copy cannot be written.
        """
        known = self.copies.get(str(loaded.path))
        if known is not None and known.sha256 == loaded.digest:
            return
        name = f"{FOLDER}/{loaded.digest}.py" if self.copies else FIRST
        with recording(self.directory):
            file = self.directory / name
            file.parent.mkdir(exist_ok=True)
            write_whole(file, loaded.source.encode())
        self.copies[str(loaded.path)] = Copy(name, loaded.digest)
        log.enqueue("input", "", {"name": name, "sha256": loaded.digest, "file": str(loaded.path)})

    def _take(self, data: Mapping[str, object]) -> None:
        """Take what the log says of a copy; it may have been written by anybody."""
        match data:
            case {"name": str(name), "sha256": str(sha256), "file": str(file)} if _NAME.fullmatch(name):
                self.copies[file] = Copy(name, sha256)
            case _:
                pass

    def _from_original(self, path: Path) -> Loaded:
        return load(path, roles=self.roles, steps=self.steps, library=self.library, runtime=self.runtime)

    def _from_copy(self, path: Path) -> Loaded:
        copy = self.copies.get(str(path))
        if copy is None:
            why = "it is not there" if self.ours else "only copies are executed of a run that was not made here"
            raise UsageError(f"{path} cannot be loaded: {why}, and the run holds no copy of it")
        kept = self.directory / copy.name
        content = _read(kept)
        if hashlib.sha256(content).hexdigest() != copy.sha256:
            raise UsageError(f"{kept} is not what the run executed", advice=f"antiphon verify {self.directory.name}")
        return load_source(
            content.decode(),
            path,
            kept_in=kept,
            roles=self.roles,
            steps=self.steps,
            library=self.library,
            runtime=self.runtime,
        )


def _read(kept: Path) -> bytes:
    try:
        with open_plain(kept) as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{kept} cannot be read: {error.strerror or error}") from None
