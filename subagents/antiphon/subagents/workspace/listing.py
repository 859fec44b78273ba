"""Which files belong to a project: those that git does not ignore, and those that the user's index names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from antiphon.subagents.workspace.git import Git, GitFailed
from antiphon.subagents.workspace.repository import Found, is_linked_worktree, read_plain
from antiphon.subagents.workspace.store import Store

SUBMODULE: Final = b"160000"
STAGE: Final = b".antiphon-apply-"
"""How the folder begins in which files are on their way into a project; a killed process leaves it there."""
_OURS: Final = b".antiphon"
_NOTES: Final = 20
_RULES_BYTES: Final = 1 << 20
_DEEPEST: Final = 20


@dataclass(slots=True)
class Skipped:
    """What is left out, for a person.

    Attributes:
        notes: the first of them, one sentence each. count: of all.
        there: plain files that are there, and that nobody can say the content of.
    """

    notes: list[str] = field(default_factory=list[str])
    count: int = 0
    there: set[bytes] = field(default_factory=set[bytes])

    def say(self, path: bytes, why: str, *, there: bool = False) -> None:
        """Leave something out; see `Skipped.there`."""
        self.count += 1
        if there:
            self.there.add(path)
        if len(self.notes) < _NOTES:
            self.notes.append(f"{os.fsdecode(path).encode('utf-8', 'backslashreplace').decode()[:300]}: {why}")

    def all(self) -> tuple[str, ...]:
        """All that there is to say."""
        more = self.count - len(self.notes)
        return (*self.notes, f"and {more:,} more are left out") if more > 0 else tuple(self.notes)


def is_forbidden(path: bytes) -> bool:
    return any(_is_git(part) for part in path.split(b"/"))


def _is_git(part: bytes) -> bool:
    """Whether some file system or git takes a name for `.git`."""
    plain = part.decode("utf-8", "ignore")
    visible = "".join(c for c in plain if not ("\u200c" <= c <= "\u200f" or "\u202a" <= c <= "\u202e" or c == "\ufeff"))
    visible = "".join(c for c in visible if not "\u206a" <= c <= "\u206f").lower()
    return visible.partition(":")[0].rstrip(" .") in (".git", "git~1") or part in (b"", b".", b"..")


def others(git: Git, root: Path, skipped: Skipped, *, depth: int = 0) -> Iterator[bytes]:
    """The files below a folder that the index of `git` does not name and that are not ignored.

    Those of repositories inside it too, as plain files: by their own ignore rules, and no git runs in them.
    """
    for name in git("ls-files", "-z", "--others", "--exclude-standard").split(b"\0"):
        if not name or is_ours(name):
            continue
        if not name.endswith(b"/"):
            yield name
        elif depth < _DEEPEST:
            yield from nested(git, root, name.rstrip(b"/"), skipped, depth)


def nested(git: Git, root: Path, name: bytes, skipped: Skipped, depth: int = 0) -> Iterator[bytes]:
    """The files of a repository inside a folder."""
    place = root / os.fsdecode(name)
    if is_linked_worktree(place / ".git"):
        skipped.say(name, "it is one more worktree of a repository")
        return
    within = git.at(place, git.directory / "no-index")
    for below in others(within, place, skipped, depth=depth + 1):
        yield name + b"/" + below


def is_ours(path: bytes) -> bool:
    parts = path.split(b"/")
    return _OURS in parts or parts[0].startswith(STAGE)


def tracked(store: Store, found: Found | None, project: Path, skipped: Skipped) -> Iterator[bytes]:
    """The files that the user's index names below the project; read from a copy of it."""
    if found is None:
        return
    files = found.index_files()
    copies = {name: store.directory / name for name in files if name != "index"}
    copy = store.temporary("users-index")
    try:
        for name, content in files.items():
            (copies.get(name) or copy).write_bytes(content)
        if "index" in files:
            prefix = _prefix(found, project)
            yield from _named(store.git.at(None, copy)("ls-files", "-z", "--stage"), prefix, project, skipped)
    except GitFailed as error:
        skipped.say(b".git/index", f"it cannot be read ({error.said}); files that are tracked and ignored are left out")
    finally:
        for place in (copy, *copies.values()):
            place.unlink(missing_ok=True)


def _named(listed: bytes, prefix: bytes, project: Path, skipped: Skipped) -> Iterator[bytes]:
    for line in filter(None, listed.split(b"\0")):
        about, _, path = line.partition(b"\t")
        below = path.removeprefix(prefix)
        if not path.startswith(prefix) or is_ours(below):
            continue
        if not about.startswith(SUBMODULE):
            yield below
        elif not (project / os.fsdecode(below) / ".git").exists():
            skipped.say(below, "it is a submodule that is not checked out")


def _prefix(found: Found, project: Path) -> bytes:
    below = project.relative_to(found.top).as_posix()
    return b"" if below == "." else os.fsencode(below) + b"/"


# --- ignore rules besides those in the tree -------------------------------------------------------------------------


def ignore_rules(found: Found | None, project: Path) -> bytes:
    """What a user ignores besides what files in the project say: their own rules, those of the clone, of folders above.

    Rules of folders above hold where they name no folder, or name a way into the project.
    """
    rules = [_users_own(), found.exclude() if found is not None else b""]
    if found is not None and not found.bare:
        for folder in reversed([place for place in project.parents if place.is_relative_to(found.top)]):
            text = read_plain(folder / ".gitignore", _RULES_BYTES) or b""
            rules.append(_from_above(text, os.fsencode(project.relative_to(folder).as_posix())))
    return b"\n".join((*rules, b"", _OURS + b"/", b""))


def _users_own() -> bytes:
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return read_plain(Path(home, "git", "ignore"), _RULES_BYTES, follow=True) or b""


def _from_above(text: bytes, way: bytes) -> bytes:
    kept: list[bytes] = []
    for line in text.splitlines():
        mark = b"!" if line.startswith(b"!") else b""
        rule = line.removeprefix(b"!")
        if b"/" not in rule.rstrip(b"/") or rule.startswith(b"**/"):
            kept.append(line)
        elif rule.lstrip(b"/").startswith(way + b"/"):
            kept.append(mark + b"/" + rule.lstrip(b"/")[len(way) + 1 :])
    return b"\n".join(kept)
