"""Many tools: which of them a model is shown, and that it reaches the others under the same rules."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from antiphon.engine import CallContext
from antiphon.engine.script.api import agent
from antiphon.engine.testing import memory_run
from antiphon.subagents.function import function_agent
from antiphon.subagents.loop.calling import call_tools
from antiphon.subagents.loop.toolbox import Toolbox
from antiphon.subagents.model.contract import Completion, ToolCall
from antiphon.subagents.roles.definition import RoleDefinition
from antiphon.subagents.testing import ScriptedModel, model_agents, performers_of
from antiphon.subagents.tools import FunctionTool, function_tool
from antiphon.subagents.tools.choosing import (
    CALL_TOOL,
    FIND_TOOLS,
    MOST_OFFERED,
    REACHING,
    best_tools,
    by_common_words,
    offered_tools,
)
from antiphon.subagents.tools.contract import Tool

pytestmark = pytest.mark.anyio

TOPICS = (
    ("calendar__list_events", "Lists the appointments of a day."),
    ("calendar__add_event", "Adds an appointment, with its guests."),
    ("mail__send", "Sends an e-mail message to somebody."),
    ("weather__forecast", "The weather of the next days at a place."),
    ("git_log", "Commits of the workspace, newest first."),
    ("tickets__close", "Closes a ticket of the tracker and says why."),
)


def made(name: str, description: str) -> FunctionTool:
    """A tool that says its name and its argument."""

    @function_tool(name=name, description=description)
    def tool(text: str = "") -> str:
        return f"{name} {text}".strip()

    return tool


def many(count: int = 40) -> dict[str, Tool]:
    """The topics, among tools that are about nothing in particular."""
    plain = [(f"thing_{number}", f"Does thing number {number}.") for number in range(count - len(TOPICS))]
    return {name: made(name, said) for name, said in [*plain[:10], *TOPICS, *plain[10:]]}


def test_few_tools_are_all_shown() -> None:
    tools = many(MOST_OFFERED)
    assert offered_tools(tools, "anything") == tools


def test_of_many_those_that_fit_the_task_are_shown_and_two_that_reach_the_rest() -> None:
    shown = offered_tools(many(), "Tell the guests of tomorrow's appointments about the weather by mail")
    assert len(shown) == MOST_OFFERED
    assert list(shown)[-2:] == [FIND_TOOLS, CALL_TOOL]
    assert {"calendar__list_events", "calendar__add_event", "mail__send", "weather__forecast"} <= set(shown)
    assert "thing_33" not in shown


def test_what_is_shown_depends_on_nothing_but_tools_and_task() -> None:
    tools, task = many(200), "close the ticket about commits"
    first = list(offered_tools(tools, task))
    assert first == list(offered_tools(tools, task))
    names = list(tools)
    random.Random(5).shuffle(names)
    again = offered_tools({name: tools[name] for name in names}, task)
    assert {"tickets__close", "git_log"} <= set(first) & set(again)


@pytest.mark.parametrize("task", ["", "the of and", "漢字", "''\"*) OR NEAR(", "x" * 100_000])
def test_any_text_is_a_task(task: str) -> None:
    assert len(offered_tools(many(), task)) == MOST_OFFERED


def test_a_name_counts_more_than_a_description() -> None:
    tools: dict[str, Tool] = {
        "other": made("other", "Sends mail."),
        "mail__send": made("mail__send", "Gets something on its way."),
    }
    assert best_tools(tools, "send mail", 2)[0] == "mail__send"


def test_without_full_text_search_the_most_common_words_decide() -> None:
    assert by_common_words(many(), ["add", "an", "appointment", "guests"], 2)[0] == "calendar__add_event"


async def answers(*wanted: tuple[str, Any], tools: dict[str, Tool]) -> list[str]:
    """What tools answer to the calls of one answer."""
    calls = [ToolCall(str(place), name, json.dumps(given)) for place, (name, given) in enumerate(wanted)]
    said: list[str] = []

    @function_agent("worker")
    async def worker(task: str, ctx: CallContext) -> int:
        """Calls tools."""
        turn = await call_tools(calls, 50, Toolbox(ctx, tools))
        said.extend(one.text for one in turn.results)
        return 0

    async def main() -> Any:
        return await agent("work", role="worker")

    ran = await memory_run(main, performers=performers_of(worker))
    tried = [event.data["name"] for event in ran.events("attempt.started")]
    return [*said, f"tried {', '.join(sorted(map(str, tried)))}"]


async def test_a_tool_that_is_not_shown_is_found_and_called_by_its_name() -> None:
    tools = {**many(), **REACHING}
    found, called, *more, tried = await answers(
        (FIND_TOOLS, {"query": "close a ticket"}),
        (CALL_TOOL, {"name": "tickets__close", "arguments": {"text": "7"}}),
        (CALL_TOOL, {"name": "nope", "arguments": {}}),
        (CALL_TOOL, {"name": CALL_TOOL, "arguments": {"name": "mail__send", "arguments": {}}}),
        (CALL_TOOL, {"name": "mail__send", "arguments": "text"}),
        (CALL_TOOL, {"name": "mail__send", "arguments": {"number": 3}}),
        (FIND_TOOLS, {"query": "the"}),
        tools=tools,
    )
    assert found.startswith("tickets__close: Closes a ticket of the tracker")
    assert '"text"' in found
    assert called == "tickets__close 7"
    assert more[0] == "not called: there is no tool 'nope'; find_tools finds those there are"
    assert more[1].startswith("not called: there is no tool 'call_tool'")
    assert more[2] == "not called: arguments have to be one JSON object"
    assert "not called: the arguments do not fit" in more[3]
    assert more[4].startswith("no tool says that it does this; there are: calendar__add_event")
    assert tried == "tried find_tools, find_tools, mail__send, tickets__close", "an attempt bears the tool's own name"


async def test_an_agent_with_many_tools_is_shown_a_choice_that_its_prompt_records() -> None:
    tools = many()
    client = ScriptedModel(
        [
            Completion(calls=(ToolCall("c1", CALL_TOOL, '{"name": "tickets__close", "arguments": {"text": "7"}}'),)),
            "done",
        ]
    )
    role = RoleDefinition(name="worker", instructions="Work.", tools=tuple(tools))

    async def main() -> Any:
        return await agent("Tell the guests about the weather by mail", role="worker")

    ran = await memory_run(main, performers=model_agents(client, role, tools=tools.values()))
    assert ran.value == "done"
    shown = [spec.name for spec in client.requests[0].tools]
    assert (len(shown), shown[-2:]) == (MOST_OFFERED, [FIND_TOOLS, CALL_TOOL])
    turns: list[Any] = [event.data["value"] for event in ran.events("turn")]
    assert turns[0]["tools"] == shown
    assert turns[2]["results"][0]["text"] == "tickets__close 7"
