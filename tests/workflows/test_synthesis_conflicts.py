"""Where records do not agree: every side stays, is counted by independent groups, and says who holds it."""

from typing import Any

import pytest

from antiphon.subagents.records import (
    Actor,
    Claim,
    CommandRun,
    Evidence,
    Fact,
    FactKey,
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
    file_span,
)
from antiphon.workflows.synthesis import SUGGESTION, Conflict, Synthesis, synthesize, union_of

TOOL = Actor(tool="ruff", lineage="bandit")
PORT = Actor(tool="bandit", lineage="bandit")
OTHER = Actor(tool="pylint")
THIRD = Actor(tool="semgrep")
SPAN = file_span("a.py", [b"shell=True\n"], 3)


def finding(actor: Actor = TOOL, **changes: object) -> Finding:
    content: dict[str, object] = {
        "record": "claim",
        "sort": "finding",
        "key": FindingKey(path="a.py", rule="r", symbol="f"),
        "rule": "R",
        "title": "title",
        "text": f"{actor.tool} says so",
        "severity": "high",
        "severity_by": actor.tool,
        "actor": actor,
        "line": 3,
        "branch": "0",
        "evidence": (SPAN,),
    }
    return Finding.model_validate(content | changes)


def fact(actor: Actor, value: Any, *evidence: Evidence, branch: str = "0") -> Fact:
    key = FactKey(subject="Bern", attribute="altitude")
    content = {"record": "claim", "sort": "fact", "key": key, "value": value, "text": "", "actor": actor}
    return Fact.model_validate(content | {"evidence": evidence, "branch": branch})


def said(text: str, actor: Actor = TOOL, branch: str = "0") -> Passage:
    return Passage(record="claim", sort="text", text=text, actor=actor, branch=branch)


def patch(start: int, end: int, replacement: str, path: str = "a.py", **changes: object) -> Patch:
    key = PatchKey(base="c0ffee", path=path, start_line=start, end_line=end)
    content = {"record": "claim", "sort": "patch", "key": key, "replacement": replacement, "text": "", "actor": TOOL}
    return Patch.model_validate(content | changes)


def verdict(of: Record, stance: str, actor: Actor = OTHER, *evidence: Evidence) -> Verdict:
    content = {"record": "verdict", "of": of.id, "stance": stance, "actor": actor, "method": "look"}
    return Verdict.model_validate(content | {"evidence": evidence})


def link(a: Record, b: Record, relation: str, actor: Actor = OTHER) -> Link:
    return Link.model_validate({"record": "link", "a": a.id, "b": b.id, "relation": relation, "actor": actor})


def only(synthesis: Synthesis, kind: str) -> Conflict:
    (conflict,) = (conflict for conflict in synthesis.conflicts if conflict.kind == kind)
    return conflict


def kinds(*records: Record) -> set[str]:
    return {conflict.kind for conflict in synthesize(records, {}).conflicts}


def groups(conflict: Conflict) -> dict[str, tuple[str, ...]]:
    return {position.says: position.groups for position in conflict.positions}


# --- values and support ---


def test_every_value_of_a_fact_is_a_position_and_the_smaller_side_is_called_the_minority() -> None:
    synthesis = synthesize([fact(OTHER, 540), fact(THIRD, 540.0), fact(TOOL, 542)], {})
    conflict = only(synthesis, "value")
    assert groups(conflict) == {"540": ("pylint", "semgrep"), "542": ("bandit",)}
    assert [position.says for _, position in synthesis.minority] == ["542"]
    assert conflict.reason == "altitude of Bern"


def test_a_tie_has_no_minority() -> None:
    assert not synthesize([fact(OTHER, 540), fact(TOOL, 542)], {}).minority


def test_a_number_is_no_truth_value_and_a_text_is_no_number() -> None:
    (cluster,) = synthesize(
        [fact(OTHER, 1), fact(TOOL, True), fact(THIRD, "1"), fact(THIRD, [1.0, {"a": 2}])], {}
    ).facts
    assert [value.says for value in cluster.values] == ['"1"', "1", '[1,{"a":2}]', "true"]


PAGE = UrlQuote(kind="url", url="https://Example.org/a/?q=1#top", quote="540 m")
SAME = UrlQuote(kind="url", url="https://example.org/a", quote="540")
BROKEN = UrlQuote(kind="url", url="https://[half", quote="540")
RUN = CommandRun(kind="command", argv=("measure", "--all"), exit=0, sha256="0" * 64)
MODEL = {"tool": "agent", "model": "m1"}


@pytest.mark.parametrize(
    ("one", "two", "count"),
    [
        (fact(TOOL, 1), fact(PORT, 1), 1),
        (fact(OTHER, 1), fact(THIRD, 1), 2),
        (fact(OTHER, 1), fact(OTHER, 1, branch="9"), 1),
        (fact(Actor(**MODEL), 1), fact(Actor(**MODEL, framing="x"), 1), 1),
        (fact(Actor(**MODEL), 1), fact(Actor(tool="agent", model="m2"), 1), 2),
        (fact(Actor(**MODEL, framing="x"), 1), fact(Actor(tool="agent", model="m2", framing="x"), 1), 1),
        (fact(OTHER, 1, PAGE), fact(THIRD, 1, SAME), 1),
        (fact(OTHER, 1, PAGE), fact(THIRD, 1, BROKEN), 2),
        (fact(OTHER, 1, RUN), fact(THIRD, 1, RUN), 1),
        (fact(OTHER, 1, SPAN), fact(THIRD, 1, SPAN), 2),
    ],
    ids=["lineage", "tools", "branches", "model", "models", "framing", "page", "pages", "command", "the file itself"],
)
def test_support_counts_what_could_be_wrong_together_once(one: Fact, two: Fact, count: int) -> None:
    (cluster,) = synthesize([one, two], {}).facts
    assert len(cluster.values[0].groups) == count


def test_groups_reach_through_others_on_the_same_matter() -> None:
    through = fact(Actor(tool="agent", model="m9"), 1, PAGE, RUN)
    (cluster,) = synthesize([fact(OTHER, 1, SAME), fact(THIRD, 1, RUN), through], {}).facts
    assert cluster.values[0].groups == ("m9+pylint+semgrep",)


def test_no_name_of_a_lineage_makes_two_groups_look_like_one() -> None:
    plus = Actor(tool="x", lineage="a+b")
    records = [fact(plus, 1), fact(Actor(tool="a"), 1, PAGE), fact(Actor(tool="b"), 1, PAGE)]
    (cluster,) = synthesize(records, {}).facts
    assert len(cluster.values[0].groups) == 2


def test_on_severity_our_own_table_is_one_voice_whatever_tools_it_speaks_for() -> None:
    table = [finding(TOOL, severity_by="antiphon"), finding(OTHER, severity_by="antiphon")]
    conflict = only(synthesize([*table, finding(THIRD, severity="low")], {}), "severity")
    assert groups(conflict) == {"high": ("antiphon",), "low": ("semgrep",)}
    assert not any(position.minority for position in conflict.positions)


# --- verdicts ---


def test_a_refuted_finding_stays_and_both_sides_are_told() -> None:
    claim, other = finding(), finding(PORT)
    refuting = verdict(claim, "refute", OTHER)
    synthesis = synthesize([claim, other, refuting], {})
    conflict = only(synthesis, "existence")
    (cluster,) = synthesis.clusters
    assert conflict.about == cluster.id
    assert {p.says: set(p.records) for p in conflict.positions} == {
        "it is so": {claim.id, other.id},
        "it is not so": {refuting.id},
    }
    assert synthesis.status[claim.id] == "refuted"
    assert (synthesis.status[other.id], cluster.status) == ("unverified", "unverified")


@pytest.mark.parametrize(
    ("stances", "status"),
    [
        ([], "unverified"),
        (["confirm"], "confirmed"),
        (["refute"], "refuted"),
        (["cannot_tell"], "unverified"),
        (["confirm", "refute"], "disputed"),
        (["confirm", "cannot_tell"], "confirmed"),
    ],
)
def test_status_follows_from_the_verdicts_of_other_lineages(stances: list[str], status: str) -> None:
    claim = finding()
    verdicts = [verdict(claim, stance, actor) for stance, actor in zip(stances, (OTHER, THIRD), strict=False)]
    synthesis = synthesize([claim, *verdicts], {})
    assert (synthesis.status[claim.id], synthesis.clusters[0].status) == (status, status)


@pytest.mark.parametrize("stance", ["confirm", "refute"])
def test_a_verdict_of_the_same_lineage_is_kept_and_counts_for_nothing(stance: str) -> None:
    claim = finding(TOOL)
    own = verdict(claim, stance, PORT)
    synthesis = synthesize([claim, own], {})
    assert synthesis.inadmissible == (own.id,)
    assert synthesis.verdicts_on(claim.id) == (own,)
    assert (synthesis.status[claim.id], synthesis.conflicts) == ("unverified", ())


def test_who_refutes_the_refutation_restores_the_claim() -> None:
    claim = finding()
    confirming, refuting = verdict(claim, "confirm", THIRD), verdict(claim, "refute", OTHER)
    counter = verdict(refuting, "refute", Actor(tool="compiler"))
    synthesis = synthesize([claim, confirming, refuting, counter], {})
    assert synthesis.status[claim.id] == "confirmed"
    assert synthesis.status[refuting.id] == "refuted"
    assert kinds(claim, confirming, refuting, counter) == {"existence", "stance"}


def test_the_author_s_comment_is_an_existence_conflict_like_any_other_and_set_aside_for_display() -> None:
    claim = finding()
    synthesis = synthesize([claim, author_verdict(claim, "noqa")], {})
    assert groups(only(synthesis, "existence")) == {"it is so": ("bandit",), "it is not so": ("author",)}
    assert synthesis.clusters[0].set_aside
    assert synthesis.worst is None


def test_verdicts_that_contradict_each_other_are_a_conflict_of_their_own() -> None:
    claim = finding()
    for_it, against = verdict(claim, "confirm", OTHER), verdict(claim, "refute", THIRD)
    conflict = only(synthesize([claim, for_it, against], {}), "stance")
    assert (conflict.about, groups(conflict)) == (claim.id, {"it is so": ("pylint",), "it is not so": ("semgrep",)})


def test_a_refuted_link_is_a_conflict_and_holds_no_topic() -> None:
    one, two = said("one"), said("two", OTHER, "1")
    same = link(one, two, "same_as", THIRD)
    assert len(synthesize([one, two, same], {}).topics) == 1
    synthesis = synthesize([one, two, same, verdict(same, "refute", OTHER)], {})
    assert (synthesis.status[same.id], synthesis.topics) == ("refuted", ())
    assert only(synthesis, "stance").about == same.id
    assert same.id in synthesis.links


# --- links ---


def test_a_link_that_says_so_makes_two_records_contradict_each_other() -> None:
    one, two = said("it is safe"), said("it is not safe", OTHER)
    conflict = only(synthesize([one, two, link(one, two, "contradicts")], {}), "stance")
    assert {p.says: p.records for p in conflict.positions} == {"it is safe": (one.id,), "it is not safe": (two.id,)}


def test_two_records_with_one_text_are_still_two_sides() -> None:
    one, two = said("it is safe"), said("it is safe", OTHER)
    conflict = only(synthesize([one, two, link(one, two, "contradicts")], {}), "stance")
    assert len(conflict.positions) == 2


def test_same_and_different_on_one_pair_is_an_identity_conflict_and_no_topic() -> None:
    one, two = said("one"), said("two", OTHER, "1")
    records: list[Record] = [one, two, link(one, two, "same_as", OTHER), link(two, one, "different", THIRD)]
    synthesis = synthesize(records, {})
    assert groups(only(synthesis, "identity")) == {"they are the same": ("pylint",), "they are different": ("semgrep",)}
    assert not synthesis.topics


def test_who_calls_claims_with_one_key_different_contradicts_the_key() -> None:
    one, two = finding(TOOL), finding(OTHER, line=4)
    synthesis = synthesize([one, two, link(one, two, "different", THIRD)], {})
    conflict = only(synthesis, "identity")
    assert len(synthesis.clusters) == 1
    assert set(conflict.positions[1].records) == {one.id, two.id}


def test_supersedes_is_shown_and_deletes_nothing() -> None:
    old, new = said("old"), said("new", OTHER)
    synthesis = synthesize([old, new, link(new, old, "supersedes")], {})
    assert len(synthesis.passages) == 2
    assert [(one.a, one.b) for one in synthesis.links.values()] == [(new.id, old.id)]
    assert (synthesis.conflicts, synthesis.topics) == ((), ())


def test_resemblance_suggests_a_topic_and_changes_nothing_else() -> None:
    records = [
        said("the password is written to the log in plain text"),
        said("the password is written into the log in plain text", OTHER, "1"),
    ]
    synthesis, exact = synthesize(records, {}), synthesize(records, {}, suggest=False)
    (topic,) = synthesis.topics
    (suggested,) = synthesis.links.values()
    assert (topic.suggested, topic.title) == (True, records[1].text)
    assert (suggested.actor, suggested.reason) == (SUGGESTION, "resemblance 0.80")
    assert (exact.links, exact.topics) == ({}, ())
    assert (synthesis.conflicts, synthesis.ledger) == (exact.conflicts, exact.ledger)
    assert {passage.topic for passage in synthesis.passages} == {topic.id}


def test_findings_of_two_rules_in_one_function_may_be_one_and_are_suggested() -> None:
    text = "the shell is started with what the user typed"
    one = finding(TOOL, text=text)
    two = finding(OTHER, text=text, key=FindingKey(path="a.py", rule="q", symbol="f"), branch="1")
    elsewhere = finding(OTHER, text=text, key=FindingKey(path="a.py", rule="q", symbol="g"), branch="1")
    assert len(synthesize([one, two], {}).topics) == 1
    assert not synthesize([one, elsewhere], {}).topics


# --- evidence ---


def test_evidence_that_is_gone_is_a_conflict_and_confirms_or_refutes_nothing() -> None:
    claim = finding()

    def looked(state: str, actor: Actor, reason: str = "") -> Resolution:
        content = {"record": "resolution", "of": claim.id, "index": 0, "state": state, "actor": actor, "reason": reason}
        return Resolution.model_validate(content)

    gone, there = looked("false", OTHER, "the line changed"), looked("true", THIRD)
    synthesis = synthesize([claim, gone, there], {})
    conflict = only(synthesis, "evidence_unresolved")
    assert (conflict.about, conflict.reason) == (claim.id, "the line changed")
    assert groups(conflict) == {"it is as recorded": ("bandit", "semgrep"), "it is not": ("pylint",)}
    assert (synthesis.evidence.resolved, synthesis.evidence.unresolved) == (0, 1)
    assert synthesis.status[claim.id] == "unverified"
    assert synthesize([claim, there], {}).evidence.resolved == 1
    assert synthesize([claim, looked("unchecked", THIRD)], {}).evidence.unchecked == 1


def test_a_gap_is_a_conflict_with_what_was_promised() -> None:
    conflict = only(synthesize([], {"a.py": ("ruff", "bandit"), "b.md": ()}), "coverage_gap")
    assert conflict.about == "a.py"
    assert conflict.reason.startswith("bandit: missing")
    assert "ruff: missing" in conflict.reason


# --- patches ---


def tried(name: str, passed: bool, *patches: Claim) -> TestRun:
    ids = tuple(patch.id for patch in patches)
    return TestRun(kind="test", name=name, passed=passed, sha256="0" * 64, patches=ids)


def ran(*runs: TestRun) -> Link:
    """Somebody who ran tests; any record may hold them."""
    one, two = said("a"), said("b")
    content = {"record": "link", "a": one.id, "b": two.id, "relation": "different", "actor": OTHER, "evidence": runs}
    return Link.model_validate(content)


def test_overlapping_patches_are_one_contested_region_and_neighbours_are_not() -> None:
    first, second, third = patch(2, 4, "x\n"), patch(4, 5, "y\n"), patch(5, 6, "z\n")
    beside = patch(7, 7, "w\n")
    synthesis = synthesize([first, second, third, beside], {})
    conflict = only(synthesis, "patch_textual")
    assert {id for position in conflict.positions for id in position.records} == {first.id, second.id, third.id}
    assert conflict.reason == "a.py at c0ffee: patches of lines 2 to 6 overlap"


@pytest.mark.parametrize(
    ("one", "two", "clash"),
    [
        (patch(2, 2, "x\n"), patch(2, 2, "x\n", branch="1"), False),
        (patch(2, 2, "x\n"), patch(2, 2, "y\n"), True),
        (patch(2, 2, ""), patch(2, 3, ""), True),
        (patch(2, 1, "x\n"), patch(2, 1, "y\n"), True),
        (patch(2, 1, "x\n"), patch(2, 2, "y\n"), False),
        (patch(3, 2, "x\n"), patch(2, 3, "y\n"), True),
        (patch(2, 2, "x\n"), patch(2, 2, "y\n", path="b.py"), False),
    ],
    ids=["same", "replacements", "deletions", "insertions", "insertion before", "insertion inside", "files"],
)
def test_when_two_patches_clash(one: Patch, two: Patch, clash: bool) -> None:
    assert ("patch_textual" in kinds(one, two)) == clash


def test_patches_that_cannot_be_applied_together_are_not_called_untested() -> None:
    one, two = patch(2, 3, "x\n"), patch(3, 4, "y\n")
    assert kinds(one, two) == {"patch_textual"}
    assert kinds(one, two, patch(9, 9, "z\n")) == {"patch_textual", "patch_semantic"}


def test_patches_that_pass_alone_and_fail_together_conflict_and_a_test_has_shown_it() -> None:
    one, two = patch(1, 1, "x\n"), patch(3, 3, "y\n")
    shown = ran(tried("t", True, one), tried("t", True, two), tried("t", False, one, two))
    conflict = only(synthesize([one, two, shown], {}), "patch_semantic")
    assert conflict.tested is True
    assert {id for position in conflict.positions for id in position.records} == {one.id, two.id}


@pytest.mark.parametrize(
    "runs",
    [
        [],
        [("t", False, (0, 1))],
        [("t", True, (0,)), ("t", False, (0, 1))],
        [("t", True, (0,)), ("other", True, (1,)), ("t", False, (0, 1))],
        [("t", True, (0,)), ("t", True, (1,))],
    ],
    ids=["nothing", "no one alone", "only one alone", "another test", "never together"],
)
def test_without_the_tests_that_show_it_patches_of_one_file_are_untested(
    runs: list[tuple[str, bool, tuple[int, ...]]],
) -> None:
    patches = [patch(1, 1, "x\n"), patch(3, 3, "y\n")]
    shown = ran(*(tried(name, passed, *(patches[n] for n in which)) for name, passed, which in runs))
    assert only(synthesize([*patches, shown], {}), "patch_semantic").tested is False


def test_patches_that_passed_together_do_not_conflict_and_those_of_other_files_are_no_question() -> None:
    one, two, elsewhere = patch(1, 1, "x\n"), patch(3, 3, "y\n"), patch(1, 1, "z\n", path="b.py")
    assert kinds(one, two, elsewhere, ran(tried("t", True, one, two))) == set()
    linked = only(synthesize([one, elsewhere, link(one, elsewhere, "same_as")], {}), "patch_semantic")
    assert linked.tested is False


def test_the_same_change_of_two_bases_is_two_sides() -> None:
    one = patch(1, 1, "x\n")
    two = patch(1, 1, "x\n", key=PatchKey(base="decade", path="a.py", start_line=1, end_line=1))
    conflict = only(synthesize([one, two, link(one, two, "same_as")], {}), "patch_semantic")
    assert sorted(position.records for position in conflict.positions) == sorted([(one.id,), (two.id,)])


def test_many_patches_of_one_file_are_one_untested_conflict_and_no_square_of_them() -> None:
    many = [patch(2 * line, 2 * line, f"{line}\n") for line in range(1, 501)]
    conflict = only(synthesize(many, {}), "patch_semantic")
    assert len(conflict.positions) == 500


def test_what_a_test_says_of_unknown_patches_proves_nothing() -> None:
    one, two, unknown = patch(1, 1, "x\n"), patch(3, 3, "y\n"), patch(9, 9, "z\n")
    shown = ran(tried("t", True, one, two, unknown))
    synthesis = synthesize([one, two, shown], {})
    assert only(synthesis, "patch_semantic").tested is False
    assert shown.id in synthesis.ledger.dangling


BASE = "def f(\n    a,\n):\n    return a\n"


def parses(text: str) -> str:
    try:
        compile(text, "a.py", "exec")
    except SyntaxError as error:
        return str(error.msg)
    return ""


def test_patches_that_are_clean_in_pairs_and_alone_can_be_wrong_as_a_whole() -> None:
    before = patch(2, 1, "    *,\n    b=1,\n")
    after = patch(3, 2, "    *,\n    c=2,\n")
    for alone in (before, after):
        assert union_of({alone.id: alone}, BASE, check=parses).clean
    union = union_of({before.id: before, after.id: after}, BASE, check=parses)
    assert union.text == "def f(\n    *,\n    b=1,\n    a,\n    *,\n    c=2,\n):\n    return a\n"
    assert not union.clean
    assert "*" in union.problem


def test_the_union_names_what_clashes_and_what_does_not_fit() -> None:
    one, two, far = patch(1, 2, "x\n"), patch(2, 2, "y\n"), patch(9, 9, "z\n")
    union = union_of({one.id: one, two.id: two}, BASE)
    assert (union.text, union.clashes) == (None, ((one.id, two.id),))
    assert "beyond" in union_of({far.id: far}, BASE).problem
    with pytest.raises(ValueError, match="different bases or files"):
        union_of({one.id: one, "b": patch(1, 1, "", path="b.py")}, BASE)


def test_what_is_added_after_a_last_line_without_end_is_a_line_of_its_own() -> None:
    added = patch(3, 2, "c\n")
    assert union_of({added.id: added}, "a\nb").text == "a\nb\nc\n"
    assert union_of({added.id: added}, "a\nb\n").text == "a\nb\nc\n"
    empty = patch(1, 0, "a\n")
    assert union_of({empty.id: empty}, "").text == "a\n"
