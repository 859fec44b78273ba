"""What of a workspace whoever looks into its folders may see: said once for a call of a tool, for all its files."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

LEFT_OUT: Final = "names that scope.read leaves out"
"""What an answer says of those that a view does not show, behind their number."""


@dataclass(frozen=True, slots=True)
class View:
    """What may be seen; paths are below the root, with `/`, through no link.

    Attributes:
        file: whether the file at a path may be. folder: whether there may be such a file in a folder; "" for the root.
    """

    file: Callable[[str], bool]
    folder: Callable[[str], bool]


_VIEW: Final[ContextVar[View | None]] = ContextVar("view", default=None)


@contextmanager
def viewing(view: View | None) -> Generator[None]:
    """Hold the tool that is called in here to a view; None for all there is."""
    token = _VIEW.set(view)
    try:
        yield
    finally:
        _VIEW.reset(token)


def present_view() -> View | None:
    """What the tool that is being called may see; None for all there is."""
    return _VIEW.get()


def left_out(count: int) -> str:
    """The line of an answer that says how many names a view did not show; "" for none."""
    return f"\n(not shown: {count:,} {LEFT_OUT})" if count else ""
