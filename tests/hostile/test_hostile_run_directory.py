"""Run directories that an attacker prepared: reading one executes and changes nothing, resuming one stays inside it."""

from __future__ import annotations

import importlib.util
import marshal
import os
import shutil
import textwrap
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

import anyio
import pytest

from antiphon.engine import UsageError
from antiphon.tracing import AntiphonError, Json, LogDamaged, open_log, read_log, verify_log
from antiphon.workflows.cli import main as antiphon
from antiphon.workflows.controls import Request, leave
from antiphon.workflows.disk import write_whole
from antiphon.workflows.loading import load
from antiphon.workflows.places import RunPlace, find_run, is_ours, list_runs, make_run
from antiphon.workflows.running import Ended, Options, resume, start

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

HEAD = "from antiphon.workflows.script import *\n"
EVIL = 'from pathlib import Path\nPath(__import__("os").environ["MARKER"]).touch()\n'
HARMLESS = HEAD + 'manifest = {"name": "harmless"}\n\nasync def main():\n    return "done"\n'
NESTING = HEAD + textwrap.dedent("""
    manifest = {"name": "nesting"}

    async def main():
        return await workflow("WHERE")
    """)


@pytest.fixture(autouse=True)
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that any code of the attacker's would make."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("MARKER", str(tmp_path / "marker"))
    return tmp_path / "marker"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of the user's that no run has any business in."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "request.json").write_text('{"ask": "stop"}')
    (folder / "precious.txt").write_text("precious")
    (folder / "evil.py").write_text(EVIL + HARMLESS)
    return folder


def there(file: Path) -> bool:
    return file.exists()


def forget(file: Path) -> None:
    file.unlink()


def state_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


async def honest(tmp_path: Path, script: str = HARMLESS, name: str = "run") -> RunPlace:
    """A run that was made here."""
    file = tmp_path / "project" / "workflow.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text(script)
    return (await start(make_run(tmp_path / "home" / name), load(file), {}, Options())).place


async def foreign(tmp_path: Path, script: str = HARMLESS) -> RunPlace:
    """The same, sent by somebody else: the script it was started from is not here."""
    place = await honest(tmp_path, script, "theirs")
    received = RunPlace(tmp_path / "received" / "theirs")
    shutil.copytree(place.directory, received.directory)
    shutil.rmtree(place.directory)
    shutil.rmtree(tmp_path / "project")
    return received


async def forged(directory: Path, *events: tuple[str, str, Mapping[str, Json]]) -> RunPlace:
    """A log that no run wrote, with a chain that holds."""
    async with open_log(directory) as log:
        for kind, path, data in events:
            log.enqueue(kind, path, data)
    (directory / "control").mkdir(exist_ok=True)
    return RunPlace(directory)


def opened(**changed: Json) -> tuple[str, str, Mapping[str, Json]]:
    facts: dict[str, Json] = {
        "run": "theirs", "workflow": "harmless", "trace": "0" * 32, "manifest": {}, "arguments": {},
        "builtin": "", "script": "/nowhere/workflow.py", "script_sha256": "0" * 64,
    }  # fmt: skip
    return "run.opened", "", {**facts, **changed}


def kept(script: str, file: str = "/nowhere/workflow.py", name: str = "script.py") -> tuple[str, str, dict[str, Json]]:
    return "input", "", {"name": name, "sha256": sha256(script.encode()).hexdigest(), "file": file}


async def resumed(place: RunPlace) -> Ended:
    with anyio.fail_after(30):  # a guard against what never answers
        return await resume(place, Options(), trust=True)


async def ending(place: RunPlace) -> str | int:
    """How a resume ends, or the exit code of what refused it."""
    try:
        return (await resumed(place)).result.kind
    except AntiphonError as error:
        return error.exit_code


# --- whose run it is ------------------------------------------------------------------------------------------------


async def test_reading_executes_nothing_and_resuming_needs_trust(
    tmp_path: Path, marker: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = await foreign(tmp_path, HARMLESS + EVIL)
    forget(marker)
    before = state_of(place.directory)
    assert list(read_log(place.directory))
    assert verify_log(place.directory).ok
    assert find_run(place.directory.parent, "theirs") == place
    assert list_runs(place.directory.parent) == [place]
    with pytest.raises(UsageError, match="was not made here"):
        await resume(place, Options())
    for words in (["show"], ["show", "--json"], ["verify"]):
        assert await anyio.to_thread.run_sync(antiphon, [*words, str(place.directory)]) == 0
    assert "harmless" in capsys.readouterr().out
    assert not there(marker)
    assert state_of(place.directory) == before
    assert (await resumed(place)).value == "done"
    assert there(marker)


def a_link_to_another(origin: Path, other: RunPlace) -> None:
    origin.symlink_to(other.origin)


def a_copy_of_another(origin: Path, other: RunPlace) -> None:
    shutil.copy2(other.origin, origin)


def a_pipe(origin: Path, other: RunPlace) -> None:
    os.mkfifo(origin)


def a_huge_file(origin: Path, other: RunPlace) -> None:
    origin.touch()
    os.truncate(origin, 1 << 40)


def strange_bytes(origin: Path, other: RunPlace) -> None:
    origin.write_bytes(b"\xff\xfe" * 32)


def a_folder(origin: Path, other: RunPlace) -> None:
    origin.mkdir()


FORGERIES = [a_link_to_another, a_copy_of_another, a_pipe, a_huge_file, strange_bytes, a_folder]


@pytest.mark.parametrize("forge", FORGERIES)
async def test_a_forged_origin_makes_no_run_ours(forge: Callable[[Path, RunPlace], None], tmp_path: Path) -> None:
    other = await honest(tmp_path, name="theirs")
    assert is_ours(other)
    place = RunPlace(tmp_path / "received" / "theirs")
    shutil.copytree(other.directory, place.directory)
    place.origin.unlink()
    forge(place.origin, other)
    assert not is_ours(place)
    with pytest.raises(UsageError, match="was not made here"):
        await resume(place, Options())


async def test_a_run_that_was_sent_away_and_came_back_is_not_ours_any_more(tmp_path: Path) -> None:
    place = await honest(tmp_path)
    away = tmp_path / "away"
    shutil.copytree(place.directory, away)
    place.directory.rename(tmp_path / "gone")
    shutil.copytree(away, place.directory)
    assert not is_ours(place)


# --- links out of the directory -------------------------------------------------------------------------------------

ENTRIES = ["control", "blobs", "workflows", "patches", "script.py", "manifest.json", "inputs.json", "report.md", "lock"]


@pytest.mark.parametrize("ours", [True, False], ids=["ours", "foreign"])
@pytest.mark.parametrize("entry", ENTRIES)
async def test_a_link_in_the_directory_is_not_followed(
    entry: str, ours: bool, tmp_path: Path, outside: Path, marker: Path
) -> None:
    place = await (honest if ours else foreign)(tmp_path)
    target = outside if "." not in entry and entry != "lock" else outside / "precious.txt"
    replaced = place.directory / entry
    if replaced.is_dir():
        shutil.rmtree(replaced)
    replaced.unlink(missing_ok=True)
    replaced.symlink_to(outside / "evil.py" if entry == "script.py" else target)
    before = state_of(outside)
    with pytest.raises(AntiphonError, match=f"'{entry}' in .* is no plain"):
        await resumed(place)
    assert list(read_log(place.directory))
    verify_log(place.directory)
    assert state_of(outside) == before
    assert not there(marker)


async def test_no_request_is_left_through_a_link(tmp_path: Path, outside: Path) -> None:
    place = await foreign(tmp_path)
    shutil.rmtree(place.control)
    place.control.symlink_to(outside)
    before = state_of(outside)
    with pytest.raises(UsageError, match="no folder that requests could be left in"):
        leave(place.control, Request(ask="pause"))
    assert state_of(outside) == before


@pytest.mark.parametrize("name", ["run.db", "run.db-wal", "run.db-shm", "run.db.new"])
async def test_a_database_that_is_a_link_is_not_opened(name: str, tmp_path: Path, outside: Path) -> None:
    place = await foreign(tmp_path)
    (place.directory / name).unlink(missing_ok=True)
    (place.directory / name).symlink_to(outside / "precious.txt")
    before = state_of(outside)
    assert not verify_log(place.directory).ok
    with pytest.raises(AntiphonError):
        list(read_log(place.directory))
    with pytest.raises(AntiphonError):
        await resumed(place)
    assert state_of(outside) == before


def test_what_is_written_replaces_a_link(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "report.md").symlink_to(outside / "precious.txt")
    write_whole(tmp_path / "report.md", b"report")
    assert (outside / "precious.txt").read_text() == "precious"
    assert not (tmp_path / "report.md").is_symlink()
    assert (tmp_path / "report.md").read_text() == "report"


@pytest.mark.parametrize("entry", ["control", "blobs", "workflows"])
async def test_a_file_where_a_folder_belongs_is_said_so(entry: str, tmp_path: Path) -> None:
    place = await foreign(tmp_path)
    if (place.directory / entry).exists():
        shutil.rmtree(place.directory / entry)
    (place.directory / entry).write_text("no folder")
    with pytest.raises(UsageError, match="is no plain folder"):
        await resumed(place)


async def test_pipes_in_the_directory_hold_nothing_up(tmp_path: Path) -> None:
    place = await foreign(tmp_path)
    os.mkfifo(place.directory / "report.md")
    with pytest.raises(UsageError, match=r"'report.md' in .* is no plain file"):
        await resumed(place)
    assert verify_log(place.directory).ok


# --- what is executed -----------------------------------------------------------------------------------------------


def plant_cache(script: Path) -> None:
    """A compilation that Python believes without a look at the source."""
    code = marshal.dumps(compile(HARMLESS + EVIL, "script.py", "exec"))
    cached = Path(importlib.util.cache_from_source(str(script)))
    cached.parent.mkdir()
    cached.write_bytes(importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8) + code)


async def test_only_the_script_that_can_be_read_is_executed(tmp_path: Path, marker: Path) -> None:
    """Python would believe a `__pycache__` beside the script, and nobody who reads the script would see it."""
    place = await foreign(tmp_path)
    plant_cache(place.script)
    assert (await resumed(place)).value == "done"
    assert not there(marker)


async def test_an_edited_copy_is_not_executed(tmp_path: Path, marker: Path) -> None:
    place = await foreign(tmp_path)
    place.script.write_text(HARMLESS + EVIL)
    with pytest.raises(UsageError, match="is not what the run executed"):
        await resumed(place)
    assert not there(marker)
    found = verify_log(place.directory)
    assert ["'script.py' was changed" in problem for _, problem in found.problems] == [True]


async def test_a_huge_copy_is_not_read_whole(tmp_path: Path) -> None:
    place = await foreign(tmp_path)
    os.truncate(place.script, 1 << 40)
    with pytest.raises(UsageError, match="is not what the run executed"):
        await resumed(place)


async def test_a_script_outside_of_the_directory_is_not_executed(tmp_path: Path, outside: Path, marker: Path) -> None:
    evil = outside / "evil.py"
    place = await forged(tmp_path / "theirs", opened(script=str(evil)))
    with pytest.raises(UsageError, match="only copies are executed of a run that was not made here"):
        await resumed(place)
    assert not there(marker)


@pytest.mark.parametrize("name", ["../outside/evil.py", "{}/outside/evil.py", "workflows/../../outside/evil.py", ""])
async def test_a_copy_is_inside_of_the_directory(name: str, tmp_path: Path, outside: Path, marker: Path) -> None:
    text = (outside / "evil.py").read_text()
    named = kept(text, name=name.format(tmp_path))
    place = await forged(tmp_path / "theirs", named, opened())
    with pytest.raises(UsageError, match="the run holds no copy of it"):
        await resumed(place)
    assert not there(marker)
    verify_log(place.directory)


@pytest.mark.parametrize("linked", ["file", "folder"])
async def test_a_copy_is_no_link(linked: str, tmp_path: Path, outside: Path, marker: Path) -> None:
    text = (outside / "evil.py").read_text()
    name = f"workflows/{sha256(text.encode()).hexdigest()}.py"
    place = await forged(tmp_path / "theirs", kept(text, name=name), opened())
    folder = place.directory / "workflows"
    if linked == "file":
        folder.mkdir()
        (place.directory / name).symlink_to(outside / "evil.py")
    else:
        (outside / Path(name).name).write_text(text)
        folder.symlink_to(outside)
    with pytest.raises(UsageError):
        await resumed(place)
    assert not there(marker)


@pytest.mark.parametrize("where", ["../outside/evil.py", "{}/evil.py"], ids=["relative", "absolute"])
async def test_a_foreign_script_nests_nothing_from_outside(
    where: str, tmp_path: Path, outside: Path, marker: Path
) -> None:
    script = NESTING.replace("WHERE", where.format(outside))
    file = str(tmp_path / "project" / "workflow.py")  # beside `outside`, as the attacker hopes
    place = await forged(tmp_path / "theirs", kept(script, file=file), opened(script=file))
    place.script.write_text(script)
    ended = await resumed(place)
    assert ended.result.kind == "failed"
    assert "only copies are executed" in ended.result.reason
    assert not there(marker)


# --- events that no run writes --------------------------------------------------------------------------------------

STRANGE: dict[str, tuple[str, str, Mapping[str, Json]]] = {
    "opened twice": opened(run=5, script=[], arguments="none"),
    "no hash": ("call.started", "main/0", {}),
    "types": ("call.ended", "main/0", {"hash": [], "kind": {}, "spent": "much"}),
    "ordinal": ("decision", "main/0", {"decision": 1, "ordinal": "x"}),
    "attempt": ("attempt.started", "main/0", {"attempt": "x", "reserved": []}),
    "amount": ("budget", "", {"top_up": {"wishes": -3}}),
    "negative": ("budget", "", {"top_up": {"model_calls": -(10**30)}}),
    "reuse": ("call.reused", "main/0", {"seq": 10**18, "hash": "x"}),
    "path": ("branch.started", "../../\x1b[31m" + "/x" * 3000, {"construct": 7}),
    "report": ("report", "", {"name": "../../../etc/passwd", "sha256": "0" * 64}),
    "input": ("input", "", {"name": "/etc/passwd", "sha256": "0" * 64}),
    "unknown": ("who knows", "main", {"deep": [[[[[]]]]]}),
}


@pytest.mark.parametrize("name", STRANGE)
async def test_strange_events_are_read_shown_and_refused_in_a_sentence(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = await forged(tmp_path / "theirs", kept(HARMLESS), opened(), STRANGE[name])
    place.script.write_text(HARMLESS)
    assert [event.kind for event in read_log(place.directory)][-1] == STRANGE[name][0]
    verify_log(place.directory)
    for words in (["show"], ["verify"], ["show", "--json"]):
        code = await anyio.to_thread.run_sync(antiphon, [*words, str(place.directory)])
        said = capsys.readouterr()
        assert code in (0, 1)
        assert "this is a bug" not in said.err
        assert "\x1b" not in said.out + said.err
    assert await ending(place) in ("completed", 2, 74)


@pytest.mark.parametrize(
    "changed",
    [{"run": 5}, {"script": None}, {"arguments": "x=1"}, {"builtin": []}, {"builtin": "audit", "arguments": {}}],
)
async def test_a_beginning_of_the_wrong_types_is_refused(changed: dict[str, Json], tmp_path: Path) -> None:
    place = await forged(tmp_path / "theirs", kept(HARMLESS), opened(**changed))
    with pytest.raises(UsageError):
        await resumed(place)


async def test_arguments_are_checked_again(tmp_path: Path) -> None:
    place = await forged(tmp_path / "theirs", kept(HARMLESS), opened(arguments={"surprise": 1}))
    place.script.write_text(HARMLESS)
    with pytest.raises(UsageError, match="there is no parameter 'surprise'"):
        await resumed(place)


@pytest.mark.parametrize("run", ["../../outside/precious.txt", "/etc/passwd", "a\x00b", "\x1b]0;owned\x07", "x" * 9000])
async def test_a_run_id_is_only_a_name(run: str, tmp_path: Path, outside: Path) -> None:
    place = await forged(tmp_path / "theirs", kept(HARMLESS), opened(run=run))
    place.script.write_text(HARMLESS)
    before = {name: content for name, content in state_of(tmp_path).items() if not name.startswith("theirs")}
    assert (await resumed(place)).value == "done"
    after = {name: content for name, content in state_of(tmp_path).items() if not name.startswith(("theirs", "state"))}
    assert after == before


async def test_a_directory_with_escapes_in_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = await foreign(tmp_path)
    named = place.directory.rename(place.directory.with_name("\x1b[31mred\x1b]0;owned\x07"))
    assert find_run(named.parent, named.name) == RunPlace(named)
    for words in (["show", str(named)], ["resume", str(named)], ["runs", "--runs-dir", str(named.parent)]):
        await anyio.to_thread.run_sync(antiphon, words)
        said = capsys.readouterr()
        assert "\x1b" not in said.out + said.err
        assert "red" in said.out + said.err


async def test_sparse_giants_are_refused_quickly(tmp_path: Path) -> None:
    place = await foreign(tmp_path)
    for name in ("manifest.json", "inputs.json", "report.json"):
        (place.directory / name).touch()
        os.truncate(place.directory / name, 1 << 40)
    assert (await resumed(place)).value == "done"
    (place.directory / "run.db").write_bytes(b"")
    os.truncate(place.directory / "run.db", 1 << 40)
    assert not verify_log(place.directory).ok
    with pytest.raises(LogDamaged):
        await resumed(place)


async def test_a_home_full_of_rubbish(tmp_path: Path, outside: Path) -> None:
    place = await honest(tmp_path)
    home = place.directory.parent
    (home / "file").write_text("x")
    (home / "empty").mkdir()
    (home / "dangling").symlink_to("nowhere")
    (home / "pipe").mkdir()
    os.mkfifo(home / "pipe" / "run.db")
    (home / "folder" / "run.db").mkdir(parents=True)
    assert list_runs(home) == [place]
    assert find_run(home, "last") == place
    for wanted in ("..", "../home", "a\x00b", "x" * 5000, "", "empty", "pipe"):
        with pytest.raises(UsageError, match="there is no run"):
            find_run(home, wanted)


async def test_a_folder_called_last_hides_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = await honest(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("last", place.run_id):
        shutil.copytree(place.directory, tmp_path / "here" / name)
    monkeypatch.chdir(tmp_path / "here")
    for wanted in ("last", place.run_id):
        assert find_run(place.directory.parent, wanted) == place
    assert find_run(place.directory.parent, "./last").directory == tmp_path / "here" / "last"
