"""Habits from other tools: each in several spellings, found at exactly its line; and ordinary scripts, left alone."""

import re
from pathlib import Path
from textwrap import dedent

import pytest

from antiphon.engine.errors import HabitError, ManifestError
from antiphon.workflows.habits import Habit, check_habits, find_habits

ROOT = Path(__file__).parents[2]
IMPORTS = "from antiphon.workflows.script import *\n"
MARK = re.compile(r"# !! (.*)")


def marked(body: str) -> tuple[str, list[tuple[int, str]]]:
    """A script made of `body`, and where its `# !!` marks say that a habit is, with a piece of the message."""
    source = dedent(body)
    if "antiphon" not in source:
        source = IMPORTS + source
    lines = enumerate(source.splitlines(), 1)
    wanted = [(line, part) for line, text in lines if (mark := MARK.search(text)) for part in mark[1].split(" & ")]
    return source, wanted


def check(body: str) -> None:
    source, wanted = marked(body)
    found = find_habits(source, "w.py")
    assert wanted
    assert [habit.line for habit in found] == [line for line, _ in wanted], found
    for line, part in wanted:
        assert any(habit.line == line and part in habit.problem and habit.fix for habit in found), (part, found)


LATE = {
    "lambda in a generator": """
        async def main(files):
            return await parallel(lambda: agent(f) for f in files)  # !! captures the loop variable 'f'
        """,
    "lambda in a list": """
        async def main(files):
            found = await parallel([
                lambda: agent(f"Audit {f}")  # !! a lambda captures
                for f in files
            ])
        """,
    "list of lambdas in a name": """
        async def main(files):
            thunks = [lambda: agent(f) for f in files]  # !! captures
            await parallel(t() for t in thunks)
        """,
    "appended in a loop": """
        async def main(files):
            calls = []
            for f in files:
                calls.append(lambda: agent(f))  # !! captures
            await parallel(calls)
        """,
    "added in a loop": """
        async def main(files):
            calls = []
            for f in files:
                calls += [lambda: agent(f)]  # !! captures
            await parallel(call() for call in calls)
        """,
    "kept in a dict": """
        async def main(files):
            calls = {}
            for f in files:
                calls[f] = pipeline([f], lambda text: agent(text, covers=[f]))  # !! captures
            await parallel(calls.values())
        """,
    "stages made in a loop": """
        async def main(files, lenses):
            stages = []
            for lens in lenses:
                stages.append(lambda text: agent(f"{lens}: {text}"))  # !! loop variable 'lens'
            await pipeline(files, *stages)
        """,
    "a vote": """
        async def main(claims_):
            await parallel(
                quorum([agent(c), agent(c)], 2, vote=lambda v: v["id"] == c)  # !! loop variable 'c'
                for c in claims_
            )
        """,
    "a stage inside a nested fan-out": """
        async def main(files, lenses):
            await parallel([pipeline(files, lambda f: agent(f, context=[lens])) for lens in lenses])  # !! 'lens'
        """,
    "a criterion": """
        async def main(files):
            await race(agent(f, until=lambda value: value["file"] == f) for f in files)  # !! 'f'
        """,
    "an async function in a loop": """
        async def main(files):
            calls = []
            for f in files:
                async def one():  # !! one() captures
                    return await agent(f)
                calls.append(one())
            await parallel(calls)
        """,
    "a function handed over uncalled": """
        async def main(files, lenses):
            found = []
            for lens in lenses:
                def stage(value):  # !! stage() captures
                    return agent(f"{lens} {value}")
                found.append(pipeline(files, stage))
            await parallel(found)
        """,
    "a name made from the loop variable": """
        async def main(files):
            calls = []
            for f in files:
                title = f.upper()
                calls.append(branch(f, pipeline([f], lambda text: agent(title + text))))  # !! 'title'
            await parallel(calls)
        """,
    "by way of a name": """
        async def main(files):
            calls = []
            for f in files:
                job = lambda: agent(f)  # !! captures
                calls.append(job)
            await parallel(calls)
        """,
    "a generator in a generator": """
        async def main(files, lenses):
            await parallel(parallel(agent(f"{f} {l}") for l in lenses) for f in files)  # !! a generator handed
        """,
    "a generator in a loop": """
        async def main(files, lenses):
            calls = []
            for f in files:
                calls.append(race(agent(f"{f} {l}") for l in lenses))  # !! a generator handed
            await parallel(calls)
        """,
    "map with a lambda": """
        async def main(files, lenses):
            await parallel([parallel(map(lambda l: agent(f"{f} {l}"), lenses)) for f in files])  # !! 'f'
        """,
    "an async for": """
        async def main(source):
            calls = []
            async for f in source:
                calls.append(lambda: agent(f))  # !! captures
            await parallel(calls)
        """,
}

OPTIONS = {
    "a dict": 'async def main():\n    await agent("Look", {"role": "x", "schema": {}})  # !! no object of options',
    "a role": 'async def main():\n    await agent("Look", "auditor")  # !! its role by keyword',
    "a name": "async def main(o):\n    await agent('Look', o)  # !! its options by keyword",
    "renamed": """
        from antiphon.workflows.script import agent as ask
        async def main(files):
            return [await ask(f, {"model": "x"}) for f in files]  # !! no object
        """,
    "by module": """
        import antiphon.workflows.script as s
        async def main(files):
            return await s.parallel([s.agent(
                "Look",
                {"role": "x"},  # !! no object
            )])
        """,
    "by full name": """
        import antiphon.workflows.script
        async def main():
            await antiphon.workflows.script.agent("Look", "x")  # !! role by keyword
        """,
    "from the package": """
        from antiphon.workflows import script
        async def main():
            await script.agent("Look", "x")  # !! role by keyword
        """,
    "imported inside": """
        async def main():
            from antiphon.workflows.script import agent
            await agent("Look", "x")  # !! role by keyword
        """,
}

STAGES = {
    "lambda": """
        async def main(files):
            await pipeline(
                files,
                lambda f: agent(f),
                lambda previous, item, index: agent(previous),  # !! this stage takes 3 parameters
            )
        """,
    "function": """
        def refute(previous, item, index):
            return agent(previous)
        async def main(files):
            await pipeline(files, refute)  # !! refute() takes 3 parameters
        """,
    "async function": """
        async def check(previous, item):
            return await agent(previous)
        async def main(files):
            await pipeline(files, agent, check)  # !! check() takes 2 parameters
        """,
    "named lambda": """
        async def main(files):
            stage = lambda a, b, c: agent(a)
            await pipeline(files, stage)  # !! takes 3
        """,
    "none at all": "async def main(files):\n    await pipeline(files, lambda: agent('x'))  # !! takes 0",
}

OUTCOMES = {
    "awaited condition": """
        async def main():
            if await branch("a", agent("x")):  # !! Outcome is used as a condition
                pass
        """,
    "named condition": """
        async def main():
            outcome = await branch("a", agent("x"))
            if outcome:  # !! condition
                return outcome.value
        """,
    "not": """
        async def main():
            outcome = await branch("a", agent("x"))
            return "bad" if not outcome else "good"  # !! condition
        """,
    "or": """
        async def main():
            outcome = await branch("a", agent("x"))
            return outcome or "nothing"  # !! condition
        """,
    "and": """
        async def main(deep: bool):
            outcome = await branch("a", agent("x"))
            while deep and outcome:  # !! condition
                pass
        """,
    "walrus": "async def main():\n    if (o := await branch('a', agent('x'))):  # !! condition\n        return o.value",
    "loop over outcomes": """
        async def main(files):
            found = await parallel(agent(f) for f in files)
            for outcome in found:
                if outcome:  # !! condition
                    log(outcome.reason)
        """,
    "loop over awaited": """
        async def main(files):
            for outcome in await parallel(agent(f) for f in files):
                assert outcome  # !! condition
        """,
    "comprehension": """
        async def main(files):
            found = await pipeline(files, agent)
            return [o.value for o in found if o]  # !! condition
        """,
    "enumerate": """
        async def main(files):
            found = await pipeline(files, agent)
            for index, outcome in enumerate(found):
                log(outcome["title"])  # !! an Outcome is used as a value
        """,
    "zip": """
        async def main(files):
            found = await pipeline(files, agent)
            return {f: o.severity for f, o in zip(files, found)}  # !! no 'severity'
        """,
    "unpacked": """
        async def main():
            security, style = await parallel([agent("a"), agent("b")])
            return security["findings"] + style.value  # !! value
        """,
    "index": """
        async def main(files):
            found = await parallel(agent(f) for f in files)
            return found[0]["findings"]  # !! value
        """,
    "none": """
        async def main():
            outcome = await branch("a", agent("x"))
            if outcome is None:  # !! to compare
                fail("nothing")
        """,
    "equal": "async def main():\n    return (await branch('a', agent('x'))) == 'yes'  # !! to compare",
    "in the next prompt": """
        async def main():
            outcome = await branch("a", agent("x"))
            await agent(f"Refute this: {outcome}")  # !! value
        """,
    "as context": """
        async def main(files):
            found = await parallel(agent(f) for f in files)
            await agent("Sum up", context=[found])  # !! Outcomes is used as a value
        """,
    "length": "async def main(f):\n    return len(await parallel([agent(f)]))  # !! Outcomes is used as a value",
    "length by name": """
        async def main(files):
            found = await parallel(agent(f) for f in files)
            log(f"{len(found)} findings")  # !! Outcomes
        """,
    "outcomes as condition": """
        async def main(files):
            found = await parallel(agent(f) for f in files)
            if not found:  # !! Outcomes is used as a condition
                fail("nothing")
        """,
    "outcomes added": """
        async def main(files):
            first = await parallel(agent(f) for f in files)
            second = await parallel(agent(f) for f in files)
            return claims(of=first + second)  # !! Outcomes
        """,
    "outcomes as a list": """
        async def main(files):
            found = await parallel(agent(f) for f in files)
            found.sort()  # !! no 'sort'
        """,
    "all": """
        async def main(files):
            found = await parallel(agent(f) for f in files)
            return all(found)  # !! Outcomes
        """,
    "iterated outcome": """
        async def main():
            outcome = await branch("a", agent("x"))
            for finding in outcome:  # !! as a list
                log(finding)
        """,
    "tally condition": """
        async def main(calls, vote):
            if await quorum(calls, 2, vote=vote):  # !! a Tally is used as a condition
                pass
        """,
    "tally by name": """
        async def main(calls, vote):
            tally = await quorum(calls, need=2, vote=vote)
            return "kept" if tally else "dropped"  # !! a Tally
        """,
    "tally compared": """
        async def main(calls, vote):
            tally = await quorum(calls, need=2, vote=vote)
            if tally == "yes":  # !! a Tally is used as a value to compare
                return True
        """,
    "tally is true": "async def main(c, v):\n    return await quorum(c, 2, vote=v) is True  # !! a Tally",
}

ASYNCIO = {
    "import": "import asyncio  # !! raw asyncio\nasync def main():\n    return asyncio",
    "import as": """
        import asyncio as aio  # !! raw asyncio
        async def main(calls):
            await aio.gather(*calls)  # !! asyncio.gather
        """,
    "from": """
        from asyncio import gather, sleep as wait  # !! raw asyncio
        async def main(calls):
            await gather(*calls)  # !! asyncio.gather
            await wait(1)  # !! asyncio.sleep
        """,
    "inside main": """
        async def main(calls):
            import asyncio  # !! raw asyncio
            tasks = [asyncio.create_task(call) for call in calls]  # !! asyncio.create_task
            async with asyncio.timeout(5):  # !! asyncio.timeout
                return [await task for task in tasks]
        """,
    "submodule": "import asyncio.subprocess  # !! raw asyncio\nasync def main():\n    pass",
    "cancellation": """
        import asyncio  # !! raw asyncio
        async def main():
            try:
                await agent("x")
            except asyncio.CancelledError:  # !! asyncio.CancelledError
                pass
        """,
}

UNAWAITED = {
    "statement": "async def main():\n    agent('x')  # !! agent(...) is never awaited",
    "each name": """
        async def main(calls, vote):
            step("a")  # !! step(...)
            approve("go on?")  # !! approve(...)
            parallel(calls)  # !! parallel(...)
            pipeline([1], agent)  # !! pipeline(...)
            race(calls)  # !! race(...)
            quorum(calls, 2, vote=vote)  # !! quorum(...)
            branch("a", agent("x"))  # !! branch(...)
            workflow("./other.py")  # !! workflow(...)
        """,
    "in a list": "async def main(files):\n    [agent(f) for f in files]  # !! agent(...)",
    "never used": "async def main(files):\n    found = parallel(agent(f) for f in files)  # !! parallel(...)",
    "underscore": "async def main():\n    _ = step('tests')  # !! step(...)",
    "returned": "async def main(files):\n    return parallel(agent(f) for f in files)  # !! parallel(...)",
    "returned by name": """
        async def main(files):
            found = parallel(agent(f) for f in files)
            return found  # !! parallel(...)
        """,
    "own coroutine": """
        async def look(f):
            return await agent(f)
        async def main(f):
            look(f)  # !! look(...)
        """,
    "condition": "async def main():\n    if approve('ok?'):  # !! a call that was never awaited\n        pass",
    "value": "async def main():\n    return agent('x')['title']  # !! a call that was never awaited",
    "iterated": "async def main(c):\n    for outcome in parallel(c):  # !! never awaited\n        pass",
    "prompt": """
        async def main():
            plan = agent("Plan")
            return await agent(f"Review {plan}")  # !! never awaited
        """,
}

SETS = {
    "literal": 'async def main():\n    await parallel({agent("a"), agent("b")})  # !! parallel() goes over a set',
    "comprehension": "async def main(fs):\n    await race({agent(f) for f in fs})  # !! race() goes over a set",
    "call": "async def main(fs):\n    await pipeline(set(fs), agent)  # !! pipeline() goes over a set",
    "frozenset": "async def main(fs):\n    await pipeline(frozenset(fs), agent)  # !! a set",
    "generator over a set": "async def main(fs):\n    await parallel(agent(f) for f in set(fs))  # !! a set",
    "name": """
        async def main(files):
            unique = {f.strip() for f in files}
            await parallel(agent(f) for f in unique)  # !! a set
        """,
    "difference": "async def main(a, b):\n    await parallel([agent(f) for f in set(a) - set(b)])  # !! a set",
    "list of a set": "async def main(fs):\n    await pipeline(items=list(set(fs)))  # !! a set",
}

EXCEPTS = {
    "bare": """
        async def main():
            try:
                await agent("x")
            except:  # !! a bare except
                return None
        """,
    "base": """
        async def main():
            try:
                await agent("x")
            except BaseException as error:  # !! except BaseException
                log(str(error))
        """,
    "among others": """
        async def main():
            try:
                await agent("x")
            except (ValueError, BaseException):  # !! except BaseException
                pass
        """,
    "suppressed": """
        import contextlib
        from antiphon.workflows.script import agent
        async def main():
            with contextlib.suppress(BaseException):  # !! suppress(BaseException)
                await agent("x")
        """,
    "in a function": """
        def read(path):
            try:
                return open(path).read()
            except:  # !! a bare except
                return ""
        async def main():
            pass
        """,
}

AWAITED = {
    "list": "async def main(fs):\n    await parallel([await agent(f) for f in fs])  # !! a value that was awaited",
    "elements": """
        async def main():
            await race([
                await agent("a"),  # !! race() is given a value
                agent("b"),
            ])
        """,
    "generator": "async def main(fs):\n    await parallel(await step('a', {'f': f}) for f in fs)  # !! awaited",
    "named": """
        async def main(files, vote):
            votes = [await agent(f) for f in files]  # !! awaited
            return (await quorum(votes, 2, vote=vote)).decided
        """,
    "branch": 'async def main():\n    return (await branch("a", await agent("x"))).ok  # !! branch() is given',
    "own coroutine": """
        async def look(f):
            return await agent(f)
        async def main(files):
            return (await parallel([await look(f) for f in files])).succeeded()  # !! awaited
        """,
}

SLEEPS = {
    "module": "import time\nasync def main():\n    time.sleep(1)  # !! time.sleep",
    "from": "from time import sleep\nasync def main():\n    for _ in range(3):\n        sleep(1)  # !! time.sleep",
    "in a comprehension": "import time as t\nasync def main(s):\n    [t.sleep(one) for one in s]  # !! time.sleep",
}

BAD = {
    f"{group} - {name}": body
    for group, bodies in {
        "late binding": LATE,
        "options": OPTIONS,
        "stages": STAGES,
        "outcomes": OUTCOMES,
        "asyncio": ASYNCIO,
        "unawaited": UNAWAITED,
        "sets": SETS,
        "except": EXCEPTS,
        "awaited items": AWAITED,
        "sleep": SLEEPS,
    }.items()
    for name, body in bodies.items()
}


@pytest.mark.parametrize("name", BAD)
def test_a_habit_is_found_at_its_line(name: str) -> None:
    check(BAD[name])


def test_a_name_that_is_not_ours_is_left_alone() -> None:
    for body in BAD.values():
        source, _ = marked(body)
        elsewhere = source.replace("antiphon.workflows", "other.tool").replace("import antiphon", "import other")
        ours = ("asyncio", "except", "suppress", "time.sleep", "never awaited")
        left = [one for one in find_habits(elsewhere, "w.py") if not any(part in one.problem for part in ours)]
        # What a script defines itself is known wherever its other names come from.
        assert left == [], elsewhere


def test_a_name_that_may_be_something_else_is_left_alone() -> None:
    source = """
from antiphon.workflows.script import agent, parallel
try:
    from other import branch
except ImportError:
    from antiphon.workflows.script import branch
def agent(task, options): return task
async def main(parallel):
    agent("x", {"a": 1})
    parallel({1, 2})
    if await branch("a", 1):
        pass
"""
    assert find_habits(source, "w.py") == []


def test_the_fix_of_a_thunk_is_to_leave_out_the_lambda() -> None:
    [thunk] = find_habits(marked(LATE["lambda in a generator"])[0], "w.py")
    [stage] = find_habits(marked(LATE["stages made in a loop"])[0], "w.py")
    [function] = find_habits(marked(LATE["a function handed over uncalled"])[0], "w.py")
    assert "leave out the lambda" in thunk.fix
    assert "lambda ...(lens=lens)" in stage.fix
    assert "def ...(lens=lens)" in function.fix


def test_the_fix_of_options_names_them() -> None:
    [habit] = find_habits(marked(OPTIONS["a dict"])[0], "w.py")
    assert habit.fix == "agent(task, role=..., schema=...)"


def test_check_raises_the_first_and_counts_the_others() -> None:
    source = IMPORTS + 'async def main(x):\n    agent("a")\n    agent("b", x)\n    step("c")\n'
    with pytest.raises(HabitError) as caught:
        check_habits(source, "flows/w.py")
    assert str(caught.value) == (
        "flows/w.py:3: agent(...) is never awaited, so it never runs (and 3 more habits, on lines 4, 5)"
    )
    assert caught.value.advice == "await agent(...)"
    assert caught.value.exit_code == 2


def test_check_with_one_and_with_none() -> None:
    with pytest.raises(HabitError, match=r"^w.py:2: .*never runs$"):
        check_habits(IMPORTS + "agent('a')\n", "w.py")
    check_habits(IMPORTS, "w.py")


def test_many_habits_are_listed_only_so_far() -> None:
    with pytest.raises(HabitError, match=r"\(and 29 more habits, on lines 3, 4, 5, 6, 7, 8, 9, 10, \.\.\.\)"):
        check_habits(IMPORTS + "agent('a')\n" * 30, "w.py")


def test_what_runs_outside_of_a_run_is_left_alone() -> None:
    source = """
import asyncio
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import asyncio.events
async def main(): pass
if __name__ == "__main__":
    asyncio.run(main())
    main()
"""
    assert find_habits(source, "w.py") == []


def test_a_script_that_is_no_python() -> None:
    with pytest.raises(ManifestError, match=r"w\.py:2: this is not Python"):
        find_habits("x = 1\ny = (\n", "w.py")


def test_habits_compare_by_line() -> None:
    assert sorted([Habit(9, "a", "b"), Habit(2, "z", "z")])[0].line == 2


@pytest.mark.checkout
@pytest.mark.parametrize("file", sorted((ROOT / "examples").glob("*.py")), ids=lambda file: file.name)
def test_the_examples_have_none(file: Path) -> None:
    assert find_habits(file.read_bytes(), str(file)) == []


LIBRARIES_THREAD = {"portal.py", "litellm_home.py", "loopback.py", "server.py"}
"""Where libraries that know only asyncio have a thread of their own; no branch of a run is in there."""


@pytest.mark.checkout
def test_our_own_code_has_none() -> None:
    for file in sorted(ROOT.glob("*/antiphon/**/*.py")):
        if "script/guest/" in file.as_posix() or "jail/inside/" in file.as_posix():  # below the script API
            continue
        found = find_habits(file.read_bytes(), str(file))
        if file.name in LIBRARIES_THREAD:
            found = [habit for habit in found if "asyncio" not in habit.problem]
        assert found == [], file
