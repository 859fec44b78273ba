"""The first line of a script that `antiphon plan` made: ``# antiphon: planned NAME SHA8``."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_HEADER: Final = re.compile(r"# antiphon: planned ([A-Za-z0-9_-]{1,64}) ([0-9a-f]{8})[ \t]*")


class Planned(NamedTuple):
    """What the header of a planned script says: the plan, and the beginning of a hash of it."""

    name: str
    sha: str


def planned_of(source: str) -> Planned | None:
    """What the header says; None for a script that a person wrote.

    Whoever takes the line out signs the script off as their own, and answers for it.
    """
    first = source.removeprefix("\ufeff").partition("\n")[0].rstrip("\r")
    hit = _HEADER.fullmatch(first[:200])
    return Planned(hit[1], hit[2]) if hit else None
