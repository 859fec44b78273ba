"""Other tools' SARIF as findings: real samples, every place where tools say things, and what is refused."""

import gzip
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from antiphon.engine.errors import MalformedOutput, UsageError
from antiphon.subagents.records import AUTHOR, Coverage, Finding, Malformed, Record, Verdict
from antiphon.subagents.testing import CollectingContext
from antiphon.workflows.audit import Sources, survey
from antiphon.workflows.audit.sarif import NotSarif
from antiphon.workflows.audit.sarif_import import (
    REVIEWER,
    ROLE,
    SarifFile,
    SarifImport,
    findings_of,
    open_all,
    open_sarif,
)
from antiphon.workflows.audit.surveyor import Surveyor, absent

DATA = Path(__file__).parent / "data"
NOWHERE = Sources(Path("/nowhere"))

# Findings, verdicts of who set some aside, and what coverage says, beyond results in files that are not here.
SAMPLES: dict[str, tuple[int, int, str]] = {
    "DefectDojo_django-DefectDojo__2020-12-11_13_42_10__export.sarif": (510, 0, ""),
    "SuppressionTestCurrent.sarif": (4, 3, ""),
    "appendix_k.sarif": (1, 1, 'CodeScanner says: Exception evaluating rule "C2001". Rule disabled; run continues.'),
    "appendix_k1.sarif": (0, 0, ""),
    "appendix_k1_double.sarif": (0, 0, ""),
    "appendix_k2.sarif": (1, 0, ""),
    "appendix_k3.sarif": (1, 0, ""),
    "appendix_k4.sarif": (1, 1, 'CodeScanner says: Exception evaluating rule "C2001". Rule disabled; run continues.'),
    "bash-report-fabricated-no-internal-dupes-subset.sarif": (4, 0, ""),
    "bash-report-fabricated-no-internal-dupes.sarif": (5, 0, ""),
    "bash-report-subset-same-hash-code-same-unique-id.sarif": (4, 0, ""),
    "bash-report.sarif": (27, 0, ""),
    "blackduck_nested_fingerprints.sarif": (5, 0, ""),
    "codeQL-output.sarif": (72, 0, ""),
    "cxf-3.4.6.sarif": (22, 0, ""),
    "dependency_check.sarif": (13, 0, ""),
    "dockle_0_3_15.sarif": (4, 0, ""),
    "flawfinder.sarif": (53, 0, "1 results of Flawfinder are no findings: absent since its baseline, or passed"),
    "gitleaks_7.5.0.sarif": (8, 0, ""),
    "issue_10191.json": (77, 0, ""),
    "mobsfscan.json": (9, 0, ""),
    "njsscan.sarif": (2, 0, ""),
    "no_runs.sarif": (0, 0, "it holds no run of any tool"),
    "semgrepowasp-benchmark-sample.sarif": (1768, 0, ""),
    "spotbugs.sarif": (
        56,
        0,
        "SpotBugs says that its run did not succeed; SpotBugs says: Classes needed for analysis were missing:",
    ),
    "suppression_test.sarif": (5, 3, ""),
    "taint-python-report.sarif": (11, 0, ""),
    "Baseline__SuppressionTestCurrent.sarif": (4, 3, ""),
    "Baseline__SuppressionTestPrevious.sarif": (3, 2, ""),
    "Baseline__elfie-arriba.sarif": (5, 0, ""),
    "ExpectedOutputs__TEST1001.ValidateWithBaseline.sarif": (30, 0, ""),
    "ExpectedOutputs__TEST1002.ValidateBaseline.NoResults.sarif": (30, 0, ""),
    "ExpectedOutputs__TEST1003.ValidateBaseline.AbsentResults.sarif": (30, 0, ""),
    "ExpectedOutputs__TEST1004.ValidateBaseline.NewResults.sarif": (30, 0, ""),
    "ExpectedOutputs__TEST1005.ValidateBaseline.UnchangedResults.sarif": (30, 0, ""),
    "ExpectedOutputs__TEST1006.ValidateBaseline.UpdatedResults.sarif": (30, 0, ""),
    "ExpectedOutputs__TEST1007.ValidateBaseline.LessResultsThanBaseline.sarif": (
        30,
        0,
        "1 results of SARIF Functional Testing are no findings: absent since its baseline, or passed",
    ),
    "ExpectedOutputs__TEST1008.ValidateBaseline.InlineUpdate.sarif": (30, 0, ""),
    "Inputs__TEST1001.Baseline.sarif": (13, 0, ""),
    "Inputs__TEST1002.Baseline.sarif": (13, 0, ""),
    "Inputs__TEST1003.Baseline.sarif": (
        0,
        0,
        "7 results of testhost are no findings: absent since its baseline, or passed",
    ),
    "Inputs__TEST1004.Baseline.sarif": (7, 0, ""),
    "Inputs__TEST1005.Baseline.sarif": (7, 0, ""),
    "Inputs__TEST1006.Baseline.sarif": (7, 0, ""),
    "Inputs__TEST1007.Baseline.sarif": (8, 0, ""),
    "Inputs__TEST1008.Baseline.sarif": (1, 0, ""),
    "Inputs__ToBeValidated.sarif": (3, 0, ""),
    "V2ResultMatcher__elfie-arriba.sarif": (5, 0, ""),
}


def content(name: str) -> bytes:
    for folder in ("sarif", "sarif_sdk"):
        file = DATA / folder / name
        if file.exists():
            return file.read_bytes()
        if file.with_name(f"{name}.gz").exists():
            return gzip.decompress(file.with_name(f"{name}.gz").read_bytes())
    raise FileNotFoundError(name)


def sarif(data: object) -> SarifFile:
    content = data if isinstance(data, bytes) else json.dumps(data).encode()
    return SarifFile("sarif:a.sarif", content, hashlib.sha256(content).hexdigest())


def document(*results: object, rules: Sequence[object] = (), **run: Any) -> dict[str, Any]:
    driver = {"name": "Some", "version": "1.2", "rules": list(rules)}
    return {"version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": list(results), **run}]}


def result(**more: Any) -> dict[str, Any]:
    return {"ruleId": "R1", "message": {"text": "something"}, **more}


def at(uri: str, line: int | None = 1, **artifact: Any) -> list[dict[str, Any]]:
    region = {"region": {"startLine": line}} if line else {}
    return [{"physicalLocation": {"artifactLocation": {"uri": uri, **artifact}, **region}}]


def read(data: object, sources: Sources = NOWHERE) -> list[Record]:
    return findings_of(sarif(data), sources)


def only(data: object, sources: Sources = NOWHERE) -> Finding:
    (found,) = [record for record in read(data, sources) if isinstance(record, Finding)]
    return found


def said(records: list[Record]) -> Coverage:
    (coverage,) = [record for record in records if isinstance(record, Coverage)]
    return coverage


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    root = tmp_path / "tree"
    (root / "src").mkdir(parents=True)
    (root / "src" / "a.py").write_text("class C:\n    def f(self):\n        s = 'é😀'; eval(s)\n")
    (root / "src" / "b c.py").write_text("x = 1\n")
    (tmp_path / "outside.py").write_text("secret = 1\n")
    (root / "link").symlink_to(tmp_path)
    return Sources.of(survey(root))


def test_every_sample_is_pinned() -> None:
    names = {file.name.removesuffix(".gz") for folder in ("sarif", "sarif_sdk") for file in (DATA / folder).iterdir()}
    assert {name for name in names if name.endswith((".sarif", ".json"))} == set(SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_samples(name: str) -> None:
    records = read(content(name))
    findings = [record for record in records if isinstance(record, Finding)]
    verdicts = [record for record in records if isinstance(record, Verdict)]
    assert (len(findings), len(verdicts)) == SAMPLES[name][:2]
    assert SAMPLES[name][2] in said(records).reason
    assert not [record for record in records if isinstance(record, Malformed)]
    assert len({finding.id for finding in findings}) == len(findings)
    assert {verdict.of for verdict in verdicts} <= {finding.id for finding in findings}


@pytest.mark.parametrize("name", SAMPLES)
def test_no_result_of_a_sample_is_lost(name: str) -> None:
    """By a count that shares nothing with the reader."""
    runs: list[dict[str, Any]] = json.loads(content(name).decode("utf-8-sig"))["runs"]
    results: list[dict[str, Any]] = []
    for run in runs:
        results += run.get("results") or []
    present = [one for one in results if one.get("baselineState") != "absent" and one.get("kind") != "pass"]
    assert len(present) == SAMPLES[name][0]


@pytest.mark.parametrize(
    ("uri", "base"),
    [
        ("src/a.py", None),
        ("./src/a.py", None),
        ("src/x/../a.py", None),
        ("src%2Fa.py", None),
        ("src\\a.py", None),
        ("file://{root}/src/a.py", None),
        ("file://localhost{root}/src/a.py", None),
        ("file:{root}/src/a.py", None),
        ("{root}/src/a.py", None),
        ("a.py", "file://{root}/src/"),
        ("src/a.py", "file:///home/runner/work/x/"),
    ],
)
def test_a_file_of_the_tree_is_known_however_it_is_said(sources: Sources, uri: str, base: str | None) -> None:
    root = str(sources.root)
    bases: dict[str, Any] = {"originalUriBaseIds": {"B": {"uri": base.format(root=root)}}} if base else {}
    found = only(document(result(locations=at(uri.format(root=root), 3, uriBaseId="B")), **bases), sources)
    assert (found.key.path, found.key.symbol) == ("src/a.py", "C.f")
    assert [evidence.kind for evidence in found.evidence] == ["file_span"]


def test_a_file_is_known_by_its_place_among_the_artifacts_and_by_nested_bases(sources: Sources) -> None:
    artifacts = [{"location": {"uri": "b%20c.py", "uriBaseId": "SRC"}}]
    bases = {"SRC": {"uri": "src/", "uriBaseId": "ROOT"}, "ROOT": {"uri": f"file://{sources.root}/"}}
    location = [{"physicalLocation": {"artifactLocation": {"index": 0}}}]
    found = only(document(result(locations=location), artifacts=artifacts, originalUriBaseIds=bases), sources)
    assert found.key.path == "src/b c.py"


@pytest.mark.parametrize(
    "uri",
    [
        "../outside.py",
        "src/../../outside.py",
        "%2e%2e/outside.py",
        "link/outside.py",
        "/etc/passwd",
        "file:///etc/passwd",
        "file://host/share/a.py",
        "https://example.com/src/a.py",
        "javascript:alert(1)",
        "C:\\src\\a.py",
        "file:///C:/src/a.py",
        "src/a.py\0",
        "src/missing.py",
        "",
    ],
)
def test_what_is_not_in_the_tree_is_kept_as_it_was_said_and_never_opened(sources: Sources, uri: str) -> None:
    records = read(document(result(locations=at(uri, 1))), sources)
    found = next(record for record in records if isinstance(record, Finding))
    assert found.key.path == (uri or "sarif:a.sarif")
    assert found.evidence == ()
    assert said(records).state == "partial"
    assert ("not in the tree" if uri else "name no file") in said(records).reason
    assert sources.source(uri) is None


def test_another_tools_finding_is_about_the_same_thing_as_ours(sources: Sources) -> None:
    data = document(result(ruleId="B307", locations=at("src/a.py", 3)))
    data["runs"][0]["tool"]["driver"]["name"] = "Bandit"
    found = only(data, sources)
    assert (found.key.rule, found.actor.tool, found.actor.lineage, found.cwe) == ("bandit:B307", "bandit", "bandit", 78)
    assert found.key.symbol == "C.f"


@pytest.mark.parametrize(
    ("said", "rule", "severity"),
    [
        ({"level": "error"}, {}, "high"),
        ({"level": "note"}, {}, "low"),
        ({"level": "none"}, {}, "info"),
        ({}, {}, "medium"),
        ({"level": "nonsense"}, {}, "medium"),
        ({}, {"defaultConfiguration": {"level": "error"}}, "high"),
        ({"kind": "review"}, {}, "info"),
        ({"level": "note"}, {"properties": {"security-severity": "9.8"}}, "critical"),
        ({"properties": {"security-severity": 5}}, {"properties": {"security-severity": "9.8"}}, "medium"),
        ({"level": "error"}, {"properties": {"security-severity": "much"}}, "high"),
        ({"level": "error"}, {"properties": {"security-severity": 1e300}}, "high"),
        ({"properties": {"security-severity": "0.0"}}, {}, "info"),
    ],
)
def test_severity_is_the_tools_own(said: dict[str, Any], rule: dict[str, Any], severity: str) -> None:
    found = only(document(result(**said), rules=({"id": "R1", **rule},)))
    assert (found.severity, found.severity_by) == (severity, "Some")


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ({}, {"properties": {"tags": ["security", "external/cwe/cwe-079"]}}),
        ({}, {"properties": {"tags": ["CWE-79: Cross-site Scripting"]}}),
        ({}, {"properties": {"cwe": "CWE-79"}}),
        ({}, {"properties": {"cwe": ["cwe_79"]}}),
        ({}, {"properties": {"cwe": 79}}),
        ({}, {"relationships": [{"target": {"id": "79", "toolComponent": {"name": "CWE"}}}]}),
        ({"taxa": [{"id": "79", "toolComponent": {"name": "CWE"}}]}, {"properties": {"tags": ["CWE-20"]}}),
        ({"properties": {"tags": ["CWE-79"]}}, {}),
    ],
)
def test_weaknesses_are_found_wherever_tools_say_them(said: dict[str, Any], rule: dict[str, Any]) -> None:
    assert only(document(result(**said), rules=({"id": "R1", **rule},))).cwe == 79


def test_other_taxonomies_are_no_weaknesses() -> None:
    relation = {"relationships": [{"target": {"id": "79", "toolComponent": {"name": "OWASP"}}}]}
    assert only(document(result(), rules=({"id": "R1", **relation},))).cwe is None


def test_suppressions_are_verdicts_of_who_made_them() -> None:
    records = read(
        document(
            result(suppressions=[{"kind": "inSource"}]),
            result(suppressions=[{"kind": "external", "justification": "by the team"}]),
            result(
                suppressions=[{"kind": "external", "status": "rejected"}, {"kind": "inSource", "status": "underReview"}]
            ),
            result(suppressions=[{"kind": "inSource"}, {"kind": "external"}]),
            result(suppressions=[]),
        )
    )
    findings = [record for record in records if isinstance(record, Finding)]
    verdicts = [record for record in records if isinstance(record, Verdict)]
    by_finding = [[v.actor for v in verdicts if v.of == finding.id] for finding in findings]
    assert by_finding == [[AUTHOR], [REVIEWER], [], [REVIEWER, AUTHOR], []]
    assert next(verdict.reason for verdict in verdicts if verdict.method == "external") == "by the team"


def test_what_is_absent_or_passed_is_no_finding_and_is_counted() -> None:
    records = read(
        document(
            result(baselineState="absent"),
            result(kind="pass"),
            result(kind="notApplicable"),
            result(baselineState="new"),
            result(kind="open"),
        )
    )
    assert len([record for record in records if isinstance(record, Finding)]) == 2
    assert "3 results of Some are no findings" in said(records).reason


def test_messages_are_put_together_as_the_standard_says() -> None:
    rules = (
        {
            "id": "R1",
            "messageStrings": {"m": {"text": "{0} in {1} of {2}"}},
            "name": "RuleOne",
            "helpUri": "https://x.org/r",
        },
    )
    found = only(document({"ruleIndex": 0, "message": {"id": "m", "arguments": ["this", "that"]}}, rules=rules))
    assert (found.rule, found.text, found.title) == ("R1", "this in that of {2}", "RuleOne")
    assert found.url == "https://x.org/r"
    assert (
        only(document({"ruleId": "R1/sub"}, rules=({"id": "R1", "shortDescription": {"text": "words"}},))).text
        == "words"
    )
    assert only(document(result(), rules=({"id": "R1", "helpUri": "javascript:alert(1)"},))).url is None


def test_links_to_places_of_the_result_itself_are_their_words() -> None:
    text = "from [a value](1) by [that](2) to [a page](https://x.org) and [odd](x)"
    found = only(document(result(message={"text": text})))
    assert found.text == "from a value by that to [a page](https://x.org) and [odd](x)"


def test_the_way_that_data_takes_is_kept_short() -> None:
    steps = [{"location": {"physicalLocation": at(f"x/f{n}.c", n + 1)[0]["physicalLocation"]}} for n in range(9)]
    found = only(document(result(codeFlows=[{"threadFlows": [{"locations": steps}]}])))
    assert found.text == "something (by way of f0.c:1 → f1.c:2 → f2.c:3 → f3.c:4 → f4.c:5 → … → f8.c:9)"


def test_columns_become_characters(sources: Sources) -> None:
    location = at("src/a.py", 3)
    location[0]["physicalLocation"]["region"] |= {"startColumn": 19, "endColumn": 26}
    found = only(document(result(locations=location), columnKind="utf16CodeUnits"), sources)
    assert (found.column, found.end_column) == (18, 25), "one character of this line is two UTF-16 units"
    found = only(document(result(locations=location), columnKind="unicodeCodePoints"), sources)
    assert (found.column, found.end_column) == (19, 26)


def test_fingerprints_are_kept_the_firmer_ones_first() -> None:
    partial, whole = {"partialFingerprints": {"b": "2", "a": "1"}}, {"fingerprints": {"x": "3"}}
    assert only(document(result(**partial))).fingerprint == "a=1;b=2"
    assert only(document(result(**partial, **whole))).fingerprint == "x=3"


def test_a_run_that_went_wrong_says_so() -> None:
    notice = {"level": "error", "message": {"text": "cannot\nparse"}}
    wrong = {"executionSuccessful": False, "toolExecutionNotifications": [notice, {"level": "note"}]}
    coverage = said(read(document(invocations=[wrong])))
    assert coverage.state == "partial"
    assert coverage.reason == "Some says that its run did not succeed; Some says: cannot parse"


def test_several_runs_are_several_actors() -> None:
    data = document(result())
    data["runs"].append({**data["runs"][0], "tool": {"driver": {"name": "Other", "semanticVersion": "2.0.0"}}})
    findings = [record for record in read(data) if isinstance(record, Finding)]
    assert [(one.actor.tool, one.actor.version) for one in findings] == [("Some", "1.2"), ("Other", "2.0.0")]


def test_equal_results_are_several_occurrences() -> None:
    findings = [record for record in read(document(result(), result())) if isinstance(record, Finding)]
    assert [one.ordinal for one in findings] == [0, 1]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is not a JSON object"),
        (b"[]", "it is not a JSON object"),
        (b"{}", "it does not say which version of SARIF it is"),
        (b'{"version": "2.1.0"}', "it has no list of runs"),
        (b'{"version": "2.1.0", "runs": {}}', "it has no list of runs"),
        (b'{"version": "2.1.0", "runs": [1]}', "one of its runs is not an object"),
        (b'{"version": "1.0.0", "runs": []}', "it says that it is SARIF '1.0.0'"),
        (b'{"version": 2.1, "runs": []}', "it does not say which version of SARIF it is"),
        (b'{"version": "2.1.0", "runs": [', "it is not JSON"),
    ],
)
@pytest.mark.anyio
async def test_what_is_no_sarif_is_refused_with_a_reason(data: bytes, reason: str) -> None:
    file = sarif(data)
    context = CollectingContext((file.unit,))
    with pytest.raises(MalformedOutput, match=r"a\.sarif was refused"):
        await SarifImport({file.unit: file}, NOWHERE)("read", context)
    kept = [record for record in context.records if isinstance(record, Malformed)]
    assert [(one.size, one.units) for one in kept] == [(len(data), (file.unit,))]
    assert said(list(context.records)).state == "failed"
    assert reason in said(list(context.records)).reason


@pytest.mark.anyio
async def test_a_file_is_one_call_that_runs_nothing_and_is_keyed_by_its_content(
    sources: Sources, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "r.sarif").write_text(json.dumps(document(result(locations=at("src/a.py", 3)))))
    files = open_all([tmp_path / "one" / "r.sarif", tmp_path / "two" / "r.sarif"])
    assert [(file.unit, file.check) for file in files] == [
        ("sarif:r.sarif", "sarif/r.sarif"),
        ("sarif:r.sarif#2", "sarif/r.sarif#2"),
    ]
    importer = SarifImport({file.unit: file for file in files}, sources)
    context = CollectingContext((files[0].unit,))
    value = await importer("read", context)
    assert value == {"findings": 1, "set_aside": 0, "malformed": 0}
    found = survey(sources.root)
    cut = await Surveyor(found, (), files)("survey", CollectingContext())
    assert [(shard.role, shard.units) for shard in cut.shards] == [(ROLE, (file.unit,)) for file in files]
    assert cut.planned["sarif:r.sarif#2"] == ("sarif/r.sarif#2",)
    assert ROLE in absent(())


def test_a_file_that_cannot_be_had_is_said_before_anything_starts(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reasons = {"missing": "no such file", ".": "cannot be read: is a directory", "pipe": "is no SARIF file"}
    for path, reason in reasons.items():
        with pytest.raises(UsageError, match=reason):
            open_sarif(tmp_path / path)


def test_not_sarif_is_what_the_reader_raises() -> None:
    with pytest.raises(NotSarif):
        read(b"{")
