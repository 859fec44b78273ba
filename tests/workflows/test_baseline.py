"""Recognising results again: one to one, whatever the order; and reading logs that may come from anybody."""

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.workflows.baseline import (
    BaselineError,
    Region,
    Sighting,
    compare,
    find_baseline,
    load_baseline,
    match,
    read_sarif,
    with_states,
)
from antiphon.workflows.baseline.pairing import pairs

regions = st.builds(Region, start_line=st.integers(0, 6), start_column=st.integers(0, 2))
names = st.lists(
    st.tuples(st.sampled_from(["antiphon/v1", "a", "b"]), st.sampled_from("xyz")), max_size=2, unique_by=lambda n: n[0]
)
sightings = st.builds(
    Sighting,
    run=st.just(0),
    index=st.just(0),
    tool=st.sampled_from(["ruff", "bandit"]),
    rule=st.sampled_from(["S1", "S2"]),
    uri=st.sampled_from(["a.py", "b.py"]),
    region=regions,
    symbol=st.sampled_from(["", "f", "g"]),
    message=st.sampled_from(["one", "two on line 3"]),
    fingerprints=st.sampled_from([(), (("full", "1"),), (("full", "2"),)]),
    partials=names.map(lambda found: tuple(sorted(found))),
)
crowded = st.builds(
    Sighting,
    run=st.just(0),
    index=st.just(0),
    tool=st.just("ruff"),
    rule=st.just("S1"),
    uri=st.just("a.py"),
    region=st.builds(Region, start_line=st.integers(1, 50)),
)
"""Many alike in one file, so that only their lines tell which is which."""
logs = (st.lists(sightings, max_size=12) | st.lists(crowded, max_size=8)).map(
    lambda found: [replace(sighting, index=index) for index, sighting in enumerate(found)]
)


def content(sighting: Sighting) -> Sighting:
    return replace(sighting, index=0)


def shuffled(log: list[Sighting], seed: int) -> list[Sighting]:
    mixed = random.Random(seed).sample(log, len(log))
    return [replace(sighting, index=index) for index, sighting in enumerate(mixed)]


@given(logs, logs)
def test_one_to_one_and_only_within_a_rule(before: list[Sighting], after: list[Sighting]) -> None:
    found = match(before, after)
    assert len({m.before.index for m in found}) == len({m.after.index for m in found}) == len(found)
    assert all((m.before.tool, m.before.rule) == (m.after.tool, m.after.rule) for m in found)


@given(logs, logs)
def test_exchanging_the_logs_gives_the_same_pairs(before: list[Sighting], after: list[Sighting]) -> None:
    forward = Counter((content(m.before), content(m.after), m.way) for m in match(before, after))
    backward = Counter((content(m.after), content(m.before), m.way) for m in match(after, before))
    assert forward == backward


@given(logs, logs, st.integers(0, 99))
def test_the_order_of_results_does_not_matter(before: list[Sighting], after: list[Sighting], seed: int) -> None:
    straight = Counter((content(m.before), content(m.after), m.way) for m in match(before, after))
    mixed = match(shuffled(before, seed), shuffled(after, seed + 1))
    assert Counter((content(m.before), content(m.after), m.way) for m in mixed) == straight


@given(logs)
def test_a_log_is_unchanged_beside_itself(log: list[Sighting]) -> None:
    found = match(log, log)
    assert len(found) == len(log)
    assert all(content(m.before) == content(m.after) for m in found)


@given(logs, logs)
def test_nothing_equal_is_left_over_on_both_sides(before: list[Sighting], after: list[Sighting]) -> None:
    """What is alike in all but its place, and has no fingerprint to object, is never both new and absent."""
    found = match(before, after)
    old, new = {m.before.index for m in found}, {m.after.index for m in found}

    def alike(left: list[Sighting], taken: set[int]) -> set[tuple[str, ...]]:
        rest = [s for s in left if s.index not in taken and not s.fingerprints and not s.partials]
        return {(s.tool, s.rule, s.uri, s.symbol, s.text) for s in rest}

    assert not alike(before, old) & alike(after, new)


lines = st.lists(st.integers(1, 60), min_size=1, max_size=15, unique=True)


@given(lines, st.integers(0, 60), st.integers(-5, 40), st.booleans())
def test_what_moves_with_the_lines_above_it_stays(at: list[int], edited: int, by: int, prints: bool) -> None:
    """Edits above: lines from one on are moved. With our fingerprint it is unchanged, without it at most updated."""

    def moved(line: int) -> int:
        return line if line < edited else max(line + by, edited)

    def log(place: Any) -> str:
        found = [
            {
                "ruleId": "S1",
                "message": {"text": "same words"},
                "locations": [
                    {"physicalLocation": {"artifactLocation": {"uri": "a.py"}, "region": {"startLine": place(line)}}}
                ],
                **({"partialFingerprints": {"antiphon/v1": f"code {line}"}} if prints else {}),
            }
            for line in at
        ]
        return json.dumps({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "ruff"}}, "results": found}]})

    counts = compare(read_sarif(log(int), "before"), read_sarif(log(moved), "after")).counts
    assert counts["new"] == counts["absent"] == 0
    if prints:
        assert counts["unchanged"] == len(at)


def one(line: int, index: int) -> Sighting:
    return Sighting(run=0, index=index, tool="t", rule="r", uri="a.py", region=Region(line))


@given(st.lists(st.integers(1, 30), max_size=9), st.lists(st.integers(1, 30), max_size=9))
def test_pairs_are_as_many_as_can_be_and_never_cross(before: list[int], after: list[int]) -> None:
    found = pairs([one(line, i) for i, line in enumerate(before)], [one(line, i) for i, line in enumerate(after)])
    assert len(found) == min(len(before), len(after))
    ordered = sorted((left.region.start_line, right.region.start_line) for left, right in found)
    assert [right for _, right in ordered] == sorted(right for _, right in ordered)


def test_the_farthest_stays_alone() -> None:
    found = pairs([one(10, 0), one(20, 1), one(30, 2)], [one(10, 0), one(30, 1)])
    assert [(left.region.start_line, right.region.start_line) for left, right in found] == [(10, 10), (30, 30)]


def test_time_does_not_grow_with_the_square() -> None:
    """40,000 results that are alike in everything but their lines: a square of that would take hours."""
    many = [one(line, line) for line in range(1, 20_001)]
    found = match(many, [replace(sighting, region=Region(sighting.region.start_line + 7)) for sighting in many[:-1]])
    assert len(found) == len(many) - 1


def test_a_secret_that_was_replaced_by_another_is_new() -> None:
    def secret(value: str, line: int) -> Sighting:
        return replace(one(line, 0), partials=(("secret", value),), message="a secret")

    others = [replace(secret(f"{i}", 90 + i), index=i + 1) for i in range(3)]
    found = match([secret("old", 5), *others], [secret("new", 9), *others])
    assert [m.before.index for m in found] == [1, 2, 3]


def test_a_function_that_was_edited_is_the_same_finding() -> None:
    before = replace(one(5, 0), symbol="f", message="too complex (11)", partials=(("antiphon/v1", "x"),))
    after = replace(one(9, 0), symbol="f", message="too complex (12)", partials=(("antiphon/v1", "y"),))
    assert [m.way for m in match([before], [after])] == ["same symbol"]


def log(*results: Any, tool: str = "ruff", **more: Any) -> bytes:
    run = {"tool": {"driver": {"name": tool}}, "results": list(results), **more}
    return json.dumps({"version": "2.1.0", "runs": [run]}).encode()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b"[" * 200_000, "is no JSON"),
        (b"[]", "is no SARIF 2.1.0 log"),
        (b'{"version": "2.1.0"}', "is no SARIF 2.1.0 log"),
        (b'{"version": "1.0.0", "runs": []}', "is no SARIF 2.1.0 log"),
        (b'{"version": "2.1.0", "runs": {}}', "is no SARIF 2.1.0 log"),
    ],
)
def test_what_is_no_log_is_refused_with_what_to_do(data: bytes, problem: str) -> None:
    with pytest.raises(BaselineError, match=problem) as caught:
        read_sarif(data, "x.sarif")
    assert "--baseline" in str(caught.value.advice)


KEYS = [
    "ruleId",
    "message",
    "text",
    "id",
    "arguments",
    "locations",
    "physicalLocation",
    "artifactLocation",
    "uri",
    "index",
    "uriBaseId",
    "region",
    "startLine",
    "suppressions",
    "kind",
    "rule",
    "level",
    "partialFingerprints",
    "properties",
    "antiphon",
    "claim",
    "baselineState",
]
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(json_values, max_size=3), json_values, json_values)
def test_values_of_the_wrong_type_are_passed_over(results: list[Any], artifacts: Any, driver: Any) -> None:
    data = {"version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results, "artifacts": artifacts}, 3]}
    before = read_sarif(json.dumps(data), "x")
    assert len(before.sightings) + before.unreadable <= len(results)
    found = compare(before, before)
    assert len(found.of("unchanged")) == len(before.sightings)
    with_states(before, found)


def test_absolute_names_become_relative_to_the_audited_folder() -> None:
    def place(**artifact: Any) -> Any:
        return {"ruleId": "r", "locations": [{"physicalLocation": {"artifactLocation": artifact}}]}

    data = log(
        place(uri="file:///src/proj/a%20b.py"),
        place(uri="x/../c.py"),
        place(uri="d.py", uriBaseId="TOP"),
        place(index=0),
        place(uri="e.py", uriBaseId="LOOP"),
        place(uri="https://example.com/f.py"),
        place(uri="/elsewhere/g.py"),
        originalUriBaseIds={
            "TOP": {"uri": "src/", "uriBaseId": "ROOT"},
            "ROOT": {"uri": "file:///src/proj/"},
            "LOOP": {"uri": "l/", "uriBaseId": "LOOP"},
        },
        artifacts=[{"location": {"uri": "h.py"}}],
    )
    found = [sighting.uri for sighting in read_sarif(data, "x", root=Path("/src/proj")).sightings]
    assert found[:4] == ["a b.py", "c.py", "src/d.py", "h.py"]
    assert found[4].endswith("l/e.py")
    assert found[5:] == ["https://example.com/f.py", "/elsewhere/g.py"]


def test_arguments_are_filled_into_messages() -> None:
    data = log(
        {"message": {"text": "{0} {{1}} {1} {7}", "arguments": ["a{1}", "b"]}},
        {"ruleIndex": 0, "message": {"id": "m", "arguments": ["x"]}},
        {"message": {"id": "unknown", "arguments": ["x"]}},
    )
    content = json.loads(data)
    content["runs"][0]["tool"]["driver"]["rules"] = [{"id": "R", "messageStrings": {"m": {"text": "so {0}"}}}]
    first, second, third = read_sarif(json.dumps(content), "x").sightings
    assert (first.message, second.message, second.rule) == ("a{1} {1} b {7}", "so x", "R")
    assert third.message == 'unknown ["x"]'


def test_states_are_written_and_the_log_stays_sarif() -> None:
    def result(rule: str, line: int) -> Any:
        region = {"startLine": line}
        return {
            "ruleId": rule,
            "message": {"text": f"[see](evil) {rule}"},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": "a b.py"}, "region": region}}],
            "suppressions": [],
        }

    before = read_sarif(log(result("old", 1), result("same", 2), result("moved", 3)), "before")
    after = read_sarif(log(result("moved", 9), result("fresh", 7), result("same", 2)), "after")
    found = compare(before, after)
    assert found.counts == {"new": 1, "updated": 1, "unchanged": 1, "absent": 1}
    written = json.loads(with_states(after, found))
    states = [(each["ruleId"], each["baselineState"]) for each in written["runs"][0]["results"]]
    assert states == [("moved", "updated"), ("fresh", "new"), ("same", "unchanged"), ("old", "absent")]
    gone = written["runs"][0]["results"][-1]
    assert gone["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "a%20b.py"
    assert "](evil)" in gone["message"]["text"]
    assert not gone["message"]["text"].startswith("[see](")
    assert after.content["runs"][0]["results"][0].get("baselineState") is None


def test_what_nobody_looked_for_is_not_called_absent() -> None:
    before = read_sarif(log({"ruleId": "r", "message": {"text": "m"}}), "before")
    found = compare(before, read_sarif(log(), "after"), looked=lambda _: "its file is left out now")
    assert found.of("absent") == ()
    assert [(unseen.reason, len(unseen.sightings)) for unseen in found.unseen] == [("its file is left out now", 1)]
    found = compare(before, read_sarif(log(tool="other"), "after"))
    assert found.unseen[0].reason == "ruff did not take part"
    assert found.unknown_tools == ("other",)


def test_a_group_of_claims_is_new_only_if_all_are() -> None:
    def claim(name: str, line: int) -> Any:
        place = {"artifactLocation": {"uri": "a.py"}, "region": {"startLine": line}}
        return {
            "ruleId": "r",
            "message": {"text": name},
            "locations": [{"physicalLocation": place}],
            "properties": {"antiphon": {"claim": name}},
        }

    found = compare(read_sarif(log(claim("a", 1)), "x"), read_sarif(log(claim("a", 1), claim("b", 5)), "y"))
    assert [found.state(claims) for claims in (["a"], ["b"], ["a", "b"], ["c"])] == [
        "unchanged",
        "new",
        "updated",
        None,
    ]


def test_a_file_or_a_run_is_named(tmp_path: Path) -> None:
    file = tmp_path / "old.sarif"
    file.write_bytes(log({"ruleId": "r"}))
    assert len(load_baseline(find_baseline(str(file))).sightings) == 1
    run = tmp_path / "runs" / "20260101-000000-abcd"
    run.mkdir(parents=True)
    (run / "run.db").touch()
    with pytest.raises(BaselineError, match=r"is a run without a report\.sarif"):
        find_baseline("abcd", runs_dir=tmp_path / "runs")
    (run / "report.sarif").write_bytes(log())
    last = find_baseline("last", runs_dir=tmp_path / "runs")
    assert (last.pinned, last.source) == (run.name, run.name)
    assert load_baseline(last).tools == {"ruff"}
    assert not last.ours
    for name in ("nothing.sarif", "", "x" * 5000, "a\0b", str(tmp_path)):
        with pytest.raises(BaselineError):
            find_baseline(name, runs_dir=tmp_path / "runs")


def test_a_pinned_name_means_the_same_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "old.sarif").write_bytes(log())
    monkeypatch.chdir(tmp_path)
    pinned = find_baseline("old.sarif").pinned
    monkeypatch.chdir("/")
    assert load_baseline(find_baseline(pinned)).tools == {"ruff"}
