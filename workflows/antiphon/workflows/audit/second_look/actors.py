"""Who the second look speaks as. All preconditions are one lineage: two of ours agreeing are one opinion."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from antiphon.subagents.records import Actor

LENS = "second-look"
PRECONDITION = "antiphon/precondition"
REPRODUCTION = "antiphon/reproduction"


@cache
def version() -> str:
    """The first 12 hex digits of the sha256 of this package's source: a check that changed judges anew."""
    here = Path(__file__).parent
    seen = hashlib.sha256()
    for file in sorted(here.rglob("*.py")):
        seen.update(f"{file.relative_to(here).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return seen.hexdigest()[:12]


def second_look(lineage: str) -> Actor:
    """The second look itself, in one of its two lineages."""
    return Actor(tool="antiphon", version=version(), lens=LENS, lineage=lineage)
