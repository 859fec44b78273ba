"""Spans as a view of the log."""

from collections.abc import Mapping
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from antiphon.tracing import MemoryLog, SpanProjector, current_context, span_id, trace_id, traceparent

TRACE = trace_id("run-1")
ROOT, PHASE, BRANCH, CALL, ATTEMPT, TOOL = (span_id("run-1", name) for name in "rpbcat")

Told = tuple[str, str, dict[str, Any]]

OPENED: Told = ("run.opened", "", {"run": "run-1", "workflow": "audit", "trace": TRACE})
STARTED: Told = ("run.started", "", {"epoch": 1, "span": ROOT})
SPENT = {
    "usd": 1_500_000,
    "model_calls": 1,
    "input_tokens": 100,
    "cached_input_tokens": 40,
    "cache_write_tokens": 10,
    "output_tokens": 20,
    "reasoning_tokens": 5,
}
RUN: list[Told] = [
    ("run.epoch", "", {"epoch": 1, "pid": 1}),
    OPENED,
    STARTED,
    ("phase.started", "root", {"title": "find", "span": PHASE, "parent": ROOT}),
    (
        "branch.started",
        "root/0",
        {"construct": "parallel", "name": "units", "items": 3, "span": BRANCH, "parent": PHASE},
    ),
    (
        "call.started",
        "root/0/1",
        {
            "call": "agent",
            "name": "auditor",
            "hash": "h",
            "phase": "find",
            "label": "l",
            "covers": ["a", "b"],
            "task": "secret task",
            "span": CALL,
            "parent": BRANCH,
        },
    ),
    (
        "attempt.started",
        "root/0/1",
        {"attempt": 1, "sort": "model", "name": "m-1", "reserved": {"usd": 2_000_000}, "span": ATTEMPT, "parent": CALL},
    ),
    ("attempt.ended", "root/0/1", {"attempt": 1, "spent": SPENT, "estimated": False, "span": ATTEMPT}),
    (
        "attempt.started",
        "root/0/1",
        {"attempt": 2, "sort": "tool", "name": "grep", "reserved": {}, "span": TOOL, "parent": CALL},
    ),
    (
        "attempt.ended",
        "root/0/1",
        {"attempt": 2, "spent": {}, "estimated": True, "error": "secret error", "category": "timeout", "span": TOOL},
    ),
    (
        "call.ended",
        "root/0/1",
        {
            "kind": "failed",
            "category": "task",
            "reason": "secret reason",
            "value": {"a": 1},
            "spent": SPENT,
            "span": CALL,
        },
    ),
    ("call.reused", "root/0/2", {"hash": "h", "source": "root/0/2", "seq": 9}),
    ("branch.ended", "root/0", {"kind": "degraded", "span": BRANCH}),
    ("phase.ended", "root", {"title": "find", "span": PHASE}),
    ("run.ended", "", {"kind": "completed"}),
]


def project(events: list[Told], projector: SpanProjector | None = None) -> dict[str, ReadableSpan]:
    projector = projector or SpanProjector(capture=False)
    spans = [
        span for at, event in enumerate(events) for span in projector.feed(event[0], event[1], 100.0 + at, event[2])
    ]
    spans += projector.finish()
    assert len({span.name for span in spans}) == len(spans)
    return {span.name: span for span in spans}


def attributes(span: ReadableSpan) -> Mapping[str, Any]:
    assert span.attributes is not None
    return span.attributes


def test_a_run_is_a_tree_of_spans() -> None:
    spans = project(RUN)
    assert set(spans) == {
        "invoke_workflow audit",
        "phase find",
        "parallel units",
        "invoke_agent auditor",
        "chat m-1",
        "execute_tool grep",
    }
    tree = {name: span.parent and trace.format_span_id(span.parent.span_id) for name, span in spans.items()}
    assert tree == {
        "invoke_workflow audit": None,
        "phase find": ROOT,
        "parallel units": PHASE,
        "invoke_agent auditor": BRANCH,
        "chat m-1": CALL,
        "execute_tool grep": CALL,
    }
    for span in spans.values():
        context = span.get_span_context()
        assert context is not None
        assert trace.format_trace_id(context.trace_id) == TRACE
        assert context.trace_flags.sampled
        assert attributes(span)["antiphon.run.id"] == "run-1"
    root = spans["invoke_workflow audit"]
    assert (root.start_time, root.end_time) == (102 * 10**9, 114 * 10**9)


def test_attributes_follow_the_conventions() -> None:
    spans = project(RUN)
    chat = attributes(spans["chat m-1"])
    assert {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "m-1",
        "gen_ai.usage.input_tokens": 150,
        "gen_ai.usage.output_tokens": 25,
        "gen_ai.usage.cache_read.input_tokens": 40,
        "gen_ai.usage.cache_write.input_tokens": 10,
        "gen_ai.usage.cache_creation.input_tokens": 10,
        "gen_ai.usage.reasoning.output_tokens": 5,
        "antiphon.cost.usd": 0.0015,
        "antiphon.spent.usd": 1_500_000,
        "antiphon.budget.reserved.usd": 2_000_000,
        "antiphon.attempt": 1,
        "antiphon.attempt.sort": "model",
        "antiphon.cost.estimated": False,
    }.items() <= chat.items()
    assert spans["chat m-1"].kind is SpanKind.CLIENT
    agent = attributes(spans["invoke_agent auditor"])
    assert (agent["gen_ai.operation.name"], agent["gen_ai.agent.name"]) == ("invoke_agent", "auditor")
    assert agent["antiphon.phase"] == "find"
    assert agent["antiphon.covers.count"] == 2
    root = attributes(spans["invoke_workflow audit"])
    assert (root["gen_ai.workflow.name"], root["antiphon.epoch"], root["antiphon.calls.reused"]) == ("audit", 1, 1)
    chains = {name for name, span in spans.items() if attributes(span).get("openinference.span.kind") == "CHAIN"}
    assert chains == {"invoke_workflow audit", "phase find", "parallel units"}


def test_failures_are_errors_and_nothing_else_is() -> None:
    spans = project(RUN)
    failed = {
        name: span.status.description for name, span in spans.items() if span.status.status_code is StatusCode.ERROR
    }
    assert failed == {"invoke_agent auditor": "failed", "execute_tool grep": "timeout"}
    assert attributes(spans["execute_tool grep"])["error.type"] == "timeout"
    assert attributes(spans["invoke_agent auditor"])["antiphon.outcome.category"] == "task"


@pytest.mark.parametrize(("asked", "expected"), [("", False), ("false", False), ("true", True), ("TRUE", True)])
def test_content_stays_in_the_log_unless_asked_for(monkeypatch: pytest.MonkeyPatch, asked: str, expected: bool) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", asked)
    spans = project(RUN, SpanProjector())
    text = "".join(span.to_json() for span in spans.values())
    assert ("secret" in text) == expected
    assert ("antiphon.value" in text) == expected


def test_a_process_that_died_leaves_marked_spans() -> None:
    spans = project([OPENED, STARTED, RUN[3], ("run.epoch", "", {"epoch": 2})])
    assert set(spans) == {"invoke_workflow audit", "phase find"}
    for span in spans.values():
        assert attributes(span)["antiphon.unfinished"] is True
        assert span.status.status_code is StatusCode.ERROR
        assert span.end_time == 102 * 10**9


def test_spans_open_at_the_end_of_a_run_are_marked_too() -> None:
    spans = project([OPENED, STARTED, RUN[3], ("run.ended", "", {"kind": "paused"})])
    assert attributes(spans["phase find"])["antiphon.unfinished"] is True
    assert "antiphon.unfinished" not in attributes(spans["invoke_workflow audit"])
    assert spans["invoke_workflow audit"].status.status_code is StatusCode.UNSET


def test_an_end_without_its_span_is_found_by_its_path() -> None:
    spans = project([OPENED, STARTED, RUN[4], ("branch.ended", "root/0", {"kind": "succeeded"}), RUN[-1]])
    assert "antiphon.unfinished" not in attributes(spans["parallel units"])


def test_a_resumed_run_knows_its_trace_from_its_history() -> None:
    log, projector = MemoryLog(), SpanProjector()
    log.enqueue(*OPENED)
    projector.prime(log.events())
    assert set(project([STARTED, RUN[-1]], projector)) == {"invoke_workflow audit"}


NO_SPANS: list[list[Told]] = [
    [STARTED, RUN[-1]],
    [OPENED, ("call.started", "root", {"call": "agent", "name": "x"}), ("call.ended", "root", {"kind": "succeeded"})],
    [("run.opened", "", {"trace": "not hex"}), STARTED],
    [OPENED, ("run.started", "", {"span": "zz"})],
    [
        OPENED,
        ("branch.started", "root", {"span": 5}),
        ("x.started", "", {"span": "ab"}),
        ("x.ended", "", {"span": "ab"}),
        ("odd", "", {}),
    ],
]


@pytest.mark.parametrize("events", NO_SPANS)
def test_without_a_trace_or_a_span_there_is_nothing(events: list[Told]) -> None:
    assert not project(events)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ({"call": "step", "name": "list_files"}, "execute_tool list_files"),
        ({"call": "approval", "name": "Do you agree to my private question?"}, "approval"),
        ({"call": "agent"}, "invoke_agent unnamed"),
    ],
)
def test_names_of_calls(data: dict[str, Any], name: str) -> None:
    assert set(project([OPENED, ("call.started", "root/1", {**data, "span": CALL})])) == {name}


def test_a_nested_workflow_is_a_workflow() -> None:
    spans = project([OPENED, ("branch.started", "root/1", {"construct": "workflow", "name": "inner", "span": BRANCH})])
    assert attributes(spans["invoke_workflow inner"])["gen_ai.workflow.name"] == "inner"


def test_ids_are_stable_and_well_formed() -> None:
    assert len(bytes.fromhex(trace_id("run-1"))) == 16
    assert trace_id("run-1") == trace_id("run-1") != trace_id("run-2")
    assert len(bytes.fromhex(span_id(1, "root", 2))) == 8
    assert span_id("a", "b") != span_id("ab")
    assert traceparent(TRACE, ROOT) == f"00-{TRACE}-{ROOT}-01"


def test_spans_of_others_nest_under_ours() -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with current_context(TRACE, CALL), provider.get_tracer("user").start_as_current_span("theirs"):
        pass
    with provider.get_tracer("user").start_as_current_span("after"):
        pass
    theirs, after = exporter.get_finished_spans()
    assert theirs.parent is not None
    assert trace.format_span_id(theirs.parent.span_id) == CALL
    assert theirs.context is not None
    assert trace.format_trace_id(theirs.context.trace_id) == TRACE
    assert after.parent is None
