"""Cassettes: recorded at the seam of the client, played back without it, and plain about what is missing."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antiphon.engine import InfrastructureError, UsageError
from antiphon.subagents.model.contract import (
    BadRequest,
    Completion,
    ContextTooLong,
    Message,
    Request,
    ToolCall,
    ToolSpec,
    Usage,
)
from antiphon.subagents.testing import Cassette, CassetteMiss, FunctionModel, ScriptedModel
from antiphon.subagents.testing.taped import Taped, key_of, request_out, taped_of
from antiphon.tracing import Redactor

pytestmark = pytest.mark.anyio

SECRET = "hunter2-hunter2-hunter2"
CALLS = (ToolCall("c1", "read", '{"path": "a.py"}'),)


def asks(text: str, **changes: Any) -> Request:
    messages = (Message(role="system", text="be brief"), Message(role="user", text=text))
    fields: dict[str, Any] = {"model": "openai/gpt", "messages": messages} | changes
    return Request(**fields)


async def recorded(path: Path, *pairs: tuple[str, Completion | str | Exception]) -> None:
    cassette = Cassette(path, "record", client=ScriptedModel([answer for _, answer in pairs]))
    for text, answer in pairs:
        if isinstance(answer, Exception):
            with pytest.raises(type(answer)):
                await cassette.complete(asks(text))
        else:
            await cassette.complete(asks(text))
    await cassette.close()


async def test_what_was_recorded_plays_back_whole(tmp_path: Path) -> None:
    answer = Completion(
        text="a\u2028b\n\ud800", calls=CALLS, finish="tool_calls",
        usage=Usage(input=1, cached=2, output=3, reasoning=4), model="gpt-x", id="i", rationale="because",
    )  # fmt: skip
    path = tmp_path / "deep" / "c.jsonl"
    await recorded(path, ("one", answer), ("two", "second"))
    replayed = Cassette(path)
    assert await replayed.complete(asks("one")) == answer
    assert (await replayed.complete(asks("two"))).text == "second"
    assert (replayed.misses, replayed.unplayed) == ([], [])


async def test_the_same_request_gets_its_answers_in_the_order_recorded_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    await recorded(path, ("vote", "yes"), ("vote", "no"))
    cassette = Cassette(path)
    assert [(await cassette.complete(asks("vote"))).text for _ in range(2)] == ["yes", "no"]
    with pytest.raises(CassetteMiss, match="recorded 2 times and is asked once more"):
        await cassette.complete(asks("vote"))


async def test_what_depends_on_the_hour_is_no_part_of_the_key(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    await recorded(path, ("one", "answer"))
    marked = tuple(Message(role=m.role, text=m.text, cached=True) for m in asks("one").messages)
    other = asks("one", max_tokens=7, timeout_seconds=1.0, key="elsewhere")
    assert (await Cassette(path).complete(other)).text == "answer"
    assert (await Cassette(path).complete(asks("one", messages=marked))).text == "answer"


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "openai/other"},
        {"temperature": 0.5},
        {"force": "read"},
        {"schema": {"type": "object"}},
        {"tools": (ToolSpec(name="read", description="", parameters={}),)},
        {"messages": (Message(role="user", text="be brief"), Message(role="user", text="one"))},
        {"messages": (Message(role="system", text="be brief"), Message(role="user", text="one", calls=CALLS))},
    ],
    ids=str,
)
async def test_all_else_that_a_model_sees_is(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / "c.jsonl"
    await recorded(path, ("one", "answer"))
    with pytest.raises(CassetteMiss):
        await Cassette(path).complete(asks("one", **changes))


async def test_a_miss_names_the_nearest_recorded_request_and_the_difference(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    await recorded(path, ("Audit a.py\nfor security", "x"), ("Write a poem", "y"))
    cassette = Cassette(path)
    with pytest.raises(CassetteMiss) as caught:
        await cassette.complete(asks("Audit b.py\nfor security"))
    message = str(caught.value)
    assert "c.jsonl has no answer to this request: the nearest recorded request is" in message
    assert "-    Audit a.py\n+    Audit b.py" in message
    assert "poem" not in message
    assert caught.value.nearest == request_out(asks("Audit a.py\nfor security"), Redactor())
    assert cassette.misses == [caught.value.asked]
    assert len(cassette.unplayed) == 2


async def test_an_empty_cassette_says_so(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    await recorded(path)
    with pytest.raises(CassetteMiss, match="nothing is recorded in it"):
        await Cassette(path).complete(asks("x"))


async def test_a_huge_difference_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    await recorded(path, ("\n".join(f"old {n}" for n in range(5000)), "x"))
    with pytest.raises(CassetteMiss, match="lines more") as caught:
        await Cassette(path).complete(asks("\n".join("new " * 1000 for _ in range(5000))))
    assert len(str(caught.value)) < 10_000


async def test_secrets_are_gone_from_requests_answers_and_keys(tmp_path: Path) -> None:
    """By the value of an environment variable and by shape; and the request that holds one still finds its answer."""
    path, redactor = tmp_path / "c.jsonl", Redactor({"API_KEY": SECRET})
    token = "ghp_" + "a1" * 15
    answer = Completion(text=f"your key is {SECRET}", calls=(ToolCall("1", "push", json.dumps({"token": token})),))
    cassette = Cassette(path, "record", client=ScriptedModel([answer]), redactor=redactor)
    assert await cassette.complete(asks(f"use {SECRET} and {token}")) is not None
    await cassette.close()
    written = path.read_text()
    assert SECRET not in written
    assert token not in written
    assert written.count("[secret:API_KEY]") == 2
    played = await Cassette(path, redactor=redactor).complete(asks(f"use {SECRET} and {token}"))
    assert played.text == "your key is [secret:API_KEY]"


async def test_auto_plays_back_what_is_there_and_records_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    await recorded(path, ("one", "first"))
    client = ScriptedModel(["second"])
    cassette = Cassette(path, "auto", client=client)
    assert [(await cassette.complete(asks(text))).text for text in ("one", "two")] == ["first", "second"]
    await cassette.close()
    assert len(client.requests) == 1
    assert client.closed
    again = Cassette(path)
    assert [(await again.complete(asks(text))).text for text in ("one", "two")] == ["first", "second"]


async def test_the_file_does_not_depend_on_the_order_of_arrival(tmp_path: Path) -> None:
    answers = {f"task {n}": f"answer {n}" for n in range(10)}
    files: list[bytes] = []
    for order in (list(answers), list(reversed(answers))):
        path = tmp_path / f"{len(files)}.jsonl"
        cassette = Cassette(path, "record", client=FunctionModel(lambda request: answers[request.messages[1].text]))
        for text in order:
            await cassette.complete(asks(text))
        await cassette.close()
        files.append(path.read_bytes())
    assert files[0] == files[1]


async def test_a_recording_cut_off_keeps_what_it_had(tmp_path: Path) -> None:
    """Every answer is in the file when it is given; nobody closed this one."""
    path = tmp_path / "c.jsonl"
    cassette = Cassette(path, "record", client=ScriptedModel(["first", "second"]))
    await cassette.complete(asks("one"))
    await cassette.complete(asks("two"))
    assert (await Cassette(path).complete(asks("two"))).text == "second"


async def test_failures_of_the_request_are_recorded_and_those_of_the_hour_are_not(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    await recorded(path, ("long", ContextTooLong("9000 of 8192")), ("now", InfrastructureError("rate", "later")))
    cassette = Cassette(path)
    with pytest.raises(ContextTooLong, match="9000 of 8192"):
        await cassette.complete(asks("long"))
    with pytest.raises(CassetteMiss):
        await cassette.complete(asks("now"))


async def test_an_odd_failure_is_not_recorded_as_another(tmp_path: Path) -> None:
    class Odd(BadRequest):
        pass

    path = tmp_path / "c.jsonl"
    await recorded(path, ("x", Odd("odd")))
    assert not list(Cassette(path))


def test_a_missing_file_and_a_missing_client_name_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.jsonl.*") as caught:
        Cassette(tmp_path / "nowhere.jsonl")
    assert "mode='record'" in str(caught.value.advice)
    with pytest.raises(UsageError, match="needs a client to record from"):
        Cassette(tmp_path / "c.jsonl", "auto")


@pytest.mark.parametrize(
    "line",
    ["", "nonsense", "[]", "{}", '{"request": {}, "completion": 1}',
     '{"request": {"messages": [1]}, "completion": {}}',
     '{"request": {"messages": []}, "completion": {"usage": {"input": -1}}}',
     '{"request": {"messages": []}, "completion": {"usage": {"tokens": 1}}}',
     '{"request": {"messages": []}, "completion": {"finish": "perhaps"}}',
     '{"request": {"messages": []}, "completion": {"calls": [{"id": 1}]}}',
     '{"request": {"messages": []}, "failure": {"type": "SystemExit", "reason": ""}}'],
)  # fmt: skip
async def test_a_line_that_is_none_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "c.jsonl"
    await recorded(path, ("one", "answer"))
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(UsageError, match=r"c\.jsonl:3: "):
        Cassette(path)


def test_another_file_is_no_cassette(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"antiphon": "cassette", "version": 2}\n')
    with pytest.raises(UsageError, match="not a cassette of version 1"):
        Cassette(path)


TEXT = st.text(max_size=20)
MESSAGES = st.builds(
    Message,
    role=st.sampled_from(["system", "user", "assistant", "tool"]),
    text=TEXT,
    calls=st.lists(st.builds(ToolCall, TEXT, TEXT, TEXT), max_size=2).map(tuple),
    answers=TEXT,
)
REQUESTS = st.builds(
    Request, model=TEXT, messages=st.lists(MESSAGES, max_size=3).map(tuple), temperature=st.none() | st.floats(0, 2)
)
COUNTS = st.integers(0, 10**9)
COMPLETIONS = st.builds(
    Completion,
    text=TEXT,
    calls=st.lists(st.builds(ToolCall, TEXT, TEXT, TEXT), max_size=2).map(tuple),
    finish=st.sampled_from(["stop", "length", "tool_calls", "refused"]),
    usage=st.none() | st.builds(Usage, input=COUNTS, cached=COUNTS, cache_write=COUNTS, reasoning=COUNTS),
    model=TEXT, id=TEXT, rationale=TEXT,
)  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(request=REQUESTS, completion=COMPLETIONS)
def test_any_pair_survives_being_written_and_read(request: Request, completion: Completion) -> None:
    redactor = Redactor()
    out = request_out(request, redactor)
    line = Taped(out, completion).line(redactor)
    assert line.count("\n") == 1
    read = taped_of(line)
    assert (read.answer, read.key) == (completion, key_of(out))
    assert read.line(redactor) == line
