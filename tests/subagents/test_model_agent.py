"""Model agents as roles: what they see, what they need, who answers, and what is recorded of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel

from antiphon.engine import Amount, Call, CallContext, UsageError
from antiphon.engine.script.api import agent, branch, parallel
from antiphon.engine.testing import memory_run
from antiphon.subagents.agents import Agents, FloorOfCall, GoesOn, OwnLimits, SeesInputs
from antiphon.subagents.loop import ModelAgent
from antiphon.subagents.model.contract import Completion, Model, Price, Request, ToolCall
from antiphon.subagents.model.registry import Models
from antiphon.subagents.model.sending import Sender
from antiphon.subagents.roles.definition import AgentLimits, RoleDefinition
from antiphon.subagents.testing import FunctionModel, GivenModels, ScriptedModel, model, model_agents
from antiphon.subagents.tools import function_tool

pytestmark = pytest.mark.anyio

WORKER = RoleDefinition(name="worker", instructions="Work.", tools=("look",))


class Counted(BaseModel):
    """A typed value."""

    count: int


@function_tool(version="1")
async def look(path: str) -> str:
    """Look."""
    return path


@function_tool(name="look", version="2")
async def look_better(path: str) -> str:
    """Look."""
    return path.upper()


def made(definition: RoleDefinition = WORKER, *, models: Models | None = None, tool: Any = look) -> ModelAgent:
    given = models or GivenModels(default="test/a", given={"test/a": model(ScriptedModel([]), "test/a")})
    return ModelAgent(definition, given, Sender(), tools={"look": tool})


def call(**given: Any) -> Call:
    return Call(sort="agent", name="worker", task="do", **given)


def test_it_is_a_role_that_says_what_it_sees_and_needs() -> None:
    one = made()
    assert isinstance(one, SeesInputs)
    assert isinstance(one, FloorOfCall)
    assert isinstance(one, OwnLimits)
    assert isinstance(one, GoesOn)
    assert one.name == "worker"


@pytest.mark.parametrize(
    "other",
    [
        made(WORKER.model_copy(update={"instructions": "Work well."})),
        made(WORKER.model_copy(update={"tools": ()})),
        made(tool=look_better),
        made(WORKER.model_copy(update={"escalate": "test/b"})),
    ],
    ids=["instructions", "fewer tools", "another version", "escalation"],
)
def test_what_is_edited_changes_the_hash_of_its_calls(other: ModelAgent) -> None:
    assert (other.version, other.sees(call())) != (made().version, made().sees(call()))
    assert (made().version, made().sees(call())) == (made().version, made().sees(call()))


def test_limits_and_descriptions_change_nothing_that_a_call_sees() -> None:
    other = made(WORKER.model_copy(update={"description": "other", "limits": AgentLimits(turns=3)}))
    assert (other.version, other.sees(call())) == (made().version, made().sees(call()))


async def test_editing_a_role_performs_only_its_own_calls_again() -> None:
    async def main() -> Any:
        found = await parallel([agent("a", role="worker"), agent("a", role="other")])
        return found.succeeded()

    async def attempt(instructions: str, history: Any = ()) -> Any:
        client = FunctionModel(lambda request: request.messages[0].text.splitlines()[0])
        roles = [
            RoleDefinition(name="worker", instructions=instructions),
            RoleDefinition(name="other", instructions="O."),
        ]
        return client, await memory_run(main, performers=model_agents(client, *roles), history=history)

    _, first = await attempt("One.")
    client, again = await attempt("Two.", first.events())
    assert (first.value, again.value) == (["One.", "O."], ["Two.", "O."])
    assert len(client.requests) == 1


def test_the_floor_is_one_last_answer_at_the_models_price() -> None:
    price = Price(input="0.000001", output="0.000004")
    models = GivenModels(default="test/a", given={"test/a": model(ScriptedModel([]), "test/a", price=price)})
    one = made(models=models)
    floor, longer = one.floor_of(call()), one.floor_of(Call(sort="agent", name="worker", task="do " * 5000))
    assert floor.count("model_calls") == 1
    assert floor.count("output_tokens") == 1024
    assert 0 < floor.count("usd") < longer.count("usd")
    assert longer.count("input_tokens") > 15_000
    assert one.floor.count("model_calls") == 1


def test_the_floor_is_enough_for_whoever_may_have_to_hand_back() -> None:
    dear = Price(input="0.00001", output="0.00004")
    given = {"test/a": model(ScriptedModel([]), "test/a"), "test/b": model(ScriptedModel([]), "test/b", price=dear)}
    models = GivenModels(default="test/a", given=given)
    cheap, escalating = (made(WORKER.model_copy(update={"escalate": to}), models=models) for to in (None, "test/b"))
    assert cheap.floor_of(call()).count("usd") == 0
    assert escalating.floor_of(call()).count("usd") > 0
    assert escalating.floor_of(call()).count("model_calls") == 1


def test_who_answers_is_what_the_call_names_then_what_the_person_said_then_the_roles_own() -> None:
    named = {name: model(ScriptedModel([]), name) for name in ("test/a", "test/b", "test/c")}
    definition = WORKER.model_copy(update={"model": "test/c"})
    said = made(definition, models=GivenModels(default="test/a", given=named))
    unsaid = made(definition, models=GivenModels(given=named))
    assert said.model(call(settings=(("model", "test/b"),))).name == "test/b"
    assert said.model(call()).name == "test/a"
    assert unsaid.model(call()).name == "test/c"
    with pytest.raises(UsageError, match="no model answers"):
        made(WORKER, models=GivenModels(given=named)).model(call())


async def test_a_role_without_a_model_fails_before_it_costs_anything() -> None:
    async def main() -> Any:
        return await agent("a")

    roles = {"worker": ModelAgent(WORKER, Models.of(), Sender(), tools={"look": look})}
    ran = await memory_run(main, performers={"agent": Agents(roles)})
    assert "no model answers the role 'worker'" in ran.result.reason
    assert ran.result.spent == Amount()


def test_a_tool_that_is_not_there_is_named_with_the_roles_file() -> None:
    definition = RoleDefinition(name="r", instructions="", tools=("grep",), source="roles/r.md")
    with pytest.raises(UsageError, match=r"role 'r' \(roles/r.md\): there is no tool 'grep' \(there are: look\)"):
        made(definition)


async def test_what_it_is_asked_is_its_instructions_its_frames_and_its_task_and_nothing_of_a_sibling() -> None:
    client = FunctionModel(lambda request: "done")

    async def main() -> Any:
        await parallel([branch("b", agent("mine", covers=["a.py"]), context=["mine too"]), agent("a sibling's")])

    await memory_run(main, performers=model_agents(client))
    [request] = [one for one in client.requests if "mine too" in str(one)]
    assert [message.role for message in request.messages] == ["system", "user", "user"]
    assert "sibling" not in str(request)
    assert request.messages[0].text.startswith("Do the task.")
    assert "a.py" in request.messages[2].text
    assert request.key
    assert len({one.key for one in client.requests}) == 2


async def test_after_is_told_the_decoded_value_and_its_records_are_the_calls() -> None:
    class Noted:
        def to_json(self) -> dict[str, Any]:
            return {"note": 1}

    told: list[Any] = []

    async def after(value: Any, ctx: CallContext, answering: Model) -> None:
        told.append((value, answering.name))
        ctx.records.add(Noted())

    async def main() -> Any:
        return await agent("a", output=Counted)

    client = ScriptedModel(['{"count": 3}'])
    given = GivenModels(default="test/a", given={"test/a": model(client, "test/a")})
    role = ModelAgent(RoleDefinition(name="worker", instructions=""), given, Sender(), after=after)
    ran = await memory_run(main, performers={"agent": Agents({"worker": role})})
    assert told == [(Counted(count=3), "test/a")]
    assert [record.record for record in ran.run.records] == [{"note": 1}]


async def test_a_named_output_of_a_role_is_what_its_calls_answer() -> None:
    async def main() -> Any:
        return await agent("a")

    definition = RoleDefinition(name="worker", instructions="", output="counted")
    ran = await memory_run(
        main, performers=model_agents(ScriptedModel(['{"count": 3}']), definition, schemas={"counted": Counted})
    )
    assert ran.value == Counted(count=3)


async def test_the_growing_conversation_is_marked_for_the_cache_where_there_is_one() -> None:
    said: list[Completion | str] = [Completion(calls=(ToolCall("c", "look", '{"path":"a"}'),)), "done"]
    client = ScriptedModel(said)

    async def main() -> Any:
        return await agent("a", context=["a frame"])

    await memory_run(main, performers=model_agents(model(client, caching=True), WORKER, tools=[look]))
    first, second = ([message.cached for message in request.messages] for request in client.requests)
    assert first == [True, True, True]
    assert second == [True, True, False, False, True]
    plain = FunctionModel(lambda request: "done")
    await memory_run(main, performers=model_agents(plain))
    assert not any(message.cached for message in plain.requests[0].messages)


async def test_ten_at_once_do_not_mix_their_conversations() -> None:
    def answer(request: Request) -> Completion | str:
        task = request.messages[1].text
        if len(request.messages) < 4:
            return Completion(calls=(ToolCall("c", "look", f'{{"path": "{task}"}}'),))
        return task if task in request.messages[-1].text else "mixed"

    async def main() -> Any:
        found = await parallel(agent(f"task {number}") for number in range(10))
        return found.succeeded()

    ran = await memory_run(main, performers=model_agents(FunctionModel(answer), WORKER, tools=[look]))
    assert ran.value == [f"task {number}" for number in range(10)]


def test_a_price_of_another_tier_changes_the_floor_and_not_the_hash() -> None:
    one = model(ScriptedModel([]), "test/a")
    dear = replace(one, can=replace(one.can, price=Price(input="1", output="1")))
    agents = [made(models=GivenModels(default="test/a", given={"test/a": each})) for each in (one, dear)]
    assert agents[0].sees(call()) == agents[1].sees(call())
    assert agents[0].floor != agents[1].floor
