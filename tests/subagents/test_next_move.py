"""The policy of the agent loop, as a pure function: states in, moves out, no model and no clock."""

from __future__ import annotations

import json
from typing import Any

import pytest

from antiphon.subagents.agents import MAX_ROUNDS
from antiphon.subagents.loop import CallModel, CallTools, Finish, GiveUp, State, Terms, next_move
from antiphon.subagents.loop.anomaly import NOT_CALLED
from antiphon.subagents.loop.move import winding_down
from antiphon.subagents.loop.turns import (
    EscalatedTurn,
    MissingTurn,
    ModelTurn,
    NoticeTurn,
    RepairTurn,
    Result,
    ToolsTurn,
    UnreadableTurn,
    turn_of,
)
from antiphon.subagents.model.answering import mode_of
from antiphon.subagents.model.contract import Capabilities, Completion, Message, ToolCall, Usage
from antiphon.subagents.roles.definition import AgentLimits
from antiphon.subagents.testing import FunctionModel, model
from antiphon.tracing import Json

SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
    "additionalProperties": False,
}
PROMPT = (Message(role="system", text="Work."), Message(role="user", text="do"))


def small(text: str) -> str:
    """A declared type that has only small numbers."""
    value = json.loads(text)["a"]
    return "" if isinstance(value, int) and value < 10 else f"a: {value} is not a small number"


def terms(*, schema: bool = True, tools: tuple[str, ...] = ("look",), escalates: bool = False, **limits: int) -> Terms:
    asked = SCHEMA if schema else None
    client = FunctionModel(lambda request: "")
    return Terms(
        model=model(client),
        mode=mode_of(Capabilities(tools=True), tools=bool(tools), schema=asked),
        limits=AgentLimits.model_validate(limits),
        schema=asked,
        fits=small if schema else lambda text: "",
        tools=frozenset(tools),
        stronger=terms(schema=schema, tools=tools) if escalates else None,
    )


def said(text: str = "", *calls: tuple[str, Any], finish: Any = "stop", usage: Usage | None = None) -> ModelTurn:
    made = tuple(
        ToolCall(f"c{number}", name, given if isinstance(given, str) else json.dumps(given))
        for number, (name, given) in enumerate(calls)
    )
    return ModelTurn(completion=Completion(text=text, calls=made, finish=finish, usage=usage))


def results(*texts: str, failed: bool = False) -> ToolsTurn:
    return ToolsTurn(tuple(Result(id=f"c{n}", name="look", text=text, failed=failed) for n, text in enumerate(texts)))


def state(given: Terms, *turns: Any) -> State:
    return State.of(given, PROMPT, [turn.to_json() for turn in turns])


# --- the ordinary way -------------------------------------------------------------------------------------------------


def test_it_begins_by_asking_and_asks_again_after_results() -> None:
    assert next_move(state(terms())) == CallModel()
    assert next_move(state(terms(), said("", ("look", {"path": "x"})), results("found"))) == CallModel()


def test_calls_are_performed_and_an_answer_that_fits_ends_it() -> None:
    move = next_move(state(terms(), said("", ("look", {"path": "x"}), ("look", {"path": "y"}))))
    assert isinstance(move, CallTools)
    assert [call.arguments for call in move.calls] == ['{"path": "x"}', '{"path": "y"}']
    assert next_move(state(terms(), said("", ("answer", {"a": 3})))) == Finish('{"a":3}')


def test_without_a_declared_type_the_final_text_is_the_value() -> None:
    assert next_move(state(terms(schema=False), said("done"))) == Finish("done")


def test_an_answer_beside_other_calls_waits_for_their_results() -> None:
    move = next_move(state(terms(), said("", ("look", {"path": "x"}), ("answer", {"a": 3}))))
    assert isinstance(move, CallTools)
    assert [call.name for call in move.calls] == ["look"]


# --- repair -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("turn", "problem"),
    [
        (said("", ("answer", {"a": 30})), "it does not fit: a: 30 is not a small number"),
        (said("", ("answer", "{")), "cannot be read"),
        (said("I think it is three."), "You gave no answer"),
        (said("thr", finish="length"), "cut off"),
        (said(""), "empty"),
    ],
)
def test_an_answer_of_no_use_is_sent_back_with_the_reason(turn: ModelTurn, problem: str) -> None:
    move = next_move(state(terms(), turn))
    assert isinstance(move, CallModel)
    assert isinstance(move.tell, RepairTurn)
    assert problem in move.tell.problem


def test_repairs_are_bounded_and_then_the_raw_text_is_kept() -> None:
    wrong = said("", ("answer", {"a": 30}))
    turns: list[Any] = [wrong]
    for _ in range(2):
        assert isinstance(next_move(state(terms(repairs=2), *turns)), CallModel)
        turns += [RepairTurn("wrong", ""), wrong]
    move = next_move(state(terms(repairs=2), *turns))
    assert move == GiveUp("it does not fit: a: 30 is not a small number", raw='answer({"a": 30})')


def test_calls_in_vain_count_as_repairs_and_one_that_works_begins_anew() -> None:
    call, vain = said("", ("nope", {})), results(f"{NOT_CALLED}there is no tool 'nope'", failed=True)
    twice = [call, vain, call, vain]
    assert next_move(state(terms(repairs=1), *twice[:2])) == CallModel()
    assert isinstance(next_move(state(terms(repairs=1), *twice)), GiveUp)
    worked = state(terms(repairs=1), call, vain, said("", ("look", {"path": "x"})), results("found"), call, vain)
    assert worked.repairs == 1
    assert next_move(worked) == CallModel()


def test_a_refusal_of_the_provider_is_a_give_up_and_no_repair() -> None:
    move = next_move(state(terms(), said("no", finish="refused")))
    assert isinstance(move, GiveUp)
    assert "refused" in move.why


# --- criteria ---------------------------------------------------------------------------------------------------------


def test_what_is_missing_is_told_in_the_same_conversation() -> None:
    given = state(terms(), said("", ("answer", {"a": 3})), MissingTurn("a test"))
    assert next_move(given) == CallModel()
    assert given.messages[-1] == Message(role="user", text="a test")


def test_a_criterion_is_missed_a_bounded_number_of_times() -> None:
    turns: list[Any] = []
    for number in range(MAX_ROUNDS):
        assert next_move(state(terms(), *turns)) == CallModel()
        turns += [said("", ("answer", {"a": number})), MissingTurn("a test")]
    move = next_move(state(terms(), *turns))
    assert isinstance(move, GiveUp)
    assert move.why.startswith(f"stopped before its criterion {MAX_ROUNDS} times; still missing: a test")
    assert move.diagnosis is not None
    assert move.diagnosis.recovery == "replan"


# --- limits -----------------------------------------------------------------------------------------------------------


def test_the_last_turn_is_for_handing_back() -> None:
    first = [said("", ("look", {"path": "x"})), results("found")]
    move = next_move(state(terms(turns=2), *first))
    assert isinstance(move, CallModel)
    assert isinstance(move.tell, NoticeTurn)
    wound = state(terms(turns=2), *first, move.tell)
    assert next_move(wound) == CallModel(final=True)
    over = state(terms(turns=2), *first, move.tell, said("I cannot say"))
    assert isinstance(next_move(over), GiveUp)


def test_no_tool_is_called_beyond_its_limit_nor_after_winding_down() -> None:
    call = said("", ("look", {"path": "x"}), ("look", {"path": "y"}))
    move = next_move(state(terms(tool_calls=1), call))
    assert isinstance(move, CallTools)
    assert move.most == 1
    used_up = next_move(state(terms(tool_calls=2), call, results("a", "b")))
    assert isinstance(used_up, CallModel)
    assert isinstance(used_up.tell, NoticeTurn)
    after = next_move(state(terms(tool_calls=2), call, results("a", "b"), used_up.tell, call))
    assert isinstance(after, CallModel)
    assert isinstance(after.tell, RepairTurn)


def test_told_to_wind_down_it_asks_once_more_without_tools() -> None:
    told = state(terms(), winding_down("The budget is used up.", budget=True))
    assert next_move(told) == CallModel(final=True)
    assert told.spent_out
    assert isinstance(
        next_move(state(terms(), winding_down("x"), said("", ("answer", {"a": 1})), MissingTurn("y"))), GiveUp
    )


# --- escalation and state ---------------------------------------------------------------------------------------------


def test_who_takes_over_begins_with_a_clean_slate_and_the_same_facts() -> None:
    given = terms(escalates=True, repairs=0)
    before = state(given, said("", ("answer", {"a": 30})))
    assert isinstance(next_move(before), GiveUp)
    after = state(given, said("", ("answer", {"a": 30})), EscalatedTurn("cheap", "strong", "it did not fit", "schema"))
    assert after.terms is given.stronger
    assert after.messages[: len(before.messages)] == before.messages
    assert "it did not fit" in after.messages[-1].text
    assert next_move(after) == CallModel()


def test_every_turn_reads_back_as_it_was_written() -> None:
    usage = Usage(input=1, cached=2, cache_write=3, output=4, reasoning=5)
    turns: list[Any] = [
        said("text", ("look", {"path": "x"}), finish="tool_calls", usage=usage),
        results("a", "b", failed=True),
        RepairTurn("p", "r"),
        MissingTurn("m"),
        NoticeTurn("cost", "t", {"turns": 3}),
        EscalatedTurn("a", "b", "c", "text"),
    ]
    for turn in turns:
        assert turn_of(json.loads(json.dumps(turn.to_json()))) == turn


@pytest.mark.parametrize(
    "data", [None, 3, [], {}, {"turn": "other"}, {"turn": "tools"}, {"turn": "tools", "results": 3}]
)
def test_what_is_no_turn_is_refused(data: Json) -> None:
    with pytest.raises(UnreadableTurn):
        turn_of(data)
