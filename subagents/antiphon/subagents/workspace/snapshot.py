"""From files to a state: which files belong to a project, and their contents as they are, byte for byte.

Which files are ignored is git's to say. What they hold is read here and not by git: no link is followed, no filter or
conversion that the project names is applied, and what no program should wait for (pipes, devices) is not opened.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from antiphon.engine import UsageError
from antiphon.subagents.workspace.listing import SUBMODULE, Skipped, is_forbidden, is_ours, others, tracked
from antiphon.subagents.workspace.repository import Found
from antiphon.subagents.workspace.store import Store

MOST_FILES: Final = 300_000
MOST_BYTES: Final = 4 << 30
LARGEST_BYTES: Final = 100 << 20
_LINK: Final = "120000"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a state. `mode` as git writes it; `name` is the id of its content."""

    path: bytes
    mode: str
    name: str


def snapshot(store: Store, project: Path, found: Found | None, *, without: Sequence[Path] = ()) -> tuple[str, Skipped]:
    """The state that a project is in: uncommitted changes and untracked files included, ignored ones not. Blocks.

    Args:
        store: where it is kept.
        project: the folder.
        found: the user's repository around it.
        without: folders that are not part of it, wherever they are.

    Returns:
        Its id, and what is left out.

    Raises:
        UsageError: it is too large.
        GitFailed, OSError: it cannot be read or kept.
    """
    skipped = Skipped()
    if found is not None and found.bare:
        return _head_tree(store, found, skipped), skipped
    git = store.git.at(project, store.temporary("empty-index"))
    names = dict.fromkeys((*tracked(store, found, project, skipped), *others(git, project, skipped)))
    apart = [os.fsencode(place.relative_to(project)) + b"/" for place in without if place.is_relative_to(project)]
    wanted = [name for name in names if not any(name.startswith(place) for place in apart)]
    if len(wanted) > MOST_FILES:
        raise _too_large(f"has {len(wanted):,} files that git does not ignore, and the limit is {MOST_FILES:,}")
    return _kept(store, list(_hashed(store, project, wanted, skipped))), skipped


def _too_large(what: str) -> UsageError:
    return UsageError(
        f"the project {what}", advice="name what is no source in a .gitignore, or work in a folder of the project"
    )


def _hashed(store: Store, root: Path, names: Sequence[bytes], skipped: Skipped) -> Iterator[Entry]:
    """The entries of files, their contents kept. What the user's repository holds already is not written again."""
    found: dict[bytes, Entry] = {}
    look, total = Look(root), 0
    for path in names:
        read = look.read(path, skipped)
        if read is not None:
            mode, content = read
            found[path] = Entry(path, mode, store.name_of(content))
            total += len(content)
        if total > MOST_BYTES:
            raise _too_large(f"holds more than {MOST_BYTES >> 30} GiB that git does not ignore")
    lacking = store.missing(entry.name for entry in found.values())
    for path, entry in found.items():
        if entry.name not in lacking:
            yield entry
        elif (again := look.read(path, skipped)) is not None:
            yield Entry(path, again[0], store.write_blob(again[1]))


def entries(store: Store, root: Path, names: Iterable[bytes], skipped: Skipped) -> dict[bytes, Entry]:
    """The entries of those files that are there, by path; their contents are kept."""
    look = Look(root)
    read = ((path, look.read(path, skipped)) for path in names)
    return {path: Entry(path, one[0], store.write_blob(one[1])) for path, one in read if one is not None}


def index_lines(changed: Iterable[Entry], gone: Iterable[bytes], store: Store) -> bytes:
    """What `update-index --index-info -z` is told; what is gone first, as a folder may be where a file was."""
    nothing = "0" * (64 if store.format == "sha256" else 40)
    removed = (b"0 %s\t%s\0" % (nothing.encode(), path) for path in gone)
    added = (b"%s %s 0\t%s\0" % (entry.mode.encode(), entry.name.encode(), entry.path) for entry in changed)
    return b"".join((*removed, *added))


def _kept(store: Store, found: Sequence[Entry]) -> str:
    """The tree of some entries."""
    index = store.temporary("index")
    try:
        store.git.at(None, index)("update-index", "-z", "--index-info", given=index_lines(found, (), store))
        return store.index_tree(index)
    finally:
        index.unlink(missing_ok=True)


class Look:
    """Reads files below a folder, never through a link.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = os.fsencode(root)
        self._folders: dict[bytes, bool] = {b"": True}

    def read(self, path: bytes, skipped: Skipped) -> tuple[str, bytes] | None:
        """The mode and the content of a file or link; None where there is none, or it is left out."""
        if is_forbidden(path):
            skipped.say(path, "git cannot keep a file of this name")
            return None
        folder, _, _ = path.rpartition(b"/")
        whole = self._root + b"/" + path
        try:
            if not self._is_folder(folder):
                return None
            mode = os.lstat(whole).st_mode
            if stat.S_ISLNK(mode):
                return _LINK, os.readlink(whole)
            if stat.S_ISDIR(mode):
                return None
            return self._plain(path, whole, skipped)
        except FileNotFoundError:
            return None
        except PermissionError:
            skipped.say(path, "it cannot be read", there=True)
            return None

    def _plain(self, path: bytes, whole: bytes, skipped: Skipped) -> tuple[str, bytes] | None:
        if not stat.S_ISREG(os.lstat(whole).st_mode):
            skipped.say(path, "it is a pipe, a socket or a device")
            return None
        with open(os.open(whole, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            about = os.fstat(file.fileno())
            if about.st_size > LARGEST_BYTES:
                why = f"it is too large: {about.st_size:,} bytes, and the limit is {LARGEST_BYTES:,}"
                skipped.say(path, why, there=True)
                return None
            content = file.read(LARGEST_BYTES)
        return ("100755" if about.st_mode & stat.S_IXUSR else "100644"), content

    def _is_folder(self, path: bytes) -> bool:
        """Whether a folder is one, and all that are above it; a link to one is none."""
        known = self._folders.get(path)
        if known is None:
            above, _, _ = path.rpartition(b"/")
            real = self._is_folder(above) and stat.S_ISDIR(os.lstat(self._root + b"/" + path).st_mode)
            known = self._folders[path] = real
        return known


def _head_tree(store: Store, found: Found, skipped: Skipped) -> str:
    """The files of the commit that a bare repository is at."""
    head = found.head()
    tree = store.tree_of(head) if head else ""
    if not tree:
        raise UsageError(f"{found.top} is a bare repository without a commit", advice="name a folder with files in it")
    kept: list[Entry] = []
    for line in filter(None, store.git("ls-tree", "-r", "-z", "--full-tree", tree).split(b"\0")):
        about, _, path = line.partition(b"\t")
        mode, _, name = about.split(b" ")
        if mode == SUBMODULE:
            skipped.say(path, "it is a submodule, whose files are not in this repository")
        elif is_forbidden(path):
            skipped.say(path, "git cannot keep a file of this name")
        elif not is_ours(path):
            kept.append(Entry(path, mode.decode("ascii"), name.decode("ascii")))
    return _kept(store, kept)
