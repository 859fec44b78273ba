"""A model that is a person or another program: each request is a file, and so is its answer (docs/file-model.md).

``--model file:DIR``. The name of a request's file follows from what is asked, so that after a restart the same request
has the same file: an answer that came meanwhile is taken, and nobody is asked twice. Answers stay where they are: they
are what a restart goes on from. Only errors are put aside once they were told, because who tries again wants another.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from antiphon.engine import InfrastructureError, UsageError
from antiphon.subagents.model.contract import Capabilities, Completion, Request
from antiphon.subagents.model.file_format import (
    MAX_ANSWER_BYTES,
    Exchange,
    Options,
    Unreadable,
    answered,
    asked,
    id_of,
    options_of,
    put_whole,
    read_plain,
    written,
)
from antiphon.tracing import Json

_FIRST_LOOK_SECONDS = 0.01
_SLOWER = 1.5

Signature = tuple[int, int, int, int]


def file_capabilities(directory: Path | str) -> Capabilities:
    """What the model behind a directory can, as its `model.json` says. Raises `UsageError` when that cannot be read."""
    return _options(Path(directory)).can


class FileClient:
    """Asks by files in a directory, which is made when something is first asked.

    Args:
        directory: where requests go and answers come from.

    Raises:
        UsageError: its `model.json` cannot be read.
    """

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory).expanduser().absolute()
        self._options = _options(self.directory)
        self._waiting: Counter[str] = Counter()
        self._closed = False

    @property
    def capabilities(self) -> Capabilities:
        """What `model.json` says that the model can; by default everything, of any length, for nothing."""
        return self._options.can

    async def complete(self, request: Request) -> Completion:
        """The answer in the file that somebody leaves; waits for as long as that takes.

        An answer that cannot be read is not taken: a file beside it says why, until another one is there. Cancelled,
        it takes the request back.

        Raises:
            InfrastructureError: as the answer says; or the directory cannot be used (``environment``).
            ContextTooLong, ContentRefused, BadRequest: as the answer says.
        """
        if self._closed:
            raise InfrastructureError("environment", f"{self.directory} is not asked any more: the run is over")
        document = asked(request)
        exchange = Exchange(self.directory, id_of(document))
        with self._held(exchange):
            return await self._answer(exchange, document, request)

    async def close(self) -> None:
        """Ask nothing any more. Whoever still waits is cancelled by whoever asked."""
        self._closed = True

    @contextmanager
    def _held(self, exchange: Exchange) -> Generator[None]:
        """While somebody waits for it the request stays; what nobody waits for any more is taken back."""
        self._waiting[exchange.id] += 1
        try:
            yield
        finally:
            self._waiting[exchange.id] -= 1
            if not self._waiting[exchange.id]:
                del self._waiting[exchange.id]
                _withdraw(exchange)

    async def _answer(self, exchange: Exchange, document: dict[str, Json], request: Request) -> Completion:
        refused: Signature | None = None
        delay = _FIRST_LOOK_SECONDS
        while True:
            seen = _signature(exchange.answer)
            if seen is not None and seen != refused:
                found = await anyio.to_thread.run_sync(partial(_taken, exchange, request))
                if isinstance(found, Completion):
                    return found
                if isinstance(found, Exception):
                    raise found
                refused = seen
            if not _is_plain(exchange.request):  # also when somebody else took it back
                await anyio.to_thread.run_sync(partial(_ask, exchange, document))
            await anyio.sleep(delay)
            delay = min(delay * _SLOWER, self._options.poll_seconds)


def _options(directory: Path) -> Options:
    try:
        return options_of(directory)
    except FileNotFoundError:
        raise UsageError(f"{directory} went away while it was read") from None
    except Unreadable as error:
        advice = "docs/file-model.md says what it may hold"
        raise UsageError(f"{directory / 'model.json'}: {error}", advice=advice) from None


def _signature(path: Path) -> Signature | None:
    """What tells one content of a file from the next without reading it; None if there is no file."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    # The time of the last change of rights too: what could not be read may be readable now.
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def _is_plain(path: Path) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _ask(exchange: Exchange, document: dict[str, Json]) -> None:
    try:
        exchange.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        put_whole(exchange.request, written(document, exchange.id))
    except OSError as error:
        raise InfrastructureError(
            "environment", f"{exchange.directory} cannot be written: {error.strerror or error}"
        ) from error


def _taken(exchange: Exchange, request: Request) -> Completion | Exception | None:
    """The answer that is there; None if it cannot be taken, and why is said beside it."""
    try:
        tools = [tool.name for tool in request.tools]
        found = answered(read_plain(exchange.answer, MAX_ANSWER_BYTES), tools, request.force, exchange.id)
    except FileNotFoundError:
        return None
    except Unreadable as error:
        with suppress(OSError):
            put_whole(exchange.problem, f"{exchange.answer.name} is not taken: {error}\n".encode())
        return None
    with suppress(OSError):
        exchange.problem.unlink(missing_ok=True)
    if isinstance(found, Exception):
        _put_aside(exchange)
    return found


def _put_aside(exchange: Exchange) -> None:
    """An error was told. A retry of the same request must find no answer, so this must work or be said."""
    try:
        exchange.answer.replace(exchange.failed)
    except FileNotFoundError:
        return
    except OSError as error:
        raise InfrastructureError(
            "environment", f"{exchange.answer} cannot be put aside: {error.strerror or error}"
        ) from error


def _withdraw(exchange: Exchange) -> None:
    """Take back a request that was not answered. One that was stays beside its answer, to be read by people."""
    with suppress(OSError):
        if not os.path.lexists(exchange.answer):
            exchange.request.unlink(missing_ok=True)
            exchange.problem.unlink(missing_ok=True)
