"""What is special about going through litellm: where it lives, what it is kept from, and other providers' forms."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import anyio
import anyio.to_thread
import pytest

from antiphon.engine import InfrastructureError, UsageError
from antiphon.subagents.model import Message, Request, ToolCall, ToolSpec, Usage
from antiphon.subagents.model.guard import VARIABLE
from antiphon.subagents.model.litellm_client import LitellmClient
from antiphon.subagents.testing import LoopbackServer, Tally, slow

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

TOOL = ToolSpec(
    name="look", description="Look.", parameters={"type": "object", "properties": {"a": {"type": "integer"}}}
)
HISTORY = (
    Message(role="system", text="be brief", cached=True),
    Message(role="user", text="hi"),
    Message(role="assistant", calls=(ToolCall("t0", "look", "{}"),)),
    Message(role="tool", text="seen", answers="t0"),
)

ANSWERS = {
    "/v1/messages": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "tool_use",
        "content": [
            {"type": "text", "text": "hello"},
            {"type": "tool_use", "id": "t1", "name": "look", "input": {"a": 1}},
        ],
        "usage": {
            "input_tokens": 10, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 1000, "output_tokens": 5
        },
    },
    "/api/chat": {
        "model": "llama3", "created_at": "2026-01-01T00:00:00Z", "done": True, "prompt_eval_count": 7, "eval_count": 3,
        "message": {"role": "assistant", "content": "hello"},
    },
    "/models/gemini-2.5-pro:generateContent": {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "hello"}]}, "finishReason": "STOP"}],
        "usageMetadata": {
            "promptTokenCount": 100, "cachedContentTokenCount": 40, "candidatesTokenCount": 5, "thoughtsTokenCount": 7,
            "totalTokenCount": 112,
        },
    },
}  # fmt: skip


class Provider(BaseHTTPRequestHandler):
    """Answers as Anthropic, Ollama and Gemini do, on paths of theirs, and keeps what it was asked."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[tuple[str, dict[str, str], str]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        answer = json.dumps(ANSWERS.get(self.path.partition("?")[0], {"error": self.path})).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
async def client() -> AsyncIterator[LitellmClient]:
    made = LitellmClient()
    yield made
    await made.close()


def homes() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "litellm" and thread.is_alive()]


async def test_anthropic_gets_its_markers_and_its_key_and_counts_its_cache(
    client: LitellmClient, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-of-a-test")
    Provider.asked.clear()
    model = f"anthropic/claude-sonnet-4-5@{provider}"
    found = await client.complete(Request(model=model, messages=HISTORY, tools=(TOOL,)))
    assert (found.text, found.finish, found.calls) == ("hello", "tool_calls", (ToolCall("t1", "look", '{"a": 1}'),))
    assert found.usage == Usage(input=10, cached=1000, cache_write=100, output=5)
    (_, headers, body), *more = Provider.asked
    assert not more
    assert headers["x-api-key"] == "sk-ant-of-a-test"
    assert json.loads(body)["system"] == [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}]
    assert [tool["name"] for tool in json.loads(body)["tools"]] == ["look"]


@pytest.mark.parametrize(
    ("model", "usage"),
    [
        ("ollama_chat/llama3", Usage(input=7, output=3)),
        ("gemini/gemini-2.5-pro", Usage(input=60, cached=40, output=5, reasoning=7)),
    ],
)
async def test_others_are_asked_in_their_own_form(
    client: LitellmClient, provider: str, model: str, usage: Usage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "of-a-test")
    Provider.asked.clear()
    found = await client.complete(Request(model=f"{model}@{provider}", messages=HISTORY, tools=(TOOL,)))
    assert (found.text, found.usage, len(Provider.asked)) == ("hello", usage, 1)


@pytest.mark.parametrize(
    ("model", "variable", "address"),
    [
        ("anthropic/claude-sonnet-4-5", "ANTHROPIC_API_KEY", "ANTHROPIC_API_BASE"),
        ("openai/gpt-4o", "OPENAI_API_KEY", "OPENAI_API_BASE"),
    ],
)
async def test_a_provider_without_its_key_says_which_variable_and_is_sent_nothing(
    client: LitellmClient, provider: str, model: str, variable: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(address, provider)
    Provider.asked.clear()
    with pytest.raises(InfrastructureError, match=variable) as raised:
        await client.complete(Request(model=model, messages=HISTORY[:2]))
    assert (raised.value.category, raised.value.billed) == ("authentication", False)
    assert Provider.asked == []


async def test_clients_share_one_home_and_the_last_to_leave_ends_it() -> None:
    one, other = LitellmClient(), LitellmClient()
    with LoopbackServer() as server:
        asked = Request(model=server.model, messages=(Message(role="user", text="hi"),))
        await one.complete(asked)
        await other.complete(asked)
        assert len(homes()) == 1
        await one.close()
        assert (await other.complete(asked)).text == "hi"
        assert server.tally.connections == 1
        await other.close()
        assert homes() == []
        third = LitellmClient()
        assert (await third.complete(asked)).text == "hi"
        await third.close()


async def test_closing_while_a_call_is_in_flight_ends_the_call_and_its_socket(client: LitellmClient) -> None:
    ended: list[str] = []

    async def asks() -> None:
        with pytest.raises(InfrastructureError) as raised:
            await client.complete(Request(model=server.model, messages=HISTORY[1:2]))
        ended.append(raised.value.category)

    with LoopbackServer(lambda asked: slow("late", 3600)) as server:
        async with anyio.create_task_group() as calls:
            calls.start_soon(asks)
            await came_to(server, lambda tally: len(tally.asked) == 1)
            await client.close()
        await came_to(server, lambda tally: not tally.open)
    assert ended == ["network"]


async def came_to(server: LoopbackServer, met: Callable[[Tally], bool]) -> None:
    assert await anyio.to_thread.run_sync(server.tally.wait_for, met)


async def test_a_closed_client_sends_nothing_and_closing_an_unused_one_imports_nothing() -> None:
    client = LitellmClient()
    await client.close()
    with pytest.raises(UsageError, match="closed"):
        await client.complete(Request(model="openai/gpt-4o", messages=()))


LONELY = """
import os, sys

refused = []
def no_network(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        refused.append((event, str(args[1:])))
        raise OSError("no network here")
sys.addaudithook(no_network)

import dotenv
dotenv.load_dotenv = lambda *args, **options: refused.append(("dotenv", str(options)))

import anyio
from antiphon.subagents.model import Message, Request
from antiphon.subagents.model.litellm_client import LitellmClient

async def main():
    from antiphon.subagents.model.litellm_home import imported
    imported()
    assert refused == [], refused
    client = LitellmClient()
    for model in ("anthropic/claude-sonnet-4-5@http://127.0.0.1:9", "openai/m@http://127.0.0.1:9/v1", "nobody/m"):
        try:
            await client.complete(Request(model=model, messages=(Message(role="user", text="hi"),), timeout_seconds=60))
        except Exception as error:
            print(type(error).__name__, error, file=sys.stderr)
    await client.close()
    others = [seen for seen in refused if "127.0.0.1" not in str(seen)]
    assert others == [], others
    assert len(refused) >= 2, "the calls themselves were seen"

anyio.run(main, backend="trio")
"""


@pytest.mark.long
def test_litellm_talks_to_nobody_but_the_provider_and_writes_nothing_to_stdout() -> None:
    env = {name: value for name, value in os.environ.items() if name != VARIABLE}
    done = subprocess.run(
        [sys.executable, "-c", LONELY], capture_output=True, text=True, check=False, timeout=300, env=env
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "Give Feedback" not in done.stderr
    assert "BadRequest the provider does not take the request" in done.stderr, "litellm was asked about nobody/m"
