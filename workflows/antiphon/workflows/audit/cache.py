"""`--reuse`: a call that would see exactly what a call of an earlier run saw is not performed again.

The key of a call is everything that could change its outcome: the role and the version of its program, the names and
contents of its files, and our own code that reads the program's output. It holds no path of the tree, so that the same
files are the same call wherever they lie.
"""

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import anyio.to_thread

from antiphon.engine import Amount, Call, CallContext
from antiphon.subagents.agents import SeesInputs
from antiphon.subagents.function import Role
from antiphon.subagents.records import Coverage, Malformed, Record, canonical, from_json
from antiphon.tracing import Json, Redactor
from antiphon.workflows.audit.files import digest_of
from antiphon.workflows.audit.store import Entry, Keeping

_CODE = ("antiphon.workflows.audit", "antiphon.subagents")
"""What turns the output of programs into records: another version of it is another answer."""


class Seeing(Role, SeesInputs, Protocol):
    """A role that says before it starts all that it will read."""


@dataclass(slots=True)
class Reuse:
    """What one audit took from earlier ones.

    Attributes:
        store: where they left it. run: this run's id, which is told with what it leaves.
        performed: how many calls were performed. taken: how many were taken, by the run that performed them.
    """

    store: Keeping
    run: str = ""
    performed: int = 0
    taken: Counter[str] = field(default_factory=Counter[str])

    def remembering(self, role: Seeing) -> Remembering:
        """A role that looks here before it works."""
        return Remembering(role, self)

    def notes(self) -> tuple[str, ...]:
        """What the report says of it, in sentences."""
        said: list[str] = []
        if self.taken:
            runs = ", ".join(f"{number} from {run or 'an earlier run'}" for run, number in self.taken.most_common(3))
            more = f", and {len(self.taken) - 3} more runs" if len(self.taken) > 3 else ""
            whole = self.taken.total() + self.performed
            said.append(
                f"{self.taken.total()} of {whole} calls were reused, as nothing they see changed: {runs}{more}."
            )
        said += [
            f"Of the kept results {number} could not be used: {what}." for what, number in self.store.troubles.items()
        ]
        return tuple(said)


@dataclass(frozen=True, slots=True)
class Remembering:
    """A role whose calls are answered from an earlier run where that run saw the same.

    What is taken costs nothing: no process, no attempt. Its records are those of the call that was performed.
    """

    role: Seeing
    reuse: Reuse
    _seen: dict[tuple[str, ...], str] = field(default_factory=dict[tuple[str, ...], str])

    @property
    def name(self) -> str:
        """See `Role`."""
        return self.role.name

    @property
    def floor(self) -> Amount:
        """See `Role`."""
        return self.role.floor

    @property
    def output(self) -> object:
        """See `Role`."""
        return self.role.output

    @property
    def version(self) -> str:
        """See `Role`."""
        return self.role.version

    def sees(self, call: Call) -> Mapping[str, Json]:
        """What the role itself sees; kept, as the key of the call."""
        seen = self.role.sees(call)
        if all(seen.values()):  # a content that is not known is no key
            self._seen[call.covers] = key_of(self.role, call.covers, seen)
        return seen

    async def __call__(self, task: str, ctx: CallContext) -> Any:
        """Take the answer, or give it and leave it for the next run."""
        key = self._seen.get(ctx.covers)
        if key is None:
            return await self.role(task, ctx)
        entry = await anyio.to_thread.run_sync(self.reuse.store.get, key)
        records = _records(entry, ctx.covers)
        if entry is not None and records is not None:
            for record in records:
                ctx.records.add(record)
            self.reuse.taken[entry.run] += 1
            return _marked(entry)
        value: Any = await self.role(task, ctx)
        self.reuse.performed += 1
        await anyio.to_thread.run_sync(self._keep, key, value, ctx)
        return value

    def _keep(self, key: str, value: Json, ctx: CallContext) -> None:
        """Keep what was found, if the role looked at all of every file."""
        given = cast("list[dict[str, Json]]", ctx.records.to_json())
        if not whole(map(from_json, given), ctx.covers):
            return
        records = cast("list[dict[str, Json]]", Redactor.from_environment().redact_json(given))
        self.reuse.store.put(key, Entry(self.reuse.run, value, records))


def key_of(role: Seeing, units: Iterable[str], seen: Mapping[str, Json]) -> str:
    """The sha256, in hex, of everything that could change what a role says of some units."""
    parts: list[Json] = [role.name, role.version, list(units), dict(seen), code_digest(), platform.python_version()]
    return hashlib.sha256(canonical(parts).encode("utf-8", "surrogatepass")).hexdigest()


@cache
def code_digest() -> str:
    """The sha256, in hex, of our own code between a program's output and the records."""
    return digest_of(code_folders())


def code_folders() -> list[Path]:
    """Where our own code is between a program's output and the records, and the rules that we give to programs."""
    return [Path(str(import_module(name).__file__)).parent for name in _CODE]


def whole(records: Iterable[Record], units: Iterable[str]) -> bool:
    """Whether a call said of every unit that it looked at all of it, and nothing was unreadable."""
    found = list(records)
    if any(isinstance(record, Malformed) for record in found):
        return False
    coverage = [record for record in found if isinstance(record, Coverage)]
    done = {record.unit for record in coverage if record.state == "done"}
    return done.issuperset(units) and all(record.state == "done" for record in coverage)


def _records(entry: Entry | None, units: Iterable[str]) -> list[Record] | None:
    """The records of an entry, or None if they are not those of a whole call: another version may have left them."""
    try:
        found = [from_json(record) for record in entry.records] if entry else []
    except ValueError:
        return None
    return found if entry and whole(found, units) else None


def _marked(entry: Entry) -> Json:
    """The value that was given then, and which run it is from, so that the log says so."""
    return {**entry.value, "reused_from": entry.run} if isinstance(entry.value, dict) else entry.value
