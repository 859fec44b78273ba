"""Spans to a collector, where the standard OTEL_* variables ask for it; the run never waits and never fails for it."""

import logging
import os
import sys
import threading
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, cast, final

from anyio import CancelScope
from anyio.to_thread import run_sync

from antiphon.tracing.errors import ExporterMissing
from antiphon.tracing.log import Json, Log
from antiphon.tracing.spans import SpanProjector

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

_BATCH: Final = 512
_GRACE_SECONDS: Final = 1.0

_Taken = tuple[str, str, float, Mapping[str, Json]]


@final
class SpanExport:
    """Follows a log and exports its spans from a thread of its own, through a queue without a bound.

    Attributes:
        exported: Spans that the collector has taken.
        dropped: Spans that were not sent: the collector refused them, or the time to close ran out.

    Args:
        exporter: Where spans go.
        projector: What makes spans of events; it must know the trace, or be fed the event that tells it.
    """

    def __init__(self, exporter: "SpanExporter", *, projector: SpanProjector | None = None) -> None:
        self.exported = 0
        self.dropped = 0
        self._exporter = exporter
        self._projector = projector or SpanProjector()
        self._queue: SimpleQueue[_Taken | None] = SimpleQueue()
        self._ready: list[ReadableSpan] = []
        self._sending: Sequence[ReadableSpan] = ()
        self._giving_up = False  # send nothing more, only count
        self._abandoned = False  # the thread hangs in a send, and its rest has been counted
        self._closed = False
        self._counting = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="antiphon-span-export", daemon=True)
        self._thread.start()

    def follow(self, kind: str, path: str, at: float, data: Mapping[str, Json]) -> None:
        """Take one event; a `Watcher`. The data must not change afterwards."""
        self._queue.put((kind, path, at, data))

    def close(self, timeout_seconds: float) -> None:
        """Send what is left and end; blocks. What was not sent when the time is over counts as dropped.

        Args:
            timeout_seconds: How long the collector may still take; a second more passes if it hangs.
        """
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._thread.join(timeout_seconds)
        if self._thread.is_alive():
            self._giving_up = True
            threading.Thread(target=self._exporter.shutdown, daemon=True).start()  # ends its retries
            self._thread.join(_GRACE_SECONDS)
        else:
            self._exporter.shutdown()
        self._settle()

    def _run(self) -> None:
        going = True
        while going and not self._abandoned:
            going = self._gather()
            while len(self._ready) >= _BATCH or (self._ready and self._queue.empty()):
                self._send(self._ready[:_BATCH])

    def _gather(self) -> bool:
        """Project events until there is a batch or nothing more waits; false once the last has been taken."""
        while True:
            taken = self._queue.get()
            self._ready += self._projector.finish() if taken is None else self._project(taken)
            if taken is None:
                return False
            if len(self._ready) >= _BATCH or self._queue.empty():
                return True

    def _project(self, taken: _Taken) -> list["ReadableSpan"]:
        try:
            return self._projector.feed(*taken)
        except Exception:  # an event that we cannot read must not end the export of all others
            self._count(dropped=1)
            return []

    def _send(self, spans: list["ReadableSpan"]) -> None:
        with self._counting:
            del self._ready[: len(spans)]
            self._sending = spans
        sent = not self._giving_up and self._export(spans)
        with self._counting:
            if self._sending is not spans:
                return  # the close ran out of patience and has counted these
            self._sending = ()
            if sent:
                self.exported += len(spans)
            else:
                self.dropped += len(spans)

    def _export(self, spans: Sequence["ReadableSpan"]) -> bool:
        from opentelemetry.sdk.trace.export import SpanExportResult

        try:
            return self._exporter.export(spans) is SpanExportResult.SUCCESS
        except Exception:  # whatever it was, the run goes on and the counter tells
            return False

    def _count(self, *, dropped: int) -> None:
        with self._counting:
            self.dropped += dropped

    def _settle(self) -> None:
        """Count what the thread still holds as dropped."""
        if not self._thread.is_alive():
            return
        with self._counting:
            self._abandoned = True
            self.dropped += len(self._sending) + len(self._ready)
            self._sending, self._ready = (), []
            while not self._queue.empty():
                taken = self._queue.get()
                left = self._projector.finish() if taken is None else self._projector.feed(*taken)
                self.dropped += len(left)


@asynccontextmanager
async def exporting(log: Log, *, close_seconds: float = 5.0) -> AsyncGenerator[SpanExport | None]:
    """Export the log's spans while the block runs, if the environment asks for it.

    Args:
        log: The run's log.
        close_seconds: How long the collector may take for what is left at the end.

    Returns:
        The export, whose counters stay readable after the block; `None` if none is asked for.

    Raises:
        ExporterMissing: It is asked for and cannot be had.
    """
    exporter = await run_sync(exporter_from_environment)
    if exporter is None:
        yield None
        return
    projector = SpanProjector()
    projector.prime(log.events())
    export = SpanExport(exporter, projector=projector)
    log.watch(export.follow)
    try:
        yield export
    finally:
        with CancelScope(shield=True):
            await run_sync(export.close, close_seconds)


def exporter_from_environment() -> "SpanExporter | None":
    """The exporter that OTEL_TRACES_EXPORTER and the OTLP variables ask for; `None` if they do not.

    An endpoint alone asks for OTLP. OTEL_SDK_DISABLED=true asks for nothing.

    Raises:
        ExporterMissing: It is not installed, or nobody knows it.
    """
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    wanted = os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if not wanted:
        endpoints = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
        wanted = "otlp" if any(os.environ.get(name) for name in endpoints) else "none"
    if wanted == "none":
        return None
    # Without this a collector that is away writes warnings across the terminal, where no logging is set up.
    logging.getLogger("opentelemetry.exporter").addHandler(logging.NullHandler())
    return _load(wanted)


def _load(wanted: str) -> "SpanExporter":
    if wanted == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter(out=sys.stderr)  # stdout is data
    if "," in wanted:
        raise ExporterMissing(wanted, "only one exporter at a time is supported", advice="OTEL_TRACES_EXPORTER=otlp")
    return _from_entry_point(wanted, _otlp_name() if wanted == "otlp" else wanted)


def _otlp_name() -> str:
    variables = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    protocol = next((os.environ[name] for name in variables if os.environ.get(name)), "http/protobuf")
    if protocol == "http/protobuf":
        return "otlp_proto_http"
    if protocol == "grpc":
        return "otlp_proto_grpc"
    raise ExporterMissing("otlp", f"the protocol {protocol!r} is not known", advice="unset OTEL_EXPORTER_OTLP_PROTOCOL")


def _from_entry_point(wanted: str, name: str) -> "SpanExporter":
    """Load an exporter by the name under which OpenTelemetry's packages announce theirs."""
    from importlib.metadata import entry_points

    found = tuple(entry_points(group="opentelemetry_traces_exporter", name=name))
    if not found:
        advice = _ADVICE.get(name, "OTEL_TRACES_EXPORTER=otlp, or install the package that brings it")
        raise ExporterMissing(wanted, "no installed package brings it", advice=advice)
    try:
        return cast("SpanExporter", found[0].load()())
    except ImportError as error:
        raise ExporterMissing(wanted, f"its package cannot be imported ({error})") from error
    except Exception as error:  # what an exporter makes of its variables is its own
        raise ExporterMissing(wanted, str(error), advice="Check the OTEL_* variables.") from error


_ADVICE: Final = {
    "otlp_proto_http": "pip install 'antiphon[otlp]'",
    "otlp_proto_grpc": "pip install opentelemetry-exporter-otlp-proto-grpc, or unset OTEL_EXPORTER_OTLP_PROTOCOL",
}
