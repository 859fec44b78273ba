"""The chain and the log in memory."""

import hashlib
import json
import struct
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.tracing import Event, Json, Log, LogClosed, MemoryLog, NotEncodable, Redactor, Stamp
from antiphon.tracing.log import GENESIS, MAX_BODY, Row, chain

pytestmark = pytest.mark.anyio

ROW = Row(7, 1.5, "call.ended", "root/find/é", '{"kind":"succeeded"}')


async def test_append_numbers_and_stamps() -> None:
    log = MemoryLog(clock=iter([10.0, 11.0, 12.5]).__next__)
    assert await log.append("run.opened", "", {"run": "r1"}) == Stamp(1, 10.0)
    assert log.enqueue("note", "root/a", {"text": "x"}) == Stamp(2, 11.0)
    await log.flush()
    first, second = log.events()
    assert (first.seq, first.at, first.kind, first.path, first.data) == (1, 10.0, "run.opened", "", {"run": "r1"})
    assert (second.path, log.head) == ("root/a", second.hash)


def test_the_hash_is_what_the_documentation_says() -> None:
    kind, path, body = (part.encode() for part in ROW[2:])
    frame = struct.pack(">qdII", 7, 1.5, len(kind), len(path))
    assert chain(GENESIS, ROW) == hashlib.sha256(GENESIS + frame + kind + path + body).digest()
    assert hashlib.sha256(b"antiphon log 1").digest() == GENESIS


@pytest.mark.parametrize(
    "other",
    [
        ROW._replace(seq=8),
        ROW._replace(at=1.5000000000000002),
        ROW._replace(kind="call.ende", path="droot/find/é"),
        ROW._replace(path="root/find/", body="é" + ROW.body),
        ROW._replace(body=ROW.body + " "),
    ],
)
def test_every_field_and_every_border_between_fields_is_hashed(other: Row) -> None:
    assert chain(GENESIS, other) != chain(GENESIS, ROW)
    assert chain(b"\1" * 32, ROW) != chain(GENESIS, ROW)


async def test_an_empty_log_has_the_genesis_as_its_head() -> None:
    log = MemoryLog()
    assert log.head == GENESIS.hex()
    assert not log.events()


async def test_a_history_is_gone_on_from() -> None:
    whole, first = MemoryLog(clock=lambda: 3.0), MemoryLog(clock=lambda: 3.0)
    for log in (whole, first):
        log.enqueue("run.started", "", {"epoch": 1})
    second = MemoryLog(clock=lambda: 3.0, history=first.events())
    assert (first.epoch, second.epoch) == (1, 2)
    whole.enqueue("note", "", {"text": "x"})
    second.enqueue("note", "", {"text": "x"})
    assert second.events() == whole.events()
    assert second.head == whole.head


@pytest.mark.parametrize(
    "data",
    [{"a": float("nan")}, {"a": float("inf")}, {"a": {1, 2}}, {"a": b"x"}, {"a": "x" * MAX_BODY}],
)
async def test_what_json_cannot_say_is_refused_and_leaves_no_gap(data: Mapping[str, Json]) -> None:
    log = MemoryLog()
    with pytest.raises(NotEncodable, match=r"call\.ended at root/x") as caught:
        log.enqueue("call.ended", "root/x", data)
    assert caught.value.exit_code == 2
    assert log.enqueue("note", "", {}).seq == 1


async def test_data_nested_without_end_is_refused() -> None:
    data: dict[str, Json] = {}
    data["self"] = data
    with pytest.raises(NotEncodable):
        MemoryLog().enqueue("note", "", data)


async def test_an_event_keeps_the_data_of_its_moment() -> None:
    log, items = MemoryLog(), list[Json]([1])
    log.enqueue("note", "", {"items": items})
    items.append(2)
    assert log.events()[0].data == {"items": [1]}


async def test_names_that_are_not_unicode_are_recorded() -> None:
    log = MemoryLog()
    log.enqueue("note", "root/\udce9", {"text": "\udce9\ud800", "é": "ü\u2028"})
    event = log.events()[0]
    assert event.path == r"root/\udce9"
    assert event.data == {"text": "\udce9\ud800", "é": "ü\u2028"}


async def test_secrets_are_gone_from_data_path_and_watchers() -> None:
    log, seen = MemoryLog(redactor=Redactor({"MY_KEY": "s3cr3t\nvalue"})), list[object]()
    log.watch(lambda kind, path, at, data: seen.append((path, dict(data))))
    log.enqueue("note", "root/s3cr3t\nvalue", {"text": "a s3cr3t\nvalue b", "s3cr3t\nvalue": [{"x": 1}], "plain": "c"})
    event = log.events()[0]
    assert event.data == {"text": "a [secret:MY_KEY] b", "[secret:MY_KEY]": [{"x": 1}], "plain": "c"}
    assert event.path == "root/[secret:MY_KEY]"
    assert seen == [(event.path, event.data)]
    assert log.redact("s3cr3t\nvalue") == "[secret:MY_KEY]"


async def test_watchers_see_every_event_in_order_without_copies() -> None:
    log, seen, data = MemoryLog(clock=lambda: 2.0), list[object](), {"text": "x"}
    log.watch(lambda kind, path, at, data: seen.append((kind, path, at, data)))
    log.enqueue("note", "root", data)
    await log.append("note", "root/b", {})
    assert seen == [("note", "root", 2.0, data), ("note", "root/b", 2.0, {})]


async def test_a_watcher_that_fails_is_detached_and_the_log_says_so() -> None:
    log, calls = MemoryLog(), list[str]()

    def broken(kind: str, path: str, at: float, data: Mapping[str, Json]) -> None:
        calls.append(kind)
        raise ZeroDivisionError("oops")

    log.watch(broken)
    assert log.enqueue("state", "", {}).seq == 1
    log.enqueue("state", "", {})
    assert calls == ["state"]
    assert [event.kind for event in log.events()] == ["state", "note", "state"]
    assert log.events()[1].data == {"text": "a watcher failed and was detached: ZeroDivisionError: oops"}


async def test_a_log_in_memory_is_a_log() -> None:
    log: Log = MemoryLog()
    assert log.epoch == 1


leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
documents = st.dictionaries(
    st.text(), st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.text(), st.text(), documents), max_size=5))
def test_what_goes_in_comes_out(given_events: list[tuple[str, str, dict[str, Json]]]) -> None:
    log = MemoryLog()
    for kind, path, data in given_events:
        log.enqueue(kind, path, data)
    assert [(event.kind, event.path, event.data) for event in log.events()] == given_events
    head = GENESIS
    for event in log.events():
        body = json.dumps(event.data, separators=(",", ":"))
        head = chain(head, Row(event.seq, event.at, event.kind, event.path, body))
        assert event.hash == head.hex()


def test_an_event_is_a_plain_value() -> None:
    event = Event(1, 2.0, "note", "", {}, "00")
    assert event == Event(1, 2.0, "note", "", {}, "00")
    assert LogClosed("note").advice is not None
