"""What lies between two states: which files, and as a patch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from antiphon.subagents.workspace.contract import Change
from antiphon.subagents.workspace.git import GitFailed
from antiphon.subagents.workspace.store import Store

MOST_BYTES: Final = 64 << 20
_PLAIN_MODES: Final = (b"100644", b"100755")
_FORM: Final = (
    *("--no-renames", "--no-ext-diff", "--no-textconv", "--no-color", "--full-index", "--binary"),
    *("--src-prefix=a/", "--dst-prefix=b/", "--ignore-submodules=none"),
)


@dataclass(frozen=True, slots=True)
class Patch:
    """What a workspace came to.

    Attributes:
        name: the workspace.
        base, tree: the states that it began and ended as.
        diff: a patch in git's form between them, binary content included.
        files: which files differ, in order of path.
        problem: why there is no diff, such as that it would be larger than `MOST_BYTES`; "" where there is one.
    """

    name: str
    base: str
    tree: str
    diff: bytes
    files: tuple[Change, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Side:
    """A file in one state: its mode as git writes it, and the id of its content."""

    mode: str
    name: str


def sides_between(store: Store, since: str, until: str) -> dict[bytes, tuple[Side | None, Side | None]]:
    """What two states do not have in common: each file in the one and in the other, None where it is not. Blocks."""
    if since == until:
        return {}
    said = store.git("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", since, until)
    fields = said.split(b"\0")
    return {path: _both(about) for about, path in zip(fields[::2], fields[1::2], strict=False)}


def _both(about: bytes) -> tuple[Side | None, Side | None]:
    before_mode, after_mode, before, after, status = about.decode("ascii").removeprefix(":").split()
    return (
        None if status.startswith("A") else Side(before_mode, before),
        None if status.startswith("D") else Side(after_mode, after),
    )


def changes_between(store: Store, since: str, until: str) -> list[Change]:
    """The files that two states do not have in common, in order of path. Blocks.

    A path that is no UTF-8 has its bytes as surrogates, as everywhere in Python.
    """
    return [_change(path, *both) for path, both in sorted(sides_between(store, since, until).items())]


def _change(path: bytes, before: Side | None, after: Side | None) -> Change:
    kind: Literal["added", "changed", "deleted"] = "added" if before is None else "changed" if after else "deleted"
    return Change(os.fsdecode(path), kind, before.name if before else "", after.name if after else "")


def diff_between(store: Store, since: str, until: str, paths: Sequence[str] = ()) -> bytes:
    """The same as a patch, that ``git apply`` takes. Blocks.

    Raises:
        GitFailed: it is larger than `MOST_BYTES`.
    """
    if since == until:
        return b""
    return store.git("diff-tree", "-r", "-p", *_FORM, since, until, "--", *paths, limit=MOST_BYTES)


def patch_of(store: Store, name: str, base: str, tree: str) -> Patch:
    """What a workspace came to. Blocks."""
    files = tuple(changes_between(store, base, tree))
    try:
        return Patch(name, base, tree, diff_between(store, base, tree), files)
    except GitFailed as error:
        return Patch(name, base, tree, b"", files, problem=error.said)


def content_of(store: Store, path: str, tree: str) -> bytes | None:
    """A plain file of a state; None where it is none there. Blocks."""
    if not path or path.startswith("/") or "\0" in path:
        return None
    said = store.git("ls-tree", "-z", "--full-tree", tree, "--", path.rstrip("/"))
    about, _, named = said.partition(b"\0")[0].partition(b"\t")
    mode, _, name = (*about.split(b" "), b"", b"")[:3]
    if mode not in _PLAIN_MODES or named != os.fsencode(path):
        return None
    return store.git("cat-file", "blob", name.decode("ascii"))
