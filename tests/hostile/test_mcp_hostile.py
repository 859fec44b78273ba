"""Servers as strangers: what they say of themselves, what they send back, and what they could reach."""

from __future__ import annotations

import gzip
import json
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import create_server
from typing import Any, cast

import anyio
import pytest

from antiphon.engine import CallContext
from antiphon.subagents.sandbox import Sandbox, Unconfined, choose
from antiphon.subagents.tools import Misfit, Tool
from antiphon.subagents.tools.mcp import McpServer, McpUnavailable, mcp_tools

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

SERVERS = Path(__file__).resolve().parents[1] / "faults" / "mcp_servers"
CTX = cast("CallContext", None)  # tools of servers do not look at it
OBJECT = {"type": "object"}


def unconfined() -> Sandbox:
    """Where confinement is not what is tested."""
    return Unconfined(consented=True)


@asynccontextmanager
async def offering(
    place: Path, *tools: Mapping[str, Any], notes: list[str] | None = None, **said: Any
) -> AsyncGenerator[Mapping[str, Tool]]:
    """A server that offers just these."""
    offers = place / "offers.json"
    offers.write_text(json.dumps(tools), "utf-8")
    command = (sys.executable, "-I", "faulty.py", "offers", str(offers))
    server = McpServer(name="x", command=command, read=(".", str(place)), **said)
    note = [] if notes is None else notes
    async with mcp_tools([server], sandbox=unconfined, project=SERVERS, note=note.append) as found:
        yield found


async def test_what_it_says_of_its_tools_is_capped_and_legible_and_loosens_nothing(tmp_path: Path) -> None:
    annotations = {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True, "openWorldHint": False}
    schema = {"type": "object", "properties": {"a": {"description": "\x1b[2J", "type": "string"}}}
    tool = {
        "name": "a b/ü",
        "description": "\x1b]0;x\x07" + "y" * 9_000,
        "inputSchema": schema,
        "annotations": annotations,
    }
    async with offering(tmp_path, tool, {"name": "n" * 200, "inputSchema": OBJECT}) as tools:
        odd, long = tools.values()
    assert odd.spec.name == "x__a_b__"
    assert len(odd.spec.description) < 4_100
    assert odd.spec.description.startswith("\\x1b]0;x\\x07yyy")
    assert "\x1b" not in json.dumps(odd.spec.parameters, ensure_ascii=False)
    assert (odd.traits.cost, odd.traits.origin, odd.traits.works) == ("process", "x", False)
    assert len(long.spec.name) == 64
    assert long.spec.name.startswith("x__nnn")


@pytest.mark.parametrize(
    "tools",
    [
        ({"name": "a b", "inputSchema": OBJECT}, {"name": "a/b", "inputSchema": OBJECT}),
        ({"name": "a", "inputSchema": OBJECT}, {"name": "a", "description": "another", "inputSchema": OBJECT}),
    ],
    ids=["one name for a model", "one name"],
)
async def test_two_tools_of_one_name_are_refused(tmp_path: Path, tools: tuple[Mapping[str, Any], ...]) -> None:
    with pytest.raises(McpUnavailable, match="two"):
        async with offering(tmp_path, *tools):
            pytest.fail("it was taken")


async def test_a_tool_with_a_bad_schema_is_left_out_and_said_and_is_an_error_where_it_was_named(tmp_path: Path) -> None:
    bomb: dict[str, Any] = {"type": "object", "$defs": {"d0": {"type": "string"}}}
    for level in range(1, 40):
        bomb["$defs"][f"d{level}"] = {"allOf": [{"$ref": f"#/$defs/d{level - 1}"}] * 2}
    bomb["properties"] = {"a": {"$ref": "#/$defs/d39"}}
    bad = {"name": "bad", "inputSchema": bomb}
    notes: list[str] = []
    async with offering(tmp_path, bad, {"name": "good", "inputSchema": OBJECT}, notes=notes) as tools:
        assert list(tools) == ["x__good"]
    assert "'bad' cannot be taken" in notes[0]
    with pytest.raises(McpUnavailable, match="'bad' cannot be taken"):
        async with offering(tmp_path, bad, tools=("bad",)):
            pytest.fail("it was taken")


async def test_one_that_asks_back_is_refused_and_one_that_changes_is_noted() -> None:
    notes: list[str] = []
    server = McpServer(name="x", command=(sys.executable, "-I", "faulty.py"), read=(".",))
    async with mcp_tools([server], sandbox=unconfined, project=SERVERS, note=notes.append) as tools:
        answers = {one["id"]: one for one in json.loads((await tools["x__asks"]({}, CTX)).text)}
        assert {name for name, answer in answers.items() if "error" in answer} == {"s1", "s2", "s4"}
        assert answers["s3"]["result"] == {}
        before = dict(tools)
        for _ in range(3):
            assert (await tools["x__changes"]({}, CTX)).text == "changed"
        assert dict(tools) == before
    assert notes == ["mcp x: it says that its tools have changed; the run keeps those it began with"]


async def test_arguments_that_do_not_fit_are_never_sent(tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}, "n": {"type": "integer", "minimum": 1}},
        "required": ["a"],
        "additionalProperties": False,
    }
    async with offering(tmp_path, {"name": "echo", "inputSchema": schema}) as tools:
        for arguments in ({}, {"a": 1}, {"a": "x", "n": 0}, {"a": "x", "b": 1}):
            with pytest.raises(Misfit, match="the arguments do not fit"):
                await tools["x__echo"](cast("dict[str, Any]", arguments), CTX)
        # Where the expression were tried here, this would take longer than anybody waits.
        sent = await tools["x__echo"]({"a": "a" * 60 + "!"}, CTX)
        assert json.loads(sent.text) == {"a": "a" * 60 + "!"}


async def test_it_sees_what_it_was_given_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = choose()
    if not sandbox.confines:
        pytest.skip("no sandbox works here")
    monkeypatch.setenv("ANTIPHON_TEST_KEY", "value-of-the-key")
    monkeypatch.setenv("ANTIPHON_TEST_OTHER", "not-for-servers")
    secret = tmp_path / "secret.txt"
    secret.write_text("for nobody")
    server = McpServer(
        name="x",
        command=(sys.executable, "-I", "faulty.py"),
        read=("faulty.py",),
        env={"GIVEN": "plain", "KEY": "$ANTIPHON_TEST_KEY"},
    )
    async with mcp_tools([server], sandbox=lambda: sandbox, project=SERVERS) as tools:
        told = (await tools["x__sees"]({}, CTX)).text
        seen = json.loads(told)
        assert (await tools["x__reads"]({"path": str(secret)}, CTX)).text.startswith("refused")
        with create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            assert (await tools["x__reaches"]({"port": port}, CTX)).text.startswith("refused")
    assert "not-for-servers" not in told
    # It repeats what it was trusted with, and the model does not get to see it.
    assert "value-of-the-key" not in told
    assert seen["environment"]["KEY"] == "[$ANTIPHON_TEST_KEY]"
    assert seen["environment"]["GIVEN"] == "plain"
    assert set(seen["environment"]) <= {"PATH", "LANG", "LC_CTYPE", "HOME", "TMPDIR", "PWD", "GIVEN", "KEY"}


async def test_with_the_network_granted_it_reaches_hosts_and_says_so_in_its_cost() -> None:
    sandbox = choose() if choose().confines else unconfined()
    server = McpServer(
        name="x", command=(sys.executable, "-I", "faulty.py"), read=("faulty.py",), network=("localhost",)
    )
    async with mcp_tools([server], sandbox=lambda: sandbox, project=SERVERS) as tools:
        assert {tool.traits.cost for tool in tools.values()} == {"network"}
        with create_server(("127.0.0.1", 0)) as listening:
            assert (await tools["x__reaches"]({"port": listening.getsockname()[1]}, CTX)).text == "reached"


async def test_a_link_in_the_tree_grants_nothing(tmp_path: Path) -> None:
    secrets, project = tmp_path / "secrets", tmp_path / "project"
    for folder in (secrets, project):
        folder.mkdir()
    (project / "data").symlink_to(secrets)
    for said in ({"read": ("data",)}, {"write": (f"{project}/data",)}):
        with pytest.raises(McpUnavailable, match="is a link to"):
            async with mcp_tools(
                [McpServer(name="x", command=("true",), **cast("Any", said))], sandbox=unconfined, project=project
            ):
                pytest.fail("it was started")


async def test_without_a_sandbox_and_without_consent_no_server_starts() -> None:
    server = McpServer(name="x", command=(sys.executable, "-I", "faulty.py"), read=(".",))
    with pytest.raises(McpUnavailable, match="there is no sandbox"):
        async with mcp_tools([server], sandbox=Unconfined, project=SERVERS):
            pytest.fail("it was started")


# --- over HTTP --------------------------------------------------------------------------------------------------------


@dataclass
class Stranger:
    """What a listener does with a call; everything before that it does as it should."""

    answer: Callable[[Listening, Any], None]
    seen: list[dict[str, str]] = field(default_factory=list[dict[str, str]])


class Listening(BaseHTTPRequestHandler):
    """A server over HTTP, of the protocol of 2025, by hand."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        stranger = cast("Any", self.server).stranger
        stranger.seen.append(dict(self.headers))
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        match message.get("method"):
            case "initialize":
                about = {"name": "x", "version": "1"}
                result: dict[str, Any] = {
                    "protocolVersion": "2025-06-18",
                    "capabilities": {"tools": {}},
                    "serverInfo": about,
                }
                self.said(message["id"], result, {"mcp-session-id": "s1"})
            case "tools/list":
                self.said(message["id"], {"tools": [{"name": "echo", "inputSchema": OBJECT}]})
            case "tools/call":
                stranger.answer(self, message)
            case "server/discover":
                self.sent(404, b"")
            case _:
                self.sent(202, b"")

    def do_GET(self) -> None:
        self.sent(405, b"")

    do_DELETE = do_GET

    def said(self, number: Any, result: Any, headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps({"jsonrpc": "2.0", "id": number, "result": result}).encode()
        self.sent(200, body, {"content-type": "application/json", **(headers or {})})

    def sent(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), "connection": "close", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@contextmanager
def listening(stranger: Stranger) -> Generator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Listening) as server:
        cast("Any", server).stranger = stranger
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/mcp"
        finally:
            server.shutdown()
            thread.join()


def _status(status: int, **headers: str) -> Callable[[Listening, Any], None]:
    return lambda one, message: one.sent(status, b"", headers)


def _json(body: bytes, **headers: str) -> Callable[[Listening, Any], None]:
    given = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return lambda one, message: one.sent(200, body, given)


def _cut(one: Listening, message: Any) -> None:
    one.send_response(200)
    one.send_header("content-type", "text/event-stream")
    one.end_headers()
    one.wfile.write(b"event: message\ndata: {")
    one.close_connection = True


def _endless(one: Listening, message: Any) -> None:
    one.send_response(200)
    one.send_header("content-type", "application/json")
    one.send_header("transfer-encoding", "chunked")
    one.end_headers()
    try:
        while True:
            one.wfile.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
    except OSError:  # whoever asked has left
        one.close_connection = True


def _slow(one: Listening, message: Any) -> None:
    one.send_response(200)
    one.send_header("content-type", "text/event-stream")
    one.end_headers()
    try:
        while True:
            one.wfile.write(b": wait\n\n")
            one.wfile.flush()
    except OSError:  # whoever asked has left
        one.close_connection = True


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (_status(500), "refused the call"),
        (_status(404), "Session terminated"),
        (_status(302, location="http://127.0.0.1:9/elsewhere"), "not followed"),
        (_json(b"<html>"), "Failed to parse"),
        (_json(b'{"x": "' + b"x" * 9_000_000 + b'"}'), "refused the call"),
        (_endless, "no answer within 1 s"),
        (_json(gzip.compress(b" " * 50_000_000), content_encoding="gzip"), "refused the call"),
        (_cut, "lost during this call"),
        (_slow, "no answer within 1 s"),
    ],
    ids=["500", "session lost", "redirect", "no json", "huge", "endless", "compressed", "cut", "slow"],
)
async def test_an_answer_over_http_that_is_none_is_a_failed_result(
    answer: Callable[[Listening, Any], None], says: str
) -> None:
    stranger = Stranger(answer)
    with listening(stranger) as url:
        server = McpServer(name="x", url=url, seconds=1)
        async with mcp_tools([server], sandbox=unconfined, project=SERVERS) as tools:
            failed = await tools["x__echo"]({}, CTX)
            assert failed.failed
            assert says in failed.text
            stranger.answer = lambda one, message: one.said(message["id"], {"content": []})
            assert not (await tools["x__echo"]({}, CTX)).failed


async def test_who_waits_for_one_that_never_comes_back_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.subagents.tools.mcp.connection.BACKOFF_SECONDS", 0.001)
    with ExitStack() as stack:
        url = stack.enter_context(listening(Stranger(lambda one, message: one.said(message["id"], {"content": []}))))
        async with mcp_tools([McpServer(name="x", url=url)], sandbox=unconfined, project=SERVERS) as tools:
            assert not (await tools["x__echo"]({}, CTX)).failed
            stack.close()
            assert "was lost during this call" in (await tools["x__echo"]({}, CTX)).text
            gone: list[str] = []

            async def ask() -> None:
                gone.append((await tools["x__echo"]({}, CTX)).text)

            async with anyio.create_task_group() as group:
                group.start_soon(ask)
                group.start_soon(ask)
            assert len(gone) == 2
            assert all("is gone: ConnectError" in text for text in gone)


async def test_headers_go_to_the_server_and_nothing_of_the_environment_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_TEST_TOKEN", "a-token-of-ours")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    stranger = Stranger(
        lambda one, message: one.said(message["id"], {"content": [{"type": "text", "text": "a-token-of-ours!"}]})
    )
    with listening(stranger) as url:
        server = McpServer(name="x", url=url, headers={"Authorization": "Bearer $ANTIPHON_TEST_TOKEN"})
        async with mcp_tools([server], sandbox=unconfined, project=SERVERS) as tools:
            assert (await tools["x__echo"]({}, CTX)).text == "[$ANTIPHON_TEST_TOKEN]!"
            assert tools["x__echo"].traits.cost == "network"
    assert {seen.get("authorization", seen.get("Authorization")) for seen in stranger.seen} == {
        "Bearer a-token-of-ours"
    }
