"""Lazy calls: what a script makes, hands around, and awaits once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, Generic, TypeVar

from antiphon.engine.branch import CURRENT, Branch, current_branch
from antiphon.engine.errors import HabitError

T = TypeVar("T")


class Lazy(Generic[T]):
    """A call that has not begun. Await it once, or hand it to a fan-out.

    Args:
        what: how a message names it, such as ``agent('Audit a.py')``.
        start: begins it in a branch.
        leaf: whether it is a single recorded call.
        mark: says what it is, for telling a changed fan-out from an unchanged one; by default `what`.
        drop: what to do when it is known never to begin.
    """

    __slots__ = ("_drop", "_mark", "_start", "_unused", "leaf", "what")

    def __init__(
        self,
        what: str,
        start: Callable[[Branch], Awaitable[T]],
        *,
        leaf: bool = False,
        mark: Callable[[], str] | None = None,
        drop: Callable[[], None] | None = None,
    ) -> None:
        self.what, self._start, self.leaf = what, start, leaf
        self._mark, self._drop = mark, drop
        branch = CURRENT.get(None)
        self._unused: list[str] | None = branch.run.unawaited if branch is not None else []

    def __await__(self) -> Generator[Any, Any, T]:
        return self.begin(current_branch()).__await__()

    def begin(self, branch: Branch) -> Awaitable[T]:
        """Begin it in `branch`. A second time raises `HabitError`."""
        if self._unused is None:
            raise HabitError(f"{self.what} is awaited twice", "make a new call for each time: calls are not functions")
        self._unused = None
        return self._start(branch)

    def discard(self) -> None:
        """Say that it will never be begun, and that this is known."""
        if self._unused is not None and self._drop is not None:
            self._drop()
        self._unused = None

    def mark(self) -> str:
        """What it is, as text that is the same in every process."""
        return self._mark() if self._mark is not None else self.what

    def __del__(self) -> None:
        unused = getattr(self, "_unused", None)
        if unused is not None and len(unused) < 100:
            unused.append(self.what)

    def __bool__(self) -> bool:
        raise HabitError(f"{self.what} has not run yet, so it is neither true nor false", "await it first")

    def __repr__(self) -> str:
        return f"<call {self.what}>"
