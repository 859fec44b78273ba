"""A run: one log, one budget, one journal, and the state that decides whether anything may still begin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Literal

import anyio
from anyio.lowlevel import checkpoint

from antiphon.engine.account import Overdraft, Refusal
from antiphon.engine.admission import Admission
from antiphon.engine.amount import Amount
from antiphon.engine.asking import PhaseGate
from antiphon.engine.branch import CURRENT, ROOT, Branch, Workflow
from antiphon.engine.budget import Budget
from antiphon.engine.call import Performer
from antiphon.engine.context import CallContext
from antiphon.engine.errors import InfrastructureError, Stopped, leading
from antiphon.engine.history import Placed, SeenBranch
from antiphon.engine.journal import Journal, read_journal
from antiphon.engine.limits import Limits
from antiphon.engine.outcome import Cancelled, Outcome
from antiphon.engine.received import Received, frames_in
from antiphon.engine.result import Recorded, Reuse, RunResult, census_of
from antiphon.engine.settings import Blobs, HostFunction, Settings
from antiphon.tracing.log import Json, Log
from antiphon.tracing.spans import span_id, trace_id

State = Literal["running", "pausing", "stopped", "ended"]
_IDLE_SECONDS = 0.25


class Run:
    """One execution of a workflow in this process.

    Args:
        log: where everything is recorded; its history is what a resume replays.
        run_id: names the run; seeds `random()` and the trace id.
        limits: the run's own limits; reaching one pauses the run.
        performers: what answers each sort of call.
        host: functions of the floors above that scripts may use (`claims`, `synthesize`), by name.
        settings: how it is performed.
        blobs: keeps large values by hash, or None to keep them in the log.
    """

    def __init__(
        self,
        log: Log,
        *,
        run_id: str,
        limits: Limits | None = None,
        performers: Mapping[str, Performer] | None = None,
        host: Mapping[str, HostFunction] | None = None,
        settings: Settings | None = None,
        blobs: Blobs | None = None,
        top_up: Amount | None = None,
    ) -> None:
        self.log, self.run_id, self.blobs = log, run_id, blobs
        self.settings = settings or Settings()
        self.limits = limits or Limits()
        self.performers = dict(performers or {})
        self.host = dict(host or {})
        self.journal: Journal = read_journal(log.events())
        self.received = Received(log, blobs, set(frames_in(log.events())))
        self.epoch = log.epoch
        self.seed = run_id
        self.gates: dict[str, PhaseGate | None] = {}  # by the titles of phases, where they are asked about
        self.piloted: set[str] = set()  # fan-outs whose first items run alone
        self.state: dict[str, Json] = {}
        self.contested: set[str] = set()
        self.records: list[Recorded] = []
        self.covered: set[str] = set()
        self.reuse = Reuse()
        self.unawaited: list[str] = []
        self.admission = Admission(self.settings.attempts)
        self.processes = Admission(self.settings.processes)
        self.budget = Budget(self.limits, path=ROOT)
        self.top_up_at_start = top_up
        self.pending: dict[str, str] = {}
        self.waits: dict[str, str] = {}
        self.acts: dict[str, str] = {}  # what each call does now, by its path; for whoever watches
        self.is_attended = False  # a person is there to be asked: the run does not pause for an answer
        self._answered: dict[str, anyio.Event] = {}
        self._answers: dict[str, bool] = dict(self.settings.answers)
        self._mode: State = "running"
        self._pause = ("", "")
        self._in_flight = 0
        self._pausing = anyio.Event()
        self._is_broken = False
        self._told_of_pause: list[Callable[[], None]] = []
        self._scope = anyio.CancelScope()
        self._branches: dict[str, Counter[str]] = {}
        self._calls: dict[str, Counter[str]] = {}
        self.trace = trace_id(run_id)
        self._restore_budget()

    # --- life ---------------------------------------------------------------------------------------------------

    async def execute(
        self,
        main: Callable[[], Awaitable[Any]],
        *,
        workflow: Workflow | None = None,
        opened: Mapping[str, Json] | None = None,
    ) -> RunResult:
        """Run `main` in the root branch and say how it ended. Raises only what the log itself raises."""
        name = workflow.name if workflow else "script"
        if self.journal.opened is None:
            facts = {"run": self.run_id, "workflow": name, "trace": self.trace, **(opened or {})}
            opened_at = (await self.log.append("run.opened", "", facts)).at
        else:
            opened_at = self.journal.opened_at
            await self._resumed()
        root = Branch(self, ROOT, account=self.budget.root, span=self.span(ROOT), workflow=workflow, last_at=opened_at)
        self.log.enqueue("run.started", "", {"epoch": self.epoch, "workflow": name, **self.span_fields(root.span, "")})
        outcome = await self._settled(root, main)
        result = self._result(root, outcome)
        self._mode = "ended"
        return result

    async def close(self, result: RunResult, extra: Mapping[str, Json] | None = None) -> None:
        """Record how the attempt ended; durable on return."""
        fields: dict[str, Json] = {"kind": result.kind, "reason": result.reason, "spent": result.spent.to_json()}
        await self.log.append("run.ended", "", {**fields, "span": self.span(ROOT), **(extra or {})})

    async def _settled(self, root: Branch, main: Callable[[], Awaitable[Any]]) -> Outcome[Any]:
        from antiphon.engine.boundary import body_outcome

        outcome: Outcome[Any] = Cancelled(path=ROOT, reason="stopped")
        token = CURRENT.set(root)
        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    if self.limits.wall_seconds is not None:
                        tasks.start_soon(self._wall, self.limits.wall_seconds)
                    tasks.start_soon(self._end_pause)
                    outcome = await body_outcome(root, lambda _root: main())
                    tasks.cancel_scope.cancel()
        except ExceptionGroup as group:
            raise leading(group) from None
        finally:
            CURRENT.reset(token)
        return outcome

    async def _wall(self, seconds: float) -> None:
        await anyio.sleep(seconds)
        self.pause("wall_seconds", f"the run's limit of {seconds:g} s of wall time was reached")
        await anyio.sleep_forever()

    async def _end_pause(self) -> None:
        """A call that never ends by itself, such as the loser of a race, must not keep a pause from ending."""
        await self._pausing.wait()
        await anyio.sleep(self.settings.settle_seconds)
        self._scope.cancel()

    async def _resumed(self) -> None:
        flying: list[Json] = [{"path": f.path, "name": f.name, "call": f.sort} for f in self.journal.in_flight.values()]
        fields: dict[str, Json] = {"in_flight": flying, "estimated": self.journal.estimated.to_json()}
        await self.log.append("run.resumed", "", fields)

    def _restore_budget(self) -> None:
        self.budget.restore(self.journal.spent)
        for amount in self.journal.top_ups:
            self.budget.top_up(amount)
        if self.top_up_at_start is not None:
            self.top_up(self.top_up_at_start)

    def _result(self, root: Branch, outcome: Outcome[Any]) -> RunResult:
        kind, reason, pause = self._ending(outcome)
        return RunResult(
            kind=kind,
            outcome=None if kind in ("paused", "stopped") else outcome,
            reason=reason,
            pause=pause,
            pending=dict(self.pending),
            census={title: census_of(counts) for title, counts in self._branches.items()},
            calls={title: census_of(counts) for title, counts in self._calls.items()},
            spent=self.budget.root.spent,
            reuse=self.reuse,
            missing=tuple(root.missing),
            denied=self.journal.denials,
        )

    def _ending(self, outcome: Outcome[Any]) -> tuple[Any, str, str]:
        if outcome.kind == "cancelled" and self._mode != "running":
            pause, reason = self._pause
            return ("paused" if self._mode == "pausing" else "stopped"), reason, pause
        named = {"succeeded": "completed", "degraded": "degraded"}.get(outcome.kind, "failed")
        return named, outcome.reason, ""

    # --- stopping -----------------------------------------------------------------------------------------------

    @property
    def mode(self) -> State:
        """Whether anything may still begin."""
        return self._mode

    @property
    def pause_cause(self) -> str:
        """What pauses the run, or empty."""
        return self._pause[0]

    def pause(self, cause: str, reason: str) -> None:
        """Stop admitting, let calls in flight settle, then cancel the script. The run can be resumed."""
        if self._mode != "running":
            return
        self._mode, self._pause = "pausing", (cause, reason)
        self._pausing.set()
        self.log.enqueue("control", "", {"pause": cause, "reason": reason, "in_flight": self._in_flight})
        self._tell_of_pause()
        self._cancel_when_quiet()

    def on_pause(self, told: Callable[[], None]) -> None:
        """Have `told` called when fewer calls than before may go on: whoever keeps calls in a line looks again."""
        self._told_of_pause.append(told)

    def _tell_of_pause(self) -> None:
        for told in self._told_of_pause:
            told()

    def stop(self, reason: str = "stopped") -> None:
        """Cancel everything at once. The run can be resumed; what was in flight is charged as estimated."""
        if self._mode in ("stopped", "ended"):
            return
        self._mode, self._pause = "stopped", ("stop", reason)
        self._scope.cancel()

    def check(self) -> None:
        """Raise `Stopped` when nothing may begin any more. For calls that do not await."""
        if self._mode in ("stopped", "ended") or self._scope.cancel_called:
            raise Stopped

    async def may_begin(self) -> None:
        """Return at once while the run goes on; afterwards never: the caller is cancelled.

        Raises:
            Stopped: the caller shields itself from that cancellation.
        """
        if self._mode == "running":
            return
        self._cancel_when_quiet()
        if self._scope.cancel_called or self._mode in ("stopped", "ended"):
            await checkpoint()
            raise Stopped
        await anyio.sleep_forever()

    async def park(self) -> None:
        """Wait for the cancellation that a pause ends in."""
        self._cancel_when_quiet()
        await anyio.sleep_forever()

    def take_off(self, sort: str) -> None:
        """A call begins to be performed. One that waits for a person is not in flight: a pause need not wait for it."""
        self._in_flight += sort != "approval"

    def land(self, sort: str) -> None:
        """A call is no longer being performed."""
        self._in_flight -= sort != "approval"
        self._cancel_when_quiet()

    @property
    def in_flight(self) -> int:
        """How many calls are being performed."""
        return self._in_flight

    def _cancel_when_quiet(self) -> None:
        if self._mode == "pausing" and not self._in_flight:
            self._scope.cancel()

    def refused(self, refusal: Refusal) -> bool:
        """Whether a refusal is the run's own limit; then the run pauses."""
        if refusal.is_root:
            self.pause("budget", f"the run's limit of {refusal.dimension} is used up ({refusal})")
        return refusal.is_root

    def broken(self, error: InfrastructureError) -> bool:
        """Whether an error trips the breaker; then the run pauses, and no model is asked anything any more."""
        if not error.breaks:
            return False
        self.pause(error.category, f"{error.category}: {error.reason}")
        if not self._is_broken:
            self._is_broken = True
            self._tell_of_pause()
        return True

    @property
    def is_broken(self) -> bool:
        """Whether a breaker tripped: calls in flight settle, and nothing more is sent to a model."""
        return self._is_broken

    # --- approvals and controls -----------------------------------------------------------------------------------

    async def answer(self, path: str, question: str) -> bool:
        """Wait for a yes or no; when nothing else is under way either, the run pauses."""
        given = self._answers.get(path, self._answers.get("*"))
        if given is not None:
            return given
        event = self._answered.setdefault(path, anyio.Event())
        self.pending[path] = question
        while not event.is_set():
            with anyio.move_on_after(_IDLE_SECONDS):
                await event.wait()
            if not event.is_set() and not self._in_flight and not self.is_attended:
                first = question.partition("\n")[0]
                self.pause("approval", f"waiting for an answer: {first}")
        del self.pending[path]
        return self._answers[path]

    def give_answer(self, path: str, yes: bool) -> None:
        """Answer the question asked at `path`, or with ``*`` every open one."""
        for asked in [path] if path != "*" else list(self.pending):
            self._answers[asked] = yes
            self._answered.setdefault(asked, anyio.Event()).set()

    def top_up(self, amount: Amount) -> None:
        """Raise the run's own limits."""
        self.log.enqueue("budget", "", {"top_up": amount.to_json()})
        self.budget.top_up(amount)

    # --- log --------------------------------------------------------------------------------------------------------

    def clock(self) -> float:
        """Seconds on the backend's clock."""
        return anyio.current_time()

    def span(self, path: str, part: str = "") -> str:
        """The span id of a place in this attempt of the run, or empty when spans are off."""
        return span_id(self.run_id, str(self.epoch), path, part) if self.settings.spans else ""

    def span_fields(self, span: str, parent: str) -> dict[str, Json]:
        """The event fields that make a span."""
        if not span:
            return {}
        return {"span": span, "parent": parent} if parent else {"span": span}

    async def attempt_started(self, context: CallContext, number: int, sort: str, name: str, worst: Amount) -> None:
        """Record an attempt and its reservation; durable before it is sent."""
        span = self.span(context.path, f"a{number}")
        fields: dict[str, Json] = {"attempt": number, "sort": sort, "name": name, "reserved": worst.to_json()}
        await self.log.append("attempt.started", context.path, {**fields, **self.span_fields(span, context.span)})

    def attempt_ended(
        self,
        context: CallContext,
        number: int,
        spent: Amount,
        estimated: bool,
        error: BaseException | None,
        usage: dict[str, Json],
    ) -> None:
        """Record what an attempt cost; an overdraft at the root pauses the run."""
        fields: dict[str, Json] = {"attempt": number, "spent": spent.to_json(), "estimated": estimated}
        if usage:
            fields["usage"] = usage
        if error is not None:
            fields["error"] = type(error).__name__
            if isinstance(error, InfrastructureError):
                fields["category"] = error.category
        self.log.enqueue(
            "attempt.ended", context.path, {**fields, **self.span_fields(self.span(context.path, f"a{number}"), "")}
        )

    def overdrawn(self, path: str, overdrafts: Iterable[Overdraft]) -> None:
        """Record what was billed beyond a limit; nothing more is granted there, and at the root the run pauses."""
        for over in overdrafts:
            fields: dict[str, Json] = {"overdraft": over.path, "dimension": over.dimension, "count": over.count}
            self.log.enqueue("budget", path, fields)
            if over.is_root:
                self.pause("overdraft", "a provider billed more than its worst case; the run's limit is overdrawn")

    def branch_started(
        self, branch: Branch, around: Branch, construct: str, facts: Mapping[str, Json] | None = None
    ) -> None:
        """Record that a branch began below `around`."""
        fields: dict[str, Json] = {"construct": construct, **(facts or {})}
        if branch.phase is not None:
            fields["phase"] = branch.phase.title
        self.log.enqueue(
            "branch.started", branch.path, {**fields, **self.span_fields(branch.span, around.parent_span())}
        )

    def branch_ended(self, branch: Branch, kind: str, reason: str, facts: Mapping[str, Json] | None = None) -> None:
        """Record how a branch ended."""
        fields: dict[str, Json] = {"kind": kind, **(facts or {})}
        if reason:
            fields["reason"] = reason
        self.log.enqueue("branch.ended", branch.path, {**fields, **self.span_fields(branch.span, "")})

    def end_phase(self, branch: Branch) -> None:
        """End the phase that `branch` itself began, if any, and free what it kept back."""
        phase = branch.phase
        if phase is None or phase.branch is not branch:
            return
        if phase.reserve is not None:
            self.budget.close(phase.reserve)
        branch.phase = phase.around
        self.log.enqueue("phase.ended", branch.path, {"title": phase.title, **self.span_fields(phase.span, "")})

    def decide(self, path: str, decision: str, ordinal: int, value: Json, *, anew: bool = False) -> Any:
        """Record a choice, or give back the recorded one; `anew` replaces a recorded one that no longer holds."""
        key = (path, decision, ordinal)
        if key in self.journal.decisions and not anew:
            return self.journal.decisions[key]
        self.log.enqueue("decision", path, {"decision": decision, "ordinal": ordinal, "value": value})
        self.journal.decisions[key] = value
        return value

    def count_branch(self, branch: Branch, what: str, number: int = 1) -> None:
        """Count branches in the census of the phase they are in."""
        self._counts(self._branches, branch)[what] += number

    def count_call(self, branch: Branch, what: str) -> None:
        """Count calls in the census of the phase they are in."""
        self._counts(self._calls, branch)[what] += 1

    def _counts(self, table: dict[str, Counter[str]], branch: Branch) -> Counter[str]:
        return self._titled(table, branch.phase.title if branch.phase else "")

    def _titled(self, table: dict[str, Counter[str]], title: str) -> Counter[str]:
        counts = table.get(title)
        if counts is None:
            counts = table[title] = Counter()
        return counts

    @property
    def calls_so_far(self) -> Counter[str]:
        """How many calls of the run ended as what, over all its phases."""
        return sum(self._calls.values(), Counter[str]())

    def adopt(self, branch: Branch, decision: str, children: frozenset[str] | None = None) -> None:
        """Take what stood below `branch` when `decision` was made as it is, without running the script again.

        Args:
            branch: where the decision was made.
            decision: its name.
            children: only what is below these path segments; None for all.
        """
        left = self.journal.left_below(branch.path, decision, children)
        only: list[Json] | None = None if children is None else list[Json](sorted(children))
        self.log.enqueue("adopted", branch.path, {"decision": decision, "children": only})
        for placed in left.placed:
            self._adopt_call(branch, placed)
        for seen in left.branches:
            self._adopt_branch(seen)
        for state in left.states:
            self.set_state(state.key, state.value, contested=True)

    def adopt_asked(self, branch: Branch, asked: Iterable[Placed]) -> None:
        """Take the calls that a call asked for itself, and does not ask for again: their records and their count."""
        for placed in asked:
            if not placed.durable.used:
                self._adopt_call(branch, placed)

    def _adopt_call(self, branch: Branch, placed: Placed) -> None:
        durable = placed.durable
        branch.charge_history(self.journal.take_cost(placed.path))
        self._titled(self._calls, str(durable.data.get("phase", "")))[durable.kind] += 1
        if durable.kind == "cancelled" or durable.used:
            return
        durable.used = True
        branch.charge_history(durable.cost)
        self.take_records(placed.path, durable.data)
        self.take_left(durable.data)
        self.reuse.reused += 1

    def _adopt_branch(self, seen: SeenBranch) -> None:
        if seen.construct == "item":  # counted in the census of its fan-out
            return
        single = {"planned": 1, "started": 1, seen.kind: 1}
        counted = single if seen.construct in ("branch", "workflow") else seen.census
        self._titled(self._branches, seen.phase).update(counted)

    def set_state(self, key: str, value: Json, *, contested: bool) -> None:
        """Set a value of the run's own state; once a concurrent branch did, who reads it depends on timing."""
        self.state[key] = value
        if contested:
            self.contested.add(key)

    def take_left(self, data: Mapping[str, Any]) -> None:
        """Tell the host what a call left behind, such as the state of a workspace, now that its outcome holds."""
        told = self.host.get("left")
        if told is not None and data.get("left") is not None:
            told(data["left"])

    def take_records(self, path: str, data: Mapping[str, Any]) -> None:
        """Make the records of a finished call, and the units it covered, part of the run."""
        if data["kind"] in ("succeeded", "degraded"):
            self.covered.update(data.get("covers", ()))
        for record in data.get("records", ()):
            self.records.append(Recorded(path, str(data.get("phase", "")), record))
