"""Completion criteria: a function, a command in the sandbox, an independent critic; for any sort of subagent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from antiphon.engine import Amount, CallContext, Failed, InfrastructureError, Limits, Outcome, Run, current_branch
from antiphon.engine.call import Call, Critic
from antiphon.engine.script.api import agent, branch, parallel
from antiphon.engine.testing import MemoryRun, Turnstile, memory_run
from antiphon.subagents.agents import MAX_ROUNDS, Agents
from antiphon.subagents.criteria import CommandPlace
from antiphon.subagents.function import function_agent
from antiphon.subagents.loop import ModelAgent
from antiphon.subagents.model.contract import Completion, Request
from antiphon.subagents.model.sending import Sender
from antiphon.subagents.roles.definition import AgentLimits, RoleDefinition
from antiphon.subagents.sandbox import Unconfined
from antiphon.subagents.testing import FunctionModel, GivenModels, ScriptedModel, model, model_agents

pytestmark = pytest.mark.anyio

WORKER = RoleDefinition(name="worker", instructions="Work.")
CRITIC = RoleDefinition(name="critic", instructions="Judge.")
UNTIL = Critic("critic", "Is it about the sea?")


def judged(*missing: str) -> list[Completion | str]:
    """What a critic says, round by round: what is missing, empty for met."""
    return [json.dumps({"met": not one, "missing": one}) for one in missing]


def models(said: list[Any], judgements: list[Any]) -> ScriptedModel:
    return ScriptedModel({"Work.": said, "Judge.": judgements})


async def run(client: Any, *, until: Any = UNTIL, definition: RoleDefinition = WORKER, **given: Any) -> MemoryRun:
    async def main() -> Any:
        return await branch("b", agent("Write a line.", until=until, limits=given.pop("limits", None)))

    return await memory_run(main, performers=model_agents(client, definition, CRITIC), history=given.pop("history", ()))


def failed(ran: MemoryRun) -> Failed[Any]:
    """The outcome of a run's branch, which failed."""
    outcome: Outcome[Any] = ran.value
    assert isinstance(outcome, Failed)
    return outcome


def turns(ran: MemoryRun, kind: str) -> list[dict[str, Any]]:
    found: list[Any] = [event.data["value"] for event in ran.events("turn")]
    return [turn for turn in found if turn["turn"] == kind]


def of_the_sea(value: Any) -> bool | str:
    """A criterion that says what is missing."""
    return value == "tide" or "it is not about the sea"


def never(value: Any) -> bool:
    """A criterion that nothing meets."""
    return False


# --- a function -------------------------------------------------------------------------------------------------------


async def test_a_model_is_told_what_a_function_misses_and_goes_on_in_the_same_conversation() -> None:
    client = ScriptedModel(["moss", "tide"])
    ran = await run(client, until=of_the_sea)
    assert ran.value.value == "tide"
    assert [message.text for message in client.requests[1].messages[2:]] == ["moss", "it is not about the sea"]
    assert [turn["text"] for turn in turns(ran, "missing")] == ["it is not about the sea"]


async def test_a_criterion_never_met_fails_with_a_diagnosis_after_a_bounded_number_of_rounds() -> None:
    ran = await run(ScriptedModel(["moss"], last=True), until=never)
    outcome = failed(ran)
    assert f"stopped before its criterion {MAX_ROUNDS} times" in outcome.reason
    assert json.loads(outcome.raw or "")["recovery"] == "replan"
    assert len(turns(ran, "model")) == MAX_ROUNDS


async def test_a_criterion_that_its_limits_leave_unmet_is_infeasible_and_never_a_success() -> None:
    ran = await run(
        ScriptedModel(["moss"], last=True),
        until=never,
        definition=WORKER.model_copy(update={"limits": AgentLimits(turns=2)}),
    )
    assert json.loads(failed(ran).raw or "")["recovery"] == "report_infeasible"


# --- a critic ---------------------------------------------------------------------------------------------------------


async def test_a_critic_is_a_call_of_its_own_that_sees_task_and_value_and_not_the_conversation() -> None:
    client = models(["moss", "tide"], judged("the sea", ""))
    ran = await run(client)
    assert ran.value.value == "tide"
    asked = [request for request in client.requests if request.messages[0].text.startswith("Judge.")]
    words = "\n".join(message.text for message in asked[1].messages)
    assert ["Is it about the sea?" in words, "Write a line." in words, "tide" in words] == [True] * 3
    assert "moss" not in words
    ended = {event.path: event.data for event in ran.events("call.ended")}
    assert sorted(ended) == ["main/b/0", "main/b/0/0", "main/b/0/1"]
    assert ended["main/b/0/0"]["value"] == {"met": False, "missing": "the sea"}
    assert ended["main/b/0"]["spent"]["model_calls"] == 2  # type: ignore[index,call-overload]
    assert ran.result.spent.count("agent_calls") == 3


async def test_a_critic_that_may_not_spend_enough_leaves_the_judged_over_budget_and_not_failed() -> None:
    """So that raising the limit performs both again."""
    thrifty = CRITIC.model_copy(update={"limits": AgentLimits(budget=Limits(output_tokens=1))})

    async def main() -> Any:
        return await branch("b", agent("Write a line.", until=UNTIL))

    performers = model_agents(models(["moss"], judged("")), WORKER, thrifty)
    ran = await memory_run(main, performers=performers)
    assert ran.value.kind == "over_budget"


def lines(request: Request) -> str:
    """A writer that writes of the sea once it is told to, and a critic that wants it."""
    words = request.messages[-1].text
    if request.messages[0].text.startswith("Judge."):
        return json.dumps({"met": "tide" in words, "missing": "" if "tide" in words else "the sea"})
    return "tide" if "the sea" in words else "moss"


async def test_another_model_for_the_critic_judges_again() -> None:
    """What a critic is answered by is part of what the judged call is."""

    def hashed(critic: str) -> Any:
        call = Call(sort="agent", name="worker", task="Write a line.", until=UNTIL)
        given = GivenModels(
            default="a", roles={"critic": critic}, given={name: model(client, name=name) for name in ("a", "b")}
        )
        return model_agents(given, WORKER, CRITIC)["agent"].prepare(call).visible["critic"]

    client = models(["tide"], judged(""))
    assert hashed("a") == hashed("a")
    assert hashed("a") != hashed("b")


async def test_a_finished_judgement_is_not_asked_for_again() -> None:
    whole = FunctionModel(lines)
    events = (await run(whole)).events()
    for cut in range(1, len(events)):
        recorded: list[Any] = [event.data["value"] for event in events[:cut] if event.kind == "turn"]
        answered = sum(turn["turn"] == "model" for turn in recorded)
        again = FunctionModel(lines)
        ran = await run(again, history=events[:cut])
        assert ran.value.value == "tide", cut
        assert list(map(repr, again.requests)) == list(map(repr, whole.requests[answered:])), cut
        assert len(ran.events("turn")) == sum(event.kind == "turn" for event in events), cut


async def test_a_critic_that_cannot_judge_is_never_a_yes() -> None:
    ran = await run(models(["moss"], ["I like it", "really", "yes", "good", "fine"]))
    assert "its critic 'critic' could not judge it" in failed(ran).reason
    down = await run(models(["moss"], [InfrastructureError("environment", "the lamp is out")]))
    assert failed(down).infrastructure == "environment"


async def test_nobody_is_his_own_critic_and_a_critic_has_to_be_there() -> None:
    for critic, problem in ((Critic("worker", "?"), "would judge itself"), (Critic("nobody", "?"), "role 'nobody'")):
        client = models(["moss"], [])
        ran = await run(client, until=critic)
        assert problem in ran.result.reason
        assert client.requests == []


async def test_a_function_agent_can_be_judged_and_can_judge() -> None:
    @function_agent("writer")
    async def writer(task: str, ctx: CallContext) -> str:
        """Knows what is missing."""
        return "moss" if ctx.missing is None else ctx.missing

    @function_agent("reader", floor=Amount(model_calls=1))
    async def reader(task: str, ctx: CallContext) -> Any:
        """Wants the sea."""
        async with ctx.attempt() as attempt:
            attempt.settle()
        met = '"tide"' in task
        return {"met": met, "missing": "" if met else "tide"}

    async def main() -> Any:
        return await agent("a line", role="writer", until=Critic("reader", "The sea?"))

    ran = await memory_run(main, performers={"agent": Agents({"writer": writer, "reader": reader})})
    assert ran.value == "tide"
    assert ran.result.spent.count("model_calls") == 2


async def test_a_critics_floor_is_carved_out_before_the_judged_one_begins() -> None:
    """Whoever is admitted can pay its critic: nobody ends with a value and without a judgement."""

    async def main() -> Any:
        found = await parallel((agent(f"t{number}", until=UNTIL) for number in range(20)), limits={"model_calls": 10})
        return found.census.to_json()

    def answer(request: Request) -> str:
        return judged("")[0] if request.messages[0].text.startswith("Judge.") else "tide"  # type: ignore[return-value]

    client = FunctionModel(answer)
    ran = await memory_run(main, performers=model_agents(client, WORKER, CRITIC))
    census = ran.value
    assert census["succeeded"] >= 3
    assert census["succeeded"] + census["over_budget"] == 20
    assert ran.result.spent.count("model_calls") <= 10
    judgements = sum(request.messages[0].text.startswith("Judge.") for request in client.requests)
    assert judgements >= census["succeeded"]


async def test_judged_and_critic_never_wait_for_each_other() -> None:
    """Every limit, from one that admits nobody to one that is enough: it ends, within the limit."""

    async def main() -> Any:
        found = await parallel(agent(f"t{number}", until=UNTIL) for number in range(3))
        return [outcome.kind for outcome in found]

    for most in (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 20):
        performers = model_agents(FunctionModel(lines), WORKER, CRITIC)
        with anyio.fail_after(60):
            ran = await memory_run(main, performers=performers, limits=Limits(model_calls=most))
        assert ran.result.spent.count("model_calls") <= most
        assert ran.result.kind in ("completed", "degraded", "paused", "failed")
        assert ran.run.budget.root.reserved == Amount(), most
    assert ran.value == ["succeeded"] * 3


async def test_a_pause_while_a_critic_judges_lets_it_finish_and_the_resumed_call_takes_its_word() -> None:
    turnstile = Turnstile()

    async def answer(request: Request) -> str:
        if request.messages[0].text.startswith("Judge."):
            await turnstile.go_through("critic")
            return str(judged("")[0])
        return "tide"

    async def pause(run: Run) -> None:
        await turnstile.wait_for(1)
        run.pause("asked", "somebody asked")
        turnstile.open()

    async def main() -> Any:
        return await agent("Write a line.", until=UNTIL)

    client = FunctionModel(answer)
    first = await memory_run(main, performers=model_agents(client, WORKER, CRITIC), beside=pause)
    assert first.result.kind in ("paused", "completed")
    judged_as = next(event.data["kind"] for event in first.events("call.ended"))
    assert judged_as == "succeeded", "the critic's word is kept"
    again = FunctionModel(answer)
    second = await memory_run(main, performers=model_agents(again, WORKER, CRITIC), history=first.events())
    assert (second.value, again.requests) == ("tide", [])


async def test_what_a_critic_cost_counts_in_the_limit_around_it_after_a_resume_too() -> None:
    async def both() -> int:
        await agent("a", until=UNTIL)
        return current_branch().account.spent.count("model_calls")

    async def main() -> Any:
        return (await branch("b", both(), limits={"model_calls": 8})).value

    client = FunctionModel(lambda request: str(judged("")[0]) if "Judge." in request.messages[0].text else "tide")
    performers = model_agents(client, WORKER, CRITIC)
    whole = await memory_run(main, performers=performers)
    again = await memory_run(main, performers=performers, history=whole.events())
    assert (whole.value, again.value) == (2, 2)
    assert again.result.reuse.performed == 0


# --- a command --------------------------------------------------------------------------------------------------------


def with_commands(client: Any, folder: Path, *, seconds: float = 60.0) -> dict[str, Any]:
    place = CommandPlace(folder=folder, sandbox=lambda: Unconfined(consented=True), seconds=seconds)
    given = GivenModels(default="test/a", given={"test/a": model(client, "test/a")})
    return {"agent": Agents({"worker": ModelAgent(WORKER, given, Sender())}, commands=place)}


@pytest.mark.real_time
async def test_a_command_is_met_when_it_exits_with_0_and_its_output_is_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "wanted").write_text("tide")

    async def main() -> Any:
        return await agent(
            "a", until='grep -q "$(cat wanted)" "$ANTIPHON_VALUE" || { echo "no $(cat wanted)"; exit 3; }'
        )

    client = ScriptedModel(["moss", "tide"])
    ran = await memory_run(main, performers=with_commands(client, tmp_path))
    assert ran.value == "tide"
    [missing] = turns(ran, "missing")
    assert "it exited with 3" in missing["text"]
    assert "no tide" in missing["text"]
    assert "no tide" in client.requests[1].messages[-1].text
    processes = [event for event in ran.events("attempt.started") if event.data["sort"] == "process"]
    assert len(processes) == 2


@pytest.mark.real_time
async def test_a_command_that_takes_too_long_is_not_met(tmp_path: Path) -> None:
    async def main() -> Any:
        return await branch("b", agent("a", until="sleep 600"))

    client = ScriptedModel(["moss"], last=True)
    definition = WORKER.model_copy(update={"limits": AgentLimits(turns=1)})
    place = CommandPlace(folder=tmp_path, sandbox=lambda: Unconfined(consented=True), seconds=0.2)
    given = GivenModels(default="test/a", given={"test/a": model(client, "test/a")})
    agents = Agents({"worker": ModelAgent(definition, given, Sender())}, commands=place)
    ran = await memory_run(main, performers={"agent": agents})
    assert "it took longer than 0.2 s" in failed(ran).reason


@pytest.mark.real_time
async def test_a_command_without_a_sandbox_that_confines_is_the_environments_fault(tmp_path: Path) -> None:
    async def main() -> Any:
        return await branch("b", agent("a", until="true"))

    place = CommandPlace(folder=tmp_path, sandbox=Unconfined)
    given = GivenModels(default="test/a", given={"test/a": model(ScriptedModel(["moss"]), "test/a")})
    agents = Agents({"worker": ModelAgent(WORKER, given, Sender())}, commands=place)
    ran = await memory_run(main, performers={"agent": agents})
    assert failed(ran).infrastructure == "environment"


async def test_a_command_where_none_can_run_is_refused_before_it_costs_anything() -> None:
    client = ScriptedModel([])
    ran = await run(client, until="pytest")
    assert "needs the sandbox" in ran.result.reason
    assert client.requests == []
