"""Program agents: subagents that answer a call by running a program and turning its output into records.

A `Program` says what to run for some units and how to read what comes back; `ProgramAgent` does the rest, the same
for every program: one attempt for each command, a record for everything that was found, and for every unit how far the
check got. What it could not do is a record too, before the call fails for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import anyio.to_thread

from antiphon.engine.amount import Amount
from antiphon.engine.errors import AgentFailure, InfrastructureError, MalformedOutput
from antiphon.subagents.process import OUTPUT_LIMIT_BYTES, Completed, Unavailable, run_command
from antiphon.subagents.records import AUTHOR, Actor, Coverage, Finding, Record, Verdict, malformed
from antiphon.subagents.sandbox import Confinement, ProcessLimits, Sandbox
from antiphon.subagents.sandbox.watch import Excess
from antiphon.tracing.log import Json

ONE_PROCESS = Amount(tool_calls=1)
_STDERR_SHOWN = 300
_LEAST_SHARE = 1 / 8
_EXCESSES: dict[Excess, str] = {
    "processes": "more processes than it may",
    "memory": "more memory than it may",
    "scratch": "more room for temporary files than it may",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One command of a call.

    Attributes:
        name: what a person reads in the tree, such as "ruff security".
        argv: program and arguments.
        exits: the exit statuses that mean it did its work.
        timeout_seconds, output_limit: see `run_command`.
        reads: the files and folders of the user that it is given to read: absolute real paths, and nothing else is
            readable to it.
        writes, network, executes, limits: see `Confinement`.
    """

    name: str
    argv: tuple[str, ...]
    exits: frozenset[int] = frozenset({0})
    timeout_seconds: float | None = 120.0
    output_limit: int = OUTPUT_LIMIT_BYTES
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    network: bool = False
    executes: bool = False
    limits: ProcessLimits = field(default_factory=ProcessLimits)

    @property
    def confinement(self) -> Confinement:
        """What it may reach, and use."""
        return Confinement(
            read=self.reads,
            write=self.writes,
            network=self.network,
            executes=self.executes,
            limits=self.limits,
        )


class UnreadableOutput(Exception):
    """Raised by a program's `read`: the output is not what this program writes. `reason` says what is wrong."""

    def __init__(self, reason: str, raw: bytes) -> None:
        super().__init__(reason)
        self.reason, self.raw = reason, raw


class Program(Protocol):
    """What is particular to one program. Its methods may block: they are called in a worker thread."""

    @property
    def actor(self) -> Actor:
        """Who its claims come from."""
        ...

    @property
    def check(self) -> str:
        """The name of the check in coverage, such as "ruff/security"."""
        ...

    @property
    def advice(self) -> str:
        """What to install where it is missing."""
        ...

    @property
    def floor(self) -> Amount:
        """The most one call needs, whatever its units: carved out before the call starts."""
        ...

    def invocations(self, units: Sequence[str]) -> Sequence[Invocation]:
        """The commands to run for these units, in order."""
        ...

    def read(self, units: Sequence[str], outputs: Sequence[Completed]) -> Sequence[Record]:
        """Records from the outputs, one for each invocation: claims, and coverage of every unit.

        Raises:
            UnreadableOutput: an output is not what this program writes.
        """
        ...


class Attempt(Protocol):
    """The part of an attempt that a program agent uses."""

    def settle(self, actual: Amount, /) -> None:
        """Say what it cost."""
        ...


class Sink(Protocol):
    """Where records go."""

    def add(self, record: Record, /) -> None:
        """Add one record to those of the call."""
        ...


class ProgramContext(Protocol):
    """The part of an agent's context that a program agent uses."""

    @property
    def covers(self) -> tuple[str, ...]:
        """The units this call answers for."""
        ...

    @property
    def records(self) -> Sink:
        """Where records go."""
        ...

    def attempt(
        self, worst_case: Amount, /, *, sort: Literal["process"], name: str
    ) -> AbstractAsyncContextManager[Attempt]:
        """Reserve the cost of one try, and a permit for a process."""
        ...


def _no_variables() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramAgent:
    """Answers an agent call by running a program.

    Attributes:
        name: the role's name.
        program: what to run, and how to read it.
        environment: asked for more environment variables inside each attempt, such as TRACEPARENT.
        sandbox: what confines its commands (see `sandbox.choose`); None for nothing.
    """

    name: str
    program: Program
    environment: Callable[[], Mapping[str, str]] = _no_variables
    sandbox: Sandbox | None = None

    @property
    def version(self) -> str:
        """The program's version, which is part of the call's key: another version is another call."""
        return self.program.actor.version

    @property
    def floor(self) -> Amount:
        """What admission carves out before a call starts."""
        return self.program.floor

    async def __call__(self, task: str, ctx: ProgramContext) -> dict[str, Json]:
        """Run the program on the units of the call. The value is counts; what was found is in the records.

        A program that goes wrong (crashes, hangs, writes what cannot be read) is run again on each half of its units,
        and so on, until it is known which unit does it: one file must not be able to hide its neighbours. Their
        findings are recorded before the call fails.

        Raises:
            MalformedOutput: output for a unit cannot be read; a `Malformed` record holds it.
            AgentFailure: the program broke down on a unit: status, signal, time or output limit.
            InfrastructureError: the program could not be started.
        """
        units = tuple(ctx.covers)
        look = _Look(self, ctx, len(units))
        await look.at(units)
        if look.troubles:
            first = look.troubles[0]
            number = f"{len(look.troubles)} of {len(units)} units could not be looked at: " if len(units) > 1 else ""
            kind = MalformedOutput if first.unreadable else AgentFailure
            raise kind(f"{self.program.check}: {number}{first}")
        return _counts(units, look.records)


class _Trouble(Exception):
    """The program went wrong. `raw` is what it wrote; `unreadable` if that, and not how it ended, is the trouble."""

    def __init__(self, reason: str, raw: bytes, *, unreadable: bool) -> None:
        super().__init__(reason)
        self.raw, self.unreadable = raw, unreadable


class _Look:
    """One call under way: what was recorded, and which units brought the program down."""

    def __init__(self, agent: ProgramAgent, ctx: ProgramContext, whole: int) -> None:
        self._agent, self._program, self._ctx, self._whole = agent, agent.program, ctx, max(whole, 1)
        self.records: list[Record] = []
        self.troubles: list[_Trouble] = []

    async def at(self, units: tuple[str, ...]) -> None:
        """Look at some units; at each half of them if that goes wrong."""
        trouble = await self._together(units)
        if trouble is None:
            return
        if len(units) > 1:
            half = len(units) // 2
            await self.at(units[:half])
            await self.at(units[half:])
            return
        self.troubles.append(trouble)
        self._record(
            [malformed(self._program.actor, trouble.raw, str(trouble), units), *self._failed(units, str(trouble))]
        )

    async def _together(self, units: tuple[str, ...]) -> _Trouble | None:
        try:
            invocations = await anyio.to_thread.run_sync(self._program.invocations, units)
            share = len(units) / self._whole
            outputs = [await self._perform(invocation, units, share) for invocation in invocations]
            self._record(await self._read(units, outputs))
        except _Trouble as trouble:
            return trouble
        return None

    async def _read(self, units: tuple[str, ...], outputs: Sequence[Completed]) -> Sequence[Record]:
        try:
            return await anyio.to_thread.run_sync(self._program.read, units, outputs)
        except UnreadableOutput as error:
            said = _said(outputs[-1])
            reason = f"its output could not be read: {error.reason}" + (f"; it said: {said}" if said else "")
            raise _Trouble(reason, error.raw or outputs[-1].stderr, unreadable=True) from None

    async def _perform(self, invocation: Invocation, units: tuple[str, ...], share: float) -> Completed:
        limit = invocation.timeout_seconds
        if limit is not None:  # what hangs on a part is not waited for as long as for the whole
            limit *= max(share, _LEAST_SHARE)
        async with self._ctx.attempt(ONE_PROCESS, sort="process", name=invocation.name) as attempt:
            ended = await run_command(
                invocation.argv,
                env=self._agent.environment(),
                timeout_seconds=limit,
                output_limit=invocation.output_limit,
                advice=self._program.advice,
                sandbox=self._agent.sandbox,
                confinement=invocation.confinement,
            )
            attempt.settle(ONE_PROCESS)
        if isinstance(ended, Unavailable):
            reason = f"{ended.program} could not be started: {ended.reason}"
            self._record(self._failed(units, reason))
            raise InfrastructureError("environment", f"{reason}; {ended.advice}")
        problem = _problem(invocation, ended, limit)
        if problem is not None:
            raise _Trouble(problem, ended.stdout + ended.stderr, unreadable=False)
        return ended

    def _record(self, records: Sequence[Record]) -> None:
        self.records += records
        for record in records:
            self._ctx.records.add(record)

    def _failed(self, units: tuple[str, ...], reason: str) -> list[Record]:
        """Say of units that this check did not look at them. An engine that drops it still has the plan."""
        check = self._program.check
        return [Coverage(record="coverage", unit=unit, check=check, state="failed", reason=reason) for unit in units]


def _problem(invocation: Invocation, ended: Completed, limit: float | None) -> str | None:
    if ended.timed_out:
        return f"{invocation.name} took longer than {limit:g} s and was ended"
    if ended.truncated:
        return f"{invocation.name} wrote more than {invocation.output_limit} bytes and was ended"
    if ended.excess is not None:
        return f"{invocation.name} used {_EXCESSES[ended.excess]} and was ended"
    if ended.exit in invocation.exits:
        return None
    said = _said(ended)
    how = f"by signal {-ended.exit}" if ended.exit is not None and ended.exit < 0 else f"with status {ended.exit}"
    return f"{invocation.name} ended {how}" + (f": {said}" if said else "")


def _said(ended: Completed) -> str:
    """The end of what it wrote to stderr, on one line."""
    return " ".join(ended.stderr[-_STDERR_SHOWN:].decode("utf-8", "backslashreplace").split())


def _counts(units: Sequence[str], records: Sequence[Record]) -> dict[str, Json]:
    claims = [record for record in records if isinstance(record, Finding)]
    aside = [record for record in records if isinstance(record, Verdict) and record.actor == AUTHOR]
    states = Counter(record.state for record in records if isinstance(record, Coverage))
    return {
        "units": len(units),
        "findings": len(claims),
        "set_aside": len(aside),
        "partial": states["partial"],
        "failed": states["failed"],
    }


async def ask_version(argv: Sequence[str], *, advice: str, sandbox: Sandbox | None = None) -> str:
    """The last word of the first line that a program prints for its version: "0.12.1" of "ruff 0.12.1".

    Raises:
        InfrastructureError: it cannot be started, or says nothing.
    """
    ended = await run_command(argv, timeout_seconds=60.0, output_limit=4096, advice=advice, sandbox=sandbox)
    if isinstance(ended, Unavailable):
        raise InfrastructureError("environment", f"{ended.program} could not be started: {ended.reason}; {advice}")
    words = ended.stdout.decode("utf-8", "replace").partition("\n")[0].split()
    if ended.exit != 0 or not words:
        raise InfrastructureError("environment", f"{Path(argv[0]).name} does not say its version; {advice}")
    return words[-1]
