"""For those who test scripts, performers or the engine itself: runs in memory, and doubles whose timing a test decides.

::

    calls = AnsweringCalls()

    async def main() -> int:
        found = await parallel(agent(name) for name in ("a", "b"))
        return len(found.succeeded())

    ran = await memory_run(main, performers={"agent": calls})
    assert ran.result.kind == "completed"

The calls of `history` (the events of an earlier run) replay, so a test resumes by handing over what was logged before,
and plays a kill by handing over a part of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio

from antiphon.engine.amount import Amount
from antiphon.engine.branch import Workflow
from antiphon.engine.call import Call, Performer, Prepared
from antiphon.engine.context import CallContext
from antiphon.engine.errors import leading
from antiphon.engine.limits import Limits
from antiphon.engine.output import output_type
from antiphon.engine.result import RunResult
from antiphon.engine.run import Run
from antiphon.engine.settings import Blobs, HostFunction, Settings
from antiphon.tracing.log import Event, Json, MemoryLog

Answer = Callable[[Call, CallContext], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class MemoryRun:
    """An attempt at a run in memory, over.

    Attributes:
        result: how it ended.
        log: what was recorded, an earlier attempt's history included.
        run: the run itself, for what only tests ask.
    """

    result: RunResult
    log: MemoryLog
    run: Run

    @property
    def value(self) -> Any:
        """The script's value; raises `CallFailed` when it gave none."""
        assert self.result.outcome is not None, f"{self.result.kind}: {self.result.reason}"
        return self.result.outcome.value

    def events(self, kind: str = "") -> list[Event]:
        """Everything recorded, or the events of one kind."""
        return [event for event in self.log.events() if kind in ("", event.kind)]


async def memory_run(
    main: Callable[[], Awaitable[Any]],
    *,
    performers: Mapping[str, Performer] | None = None,
    limits: Limits | None = None,
    settings: Settings | None = None,
    history: Iterable[Event] = (),
    host: Mapping[str, HostFunction] | None = None,
    workflow: Workflow | None = None,
    top_up: Amount | None = None,
    beside: Callable[[Run], Coroutine[Any, Any, None]] | None = None,
    log: MemoryLog | None = None,
    blobs: Blobs | None = None,
) -> MemoryRun:
    """Run a script with its log in memory, to its end, pause or stop.

    Args:
        main: the script.
        performers: what answers each sort of call.
        limits: the run's own.
        settings: how it is performed.
        history: events of an earlier attempt, to resume from.
        host: functions of the floors above.
        workflow: the workflow that the script belongs to.
        top_up: what to add to the run's limits.
        beside: runs beside the script until that ends: pauses, answers, looks.
        log: records there instead; it has its own history.
        blobs: keeps what is large.
    """
    log = log or MemoryLog(history=history)
    run = Run(
        log,
        run_id="r-in-memory",
        limits=limits,
        performers=performers,
        settings=settings,
        host=host,
        top_up=top_up,
        blobs=blobs,
    )
    results: list[RunResult] = []
    try:
        async with anyio.create_task_group() as tasks:
            if beside is not None:
                tasks.start_soon(beside, run)
            results.append(await run.execute(main, workflow=workflow))
            tasks.cancel_scope.cancel()
    except ExceptionGroup as group:
        raise leading(group) from None
    [result] = results
    await run.close(result)
    return MemoryRun(result, log, run)


async def _the_task(call: Call, context: CallContext) -> object:
    return call.task


class AnsweringCalls:
    """A performer that answers with a function, whatever the name of the call.

    Args:
        answer: gives the value; by default the task itself.
        floor: what admission carves out for each call.
        output: the declared type of values.
        version: see below.
        idempotent: whether a call in flight at a stop is repeated without asking.

    Attributes:
        version: what tells these calls from others that would answer otherwise; part of every call's hash.
        performed: the tasks of the calls it was asked to perform, in the order they began. A call that replays is not
            among them.
    """

    def __init__(
        self,
        answer: Answer = _the_task,
        *,
        floor: Amount | None = None,
        output: object = None,
        version: str = "1",
        idempotent: bool = True,
    ) -> None:
        self.performed: list[Json] = []
        self.version = version
        self._answer, self._floor, self._output = answer, floor or Amount(), output
        self._idempotent = idempotent

    def prepare(self, call: Call) -> Prepared:
        """See `Performer.prepare`."""
        declared = self._output if call.output is None else call.output
        output = output_type(declared)
        visible: dict[str, Json] = {"version": self.version}
        return Prepared(visible=visible, floor=self._floor, output=output, idempotent=self._idempotent)

    async def perform(self, call: Call, context: CallContext) -> object:
        """See `Performer.perform`."""
        self.performed.append(call.task)
        return await self._answer(call, context)


class Turnstile:
    """Where calls arrive and wait to be let through: proves order and concurrency without a clock.

    Attributes:
        arrived: everybody who came, in order.
        passed: everybody who went through, in order.
        most_inside: how many waited at the same time at most.
    """

    def __init__(self) -> None:
        self.arrived: list[str] = []
        self.passed: list[str] = []
        self.most_inside = 0
        self._inside = 0
        self._open = False
        self._let: dict[str, anyio.Event] = {}
        self._came = anyio.Event()

    async def go_through(self, name: str) -> None:
        """Arrive as `name`, and wait until that name is let through."""
        self.arrived.append(name)
        self._inside += 1
        self.most_inside = max(self.most_inside, self._inside)
        self._came.set()
        self._came = anyio.Event()
        try:
            if not self._open:
                await self._event(name).wait()
        finally:
            self._inside -= 1
        self.passed.append(name)

    async def wait_for(self, number: int) -> None:
        """Wait until `number` have arrived in all."""
        while len(self.arrived) < number:
            await self._came.wait()

    def let(self, *names: str) -> None:
        """Let these go through, now or when they arrive."""
        for name in names:
            self._event(name).set()

    def open(self) -> None:
        """Let everybody through from now on."""
        self._open = True
        for event in self._let.values():
            event.set()

    def _event(self, name: str) -> anyio.Event:
        return self._let.setdefault(name, anyio.Event())
