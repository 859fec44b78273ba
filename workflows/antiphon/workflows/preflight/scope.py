"""A manifest's scope against what was granted: nothing may be asked for that is not inside."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final

from antiphon.subagents.ignore_patterns import Patterns
from antiphon.subagents.tools.policy import Scope
from antiphon.workflows.manifest import Manifest
from antiphon.workflows.policy import scope_of
from antiphon.workflows.preflight.model import Finding

_FIELDS: Final = ("read", "write", "tools", "network")
_ALL: Final = frozenset({"**", "*", "/**", "/*"})
_WILD: Final = frozenset("*?[")


def beyond(manifest: Manifest, granted: Scope, line: int) -> Iterator[Finding]:
    """What a manifest asks for that is not granted.

    Args:
        manifest: the script's.
        granted: what it may touch at most; of what that does not speak, everything.
        line: where the manifest stands.
    """
    asked = scope_of(manifest)
    for name in _FIELDS:
        allowed: tuple[str, ...] | None = getattr(granted, name)
        wanted: tuple[str, ...] | None = getattr(asked, name)
        if allowed is None:
            continue
        listing = ", ".join(allowed)[:200] or "nothing"
        if wanted is None:
            if not _ALL & set(allowed):
                reason = f"the manifest does not say what its scope.{name} is, and only {listing} is granted"
                yield _finding(line, reason, f'write "{name}": [...] in the scope')
            continue
        for entry in wanted:
            if not covers(allowed, entry, paths=name in ("read", "write")):
                reason = f"scope.{name} asks for {entry[:100]!r}, and granted is {listing}"
                yield _finding(line, reason, f"narrow scope.{name} to what is granted")


def covers(allowed: tuple[str, ...], entry: str, *, paths: bool) -> bool:
    """Whether some patterns surely mean all that an entry means. Where that is not plain, they do not.

    Args:
        allowed: patterns.
        entry: a name, a path, or a pattern itself.
        paths: whether these are patterns of paths, as in an ignore file; else of names, as in a shell.
    """
    if any(one.startswith("!") for one in allowed) or entry.startswith("!"):
        return False  # what is taken out again is not followed
    if ".." in entry.split("/"):
        return False
    return any(_covers(pattern, entry, paths=paths) for pattern in allowed)


def _covers(pattern: str, entry: str, *, paths: bool) -> bool:
    if pattern == entry or (paths and pattern in _ALL) or pattern == "*":
        return True
    if not paths:
        return not _WILD & set(entry) and fnmatchcase(entry, pattern)
    folder = pattern.removesuffix("**") if pattern.endswith("/**") else pattern if pattern.endswith("/") else ""
    if folder and not _WILD & set(folder) and entry.removeprefix("/").startswith(folder.removeprefix("/")):
        return True
    return not _WILD & set(entry) and Patterns.of((pattern,)).means(entry)


def _finding(line: int, reason: str, remedy: str) -> Finding:
    return Finding(rule="beyond-granted", line=line, severity="error", reason=reason, remedy=remedy)
