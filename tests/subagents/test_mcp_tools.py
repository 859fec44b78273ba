"""Tools of real MCP servers: programs from the package index in a sandbox, and the SDK's own server over HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from antiphon.engine import CallContext
from antiphon.engine.script.api import agent
from antiphon.engine.testing import memory_run
from antiphon.subagents.model.contract import Completion, Request, ToolCall
from antiphon.subagents.roles.definition import RoleDefinition
from antiphon.subagents.sandbox import BACKENDS, Sandbox, Unconfined, choose, probe
from antiphon.subagents.testing import FunctionModel, model_agents
from antiphon.subagents.tools import Misfit, Tool, ToolResult
from antiphon.subagents.tools.mcp import McpServer, McpUnavailable, mcp_tools
from antiphon.tracing import current_context, span_id, trace_id

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

HERE = Path(__file__).resolve().parent
FAULTY = HERE.parent / "faults" / "mcp_servers"
CTX = cast("CallContext", None)  # tools of servers do not look at it
TIME = McpServer(name="time", command=(sys.executable, "-m", "mcp_server_time", "--local-timezone", "UTC"))
EVERYTHING = os.environ.get("ANTIPHON_MCP_EVERYTHING", "")
"""The `dist/index.js` of the npm package @modelcontextprotocol/server-everything."""


def consented() -> Sandbox:
    return Unconfined(consented=True)


def best() -> Sandbox:
    return choose() if choose().confines else consented()


async def called(tools: Mapping[str, Tool], name: str, **arguments: Any) -> ToolResult:
    return await tools[name](arguments, CTX)


@pytest.fixture
def url() -> Iterator[str]:
    """A server of the SDK, in a process of its own."""
    argv = [sys.executable, str(HERE / "mcp_servers" / "http_server.py")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}/mcp"
        assert server.stdin is not None
        server.stdin.close()


@pytest.mark.parametrize(("anyio_backend", "name"), [*zip(("asyncio", "trio"), BACKENDS, strict=True)])
async def test_a_server_of_the_package_index_in_each_sandbox(name: str) -> None:
    sandbox = probe(name).sandbox
    if sandbox is None:
        pytest.skip(f"{name}: {probe(name).reason}")
    async with mcp_tools([TIME], sandbox=lambda: sandbox, project=HERE) as tools:
        assert list(tools) == ["time__get_current_time", "time__convert_time"]
        tool = tools["time__convert_time"]
        assert (tool.traits.cost, tool.traits.works, tool.traits.origin) == ("process", False, "time")
        assert "source_timezone" in json.dumps(tool.spec.parameters)
        arguments = {"source_timezone": "UTC", "time": "12:30", "target_timezone": "Asia/Tokyo"}
        told = await called(tools, "time__convert_time", **arguments)
        assert "+9.0h" in told.text
        failed = await called(tools, "time__convert_time", **{**arguments, "time": "half past"})
        assert failed.failed
        with pytest.raises(Misfit, match="'time' is a required property"):
            await called(tools, "time__convert_time", source_timezone="UTC", target_timezone="UTC")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with one commit."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "a.txt").write_text("a\n")
    clean = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    clean["GIT_CONFIG_GLOBAL"] = os.devnull
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-C", str(folder))
    for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "the first one")):
        subprocess.run([*git, *words], env=clean, check=True)
    return folder


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_a_server_that_reads_the_project_and_may_not_change_it(project: Path) -> None:
    command = (sys.executable, "-m", "mcp_server_git", "--repository", ".")
    server = McpServer(
        name="git", command=command, read=(".",), env={"GIT_CONFIG_NOSYSTEM": "1"}, tools=("git_log", "git_add")
    )
    sandbox = best()
    async with mcp_tools([server], sandbox=lambda: sandbox, project=project) as tools:
        assert set(tools) == {"git__git_log", "git__git_add"}
        assert "the first one" in (await called(tools, "git__git_log", repo_path=str(project))).text
        if sandbox.confines:
            (project / "b.txt").write_text("b\n")
            refused = await called(tools, "git__git_add", repo_path=str(project), files=["b.txt"])
            assert refused.failed


async def test_tools_that_are_named_must_be_there() -> None:
    command = (sys.executable, "-I", "faulty.py")
    server = McpServer(name="x", command=command, read=(".",), tools=("born", "unborn"))
    with pytest.raises(McpUnavailable, match="it has no tool 'unborn'; it has asks, born"):
        async with mcp_tools([server], sandbox=consented, project=FAULTY):
            pytest.fail("it was taken")


async def test_what_is_granted_must_be_there() -> None:
    server = McpServer(name="x", command=("true",), write=("nowhere",))
    with pytest.raises(McpUnavailable, match="write: there is no "):
        async with mcp_tools([server], sandbox=consented, project=FAULTY):
            pytest.fail("it was started")


async def test_without_servers_nothing_is_done() -> None:
    def never() -> Sandbox:
        raise AssertionError

    async with mcp_tools([], sandbox=never, project=HERE) as tools:
        assert tools == {}


async def test_a_server_over_http(url: str) -> None:
    async with mcp_tools([McpServer(name="web", url=url)], sandbox=consented, project=HERE) as tools:
        assert set(tools) == {f"web__{name}" for name in ("add", "traced", "waits", "were_cancelled")}
        assert tools["web__add"].traits.cost == "network"
        sums: dict[int, str] = {}

        async def add(number: int) -> None:
            sums[number] = (await called(tools, "web__add", a=number, b=1)).text

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(add, number)
        assert sums == {number: str(number + 1) for number in range(20)}
        with anyio.move_on_after(0.3):
            await called(tools, "web__waits")
        while (await called(tools, "web__were_cancelled")).text == "[]":
            await anyio.lowlevel.checkpoint()
        with current_context(trace_id("a run"), span_id("a span")):
            traced = await called(tools, "web__traced")
        assert traced.text == f"00-{trace_id('a run')}-{span_id('a span')}-01"


async def test_every_request_of_an_agents_call_says_which_trace_it_belongs_to() -> None:
    """And the whole way: a model asks for a server's tool, and gets what the server answers."""
    server = McpServer(name="x", command=(sys.executable, "-I", "faulty.py"), read=(".",), tools=("traced", "fails"))
    told: list[str] = []

    def answer(request: Request) -> Completion | str:
        if (results := [message.text for message in request.messages if message.role == "tool"]) == []:
            return Completion(
                text="", calls=(ToolCall("c1", "x__traced", "{}"), ToolCall("c2", "x__fails", '{"a": 1}'))
            )
        told.extend(results)
        return "done"

    async def main() -> str:
        value: str = await agent("do it", role="worker")
        return value

    worker = RoleDefinition(name="worker", instructions="Work.", tools=("x__traced", "x__fails"))
    async with mcp_tools([server], sandbox=consented, project=FAULTY) as tools:
        ran = await memory_run(main, performers=model_agents(FunctionModel(answer), worker, tools=tools.values()))
    assert ran.value == "done"
    assert f"00-{ran.run.trace}-" in told[0]
    assert "there is no such thing" in told[1]


@pytest.mark.skipif(not EVERYTHING, reason="ANTIPHON_MCP_EVERYTHING does not say where server-everything is")
async def test_a_server_of_npm() -> None:
    modules = next(folder for folder in Path(EVERYTHING).parents if folder.name == "node_modules")
    server = McpServer(name="all", command=("node", EVERYTHING, "stdio"), read=("node_modules",))
    async with mcp_tools([server], sandbox=best, project=modules.parent) as tools:
        assert (await called(tools, "all__echo", message="hello")).text == "Echo: hello"
        assert (await called(tools, "all__get-sum", a=2, b=3)).text == "The sum of 2 and 3 is 5."
        assert "image of image/png" in (await called(tools, "all__get-tiny-image")).text
        with pytest.raises(Misfit, match="'message' is a required property"):
            await called(tools, "all__echo")
        environment = json.loads((await called(tools, "all__get-env")).text)
        assert set(environment) <= {"PATH", "LANG", "HOME", "TMPDIR", "PWD"}
