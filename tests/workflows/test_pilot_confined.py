"""What is asked and what is denied is the same wherever a script runs: the engine's own constructs ask and deny."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from antiphon.engine import Approvals, CallContext, Performer, Run, Settings
from antiphon.engine.script.confined import run_confined
from antiphon.engine.script.runtime import GuestLimits
from antiphon.engine.testing import AnsweringCalls, memory_run
from antiphon.subagents.function import function_agent
from antiphon.tracing import read_log
from antiphon.workflows.loading import load
from antiphon.workflows.places import RunPlace, make_run
from antiphon.workflows.running import Ended, Options, resume, start
from antiphon.workflows.runtimes import TRUSTED, RuntimeAsked, standing

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

SCRIPT = """
from antiphon.workflows.script import agent, branch, parallel, phase, workflow

manifest = {"name": "asks", "phases": ["find", "check"], "roles": ["worker"], "limits": {"agent_calls": 20, "depth": 0}}


async def twice(n):
    first = await agent(f"first {n}")
    return [first, await agent(f"second {n}")]


async def main():
    phase("find")
    found = await parallel(twice(n) for n in range(4))
    phase("check")
    outside = [
        await branch("role", agent("x", role="auditor")),
        await branch("depth", workflow("./asks.py")),
    ]
    plain = await parallel([agent("a"), agent("b")])
    return [[one.kind for one in found], [f"{one.kind}: {one.reason}" for one in outside], plain.census.to_json()]
"""
RUNTIMES = (TRUSTED, "jail", "monty")


@function_agent("worker")
async def worker(task: str, ctx: CallContext) -> str:
    """Does it."""
    return task


def usable(runtime: str) -> None:
    """Skip where this machine has no such runtime."""
    if runtime != TRUSTED and standing(runtime).runtime is None:
        pytest.skip(standing(runtime).reason)


def options(runtime: str, answers: dict[str, bool]) -> Options:
    """Asks everything that can be asked."""
    settings = Settings(pilot=2, gate_phases=True, answers=answers)
    return Options(settings=settings, runtime=RuntimeAsked(name=runtime), roles={"worker": worker})


async def begun(runtime: str, folder: Path, answers: dict[str, bool]) -> tuple[RunPlace, Ended]:
    """A first attempt."""
    file = folder / "asks.py"
    file.write_text(SCRIPT)
    loaded = load(file, roles={"worker": worker}, runtime=RuntimeAsked(name=runtime))
    place = make_run(folder / ".antiphon" / "runs" / "r1")
    return place, await start(place, loaded, {}, options(runtime, answers))


def performed(place: RunPlace) -> list[str]:
    """The paths of the calls that were performed, over all attempts."""
    return sorted(event.path for event in read_log(place.directory) if event.kind == "call.started")


@pytest.mark.parametrize("anyio_backend", ["trio"])
@pytest.mark.parametrize("runtime", [pytest.param(TRUSTED, marks=pytest.mark.long), *RUNTIMES[1:]])
async def test_a_script_is_asked_about_and_denied_alike_in_every_runtime(runtime: str, tmp_path: Path) -> None:
    usable(runtime)
    place, ended = await begun(runtime, tmp_path, {})
    assert ended.result.kind == "paused"
    [asked] = ended.result.pending
    assert asked == "main/0/pilot/0"
    ended = await resume(place, options(runtime, {asked: True}))
    [gate] = ended.result.pending
    assert gate.startswith("main/gate:check-")
    ended = await resume(place, options(runtime, {gate: True}))
    assert ended.result.kind == "degraded"
    value: Any = ended.value
    found, outside, census = value
    assert found == ["succeeded"] * 4
    assert outside[0].startswith("denied: role 'auditor' is not in the manifest's roles (worker)")
    assert outside[1].startswith("denied: workflow('./asks.py') would be nested deeper than the declared 0")
    assert census == {"planned": 2, "started": 2, "succeeded": 2}
    calls = [path for path in performed(place) if "pilot" not in path and "gate" not in path]
    assert len(calls) == len(set(calls)) == 10
    said: list[Any] = ended.result.denied.to_json()
    assert [one["what"] for one in said] == ["role 'auditor'", "workflow './asks.py'"]


@pytest.mark.parametrize("anyio_backend", ["trio"])
@pytest.mark.parametrize("runtime", RUNTIMES[1:])
async def test_a_no_to_the_rest_and_to_the_phase_is_the_same_in_every_runtime(runtime: str, tmp_path: Path) -> None:
    usable(runtime)
    place, ended = await begun(runtime, tmp_path, {"*": False})
    assert ended.result.outcome is not None
    assert (ended.result.kind, ended.result.outcome.kind) == ("failed", "denied")
    assert "the phase 'check' was not approved" in ended.result.reason
    assert ended.result.census["find"].to_json() == {"planned": 4, "started": 2, "skipped": 2, "succeeded": 2}
    assert len([path for path in performed(place) if "pilot" not in path and "gate" not in path]) == 4


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("runtime", ["jail", pytest.param("monty", marks=pytest.mark.long)])
async def test_a_person_may_think_longer_than_a_turn(runtime: str) -> None:
    """The guest waits meanwhile, and nothing of it is at work on the host; it is not taken for one that hangs."""
    usable(runtime)
    found = standing(runtime).runtime
    assert found is not None
    limits = GuestLimits(turn_seconds=0.2, grace_seconds=0.05)
    text = (
        "async def main():\n    found = await parallel(agent(str(n)) for n in range(3))\n    return found.succeeded()\n"
    )

    async def main() -> Any:
        return await run_confined(found, source=text, file="asks.py", arguments={}, limits=limits)

    async def person(run: Run) -> None:
        run.is_attended = True
        for _ in range(18):  # three turns, and not so long that the suite waits for it
            await anyio.sleep(0.04)
            assert run.mode == "running"
        run.give_answer("*", True)

    performers: dict[str, Performer] = {"agent": AnsweringCalls(), "approval": Approvals()}
    ran = await memory_run(main, performers=performers, settings=Settings(pilot=1), beside=person)
    assert ran.value == ["0", "1", "2"]
