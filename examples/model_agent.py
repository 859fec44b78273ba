"""A model agent with a tool and a declared type; a script of answers stands in for the model, so that it runs offline.

antiphon run examples/model_agent.py

With a real model, `Models.of(["openai/gpt-4o-mini"])` stands in the script's place; for roles that are files, `--model`
names it (docs/agent-loop.md).
"""

from pydantic import BaseModel

from antiphon.subagents.loop import ModelAgent
from antiphon.subagents.model.contract import Completion, ToolCall
from antiphon.subagents.model.sending import Sender
from antiphon.subagents.roles.definition import RoleDefinition
from antiphon.subagents.testing import GivenModels, ScriptedModel, model
from antiphon.subagents.tools import function_tool
from antiphon.workflows.script import agent

manifest = {
    "name": "model-agent",
    "description": "Count the words of two poems.",
    "limits": {"model_calls": 10, "tool_calls": 10},
    "roles": ["counter"],
}

POEMS = {"tides": "the sea comes and goes", "moss": "green on stone"}


class Count(BaseModel):
    """What the model is asked for: an answer that does not fit is sent back to it, with the reason."""

    words: dict[str, int]


@function_tool
async def read_poem(name: str) -> str:
    """The text of a poem."""
    return POEMS[name]


SCRIPT: list[Completion | str | Exception] = [
    Completion(
        text="I read both poems first.",
        calls=(ToolCall("1", "read_poem", '{"name": "tides"}'), ToolCall("2", "read_poem", '{"name": "moss"}')),
    ),
    Completion(calls=(ToolCall("3", "answer", '{"words": {"tides": "five", "moss": 3}}'),)),
    Completion(calls=(ToolCall("4", "answer", '{"words": {"tides": 5, "moss": 3}}'),)),
]
definition = RoleDefinition(name="counter", instructions="Count words. Read before you count.", tools=("read_poem",))
models = GivenModels(default="test/scripted", given={"test/scripted": model(ScriptedModel(SCRIPT))})
counter = ModelAgent(definition, models, Sender(), tools={"read_poem": read_poem})


async def main() -> dict[str, int]:
    """The counts, as the model gave them in the end."""
    counted = await agent("Count the words of the poems tides and moss.", role="counter", output=Count)
    return counted.words
