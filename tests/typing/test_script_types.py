"""The script API as a type checker sees it: the wrong call is proved not to check, the right one gives its type."""

from pathlib import Path

import mypy.api
import pytest

SCRIPT = """
from typing import Any, assert_type
from pydantic import BaseModel
from antiphon.engine import Amount, Call, CallContext, Limits, Outcome, Outcomes, Prepared, Run, Tally
from antiphon.engine.script.api import (
    agent, approve, branch, budget, choose, fail, get, now, parallel, phase, pipeline, put, quorum, race, random, step,
)
from antiphon.subagents.function import function_agent
from antiphon.subagents.testing import performers_of

class Model(BaseModel):
    n: int

async def right() -> None:
    assert_type(await agent("a", output=Model), Model)
    assert_type(await agent("a", output=int), int)
    assert_type(await agent("a"), Any)
    assert_type(await agent("a", output={"type": "object"}), Any)
    assert_type(await approve("ok?"), bool)
    assert_type(await choose("which?", ["a", "b"]), str)
    assert_type(await parallel([agent("a", output=Model)]), Outcomes[Model])
    assert_type((await parallel([agent("a", output=Model)])).succeeded(), list[Model])
    assert_type(await race([agent("a", output=Model)]), Model)
    assert_type(await branch("b", agent("a", output=Model)), Outcome[Model])
    assert_type(await branch("b", parallel([agent("a", output=int)])), Outcome[Outcomes[int]])
    assert_type(await quorum([agent("a")], 2, vote=lambda value: None), Tally)
    assert_type((await branch("b", agent("a", output=int))).value, int)
    async def whole() -> str:
        return ""
    assert_type((await parallel([whole()])).succeeded(), list[str])
    assert_type(random(), float)
    await pipeline(["a"], lambda name: agent(name), len, concurrency=2, limits={"usd": "1"})
    await agent("a", context=[{"any": 1}, "text"], covers=["a.py"], until=lambda value: "more")
    await agent("a", limits=Limits(model_calls=1))
    phase("find", reserve={"model_calls": 1})
    put("key", ["plain"])

async def wrong() -> None:
    agent()  # E: no task
    agent(5)  # E: a task is text
    agent("a", {"output": Model})  # E: options by position
    agent("a", "auditor")  # E: a role by position
    agent("a", outputs=Model)  # E: no such option
    agent("a", limits=5)  # E: limits are an object
    agent("a", context={"a": 1})  # E: frames are a list
    agent("a", until=5)  # E: a criterion is a function
    number: int = await agent("a", output=str)  # E: the type of the value
    number = await approve("ok?", 1, 2)  # E: too many
    parallel(agent("a"))  # E: a list of calls
    parallel([lambda: agent("a")])  # E: calls and not functions
    parallel(["a"])  # E: calls and not values
    parallel([agent("a")], 5)  # E: options by position
    (await parallel([agent("a", output=str)])).succeeded()[0].n  # E: the type of the values
    race([agent("a")], need=2)  # E: no such option
    quorum([agent("a")], 2)  # E: a vote is needed
    quorum([agent("a")], vote=bool)  # E: need is needed
    quorum([agent("a")], 2, vote=lambda value: "yes")  # E: a vote is True, False or None
    branch(agent("a"))  # E: a name comes first
    pipeline(["a"], lambda a, b, c: a)  # E: a stage takes one value
    step("s", ["a"])  # E: arguments have names
    phase()  # E: a title
    put("key")  # E: a value
    text: str = now()  # E: a datetime
    budget.used(5)  # E: a dimension has a name
    Amount(dollars=5)  # E: no such dimension
    Limits(usd="5", model_call=1)  # E: no such limit
    outcome = await branch("b", agent("a", output=int))
    outcome.value.upper()  # E: the type inside
    outcome.result  # E: only of what succeeded
    fail()  # E: a reason

@function_agent("f", floor=5)  # E: a floor is an amount
async def f(task: str, ctx: CallContext) -> int:
    async with ctx.attempt("1") as attempt:  # E: a worst case is an amount
        attempt.settle(1)  # E: so is what it cost
    return ctx.frames["a"]  # E: frames are in order

@function_agent("g")  # E: an agent takes a task and a context
async def g(task: str) -> int:
    return 1

performers_of(f, "g")  # E: roles

class Half:
    def prepare(self, call: Call) -> Prepared:
        return Prepared(visible={})

def run_of(run: type[Run]) -> None:
    run(None, run_id="r")  # E: a log is needed
    run(..., run_id="r", performers={"agent": Half()})  # E: a performer performs
"""

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """What mypy says of the script, by line."""
    place = tmp_path_factory.mktemp("typing")
    script = place / "script.py"
    script.write_text(SCRIPT)
    config = ["--config-file", str(ROOT / "pyproject.toml")] if (ROOT / "pyproject.toml").is_file() else ["--strict"]
    options = ["--cache-dir", str(place / "cache"), "--no-error-summary", "--hide-error-context"]
    told, failed, _ = mypy.api.run([*config, *options, str(script)])
    assert not failed, failed
    errors = [line.partition("script.py:")[2].split(":", 2) for line in told.splitlines() if ": error:" in line]
    return {int(number): text for number, _, text in errors}


def marked() -> dict[int, str]:
    """The lines of the script that must not check, with the reason."""
    lines = enumerate(SCRIPT.splitlines(), start=1)
    return {number: line.partition("# E: ")[2] for number, line in lines if "# E: " in line}


def test_every_wrong_call_is_told(problems: dict[int, str]) -> None:
    missed = {number: why for number, why in marked().items() if number not in problems}
    assert not missed


def test_every_right_call_checks_and_gives_its_type(problems: dict[int, str]) -> None:
    wrong = {number: text for number, text in problems.items() if number not in marked()}
    assert not wrong
