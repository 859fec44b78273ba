"""Reports: readable, complete, valid for other tools, and harmless whatever the audited tree says."""

import json
import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema.validators import validator_for
from markdown_it import MarkdownIt

from antiphon.subagents.records import Actor, Claim, Coverage, Key, Record, Severity, file_span, malformed
from antiphon.workflows.report import About, json_report, markdown, sarif
from antiphon.workflows.report.order import by_rule, is_test
from antiphon.workflows.report.untrusted import cell, code, relative_uri, sarif_text, visible
from antiphon.workflows.synthesis import synthesize

RUFF = Actor(tool="ruff", version="0.12", lens="security", lineage="bandit")
BANDIT = Actor(tool="bandit", version="1.8", lens="security", lineage="bandit")
ABOUT = About(
    target="project",
    run="2026-01-01-abc",
    antiphon="0.1.0",
    analysers={"ruff/security": RUFF, "bandit/security": BANDIT},
    outcomes={"succeeded": 3},
    left_out={"a cache": 2},
)
PLANNED = {"a.py": ("ruff/security", "bandit/security"), "b.py": ("ruff/security",), "c.md": ()}
EVIL = [
    "a\x1b[31m\x1b]0;owned\x07.py",
    "a\nb.py\n# Heading\n<script>alert(1)</script>",
    "[click](javascript:alert(1)) ![](https://evil.example/x.png) https://evil.example @someone",
    "``` `` ` | a | b |",
    "\u202egnp.py\u2066 \ufeff\u200b",
    "-rf; $(rm -rf /)",
    "C:\\x:y?z#w%20",
    "\udcff",
    " ",
    "",
]


def claim(actor: Actor = RUFF, severity: Severity = "high", path: str = "a.py", **changes: object) -> Claim:
    content: dict[str, object] = {
        "record": "claim",
        "sort": "finding",
        "key": Key(path=path, rule="bandit:B602", symbol="f"),
        "rule": "B602" if actor is BANDIT else "S602",
        "title": "shell",
        "text": "`shell=True` identified",
        "severity": severity,
        "severity_by": "bandit" if actor is BANDIT else "antiphon",
        "actor": actor,
        "evidence": (file_span("a.py", [b"x\n"], 3),),
        "line": 3,
        "column": 5,
        "end_line": 3,
        "end_column": 9,
        "url": "https://example.org/rule",
    }
    return Claim.model_validate(content | changes)


def covered(unit: str, check: str, state: str = "done", reason: str = "") -> Coverage:
    return Coverage.model_validate(
        {"record": "coverage", "unit": unit, "check": check, "state": state, "reason": reason}
    )


RECORDS: list[Record] = [
    claim(),
    claim(BANDIT, "low"),
    claim(path="b.py", suppressed="noqa"),
    claim(severity="info", path="tests/test_a.py", line=None, column=None, end_line=None, end_column=None),
    covered("a.py", "ruff/security"),
    covered("b.py", "ruff/security", "failed", "it does not parse, line 1"),
    covered("huge.py", "survey", "failed", "it is too large"),
    malformed(BANDIT, b"<html>", "it is not bandit's JSON", ["a.py"]),
]


def evil_records() -> list[Record]:
    made: list[Record] = []
    for text in EVIL:
        key = Key(path=text or "x", rule="bandit:B602", symbol=text)
        made.append(claim(key=key, text=text, title=text or "t"))
        made.append(claim(key=key, text=text, title=text or "t", suppressed="noqa"))
        made += [
            covered(text or "x", "ruff/security", "failed", text),
            malformed(RUFF, text.encode("utf-8", "replace"), text),
        ]
    return made


def reports(records: list[Record]) -> tuple[str, str, str]:
    synthesis = synthesize(records, PLANNED)
    return markdown(synthesis, ABOUT), json_report(synthesis, ABOUT), sarif(synthesis, ABOUT)


def runs(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text)["runs"]
    return found


def test_the_markdown_says_what_a_person_needs() -> None:
    text = markdown(synthesize(RECORDS, PLANNED), ABOUT)
    for sentence in [
        "# Audit of `project`",
        "**2 findings**: 1 high, 1 info",
        "1 disagreement on how bad something is",
        "0 of 3 files looked at by every check meant for it (1 in part, 2 not at all)",
        "1 finding set aside by the code's authors",
        "bandit and ruff (one lineage, so one opinion)",
        "antiphon's table for ruff: high; bandit: low",
        "`b.py`: a check failed on it: `it does not parse, line 1` (`ruff/security`)",
        "`huge.py`: could not be read: `it is too large`",
        "`a.py`: planned, and nothing came back",
        "1 file that no check reads: 1 `.md`",
        "left out on purpose: 2 entries, `a cache`",
        "`bandit` on 1 file: `it is not bandit's JSON`",
        "isolation: none (these analysers only parse",
        "claims: 4 came in, 4 are in the output",
    ]:
        assert sentence in text, sentence


def test_nothing_found_is_said_to_be_nothing() -> None:
    text = markdown(synthesize([covered("a.py", "x")], {"a.py": ("x",)}), ABOUT)
    assert "**0 findings**" in text
    assert "Nothing of medium severity or worse was found." in text
    assert "Every file that a check reads was looked at by every check meant for it." in text


def test_what_is_not_shown_is_counted() -> None:
    many: list[Record] = [claim(path=f"{n}.py") for n in range(9)]
    many += [claim(key=Key(path="a.py", rule=f"x:{n}")) for n in range(30)]
    text = markdown(synthesize(many, {}), ABOUT)
    assert "… and 6 more findings; all are in report.json" in text
    assert "… and 11 more rules with findings of medium severity or worse; all are in report.json" in text


def test_tests_come_after_what_they_test() -> None:
    clusters = synthesize([claim(path="tests/a.py"), claim(path="z.py")], {}).clusters
    assert [[cluster.key.path for cluster in rule] for rule in by_rule(clusters)] == [["z.py", "tests/a.py"]]
    assert [is_test(unit) for unit in ("contest.py", "a/conftest.py", "test_a.py", "a_test.py")] == [
        False,
        True,
        True,
        True,
    ]


def test_a_failed_ledger_is_the_first_thing_said() -> None:
    synthesis = synthesize(RECORDS, PLANNED)
    lost = synthesis.clusters[0].claims[0]
    broken = replace(synthesis, ledger=replace(synthesis.ledger, missing=(lost,)))
    text = markdown(broken, ABOUT)
    assert text.splitlines()[2].startswith("**THIS REPORT FAILED.**")
    assert lost in text
    assert json.loads(json_report(broken, ABOUT))["failed"] is True
    assert not any(run["invocations"][0]["executionSuccessful"] for run in runs(sarif(broken, ABOUT)))


def test_the_json_holds_everything() -> None:
    content = json.loads(json_report(synthesize(RECORDS, PLANNED), ABOUT))
    assert content["format"] == "antiphon-report/1"
    assert set(content["claims"]) == {record.id for record in RECORDS if isinstance(record, Claim)}
    assert content["about"]["isolation"] == "none"
    assert len(content["malformed"]) == 1
    assert {"unit": "c.md", "check": "", "state": "unread", "reason": "no check reads files like this"} in content[
        "coverage"
    ]["gaps"]


def test_every_claim_is_one_sarif_result_in_its_tools_run() -> None:
    found = {run["tool"]["driver"]["name"]: run for run in runs(sarif(synthesize(RECORDS, PLANNED), ABOUT))}
    assert {name: len(run["results"]) for name, run in found.items()} == {"bandit": 1, "ruff": 3}
    assert found["ruff"]["tool"]["driver"]["version"] == "0.12"
    for run in found.values():
        for result in run["results"]:
            assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]


def test_regions_are_sarif_s_and_absent_where_no_line_is_known() -> None:
    (ruff,) = [
        run for run in runs(sarif(synthesize(RECORDS, PLANNED), ABOUT)) if run["tool"]["driver"]["name"] == "ruff"
    ]
    regions = [result["locations"][0]["physicalLocation"].get("region") for result in ruff["results"]]
    assert regions == [{"startLine": 3, "startColumn": 5, "endLine": 3, "endColumn": 9}] * 2 + [None]
    assert ruff["columnKind"] == "unicodeCodePoints"


def test_what_was_set_aside_is_suppressed_in_source() -> None:
    found = [result for run in runs(sarif(synthesize(RECORDS, PLANNED), ABOUT)) for result in run["results"]]
    assert sorted(len(result["suppressions"]) for result in found) == [0, 0, 0, 1]
    (suppression,) = [one for result in found for one in result["suppressions"]]
    assert suppression["kind"] == "inSource"


def test_fingerprints_survive_lines_added_above_and_tell_equal_results_apart() -> None:
    def prints(*claims: Claim) -> list[str]:
        (run, *_) = [r for r in runs(sarif(synthesize(claims, {}), ABOUT)) if r["results"]]
        return [result["partialFingerprints"]["antiphon/v1"] for result in run["results"]]

    moved = claim(line=30, end_line=30, evidence=(file_span("a.py", [b"x\n"], 30),))
    assert prints(claim()) == prints(moved)
    assert len(set(prints(claim(), moved))) == 2
    assert prints(claim()) != prints(claim(evidence=(file_span("a.py", [b"y\n"], 3),)))


def test_gaps_are_notifications_of_the_tool_and_told_once() -> None:
    found = {
        run["tool"]["driver"]["name"]: run["invocations"][0] for run in runs(sarif(synthesize(RECORDS, PLANNED), ABOUT))
    }
    texts = {name: [n["message"]["text"] for n in one["toolExecutionNotifications"]] for name, one in found.items()}
    assert texts == {
        "bandit": ["bandit/security: it was planned, and nothing came back", "survey: it is too large"],
        "ruff": ["ruff/security: it does not parse, line 1"],
    }
    assert [one["executionSuccessful"] for one in found.values()] == [False, True]


def schema() -> dict[str, Any]:
    """The official schema, as an installed package brings it; see the skip's reason."""
    name = "node_modules/@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json"
    here = Path(__file__).resolve().parents[2]
    places = [here / name, here / ".ci" / name, here / ".ci" / "sarif" / name]
    if given := os.environ.get("ANTIPHON_SARIF_SCHEMA"):
        places.insert(0, Path(given))
    for place in places:
        if place.is_file():
            found: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
            return found
    pytest.skip("no SARIF schema here: npm install --prefix .ci/sarif @microsoft/jest-sarif@1.0.0-beta.0")


@pytest.mark.parametrize("records", [RECORDS, evil_records(), []], ids=["usual", "evil", "none"])
def test_sarif_is_valid_against_the_official_schema(records: list[Record]) -> None:
    rules = schema()
    validator = validator_for(rules)
    checked = validator(rules, format_checker=validator.FORMAT_CHECKER)
    content = json.loads(sarif(synthesize(records, PLANNED), ABOUT))
    assert [error.message for error in checked.iter_errors(content)] == []
    content["runs"][0]["results"] = [{"level": "terrible"}]
    assert not checked.is_valid(content), "the schema would accept anything"


def test_no_report_acts_on_a_terminal() -> None:
    for text in reports(evil_records()):
        bad = {c for c in text if c != "\n" and unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}
        assert not bad, bad
        text.encode("utf-8")


def test_untrusted_text_makes_no_html_link_image_or_heading() -> None:
    """As a real Markdown parser reads it, with the extensions that make bare addresses into links."""
    tokens = MarkdownIt("gfm-like", {"html": True, "linkify": False}).parse(
        markdown(synthesize(evil_records(), PLANNED), ABOUT)
    )
    inline = [child for token in tokens for child in token.children or []]
    kinds = {token.type for token in [*tokens, *inline]}
    assert not kinds & {"html_block", "html_inline", "link_open", "image", "fence", "code_block", "hr"}
    plain = " ".join(child.content for child in inline if child.type == "text")
    assert not re.search(r"https?:|@someone|javascript|alert", plain), "it must all be inside code"
    headings = [tokens[n + 1].content for n, token in enumerate(tokens) if token.type == "heading_open"]
    assert len(headings) == 7
    assert all("Heading" not in heading for heading in headings)


@given(st.text(st.characters(), max_size=60))
def test_any_text_is_one_code_span_also_in_a_table(text: str) -> None:
    parser = MarkdownIt("gfm-like", {"html": True, "linkify": False})
    shown = code(text)
    (paragraph,) = [token for token in parser.parse(f"x {shown} y") if token.type == "inline"]
    assert [child.type for child in paragraph.children or []] == ["text", "code_inline", "text"]
    table = parser.parse(f"| a | b |\n|---|---|\n| {cell(text)} | y |")
    cells = [token for token in table if token.type == "inline"]
    assert [cells[3].content, len(cells)] == ["y", 4]
    assert [child.type for child in cells[2].children or []] == ["code_inline"]


@given(st.text(st.characters(), max_size=400))
def test_visible_text_is_one_short_line(text: str) -> None:
    shown = visible(text)
    assert len(shown) <= 300
    assert shown.isprintable()
    assert visible(shown) == shown


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
def test_uris_are_relative_and_say_exactly_the_name(name: str) -> None:
    uri = relative_uri(name)
    assert unquote(uri) == name
    parts = urlsplit(uri)
    assert (parts.scheme, parts.query, parts.fragment) == ("", "", "")
    assert uri.isascii()


def test_sarif_messages_hold_no_links() -> None:
    assert sarif_text("see [here](https://evil.example) and [x]") == r"see \[here](https://evil.example) and [x]"


def test_reports_are_the_same_in_any_order() -> None:
    assert reports(RECORDS) == reports(RECORDS[::-1])


def test_about_is_plain_data() -> None:
    content: Mapping[str, Any] = json.loads(json.dumps(ABOUT.to_json()))
    assert content["analysers"]["ruff/security"]["tool"] == "ruff"
    assert ABOUT.tools == {"bandit": "1.8", "ruff": "0.12"}
