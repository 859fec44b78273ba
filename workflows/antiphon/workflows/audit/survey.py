"""Looks at a tree before anything is run: which files there are, and which nobody will be able to look at.

Every entry of the tree ends in exactly one place: among the files, among the gaps (with the reason), or among what was
left out on purpose (with the reason). Nothing is dropped.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from antiphon.engine.errors import UsageError
from antiphon.subagents.records import Coverage
from antiphon.workflows.audit.files import NotRegular, open_regular
from antiphon.workflows.audit.ignored import Rules, folder_reason, rules_above
from antiphon.workflows.audit.languages import (
    CODE,
    TEXT_LANGUAGES,
    Language,
    generated,
    language_of,
    undecodable,
    vendored,
)

LARGEST_BYTES = 2_000_000
SURVEY = "survey"
_BEGINNING_BYTES = 4_096

__all__ = ["LARGEST_BYTES", "TEXT_LANGUAGES", "File", "Language", "Omission", "PathMissing", "Survey", "survey"]


class PathMissing(UsageError):
    """The path to audit is not there, or cannot be read."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path} cannot be audited: {reason}.", advice="antiphon audit PATH, with a folder or file")


@dataclass(frozen=True, slots=True)
class File:
    """A file that could be read.

    Attributes:
        unit: its name everywhere in the run: relative to the root, POSIX separators.
        size: in bytes. sha256: of its content; None for what no check reads, such as pictures and very large data.
    """

    unit: str
    size: int
    language: Language
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Omission:
    """An entry of the tree that is not among the files, and why not."""

    unit: str
    reason: str


@dataclass(frozen=True, slots=True)
class Survey:
    """What there is to look at.

    Attributes:
        root: the folder that units are relative to.
        files: what could be read, by name.
        gaps: what should be looked at and cannot be: unreadable, undecodable, huge, a link out of the tree.
        left_out: what is not looked at on purpose: ignored, caches, environments, vendored or generated files, links to
            what is looked at anyway.
    """

    root: Path
    files: tuple[File, ...] = ()
    gaps: tuple[Omission, ...] = ()
    left_out: tuple[Omission, ...] = ()

    def records(self) -> tuple[Coverage, ...]:
        """The gaps as coverage records."""
        return tuple(
            Coverage(record="coverage", unit=gap.unit, check=SURVEY, state="failed", reason=gap.reason)
            for gap in self.gaps
        )

    def emptiness(self, languages: Collection[str] = TEXT_LANGUAGES) -> str | None:
        """One sentence if there is nothing in languages that the checks of a run read, or None."""
        if any(file.language in languages for file in self.files):
            return None
        said = [f"no check reads any of its files ({len(self.files)})" if self.files else "it holds no files"]
        if self.gaps:
            said.append(f"{len(self.gaps)} could not be read")
        if self.left_out:
            said.append(f"{len(self.left_out)} entries were left out (ignored, vendored, generated, caches)")
        return "There is nothing to look at: " + "; ".join(said) + "."


def survey(
    path: Path,
    *,
    largest_bytes: int = LARGEST_BYTES,
    exclude: Iterable[str] = (),
    include_vendored: bool = False,
    runs: Path | None = None,
) -> Survey:
    """Look at the tree below `path`, or at the one file it names. Blocks: call it in a worker thread.

    Symbolic links are never followed; a file that is named is looked at even where ignore files leave it out.

    Args:
        path: a folder or a file.
        largest_bytes: a source file above this size is a gap: it is generated or data, and analysers drown in it.
        exclude: patterns of what to leave out, as in ignore files, relative to `path`.
        include_vendored: also look at vendored and generated files, which are left out otherwise.
        runs: where runs live; what they hold is no part of the tree, wherever they lie.

    Raises:
        PathMissing: there is nothing at `path`, or it cannot be read.
        PatternError: a pattern fits no name.
    """
    try:
        root = path.resolve(strict=True)
        mode = root.stat().st_mode
    except (OSError, RuntimeError) as error:
        raise PathMissing(path, _why(error)) from None
    if not stat.S_ISDIR(mode):
        return _Walk(root.parent, largest_bytes, True).one(root)
    try:
        os.scandir(root).close()
    except OSError as error:
        raise PathMissing(path, _why(error)) from None
    own = runs.resolve() if runs is not None else None
    return _Walk(root, largest_bytes, include_vendored, own).all(rules_above(root, exclude))


@dataclass(slots=True)
class _Walk:
    root: Path
    largest: int
    everything: bool
    runs: Path | None = None
    files: list[File] = field(default_factory=list[File])
    gaps: list[Omission] = field(default_factory=list[Omission])
    left_out: list[Omission] = field(default_factory=list[Omission])

    def one(self, file: Path) -> Survey:
        self._file(file)
        return self._survey()

    def all(self, rules: Rules) -> Survey:
        # A stack and not recursion: a tree may be deeper than Python's.
        folders = [(self.root, rules)]
        while folders:
            folder, outer = folders.pop()
            rules = outer.within(folder)
            folders.extend((inner, rules) for inner in self._entries(folder, rules))
        return self._survey()

    def _entries(self, folder: Path, rules: Rules) -> Iterator[Path]:
        """Take the entries of one folder; those that are folders to go into are yielded."""
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            self.gaps.append(Omission(self._unit(folder) + "/", f"the folder cannot be listed: {_why(error)}"))
            return
        for entry in entries:
            path = Path(entry.path)
            inner = entry.is_dir(follow_symlinks=False)
            reason = folder_reason(path, self.runs) if inner else None
            if reason is None:
                reason = rules.reason(path, folder=inner)
            if reason is None and inner and not self.everything:
                reason = vendored(path.name)
            if reason is not None:
                self.left_out.append(Omission(self._unit(path) + ("/" if inner else ""), reason))
            elif inner:
                yield path
            elif entry.is_symlink():
                self._link(path)
            else:
                self._file(path)

    def _link(self, path: Path) -> None:
        unit = self._unit(path)
        try:
            target = path.resolve(strict=True)
        except (OSError, RuntimeError):
            self.gaps.append(Omission(unit, "a symbolic link that leads nowhere"))
            return
        if target.is_relative_to(self.root):
            self.left_out.append(Omission(unit, f"a symbolic link to {self._unit(target) or '.'}"))
        else:
            self.gaps.append(Omission(unit, "a symbolic link out of the tree, not followed"))

    def _file(self, path: Path) -> None:
        unit = self._unit(path)
        found = self._look(path, unit)
        if isinstance(found, File):
            self.files.append(found)
        elif isinstance(found, Omission):
            self.left_out.append(found)
        else:
            self.gaps.append(Omission(unit, found))

    def _look(self, path: Path, unit: str) -> File | Omission | str:
        """The file, that it is left out on purpose, or why it cannot be looked at."""
        if not _is_text(path.name) or not _is_text(str(path)):
            return "its name is not UTF-8, so analysers cannot say which file they mean"
        try:
            with open_regular(path) as stream:
                return self._read(stream, unit, os.fstat(stream.fileno()).st_size)
        except NotRegular as error:
            return str(error.strerror)
        except OSError as error:
            return f"it cannot be read: {_why(error)}"

    def _read(self, stream: io.BufferedReader, unit: str, size: int) -> File | Omission | str:
        beginning = stream.read(_BEGINNING_BYTES)
        language = language_of(unit, beginning)
        reason = None if self.everything or language == "other" else generated(unit, beginning)
        if reason is not None:
            return Omission(unit, reason)
        if language == "other" or (size > self.largest and language not in CODE):
            return File(unit, size, "other")
        if size > self.largest:
            return f"it is too large: {size:,} bytes, and the limit is {self.largest:,}"
        stream.seek(0)
        data = stream.read(self.largest + 1)
        problem = undecodable(language, data)
        if problem is not None:
            return problem if language in CODE else File(unit, len(data), "other")
        return File(unit, len(data), language, hashlib.sha256(data).hexdigest())

    def _unit(self, path: Path) -> str:
        relative = path.relative_to(self.root).as_posix() if path != self.root else ""
        return relative.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")

    def _survey(self) -> Survey:
        return Survey(
            root=self.root,
            files=tuple(sorted(self.files, key=lambda file: file.unit)),
            gaps=tuple(sorted(self.gaps, key=lambda gap: (gap.unit, gap.reason))),
            left_out=tuple(sorted(self.left_out, key=lambda entry: (entry.unit, entry.reason))),
        )


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _why(error: OSError | RuntimeError) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()
