"""Export to a real collector on loopback, and to none."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter, SpanExportResult

from antiphon.tracing import ExporterMissing, MemoryLog, SpanExport, exporting, open_log, span_id, trace_id, verify_log
from antiphon.tracing.export import exporter_from_environment

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

TRACE = trace_id("run-1")


class Collector(ThreadingHTTPServer):
    """Takes OTLP over HTTP and keeps the spans."""

    daemon_threads = True

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.answer = 200
        self.released = threading.Event()
        self.released.set()
        super().__init__(("127.0.0.1", 0), Receiver)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        collector = cast("Collector", self.server)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        collector.released.wait(20)
        if collector.answer == 200 and self.path == "/v1/traces":
            request = ExportTraceServiceRequest.FromString(body)
            collector.spans += [
                span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans
            ]
        self.send_response(collector.answer)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing, instead of a line on stderr for each request."""


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENDPOINT", "TRACES_ENDPOINT", "PROTOCOL", "TRACES_PROTOCOL", "HEADERS", "TIMEOUT"):
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_{name}", raising=False)
    for name in ("OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with Collector() as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.endpoint)
        yield server
        server.released.set()
        server.shutdown()
        serving.join()


def run(log: MemoryLog, calls: int) -> None:
    root = span_id("root")
    log.enqueue("run.opened", "", {"run": "run-1", "workflow": "audit", "trace": TRACE})
    log.enqueue("run.started", "", {"epoch": 1, "span": root})
    for number in range(calls):
        path, span = f"root/{number}", span_id("call", number)
        log.enqueue("call.started", path, {"call": "agent", "name": "worker", "span": span, "parent": root})
        log.enqueue("call.ended", path, {"kind": "succeeded", "spent": {"model_calls": 1}, "span": span})
    log.enqueue("run.ended", "", {"kind": "completed"})


async def test_a_burst_of_6001_spans_arrives_whole(collector: Collector) -> None:
    log = MemoryLog()
    async with exporting(log, close_seconds=30) as export:
        run(log, 6000)
    assert export is not None
    assert (export.exported, export.dropped) == (6001, 0)
    assert len({span.span_id for span in collector.spans}) == 6001
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    assert {span.name for span in collector.spans} == {"invoke_agent worker", "invoke_workflow audit"}
    root = next(span for span in collector.spans if not span.parent_span_id)
    assert all(span.parent_span_id == root.span_id for span in collector.spans if span is not root)


async def test_a_resumed_run_exports_into_the_same_trace(collector: Collector, tmp_path: Path) -> None:
    async with open_log(tmp_path) as log:
        await log.append("run.opened", "", {"run": "run-1", "workflow": "audit", "trace": TRACE})
    async with open_log(tmp_path) as log, exporting(log) as export:
        log.enqueue("run.started", "", {"epoch": 2, "span": span_id("second")})
        log.enqueue("run.ended", "", {"kind": "completed"})
    assert export is not None
    assert (export.exported, export.dropped) == (1, 0)
    assert collector.spans[0].trace_id.hex() == TRACE


async def test_what_is_open_when_the_export_ends_is_sent_marked(collector: Collector) -> None:
    log = MemoryLog()
    async with exporting(log) as export:
        log.enqueue("run.opened", "", {"run": "run-1", "workflow": "audit", "trace": TRACE})
        log.enqueue("run.started", "", {"epoch": 1, "span": span_id("root")})
    assert export is not None
    assert export.exported == 1
    assert "antiphon.unfinished" in {attribute.key for attribute in collector.spans[0].attributes}


async def test_a_dead_collector_harms_nothing_and_everything_is_counted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
        began = time.monotonic()
        async with open_log(tmp_path) as log, exporting(log, close_seconds=0.2) as export:
            log.enqueue("run.opened", "", {"run": "run-1", "workflow": "audit", "trace": TRACE})
            for number in range(2000):
                log.enqueue("call.started", f"root/{number}", {"call": "step", "name": "s", "span": span_id(number)})
                log.enqueue("call.ended", f"root/{number}", {"kind": "succeeded", "span": span_id(number)})
            await log.flush()
    assert export is not None
    assert (export.exported, export.dropped) == (0, 2000)
    assert time.monotonic() - began < 8  # its own time limit is 10 s
    assert verify_log(tmp_path, log.head).ok


async def test_a_collector_that_hangs_is_not_waited_for(collector: Collector) -> None:
    collector.released.clear()
    log, began = MemoryLog(), time.monotonic()
    async with exporting(log, close_seconds=0.2) as export:
        run(log, 1500)
    assert export is not None
    assert export.exported + export.dropped == 1501
    assert export.exported == 0
    assert time.monotonic() - began < 8
    collector.released.set()


async def test_a_refusal_counts_as_dropped(collector: Collector) -> None:
    collector.answer = 400
    log = MemoryLog()
    async with exporting(log) as export:
        run(log, 10)
    assert export is not None
    assert (export.exported, export.dropped) == (0, 11)


class Broken(SpanExporter):
    """An exporter with a bug."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        raise ZeroDivisionError


async def test_an_exporter_that_raises_harms_nothing() -> None:
    log, export = MemoryLog(), SpanExport(Broken())
    log.watch(export.follow)
    run(log, 10)
    export.close(5)
    export.close(5)
    assert (export.exported, export.dropped) == (0, 11)
    assert "note" not in {event.kind for event in log.events()}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, None),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, "OTLPSpanExporter"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}, "OTLPSpanExporter"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "OTLPSpanExporter"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "ConsoleSpanExporter"),
    ],
)
def test_the_environment_decides(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    exporter = exporter_from_environment()
    assert (exporter and type(exporter).__name__) == expected
    if exporter is not None:
        exporter.shutdown()


def test_the_console_exporter_keeps_off_stdout(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    exporter = exporter_from_environment()
    assert isinstance(exporter, ConsoleSpanExporter)
    log, export = MemoryLog(), SpanExport(exporter)
    log.watch(export.follow)
    run(log, 1)
    export.close(5)
    captured = capsys.readouterr()
    assert "invoke_agent worker" in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    ("variables", "advice"),
    [
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "grpc"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "smoke"}, "unset OTEL_EXPORTER_OTLP_PROTOCOL"),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "otlp,console"}, "otlp"),
    ],
)
async def test_an_exporter_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], advice: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ExporterMissing) as caught:
        async with exporting(MemoryLog()):
            pytest.fail("started")
    assert caught.value.advice is not None
    assert advice in caught.value.advice


async def test_nothing_asked_for_is_nothing_done() -> None:
    log = MemoryLog()
    async with exporting(log) as export:
        run(log, 1)
    assert export is None
