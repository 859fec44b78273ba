"""What checks and tests come to: problems that are new, and what frameworks say of their tests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.subagents.checks import CheckRun, NotChecked, Problem, TestRun, at_least, new_problems
from antiphon.subagents.checks.cases import MOST_CASES, Cases, TooManyCases
from antiphon.subagents.checks.junit import MOST_BYTES, UnreadableReport, read_junit
from antiphon.subagents.checks.outputs import READERS
from antiphon.subagents.checks.running import OUTPUT_CHARACTERS, read_run, shortened
from antiphon.subagents.process import Completed, Unavailable
from antiphon.tracing import Json


def problem(text: str = "t", line: int | None = 1, rule: str = "R", path: str = "a.py", **more: Any) -> Problem:
    return Problem(tool="tool", rule=rule, path=path, line=line, text=text, severity=more.get("severity", "low"))


PROBLEMS = st.lists(
    st.builds(problem, st.sampled_from("tu"), st.integers(1, 5), st.sampled_from("RS"), st.sampled_from(["a", "b"]))
)


# --- problems -------------------------------------------------------------------------------------------------------


def test_a_problem_that_moved_is_not_new_and_one_more_of_the_same_is() -> None:
    before = [problem(line=3), problem(line=9)]
    assert new_problems(before, [problem(line=4), problem(line=20)]) == []
    assert new_problems(before, [problem(line=4), problem(line=5), problem(line=30)]) == [problem(line=30)]
    assert new_problems(before, [problem(line=1), problem(line=3), problem(line=9)]) == [problem(line=1)]
    for changed in (problem("u"), problem(rule="S"), problem(path="b.py")):
        assert new_problems(before, [*before, changed]) == [changed]


@given(PROBLEMS, PROBLEMS)
def test_new_problems_are_what_the_multisets_differ_by(before: list[Problem], after: list[Problem]) -> None:
    found = new_problems(before, after)
    assert new_problems(before, before) == [] == new_problems(after, after)
    for key in {one.key for one in (*before, *after)}:
        counts = [sum(one.key == key for one in some) for some in (before, after, found)]
        assert counts[2] == max(0, counts[1] - counts[0])
    assert [one for one in after if one in found][: len(found)] or not found


def test_a_check_run_goes_through_json_and_a_bar_keeps_the_worse() -> None:
    run = CheckRun((problem(), problem(line=None, severity="high")), ("tool",), (NotChecked("x", "absent"),), ())
    assert CheckRun.from_json(json.loads(json.dumps(run.to_json()))) == run
    assert at_least(run.problems, "medium") == [run.problems[1]]
    assert str(run.problems[0]) == "a.py:1: low tool R: t"
    assert str(run.problems[1]) == "a.py: high tool R: t"


# --- a test run -----------------------------------------------------------------------------------------------------


def completed(stdout: str = "", stderr: str = "", exit: int | None = 0, **more: Any) -> Completed:
    return Completed(exit=exit, stdout=stdout.encode(), stderr=stderr.encode(), **more)


@pytest.mark.parametrize(
    ("cases", "exit", "passed"),
    [
        (None, 0, True),
        (None, 1, False),
        (None, None, False),
        ({}, 0, False),
        ({"a": "skipped"}, 0, False),
        ({"a": "passed", "b": "skipped"}, 0, True),
        ({"a": "passed", "b": "failed"}, 0, False),
        ({"a": "passed", "b": "error"}, 0, False),
        ({"a": "passed"}, 1, False),
    ],
)
def test_a_run_has_passed_only_if_it_says_so_in_every_way(cases: Any, exit: int | None, passed: bool) -> None:
    run = TestRun(command="c", exit=exit, cases=cases)
    assert run.passed is passed
    assert TestRun.from_json(json.loads(json.dumps(run.to_json()))) == run
    assert run.summary.startswith("passed" if passed else "not passed")


@pytest.mark.parametrize("spoilt", [{"timed_out": True}, {"trouble": "it was ended"}])
def test_a_run_that_was_ended_has_not_passed_whatever_it_says(spoilt: dict[str, Any]) -> None:
    assert not TestRun(command="c", exit=0, cases={"a": "passed"}, **spoilt).passed


JUNIT = """<?xml version="1.0"?><testsuites><testsuite>
<testcase classname="tests.test_a.TestX" name="test_y[1]" file="tests/test_a.py" line="3"/>
<testcase classname="tests.test_a" name="test_z" file="tests/test_a.py"><failure message="m"
>assert 1 == 2</failure></testcase>
<testcase classname="tests.test_a" name="test_s" file="tests/test_a.py"><skipped type="pytest.xfail"
>no</skipped></testcase>
<testcase classname="tests.test_a" name="test_e" file="tests/test_a.py"><error>set-up</error></testcase>
<testcase classname="com.Thing" name="works"/>
</testsuite></testsuites>"""


def test_junit_names_tests_as_pytest_takes_them() -> None:
    cases = read_junit(JUNIT.encode())
    assert cases.states == {
        "tests/test_a.py::TestX::test_y[1]": "passed",
        "tests/test_a.py::test_z": "failed",
        "tests/test_a.py::test_s": "skipped",
        "tests/test_a.py::test_e": "error",
        "com.Thing.works": "passed",
    }
    assert cases.details == {"tests/test_a.py::test_z": "assert 1 == 2", "tests/test_a.py::test_e": "set-up"}


BOMB = '<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><testsuites>&b;</testsuites>'
OUTSIDE = '<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]><suite><testcase name="a">&x;</testcase></suite>'


@pytest.mark.parametrize(
    "data",
    [
        BOMB.encode(),
        OUTSIDE.encode(),
        b"",
        b"\x00\x01",
        b"<a>" * 100_000,
        b"<testsuite><testcase name='a'",
        b" " * (MOST_BYTES + 1),
        ("<t>" + "".join(f"<testcase name='{n}'/>" for n in range(MOST_CASES + 1)) + "</t>").encode(),
    ],
    ids=["bomb", "outside", "empty", "binary", "deep", "cut", "large", "many"],
)
def test_a_report_that_is_none_makes_no_run_pass(data: bytes) -> None:
    with pytest.raises((UnreadableReport, TooManyCases)):
        read_junit(data)
    run = read_run("pytest", "pytest", completed("1 passed"), data)
    assert not run.passed
    assert "cannot be read" in run.trouble


def test_pytest_that_left_no_report_did_not_come_to_its_end() -> None:
    run = read_run("pytest", "pytest", completed("3 passed"), None)
    assert (run.passed, run.cases, run.exit) == (False, {}, 0)
    assert "no report" in run.trouble


def test_a_report_that_what_was_printed_contradicts_is_not_believed() -> None:
    forged = b'<testsuite><testcase classname="t" name="a" file="t.py"/></testsuite>'
    for printed in (
        "1 failed in 0.05s",
        "= 1 passed, 2 errors in 1.20s =",
        "==== 3 passed, 1 failed, 2 skipped in 61.00s (0:01:01) ====",
    ):
        run = read_run("pytest", "pytest", completed(f"F\n{printed}\n"), forged)
        assert not run.passed
        assert "its report names no failure" in run.trouble
    for printed in ("1 passed in 0.05s", "=== 3 passed, 1 xfailed in 0.01s ===", "said: 1 failed in a row"):
        assert read_run("pytest", "pytest", completed(f".\n{printed}\n"), forged).passed


def test_of_a_test_that_is_named_twice_the_worse_end_counts() -> None:
    cases = Cases()
    for state in ("failed", "passed", "skipped"):
        cases.add("a", state, "said")
    assert cases.states == {"a": "failed"}


def test_what_is_said_about_tests_is_bounded_and_legible() -> None:
    cases = Cases()
    for number in range(200):
        cases.add(f"t\x1b[31m{number}" + "x" * 1000, "failed", "\x1b]0;title\x07" + "y" * 100_000)
    assert len(cases.states) == 200
    assert sum(map(len, cases.details.values())) <= 400_000
    assert not any("\x1b" in text for text in (*cases.states, *cases.details.values()))


UNITTEST = """test_bad (test_x.A.test_bad) ... FAIL
test_doc (test_x.A.test_doc)
A docstring line. ... ok
test_old (test_x.A) ... ok
test_err (test_x.A.test_err) ... ERROR
test_exp (test_x.A.test_exp) ... expected failure
test_print (test_x.A.test_print) ... noise
ok
test_liar (test_x.A.test_liar) ... all is ok
FAIL
test_skip (test_x.A.test_skip) ... skipped 'why'
test_y (unittest.loader._FailedTest.test_y) ... ERROR
setUpClass (test_x.B) ... ERROR

======================================================================
ERROR: test_err (test_x.A.test_err)
----------------------------------------------------------------------
KeyError: 1

======================================================================
FAIL: test_bad (test_x.A.test_bad)
----------------------------------------------------------------------
AssertionError: 1 != 2

======================================================================
FAIL: test_liar (test_x.A.test_liar)
----------------------------------------------------------------------
AssertionError: no

----------------------------------------------------------------------
Ran 8 tests in 0.006s

FAILED (failures=2, errors=2, skipped=1, expected failures=1)
"""


def test_unittest_is_read_test_by_test() -> None:
    run = read_run("python -m unittest", "unittest", completed(stderr=UNITTEST, exit=1), None)
    assert run.cases == {
        "test_x.A.test_bad": "failed",
        "test_x.A.test_doc": "passed",
        "test_x.A.test_old": "passed",
        "test_x.A.test_err": "failed",
        "test_x.A.test_exp": "skipped",
        "test_x.A.test_print": "passed",
        "test_x.A.test_liar": "failed",
        "test_x.A.test_skip": "skipped",
        "unittest.loader._FailedTest.test_y": "error",
        "test_x.B.setUpClass": "error",
    }
    assert run.details["test_x.A.test_liar"].endswith("AssertionError: no")
    assert run.failing[:3] == ("test_x.A.test_bad", "test_x.A.test_err", "test_x.A.test_liar")
    assert len(run.failing) == 5


@pytest.mark.parametrize(
    ("framework", "said"), [("unittest", "test_a (m.A.test_a) ... ok\n"), ("cargo", "test a ... ok\n")]
)
def test_a_program_that_exits_well_before_its_end_has_not_passed(framework: Any, said: str) -> None:
    run = read_run("c", framework, completed(said, said), None)
    assert "did not come to its end" in run.trouble
    assert not run.passed


TAP = """TAP version 13
# Subtest: adds
ok 1 - adds
  ---
  duration_ms: 1.5
  ok 3 - is no test but text
  ...
# Subtest: group
    ok 1 - inner ok
    not ok 2 - inner bad
      ---
      error: '1 == 2'
      ...
    ok 3 - later # SKIP
    1..3
not ok 2 - group
1..2
"""
SPEC = """✔ adds (1.55ms)
▶ group
  ✔ inner ok (0.2ms)
  ✖ inner bad (1.4ms)
  ﹣ later (0.1ms) # SKIP
▶ group (2.8ms)
✖ failing tests:
✖ inner bad (1.4ms)
"""


def test_tap_and_the_form_that_its_program_prints_instead_are_read_test_by_test() -> None:
    cases = READERS["tap"](TAP, "")
    assert cases.states == {
        "adds": "passed",
        "group > inner ok": "passed",
        "group > inner bad": "failed",
        "group > later": "skipped",
        "group": "failed",
    }
    assert "error: '1 == 2'" in cases.details["group > inner bad"]
    assert READERS["tap"](SPEC, "").states == {
        "adds": "passed",
        "inner ok": "passed",
        "inner bad": "failed",
        "later": "skipped",
    }


def go(action: str, test: str = "", output: str = "") -> str:
    fields: dict[str, Json] = {"Action": action, "Package": "ex.org/p"}
    return json.dumps({**fields, **({"Test": test} if test else {}), **({"Output": output} if output else {})})


def test_go_is_read_by_its_events_and_a_package_that_does_not_build_is_an_error() -> None:
    events = [go("run", "TestA"), go("pass", "TestA"), go("output", "TestB", "boom\n"), go("fail", "TestB"), go("fail")]
    cases = READERS["go"]("\n".join(["# noise", "{not json", *events]), "")
    assert cases.states == {"ex.org/p.TestA": "passed", "ex.org/p.TestB": "failed"}
    assert cases.details == {"ex.org/p.TestB": "boom"}
    broken = READERS["go"]("\n".join([go("output", output="syntax error\n"), go("fail")]), "")
    assert broken.states == {"ex.org/p": "error"}


def test_many_packages_that_fail_are_all_read() -> None:
    packages = [json.dumps({"Action": "fail", "Package": f"p{number}"}) for number in range(12_000)]
    tests = [go("fail", f"Test{number}") for number in range(12_000)]
    assert len(READERS["go"]("\n".join([*packages, *tests, go("fail")]), "").states) == 24_000


CARGO = """running 3 tests
test tests::good ... ok
test tests::bad ... FAILED
test tests::later ... ignored

failures:

---- tests::bad stdout ----
assertion failed: 1 == 2

failures:
    tests::bad

test result: FAILED. 1 passed; 1 failed; 1 ignored
"""


def test_cargo_is_read_test_by_test() -> None:
    run = read_run("cargo test", "cargo", completed(CARGO, exit=101), None)
    assert run.cases == {"tests::good": "passed", "tests::bad": "failed", "tests::later": "skipped"}
    assert run.details == {"tests::bad": "assertion failed: 1 == 2"}


def test_output_of_a_program_that_is_not_known_is_tap_if_it_is_whole() -> None:
    whole = read_run("make test", "", completed("cc -o t\n1..2\nok 1 - a\nok 2 - b\n"), None)
    assert (whole.framework, whole.cases, whole.passed) == ("tap", {"a": "passed", "b": "passed"}, True)
    failed = read_run("make test", "", completed("ok 1 - a\nnot ok 2 - b\n1..2\nmake: error\n", exit=2), None)
    assert failed.cases == {"a": "passed", "b": "failed"}
    for cut in ("1..3\nok 1 - a\nok 2 - b\n", "ok 1 - a\n", "ok then\n", "1..0\n", "1..99999999999999999999\nok\n"):
        assert read_run("make test", "", completed(cut), None).cases is None


def test_a_framework_that_says_nothing_of_its_tests_leaves_them_unknown() -> None:
    assert read_run("make test", "", completed("all well"), None).cases is None
    assert read_run("npm test", "tap", completed("Tests: 3 passed"), None).cases is None


@pytest.mark.parametrize(
    ("ended", "trouble"),
    [
        (completed(exit=127), "was not found"),
        (completed(truncated=True, exit=-9), "printed more than"),
        (completed(excess="memory", exit=-9), "used more memory"),
        (Unavailable("sh", "there is no sandbox", "install one"), "could not be started: there is no sandbox"),
    ],
)
def test_why_a_run_could_not_come_to_its_end_is_said(ended: Completed | Unavailable, trouble: str) -> None:
    run = read_run("c", "", ended, None)
    assert trouble in run.trouble
    assert trouble in run.summary
    assert not run.passed


def test_of_a_long_output_the_beginning_and_the_end_are_kept() -> None:
    text = "first\n" + "x" * (2 * OUTPUT_CHARACTERS) + "\nlast"
    cut = shortened(text)
    assert cut.startswith("first")
    assert cut.endswith("last")
    assert len(cut) < OUTPUT_CHARACTERS + 100
    assert "characters left out" in cut
