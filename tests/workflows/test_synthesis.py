"""The synthesis: nothing lost, nothing doubled, nobody overruled, and the same bytes in any order."""

import json
import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.subagents.records import RANK, Actor, Claim, Coverage, Key, Record, Severity, malformed
from antiphon.workflows.synthesis import Synthesis, synthesize
from antiphon.workflows.synthesis.clusters import clusters_of, ledger_of

RUFF = Actor(tool="ruff", version="1", lens="security", lineage="bandit")
BANDIT = Actor(tool="bandit", version="1", lens="security", lineage="bandit")
PYLINT = Actor(tool="ruff", version="1", lens="correctness", lineage="pylint")


def claim(actor: Actor = RUFF, severity: Severity = "high", line: int | None = 3, **changes: object) -> Claim:
    content: dict[str, object] = {
        "record": "claim",
        "sort": "finding",
        "key": {"path": "a.py", "rule": "bandit:B602", "symbol": "f"},
        "rule": "B602" if actor is BANDIT else "S602",
        "title": "shell",
        "text": "shell=True",
        "severity": severity,
        "severity_by": "bandit" if actor is BANDIT else "antiphon",
        "actor": actor,
        "line": line,
        "branch": "0/1",
    }
    return Claim.model_validate(content | changes)


def covered(unit: str, check: str, state: str = "done", reason: str = "") -> Coverage:
    return Coverage.model_validate(
        {"record": "coverage", "unit": unit, "check": check, "state": state, "reason": reason}
    )


# One small universe, of which subsets overlap: the same key from several tools, places and branches.
SMALL = st.integers(1, 4)


@st.composite
def claims(draw: st.DrawFn) -> Claim:
    return claim(
        draw(st.sampled_from([RUFF, BANDIT, PYLINT])),
        draw(st.sampled_from(sorted(RANK))),
        draw(st.none() | SMALL),
        key=Key(
            path=draw(st.sampled_from(["a.py", "b.py"])),
            rule=draw(st.sampled_from(["bandit:B602", "pyflakes:F401"])),
            symbol=draw(st.sampled_from(["", "f"])),
        ),
        end_line=draw(st.none() | SMALL),
        branch=draw(st.sampled_from(["0/1", "0/2"])),
        ordinal=draw(st.integers(0, 1)),
        suppressed=draw(st.sampled_from([None, "noqa"])),
    )


COVERAGE = st.builds(
    covered,
    st.sampled_from(["a.py", "b.py", "c.py"]),
    st.sampled_from(["ruff/security", "bandit/security"]),
    st.sampled_from(["done", "partial", "failed"]),
    st.sampled_from(["", "why"]),
)
RECORDS = st.lists(
    st.one_of(claims(), claims(), COVERAGE, st.binary(max_size=2).map(lambda raw: malformed(RUFF, raw, "x")))
)
PLANNED = {"a.py": ("ruff/security", "bandit/security"), "b.py": ("ruff/security",), "c.md": ()}


def written(synthesis: Synthesis) -> str:
    return json.dumps(synthesis.to_json())


@given(RECORDS, st.randoms(use_true_random=False))
def test_any_order_and_any_repetition_give_the_same_bytes(records: list[Record], shuffler: random.Random) -> None:
    first = written(synthesize(records, PLANNED))
    again = records + records[: len(records) // 2]
    shuffler.shuffle(again)
    units = list(PLANNED.items())
    shuffler.shuffle(units)
    assert written(synthesize(again, dict(units))) == first


@given(RECORDS)
def test_every_claim_is_in_the_output_exactly_once(records: list[Record]) -> None:
    synthesis = synthesize(records, PLANNED)
    came_in = {record.id for record in records if isinstance(record, Claim)}
    out = Counter(id for cluster in synthesis.clusters for id in cluster.claims)
    assert out == Counter(came_in)
    assert not synthesis.failed
    assert synthesis.ledger.claims_in == synthesis.ledger.claims_out == len(came_in)


@given(RECORDS)
def test_clusters_are_the_keys_and_agree_with_a_naive_count(records: list[Record]) -> None:
    found = {record.id: record for record in records if isinstance(record, Claim)}
    for cluster in synthesize(records, PLANNED).clusters:
        mine = [item for item in found.values() if item.key == cluster.key]
        assert {item.id for item in mine} == set(cluster.claims)
        assert set(cluster.tools) == {item.actor.tool for item in mine}
        assert RANK[cluster.severity] == max(RANK[item.severity] for item in mine)
        assert cluster.suppressed == sum(item.suppressed is not None for item in mine)


@given(RECORDS, claims())
def test_more_claims_never_hide_a_conflict(records: list[Record], more: Claim) -> None:
    def disputed(synthesis: Synthesis) -> set[frozenset[str]]:
        return {frozenset(site.claims) for cluster in synthesis.clusters for site in cluster.conflicts}

    before, after = (disputed(synthesize(all_of, PLANNED)) for all_of in (records, [*records, more]))
    for claims in before:
        assert any(claims <= later for later in after)


@given(RECORDS)
def test_every_unit_and_check_planned_is_done_or_a_gap(records: list[Record]) -> None:
    coverage = synthesize(records, PLANNED).coverage
    gaps = {(gap.unit, gap.check) for gap in coverage.gaps}
    done = {(r.unit, r.check) for r in records if isinstance(r, Coverage) and r.state == "done"}
    for unit, checks in PLANNED.items():
        assert all(((unit, check) in gaps) != ((unit, check) in done) for check in checks)
    assert coverage.whole + coverage.partly + coverage.not_at_all + coverage.unread == coverage.units


def test_both_severities_are_kept_and_none_wins() -> None:
    synthesis = synthesize([claim(RUFF, "high"), claim(BANDIT, "low")], {})
    (cluster,) = synthesis.clusters
    (site,) = cluster.conflicts
    assert [(opinion.by, opinion.severities) for opinion in site.opinions] == [
        ("antiphon", ("high",)),
        ("bandit", ("low",)),
    ]
    assert cluster.severity == "high", "the worst is what it is ranked by"


def test_one_lineage_is_one_opinion() -> None:
    assert synthesize([claim(RUFF)], {}).clusters[0].agreement == "one tool"
    assert synthesize([claim(RUFF), claim(BANDIT)], {}).clusters[0].agreement == "one lineage"
    assert synthesize([claim(PYLINT), claim(BANDIT)], {}).clusters[0].agreement == "independent"


def test_a_branch_that_repeats_another_is_kept_beside_it() -> None:
    (cluster,) = synthesize([claim(branch="0/1"), claim(branch="0/2")], {}).clusters
    assert len(cluster.claims) == 2
    assert cluster.agreement == "one tool", "two branches of one tool are one witness"


def test_claims_elsewhere_in_the_function_are_other_places_of_one_cluster() -> None:
    (cluster,) = synthesize([claim(line=3, end_line=5), claim(BANDIT, line=4), claim(line=9)], {}).clusters
    assert [(site.start_line, site.end_line, len(site.claims)) for site in cluster.sites] == [(3, 5, 2), (9, 9, 1)]


def test_a_different_severity_at_another_place_is_no_conflict() -> None:
    (cluster,) = synthesize([claim(RUFF, "high", 3), claim(BANDIT, "low", 9)], {}).clusters
    assert not cluster.conflicts


def test_what_is_set_aside_comes_last_and_does_not_count_as_worst() -> None:
    aside = claim(severity="critical", suppressed="noqa", key=Key(path="b.py", rule="bandit:B602"))
    synthesis = synthesize([aside, claim(severity="low")], {})
    assert [cluster.set_aside for cluster in synthesis.clusters] == [False, True]
    assert synthesis.worst == "low"
    assert synthesize([aside], {}).worst is None


def test_silence_is_a_gap_and_the_survey_s_gaps_are_counted() -> None:
    records = [
        covered("a.py", "ruff/security"),
        covered("b.py", "ruff/security", "failed", "it does not parse"),
        covered("huge.py", "survey", "failed", "it is too large"),
    ]
    coverage = synthesize(records, PLANNED).coverage
    assert [(gap.unit, gap.check, gap.state) for gap in coverage.gaps] == [
        ("a.py", "bandit/security", "missing"),
        ("b.py", "ruff/security", "failed"),
        ("c.md", "", "unread"),
        ("huge.py", "survey", "unreadable"),
    ]
    assert (coverage.units, coverage.whole, coverage.partly, coverage.not_at_all, coverage.unread) == (4, 0, 1, 2, 1)
    assert [(check.check, check.planned, check.done, check.missing) for check in coverage.checks] == [
        ("bandit/security", 1, 0, 1),
        ("ruff/security", 2, 1, 0),
    ]


def test_a_check_that_was_tried_again_counts_by_what_it_reached() -> None:
    records = [covered("a.py", "x", "failed", "crashed"), covered("a.py", "x")]
    assert not synthesize(records, {"a.py": ("x",)}).coverage.gaps


@pytest.mark.parametrize("damage", ["dropped", "doubled", "invented"])
def test_a_lost_doubled_or_invented_claim_is_named(damage: str) -> None:
    claims = {item.id: item for item in (claim(line=3), claim(line=9))}
    (cluster,) = clusters_of(claims)
    first, second = cluster.sites
    if damage == "dropped":
        ledger = ledger_of(claims, [replace(cluster, sites=(first,))])
        assert ledger.missing == second.claims
    elif damage == "doubled":
        ledger = ledger_of(claims, [cluster, replace(cluster, sites=(first,))])
        assert ledger.repeated == first.claims
    else:
        ledger = ledger_of(claims, [replace(cluster, sites=(first, second, replace(first, claims=("f" * 64,))))])
        assert ledger.unknown == ("f" * 64,)
    assert ledger.failed
    assert replace(synthesize(claims.values(), {}), ledger=ledger).failed


def test_nothing_at_all_is_a_synthesis_too() -> None:
    synthesis = synthesize([], {})
    assert (synthesis.clusters, synthesis.worst, synthesis.failed) == ((), None, False)
