"""The repository of a run: where the states of its workspaces are kept, beside the objects of the user's own.

It is ours alone. A run's directory may come from elsewhere, so whatever git would act on is written anew at every
opening; only objects and refs stay. The user's objects are alternates: nothing is copied, and nothing written there.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
import threading
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from antiphon.engine import UsageError
from antiphon.subagents.workspace.contract import Base
from antiphon.subagents.workspace.git import Git, GitFailed, find_git
from antiphon.subagents.workspace.naming import checked_tree
from antiphon.subagents.workspace.repository import Found

STORE: Final = "workspaces.git"
_KEPT: Final = frozenset({"objects", "refs", "packed-refs"})
_SHA256: Final = 64
_ATTRIBUTES: Final = "* -text !eol !crlf -filter -ident !working-tree-encoding !diff !merge !whitespace !delta\n"
"""Goes before what the tree says: contents stay as they are, byte for byte, and no diff is hidden."""
_CONFIG: Final = """\
[core]
	repositoryformatversion = {version}
	bare = true
	fileMode = true
	symlinks = true
	logAllRefUpdates = false
	hooksPath = /dev/null
	fsmonitor = false
	autocrlf = false
[gc]
	auto = 0
[maintenance]
	auto = false
"""


@dataclass(frozen=True, slots=True)
class Store:
    """An open repository of a run. Its methods block.

    Attributes:
        directory: the bare repository. git: git on it, without any files.
        objects: the stores of objects that it borrows from, those included that these borrow from.
        format: what names its objects: sha1 or sha256.
        alone: held by whoever adds or removes a worktree: git reads what is known of all of them to add one, and fails
            where another is half written.
    """

    directory: Path
    git: Git
    objects: tuple[Path, ...]
    format: str
    alone: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)

    def write_blob(self, content: bytes, kind: str = "blob") -> str:
        """Keep a content, unless it is here already: its id.

        Raises:
            OSError: disk full or I/O.
        """
        whole = b"%s %d\0%s" % (kind.encode(), len(content), content)
        name = hashlib.new(self.format, whole, usedforsecurity=False).hexdigest()
        file = self.directory / "objects" / name[:2] / name[2:]
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            _put(file, zlib.compress(whole, 1), 0o444)
        return name

    def name_of(self, content: bytes) -> str:
        """The id that a content has."""
        head = b"blob %d\0" % len(content)
        return hashlib.new(self.format, head + content, usedforsecurity=False).hexdigest()

    def contents(self, names: Iterable[str]) -> dict[str, bytes]:
        """What some ids name. Each is held to its id: a repository may hold what it does not say.

        Raises:
            UsageError: one is not here, or is not what its id says.
        """
        wanted = list(dict.fromkeys(names))
        said = self.git("cat-file", "--batch", "--buffer", given="".join(f"{name}\n" for name in wanted).encode())
        found: dict[str, bytes] = {}
        at = 0
        for name in wanted:
            end = said.find(b"\n", at)
            head = said[at:end].split() if end >= 0 else []
            size = int(head[2]) if len(head) == 3 and head[1] == b"blob" else -1
            content, at = said[end + 1 : end + 1 + size], end + size + 2
            if size < 0 or self.name_of(content) != name:
                raise UsageError(
                    f"the content {name[:12]} is gone, or is not what its id says",
                    advice="the project's repository must still have what the run began with; antiphon verify RUN",
                )
            found[name] = content
        return found

    def missing(self, names: Iterable[str]) -> set[str]:
        """Those of some ids that neither this nor the user's repository holds."""
        wanted = list(dict.fromkeys(names))
        if not wanted:
            return set()
        said = self.git("cat-file", "--batch-check", "--buffer", given="\n".join(wanted).encode() + b"\n")
        return {line.split()[0].decode("ascii") for line in said.splitlines() if line.endswith(b" missing")}

    def keep(self, tree: str) -> None:
        """See to it that git never takes a state for garbage."""
        file = self.directory / "refs" / "antiphon" / "trees" / tree
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            _put(file, tree.encode() + b"\n")

    def check_tree(self, tree: str) -> str:
        """The id, of a state that can be had.

        Raises:
            UsageError: it is none.
        """
        kind = self.git.run("cat-file", "-t", checked_tree(tree)).out.strip()
        if kind == b"tree":
            return tree
        raise UsageError(
            f"{tree} is no state of this run, or the repository that it was begun in has no longer what it needs",
            advice="a state is what step('tree', …) said in this run; see `git gc` in docs/workspaces.md",
        )

    def tree_of(self, commit: str) -> str:
        """The files of a commit; "" where it is not here."""
        ran = self.git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{tree}}")
        return "" if ran.exit or not commit else ran.out.strip().decode("ascii")

    def commit(self, base: Base) -> str:
        """The commit that worktrees begin at: the user's own where it has the same files, else one on top of it."""
        if base.head and self.tree_of(base.head) == base.tree:
            return base.head
        parent = ["-p", base.head] if base.head and self.tree_of(base.head) else []
        message = b"The project as antiphon found it\n"
        name = self.git("commit-tree", *parent, base.tree, given=message).strip().decode("ascii")
        self.git("update-ref", "refs/antiphon/base", name)
        return name

    def temporary(self, purpose: str) -> Path:
        """A file name of one's own in here."""
        return self.directory / f"{purpose}-{secrets.token_hex(6)}"

    def index_tree(self, index: Path) -> str:
        """The tree that an index says, kept for good."""
        tree = self.git.at(None, index)("write-tree", "--missing-ok").strip().decode("ascii")
        self.keep(tree)
        return tree


def open_store(place: Path, project: Path, found: Found | None, tree: str = "", *, also: Sequence[Path] = ()) -> Store:
    """Open the repository of a run, or make it. Blocks.

    Args:
        place: the run's directory.
        project: the folder that workspaces are made of.
        found: the user's repository around it.
        tree: a state that is in it; "" if there is none yet.
        also: more stores of objects to borrow from.

    Raises:
        UsageError: there is no git, or the run's directory leads elsewhere.
        OSError: disk full or I/O.
    """
    directory = place.resolve() / STORE
    names = tree or (found.head() if found else "")
    form = "sha256" if len(names) == _SHA256 else "sha1"
    program = find_git((project, place))
    directory.mkdir(mode=0o700, exist_ok=True)
    _clear(directory)
    objects = (*also, *((found.objects,) if found is not None and found.objects.is_dir() else ()))
    _lay_out(directory, form, objects, found.shallow() if found else ())
    reached = (*also, *(found.borrowed() if found is not None else ()))
    return Store(directory, Git(program=program, directory=directory), reached, form)


def _clear(directory: Path) -> None:
    """Remove whatever is neither object nor ref, and refuse a store that leads out of itself."""
    if directory.is_symlink() or not directory.is_dir():
        raise _leads_out(directory)
    for entry in os.scandir(directory):
        if entry.name not in _KEPT:
            _remove(Path(entry))
    _remove(directory / "objects" / "info")
    _remove(directory / "refs" / "replace")
    for around, folders, files in os.walk(directory):
        for name in (*folders, *files):
            mode = os.lstat(os.path.join(around, name)).st_mode
            if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
                raise _leads_out(Path(around, name))
            if name.endswith(".lock") or name.startswith((".new-", "tmp_obj_")):
                _remove(Path(around, name))  # of a process that was killed; nobody else opens this


def _leads_out(place: Path) -> UsageError:
    return UsageError(
        f"{place} is no plain folder or file, and a run that goes on writes there",
        advice=f"look where it leads; the run goes on without {STORE} only if it has made no change yet",
    )


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _lay_out(directory: Path, form: str, objects: Sequence[Path], shallow: Sequence[str]) -> None:
    for folder in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info"):
        (directory / folder).mkdir(parents=True, exist_ok=True)
    sha256 = form == "sha256"
    config = _CONFIG.format(version=int(sha256)) + ("[extensions]\n\tobjectFormat = sha256\n" if sha256 else "")
    files = {
        "config": config.encode(),
        "HEAD": b"ref: refs/heads/antiphon\n",
        "info/attributes": _ATTRIBUTES.encode(),
        "objects/info/alternates": b"".join(_quoted(place) + b"\n" for place in objects),
        "shallow": "".join(f"{name}\n" for name in shallow).encode(),
    }
    for name, content in files.items():
        if content:
            _put(directory / name, content)


def _quoted(place: Path) -> bytes:
    """A path as git reads it in a list of alternates, whatever it holds."""
    text = os.fsencode(place).replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    return b'"' + text + b'"'


def _put(file: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file whole; what is in its place is replaced, and not written through."""
    fresh = file.with_name(f".new-{secrets.token_hex(6)}")
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
            out.write(content)
        os.replace(fresh, file)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


def write_exclude(store: Store, rules: bytes) -> None:
    """Say what is ignored besides what the tree itself says."""
    _put(store.directory / "info" / "exclude", rules)


__all__ = ["STORE", "GitFailed", "Store", "open_store", "write_exclude"]
