"""Records: the id is the content, so that merging is set union."""

import hashlib
import json
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from antiphon.subagents.records import (
    AUTHOR,
    SEVERITIES,
    Actor,
    Claim,
    CommandRun,
    Coverage,
    Evidence,
    Fact,
    FactKey,
    FileSpan,
    Finding,
    FindingKey,
    Link,
    Malformed,
    Passage,
    Patch,
    PatchKey,
    Record,
    Relation,
    Resolution,
    Severity,
    Stance,
    TestRun,
    UrlQuote,
    Verdict,
    author_verdict,
    canonical,
    capped,
    file_span,
    from_json,
    malformed,
    numbered,
    read_records,
    references,
    with_author,
)

# Any text at all, lone surrogates included: that is what an undecodable file name turns into.
TEXT = st.text(st.characters(), max_size=20)
DIGEST = st.binary(max_size=4).map(lambda data: hashlib.sha256(data).hexdigest())
LINE = st.integers(1, 10_000)
ACTOR = st.builds(Actor, tool=TEXT, version=TEXT, lens=TEXT, lineage=TEXT)


@st.composite
def spans(draw: st.DrawFn) -> FileSpan:
    start = draw(LINE)
    end = start + draw(st.integers(0, 50))
    return FileSpan(kind="file_span", path=draw(TEXT), start_line=start, end_line=end, sha256=draw(DIGEST))


@st.composite
def patch_keys(draw: st.DrawFn) -> PatchKey:
    start = draw(LINE)
    return PatchKey(base=draw(TEXT), path=draw(TEXT), start_line=start, end_line=start - 1 + draw(st.integers(0, 9)))


EVIDENCE: st.SearchStrategy[Evidence] = st.one_of(
    spans(),
    st.builds(UrlQuote, kind=st.just("url"), url=TEXT, quote=TEXT, title=TEXT),
    st.builds(
        CommandRun,
        kind=st.just("command"),
        argv=st.lists(TEXT, max_size=2).map(tuple),
        exit=st.integers(-9, 255),
        sha256=DIGEST,
    ),
    st.builds(
        TestRun,
        kind=st.just("test"),
        name=TEXT,
        passed=st.booleans(),
        sha256=DIGEST,
        patches=st.lists(DIGEST, max_size=2).map(tuple),
    ),
)
EVIDENCES = st.lists(EVIDENCE, max_size=2).map(tuple)
CLAIMED = {
    "branch": TEXT,
    "record": st.just("claim"),
    "text": TEXT,
    "actor": ACTOR,
    "confidence": st.none() | st.sampled_from(["low", "medium", "high"]),
    "evidence": EVIDENCES,
    "ordinal": st.integers(0, 3),
}
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
FINDING = st.builds(
    Finding,
    sort=st.just("finding"),
    key=st.builds(FindingKey, path=TEXT, rule=TEXT, symbol=TEXT),
    rule=TEXT,
    title=TEXT,
    severity=st.sampled_from(SEVERITIES),
    severity_by=TEXT,
    line=st.none() | LINE,
    column=st.none() | LINE,
    fingerprint=TEXT,
    **CLAIMED,
)
FACT_KEY = st.builds(
    FactKey, subject=TEXT, attribute=TEXT, qualifiers=st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple)
)
FACT = st.builds(Fact, sort=st.just("fact"), key=FACT_KEY, value=VALUE, **CLAIMED)
PASSAGE = st.builds(Passage, sort=st.just("text"), **CLAIMED)
PATCH = st.builds(Patch, sort=st.just("patch"), key=patch_keys(), replacement=TEXT, **CLAIMED)
CLAIM: st.SearchStrategy[Claim] = st.one_of(FINDING, FACT, PASSAGE, PATCH)
VERDICT = st.builds(
    Verdict,
    branch=TEXT,
    record=st.just("verdict"),
    of=DIGEST,
    stance=st.sampled_from(["confirm", "refute", "cannot_tell"]),
    actor=ACTOR,
    method=TEXT,
    reason=TEXT,
    evidence=EVIDENCES,
)
LINK = st.builds(
    Link,
    branch=TEXT,
    record=st.just("link"),
    a=DIGEST,
    b=DIGEST,
    relation=st.sampled_from(["same_as", "different", "contradicts", "supersedes"]),
    actor=ACTOR,
    reason=TEXT,
    evidence=EVIDENCES,
)
RESOLUTION = st.builds(
    Resolution,
    branch=TEXT,
    record=st.just("resolution"),
    of=DIGEST,
    index=st.integers(0, 3),
    state=st.sampled_from(["true", "false", "unchecked"]),
    actor=ACTOR,
    reason=TEXT,
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
RECORD: st.SearchStrategy[Record] = st.one_of(CLAIM, VERDICT, LINK, RESOLUTION, COVERAGE, MALFORMED)


def finding(**changes: object) -> Finding:
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
    return Finding.model_validate(content | changes)


@settings(deadline=None)
@given(RECORD)
def test_round_trip_through_text_keeps_record_and_id(record: Record) -> None:
    again = from_json(json.loads(canonical(record.to_json())))
    assert again == record
    assert again.id == record.id


@settings(deadline=None)
@given(RECORD)
def test_a_record_can_be_written_in_any_encoding(record: Record) -> None:
    json.dumps(record.to_json(), ensure_ascii=False).encode("utf-8")


@settings(deadline=None)
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
    for field in Finding.model_fields:
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
        FileSpan(kind="file_span", path="a.py", start_line=2, end_line=1, sha256=evidence.sha256)


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


def test_every_sort_of_claim_is_a_claim_and_nothing_else_is() -> None:
    found: list[Record] = [finding(), fact(1), passage("a"), patch(1, 1)]
    assert all(isinstance(record, Claim) for record in found)
    judgements: list[Record] = [author_verdict(finding(), "noqa"), link(finding(), passage("a"), "same_as")]
    assert not any(isinstance(record, Claim) for record in judgements)


def fact(value: Any, **changes: object) -> Fact:
    key = FactKey(subject="Bern", attribute="altitude")
    content = {"record": "claim", "sort": "fact", "key": key, "value": value, "text": "", "actor": OTHER}
    return Fact.model_validate(content | changes)


def passage(text: str, *evidence: Evidence) -> Passage:
    return Passage(record="claim", sort="text", text=text, actor=OTHER, evidence=evidence)


def patch(start: int, end: int) -> Patch:
    key = PatchKey(base="c0ffee", path="a.py", start_line=start, end_line=end)
    return Patch(record="claim", sort="patch", key=key, replacement="x\n", text="", actor=OTHER)


def link(a: Record, b: Record, relation: Relation, *evidence: Evidence) -> Link:
    return Link(record="link", a=a.id, b=b.id, relation=relation, actor=OTHER, evidence=evidence)


def verdict(of: Record, stance: Stance = "confirm", *evidence: Evidence) -> Verdict:
    return Verdict(record="verdict", of=of.id, stance=stance, actor=OTHER, method="look", evidence=evidence)


OTHER = Actor(tool="pylint")


def test_the_order_of_qualifiers_is_no_difference() -> None:
    one = FactKey(subject="a", attribute="b", qualifiers=(("y", "1"), ("x", "2")))
    two = FactKey(subject="a", attribute="b", qualifiers=(("x", "2"), ("y", "1")))
    assert one == two
    assert fact(1, key=one).id == fact(1, key=two).id


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1, {"a": float("-inf")}]])
def test_a_value_that_no_reader_of_json_takes_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match="JSON"):
        fact(value)


def test_a_value_s_text_can_be_written_in_any_encoding_however_deep_it_is() -> None:
    value = fact({"a\udcff": ["\udc80", {"b": "é\ud800"}]}).to_json()
    assert value["value"] == {"a\\udcff": ["\\udc80", {"b": "é\\ud800"}]}
    json.dumps(value, ensure_ascii=False).encode("utf-8")


def test_a_value_too_deep_to_be_written_is_refused_as_any_other_wrong_value() -> None:
    deep: Any = 1
    for _ in range(10_000):
        deep = [deep]
    with pytest.raises(ValidationError):
        from_json({**fact(1).to_json(), "value": deep})


def test_a_patch_may_insert_and_may_not_end_before_that() -> None:
    assert patch(3, 2).key.end_line == 2
    with pytest.raises(ValidationError, match="before it starts"):
        patch(3, 1)


@pytest.mark.parametrize("relation", ["same_as", "different", "contradicts"])
def test_a_relation_that_goes_both_ways_is_one_record_whoever_comes_first(relation: Relation) -> None:
    one, two = passage("one"), passage("two")
    assert link(one, two, relation) == link(two, one, relation)
    assert link(one, two, relation).a < link(one, two, relation).b


def test_what_supersedes_comes_first() -> None:
    one, two = passage("one"), passage("two")
    assert (link(one, two, "supersedes").a, link(two, one, "supersedes").a) == (one.id, two.id)


def test_the_author_speaks_through_a_comment_and_refutes() -> None:
    found = with_author([(finding(), "noqa"), (finding(), None), (finding(line=3), "nosec")])
    claims, verdicts = [r for r in found if isinstance(r, Finding)], [r for r in found if isinstance(r, Verdict)]
    assert [claim.ordinal for claim in claims] == [0, 1, 0]
    assert [(v.of, v.stance, v.actor, v.method) for v in verdicts] == [
        (claims[0].id, "refute", AUTHOR, "noqa"),
        (claims[2].id, "refute", AUTHOR, "nosec"),
    ]


# --- the records of one call, wherever it is replayed ---


def tried(*patches: Patch) -> TestRun:
    ids = tuple(patch.id for patch in patches)
    return TestRun(kind="test", name="t", passed=True, sha256="0" * 64, patches=ids)


def one_call() -> list[Record]:
    """A claim, a verdict on it, a verdict on that, links, and a test of patches, as an agent gives them."""
    claim, one, two = finding(), patch(1, 1), patch(3, 3)
    first = verdict(claim, "refute")
    return [
        verdict(first, "refute"),
        link(claim, one, "same_as", tried(one, two)),
        first,
        claim,
        passage("both pass", tried(two, one)),
        one,
        two,
        Resolution(record="resolution", of=claim.id, index=0, state="true", actor=OTHER),
        link(first, claim, "supersedes"),
    ]


def shape(records: list[Record]) -> list[tuple[int, ...]]:
    """Which records each one names, by their place in the list."""
    places = {record.id: place for place, record in enumerate(records)}
    return [tuple(sorted(places[name] for name in references(record))) for record in records]


@pytest.mark.parametrize("branch", ["main/0", "main/1/7/0"])
def test_a_call_that_is_replayed_elsewhere_keeps_its_references(branch: str) -> None:
    said = one_call()
    read = read_records([record.to_json() for record in said], branch)
    assert [record.branch for record in read] == [branch] * len(said)
    assert shape(read) == shape(said) == [(2,), (3, 5, 5, 6), (3,), (), (5, 6), (), (), (3,), (2, 3)]
    assert all(one.a <= one.b for one in read if isinstance(one, Link) and one.relation == "same_as")


def test_where_nothing_is_named_the_records_are_only_given_their_branch() -> None:
    said: list[Record] = [finding(), passage("a"), malformed(OTHER, b"{", "no JSON")]
    assert read_records([record.to_json() for record in said], "0/1") == [record.recorded_by("0/1") for record in said]


def test_a_name_from_another_call_is_left_as_it_is() -> None:
    elsewhere = finding().recorded_by("9/9")
    (read,) = read_records([verdict(elsewhere).to_json()], "0/1")
    assert references(read) == (elsewhere.id,)


def test_a_name_that_is_nobody_s_is_left_as_it_is_also_where_it_looks_like_a_circle() -> None:
    nobody = "f" * 64
    one = Verdict(record="verdict", of=nobody, stance="refute", actor=OTHER, method="look")
    two = Verdict(record="verdict", of=one.id, stance="refute", actor=OTHER, method="look")
    circle = one.model_copy(update={"of": two.id})
    read = read_records([one.to_json(), two.to_json(), circle.to_json()], "0/1")
    assert [references(record) for record in read] == [(nobody,), (read[0].id,), (read[1].id,)]


def test_a_chain_of_verdicts_of_any_length_is_read() -> None:
    chain: list[Record] = [finding()]
    for _ in range(3_000):
        chain.append(verdict(chain[-1]))
    read = read_records([record.to_json() for record in reversed(chain)], "0/1")
    assert [references(judge) for judge in read[:-1]] == [(judged.id,) for judged in read[1:]]


@settings(deadline=None)
@given(st.lists(RECORD, max_size=5))
def test_reading_a_call_back_gives_each_record_its_branch_and_loses_none(records: list[Record]) -> None:
    agents = [record.recorded_by("") for record in records]
    read = read_records([record.to_json() for record in agents], "0/1")
    assert len(read) == len(records)
    assert {record.branch for record in read} <= {"0/1"}
    assert [type(record) for record in read] == [type(record) for record in records]


@pytest.mark.parametrize(
    "data",
    [
        {"record": "claim"},
        {"record": "claim", "sort": "rumour"},
        {"record": ["claim"]},
        {"record": "verdict", "of": "short", "stance": "refute", "actor": {"tool": "a"}, "method": ""},
        {"record": "link", "a": 1, "b": None, "relation": "same_as", "actor": {"tool": "a"}},
        {"record": "link", "a": {}, "b": [], "relation": [], "actor": 3},
        {"sort": "finding"},
        {},
    ],
)
def test_what_is_no_record_is_refused_with_one_kind_of_error(data: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        from_json(data)
