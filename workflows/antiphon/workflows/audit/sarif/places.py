"""Which file of the tree a SARIF location means. What it says is untrusted: nothing is opened for it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

from antiphon.workflows.audit.sarif.values import Object, at, index_at, is_object, items_at, object_at, text_at

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_MOST_BASES = 16
LONGEST_PATH = 500


@dataclass(frozen=True, slots=True)
class Where:
    """A file that a location names.

    Attributes:
        path: relative to the tree if it is in it; else as it was said, cut short.
        inside: it is one of the files that are looked at.
    """

    path: str
    inside: bool


def locate(location: Object, run: Object, root: str, known: Callable[[str], bool]) -> Where:
    """The file that an artifact location means.

    Args:
        location: the ``artifactLocation``.
        run: its run, for artifacts and base addresses.
        root: the audited folder, absolute.
        known: whether a unit is one of the tree's files.
    """
    index = index_at(location, "index")
    uri = text_at(location, "uri")
    if not uri and index is not None:
        location = object_at(items_at(run, "artifacts"), index, "location")
        uri = text_at(location, "uri")
    for candidate in _candidates(uri, _base(location, run), root):
        if known(candidate):
            return Where(candidate, True)
    return Where(uri[:LONGEST_PATH], False)


def _candidates(uri: str, base: str, root: str) -> list[str]:
    """Units that an address could mean, the likeliest first: a checkout elsewhere has another root."""
    path = _path(uri)
    if path is None:
        return []
    if not path.startswith("/"):
        inner = _path(base) if base else None
        joined = [_below(posixpath.join(inner, path), root)] if inner else []
        return [unit for unit in (*joined, _normal(path)) if unit]
    return [unit for unit in (_below(path, root),) if unit]


def _path(uri: str) -> str | None:
    """The path of a file address or relative reference; None for another scheme."""
    if "\0" in uri:
        return None
    if uri.startswith("file:"):
        rest = uri.removeprefix("file:")
        if rest.startswith("//"):  # with a host, which only a network would reach
            host, slash, rest = rest[2:].partition("/")
            if host not in ("", "localhost"):
                return None
            rest = slash + rest
        return unquote(rest)
    if _SCHEME.match(uri):  # a letter and a colon is a drive
        return None
    return unquote(uri).replace("\\", "/") if uri else None


def _below(path: str, root: str) -> str | None:
    normal = posixpath.normpath(path)
    prefix = root.rstrip("/") + "/"
    return normal.removeprefix(prefix) if normal.startswith(prefix) else None


def _normal(path: str) -> str | None:
    normal = posixpath.normpath(path)
    return None if normal.startswith(("../", "/")) or normal in ("..", ".") else normal


def _base(location: Object, run: Object) -> str:
    """The address that a relative one is relative to, through as many bases as there are."""
    said = ""
    name = text_at(location, "uriBaseId")
    for _ in range(_MOST_BASES):
        base = at(run, "originalUriBaseIds", name) if name else None
        if not is_object(base):
            break
        uri = text_at(base, "uri")
        said = posixpath.join(uri, said) if said else uri
        name = text_at(base, "uriBaseId")
    return said
