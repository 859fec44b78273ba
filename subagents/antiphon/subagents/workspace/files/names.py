"""Names of files as a model gives them: which could mean anything in the workspace, and which never do."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from antiphon.engine import UsageError

_NAME_BYTES: Final = 255
_PATH_BYTES: Final = 4_096
_SAID_CHARACTERS: Final = 200
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
# What HFS+ leaves out when it compares names, so that `.g\u200cit` is `.git` there.
_IGNORED_BY_HFS: Final = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")


class PathRefused(UsageError):
    """A path that is not opened. Nothing was changed.

    Attributes:
        path: as it was given. reason: why.
    """

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        shown = path if len(path) <= _SAID_CHARACTERS else f"{path[:_SAID_CHARACTERS]}…"
        super().__init__(f"{shown or '.'}: {reason}")


def parts_of(path: str, root: str = "") -> tuple[str, ...]:
    """The segments of a path below a root; none for the root itself. Looks at no file.

    Args:
        path: relative to the root, with `/`.
        root: absolute, real; only to say what an absolute path would be.

    Raises:
        PathRefused: it leads out, into a repository's own folder, or can be no path.
    """
    if "\0" in path:
        raise PathRefused(path.replace("\0", "\\x00"), "there is a NUL in it")
    if path.startswith("/"):
        raise _absolute(path, root)
    try:
        long = len(os.fsencode(path)) > _PATH_BYTES
    except UnicodeEncodeError:
        raise PathRefused(repr(path), "it is no text that could be a file name") from None
    if long:
        raise PathRefused(path, f"it is longer than {_PATH_BYTES:,} bytes")
    if path == "~" or path.startswith("~/"):
        raise PathRefused(path, "`~` means nothing here; paths are relative to the workspace")
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    for part in parts:
        check_name(part, path)
    return parts


def check_name(name: str, path: str) -> None:
    """Refuse a segment that is never opened.

    Raises:
        PathRefused: `..`, a name too long for any file system, or `.git` in any spelling that some system takes for it.
    """
    if name == "..":
        raise PathRefused(path, "`..` is not followed; give the path from the top of the workspace")
    if len(os.fsencode(name)) > _NAME_BYTES:
        raise PathRefused(path, f"a name in it is longer than {_NAME_BYTES} bytes")
    if is_git(name):
        raise PathRefused(path, "the repository's own folder (.git) is not opened; there are git tools")


def check_new_name(name: str, path: str) -> None:
    """Refuse a name that no new file is given.

    Raises:
        PathRefused: control characters, or white space at an end.
    """
    if _CONTROLS.search(name) or name != name.strip():
        raise PathRefused(path, "a new name may not hold control characters, nor begin or end with white space")


def is_git(name: str) -> bool:
    r"""Whether some file system takes a name for `.git`: in any case, or as `git~1`, `.git.`, `.git::$DATA`."""
    first = re.split(r"[\\:]", name, maxsplit=1)[0]
    plain = _IGNORED_BY_HFS.sub("", unicodedata.normalize("NFC", first)).rstrip(". ").casefold()
    return plain in (".git", "git~1")


def spelled_otherwise(name: str, names: Iterable[str]) -> str:
    """The name of those that differs from this one only by case, where the file system takes both for one; "" if none.

    Args:
        name: of something that is there.
        names: what its folder lists.
    """
    wanted = unicodedata.normalize("NFC", name)
    alike = ""
    for one in names:
        same = unicodedata.normalize("NFC", one)
        if same == wanted:
            return ""
        if same.casefold() == wanted.casefold():
            alike = one
    return alike


def _absolute(path: str, root: str) -> PathRefused:
    """Also one that leads inside: whoever has rules on paths must not have to know two names of one file."""
    if root and (path == root or path.startswith(root.rstrip("/") + "/")):
        inside = path[len(root) :].lstrip("/") or "."
        return PathRefused(path, f"paths are relative to the top of the workspace; this is {inside}")
    return PathRefused(path, "it is outside of the workspace; paths are relative to its top")
