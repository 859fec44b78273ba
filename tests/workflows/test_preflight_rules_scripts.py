"""Every rule of preflight: found at exactly its line in varied shapes, and silent beside it and on sound scripts."""

import ast
from functools import cache
from pathlib import Path

import pytest
from tests.workflows.preflight_scripts import DATA, Case, cases, findings_of

from antiphon.workflows.preflight import Finding
from antiphon.workflows.preflight.rules import IDS

ALL = [case for file in sorted(DATA.glob("*.txt")) for case in cases(file.name)]
ROOT = Path(__file__).parents[2]
OURS = [
    *sorted((ROOT / "examples").glob("*.py")),
    *sorted((ROOT / "workflows/antiphon/workflows").glob("**/workflow.py")),
]
RULES = IDS - {"need-not-covered", "too-large-to-follow"}


@cache
def said_of(case: Case) -> list[Finding]:
    return findings_of(case.source)


def name_of(case: Case) -> str:
    return f"{case.sort}: {case.name}"


@pytest.mark.parametrize("case", ALL, ids=name_of)
def test_found_at_its_line_and_nothing_else(case: Case) -> None:
    """Marks are met exactly; beside them there is neither an error nor a warning."""
    assert (case.sort == "found") is bool(case.marks)
    compile(case.source, case.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    found = said_of(case)
    rules = {rule for _, rule in case.marks}
    told = {(one.line, one.rule) for one in found if one.rule in rules or one.severity != "note"}
    assert told == case.marks, found


def test_every_rule_has_three_shapes_to_find_and_two_to_leave_alone() -> None:
    shapes = [rule for case in ALL for rule in {rule for _, rule in case.marks}]
    assert {rule: shapes.count(rule) >= 3 for rule in RULES} == dict.fromkeys(RULES, True)
    assert set(shapes) == RULES
    for file in DATA.glob("*.txt"):
        sorts = [case.sort for case in cases(file.name)]
        assert sorts.count("left alone") >= 2 or sorts.count("sound") >= 15, file


@pytest.mark.checkout
@pytest.mark.parametrize("file", OURS, ids=lambda file: str(file.relative_to(ROOT)))
def test_our_own_scripts_are_left_alone(file: Path) -> None:
    found = findings_of(file.read_text(), file.name)
    assert [one for one in found if one.severity != "note"] == []


def test_every_finding_says_what_in_its_own_words_and_what_to_write() -> None:
    for case in ALL:
        for one in said_of(case):
            assert one.reason.strip()
            assert one.remedy.strip()
            assert 1 <= one.line <= case.source.count("\n") + 1
