"""What a state of the code is worth, what may not be touched, and what tries come to together: pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from antiphon.engine import AgentFailure, CallFailed, Cancelled, Failed, OverBudget
from antiphon.subagents.loop.anomaly import Diagnosis
from antiphon.subagents.loop.giving_up import GaveUp
from antiphon.subagents.records import Patch, Verdict
from antiphon.subagents.records.evidence import TestRun
from antiphon.workflows.crafting.results import Tests
from antiphon.workflows.fix.asking import meaning, results_told, unrunnable
from antiphon.workflows.fix.canary import has_one, lies, planted, takes
from antiphon.workflows.fix.claiming import Told, records_of
from antiphon.workflows.fix.concluding import concluded, lacking, nothing, ordered
from antiphon.workflows.fix.guarding import Touched, is_configuration, is_test, offences, strays
from antiphon.workflows.fix.judging import NewProblem, Reference, faults, judge, new_cases, reference, unsteady
from antiphon.workflows.fix.moves import Broken, Stopped
from antiphon.workflows.fix.reproducing import Baseline
from antiphon.workflows.fix.results import Ran, ReproductionResult, TryResult
from antiphon.workflows.fix.shapes import Critique, Plan

TREE = "a" * 40


def run(cases: Mapping[str, Any] | None = None, *, exit: int | None = None, **more: Any) -> Tests:
    bad = any(state in ("failed", "error") for state in (cases or {}).values())
    status = int(bad) if exit is None else exit
    return Tests(command=more.pop("command", "python -m pytest"), exit=status, cases=cases, **more)


# --- judging ----------------------------------------------------------------------------------------------------------

BASE = run({"a": "passed", "b": "skipped"})
SHOWN = run({"a": "passed", "b": "skipped", "n": "failed"})
HELD = reference(BASE, SHOWN, ("n",))
GOOD = {"a": "passed", "b": "skipped", "n": "passed"}


def test_a_fix_passes_what_failed_and_loses_nothing() -> None:
    assert judge(HELD, run(GOOD), (), (), "clean").passed
    assert HELD.kept == ("a",)


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (run({**GOOD, "n": "failed"}), "should pass now and fails: n"),
        (run({**GOOD, "n": "skipped"}), "should pass now and is skipped: n"),
        (run({"a": "passed", "b": "skipped"}), "should pass now and is gone: n"),
        (run({"b": "skipped", "n": "passed"}), "passed before and is gone: a"),
        (run({**GOOD, "a": "error"}), "passed before and fails: a"),
        (run({**GOOD, "z": "failed"}), "is not meant to fail and fails: z"),
        (run(GOOD, exit=3), "the tests ended with status 3, although no case failed"),
        (run(None, exit=0), "the tests ended with status 0 and do not say which passed: they were cut short"),
        (run(GOOD, timed_out=True), "the tests did not end in time"),
        (run({}, exit=0, trouble="pytest did not come to its end"), "pytest did not come to its end"),
        (Tests(), "the tests could not be run"),
    ],
)
def test_what_keeps_a_state_from_being_a_fix_is_named(now: Tests, reason: str) -> None:
    judged = judge(HELD, now, (), (), "tests")
    assert not judged.passed
    assert reason in judged.reasons


def test_what_failed_already_may_go_on_failing() -> None:
    base = run({"a": "passed", "old": "failed"})
    held = reference(base, run({"a": "passed", "old": "failed", "n": "failed"}), ("n",))
    assert judge(held, run({"a": "passed", "old": "failed", "n": "passed"}), (), (), "clean").passed
    assert not judge(held, run({"a": "passed", "old": "failed", "n": "failed"}), (), (), "clean").passed


def test_a_case_that_passes_only_now_and_then_is_nothing_to_be_held_to() -> None:
    base = run({"a": "passed", "flaky": "failed"})
    held = reference(base, run({"a": "passed", "flaky": "passed", "n": "failed", "m": "passed"}), ("n",))
    assert held.kept == ("a", "m")


def test_a_new_test_has_to_fail_each_time() -> None:
    first, again = (
        run({"a": "passed", "n": "failed", "m": "failed"}),
        run({"a": "passed", "n": "passed", "m": "failed"}),
    )
    assert unsteady(BASE, first, first, ()) == ()
    assert unsteady(BASE, first, again, ()) == ("n: it failed, and did not when run again: it must fail each time",)


@pytest.mark.parametrize(
    ("severity", "quality", "passes"),
    [
        ("low", "clean", True),
        ("medium", "clean", False),
        ("low", "strict", False),
        ("critical", "tests", True),
    ],
)
def test_new_problems_count_by_the_bar(severity: Any, quality: Any, passes: bool) -> None:
    problem = NewProblem(tool="ruff", rule="F821", path="a.py", line=3, text="undefined", severity=severity)
    judged = judge(HELD, run(GOOD), (), (problem,), quality)
    assert judged.passed == passes
    assert judged.problems == (problem,)
    assert passes or judged.reasons == (f"new problem, {severity}: ruff F821 at a.py:3: undefined",)


def test_by_the_exit_status_alone_the_whole_command_is_the_case() -> None:
    base, shown = run(None, exit=0, command="make test"), run(None, exit=2, command="make test")
    assert new_cases(base, shown) == ("the test command",)
    held = reference(base, shown, ("the test command",))
    assert judge(held, run(None, exit=0, command="make test"), (), (), "clean").passed
    assert judge(held, shown, (), (), "clean").reasons == ("should pass now and fails: the test command",)


# --- the test that shows the bug --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "existing", "fault"),
    [
        (SHOWN, (), ""),
        (BASE, (), "no new case fails"),
        (run({"a": "passed", "n": "error"}), (), "n: it does not get as far as failing"),
        (run({"n": "failed"}), (), "these passed before and do not now: a"),
        (run({**GOOD, "n": "failed"}, timed_out=True), (), "the tests did not end in time"),
        (Tests(), (), "the tests cannot be run"),
    ],
)
def test_a_reproduction_fails_by_its_own_assertion_and_breaks_nothing(
    now: Tests, existing: tuple[str, ...], fault: str
) -> None:
    found = faults(BASE, now, (), existing)
    assert any(fault in one for one in found) if fault else found == ()


def test_cases_that_failed_all_along_may_show_the_bug() -> None:
    base = run({"a": "passed", "old": "failed"})
    assert faults(base, base, (), ()) != ()
    assert faults(base, base, (), ("old",)) == ()
    assert new_cases(base, base, ("old",)) == ("old",)


# --- what nobody may touch --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["tests/a.py", "test_a.py", "pkg/a_test.py", "src/a.test.ts", "spec/a_spec.rb", "a_test.go", "src/__tests__/a.js"],
)
def test_tests_are_known_by_their_names(path: str) -> None:
    assert is_test(path)
    assert not is_test("src/testimony.py")
    assert not is_test("contest.py")


def test_what_says_how_tests_are_run_is_known() -> None:
    assert not is_configuration("tests/test_a.py", "python -m pytest tests/test_a.py"), "cases may be added to it"
    assert offences((Touched("tests/test_a.py", b"", b"x"),), "pytest tests/test_a.py")
    assert is_configuration(".npmrc")
    assert is_configuration("conftest.py")
    assert is_configuration("sub/conftest.py")
    assert is_configuration("src/_pytest/config.py")
    assert is_configuration("run.sh", "sh ./run.sh --fast")
    assert is_configuration("Makefile", "make test")
    assert not is_configuration("Makefile", "python -m pytest")
    assert not is_configuration("setup.py")


@pytest.mark.parametrize(
    ("name", "before", "after", "said"),
    [
        ("pyproject.toml", "[project]\nversion='1'\n", "[project]\nversion='2'\n", ""),
        ("pyproject.toml", "", "[tool.pytest.ini_options]\naddopts='-k x'\n", "pyproject.toml: its section on tests"),
        ("pyproject.toml", "[tool.pytest]\na=1\n", "not toml [", "pyproject.toml: its section on tests"),
        ("setup.cfg", "[metadata]\nname=a\n", "[metadata]\nname=b\n", ""),
        ("setup.cfg", "", "[tool:pytest]\naddopts=-k x\n", "setup.cfg: its section on tests"),
        ("tox.ini", "[testenv]\ncommands=pytest\n", "[testenv]\ncommands=true\n", "tox.ini: its section on tests"),
        ("package.json", '{"scripts": {"test": "a"}}', '{"scripts": {"test": "true"}}', "package.json: its scripts"),
        ("package.json", '{"main": "a"}', '{"main": "b"}', ""),
        ("app.py", "x = 1\n", "import pytest\n", "app.py is no test, and now speaks to the test framework"),
        ("app.py", "import unittest\n", "import unittest\nx = 1\n", ""),
        ("app.py", "x = 1\n", "x = 2\n", ""),
    ],
)
def test_only_what_is_about_tests_is_an_offence(name: str, before: str, after: str, said: str) -> None:
    found = offences([Touched(name, before.encode(), after.encode())], "python -m pytest")
    assert (found == ()) if not said else found[0].startswith(said)


def test_a_tester_only_adds() -> None:
    old = b"def test_a():\n    assert a() == 1\n"
    files = [
        Touched("tests/test_a.py", old, b"import b\n" + old + b"\n\ndef test_b():\n    assert b() == 2\n"),
        Touched("tests/test_new.py", None, b"x"),
    ]
    assert strays(files, "") == ()
    weaker = Touched("tests/test_a.py", old, old.replace(b"== 1", b""))
    (said,) = strays([weaker], "")
    assert "you changed or took out lines of tests/test_a.py that were there (assert a() == 1)" in said
    assert "deleted the test file" in strays([Touched("tests/test_a.py", old, None)], "")[0]
    assert "which is no test file" in strays([Touched("a.py", b"", b"x")], "")[0]
    assert "says how tests are run" in strays([Touched("tests/conftest.py", None, b"x")], "")[0]


# --- what failing means -----------------------------------------------------------------------------------------------


def test_the_diagnosis_of_a_conversation_is_taken_over() -> None:
    gave_up = GaveUp(Diagnosis(anomaly="no_progress", cause="bad_plan", evidence="9 turns brought nothing new"))
    failed: Failed[Any] = Failed(path="main/1", reason=str(gave_up), category="task", raw=gave_up.raw)
    assert meaning(failed) == Stopped("bad_plan", str(gave_up))
    assert meaning(Failed(reason="bad JSON", category="schema", raw="[")) == Stopped("wrong_reasoning", "bad JSON")
    assert meaning(Failed(reason="no network", category="infrastructure")) == Broken("failed: no network")
    assert meaning(OverBudget(reason="usd")) == Broken("over budget: usd")
    assert meaning(Cancelled(reason="stopped")) == Broken("cancelled: stopped")
    with pytest.raises(CallFailed):
        meaning(Failed(reason="TypeError", category="script"))
    assert issubclass(GaveUp, AgentFailure)


def test_tests_that_cannot_be_run_are_told_from_tests_that_fail() -> None:
    assert "could not be run (status 127)" in unrunnable(run(None, exit=127, command="nosuch"))
    assert "no way to run" in unrunnable(Tests(trouble="no way to run tests was found"))
    assert unrunnable(run(None, exit=1)) == ""
    assert "Failing: n." in results_told(SHOWN)


# --- records ----------------------------------------------------------------------------------------------------------


def test_a_try_becomes_claims_and_the_verdicts_on_them() -> None:
    told = Told(name="try-1", cause="off by one", author="m", critic="k", tests=Ran(command="t 'x", exit=1), new=("n",))
    files = [("a.py", b"1\n2\n3\n", b"1\nzwei\n3\n"), ("b.py", None, b"new\n"), ("c.py", b"\xff\n", b"\xfe\n")]
    claims, verdicts = records_of(files, TREE, told.model_copy(update={"musts": ("the empty list",)}))
    assert [(one.key.path, one.key.start_line, one.key.end_line, one.replacement) for one in claims[:1]] == [
        ("a.py", 2, 2, "zwei\n")
    ]
    assert {one.key.path for one in claims} == {"a.py", "b.py", "c.py"}
    assert [one.stance for one in verdicts] == ["refute", "refute"] * len(claims)
    assert {one.of for one in verdicts} == {one.id for one in claims}
    assert all(isinstance(one, Patch) for one in claims)
    part = told.model_copy(update={"new": ("m", "n"), "failing": ("n", "old")})
    _, (tests, *_) = records_of(files, TREE, part)
    assert [(one.name, one.passed) for one in tests.evidence if isinstance(one, TestRun)] == [("m", True), ("n", False)]
    assert all(isinstance(one, Verdict) and one.actor.lineage != claims[0].actor.lineage for one in verdicts)


# --- what tries come to together --------------------------------------------------------------------------------------


def tried(name: str, **more: Any) -> TryResult:
    usual: dict[str, Any] = {"tree": TREE, "musts": (), "lines": 2}
    return TryResult(name=name, approach="it", **{**usual, **more})


def test_the_best_try_is_first_by_tests_then_problems_then_the_critic_then_size() -> None:
    problem = NewProblem(tool="t", rule="r", path="p")
    tries = [
        tried("fails", reasons=("no",)),
        tried("large", passed=True, lines=9),
        tried("objected", passed=True, musts=("x",)),
        tried("unread", passed=True, musts=None),
        tried("problem", passed=True, problems=(problem,)),
        tried("good", passed=True),
        tried("nothing", tree="", musts=None),
    ]
    names = ["good", "large", "unread", "objected", "problem", "fails", "nothing"]
    assert [one.name for one in ordered(tries)] == names
    assert [one.name for one in ordered(reversed(tries))] == names


SHOWS = ReproductionResult(accepted=True, tree=TREE, cases=("n",))
AS_IT_WAS = Baseline(tree=TREE, command=None, tests=BASE)


def test_a_fix_is_degraded_by_what_is_missing_and_says_what() -> None:
    good = tried("good", passed=True, cause="off by one")
    whole = concluded(base=AS_IT_WAS, shown=SHOWS, held=Reference(), tries=[good], winner="good")
    assert (whole.status, whole.reason, whole.wrong, whole.best) == ("fixed", "", "off by one", good)
    assert whole.notes == ()
    blind = concluded(base=AS_IT_WAS, shown=SHOWS, held=Reference(cases=False), tries=[good], winner="good")
    assert "only their exit status counts" in blind.notes[0]
    unshown = ReproductionResult(accepted=False, tree=TREE, why="it is a race")
    assert list(lacking(good, unshown)) == ["no test shows the bug (it is a race)"]
    assert list(lacking(tried("x", musts=("a", "b")), SHOWS)) == ["the critic objects: a; b"]
    assert list(lacking(tried("x", musts=None), SHOWS)) == ["no critic has read the patch"]
    failed = concluded(base=AS_IT_WAS, shown=SHOWS, held=Reference(), tries=[tried("x", reason="no")], winner="")
    assert (failed.status, failed.reason, failed.confirmed) == ("failed", "x: no", False)
    assert nothing(AS_IT_WAS, "no plan").reproduction.accepted is False


def test_a_critic_that_says_unsound_and_not_why_objects_all_the_same() -> None:
    assert Critique(sound=False, reason="I do not like it").musts[0].what == "I do not like it"
    assert Critique(sound=True, reason="fine").musts == ()
    plan = Plan.model_validate(
        {"understanding": "u", "hypotheses": [{"cause": "c", "approach": "a", "distinguish": None}], "reproduce": "r"}
    )
    assert plan.hypotheses[0].distinguish == ""


# --- a case that must fail --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        (run({"a": "passed", "t.test_canary_x": "failed"}), ""),
        (run({"a": "passed", "t.test_canary_x": "passed"}), "is said to pass"),
        (run({"a": "passed", "t.test_canary_x": "skipped"}), "is said to pass"),
        (run({"a": "passed", "t.test_canary_x": "failed"}, exit=0), "hides what fails"),
        (run({"a": "passed"}), "is not reported at all"),
        (run({"a": "passed"}, command="pytest -k a"), ""),
        (run(None, exit=0), ""),
    ],
)
def test_code_that_makes_everything_pass_is_found_out_by_a_case_that_must_fail(tests: Tests, said: str) -> None:
    found = lies(tests, "x")
    assert any(said in one for one in found) if said else found == ()
    assert lies(tests, "") == ()


def test_a_canary_fails_by_itself_and_under_unittest_too() -> None:
    text = planted(b"x = 1\n\n", "ab12").decode()
    spaces: dict[str, Any] = {}
    exec(text, spaces)
    with pytest.raises(AssertionError):
        spaces["test_canary_ab12"]()
    cases = [name for name in dir(spaces["TestCanaryab12"]) if name.startswith("test_canary_ab12_")]
    assert len(cases) == 10
    for name in cases:
        with pytest.raises((AssertionError, ValueError)):
            spaces["TestCanaryab12"](name).debug()
    assert takes("tests/test_a.py")
    assert not takes("tests/a.test.js")


@pytest.mark.parametrize(
    ("path", "case", "there"),
    [
        ("tests/test_a.py", "tests/test_a.py::A::test_x[1.5]", True),
        ("tests/test_a.py", "tests.test_a.A.test_x", True),
        ("tests/test_a.py", "test_a.A.test_x", True),
        ("tests/test_a.py", "tests/test_b.py::test_a", False),
        ("tests/__init__.py", "tests/test_a.py::test_x", False),
        ("tests/test_a.py", "the test command", False),
    ],
)
def test_a_canary_is_put_where_the_case_is(path: str, case: str, *, there: bool) -> None:
    assert has_one(path, [case]) is there
