"""The root of every antiphon error, and the errors of this floor.

    AntiphonError                exit code 1
    ├── NotEncodable             2   an event holds something that JSON cannot say
    ├── LogMissing               2   there is no log in that directory
    ├── LogBusy                  2   another process owns the log
    ├── LogTooNew                2   a newer antiphon wrote it
    ├── NetworkFilesystem        2   the log would be on a file system it cannot trust
    ├── LogUnusable             74   the directory cannot be read or written
    ├── LogDamaged              74   the database or the chain is broken
    ├── LogFailed               74   a commit failed: disk full or I/O
    ├── LogClosed                1   used after it was closed
    ├── BlobDamaged             74   a blob is missing or is not what its name says
    └── ExporterMissing          2   export was asked for, the package is not there

Each message is one sentence that says what happened, where and why; `advice` is what to type next.
"""

from pathlib import Path


class AntiphonError(Exception):
    """The base of all errors that antiphon raises on purpose.

    Attributes:
        message: One sentence: what happened, where, and the cause.
        advice: The next command to type, or what to change; `None` if there is nothing to do.
        exit_code: What the command line exits with when this error ends it.
    """

    exit_code: int = 1

    def __init__(self, message: str, *, advice: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    def __reduce__(self) -> tuple[object, ...]:
        """Survive pickling although subclasses take other arguments than their message."""
        return _restore, (type(self), self.__dict__)


def _restore(kind: type[AntiphonError], state: dict[str, object]) -> AntiphonError:
    error = kind.__new__(kind, state.get("message"))
    error.__dict__.update(state)
    return error


class NotEncodable(AntiphonError):
    """An event's data cannot be written as JSON, or is too large for one event."""

    exit_code = 2

    def __init__(self, kind: str, path: str, reason: str) -> None:
        self.kind, self.path, self.reason = kind, path, reason
        where = f" at {path}" if path else ""
        super().__init__(
            f"The event {kind}{where} cannot be recorded: {reason}.",
            advice="Pass values made of dict, list, str, int, finite float, bool and None; put large ones in a file.",
        )


class LogMissing(AntiphonError):
    """There is no log in the directory."""

    exit_code = 2

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        super().__init__(f"There is no run in {directory}: it holds no run.db.", advice="antiphon runs")


class LogBusy(AntiphonError):
    """Another process owns the log.

    Attributes:
        pid: The owner's process id; `None` if it could not be told.
        host: The owner's host name; `None` if it could not be told.
    """

    exit_code = 2

    def __init__(self, directory: Path, pid: int | None, host: str | None = None) -> None:
        self.directory, self.pid, self.host = directory, pid, host
        who = f"process {pid}" if pid is not None else "another process"
        where = f" on {host}" if host else ""
        super().__init__(
            f"The run in {directory} is in use by {who}{where}.",
            advice="Wait until it ends, or stop it with Ctrl-C where it runs; "
            f"`antiphon show {directory.name}` reads it meanwhile.",
        )


class LogTooNew(AntiphonError):
    """A newer antiphon wrote this log.

    Attributes:
        found: The schema version in the file.
        supported: The newest schema version that this antiphon reads.
    """

    exit_code = 2

    def __init__(self, directory: Path, found: int, supported: int) -> None:
        self.directory, self.found, self.supported = directory, found, supported
        super().__init__(
            f"The log in {directory} has schema version {found}, and this antiphon reads up to {supported}.",
            advice="pip install --upgrade antiphon",
        )


class NetworkFilesystem(AntiphonError):
    """The log would be on a network file system, where locks and fsync cannot be relied on."""

    exit_code = 2

    def __init__(self, directory: Path, filesystem: str) -> None:
        self.directory, self.filesystem = directory, filesystem
        super().__init__(
            f"{directory} is on {filesystem}, a network file system, where a log cannot be kept safely.",
            advice="Choose a directory on a local disk: --runs-dir DIRECTORY",
        )


class LogUnusable(AntiphonError):
    """The log's directory or files cannot be opened, read or written."""

    exit_code = 74

    def __init__(self, directory: Path, reason: str, *, advice: str | None = None) -> None:
        self.directory, self.reason = directory, reason
        super().__init__(
            f"The log in {directory} cannot be opened: {reason}.",
            advice=advice or "Check the directory's permissions, or choose another: --runs-dir DIRECTORY",
        )


class LogDamaged(AntiphonError):
    """The database is broken, or its chain of hashes does not hold.

    Attributes:
        seq: The first event that is wrong; `None` if the file as a whole is.
    """

    exit_code = 74

    def __init__(self, directory: Path, seq: int | None, reason: str) -> None:
        self.directory, self.seq, self.reason = directory, seq, reason
        where = f" at event {seq}" if seq is not None else ""
        super().__init__(
            f"The log in {directory} is damaged{where}: {reason}.", advice=f"antiphon verify {directory.name}"
        )


class LogFailed(AntiphonError):
    """A commit failed (disk full, I/O error); nothing later was recorded, and no write is tried again."""

    exit_code = 74

    def __init__(self, directory: Path, reason: str) -> None:
        self.directory, self.reason = directory, reason
        super().__init__(
            f"The log in {directory} could not be written, so the run was stopped: {reason}.",
            advice=f"Free some space or check the disk, then: antiphon resume {directory.name}",
        )


class LogClosed(AntiphonError):
    """An event was given to a log that is already closed."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__(
            f"The event {kind} came after the log was closed.",
            advice="Record inside `async with open_log(...)`; nothing may outlive it.",
        )


class BlobDamaged(AntiphonError):
    """A blob is missing, or its content is not what its name says.

    Attributes:
        digest: The blob's name: the sha256 of what it should hold, in hex.
    """

    exit_code = 74

    def __init__(self, digest: str, reason: str) -> None:
        self.digest, self.reason = digest, reason
        super().__init__(f"The blob {digest[:64]} cannot be used: {reason}.", advice="antiphon verify RUN")


class ExporterMissing(AntiphonError):
    """The environment asks for span export, and its package is not installed or not known.

    Attributes:
        exporter: What OTEL_TRACES_EXPORTER (or its default) named.
    """

    exit_code = 2

    def __init__(self, exporter: str, reason: str, *, advice: str = "pip install 'antiphon[otlp]'") -> None:
        self.exporter, self.reason = exporter, reason
        super().__init__(f"Spans cannot be exported with {exporter!r}: {reason}.", advice=advice)
