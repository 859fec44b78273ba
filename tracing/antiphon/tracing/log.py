"""What a log is: events in one order, each carrying the hash of the one before; and the log that lives in memory."""

import json
import struct
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple, Protocol, TypeAlias, cast, final

from anyio.lowlevel import cancel_shielded_checkpoint

from antiphon.tracing.errors import NotEncodable
from antiphon.tracing.redact import Redactor

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""A value that JSON can say; floats are finite."""

Watcher: TypeAlias = Callable[[str, str, float, Mapping[str, Json]], None]
"""A live follower, called with `(kind, path, at, data)` in log order, before the event is durable."""

MAX_BODY = 16 * 2**20
"""The largest event, in bytes of JSON. Larger values belong in a blob."""

GENESIS = sha256(b"antiphon log 1").digest()
"""The hash before the first event."""

_FRAME = struct.Struct(">qdII")
# Built once: json.dumps with separators builds an encoder at each call. ASCII output keeps lone surrogates (file names
# that are not UTF-8) and gives text whose length in bytes is its length.
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Stamp(NamedTuple):
    """Where an event stands.

    Attributes:
        seq: Its place in the log, from 1.
        at: When it was taken in, in unix seconds by the log's clock.
    """

    seq: int
    at: float


class Row(NamedTuple):
    """An event as it is stored: `body` is its data as JSON text, byte for byte what is hashed."""

    seq: int
    at: float
    kind: str
    path: str
    body: str


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a log.

    Attributes:
        seq: Its place, from 1, without gaps.
        at: Unix seconds by the log's clock.
        kind: What happened, such as `call.ended`.
        path: The branch or call it happened to; `""` for the run.
        data: What is known of it.
        hash: The chain's hash up to and including this event, in hex.
    """

    seq: int
    at: float
    kind: str
    path: str
    data: dict[str, Json]
    hash: str


class Log(Protocol):
    """The record of one run. All methods belong to the event loop's thread."""

    @property
    def head(self) -> str:
        """The hash of the last committed event, in hex."""
        ...

    @property
    def epoch(self) -> int:
        """Which opening of the run this is, from 1."""
        ...

    def enqueue(self, kind: str, path: str, data: Mapping[str, Json]) -> Stamp:
        """Fix an event's place in the order now; it is durable before any later event is. Never blocks.

        Raises:
            NotEncodable: JSON cannot say `data`.
            LogFailed: An earlier commit failed.
            LogClosed: The log is closed.
        """
        ...

    async def append(self, kind: str, path: str, data: Mapping[str, Json]) -> Stamp:
        """Enqueue an event and return once it is durable. The wait is shielded from cancellation.

        Raises:
            NotEncodable: JSON cannot say `data`.
            LogFailed: The commit failed, or an earlier one did.
            LogClosed: The log is closed.
        """
        ...

    async def flush(self) -> None:
        """Return once everything enqueued is durable. The wait is shielded from cancellation.

        Raises:
            LogFailed: The commit failed, or an earlier one did.
        """
        ...

    def redact(self, text: str) -> str:
        """Replace what is secret in a text as the log itself does, for keys and paths made from it."""
        ...

    def events(self) -> Sequence[Event]:
        """The history as it was when the log was opened, for replay. A log in memory gives all of it."""
        ...

    def watch(self, watcher: Watcher) -> None:
        """Call `watcher` with every later event. One that raises is detached, and a note in the log says so."""
        ...


def chain(previous: bytes, row: Row) -> bytes:
    """The hash of an event, over the hash before it and everything the event says.

    Args:
        previous: The raw hash of the event before, or `GENESIS`.
        row: The event as stored. Lengths are part of what is hashed, so that no two events frame alike.

    Returns:
        32 raw bytes.
    """
    seq, at, kind, path, body = row
    kind_bytes, path_bytes = kind.encode(), path.encode()
    frame = _FRAME.pack(seq, at, len(kind_bytes), len(path_bytes))
    return sha256(b"".join((previous, frame, kind_bytes, path_bytes, body.encode()))).digest()


def encode(kind: str, path: str, data: Mapping[str, Json]) -> str:
    """An event's data as JSON text, in ASCII.

    Raises:
        NotEncodable: JSON cannot say it, or it is larger than `MAX_BODY`.
    """
    try:
        body = _encode(data)
    except (TypeError, ValueError, RecursionError) as error:
        raise NotEncodable(kind, path, str(error) or type(error).__name__) from error
    if len(body) > MAX_BODY:
        raise NotEncodable(kind, path, f"it takes {len(body)} bytes, and an event may take {MAX_BODY}")
    return body


def decode(row: Row, digest: bytes) -> Event:
    """The event that a stored row and its hash stand for.

    Raises:
        ValueError: Its body is not a JSON object.
        RecursionError: It is nested too deeply to be read.
    """
    data = json.loads(row.body)
    if not isinstance(data, dict):
        raise ValueError("it is JSON, but not an object")
    return Event(row.seq, row.at, row.kind, row.path, cast("dict[str, Json]", data), digest.hex())


class Intake:
    """What every log does with an event: encode, redact, number, store, tell the watchers."""

    def __init__(self, *, clock: Callable[[], float], redactor: Redactor | None, seq: int) -> None:
        self._clock = clock
        self._redactor = redactor
        self._seq = seq
        self._watchers: list[Watcher] = []

    def redact(self, text: str) -> str:
        """See `Log.redact`."""
        return text if self._redactor is None else self._redactor.redact(text)

    def watch(self, watcher: Watcher) -> None:
        """See `Log.watch`."""
        self._watchers.append(watcher)

    def enqueue(self, kind: str, path: str, data: Mapping[str, Json]) -> Stamp:
        """See `Log.enqueue`."""
        self._check(kind)
        body = encode(kind, path, data)
        redactor = self._redactor
        if redactor is not None:
            if redactor.finds(body):
                data = cast(dict[str, Json], redactor.redact_json(json.loads(body)))
                body = encode(kind, path, data)
            path = redactor.redact(path)
        if not path.isascii():
            path = path.encode("utf-8", "backslashreplace").decode()
        self._seq = seq = self._seq + 1
        # Adding 0.0 turns -0.0 into 0.0, which is what SQLite gives back for it.
        at = self._clock() + 0.0
        self._store(Row(seq, at, kind, path, body))
        if self._watchers:
            self._tell(kind, path, at, data)
        return Stamp(seq, at)

    def _tell(self, kind: str, path: str, at: float, data: Mapping[str, Json]) -> None:
        for watcher in tuple(self._watchers):
            try:
                watcher(kind, path, at, data)
            except Exception as error:
                self._watchers.remove(watcher)
                text = f"a watcher failed and was detached: {type(error).__name__}: {error}"
                self.enqueue("note", "", {"text": text})

    def _check(self, kind: str) -> None:
        """Refuse the event if the log can take no more."""

    def _store(self, row: Row) -> None:
        raise NotImplementedError


@final
class MemoryLog(Intake):
    """A log in memory, with the same chain and no threads, for tests and runs that nobody keeps.

    Args:
        clock: Gives unix seconds.
        redactor: Takes secrets out of what is recorded; `None` records everything as it is.
        history: Events of an earlier log to go on from.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        redactor: Redactor | None = None,
        history: Iterable[Event] = (),
    ) -> None:
        self._events = list(history)
        self._rows: list[Row] = []
        last = self._events[-1] if self._events else None
        self._head = bytes.fromhex(last.hash) if last else GENESIS
        self._epoch = 1 + last_epoch(self._events)
        super().__init__(clock=clock, redactor=redactor, seq=last.seq if last else 0)

    @property
    def head(self) -> str:
        """See `Log.head`."""
        return self.events()[-1].hash if self._rows else self._head.hex()

    @property
    def epoch(self) -> int:
        """See `Log.epoch`. It counts the `run.epoch` and `run.started` events of the history."""
        return self._epoch

    async def append(self, kind: str, path: str, data: Mapping[str, Json]) -> Stamp:
        """See `Log.append`. There is nothing to wait for but one turn of the event loop."""
        stamp = self.enqueue(kind, path, data)
        await cancel_shielded_checkpoint()
        return stamp

    async def flush(self) -> None:
        """See `Log.flush`."""
        await cancel_shielded_checkpoint()

    def events(self) -> Sequence[Event]:
        """All events so far, the history's included."""
        for row in self._rows:
            self._head = chain(self._head, row)
            self._events.append(decode(row, self._head))
        self._rows.clear()
        return tuple(self._events)

    def _store(self, row: Row) -> None:
        self._rows.append(row)


def last_epoch(events: Iterable[Event]) -> int:
    """The highest epoch that `run.epoch` and `run.started` events tell of; 0 if none does."""
    told = (event.data.get("epoch") for event in events if event.kind in ("run.epoch", "run.started"))
    return max((epoch for epoch in told if isinstance(epoch, int)), default=0)
