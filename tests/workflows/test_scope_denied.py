"""What is outside of the manifest is denied when it is asked for, is in the log, is counted, and is told at the end."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from antiphon.engine import Call, CallContext, Limits, Performer
from antiphon.engine.denial import Outside
from antiphon.engine.testing import AnsweringCalls, memory_run
from antiphon.subagents.loop.toolbox import Toolbox
from antiphon.subagents.tools.contract import Traits
from antiphon.subagents.tools.function import function_tool
from antiphon.subagents.tools.policy import Policy, Scope
from antiphon.tracing import read_log
from antiphon.workflows.cli import main
from antiphon.workflows.manifest import read_manifest
from antiphon.workflows.model_roles import ModelRoles, ModelsAsked
from antiphon.workflows.outside import outside_manifest
from antiphon.workflows.script import agent, branch, parallel

Antiphon = Callable[..., tuple[int, str, str]]
HEAD = """
from antiphon.engine import Call, CallContext, Limits, Performer
from antiphon.engine.denial import Outside
from antiphon.subagents.workspace.contract import workspace_of
from antiphon.workflows.script import Critic, agent, branch, function_agent, parallel, step, step_function, workflow


@function_agent("worker")
async def worker(task: str, ctx: CallContext) -> str:
    return task


@function_agent("hand")
async def hand(task: str, ctx: CallContext) -> str:
    place = workspace_of(ctx).root / task
    place.parent.mkdir(exist_ok=True)
    place.write_text(task)
    return task


@step_function("listing")
async def listing() -> list[str]:
    return ["a"]
"""


@pytest.fixture
def antiphon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Antiphon:
    """The command line in a folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ".home"))

    def typed(*words: str) -> tuple[int, str, str]:
        code = main(words)
        said = capfd.readouterr()
        return code, said.out, said.err

    return typed


def write(tmp_path: Path, manifest: str, body: str) -> None:
    """A workflow whose main has this body."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    (tmp_path / "w.py").write_text(f"{HEAD}\nmanifest = {manifest}\n\n\nasync def main():\n{lines}\n")


def denied(tmp_path: Path) -> list[tuple[Any, Any]]:
    """What the last run was denied, as its log says it: what, and by which field."""
    run = sorted((tmp_path / ".antiphon" / "runs").iterdir())[-1]
    return [(event.data["what"], event.data["field"]) for event in read_log(run) if event.kind == "denied"]


# The body of main, the manifest's other fields, and what is denied by which of them.
OUTSIDE = {
    "role": ('return str(await branch("b", agent("x", role="auditor")))', "", ("role 'auditor'", "roles")),
    "step": ('return str(await branch("b", step("listing")))', "", ("step 'listing'", "steps")),
    "critic": (
        'return str(await branch("b", agent("x", until=Critic("judge", "Is it?"))))',
        "",
        ("role 'judge'", "roles"),
    ),
    "model": (
        'return str(await branch("b", agent("x", model="openai/huge")))',
        ', "models": {"worker": "ollama/small"}',
        ("model 'openai/huge'", "models"),
    ),
    "critic's model": (
        'return str(await branch("b", agent("x", until=Critic("worker", "?", model="openai/huge"))))',
        ', "models": {}',
        ("model 'openai/huge'", "models"),
    ),
    "depth": (
        'return str(await branch("b", workflow("./w.py")))',
        ', "limits": {"depth": 0}',
        ("workflow './w.py'", "limits.depth"),
    ),
    "path": (
        'return str(await branch("b", agent("lib/x", role="hand", workspace="w")))',
        ', "scope": {"write": ["src/**"]}',
        ("writing lib/x", "scope.write"),
    ),
}


@pytest.mark.parametrize("case", OUTSIDE)
def test_what_is_outside_ends_as_denied_and_says_what_would_declare_it(
    antiphon: Antiphon, tmp_path: Path, case: str
) -> None:
    body, fields, expected = OUTSIDE[case]
    write(tmp_path, f'{{"name": "w", "roles": ["worker", "hand"]{fields}}}', body)
    code, said, told = antiphon("run", "w.py", "--plain")
    assert code == 3, told
    assert said.startswith("Denied(path='main/b'")
    assert denied(tmp_path) == [expected]
    assert f"  denied    {expected[0]} ({expected[1]})" in told
    assert "] denied: " in told
    facts = json.loads(antiphon("show", "last", "--json")[1])
    assert facts["denied"] == [{"what": expected[0], "field": expected[1], "count": 1}]
    assert f"{expected[0]} ({expected[1]})" in antiphon("show", "last")[1]


def test_what_a_workspace_may_hold_is_kept_and_what_it_may_not_is_undone(antiphon: Antiphon, tmp_path: Path) -> None:
    body = """
first = await agent("src/a", role="hand", workspace="w")
second = await branch("b", agent("lib/b", role="hand", workspace="w"))
return [first, second.kind, (await step("diff", {"workspace": "w"})).count("+++ b/")]
"""
    manifest = '{"name": "w", "roles": ["hand"], "steps": ["diff"], "scope": {"write": ["src/**"]}}'
    write(tmp_path, manifest, body)
    code, said, told = antiphon("run", "w.py", "--plain")
    assert code == 3, told
    assert json.loads(said) == ["src/a", "denied", 1]


def test_what_a_planned_script_nests_is_held_to_what_was_agreed_to(antiphon: Antiphon, tmp_path: Path) -> None:
    """Its own manifest is no part of what the person saw."""
    inner = 'manifest = {"name": "inner", "steps": ["tree", "files"]}\n\n\nasync def main():\n'
    inner += '    seen = await branch("tree", step("tree", {"workspace": "read"}))\n'
    inner += '    more = await branch("files", step("files", {"workspace": "read", "match": ["*.py"]}))\n'
    (tmp_path / "inner.py").write_text(f"{inner}    return [seen.kind, more.kind]\n")
    outer = '# antiphon: planned outer 0a1b2c3d\nmanifest = {"name": "outer", "steps": ["tree"]}\n\n\n'
    (tmp_path / "w.py").write_text(f'{outer}async def main():\n    return await workflow("./inner.py")\n')
    [own] = re.findall(r"--approve ([0-9a-f]{32})", antiphon("run", "w.py")[2])
    _, said, told = antiphon("run", "w.py", "--plain", "--approve", own)
    assert json.loads(said) == ["succeeded", "denied"], told
    assert denied(tmp_path) == [("step 'files'", "steps")]


def test_denied_calls_are_in_the_census_and_a_resume_counts_them_once(antiphon: Antiphon, tmp_path: Path) -> None:
    body = 'found = await parallel(agent(f"t{n}", role=role) for n, role in enumerate(["worker", "a", "b", "b"]))\n'
    write(tmp_path, '{"name": "w", "roles": ["worker"]}', body + "return [one.kind for one in found]")
    code, said, told = antiphon("run", "w.py", "--plain", "--json")
    facts = json.loads(said)
    assert code == 3, told
    assert facts["value"] == ["succeeded", "denied", "denied", "denied"]
    assert facts["census"][""]["denied"] == facts["calls"][""]["denied"] == 3
    assert {(one["what"], one["count"]) for one in facts["denied"]} == {("role 'a'", 1), ("role 'b'", 2)}
    again = json.loads(antiphon("resume", "last", "--plain", "--json")[1])
    assert (again["value"], again["denied"]) == (facts["value"], facts["denied"])
    assert len(denied(tmp_path)) == 3
    assert again["reuse"]["performed"] == 0


def test_a_manifest_that_declares_it_later_lets_a_resume_perform_it(antiphon: Antiphon, tmp_path: Path) -> None:
    body = 'return (await branch("b", agent("x", role="hand"))).kind\n'
    write(tmp_path, '{"name": "w", "roles": ["worker"]}', body.replace("hand", "worker2"))
    assert antiphon("run", "w.py", "--plain")[1] == "denied\n"
    text = (tmp_path / "w.py").read_text()
    (tmp_path / "w.py").write_text(text.replace('["worker"]', '["worker2"]').replace('nt("worker")', 'nt("worker2")'))
    assert antiphon("resume", "last", "--plain")[1] == "succeeded\n"


def test_a_denied_await_raises_what_a_script_can_catch(antiphon: Antiphon, tmp_path: Path) -> None:
    body = 'try:\n    await agent("x", role="wroker")\nexcept Exception as error:\n    return str(error)'
    write(tmp_path, '{"name": "w", "roles": ["worker"]}', body)
    code, said, _ = antiphon("run", "w.py", "--plain")
    assert code in (0, 3)
    assert said.startswith("denied: role 'wroker' is not in the manifest's roles (worker); did you mean 'worker'?")


# --- models -------------------------------------------------------------------------------------------------------


def reason(call: Call, manifest: str = "", *, strict: bool = False, models: tuple[str, ...] = ()) -> str:
    """Which field denies a call; "" if none does."""
    text = f'manifest = {{"name": "w", "roles": ["worker"]{manifest}}}\nasync def main(): pass\n'
    asked = ModelRoles(ModelsAsked(specs=models))
    found = outside_manifest(read_manifest(text, "w.py"), asked, call, strict=strict)
    return found.field if found else ""


def test_a_model_is_allowed_by_the_manifest_by_the_person_or_where_nothing_is_said() -> None:
    call = Call(sort="agent", name="worker", task="x", settings=(("model", "ollama/big"),))
    assert reason(call) == ""
    assert reason(call, strict=True) == "models"
    assert reason(call, ', "models": {}') == "models"
    assert reason(call, ', "models": {"worker": "ollama/big"}', strict=True) == ""
    assert reason(call, strict=True, models=("ollama/big",)) == ""
    assert reason(call, strict=True, models=("worker=ollama/big",)) == ""
    assert reason(call, strict=True, models=("ollama/bigger",)) == "models"
    assert reason(Call(sort="agent", name="worker", task="x"), strict=True) == ""
    assert reason(Call(sort="step", name="anything", task={}), strict=True) == "steps"
    assert reason(Call(sort="approval", name="approve", task={}), strict=True) == ""


# --- amounts ------------------------------------------------------------------------------------------------------


class Written:
    """A workflow that declares everything; by a model or by a person."""

    name = "written"

    def __init__(self, strict: bool) -> None:
        self.strict = strict

    @property
    def performers(self) -> Mapping[str, Performer]:
        """None of its own."""
        return {}

    def outside(self, call: Call) -> Outside | None:
        """Nothing is."""
        return None


async def beyond() -> list[str]:
    """Asks for more than the run has: a call, a branch, and two fan-outs, one of which is nested."""
    found = [
        await branch("call", agent("a", limits={"usd": "6"})),
        await branch("branch", agent("b"), limits={"agent_calls": 100}),
        await branch("fan-out", parallel([agent("c")], limits={"wall_seconds": 90})),
        await branch("within", parallel([agent("d")], limits={"usd": "5", "agent_calls": 40, "wall_seconds": 60})),
    ]
    return [f"{one.kind} {one.reason.partition(';')[0]}" for one in found]


@pytest.mark.anyio
async def test_a_script_that_nobody_wrote_may_not_ask_for_more_than_was_agreed_to() -> None:
    limits = Limits.parse({"usd": "5", "agent_calls": 40, "wall_seconds": 60})
    calls = AnsweringCalls()
    ran = await memory_run(beyond, performers={"agent": calls}, limits=limits, workflow=Written(strict=True))
    assert ran.value == [
        "denied usd 6 is more than the run's own limit of 5",
        "denied agent_calls 100 is more than the run's own limit of 40",
        "denied wall_seconds 90 is more than the run's own limit of 60",
        "succeeded ",
    ]
    assert calls.performed == ["d"]
    fields = [event.data["field"] for event in ran.events("denied")]
    assert fields == ["limits.usd", "limits.agent_calls", "limits.wall_seconds"]
    again = await memory_run(
        beyond, performers={"agent": calls}, limits=limits, workflow=Written(strict=True), history=ran.events()
    )
    assert (again.value, calls.performed) == (ran.value, ["d"])
    assert len(again.events("denied")) == 3


@pytest.mark.anyio
async def test_a_person_may_ask_for_less_in_all_than_their_script_does_in_part() -> None:
    limits = Limits.parse({"usd": "5", "agent_calls": 40, "wall_seconds": 60})
    ran = await memory_run(
        beyond, performers={"agent": AnsweringCalls()}, limits=limits, workflow=Written(strict=False)
    )
    assert ran.value == ["succeeded "] * 4


# --- tools and hosts ----------------------------------------------------------------------------------------------


def tool_of(name: str, **traits: Any) -> Any:
    """A tool that only has a name and traits."""

    @function_tool(name=name, traits=Traits(**traits))
    async def nothing(path: str = "", *, ctx: CallContext) -> str:
        """Do nothing."""
        return "done"

    return nothing


@pytest.mark.parametrize(
    ("scope", "traits", "denies"),
    [
        (Scope(network=()), {"cost": "network"}, True),
        (Scope(network=("api.example.com",)), {"cost": "network", "hosts": ("api.example.com",)}, False),
        (Scope(network=("*.example.com",)), {"cost": "network", "hosts": ("API.example.com",)}, False),
        (Scope(network=("*.example.com",)), {"cost": "network", "hosts": ("api.example.com", "evil.org")}, True),
        (Scope(network=("api.example.com",)), {"cost": "network"}, True),
        (Scope(network=("**",)), {"cost": "network"}, False),
        (Scope(network=("*",)), {"cost": "network", "hosts": ("*",)}, False),
        (Scope(network=("a.org",)), {"cost": "network", "hosts": ("*",)}, True),
        (Scope(), {"cost": "network"}, False),
        (Scope(read=("src/**",)), {"cost": "process", "works": True, "sees_all": True}, True),
        (Scope(read=("**",)), {"cost": "process", "works": True, "sees_all": True}, False),
        (Scope(read=("src/**",)), {"cost": "process", "works": True}, False),
    ],
)
def test_a_tool_that_reaches_beyond_the_scope_is_denied_and_not_offered(
    scope: Scope, traits: dict[str, Any], denies: bool
) -> None:
    tool = tool_of("reaches", **traits)
    assert bool(scope.denies(tool)) == denies
    assert Policy(scopes=(scope,)).offers(tool) != denies


@pytest.mark.anyio
async def test_what_a_model_is_denied_is_in_the_log_with_the_field_that_denies_it() -> None:
    edit = tool_of("edit", cost="write", paths=("path",), works=True)
    policy = Policy(scopes=(Scope(tools=("read", "edit"), write=("src/**",)),))

    async def answer(call: object, ctx: CallContext) -> str:
        box = Toolbox(ctx, {"edit": edit}, policy=policy, turn=2)
        results = [await box.refused(edit, {"path": path}) for path in ("src/a", "lib/a", "lib/a")]
        results.append(await box.refused(tool_of("run"), {}))
        return ", ".join("fine" if one is None else one.text.partition(":")[0] for one in results)

    async def script() -> Any:
        return await agent("x")

    ran = await memory_run(script, performers={"agent": AnsweringCalls(answer)})
    assert ran.value == "fine, denied, denied, denied"
    events = [(event.path, event.data["what"], event.data["field"]) for event in ran.events("denied")]
    assert events == [
        ("main/0", "tool edit", "scope.write"),
        ("main/0", "tool edit", "scope.write"),
        ("main/0", "tool run", "scope.tools"),
    ]
    assert ran.result.denied.to_json()[0] == {"what": "tool edit", "field": "scope.write", "count": 2}
