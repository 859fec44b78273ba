"""What each call was given, kept in the log: its task, and its frames once each, however many calls see them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import anyio
import anyio.to_thread

from antiphon.engine.settings import LARGE_BYTES, Blobs
from antiphon.tracing.errors import AntiphonError
from antiphon.tracing.log import Event, Json, Log

TURN = "turn"
"""The event that holds one turn of a call: its ``value``, or ``"blob"`` for its hash where it is large."""

FRAME = "frame"
"""The event that holds one frame: ``{"frame": digest, "value": …}``, or ``"blob"`` for its hash where it is large."""


@dataclass(slots=True)
class Received:
    """Writes down what calls are given.

    Attributes:
        log, blobs: where. known: the digests of the frames that the log holds already.
    """

    log: Log
    blobs: Blobs | None
    known: set[str] = field(default_factory=set[str])
    _earlier: dict[str, Mapping[str, Any]] | None = None

    async def fields(self, task: Json, frames: tuple[Json, ...]) -> dict[str, Json]:
        """The fields of `call.started` that say what a call is given; the frames themselves go before it."""
        if self.blobs is not None and _large(task):
            given: dict[str, Json] = {
                "task_blob": await self._put(self.log.redact(json.dumps(task, ensure_ascii=False)))
            }
        else:
            given = {"task": task}
        if frames:
            given["frames"] = [await self.keep(frame) for frame in frames]
        return given

    async def keep(self, frame: Json) -> str:
        """Write one immutable value down, once however often it is kept: its digest."""
        text = self.log.redact(json.dumps(frame, sort_keys=True, ensure_ascii=False))
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        if digest in self.known:
            return digest
        fields: dict[str, Json] = {"frame": digest}
        if self.blobs is not None and len(text) > LARGE_BYTES:
            fields["blob"] = await self._put(text)
        else:
            fields["value"] = frame
        if digest not in self.known:  # another call may have written it meanwhile; nothing is awaited from here on
            self.known.add(digest)
            self.log.enqueue(FRAME, "", fields)
        return digest

    async def kept(self, digest: str) -> Json:
        """What an earlier attempt of the run kept under a digest; None where the log or the blobs do not hold it."""
        if self._earlier is None:
            self._earlier = frames_in(self.log.events())
        fields = self._earlier.get(digest)
        if fields is None:
            return None
        return await anyio.to_thread.run_sync(opened, fields, self.blobs) if "blob" in fields else opened(fields, None)

    async def turn(self, path: str, value: Json) -> Json:
        """Write down one turn of the call at a path, durable on return; the value as the log holds it."""
        text = self.log.redact(json.dumps(value, ensure_ascii=False))
        kept = cast("Json", json.loads(text))
        large = self.blobs is not None and len(text) > LARGE_BYTES
        await self.log.append(TURN, path, {"blob": await self._put(text)} if large else {"value": kept})
        return kept

    async def _put(self, text: str) -> str:
        assert self.blobs is not None
        digest = ""
        with anyio.CancelScope(shield=True):
            digest = await anyio.to_thread.run_sync(self.blobs.put, text.encode("utf-8", "backslashreplace"))
        return digest


@dataclass(frozen=True, slots=True)
class Given:
    """What one call was given, read back. Either is None where the log, or the run's blobs, do not hold it."""

    task: Json
    frames: tuple[Json, ...] | None


def frames_in(events: Iterable[Event]) -> dict[str, Mapping[str, Any]]:
    """By digest: the event fields of every frame in a log."""
    return {str(event.data.get("frame")): event.data for event in events if event.kind == FRAME}


def turns_of(recorded: Iterable[Mapping[str, Any]], blobs: Blobs | None) -> tuple[Json, ...]:
    """The turns in the fields of `turn` events, up to the first that the run's blobs do not hold any more."""
    turns: list[Json] = []
    for fields in recorded:
        turn = opened(fields, blobs)
        if turn is None:
            break
        turns.append(turn)
    return tuple(turns)


def given_to(started: Mapping[str, Any], frames: Mapping[str, Mapping[str, Any]], blobs: Blobs | None) -> Given:
    """What a call was given.

    Args:
        started: the fields of its `call.started`.
        frames: what `frames_in` gives for the same log.
        blobs: the run's, or None; content that was changed there counts as not held.
    """
    task = opened({"blob": started["task_blob"]}, blobs) if "task_blob" in started else started.get("task")
    named = cast("object", started.get("frames", []))
    digests = [str(digest) for digest in cast("list[object]", named)] if isinstance(named, list) else None
    if digests is None or not frames.keys() >= set(digests):
        return Given(cast("Json", task), None)
    return Given(cast("Json", task), tuple(opened(frames[digest], blobs) for digest in digests))


def opened(fields: Mapping[str, Any], blobs: Blobs | None) -> Json:
    """The value in the fields of a `frame` or `turn` event; None where the run's blobs do not hold it."""
    if "blob" not in fields:
        return cast("Json", fields.get("value"))
    try:
        return cast("Json", json.loads(blobs.get(str(fields["blob"])))) if blobs is not None else None
    except (AntiphonError, ValueError, RecursionError):
        return None


def _large(task: Json) -> bool:
    if isinstance(task, str):
        return len(task) > LARGE_BYTES
    return isinstance(task, (dict, list)) and len(json.dumps(task)) > LARGE_BYTES
