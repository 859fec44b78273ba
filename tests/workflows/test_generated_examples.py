"""Scripts written by way of `antiphon plan`, as they lie in examples/generated: held to what is said of them."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from antiphon.tracing import read_log, verify_log
from antiphon.workflows.author.plans import QUOTE, is_intact, quoted
from antiphon.workflows.places import RunPlace
from antiphon.workflows.preflight import preflight
from antiphon.workflows.running import Options, resume
from antiphon.workflows.runtimes import RuntimeAsked

pytestmark = [pytest.mark.anyio, pytest.mark.real_time, pytest.mark.checkout]

GENERATED = Path(__file__).parents[2] / "examples" / "generated"
NAMES = ("api-usage", "claim", "deprecation", "deprecation/again")
each = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(autouse=True)
def state_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


def read(name: str, file: str) -> Any:
    return json.loads((GENERATED / name / file).read_text("utf-8"))


def attempts(name: str) -> list[Path]:
    return sorted((GENERATED / name / "plan" / "attempts").iterdir())


def unpacked(name: str, folder: Path) -> Path:
    """A copy of the run's directory, of its own."""
    with tarfile.open(GENERATED / name / "run.tar.xz") as packed:
        packed.extractall(folder, filter="data")
    return folder / str(read(name, "run.json")["run"])


def test_there_are_no_others() -> None:
    found = [path.parent.parent.relative_to(GENERATED) for path in GENERATED.rglob("plan/plan.json")]
    assert sorted(path.as_posix() for path in found) == list(NAMES)


@each
def test_the_script_is_what_the_plan_says_and_passes(name: str) -> None:
    plan, source = read(name, "plan/plan.json"), (GENERATED / name / "plan" / "script.py").read_text("utf-8")
    assert (plan["state"], plan["sha256"]) == ("planned", hashlib.sha256(source.encode()).hexdigest())
    assert is_intact(source)
    looked = preflight(source, "script.py", arguments=plan["arguments"])
    assert looked.passed, looked.errors
    assert looked.portability.portable
    assert [finding.rule for finding in looked.findings if finding.severity == "warning"] == []


@each
def test_of_the_attempts_only_the_last_passed(name: str) -> None:
    said = [json.loads((folder / "findings.json").read_text("utf-8")) for folder in attempts(name)]
    assert [one["passed"] for one in said] == [False] * (len(said) - 1) + [True]
    assert len(said) == read(name, "plan/plan.json")["attempts"]
    assert not [path for folder in attempts(name) for path in folder.glob("*.py")], "what was refused can be run"
    last = (attempts(name)[-1] / "script.py.txt").read_text("utf-8")
    assert last == quoted((GENERATED / name / "plan" / "script.py").read_text("utf-8"))


def test_preflight_still_says_what_sent_an_attempt_back() -> None:
    first = attempts("deprecation")[0]
    quotes = (first / "script.py.txt").read_text("utf-8").split("\n")
    source = "\n".join(line.removeprefix(QUOTE) for line in quotes)
    looked = preflight(source, "script.py", arguments=read("deprecation", "plan/plan.json")["arguments"])
    assert "awaits-in-sequence" in {finding.rule for finding in looked.findings}


@each
def test_the_run_is_sound_and_of_that_script(tmp_path: Path, name: str) -> None:
    directory = unpacked(name, tmp_path)
    found = verify_log(directory, read(name, "run.json")["head"])
    assert found.ok, found.problems
    plan = read(name, "plan/plan.json")
    approved = [event.data for event in read_log(directory) if event.kind == "approval"]
    assert approved[-1]["script_sha256"] == plan["sha256"]
    kept = [event.data["name"] for event in read_log(directory) if event.kind == "input"][-1]
    assert hashlib.sha256((directory / str(kept)).read_bytes()).hexdigest() == plan["sha256"]
    opened = next(event.data for event in read_log(directory) if event.kind == "run.opened")
    assert opened["arguments"] == plan["arguments"]
    assert opened["runtime"] == "jail"


BOTH = [
    ("api-usage", "asyncio", "monty"),
    ("claim", "trio", "jail"),
    ("deprecation", "asyncio", "jail"),
    ("deprecation/again", "trio", "monty"),
]


@pytest.mark.parametrize(("name", "anyio_backend", "runtime"), BOTH, indirect=["anyio_backend"])
async def test_the_run_replays_without_a_call(tmp_path: Path, name: str, runtime: str) -> None:
    place = RunPlace(unpacked(name, tmp_path))
    again = await resume(place, Options(runtime=RuntimeAsked(name=runtime)), trust=True)
    assert (again.result.kind, again.result.reuse.performed) == ("completed", 0)
    assert again.result.reuse.reused == sum(census.planned for census in again.result.calls.values())
    assert again.value == read(name, "result.json")


def test_the_second_plan_of_the_shop_goes_on_from_its_first_run(tmp_path: Path) -> None:
    events = list(read_log(unpacked("deprecation/again", tmp_path)))
    [forked] = [event.data for event in events if event.kind == "forked"]
    first, second = read("deprecation", "run.json"), read("deprecation/again", "plan/plan.json")
    assert (forked["run"], forked["head"], forked["sha256"]) == (first["run"], first["head"], second["sha256"])
    assert read("deprecation/again", "plan/task.json")["parent"] == "deprecation"
