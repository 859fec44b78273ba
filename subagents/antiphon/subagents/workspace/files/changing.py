"""Changing several files, all or none: every path is checked before the first write, and a failure is taken back.

A file is written beside its place under a name of its own and then put there by one rename, so that nobody ever sees
half of it, and whatever else has been linked to the old content keeps that.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from antiphon.subagents.workspace.files.content import kind_of
from antiphon.subagents.workspace.files.names import PathRefused, check_new_name, parts_of, spelled_otherwise
from antiphon.subagents.workspace.files.way import Place, way_to

_NEW_MODE: Final = 0o644
_EXECUTABLE: Final = 0o111
_READABLE: Final = 0o444
_PERMISSIONS: Final = 0o777
MOST_FILES: Final = 1_000
"""Of one set of changes."""
MOST_TOGETHER: Final = 128 * 1024 * 1024
"""Bytes of one set of changes, old and new content both."""


@dataclass(frozen=True, slots=True)
class Put:
    """A file is to hold this.

    Attributes:
        path: where. content: what. executable: whether it may be run; None as it was.
        before: what it has to hold now for the change to be made; "absent" for no file, None for whatever.
    """

    path: str
    content: bytes
    executable: bool | None = None
    before: bytes | str | None = None


@dataclass(frozen=True, slots=True)
class Remove:
    """A file is to go.

    Attributes:
        path: which. before: what it has to hold now for that; None for whatever.
    """

    path: str
    before: bytes | None = None


Change = Put | Remove


@dataclass(slots=True)
class _Planned:
    """A change that was checked: what is there now, to be had again."""

    change: Change
    parts: tuple[str, ...]
    held: bytes | None
    mode: int
    done: bool = False


def change_all(root: str, changes: Sequence[Change], most: int) -> None:
    """Make the changes below a root, all or none.

    Args:
        root: absolute, real.
        changes: at most one for each path; folders are made and removed as they need.
        most: bytes that one file may hold.

    Raises:
        PathRefused: one cannot be made; nothing was changed.
        OSError: writing failed; what had been changed is as before, unless it says otherwise.
    """
    plan = _plan(root, changes, most)
    try:
        for one in plan:
            _perform(root, one)
    except BaseException as error:  # taken back whatever it was, then raised again; nothing is awaited here
        lost = _take_back(root, plan)
        if lost:
            raise OSError(f"{error}; and these could not be put back as they were: {', '.join(lost)}") from error
        raise


def _plan(root: str, changes: Sequence[Change], most: int) -> list[_Planned]:
    if len(changes) > MOST_FILES:
        raise PathRefused(changes[MOST_FILES].path, f"more than {MOST_FILES:,} files are not changed at once")
    plan: list[_Planned] = []
    for change in changes:
        parts = parts_of(change.path, root)
        if not parts:
            raise PathRefused(change.path, "it is the workspace itself, not a file")
        if isinstance(change, Put) and len(change.content) > most:
            raise PathRefused(change.path, f"{len(change.content):,} bytes are more than the {most:,} of one file")
        plan.append(_check(root, change, parts, most))
    _no_two_alike(plan, one_case=_takes_cases_for_one(root))
    together = sum(len(one.held or b"") + len(getattr(one.change, "content", b"")) for one in plan)
    if together > MOST_TOGETHER:
        raise PathRefused(changes[0].path, f"{together:,} bytes are more than the {MOST_TOGETHER:,} of one change")
    return plan


def _check(root: str, change: Change, parts: tuple[str, ...], most: int) -> _Planned:
    try:
        with way_to(root, parts, follow=False) as place:
            held, mode = _held(place, change.path, most)
        new = parts[-1:] if held is None else ()
    except FileNotFoundError:
        held, mode, new = None, _NEW_MODE, parts
    for part in new:
        check_new_name(part, change.path)
    _expect(change, held)
    return _Planned(change, parts, held, mode)


def _held(place: Place, path: str, most: int) -> tuple[bytes | None, int]:
    """What is there now, and its mode."""
    if place.status is None:
        return None, _NEW_MODE
    kind = kind_of(place.status.st_mode)
    if kind != "file":
        raise PathRefused(path, f"there is a {'special file' if kind == 'special' else kind}, which is not changed")
    if other := spelled_otherwise(place.name, os.listdir(place.folder)):
        raise PathRefused(path, f"here that is the same file as {other}; use that spelling")
    if place.status.st_size > most:
        raise PathRefused(path, f"what is there has more than the {most:,} bytes that could be put back")
    try:
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(place.name, flags, dir_fd=place.folder)
    except OSError as error:
        raise PathRefused(path, f"it cannot be read: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise PathRefused(path, "it became something else meanwhile")
        return stream.read(most + 1), stat.S_IMODE(place.status.st_mode) & _PERMISSIONS


def _expect(change: Change, held: bytes | None) -> None:
    if isinstance(change, Remove) and held is None:
        raise PathRefused(change.path, "there is no such file")
    if isinstance(change, Put) and isinstance(change.before, str):
        if held is not None:
            raise PathRefused(change.path, "there is such a file already")
    elif change.before is not None and held != change.before:
        raise PathRefused(change.path, "it changed meanwhile; read it again")


def _no_two_alike(plan: Sequence[_Planned], *, one_case: bool) -> None:
    """No path twice, none of them as a folder of another, and none that differ by case where that is no difference."""
    seen: dict[tuple[str, ...], _Planned] = {}
    for one in plan:
        key = tuple(part.casefold() for part in one.parts) if one_case else one.parts
        if key in seen:
            raise PathRefused(one.change.path, f"it is the same file as {seen[key].change.path} in the same change")
        seen[key] = one
    for key, one in seen.items():
        for length in range(1, len(key)):
            above = seen.get(key[:length])
            if above is not None and isinstance(above.change, Put) and isinstance(one.change, Put):
                raise PathRefused(one.change.path, f"{above.change.path} is to be a file, so it cannot hold another")


def _takes_cases_for_one(root: str) -> bool:
    """Whether the file system takes names that differ by case for the same one, as far as its root tells."""
    folder, name = os.path.split(root)
    other = name.swapcase()
    try:
        return other != name and os.path.samestat(os.stat(root), os.stat(os.path.join(folder, other)))
    except OSError:
        return False


def _perform(root: str, planned: _Planned) -> None:
    change = planned.change
    if isinstance(change, Remove):
        _remove(root, planned)
        return
    mode = planned.mode
    if change.executable is not None:
        mode = mode | (mode & _READABLE) >> 2 if change.executable else mode & ~_EXECUTABLE
    with way_to(root, planned.parts, follow=False, make=True) as place:
        planned.done = True
        replace(place, change.content, mode)


def _remove(root: str, planned: _Planned) -> None:
    with way_to(root, planned.parts, follow=False) as place:
        planned.done = True
        os.unlink(place.name, dir_fd=place.folder)
    _prune(root, planned.parts)


def _prune(root: str, parts: Sequence[str]) -> None:
    """Remove the folders that are empty now, as git has none."""
    with suppress(OSError, PathRefused):
        for length in range(len(parts) - 1, 0, -1):
            with way_to(root, parts[:length], follow=False) as place:
                os.rmdir(place.name, dir_fd=place.folder)


def replace(place: Place, content: bytes, mode: int) -> None:
    """Put a new file in a place by one rename.

    Raises:
        OSError: it could not be written; nothing is there that was not before.
    """
    beside = f".antiphon-{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(beside, flags, 0o600, dir_fd=place.folder)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            os.fchmod(descriptor, mode)
        os.rename(beside, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder)
    except BaseException:  # raised again: whatever happened, what was begun goes
        with suppress(OSError):
            os.unlink(beside, dir_fd=place.folder)
        raise


def _take_back(root: str, plan: Sequence[_Planned]) -> list[str]:
    """Make all as it was; the paths of what could not be."""
    lost: list[str] = []
    for one in reversed(plan):
        if not one.done:
            continue
        try:
            _restore(root, one)
        except (OSError, PathRefused):
            lost.append(one.change.path)
    return lost


def _restore(root: str, one: _Planned) -> None:
    with way_to(root, one.parts, follow=False, make=True) as place:
        if one.held is not None:
            replace(place, one.held, one.mode)
            return
        with suppress(FileNotFoundError):
            os.unlink(place.name, dir_fd=place.folder)
    _prune(root, one.parts)
