"""The synthesis: exact keys, places, what authors set aside, coverage, and the ledger."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.subagents.records import (
    Actor,
    Coverage,
    Finding,
    FindingKey,
    Record,
    Severity,
    Verdict,
    author_verdict,
    malformed,
)
from antiphon.workflows.synthesis import synthesize
from antiphon.workflows.synthesis.ledger import ledger_of

RUFF = Actor(tool="ruff", version="1", lens="security", lineage="bandit")
BANDIT = Actor(tool="bandit", version="1", lens="security", lineage="bandit")
PYLINT = Actor(tool="ruff", version="1", lens="correctness", lineage="pylint")


def claim(actor: Actor = RUFF, severity: Severity = "high", line: int | None = 3, **changes: object) -> Finding:
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
    return Finding.model_validate(content | changes)


def covered(unit: str, check: str, state: str = "done", reason: str = "") -> Coverage:
    return Coverage.model_validate(
        {"record": "coverage", "unit": unit, "check": check, "state": state, "reason": reason}
    )


COVERAGE = st.builds(
    covered,
    st.sampled_from(["a.py", "b.py", "c.py"]),
    st.sampled_from(["ruff/security", "bandit/security"]),
    st.sampled_from(["done", "partial", "failed"]),
    st.sampled_from(["", "why"]),
)
PLANNED = {"a.py": ("ruff/security", "bandit/security"), "b.py": ("ruff/security",), "c.md": ()}


@settings(deadline=None)
@given(st.lists(COVERAGE))
def test_every_unit_and_check_planned_is_done_or_a_gap(records: list[Coverage]) -> None:
    coverage = synthesize(records, PLANNED).coverage
    gaps = {(gap.unit, gap.check) for gap in coverage.gaps}
    done = {(record.unit, record.check) for record in records if record.state == "done"}
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
    aside = claim(severity="critical", key=FindingKey(path="b.py", rule="bandit:B602"))
    set_aside = author_verdict(aside, "noqa")
    synthesis = synthesize([aside, set_aside, claim(severity="low")], {})
    assert [cluster.set_aside for cluster in synthesis.clusters] == [False, True]
    assert [cluster.status for cluster in synthesis.clusters] == ["unverified", "refuted"]
    assert synthesis.aside == {aside.id: "noqa"}
    assert synthesis.worst == "low"
    assert synthesize([aside, set_aside], {}).worst is None


def test_a_second_look_that_confirms_what_its_author_set_aside_makes_it_disputed_and_counts() -> None:
    aside = claim(severity="critical")
    confirmed = Verdict(
        record="verdict", of=aside.id, stance="confirm", actor=Actor(tool="precondition"), method="ast", reason="seen"
    )
    synthesis = synthesize([aside, author_verdict(aside, "noqa"), confirmed], {})
    (cluster,) = synthesis.clusters
    assert (cluster.status, cluster.aside, cluster.set_aside) == ("disputed", 1, False)
    assert synthesis.worst == "critical"


def test_two_sorts_of_comment_on_one_finding_are_both_named() -> None:
    finding = claim()
    verdicts = [author_verdict(finding, "nosec"), author_verdict(finding, "noqa")]
    assert synthesize([finding, *verdicts], {}).aside == {finding.id: "noqa, nosec"}


def test_a_tool_that_fingerprints_its_findings_joins_what_has_different_symbols() -> None:
    one = claim(RUFF, line=3, fingerprint="x1", key=FindingKey(path="a.py", rule="r", symbol=""))
    two = claim(RUFF, line=3, fingerprint="x1", key=FindingKey(path="a.py", rule="r", symbol="f"), branch="0/2")
    alias = claim(BANDIT, line=3, fingerprint="y", key=FindingKey(path="a.py", rule="r", symbol="f"))
    (cluster,) = synthesize([one, two, alias], {}).clusters
    assert cluster.key.symbol == "f"
    assert cluster.tools == ("bandit", "ruff"), "the other tool's alias still joins by its key"


@pytest.mark.parametrize(("path", "rule", "tool"), [("b.py", "r", RUFF), ("a.py", "q", RUFF), ("a.py", "r", BANDIT)])
def test_a_fingerprint_joins_nothing_across_files_rules_or_tools(path: str, rule: str, tool: Actor) -> None:
    one = claim(RUFF, fingerprint="x1", key=FindingKey(path="a.py", rule="r", symbol="f"))
    two = claim(tool, fingerprint="x1", key=FindingKey(path=path, rule=rule, symbol="g"))
    assert len(synthesize([one, two], {}).clusters) == 2


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
    claims: dict[str, Record] = {item.id: item for item in (claim(line=3), claim(line=9))}
    synthesis = synthesize(claims.values(), {})
    (cluster,) = synthesis.clusters
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
    assert replace(synthesis, ledger=ledger).failed


def test_lost_verdicts_links_and_malformed_output_are_named_too() -> None:
    finding = claim()
    verdict, broken = author_verdict(finding, "noqa"), malformed(RUFF, b"{", "no JSON")
    records: dict[str, Record] = {record.id: record for record in (finding, verdict, broken)}
    clusters = synthesize(records.values(), {}).clusters
    ledger = ledger_of(records, clusters)
    assert ledger.missing == tuple(sorted([verdict.id, broken.id]))
    assert (ledger.records_in, ledger.records_out) == (3, 1)
    assert not ledger_of(records, clusters, [verdict.id], [broken]).failed


def test_a_judgement_on_what_is_not_here_is_kept_counts_for_nothing_and_is_named() -> None:
    verdict = author_verdict(claim(), "noqa")
    synthesis = synthesize([verdict], {})
    assert synthesis.ledger.dangling == (verdict.id,)
    assert not synthesis.failed
    assert (synthesis.aside, synthesis.conflicts) == ({}, ())
    assert set(synthesis.verdicts) == {verdict.id}


def test_nothing_at_all_is_a_synthesis_too() -> None:
    synthesis = synthesize([], {})
    assert (synthesis.clusters, synthesis.worst, synthesis.failed) == ((), None, False)
