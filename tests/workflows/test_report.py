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

from antiphon.subagents.records import (
    Actor,
    Coverage,
    Fact,
    FactKey,
    Finding,
    FindingKey,
    Record,
    Resolution,
    Severity,
    Verdict,
    author_verdict,
    file_span,
    malformed,
)
from antiphon.workflows.baseline import compare, read_sarif
from antiphon.workflows.report import About, html, json_report, markdown, sarif
from antiphon.workflows.report.lined import lined
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


def containers(inside: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Lists and objects of values."""
    return st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=4), inside, max_size=4)


def claim(actor: Actor = RUFF, severity: Severity = "high", path: str = "a.py", **changes: object) -> Finding:
    content: dict[str, object] = {
        "record": "claim",
        "sort": "finding",
        "key": FindingKey(path=path, rule="bandit:B602", symbol="f"),
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
    return Finding.model_validate(content | changes)


def covered(unit: str, check: str, state: str = "done", reason: str = "") -> Coverage:
    return Coverage.model_validate(
        {"record": "coverage", "unit": unit, "check": check, "state": state, "reason": reason}
    )


ASIDE = claim(path="b.py")
RECORDS: list[Record] = [
    claim(),
    claim(BANDIT, "low"),
    ASIDE,
    author_verdict(ASIDE, "noqa"),
    claim(severity="info", path="tests/test_a.py", line=None, column=None, end_line=None, end_column=None),
    covered("a.py", "ruff/security"),
    covered("b.py", "ruff/security", "failed", "it does not parse, line 1"),
    covered("huge.py", "survey", "failed", "it is too large"),
    malformed(BANDIT, b"<html>", "it is not bandit's JSON", ["a.py"]),
]


def evil_records() -> list[Record]:
    made: list[Record] = []
    for text in EVIL:
        key = FindingKey(path=text or "x", rule="bandit:B602", symbol=text)
        made.append(claim(key=key, text=text, title=text or "t"))
        aside = claim(key=key, text=text, title=text or "t", ordinal=1)
        made += [aside, author_verdict(aside, text or "noqa")]
        made += [
            covered(text or "x", "ruff/security", "failed", text),
            malformed(RUFF, text.encode("utf-8", "replace"), text),
        ]
    return made


def reports(records: list[Record]) -> tuple[str, ...]:
    synthesis = synthesize(records, PLANNED)
    return tuple(made(synthesis, ABOUT) for made in (markdown, html, json_report, sarif))


def runs(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text)["runs"]
    return found


def test_the_markdown_says_what_a_person_needs() -> None:
    text = markdown(synthesize(RECORDS, PLANNED), ABOUT)
    for sentence in [
        "# Audit of `project`",
        "**2 findings**: 1 high, 1 info",
        "2 disagreements, all kept: 1 on how bad it is, 1 on whether it is there",
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
    many += [claim(key=FindingKey(path="a.py", rule=f"x:{n}")) for n in range(30)]
    text = markdown(synthesize(many, {}), ABOUT)
    assert "… and 6 more findings; all are in report.json" in text
    assert "… and 16 more rules; all are in report.json" in text


def test_tests_come_after_what_they_test() -> None:
    clusters = synthesize([claim(path="tests/a.py"), claim(path="z.py")], {}).clusters
    assert [[cluster.key.path for cluster in rule] for rule in by_rule(clusters)] == [["z.py", "tests/a.py"]]
    assert [is_test(unit) for unit in ("contest.py", "a/conftest.py", "test_a.py", "a_test.py")] == [
        False,
        True,
        True,
        True,
    ]


LOOK = Actor(tool="antiphon", version="0.1", lens="second-look", lineage="antiphon/precondition")


def verdict(of: Finding, stance: str, reason: str = "a parameter flows in", actor: Actor = LOOK) -> Verdict:
    return Verdict.model_validate(
        {"record": "verdict", "of": of.id, "stance": stance, "actor": actor, "method": "precondition", "reason": reason}
    )


def section_of(text: str, title: str) -> str:
    """What is under a heading."""
    return text.partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_what_is_confirmed_comes_first_and_what_is_refuted_has_a_section() -> None:
    unsure, sure, wrong = claim(path="a.py"), claim(path="z.py"), claim(path="m.py")
    view = synthesize([unsure, sure, wrong, verdict(sure, "confirm"), verdict(wrong, "refute", "it is constant")], {})
    text = markdown(view, ABOUT)
    first, refuted = section_of(text, "What matters first"), section_of(text, "What the second look refuted")
    assert first.index("`z.py:3`") < first.index("`a.py:3`")
    assert "m.py" not in first
    assert "confirmed by precondition of antiphon second-look: `a parameter flows in`" in first
    assert "`m.py:3`: refuted by precondition of antiphon second-look: `it is constant`" in refuted
    assert "by checks of another lineage: 1 confirmed, 1 unverified, 0 disputed, 1 refuted" in text
    assert "second look: 2 verdicts on 3 claims" in text
    assert "precondition: 1 confirmed, 1 refuted, 0 left open" in text


def test_a_verdict_of_the_same_lineage_is_said_to_count_for_nothing() -> None:
    found = claim()
    text = markdown(synthesize([found, verdict(found, "refute", actor=BANDIT)], {}), ABOUT)
    assert "ruff alone; unverified;" in text
    assert "1 verdict of the same lineage as what it is on: kept, and counted for nothing" in text


def test_what_the_author_sets_aside_and_a_check_confirms_is_said() -> None:
    found = claim()
    text = markdown(synthesize([found, author_verdict(found, "nosec"), verdict(found, "confirm")], {}), ABOUT)
    aside = section_of(text, "Set aside by the authors")
    assert "A comment in the source (nosec)" in aside
    assert (
        "set aside too, and a check of another lineage confirms them:\n\n- `a.py:3` `S602`: disputed: confirmed by"
        in aside
    )
    assert "1 finding" in text.splitlines()[2], "it is not gone from what a person sees first"


def test_a_minority_is_kept_with_the_groups_behind_both_sides() -> None:
    def fact(value: int, lineage: str) -> Fact:
        key = FactKey(subject="the tower", attribute="height")
        return Fact(record="claim", sort="fact", text="", key=key, value=value, actor=Actor(tool=lineage))

    view = synthesize([fact(330, "a"), fact(330, "b"), fact(324, "c")], {})
    text = markdown(view, ABOUT)
    assert "what the value is: c: `324` (1 group, against 2): `the tower: height`" in section_of(
        text, "Minority reports"
    )
    assert "`330` according to a and b" in section_of(text, "Facts, patches and passages")


def test_evidence_that_is_gone_is_listed() -> None:
    found = claim()
    gone = Resolution(record="resolution", of=found.id, index=0, state="false", actor=LOOK, reason="other lines")
    text = markdown(synthesize([found, gone], {}), ABOUT)
    assert "`a.py:3` `S602`: `other lines`" in section_of(text, "Evidence that is not there any more")
    assert "evidence looked up again: 0 as they were, 1 not, 0 not checked" in text


def test_code_is_shown_where_it_is_given() -> None:
    found = claim()
    text = markdown(synthesize([found], {}), ABOUT, None, {found.id: "run(x, shell=True)"})
    assert "    - `run(x, shell=True)`" in text


def test_a_secret_is_not_repeated() -> None:
    key = FindingKey(path="a.py", rule="bandit:B105")
    found = claim(BANDIT, key=key, rule="B105", title="hardcoded_password", text="password: 'hunter2'", cwe=259)
    view = synthesize([found], {})
    for text in (markdown(view, ABOUT), html(view, ABOUT), sarif(view, ABOUT)):
        assert "hunter2" not in text
        assert "hardcoded_password" in text


def test_who_did_not_take_part_and_what_was_excluded_is_said() -> None:
    about = replace(
        ABOUT,
        not_run={"semgrep": "it is not installed"},
        excluded=("docs/",),
        lenses=("security",),
        configuration="x.toml",
    )
    gaps = section_of(markdown(synthesize([], {}), about), "What was not looked at")
    assert "semgrep did not take part: `it is not installed`" in gaps
    assert "excluded by whoever ran this: `docs/`" in gaps
    assert "only these lenses were asked for: security" in gaps
    assert "antiphon's configuration: `x.toml`" in markdown(synthesize([], {}), about)


def test_many_gaps_of_one_kind_are_one_entry() -> None:
    records = [covered(f"{n:02}.py", "ruff/security", "failed", "it does not parse") for n in range(15)]
    gaps = section_of(markdown(synthesize(records, {r.unit: ("ruff/security",) for r in records}), ABOUT), GAPS)
    assert "15 files: a check failed on it: `it does not parse` (`ruff/security`)\n  - `00.py`, `01.py`" in gaps
    assert "… and 3 more; all are in report.json" in gaps


GAPS = "What was not looked at"


def test_what_is_new_comes_first() -> None:
    before = read_sarif(sarif(synthesize([claim()], {}), ABOUT).encode(), "main")
    fresh = claim(path="new.py")
    now = synthesize([claim(), fresh], {})
    after = read_sarif(sarif(now, ABOUT).encode(), "now")
    text = markdown(now, ABOUT, compare(before, after))
    assert text.index("## What has changed") < text.index("## What matters first")
    changed = section_of(text, "What has changed")
    assert "compared with `main`: 1 new, 0 updated, 1 unchanged, 0 absent" in changed
    assert "`new.py:3` high `S602`" in changed


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
    assert content["format"] == "antiphon-report/2"
    assert set(content["claims"]) == {record.id for record in RECORDS if isinstance(record, Finding)}
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


def test_what_a_check_refutes_is_for_a_person_to_review_and_has_no_level() -> None:
    sure, wrong = claim(path="z.py", cwe=78), claim(path="m.py")
    view = synthesize([sure, wrong, verdict(sure, "confirm"), verdict(wrong, "refute")], {})
    (run,) = [run for run in runs(sarif(view, ABOUT)) if run["results"]]
    refuted, confirmed = run["results"]
    assert (refuted["kind"], refuted["level"]) == ("review", "none")
    assert refuted["properties"]["antiphon"]["status"] == "refuted"
    assert [one["stance"] for one in refuted["properties"]["antiphon"]["verdicts"]] == ["refute"]
    assert [one["kind"] for one in refuted["properties"]["antiphon"]["conflicts"]] == ["existence"]
    assert (confirmed["kind"], confirmed["level"]) == ("fail", "error")
    assert confirmed["rank"] > refuted["rank"]
    assert confirmed["taxa"] == [{"id": "78", "toolComponent": {"name": "CWE", "index": 0}}]
    assert [taxon["id"] for taxon in run["taxonomies"][0]["taxa"]] == ["78"]
    assert run["tool"]["driver"]["rules"][0]["relationships"][0]["target"]["id"] == "78"


def test_a_tool_that_did_not_take_part_is_told_once() -> None:
    about = replace(ABOUT, not_run={"semgrep": "it is not installed"})
    told = [
        run["invocations"][0].get("toolConfigurationNotifications") for run in runs(sarif(synthesize([], {}), about))
    ]
    assert told == [[{"level": "note", "message": {"text": "semgrep did not take part: it is not installed"}}], None]


def test_fingerprints_survive_lines_added_above_and_tell_equal_results_apart() -> None:
    def prints(*claims: Finding) -> list[str]:
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


def judged_records() -> list[Record]:
    weak = claim(cwe=78)
    return [weak, claim(path="b.py", fingerprint="x"), verdict(weak, "refute"), author_verdict(weak, "noqa")]


@pytest.mark.parametrize(
    "records", [RECORDS, evil_records(), [], judged_records()], ids=["usual", "evil", "none", "judged"]
)
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


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), containers), st.integers(0, 4))
def test_json_with_one_entry_a_line_says_the_same(value: Any, levels: int) -> None:
    text = lined(value, levels)
    assert json.loads(text) == value
    assert text.isascii()
    assert "\x7f" not in text


def test_json_has_one_entry_a_line_in_its_outer_levels() -> None:
    assert lined({"b": [1, {"c": 2}], "a": {}}, 2) == '{\n"a": {},\n"b": [\n1,\n{"c": 2}\n]\n}\n'


def test_about_is_plain_data() -> None:
    content: Mapping[str, Any] = json.loads(json.dumps(ABOUT.to_json()))
    assert content["analysers"]["ruff/security"]["tool"] == "ruff"
    assert ABOUT.tools == {"bandit": "1.8", "ruff": "0.12"}
