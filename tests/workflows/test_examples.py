"""Every example, run as a person runs it: loaded from its file, on disk, with the exact value it promises."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from antiphon.engine import Settings
from antiphon.tracing import Event, Json, read_log, verify_log
from antiphon.workflows.cli import main as antiphon
from antiphon.workflows.loading import load
from antiphon.workflows.places import RunPlace, make_run
from antiphon.workflows.running import Ended, Options, resume, start

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted(EXAMPLES.glob("*.py"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What an example promises."""

    ending: str
    value: Json
    arguments: dict[str, Json] = field(default_factory=dict[str, Json])


EXPECTED: dict[str, list[Expected]] = {
    "budget": [
        Expected(
            ending="degraded",
            value={
                "census": {"planned": 100, "started": 100, "succeeded": 3, "over_budget": 97},
                "spent_usd": "0.09",
            },
        ),
        Expected(
            ending="completed",
            value={"census": {"planned": 2, "started": 2, "succeeded": 2}, "spent_usd": "0.06"},
            arguments={"agents": 2},
        ),
    ],
    "choose": [
        Expected(ending="completed", value={"chosen": "patch", "result": "done: patch"}),
        Expected(ending="completed", value={"chosen": "leave it", "result": "done: leave it"}, arguments={"days": 1}),
    ],
    "fan_out": [
        Expected(
            ending="degraded",
            value={"lengths": [9, 9], "census": {"planned": 3, "started": 3, "succeeded": 2, "failed": 1}},
        ),
        Expected(
            ending="completed",
            value={"lengths": [7], "census": {"planned": 1, "started": 1, "succeeded": 1}},
            arguments={"files": ["ab"]},
        ),
    ],
    "model_agent": [Expected(ending="completed", value={"tides": 5, "moss": 3})],
    "nested": [Expected(ending="degraded", value={"longest": "three", "cut": "degraded", "not measured": 6})],
    "pipeline": [Expected(ending="completed", value=["Draft of tides, improved", "Draft of moss, improved"])],
    "quorum": [Expected(ending="completed", value={"refuted": "yes", "votes": [True, None, True]})],
    "race": [Expected(ending="completed", value="found by index")],
    "resume": [Expected(ending="paused", value=None)],
    "synthesis": [Expected(ending="completed", value={"claims": 2, "groups": 1, "conflicts": 1})],
    "workspaces": [Expected(ending="completed", value={"conflicts": [], "files": 2})],
    "typed_output": [
        Expected(ending="completed", value={"longest": "tide", "failed": []}),
        Expected(
            ending="degraded",
            value={"longest": "tide", "failed": ["letters: Input should be greater than or equal to 1"]},
            arguments={"words": ["tide", "?"]},
        ),
    ],
}
CASES = [(name, number) for name, cases in sorted(EXPECTED.items()) for number in range(len(cases))]


@pytest.fixture(autouse=True)
def state_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


async def run_example(name: str, home: Path, arguments: dict[str, Json] | None = None) -> Ended:
    loaded = load(EXAMPLES / f"{name}.py")
    return await start(make_run(home / "run"), loaded, loaded.parameters.validate(arguments or {}), Options())


def events(place: RunPlace, kind: str) -> list[Event]:
    return [event for event in read_log(place.directory) if event.kind == kind]


@pytest.mark.parametrize(("name", "number"), CASES)
async def test_an_example_does_what_it_says(name: str, number: int, tmp_path: Path) -> None:
    expected = EXPECTED[name][number]
    ended = await run_example(name, tmp_path, expected.arguments)
    assert (ended.result.kind, ended.value) == (expected.ending, expected.value)
    assert verify_log(ended.place.directory, ended.head).ok
    (closing,) = events(ended.place, "run.ended")
    assert (closing.data["kind"], closing.data["value"]) == (expected.ending, expected.value)
    assert closing.data["unawaited"] == []


def test_every_example_has_an_expectation() -> None:
    assert [file.stem for file in FILES] == sorted(EXPECTED)


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_an_example_is_one_screen_that_says_how_to_run_it(file: Path) -> None:
    text = file.read_text()
    assert len(text.splitlines()) <= 60
    assert f"antiphon run examples/{file.name}" in text
    assert f"`{file.name}`" in (EXAMPLES / "README.md").read_text()
    assert "noqa" not in text
    assert "ignore" not in text


async def test_budget_refuses_before_anything_is_spent(tmp_path: Path) -> None:
    ended = await run_example("budget", tmp_path)
    assert ended.result.spent.to_json()["usd"] == 90_000_000
    tried = {event.path for event in events(ended.place, "attempt.started")}
    refused = [event for event in events(ended.place, "call.ended") if event.data["kind"] == "over_budget"]
    assert (len(tried), len(refused)) == (3, 97)
    assert not tried & {event.path for event in refused}
    assert all("spent" not in event.data for event in refused)


@pytest.mark.parametrize(("yes", "value"), [(True, "3 changes applied"), (False, "nothing was applied")])
async def test_resume_asks_and_does_nothing_twice(yes: bool, value: str, tmp_path: Path) -> None:
    paused = await run_example("resume", tmp_path)
    assert paused.result.pause == "approval"
    assert paused.result.exit_code == 4
    assert dict(paused.result.pending) == {"main/1": "Apply 3 changes?"}
    ended = await resume(paused.place, Options(settings=Settings(answers={"*": yes})))
    assert (ended.result.kind, ended.value) == ("completed", value)
    assert ended.result.reuse.reused == 3
    proposed = [event.path for event in events(ended.place, "call.started") if event.data["name"] == "proposer"]
    assert sorted(proposed) == ["main/0/0/0", "main/0/1/0", "main/0/2/0"]
    again = await resume(ended.place, Options())
    assert (again.value, again.result.reuse.performed) == (value, 0)


def test_the_command_line_does_what_an_example_says_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert antiphon(["run", str(EXAMPLES / "resume.py")]) == 4
    assert capsys.readouterr().out == ""
    assert antiphon(["resume", "last", "--approve"]) == 0
    assert "3 changes applied" in capsys.readouterr().out
    assert antiphon(["verify", "last"]) == 0
    assert antiphon(["run", str(EXAMPLES / "fan_out.py"), "--arg", 'files=["a.py","b.py","broken.py"]']) == 3
    assert antiphon(["run", str(EXAMPLES / "typed_output.py"), "--arg", "words=tide"]) == 2
    assert "words is read as JSON" in capsys.readouterr().err
    (ignored,) = (tmp_path / ".antiphon").glob(".*")
    assert ignored.name == ".gitignore"


async def test_race_has_the_same_winner_when_it_is_resumed(tmp_path: Path) -> None:
    first = await run_example("race", tmp_path)
    again = await resume(first.place, Options())
    assert again.value == first.value
    assert again.result.reuse.performed == 0


async def test_nested_keeps_a_copy_of_what_it_nests(tmp_path: Path) -> None:
    ended = await run_example("nested", tmp_path)
    script, nested = events(ended.place, "input")
    assert Path(str(script.data["file"])).name == "nested.py"
    assert Path(str(nested.data["file"])).name == "typed_output.py"
    kept = ended.place.directory / str(nested.data["name"])
    assert kept.read_bytes() == (EXAMPLES / "typed_output.py").read_bytes()
