"""Cassettes: what a model answered, recorded once and played back without a key or a network."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from antiphon.engine import UsageError
from antiphon.subagents.model.contract import BadRequest, Completion, ModelClient, ModelFailure, Request
from antiphon.subagents.testing.taped import FAILURES, Taped, difference, key_of, nearest, request_out, taped_of
from antiphon.tracing import Json, Redactor

Mode = Literal["replay", "record", "auto"]
VERSION = 1
"""Of the file's format; a newer one is refused."""


class CassetteMiss(BadRequest):
    """A request that nobody recorded: not sent, and so not billed.

    Attributes:
        asked: the request, without secrets. nearest: the recorded one that is most like it, or None.
    """

    def __init__(self, path: Path, asked: Mapping[str, Json], near: Mapping[str, Json] | None, times: int) -> None:
        self.asked, self.nearest = asked, near
        if times:
            problem = f"the request was recorded {times} times and is asked once more"
        elif near is None:
            problem = "nothing is recorded in it"
        else:
            problem = f"the nearest recorded request is {key_of(near)[:16]}, with this difference:"
            problem += f"\n{difference(near, asked)}"
        advice = "record it: Cassette(path, mode='auto', client=…)"
        super().__init__(f"{path.name} has no answer to this request: {problem}", advice=advice)


class Cassette:
    """A model client that plays back what was recorded, for any provider.

    ::

        models = Models.of(["openai/gpt-5-mini"], clients={"openai/": Cassette("answers.jsonl", "replay")})

    A request is found again by what it says: model, messages, tools, schema, temperature; not by its deadline, its
    cache markers or the `max_tokens` that the budget left. The same request asked several times gets its answers in the
    order they were recorded. Secrets are gone before anything is hashed or written; headers are never seen here.
    Failures that depend on the hour (rate, network, …) are not recorded.

    Args:
        path: a file of JSON lines, sorted on `close` so that two recordings can be compared.
        mode: "replay" asks nobody; "record" begins anew; "auto" plays back what is there and records the rest.
        client: what answers while recording.
        redactor: takes secrets out; by default those of this process's environment, and well-known shapes.

    Attributes:
        misses: the requests that found no recorded answer, in order.

    Raises:
        UsageError: the file is missing or is no cassette, or a client is needed to record.
    """

    def __init__(
        self,
        path: str | Path,
        mode: Mode = "replay",
        *,
        client: ModelClient | None = None,
        redactor: Redactor | None = None,
    ) -> None:
        self.misses: list[Mapping[str, Json]] = []
        self._path, self._mode, self._client = Path(path), mode, client
        self._redactor = redactor or Redactor.from_environment()
        self._taped: defaultdict[str, list[Taped]] = defaultdict(list)
        self._played: Counter[str] = Counter()
        self._recorded = False
        if mode != "replay" and client is None:
            raise UsageError(f"a cassette in mode {mode!r} needs a client to record from", advice="pass client=…")
        self._load()

    @property
    def unplayed(self) -> list[Mapping[str, Json]]:
        """The recorded requests whose answers nobody asked for, in the file's order."""
        return [one.request for key, taped in self._taped.items() for one in taped[self._played[key] :]]

    async def complete(self, request: Request) -> Completion:
        """The recorded answer; or the client's, recorded now. See `ModelClient.complete`.

        Raises:
            CassetteMiss: it is not recorded, and this cassette only plays back.
        """
        asked = request_out(request, self._redactor)
        key = key_of(asked)
        taped, number = self._taped[key], self._played[key]
        if number < len(taped):
            self._played[key] += 1
            return _answer(taped[number])
        self.misses.append(asked)
        if self._mode == "replay" or self._client is None:
            near = None if taped else nearest(asked, (one.request for one in self))
            raise CassetteMiss(self._path, asked, near, len(taped))
        return await self._record(self._client, request, asked)

    async def close(self) -> None:
        """Sort what was recorded, and close the client."""
        if self._recorded:
            self._write(sorted(self, key=lambda one: one.key))
        if self._client is not None:
            await self._client.close()

    def __iter__(self) -> Iterator[Taped]:
        """Everything recorded."""
        return (one for taped in self._taped.values() for one in taped)

    async def _record(self, client: ModelClient, request: Request, asked: Mapping[str, Json]) -> Completion:
        try:
            answer: Completion | ModelFailure = await client.complete(request)
        except ModelFailure as failure:
            if type(failure).__name__ not in FAILURES:
                raise
            answer = failure
        taped = Taped(asked, answer)
        self._taped[taped.key].append(taped)
        self._played[taped.key] += 1
        self._recorded = True
        with self._path.open("a", encoding="utf-8") as file:
            file.write(taped.line(self._redactor))
        return _answer(taped)

    def _load(self) -> None:
        if self._mode == "record" or (self._mode == "auto" and not self._path.exists()):
            self._write([])
            return
        try:
            lines = self._path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{self._path}: {error}", advice="record it: mode='record', client=…") from None
        for number, line in enumerate(lines):
            try:
                self._read(number, line)
            except ValueError as error:
                raise UsageError(f"{self._path}:{number + 1}: {error}", advice="record it anew") from None

    def _read(self, number: int, line: str) -> None:
        if number:
            taped = taped_of(line)
            self._taped[taped.key].append(taped)
        elif line != _first_line().rstrip():
            raise ValueError(f"not a cassette of version {VERSION}")

    def _write(self, everything: list[Taped]) -> None:
        """All of the file at once: a recording cut off in between leaves the one before."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_name(f"{self._path.name}.{os.getpid()}.part")
        lines = [_first_line(), *(one.line(self._redactor) for one in everything)]
        beside.write_text("".join(lines), encoding="utf-8")
        beside.replace(self._path)


def _first_line() -> str:
    return json.dumps({"antiphon": "cassette", "version": VERSION}) + "\n"


def _answer(taped: Taped) -> Completion:
    if isinstance(taped.answer, Completion):
        return taped.answer
    raise type(taped.answer)(taped.answer.message)
