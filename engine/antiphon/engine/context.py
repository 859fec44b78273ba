"""What a subagent is lent while it works: frames, budget, a place for records; and the attempts it makes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable
from copy import deepcopy
from typing import TYPE_CHECKING, TypeVar

import anyio

from antiphon.engine.amount import INDEX, NOTHING, ONE_AGENT, Amount, Dimension
from antiphon.engine.attempt import Attempt, Gate, counted
from antiphon.engine.branch import Branch
from antiphon.engine.call import AttemptSort, Record
from antiphon.engine.errors import RETRYABLE, InfrastructureError
from antiphon.engine.output import strict_json
from antiphon.engine.retry import RetryPolicy
from antiphon.tracing.log import Json

if TYPE_CHECKING:
    from antiphon.engine.account import Overdraft
    from antiphon.engine.budget import Budget
    from antiphon.engine.carve import Carve, Keep
    from antiphon.engine.place import Place
    from antiphon.engine.run import Run

T = TypeVar("T")


class RecordSink:
    """The records of one call; they become part of the run when the call's outcome does, all or none."""

    __slots__ = ("_records",)

    def __init__(self) -> None:
        self._records: list[Json] = []

    def add(self, record: Record) -> None:
        """Add one record, as it is now. Raises `SchemaMismatch` when JSON cannot hold it."""
        self._records.append(json.loads(strict_json(record.to_json())))

    def clear(self) -> None:
        """Drop the records: the call ends without them."""
        self._records.clear()

    def to_json(self) -> list[Json]:
        """The records' contents, in the order they were added."""
        return list(self._records)


_PATIENCE = RetryPolicy()


def _may_pass(error: Exception) -> bool:
    return isinstance(error, InfrastructureError) and error.category in RETRYABLE


class CallContext:
    """What a subagent is lent while it works: its frames, its budget, a place for records. Nothing of a sibling.

    Attributes:
        path: the call's place in the call tree.
        about, covers: as in the call.
        records: where claims, evidence and coverage go.
        missing: what a completion criterion said was still missing, or None on the first round.
        call: what the script asked for. output: the declared type of the value. needs: its declared floor.
        visible: what its performer says that it sees besides task, frames and schema.
        left: what it leaves behind besides its value and records, such as the state of its workspace; recorded with
            its outcome, and told to the host function ``left`` once that holds, also when it replays.
        workspace: where it works, put there by whoever performs it; None for nowhere.
        turns: what `turn` recorded in an earlier attempt of the run for this very call, which a stop then cut off.
    """

    __slots__ = (
        "_asked",
        "_attempts",
        "_began",
        "_branch",
        "_frames",
        "_lent",
        "_sent",
        "_sort",
        "_spent",
        "_standing_back",
        "_unsaved",
        "_waiting_since",
        "about",
        "call",
        "carve",
        "covers",
        "left",
        "missing",
        "needs",
        "output",
        "own",
        "path",
        "records",
        "span",
        "stood_back",
        "turns",
        "visible",
        "waited_seconds",
        "workspace",
    )

    def __init__(self, place: Place, carve: Carve, span: str, turns: tuple[Json, ...] = ()) -> None:
        branch, call = place.branch, place.call
        self._branch, self.carve = branch, carve
        self.call, self.output, self.turns = call, place.prepared.output, turns
        self.needs, self.visible = place.prepared.floor, place.prepared.visible
        self.left: Json = None
        self.workspace: object | None = None
        self._sort = call.sort
        self._attempts = 0
        self._sent = 0
        self._unsaved = 0
        self._standing_back = 0
        self._asked = 0
        self._spent = NOTHING
        self._began = 0.0
        self._waiting_since: float | None = None
        self.own = NOTHING
        self.path, self.span = place.path, span
        self._frames, self._lent = place.frames, False
        self.about, self.covers = call.about, call.covers
        self.records = RecordSink()
        self.missing: str | None = None
        self.stood_back = False
        self.waited_seconds = 0.0

    @property
    def frames(self) -> tuple[Json, ...]:
        """The frames from the root to this call, in order; a copy, so that no subagent changes what others see."""
        if not self._lent:
            self._frames, self._lent = deepcopy(self._frames), True
        return self._frames

    @property
    def winding_down(self) -> bool:
        """True once the budget asked this agent to hand back what it has: all that is left is what its floor holds."""
        return self.carve.winding_down or self.carve.on_floor

    @property
    def spent(self) -> Amount:
        """What this call's attempts have cost so far."""
        return self._spent

    def attempt(
        self,
        worst_case: Amount | None = None,
        *,
        sort: AttemptSort = "model",
        name: str = "",
        gate: Gate | None = None,
    ) -> Attempt:
        """One try at something that costs; reserve its worst case, send, settle.

        ``async with ctx.attempt(Amount(usd="0.01")) as a: ...; a.settle(Amount(usd="0.004"))``. Counts as one model
        call (or tool call) besides what is named. Left without `settle`, it is charged whole, marked estimated.

        Args:
            worst_case: most that it can cost.
            sort: what is called.
            name: which one.
            gate: where it stands last, before its start is recorded: that of a provider.

        Raises on entry: `BudgetRefused` when it can never fit, `WindDown` when it must do without.
        """
        return Attempt(self, counted(worst_case or Amount(), sort), sort, name, gate)

    async def send(
        self,
        worst_case: Amount,
        request: Callable[[Attempt], Awaitable[T]],
        *,
        sort: AttemptSort = "model",
        name: str = "",
        policy: RetryPolicy = _PATIENCE,
    ) -> T:
        """Attempts at one request, until one works: each is reserved anew, and settled or charged by itself.

        Tried again are failures of the infrastructure that may pass (rate, overloaded, timeout, network), after the
        seconds that the other side asked for; never a task's failure, never cancellation.

        Args:
            worst_case: of one attempt.
            request: sends it once, and settles the attempt it is given.
            sort: what is called.
            name: which one.
            policy: how often and how long to try.

        Raises:
            InfrastructureError: the last failure, when the policy gave up.
        """

        async def once() -> T:
            async with self.attempt(worst_case, sort=sort, name=name) as attempt:
                return await request(attempt)

        return await policy.run(once, retryable=_may_pass, on_retry=self._tell_retry, key=self.path)

    def _tell_retry(self, error: Exception, seconds: float) -> None:
        self.note(f"{error}; trying again in {seconds:.3g} s")

    @property
    def run(self) -> Run:
        """The run that this call is part of."""
        return self._branch.run

    @property
    def depth(self) -> int:
        """How many branches are above this call."""
        return self._branch.depth

    @property
    def budget(self) -> Budget:
        """The run's budget."""
        return self._branch.run.budget

    def attempt_begins(self) -> int:
        """Count one more attempt; its number, from 1."""
        self._attempts += 1
        return self._attempts

    def attempt_sends(self) -> None:
        """From now on this call has sent something, which would be lost if it were cut off."""
        self._sent += 1
        self._unsaved += 1

    def attempt_failed(self) -> None:
        """An attempt brought nothing that could be lost."""
        self._unsaved -= 1

    def attempt_cost(self, spent: Amount) -> None:
        """Count what an attempt cost."""
        self._spent = self._spent + spent

    @property
    def active_seconds(self) -> float:
        """How long this call has worked: time since it began, less what it waited for budget and permits."""
        now = self._branch.run.clock()
        waiting = now - self._waiting_since if self._waiting_since is not None else 0.0
        return now - self._began - self.waited_seconds - waiting

    def begin(self) -> None:
        """Start the clock of active seconds."""
        self._began = self._branch.run.clock()

    def finish(self) -> None:
        """Stop the clock; what it shows is this call's own cost."""
        self.own = Amount(agent_seconds=max(0.0, self.active_seconds))

    def waits_for(self, what: str) -> None:
        """From now on this call waits for `what`: the budget, a permit or a person."""
        self._branch.run.waits[self.path] = what
        if self._waiting_since is None:
            self._waiting_since = self._branch.run.clock()

    def wait_ends(self) -> None:
        """The wait is over."""
        if self._waiting_since is not None:
            self._branch.run.waits.pop(self.path, None)
            self.waited_seconds += self._branch.run.clock() - self._waiting_since
            self._waiting_since = None

    async def ask(self, question: str) -> bool:
        """A person's yes or no; see `Run.answer`. While it waits, the call is neither active nor in flight."""
        self._asked += 1
        place = self.path if self._asked == 1 else f"{self.path}#{self._asked}"
        run = self._branch.run
        self.waits_for("an answer")
        run.land(self._sort)
        try:
            return await run.answer(place, question)
        finally:
            run.take_off(self._sort)
            self.wait_ends()

    @property
    def has_begun_nothing(self) -> bool:
        """Whether the run is to pause soon and this call has got nothing since it began, or since its last turn.

        Then it need not go on: a resumed run begins where it is now. A pause for want of money lets whoever has its
        floor go on: it is paid for already.
        """
        run = self._branch.run
        return self._unsaved <= 0 and run.mode != "running" and run.pause_cause != "budget"

    def stands_back(self, sort: AttemptSort = "model") -> bool:
        """Whether the run pauses and an attempt of this sort must not be sent any more. Once true, it stays so."""
        return self.has_begun_nothing or (sort == "model" and self._branch.run.is_broken)

    async def stand_back(self) -> None:
        """Let a pause go on without this call, and wait to be cancelled by it; what has sent nothing costs nothing."""
        run = self._branch.run
        if not self._sent and not self.stood_back:
            self.stood_back = True
            self.carve.never_began(self.carve.floor.common(ONE_AGENT).pairs)
        self._standing_back += 1
        self.waits_for("the pause")
        if self._standing_back == 1:
            run.land(self._sort)
        try:
            await anyio.sleep_forever()
        finally:
            self._standing_back -= 1
            self.wait_ends()
            if not self._standing_back:
                run.take_off(self._sort)

    def remaining(self, dimension: Dimension) -> int | None:
        """How much an attempt could reserve now: what is free for everybody, and what is left of the floor.

        Once told to wind down, it is what is left of the floor alone.

        Returns:
            A raw count (nano-usd, nanoseconds, tokens, calls); None where nothing limits it.
        """
        free = self.carve.account.remaining(dimension)
        if free is None:
            return None
        return (0 if self.carve.winding_down else max(0, free)) + self.carve.remaining.count(dimension)

    def prospect(self, dimension: Dimension) -> int | None:
        """How much an attempt could reserve at most, once others gave back what they hold, and without the floor.

        Returns:
            A raw count, as in `remaining`; None where nothing limits it.
        """
        index, carve = INDEX[dimension], self.carve
        gates = [gate for gate in carve.account.gates if gate.limit(index) is not None]
        if not gates:
            return None
        own = min(carve.remaining.count(dimension), self.needs.count(dimension)) + carve.beside.count(dimension)
        return max(0, min(0 if gate.overdrawn else gate.prospect(index) for gate in gates) - own)

    def below(self, number: int, lent: Keep) -> Branch:
        """The place of a call that this one asks for itself; see `antiphon.engine.perform.settle_below`.

        Args:
            number: its number below this call.
            lent: what it is paid from, if nothing else is free.
        """
        around = self._branch
        branch = Branch(
            around.run,
            self.path,
            account=self.carve.account,
            frames=self.frames,
            depth=around.depth + 1,
            phase=around.phase,
            concurrent=True,
            last_at=around.last_at,
            span=self.span,
            workflow=around.workflow,
        )
        branch.lent = lent
        branch.go_to(number)
        return branch

    async def keep(self, value: Json) -> str:
        """Write an immutable value into the run's log, once for the whole run: its digest, by which it is found again.

        For what many calls see alike, such as a role's instructions.
        """
        return await self._branch.run.received.keep(value)

    async def kept(self, digest: str) -> Json:
        """What `keep` wrote in an earlier attempt of the run, as the log holds it; None where it does not hold it."""
        return await self._branch.run.received.kept(digest)

    async def turn(self, value: Json) -> Json:
        """Record one turn of this call's work, durable on return: the value as the log holds it, without secrets.

        A call that a stop cuts off finds its turns in `turns` when it is performed again, so that it goes on from the
        last of them. Whoever uses turns goes on with the value that this gives, as a resumed call will.
        """
        kept = await self._branch.run.received.turn(self.path, value)
        self._unsaved = 0
        return kept

    def overdrawn(self, overdrafts: Iterable[Overdraft]) -> None:
        """Record what this call cost beyond a limit."""
        self._branch.run.overdrawn(self.path, overdrafts)

    def note(self, text: str) -> None:
        """Put a line in the run's log."""
        self._branch.run.log.enqueue("note", self.path, {"text": text[:10_000]})
