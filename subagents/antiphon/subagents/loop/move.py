"""What to do next: a pure function of a conversation's state. The whole policy of the loop is here; see `drive`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias, assert_never

from antiphon.subagents.agents import MAX_ROUNDS
from antiphon.subagents.loop.anomaly import TURNS_AFTER_NOTICE, Anomaly, Diagnosis, reached
from antiphon.subagents.loop.state import WINDING_DOWN, State
from antiphon.subagents.loop.turns import (
    EscalatedTurn,
    MissingTurn,
    ModelTurn,
    NoticeTurn,
    PromptTurn,
    RepairTurn,
    ToolsTurn,
)
from antiphon.subagents.model.answering import Reply
from antiphon.subagents.model.contract import ToolCall

_RAW_CHARACTERS: Final = 20_000
_OF_TOOLS: Final = ("failing_tools", "repeated_call")
_HAND_BACK: Final = (
    "Hand back now what you have: this is your last answer, and no tool can be called any more. Say in it what is "
    "not done or not sure."
)


@dataclass(frozen=True, slots=True)
class CallModel:
    """Ask the model, or first tell it something.

    Attributes:
        tell: what is recorded, and so told, before anything is sent; None to send.
        final: nothing may be called any more: the answer is to be handed back.
    """

    tell: NoticeTurn | RepairTurn | None = None
    final: bool = False


@dataclass(frozen=True, slots=True)
class CallTools:
    """Perform these calls; those beyond the first `most` are only answered."""

    calls: tuple[ToolCall, ...]
    most: int


@dataclass(frozen=True, slots=True)
class Finish:
    """The conversation came to a value: JSON text where a type is declared, else plain text."""

    text: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """This model cannot do it.

    Attributes:
        why: one sentence. diagnosis: what it means and what helps; None where the answer just did not fit.
        raw: the last answer, where it did not fit. refused: its provider would not answer.
    """

    why: str
    diagnosis: Diagnosis | None = None
    raw: str = field(default="", repr=False)
    refused: bool = False


Move: TypeAlias = "CallModel | CallTools | Finish | GiveUp"


def next_move(state: State) -> Move:
    """What to do next; the same for the same turns. An answer that can be taken is taken, whatever it took to get."""
    move = _next(state)
    anomaly = None if isinstance(move, Finish) else _over(state)
    if anomaly is None:
        return move
    found = state.watch.diagnosis(anomaly, state.terms.projected)
    return GiveUp(str(found), found)


def _next(state: State) -> Move:
    match state.last:
        case ModelTurn() as turn:
            assert state.reply is not None
            return _after_answer(state, turn, state.reply)
        case MissingTurn() as turn if state.rounds >= MAX_ROUNDS or state.winding:
            return _unmet(state, turn)
        case ToolsTurn() if state.repairs > state.terms.limits.repairs:
            return GiveUp("it kept calling tools in a way that cannot be performed", raw=_raw(state))
        case None | PromptTurn() | ToolsTurn() | RepairTurn() | MissingTurn() | NoticeTurn() | EscalatedTurn():
            return _ask(state)
        case _:
            assert_never(state.last)


def winding_down(why: str, *, budget: bool = False) -> NoticeTurn:
    """What a model is told when it has to hand back.

    Args:
        why: what is running out, as a sentence.
        budget: it is what the run can still pay.
    """
    return NoticeTurn(WINDING_DOWN, f"{why} {_HAND_BACK}", {"tool_calls": 0, **({"budget": 0} if budget else {})})


def _over(state: State) -> Anomaly | None:
    """The anomaly that ends the conversation: never before the model was told of it, and asked once more.

    What tools answer is judged with their results, so the calls of an answer after that notice are still performed.
    """
    if isinstance(state.last, NoticeTurn):
        return None
    for anomaly in reached(state.watch, state.terms.projected, end=True):
        told = anomaly in state.noticed or state.winding
        if told and (anomaly not in _OF_TOOLS or isinstance(state.last, ToolsTurn)):
            return anomaly
    return None


def _after_answer(state: State, turn: ModelTurn, reply: Reply) -> Move:
    if turn.completion.finish == "refused":
        why = f"the model's provider refused to answer: {turn.completion.text[:300]}".rstrip(": ")
        return GiveUp(why, refused=True)
    if reply.calls and not state.winding:
        return CallTools(reply.calls, max(0, state.most_tool_calls - state.tool_calls))
    if reply.problem:
        return _repair(state, reply.problem)
    if reply.calls and (state.terms.schema is not None or not reply.text.strip()):
        return _repair(state, "no tool can be called any more; hand back what you have")
    return _value(state, reply)


def _value(state: State, reply: Reply) -> Move:
    if state.terms.schema is None:
        return Finish(reply.text) if reply.text.strip() else _repair(state, "it is empty")
    if reply.value is None:
        return _repair(state, "there is no answer of the declared form in it")
    problem = state.terms.fits(reply.value)
    return _repair(state, f"it does not fit: {problem}") if problem else Finish(reply.value)


def _repair(state: State, problem: str) -> Move:
    """Send it back, a bounded number of times and only while there is a turn to answer in."""
    raw = _raw(state)
    if state.repairs >= state.terms.limits.repairs or state.turns >= state.most_turns:
        return GiveUp(problem, raw=raw)
    return CallModel(tell=RepairTurn(problem, raw))


def _ask(state: State) -> Move:
    left = state.most_turns - state.turns
    if left <= 0:
        evidence = f"it took the {state.turns} turns that it may"
        found = Diagnosis(anomaly="limits", cause="bad_plan", evidence=evidence)
        return GiveUp(str(found), found)
    if not state.winding:
        for odd in reached(state.watch, state.terms.projected, end=False):
            if odd not in state.noticed:
                return CallModel(tell=_notice(state, odd))
        if left == 1:
            return CallModel(tell=winding_down("You have one turn left."))
        if state.terms.tools and state.tool_calls >= state.most_tool_calls:
            return CallModel(tell=winding_down("You have no tool calls left."))
    return CallModel(final=state.winding)


def _notice(state: State, anomaly: Anomaly) -> NoticeTurn:
    evidence = state.watch.diagnosis(anomaly, state.terms.projected).evidence
    text = (
        f"Something is wrong: {evidence}. You have at most {TURNS_AFTER_NOTICE} more turns. Do something else than "
        "before, or hand back what you have and say what stands in the way."
    )
    return NoticeTurn(anomaly, text, {"turns": TURNS_AFTER_NOTICE, "tool_calls": 2 * TURNS_AFTER_NOTICE})


def _unmet(state: State, turn: MissingTurn) -> GiveUp:
    times = "once" if state.rounds == 1 else f"{state.rounds} times"
    evidence = f"stopped before its criterion {times}; still missing: {turn.text[:2000]}"
    found = Diagnosis(anomaly="criterion", cause="infeasible" if state.winding else "bad_plan", evidence=evidence)
    return GiveUp(str(found), found)


def _raw(state: State) -> str:
    """What the model said last, calls included: kept, so that a person can see what did not fit."""
    said = next((message for message in reversed(state.messages) if message.role == "assistant"), None)
    if said is None:
        return ""
    calls = "".join(f"\n{call.name}({call.arguments})" for call in said.calls)
    return f"{said.text}{calls}".strip()[:_RAW_CHARACTERS]
