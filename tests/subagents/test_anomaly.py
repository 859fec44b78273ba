"""Conversations that go wrong: a notice that tightens limits, then an end with a diagnosis and what helps."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from antiphon.subagents.loop import CallModel, CallTools, Diagnosis, Finish, GiveUp, State, Terms, next_move
from antiphon.subagents.loop.anomaly import THRESHOLDS, TURNS_AFTER_NOTICE
from antiphon.subagents.loop.turns import ModelTurn, NoticeTurn, Result, ToolsTurn
from antiphon.subagents.model.answering import mode_of
from antiphon.subagents.model.contract import Capabilities, Completion, Message, ToolCall, Usage
from antiphon.subagents.roles.definition import AgentLimits
from antiphon.subagents.testing import FunctionModel, model

Says = Callable[[int], Completion]
Answers = Callable[[ToolCall, int], Result]


def terms(**limits: int) -> Terms:
    return Terms(
        model=model(FunctionModel(lambda request: "")),
        mode=mode_of(Capabilities(tools=True), tools=True, schema=None),
        limits=AgentLimits.model_validate({"turns": 100, "repairs": 100, **limits}),
        tools=frozenset({"look"}),
    )


def look(path: object, **said: Any) -> Completion:
    call = ToolCall("c", "look", json.dumps({"path": path}))
    return replace(Completion(calls=(call,), finish="tool_calls"), **said)


def answered(text: str, *, failed: bool = False) -> Answers:
    return lambda call, number: Result(id=call.id, name=call.name, text=text, failed=failed)


def found_something(call: ToolCall, number: int) -> Result:
    return Result(id=call.id, name=call.name, text=f"result {number}")


def failed_somehow(call: ToolCall, number: int) -> Result:
    return Result(id=call.id, name=call.name, text=f"failure {number}", failed=True)


def lead(
    given: Terms, says: Says, answers: Answers = found_something
) -> tuple[list[NoticeTurn], GiveUp | Finish, State]:
    """Play a conversation to its end; what the model was told on the way, and how it ended."""
    state, told = State.of(given, (Message(role="user", text="do"),)), list[NoticeTurn]()
    while True:
        number = state.turns
        match next_move(state):
            case CallModel(tell=NoticeTurn() as notice):
                told.append(notice)
                state = state.after(notice.to_json())
            case CallModel(tell=None):
                state = state.after(ModelTurn(completion=says(number)).to_json())
            case CallModel(tell=repair):
                assert repair is not None
                state = state.after(repair.to_json())
            case CallTools() as move:
                turn = ToolsTurn(tuple(answers(call, number) for call in move.calls))
                state = state.after(turn.to_json())
            case (GiveUp() | Finish()) as end:
                return told, end, state


def diagnosis_of(end: GiveUp | Finish) -> Diagnosis:
    assert isinstance(end, GiveUp)
    assert end.diagnosis is not None
    return end.diagnosis


def test_the_same_call_with_the_same_result_is_noticed_and_then_ended_at_a_checkpoint() -> None:
    told, end, state = lead(terms(), lambda number: look("x"), answered("nothing"))
    assert [notice.anomaly for notice in told] == ["repeated_call"]
    assert told[0].tightened["turns"] == TURNS_AFTER_NOTICE
    found = diagnosis_of(end)
    assert (found.cause, found.recovery, found.anomaly) == ("wrong_reasoning", "checkpoint", "repeated_call")
    assert found.checkpoint == 1, "the first call's result was the last new thing"
    assert state.turns == THRESHOLDS["repeated_call"].end


def test_the_same_call_that_fails_each_time_is_the_environments_fault() -> None:
    _, end, _ = lead(terms(), lambda number: look("x"), answered("permission denied", failed=True))
    assert (diagnosis_of(end).cause, diagnosis_of(end).recovery) == ("environment", "change_environment")


def test_arguments_in_another_order_are_the_same_call() -> None:
    orders = ('{"path":"x","deep":true}', '{ "deep": true, "path": "x" }')
    says = [Completion(calls=(ToolCall("c", "look", text),), finish="tool_calls") for text in orders]
    _, end, _ = lead(terms(), lambda number: says[number % 2], answered("nothing"))
    assert diagnosis_of(end).anomaly == "repeated_call"


def test_turns_that_bring_nothing_new_are_a_bad_plan() -> None:
    """It goes round in circles: no call comes often, and none brings anything that was not there before."""
    _, end, _ = lead(terms(), lambda number: look(number % 20), answered("nothing"))
    found = diagnosis_of(end)
    assert (found.anomaly, found.cause, found.recovery) == ("no_progress", "bad_plan", "replan")


def test_a_call_repeated_between_others_that_bring_something_is_work() -> None:
    """Edit, test, edit, test: the tests fail the same way each time, and something else was tried in between."""

    def says(number: int) -> Completion:
        return Completion(text="done") if number > 40 else look("tests" if number % 2 else f"edit {number}")

    told, end, _ = lead(
        terms(), says, lambda call, number: Result(id=call.id, name="look", text=f"as {call.arguments}")
    )
    assert (told, end) == ([], Finish("done"))


def test_tools_that_only_fail_are_the_environments_fault() -> None:
    told, end, _ = lead(terms(), look, failed_somehow)
    assert [notice.anomaly for notice in told] == ["failing_tools"]
    assert diagnosis_of(end).recovery == "change_environment"


def test_answers_that_do_not_end_are_runaway_output() -> None:
    told, end, _ = lead(terms(), lambda number: Completion(text=f"and {number} then", finish="length"))
    assert [notice.anomaly for notice in told] == ["runaway_output"]
    found = diagnosis_of(end)
    assert (found.cause, found.recovery) == ("wrong_reasoning", "checkpoint")


def test_a_giant_answer_counts_as_one_that_does_not_end() -> None:
    state = State.of(terms(), ()).after(ModelTurn(completion=Completion(text="x" * 500_000)).to_json())
    assert state.watch.running == 1


def test_a_cost_far_above_projection_is_infeasible() -> None:
    given = replace(terms(), projected=100)
    told, end, _ = lead(given, lambda number: look(number, usage=Usage(input=60, output=20, reasoning=20)))
    assert [notice.anomaly for notice in told][:1] == ["cost"]
    if isinstance(end, GiveUp) and end.diagnosis is not None and end.diagnosis.anomaly == "cost":
        assert end.diagnosis.recovery == "report_infeasible"
    costly = replace(terms(), projected=10)
    _, end, _ = lead(costly, lambda number: look(number, usage=Usage(input=100, output=20)))
    assert (diagnosis_of(end).anomaly, diagnosis_of(end).recovery) == ("cost", "report_infeasible")


def test_after_a_notice_it_may_still_hand_back_what_it_has() -> None:
    said: list[str] = []

    def says(number: int) -> Completion:
        said.append("look")
        return look("x") if len(said) < 4 else Completion(text="I found nothing in x, and the rest is not looked at.")

    told, end, _ = lead(terms(), says, answered("nothing"))
    assert len(told) == 1
    assert isinstance(end, Finish)


@pytest.mark.parametrize(
    ("answers", "paths"),
    [(failed_somehow, [str(number) for number in range(20)]), (answered("nothing"), ["x"] * 10)],
    ids=["failing_tools", "repeated_call"],
)
@pytest.mark.parametrize("learns", [True, False])
def test_what_one_answer_does_at_once_is_noticed_before_it_ends_anything(
    answers: Answers, paths: list[str], learns: bool
) -> None:
    calls = tuple(ToolCall(f"c{number}", "look", json.dumps({"path": path})) for number, path in enumerate(paths))

    def says(number: int) -> Completion:
        return Completion(text="done") if number and learns else Completion(calls=calls, finish="tool_calls")

    told, end, state = lead(terms(), says, answers)
    assert len(told) == 1
    assert (isinstance(end, Finish), state.turns) == (learns, 2)


def test_an_answer_that_can_be_taken_is_taken_whatever_it_cost() -> None:
    costly = replace(terms(), projected=10)
    _, end, _ = lead(costly, lambda number: Completion(text="done", usage=Usage(input=1000, output=20)))
    assert end == Finish("done")


def test_a_conversation_that_always_finds_something_new_is_left_alone() -> None:
    def says(number: int) -> Completion:
        return look(number) if number < 80 else Completion(text="done")

    told, end, _ = lead(terms(), says)
    assert (told, end) == ([], Finish("done"))


@pytest.mark.parametrize("anomaly", sorted(THRESHOLDS))
def test_every_anomaly_is_noticed_before_it_ends_anything(anomaly: Any) -> None:
    assert THRESHOLDS[anomaly].notice < THRESHOLDS[anomaly].end


def test_a_diagnosis_is_data_that_names_its_recovery() -> None:
    found = Diagnosis(anomaly="cost", cause="infeasible", evidence="too many", checkpoint=None)
    assert found.to_json() == {
        "anomaly": "cost",
        "diagnosis": "infeasible",
        "recovery": "report_infeasible",
        "advice": "report that it cannot be done as asked, or give it more",
        "checkpoint": None,
        "evidence": "too many",
    }
