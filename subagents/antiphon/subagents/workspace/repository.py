"""What is read of the user's own repository: where its objects are, and what its checkout is at. Files only, no git."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SMALL_BYTES: Final = 64 * 1024
_LARGE_BYTES: Final = 512 * 1024 * 1024
_LINKS: Final = 5
_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_OF_A_STORE = re.compile(r"[0-9a-f]{2}|info|pack|tmp_obj\w*|tmp_objdir-.*|incoming-.*|maintenance\.lock")
_REF = re.compile(r"refs/(?!.*(?:\.\.|//|\0))[^\s~^:?*\[\\]+")


@dataclass(frozen=True, slots=True)
class Found:
    """A repository of the user's.

    Attributes:
        top: its checkout; of a bare repository the repository itself.
        directory: what git calls GIT_DIR; of a linked worktree its own.
        common: what all its worktrees share.
        bare: it has no checkout.
    """

    top: Path
    directory: Path
    common: Path
    bare: bool = False

    @property
    def objects(self) -> Path:
        """Its object store."""
        return self.common / "objects"

    def borrowed(self) -> tuple[Path, ...]:
        """Its object store, and those that this one borrows from, as far as they are named plainly.

        Programs in the sandbox may read them, and a hostile project can name any folder: so only those that hold
        nothing but objects.
        """
        found = [self.objects] if _holds_objects(self.objects) else []
        for store in found:
            said = read_plain(store / "info" / "alternates", _SMALL_BYTES) or b""
            for line in said.splitlines():
                other = Path(os.path.normpath(os.path.join(store, os.fsdecode(line))))
                if line and line[:1] not in (b"#", b'"') and other not in found and _holds_objects(other):
                    found.append(other)
            if len(found) > _LINKS:
                break
        return tuple(found)

    def head(self) -> str:
        """The commit that its checkout is at; "" if there is none."""
        said, place = _line(self.directory / "HEAD"), "HEAD"
        for _ in range(_LINKS):
            if not said.startswith("ref:"):
                break
            place = said.removeprefix("ref:").strip()
            if not _REF.fullmatch(place):
                return ""
            said = _line(self.common / place) or _line(self.directory / place) or self._packed(place)
        return said if _ID.fullmatch(said) else ""

    def _packed(self, ref: str) -> str:
        packed = read_plain(self.common / "packed-refs", _LARGE_BYTES) or b""
        wanted = b" " + os.fsencode(ref)
        line = next((line for line in packed.splitlines() if line.endswith(wanted)), b"")
        return line.split(b" ")[0].decode("ascii", "replace")

    def shallow(self) -> tuple[str, ...]:
        """The commits whose parents it does not have."""
        text = (read_plain(self.common / "shallow", _LARGE_BYTES) or b"").decode("ascii", "replace")
        return tuple(line for line in text.split() if _ID.fullmatch(line))

    def exclude(self) -> bytes:
        """Its own ignore rules besides those in the tree."""
        file = self.common / "info" / "exclude"
        # What it says is copied to where programs in the sandbox can read it, so it must not be another file by a link.
        return (read_plain(file, _SMALL_BYTES) or b"") if os.path.realpath(file) == str(file) else b""

    def index_files(self) -> dict[str, bytes]:
        """Its index, and what that refers to, by file name."""
        found = {"index": read_plain(self.directory / "index", _LARGE_BYTES)}
        try:
            names = [name for name in os.listdir(self.directory) if name.startswith("sharedindex.")]
        except OSError:
            names = []
        found |= {name: read_plain(self.directory / name, _LARGE_BYTES) for name in names[:16]}
        return {name: content for name, content in found.items() if content is not None}


def find_repository(project: Path) -> Found | None:
    """The repository whose checkout holds a folder, or that the folder is; None if there is none."""
    for top in (project, *project.parents):
        directory = git_directory(top / ".git")
        if directory is not None:
            return Found(top, directory, _common(directory))
        if top == project and _is_bare(top):
            return Found(top, top, top, bare=True)
    return None


def git_directory(place: Path) -> Path | None:
    """A `.git` folder, or where the file of that name in a linked worktree or submodule says that it is."""
    try:
        mode = place.stat().st_mode
        if stat.S_ISREG(mode):
            said = _line(place)
            if not said.startswith("gitdir:"):
                return None
            place = place.parent / said.removeprefix("gitdir:").strip()
        place = place.resolve()
        return place if (place / "HEAD").is_file() else None
    except (OSError, RuntimeError, ValueError):
        return None


def is_linked_worktree(place: Path) -> bool:
    """Whether a `.git` is that of one more worktree of a repository that has its main one elsewhere."""
    directory = git_directory(place)
    return directory is not None and (directory / "commondir").is_file()


def _holds_objects(folder: Path) -> bool:
    """Whether a folder is a store of objects, and holds nothing else; it is not reached through a link."""
    try:
        names = os.listdir(folder) if os.path.realpath(folder) == str(folder) else []
    except (OSError, ValueError):
        return False
    return bool(names) and all(_OF_A_STORE.fullmatch(name) for name in names)


def _is_bare(folder: Path) -> bool:
    return all((folder / name).is_dir() for name in ("objects", "refs")) and (folder / "HEAD").is_file()


def _common(directory: Path) -> Path:
    said = _line(directory / "commondir")
    try:
        return (directory / said).resolve() if said else directory
    except (OSError, RuntimeError, ValueError):
        return directory


def _line(file: Path) -> str:
    content = read_plain(file, _SMALL_BYTES) or b""
    return os.fsdecode(content.split(b"\n", 1)[0]).strip()


def read_plain(file: Path, most: int, *, follow: bool = False) -> bytes | None:
    """A plain file, whole; None where there is none, it cannot be read, or it is larger than `most` bytes.

    Args:
        file: which one.
        most: bytes.
        follow: a link at its place is followed.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        handle = os.open(file, flags)
    except (OSError, ValueError):
        return None
    with open(handle, "rb") as opened:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode) or about.st_size > most:
            return None
        content = opened.read(most + 1)
    return content if len(content) <= most else None
