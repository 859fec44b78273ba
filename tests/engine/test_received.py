"""What a call was given can be read back from the log: its task, and every frame once."""

import hashlib
from collections.abc import Sequence
from typing import Any

import pytest

from antiphon.engine import UsageError
from antiphon.engine.received import Given, frames_in, given_to
from antiphon.engine.script.api import agent, branch, parallel
from antiphon.engine.settings import LARGE_BYTES
from antiphon.engine.testing import AnsweringCalls, MemoryRun, memory_run
from antiphon.tracing import Event, MemoryLog, Redactor

pytestmark = pytest.mark.anyio


class Kept:
    """Blobs in memory."""

    def __init__(self) -> None:
        self.by_digest: dict[str, bytes] = {}

    def put(self, content: bytes) -> str:
        """See `Blobs`."""
        digest = hashlib.sha256(content).hexdigest()
        self.by_digest[digest] = content
        return digest

    def get(self, digest: str) -> bytes:
        """See `Blobs`."""
        if digest not in self.by_digest:
            raise UsageError("it is gone")
        return self.by_digest[digest]


async def script() -> int:
    """Three calls that see one frame, and one that sees another as well."""

    async def inside() -> None:
        await parallel([agent(f"look at {n}") for n in range(3)])
        await agent("look again", context=[{"found": [1, 2]}])

    outcome = await branch("b", inside(), context=["the task is small"])
    return len(outcome.reason)


async def ran(history: Sequence[Event] = ()) -> MemoryRun:
    """The script, performed or resumed."""
    return await memory_run(script, performers={"agent": AnsweringCalls()}, history=history)


def given(events: Any, blobs: Any = None) -> dict[str, Given]:
    """By label of the task: what each call was given."""
    frames = frames_in(events)
    found = [given_to(event.data, frames, blobs) for event in events if event.kind == "call.started"]
    return {str(one.task): one for one in found}


async def test_task_and_frames_are_read_back() -> None:
    found = given((await ran()).log.events())
    assert found["look at 1"] == Given("look at 1", ("the task is small",))
    assert found["look again"].frames == ("the task is small", {"found": [1, 2]})


async def test_a_frame_is_in_the_log_once_also_after_a_resume() -> None:
    first = await ran()
    assert len([event for event in first.log.events() if event.kind == "frame"]) == 2
    again = await ran(history=first.log.events()[:-6])
    values = [event.data.get("value") for event in again.log.events() if event.kind == "frame"]
    assert sorted(map(str, values)) == ["the task is small", "{'found': [1, 2]}"]


async def test_what_is_large_is_a_blob() -> None:
    blobs = Kept()
    large = "x" * (LARGE_BYTES + 1)

    async def big() -> Any:
        return await agent(large, context=[large, "small"])

    run = await memory_run(big, performers={"agent": AnsweringCalls()}, blobs=blobs)
    events: list[Event] = list(run.log.events())
    started = next(event for event in events if event.kind == "call.started")
    assert len(str(started.data)) < 2_000
    assert given_to(started.data, frames_in(events), blobs) == Given(large, (large, "small"))
    blobs.by_digest.clear()
    assert given_to(started.data, frames_in(events), blobs) == Given(None, (None, "small"))


class FullOnce(Kept):
    """Blobs on a disk that is full at first."""

    def put(self, content: bytes) -> str:
        """See `Blobs`."""
        if not self.by_digest:
            self.by_digest[""] = b""
            raise OSError(28, "no space left on device")
        return super().put(content)


@pytest.mark.real_time
async def test_a_frame_goes_before_every_call_that_names_it_also_after_a_full_disk() -> None:
    frame = "x" * (LARGE_BYTES + 1)

    async def several() -> Any:
        return len(await parallel([agent(f"{n}", context=[frame]) for n in range(4)]))

    for blobs in (Kept(), FullOnce()):
        run = await memory_run(several, performers={"agent": AnsweringCalls()}, blobs=blobs)
        kinds = [event.kind for event in run.log.events() if event.kind in ("frame", "call.started")]
        assert kinds.count("frame") == 1
        assert kinds[0] == "frame", "a call whose frame is not held"


async def test_secrets_are_in_neither() -> None:
    async def told() -> Any:
        return await agent("use hunter22-secret", context=["it is hunter22-secret"])

    redactor = Redactor({"TOKEN": "hunter22-secret"})
    run = await memory_run(told, performers={"agent": AnsweringCalls()}, log=MemoryLog(redactor=redactor))
    assert "hunter22-secret" not in str([event.data for event in run.log.events()])


def test_a_hostile_log_gives_nothing_it_does_not_hold() -> None:
    assert given_to({"task_blob": 3, "frames": ["no"]}, {}, None) == Given(None, None)
    assert given_to({"task": {"blob": "a task"}}, {}, None) == Given({"blob": "a task"}, ())
    assert given_to({"frames": 7}, {}, None) == Given(None, None)
    assert given_to({"task": [1]}, {}, Kept()) == Given([1], ())
