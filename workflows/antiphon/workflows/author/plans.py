"""A plan on disk: ``.antiphon/plans/NAME/``, with the task, every attempt, and the script only where it passed.

A plan folder may come from anybody, so nothing in it is believed but what its shape allows, and nothing is followed out
of it. Every version is kept as ``attempts/NNN/script.py.txt``, quoted line by line: nothing can run that.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from antiphon.engine import UsageError
from antiphon.tracing import Json
from antiphon.tracing.blobs import open_plain
from antiphon.workflows.disk import write_whole
from antiphon.workflows.places import HOME

FOLDER: Final = "plans"
SCRIPT: Final = "script.py"
PLAN: Final = "plan.json"
TASK: Final = "task.json"
QUOTE: Final = "| "
"""Stands before every line of a version that is kept to be read."""
MOST_PLANS: Final = 200
"""How many plans of a folder are looked at."""
_MOST_BYTES: Final = 2_000_000
_MOST_NAMES: Final = 1_000
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
_LONGEST_SLUG: Final = 40
_SHA: Final = 8
_FIRST: Final = re.compile(r"# antiphon: planned (?P<name>[A-Za-z0-9_-]{1,64}) (?P<sha>[0-9a-f]{8})\n")


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan, as its folder says it.

    Attributes:
        folder: where it lies. name: the folder's.
        state: ``planning``, ``planned`` or ``failed``; "" where that cannot be read.
        about: what plan.json says: shape, reason, cost, findings. task: what task.json says.
    """

    folder: Path
    state: str = ""
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])
    task: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def script(self) -> Path:
        """The script; only a plan that passed has one."""
        return self.folder / SCRIPT

    @property
    def version(self) -> int:
        """Which version below one task this is, from 1."""
        said = self.task.get("version")
        return said if isinstance(said, int) and said > 0 else 1

    @property
    def words(self) -> str:
        """The task in the person's words."""
        said = self.task.get("task")
        return said if isinstance(said, str) else ""


def plans_home(folder: Path | None = None) -> Path:
    """The folder that holds plans: in `folder`, by default the current one."""
    return (folder or Path.cwd()).absolute() / HOME / FOLDER


def read_plan(folder: Path) -> Plan:
    """What a plan's folder says; of what cannot be read, nothing. Raises nothing that its content could cause."""
    about, task = _read(folder / PLAN), _read(folder / TASK)
    state = about.get("state")
    return Plan(folder, state if isinstance(state, str) else "", about, task)


def list_plans(home: Path) -> Iterator[Plan]:
    """The plans of a folder, by name; at most `MOST_PLANS`."""
    try:
        names = sorted(entry.name for entry in os.scandir(home) if entry.is_dir(follow_symlinks=False))
    except OSError:
        return
    for name in [name for name in names if _NAME.fullmatch(name)][:MOST_PLANS]:
        yield read_plan(home / name)


def _read(file: Path) -> Mapping[str, Any]:
    try:
        with open_plain(file) as opened:
            said = json.loads(opened.read(_MOST_BYTES + 1))
    except (OSError, ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", said) if isinstance(said, dict) else {}


# --- names ----------------------------------------------------------------------------------------------------------


def check_name(name: str) -> str:
    """The name, if it can be a plan's.

    Raises:
        UsageError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name[:80]!r} cannot be a plan's name: 1 to 60 of a-z, 0-9, - and _, beginning with a letter or digit",
            advice="--name my-plan",
        )
    return name


def name_for(task: str, home: Path) -> str:
    """A name that no plan has yet, of the first words of the task."""
    plain = unicodedata.normalize("NFKD", task).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", plain)
    slug = "plan"
    for count in range(1, len(words) + 1):
        longer = "-".join(words[:count])
        if len(longer) > _LONGEST_SLUG:
            break
        slug = longer
    return free_name(slug, home)


def free_name(slug: str, home: Path) -> str:
    """`slug`, or with the first number that no plan has.

    Raises:
        UsageError: there are too many plans of that name.
    """
    for number in range(1, _MOST_NAMES):
        name = slug if number == 1 else f"{slug}-{number}"
        if not os.path.lexists(home / name):
            return name
    raise UsageError(f"there are {_MOST_NAMES:,} plans named {slug!r} in {home}", advice="--name NAME")


# --- the script's first line ----------------------------------------------------------------------------------------


def first_line(name: str, text: str) -> str:
    """What a planned script begins with: of which plan it is, and the beginning of the sha256 of the rest."""
    return f"# antiphon: planned {name} {_sha(text)}\n"


def headed(name: str, text: str) -> str:
    """A script of a plan: `text` below its first line, and no other line that looks like one above."""
    while found := _FIRST.match(text):
        text = text[found.end() :]
    return first_line(name, text) + text


def without_line(source: str) -> str:
    """A script without the first line of a planned one."""
    found = _FIRST.match(source)
    return source[found.end() :] if found is not None else source


def quoted(text: str) -> str:
    """A text with its lines where they were and a mark before each, by which it is no Python any more."""
    return "\n".join(f"{QUOTE}{line}" for line in text.split("\n"))


def is_intact(source: str) -> bool:
    """Whether a planned script is as it was written: what its first line says of the rest holds."""
    found = _FIRST.match(source)
    return found is not None and found["sha"] == _sha(source[found.end() :])


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_SHA]


# --- writing --------------------------------------------------------------------------------------------------------


def reserve(folder: Path, task: Mapping[str, Json]) -> None:
    """Take a name for a plan that is about to be made.

    Raises:
        UsageError: there is a plan of that name, or nothing can be written there.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.parent.is_symlink():
            raise UsageError(f"{folder.parent} leads elsewhere, and plans are written into a folder of their own")
        folder.mkdir()
        write_json(folder / TASK, task)
        write_json(folder / PLAN, {"state": "planning"})
    except FileExistsError:
        raise UsageError(f"there is a plan named {folder.name!r} already", advice="--name another one") from None
    except OSError as error:
        raise UsageError(f"no plan can be written to {folder.parent}: {error.strerror or error}") from None


def write_json(file: Path, said: Json | Mapping[str, Json]) -> None:
    """Write JSON, whole or not at all."""
    text = json.dumps(said, indent=2, ensure_ascii=False) + "\n"
    write_whole(file, text.encode("utf-8", "backslashreplace"))


def write_text(file: Path, text: str) -> None:
    """Write a text, whole or not at all; what UTF-8 cannot hold is spelled out."""
    write_whole(file, text.encode("utf-8", "backslashreplace"))


def is_plain(folder: Path) -> bool:
    """Whether a plan's folder and what holds it are folders and no links: what is written there stays there."""
    return all(os.path.isdir(place) and not os.path.islink(place) for place in (folder, folder.parent))
