"""Records: the id is the content, so that merging is set union."""

import hashlib
import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from antiphon.subagents.records import (
    SEVERITIES,
    Actor,
    Claim,
    Coverage,
    Evidence,
    Key,
    Malformed,
    Record,
    Severity,
    canonical,
    capped,
    file_span,
    from_json,
    malformed,
    numbered,
)

# Any text at all, lone surrogates included: that is what an undecodable file name turns into.
TEXT = st.text(st.characters(), max_size=20)
DIGEST = st.binary(max_size=4).map(lambda data: hashlib.sha256(data).hexdigest())
LINE = st.integers(1, 10_000)
ACTOR = st.builds(Actor, tool=TEXT, version=TEXT, lens=TEXT, lineage=TEXT)


@st.composite
def spans(draw: st.DrawFn) -> Evidence:
    start = draw(LINE)
    end = start + draw(st.integers(0, 50))
    return Evidence(kind="file_span", path=draw(TEXT), start_line=start, end_line=end, sha256=draw(DIGEST))


CLAIM = st.builds(
    Claim,
    branch=TEXT,
    record=st.just("claim"),
    sort=st.just("finding"),
    key=st.builds(Key, path=TEXT, rule=TEXT, symbol=TEXT),
    rule=TEXT,
    title=TEXT,
    text=TEXT,
    severity=st.sampled_from(SEVERITIES),
    severity_by=TEXT,
    actor=ACTOR,
    confidence=st.none() | st.sampled_from(["low", "medium", "high"]),
    evidence=st.lists(spans(), max_size=2).map(tuple),
    line=st.none() | LINE,
    column=st.none() | LINE,
    ordinal=st.integers(0, 3),
    suppressed=st.none() | st.sampled_from(["noqa", "nosec"]),
)
COVERAGE = st.builds(
    Coverage,
    branch=TEXT,
    record=st.just("coverage"),
    unit=TEXT,
    check=TEXT,
    state=st.sampled_from(["done", "partial", "failed"]),
    reason=TEXT,
)
MALFORMED = st.builds(malformed, ACTOR, st.binary(max_size=50), TEXT, st.lists(TEXT, max_size=2))
RECORD: st.SearchStrategy[Record] = st.one_of(CLAIM, COVERAGE, MALFORMED)


def finding(**changes: object) -> Claim:
    content: dict[str, object] = {
        "record": "claim",
        "sort": "finding",
        "key": {"path": "a.py", "rule": "bandit:B602", "symbol": "f"},
        "rule": "S602",
        "title": "subprocess-popen-with-shell-equals-true",
        "text": "shell=True",
        "severity": "high",
        "severity_by": "antiphon",
        "actor": {"tool": "ruff"},
    }
    return Claim.model_validate(content | changes)


@given(RECORD)
def test_round_trip_through_text_keeps_record_and_id(record: Record) -> None:
    again = from_json(json.loads(canonical(record.to_json())))
    assert again == record
    assert again.id == record.id


@given(RECORD)
def test_a_record_can_be_written_in_any_encoding(record: Record) -> None:
    json.dumps(record.to_json(), ensure_ascii=False).encode("utf-8")


@given(st.lists(RECORD, max_size=6))
def test_merging_is_set_union(records: list[Record]) -> None:
    merged = {record.id: record for record in [*records, *reversed(records)]}
    assert set(merged) == {record.id for record in records}
    assert len(merged) == len({canonical(record.to_json()) for record in records})


def test_the_branch_is_part_of_the_id() -> None:
    claim = finding()
    assert claim.recorded_by("0/1").id != claim.recorded_by("0/2").id != claim.id
    assert from_json(claim.to_json(), branch="0/1") == claim.recorded_by("0/1")
    assert claim.branch == "", "a record is never changed in place"


def test_an_optional_field_left_at_its_default_is_not_written() -> None:
    assert "confidence" not in finding().to_json()
    assert finding(confidence="high").id != finding().id


def test_every_severity_is_ranked() -> None:
    assert set(SEVERITIES) == set(get_args(Severity))


def test_records_are_immutable_and_closed() -> None:
    claim = finding()
    for field in Claim.model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(claim, field, "other")
    with pytest.raises(ValidationError):
        finding(opinion="mine")
    with pytest.raises(ValidationError):
        from_json({"record": "rumour"})


def test_evidence_names_exactly_the_lines_it_hashed() -> None:
    evidence = file_span("a.py", [b"one\r\n", b"two"], 7)
    assert (evidence.start_line, evidence.end_line) == (7, 8)
    assert evidence.sha256 == hashlib.sha256(b"one\r\ntwo").hexdigest()
    with pytest.raises(ValidationError, match="before it starts"):
        Evidence(kind="file_span", path="a.py", start_line=2, end_line=1, sha256=evidence.sha256)


def test_equal_claims_of_one_call_stay_apart() -> None:
    three = numbered([finding(), finding(line=3), finding()])
    assert len({claim.id for claim in three}) == 3
    assert [claim.ordinal for claim in three] == [0, 0, 1]


def test_malformed_output_is_kept_and_capped() -> None:
    raw = b"\xff{" * 10_000
    record = malformed(Actor(tool="ruff"), raw, "no JSON", ["a.py"])
    assert isinstance(record, Malformed)
    assert record.size == 20_000
    assert record.sha256 == hashlib.sha256(raw).hexdigest()
    assert record.raw.startswith("\\xff{")
    assert len(record.raw) <= 4_000


def test_cut_text_says_so() -> None:
    assert capped("abc", 3) == "abc"
    assert capped("abcde", 3) == "abc… (2 characters cut)"
