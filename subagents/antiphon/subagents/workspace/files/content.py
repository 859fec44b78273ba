"""What is found at a path: a file's content, or an entry of a folder."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import Literal

Kind = Literal["file", "folder", "link", "special"]


@dataclass(frozen=True, slots=True)
class Content:
    """A regular file as it was read.

    Attributes:
        path: where it really is, below the root: links inside of the workspace are resolved.
        data: its bytes, at most as many as asked for. size: how many it has. mode: its permissions.
    """

    path: str
    data: bytes
    size: int
    mode: int

    @property
    def cut(self) -> bool:
        """Whether there is more than `data`."""
        return self.size > len(self.data)


@dataclass(frozen=True, slots=True)
class Entry:
    """A name in a folder.

    Attributes:
        name: its own. kind: a special one is a pipe, a socket or a device, and never opened.
        size: of a file, in bytes. mode: its permissions. target: what a link says.
    """

    name: str
    kind: Kind
    size: int = 0
    mode: int = 0
    target: str = ""


def kind_of(mode: int) -> Kind:
    """What a file mode says that something is."""
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "link" if stat.S_ISLNK(mode) else "special"
