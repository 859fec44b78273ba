"""Cuts a survey into calls: which files one call of each check looks at.

Boundaries follow the files' names and not their positions: a file ends its shard if the hash of its name says so. So
a file that is added, renamed or removed changes one shard, and the rest of a run can be reused as it is.

How large a shard is trades start-up cost against what one failure takes along and how far work spreads. Measured
(2 cores, Python 3.11, standard library files): ruff 7 ms for one file and 9 ms for sixteen, with 10 ms more for the
launcher and some 30 for a sandbox; bandit 146 ms for one file, 365 ms for sixteen, 546 ms for thirty-two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from antiphon.workflows.audit.survey import File, Survey

MOST_SHARDS = 256
WHOLE = 0
"""The size of a check that looks at all its files in one call."""
MOST_WHOLE = 10_000
"""Files that such a call gets at most: the names of more would not fit into a command line."""
_LONGEST_FACTOR = 4


@dataclass(frozen=True, slots=True)
class Check:
    """What one program agent looks at.

    Attributes:
        name: as in coverage, such as "ruff/security". languages: what it reads. size: files of a shard, about;
            `WHOLE` for all of them.
    """

    name: str
    languages: frozenset[str]
    size: int


@dataclass(frozen=True, slots=True)
class Shard:
    """One call.

    Attributes:
        check: whose. units: the files it answers for, in order.
        digest: sha256, in hex, of their names and contents: what the call can see of the tree.
    """

    check: str
    units: tuple[str, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All calls of an audit.

    Attributes:
        shards: the calls, check by check, in order.
        planned: for every unit of the survey, the checks that will look at it; none for what no check reads.
    """

    shards: tuple[Shard, ...]
    planned: Mapping[str, tuple[str, ...]]


def plan(survey: Survey, checks: Sequence[Check]) -> Plan:
    """Cut a survey into calls."""
    shards: list[Shard] = []
    planned: dict[str, list[str]] = {file.unit: [] for file in survey.files}
    for check in checks:
        files = [file for file in survey.files if file.language in check.languages]
        shards.extend(_shard(check, group) for group in cut(files, check.size))
        for file in files:
            planned[file.unit].append(check.name)
    return Plan(tuple(shards), {unit: tuple(names) for unit, names in planned.items()})


def cut(files: Sequence[File], size: int) -> list[list[File]]:
    """Cut files into groups of about `size`, of larger ones where there would be more than `MOST_SHARDS` groups.

    The size grows by doubling, so that it stays the same while a tree grows a little.
    """
    if size == WHOLE:
        return [list(files[start : start + MOST_WHOLE]) for start in range(0, len(files), MOST_WHOLE)]
    while len(files) > size * MOST_SHARDS:
        size *= 2
    groups: list[list[File]] = [[]]
    for file in files:
        groups[-1].append(file)
        if ends(file, size) or len(groups[-1]) >= size * _LONGEST_FACTOR:
            groups.append([])
    return [group for group in groups if group]


def ends(file: File, size: int) -> bool:
    """Whether a group of about `size` files ends with this one: by the hash of its name alone."""
    return int.from_bytes(hashlib.sha256(file.unit.encode()).digest()[:8]) % size == 0


def _shard(check: Check, files: Iterable[File]) -> Shard:
    seen = hashlib.sha256()
    units: list[str] = []
    for file in files:
        units.append(file.unit)
        seen.update(f"{file.unit}\0{file.sha256}\0".encode())
    return Shard(check.name, tuple(units), seen.hexdigest())
