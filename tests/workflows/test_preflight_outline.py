"""The outline that preflight makes of a script: bounds that hold for every run, what nothing bounds, and names."""

from __future__ import annotations

import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from antiphon.engine.call import Call
from antiphon.engine.context import CallContext
from antiphon.engine.testing import AnsweringCalls, memory_run
from antiphon.subagents.tools.policy import Scope
from antiphon.workflows import script as script_api
from antiphon.workflows.preflight import Finding, Place, Preflight, preflight
from antiphon.workflows.preflight.model import Bound
from antiphon.workflows.preflight.scope import covers
from antiphon.workflows.syntax.scopes import SCRIPT_NAMES

ROOT = Path(__file__).parents[2]
IMPORT = "from antiphon.workflows.script import *\n"
MANIFEST = 'manifest = {"name": "x", "roles": ["worker", "judge"]}\n'
STRUCTURAL = frozenset({"unbounded-loop", "unbounded-fan-out", "unbounded-recursion", "endless-loop"})


def look(body: str, *, manifest: str = MANIFEST, **more: Any) -> Preflight:
    """Preflight of a script with this main, and whatever stands before it."""
    return preflight(IMPORT + manifest + textwrap.dedent(body), "x.py", **more)


def calls(body: str, **more: Any) -> Bound:
    """How many agents a script asks."""
    return look(body, **more).cost.calls


def found(preflight: Preflight, *rules: str) -> list[tuple[str, int, str]]:
    return [(one.rule, one.line, one.severity) for one in preflight.findings if one.rule in rules]


def refused(preflight: Preflight) -> list[tuple[str, int, str]]:
    """What nothing bounds, so that the script is refused."""
    return [one for one in found(preflight, *STRUCTURAL) if one[2] == "error"]


def shape(place: Place) -> str:
    inner = ", ".join(map(shape, place.children))
    return f"{place.kind} {place.title} x{place.bound}" + (f" [{inner}]" if inner else "")


# --- sizes --------------------------------------------------------------------------------------------------------

DATA = Path(__file__).parent / "data"


def cases(name: str) -> dict[str, tuple[str, str]]:
    """The scripts of a file, each below a line that says what it shows and how many calls that comes to."""
    parts = (DATA / f"outline_{name}.txt").read_text().split("=== ")[1:]
    split = (part.partition("\n") for part in parts)
    named = ((*head.rsplit(": ", 1), body) for head, _, body in split)
    return {case: (body, number) for case, number, body in named}


EXACT = {case: (body, int(number)) for case, (body, number) in cases("exact").items()}
"""Scripts of which the number of calls is known exactly."""


@pytest.mark.parametrize("case", EXACT)
def test_the_number_of_calls_is_known(case: str) -> None:
    body, count = EXACT[case]
    assert look(body).outline.complete
    assert calls(body) == Bound.exactly(count)


def main_of(body: str) -> Callable[[], Awaitable[Any]]:
    names: dict[str, Any] = {name: getattr(script_api, name) for name in SCRIPT_NAMES if hasattr(script_api, name)}
    exec(compile(textwrap.dedent(body), "x.py", "exec"), names)
    main: Callable[[], Awaitable[Any]] = names["main"]
    return main


@pytest.mark.anyio
@pytest.mark.parametrize("case", sorted(EXACT))
async def test_as_many_are_really_asked(case: str) -> None:
    """What is said before a run is what happens in it."""
    asked: list[str] = []

    async def answer(call: Call, context: CallContext) -> object:
        asked.append(call.name)
        return "x"

    body, count = EXACT[case]
    ran = await memory_run(main_of(body), performers={"agent": AnsweringCalls(answer)})
    assert ran.result.kind in ("completed", "degraded"), ran.result.reason
    # A critic is asked by whoever answers, which is no model here; a race cuts its losers off.
    assert len(asked) <= count
    if case not in ("a critic", "a race and a branch"):
        assert len(asked) == count


BOUNDED = {case: (body, int(number)) for case, (body, number) in cases("bounded").items()}
"""Scripts of which the most is known, and no more."""


@pytest.mark.parametrize("case", BOUNDED)
def test_the_most_is_known(case: str) -> None:
    body, most = BOUNDED[case]
    seen = look(body)
    assert seen.cost.calls.worst == most
    assert not found(seen, *STRUCTURAL)


UNKNOWN = {case: body for case, (body, _) in cases("unknown").items()}


@pytest.mark.parametrize("case", UNKNOWN)
def test_nothing_is_claimed_where_nothing_is_known(case: str) -> None:
    assert calls(UNKNOWN[case]).worst is None


def test_a_length_is_no_promise_that_all_succeeded() -> None:
    """`len(found.succeeded()) < 3` is not decided before the run, however many were asked."""
    body = """
        async def main():
            found = await parallel(agent(x) for x in "abc")
            if len(found.succeeded()) < 3:
                await agent("again")
    """
    assert calls(body).worst == 4


def test_given_arguments_go_before_defaults() -> None:
    body = "async def main(files: list[str] = ['a'], n: int = 1):\n    await parallel(agent(f) for f in files)"
    assert calls(body) == Bound.exactly(1)
    assert calls(body, arguments={"files": ["a", "b", "c"]}) == Bound.exactly(3)


def test_an_argument_that_is_not_given_is_a_warning_and_no_more() -> None:
    seen = look("async def main(files: list[str]):\n    await parallel(agent(f) for f in files)")
    assert found(seen, "unbounded-fan-out") == [("unbounded-fan-out", 4, "warning")]
    assert any("the argument files" in one.reason for one in seen.findings)
    assert seen.passed


# --- the tree -----------------------------------------------------------------------------------------------------


def test_phases_hold_what_follows_them() -> None:
    body = """
        async def find(f):
            return await agent(f, label="finder")

        async def main():
            await step("files", {})
            phase("find")
            found = await parallel(find(f) for f in ["a", "b"])
            phase("judge")
            if found.census:
                await choose("which?", ["x", "y"])
            else:
                await approve("go on?")
    """
    outline = look(body).outline
    assert outline.phases == ("find", "judge")
    assert [shape(place) for place in outline.places] == [
        "call files x1",
        "phase find x1 [fan-out parallel over ['a', 'b'] x2 [call finder x1]]",
        "phase judge x1 [choice if found.census x1 [branch if found.census x1 [call judge x1],"
        " branch otherwise x1 [call go on? x1]]]",
    ]


def test_items_that_do_different_things_are_listed() -> None:
    (fan,) = look(
        "async def main():\n    await parallel([agent('a', role=r) for r in ('worker', 'judge')])"
    ).outline.places
    assert fan.listed
    assert [place.role for place in fan.children] == ["worker", "judge"]


def test_a_confined_script_has_the_api_as_globals() -> None:
    seen = preflight(MANIFEST + "async def main():\n    await parallel(agent(x) for x in 'ab')\n", "x.py")
    assert seen.cost.calls == Bound.exactly(2)
    assert seen.passed
    assert found(seen, "no-import") == [("no-import", 3, "note")]


def test_the_outline_is_json() -> None:
    said = look("async def main():\n    await parallel((agent(x) for x in 'ab'), limits={'usd': '1'})").to_json()
    outline = said["outline"]
    assert isinstance(outline, dict)
    assert outline["places"] == [
        {
            "kind": "fan-out",
            "title": "parallel over 'ab'",
            "line": 4,
            "bound": {"expected": 2, "worst": 2},
            "construct": "parallel",
            "limits": {"usd": 1.0},
            "children": [
                {
                    "kind": "call",
                    "title": "worker",
                    "line": 4,
                    "bound": {"expected": 1, "worst": 1},
                    "construct": "agent",
                    "role": "worker",
                }
            ],
        }
    ]


# --- what nothing bounds ------------------------------------------------------------------------------------------

UNBOUNDED = {
    "a fan-out": ("await parallel(agent(x) for x in await agent('list'))", "unbounded-fan-out"),
    "a while loop": ("while not await agent('done?'):\n        await agent('more')", "unbounded-loop"),
    "a for loop": ("for x in await agent('list'):\n        await agent(x)", "unbounded-loop"),
    "a recursion": ("await again(task)", "unbounded-recursion"),
    "an endless loop": ("while True:\n        await agent('x')", "unbounded-loop"),
    "the budget without a limit": ("while budget.remaining('usd') > 1:\n        await agent('x')", "unbounded-loop"),
}
AGAIN = "async def again(task):\n    for x in await agent(task): await again(x)\n"


@pytest.mark.parametrize("case", UNBOUNDED)
def test_what_nothing_bounds_is_refused_unless_limited(case: str) -> None:
    body, rule = UNBOUNDED[case]
    text = f"async def main(task):\n    {body}\n"
    text = AGAIN + text if rule == "unbounded-recursion" else text
    seen = look(text)
    said = [one for one in seen.findings if one.rule == rule]
    assert said, seen.findings
    assert "error" in {one.severity for one in said}
    assert "limits" in " ".join(one.remedy for one in said) or "break" in said[0].remedy
    limited = MANIFEST[:-2] + ', "limits": {"agent_calls": 50, "usd": "5"}}\n'
    held = look(text, manifest=limited)
    assert not refused(held), held.errors
    assert held.cost.calls.worst == 50
    assert any(place.limited_by for place in held.outline.walk())


def test_the_finding_says_what_is_unbounded_and_what_to_add() -> None:
    seen = look("async def main():\n    await parallel(agent(x) for x in await agent('list'))")
    (said,) = [one for one in seen.findings if one.rule == "unbounded-fan-out"]
    assert said.severity == "error"
    assert "agent() on line 4" in said.reason or "agent()" in said.reason
    assert said.line == 4


def test_limits_of_the_fan_out_or_of_a_branch_around_hold() -> None:
    for text in (
        "await parallel((agent(x) for x in await agent('a')), limits={'agent_calls': 9})",
        "await branch('n', parallel(agent(x) for x in await agent('a')), limits={'agent_calls': 9})",
    ):
        seen = look(f"async def main():\n    {text}\n")
        assert not refused(seen), seen.errors
        assert seen.cost.calls.worst == 10


def test_money_does_not_bound_functions_that_spend_none() -> None:
    function = '@function_agent("worker")\nasync def worker(task, ctx):\n    return task\n'
    body = function + "async def main():\n    await parallel(agent(x) for x in await agent('list'))\n"
    manifest = 'manifest = {"name": "x", "roles": ["worker"], "limits": {"usd": "1"}}\n'
    assert refused(look(body, manifest=manifest))
    assert not refused(look(body, manifest=manifest.replace('"usd": "1"', '"agent_calls": 9')))


def test_what_nobody_asks_for_is_no_expense() -> None:
    """A listing is finite: going over it with steps, or with Python alone, needs no limit."""
    body = """
        async def main():
            for f in await step("files", {"workspace": "read"}):
                log(f)
                await step("tree", {"workspace": f})
    """
    assert not found(look(body), *STRUCTURAL)


def test_a_loop_that_only_a_limit_ends_is_a_warning() -> None:
    manifest = MANIFEST[:-2] + ', "limits": {"agent_calls": 5}}\n'
    seen = look("async def main():\n    while True:\n        await agent('x')", manifest=manifest)
    assert ("endless-loop", 4, "warning") in found(seen, "endless-loop")


# --- names and declarations ---------------------------------------------------------------------------------------

NAMES: dict[str, tuple[str, tuple[str, int, str]]] = {
    "an undefined name": ("return filez", ("undefined-name", 4, "error")),
    "an unknown argument": ("await agent('a', rol='worker')", ("unknown-argument", 4, "error")),
    "too many": ("await race([], [])", ("unknown-argument", 4, "error")),
    "a missing one": ("await quorum([], 2)", ("missing-argument", 4, "error")),
    "an undeclared role": ("await agent('a', role='poet')", ("undeclared-role", 4, "error")),
    "an undeclared step": ("await step('shave')", ("undeclared-step", 4, "error")),
    "an undeclared phase": ("phase('end')", ("undeclared-phase", 4, "warning")),
    "a habit": ("await agent('a', {'role': 'worker'})", ("habit", 4, "error")),
    "a role that is never asked": ("await agent('a')", ("unused-role", 2, "note")),
}


@pytest.mark.parametrize("case", NAMES)
def test_names(case: str) -> None:
    body, expected = NAMES[case]
    seen = look(f"async def main(files: list):\n    {body}\n")
    assert expected in found(seen, expected[0])


def test_every_habit_is_listed_and_not_the_first_alone() -> None:
    body = """
        async def main():
            agent("a")
            agent("b", {"x": 1})
            try:
                await agent("c")
            except:
                pass
    """
    assert len({one.line for one in look(body).findings if one.rule == "habit"}) >= 3


def test_a_default_role_has_to_be_declared_too() -> None:
    seen = look(
        "async def main():\n    await agent('a')\n    await choose('b', ['c'])", manifest='manifest = {"name": "x"}\n'
    )
    assert [line for _, line, _ in found(seen, "undeclared-role")] == [4, 5]


def test_what_is_declared_and_is_not_there_refuses_only_what_a_model_wrote() -> None:
    """Whoever runs a script may lend it roles and steps; nobody does that for a planned one."""
    manifest = 'manifest = {"name": "x", "roles": ["zoologist"], "steps": ["weigh"]}\n'
    body = "async def main():\n    await agent('a', role='zoologist')\n    return await step('weigh', {})\n"
    assert {one for *_, one in found(look(body, manifest=manifest), "undefined-role", "undefined-step")} == {"note"}
    planned = preflight("# antiphon: planned x 12345678\n" + IMPORT + manifest + body, "x.py")
    assert {one for *_, one in found(planned, "undefined-role", "undefined-step")} == {"error"}


def test_the_names_of_the_api_are_those_that_a_script_can_import() -> None:
    assert set(script_api.__all__) == SCRIPT_NAMES


def test_the_syntax_and_the_manifest_are_findings() -> None:
    assert found(preflight("def (", "x.py"), "syntax") == [("syntax", 1, "error")]
    seen = preflight("x = 1\nmanifest = {'name': x}\nasync def main(): pass\n", "x.py")
    assert found(seen, "manifest") == [("manifest", 2, "error")]
    assert seen.manifest is None


# --- scope --------------------------------------------------------------------------------------------------------


def test_a_manifest_may_not_ask_for_more_than_is_granted() -> None:
    manifest = (
        'manifest = {"name": "x", "scope": {"read": ["src/a/**", "docs/x.md"], "write": ["**"], "tools": ["grep"]}}\n'
    )
    granted = Scope(read=("src/**",), write=("src/**",), tools=("g*",), network=("a.example",))
    seen = look("async def main():\n    return 1\n", manifest=manifest, granted=granted)
    reasons = [one.reason for one in seen.findings if one.rule == "beyond-granted"]
    assert len(reasons) == 3
    assert any("'docs/x.md'" in reason for reason in reasons)
    assert any("scope.write asks for '**'" in reason for reason in reasons)
    assert any("scope.network" in reason for reason in reasons)


@pytest.mark.parametrize(
    ("allowed", "entry", "inside"),
    [
        (("src/**",), "src/a.py", True),
        (("src/**",), "src/*/b.py", True),
        (("src/**",), "src/../etc", False),
        (("src/**",), "srcx/a.py", False),
        (("src/**",), "*.py", False),
        (("*.py",), "a.py", True),
        (("src/**", "!src/secret"), "src/a.py", False),
        (("**",), "!x", False),
        ((), "a", False),
    ],
)
def test_what_surely_lies_inside(allowed: tuple[str, ...], entry: str, inside: bool) -> None:
    assert covers(allowed, entry, paths=True) is inside


# --- no false alarm -----------------------------------------------------------------------------------------------

SOUND = sorted(
    (*(ROOT / "examples").glob("*.py"), *(ROOT / "workflows/antiphon/workflows").glob("*/workflow.py"),
     ROOT / "workflows/antiphon/workflows/audit/models/workflow.py")
)  # fmt: skip


@pytest.mark.checkout
@pytest.mark.parametrize("file", SOUND, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_false_alarm(file: Path) -> None:
    seen = preflight(file.read_text(), str(file))
    assert not [one for one in seen.findings if one.severity != "note"]
    assert seen.outline.complete
    assert seen.outline.places


# --- hostile text -------------------------------------------------------------------------------------------------

HEAD = IMPORT + MANIFEST
HOSTILE = {
    "nothing": "",
    "no text": "a\0b",
    "half a character": "x = '\ud800'",
    "deep brackets": "(" * 10_000,
    "a long sum": HEAD + "async def main():\n    x = " + "+".join("1" * 9_000),
    "many ways": HEAD + "async def main(a):\n    if a == 0: pass\n" + "    elif a: pass\n" * 700,
    "a value in itself": HEAD + "async def main():\n    x = [1]\n" + "    x = [x, x]\n" * 500 + "    await agent(x)\n",
    "calls in themselves": HEAD
    + "async def main():\n    x = agent('a')\n"
    + "    x = parallel([x, x])\n" * 200
    + "    await x\n",
    "functions in functions": HEAD
    + "".join(f"async def f{n}(): return [await f{n - 1}(), await f{n - 1}()]\n" for n in range(1, 60))
    + "async def f0(): return await agent('x')\nasync def main(): await f59()\n",
    "loops in loops": HEAD
    + "async def main(a):\n"
    + "".join("    " + " " * n + f"for x{n} in a:\n" for n in range(80))
    + "    " + " " * 80 + "await agent('x')\n",
    "texts that double": HEAD
    + "async def main():\n    x = 'a'\n"
    + "    x = f'{x}{x}'\n" * 500
    + "    await agent(x)\n",
    "numbers without end": HEAD
    + "async def main():\n    await parallel(agent('a') for i in range(int(1e400)))\n"
    + "    await parallel([agent('b')] * 1e400)\n",
    "what runs outside": HEAD
    + "async def main(): pass\nif __name__ == '__main__':\n    y = [1]\n    x = [x for x in y]\n    print(main())\n",
    "a huge range": HEAD
    + f"async def main():\n    await parallel(agent('a') for i in range({'9' * 400}))\n    [0] * 10**18\n",
    "many loops in one": HEAD + "async def main(a):\n    [agent('x')" + " for x in [1, 2, 3]" * 60 + "]\n",
    "a function of itself": HEAD + "async def main(a):\n    w = lambda x: x(x)\n    await w(w)\n",
    "a class of itself": HEAD + "class A(A):\n    x = A.x\nasync def main():\n    await A().foo()\n",
    "a main that asks itself": HEAD + "async def main(a=1): await main(a + 1)\n",
    "a return of the module": HEAD + "return 1\nasync def main(): pass\n",
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_text_is_told_of_and_never_raised(case: str) -> None:
    seen = preflight(HOSTILE[case], "x.py")
    assert "not-checked" not in {one.rule for one in seen.findings}, seen.findings
    assert seen.outline.complete or not seen.passed
    if not seen.outline.complete:
        assert seen.cost.calls.worst is None, "nothing is claimed of what was not looked at whole"


def test_nothing_of_a_script_is_executed(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    opens = f"open({str(mark)!r}, 'w')"
    text = f"{opens}\n{HEAD}@print\nclass A:\n    {opens}\nasync def main(x={opens}): pass\n"
    preflight(text, "x.py")
    assert not mark.exists()


@pytest.mark.long
@pytest.mark.parametrize("line", ["    await agent('x')\n", "    a = a if a else 1\n", "    a.b[c].d = e\n"])
def test_the_largest_script_is_looked_at_within_its_steps(line: str) -> None:
    whole = HEAD + "async def main(a):\n" + line * ((1_000_000 - 500) // len(line))
    seen = preflight(whole, "x.py")
    assert not seen.passed
    assert {"too-large", "undefined-name"} & {one.rule for one in seen.findings}


def test_findings_are_sorted_and_plain() -> None:
    seen = look("async def main():\n    await agent('a', role='poet')\n    return filez\n")
    assert list(seen.findings) == sorted(seen.findings, key=lambda one: one.order)
    assert isinstance(seen.findings[0], Finding)
    assert all(one.reason and one.remedy and one.line >= 1 for one in seen.findings)
