"""A whole run with a server: a role asks for its tools, the log says so, and a resumed run has the same server."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from antiphon.engine import UsageError
from antiphon.subagents.model.contract import Request
from antiphon.subagents.testing import FunctionModel
from antiphon.subagents.tools.mcp import McpAsked, McpServer
from antiphon.tracing import read_log
from antiphon.workflows.cli import main
from antiphon.workflows.loading import load
from antiphon.workflows.model_roles import ModelsAsked
from antiphon.workflows.places import RunPlace, new_run
from antiphon.workflows.running import Ended, Options, resume, start

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

SERVERS = Path(__file__).resolve().parents[1] / "faults" / "mcp_servers"
SERVER = McpServer(name="x", command=(sys.executable, "-I", "faulty.py"), read=(".",), tools=("born", "traced"))
ASKED = McpAsked(configured={"x": SERVER}, names=("x",))
SCRIPT = """
from antiphon.workflows.script import agent
manifest = {"name": "asks", "roles": ["clock"], "scope": {"tools": ["x__*"]}, "limits": {"agent_calls": 9}}

async def main(task: str = "when?"):
    return await agent(task, role="clock")
"""
ROLE = "---\nname: clock\ndescription: says when\ntools: [x__born]\n---\nSay when.\n"


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workflow whose role names a server's tool."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    roles = tmp_path / ".antiphon" / "roles"
    roles.mkdir(parents=True)
    (roles / "clock.md").write_text(ROLE)
    file = tmp_path / "asks.py"
    file.write_text(SCRIPT)
    return file


def answer(request: Request) -> str:
    """A model of which nothing is known calls tools in words, and is answered likewise."""
    born = re.search(r"\b\d{15,}\b", request.messages[-1].text)
    return born[0] if born else "```call x__born\n{}\n```"


def options(asked: McpAsked) -> Options:
    models = ModelsAsked(specs=("test/x",), clients={"test/": FunctionModel(answer)})
    return Options(models=models, mcp=asked, mcp_folder=SERVERS, sandbox="none")


async def begun(script: Path, place: RunPlace, asked: McpAsked = ASKED) -> Ended:
    return await start(place, load(script), {}, options(asked))


async def test_a_run_asks_a_server_and_a_resumed_one_has_the_same(script: Path, tmp_path: Path) -> None:
    place = new_run(tmp_path / "runs")
    ended = await begun(script, place)
    assert ended.result.kind == "completed", ended.result.reason
    assert str(ended.value).isdigit()
    events = list(read_log(place.directory))
    opened: dict[str, Any] = next(event.data for event in events if event.kind == "run.opened")
    assert opened["mcp"] == {"x": SERVER.fingerprint()}
    assert "x__born" in json.dumps([event.data for event in events])
    again = await resume(place, options(McpAsked(configured={"x": SERVER})))
    assert again.value == ended.value
    changed = McpServer(name="x", command=("another",))
    with pytest.raises(UsageError, match="configured otherwise than when the run began"):
        await resume(place, options(McpAsked(configured={"x": changed})))


async def test_no_workflow_starts_a_server_by_itself(script: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no file can start by itself") as raised:
        await begun(script, new_run(tmp_path / "runs"), McpAsked(configured={"x": SERVER}))
    assert "--mcp x" in (raised.value.advice or "")


def test_the_command_line_says_what_is_missing(script: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(("run", str(script), "--model", "ollama/x")) == 2
    assert "add --mcp x to have it started" in capfd.readouterr().err
    assert main(("run", str(script), "--model", "ollama/x", "--mcp", "x")) == 2
    assert "there is no MCP server 'x'; the configuration describes: none" in capfd.readouterr().err
