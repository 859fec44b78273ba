"""The public testing kit: models that answer from memory, and the guard that keeps everything else from being asked."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

from antiphon.engine import InfrastructureError, Limits
from antiphon.engine.script.api import agent, parallel
from antiphon.engine.testing import memory_run
from antiphon.subagents.model.contract import Completion, Message, Price, Request, ToolCall, ToolSpec, Usage
from antiphon.subagents.model.guard import VARIABLE
from antiphon.subagents.model.registry import Models
from antiphon.subagents.roles.definition import RoleDefinition
from antiphon.subagents.testing import (
    WORKER,
    Answer,
    FunctionModel,
    OutOfAnswers,
    RealRequestForbidden,
    ScriptedModel,
    check_allowed,
    counted,
    forbid_real_requests,
    model,
    model_agents,
    uncounted,
)
from antiphon.subagents.tools import function_tool
from antiphon.tracing import Json


def asks(*texts: str, max_tokens: int = 100) -> Request:
    return Request(
        model="test/m", messages=tuple(Message(role="user", text=text) for text in texts), max_tokens=max_tokens
    )


# --- models from memory ---------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_script_is_given_in_order_exceptions_too_and_then_says_that_it_is_over() -> None:
    call = Completion(calls=(ToolCall("1", "grep", "{}"),), finish="tool_calls")
    scripted = ScriptedModel(["first", call, InfrastructureError("rate", "slow down")])
    assert (await scripted.complete(asks("one"))).text == "first"
    assert (await scripted.complete(asks("two"))).calls == call.calls
    assert scripted.left == {"": 1}
    with pytest.raises(InfrastructureError, match="slow down"):
        await scripted.complete(asks("three"))
    with pytest.raises(OutOfAnswers, match="only 3 answers, and this is one request more: 'four'"):
        await scripted.complete(asks("four"))
    assert [request.messages[0].text for request in scripted.requests] == ["one", "two", "three", "four"]
    assert scripted.left == {}


@pytest.mark.anyio
async def test_the_last_answer_may_be_given_for_ever() -> None:
    scripted = ScriptedModel(["once", "then"], last=True)
    assert [(await scripted.complete(asks("x"))).text for _ in range(4)] == ["once", "then", "then", "then"]


@pytest.mark.anyio
async def test_by_marker_no_order_of_arrival_scrambles_the_answers() -> None:
    """Forwards and backwards, each conversation gets its own; what a tool or the model itself said decides nothing."""
    for names in (["a.py", "aa.py", "b.py"], ["b.py", "aa.py", "a.py"]):
        scripted = ScriptedModel({name: [f"1 {name}", f"2 {name}"] for name in ("a.py", "aa.py", "b.py")})
        got: dict[str, list[str]] = {name: [] for name in names}
        for _ in range(2):
            for name in names:
                other = Message(role="tool", text="b.py a.py aa.py", answers="1")
                request = Request(model="m", messages=(Message(role="user", text=f"Audit {name}"), other))
                got[name].append((await scripted.complete(request)).text)
        assert got == {name: [f"1 {name}", f"2 {name}"] for name in names}


@pytest.mark.anyio
async def test_markers_that_do_not_tell_apart_are_said() -> None:
    scripted = ScriptedModel({"a.py": ["x"], "b.py": ["y"]})
    with pytest.raises(OutOfAnswers, match=r"none of the markers \['a.py', 'b.py'\] is in the request: 'c'"):
        await scripted.complete(asks("c"))
    with pytest.raises(OutOfAnswers, match=r"\['a.py', 'b.py'\] are all in the request"):
        await scripted.complete(asks("a.py and b.py"))


@pytest.mark.anyio
async def test_a_function_answers_async_or_not_and_the_client_raises_what_it_raises() -> None:
    async def slowly(request: Request) -> str:
        await anyio.lowlevel.checkpoint()
        return request.messages[0].text.upper()

    assert (await FunctionModel(slowly).complete(asks("hi"))).text == "HI"
    assert (await FunctionModel(lambda request: "yes").complete(asks("hi"))).text == "yes"
    with pytest.raises(ZeroDivisionError):
        await FunctionModel(lambda request: str(1 / 0)).complete(asks("hi"))


@pytest.mark.anyio
async def test_usage_follows_the_stated_rule() -> None:
    """A token for every four bytes of UTF-8, begun ones counted; and none where a provider says none."""
    answer = await ScriptedModel(["12345"]).complete(asks("1234", "é"))
    assert answer.usage == Usage(input=2, output=2)
    spec = ToolSpec(name="t", description="d", parameters={})
    request = Request(model="m", messages=(), tools=(spec,), schema={"a": 1})
    assert counted(request, Completion(calls=(ToolCall("id", "name", "four"),))) == Usage(input=6, output=2)
    given = Completion(text="x", usage=Usage(input=7))
    assert await ScriptedModel([given]).complete(asks("x")) == Completion(
        text="x", usage=Usage(input=7), model="test/m"
    )
    assert (await ScriptedModel(["x"], usage=uncounted).complete(asks("x"))).usage is None


@pytest.mark.anyio
async def test_a_text_longer_than_the_request_allows_is_cut_as_a_provider_does() -> None:
    answer = await FunctionModel(lambda request: "é" * 100).complete(asks("x", max_tokens=1))
    assert (answer.text, answer.finish, answer.usage) == ("éé", "length", Usage(input=1, output=1))


def test_a_model_around_a_double_is_free_and_can_everything_unless_said() -> None:
    one = model(ScriptedModel([]))
    assert (one.provider, one.can.tools, one.can.schema) == ("test", True, True)
    assert one.can.price is not None
    assert model(ScriptedModel([]), price=None).can.price is None


# --- the guard ------------------------------------------------------------------------------------------------------

HERE = ("http://127.0.0.1:1/v1", "https://localhost/", "http://[::1]:8/", "http://127.9.9.9")
ELSEWHERE = (
    "https://api.openai.com/v1", "http://127.0.0.1@example.org/", "http://localhost.example.org", "http://10.0.0.1/",
    "http://0.0.0.0/", "openai/gpt-5", "", "http://[broken", "http://[::ffff:8.8.8.8]/",
    "http://127.0.0.1.nip.io", "//example.org",
)  # fmt: skip


def test_our_own_tests_are_guarded() -> None:
    with pytest.raises(RealRequestForbidden):
        check_allowed("https://api.openai.com/v1")


@pytest.mark.parametrize("url", HERE)
def test_this_machine_may_be_asked(url: str) -> None:
    check_allowed(url)


@pytest.mark.parametrize("url", ELSEWHERE)
def test_nothing_else_may(url: str) -> None:
    with forbid_real_requests(), pytest.raises(RealRequestForbidden):
        check_allowed(url)


def test_the_message_names_where_and_holds_no_secret() -> None:
    with pytest.raises(RealRequestForbidden) as caught:
        check_allowed("https://user:hunter2@api.example.com/v1?key=hunter2")
    assert str(caught.value).startswith("a real request to 'https://api.example.com' is forbidden here")
    assert "hunter2" not in str(caught.value)


def test_outside_of_every_context_it_forbids_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    check_allowed("https://api.openai.com/v1")


def test_contexts_nest_from_several_threads_and_the_last_one_out_restores() -> None:
    """In a child process, because this one is guarded for good."""
    program = """
import os, threading
from antiphon.subagents.testing import RealRequestForbidden, check_allowed, forbid_real_requests
entered, leave = threading.Event(), threading.Event()
def other():
    with forbid_real_requests():
        entered.set(); leave.wait(10)
outer = forbid_real_requests(); outer.__enter__()
thread = threading.Thread(target=other); thread.start(); entered.wait(10)
outer.__exit__(None, None, None)
try:
    check_allowed("https://example.org"); print("allowed")
except RealRequestForbidden:
    print("forbidden")
leave.set(); thread.join()
check_allowed("https://example.org")
print(os.environ.get("ANTIPHON_REAL_REQUESTS"))
"""
    bare = {name: value for name, value in os.environ.items() if name != VARIABLE}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=bare)
    assert done.stdout.split() == ["forbidden", "None"]


def test_a_child_process_is_guarded_too() -> None:
    program = """
import sys
from antiphon.subagents.testing import check_allowed
print([name for name in ("litellm", "openai", "aiohttp", "httpx2", "starlette", "uvicorn") if name in sys.modules])
check_allowed("https://example.org")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "[]\n"), "the kit imports nothing heavy"
    assert "RealRequestForbidden" in done.stderr


def test_no_thread_is_left_by_the_kit() -> None:
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("loopback server")]


@pytest.mark.anyio
@pytest.mark.real_time
@pytest.mark.parametrize(
    "name", ["openai/gpt-5", "ollama/x@http://10.0.0.1:11434/v1", "compatible/x@http://10.0.0.1/v1"]
)
async def test_every_client_of_ours_raises_before_a_socket_opens(name: str) -> None:
    """No name is looked up and nothing is connected to: with no network there is nothing else that it could raise."""
    async with Models.of([name]) as models:
        client = models.model_for("worker").client
        with pytest.raises(RealRequestForbidden, match="a real request to"):
            await client.complete(Request(model=name, messages=(Message(role="user", text="x"),)))


# --- agents in memory -------------------------------------------------------------------------------------------------


@function_tool
async def look_up(name: str) -> str:
    """Look something up."""
    return f"{name} is 7"


@pytest.mark.anyio
async def test_a_client_is_enough_to_run_model_agents_in_memory() -> None:
    """By marker, so that both conversations, at the same time, find their own answers; usage settles exactly."""

    def script(name: str, answer: str) -> list[Completion | str | Exception]:
        look = Completion(calls=(ToolCall("1", "look_up", f'{{"name": "{name}"}}'),))
        return [look, InfrastructureError("rate", "slow down", retry_after=0.0), answer]

    async def main() -> list[str]:
        found = await parallel(agent(f"What is {name}?", role="finder") for name in ("alpha", "beta"))
        return found.succeeded()

    client = ScriptedModel({"What is alpha": script("alpha", "seven"), "What is beta": script("beta", "7")})
    finder = RoleDefinition(name="finder", instructions="Look it up.", tools=("look_up",))
    priced = model(client, price=Price(input="0.000001", output="0.000004"))
    performers = model_agents(priced, finder, tools=[look_up])
    ran = await memory_run(main, performers=performers, limits=Limits.parse({"usd": "1"}))
    assert ran.value == ["seven", "7"]
    assert client.left == {}
    turns: list[Any] = [event.data["value"] for event in ran.events("turn")]
    usages = [turn["usage"] for turn in turns if turn["turn"] == "model"]
    spent = ran.result.spent
    assert spent.count("input_tokens") == sum(usage["input"] for usage in usages)
    assert spent.count("usd") == sum(1000 * usage["input"] + 4000 * usage["output"] for usage in usages)


@pytest.mark.anyio
@pytest.mark.parametrize(("schema", "tools"), [(True, True), (True, False), (False, True), (False, False)])
async def test_an_answer_takes_the_form_that_is_asked_for(schema: bool, tools: bool) -> None:
    """In every mode, for an object and for a type that has to be wrapped; named outputs become records."""
    fact: dict[str, Json] = {"subject": "x", "attribute": "size", "value": 3}

    async def main() -> object:
        return [
            await agent("Say yes"),
            await agent("Count", output=int),
            await agent("State facts", output="facts"),
            await agent("Count and look", role="looker", output=list[int]),
        ]

    looker = RoleDefinition(name="looker", instructions="Look.", tools=("look_up",))
    client = ScriptedModel({
        "Say yes": ["yes"],
        "Count": [Answer(7)],
        "State facts": [Answer({"facts": [fact]})],
        "Count and look": [Answer([1, 2])],
    })  # fmt: skip
    one = model(client, schema=schema, tools=tools)
    ran = await memory_run(main, performers=model_agents(one, WORKER, looker, tools=[look_up]))
    assert ran.result.kind == "completed", ran.result.reason
    assert (ran.value[:2], ran.value[3]) == (["yes", 7], [1, 2])
    assert len(client.requests) == 4
    assert len(ran.run.records) >= 1


@pytest.mark.anyio
async def test_a_script_that_is_over_fails_the_call_and_says_so() -> None:
    async def main() -> object:
        return await agent("Do it")

    ran = await memory_run(main, performers=model_agents(ScriptedModel([])))
    assert "the script has only 0 answers" in ran.result.reason


# --- the benchmark that uses all of it --------------------------------------------------------------------------------


@pytest.mark.checkout
def test_the_shipped_cassette_still_answers_the_harness() -> None:
    """It breaks when a prompt changes, which is worth seeing; the last line here says how to record it again."""
    script = Path(__file__).parents[2] / "benchmarks" / "harness.py"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    again = f"python {script} --scripted --record {script.with_name('harness.cassette.jsonl')}"
    assert done.stdout.count("| 4/4 | 1.00 | 1.00 |") == 3, f"{done.stderr}\nrecord it again: {again}"
    assert "no model" in done.stdout
    assert "nothing of any model's quality" in done.stdout
