"""Scripts in the style a model writes: the same value, calls and journal in this process, in the jail and in monty."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.workflows.confined_runs import SCRIPTS, journal, performed, resumed_in, run_in

from antiphon.engine import UsageError
from antiphon.subagents.testing.workspaces import write_files
from antiphon.tracing import Json, read_log
from antiphon.workflows.cli import main
from antiphon.workflows.confined import MOST_GUESTS
from antiphon.workflows.loading import load
from antiphon.workflows.places import make_run
from antiphon.workflows.running import Options, start
from antiphon.workflows.runtimes import RuntimeAsked

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

BACKENDS = ("asyncio", "trio")
on_trio = pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)
JAIL_ONLY = {"generators": "contextlib", "review_board": "enum", "panel": "statistics"}
NAMES = sorted(path.stem for path in SCRIPTS.glob("*.py"))
HEAD = "from antiphon.workflows.script import *\n"
PORTABLE = [name for name in NAMES if name not in JAIL_ONLY]


@pytest.fixture(autouse=True)
def state_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a script into a project folder, with the script API imported."""

    def to(text: str, name: str = "script.py", head: str = HEAD) -> Path:
        file = tmp_path / "project" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(head + text)
        return file

    return to


def paired(names: list[str]) -> pytest.MarkDecorator:
    """Each script on one of the two backends: which, goes by turns."""
    pairs = [(BACKENDS[number % 2], name) for number, name in enumerate(names)]
    return pytest.mark.parametrize(("anyio_backend", "name"), pairs, indirect=["anyio_backend"])


async def equal(name: str, runtimes: tuple[str, ...], folder: Path) -> None:
    """Check that a script comes to the same in each of these, down to each event of the log."""
    whole = await run_in("trusted", SCRIPTS / f"{name}.py", folder / "trusted")
    expected = journal(whole.place)
    assert expected
    for runtime in runtimes:
        ended = await run_in(runtime, SCRIPTS / f"{name}.py", folder / runtime)
        assert (ended.result.kind, ended.value) == (whole.result.kind, whole.value)
        assert journal(ended.place) - expected == expected - journal(ended.place)
        assert performed(ended.place) == performed(whole.place)


@paired(PORTABLE)
async def test_a_portable_script_is_the_same_everywhere(name: str, tmp_path: Path) -> None:
    await equal(name, ("jail", "monty"), tmp_path)


@paired(list(JAIL_ONLY))
async def test_the_full_language_runs_in_the_jail(name: str, tmp_path: Path) -> None:
    await equal(name, ("jail",), tmp_path)
    with pytest.raises(UsageError, match=rf"{name}\.py:\d+.*{JAIL_ONLY[name]}"):
        await run_in("monty", SCRIPTS / f"{name}.py", tmp_path / "monty")


@on_trio
@pytest.mark.parametrize("runtime", ["jail", "monty"])
async def test_a_fan_out_of_a_thousand(runtime: str, tmp_path: Path) -> None:
    ended = await run_in(runtime, SCRIPTS / "wide.py", tmp_path / "wide", {"width": 1000})
    assert ended.value == [1000, 1000]
    begun = performed(ended.place)
    assert begun == sorted([f"main/{fan}/{item}/0" for fan in range(2) for item in range(1000)])


@pytest.mark.long
@pytest.mark.parametrize("runtime", ["jail", "monty"])
async def test_a_thousand_replay_exactly_in_the_other_runtime(runtime: str, tmp_path: Path) -> None:
    ended = await run_in(runtime, SCRIPTS / "wide.py", tmp_path / "wide", {"width": 1000})
    again = await resumed_in({"jail": "monty", "monty": "jail"}[runtime], ended.place)
    assert (again.value, again.result.reuse.performed, again.result.reuse.rebound) == ([1000, 1000], 0, 0)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_files(tmp_path / "trees", {"a.txt": "a\n", "b.txt": "b\n"})
    monkeypatch.chdir(tmp_path / "trees")
    return tmp_path / "trees"


@on_trio
async def test_tries_in_workspaces_come_to_the_same_states(project: Path, tmp_path: Path) -> None:
    found: dict[str, tuple[Any, ...]] = {}
    for name in ("trusted", "jail", "monty"):
        ended = await run_in(name, SCRIPTS / "ported" / "tries.py", tmp_path / name)
        found[name] = (ended.result.kind, ended.value, journal(ended.place))
    assert found["jail"] == found["monty"] == found["trusted"]
    assert found["jail"][0] == "completed"
    assert "+rewrite it" in str(found["jail"][1])


LEAVING = """
manifest = {"name": "leaving", "roles": ["auditor", "slow", "quick"]}

async def left():
    try:
        return await agent("z", role="slow")
    finally:
        put("state", "left")

async def main():
    await agent("Audit a.py", role="auditor")
    claim = claims()[0]
    won = await race([left(), agent("after 1", role="quick")])
    return [claim.title, claim.confidence, list(claim.evidence), claim.actor.lens, won, get("state")]
"""


@on_trio
async def test_claims_have_every_field_and_a_cancelled_branch_may_put(write: Write, tmp_path: Path) -> None:
    script = write(LEAVING)
    ended = {name: await run_in(name, script, tmp_path / name) for name in ("trusted", "jail", "monty")}
    assert ended["trusted"].value == ["no check in a.py", None, [], "", "done: after 1", "left"]
    assert [ended[name].value for name in ("jail", "monty")] == [ended["trusted"].value] * 2


FAILING = """
manifest = {"name": "failing"}

def deep(number):
    return {}["nothing"] if number == 0 else deep(number - 1)

async def main():
    return deep(3)
"""


@pytest.mark.parametrize("runtime", ["jail", "monty"])
async def test_an_error_shows_the_line_of_the_script_and_no_path(runtime: str, write: Write, tmp_path: Path) -> None:
    ended = await run_in(runtime, write(FAILING), tmp_path / "run")
    assert ended.result.exit_code == 1
    assert "KeyError" in ended.result.reason
    assert "script.py:6" in ended.result.reason
    assert str(tmp_path) not in ended.result.reason


TALKING = """
manifest = {"name": "talking"}

async def main():
    print("a", 1)
"""


@pytest.mark.parametrize("runtime", ["jail", "monty"])
async def test_what_a_script_prints_is_a_note(runtime: str, write: Write, tmp_path: Path) -> None:
    ended = await run_in(runtime, write(TALKING), tmp_path / "run")
    notes = [event.data["text"] for event in read_log(ended.place.directory) if event.kind == "note"]
    assert [str(note).strip() for note in notes] == ["a 1"]


# --- nested ones --------------------------------------------------------------------------------------------------

INNER = """
manifest = {"name": "inner"}

async def main():
    return 7
"""
OUTER = """
manifest = {"name": "outer", "limits": {"depth": 1}}

async def main():
    outcome = await branch("inner", workflow(%r))
    return outcome.value if outcome.ok else outcome.reason
"""


@on_trio
async def test_a_confined_script_nests_only_what_is_in_its_folder(write: Write, tmp_path: Path) -> None:
    write(INNER, "inner.py")
    above = write(OUTER % "../inner.py", "below/outer.py")
    assert (await run_in("trusted", above, tmp_path / "trusted")).value == 7
    assert "nests only what is in its own folder" in str((await run_in("jail", above, tmp_path / "above")).value)
    beside = write(OUTER % "./inner.py")
    assert (await run_in("jail", beside, tmp_path / "beside")).value == 7


@on_trio
async def test_a_nested_file_is_confined_as_its_caller_is(write: Write, tmp_path: Path) -> None:
    side = tmp_path / "ran"
    write(f"import os\nos.mkdir({str(side)!r})\n{INNER}", "inner.py")
    outer = write(OUTER % "./inner.py")
    refused = (await run_in("jail", outer, tmp_path / "jail")).value
    assert str(refused).startswith("inner.py:2: os: no confined script has it")
    assert "ran" not in [path.name for path in list_folder(tmp_path)]
    assert (await run_in("trusted", outer, tmp_path / "trusted")).value == 7
    assert side in list_folder(tmp_path)


MANY = """
manifest = {"name": "many", "limits": {"depth": 1}}

async def main(count: int):
    return len((await parallel(workflow("./inner.py") for _ in range(count))).succeeded())
"""


@on_trio
@pytest.mark.parametrize("runtime", ["jail", "monty"])
async def test_many_nested_workflows_take_turns(runtime: str, write: Write, tmp_path: Path) -> None:
    write(INNER, "inner.py")
    assert (await run_in(runtime, write(MANY), tmp_path / "run", {"count": MOST_GUESTS + 8})).value == MOST_GUESTS + 8


def list_folder(folder: Path) -> list[Path]:
    return list(folder.iterdir())


PLANNED = "# antiphon: planned audit-api 0123abcd\n" + HEAD


@on_trio
async def test_a_planned_file_below_a_trusted_one_is_confined(write: Write, tmp_path: Path) -> None:
    write(f"import os\n{INNER}", "inner.py", head=PLANNED)
    ended = await run_in("", write(OUTER % "./inner.py"), tmp_path / "run")
    assert "os: no confined script has it" in str(ended.value)


async def test_a_planned_script_is_confined_unless_somebody_trusts_it(write: Write, tmp_path: Path) -> None:
    side = tmp_path / "ran"
    kinds = "{kind.__name__: kind for kind in ().__class__.__base__.__subclasses__()}"
    reaches = f"({kinds})['_wrap_close'].__init__.__globals__['mkdir']({str(side)!r})\n"
    file = write(
        reaches + INNER.replace("return", "log('a name of the API')\n    return"),
        head=PLANNED.partition("\n")[0] + "\n",
    )
    assert load(file).runtime == "jail"
    with pytest.raises(UsageError, match="written by a model") as caught:
        load(file, runtime=RuntimeAsked(name="trusted"))
    assert "--trust" in str(caught.value.advice)
    asked = RuntimeAsked(name="trusted", trust=True)
    loaded = load(file, runtime=asked)
    assert loaded.runtime == "trusted"
    assert side not in list_folder(tmp_path)  # it is executed once somebody agreed to that, and not before
    ended = await start(make_run(tmp_path / "run"), loaded, {}, Options(runtime=asked))
    assert (ended.value, side in list_folder(tmp_path)) == (7, True)


def test_what_no_confined_script_has_is_refused_before_anything_begins(write: Write) -> None:
    file = write(f"import os\n{INNER}", head=PLANNED)
    with pytest.raises(UsageError, match=r"script\.py:3: os: no confined script has it"):
        load(file)


# --- what main is given, and the command --------------------------------------------------------------------------

TYPED = """
from dataclasses import dataclass
from enum import Enum

manifest = {"name": "typed"}

class Lens(Enum):
    A = "a"
    B = "b"

@dataclass
class Place:
    x: int
    lens: Lens = Lens.B

async def main(places: list[Place], pair: tuple[int, str], lens: Lens = Lens.A, at: float = 1):
    return [[one.x, one.lens.value] for one in places] + [repr(pair), lens.name, repr(at)]
"""


@on_trio
async def test_main_gets_what_a_trusted_one_would(write: Write, tmp_path: Path) -> None:
    given: dict[str, Json] = {"places": [{"x": 1}, {"x": 2, "lens": "a"}], "pair": [1, "a"], "at": 2}
    file = write(TYPED)
    values = [(await run_in(name, file, tmp_path / name, given)).value for name in ("trusted", "jail")]
    assert values[0] == values[1] == [[1, "b"], [2, "a"], "(1, 'a')", "A", "2.0"]


BARE = """
manifest = {"name": "bare"}

async def main(n: int):
    log("here")
    return n + 1
"""


def test_the_command_runs_it_where_it_is_told(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["run", str(write(BARE, head="")), "--arg", "n=1", "--runs-dir", str(tmp_path / "runs")]
    for runtime in ("jail", "monty"):
        assert main([*given, "--runtime", runtime]) == 0
        assert capsys.readouterr().out == "2\n"
    assert main([*given, "--runtime", "trusted"]) == 1  # nothing is imported there
    assert "name 'log' is not defined" in capsys.readouterr().err
