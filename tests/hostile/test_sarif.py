"""SARIF from somebody who wants to bring the reader down, to get out of the tree, or to act on who reads the report."""

import codecs
import copy
import json
import tracemalloc
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from antiphon.subagents.records import Coverage, Finding, Record
from antiphon.workflows.audit import Sources
from antiphon.workflows.audit.sarif import MOST_RESULTS, NotSarif, document, read_document
from antiphon.workflows.audit.sarif.values import is_array, is_object
from antiphon.workflows.audit.sarif_import import SarifFile, findings_of
from antiphon.workflows.report import About, json_report, markdown
from antiphon.workflows.report import sarif as sarif_report
from antiphon.workflows.synthesis import synthesize

NOWHERE = Sources(Path("/nowhere"))


def read(data: bytes) -> list[Record]:
    return findings_of(SarifFile("sarif:a.sarif", data, sha256(data).hexdigest()), NOWHERE)


def whole(results: str, *, before: str = "", after: str = "") -> bytes:
    run = f'{{{before}"tool": {{"driver": {{"name": "T"}}}}, "results": [{results}]{after}}}'
    return f'{{"version": "2.1.0", "runs": [{run}]}}'.encode()


def findings(records: list[Record]) -> list[Finding]:
    return [record for record in records if isinstance(record, Finding)]


@pytest.mark.parametrize("unit", ["[", '{"a":', "[[", '{"runs":['])
@pytest.mark.parametrize(
    "place", ["{}", '{{"version": "2.1.0", "x": {}', '{{"version": "2.1.0", "runs": [{{"results": [{}']
)
def test_deep_nesting_is_refused(unit: str, place: str) -> None:
    with pytest.raises(NotSarif):
        read(place.format(unit * 100_000).encode())


def test_a_result_too_deep_takes_the_file_along_and_says_so() -> None:
    deep = '{"ruleId": "R", "properties": ' + "[" * 50_000 + "]" * 50_000 + "}"
    with pytest.raises(NotSarif, match="nested too deeply"):
        read(whole(deep))


def test_many_results_cost_what_is_kept_and_the_rest_is_counted() -> None:
    """As many as a file can hold: only so many are ever in memory."""
    one = '{"ruleId":"R","message":{"text":"m"}}'
    data = whole(",".join([one] * 300_000))
    tracemalloc.start()
    (run,) = read_document(data, most_results=1_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (len(run.results), run.beyond) == (1_000, 299_000)
    assert peak < 4 * len(data)


@pytest.mark.long
def test_a_million_results_are_read_in_part_and_said_to_be() -> None:
    one = '{"ruleId":"R","message":{"text":"m"}}'
    records = read(whole(",".join([one] * 1_000_000)))
    assert len(findings(records)) == MOST_RESULTS
    (coverage,) = [record for record in records if isinstance(record, Coverage)]
    assert coverage.state == "partial"
    assert "950,000 results of T are more than are read from one file" in coverage.reason


def test_many_runs_and_many_bytes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotSarif, match="more than 1,000 runs"):
        read(b'{"version": "2.1.0", "runs": [' + b",".join([b"{}"] * 1_001) + b"]}")
    monkeypatch.setattr(document, "MOST_BYTES", 10)
    with pytest.raises(NotSarif, match="too large"):
        read(whole(""))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_in_json_is_refused(number: str) -> None:
    with pytest.raises(NotSarif, match="is no JSON number"):
        read(whole(f'{{"ruleId": "R", "rank": {number}}}'))


def test_a_number_of_very_many_digits_is_refused() -> None:
    with pytest.raises(NotSarif, match="it is not JSON"):
        read(whole(f'{{"ruleId": "R", "rank": {"9" * 10_000}}}'))


@pytest.mark.parametrize(
    "line", ["-1", "0", "1e9", "1.5", "true", '"7"', "[]", "null", "99999999999999999999", "1e400"]
)
def test_a_line_that_is_none_is_no_line(line: str) -> None:
    region = f'{{"startLine": {line}, "startColumn": {line}, "endLine": {line}, "endColumn": {line}}}'
    location = f'{{"physicalLocation": {{"artifactLocation": {{"uri": "a.py"}}, "region": {region}}}}}'
    (found,) = findings(read(whole(f'{{"ruleId": "R", "locations": [{location}]}}')))
    assert (found.line, found.end_line, found.column, found.end_column) == (None, None, None, None)


def test_a_region_that_ends_before_it_starts_is_its_first_line() -> None:
    location = {"physicalLocation": {"region": {"startLine": 9, "endLine": 3, "startColumn": 2, "endColumn": 1}}}
    (found,) = findings(read(whole(json.dumps({"ruleId": "R", "locations": [location]}))))
    assert (found.line, found.end_line, found.column, found.end_column) == (9, 9, 2, None)


@pytest.mark.parametrize("mark", [codecs.BOM_UTF8, b""])
def test_byte_order_marks_are_understood(mark: bytes) -> None:
    assert len(findings(read(mark + whole('{"ruleId": "R"}')))) == 1


@pytest.mark.parametrize(("mark", "encoding"), [(codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")])
def test_utf16_is_understood_with_its_mark(mark: bytes, encoding: str) -> None:
    assert len(findings(read(mark + whole('{"ruleId": "R"}').decode().encode(encoding)))) == 1
    with pytest.raises(NotSarif):
        read(whole('{"ruleId": "R"}').decode().encode(encoding))


@pytest.mark.parametrize("data", [b"\xff", b"\x00" * 10, b'"\xff"', codecs.BOM_UTF16_LE + b"\x00", b"\x1f\x8b\x08"])
def test_what_is_no_text_is_refused(data: bytes) -> None:
    with pytest.raises(NotSarif):
        read(data)


@pytest.mark.parametrize("more", [b"x", b"{}", b"\0", b","])
def test_what_comes_after_the_end_is_refused(more: bytes) -> None:
    with pytest.raises(NotSarif, match="more after its end"):
        read(whole("") + more)


def test_a_key_that_is_there_twice_hides_no_result() -> None:
    data = whole('{"ruleId": "A"}', after=', "results": [{"ruleId": "B"}]')
    assert [found.rule for found in findings(read(data))] == ["A", "B"]
    twice = b'{"version": "2.1.0", "runs": [{"results": [{"ruleId": "A"}]}], "runs": [{"results": [{"ruleId": "B"}]}]}'
    assert [found.rule for found in findings(read(twice))] == ["A", "B"]


EVIL = (
    "\x1b[2J\x1b]0;title\x07 [click](javascript:alert(1)) <script>alert(1)</script> \u202e | `x` \ud800 \r\n\r\n# Head"
)


def test_what_it_says_acts_on_nobody() -> None:
    text = json.dumps(EVIL)
    location = f'{{"physicalLocation": {{"artifactLocation": {{"uri": {text}}}, "region": {{"startLine": 1}}}}}}'
    rules = f'[{{"id": {text}, "name": {text}, "helpUri": {text}}}]'
    result = (
        f'{{"ruleId": {text}, "message": {{"text": {text}}}, "locations": [{location}], '
        f'"fingerprints": {{{text}: {text}}}, "suppressions": [{{"kind": "external", "justification": {text}}}]}}'
    )
    run = f'{{"tool": {{"driver": {{"name": {text}, "version": {text}, "rules": {rules}}}}}, "results": [{result}]}}'
    records = [record.recorded_by("0") for record in read(f'{{"version": "2.1.0", "runs": [{run}]}}'.encode())]
    assert len(findings(records)) == 1
    merged = synthesize(records, {"sarif:a.sarif": ("sarif/a.sarif",)})
    for write in (markdown, json_report, sarif_report):
        said = write(merged, About(target="x"))
        assert not [line for line in said.split("\n") if not line.isprintable()]
    page = MarkdownIt().render(markdown(merged, About(target="x")))
    assert "<script" not in page
    assert "<a " not in page


def test_long_names_and_messages_are_cut() -> None:
    long = "x" * 1_000_000
    result = {"ruleId": long, "message": {"text": long}, "fingerprints": {"a": long}, "level": long, "kind": "fail"}
    location = {"physicalLocation": {"artifactLocation": {"uri": long}}, "logicalLocations": [{"name": long}]}
    run = {"tool": {"driver": {"name": long, "version": long}}, "results": [{**result, "locations": [location]}]}
    records = read(json.dumps({"version": "2.1.0", "runs": [run]}).encode())
    assert sum(len(json.dumps(record.to_json())) for record in records) < 12_000


def test_arguments_of_a_message_do_not_multiply() -> None:
    message = {"text": "{0}" * 100_000, "arguments": ["x" * 100_000]}
    (found,) = findings(read(whole(json.dumps({"ruleId": "R", "message": message}))))
    assert len(found.text) < 2_100


def test_addresses_that_are_relative_to_each_other_come_to_an_end() -> None:
    bases = {"A": {"uri": "a/", "uriBaseId": "B"}, "B": {"uri": "b/", "uriBaseId": "A"}}
    location = {"physicalLocation": {"artifactLocation": {"uri": "x.py", "uriBaseId": "A"}}}
    result = json.dumps({"ruleId": "R", "locations": [location]})
    (found,) = findings(read(whole(result, after=f', "originalUriBaseIds": {json.dumps(bases)}')))
    assert found.key.path == "x.py"


RESULT: dict[str, Any] = {
    "ruleId": "R",
    "ruleIndex": 0,
    "rule": {"id": "R", "index": 0, "toolComponent": {"index": 0}},
    "kind": "fail",
    "level": "error",
    "message": {"id": "m", "text": "t", "arguments": ["a"]},
    "locations": [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "a.py", "uriBaseId": "B", "index": 0},
                "region": {"startLine": 1, "startColumn": 1, "endLine": 2, "endColumn": 3},
            },
            "logicalLocations": [{"name": "f", "fullyQualifiedName": "a.f", "kind": "function"}],
        }
    ],
    "codeFlows": [
        {"threadFlows": [{"locations": [{"location": {"physicalLocation": {"region": {"startLine": 1}}}}] * 3}]}
    ],
    "fingerprints": {"a": "1"},
    "partialFingerprints": {"b": "2"},
    "suppressions": [{"kind": "inSource", "status": "accepted", "justification": "j"}],
    "baselineState": "new",
    "taxa": [{"id": "79", "toolComponent": {"name": "CWE"}}],
    "properties": {"tags": ["CWE-20"], "security-severity": "5.0", "cwe": ["CWE-1"]},
}
DOCUMENT: dict[str, Any] = {
    "version": "2.1.0",
    "runs": [
        {
            "tool": {
                "driver": {
                    "name": "T",
                    "version": "1",
                    "rules": [
                        {
                            "id": "R",
                            "name": "n",
                            "shortDescription": {"text": "s"},
                            "messageStrings": {"m": {"text": "{0}"}},
                            "defaultConfiguration": {"level": "note"},
                            "relationships": [{"target": {"id": "7", "toolComponent": {"name": "CWE"}}}],
                            "properties": {"tags": ["x"]},
                        }
                    ],
                },
                "extensions": [{"name": "e", "rules": [{"id": "R"}]}],
            },
            "invocations": [
                {
                    "executionSuccessful": False,
                    "toolExecutionNotifications": [{"level": "error", "message": {"text": "x"}}],
                    "toolConfigurationNotifications": [{"level": "error"}],
                }
            ],
            "artifacts": [{"location": {"uri": "b.py"}}],
            "originalUriBaseIds": {"B": {"uri": "file:///x/", "uriBaseId": "C"}},
            "columnKind": "utf16CodeUnits",
            "results": [RESULT],
        }
    ],
}


def places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a document below which something could be of the wrong type."""
    if path:
        yield path
    items: list[tuple[str | int, Any]] = []
    if is_object(value):
        items = list(value.items())
    elif is_array(value):
        items = list(enumerate(value))
    for key, inner in items:
        yield from places(inner, (*path, key))


PLACES = sorted(places(DOCUMENT), key=repr)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


def replaced(path: tuple[str | int, ...], value: object) -> bytes:
    data = copy.deepcopy(DOCUMENT)
    holder: Any = data
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    return json.dumps(data).encode()


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(PLACES), ANYTHING)
def test_a_wrong_type_anywhere_is_a_refusal_or_a_finding_with_less(path: tuple[str | int, ...], value: object) -> None:
    try:
        records = read(replaced(path, value))
    except NotSarif:
        assert path in (("version",), ("runs",), ("runs", 0))
        return
    assert [record for record in records if isinstance(record, Coverage)]
    for record in records:
        assert record.recorded_by("0").id


@pytest.mark.parametrize("value", [None, True, -1, 10**30, 1.5, "x", [], {}, [[]], [{}], [None]])
def test_every_place_with_every_sort_of_value(value: object) -> None:
    for path in PLACES:
        try:
            records = read(replaced(path, value))
        except NotSarif:
            assert path in (("version",), ("runs",), ("runs", 0))
            continue
        no_result = path == ("runs", 0) or (path[:3] == ("runs", 0, "results") and len(path) <= 4)
        assert no_result or len(findings(records)) == 1 or path[-1:] in (("runs",), ("kind",), ("baselineState",)), path


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode) | ANYTHING.map(json.dumps).map(str.encode))
def test_anything_is_refused_or_read(data: bytes) -> None:
    try:
        records = read(data)
    except NotSarif:
        return
    assert [record for record in records if isinstance(record, Coverage)]
