"""What preflight says that a run may come to: calls, requests, tokens, money, time; expected and at worst."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest

from antiphon.engine.amount import NANO
from antiphon.subagents.model.contract import Price, Usage
from antiphon.subagents.model.price import cost as price_of
from antiphon.subagents.roles.definition import AgentLimits, RoleDefinition
from antiphon.workflows.model_roles import ModelsAsked
from antiphon.workflows.preflight import Bound, Cost, Preflight, preflight
from antiphon.workflows.preflight.pricing import (
    ANSWER_TOKENS,
    PROMPT_TOKENS,
    TURN_SECONDS,
    TURN_TOKENS,
    TURNS_WITH_TOOLS,
    Figures,
    Pricing,
    ceilings,
    within,
)

IMPORT = "from antiphon.workflows.script import *\n"
ROLE = """---
name: {name}
description: For these tests.
{more}
---
Do it.
"""
MODEL = "openai/gpt-4o-mini"
ONE_PROMPT = PROMPT_TOKENS + ANSWER_TOKENS


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with two roles: one that answers at once, and one with tools."""
    roles = tmp_path / ".antiphon" / "roles"
    roles.mkdir(parents=True)
    once = "limits: {turns: 2, max_tokens: 500}"
    tools = "tools: [read]\nlimits: {turns: 10, max_tokens: 1000}"
    (roles / "once.md").write_text(ROLE.format(name="once", more=once))
    (roles / "reader.md").write_text(ROLE.format(name="reader", more=tools))
    return tmp_path


def cost(body: str, project: Path, *, limits: dict[str, Any] | None = None, models: str = MODEL, **more: Any) -> Cost:
    """The cost of a script that may ask both roles."""
    return seen(body, project, limits=limits, models=models, **more).cost


def seen(
    body: str, project: Path, *, limits: dict[str, Any] | None = None, models: str = MODEL, **more: Any
) -> Preflight:
    manifest = {"name": "x", "roles": ["once", "reader"], "limits": limits or {}}
    asked = ModelsAsked(specs=(models,) if models else (), folder=project, **more)
    return preflight(f"{IMPORT}manifest = {json.dumps(manifest)}\n{textwrap.dedent(body)}", "x.py", models=asked)


def window() -> int:
    from antiphon.subagents.model.catalogue import capabilities

    known = capabilities(MODEL).window
    assert known is not None
    return known


def price() -> Price:
    from antiphon.subagents.model.catalogue import capabilities

    known = capabilities(MODEL).price
    assert known is not None
    return known


# --- one call -----------------------------------------------------------------------------------------------------


def test_one_call_of_a_role_without_tools(project: Path) -> None:
    found = cost("async def main():\n    return await agent('a', role='once')", project)
    assert found.calls == Bound.exactly(1)
    assert found.model_calls == Bound(expected=1, worst=2)
    assert found.tokens == Bound(expected=ONE_PROMPT, worst=2 * (window() + 500))
    usual = price_of(price(), Usage(input=PROMPT_TOKENS, output=ANSWER_TOKENS)) / NANO
    assert found.usd.expected == pytest.approx(usual)
    most = 2 * price_of(price(), Usage(input=window(), output=500)) / NANO
    assert found.usd.worst is not None
    assert found.usd.worst >= most * 0.999, "every turn, with a prompt as long as the window"
    assert found.seconds == Bound(expected=TURN_SECONDS, worst=None)
    assert found.unpriced == ()


def test_tools_take_more_turns_and_longer_prompts(project: Path) -> None:
    found = cost("async def main():\n    return await agent('a', role='reader')", project)
    assert found.model_calls == Bound(expected=TURNS_WITH_TOOLS, worst=10)
    read = sum(PROMPT_TOKENS + TURN_TOKENS * turn for turn in range(TURNS_WITH_TOOLS))
    assert found.tokens.expected == read + ANSWER_TOKENS * TURNS_WITH_TOOLS


def test_a_role_that_is_computed_costs_what_the_dearest_costs(project: Path) -> None:
    computed = cost("async def main(r: str):\n    return await agent('a', role=r)", project)
    assert computed.model_calls == Bound(expected=TURNS_WITH_TOOLS, worst=10)
    either = cost("async def main():\n    return await parallel(agent('a', role=r) for r in ('once', 'once'))", project)
    assert either.model_calls == Bound(expected=2, worst=4)


def test_a_critic_is_a_call_of_its_own(project: Path) -> None:
    found = cost("async def main():\n    return await agent('a', role='once', until=Critic('once', 'good?'))", project)
    assert found.calls == Bound.exactly(2)
    assert found.model_calls == Bound(expected=2, worst=4)


def test_a_call_may_name_its_own_model(project: Path) -> None:
    free = cost("async def main():\n    return await agent('a', role='once', model='ollama/llama3')", project)
    assert free.usd == Bound.exactly(0)
    dear = cost("async def main():\n    return await agent('a', role='once')", project, models="once=ollama/llama3")
    assert dear.usd == Bound.exactly(0)


def test_a_model_whose_price_nobody_knows(project: Path) -> None:
    unknown = "openai/nobody-has-heard-of-it"
    body = "async def main():\n    return await agent('a', role='once')"
    found = cost(body, project, models=unknown)
    assert found.usd == Bound(expected=None, worst=None)
    assert found.unpriced == ("once",)
    refused = [
        one for one in seen(body, project, models=unknown, limits={"usd": "1"}).findings if one.severity == "error"
    ]
    assert [one.rule for one in refused] == ["unpriced-model"]
    told = cost(body, project, models=unknown, prices={unknown: "1/2"})
    assert told.unpriced == ()
    assert told.usd.expected == pytest.approx((PROMPT_TOKENS + 2 * ANSWER_TOKENS) / 1e6)
    assert told.usd.worst is None, "nobody knows how long its prompts may be"


def test_without_a_model_calls_are_known_and_money_is_not(project: Path) -> None:
    found = cost("async def main():\n    return await agent('a', role='once')", project, models="")
    assert found.calls == Bound.exactly(1)
    assert found.model_calls.worst == 2
    assert found.usd.worst is None
    assert found.unpriced == ("once",)


def test_models_that_cannot_be_read_are_a_finding(project: Path) -> None:
    body = "async def main():\n    return await agent('a', role='once')"
    looked = preflight(f'{IMPORT}manifest = {{"name": "x", "roles": ["once"]}}\n{body}\n', "x.py",
                       models=ModelsAsked(specs=("",), folder=project))  # fmt: skip
    assert [one.rule for one in looked.errors] == ["models"]
    assert looked.cost.calls == Bound.exactly(1)


# --- functions ----------------------------------------------------------------------------------------------------


def function(mark: str, body: str = "return task") -> Cost:
    text = f"""
manifest = {{"name": "x", "roles": ["f"]}}
@function_agent("f"{mark})
async def f(task, ctx):
    {body}
async def main():
    return await parallel(agent(x, role="f") for x in "ab")
"""
    return preflight(IMPORT + text, "x.py").cost


def test_a_function_that_attempts_nothing_costs_nothing() -> None:
    found = function("")
    assert found.calls == Bound.exactly(2)
    assert found.model_calls == found.tokens == found.usd == Bound.exactly(0)


def test_a_function_with_a_floor_is_expected_to_use_it_and_may_use_more() -> None:
    attempt = "async with ctx.attempt(None) as a: return task"
    found = function(', floor=Amount(usd="0.03", model_calls=3)', attempt)
    assert found.model_calls == Bound(expected=6, worst=None)
    assert found.usd.expected == pytest.approx(0.06)
    assert found.usd.worst is None


# --- the whole ----------------------------------------------------------------------------------------------------


def test_what_is_repeated_is_multiplied_and_what_runs_at_once_takes_no_longer(project: Path) -> None:
    body = """
        async def main():
            for n in range(3):
                await parallel(agent(x, role="once") for x in "abcd")
    """
    found = cost(body, project)
    assert found.calls == Bound.exactly(12)
    assert found.model_calls == Bound(expected=12, worst=24)
    assert found.seconds.expected == 3 * TURN_SECONDS


def test_of_two_ways_the_dearer_one_counts(project: Path) -> None:
    body = """
        async def main(a: bool):
            if a:
                await agent("x", role="reader")
            else:
                await parallel([agent("x", role="once"), agent("y", role="once")])
    """
    found = cost(body, project)
    assert found.calls == Bound(expected=2, worst=2)
    assert found.model_calls.worst == 10


def test_limits_of_the_manifest_hold_all_of_it_and_say_so(project: Path) -> None:
    body = "async def main():\n    for x in await agent('a', role='once'):\n        await agent(x, role='once')"
    limits = {"agent_calls": 20, "usd": "0.5", "wall_seconds": 600}
    found = cost(body, project, limits=limits)
    assert found.calls.worst == 20
    assert found.usd.worst is not None
    assert found.usd.worst <= 0.5
    assert found.seconds.worst == 600
    assert found.model_calls.worst == 40, "no call takes more than two turns"
    assert found.tokens.worst == 40 * (window() + 500)
    assert found.limited_by["calls"] == found.limited_by["model_calls"] == "agent_calls 20"
    assert found.limited_by["seconds"] == "wall_seconds 600"


def test_a_limit_that_is_never_reached_limits_nothing(project: Path) -> None:
    found = cost("async def main():\n    return await agent('a', role='once')", project, limits={"agent_calls": 50})
    assert found.calls == Bound.exactly(1)
    assert "calls" not in found.limited_by


def test_what_is_expected_shrinks_with_the_calls(project: Path) -> None:
    body = "async def main():\n    return await parallel(agent(f'{x}', role='once') for x in range(100))"
    found = cost(body, project, limits={"agent_calls": 10})
    assert found.calls == Bound.exactly(10)
    assert found.model_calls == Bound(expected=10, worst=20)
    assert found.tokens.expected == pytest.approx(10 * ONE_PROMPT)


def test_limits_of_a_fan_out_hold_only_what_is_in_it(project: Path) -> None:
    body = """
        async def main():
            found = await agent("list", role="once")
            await parallel((agent(x, role="once") for x in found), limits={"agent_calls": 5, "usd": "0.01"})
    """
    found = cost(body, project)
    assert found.calls.worst == 6
    assert found.model_calls.worst == 12
    one = cost("async def main():\n    return await agent('a', role='once')", project).usd.worst
    assert found.usd.worst == pytest.approx((one or 0) + 0.01)


def test_what_is_taken_for_granted_is_said(project: Path) -> None:
    body = "async def main():\n    return await parallel(agent(x, role='once') for x in await agent('a', role='once'))"
    found = cost(body, project)
    assert found.calls == Bound(expected=11, worst=None)
    (assumed,) = found.assumed
    assert assumed.startswith("line 4: 10 items of parallel")


def test_what_is_in_another_file_is_not_known(project: Path) -> None:
    manifest = 'manifest = {"name": "x", "roles": ["once"]}\n'
    text = f"{IMPORT}from mine import work\n{manifest}async def main():\n    return await work()\n"
    assert preflight(text, "x.py").cost.calls == Bound(expected=None, worst=None)
    assert preflight(text.replace("await work", "work"), "x.py").cost.calls == Bound.exactly(0)


def test_nested_workflows_are_held_by_their_limits(project: Path) -> None:
    body = "async def main():\n    return await workflow('./other.py', {}, limits={'agent_calls': 7})"
    assert cost(body, project).calls.worst == 7


def test_the_cost_is_json(project: Path) -> None:
    body = "async def main():\n    return await agent('a', role='once')"
    said = json.loads(json.dumps(cost(body, project, limits={"agent_calls": 1}).to_json()))
    assert set(said) == {"calls", "model_calls", "tokens", "usd", "seconds", "unpriced", "limited_by", "assumed"}
    assert said["calls"] == {"expected": 1, "worst": 1}


# --- parts --------------------------------------------------------------------------------------------------------


def test_tokens_are_limited_only_where_every_class_of_them_is() -> None:
    some: dict[str, float | None] = {"input_tokens": 10, "output_tokens": 5}
    assert "tokens" not in ceilings(some)
    rest: dict[str, float | None] = {"cached_input_tokens": 1, "cache_write_tokens": 2, "reasoning_tokens": 3}
    assert ceilings({**some, **rest})["tokens"] == (21, "tokens")
    assert ceilings({"usd": None}) == {}


def test_a_role_is_held_to_the_budget_of_its_own_file() -> None:
    limits = AgentLimits.model_validate({"turns": 9, "budget": {"model_calls": 4, "usd": "0.1"}})
    definition = RoleDefinition(name="r", instructions="x", limits=limits)
    figures = Pricing(definitions={"r": definition}).role("r").figures
    assert figures.model_calls.worst == 4
    assert figures.usd.worst == 0.1


def test_bounds_are_added_and_multiplied() -> None:
    one, many = Bound(expected=2, worst=4), Bound(expected=None, worst=None)
    assert one + one == Bound(expected=4, worst=8)
    assert one + many == many
    assert one * Bound.exactly(3) == Bound(expected=6, worst=12)
    assert many * Bound.exactly(0) == Bound.exactly(0)
    assert (one | Bound(expected=3, worst=3)) == Bound(expected=3, worst=4)
    assert many.capped(5) == Bound(expected=None, worst=5)
    assert within(Figures(calls=many), {"agent_calls": 3}).calls.worst == 3
    assert [str(bound) for bound in (Bound.exactly(1200), one, many)] == ["1,200", "about 2, at most 4", "unbounded"]
