"""Tools that are Python functions: what the model sees of them, and what it may give them."""

from __future__ import annotations

import threading
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from antiphon.engine import CallContext, UsageError
from antiphon.engine.script.api import agent
from antiphon.engine.testing import AnsweringCalls, memory_run
from antiphon.subagents.model.contract import ToolSpec
from antiphon.subagents.tools import Misfit, ToolResult, function_tool
from antiphon.tracing import Json

pytestmark = pytest.mark.anyio


class Place(BaseModel):
    """Where."""

    file: str
    line: int = 1


@function_tool
async def find(
    text: Annotated[str, Field(description="what to look for", min_length=1)],
    where: list[Place],
    mode: Literal["word", "regex"] = "word",
    *,
    ctx: CallContext,
) -> dict[str, Any]:
    """Finds text in places."""
    return {"text": text, "where": [place.file for place in where], "mode": mode, "path": ctx.path}


async def call(tool: Any, arguments: dict[str, Json]) -> ToolResult:
    """What a tool answers inside a call."""
    found: list[ToolResult] = []

    async def answer(_: Any, context: CallContext) -> None:
        found.append(await tool(arguments, context))

    async def main() -> None:
        await agent("a")

    ran = await memory_run(main, performers={"agent": AnsweringCalls(answer)})
    if not found:
        raise Misfit(ran.result.reason)
    return found[0]


def test_the_model_sees_types_descriptions_and_defaults_but_not_the_context() -> None:
    spec = find.spec
    assert isinstance(spec, ToolSpec)
    assert (spec.name, spec.description) == ("find", "Finds text in places.")
    parameters: Any = spec.parameters
    assert sorted(parameters["properties"]) == ["mode", "text", "where"]
    assert parameters["required"] == ["text", "where"]
    assert parameters["additionalProperties"] is False
    assert parameters["properties"]["text"] == {"description": "what to look for", "minLength": 1, "type": "string"}
    assert parameters["properties"]["mode"]["default"] == "word"


async def test_arguments_are_read_as_their_types_and_defaults_fill_the_rest() -> None:
    result = await call(find, {"text": "x", "where": [{"file": "a.py"}]})
    assert result == ToolResult('{"text":"x","where":["a.py"],"mode":"word","path":"main/0"}')


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"where": []}, "text: Field required"),
        ({"text": "", "where": []}, "text: String should have at least 1 character"),
        ({"text": 3, "where": []}, "text: Input should be a valid string"),
        ({"text": "x", "where": [{"file": 1}]}, "where.0.file: Input should be a valid string"),
        ({"text": "x", "where": [], "mode": "fuzzy"}, "mode: Input should be 'word' or 'regex'"),
        ({"text": "x", "where": [], "ctx": {}}, "ctx: Extra inputs are not permitted"),
    ],
)
async def test_arguments_that_do_not_fit_are_said_with_their_place(arguments: dict[str, Json], problem: str) -> None:
    with pytest.raises(Misfit, match="the arguments do not fit") as caught:
        await call(find, arguments)
    assert problem in str(caught.value)


@pytest.mark.real_time
async def test_a_function_that_may_block_runs_in_a_thread() -> None:
    threads: list[bool] = []

    @function_tool(name="read-it", description="Reads.")
    def read(path: str) -> str:
        threads.append(threading.current_thread() is threading.main_thread())
        return path

    assert await call(read, {"path": "a"}) == ToolResult("a")
    assert (threads, read.spec.name, read.spec.description) == ([False], "read-it", "Reads.")


async def test_parameters_may_have_names_that_a_model_class_could_not() -> None:
    @function_tool
    async def odd(schema: str, _hidden: int, model_config: str = "", copy: bool = False) -> str:
        """Odd names."""
        return f"{schema} {_hidden} {model_config!r} {copy}"

    assert await call(odd, {"schema": "s", "_hidden": 3, "copy": True}) == ToolResult("s 3 '' True")


async def test_what_cannot_be_told_as_json_is_a_failure() -> None:
    @function_tool
    async def opaque() -> object:
        """Gives an object."""
        return {"x": object()}

    result = await call(opaque, {})
    assert result.failed
    assert "cannot be told as JSON" in result.text


def test_a_tool_that_a_model_could_not_call_is_refused_when_it_is_made() -> None:
    async def untyped(x: int) -> str:
        return ""

    del untyped.__annotations__["x"]

    async def many(*x: int) -> str:
        return ""

    async def opaque(x: threading.Thread) -> str:
        return ""

    cases: list[tuple[Any, str]] = [
        (untyped, "needs a type"),
        (many, "has no name"),
        (opaque, "no JSON Schema can be made"),
    ]
    for function, problem in cases:
        with pytest.raises(UsageError, match=problem):
            function_tool(name="tool")(function)
    with pytest.raises(UsageError, match="cannot be the name of a tool"):
        function_tool(name="no name")(many)


def test_the_version_changes_with_the_source_and_the_parameters_and_not_by_itself() -> None:
    def made(kind: type, body: int) -> Any:
        if body == 1:

            async def tool(x: int) -> str:
                """Does."""
                return "one"
        else:

            async def tool(x: int) -> str:
                """Does."""
                return "two"

        tool.__annotations__["x"] = kind
        return function_tool(tool).version

    assert made(int, 1) == made(int, 1)
    assert len({made(int, 1), made(int, 2), made(str, 1)}) == 3
    assert find.version == find.version
