"""A build that is killed goes on where it was: what was answered is not asked again, and files are as they were."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from antiphon.subagents.model.contract import Completion, Request, ToolCall
from antiphon.subagents.testing import Answer, FunctionModel
from antiphon.tracing import Json, verify_log
from antiphon.workflows.build.launch import Asked, prepare
from antiphon.workflows.model_roles import ModelsAsked
from antiphon.workflows.places import RunPlace, make_run
from antiphon.workflows.running import Options, resume, start

pytestmark = [pytest.mark.anyio, pytest.mark.real_time, pytest.mark.long]

MODEL = "openai/gpt-4o-mini"
ONE = {"one.py": "def one():\n    return 1\n"}
TWO = {"two.py": "from one import one\n\ntwo = one() + 1\n"}
OTHER = {"other.py": "other = 3\n"}


def subtask(id: str, check: str, *needs: str) -> dict[str, Json]:
    return {
        "id": id,
        "goal": f"Write the module {id}, as its criterion says.",
        "owns": [f"{id}.py"],
        "needs": list[Json](needs),
        "criterion": {"command": f"python -c 'import {id}; assert {check}'"},
    }


def writing(files: dict[str, str]) -> list[Completion | Answer]:
    arguments = [json.dumps({"path": path, "content": content}) for path, content in files.items()]
    return [Completion(calls=tuple(ToolCall("w", "write", one) for one in arguments)), Answer({"summary": "done"})]


PLAN = Answer(
    {
        "subtasks": [
            subtask("one", "one.one() == 1"),
            subtask("two", "two.two == 2", "one"),
            subtask("other", "other.other == 3"),
        ]
    }
)
ACCEPT = Answer({"blocks": []})
SCRIPT: dict[str, list[Completion | Answer]] = {
    "Plan the build of the task.": [PLAN],
    "Build the subtask 'one'.": writing(ONE),
    "Build the subtask 'two'.": writing(TWO),
    "Build the subtask 'other'.": writing(OTHER),
    **{f"Review the change of the subtask '{id}'.": [ACCEPT] for id in ("one", "two", "other")},
    "Criticise the whole build.": [ACCEPT],
}
REQUESTS = sum(map(len, SCRIPT.values()))


def recording(file: Path, kill_at: int = 0) -> FunctionModel:
    """A model that answers by how far each conversation is, notes what it was asked, and at one request kills us."""

    def answer(request: Request) -> Completion | Answer:
        said = "\n".join(one.text for one in request.messages if one.role == "user")
        (marker,) = [marker for marker in SCRIPT if marker in said]
        place = sum(one.role == "assistant" for one in request.messages)
        with file.open("a") as out:
            out.write(f"{marker} {place}\n")
        if kill_at and len(file.read_text().splitlines()) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return SCRIPT[marker][place]

    return FunctionModel(answer)


async def build(here: Path, kill_at: int = 0) -> RunPlace:
    asked = Asked(task="Build it.", path=str(here / "project"), quality="tests", models=(MODEL,), sandbox="none")
    bound = prepare(asked)
    options = Options(
        models=asked.models_asked({"openai/": recording(here / "asked", kill_at)}),
        sandbox="none",
        project=bound.project,
        conclude=bound.conclude,
        closing=bound.close,
    )
    ended = await start(make_run(here / "run"), bound.loaded, bound.asked.arguments(), options)
    return ended.place


def environment(here: Path) -> dict[str, str]:
    return {f"XDG_{name}_HOME": str(here / name.lower()) for name in ("STATE", "CACHE", "CONFIG")}


def killed(here: Path, kill_at: int) -> int:
    """Build in a process of its own, which kills itself: its status."""
    command = [sys.executable, __file__, str(here), str(kill_at)]
    return subprocess.run(command, env={**os.environ, **environment(here)}, check=False, timeout=120).returncode


@pytest.mark.parametrize("kill_at", [2, 5, 9, REQUESTS])
async def test_a_build_that_was_killed_goes_on(tmp_path: Path, kill_at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    project = tmp_path / "project"
    await anyio.Path(project).mkdir()
    assert await anyio.to_thread.run_sync(killed, tmp_path, kill_at) == -signal.SIGKILL
    bound: list[Any] = []
    ended = await resume(
        RunPlace(tmp_path / "run"),
        Options(models=ModelsAsked(clients={"openai/": recording(tmp_path / "asked")})),
        bound=lambda name, build: bound.append((name, build)),
    )
    assert (ended.result.kind, ended.result.exit_code) == ("completed", 0), ended.result
    assert [name for name, _ in bound] == ["build"]
    asked = Counter((tmp_path / "asked").read_text().splitlines())
    assert len(asked) == REQUESTS
    twice = [what for what, count in asked.items() if count > 1]
    assert len(twice) <= 3, f"only what was in flight is asked again: {twice}"
    change = (tmp_path / "run" / "patches" / "integration.patch").read_text()
    assert all(f"+++ b/{path}" in change for path in (*ONE, *TWO, *OTHER))
    assert verify_log(tmp_path / "run", ended.head).ok
    assert list(project.iterdir()) == []


if __name__ == "__main__":
    anyio.run(build, Path(sys.argv[1]), int(sys.argv[2]))
