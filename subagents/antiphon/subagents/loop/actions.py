"""What an agent did, action by action: what it saw, why it says it acted, and what came of it. Read from its turns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from antiphon.subagents.loop.turns import (
    EscalatedTurn,
    MissingTurn,
    ModelTurn,
    NoticeTurn,
    PromptTurn,
    RepairTurn,
    Result,
    ToolsTurn,
    Turn,
    turn_of,
)
from antiphon.subagents.model.contract import ToolCall
from antiphon.tracing import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One answer of a model, and what came of it.

    Attributes:
        turn: the number of the turn, from 0, as in the log. model: who answered.
        observation: what was new to it: results of tools, or what it was told; empty for the prompt alone.
        rationale: why, in its own words: its stated reasoning, else what it said beside its calls; empty if nothing.
        text: what it said. calls: the tools it wanted called. results: what they answered; empty if none was called.
    """

    turn: int
    model: str
    observation: str
    rationale: str
    text: str
    calls: tuple[ToolCall, ...] = ()
    results: tuple[Result, ...] = ()


def actions(turns: Iterable[Json]) -> list[Action]:
    """The actions in the recorded turns of one call, in order.

    Raises:
        UnreadableTurn: one of them is no turn.
    """
    found: list[Action] = []
    observed: list[str] = []
    for number, turn in enumerate(map(turn_of, turns)):
        if isinstance(turn, ModelTurn):
            found.append(_action(number, turn, "\n".join(observed)))
            observed = []
        elif isinstance(turn, ToolsTurn) and found:
            found[-1] = replace(found[-1], results=turn.results)
        observed.extend(_observed(turn))
    return found


def _action(number: int, turn: ModelTurn, observation: str) -> Action:
    said = turn.completion
    return Action(
        turn=number,
        model=said.model,
        observation=observation,
        rationale=said.rationale or (said.text if said.calls else ""),
        text=said.text,
        calls=said.calls,
    )


def _observed(turn: Turn) -> Iterator[str]:
    match turn:
        case ToolsTurn():
            yield from (f"{one.name}: {one.text}" for one in turn.results)
        case RepairTurn():
            yield turn.problem
        case MissingTurn() | NoticeTurn():
            yield turn.text
        case EscalatedTurn():
            yield f"{turn.source} gave up: {turn.why}"
        case PromptTurn() | ModelTurn():
            return
