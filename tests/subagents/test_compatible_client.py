"""Two clients, one contract: the slim one and litellm answer alike and fail alike, over real HTTP on this machine."""

import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import anyio
import anyio.to_thread
import pytest

from antiphon.engine import InfrastructureError, UsageError
from antiphon.subagents.model import (
    BadRequest,
    Completion,
    ContentRefused,
    ContextTooLong,
    Message,
    ModelClient,
    Models,
    Request,
    ToolCall,
    ToolSpec,
    Usage,
)
from antiphon.subagents.model.compatible import CompatibleClient
from antiphon.subagents.model.guard import RealRequestForbidden, forbid_real_requests
from antiphon.subagents.model.keys import NO_KEY, key_for, unsent_key
from antiphon.subagents.model.litellm_client import LitellmClient
from antiphon.subagents.testing import (
    Asked,
    LoopbackServer,
    Served,
    Tally,
    broken,
    cut,
    failed,
    malformed,
    misreported,
    out_of_quota,
    overloaded,
    rate_limited,
    refused,
    slow,
    too_long,
    unauthenticated,
)
from antiphon.tracing import Json

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

Clients = dict[str, Callable[[], ModelClient]]
CLIENTS: Clients = {"litellm": LitellmClient, "compatible": CompatibleClient}
NOTHING: Mapping[str, Json] = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
TOOL = ToolSpec(name="look", description="Look at a file.", parameters={"type": "object", "properties": {}})


@pytest.fixture(params=CLIENTS)
async def client(request: pytest.FixtureRequest) -> AsyncIterator[ModelClient]:
    made = CLIENTS[str(request.param)]()
    yield made
    await made.close()


class Stage:
    """One server for all tests here, since starting one takes longer than most of them; its answers change."""

    def __init__(self) -> None:
        self.answer: Callable[[Asked], Served | Completion | str] = echo
        self.server = LoopbackServer(self._answer)

    def _answer(self, asked: Asked) -> Served | Completion | str:
        return self.answer(asked)


def echo(asked: Asked) -> str:
    return asked.request.messages[-1].text


STAGE = Stage()


@pytest.fixture(scope="module", autouse=True)
def stage() -> Iterator[None]:
    with STAGE.server:
        yield


@contextmanager
def serving(answer: Callable[[Asked], Served | Completion | str] = echo) -> Generator[LoopbackServer]:
    """The server with these answers, and with its counts at nothing."""
    tally = STAGE.server.tally
    assert tally.wait_for(lambda tally: not tally.open, seconds=10), "an earlier test left a socket open"
    tally.asked.clear()
    tally.connections = 0
    STAGE.answer = answer
    yield STAGE.server


async def came_to(server: LoopbackServer, met: Callable[[Tally], bool]) -> None:
    assert await anyio.to_thread.run_sync(server.tally.wait_for, met)


def ask(
    server: LoopbackServer, text: str = "hello", *, tools: tuple[ToolSpec, ...] = (), seconds: float | None = 20
) -> Request:
    messages = (Message(role="user", text=text),)
    return Request(model=server.model, messages=messages, tools=tools, timeout_seconds=seconds)


def scripted(answers: list[Served]) -> Callable[[Asked], Served]:
    """The n-th answer to the request whose text is n."""
    return lambda asked: answers[int(asked.request.messages[-1].text)]


async def failure_of(client: ModelClient, request: Request) -> Exception:
    with pytest.raises((InfrastructureError, BadRequest, ContentRefused, ContextTooLong)) as raised:
        await client.complete(request)
    assert "Traceback" not in str(raised.value)
    assert raised.value.__cause__ is None
    return raised.value


async def test_a_question_is_answered_and_counted(client: ModelClient) -> None:
    said = Completion(text="yes", usage=Usage(input=7, cached=20, output=3, reasoning=5), rationale="because")
    with serving(lambda asked: said) as server:
        found = await client.complete(ask(server))
    assert (found.text, found.finish, found.rationale) == ("yes", "stop", "because")
    assert found.usage == said.usage
    assert found.model == "scripted"


async def test_tools_are_sent_called_and_their_results_told(client: ModelClient) -> None:
    calls = (ToolCall("c1", "look", '{"path": "a"}'), ToolCall("c2", "look", '{"path":'))

    def answer(asked: Asked) -> Completion | str:
        told = asked.request.messages[-1]
        return f"{told.answers}: {told.text}" if told.role == "tool" else Completion(calls=calls)

    with serving(answer) as server:
        first = ask(server, tools=(TOOL,))
        found = await client.complete(first)
        assert (found.calls, found.finish) == (calls, "tool_calls")
        results = (Message(role="tool", text="one", answers="c1"), Message(role="tool", text="two", answers="c2"))
        more = (*first.messages, Message(role="assistant", calls=calls), *results)
        last = await client.complete(Request(model=server.model, messages=more, tools=(TOOL,)))
        assert last.text == "c2: two"
        assert [asked.request.tools for asked in server.tally.asked] == [(TOOL,), (TOOL,)]


async def test_a_schema_a_temperature_and_a_forced_tool_arrive(client: ModelClient) -> None:
    with serving() as server:
        messages = (Message(role="system", text="be brief"), Message(role="user", text="hi"))
        asked = Request(model=server.model, messages=messages, schema=NOTHING, temperature=0.5, max_tokens=99)
        await client.complete(asked)
        await client.complete(Request(model=server.model, messages=messages, tools=(TOOL,), force="look"))
        first, second = (one.request for one in server.tally.asked)
    assert (first.messages, first.schema, first.temperature, first.max_tokens) == (messages, NOTHING, 0.5, 99)
    assert (second.tools, second.force) == ((TOOL,), "look")


Kind = Literal["rate", "quota", "credit", "overloaded", "authentication", "network"]

INFRASTRUCTURE: list[tuple[Served, Kind, float | None, bool]] = [
    (rate_limited(3), "rate", 3.0, False),
    (rate_limited(), "rate", None, False),
    (out_of_quota(), "quota", None, False),
    (failed(402, "Insufficient Balance", sort="", code=""), "credit", None, False),
    (overloaded(503), "overloaded", None, False),
    (overloaded(529), "overloaded", None, False),
    (broken(500), "overloaded", None, False),
    (broken(502), "overloaded", None, True),
    (unauthenticated(), "authentication", None, False),
    (failed(403, "no access", sort="", code=""), "authentication", None, False),
    (malformed("lost"), "network", None, True),
    (cut("lost", "before"), "network", None, True),
    (cut("lost", "headers"), "network", None, True),
    (cut("lost", "body"), "network", None, True),
    (Served(body=b'{"error": {"code": 429, "message": "slow down"}}'), "rate", None, False),
    (Served(body=b'{"error": {"code": 402, "message": "no credits left"}}'), "credit", None, False),
    (Served(body=b'{"error": {"code": 500, "message": "upstream failed"}}'), "network", None, True),
    (Served(body=b"[]"), "network", None, True),
    (Served(body=b'{"choices": []}'), "network", None, True),
    (Served(body=b'{"choices": [{"message": "x"}]}'), "network", None, True),
]


async def test_what_is_not_the_tasks_fault_is_told_apart(client: ModelClient) -> None:
    found: list[tuple[str, float | None, bool]] = []
    with serving(scripted([served for served, *_ in INFRASTRUCTURE])) as server:
        for number in range(len(INFRASTRUCTURE)):
            error = await failure_of(client, ask(server, str(number)))
            assert isinstance(error, InfrastructureError)
            found.append((error.category, error.retry_after, error.billed))
        assert len(server.tally.asked) == len(INFRASTRUCTURE), "each was tried once"
    assert found == [(kind, wait, billed) for _, kind, wait, billed in INFRASTRUCTURE]


async def test_what_concerns_the_request_is_told_apart(client: ModelClient) -> None:
    answers = [
        too_long(),
        refused(),
        failed(400, "no such setting", sort="", code=""),
        failed(422, "?", sort="", code=""),
    ]
    with serving(scripted(answers)) as server:
        found = [type(await failure_of(client, ask(server, str(number)))) for number in range(len(answers))]
    assert found == [ContextTooLong, ContentRefused, BadRequest, BadRequest]


async def test_usage_that_is_not_told_is_not_taken_for_nothing(client: ModelClient) -> None:
    with serving(lambda asked: misreported("x", None)) as server:
        assert (await client.complete(ask(server))).usage is None


async def test_nobody_listening_is_known_not_to_be_billed(client: ModelClient) -> None:
    with LoopbackServer() as server:
        gone = ask(server)
    error = await failure_of(client, gone)
    assert isinstance(error, InfrastructureError)
    assert (error.category, error.billed) == ("network", False)


@pytest.mark.parametrize("headers_first", [False, True])
async def test_a_deadline_closes_the_socket(client: ModelClient, headers_first: bool) -> None:
    late = slow("late", 3600, headers_first=headers_first)
    with serving(lambda asked: late if echo(asked) == "late" else "in time") as server:
        await client.complete(ask(server))
        error = await failure_of(client, ask(server, "late", seconds=0.5))
        assert isinstance(error, InfrastructureError)
        assert (error.category, error.billed) == ("timeout", True)
        await came_to(server, lambda tally: not tally.open)
        assert len(server.tally.asked) == 2


async def test_cancelling_a_call_closes_its_socket(client: ModelClient) -> None:
    with serving(lambda asked: slow("late", 3600)) as server:
        async with anyio.create_task_group() as calls:
            for _ in range(3):
                calls.start_soon(client.complete, ask(server, seconds=None))
            await came_to(server, lambda tally: len(tally.asked) == 3)
            assert server.tally.open == 3
            calls.cancel_scope.cancel()
        await came_to(server, lambda tally: not tally.open)


async def test_closing_lets_go_of_idle_sockets(client: ModelClient) -> None:
    with serving() as server:
        await client.complete(ask(server))
        assert server.tally.open == 1
        await client.close()
        await came_to(server, lambda tally: not tally.open)
        with pytest.raises(UsageError, match="closed"):
            await client.complete(ask(server))
    await client.close()


async def test_requests_one_after_the_other_share_a_connection(client: ModelClient) -> None:
    with serving() as server:
        for number in range(4):
            await client.complete(ask(server, str(number)))
        assert server.tally.connections == 1


async def test_while_real_requests_are_forbidden_nothing_leaves_this_machine(client: ModelClient) -> None:
    with forbid_real_requests(), serving() as server:
        assert (await client.complete(ask(server, "hi"))).text == "hi"
        with pytest.raises(RealRequestForbidden):
            await client.complete(Request(model="openai/m@https://api.example.com/v1", messages=()))


async def test_a_key_is_sent_and_never_said(client: ModelClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-very-private-thing")
    denial = failed(401, "Incorrect API key provided: a-very-private-thing", sort="", code="invalid_api_key")
    with serving(lambda asked: denial) as server:
        error = await failure_of(client, ask(server))
    assert "a-very-private-thing" not in f"{error} {error!r} {error.__context__!r} {vars(error)} {client!r}"
    assert "[secret:OPENAI_API_KEY]" in str(error)


async def test_a_missing_key_names_its_variable(client: ModelClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with serving(lambda asked: unauthenticated()) as server:
        error = await failure_of(client, ask(server))
    assert "OPENAI_API_KEY" in str(error)


async def test_a_hundred_at_once_each_get_their_own_answer(client: ModelClient) -> None:
    found: dict[int, str] = {}

    async def one(number: int) -> None:
        found[number] = (await client.complete(ask(server, str(number)))).text

    with serving() as server:
        async with anyio.create_task_group() as calls:
            for number in range(100):
                calls.start_soon(one, number)
    assert found == {number: str(number) for number in range(100)}


@pytest.mark.parametrize("prefix", ["openai", "compatible"])
async def test_a_name_typed_by_a_person_reaches_its_server(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(f"{prefix.upper()}_API_KEY", raising=False)
    with serving(lambda asked: unauthenticated() if echo(asked) == "who?" else "you") as server:
        async with Models.of([f"{prefix}/mine@{server.url}#tools"]) as models:
            model = models.model_for("worker")
            asked = [Request(model=model.name, messages=(Message(role="user", text=text),)) for text in ("hi", "who?")]
            assert (await model.client.complete(asked[0])).text == "you"
            assert server.tally.asked[0].body["model"] == "mine"
            error = await failure_of(model.client, asked[1])
    assert {f"{prefix.upper()}_API_KEY is not set", f"not set: {prefix.upper()}_API_KEY"} & {
        str(error).rpartition("(")[2].rstrip(")")
    }


async def test_a_key_does_not_go_over_plain_http_to_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-very-private-thing")
    assert (
        key_for("openai", "http://127.0.0.1:1/v1")
        == key_for("openai", "https://far.example/v1")
        == "a-very-private-thing"
    )
    assert key_for("openai", "http://far.example/v1") == NO_KEY
    assert unsent_key("openai", "http://far.example/v1") == "OPENAI_API_KEY is not sent over plain http"


async def test_the_slim_client_says_what_it_lacks() -> None:
    client = CompatibleClient()
    with pytest.raises(UsageError, match="has no address"):
        await client.complete(Request(model="compatible/m", messages=()))
    assert not [thread for thread in threading.enumerate() if thread.name == "litellm"]


async def test_the_slim_client_begins_another_pool_before_one_grows_slow() -> None:
    """A pool looks through its connections for every request: beyond some tens that eats the CPU."""
    client = CompatibleClient(most_in_pool=2)
    with serving(lambda asked: slow("x", 0.2)) as server:
        async with anyio.create_task_group() as calls:
            for _ in range(6):
                calls.start_soon(client.complete, ask(server))
        assert (client.pools, server.tally.connections) == (3, 6)
        await client.complete(ask(server))
        assert (client.pools, server.tally.connections) == (3, 6)
    await client.close()
