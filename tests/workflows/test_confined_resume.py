"""The same journal resumes in either runtime: what was performed is never performed again, wherever it goes on."""

from __future__ import annotations

import signal
import sys
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from tests.workflows.confined_runs import SCRIPTS, journal, options, performed, resumed_in, run_in

from antiphon.engine import UsageError
from antiphon.tracing import read_log
from antiphon.workflows.cli import main
from antiphon.workflows.model_roles import ModelsAsked
from antiphon.workflows.opened import Opened
from antiphon.workflows.places import RunPlace
from antiphon.workflows.policy import ToolsAsked
from antiphon.workflows.running import resume
from antiphon.workflows.runtimes import RuntimeAsked

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

PORTABLE = ("adversarial", "racing", "until_dry", "parent")


@pytest.fixture(autouse=True)
def state_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


BOTH_WAYS = [("asyncio", "jail", "monty"), ("trio", "monty", "jail")]
ways = pytest.mark.parametrize(("anyio_backend", "first", "then"), BOTH_WAYS, indirect=["anyio_backend"])


@pytest.mark.parametrize("script", PORTABLE)
@ways
async def test_a_whole_run_replays_in_the_other_runtime(tmp_path: Path, script: str, first: str, then: str) -> None:
    ended = await run_in(first, SCRIPTS / f"{script}.py", tmp_path / "run")
    again = await resumed_in(then, ended.place)
    assert performed(ended.place) == []
    assert (again.result.kind, again.value) == (ended.result.kind, ended.value)
    assert again.result.reuse.performed == again.result.reuse.rebound == 0


async def killed(directory: Path, runtime: str, script: str, stop_at: str) -> RunPlace:
    """A run in a process of its own, killed by SIGKILL when its worker is at some task."""
    command = [sys.executable, "-m", "tests.workflows.confined_kill", runtime, str(SCRIPTS / f"{script}.py")]
    async with await anyio.open_process([*command, str(directory), stop_at], cwd=SCRIPTS.parents[3]) as process:
        assert process.stdout is not None
        assert (await process.stdout.receive()).strip() == b"there"
        process.send_signal(signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL
    return RunPlace(directory)


@ways
async def test_a_run_killed_in_the_middle_goes_on_in_the_other_runtime(tmp_path: Path, first: str, then: str) -> None:
    whole = await run_in("trusted", SCRIPTS / "staged.py", tmp_path / "whole")
    place = await killed(tmp_path / "killed", first, "staged", "Mend: done: Write about snow")
    before = {event.path for event in read_log(place.directory) if event.kind == "call.ended"}
    ended = await resumed_in(then, place)
    assert (ended.result.kind, ended.value) == ("completed", whole.value)
    assert before
    assert before.isdisjoint(performed(place))
    assert {event.path for event in read_log(place.directory) if event.kind == "call.ended"} == {
        path for path, kind, _ in journal(whole.place) if kind == "call.ended"
    }


async def test_a_resume_goes_on_where_it_was_and_says_when_that_changed(tmp_path: Path) -> None:
    ended = await run_in("monty", SCRIPTS / "tournament.py", tmp_path / "run")

    def said() -> list[str]:
        kinds = ("run.opened", "runtime")
        return [
            str(event.data.get("runtime", event.data.get("name")))
            for event in read_log(ended.place.directory)
            if event.kind in kinds
        ]

    await resume(ended.place, options())
    assert said() == ["monty"]
    await resume(ended.place, options("jail"))
    await resume(ended.place, options())
    assert said() == ["monty", "jail"]


def test_the_command_goes_on_where_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, runs = tmp_path / "script.py", ["--runs-dir", str(tmp_path / "runs")]
    file.write_text("manifest = {'name': 'bare'}\nasync def main():\n    log('here')\n    return 7\n")
    assert main(["run", str(file), "--runtime", "monty", *runs]) == 0
    assert main(["resume", "last", "--runtime", "jail", *runs]) == 0
    assert main(["resume", "last", *runs]) == 0
    assert capsys.readouterr().out.split() == ["7", "7", "7"]
    assert main(["resume", "last", "--runtime", "trusted", *runs]) == 1  # nothing is imported there
    assert "name 'log' is not defined" in capsys.readouterr().err


OPENED = Opened(
    run="r",
    script="/s.py",
    builtin="",
    arguments={},
    models=ModelsAsked(),
    project="",
    workspace="",
    base=None,
    tests="",
    tools=ToolsAsked(),
    servers=None,
    runtime="trusted",
)


def test_what_a_run_says_of_being_trusted_is_believed_of_our_own_only() -> None:
    nothing = RuntimeAsked()
    assert OPENED.runtime_again(nothing, ours=True) == RuntimeAsked(name="trusted", trust=True)
    assert OPENED.runtime_again(nothing, ours=False) == RuntimeAsked(name="trusted", trust=False)
    confined = replace(OPENED, runtime="jail")
    assert confined.runtime_again(nothing, ours=False) == RuntimeAsked(name="jail")
    assert confined.runtime_again(RuntimeAsked(name="monty"), ours=False) == RuntimeAsked(name="monty")
    with pytest.raises(UsageError, match="ships with antiphon"):
        replace(OPENED, builtin="audit").runtime_again(RuntimeAsked(name="jail"), ours=True)


async def test_a_run_from_elsewhere_still_needs_trust_when_it_is_confined(tmp_path: Path) -> None:
    ended = await run_in("monty", SCRIPTS / "tournament.py", tmp_path / "run")
    ended.place.origin.unlink()
    with pytest.raises(UsageError, match="was not made here"):
        await resume(ended.place, options("jail"))
    again = await resume(ended.place, options(), trust=True)
    assert again.value == ended.value
