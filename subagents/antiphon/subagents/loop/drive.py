"""Leads a conversation: performs the next move, records its turn, goes on with what the log holds. No policy here."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, TypeAlias, assert_never

import anyio

from antiphon.engine import AgentFailure, BudgetRefused, CallContext, SchemaMismatch, WindDown
from antiphon.engine.amount import NANO
from antiphon.subagents.loop.anomaly import Diagnosis
from antiphon.subagents.loop.calling import call_tools
from antiphon.subagents.loop.fitting import Prompt, fitted_prompt, is_used_up
from antiphon.subagents.loop.giving_up import GaveUp
from antiphon.subagents.loop.move import CallModel, CallTools, Finish, GiveUp, next_move, winding_down
from antiphon.subagents.loop.state import GOES_ON, OVERFLOW, State
from antiphon.subagents.loop.toolbox import Toolbox
from antiphon.subagents.loop.turns import EscalatedTurn, MissingTurn, ModelTurn, NoticeTurn, ToolsTurn
from antiphon.subagents.model.answering.reading import LONGEST_CHARACTERS
from antiphon.subagents.model.bound import input_bound
from antiphon.subagents.model.contract import ContentRefused, ContextTooLong, Model, Request
from antiphon.subagents.model.sending import Sender, Sent
from antiphon.subagents.prompt.delimiting import legible
from antiphon.subagents.tools.contract import Tool
from antiphon.subagents.tools.policy import Policy
from antiphon.tracing import Json

DEADLINE_SECONDS: Final = 600.0
"""How long one request may take."""
LAST_ANSWER_TOKENS: Final = 1024
"""How long the answer may be that is always affordable: the one that an agent hands back when it winds down. Any other
answer has room for as much, or it is time to hand back."""
_LEAST_TOKENS: Final = 256
_MOST_CHARACTERS: Final = LONGEST_CHARACTERS + 1
_MOST_RATIONALE: Final = 100_000
_USED_UP: Final = "What the budget has left is only enough for one more answer."
_LATE: Final = "Your time is nearly over."
_TURNS_LEFT: Final = 2
_GOES_ON: Final = "There is budget again: you need not hand back yet, and can call tools as before."

Judge: TypeAlias = Callable[[Any, int], Awaitable[str | None]]
"""What is missing in a value, or None; the second argument says how often something was missing before."""
After: TypeAlias = Callable[[Any, CallContext, Model], Awaitable[None] | None]
"""Told the value of a call before the call ends: adds records."""


class Recorded(Protocol):
    """A turn that the loop records."""

    def to_json(self) -> dict[str, Json]:
        """As it is in the log."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """One conversation being led.

    Attributes:
        ctx: the call's. sender: sends requests. tools: what the model is shown, by name.
        policy: what tools may do. others: tools that it may call as well, though it is not shown them.
        judge: holds the value to the call's criterion; None for none. after: told the value.
        began: when this attempt at it began, on the backend's clock. began_at: how many turns it had then.
    """

    ctx: CallContext
    sender: Sender
    tools: Mapping[str, Tool]
    policy: Policy = field(default_factory=Policy)
    others: Mapping[str, Tool] = field(default_factory=dict[str, Tool])
    judge: Judge | None = None
    after: After | None = None
    began: float = field(default_factory=anyio.current_time)
    began_at: int = 0

    async def lead(self, state: State) -> Any:
        """From here to the value.

        Raises:
            GaveUp: the conversation went wrong, with a diagnosis.
            SchemaMismatch: no answer fitted the declared type; it has the last one.
            InfrastructureError, BudgetRefused, WindDown: see `Sender.send`.
        """
        state = await self._resumed(state)
        try:
            return await self._led(state)
        finally:
            self.ctx.run.acts.pop(self.ctx.path, None)

    async def _led(self, state: State) -> Any:
        while True:
            match move := next_move(state):
                case CallModel() if move.tell is not None:
                    state = await self._record(state, move.tell)
                case CallModel():
                    state = await self._ask(state, final=move.final)
                case CallTools():
                    state = await self._record(state, await self._called(state, move))
                case Finish():
                    value = self._value(state, move.text)
                    missing = await self.judge(value, state.rounds) if self.judge is not None else None
                    if missing is None:
                        return await self._handed_back(value, state.terms.model)
                    state = await self._record(state, MissingTurn(legible(missing)))
                case GiveUp():
                    state = await self._given_up(state, move)
                case _:
                    assert_never(move)

    async def _resumed(self, state: State) -> State:
        """An agent that had to hand back for want of budget, and was cut off at that, goes on where there is some."""
        if not state.spent_out or isinstance(state.last, ModelTurn):
            return state
        prompt = fitted_prompt(state, self._request(state, final=False), self.ctx.remaining, final=False)
        if is_used_up(state.terms.model, prompt.request, self.ctx, LAST_ANSWER_TOKENS):
            return state
        return await self._record(state, NoticeTurn(GOES_ON, _GOES_ON))

    async def _record(self, state: State, turn: Recorded) -> State:
        return state.after(await self.ctx.turn(turn.to_json()))

    async def _called(self, state: State, move: CallTools) -> ToolsTurn:
        tools = {**self.others, **self.tools}
        box = Toolbox(self.ctx, tools, policy=self.policy, checks=state.checks, turn=state.turns)
        return await call_tools(move.calls, move.most, box)

    # --- asking ---------------------------------------------------------------------------------------------------

    async def _ask(self, state: State, *, final: bool) -> State:
        """Send one request; told instead is what keeps it from being sent."""
        model, floor_only = state.terms.model, self.ctx.carve.winding_down
        prompt = fitted_prompt(state, self._request(state, final=final), self.ctx.remaining, final=final)
        least = _LEAST_TOKENS if final else LAST_ANSWER_TOKENS
        if not final and is_used_up(model, prompt.request, self.ctx, least):
            return await self._record(state, winding_down(_USED_UP, budget=True))
        if not final and self._is_late(state.turns - self.began_at):
            return await self._record(state, winding_down(_LATE))
        self.ctx.run.acts[self.ctx.path] = f"asking {model.name}, turn {state.turns + 1}"
        try:
            sent = await self.sender.send(self.ctx, model, prompt.request, least_tokens=least)
        except (BudgetRefused, WindDown):
            if not final:
                return await self._record(state, winding_down(_USED_UP, budget=True))
            if floor_only or not self.ctx.carve.winding_down:
                raise
            return await self._ask(state, final=True)  # somebody else took what was free meanwhile
        except ContextTooLong as error:
            return await self._too_long(state, prompt, error)
        except ContentRefused as error:
            return await self._given_up(state, GiveUp(legible(error.message[:1_000]), refused=True))
        return await self._record(state, _turn(state, prompt, sent))

    def _is_late(self, turns: int) -> bool:
        """Whether the call's time is nearly over, going by how long its turns took so far."""
        limits, left = self.ctx.call.limits, self.ctx.prospect("agent_seconds")
        lefts = [] if left is None else [(left / NANO, self.ctx.active_seconds)]
        if limits is not None and limits.wall_seconds is not None:
            elapsed = anyio.current_time() - self.began
            lefts.append((limits.wall_seconds - elapsed, elapsed))
        return turns > 0 and any(seconds < _TURNS_LEFT * took / turns for seconds, took in lefts)

    def _request(self, state: State, *, final: bool) -> Request:
        terms = state.terms
        return Request(
            model=terms.model.name,
            messages=state.messages,
            tools=() if final else tuple(tool.spec for tool in self.tools.values()),
            max_tokens=terms.limits.max_tokens,
            # A person answers when there is time for it, which is no failure of the infrastructure.
            timeout_seconds=None if terms.model.provider == "file" else DEADLINE_SECONDS,
            key=hashlib.sha256(f"{self.ctx.run.run_id}/{self.ctx.path}".encode()).hexdigest()[:16],
            asker=f"{self.ctx.call.name} at {self.ctx.path}",
        )

    async def _too_long(self, state: State, prompt: Prompt, error: ContextTooLong) -> State:
        """The provider says that it does not fit: shorten, and say so; where nothing is left to shorten, give up."""
        most = prompt.tokens * 3 // 4
        if state.most_prompt is not None and most >= state.most_prompt:  # no shorter than what was turned down before
            found = Diagnosis(anomaly=OVERFLOW, cause="infeasible", evidence=legible(error.message[:1_000]))
            return await self._given_up(state, GiveUp(str(found), found))
        text = (
            "The conversation is too long for you: older results of tools, and older answers if need be, are shortened."
        )
        return await self._record(state, NoticeTurn(OVERFLOW, text, {"prompt_tokens": most}))

    # --- ending ---------------------------------------------------------------------------------------------------

    def _value(self, state: State, text: str) -> Any:
        return self.ctx.output.decode(text) if state.terms.schema is not None else text

    async def _handed_back(self, value: Any, model: Model) -> Any:
        if self.after is not None:
            told = self.after(value, self.ctx, model)
            if inspect.isawaitable(told):
                await told
        return value

    async def _given_up(self, state: State, move: GiveUp) -> State:
        """Let a stronger model go on, or fail."""
        stronger = state.terms.stronger
        if stronger is not None and not state.spent_out and state.turns < stronger.limits.turns:
            source, to = state.terms.model.name, stronger.model.name
            self.ctx.note(f"{source} gave up ({move.why}); {to} goes on")
            return await self._record(state, EscalatedTurn(source, to, move.why, stronger.mode.name))
        if move.diagnosis is not None:
            raise GaveUp(move.diagnosis)
        if move.raw:
            raise SchemaMismatch(move.why, move.raw)
        raise ContentRefused(move.why) if move.refused else AgentFailure(move.why)


def _turn(state: State, prompt: Prompt, sent: Sent) -> ModelTurn:
    said = sent.completion
    calls = tuple(
        replace(
            call, id=legible(call.id), name=legible(call.name), arguments=legible(call.arguments[:_MOST_CHARACTERS])
        )
        for call in said.calls
    )
    return ModelTurn(
        completion=replace(
            said,
            model=legible(said.model[:200]),
            text=legible(said.text[:_MOST_CHARACTERS]),
            rationale=legible(said.rationale[:_MOST_RATIONALE]),
            calls=calls,
        ),
        messages=len(state.messages),
        shortened=prompt.shortened,
        max_tokens=sent.request.max_tokens,
        bound=input_bound(sent.request),
        digest=prompt.digest,
    )
