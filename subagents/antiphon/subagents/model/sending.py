"""Sending a request to a model: what fits the budget, when the provider can take it, again where that may help.

One try goes through the budget, a permit and the provider's gate, in this order, and then its start is in the log. So
nobody who stands in a line behind holds what those before need. Between two tries a call holds nothing.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Final, final

import anyio

from antiphon.engine import Amount, Attempt, CallContext, InfrastructureError, Run
from antiphon.engine.errors import RETRYABLE, leading
from antiphon.engine.retry import RetryPolicy, retry_after_of
from antiphon.subagents.model.bound import fitted, input_bound, worst_case
from antiphon.subagents.model.contract import BadRequest, Completion, ContextTooLong, Model, ModelFailure, Request
from antiphon.subagents.model.gate import Gate, Ticket, TurnedAway
from antiphon.subagents.model.rates import PATIENT, Rates
from antiphon.subagents.model.usage import settle

PATIENCE: Final = RetryPolicy(attempts=5, total_seconds=None)
"""Five tries a request, and no limit of time over all of them: most of it may be spent in a line."""

_WORTH_A_NOTE = 5.0
_TEXT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudget:
    """How many requests of a whole run may be second tries, so that a dying provider is not asked for ever.

    Besides these, one for each request of the most that were ever in flight at once: a broken connection fails them
    all, and that once is no sign of dying.

    Attributes:
        share: of all requests sent. least: so many are allowed in any case.
    """

    share: float = 0.2
    least: int = 50

    def allows(self, retries: int, requests: int, most_in_flight: int) -> bool:
        """Whether one more is allowed after so many."""
        return retries < self.least + most_in_flight + self.share * requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A request that was answered.

    Attributes:
        completion: the answer. request: as it was sent, which may ask for a shorter answer than was wanted.
        spent: what the try that was answered was charged; `CallContext.spent` has those before it, too.
        estimated: whether that is the worst case, because the provider does not say what it used.
    """

    completion: Completion
    request: Request
    spent: Amount
    estimated: bool


@dataclass(slots=True)
class Sender:
    """What all model agents of one run send their requests with.

    Args:
        rates: what is known of providers' limits, by provider, or by a model's name where it has limits of its own.
        policy: how often and how patiently one request is tried.
        retry_budget: how many second tries all of the run may make.

    Attributes:
        requests: how many requests were sent. retries: how many of them were second tries.
        most_in_flight: how many were in flight at one provider at most.
    """

    rates: Mapping[str, Rates] = field(default_factory=dict[str, Rates])
    policy: RetryPolicy = PATIENCE
    retry_budget: RetryBudget = RetryBudget()
    requests: int = field(default=0, init=False)
    retries: int = field(default=0, init=False)
    most_in_flight: int = field(default=0, init=False)
    _gates: dict[str, Gate] = field(default_factory=dict[str, Gate], init=False)
    _run: Run | None = field(default=None, init=False)

    async def send(self, ctx: CallContext, model: Model, request: Request, *, least_tokens: int = 256) -> Sent:
        """Send a request until it is answered, fails for good, or the policy or the run's retries are used up.

        Every try is an attempt of its own: reserved at its worst case, settled by what the provider says it used, and
        charged whole, as estimated, where it does not say. Quota, credit and authentication pause the run at once, and
        so does a provider that keeps failing; the caller is then cancelled and has nothing to do.

        Args:
            ctx: of the call that it is sent for.
            model: what is asked.
            request: what it is asked. `max_tokens` shrinks to what the budget has room for, `timeout_seconds` is a hard
                deadline of each try.
            least_tokens: an answer shorter than this is not worth asking for.

        Raises:
            InfrastructureError: the last failure, saying so where the run's retries were used up.
            ModelFailure: the model cannot answer this request: context too long, content refused, bad request.
            BudgetRefused, WindDown: see `CallContext.attempt`.
            UsageError: the model's price is not known, and money is limited.
        """
        self._know(ctx.run)
        return await _Sending(self, ctx, model, request, least_tokens, self.gate_of(model)).until_answered()

    def gate_of(self, model: Model) -> Gate:
        """The gate that a model's requests go through."""
        key = model.name if model.name in self.rates else model.provider
        gate = self._gates.get(key)
        if gate is None:
            rates = self.rates.get(key) or (PATIENT if key == "file" else Rates())
            gate = self._gates[key] = Gate(key, rates, anyio.current_time())
        return gate

    def said(self) -> list[str]:
        """A line for each provider, for a person: how many are in flight and wait, and whether it asked to wait."""
        return [gate.said() for gate in self._gates.values()]

    def _know(self, run: Run) -> None:
        """A pause sends those home who stand at a gate."""
        if self._run is not run:
            self._run = run
            run.on_pause(self._look_again)

    def _look_again(self) -> None:
        for gate in self._gates.values():
            gate.look_again()


@final
@dataclass(slots=True)
class _Sending:
    """One request on its way, over all its tries."""

    sender: Sender
    ctx: CallContext
    model: Model
    request: Request
    least_tokens: int
    gate: Gate
    tries: int = 0
    used_up: bool = False

    async def until_answered(self) -> Sent:
        try:
            return await self.sender.policy.run(
                self._once,
                retryable=self._may_pass,
                on_retry=self._goes_on,
                sleep=self._rest,
                key=f"{self.ctx.run.seed}/{self.ctx.path}",
            )
        except InfrastructureError as error:
            told = self._told(error)
            if told is error:
                raise
            raise told from error

    async def _once(self) -> Sent:
        while True:
            await self._while_closed()
            with suppress(TurnedAway):  # it asked to wait while this was on its way to it: nothing was sent
                return await self._try()

    async def _try(self) -> Sent:
        request = fitted(self.model, self.request, self.ctx.remaining, least=self.least_tokens)
        worst = worst_case(self.model, request, self.ctx.remaining)
        ticket = self._ticket(request)
        async with self.ctx.attempt(worst, name=self.model.name, gate=ticket) as attempt:
            attempt.tell(provider=self.model.provider)
            completion = await self._asked(request, attempt, ticket)
            ticket.used = settle(attempt, self.model, completion)
            self.gate.answered(ticket)
        return Sent(completion=completion, request=request, spent=attempt.spent, estimated=attempt.estimated)

    def _ticket(self, request: Request) -> Ticket:
        tokens = input_bound(request) + request.max_tokens
        ctx = self.ctx
        return Ticket(self.gate, tokens, ctx.stands_back, call=ctx.path, depth=ctx.depth, jitter=self._jitter)

    def _jitter(self) -> float:
        return Random(f"{self.ctx.run.seed}/{self.ctx.path}/{self.tries}").random()

    async def _asked(self, request: Request, attempt: Attempt, ticket: Ticket) -> Completion:
        """The answer to one try, or what became of it, told to the gate."""
        sender = self.sender
        sender.requests += 1
        sender.most_in_flight = max(sender.most_in_flight, self.gate.in_flight)
        self.tries += 1
        try:
            return await self._in_time(request)
        except Exception as raised:
            error = leading(raised)
            if isinstance(error, ModelFailure):
                self._refused(error, attempt, ticket)
            elif isinstance(error, InfrastructureError):
                attempt.tell(problem=error.reason[:_TEXT])
                error = self._failed(error, ticket)
            if error is raised:
                raise
            raise error from raised

    async def _in_time(self, request: Request) -> Completion:
        seconds = request.timeout_seconds
        try:
            with anyio.fail_after(seconds):
                return await self.model.client.complete(request)
        except TimeoutError as error:
            within = "in time" if seconds is None else f"within {seconds:g} s"
            raise InfrastructureError("timeout", f"{self.model.name} did not answer {within}") from error

    def _refused(self, error: ModelFailure, attempt: Attempt, ticket: Ticket) -> None:
        self.gate.answered(ticket)
        if isinstance(error, ContextTooLong | BadRequest):  # turned down at the door; what was refused may be billed
            attempt.not_billed()
            ticket.used = 0

    def _failed(self, error: InfrastructureError, ticket: Ticket) -> InfrastructureError:
        """Tell the gate; what breaks pauses the run now, and not only once it has gone up to the engine."""
        ticket.used = None if error.billed else 0
        if error.category in RETRYABLE:
            asked = min(retry_after_of(error) or 0.0, self.sender.policy.asked_seconds)
            if asked >= _WORTH_A_NOTE and not self.gate.closed_seconds():
                self.ctx.note(f"{self.gate.provider} asks to wait {asked:.4g} s; until then nothing is sent to it")
            failing = self.gate.failed(ticket, error, asked)
            if failing or self.ctx.run.is_broken:
                error = _again(error, f"{failing or 'the run pauses'}; the last: {error.reason}", breaks=True)
        self.ctx.run.broken(error)
        return error

    # --- between two tries ----------------------------------------------------------------------------------------

    def _may_pass(self, error: Exception) -> bool:
        if not isinstance(error, InfrastructureError) or error.category not in RETRYABLE or error.breaks:
            return False
        sender = self.sender
        self.used_up = not sender.retry_budget.allows(sender.retries, sender.requests, sender.most_in_flight)
        return not self.used_up

    def _goes_on(self, _error: Exception, _seconds: float) -> None:
        """Counted, and not noted: a thousand agents would say it all at once, and the attempts are in the log."""
        self.sender.retries += 1

    async def _rest(self, seconds: float) -> None:
        self.ctx.waits_for(f"another try at {self.gate.provider}")
        await self._outside(self.gate.rest(seconds, self.ctx.stands_back))

    async def _while_closed(self) -> None:
        if self.gate.closed_seconds():
            self.ctx.waits_for(f"{self.gate.provider}, which asked to wait")
            await self._outside(self.gate.opened(self.ctx.stands_back))

    async def _outside(self, waiting: Coroutine[object, object, None]) -> None:
        try:
            await waiting
        finally:
            self.ctx.wait_ends()
        if self.ctx.stands_back():
            await self.ctx.stand_back()

    def _told(self, error: InfrastructureError) -> InfrastructureError:
        """The error, saying what was tried."""
        sent, again = self.sender.requests, self.sender.retries
        if self.used_up:
            tried = f"not tried again: {again} of the run's {sent} requests were second tries, and more are not allowed"
        elif self.tries > 1:
            tried = f"tried {self.tries} times"
        else:
            return error
        return _again(error, f"{error.reason}; {tried}")


def _again(error: InfrastructureError, reason: str, *, breaks: bool | None = None) -> InfrastructureError:
    """The same error with another reason."""
    return InfrastructureError(
        error.category,
        reason,
        retry_after=error.retry_after,
        billed=error.billed,
        breaks=error.breaks if breaks is None else breaks,
    )
