"""A model that answers by files: every request is one, every answer is taken once, and a restart goes on from both."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from antiphon.engine import InfrastructureError, UsageError
from antiphon.subagents.model.contract import (
    BadRequest,
    Completion,
    ContentRefused,
    ContextTooLong,
    Message,
    Request,
    ToolCall,
    ToolSpec,
    Usage,
)
from antiphon.subagents.model.file_client import FileClient, file_capabilities
from antiphon.subagents.model.file_format import REQUEST, checked, put_whole, schema

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

SEARCH = ToolSpec(name="search", description="Finds text.", parameters={"type": "object"})


def request(text: str = "Name a colour.", **changes: Any) -> Request:
    """A request of a conversation."""
    asked = Request(
        model="file:box", messages=(Message(role="user", text=text),), key="run/main/0", asker="worker at main/0"
    )
    return replace(asked, **changes)


def requests_in(box: Path) -> dict[str, dict[str, Any]]:
    """Every request file that is there, by id."""
    found = [path for path in box.iterdir() if REQUEST.fullmatch(path.name)] if box.is_dir() else []
    return {path.name[8:-5]: json.loads(path.read_text()) for path in found}


def files_in(box: Path) -> list[str]:
    """What else lies there, by name."""
    return sorted(path.name for path in box.iterdir())


async def until(there: Callable[[], bool]) -> None:
    """Wait for a file that a thread of the client writes."""
    with anyio.fail_after(20):
        while not there():
            await checkpoint()


async def asked_in(box: Path, number: int = 1) -> dict[str, dict[str, Any]]:
    """The requests, once there are so many."""
    await until(lambda: len(requests_in(box)) >= number)
    return requests_in(box)


def answer(box: Path, id: str, **document: Any) -> None:
    """Answer as the documentation says: whole, by a rename."""
    put_whole(box / f"answer-{id}.json", json.dumps({"version": 1, **document}).encode())


async def exchange(box: Path, asked: Request, **document: Any) -> Completion:
    """One request, answered by somebody who sees only the directory."""
    client, found = FileClient(box), list[Completion]()

    async def ask() -> None:
        found.append(await client.complete(asked))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        for id in await asked_in(box):
            answer(box, id, **document)
    return found[0]


async def test_a_request_is_a_document_of_the_schema(tmp_path: Path) -> None:
    box = tmp_path / "new" / "box"
    asked = request(tools=(SEARCH,), schema={"type": "object"}, max_tokens=77, temperature=0.5)
    assert (await exchange(box, asked, text="blue")).text == "blue"
    ((id, found),) = requests_in(box).items()
    assert checked(json.dumps(found).encode(), "request") == found
    assert found["id"] == id
    assert found["messages"] == [{"role": "user", "text": "Name a colour."}]
    assert found["tools"] == [{"name": "search", "description": "Finds text.", "parameters": {"type": "object"}}]
    assert (found["schema"], found["max_tokens"], found["temperature"]) == ({"type": "object"}, 77, 0.5)
    assert (found["conversation"], found["model"], found["force"]) == ("run/main/0", "file:box", "")
    assert found["asker"] == "worker at main/0"
    assert (box / f"request-{id}.json").stat().st_mode & 0o077 == 0


def test_the_schema_is_one_and_has_the_three_kinds() -> None:
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(schema())
    assert {"request", "answer", "options"} <= schema()["$defs"].keys()


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"text": "blue"}, Completion(text="blue", usage=Usage())),
        (
            {"text": "b", "usage": {"input": 9.0, "output": 2e3}},
            Completion(text="b", usage=Usage(input=9, output=2000)),
        ),
        ({"value": {"n": 1}}, Completion(text='{"n": 1}', usage=Usage())),
        ({"text": "half", "finish": "length"}, Completion(text="half", finish="length", usage=Usage())),
        (
            {"text": "b", "usage": {"input": 9, "output": 2}, "model": "someone", "rationale": "it is"},
            Completion(text="b", usage=Usage(input=9, output=2), model="someone", rationale="it is"),
        ),
        (
            {"calls": [{"id": "c", "name": "search", "arguments": {"q": "x"}}]},
            Completion(calls=(ToolCall("c", "search", '{"q": "x"}'),), finish="tool_calls", usage=Usage()),
        ),
        (
            {"text": "so", "calls": [{"id": "c", "name": "search", "arguments": "{"}]},
            Completion(text="so", calls=(ToolCall("c", "search", "{"),), finish="tool_calls", usage=Usage()),
        ),
    ],
)
async def test_what_an_answer_may_say(tmp_path: Path, document: dict[str, Any], expected: Completion) -> None:
    found = await exchange(tmp_path, request(tools=(SEARCH,)), **document)
    assert repr(replace(found, id="")) == repr(expected)  # in which 9.0 is not 9
    assert found.id in requests_in(tmp_path)


async def test_calls_without_an_id_get_one_each(tmp_path: Path) -> None:
    calls: list[dict[str, object]] = [{"name": "search", "arguments": {}}, {"name": "search", "arguments": {}}]
    found = await exchange(tmp_path, request(tools=(SEARCH,)), calls=calls)
    assert len({call.id for call in found.calls}) == 2


@pytest.mark.parametrize("force", ["answer", ""], ids=["forced", "offered"])
async def test_a_value_is_a_call_of_the_tool_that_takes_it(tmp_path: Path, force: str) -> None:
    asked = request(tools=(replace(SEARCH, name="answer"),), force=force)
    found = await exchange(tmp_path, asked, value={"n": 1})
    assert [(call.name, call.arguments) for call in found.calls] == [("answer", '{"n": 1}')]
    assert found.text == ""


@pytest.mark.parametrize(
    ("name", "kind"),
    [("context_too_long", ContextTooLong), ("refused", ContentRefused), ("bad_request", BadRequest)],
)
async def test_an_error_of_the_request_is_told_as_such(tmp_path: Path, name: str, kind: type[Exception]) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await exchange(tmp_path, request(), error={"class": name, "reason": "too much"})
    assert caught.group_contains(kind, match="too much")


async def test_an_error_of_the_infrastructure_is_told_by_its_class(tmp_path: Path) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await exchange(tmp_path, request(), error={"class": "rate", "retry_after_seconds": 7})
    (error,) = caught.value.exceptions
    assert isinstance(error, InfrastructureError)
    assert (error.category, error.retry_after, error.billed) == ("rate", 7, False)


async def test_a_retry_after_an_error_asks_again(tmp_path: Path) -> None:
    with pytest.raises(ExceptionGroup):
        await exchange(tmp_path, request(), error={"class": "network"})
    (failed,) = files_in(tmp_path)
    assert failed.startswith("failed-")
    assert json.loads((tmp_path / failed).read_text())["error"]["class"] == "network"
    assert (await exchange(tmp_path, request(), text="blue")).text == "blue"


async def test_an_answer_that_is_there_is_taken_and_nobody_is_asked(tmp_path: Path) -> None:
    first = await exchange(tmp_path, request(), text="blue")
    (tmp_path / f"request-{first.id}.json").unlink()
    assert await FileClient(tmp_path).complete(request()) == first
    assert requests_in(tmp_path) == {}
    # What is left of a budget, and what the directory is called, may differ after a restart.
    again = await FileClient(tmp_path).complete(request(max_tokens=5, timeout_seconds=None, model="file:other"))
    assert again == first


async def test_other_requests_have_other_files(tmp_path: Path) -> None:
    client = FileClient(tmp_path)
    asked = [request(), request("Name a fruit."), request(key="run/main/1"), request(temperature=0.1)]
    asked += [request(tools=(SEARCH,)), request(schema={"type": "object"}), request(force="x")]
    async with anyio.create_task_group() as tasks:
        for one in asked:
            tasks.start_soon(client.complete, one)
        assert len(await asked_in(tmp_path, len(asked))) == len(asked)
        tasks.cancel_scope.cancel()


async def test_a_cancelled_request_is_taken_back(tmp_path: Path) -> None:
    client = FileClient(tmp_path)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.complete, request())
        await asked_in(tmp_path)
        tasks.cancel_scope.cancel()
    assert files_in(tmp_path) == []


async def test_a_request_that_two_wait_for_stays_while_one_does(tmp_path: Path) -> None:
    client, found, first = FileClient(tmp_path), list[str](), anyio.CancelScope()

    async def cut_off() -> None:
        with first:
            await client.complete(request())

    async def ask() -> None:
        found.append((await client.complete(request())).text)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cut_off)
        tasks.start_soon(ask)
        (id,) = await asked_in(tmp_path)
        await anyio.wait_all_tasks_blocked()
        first.cancel()
        await anyio.wait_all_tasks_blocked()
        assert id in requests_in(tmp_path)
        answer(tmp_path, id, text="blue")
    assert found == ["blue"]


async def test_a_request_that_somebody_removed_is_written_again(tmp_path: Path) -> None:
    client = FileClient(tmp_path)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.complete, request())
        (id,) = await asked_in(tmp_path)
        (tmp_path / f"request-{id}.json").unlink()
        assert id in await asked_in(tmp_path)
        tasks.cancel_scope.cancel()


async def test_many_wait_at_once_and_each_gets_its_own(tmp_path: Path) -> None:
    client, found = FileClient(tmp_path), dict[int, str]()

    async def ask(number: int) -> None:
        found[number] = (await client.complete(request(f"{number}?", key=f"{number}"))).text

    async with anyio.create_task_group() as tasks:
        for number in range(120):
            tasks.start_soon(ask, number)
        for id, asked in (await asked_in(tmp_path, 120)).items():
            answer(tmp_path, id, text=f"to {asked['messages'][0]['text']}")
    assert found == {number: f"to {number}?" for number in range(120)}


async def refused_then(box: Path, spoil: Callable[[Path], None], reason: str) -> None:
    """An answer that cannot be taken is said to be so, and the next one is taken."""
    client, found = FileClient(box), list[str]()
    problem = box / "to be named"

    async def ask() -> None:
        found.append((await client.complete(request())).text)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        (id,) = await asked_in(box)
        spoil(box / f"answer-{id}.json")
        problem = box / f"answer-{id}.problem"
        await until(problem.exists)
        assert reason in problem.read_text()
        assert found == []
        answer(box, id, text="blue")
    assert found == ["blue"]
    assert not problem.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "it is not JSON"),
        ('{"version": 1, "te', "it is not JSON"),
        ("[" * 100_000, "it is nested too deeply"),
        ("\ud800", "it is not UTF-8"),
        ("[]", "is not of type 'object'"),
        ("{}", "'version' is a required property"),
        ('{"version": 2, "text": ""}', "1 was expected"),
        ('{"version": 1}', "$: "),
        ('{"version": 1, "text": 5}', "$.text: 5 is not of type 'string'"),
        ('{"version": 1, "text": "", "colour": ""}', "'colour' was unexpected"),
        ('{"version": 1, "text": "a", "error": {"class": "rate"}}', "should not be valid"),
        ('{"version": 1, "error": {"class": "mood"}}', "'mood' is not one of"),
        ('{"version": 1, "value": NaN}', "NaN is no number of JSON"),
        ('{"version": 1, "value": 1e400}', "1e400 is no number of JSON"),
        ('{"version": 1, "calls": [{"name": "rm", "arguments": {}}]}', "it calls 'rm', and the tools of this request"),
        ('{"version": 1, "text": "", "usage": {"input": -1}}', "-1 is less than the minimum"),
    ],
)
async def test_an_answer_that_is_none_is_refused_and_waited_for_again(
    tmp_path: Path, content: str, reason: str
) -> None:
    def spoil(path: Path) -> None:
        path.write_bytes(content.encode("utf-8", "surrogatepass"))

    await refused_then(tmp_path, spoil, reason)


async def test_a_link_is_no_answer(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text('{"version": 1, "text": "not yours"}')
    box = tmp_path / "box"
    await refused_then(box, lambda path: path.symlink_to(elsewhere), "it is no plain file")
    assert "not yours" in elsewhere.read_text()


async def test_an_answer_that_may_be_read_now_is_taken(tmp_path: Path) -> None:
    """Its content did not change meanwhile; only its rights, or what it is a link to by another name, did."""
    client, found = FileClient(tmp_path), list[str]()

    async def ask() -> None:
        found.append((await client.complete(request())).text)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        (id,) = await asked_in(tmp_path)
        path = tmp_path / f"answer-{id}.json"
        put_whole(path, b'{"version": 1, "text": "x"')
        await until((tmp_path / f"answer-{id}.problem").exists)
        before = path.stat()
        with path.open("r+b") as file:
            file.write(b'{"version": 1,"text": "x"}')
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        await until(lambda: bool(found))
    assert found == ["x"]


async def test_the_options_of_a_directory(tmp_path: Path) -> None:
    free = file_capabilities(tmp_path)
    assert (free.window, free.output, free.schema, free.tools) == (None, None, True, True)
    assert free.price is not None
    assert Decimal(free.price.input) == Decimal(free.price.output) == 0
    options = {"version": 1, "window": 8000, "output": 500, "tools": False, "price": {"input": "1.25", "output": "10"}}
    (tmp_path / "model.json").write_text(json.dumps(options))
    can = FileClient(tmp_path).capabilities
    assert (can.window, can.output, can.schema, can.tools) == (8000, 500, True, False)
    assert can.price is not None
    assert (Decimal(can.price.input), Decimal(can.price.output)) == (Decimal("0.00000125"), Decimal("0.00001"))


@pytest.mark.parametrize("text", ["", "{}", '{"version": 1, "windows": 5}', '{"version": 1, "price": {"input": "-1"}}'])
async def test_options_that_are_none_are_a_usage_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(UsageError, match=r"model\.json: "):
        FileClient(tmp_path)


async def test_a_directory_that_cannot_be_made_is_the_environments_fault(tmp_path: Path) -> None:
    client = FileClient(tmp_path / "file" / "box")
    (tmp_path / "file").write_text("")
    with pytest.raises(InfrastructureError, match="cannot be written") as caught:
        await client.complete(request())
    assert caught.value.category == "environment"


async def test_a_closed_client_asks_nothing(tmp_path: Path) -> None:
    client = FileClient(tmp_path)
    await client.close()
    with pytest.raises(InfrastructureError, match="not asked any more"):
        await client.complete(request())
    assert files_in(tmp_path) == []
