"""Spans out of the log: what it says happened, as OpenTelemetry sees it.

The log is the record and spans are a view of it, so nothing is lost when nobody listens. OpenTelemetry is imported by
whoever first needs it, not by importing this module.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, final

from antiphon.tracing import attributes as names
from antiphon.tracing.described import STARTS, Attribute, copy_plain, describe_end, outcome_of, text_of
from antiphon.tracing.log import Event, Json

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext

CAPTURE_VARIABLE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

_NANOSECONDS: Final = 10**9
_FINE: Final = frozenset({"succeeded", "degraded", "completed", "skipped", "paused", "cancelled"})
_CHAINS: Final = frozenset({"run", "branch", "phase"})


def trace_id(run_id: str) -> str:
    """The trace of a run, in 32 hex digits: the same in every process that works on it."""
    return blake2b(run_id.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def span_id(*parts: object) -> str:
    """A span's id, in 16 hex digits, from what tells it from all others of its run (epoch, path, attempt)."""
    text = "\0".join(map(str, parts))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def traceparent(trace: str, span: str) -> str:
    """The W3C trace context header, for the TRACEPARENT variable of a child process."""
    return f"00-{trace}-{span}-01"


def current_environment() -> dict[str, str]:
    """The variables that tell a child process under which span it works; empty where there is none."""
    from opentelemetry.trace import get_current_span

    ours = get_current_span().get_span_context()
    return {"TRACEPARENT": traceparent(f"{ours.trace_id:032x}", f"{ours.span_id:016x}")} if ours.is_valid else {}


def current_context(trace: str, span: str) -> AbstractContextManager[None]:
    """Let spans that others start inside the block, a user's own instrumentation, hang below a span of ours.

    Args:
        trace: 32 hex digits.
        span: 16 hex digits.
    """
    return _Current(trace, span)


@final
class _Current(AbstractContextManager[None]):
    """A class and not a generator: each call in flight holds one, and a generator holds its frame besides."""

    __slots__ = ("_ours", "_token")

    def __init__(self, trace: str, span: str) -> None:
        from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

        flags = TraceFlags(TraceFlags.SAMPLED)
        self._ours = NonRecordingSpan(SpanContext(int(trace, 16), int(span, 16), is_remote=False, trace_flags=flags))

    def __enter__(self) -> None:
        from opentelemetry import context
        from opentelemetry.trace import set_span_in_context

        self._token = context.attach(set_span_in_context(self._ours))

    def __exit__(self, *_: object) -> None:
        from opentelemetry import context

        context.detach(self._token)


def capture_asked() -> bool:
    """Whether the environment asks for content (tasks, values, reasons) in spans."""
    return os.environ.get(CAPTURE_VARIABLE, "").strip().lower() in ("true", "1", "span_only", "span_and_event")


@dataclass(slots=True)
class _Open:
    """A span that has started."""

    family: str
    name: str
    start: float
    span: str
    parent: str | None
    attributes: dict[str, Attribute] = field(default_factory=dict[str, Attribute])


@final
class SpanProjector:
    """Turns a run's events into finished spans. Feed it every event, in log order.

    Args:
        trace: The trace id, where the `run.opened` event is not among what will be fed.
        capture: Put content into attributes. It stays in the log otherwise.
    """

    def __init__(self, *, trace: str | None = None, capture: bool | None = None) -> None:
        self._builder = _Builder(trace)
        self._capture = capture_asked() if capture is None else capture
        self._open: dict[str, _Open] = {}
        self._at: dict[tuple[str, str], str] = {}
        self._root: str | None = None
        self._workflow = "workflow"
        self._run: str | None = None
        self._last = 0.0
        self._reused = 0

    def prime(self, events: Iterable[Event]) -> None:
        """Learn the run's name and trace from its history, without making spans of it."""
        for event in events:
            if event.kind == "run.opened":
                self._opened(event.data)

    def feed(self, kind: str, path: str, at: float, data: Mapping[str, Json]) -> list["ReadableSpan"]:
        """Take one event.

        Returns:
            The spans that ended with it; none if the run's trace is not known or spans are off.
        """
        family, _, what = kind.partition(".")
        ended: list[ReadableSpan] = []
        match kind:
            case "run.opened":
                self._opened(data)
            case "run.epoch":
                ended = self.finish()
            case "call.reused":
                self._reused += 1
            case _ if what == "started":
                self._start(family, path, at, data)
            case "run.ended":
                ended = self._end_run(at, data)
            case _ if what == "ended":
                ended = self._end(family, path, at, data)
            case _:
                pass
        self._last = max(self._last, at)
        return ended

    def finish(self) -> list["ReadableSpan"]:
        """Close what is still open, as cut off at the last event: the process ended without saying so."""
        left = list(self._open.values())
        self._open.clear()
        self._at.clear()
        self._root = None
        for span in left:
            span.attributes[names.UNFINISHED] = True
        return [built for span in left for built in self._builder.build(span, self._last, "unfinished")]

    def _opened(self, data: Mapping[str, Json]) -> None:
        self._builder.trace = text_of(data, "trace") or self._builder.trace
        self._workflow = text_of(data, "workflow") or self._workflow
        self._run = text_of(data, "run") or self._run

    def _start(self, family: str, path: str, at: float, data: Mapping[str, Json]) -> None:
        span = text_of(data, "span")
        if span is None or family not in STARTS:
            return
        parent = text_of(data, "parent") or (self._root if family != "run" else None)
        if family == "run":
            self._root = span
            data = {**data, "name": self._workflow}
        name, attributes = STARTS[family](data)
        attributes[names.PATH] = path
        if self._run is not None:
            attributes[names.RUN] = self._run
        if family in _CHAINS:
            attributes[names.OPENINFERENCE_KIND] = "CHAIN"
        copy_plain(data, attributes, epoch=names.EPOCH, phase=names.PHASE)
        if self._capture:
            copy_plain(data, attributes, task=names.TASK, label="antiphon.label")
        self._open[span] = _Open(family, name, at, span, parent, attributes)
        self._at[family, path] = span

    def _end(self, family: str, path: str, at: float, data: Mapping[str, Json]) -> list["ReadableSpan"]:
        key = text_of(data, "span") or self._at.get((family, path))
        opened = self._open.pop(key, None) if key is not None else None
        if opened is None:
            return []
        outcome = outcome_of(family, data)
        describe_end(opened.attributes, data, outcome)
        if self._capture:
            copy_plain(data, opened.attributes, reason=names.REASON, error="antiphon.error")
            if "value" in data:
                opened.attributes[names.VALUE] = json.dumps(data["value"])
        return list(self._builder.build(opened, at, outcome))

    def _end_run(self, at: float, data: Mapping[str, Json]) -> list["ReadableSpan"]:
        root, self._root = self._root, None
        if root is None or root not in self._open:
            return self.finish()
        if self._reused:
            self._open[root].attributes[names.REUSED] = self._reused
        return self._end("run", "", at, {**data, "span": root}) + self.finish()


@final
class _Builder:
    """Makes the SDK's spans. Importing the SDK waits until there is one to make."""

    def __init__(self, trace: str | None) -> None:
        self.trace = trace

    def build(self, span: _Open, end: float, outcome: str | None) -> Iterator["ReadableSpan"]:
        """The finished span, or none without a trace. Any outcome but a good one makes its status an error."""
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanKind, Status, StatusCode

        context = self._context(span.span)
        if context is None:
            return
        good = outcome is None or outcome.lower() in _FINE
        if not good:
            span.attributes.setdefault(names.ERROR_TYPE, str(outcome))
        yield ReadableSpan(
            span.name,
            context=context,
            parent=self._context(span.parent),
            resource=_resource(),
            attributes=span.attributes,
            kind=SpanKind.CLIENT if span.attributes.get(names.OPERATION) == "chat" else SpanKind.INTERNAL,
            status=Status(StatusCode.UNSET) if good else Status(StatusCode.ERROR, outcome),
            start_time=int(span.start * _NANOSECONDS),
            end_time=int(max(span.start, end) * _NANOSECONDS),
            instrumentation_scope=_scope(),
        )

    def _context(self, span: str | None) -> "SpanContext | None":
        from opentelemetry.trace import SpanContext, TraceFlags

        if span is None or self.trace is None:
            return None
        try:
            return SpanContext(int(self.trace, 16), int(span, 16), False, TraceFlags(TraceFlags.SAMPLED))
        except ValueError:
            return None


@cache
def _resource() -> "Resource":
    from opentelemetry.sdk.resources import Resource

    told = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return Resource.create({} if told else {"service.name": "antiphon"})


@cache
def _scope() -> "InstrumentationScope":
    from importlib.metadata import version

    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    return InstrumentationScope("antiphon", version("antiphon"))
