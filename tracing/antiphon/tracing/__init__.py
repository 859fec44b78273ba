"""tracing: what happened, in order, and proof afterwards that nobody changed it.

A run has one `Log`. Events are given to it with `enqueue` (order is fixed now) or `append` (durable on return); each
carries the hash of the one before. `open_log` keeps it in a run's directory: `sqlite_store` gathers events and commits
them together in a worker thread, `database` writes the file, `reading` reads it from anywhere without trust,
`ownership` lets one process in at a time, `filesystem` refuses disks that are elsewhere. `MemoryLog` is the same chain
in memory. Secrets are gone before anything is hashed (`redact`). `verify_log` checks the chain and the blobs and
reports it vouches for. `spans` are a view of the log for OpenTelemetry and `export` sends them: both import its SDK
only when a span is made.
"""

from antiphon.tracing.blobs import BlobStore
from antiphon.tracing.errors import (
    AntiphonError,
    BlobDamaged,
    ExporterMissing,
    LogBusy,
    LogClosed,
    LogDamaged,
    LogFailed,
    LogMissing,
    LogTooNew,
    LogUnusable,
    NetworkFilesystem,
    NotEncodable,
)
from antiphon.tracing.export import SpanExport, exporting
from antiphon.tracing.log import Event, Json, Log, MemoryLog, Stamp, Watcher
from antiphon.tracing.reading import read_log
from antiphon.tracing.redact import Redactor
from antiphon.tracing.spans import SpanProjector, current_context, current_environment, span_id, trace_id, traceparent
from antiphon.tracing.sqlite_store import SqliteLog, open_log
from antiphon.tracing.verify import Verification, verify_log

__all__ = [
    "AntiphonError",
    "BlobDamaged",
    "BlobStore",
    "Event",
    "ExporterMissing",
    "Json",
    "Log",
    "LogBusy",
    "LogClosed",
    "LogDamaged",
    "LogFailed",
    "LogMissing",
    "LogTooNew",
    "LogUnusable",
    "MemoryLog",
    "NetworkFilesystem",
    "NotEncodable",
    "Redactor",
    "SpanExport",
    "SpanProjector",
    "SqliteLog",
    "Stamp",
    "Verification",
    "Watcher",
    "current_context",
    "current_environment",
    "exporting",
    "open_log",
    "read_log",
    "span_id",
    "trace_id",
    "traceparent",
    "verify_log",
]
