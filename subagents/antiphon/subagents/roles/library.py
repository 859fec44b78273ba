"""The roles that there are: built in, and those of a project, which win over a built-in one of the same name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from antiphon.engine import UndeclaredError
from antiphon.subagents.roles.definition import RoleDefinition
from antiphon.subagents.roles.reading import RoleError, read_role, role_of

BUILT_IN: Final = (
    "worker",
    "planner",
    "coder",
    "critic",
    "refiner",
    "tester",
    "auditor",
    "verifier",
    "researcher",
    "adjudicator",
    "judge",
    "author",
    "reviewer",
    "assessor",
)
"""The roles that ship with antiphon, in the order they are listed."""
FOLDERS: Final = ((".claude", "agents"), (".antiphon", "roles"))
"""Where a project's roles lie; of two files for one name, the one in the later folder wins."""
MAX_FILES: Final = 500
"""Most role files of a folder."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One role, as a listing shows it.

    Attributes:
        name: what scripts call it by. source: its file, or "built in".
        definition: what it says; None if its file is bad. problem: what is wrong with that.
        hides: sources of roles of this name that it stands before.
    """

    name: str
    source: str
    definition: RoleDefinition | None = None
    problem: RoleError | None = None
    hides: tuple[str, ...] = ()


@dataclass(slots=True)
class Roles:
    """The roles of one project. Files are read once, when a role is first asked for.

    Attributes:
        folder: the project's; None for the built-in roles alone.
    """

    folder: Path | None = None
    _entries: dict[str, Entry] | None = field(default=None, repr=False)

    @classmethod
    def here(cls, start: Path | None = None) -> Roles:
        """Those of the project around a folder, the current one by default.

        A project is the nearest folder that has roles, up to the one that holds ``.git``, and never the home folder or
        one above it: what lies there is not part of any project.
        """
        return cls(_project(Path(start or Path.cwd()).absolute()))

    def names(self) -> list[str]:
        """The names of all roles, those with a bad file too."""
        return list(self._all())

    def listed(self) -> list[Entry]:
        """Every role: the built-in ones first."""
        return list(self._all().values())

    def __contains__(self, name: str) -> bool:
        return name in self._all()

    def role(self, name: str) -> RoleDefinition:
        """The role of a name.

        Raises:
            RoleError: its file is bad.
            UndeclaredError: there is none.
        """
        entry = self._all().get(name)
        if entry is None:
            raise UndeclaredError("role", name, self.names())
        if entry.definition is None:
            raise entry.problem or RoleError(entry.source, "it cannot be used")
        return entry.definition

    def _all(self) -> dict[str, Entry]:
        if self._entries is None:
            found = {name: Entry(name, "built in", definition) for name, definition in built_in().items()}
            for parts in FOLDERS if self.folder else ():
                assert self.folder is not None
                for entry in _entries_of(self.folder.joinpath(*parts)):
                    _put(found, entry)
            self._entries = found
        return self._entries


@lru_cache(maxsize=1)
def built_in() -> dict[str, RoleDefinition]:
    """The roles that ship with antiphon, by name."""
    here = files("antiphon.subagents.roles")
    return {
        name: role_of(here.joinpath(f"{name}.md").read_text("utf-8"), f"{name}.md", stem=name, source="built in")
        for name in BUILT_IN
    }


def _put(found: dict[str, Entry], entry: Entry) -> None:
    before = found.get(entry.name)
    hides = (before.source, *before.hides) if before else ()
    found[entry.name] = Entry(entry.name, entry.source, entry.definition, entry.problem, hides)


def _entries_of(folder: Path) -> Iterator[Entry]:
    """The roles of one folder, by file name. Two files for one name are a mistake in both.

    Raises:
        RoleError: the folder is there and cannot be listed.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".md")
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise RoleError(folder, f"it cannot be listed: {error.strerror or error}") from None
    seen: dict[str, Entry] = {}
    for path in paths[:MAX_FILES]:
        entry = _entry(path, folder.parent.parent)
        if entry.name in seen:
            problem = f"it says name: {entry.name}, and so does {seen[entry.name].source}"
            entry = Entry(entry.name, entry.source, problem=RoleError(path, problem))
        seen[entry.name] = entry
    for path in paths[MAX_FILES:]:
        problem = f"there are more than {MAX_FILES} files in its folder, and it is not read"
        seen.setdefault(path.stem, Entry(path.stem, str(path), problem=RoleError(path, problem)))
    yield from seen.values()


def _entry(path: Path, within: Path) -> Entry:
    try:
        definition = read_role(path, within=within)
    except RoleError as error:
        return Entry(error.role or path.stem, str(path), problem=error)
    return Entry(definition.name, str(path), definition)


def _project(start: Path) -> Path | None:
    home = Path.home()
    for folder in (start, *start.parents):
        if folder == home or home.is_relative_to(folder):
            return None
        if any(os.path.isdir(folder.joinpath(*parts)) for parts in FOLDERS):  # which is False where it may not look
            return folder
        if os.path.exists(folder / ".git"):
            return None
    return None
