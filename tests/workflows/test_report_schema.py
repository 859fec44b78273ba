"""The published schema of report.json: shipped, true to the code, and strict enough to notice what does not belong."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema.validators import validator_for

from antiphon.subagents.records import (
    Actor,
    CommandRun,
    Coverage,
    Fact,
    FactKey,
    FileSpan,
    Finding,
    FindingKey,
    Link,
    Passage,
    Patch,
    PatchKey,
    Record,
    Resolution,
    TestRun,
    UrlQuote,
    Verdict,
    author_verdict,
    malformed,
)
from antiphon.workflows.baseline import compare, read_sarif
from antiphon.workflows.report import About, json_report, sarif
from antiphon.workflows.report.schema import schema, schema_text
from antiphon.workflows.synthesis import synthesize

RUFF = Actor(tool="ruff", version="0.12", lens="security", lineage="bandit")
LOOK = Actor(tool="antiphon", lens="second-look", lineage="antiphon/precondition")
ABOUT = About(
    target="project",
    analysers={"ruff/security": RUFF},
    lenses=("security",),
    not_run={"semgrep": "it is not installed"},
    outcomes={"succeeded": 1},
    left_out={"a cache": 2},
    excluded=("docs/",),
    notes=("a note",),
)
DIGEST = "0" * 64


def finding(path: str = "a.py", **changes: object) -> Finding:
    content: dict[str, object] = {
        "record": "claim",
        "sort": "finding",
        "key": FindingKey(path=path, rule="bandit:B602", symbol="f"),
        "rule": "S602",
        "title": "shell",
        "text": "so",
        "severity": "high",
        "severity_by": "antiphon",
        "actor": RUFF,
        "line": 3,
        "evidence": (
            FileSpan(kind="file_span", path=path, start_line=3, end_line=3, sha256=DIGEST),
            UrlQuote(kind="url", url="https://example.org", quote="so"),
            CommandRun(kind="command", argv=("true",), exit=0, sha256=DIGEST),
            TestRun(kind="test", name="t", passed=True, sha256=DIGEST),
        ),
    }
    return Finding.model_validate(content | changes)


def every_sort() -> list[Record]:
    """Records of every sort, and every sort of disagreement between them."""
    found, other = finding(), finding(actor=LOOK, severity="low", severity_by="x", branch="main/1")
    key = FactKey(subject="s", attribute="a", qualifiers=(("year", "2024"),))
    fact = Fact(record="claim", sort="fact", key=key, value={"n": [1, None]}, text="", actor=RUFF)
    lines = PatchKey(base="abc", path="a.py", start_line=1, end_line=2)
    patch = Patch(record="claim", sort="patch", key=lines, replacement="x\n", text="", actor=RUFF)
    passage = Passage(record="claim", sort="text", text="words", actor=RUFF, confidence="low")
    verdict = Verdict(record="verdict", of=found.id, stance="refute", actor=LOOK, method="precondition", reason="r")
    return [
        *(found, other, fact, fact.model_copy(update={"value": 2, "actor": LOOK}), patch, passage),
        patch.model_copy(update={"replacement": "y\n", "actor": LOOK}),
        *(verdict, author_verdict(other, "noqa")),
        Verdict(record="verdict", of=verdict.id, stance="confirm", actor=RUFF, method="m"),
        Link(record="link", a=found.id, b=passage.id, relation="same_as", actor=LOOK),
        Link(record="link", a=found.id, b=passage.id, relation="different", actor=RUFF),
        Link(record="link", a=fact.id, b=passage.id, relation="same_as", actor=LOOK),
        Verdict(record="verdict", of=found.id, stance="confirm", actor=RUFF, method="its own"),
        Resolution(record="resolution", of=found.id, index=0, state="false", actor=LOOK, reason="r"),
        Coverage(record="coverage", unit="a.py", check="ruff/security", state="partial", reason="r"),
        malformed(RUFF, b"<", "it is not JSON", ["a.py"]),
    ]


def report(records: list[Record], *, compared: bool = False) -> dict[str, Any]:
    view = synthesize(records, {"a.py": ("ruff/security",), "b.md": ()})
    before = read_sarif(sarif(synthesize([finding("gone.py"), finding()], {}), ABOUT).encode(), "main")
    after = read_sarif(sarif(view, ABOUT).encode(), "now")
    content: dict[str, Any] = json.loads(json_report(view, ABOUT, compare(before, after) if compared else None))
    return content


def problems(content: dict[str, Any]) -> list[str]:
    rules = schema()
    checked = validator_for(rules)(rules)
    return [f"{error.json_path}: {error.message}"[:300] for error in checked.iter_errors(content)]


@pytest.mark.parametrize("compared", [False, True], ids=["alone", "compared"])
@pytest.mark.parametrize("records", [every_sort(), []], ids=["every sort", "none"])
def test_reports_are_as_the_schema_says(records: list[Record], compared: bool) -> None:
    content = report(records, compared=compared)
    assert problems(content) == []
    assert ("comparison" in content) == compared


def test_a_report_of_every_sort_has_every_part() -> None:
    content = report(every_sort(), compared=True)
    empty = {name for name, part in content.items() if part in ([], {}, "", None)}
    assert empty <= {"suggested"}, "or the schema is held to nothing"


def test_the_schema_is_one() -> None:
    rules = schema()
    validator_for(rules).check_schema(rules)


WRONG: list[dict[str, Any]] = [
    {"format": "antiphon-report/1"},
    {"surprise": 1},
    {"worst": "terrible"},
    {"claims": {"x": {}}},
    {"claims": {DIGEST: {"record": "claim", "sort": "finding"}}},
    {"status": {DIGEST: "perhaps"}},
    {"clusters": [{}]},
    {"ledger": {"claims_in": -1}},
]


@pytest.mark.parametrize("change", WRONG, ids=str)
def test_what_does_not_belong_is_noticed(change: dict[str, Any]) -> None:
    assert problems(report(every_sort()) | change)


def test_a_part_that_is_missing_is_noticed() -> None:
    content = report(every_sort())
    for name in content:
        assert problems({key: part for key, part in content.items() if key != name}), name


@pytest.mark.checkout
def test_the_published_and_the_shipped_schema_are_what_the_code_makes() -> None:
    """`python -m antiphon.workflows.report.schema` prints it; put it into both places when a report changes."""
    docs = Path(__file__).resolve().parents[2] / "docs" / "report.schema.json"
    assert docs.read_text(encoding="utf-8") == schema_text()
    assert schema() == json.loads(schema_text())


def test_what_is_about_the_run_is_as_the_schema_says() -> None:
    content = report([])
    content["about"] |= replace(ABOUT, banner="no sandbox", configuration="x.toml", reused=3).to_json()
    assert problems(content) == []
