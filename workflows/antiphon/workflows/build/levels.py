"""The order in which subtasks are built: level by level, each needing only what is in an earlier one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar


class Needing(Protocol):
    """Something with a name that needs others."""

    @property
    def id(self) -> str: ...

    @property
    def needs(self) -> Sequence[str]: ...


_T = TypeVar("_T", bound=Needing)


def levels(subtasks: Iterable[_T]) -> tuple[tuple[_T, ...], ...]:
    """The subtasks by level, in order of their names within one, whatever order they come in.

    A subtask is in the earliest level that all it needs are before. Needs that are not among them do not count.

    Raises:
        ValueError: there is a cycle.
    """
    waiting = {one.id: one for one in subtasks}
    found: list[tuple[_T, ...]] = []
    while waiting:
        ready = [id for id in sorted(waiting) if not any(need in waiting for need in waiting[id].needs)]
        if not ready:
            raise ValueError(f"these need one another: {' -> '.join(cycle(waiting.values()))}")
        found.append(tuple(waiting.pop(id) for id in ready))
    return tuple(found)


def cycle(subtasks: Iterable[Needing]) -> tuple[str, ...]:
    """Subtasks that need one another in a circle, the first again at the end; none where there is no circle."""
    needs = {one.id: sorted(one.needs) for one in subtasks}
    free: set[str] = set()
    for start in sorted(needs):
        path, at = [start], {start: iter(needs[start])}
        while path:
            here = path[-1]
            ahead = next((need for need in at[here] if need in needs and need not in free), None)
            if ahead is None:
                free.add(path.pop())
            elif ahead in path:
                return (*path[path.index(ahead) :], ahead)
            else:
                path.append(ahead)
                at[ahead] = iter(needs[ahead])
    return ()


def reached(needs: Mapping[str, Sequence[str]], start: str) -> frozenset[str]:
    """All that one needs, and what those need."""
    seen: set[str] = set()
    ahead = list(needs.get(start, ()))
    while ahead:
        here = ahead.pop()
        if here not in seen:
            seen.add(here)
            ahead.extend(needs.get(here, ()))
    return frozenset(seen)


def without(subtasks: Iterable[_T], gone: Iterable[str]) -> tuple[tuple[_T, ...], dict[str, str]]:
    """Those that can still be built where some are missing; and of the others, what each of them misses, by id."""
    left = {one.id: one for one in subtasks}
    missing = set(gone)
    dropped: dict[str, str] = {}
    for level in levels(left.values()):
        for one in level:
            lacking = next((need for need in sorted(one.needs) if need in missing), None)
            if one.id not in missing and lacking is not None:
                missing.add(one.id)
                dropped[one.id] = lacking
    return tuple(one for one in left.values() if one.id not in missing), dropped
