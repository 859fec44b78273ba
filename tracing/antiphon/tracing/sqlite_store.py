"""The log that lasts: events gathered in memory and committed together by one writer task, in a worker thread."""

import os
import socket
import sys
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import final

from anyio import CancelScope, CapacityLimiter, create_task_group
from anyio import Event as Signal
from anyio.lowlevel import cancel_shielded_checkpoint
from anyio.to_thread import run_sync

from antiphon.tracing.database import Database
from antiphon.tracing.errors import LogClosed, LogFailed, LogUnusable, NetworkFilesystem
from antiphon.tracing.filesystem import filesystem_of, is_network
from antiphon.tracing.log import Event, Intake, Json, Row, Stamp, last_epoch
from antiphon.tracing.ownership import Ownership
from antiphon.tracing.redact import Redactor


@final
class SqliteLog(Intake):
    """The log in a run's directory. `open_log` makes it; see `Log` for what each method promises."""

    def __init__(
        self, directory: Path, database: Database, *, clock: Callable[[], float], redactor: Redactor | None
    ) -> None:
        super().__init__(clock=clock, redactor=redactor, seq=len(database.history))
        self.directory = directory
        self._database = database
        self._head = database.head.hex()
        self._epoch = 1 + last_epoch(database.history.of_kind("run.epoch"))
        self._failure: LogFailed | None = None
        self._closing = False
        self._gathered: list[Row] = []
        self._written = Signal()  # of the gathered rows: they are on the disk, or never will be
        self._writing: Signal | None = None  # the same of the rows that are being committed now
        self._wake = Signal()
        self._limiter = CapacityLimiter(1)  # its own, so that busy worker threads elsewhere cannot hold up a commit

    @property
    def head(self) -> str:
        """See `Log.head`."""
        return self._head

    @property
    def epoch(self) -> int:
        """See `Log.epoch`."""
        return self._epoch

    async def append(self, kind: str, path: str, data: Mapping[str, Json]) -> Stamp:
        """See `Log.append`."""
        stamp = self.enqueue(kind, path, data)
        await self._settled(self._written)
        return stamp

    async def flush(self) -> None:
        """See `Log.flush`."""
        self._refuse_if_failed()
        if self._gathered:
            await self._settled(self._written)
        elif self._writing is not None:
            await self._settled(self._writing)
        else:
            await cancel_shielded_checkpoint()

    def events(self) -> Sequence[Event]:
        """See `Log.events`."""
        return self._database.history

    async def write(self, failed: Callable[[], None]) -> None:
        """Commit what is gathered, batch after batch, until `stop`; `open_log` runs it. Calls `failed` on an error."""
        with CancelScope(shield=True):
            while await self._await_rows():
                rows, written = self._gathered, self._written
                self._gathered, self._written, self._writing = [], Signal(), written
                try:
                    self._head = await run_sync(self._database.commit, rows, limiter=self._limiter)
                except Exception as error:  # whatever it was: a waiter must not wait for ever
                    self._fail(error)
                    failed()
                    return
                self._writing = None
                written.set()

    def stop(self) -> None:
        """Take no more events; the writer ends once what is gathered is on the disk."""
        self._closing = True
        self._wake.set()

    def close(self) -> None:
        """Close the database; blocks. After a failure nothing is written again.

        Raises:
            LogFailed: A commit failed earlier, or the last checkpoint did.
        """
        if self._failure is not None:
            self._database.abandon()
        else:
            try:
                self._database.close()
            except Exception as error:
                self._fail(error)
        self._refuse_if_failed()

    async def _await_rows(self) -> bool:
        while not self._gathered:
            if self._closing:
                return False
            self._wake = Signal()
            await self._wake.wait()
        return True

    async def _settled(self, written: Signal) -> None:
        with CancelScope(shield=True):
            await written.wait()
        self._refuse_if_failed()

    def _fail(self, error: Exception) -> None:
        self._failure = LogFailed(self.directory, str(error))
        self._failure.__cause__ = error
        if self._writing is not None:
            self._writing.set()
        self._written.set()

    def _refuse_if_failed(self) -> None:
        # A new one for each caller: an exception raised twice carries the other caller's traceback.
        if self._failure is not None:
            raise LogFailed(self.directory, self._failure.reason) from self._failure.__cause__

    def _check(self, kind: str) -> None:
        self._refuse_if_failed()
        if self._closing:
            raise LogClosed(kind)

    def _store(self, row: Row) -> None:
        if not self._gathered:
            self._wake.set()
        self._gathered.append(row)


@asynccontextmanager
async def open_log(
    directory: Path,
    *,
    redactor: Redactor | None = None,
    clock: Callable[[], float] = time.time,
    filesystem_probe: Callable[[Path], str] = filesystem_of,
    full_fsync: bool = sys.platform == "darwin",
) -> AsyncGenerator[SqliteLog]:
    """Own the log in a run's directory, made if missing, until the block ends; an epoch event says so in it.

    Args:
        directory: The run's directory.
        redactor: Takes secrets out of what is recorded; `None` records everything as it is.
        clock: Gives unix seconds.
        filesystem_probe: Names the file system that a path is on.
        full_fsync: Flush the disk's own cache too, which only macOS needs to be asked for.

    Raises:
        LogBusy: Another process owns it.
        LogTooNew: A newer antiphon wrote it.
        NetworkFilesystem: It would be on one.
        LogUnusable: It cannot be opened, read or written.
        LogDamaged: The database or its chain is broken.
        LogFailed: A commit failed while it was open; the block was cancelled.
    """
    owner = await run_sync(_own, directory, filesystem_probe)
    directory = owner.directory
    try:
        database = await run_sync(lambda: Database(directory, full_fsync=full_fsync))
        log = SqliteLog(directory, database, clock=clock, redactor=redactor)
        try:
            with _alone():
                async with create_task_group() as tasks:
                    tasks.start_soon(log.write, tasks.cancel_scope.cancel)
                    try:
                        await log.append("run.epoch", "", {"epoch": log.epoch, **await run_sync(_identity)})
                        yield log
                    finally:
                        log.stop()
        finally:
            with CancelScope(shield=True):
                await run_sync(log.close)
    finally:
        owner.release()


def _own(directory: Path, filesystem_probe: Callable[[Path], str]) -> Ownership:
    directory = directory.absolute()  # whoever changes the working directory later does not move the run
    filesystem = filesystem_probe(directory)
    if is_network(filesystem):
        raise NetworkFilesystem(directory, filesystem)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LogUnusable(directory, f"it cannot be made ({error.strerror})") from error
    return Ownership(directory)


def _identity() -> dict[str, Json]:
    from importlib.metadata import version  # costs 10 ms, so not at import

    return {"pid": os.getpid(), "host": socket.gethostname(), "version": version("antiphon")}


@contextmanager
def _alone() -> Generator[None]:
    """Raise the error of the block as it is. A task group wraps it, and here only the block can raise."""
    try:
        yield
    except BaseExceptionGroup as group:
        if len(group.exceptions) != 1:
            raise
        error = group.exceptions[0]
    else:
        return
    raise error
