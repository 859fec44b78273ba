"""The state of a conversation: its turns folded into what the next move depends on. Immutable and pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from antiphon.subagents.loop.anomaly import NOT_CALLED, Watch
from antiphon.subagents.loop.conversation import answered, said, told
from antiphon.subagents.loop.turns import (
    EscalatedTurn,
    MissingTurn,
    ModelTurn,
    NoticeTurn,
    PromptTurn,
    RepairTurn,
    ToolsTurn,
    Turn,
    turn_of,
)
from antiphon.subagents.model.answering import Mode, Reply
from antiphon.subagents.model.contract import Message, Model
from antiphon.subagents.roles.definition import AgentLimits
from antiphon.subagents.tools.requiring import Check
from antiphon.tracing import Json

WINDING_DOWN: Final = "winding_down"
OVERFLOW: Final = "overflow"
GOES_ON: Final = "goes_on"


Fits: TypeAlias = Callable[[str], str]
"""What is wrong with a JSON text as the declared type; empty if nothing is."""


def _anything(text: str) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a conversation is held to; the same for every attempt of the run at this call.

    Attributes:
        model: who answers. mode: how tools and answers travel; reads what the model said.
        limits: what the conversation may use.
        schema: what the value is held to; None if the final text is the value. fits: checks it against its type.
        tools: what may be called.
        projected: tokens that it is thought to take at most; 0 for not known.
        stronger: the terms after an escalation; None if there is nobody to escalate to.
    """

    model: Model
    mode: Mode
    limits: AgentLimits = field(default_factory=AgentLimits)
    schema: Mapping[str, Json] | None = None
    fits: Fits = _anything
    tools: frozenset[str] = frozenset()
    projected: int = 0
    stronger: Terms | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where a conversation stands.

    Attributes:
        terms: what it is held to now. messages: the conversation so far. last: the latest turn.
        number: of turns of any kind. turns: requests answered. tool_calls: calls answered.
        repairs: problems told in a row. rounds: how often the criterion was not met.
        reply: the latest answer as the mode reads it; None once it was dealt with.
        winding: the model was told to hand back what it has. spent_out: because the budget is used up.
        noticed: anomalies it was told of.
        most_turns, most_tool_calls: what limits and notices leave, counted like `turns` and `tool_calls`.
        most_prompt: the longest prompt in tokens, once one was too long; None for not known.
        shortened: messages that were shortened for the latest request.
        known: tokens of the first `known_messages` messages, as the provider counted them; 0 for not known.
        watch: what anomalies are told from.
        checks: what tools that others require came to so far.
    """

    terms: Terms
    messages: tuple[Message, ...]
    most_turns: int
    most_tool_calls: int
    last: Turn | None = None
    number: int = 0
    turns: int = 0
    tool_calls: int = 0
    repairs: int = 0
    rounds: int = 0
    reply: Reply | None = None
    winding: bool = False
    spent_out: bool = False
    noticed: frozenset[str] = frozenset()
    most_prompt: int | None = None
    shortened: tuple[int, ...] = ()
    known: int = 0
    known_messages: int = 0
    watch: Watch = field(default_factory=Watch)
    checks: tuple[Check, ...] = ()

    @classmethod
    def of(cls, terms: Terms, messages: tuple[Message, ...], turns: Iterable[Json] = ()) -> State:
        """The state that recorded turns come to.

        Args:
            terms: what the conversation is held to.
            messages: how it began.
            turns: as in the log, the prompt first.

        Raises:
            UnreadableTurn: one of them is not a turn.
        """
        limits = terms.limits
        state = cls(terms=terms, messages=messages, most_turns=limits.turns, most_tool_calls=limits.tool_calls)
        for turn in turns:
            state = state.after(turn)
        return state

    def after(self, recorded: Json) -> State:
        """The state after one more turn, as the log holds it. Raises `UnreadableTurn`."""
        turn = turn_of(recorded)
        match turn:
            case PromptTurn():
                return replace(self, last=turn, number=self.number + 1)
            case ModelTurn():
                return self._after_model(turn)
            case ToolsTurn():
                return self._after_tools(turn)
            case RepairTurn():
                return replace(self._told(turn, _repair(turn.problem)), repairs=self.repairs + 1)
            case MissingTurn():
                return replace(self._told(turn, turn.text), rounds=self.rounds + 1, repairs=0)
            case NoticeTurn():
                return self._after_notice(turn)
            case EscalatedTurn():
                return self._after_escalation(turn)

    def _after_model(self, turn: ModelTurn) -> State:
        completion = turn.completion
        reply, usage = self.terms.mode.read(completion), completion.usage
        known = (
            0
            if usage is None or turn.shortened or turn.digest is not None
            else usage.input + usage.cached + usage.cache_write + usage.output
        )
        return replace(
            self,
            last=turn,
            number=self.number + 1,
            messages=(*self.messages, said(completion)),
            turns=self.turns + 1,
            reply=reply,
            shortened=turn.shortened,
            known=known,
            known_messages=len(self.messages) + 1,
            watch=self.watch.after_model(turn, self.number, calls=bool(reply.calls)),
        )

    def _after_tools(self, turn: ToolsTurn) -> State:
        in_vain = all(one.failed and one.text.startswith(NOT_CALLED) for one in turn.results)
        calls = {call.id: call for call in self.reply.calls} if self.reply is not None else {}
        return replace(
            self,
            last=turn,
            number=self.number + 1,
            messages=(*self.messages, *answered(turn)),
            tool_calls=self.tool_calls + len(turn.results),
            repairs=self.repairs + 1 if in_vain else 0,
            reply=None,
            watch=self.watch.after_tools(turn, calls, self.number),
            checks=(*self.checks, *turn.checks),
        )

    def _after_notice(self, turn: NoticeTurn) -> State:
        left = turn.tightened
        calls = self.most_tool_calls if turn.anomaly == WINDING_DOWN else left.get("tool_calls", self.most_tool_calls)
        return replace(
            self._told(turn, turn.text),
            winding=turn.anomaly == WINDING_DOWN or (self.winding and turn.anomaly != GOES_ON),
            spent_out=turn.anomaly != GOES_ON and (self.spent_out or "budget" in left),
            noticed=self.noticed | {turn.anomaly},
            most_turns=min(self.most_turns, self.turns + left.get("turns", self.most_turns)),
            most_tool_calls=min(self.most_tool_calls, self.tool_calls + calls),
            most_prompt=left.get("prompt_tokens", self.most_prompt),
        )

    def _after_escalation(self, turn: EscalatedTurn) -> State:
        terms = self.terms.stronger or self.terms
        limits = terms.limits
        return replace(
            self._told(turn, _taken_over(turn.why)),
            terms=terms,
            watch=Watch(),
            winding=self.spent_out,
            repairs=0,
            noticed=frozenset[str](),
            most_turns=limits.turns,
            most_tool_calls=limits.tool_calls,
            most_prompt=None,
            known=0,
        )

    def _told(self, turn: Turn, text: str) -> State:
        messages = (*self.messages, told(text))
        return replace(self, last=turn, number=self.number + 1, messages=messages, reply=None)


def _repair(problem: str) -> str:
    return f"Your answer cannot be used: {problem}\nCorrect that, and answer again."


def _taken_over(why: str) -> str:
    return (
        "Another model led this conversation up to here, and was stopped: "
        f"{why}\nGo on in its place from what is established above; do not repeat what did not help."
    )
