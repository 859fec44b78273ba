"""What each agent does right now: in the picture, in plain lines, safely, and at no cost worth naming."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from antiphon.engine import Run
from antiphon.engine.script.api import agent, parallel
from antiphon.engine.testing import memory_run
from antiphon.subagents.model.contract import Completion, Request, ToolCall
from antiphon.subagents.roles.definition import RoleDefinition
from antiphon.subagents.testing import FunctionModel, model, model_agents
from antiphon.subagents.tools import FunctionTool, function_tool
from antiphon.subagents.tools.asking import act_of
from antiphon.subagents.tools.contract import Traits
from antiphon.tracing import Json, MemoryLog
from antiphon.workflows.cli.lines import act_lines
from antiphon.workflows.cli.live import picture
from antiphon.workflows.cli.progress import Progress
from antiphon.workflows.cli.terminal import Paper

CODER = RoleDefinition(name="coder", instructions="Code.", tools=("run",))


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def watched(acts: Mapping[str, str]) -> tuple[Run, Progress, Clock]:
    """A run with a call in flight for each act."""
    clock = Clock()
    progress = Progress(clock)
    run = Run(MemoryLog(), run_id="r1")
    for path, act in acts.items():
        fields: dict[str, Json] = {"call": "agent", "name": "coder", "phase": "code"}
        progress.follow("call.started", path, 0.0, fields)
        run.acts[path] = act
    return run, progress, clock


def rows(run: Run, progress: Progress, columns: int = 100) -> list[str]:
    """The picture as text."""
    shown = picture(run, progress, columns)
    return ["".join(part if isinstance(part, str) else part.text for part in row) for row in shown]


def printed(run: Run, progress: Progress, columns: int) -> str:
    """The picture as a terminal of this width would be sent it."""
    paper = Paper(io.StringIO(), columns=columns)
    for row in picture(run, progress, columns):
        paper.line(*row)
    assert isinstance(paper.out, io.StringIO)
    return paper.out.getvalue()


@pytest.mark.anyio
async def test_the_picture_and_the_lines_say_who_does_what_and_for_how_long() -> None:
    run, progress, clock = watched({"main/0": "asking test/m, turn 7", "main/1": "run pytest -q"})
    assert rows(run, progress)[2] == "    ·   0.0 s  coder  asking test/m, turn 7  main/0"
    clock.now += 12
    run.acts["main/0"] = "edit src/a.py"
    shown = rows(run, progress)
    assert shown[2] == "    ·    12 s  coder  edit src/a.py  main/0"
    assert shown[3] == "    ·    12 s  coder  run pytest -q (12 s)  main/1"
    told = ["  coder at main/0: edit src/a.py", "  coder at main/1: run pytest -q (12 s)"]
    assert list(act_lines(run, progress, {})) == told
    assert list(act_lines(run, progress, {"main/1": "run pytest -q"})) == told[:1], "what was told is no news"
    assert list(act_lines(run, progress, dict(run.acts))) == []


@pytest.mark.anyio
async def test_a_wait_says_more_than_an_act_and_a_call_that_ended_does_nothing() -> None:
    run, progress, clock = watched({"main/0": "run pytest -q"})
    run.waits["main/0"] = "an answer"
    assert "waits for an answer" in rows(run, progress)[2]
    run.waits.clear()
    clock.now += 60
    progress.follow("call.ended", "main/0", 0.0, {"kind": "succeeded", "phase": "code"})
    progress.follow("call.started", "main/0", 0.0, {"call": "agent", "name": "coder", "phase": "code"})
    assert "run pytest -q  main/0" in rows(run, progress)[2], "the same act of another call has just begun"


@pytest.mark.anyio
async def test_hostile_acts_are_shown_and_narrow_terminals_cut() -> None:
    run, progress, _ = watched({"main/0": "run \x1b[2Jrm -rf ~ \u202e漢字" + "x" * 500})
    assert r"\x1b[2J" in printed(run, progress, 200)
    for columns in (20, 40, 80):
        text = printed(run, progress, columns)
        assert "\x1b" not in text
        assert max(map(len, text.split("\n"))) <= columns


@pytest.mark.anyio
async def test_of_many_only_some_are_told() -> None:
    run, progress, _ = watched({f"main/{number}": f"read {number}" for number in range(1000)})
    assert len(rows(run, progress)) < 20
    told = list(act_lines(run, progress, {}))
    assert told[-1] == "  and 995 more agents at something else than before"
    assert len(told) == 6


@pytest.mark.parametrize(
    ("traits", "arguments", "says"),
    [
        (Traits(paths=("path",)), {"path": "src/a.py", "old": "x"}, "t src/a.py"),
        (Traits(), {"seconds": 3, "command": "pytest -q\n  --more"}, "t pytest -q --more"),
        (Traits(), {"command": "\x1b[2J"}, r"t \x1b[2J"),
        (Traits(paths=("path",)), {"path": 3}, "t"),
        (Traits(), {"query": "x" * 500}, "t " + "x" * 117 + "…"),
        (Traits(), {}, "t"),
    ],
)
def test_an_act_is_a_few_words_on_one_line(traits: Traits, arguments: dict[str, Any], says: str) -> None:
    @function_tool(name="t", traits=traits)
    def tool() -> str:
        """Does nothing."""
        return ""

    assert act_of(tool, "t", arguments) == says


@pytest.mark.anyio
async def test_the_loop_says_what_it_does_and_then_that_it_does_nothing() -> None:
    seen: list[dict[str, str]] = []
    runs: list[Run] = []

    @function_tool(name="run")
    async def tool(command: str) -> str:
        """Looks at what is said."""
        await anyio.lowlevel.checkpoint()
        seen.append(dict(runs[0].acts))
        return "ok"

    def answer(request: Request) -> Completion | str:
        seen.append(dict(runs[0].acts))
        if request.messages[-1].role == "tool":
            return "done"
        arguments = json.dumps({"command": "pytest -q"})
        return Completion(calls=(ToolCall("c1", "run", arguments), ToolCall("c2", "run", arguments)))

    ran = await performed([tool], FunctionModel(answer), runs)
    assert ran.acts == {}
    assert [{"asking test/scripted, turn 1"}, {"run pytest -q"}, {"asking test/scripted, turn 2"}] == distinct(seen)


async def performed(tools: list[FunctionTool], client: FunctionModel, runs: list[Run]) -> Run:
    """Two coders at once."""

    async def beside(run: Run) -> None:
        runs.append(run)

    async def main() -> Any:
        found = await parallel([agent("work", role="coder"), agent("more", role="coder")], concurrency=1)
        return found.succeeded()

    ran = await memory_run(main, performers=model_agents(model(client), CODER, tools=tools), beside=beside)
    assert ran.result.kind == "completed"
    return ran.run


def distinct(seen: list[dict[str, str]]) -> list[set[str]]:
    """The acts of the first coder, one after another."""
    told = [set(acts.values()) for acts in seen]
    return [acts for place, acts in enumerate(told) if not place or acts != told[place - 1]][:3]
