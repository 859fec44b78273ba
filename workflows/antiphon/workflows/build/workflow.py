"""The build, as an ordinary workflow: plan, build level by level, integrate, let a critic read it, hide no gap."""

from collections.abc import Sequence
from typing import Any

from antiphon.workflows.build.building import Built, Ground, build_unit, spent
from antiphon.workflows.build.deciding import DEPTH, MOST_DEPTH, ROUNDS, calls_of_unit
from antiphon.workflows.build.dividing import Division, divide
from antiphon.workflows.build.integrating import WHOLE, Whole, join
from antiphon.workflows.build.levels import levels, reached, without
from antiphon.workflows.build.planning import Unit, groups_of
from antiphon.workflows.build.recording import CHECK, recorder
from antiphon.workflows.build.result import STATE, Told, result_of
from antiphon.workflows.build.reviewing import read_whole
from antiphon.workflows.build.verifying import run_suite
from antiphon.workflows.crafting.quality import Quality
from antiphon.workflows.script import agent, branch, fail, parallel, phase, put, step, synthesize

manifest = {
    "name": "build",
    "description": "A task cut into subtasks that own their files, built in parallel, integrated level by level.",
    "phases": ["plan", "build", "integrate", "review", "synthesis"],
    "limits": {"agent_calls": 5_000, "tool_calls": 100_000},
    "scope": {"read": ["**"], "write": ["**"]},
    "steps": ["tree", "restore", "diff", "suite", "checks", "merge", "confine", "interfaces"],
    "roles": ["planner", "coder", "tester", "critic", "reviewer", "refiner", "recorder"],
    "verify": [
        "every subtask is held to its own criterion, by running it",
        "all tests are run on every merged state, and compared with the state before",
        "nobody's change outside of the files they own is taken",
    ],
}
ROOM = 10
"""How much more a subtask may use than it can by its bounds: calls that stops cut off count again."""
__all__ = ["main", "manifest", "recorder"]


async def main(
    task: str,
    path: str,
    test: str = "",
    quality: Quality = "clean",
    depth: int = DEPTH,
    rounds: int = ROUNDS,
    models: list[str] | None = None,
    prices: list[str] | None = None,
    rates: list[str] | None = None,
    budget: str = "",
    max_agents: int = 0,
    deadline_seconds: float = 0.0,
    sandbox: str = "",
    roles: str = "",
    allow: list[str] | None = None,
    ask: list[str] | None = None,
    deny: list[str] | None = None,
) -> dict[str, Any]:
    """Build `task` in the project at `path`. What other parameters ask holds already: see `Asked`."""
    phase("plan")
    base = await step("tree", {"workspace": WHOLE})
    suite = await run_suite(WHOLE, test)
    how = f"`{suite.command}`" if suite.command else f"none yet ({suite.trouble})"
    division = await divide(task, depth=max(1, min(depth, MOST_DEPTH)), known=[{"the suite of tests": how}])
    if division.plan is None:
        told(division, None)
        fail(f"no plan that can be built: {division.notes[-1] if division.notes else 'the planner gave none'}")
    command = test or ("" if suite.command else division.plan.test_command.strip())
    whole = Whole(
        task=task,
        tree=base,
        suite=suite,
        quality=quality,
        test=command,
        groups=groups_of(division.plan, division.parts),
        checkpoints=(base,),
    )
    for number, level in enumerate(levels(division.units), 1):
        whole = await one_level(number, level, whole, division, rounds)
        told(division, whole)
    phase("review")
    objections: tuple[str, ...] = ()
    if whole.integrated:
        whole, objections = await read_whole(base, whole)
        told(division, whole, objections)
    phase("synthesis")
    await parallel(recorded(one) for one in whole.built.values())
    synthesis = synthesize(planned={unit.id: (CHECK,) for unit in division.units})
    result = result_of(told(division, whole, objections), synthesis)
    if not whole.integrated:
        fail(f"no subtask of {len(division.units)} could be built")
    if result["gaps"]:
        fail(f"{len(result['gaps'])} things are missing: {result['gaps'][0]}", result)
    return result


async def one_level(number: int, level: Sequence[Unit], whole: Whole, division: Division, rounds: int) -> Whole:
    """Build the subtasks of one level at the same time, and integrate those that were accepted."""
    phase("build")
    gone = [one.unit.id for one in whole.built.values() if not one.accepted]
    _, lacking = without(division.units, gone)
    skipped = [
        Built(unit=unit, status="skipped", reason=f"it needs {lacking[unit.id]}, which is missing")
        for unit in level
        if unit.id in lacking
    ]
    due = [unit for unit in level if unit.id not in lacking]
    interfaces = await offered(due, whole, division)
    grounds = [
        Ground(
            start=whole.tree,
            rounds=rounds,
            quality=whole.quality,
            test=whole.test,
            suite=whole.suite,
            offered=interfaces[unit.id],
        )
        for unit in due
    ]
    outcomes = await parallel(made(unit, ground) for unit, ground in zip(due, grounds, strict=True))
    built = [
        outcome.value if outcome.kind in ("succeeded", "degraded") else lost(unit, f"{outcome.kind}: {outcome.reason}")
        for unit, outcome in zip(due, outcomes, strict=True)
    ]
    phase("integrate")
    whole = await join(number, [one for one in built if one.accepted], whole)
    return whole.having([*(one for one in built if not one.accepted), *skipped])


async def made(unit: Unit, ground: Ground) -> Built:
    """One subtask in a branch of its own, so that it has an account of its own."""
    most = {"agent_calls": calls_of_unit(ground.rounds) * ROOM}
    outcome = await branch(unit.id, build_unit(unit, ground), limits=most)
    ended: Built = outcome.value
    return ended


async def offered(due: Sequence[Unit], whole: Whole, division: Division) -> dict[str, dict[str, str]]:
    """For each subtask, what those it needs offer: read from the files that they made."""
    needs = {unit.id: unit.needs for unit in division.units}
    paths = {
        unit.id: sorted(
            file["path"]
            for need in reached(needs, unit.id)
            for file in whole.built[need].files
            if file["kind"] != "deleted"
        )
        for unit in due
    }
    wanted = sorted({path for each in paths.values() for path in each})
    found: dict[str, str] = await step("interfaces", {"workspace": WHOLE, "paths": wanted}) if wanted else {}
    return {id: {path: found[path] for path in each if path in found} for id, each in paths.items()}


def lost(unit: Unit, reason: str) -> Built:
    """A subtask whose branch broke off."""
    return Built(unit=unit, status="failed", reason=reason)


async def recorded(one: Built) -> None:
    """Leave records of what became of a subtask; only one that is integrated is covered by that."""
    run = one.criterion
    said = {
        "unit": one.unit.id,
        "state": one.status,
        "reason": one.reason,
        "since": one.since,
        "until": one.tree,
        "criterion": None if run is None or run.exit is None else {
            "command": run.command, "exit": run.exit, "sha256": run.sha256,
        },
    }  # fmt: skip
    await agent(
        f"Record what became of {one.unit.id}",
        role="recorder",
        context=[said],
        covers=[one.unit.id] if one.status == "integrated" else [],
        workspace=one.unit.workspace if one.tree else None,
        label=f"recorder/{one.unit.id}",
    )


def told(division: Division, whole: Whole | None, objections: Sequence[str] = ()) -> dict[str, Any]:
    """Keep what is known so far in the run, for its reports; also where it does not get to its end."""
    said = Told.of(division, whole, objections, cost=spent()).to_json()
    put(STATE, said)
    return said
