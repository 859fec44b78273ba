"""The loopback server, asked by a client that knows nothing of us: every answer, every fault, every count."""

from __future__ import annotations

import gc
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from antiphon.engine import UsageError
from antiphon.subagents.model.contract import Completion, Message, Request, ToolCall, ToolSpec, Usage
from antiphon.subagents.testing import (
    PASSING,
    Asked,
    Faults,
    Good,
    LoopbackServer,
    ScriptedModel,
    Served,
    answered,
    broken,
    cut,
    malformed,
    misreported,
    out_of_quota,
    overloaded,
    rate_limited,
    refused,
    slow,
    too_long,
    total,
    unauthenticated,
)
from antiphon.subagents.testing.wire import request_of

FAULTS: dict[str, Served] = {
    "rate": rate_limited(2.5),
    "date": rate_limited(3600, date=True),
    "silent": rate_limited(),
    "quota": out_of_quota(),
    "503": overloaded(),
    "529": overloaded(529),
    "500": broken(),
    "key": unauthenticated(),
    "long": too_long(),
    "refused": refused(),
    "malformed": malformed("lost"),
    "before": cut("lost", "before"),
    "headers": cut("lost", "headers"),
    "body": cut("lost"),
    "negative": misreported("told", {"prompt_tokens": -1, "completion_tokens": "many"}),
    "none": misreported("told", None),
    "late": slow("told", 0.01),
    "late body": slow("told", 0.01, headers_first=True),
}


def by_name(asked: Asked) -> Served:
    text = asked.request.messages[-1].text
    return FAULTS.get(text) or answered(text)


@pytest.fixture(scope="module")
def shared() -> Iterator[LoopbackServer]:
    with LoopbackServer(by_name) as server:
        yield server


@pytest.fixture(scope="module")
def http() -> Iterator[httpx2.Client]:
    with httpx2.Client(trust_env=False) as client:
        yield client


def post(http: httpx2.Client, server: LoopbackServer, text: str, **more: Any) -> httpx2.Response:
    body = {"model": "m", "messages": [{"role": "user", "content": text}], **more}
    return http.post(f"{server.url}/chat/completions", json=body)


def test_it_listens_on_loopback_only_and_lists_its_models(shared: LoopbackServer, http: httpx2.Client) -> None:
    assert shared.url.startswith("http://127.0.0.1:")
    assert shared.model == f"openai/scripted@{shared.url}#tools,schema"
    assert [one["id"] for one in http.get(f"{shared.url}/models").json()["data"]] == ["scripted"]


def test_a_good_answer_says_what_it_used_and_is_billed_that(shared: LoopbackServer, http: httpx2.Client) -> None:
    said = post(http, shared, "hello there").json()
    assert said["choices"][0]["message"] == {"role": "assistant", "content": "hello there"}
    assert said["choices"][0]["finish_reason"] == "stop"
    assert (said["usage"]["prompt_tokens"], said["usage"]["completion_tokens"]) == (3, 3)
    last = shared.tally.billed[-1]
    assert (last.usage, last.known, last.kind, last.model) == (Usage(input=3, output=3), True, "answered", "m")


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [("rate", 429, "rate_limit_exceeded"), ("date", 429, "rate_limit_exceeded"), ("quota", 429, "insufficient_quota"),
     ("503", 503, "overloaded"), ("529", 529, "overloaded"), ("500", 500, "server_error"),
     ("key", 401, "invalid_api_key"), ("long", 400, "context_length_exceeded"), ("refused", 400, "content_filter")],
)  # fmt: skip
def test_a_failure_has_its_status_and_code_and_is_not_billed(
    shared: LoopbackServer, http: httpx2.Client, name: str, status: int, code: str
) -> None:
    response = post(http, shared, name)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    last = shared.tally.billed[-1]
    assert (last.kind, last.usage, last.known) == (code, Usage(), True)


def test_retry_after_comes_in_both_forms_or_not_at_all(shared: LoopbackServer, http: httpx2.Client) -> None:
    assert post(http, shared, "rate").headers["retry-after"] == "2.5"
    date = datetime.strptime(post(http, shared, "date").headers["retry-after"], "%a, %d %b %Y %H:%M:%S GMT")
    assert date.replace(tzinfo=UTC) > datetime.now(UTC) + timedelta(minutes=5)
    assert "retry-after" not in post(http, shared, "silent").headers


@pytest.mark.parametrize("name", ["before", "headers", "body"])
def test_a_cut_connection_is_billed_and_nobody_is_told(shared: LoopbackServer, http: httpx2.Client, name: str) -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        post(http, shared, name)
    last = shared.tally.billed[-1]
    assert (last.kind, last.usage, last.known) == (f"cut {name}", Usage(input=-(-len(name) // 4), output=1), False)


def test_a_malformed_body_is_a_good_response_that_nobody_can_read(shared: LoopbackServer, http: httpx2.Client) -> None:
    response = post(http, shared, "malformed")
    assert response.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        response.json()
    last = shared.tally.billed[-1]
    assert (last.usage, last.known) == (Usage(input=3, output=1), False)


def test_usage_may_be_wrong_or_missing_and_is_billed_as_it_is(shared: LoopbackServer, http: httpx2.Client) -> None:
    assert post(http, shared, "negative").json()["usage"]["prompt_tokens"] == -1
    assert "usage" not in post(http, shared, "none").json()
    for last in shared.tally.billed[-2:]:
        assert (last.usage.output, last.known) == (1, False)


@pytest.mark.parametrize("name", ["late", "late body"])
def test_a_late_answer_is_still_one(shared: LoopbackServer, http: httpx2.Client, name: str) -> None:
    assert post(http, shared, name).json()["choices"][0]["message"]["content"] == "told"


@pytest.mark.parametrize(
    "body",
    [b"", b"nonsense", b"[]", b"{}", b'{"model": "m", "messages": []}', b'{"model": 1, "messages": [{"role": "user"}]}',
     b'{"model": "m", "messages": [{"role": "narrator", "content": ""}]}',
     b'{"model": "m", "messages": ["x"]}', b'{"model": "m", "messages": {"role": "user"}}',
     b'{"model": "m", "messages": [{"role": "user", "content": 1}]}',
     b'{"model": "m", "messages": [{"role": "user"}], "max_tokens": 0}'],
)  # fmt: skip
def test_a_request_that_is_none_is_refused_and_not_counted(
    shared: LoopbackServer, http: httpx2.Client, body: bytes
) -> None:
    before = len(shared.tally.asked)
    response = http.post(f"{shared.url}/chat/completions", content=body)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_request")
    assert len(shared.tally.asked) == before


def test_tools_schema_and_limits_arrive_in_our_words() -> None:
    spec = {"name": "read", "description": "reads", "parameters": {"type": "object"}}
    parts = [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "b"}]
    call = {"id": "c1", "type": "function", "function": {"name": "read", "arguments": "{}"}}
    request = request_of({
        "model": "m",
        "messages": [
            {"role": "developer", "content": parts},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": "text", "tool_call_id": "c1"},
        ],
        "tools": [{"type": "function", "function": spec}],
        "tool_choice": {"type": "function", "function": {"name": "read"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
        "max_completion_tokens": 9,
        "temperature": 1,
    })  # fmt: skip
    assert request == Request(
        model="m",
        messages=(
            Message(role="system", text="ab", cached=True),
            Message(role="assistant", calls=(ToolCall("c1", "read", "{}"),)),
            Message(role="tool", text="text", answers="c1"),
        ),
        tools=(ToolSpec(name="read", description="reads", parameters={"type": "object"}),),
        force="read",
        schema={"type": "object"},
        max_tokens=9,
        temperature=1.0,
        timeout_seconds=None,
    )


def test_tool_calls_refusals_and_every_class_of_token_go_out(http: httpx2.Client) -> None:
    usage = Usage(input=1, cached=2, cache_write=4, output=8, reasoning=16)
    call = ToolCall("c1", "read", '{"path":')
    answers = [Completion(calls=(call,), usage=usage, rationale="hm"), Completion(finish="refused")]
    with LoopbackServer(lambda asked: answers[asked.number - 1]) as server:
        said = post(http, server, "x").json()
        assert said["choices"][0]["message"]["tool_calls"][0]["function"] == {"name": "read", "arguments": '{"path":'}
        assert said["choices"][0]["message"]["reasoning_content"] == "hm"
        assert said["choices"][0]["finish_reason"] == "tool_calls"
        assert (said["usage"]["prompt_tokens"], said["usage"]["completion_tokens"]) == (7, 24)
        assert said["usage"]["prompt_tokens_details"]["cached_tokens"] == 2
        assert said["usage"]["completion_tokens_details"]["reasoning_tokens"] == 16
        assert post(http, server, "y").json()["choices"][0]["finish_reason"] == "content_filter"
    assert server.tally.billed[0].usage == usage


def test_who_asks_for_a_stream_gets_one_whole_or_cut(shared: LoopbackServer, http: httpx2.Client) -> None:
    response = post(http, shared, "hello there", stream=True, stream_options={"include_usage": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    *events, done = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert done == "[DONE]"
    read = [json.loads(event) for event in events]
    deltas = [event["choices"][0] for event in read if event["choices"]]
    assert "".join(one["delta"].get("content", "") for one in deltas) == "hello there"
    assert (deltas[-1]["finish_reason"], read[-1]["usage"]["completion_tokens"]) == ("stop", 3)
    with pytest.raises(httpx2.RemoteProtocolError):
        post(http, shared, "body", stream=True)
    assert shared.tally.billed[-1].kind == "cut body"


def test_an_answer_is_cut_at_max_tokens(shared: LoopbackServer, http: httpx2.Client) -> None:
    said = post(http, shared, "twelve chars", max_tokens=2).json()
    assert said["choices"][0] | {"logprobs": None} == {
        "index": 0,
        "message": {"role": "assistant", "content": "twelve c"},
        "finish_reason": "length",
        "logprobs": None,
    }


def test_a_scripted_model_serves_and_a_retry_is_known_as_one(http: httpx2.Client) -> None:
    """The very same body is the same request again; another conversation is not."""
    scripted = ScriptedModel({"one": ["first", "second"], "two": ["other"]})

    async def answer(asked: Asked) -> Completion | Served:
        return rate_limited(0) if not asked.seen else await scripted.complete(asked.request)

    with LoopbackServer(answer) as server:
        statuses = [post(http, server, text).status_code for text in ("one", "two", "one", "two", "one")]
    assert statuses == [429, 429, 200, 200, 200]
    assert [asked.seen for asked in server.tally.asked] == [0, 0, 1, 1, 2]
    assert server.tally.kinds == {"rate_limit_exceeded": 2, "answered": 3}
    assert server.tally.usage() == server.tally.usage(known=True) == total(one.usage for one in server.tally.billed)


def test_connections_are_counted_now_and_at_most() -> None:
    """Three that wait for each other, so all are open at once; then none."""
    together = threading.Barrier(3)

    def ask(server: LoopbackServer) -> int:
        with httpx2.Client(trust_env=False) as client:
            client.get(f"{server.url}/models")
            together.wait(20)
            status = post(client, server, "x").status_code
            together.wait(20)
            return status

    with LoopbackServer() as server:
        with ThreadPoolExecutor(3) as threads:
            assert [one.result() for one in [threads.submit(ask, server) for _ in range(3)]] == [200] * 3
        assert server.tally.most_open == server.tally.connections == 3
        assert server.tally.wait_for(lambda tally: not tally.open)


def test_a_client_that_goes_away_is_seen_and_billed() -> None:
    with LoopbackServer(lambda asked: slow("late", 60)) as server:
        with httpx2.Client(trust_env=False, timeout=0.05) as client, pytest.raises(httpx2.ReadTimeout):
            post(client, server, "x")
        assert server.tally.wait_for(lambda tally: bool(tally.billed))
    [billed] = server.tally.billed
    assert (billed.kind, billed.usage, billed.known) == ("abandoned", Usage(input=1, output=1), False)


def test_it_stops_whatever_is_open_and_leaves_nothing() -> None:
    """Answers an hour away are cut, the port is free again, the thread is gone."""
    begun = threading.Semaphore(0)

    def answer(asked: Asked) -> Served:
        begun.release()
        return slow("never", 3600, headers_first=bool(asked.number % 2))

    def ask(server: LoopbackServer) -> str:
        with httpx2.Client(trust_env=False, timeout=60) as client:
            try:
                return str(post(client, server, "x").status_code)
            except httpx2.TransportError:
                return "cut"

    with ThreadPoolExecutor(4) as threads:
        with LoopbackServer(answer) as server:
            asking = [threads.submit(ask, server) for _ in range(4)]
            assert all(begun.acquire(timeout=20) for _ in range(4))
        assert [one.result(20) for one in asking] == ["cut"] * 4
    port = int(server.url.rpartition(":")[2].removesuffix("/v1"))
    assert f"loopback server {port}" not in [thread.name for thread in threading.enumerate()]
    assert server.tally.open == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)
    gc.collect()  # an unclosed socket or loop would warn, and warnings are errors here


def test_it_may_be_stopped_before_it_began_and_twice() -> None:
    server = LoopbackServer()
    server.stop()
    server.start()
    server.stop()
    server.stop()


def test_what_the_tests_own_answer_raises_is_not_swallowed(http: httpx2.Client) -> None:
    def answer(asked: Asked) -> str:
        raise KeyError("typo")

    with pytest.raises(KeyError, match="typo"), LoopbackServer(answer) as server:
        assert post(http, server, "x").status_code == 500


def test_faults_fall_on_the_same_requests_in_any_order(http: httpx2.Client) -> None:
    """By seed and by what a request says; so a retry may succeed, and another seed fails others."""

    def meets(order: list[int], seed: int) -> dict[int, str]:
        with LoopbackServer(Faults(by_name, share=0.4, seed=seed, faults=PASSING[:5])) as server:
            for number in order:
                post(http, server, f"task {number}")
        texts = [asked.request.messages[0].text for asked in server.tally.asked]
        return {int(text.split()[1]): one.kind for text, one in zip(texts, server.tally.billed, strict=True)}

    forwards = meets(list(range(24)), 1)
    assert forwards == meets(list(reversed(range(24))), 1) != meets(list(range(24)), 2)
    assert {"answered", "overloaded"} < set(forwards.values())
    assert 4 <= sum(kind != "answered" for kind in forwards.values()) <= 16


def test_every_fault_that_passes_is_met_and_one_that_fails_anyway_is_left_alone(http: httpx2.Client) -> None:
    met: list[int] = []

    def next_fault(said: Good) -> Served:
        return PASSING[len(met)](said)

    with LoopbackServer(Faults(by_name, share=1.0, faults=[next_fault])) as server:
        for _ in PASSING:
            assert post(http, server, "key").status_code == 401
            try:
                met.append(post(http, server, "x").status_code)
            except httpx2.RemoteProtocolError:
                met.append(0)
    assert met == [429, 429, 503, 529, 500, 200, 0, 0, 0, 200]
    assert "answered" not in server.tally.kinds


def test_it_serves_as_a_process_of_its_own_until_its_input_ends(http: httpx2.Client) -> None:
    command = [sys.executable, "-m", "antiphon.subagents.testing.serve", "--text", "yes", "--latency", "0.001"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
        said = http.post(f"{url}/chat/completions", json=body).json()
        assert said["choices"][0]["message"]["content"] == "yes"
        told = json.loads(process.communicate(timeout=30)[0])
    assert process.returncode == 0
    assert (told["kinds"], told["usage"]["output"], told["most_open"]) == ({"answered": 1}, 1, 1)


def test_without_its_libraries_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(UsageError, match="needs uvicorn, which is not installed") as caught:
        LoopbackServer().start()
    assert "antiphon[testing]" in str(caught.value.advice)
